"""Which permissions each call needs: its actions, resources and condition keys."""

from typing import Any

import pytest

from awsim import iam
from awsim.api import Call
from awsim.iam import needs
from awsim.world import World
from iam_words import DEV, HERE, OPS, allow, allowed, as_role, document
from platform_words import refused

TAGS = [{"ResourceType": "snapshot", "Tags": [{"Key": "team:job", "Value": OPS}]}]
IMAGE_TAGS = [{**TAGS[0], "ResourceType": "image"}]
QUEUE = {"QueueUrl": f"https://sqs.{HERE}.amazonaws.com/{OPS}/worker.fifo"}
QUEUE_ARN = f"arn:aws:sqs:{HERE}:{OPS}:worker.fifo"
TABLE_ARN = f"arn:aws:dynamodb:{HERE}:{OPS}:table/t"
BUS = f"arn:aws:events:{HERE}:{DEV}:event-bus/inbound"
PARAMETER, DOUBLED = (f"arn:aws:ssm:{HERE}:{OPS}:parameter/{name}" for name in ("ami/x", "/ami/x"))
NEW_SNAPSHOT, NEW_IMAGE = f"arn:aws:ec2:{HERE}::snapshot/*", f"arn:aws:ec2:{HERE}::image/*"

NEEDED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("ec2:DescribeImages", {}, ["*"]),
    ("ec2:GetAllowedImagesSettings", {}, ["*"]),
    ("events:DescribeRule", {"Name": "r"}, [f"arn:aws:events:{HERE}:{OPS}:rule/r"]),
    ("events:ListTargetsByRule", {"Rule": "r", "EventBusName": BUS}, [f"arn:aws:events:{HERE}:{OPS}:rule/inbound/r"]),
    ("events:DescribeEventBus", {"Name": "inbound"}, [f"arn:aws:events:{HERE}:{OPS}:event-bus/inbound"]),
    ("ec2:DescribeSnapshotAttribute", {"SnapshotId": "snap-1"}, [f"arn:aws:ec2:{HERE}::snapshot/snap-1"]),
    ("ec2:DescribeImageAttribute", {"ImageId": "ami-1"}, [f"arn:aws:ec2:{HERE}::image/ami-1"]),
    ("ec2:EnableImageDeprecation", {"ImageId": "ami-1"}, [f"arn:aws:ec2:{HERE}::image/ami-1"]),
    (
        "ec2:CopySnapshot",
        {"SourceSnapshotId": "snap-1", "SourceRegion": "eu-west-1", "TagSpecifications": TAGS},
        ["arn:aws:ec2:eu-west-1::snapshot/snap-1", NEW_SNAPSHOT, f"ec2:CreateTags {NEW_SNAPSHOT}"],
    ),
    (
        "ec2:RegisterImage",
        {
            "TagSpecifications": IMAGE_TAGS,
            "BlockDeviceMappings": [{"Ebs": {"SnapshotId": "snap-1"}}, {"VirtualName": "ephemeral0"}, {"Ebs": {}}],
        },
        [NEW_IMAGE, f"ec2:CreateTags {NEW_IMAGE}", f"arn:aws:ec2:{HERE}::snapshot/snap-1"],
    ),
    (
        "ec2:RunInstances",
        {"ImageId": "ami-1", "SubnetId": "subnet-1"},
        [
            f"arn:aws:ec2:{HERE}::image/ami-1",
            *(f"arn:aws:ec2:{HERE}:{OPS}:{kind}/*" for kind in ("instance", "volume", "network-interface")),
        ],
    ),
    (
        "ec2:CreateLaunchTemplate",
        {"LaunchTemplateName": "web", "LaunchTemplateData": {"ImageId": "resolve:ssm:/ami/x:3"}},
        [f"arn:aws:ec2:{HERE}:{OPS}:launch-template/*", f"ssm:GetParameters {PARAMETER}"],
    ),
    (
        "ec2:CreateTags",
        {"Resources": ["ami-1", "vol-1"], "Tags": []},
        [f"arn:aws:ec2:{HERE}::image/ami-1", f"arn:aws:ec2:{HERE}:{OPS}:volume/vol-1"],
    ),
    ("dynamodb:Query", {"TableName": "t"}, [TABLE_ARN]),
    ("dynamodb:Query", {"TableName": "t", "IndexName": "due"}, [f"{TABLE_ARN}/index/due"]),
    ("dynamodb:GetItem", {"TableName": TABLE_ARN}, [TABLE_ARN]),
    (
        "dynamodb:TransactWriteItems",
        {"TransactItems": [{kind: {"TableName": "t"}} for kind in ("Put", "Update", "Delete", "ConditionCheck")]},
        [f"dynamodb:{kind}Item {TABLE_ARN}" for kind in ("Put", "Update", "Delete", "ConditionCheck")],
    ),
    ("dynamodb:BatchWriteItem", {"RequestItems": {"t": []}}, [TABLE_ARN]),
    ("sqs:SendMessage", QUEUE, [QUEUE_ARN]),
    ("sqs:DeleteMessageBatch", QUEUE, [f"sqs:DeleteMessage {QUEUE_ARN}"]),
    ("sqs:GetQueueUrl", {"QueueName": "worker.fifo"}, [QUEUE_ARN]),
    ("sns:Publish", {"TopicArn": "arn:aws:sns:r:a:t"}, ["arn:aws:sns:r:a:t"]),
    (
        "events:PutEvents",
        {"Entries": [{"Source": "a"}, {"Source": "b", "EventBusName": BUS}]},
        [f"arn:aws:events:{HERE}:{OPS}:event-bus/default", BUS],
    ),
    ("lambda:Invoke", {"FunctionName": "f"}, [f"lambda:InvokeFunction arn:aws:lambda:{HERE}:{OPS}:function:f"]),
    ("ssm:PutParameter", {"Name": "/ami/x"}, [PARAMETER]),
    (
        "ssm:PutParameter",
        {"Name": "/ami/x", "Tags": [{"Key": "k", "Value": "v"}]},
        [PARAMETER, f"ssm:AddTagsToResource {PARAMETER}", f"ssm:AddTagsToResource {DOUBLED}"],
    ),
    ("ssm:GetParameters", {"Names": ["/ami/x:3", "y"]}, [PARAMETER, f"arn:aws:ssm:{HERE}:{OPS}:parameter/y"]),
    ("ssm:DeleteParameter", {"Name": "/ami/x"}, [PARAMETER]),
    ("ssm:RemoveTagsFromResource", {"ResourceId": "/ami/x", "TagKeys": ["k"]}, [PARAMETER, DOUBLED]),
    ("ssm:DescribeParameters", {}, ["*"]),
    (
        "logs:PutLogEvents",
        {"logGroupName": "g", "logStreamName": "s"},
        [f"arn:aws:logs:{HERE}:{OPS}:log-group:g:log-stream:s"],
    ),
    ("cloudwatch:PutMetricData", {"Namespace": "n"}, ["*"]),
    ("cloudtrail:LookupEvents", {}, ["*"]),
    ("organizations:ListRoots", {}, ["*"]),
    ("sts:AssumeRole", {}, []),
    ("kms:CreateGrant", {}, []),
]
"""A call, its parameters, and the resources on which it needs the action of its name, or the action in front."""


