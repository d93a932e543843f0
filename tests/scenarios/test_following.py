"""``promote --wait``, ``wait`` and ``status``: what a pipeline and a person see of a promotion."""

from tests.scenarios.scene import DEV, GROUPS, PROD, TEST, targets_file
from tests.scenarios.sharing import share_with

DELIVERED, FAULT, AWS, TIMED_OUT, FAILED, CANCELLED = 0, 1, 3, 4, 5, 6


def test_promote_and_wait_until_all_is_delivered(scene):
    """Exit status 0, with each target's AMI; meanwhile standard error shows the changes."""
    status, out, err = scene.cli("promote", scene.image, "dev", "--wait")

    assert status == DELIVERED
    said = out.splitlines()
    assert said[0].endswith(", which names 2 targets.")
    assert f"{scene.image}: delivered. All 2 targets have the AMI." in said
    for account in (DEV, TEST):
        assert f"{account} us-east-1: {scene.image_in(account)['ImageId']}" in said
    assert "copying" in err
    scene.assert_invariants()


def test_an_ami_that_goes_as_soon_as_it_is_tagged_is_not_called_unchanged(scene):
    """The tag was written: the command says so, and what became of it."""

    def deregister(call):
        if call.operation == "CreateTags" and call.params["Resources"] == [scene.image]:
            scene.world.gateway.after.remove(deregister)
            scene.client("ec2").deregister_image(ImageId=scene.image)
            scene.wait(3600)  # EC2 shows it for some time

    scene.world.gateway.after.append(deregister)

    status, out, err = scene.cli("promote", scene.image, "dev", "--wait")

    assert (status, "nothing was changed" in err) == (CANCELLED, False)
    assert f"{scene.image} is tagged promote='dev'" in out
    assert f"{scene.image}: cancelled. The hub does not own this AMI, or no longer does." in out


def test_a_failed_delivery(scene):
    """Exit status 5 and the cause; the delivered target is no failure."""
    scene.apply(targets_file(queue_deadline="10m"))
    scene.drop_role(TEST)

    status, reported = scene.answer("promote", scene.image, "dev", "--wait")

    assert (status, reported["outcome"]) == (FAILED, "failed")
    assert reported["why"] == "1 of 2 deliveries failed."
    assert scene.answer("wait", scene.image, "--account", DEV)[0] == DELIVERED
    assert scene.answer("wait", scene.image, "--account", f"{TEST}/us-east-1")[0] == FAILED
    status, reported = scene.answer("wait", scene.image, "--account", PROD, "--account", DEV)
    assert (status, reported["faults"][0]["what"]) == (FAULT, f"it has no delivery to {PROD}.")
    said = scene.cli("status", "--failed")[1]
    assert f"{TEST} us-east-1: " in said
    assert "AmiCopyRole" in said
    assert f"{DEV} us-east-1" not in said


def test_a_tag_that_the_service_does_not_look_at(scene):
    """The wait times out, and asks whether the tag is the hub's. A tag that others write is waited for.

    The record is older than the tag at first: an earlier value's outcome does not count.
    """
    scene.promote(DEV)
    scene.client("ec2").create_tags(Resources=[scene.image], Tags=[{"Key": "release", "Value": "prod"}])

    status, reported = scene.answer("wait", scene.image, "--tag-key", "release")

    assert status == TIMED_OUT
    assert "is `release` its tag?" in reported["why"]

    scene.tag(f"{DEV} {TEST}")
    status, reported = scene.answer("wait", scene.image)
    assert status == DELIVERED
    assert len(reported["promotion"]["deliveries"]) == 2


def test_waiting_right_after_a_shared_ami_was_cancelled(scene):
    """It is still shared: the service looks twice before it takes the tag for removed."""
    share_with(scene, DEV)
    scene.wait(600)
    scene.cli("cancel", "--yes", scene.image)
    assert scene.after(20).answer("wait", scene.image)[0] == CANCELLED


def test_it_times_out_and_the_promotion_goes_on(scene):
    """Exit status 4."""
    scene.world.ec2.pace.copy = 3600

    status, reported = scene.answer("promote", scene.image, DEV, "--wait", "--timeout", "5")

    assert (status, reported["outcome"]) == (TIMED_OUT, "timed-out")
    (copying,) = reported["promotion"]["deliveries"]
    assert copying["state"] == "copying"
    assert all(copy["seconds_left"] > 0 for copy in copying["copies"] if copy["progress"])
    scene.run_until_over(seconds=3 * 3600)


def test_a_promotion_that_somebody_cancels(scene):
    """Exit status 6; `status` says why."""
    scene.world.ec2.pace.copy = 600
    scene.world.kernel.after(120, scene.untag, "somebody removes the tag")

    status, reported = scene.answer("promote", scene.image, DEV, "--wait")

    assert (status, reported["outcome"]) == (CANCELLED, "cancelled")
    assert "cancelled: Its tag was removed." in scene.cli("status", scene.image)[1]


def test_a_refusal_is_shown_while_it_is_in_force_and_no_longer(scene):
    """A wrong value by hand: `wait` fails at once with the reason. After a good value nothing of it is shown."""
    assert scene.answer("wait", scene.image)[1]["faults"][0]["code"] == "no-tag"
    scene.promote("dev")
    scene.tag("dve prd")

    status, reported = scene.answer("wait", scene.image)
    refused = scene.cli("status", scene.image)[1]

    assert status == FAILED
    assert "`dve`" in reported["why"]
    assert refused.count("refused: ") == 2

    scene.tag(DEV)
    assert scene.after(1).answer("wait", scene.image)[0] == DELIVERED
    after = scene.cli("status", scene.image)[1]
    assert "refused" not in after
    assert "dve" not in after


def test_promoting_while_paused_says_so(scene):
    """The AMI is tagged all the same, and starts after the pause; `admin drain` names it, `retry` has nothing yet."""
    assert scene.cli("admin", "pause", "--why", "KMS outage")[0] == 0

    status, out, _ = scene.cli("promote", scene.image, DEV)

    assert status == 0
    assert "KMS outage. It starts after `ami-promoter admin resume`." in out
    scene.run_until(lambda: scene.record(f"promotion#{scene.image}")["state"] == "adjusting")
    status, out, _ = scene.cli("retry", scene.image)
    assert (status, "Nothing to do" in out) == (0, True)
    _, reported = scene.answer("admin", "drain", "--yes")
    assert reported["promotions"] == {"adjusting": 1}
    said = scene.cli("admin", "drain", "--yes")[1]
    assert f"Waits for `admin resume`: promotion#{scene.image} is adjusting, and nothing has started." in said

    assert scene.cli("admin", "resume")[0] == 0
    assert scene.answer("wait", scene.image)[0] == DELIVERED


def test_a_target_that_goes_loses_what_is_shared_with_it(scene):
    """The difference lists each standing share that ends; after the apply it ends."""
    share_with(scene, TEST)
    file = scene._directory / "narrow.yaml"
    file.write_text(targets_file({**GROUPS, "dev": [DEV]}), encoding="utf-8")

    _, reported = scene.answer("targets", "diff", str(file))
    said = scene.cli("targets", "apply", "--yes", str(file))[1]

    kinds = sorted(one["resource"].partition("#")[0] for one in reported["withdraws"])
    assert (kinds[0], len(kinds)) == ("image", 2)
    assert f"Withdraws from {TEST}: {scene.image}" in said
    scene.run_until(lambda: scene.launchable_by() == set(), seconds=900)
