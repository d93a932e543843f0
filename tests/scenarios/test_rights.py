"""Who may write what [invariant 11]: DynamoDB refuses a function's role what its policy does not have.

Each test has only the credentials that Lambda gives the function, like an attacker who runs code in it.
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine import addresses
from chalicelib.sharing.share import Share, ShareState
from tests.scenarios.scene import DEV, REGION, STRANGER, TABLE, Scene, targets_file
from tests.scenarios.stolen import CONFIG, MEMBERS, client, item, writes

HEARING = ("on-tag-change", "on-image-state", "on-target-event")
DIGEST = "f" * 64


def forgeries(scene: Scene) -> dict[str, tuple[str, dict[str, Any]]]:
    """Items that would admit a stranger, or stop the service: by purpose, with table and item."""
    resource = addresses.snapshot_resource(scene.snapshots[0])
    share = Share(resource.pk, STRANGER, STRANGER, state=ShareState.WANTED, last_closing_at=2**31)
    due = {"wake_at": 1, "due_shard": "due#0", "kind": "resource"}
    return {
        "an account of the applied file": (
            CONFIG,
            item(f"targets#00000001#{DIGEST}", f"account#{STRANGER}", body=json.dumps([{"account": STRANGER}])),
        ),
        "the pointer to the file": (CONFIG, item("targets", "current", version_number=99, digest=DIGEST)),
        "an approval": (CONFIG, item(f"approvals#{scene.image}", f"{STRANGER}/{REGION}", body="{}")),
        "the switch": (CONFIG, item("switches", "promotions", paused=True)),
        "an accepted departure": (CONFIG, item("departures", "accepted", body=json.dumps([DEV]), at=2**31)),
        "a member of a unit": (MEMBERS, item("members", "accounts#00", body=json.dumps({STRANGER: ["ou-ab12-1"]}))),
        "the members' pointer": (MEMBERS, item("members", "current", digest=DIGEST)),
        "a share": (TABLE, item(resource.pk, f"share#{STRANGER}", state=share.state.value, account=STRANGER)),
        "a due record": (TABLE, item(resource.pk, "record", **due)),
        "a promotion": (TABLE, item(f"promotion#{scene.image}", "record", state="requested", body="{}", version=1)),
        "a delivery": (TABLE, item("delivery#0123", "record", state="requested", body="{}", version=1)),
        "a look-up": (TABLE, item(f"copy#{DEV}#{REGION}#snap-0a", "delivery#0123", delivery="0123")),
    }


def assert_refused(scene: Scene, function: str, what: set[str]) -> None:
    """None of these can be written with the function's role, by any call."""
    dynamodb = client(scene, function, "dynamodb")
    for name in what:
        for operation, write in writes(dynamodb, *forgeries(scene)[name]).items():
            with pytest.raises(ClientError) as refused:
                write()
            assert refused.value.response["Error"]["Code"] == "AccessDeniedException", (
                f"{function}: {name}: {operation}"
            )
        table, forged = forgeries(scene)[name]
        assert forged not in scene.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]


def test_a_function_that_hears_events_can_forge_nothing(scene):
    """It may write no item at all: no applied file, share, due record, promotion or switch."""
    scene.tag("dev")
    scene.run_until_state("copying")

    for function in HEARING:
        assert_refused(scene, function, set(forgeries(scene)))


def test_no_worker_and_not_the_sweep_can_change_file_switches_or_members(scene):
    """They only read them, so an attacker in one cannot choose receivers."""
    read = {name for name, (table, _) in forgeries(scene).items() if table in (CONFIG, MEMBERS)}
    for function in ("worker", "share-worker", "sweep"):
        assert_refused(scene, function, read)


def test_the_sweep_writes_its_own_place_and_no_record(scene):
    """No share, promotion or delivery: it may write one partition key in the table of records."""
    assert_refused(scene, "sweep", {name for name, (table, _) in forgeries(scene).items() if table == TABLE})

    client(scene, "sweep", "dynamodb").put_item(TableName=TABLE, Item=item("sweep", "place", body="{}"))


def test_discovery_writes_the_members_and_nothing_that_operators_write(scene):
    """It reads the OUs' accounts from the organization; it cannot write file, switches and accepted departures."""
    assert_refused(scene, "discover", {name for name, (table, _) in forgeries(scene).items() if table == CONFIG})

    dynamodb = client(scene, "discover", "dynamodb")
    dynamodb.put_item(TableName=MEMBERS, Item=item("members", "reading", body="{}", version=1))


@pytest.mark.parametrize("function", HEARING)
def test_whom_events_wake_shares_nothing_that_is_not_tagged(scene, function):
    """It may only send wakes to the worker; whatever record and reason they name, no account receives anything."""
    sqs = client(scene, function, "sqs")
    keys = [f"promotion#{scene.image}", "delivery#0123", f"quota#{STRANGER}#{REGION}", f"inventory#{STRANGER}#{REGION}"]
    url = scene.client("sqs").get_queue_url(QueueName=f"{TABLE}-worker.fifo")["QueueUrl"]
    for number, key in enumerate(keys):
        for reason in ({"tag": "000000000009"}, {"untag": "000000000009"}, {"image": "x"}, {"cancel": "1:x"}):
            body = json.dumps({"key": key, "cause": "forged", "reason": reason})
            sqs.send_message(
                QueueUrl=url, MessageBody=body, MessageGroupId=key, MessageDeduplicationId=f"{number}-{sorted(reason)}"
            )
    share_worker = scene.client("sqs").get_queue_url(QueueName=f"{TABLE}-share-worker.fifo")["QueueUrl"]
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.send_message(QueueUrl=share_worker, MessageBody="{}", MessageGroupId="x", MessageDeduplicationId="x")
    assert scene.after(3600).world.shares_open() == []
    assert scene.states() == {}
    assert [made["pk"] for made in scene.items() if made["sk"] == "record"] == [f"promotion#{scene.image}"]
    scene.assert_invariants()


@pytest.mark.parametrize("named", [True, False], ids=["its key is named", "another key is named"])
def test_a_target_uses_the_source_keys_that_it_names_and_no_other(scene, named):
    """``SourceKeyArns`` of deploy/target.yaml: a source under a named key is copied, another is not."""
    scene.apply(targets_file())
    other = scene.client("kms").create_key()["KeyMetadata"]["Arn"]
    scene.deploy_target(CreateKey="false", SourceKeyArns=f"{other},{scene.key}" if named else other)
    scene.tag("")
    assert scene.outcome() == {DEV: "delivered" if named else "failed"}, scene.describe()
    scene.assert_invariants()
