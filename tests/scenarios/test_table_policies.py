"""The parameters ``Operators`` and ``Approvers``: who writes the tables, whatever IAM allows in the account."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from awsim.iam import policy
from awsim.iam.policy import Ask, PolicyVerdict, Who
from chalicelib.engine import addresses
from tests.scenarios import stolen
from tests.scenarios.monitoring import LATE, monitored, share, verdicts
from tests.scenarios.platform import hub_checks
from tests.scenarios.scene import DEV, HUB, REGION, TABLE, TEST, Scene
from tests.scenarios.stolen import item, refused, writes

CONFIG, MEMBERS, FINDINGS = (f"{TABLE}-{name}" for name in ("config", "members", "findings"))
TABLES = (TABLE, CONFIG, MEMBERS, FINDINGS)
PARAMETERS = {
    "TargetAccounts": f"{DEV},{TEST}",
    "Operators": f"arn:aws:iam::{HUB}:role/Operator*,arn:aws:iam::{HUB}:role/ci/*",
    "Approvers": f"arn:aws:iam::{HUB}:role/Approver",
}


def deploy(scene: Scene, **given: str) -> None:
    """Update the hub's and the access monitor's stack with these parameters."""
    monitored(scene, **{name: value for name, value in {**PARAMETERS, **given}.items() if value})


@pytest.fixture
def closed(scene: Scene) -> Scene:
    """A hub that names its operators and approvers."""
    deploy(scene)
    return scene


def ways_to_write(client: Any, table: str, pk: str) -> dict[str, Callable[[], Any]]:
    """Each call that writes an item, or deletes it."""
    one = item(pk, "x")
    sql = f"VALUE {{'pk': '{pk}', 'sk': 'x'}}"
    return {
        **writes(client, table, one),
        "batch of deletes": lambda: client.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": one}}]}),
        "statement": lambda: client.execute_statement(Statement=f'INSERT INTO "{table}" {sql}'),
    }


def test_an_administrator_writes_no_table_and_reads_each(closed: Scene) -> None:
    """Nor does the account's root user, by any call."""
    clients = closed.person("Administrator", "dynamodb"), closed.client("dynamodb")
    for client, table in itertools.product(clients, TABLES):
        for call in ways_to_write(client, table, "targets").values():
            refused(call)
        client.get_item(TableName=table, Key=item("targets", "x"))
        client.scan(TableName=table)


def test_operators_write_all_but_approvals_members_and_findings(closed: Scene) -> None:
    """By each call but PartiQL, which is not known to name partitions."""
    client = closed.person("OperatorOnCall", "dynamodb")
    for table, pk in ((TABLE, "promotion#x"), (CONFIG, "targets"), (CONFIG, "switches")):
        for way, call in ways_to_write(client, table, pk).items():
            if way == "statement":
                refused(call)
            else:
                call()
    for table, pk in ((CONFIG, "approvals#AROA:jane"), (MEMBERS, "members"), (FINDINGS, "finding#x")):
        for call in ways_to_write(client, table, pk).values():
            refused(call)


def test_an_approver_writes_its_own_approvals_and_nothing_else(closed: Scene) -> None:
    """Even where IAM allows it everything, and also where a pattern of operators names it, too.

    Without approvers nobody approves: not even an operator, or the approver of before.
    """
    for given in ({}, {"Operators": f"arn:aws:iam::{HUB}:role/*"}):
        deploy(closed, **given)
        client = closed.person("Approver", "dynamodb")
        own = f"{addresses.APPROVALS}#{closed.world.iam.roles.get(f'arn:aws:iam::{HUB}:role/Approver').id}:person"
        for way, call in ways_to_write(client, CONFIG, own).items():
            if way != "statement":
                call()
        for pk in ("targets", "switches", f"{addresses.APPROVALS}#AROA:jane"):
            for call in ways_to_write(client, CONFIG, pk).values():
                refused(call)
        mixed = [{"PutRequest": {"Item": item(pk, "x")}} for pk in (own, "targets")]
        refused(client.batch_write_item, RequestItems={CONFIG: mixed})
    deploy(closed, Approvers="")
    for role in ("Approver", "OperatorOnCall"):
        for call in ways_to_write(closed.person(role, "dynamodb"), CONFIG, "approvals#AROA:jane").values():
            refused(call)


