"""Checks of IAM's evaluation, and of the gateway that calls it."""

import json
from datetime import timedelta

from awsim import gateway, wire
from awsim.api import AwsError
from awsim.iam import authorisation, ec2_needs, needs, roles, service, service_linked
from awsim.world import World
from tests.awsim.iam_words import (
    DEV,
    HERE,
    HUB,
    allow,
    allowed,
    as_role,
    attach_control_policy,
    document,
    new_key,
    put_role,
    session,
)
from tests.awsim.platform_words import refused

TABLE = f"arn:aws:dynamodb:{HERE}:{HUB}:table/records"
SNAPSHOTS = f"arn:aws:ec2:{HERE}::snapshot/*"


def _read(table: str = "records") -> dict[str, object]:
    return {"TableName": table, "Key": {"pk": {"S": "x"}}}


def _a_table(world: World) -> None:
    world.client("dynamodb", HUB).create_table(
        TableName="records",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _a_snapshot(world: World, **tags: str) -> str:
    """Make a snapshot that no image uses."""
    ec2 = world.client("ec2", HUB)
    image = world.ec2.seed_image(HUB, HERE, name=f"image-{len(world.calls)}")
    source = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    snapshot = str(ec2.copy_snapshot(SourceRegion=HERE, SourceSnapshotId=source)["SnapshotId"])
    world.kernel.run(limit=timedelta(hours=4))
    if tags:
        ec2.create_tags(Resources=[snapshot], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return snapshot


def nothing_without_allow(world: World) -> None:
    """A role may do only what its policy allows on the named resource; root may do everything."""
    _a_table(world)
    worker = as_role(world, "dynamodb", allow("dynamodb:getitem", TABLE))

    allowed(lambda: worker.get_item(**_read()))
    allowed(lambda: world.client("dynamodb", HUB).delete_item(**_read()))
    refused("AccessDeniedException", lambda: worker.delete_item(**_read()), "no identity-based policy allows")
    refused("AccessDeniedException", lambda: worker.get_item(**_read("others")), "table/others")


def deny_wins(world: World) -> None:
    """A Deny overrides an Allow."""
    _a_table(world)
    worker = as_role(world, "dynamodb", allow("dynamodb:*"), allow("dynamodb:DeleteItem", TABLE, Effect="Deny"))

    allowed(lambda: worker.get_item(**_read()))
    refused("AccessDeniedException", lambda: worker.delete_item(**_read()), "explicit deny")


def conditions_hold(world: World) -> None:
    """An Allow with an unmet condition has no effect."""
    only_ours = {"StringEquals": {"events:source": "ami-promoter"}}
    worker = as_role(world, "events", allow("events:PutEvents", Condition=only_ours))
    event = {"DetailType": "x", "Detail": "{}"}

    allowed(lambda: worker.put_events(Entries=[{**event, "Source": "ami-promoter"}]))
    refused("AccessDeniedException", lambda: worker.put_events(Entries=[{**event, "Source": "another"}]))


def session_limits(world: World) -> None:
    """A session policy restricts, and grants nothing."""
    _a_table(world)
    role = put_role(world, "worker", allow(["dynamodb:GetItem", "dynamodb:DeleteItem"], TABLE))
    worker = session(world, "dynamodb", role, [document(allow(["dynamodb:GetItem", "dynamodb:PutItem"]))])

    allowed(lambda: worker.get_item(**_read()))
    refused("AccessDeniedException", lambda: worker.delete_item(**_read()), "no session policy allows")
    refused("AccessDeniedException", lambda: worker.put_item(TableName="records", Item={"pk": {"S": "x"}}))


def boundary_limits(world: World) -> None:
    """A permissions boundary restricts, and grants nothing."""
    _a_table(world)
    limit = "arn:aws:iam::" + HUB + ":policy/limit"
    world.iam.roles.managed[limit] = document(allow(["dynamodb:GetItem", "dynamodb:PutItem"]))
    trust = document({"Effect": "Allow", "Principal": {"AWS": HUB}, "Action": "sts:AssumeRole"})
    policies = {"inline": document(allow(["dynamodb:GetItem", "dynamodb:DeleteItem"], TABLE))}
    worker = session(world, "dynamodb", world.iam.put_role(HUB, "worker", trust, policies, boundary=limit).arn)

    allowed(lambda: worker.get_item(**_read()))
    refused("AccessDeniedException", lambda: worker.delete_item(**_read()))
    refused("AccessDeniedException", lambda: worker.put_item(TableName="records", Item={"pk": {"S": "x"}}))


def service_control(world: World) -> None:
    """It denies roles and root, for EC2 and KMS, with its own message; service-linked roles are exempt."""
    key = new_key(world)
    kms, ec2 = as_role(world, "kms", allow("kms:*")), as_role(world, "ec2", allow("ec2:*"))
    linked = session(world, "ec2", world.iam.put_service_linked_role(HUB).arn)
    attach_control_policy(world, HUB, document(allow(["kms:*", "ec2:DescribeImages"], Effect="Deny")))
    says = "with an explicit deny in a service control policy"

    refused("AccessDeniedException", lambda: kms.describe_key(KeyId=key), says)
    refused("UnauthorizedOperation", ec2.describe_images, says)
    refused("UnauthorizedOperation", world.client("ec2", HUB).describe_images, says)
    allowed(linked.describe_images)
    allowed(ec2.describe_snapshots)
    allowed(world.client("ec2", DEV).describe_images)


def resource_control(world: World) -> None:
    """It denies any caller on the account's keys, with its own message; on other keys the same caller is allowed."""
    key, theirs = new_key(world), new_key(world, DEV)
    kms = as_role(world, "kms", allow("kms:*"))
    attach_control_policy(world, HUB, document(allow("kms:*", Effect="Deny")), "resource")

    refused(
        "AccessDeniedException",
        lambda: kms.describe_key(KeyId=key),
        "with an explicit deny in a resource control policy",
    )
    allowed(lambda: world.client("kms", DEV).describe_key(KeyId=theirs))


def both_sides(world: World) -> None:
    """Another account's queue needs an Allow in its own policy and in the caller's."""
    owner = world.client("sqs", DEV)
    url = owner.create_queue(QueueName="theirs")["QueueUrl"]
    arn = f"arn:aws:sqs:{HERE}:{DEV}:theirs"
    worker = as_role(world, "sqs", allow("sqs:SendMessage", arn))
    idle = session(world, "sqs", put_role(world, "idle"))

    refused(
        "AccessDenied", lambda: worker.send_message(QueueUrl=url, MessageBody="x"), "no resource-based policy allows"
    )
    opened = {"Effect": "Allow", "Principal": {"AWS": HUB}, "Action": "sqs:SendMessage", "Resource": arn}
    owner.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(document(opened))})
    refused("AccessDenied", lambda: idle.send_message(QueueUrl=url, MessageBody="x"), "no identity-based policy allows")
    allowed(lambda: worker.send_message(QueueUrl=url, MessageBody="x"))


