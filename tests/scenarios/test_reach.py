"""Each "no" in the table of what stolen credentials reach (docs/reference/permissions.md), tried in the simulator."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.scenarios.monitoring import monitored
from tests.scenarios.scene import DEV, HUB, REGION, STRANGER, TABLE, TRIGGER, Scene
from tests.scenarios.stolen import CONFIG, COPIES, GRANTS, LAUNCHES, client, entered, item, refused, writes
from tools import permissions
from tools import reach as reaches
from tools.reach import ROWS, YES, reach

EVERY = list(permissions.statements())
FUNCTIONS = (
    *("worker", "share-worker", "sweep", "discover", "on-tag-change", "on-image-state", "on-target-event"),
    *("access-monitor", "drift-audit"),
)

OF_A_DELIVERY = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "delivery#0"}}}

Calls = list[Callable[[], Any]]


def attempts(scene: Scene, function: str, within: str = "") -> Mapping[str, Calls]:
    """Return the calls that would do what a row says, by row; ``within``: as for ``client``."""
    ec2, kms, sns, iam = (client(scene, function, service, within) for service in ("ec2", "kms", "sns", "iam"))
    dynamodb, sqs = client(scene, function, "dynamodb", within), client(scene, function, "sqs", within)
    organizations, events = client(scene, function, "organizations", within), client(scene, function, "events", within)
    snapshot, account = scene.snapshots[0], f"arn:aws:iam::{DEV}:root"
    share = {"Attribute": "createVolumePermission", "OperationType": "add", "UserIds": [DEV]}
    receiver = {"UserIds": [STRANGER], "Attribute": "createVolumePermission", "OperationType": "add"}
    stranger = f"arn:aws:iam::{STRANGER}:root"
    volume = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}]
    put = list(writes(dynamodb, CONFIG, item("forged", "record")).values())
    found = [
        list(writes(dynamodb, TABLE + row.ends, item(row.key, "record")).values())
        for row in ROWS
        if row.ends in ("-members", "-findings")
    ]
    written = [
        [call for name, call in writes(dynamodb, TABLE, item(row.key, "record")).items() if name in _calls(row)]
        for row in ROWS
        if row.ends == reaches.RECORDS and row.what.startswith(("write", "delete"))
    ]
    bus = f"{TABLE}-notices"
    reported = {"Source": "ami-promoter", "DetailType": "x", "Detail": "{}", "EventBusName": bus}
    wakes = {
        queue: partial(
            sqs.send_message,
            QueueUrl=scene.client("sqs").get_queue_url(QueueName=f"{TABLE}-{queue}.fifo")["QueueUrl"],
            MessageBody="{}",
            MessageGroupId="x",
            MessageDeduplicationId="x",
        )
        for queue in ("worker", "share-worker")
    }
    grant = kms_grant(scene)
    calls: list[Calls] = [
        [
            partial(ec2.modify_snapshot_attribute, SnapshotId=snapshot, **receiver),
            partial(ec2.modify_image_attribute, ImageId=scene.image, LaunchPermission={"Add": [{"UserId": STRANGER}]}),
            partial(kms.create_grant, KeyId=scene.key, GranteePrincipal=stranger, Operations=["Decrypt"]),
            *put,
        ],
        [partial(ec2.modify_snapshot_attribute, SnapshotId=snapshot, **share)],
        [partial(ec2.modify_image_attribute, ImageId=scene.image, LaunchPermission={"Add": [{"UserId": DEV}]})],
        [partial(kms.create_grant, KeyId=scene.key, GranteePrincipal=account, Operations=["Decrypt"])],
        [partial(kms.revoke_grant, KeyId=scene.key, GrantId=grant)],
        [partial(kms.put_key_policy, KeyId=scene.key, PolicyName="default", Policy="{}")],
        [partial(decrypt, scene, function)],
        [partial(entered, scene, function, COPIES, "ec2", within=within)],
        [partial(entered, scene, function, GRANTS, "kms", within=within)],
        [partial(entered, scene, function, LAUNCHES, "ec2", within=within)],
        [partial(organizations.describe_account, AccountId=DEV), partial(organizations.list_parents, ChildId=DEV)],
        [partial(organizations.list_accounts_for_parent, ParentId="r-abcd")],
        put,
        *found,
        *written,
        [
            partial(dynamodb.get_item, TableName=TABLE, Key=item("delivery#0", "record")),
            partial(dynamodb.query, TableName=TABLE, **OF_A_DELIVERY),
        ],
        [wakes["worker"]],
        [wakes["share-worker"]],
        [
            partial(sns.publish, TopicArn=scene.stage.hub.outputs["TopicArn"], Message="{}"),
            partial(events.put_events, Entries=[reported]),
        ],
        [partial(sns.publish, TopicArn=f"arn:aws:sns:{REGION}:{HUB}:{TABLE}-security", Message="{}")],
        [ec2.describe_images],
        [
            partial(ec2.create_tags, Resources=[scene.image], Tags=[{"Key": TRIGGER, "Value": STRANGER}]),
            partial(ec2.copy_snapshot, SourceSnapshotId=snapshot, SourceRegion=REGION),
            partial(ec2.copy_image, SourceImageId=scene.image, SourceRegion=REGION, Name="golden"),
            partial(ec2.register_image, Name="golden", RootDeviceName="/dev/sda1", BlockDeviceMappings=volume),
            partial(ec2.deregister_image, ImageId=scene.image),
            partial(ec2.delete_snapshot, SnapshotId=snapshot),
        ],
        [partial(iam.put_role_policy, RoleName=f"{TABLE}-{function}", PolicyName="more", PolicyDocument="{}")],
    ]
    return {row.what: tried for row, tried in zip(ROWS, calls, strict=True)}


def _calls(row: reaches.Reach) -> set[str]:
    transaction = {"TransactWriteItems"} if reaches.PUT in row.actions else set()
    return {action.removeprefix("dynamodb:") for action in row.actions} | transaction


def kms_grant(scene: Scene) -> str:
    """Another principal's grant on the hub's key."""
    made = scene.client("kms").create_grant(
        KeyId=scene.key, GranteePrincipal=f"arn:aws:iam::{STRANGER}:root", Operations=["Decrypt"]
    )
    return str(made["GrantId"])


def decrypt(scene: Scene, function: str) -> None:
    """Let EC2 decrypt with the hub's key for a session of the function's role. Raises ClientError if that is denied."""
    caller, *_ = scene.world.accounts.issue(f"arn:aws:iam::{HUB}:role/{TABLE}-{function}", "thief")
    allowed, why = scene.world.kms.may_use(caller, "kms:Decrypt", scene.key)
    if not allowed:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": why}}, "Decrypt")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_the_table_says_no_to_is_refused(scene, function):
    """Every call that would do it, with the credentials that Lambda gives the function."""
    monitored(scene)
    tried = attempts(scene, function)
    before = scene.world.shares_open()

    for row in ROWS:
        for call in tried[row.what] if reach(row, function, EVERY) != YES else ():
            refused(call)
    assert scene.world.shares_open() == before


@pytest.mark.thorough
def test_another_function_that_is_given_a_role_reaches_nothing_with_it(scene):
    """Who may create functions and pass roles gets nothing by it; the roles' own functions work on.

    Credentials that leave a function still name it, so IAM cannot tell where they are used.
    """
    monitored(scene)
    for function in FUNCTIONS:
        for calls in attempts(scene, function, within="another").values():
            for call in calls:
                refused(call)
    monitored(scene, OwnFunctionOnly="false")
    client(scene, "worker", "dynamodb", within="another").get_item(TableName=TABLE, Key=item("delivery#0", "record"))


def test_the_table_says_yes_where_a_function_has_its_business():
    """The table has both answers; no function tags or makes anything in the hub, uses a key or changes a role."""
    said = {row.what: {it for it in FUNCTIONS if reach(row, it, EVERY) == YES} for row in ROWS}

    assert said["choose a receiver"] == {"share-worker"}
    assert said["share a snapshot of the hub"] == said["assume the grant role of a target"] == {"share-worker"}
    assert said["assume the copy role of a target"] == said["assume the launch role of a target"] == {"worker"}
    assert said["send a notice"] == {"worker"}
    assert said["write a promotion"] == said["write a delivery"] == {"worker", "discover"}
    assert said["delete a delivery"] == said["write look-ups of copies and AMIs"] == {"worker"}
    in_ledger = {"worker", "share-worker", "discover"}
    assert said["write shares into the ledger"] == said["delete shares from the ledger"] == in_ledger
    assert said["write how far the sweep has come"] == {"sweep"}
    assert said["write the members of the OUs"] == said["list the organization"] == {"discover"}
    asks = {"discover", "share-worker", "access-monitor", "drift-audit"}
    assert said["ask the organization about an account"] == asks
    assert said["write of which version of the applied file people were notified"] == {"worker"}
    assert said["write what the access monitor has judged and notified"] == {"access-monitor"}
    assert said["write what the drift audit has notified"] == {"drift-audit"}
    assert (
        said["write findings for `history`"]
        == said["publish on the security topic"]
        == {"access-monitor", "drift-audit"}
    )
    assert [what for what, who in said.items() if not who] == [
        "use a key of the hub",
        "write the applied file, the pause, withdrawals, recalls, rollbacks or approvals",
        "tag, copy, make or delete an image or snapshot of the hub",
        "change a role or a function",
    ]