def _call(world: World, name: str, params: dict[str, Any]) -> Call:
    service, operation = name.split(":")
    return Call(world.accounts.root(OPS), service, operation, params, HERE, world.now, "id")


@pytest.mark.parametrize(("name", "params", "expected"), NEEDED)
def test_needs_of_a_call(world: World, name: str, params: dict[str, Any], expected: list[str]) -> None:
    """A call needs these actions on these resources, dependent ones included."""
    found = needs.of(world.authorisation.facts, _call(world, name, params))

    assert found is not None
    expected = [one if " " in one else f"{name} {one}" for one in expected]
    assert [f"{need.action} {need.resource}" for need in found] == expected


def test_a_call_that_is_not_in_the_table_is_unknown(world: World) -> None:
    """The table returns None, not "no permission"."""
    assert needs.of(world.authorisation.facts, _call(world, "ec2:StopInstances", {})) is None


def test_sharing_tells_with_whom(world: World) -> None:
    """ModifySnapshotAttribute has the accounts and groups, in either form of its parameters."""
    long = {"SnapshotId": "snap-1", "CreateVolumePermission": {"Add": [{"UserId": DEV}, {"Group": "all"}]}}
    short = {"SnapshotId": "snap-1", "OperationType": "remove", "UserIds": [DEV], "GroupNames": ["all"]}

    added, removed = (
        needs.of(world.authorisation.facts, _call(world, "ec2:ModifySnapshotAttribute", one)) for one in (long, short)
    )
    assert added
    assert removed
    assert added[0].context == {"ec2:add/userid": [DEV], "ec2:add/group": ["all"]}
    assert removed[0].context == {"ec2:remove/userid": [DEV], "ec2:remove/group": ["all"]}