def unknown_refused(world: World) -> None:
    """A call that the table of needs does not contain is refused, even to a role that may do everything."""
    worker = as_role(world, "dynamodb", allow("*"))

    allowed(lambda: world.client("dynamodb", HUB).list_tables())
    refused("AccessDeniedException", worker.list_tables, "does not know what this call needs")


def tag_on_create(world: World) -> None:
    """Copying with tags needs CreateTags for this creating call, and for these tags."""
    snapshot = _a_snapshot(world)
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "ami-promoter:hub", "Value": HUB}]}]
    copy = {"SourceRegion": HERE, "SourceSnapshotId": snapshot}
    copying = allow("ec2:CopySnapshot", SNAPSHOTS)
    wanted = {"ec2:CreateAction": "CopySnapshot", "aws:RequestTag/ami-promoter:hub": HUB}
    tagging = allow("ec2:CreateTags", SNAPSHOTS, Condition={"StringEquals": wanted})

    refused(
        "UnauthorizedOperation", lambda: as_role(world, "ec2", copying).copy_snapshot(**copy, TagSpecifications=tags)
    )
    worker = as_role(world, "ec2", copying, tagging)
    allowed(lambda: worker.copy_snapshot(**copy, TagSpecifications=tags))
    tags[0]["Tags"] = [{"Key": "ami-promoter:hub", "Value": DEV}]
    refused("UnauthorizedOperation", lambda: worker.copy_snapshot(**copy, TagSpecifications=tags), "ec2:CreateTags")
    refused("UnauthorizedOperation", lambda: worker.create_tags(Resources=[snapshot], Tags=tags[0]["Tags"]))


