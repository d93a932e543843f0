"""Waves on the packaged service: one group after the other, a stop, a retry, and what people read of it."""

import pytest

from demo import stage
from tests.scenarios.scene import DEV, HOUR, PROD, REGION, TEST

FILE = """\
defaults: {{external_id: {external_id}, copy_deadline: 30m, queue_deadline: 30m}}
groups:
  dev: ["{dev}"]
  qa: {{members: ["{test}"], after: dev}}
  prod: {{members: ["{prod}"], after: qa, soak: {soak}}}
"""
EVERY = "dev qa prod"


def file(soak: str = "0") -> str:
    """A targets file with three groups, one after the other."""
    return FILE.format(external_id=stage.EXTERNAL_ID, dev=DEV, test=TEST, prod=PROD, soak=soak)


@pytest.fixture
def in_waves(scene):
    """The file is applied."""
    scene.apply(file())
    return scene


def nothing_in(scene, *accounts) -> bool:
    """Whether nothing was opened to these accounts, and nothing was made there."""
    shared = any(set(accounts) & set(scene.shared_with(snapshot)) for snapshot in scene.snapshots)
    return not shared and not any(scene.images_in(account) for account in accounts)


def test_three_groups_one_after_the_other(in_waves):
    """`plan` says who waits for whom before the tag is written; `status` draws it, and afterwards that all are open."""
    status, planned = in_waves.said("plan", EVERY)
    assert status == 0, planned
    assert "wave dev -> qa: 1 target begins after `dev`, if none of it failed" in planned
    assert "wave qa -> prod: 1 target begins after `qa`" in planned
    in_waves.tag(EVERY)
    in_waves.wait(30)
    assert in_waves.states()[PROD] == "awaiting-wave"
    assert nothing_in(in_waves, TEST, PROD)
    said = in_waves.said("status")[1]
    assert "wave dev -> qa: waits for 1 delivery to `dev`; 1 target waits" in said
    assert in_waves.said("wait")[0] == 0
    assert in_waves.states() == {DEV: "delivered", TEST: "delivered", PROD: "delivered"}
    times = {one["account"]: one["at"] for one in in_waves.notices("delivery.delivered")}
    assert times[DEV] < times[TEST] < times[PROD] < times[DEV] + HOUR
    assert [one["state"] for one in in_waves.status()["waves"]] == ["open", "open"]
    in_waves.assert_invariants()


def test_a_failure_stops_the_wave_until_a_retry_succeeds(in_waves):
    """The notice names it and the command; what an operator then does lets the later groups go on."""
    kms = in_waves.client("kms", DEV)
    ident = kms.describe_key(KeyId="alias/ami-promoter")["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=ident)
    in_waves.tag(EVERY)
    in_waves.wait(3 * HOUR)
    assert in_waves.states() == {DEV: "failed", TEST: "awaiting-wave", PROD: "awaiting-wave"}
    assert nothing_in(in_waves, TEST, PROD)
    (stop,) = in_waves.notices("promotion.wave-stopped")
    assert (stop["after"], stop["groups"], [one["account"] for one in stop["targets"]]) == ("dev", ["qa"], [DEV])
    said = in_waves.said("status")[1]
    assert "wave dev -> qa: stopped: 1 of `dev` failed, none succeeded; 1 target waits" in said
    assert f"failed: {DEV} {REGION}. After you have repaired that: `{stop['retry']}`" in said
    kms.enable_key(KeyId=ident)
    assert in_waves.cli("retry", in_waves.image)[0] == 0
    in_waves.wait(2 * HOUR)
    assert set(in_waves.states().values()) == {"delivered"}
    assert len(in_waves.notices("promotion.wave-stopped")) == 1
    in_waves.assert_invariants()


def test_it_soaks_and_a_recall_meanwhile_ends_what_waits(scene):
    """`status` says when the wave opens; the recalled AMI never reaches `prod`."""
    scene.apply(file(soak="5h"))
    scene.tag(EVERY)
    scene.wait(2 * HOUR)
    assert scene.states()[PROD] == "awaiting-wave"
    (_, prod) = scene.status()["waves"]
    assert prod["state"] == "soaks"
    assert f"wave qa -> prod: opens at {prod['opens_at']}; 1 target waits" in scene.said("status")[1]
    assert scene.cli("recall", scene.image, "--why", "It does not boot.", "--yes")[0] == 0
    scene.wait(HOUR)
    assert scene.states()[PROD] == "cancelled"
    assert nothing_in(scene, PROD)


def test_a_value_or_a_file_with_a_wave_that_cannot_open_is_refused(in_waves, tmp_path):
    """Before anybody waits for it."""
    status, said = in_waves.said("plan", "prod")
    assert status != 0
    assert "no account of `qa` gets the AMI" in said
    path = tmp_path / "bad.yaml"
    path.write_text(file().replace("after: dev", "after: prod"), encoding="utf-8")
    status, out, err = in_waves.cli("targets", "validate", str(path))
    assert status != 0
    assert "group `qa` waits for itself" in out + err
    assert "group `prod` waits for itself" in out + err


def test_the_difference_of_two_files_shows_waves(in_waves, tmp_path):
    """`targets diff`, as text and as JSON that fits its schema."""
    path = tmp_path / "other.yaml"
    path.write_text(file(soak="1h"), encoding="utf-8")
    _, out, _ = in_waves.cli("targets", "diff", str(path))
    assert "~ wave of group prod: after qa, if at most 0 of it failed -> after qa, 1h later" in " ".join(out.split())
    in_waves.cli("targets", "diff", str(path), "--json")
