def test_a(scene):
    """x."""
    scene.promote("dev "+"444444444444")
    print(scene.describe())
    print(scene.status())
    print(scene.told())
    scene.wait(1200)
    scene.assert_laws()
