"""``ami-promoter withdraw``: ends one account's part; the tag stays, and another value of it serves it again."""

import json

import pytest

from tests.scenarios.failures import write
from tests.scenarios.regions import FAR
from tests.scenarios.scene import DEV, PROD, REGION, TABLE, TEST
from tests.scenarios.sharing import shared

OPERATOR = "arn:aws:"
"""The prefix of an operator's ARN."""


@pytest.fixture
def sharing(sharing):
    """DEV and TEST have a share of the AMI, and PROD has a copy."""
    sharing.tag(f"dev {PROD}")
    assert shared(sharing) == {DEV: "shared", TEST: "shared", PROD: "delivered"}
    return sharing


def withdraw(scene, *words, status=0):
    """Run the verb; return its JSON output."""
    return scene.ask("withdraw", "--yes", scene.image, *words, status=status)


def park(scene, record):
    """Park a record, as the service does with one that it cannot process."""
    write(scene, record, remove=("wake_at", "due_shard"), parked={"S": "by hand"})


def test_a_share_ends_the_tag_stays_and_everybody_says_who_did_it(sharing):
    """The other share and the delivered AMI stay; `status`, `wait`, `plan` and `history` show it."""
    found = withdraw(sharing, "--account", TEST, "--account", PROD)
    assert found["changed"] == [TEST, PROD]
    does = {one["account"]: one["does"] for one in found["deliveries"]}
    assert does == {TEST: "the share is withdrawn", PROD: "the AMI was delivered, and stays"}
    status, said = sharing.said("wait")

    assert (status, f"Withdrawn by {OPERATOR}" in said) == (6, True), said
    assert sharing.after(200).states() == {DEV: "shared", TEST: "withdrawn", PROD: "delivered"}
    assert sharing.launchable_by() == {DEV}
    assert [sharing.shared_with(snapshot) for snapshot in sharing.snapshots] == [set(), set()]
    assert (sharing.launch(DEV), sharing.launch(TEST) != "", len(sharing.images_in(PROD))) == ("", True, 1)
    assert f"{TEST} {REGION}: withdrawn: Withdrawn by {OPERATOR}" in sharing.said("status")[1]
    assert f"{TEST}, {PROD}): withdrawn by {OPERATOR}" in sharing.said("status")[1]
    assert f"{TEST} {REGION}, {PROD} {REGION}): withdrawn by {OPERATOR}" in sharing.said("plan")[1]
    assert "withdrawn by" not in sharing.said("plan", "dev")[1]  # a new write would be a tag event
    assert f"withdrawn {TEST}: {OPERATOR}" in sharing.said("history")[1]
    assert sharing.said("verify")[0] == 0
    assert sharing.cli("admin", "reconcile")[0] == 0
    sharing.assert_invariants()


def test_a_running_copy_is_cancelled_and_one_of_two_regions_is_left_out(abroad):
    """Its copies are removed; the account's other Region and the other account are delivered."""
    scene = abroad
    scene.copying(f"{DEV} {TEST}", 600)
    withdraw(scene, "--account", f"{DEV}/{REGION}")
    scene.run_until_over()

    states = {(one["account"], one["region"]): one["state"] for one in scene.status()["deliveries"]}
    out = {place for place, state in states.items() if state != "delivered"}
    assert (states[DEV, REGION], out, len(states)) == ("cancelled", {(DEV, REGION)}, 4)
    assert (scene.images_in(DEV), scene.snapshots_in(DEV)) == ([], [])
    assert scene.said("wait", "--account", f"{DEV}/{REGION}")[0] == 6
    assert scene.said("wait", "--account", f"{DEV}/{FAR}")[0] == 0
    scene.assert_invariants()


@pytest.mark.thorough
def test_while_the_promotion_is_parked_it_says_what_waits_and_a_retry_ends_it(abroad):
    """A copy continues, as the command says; the retry that unparks the record does not serve the account again."""
    scene = abroad
    scene.copying(f"{DEV} {TEST}", 600)
    park(scene, f"promotion#{scene.image}")
    found = withdraw(scene, "--account", DEV)
    assert {one["does"] for one in found["deliveries"]} == {
        "the delivery is cancelled once its promotion's record continues"
    }
    assert (
        f"`ami-promoter retry {scene.image}` lets it continue" in scene.said("withdraw", "--yes", "--account", DEV)[1]
    )
    scene.said("retry")
    scene.run_until_over()

    states = {(one["account"], one["state"]) for one in scene.status()["deliveries"]}
    assert states == {(DEV, "cancelled"), (TEST, "delivered")}
    scene.assert_invariants()


def test_what_cannot_be_withdrawn_is_refused_with_all_faults(sharing):
    """A stranger, a target whose whole account is withdrawn, and an AMI without a tag."""
    found = withdraw(sharing, "--account", "999999999999", "--account", "888888888888/us-east-1", status=1)
    assert [fault["code"] for fault in found["faults"]] == ["no-delivery", "no-delivery"]
    assert withdraw(sharing, "--lift", "--account", TEST)["changed"] == []
    assert withdraw(sharing, "--lift")["changed"] == []
    assert sharing.said("withdraw")[0] == 2
    assert withdraw(sharing, "--account", TEST)["changed"] == [TEST]
    assert withdraw(sharing, "--account", TEST)["changed"] == []  # a repeat is harmless
    found = withdraw(sharing, "--lift", "--account", f"{TEST}/{REGION}", status=1)
    assert [fault["code"] for fault in found["faults"]] == ["not-withdrawn"]
    sharing.untag()
    found = withdraw(sharing, "--account", TEST, status=1)
    assert [fault["code"] for fault in found["faults"]] == ["no-tag"]


def test_one_withdrawal_too_many_is_refused_before_anything_is_written_and_a_recall_still_fits(sharing):
    """All of an AMI are one item, and have its value; DynamoDB takes 400 KB. Those that are over make room."""
    table, key = f"{TABLE}-config", {"pk": {"S": "withdrawals"}, "sk": {"S": sharing.image}}
    dynamodb = sharing.client("dynamodb")
    many = [f"{400000000000 + number}" for number in range(990)]

    def fill(value: str, at: int) -> None:
        entry = json.dumps({"at": at, "by": f"{OPERATOR}sts::111111111111:assumed-role/Operator/jo", "value": value})
        dynamodb.put_item(TableName=table, Item={**key, **{place: {"S": entry} for place in many}})

    fill("x" * 300, 2**40)
    before = dynamodb.get_item(TableName=table, Key=key)["Item"]
    status, out, err = sharing.cli("withdraw", "--yes", sharing.image, "--account", TEST)
    assert (status, "nothing was changed" in out + err, "--why TEXT" in out + err) == (1, True, True), out + err
    assert dynamodb.get_item(TableName=table, Key=key)["Item"] == before
    assert sharing.cli("recall", "--yes", sharing.image, "--why", "w" * 200)[0] == 0

    fill("x" * 300, 1)
    sharing.tag("dev")
    sharing.wait(60)
    assert withdraw(sharing, "--account", TEST)["changed"] == [TEST]
    assert set(dynamodb.get_item(TableName=table, Key=key)["Item"]) == {"pk", "sk", TEST}
