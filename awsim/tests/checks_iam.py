"""Checks of IAM's evaluation, and of the gateway that calls it."""

import json
from datetime import timedelta

from awsim import wire
from awsim.api import AwsError
from awsim.world import World
from iam_words import (
    DEV,
    HERE,
    OPS,
    allow,
    allowed,
    as_role,
    attach_control_policy,
    document,
    new_key,
    put_role,
    session,
)
from platform_words import refused

TABLE = f"arn:aws:dynamodb:{HERE}:{OPS}:table/records"
SNAPSHOTS = f"arn:aws:ec2:{HERE}::snapshot/*"


def _read(table: str = "records") -> dict[str, object]:
    return {"TableName": table, "Key": {"pk": {"S": "x"}}}


def _a_table(world: World) -> None:
    world.client("dynamodb", OPS).create_table(
        TableName="records",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _a_snapshot(world: World, **tags: str) -> str:
    """Make a snapshot that no image uses."""
    ec2 = world.client("ec2", OPS)
    image = world.ec2.seed_image(OPS, HERE, name=f"image-{len(world.calls)}")
    source = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    snapshot = str(ec2.copy_snapshot(SourceRegion=HERE, SourceSnapshotId=source)["SnapshotId"])
    world.kernel.run(limit=timedelta(hours=4))
    if tags:
        ec2.create_tags(Resources=[snapshot], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return snapshot


def iam_nothing_without_allow(world: World) -> None:
    _a_table(world)
    worker = as_role(world, "dynamodb", allow("dynamodb:getitem", TABLE))

    allowed(worker.get_item, **_read())
    allowed(world.client("dynamodb", OPS).delete_item, **_read())
    refused("AccessDeniedException", worker.delete_item, **_read(), saying="no identity-based policy allows")
    refused("AccessDeniedException", worker.get_item, **_read("others"), saying="table/others")


def iam_explicit_deny_wins(world: World) -> None:
    _a_table(world)
    worker = as_role(world, "dynamodb", allow("dynamodb:*"), allow("dynamodb:DeleteItem", TABLE, Effect="Deny"))

    allowed(worker.get_item, **_read())
    refused("AccessDeniedException", worker.delete_item, **_read(), saying="explicit deny")


def iam_conditions_must_hold(world: World) -> None:
    only_ours = {"StringEquals": {"events:source": "ours"}}
    worker = as_role(world, "events", allow("events:PutEvents", Condition=only_ours))
    event = {"DetailType": "x", "Detail": "{}"}

    allowed(worker.put_events, Entries=[{**event, "Source": "ours"}])
    refused("AccessDeniedException", worker.put_events, Entries=[{**event, "Source": "another"}])


def iam_session_policy_limits(world: World) -> None:
    _a_table(world)
    role = put_role(world, "worker", allow(["dynamodb:GetItem", "dynamodb:DeleteItem"], TABLE))
    worker = session(world, "dynamodb", role, [document(allow(["dynamodb:GetItem", "dynamodb:PutItem"]))])

    allowed(worker.get_item, **_read())
    refused("AccessDeniedException", worker.delete_item, **_read(), saying="no session policy allows")
    refused("AccessDeniedException", worker.put_item, TableName="records", Item={"pk": {"S": "x"}})


def iam_permissions_boundary_limits(world: World) -> None:
    _a_table(world)
    limit = "arn:aws:iam::" + OPS + ":policy/limit"
    world.iam.roles.managed[limit] = document(allow(["dynamodb:GetItem", "dynamodb:PutItem"]))
    trust = document({"Effect": "Allow", "Principal": {"AWS": OPS}, "Action": "sts:AssumeRole"})
    policies = {"inline": document(allow(["dynamodb:GetItem", "dynamodb:DeleteItem"], TABLE))}
    worker = session(world, "dynamodb", world.iam.put_role(OPS, "worker", trust, policies, boundary=limit).arn)

    allowed(worker.get_item, **_read())
    refused("AccessDeniedException", worker.delete_item, **_read())
    refused("AccessDeniedException", worker.put_item, TableName="records", Item={"pk": {"S": "x"}})


def iam_service_control_policy_denies(world: World) -> None:
    key = new_key(world)
    kms, ec2 = as_role(world, "kms", allow("kms:*")), as_role(world, "ec2", allow("ec2:*"))
    linked = session(world, "ec2", world.iam.put_service_linked_role(OPS).arn)
    attach_control_policy(world, OPS, document(allow(["kms:*", "ec2:DescribeImages"], Effect="Deny")))
    says = "with an explicit deny in a service control policy"

    refused("AccessDeniedException", kms.describe_key, KeyId=key, saying=says)
    refused("UnauthorizedOperation", ec2.describe_images, saying=says)
    refused("UnauthorizedOperation", world.client("ec2", OPS).describe_images, saying=says)
    allowed(linked.describe_images)
    allowed(ec2.describe_snapshots)
    allowed(world.client("ec2", DEV).describe_images)


def iam_resource_control_policy_denies(world: World) -> None:
    key, theirs = new_key(world), new_key(world, DEV)
    kms = as_role(world, "kms", allow("kms:*"))
    attach_control_policy(world, OPS, document(allow("kms:*", Effect="Deny")), "resource")

    refused(
        "AccessDeniedException",
        kms.describe_key,
        KeyId=key,
        saying="with an explicit deny in a resource control policy",
    )
    allowed(world.client("kms", DEV).describe_key, KeyId=theirs)


def iam_cross_account_needs_both_sides(world: World) -> None:
    owner = world.client("sqs", DEV)
    url = owner.create_queue(QueueName="theirs")["QueueUrl"]
    arn = f"arn:aws:sqs:{HERE}:{DEV}:theirs"
    worker = as_role(world, "sqs", allow("sqs:SendMessage", arn))
    idle = session(world, "sqs", put_role(world, "idle"))

    refused(
        "AccessDenied", worker.send_message, QueueUrl=url, MessageBody="x", saying="no resource-based policy allows"
    )
    opened = {"Effect": "Allow", "Principal": {"AWS": OPS}, "Action": "sqs:SendMessage", "Resource": arn}
    owner.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(document(opened))})
    refused("AccessDenied", idle.send_message, QueueUrl=url, MessageBody="x", saying="no identity-based policy allows")
    allowed(worker.send_message, QueueUrl=url, MessageBody="x")