def source_too(world: World) -> None:
    """CopySnapshot is authorized on the source as well as on the new snapshot."""
    mine, other = _a_snapshot(world), _a_snapshot(world)
    new = "arn:aws:ec2:*::snapshot/${*}"
    worker = as_role(world, "ec2", allow("ec2:CopySnapshot", [new, f"arn:aws:ec2:{HERE}::snapshot/{mine}"]))

    allowed(lambda: worker.copy_snapshot(SourceRegion=HERE, SourceSnapshotId=mine))
    refused("UnauthorizedOperation", lambda: worker.copy_snapshot(SourceRegion=HERE, SourceSnapshotId=other), other)


def copy_image_on_all(world: World) -> None:
    """CopyImage is authorized on source, new image and the snapshots of both; with tags CreateTags, too."""
    ec2, mine = world.client("ec2", HUB), world.ec2.seed_image(HUB, HERE, name="mine")
    other = world.ec2.seed_image(HUB, HERE, name="other")
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
        refused("UnauthorizedOperation", lambda worker=worker: worker.copy_image(**asked, Name="refused"))
    refused(
        "UnauthorizedOperation",
        lambda: as_role(world, "ec2", copying).copy_image(**asked, Name="refused"),
        "CreateTags",
    )
    worker = as_role(world, "ec2", copying, tagging)
    allowed(lambda: worker.copy_image(**asked, Name="allowed"))
    refused(
        "UnauthorizedOperation", lambda: worker.copy_image(**asked | {"SourceImageId": other}, Name="refused"), other
    )


def linked_role_protected(world: World) -> None:
    """No caller changes or deletes a service-linked role, and only its service assumes it."""
    world.iam.put_service_linked_role(HUB)
    client, name = world.client("iam", HUB), "AWSServiceRoleForAutoScaling"
    arn = f"arn:aws:iam::{HUB}:role/aws-service-role/autoscaling.amazonaws.com/{name}"

    assert client.get_role(RoleName=name)["Role"]["Arn"] == arn
    refused("AccessDenied", lambda: world.client("sts", HUB).assume_role(RoleArn=arn, RoleSessionName="me"))
    anything = json.dumps(document(allow("kms:*")))
    refused(
        "UnmodifiableEntity", lambda: client.put_role_policy(RoleName=name, PolicyName="mine", PolicyDocument=anything)
    )
    refused("UnmodifiableEntity", lambda: client.delete_role(RoleName=name), "only modifiable by AWS")


