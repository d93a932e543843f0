"""Verbs that ask the service for nothing: the targets file, key policies, completion."""

from typing import Any

import pytest

from demo import stage
from tests.scenarios.scene import DEV, HUB, PROD, TEST, Scene, lets, put_key_policy

OK, FAULT, USAGE, AWS = 0, 1, 2, 3


@pytest.fixture
def as_account(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Go on as the administrator of an account."""

    def become(account: str) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", scene.world.accounts.root(account).access_key)

    return become


def test_a_targets_file_from_its_first_check_to_what_is_in_force(scene, as_account, tmp_path):
    """Faults are found without AWS; a difference names what goes; what is shown is the file to the last byte."""
    file = tmp_path / "next.yaml"
    text = f"# reviewed\n{stage.TARGETS_FILE}".replace(f'  prod: ["{PROD}"]\n', f'  prod: ["{DEV}"]\n')
    file.write_text(text.replace(DEV, "22"), encoding="utf-8")
    status, _, err = scene.cli("targets", "validate", str(file))
    assert (status, "`22`" in err or "'22'" in err) == (FAULT, True)
    assert scene.cli("targets", "diff", str(file))[0] == FAULT
    assert scene.cli("targets", "validate", str(tmp_path / "none"))[0] == FAULT

    file.write_text(text, encoding="utf-8")
    assert scene.cli("targets", "validate", str(file), "--json")[0] == OK
    removed = scene.ask("targets", "diff", str(file))["targets"]["removed"]
    assert [one["account"] for one in removed] == [PROD]
    before = scene.cli("targets", "show")
    assert (before[0], before[1]) == (OK, stage.TARGETS_FILE)
    assert "Version 1 in account 111111111111" in before[2]
    scene.apply(text)
    assert scene.cli("targets", "show")[1] == text

    as_account(DEV)
    for words in (("show",), ("diff", str(file))):
        status, _, err = scene.cli("targets", *words)
        assert (status, DEV in err, "next.yaml" in err) == (AWS, True, False), err


def test_a_key_of_ones_own_is_made_fit_by_what_is_printed(scene, as_account):
    """Of a target and of the hub: what lacks is a fault, the printed statement repairs it, another's key is refused."""
    for account, which, role in ((DEV, "target", "AmiCopyRole"), (HUB, "hub", "ami-promoter-us-east-1-share-worker")):
        as_account(account)
        kms = scene.client("kms", account)
        key = kms.create_key()["KeyMetadata"]["Arn"]
        admin = lets(account, *(f"kms:{verb}*" for verb in ("Describe", "Get", "Put", "Enable")))
        put_key_policy(kms, key, admin)
        words = ("admin", "key-policy", which)
        status, out, _ = scene.cli(*words, key, "--json")
        assert (status, role in out) == (FAULT, True), out

        put_key_policy(kms, key, admin, *scene.ask(*words)["statements"])
        scene.wait(10)
        status, _, err = scene.cli(*words, key)
        assert (status, "rotation is off" in err) == (OK, True), err

    status, _, err = scene.cli(
        "admin", "key-policy", "target"
    )  # with the hub's credentials it would name the hub's account
    assert (status, f"account {HUB} is the hub, and no target" in err) == (FAULT, True), err
    as_account(DEV)
    status, _, err = scene.cli("admin", "key-policy", "target", scene.stage.targets[TEST].outputs["KeyArn"])
    assert (status, "AccessDenied" in err or "not authorized" in err) == (AWS, True), err
    assert scene.cli("admin", "key-policy", "hub", "alias/none")[0] == AWS
