"""Waves on the packaged service: one group after the other, a stop, a retry, and what people read of it."""

import pytest

from tests.scenarios.scene import DEV, HOUR, PROD, REGION, TEST, targets_file

EVERY = "dev qa prod"


def file(soak: str | int = 0) -> str:
    """A targets file with three groups, one after the other."""
    prod = {"members": [PROD], "after": "qa", "soak": soak}
    return targets_file({"dev": [DEV], "qa": {"members": [TEST], "after": "dev"}, "prod": prod})


@pytest.fixture
def in_waves(scene):
    """The file is applied."""
    scene.apply(file())
    return scene


def test_plan_and_status_say_who_waits_for_whom_and_what_stopped_it(in_waves):
    """`plan` says it before the tag is written; `status` draws it, names the retry, and says then what is open."""
    status, planned = in_waves.said("plan", EVERY)
    assert status == 0, planned
    assert "wave dev -> qa: 1 target begins after `dev`, if none of it failed" in planned
    assert "wave qa -> prod: 1 target begins after `qa`" in planned
    kms, key = in_waves.client("kms", DEV), in_waves.stage.targets[DEV].outputs["KeyArn"]
    kms.disable_key(KeyId=key)
    in_waves.tag(EVERY)
    in_waves.run_until(lambda: in_waves.notices("promotion.wave-stopped"))
    (stop,) = in_waves.notices("promotion.wave-stopped")
    said = in_waves.said("status")[1]
    assert "wave dev -> qa: stopped: 1 of `dev` failed, none succeeded; 1 target waits" in said
    assert f"failed: {DEV} {REGION}. After you have repaired that: `{stop['retry']}`" in said
    kms.enable_key(KeyId=key)
    assert in_waves.cli("retry", in_waves.image)[0] == 0
    in_waves.run_until_state("copying", DEV)
    assert "wave dev -> qa: waits for 1 delivery to `dev`; 1 target waits" in in_waves.said("status")[1]
    assert in_waves.said("wait")[0] == 0
    assert [one["state"] for one in in_waves.status()["waves"]] == ["open", "open"]
    in_waves.assert_invariants()


def test_status_says_when_a_wave_that_soaks_opens(scene):
    """To people and to scripts."""
    scene.apply(file(soak="5h"))
    scene.tag(EVERY)
    scene.wait(HOUR)
    (_, prod) = scene.status()["waves"]
    assert prod["state"] == "soaks"
    assert f"wave qa -> prod: opens at {prod['opens_at']}; 1 target waits" in scene.said("status")[1]
