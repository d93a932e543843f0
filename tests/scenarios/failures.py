"""Trouble for a scenario: refusals for one account, damaged records, and assertions on the unaffected targets."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.injections import THROTTLED
from tests.scenarios.scene import DELIVERY_TAG, DEV, HUB, HUB_TAG, REGION, SNAPSHOT_TAG, TABLE, TEST, Scene, document

COPY = 60
"""Seconds that a copy takes in these scenarios, by ``calm_pace``."""
UNDISTURBED = 150
"""Virtual seconds from a delivery's start to "delivered", with copies of a minute plus or minus a fifth. Three such
took 75 to 86; the rest allows for one lost wake that the sweep repeats.
"""


def calm_pace(scene: Scene) -> None:
    """Let every copy take a minute, of any size."""
    scene.world.ec2.pace.copy, scene.world.ec2.pace.copy_per_gib = COPY, 0


def seconds_taken(scene: Scene, account: str, image: str = "") -> int:
    """How long a delivery took, from its start to "delivered"."""
    record = scene.delivery_record(account, image)
    return int(record["entered"]["delivered"]) - int(record["created_at"])


def assert_untouched(scene: Scene, account: str = TEST, image: str = "") -> None:
    """The healthy target beside the trouble: it has its AMI, with one notice, as soon as without the trouble."""
    assert scene.delivery_state(account, image) == "delivered", scene.describe()
    reported = [n for n in scene.notices("delivery.delivered", image or scene.image) if n["account"] == account]
    assert len(reported) == 1
    assert [i["ImageId"] for i in scene.images_in(account) if reported[0]["image"] == i["ImageId"]]
    taken = seconds_taken(scene, account, image)
    assert taken <= UNDISTURBED, f"{account} was delayed: {taken} s"


def refuse(
    scene: Scene,
    operation: str,
    account: str,
    code: str = "",
    *,
    status: int = 400,
    times: int = 1_000_000,
    seconds: float = 1_000_000,
) -> list[Call]:
    """Refuse an operation (or all of a service, as ``kms:*``) in or for one account; return those that were refused.

    AssumeRole is refused for the account's role, everything else for sessions in the account.
    """
    until = scene.world.now + timedelta(seconds=seconds)
    met: list[Call] = []

    def hook(call: Call) -> None:
        named = operation in (call.operation, f"{call.service}:*")
        concerned = account in (call.caller.account, str(call.params.get("RoleArn")).partition("::")[2][:12])
        by_us = call.caller.function is not None
        if named and concerned and by_us and len(met) < times and scene.world.now < until:
            met.append(call)
            usual, _ = THROTTLED.get(call.service, ("ThrottlingException", 400))
            raise AwsError(code or usual, "refused by this scenario", status)

    scene.world.gateway.before.append(hook)
    return met


def deny(scene: Scene, account: str, *actions: str, role: str = "AmiCopyRole") -> None:
    """Deny actions to a role there by an inline policy, which stands in for a service control policy."""
    denial = document({"Effect": "Deny", "Action": list(actions), "Resource": "*"})
    scene.world.iam.roles.put_policy(f"arn:aws:iam::{account}:role/{role}", "guardrail", denial)


def write(scene: Scene, pk: str, sk: str = "record", *, remove: tuple[str, ...] = (), **attributes: Any) -> None:
    """Write into the table by hand. Values are in DynamoDB's wire form: {"S": "text"}."""
    names = {f"#{n}": name for n, name in enumerate([*attributes, *remove])}
    given = {f":{n}": value for n, value in enumerate(attributes.values())}
    sets = ", ".join(f"#{n} = :{n}" for n in range(len(attributes)))
    gone = ", ".join(f"#{n}" for n in range(len(attributes), len(names)))
    values: Mapping[str, Any] = {"ExpressionAttributeValues": given} if given else {}
    scene.client("dynamodb", HUB).update_item(
        TableName=TABLE,
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression=(f"SET {sets} " if sets else "") + (f"REMOVE {gone}" if gone else ""),
        ExpressionAttributeNames=names,
        **values,
    )


def metric(scene: Scene, name: str) -> float:
    """Sum of a metric over all invocations."""
    entries = (entry for invocation in scene.world.lambda_.invocations for entry in invocation.metrics)
    return sum(float(value) for entry in entries for value in entry.get(name, []))


def copy_of_ours(scene, delivery, hub=HUB):
    """Put a copy of the first snapshot with the service's tags into the target, as an old crash may have left it."""
    tags = {HUB_TAG: hub, DELIVERY_TAG: delivery, SNAPSHOT_TAG: scene.snapshots[0]}
    ec2 = scene.client("ec2", DEV)
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    made = ec2.create_snapshot(
        VolumeId=volume,
        TagSpecifications=[
            {"ResourceType": "snapshot", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )
    return made["SnapshotId"]