def iam_unknown_call_refused(world: World) -> None:
    worker = as_role(world, "dynamodb", allow("*"))

    allowed(world.client("dynamodb", OPS).list_tables)
    refused("AccessDeniedException", worker.list_tables, saying="does not know what this call needs")


def ec2_tag_on_create_needs_create_tags(world: World) -> None:
    snapshot = _a_snapshot(world)
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "team:job", "Value": OPS}]}]
    copy = {"SourceRegion": HERE, "SourceSnapshotId": snapshot}
    copying = allow("ec2:CopySnapshot", SNAPSHOTS)
    wanted = {"ec2:CreateAction": "CopySnapshot", "aws:RequestTag/team:job": OPS}
    tagging = allow("ec2:CreateTags", SNAPSHOTS, Condition={"StringEquals": wanted})

    refused("UnauthorizedOperation", as_role(world, "ec2", copying).copy_snapshot, **copy, TagSpecifications=tags)
    worker = as_role(world, "ec2", copying, tagging)
    allowed(worker.copy_snapshot, **copy, TagSpecifications=tags)
    tags[0]["Tags"] = [{"Key": "team:job", "Value": DEV}]
    refused("UnauthorizedOperation", worker.copy_snapshot, **copy, TagSpecifications=tags, saying="ec2:CreateTags")
    refused("UnauthorizedOperation", worker.create_tags, Resources=[snapshot], Tags=tags[0]["Tags"])


def ec2_copy_snapshot_authorised_on_source(world: World) -> None:
    mine, other = _a_snapshot(world), _a_snapshot(world)
    new = "arn:aws:ec2:*::snapshot/${*}"
    worker = as_role(world, "ec2", allow("ec2:CopySnapshot", [new, f"arn:aws:ec2:{HERE}::snapshot/{mine}"]))

    allowed(worker.copy_snapshot, SourceRegion=HERE, SourceSnapshotId=mine)
    refused("UnauthorizedOperation", worker.copy_snapshot, SourceRegion=HERE, SourceSnapshotId=other, saying=other)


