"""``admin reconcile`` for targets of OUs, key policies, hub copies in other Regions, and the applied file."""

import json

import pytest

from tests.scenarios.key_policy import put_now
from tests.scenarios.platform import HISTORY, codes, reconcile
from tests.scenarios.regions import FAR, between
from tests.scenarios.scene import DEV, HUB, REGION, TABLE, TEST, permit, targets_file
from tests.scenarios.sharing import SHARE

MINUTE = 60
OURS = f"AmiPromoter{HUB}{REGION.replace('-', '')}To{DEV}"


def found(report, code):
    return [one for one in report["found"] if one["code"] == code]


def test_a_statement_of_the_service_that_the_ledger_lacks_is_taken_out_of_the_policy(scene):
    """The owner restored an older policy with it: `admin reconcile` finds it by its Sid, and closes it on demand."""
    scene.apply(targets_file(key_access="policy"))
    before = scene.key_policy()
    scene.copying(DEV, 300)
    during = scene.key_policy()
    scene.run_until_over()
    assert scene.after(MINUTE).key_policy() == before
    put_now(scene, *json.loads(during)["Statement"])

    status, report = reconcile(scene)
    assert (status, codes(report)) == (4, {"open-unknown"})
    assert f"policy statement for account {DEV}" in found(report, "open-unknown")[0]["where"]

    assert reconcile(scene, "--apply")[0] == 0
    assert OURS not in scene.after(3 * MINUTE).key_policy()
    assert reconcile(scene, "--hub-only")[0] == 0


def forget(scene, name):
    """Delete every item of a resource's partition."""
    client = scene.client("dynamodb")
    for item in scene.items():
        if item["pk"] == name:
            key = {"pk": {"S": name}, "sk": {"S": item["sk"]}}
            client.delete_item(TableName=TABLE, Key=key)


def test_shares_of_a_hub_copy_in_another_region_are_looked_up_there(scene):
    """It finds what a person revoked there, and what the ledger has lost there, and nothing else."""
    scene.deploy_target(HUB, FAR)
    scene.deploy_target(DEV, FAR, CreateRole="false")
    scene.apply(between())
    scene.world.ec2.pace.copy = 1500
    scene.tag("")
    abroad = scene.world.client("ec2", HUB, FAR)
    scene.run_until(lambda: any("@" in one["pk"] and one.get("state") == "open" for one in scene.items()))
    scene.wait(HISTORY)
    names = sorted({one["pk"].removeprefix("resource#snapshot#") for one in scene.items() if "@" in one["pk"]})
    one, other = (name.partition("@")[0] for name in names)
    assert codes(reconcile(scene)[1]) == set()

    permit(abroad, one, DEV, "remove")
    forget(scene, f"resource#snapshot#{other}@{FAR}")
    scene.wait(HISTORY)
    status, report = reconcile(scene)

    assert status == 4
    assert [it["where"] for it in found(report, "taken-away")] == [f"snapshot {one} in {FAR} to account {DEV}"]
    assert [it["where"] for it in found(report, "open-unknown")] == [f"{other} in {FAR} to account {DEV}"]


@pytest.mark.parametrize("access", ["grant", "policy"])
@pytest.mark.thorough_but("grant")
def test_who_is_in_the_file_no_longer_has_shares_that_are_notified_and_withdrawn_on_demand(scene, access):
    """One account's launch permission and key; the other account keeps its own."""
    scene.apply(targets_file({"default": [DEV, TEST]}, key_access=access, **SHARE))
    scene.promote("")
    assert scene.launchable_by() == {DEV, TEST}
    assert reconcile(scene)[0] == 0
    scene.apply(targets_file({"default": [TEST]}, key_access=access, **SHARE))

    status, report = reconcile(scene, "--hub-only")
    assert (status, codes(report)) == (4, {"receiver-not-listed"})
    (one,) = report["found"]
    assert one["where"] == f"account {DEV}"
    assert "2 shares that the service opened may be open to it" in one["what"]

    assert reconcile(scene, "--apply", "--hub-only")[0] == 0
    scene.run_until_state("withdrawn", DEV)
    assert scene.after(6 * MINUTE).launchable_by() == {TEST}
    assert scene.delivery_state(TEST) == "shared"
    assert reconcile(scene, "--hub-only")[0] == 0
