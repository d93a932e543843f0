"""Checks of STS: who may assume a role, and for how long."""

import json
from collections.abc import Callable
from typing import Any

from awsim import wire
from awsim.services import sts
from awsim.world import World
from iam_words import DEV, HERE, OPS, PROD, TRUST_OPS, allow, allowed, document, put_role, session
from platform_words import refused

TARGET = f"arn:aws:iam::{DEV}:role/CopyRole"


def _scene(world: World, *statements: dict[str, Any]) -> Any:
    """Make the target's role and OPS's ``worker`` with these statements; return the worker's STS client."""
    put_role(world, "CopyRole", allow("ec2:*"), account=DEV, trust=TRUST_OPS)
    return session(world, "sts", put_role(world, "worker", *(statements or (allow("sts:AssumeRole", TARGET),))))


def _assume(client: Any, **more: Any) -> Callable[[], Any]:
    given = {"RoleArn": TARGET, "RoleSessionName": "a-job", "ExternalId": "secret-7", **more}
    return lambda: client.assume_role(**given)


def sts_trust_policy_must_allow(world: World) -> None:
    act = _scene(world)
    other = session(world, "sts", put_role(world, "slow-worker", allow("sts:AssumeRole", "*")))

    refused(
        "AccessDenied",
        _assume(act, ExternalId="wrong"),
        saying=f"not authorized to perform: sts:AssumeRole on resource: {TARGET}",
    )
    refused("AccessDenied", act.assume_role, RoleArn=TARGET, RoleSessionName="a-job")
    refused("AccessDenied", _assume(other))
    refused("AccessDenied", _assume(act, RoleArn=f"arn:aws:iam::{DEV}:role/Missing"), saying="role/Missing")
    got = allowed(_assume(act))["Credentials"]
    there = wire.client("sts", HERE, got["AccessKeyId"], got["SessionToken"]).get_caller_identity()
    assert there["Account"] == DEV
    assert there["Arn"] == f"arn:aws:sts::{DEV}:assumed-role/CopyRole/a-job"


def sts_caller_needs_assume_role(world: World) -> None:
    refused("AccessDenied", _assume(_scene(world, allow("sts:AssumeRole", f"arn:aws:iam::{DEV}:role/Another"))))
    allowed(_assume(_scene(world)))


def sts_session_policy_2048_characters(world: World) -> None:
    act = _scene(world)

    def policy(size: int) -> str:
        empty = len(json.dumps(document(allow("ec2:Describe*", ""))))
        text = json.dumps(document(allow("ec2:Describe*", "x" * (size - empty))))
        assert len(text) == size
        return text

    with world.rules.off(sts.PACKED_SIZE):
        allowed(_assume(act, Policy=policy(2048)))
        refused("ValidationError", _assume(act, Policy=policy(2049)), saying="2048")


def sts_session_policy_packed_size(world: World) -> None:
    act = _scene(world)

    def policy(resources: int) -> str:
        named = [f"arn:aws:ec2:*::snapshot/snap-{n:017x}" for n in range(resources)]
        return json.dumps(document(allow("ec2:CopySnapshot", named)))

    few, many = policy(10), policy(24)
    assert len(many) < sts.LONGEST_POLICY
    assert 0 < allowed(_assume(act, Policy=few))["PackedPolicySize"] <= 100
    refused("PackedPolicyTooLarge", _assume(act, Policy=many))


def sts_role_chaining_one_hour(world: World) -> None:
    act = _scene(world)
    world.iam.roles.put(DEV, "CopyRole", TRUST_OPS, {}, longest=sts.timedelta(hours=4))

    refused("ValidationError", _assume(act, DurationSeconds=3601), saying="role chaining")
    got = allowed(_assume(act, DurationSeconds=3600))
    assert (got["Credentials"]["Expiration"] - world.now).total_seconds() <= 3600


def sts_duration_within_role_maximum(world: World) -> None:
    """More than 12 hours, or than the role allows, are refused (botocore refuses less than 15 minutes)."""
    trust_root = document({"Effect": "Allow", "Principal": {"AWS": OPS}, "Action": "sts:AssumeRole"})
    put_role(world, "CopyRole", account=DEV, trust=trust_root)
    root = world.client("sts", OPS)

    refused("ValidationError", _assume(root, DurationSeconds=7200), saying="MaxSessionDuration")
    refused("ValidationError", _assume(root, DurationSeconds=43_201))
    allowed(_assume(root, DurationSeconds=900))


def sts_assume_role_says_whose_role(world: World) -> None:
    people = world.organizations
    ours, theirs = people.create(OPS), people.create("900000000000")
    people.add_account(ours, DEV)
    people.add_account(theirs, PROD)
    elsewhere = allow("sts:AssumeRole", Effect="Deny", Condition={"StringNotEquals": {"aws:ResourceOrgID": ours.id}})
    act = _scene(world, allow("sts:AssumeRole"), elsewhere)

    allowed(_assume(act))
    for account in (PROD, "999999999999"):
        arn = put_role(world, "CopyRole", account=account, trust=TRUST_OPS)
        refused("AccessDenied", _assume(act, RoleArn=arn))