def ec2_copy_image_authorised_on_all(world: World) -> None:
    ec2, mine = world.client("ec2", OPS), world.ec2.seed_image(OPS, HERE, name="mine")
    other = world.ec2.seed_image(OPS, HERE, name="other")
    snapshot = ec2.describe_images(ImageIds=[mine])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    new = [f"arn:aws:ec2:{HERE}::image/${{*}}", f"arn:aws:ec2:{HERE}::snapshot/${{*}}"]
    source = [f"arn:aws:ec2:{HERE}::image/{mine}", f"arn:aws:ec2:{HERE}::snapshot/{snapshot}"]
    copying = allow("ec2:CopyImage", [*new, *source])
    tagging = allow("ec2:CreateTags", new, Condition={"StringEquals": {"ec2:CreateAction": "CopyImage"}})
    tags = [{"ResourceType": kind, "Tags": [{"Key": "k", "Value": "v"}]} for kind in ("image", "snapshot")]
    asked = {"SourceRegion": HERE, "SourceImageId": mine, "TagSpecifications": tags}

    for resource in (*new, *source):
        part = allow("ec2:CopyImage", [arn for arn in (*new, *source) if arn != resource])
        worker = as_role(world, "ec2", part, tagging)
        refused("UnauthorizedOperation", worker.copy_image, **asked, Name="refused")
    refused(
        "UnauthorizedOperation", as_role(world, "ec2", copying).copy_image, **asked, Name="refused", saying="CreateTags"
    )
    worker = as_role(world, "ec2", copying, tagging)
    allowed(worker.copy_image, **asked, Name="allowed")
    refused(
        "UnauthorizedOperation", worker.copy_image, **asked | {"SourceImageId": other}, Name="refused", saying=other
    )


def iam_service_linked_role_protected(world: World) -> None:
    world.iam.put_service_linked_role(OPS)
    client, name = world.client("iam", OPS), "AWSServiceRoleForAutoScaling"
    arn = f"arn:aws:iam::{OPS}:role/aws-service-role/autoscaling.amazonaws.com/{name}"

    assert client.get_role(RoleName=name)["Role"]["Arn"] == arn
    refused("AccessDenied", world.client("sts", OPS).assume_role, RoleArn=arn, RoleSessionName="me")
    anything = json.dumps(document(allow("kms:*")))
    refused("UnmodifiableEntity", client.put_role_policy, RoleName=name, PolicyName="mine", PolicyDocument=anything)
    refused("UnmodifiableEntity", client.delete_role, RoleName=name, saying="only modifiable by AWS")


def iam_service_linked_role_once(world: World) -> None:
    linked = f"arn:aws:iam::{OPS}:role/aws-service-role/autoscaling.amazonaws.com/*"
    worker = as_role(world, "iam", allow("iam:CreateServiceLinkedRole", linked), allow("iam:GetRole"))
    service = "autoscaling.amazonaws.com"

    refused("NoSuchEntity", worker.get_role, RoleName="AWSServiceRoleForAutoScaling")
    allowed(worker.create_service_linked_role, AWSServiceName=service)
    allowed(worker.get_role, RoleName="AWSServiceRoleForAutoScaling")
    refused("InvalidInput", worker.create_service_linked_role, AWSServiceName=service, saying="has been taken")
    more = allowed(worker.create_service_linked_role, AWSServiceName=service, CustomSuffix="blue")
    assert more["Role"]["RoleName"] == "AWSServiceRoleForAutoScaling_blue"
    refused("AccessDenied", worker.create_service_linked_role, AWSServiceName="spot.amazonaws.com")
    root = world.client("iam", OPS)
    refused("InvalidInput", root.create_service_linked_role, AWSServiceName="spot.amazonaws.com", CustomSuffix="x")


def ec2_register_image_authorised_on_snapshots(world: World) -> None:
    ours, other = _a_snapshot(world, team=OPS), _a_snapshot(world)
    worker = as_role(
        world,
        "ec2",
        allow("ec2:RegisterImage", f"arn:aws:ec2:{HERE}::image/*"),
        allow("ec2:RegisterImage", SNAPSHOTS, Condition={"StringEquals": {"ec2:ResourceTag/team": OPS}}),
    )

    def register(name: str, snapshot: str) -> object:
        mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}
        return worker.register_image(
            Name=name,
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[mapping],
            VirtualizationType="hvm",
            Architecture="x86_64",
        )

    allowed(register, "ours", ours)
    refused("UnauthorizedOperation", register, "other", other, saying=other)


def ec2_resource_tag_conditions(world: World) -> None:
    ours, other = _a_snapshot(world, team=OPS), _a_snapshot(world, team=DEV)
    ours_only = {"StringEquals": {"aws:ResourceTag/team": OPS}}
    worker = as_role(world, "ec2", allow("ec2:DeleteSnapshot", Condition=ours_only))

    refused("UnauthorizedOperation", worker.delete_snapshot, SnapshotId=other, saying=other)
    allowed(worker.delete_snapshot, SnapshotId=ours)