def linked_role_once(world: World) -> None:
    """A service's second role needs a suffix, if the service allows one; its creation needs a permission."""
    linked = f"arn:aws:iam::{HUB}:role/aws-service-role/autoscaling.amazonaws.com/*"
    worker = as_role(world, "iam", allow("iam:CreateServiceLinkedRole", linked), allow("iam:GetRole"))
    service = "autoscaling.amazonaws.com"

    refused("NoSuchEntity", lambda: worker.get_role(RoleName="AWSServiceRoleForAutoScaling"))
    allowed(lambda: worker.create_service_linked_role(AWSServiceName=service))
    allowed(lambda: worker.get_role(RoleName="AWSServiceRoleForAutoScaling"))
    refused("InvalidInput", lambda: worker.create_service_linked_role(AWSServiceName=service), "has been taken")
    more = allowed(lambda: worker.create_service_linked_role(AWSServiceName=service, CustomSuffix="blue"))
    assert more["Role"]["RoleName"] == "AWSServiceRoleForAutoScaling_blue"
    refused("AccessDenied", lambda: worker.create_service_linked_role(AWSServiceName="spot.amazonaws.com"))
    root = world.client("iam", HUB)
    refused(
        "InvalidInput", lambda: root.create_service_linked_role(AWSServiceName="spot.amazonaws.com", CustomSuffix="x")
    )


def register_snapshots(world: World) -> None:
    """RegisterImage is authorized on the snapshots, too, and conditions on their tags can be met."""
    ours, other = _a_snapshot(world, hub=HUB), _a_snapshot(world)
    worker = as_role(
        world,
        "ec2",
        allow("ec2:RegisterImage", f"arn:aws:ec2:{HERE}::image/*"),
        allow("ec2:RegisterImage", SNAPSHOTS, Condition={"StringEquals": {"ec2:ResourceTag/hub": HUB}}),
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

    allowed(lambda: register("ours", ours))
    refused("UnauthorizedOperation", lambda: register("other", other), other)


def resource_tags(world: World) -> None:
    """A resource without the service's tag cannot be deleted; the present tag of the resource counts."""
    ours, other = _a_snapshot(world, hub=HUB), _a_snapshot(world, hub=DEV)
    ours_only = {"StringEquals": {"aws:ResourceTag/hub": HUB}}
    worker = as_role(world, "ec2", allow("ec2:DeleteSnapshot", Condition=ours_only))

    refused("UnauthorizedOperation", lambda: worker.delete_snapshot(SnapshotId=other), other)
    allowed(lambda: worker.delete_snapshot(SnapshotId=ours))


def expired(world: World) -> None:
    """An expired session is refused, with each protocol's error."""
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


def inline_size(world: World) -> None:
    """A role takes 10,240 characters of inline policies; white space does not count, a second policy does."""
    client = world.client("iam", HUB)
    put_role(world, "worker")
    size = len("".join(json.dumps(document(allow("ec2:*", [""]))).split()))

    def put(name: str, length: int) -> None:
        text = json.dumps(document(allow("ec2:*", ["x" * (length - size)])), indent=4)
        client.put_role_policy(RoleName="worker", PolicyName=name, PolicyDocument=text)

    refused("LimitExceeded", lambda: put("one", 10_241), "for role worker")
    allowed(lambda: put("one", 10_240))
    refused("LimitExceeded", lambda: put("another", size), "for role worker")


def leading_keys(world: World) -> None:
    """A policy can limit a role to some partition keys of a table, for each operation."""
    _a_table(world)
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}}
    client = as_role(world, "dynamodb", allow("dynamodb:*", TABLE, Condition=own))
    mine, theirs = ({"pk": {"S": key}} for key in ("mine", "theirs"))

    allowed(lambda: client.put_item(TableName="records", Item=mine))
    allowed(lambda: client.get_item(TableName="records", Key=mine))
    by_key = {"KeyConditionExpression": "#k = :k", "ExpressionAttributeNames": {"#k": "pk"}}
    allowed(lambda: client.query(TableName="records", **by_key, ExpressionAttributeValues={":k": mine["pk"]}))
    code = "AccessDeniedException"
    refused(code, lambda: client.query(TableName="records", **by_key, ExpressionAttributeValues={":k": theirs["pk"]}))
    refused(code, lambda: client.put_item(TableName="records", Item=theirs))
    refused(code, lambda: client.delete_item(TableName="records", Key=theirs))
    refused(code, lambda: client.batch_get_item(RequestItems={"records": {"Keys": [mine, theirs]}}))
    refused(code, lambda: client.batch_write_item(RequestItems={"records": [{"PutRequest": {"Item": theirs}}]}))
    refused(
        code, lambda: client.transact_write_items(TransactItems=[{"Put": {"TableName": "records", "Item": theirs}}])
    )


