"""Session policies: limit a session in a target to one delivery's resources and one kind of work.

STS accepts at most 2,048 characters of session policy, and answers PackedPolicyTooLarge above a smaller packed size
that cannot be computed [aws-facts, STS session policies]. So the policies are short, a copying session is for
five snapshots at most, and each policy has a wider form without lists, which is used after such an answer. A session
can never do more than the role itself.

The session that registers may also look at running copies and at the new AMI: the look that sees the last copy ended is
followed by RegisterImage at once, and a session of its own for each would cost one more AssumeRole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, assert_never

from chalicelib.delivery import instances
from chalicelib.delivery.model import Delivery
from chalicelib.engine.aws.sessions import session_policy
from chalicelib.engine.places import Arn
from chalicelib.targets.applied_file import GRANT_ROLE

Work = Literal[
    "look", "copy", "register", "tidy", "image", "retag", "roles", "check", "recall", "use", "launch", "instance"
]

LIMIT = 2048
SNAPSHOTS_PER_SESSION = 5
KEYS_PER_SESSION = 3

_SETTINGS = ["ec2:GetEbs*", "ec2:Get*BlockPublicAccessState", "ec2:GetAllowedImagesSettings"]
_LOOK = ["ec2:DescribeSnapshots", "ec2:DescribeImage*", "kms:DescribeKey"]


def policy(  # noqa: C901 - one case each
    work: Work, delivery: Delivery, snapshots: Sequence[str] | None = (), partition: str = "aws"
) -> str:
    """Return the session policy for one kind of work on a delivery.

    ``snapshots``: the sources to copy; None for the wider form, which names neither snapshots nor keys.
    """
    statements: list[dict[str, Any]] = [_allow(_LOOK, "*")]
    ec2 = Arn(partition, "ec2", delivery.target.region)
    image, snapshot = f"{ec2}image/*", f"{ec2}snapshot/*"
    tagged = {"StringEquals": {"aws:RequestTag/ami-promoter:delivery": delivery.id}}
    match work:
        case "copy":
            statements += [
                _allow("ec2:CopySnapshot", _sources(snapshots, partition)),
                _allow(["ec2:CopySnapshot", "ec2:CreateTags"], snapshot, tagged),
                _allow(_KEY_USE, _keys(delivery, snapshots, partition), _VIA_EC2),
            ]
        case "register":
            statements += [
                _allow("ec2:RegisterImage", snapshot),
                _allow(["ec2:RegisterImage", "ec2:CreateTags"], image, tagged),
                _allow("ec2:EnableImageDe*", image, _tagged(delivery)),  # deprecation, deregistration protection
            ]
        case "image":
            many = snapshots is None or len(snapshots) > SNAPSHOTS_PER_SESSION  # it takes all at once
            sources = [
                str(Arn(partition, "ec2", "*", "", f"image/{delivery.ami}")),
                *_sources(None if many else snapshots, partition),
            ]
            statements += [
                _allow("ec2:CopyImage", sources),
                _allow(["ec2:CopyImage", "ec2:CreateTags"], [image, snapshot], tagged),
                _allow(_KEY_USE, _keys(delivery, snapshots, partition), _VIA_EC2),
            ]
        case "look":
            statements += [_see_itself(delivery, partition)]
        case "retag":
            statements += [_allow("ec2:CreateTags", snapshot, _tagged(delivery))]
        case "recall":
            recall = ["ec2:EnableImage*", "ec2:DisableImage", "ec2:DisableImageDeprecation"]
            statements += [_allow(recall, image, _tagged(delivery))]
        case "use":
            statements = [_allow(_USE, "*")]
        case "launch":
            statements = _launch(delivery, partition, wider=snapshots is None)
        case "instance":
            statements = _instance(delivery, partition)
        case "roles":
            statements = [_see_roles(delivery, partition)]
        case "check":
            own = delivery.target.region, delivery.target.account
            rules = str(Arn(partition, "events", *own, "rule/*"))
            statements = [
                _allow(["kms:DescribeKey", "kms:GetKeyPolicy"], str(Arn(partition, "kms", *own, "key/*"))),
                _allow(["events:DescribeRule", "events:ListTargetsByRule"], rules),
                _see_roles(delivery, partition),
                _see_itself(delivery, partition),
                _allow(_SETTINGS, "*"),
            ]
        case "tidy":
            removal = ["ec2:DeleteSnapshot", "ec2:DeregisterImage"]
            statements += [_allow(removal, [snapshot, image], _tagged(delivery))]
        case _:
            assert_never(work)
    return session_policy(*statements)


_KEY_USE = ["kms:CreateGrant", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]
"""What a copy needs of the keys."""
_USE = [
    "ec2:DescribeImageReferences",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplate*",
    "ssm:DescribeParameters",
    "ssm:GetParameters",
]
"""What lists who names an AMI; the role allows all but the first only to EC2's own service [aws-facts 8, VERIFIED]."""
_VIA_EC2 = {"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}}


def _launch(delivery: Delivery, partition: str, *, wider: bool) -> list[dict[str, Any]]:
    """Return what runs the one instance of a launch test. The launch role itself says with what."""
    ec2, own = (Arn(partition, "ec2", delivery.target.region, account) for account in ("", delivery.target.account))
    tagged = {"StringEquals": {"aws:RequestTag/ami-promoter:delivery": delivery.id}}
    keys = [
        str(Arn(partition, "kms", "*", delivery.target.account, "key/*")),
        *(delivery.source_keys if delivery.in_share_mode else ()),
    ]
    few = len(keys) <= KEYS_PER_SESSION and not wider
    chosen = [f"{ec2}image/{instances.image(delivery)}", f"{own}subnet/{delivery.launch.subnet}"]
    return [
        _allow("ec2:RunInstances", [*chosen, f"{own}security-group/*"]),
        _allow(["ec2:RunInstances", "ec2:CreateTags"], f"{own}*", tagged),
        _allow("kms:*", keys if few else str(Arn(partition, "kms", "*", "*", "key/*")), _VIA_EC2),
    ]


def _instance(delivery: Delivery, partition: str) -> list[dict[str, Any]]:
    """Return what looks after that instance, and terminates it."""
    own = str(Arn(partition, "ec2", delivery.target.region, delivery.target.account, "instance/*"))
    return [
        _allow(
            [
                "ec2:DescribeInstance*",
                "ec2:DescribeSubnets",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeVolumes",
                "kms:DescribeKey",
            ],
            "*",
        ),
        _allow(["ec2:TerminateInstances", "ec2:GetConsoleOutput"], own, _tagged(delivery)),
        _see_itself(delivery, partition),
    ]


def _sources(snapshots: Sequence[str] | None, partition: str) -> list[str]:
    """Name the sources: they lie in the hub's Region, whichever the target's is; ids are unique among all Regions."""
    return [f"{Arn(partition, 'ec2', '*')}snapshot/{one}" for one in (["*"] if snapshots is None else snapshots)]


def _keys(delivery: Delivery, snapshots: Sequence[str] | None, partition: str) -> list[str]:
    keys = sorted({*delivery.source_keys, delivery.key_arn})
    few = snapshots is not None and len(keys) <= KEYS_PER_SESSION
    return keys if few else [str(Arn(partition, "kms", "*", "*", "key/*"))]


def _see_roles(delivery: Delivery, partition: str) -> dict[str, Any]:
    """Of a role that is not there IAM knows no path."""
    roles = Arn(partition, "iam", "", delivery.target.account, "role/")
    names = ("aws-service-role/*", "AWSServiceRoleFor*", f"*{GRANT_ROLE}")
    return _allow("iam:GetRole", [f"{roles}{name}" for name in names])


def _see_itself(delivery: Delivery, partition: str) -> dict[str, Any]:
    """Return what reads the assumed role's own policy; the role allows it for no other role."""
    return _allow("iam:GetRolePolicy", str(Arn(partition, "iam", "", delivery.target.account, "role/*")))


def _tagged(delivery: Delivery) -> dict[str, Any]:
    return {"StringEquals": {"aws:ResourceTag/ami-promoter:delivery": delivery.id}}


def _allow(
    action: str | list[str], resource: str | list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement if condition is None else {**statement, "Condition": condition}