def expired_credentials_refused(world: World) -> None:
    role = put_role(world, "worker", allow("*"))
    _, key, _, token = world.accounts.issue(role, "short", expires=world.now + timedelta(minutes=15))

    def calls() -> dict[str, object]:
        clients = {name: wire.client(name, HERE, key, token) for name in ("sts", "kms", "ec2")}
        return {
            "ExpiredToken": clients["sts"].get_caller_identity,
            "ExpiredTokenException": clients["kms"].list_keys,
            "RequestExpired": clients["ec2"].describe_images,
        }

    for call in calls().values():
        allowed(call)
    world.kernel.run(limit=timedelta(minutes=15))
    for code, call in calls().items():
        refused(code, call)


def iam_inline_policies_10240(world: World) -> None:
    client = world.client("iam", OPS)
    put_role(world, "worker")
    size = len("".join(json.dumps(document(allow("ec2:*", [""]))).split()))

    def put(name: str, length: int) -> None:
        text = json.dumps(document(allow("ec2:*", ["x" * (length - size)])), indent=4)
        client.put_role_policy(RoleName="worker", PolicyName=name, PolicyDocument=text)

    refused("LimitExceeded", put, "one", 10_241, saying="for role worker")
    allowed(put, "one", 10_240)
    refused("LimitExceeded", put, "another", size, saying="for role worker")


def dynamodb_leading_keys(world: World) -> None:
    _a_table(world)
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}}
    client = as_role(world, "dynamodb", allow("dynamodb:*", TABLE, Condition=own))
    mine, theirs = ({"pk": {"S": key}} for key in ("mine", "theirs"))

    allowed(client.put_item, TableName="records", Item=mine)
    allowed(client.get_item, TableName="records", Key=mine)
    by_key = {"KeyConditionExpression": "#k = :k", "ExpressionAttributeNames": {"#k": "pk"}}
    allowed(client.query, TableName="records", **by_key, ExpressionAttributeValues={":k": mine["pk"]})
    code = "AccessDeniedException"
    refused(code, client.query, TableName="records", **by_key, ExpressionAttributeValues={":k": theirs["pk"]})
    refused(code, client.put_item, TableName="records", Item=theirs)
    refused(code, client.delete_item, TableName="records", Key=theirs)
    refused(code, client.batch_get_item, RequestItems={"records": {"Keys": [mine, theirs]}})
    refused(code, client.batch_write_item, RequestItems={"records": [{"PutRequest": {"Item": theirs}}]})
    refused(code, client.transact_write_items, TransactItems=[{"Put": {"TableName": "records", "Item": theirs}}])


def iam_managed_policy_6144(world: World) -> None:
    arn = put_role(world, "worker")
    size = len("".join(json.dumps(document(allow("ec2:*", [""]))).split()))

    def attach(length: int) -> None:
        world.iam.roles.attach(arn, "list", document(allow("ec2:*", ["x" * (length - size)])))

    said = ""
    try:
        attach(6145)
    except AwsError as error:
        said = error.code
    assert said == "LimitExceeded"
    attach(6144)
    text = json.dumps(document(allow("ec2:*", ["x" * (10_240 - size)])))
    allowed(world.client("iam", OPS).put_role_policy, RoleName="worker", PolicyName="one", PolicyDocument=text)


def ec2_modify_image_attribute_names_attribute(world: World) -> None:
    image = world.ec2.seed_image(OPS, HERE, name="base", volumes=(8,))
    (shown,) = world.client("ec2", OPS).describe_images(ImageIds=[image])["Images"]
    snapshot = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    only = {"StringEqualsIgnoreCase": {"ec2:Attribute": ["launchPermission", "createVolumePermission"]}}
    ec2 = session(world, "ec2", put_role(world, "sharer", allow("ec2:Modify*", Condition=only)))

    allowed(ec2.modify_image_attribute, ImageId=image, LaunchPermission={"Add": [{"UserId": DEV}]})
    code = "UnauthorizedOperation"
    refused(code, ec2.modify_image_attribute, ImageId=image, Description={"Value": "evil"})
    refused(code, ec2.modify_image_attribute, ImageId=image, Attribute="description", Value="evil")
    change = {"Attribute": "createVolumePermission", "OperationType": "add", "UserIds": [DEV]}
    refused(code, ec2.modify_snapshot_attribute, SnapshotId=snapshot, **change)