def test_the_service_works_and_an_administrator_keeps_the_tables_themselves(closed: Scene) -> None:
    """A promotion is delivered; backup, restore, settings and leaving are as before; TTL deletes as a service."""
    operator = closed.person("OperatorOnCall", "dynamodb")
    for one in closed.client("dynamodb").scan(TableName=CONFIG)["Items"]:
        operator.put_item(TableName=CONFIG, Item=one)
    closed.promote("dev")
    assert closed.states() == {DEV: "delivered", TEST: "delivered"}
    for function, pk in (("discover", "members"), ("worker", "applied")):
        stolen.client(closed, function, "dynamodb").put_item(TableName=MEMBERS, Item=item(pk, "x"))
    administrator = closed.person("Administrator", "dynamodb")
    for table in TABLES:
        arn = f"arn:aws:dynamodb:{REGION}:{HUB}:table/{table}"
        administrator.create_backup(TableName=table, BackupName="before")
        before = administrator.scan(TableName=table)["Items"]
        administrator.restore_table_to_point_in_time(
            SourceTableName=table, TargetTableName=f"{table}-restored", UseLatestRestorableTime=True
        )
        assert administrator.scan(TableName=f"{table}-restored")["Items"] == before
        document = json.loads(administrator.get_resource_policy(ResourceArn=arn)["Policy"])
        ask = Ask("dynamodb:DeleteItem", arn, {"aws:principalisawsservice": "true"})
        assert policy.resource(document, ask, Who(service="dynamodb.amazonaws.com"))[0] is PolicyVerdict.SILENT
        administrator.update_table(TableName=table, DeletionProtectionEnabled=False)
        administrator.delete_table(TableName=table)


def test_only_operators_and_the_rules_send_events_to_the_access_monitor(closed: Scene) -> None:
    """Nobody else teaches it what never happened; an operator still redrives dead letters into its queue.

    Nobody takes from it the event of what he did: for ten minutes it waits in the queue, where an administrator can
    neither purge, nor receive, nor delete it.
    """
    queue = monitors_queue(closed)
    administrator = closed.person("Administrator", "sqs")
    refused(administrator.send_message, QueueUrl=queue, MessageBody="{}")
    closed.person("OperatorOnCall", "sqs").send_message(QueueUrl=queue, MessageBody="{}")
    share(closed, DEV)
    closed.wait(60)
    refused(administrator.purge_queue, QueueUrl=queue)
    refused(administrator.receive_message, QueueUrl=queue)
    refused(administrator.delete_message, QueueUrl=queue, ReceiptHandle="x")
    administrator.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    stolen.client(closed, "access-monitor", "sqs").receive_message(QueueUrl=queue)  # as Lambda does for the function
    assert verdicts(closed.after(LATE)) == [("notice", "foreign-listed")]


def monitors_queue(scene: Scene) -> str:
    """The address of the queue of CloudTrail's events."""
    return str(scene.client("sqs").get_queue_url(QueueName=f"ami-promoter-{REGION}-access-monitor")["QueueUrl"])


def test_doctor_says_whether_the_tables_name_their_writers(scene: Scene) -> None:
    """It warns of the default; with the parameter it says how many may write."""
    ((passed, what, cure),) = hub_checks(scene, "writers")
    assert (passed, "anybody" in what, "Operators" in cure) == (True, True, True)
    deploy(scene)
    ((passed, what, cure),) = hub_checks(scene, "writers")
    assert (passed, cure) == (True, "")