def test_a_policy_can_forbid_to_make_a_snapshot_public(world: World) -> None:
    """StringNotEquals on ec2:Add/group lets a role share with accounts, but not publicly."""
    image = world.ec2.seed_image(OPS, HERE, name="base")
    root = world.client("ec2", OPS)
    snapshot = root.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    never_public = {"StringNotEquals": {"ec2:Add/group": "all"}}
    worker = as_role(
        world, "ec2", allow("ec2:ModifySnapshotAttribute", "arn:aws:ec2:*::snapshot/*", Condition=never_public)
    )

    def share(**with_whom: str) -> object:
        add = {"Add": [with_whom]}
        return worker.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=add)

    refused("UnauthorizedOperation", share, Group="all")
    allowed(share, UserId=DEV)


def test_a_refusal_names_who_what_and_where(world: World) -> None:
    """AWS's message: the session's ARN, the action, the resource, and which kind of policy was missing."""
    worker = as_role(world, "sqs")
    who = f"User: arn:aws:sts::{OPS}:assumed-role/worker/a-session is not authorized to perform: sqs:SendMessage"
    wanted = f"{who} on resource: {QUEUE_ARN} because no identity-based policy allows the sqs:SendMessage action"

    refused("AccessDenied", worker.send_message, **QUEUE, MessageBody="x", saying=wanted)


def test_services_are_let_in_by_resource_policies_only(world: World) -> None:
    """A resource's policy decides about a service, with its conditions."""
    condition = {"ArnEquals": {"aws:SourceArn": "arn:aws:events:*:*:rule/ours"}}
    service = {"Service": "events.amazonaws.com"}
    policy = document(allow("sqs:SendMessage", QUEUE_ARN, Principal=service, Condition=condition))

    def may(service: str, source: str) -> bool:
        return world.iam.service_may(service, policy, "sqs:SendMessage", QUEUE_ARN, {"aws:SourceArn": source})

    assert may("events.amazonaws.com", f"arn:aws:events:{HERE}:{OPS}:rule/ours")
    assert not may("events.amazonaws.com", f"arn:aws:events:{HERE}:{OPS}:rule/other")
    assert not may("sns.amazonaws.com", f"arn:aws:events:{HERE}:{OPS}:rule/ours")
    assert not world.iam.service_may("events.amazonaws.com", None, "sqs:SendMessage", QUEUE_ARN)


def test_own_resource_policies_let_in_a_named_role_within_its_session(world: World) -> None:
    """In one account a resource policy that names a role is enough; a session policy still restricts it."""
    role = world.iam.put_role(OPS, "worker", {"Version": "2012-10-17", "Statement": []})
    policy = document(allow("sqs:*", QUEUE_ARN, Principal={"AWS": role.arn}))
    narrow = document(allow("sqs:ReceiveMessage"))

    def decide(*policies: dict[str, Any]) -> iam.Decision:
        caller, *_ = world.accounts.issue(role.arn, "a-session", policies=policies)
        return world.iam.decide(caller, "sqs:SendMessage", QUEUE_ARN, region=HERE, resource_policy=policy)

    assert decide().allowed
    assert not decide(narrow).allowed