def managed_size(world: World) -> None:
    """A managed policy takes 6,144 characters, and does not count against the role's inline policies."""
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
    allowed(lambda: world.client("iam", HUB).put_role_policy(RoleName="worker", PolicyName="one", PolicyDocument=text))


def modify_image_attribute(world: World) -> None:
    """A policy can limit ModifyImageAttribute to one attribute; for snapshots the key is absent."""
    image = world.ec2.seed_image(HUB, HERE, name="golden", volumes=(8,))
    (shown,) = world.client("ec2", HUB).describe_images(ImageIds=[image])["Images"]
    snapshot = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    only = {"StringEqualsIgnoreCase": {"ec2:Attribute": ["launchPermission", "createVolumePermission"]}}
    ec2 = session(world, "ec2", put_role(world, "sharer", allow("ec2:Modify*", Condition=only)))

    allowed(lambda: ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": DEV}]}))
    code = "UnauthorizedOperation"
    refused(code, lambda: ec2.modify_image_attribute(ImageId=image, Description={"Value": "evil"}))
    refused(code, lambda: ec2.modify_image_attribute(ImageId=image, Attribute="description", Value="evil"))
    change = {"Attribute": "createVolumePermission", "OperationType": "add", "UserIds": [DEV]}
    refused(code, lambda: ec2.modify_snapshot_attribute(SnapshotId=snapshot, **change))


def dry_run(world: World) -> None:
    """A dry run says whether the call is allowed, deletes nothing, and does not check keys."""
    snapshot = _a_snapshot(world)
    worker = as_role(world, "ec2", allow(["ec2:DeleteSnapshot", "ec2:CopySnapshot"]))
    idle = session(world, "ec2", put_role(world, "idle"))
    copy = {"SourceRegion": HERE, "SourceSnapshotId": snapshot, "Encrypted": True, "KmsKeyId": new_key(world, DEV)}

    refused("DryRunOperation", lambda: worker.delete_snapshot(SnapshotId=snapshot, DryRun=True))
    refused("DryRunOperation", lambda: worker.copy_snapshot(**copy, DryRun=True))
    refused("UnauthorizedOperation", lambda: idle.delete_snapshot(SnapshotId=snapshot, DryRun=True))
    assert world.client("ec2", HUB).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]


CHECKS = {
    service.IDENTITY.name: nothing_without_allow,
    service.DENY_WINS.name: deny_wins,
    service.CONDITIONS.name: conditions_hold,
    service.SESSION.name: session_limits,
    service.BOUNDARY.name: boundary_limits,
    service.SCP.name: service_control,
    service.RCP.name: resource_control,
    service.BOTH_SIDES.name: both_sides,
    authorisation.CLOSED.name: unknown_refused,
    needs.LEADING.name: leading_keys,
    roles.INLINE_SIZE.name: inline_size,
    roles.MANAGED_SIZE.name: managed_size,
    ec2_needs.ATTRIBUTE.name: modify_image_attribute,
    ec2_needs.TAG_ON_CREATE.name: tag_on_create,
    ec2_needs.SOURCE_TOO.name: source_too,
    ec2_needs.COPY_IMAGE_ON_ALL.name: copy_image_on_all,
    ec2_needs.REGISTER_SNAPSHOTS.name: register_snapshots,
    ec2_needs.RESOURCE_TAGS.name: resource_tags,
    service_linked.PROTECTED.name: linked_role_protected,
    service_linked.ONCE.name: linked_role_once,
    gateway.EXPIRED.name: expired,
    gateway.DRY_RUN.name: dry_run,
}
