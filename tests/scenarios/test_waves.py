"""Waves on the packaged service: one group after the other, a stop, a retry, and what people read of it."""

from tests.scenarios.scene import DEV, PROD, REGION, TEST, targets_file

EVERY = "dev qa prod"
WAVES = {"dev": [DEV], "qa": {"members": [TEST], "after": "dev"}, "prod": {"members": [PROD], "after": "qa"}}


def test_plan_and_status_say_who_waits_for_whom_and_what_stopped_it(scene):
    """`plan` says it before the tag is written; `status` draws it, names the retry, and says then what is open."""
    scene.apply(targets_file(WAVES))
    status, planned = scene.said("plan", EVERY)
    assert status == 0, planned
    assert "wave dev -> qa: 1 target begins after `dev`, if none of it failed" in planned
    assert "wave qa -> prod: 1 target begins after `qa`" in planned
    kms, key = scene.client("kms", DEV), scene.stage.targets[DEV].outputs["KeyArn"]
    kms.disable_key(KeyId=key)
    scene.tag(EVERY)
    scene.run_until(lambda: scene.notices("promotion.wave-stopped"))
    (stop,) = scene.notices("promotion.wave-stopped")
    said = scene.said("status")[1]
    assert "wave dev -> qa: stopped: 1 of `dev` failed, none succeeded; 1 target waits" in said
    assert f"failed: {DEV} {REGION}. After you have repaired that: `{stop['retry']}`" in said
    status, waited = scene.said("wait", "--account", PROD)
    assert (status, stop["retry"] in waited) == (5, True)
    kms.enable_key(KeyId=key)
    assert scene.cli("retry", scene.image)[0] == 0
    scene.run_until_state("copying", DEV)
    assert "wave dev -> qa: waits for 1 delivery to `dev`; 1 target waits" in scene.said("status")[1]
    assert scene.said("wait")[0] == 0
    assert [one["state"] for one in scene.status()["waves"]] == ["open", "open"]
    scene.assert_invariants()