def ec2_new_image_has_its_makers_account(world: World) -> None:
    snapshot = _a_snapshot(world)
    mine = {"StringEquals": {"ec2:Owner": OPS}}
    ec2 = session(world, "ec2", put_role(world, "maker", allow("ec2:RegisterImage", Condition=mine)))
    theirs = {"StringNotEquals": {"ec2:Owner": OPS}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": theirs}
    guarded = session(world, "ec2", put_role(world, "guarded", allow("ec2:RegisterImage"), deny))
    asked = {"RootDeviceName": "/dev/xvda", "Architecture": "x86_64", "VirtualizationType": "hvm"}
    volumes = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]

    allowed(ec2.register_image, Name="mine", BlockDeviceMappings=volumes, **asked)
    allowed(guarded.register_image, Name="guarded", BlockDeviceMappings=volumes, **asked)


def ec2_older_sharing_parameters_fill_keys(world: World) -> None:
    snapshot = _a_snapshot(world)
    elsewhere = {"ForAnyValue:StringNotEquals": {"ec2:Add/userId": [DEV]}}
    deny = {"Effect": "Deny", "Action": "ec2:ModifySnapshotAttribute", "Resource": "*", "Condition": elsewhere}
    ec2 = session(world, "ec2", put_role(world, "sharer", allow("ec2:Modify*"), deny))

    code, stranger = "UnauthorizedOperation", "999999999999"
    named = {"CreateVolumePermission": {"Add": [{"UserId": DEV}, {"UserId": stranger}]}}
    refused(code, ec2.modify_snapshot_attribute, SnapshotId=snapshot, **named)
    older = {"Attribute": "createVolumePermission", "OperationType": "add", "UserIds": [DEV, stranger]}
    refused(code, ec2.modify_snapshot_attribute, SnapshotId=snapshot, **older)
    allowed(ec2.modify_snapshot_attribute, SnapshotId=snapshot, **older | {"UserIds": [DEV]})
    allowed(ec2.modify_snapshot_attribute, SnapshotId=snapshot, **older | {"OperationType": "remove"})


def ec2_dry_run(world: World) -> None:
    snapshot = _a_snapshot(world)
    worker = as_role(world, "ec2", allow(["ec2:DeleteSnapshot", "ec2:CopySnapshot"]))
    idle = session(world, "ec2", put_role(world, "idle"))
    copy = {"SourceRegion": HERE, "SourceSnapshotId": snapshot, "Encrypted": True, "KmsKeyId": new_key(world, DEV)}

    refused("DryRunOperation", worker.delete_snapshot, SnapshotId=snapshot, DryRun=True)
    refused("DryRunOperation", worker.copy_snapshot, **copy, DryRun=True)
    refused("UnauthorizedOperation", idle.delete_snapshot, SnapshotId=snapshot, DryRun=True)
    assert world.client("ec2", OPS).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]


def dynamodb_resource_policy(world: World) -> None:
    _a_table(world)
    own = world.client("dynamodb", OPS)
    denied = {**allow("dynamodb:PutItem", TABLE, Effect="Deny"), "Principal": "*"}
    own.put_resource_policy(ResourceArn=TABLE, Policy=json.dumps(document(denied)))
    worker = as_role(world, "dynamodb", allow("dynamodb:*"))

    for client in (worker, own):
        allowed(client.get_item, **_read())
        refused(
            "AccessDeniedException", client.put_item, TableName="records", Item={"pk": {"S": "x"}}, saying="resource"
        )
        put = {"PutRequest": {"Item": {"pk": {"S": "x"}}}}
        allowed(client.batch_write_item, RequestItems={"records": [put]})
    own.delete_resource_policy(ResourceArn=TABLE)
    allowed(worker.put_item, TableName="records", Item={"pk": {"S": "x"}})


def dynamodb_partiql_has_actions_of_its_own(world: World) -> None:
    _a_table(world)
    reader = as_role(world, "dynamodb", allow("dynamodb:GetItem", TABLE))
    statements = {
        "PartiQLInsert": "INSERT INTO records VALUE {'pk': 'x'}",
        "PartiQLUpdate": "UPDATE \"records\" SET a = 'b' WHERE pk = 'x'",
        "PartiQLDelete": "DELETE FROM records WHERE pk = 'x'",
    }
    for action, statement in statements.items():
        refused(
            "AccessDeniedException",
            reader.execute_statement,
            Statement=statement,
            saying=f"{action} on resource: {TABLE}",
        )
