"""Checks of STS: who may assume a role, and for how long."""

import json
from collections.abc import Callable
from typing import Any

from awsim import wire
from awsim.services import sts
from awsim.world import World
from tests.awsim.iam_words import DEV, HERE, HUB, PROD, TRUST_HUB, allow, allowed, document, put_role, session
from tests.awsim.platform_words import refused

TARGET = f"arn:aws:iam::{DEV}:role/AmiCopyRole"


def _scene(world: World, *statements: dict[str, Any]) -> Any:
    """Make the target's role and the hub's ``worker`` with these statements; return the worker's STS client."""
    put_role(world, "AmiCopyRole", allow("ec2:*"), account=DEV, trust=TRUST_HUB)
    return session(world, "sts", put_role(world, "worker", *(statements or (allow("sts:AssumeRole", TARGET),))))


def _assume(client: Any, **more: Any) -> Callable[[], Any]:
    given = {"RoleArn": TARGET, "RoleSessionName": "a-delivery", "ExternalId": "secret-7", **more}
    return lambda: client.assume_role(**given)


def trust(world: World) -> None:
    """A missing role, a wrong external id and a wrong caller get the same refusal; the right caller gets in."""
    act = _scene(world)
    other = session(world, "sts", put_role(world, "share-worker", allow("sts:AssumeRole", "*")))

    refused(
        "AccessDenied",
        _assume(act, ExternalId="wrong"),
        f"not authorized to perform: sts:AssumeRole on resource: {TARGET}",
    )
    refused("AccessDenied", lambda: act.assume_role(RoleArn=TARGET, RoleSessionName="a-delivery"))
    refused("AccessDenied", _assume(other))
    refused("AccessDenied", _assume(act, RoleArn=f"arn:aws:iam::{DEV}:role/Missing"), "role/Missing")
    got = allowed(_assume(act))["Credentials"]
    there = wire.client("sts", HERE, got["AccessKeyId"], got["SessionToken"]).get_caller_identity()
    assert there["Account"] == DEV
    assert there["Arn"] == f"arn:aws:sts::{DEV}:assumed-role/AmiCopyRole/a-delivery"


def caller_too(world: World) -> None:
    """With an account in the trust policy, callers also need their own account's permission."""
    refused("AccessDenied", _assume(_scene(world, allow("sts:AssumeRole", f"arn:aws:iam::{DEV}:role/Another"))))
    allowed(_assume(_scene(world)))


def session_size(world: World) -> None:
    """A session policy of 2,048 characters is accepted, one of 2,049 is not."""
    act = _scene(world)

    def policy(size: int) -> str:
        empty = len(json.dumps(document(allow("ec2:Describe*", ""))))
        text = json.dumps(document(allow("ec2:Describe*", "x" * (size - empty))))
        assert len(text) == size
        return text

    with world.rules.off(sts.PACKED_SIZE):
        allowed(_assume(act, Policy=policy(2048)))
        refused("ValidationError", _assume(act, Policy=policy(2049)), "2048")


def packed_size(world: World) -> None:
    """A policy may be refused below 2,048 characters; an accepted one's answer has the packed size."""
    act = _scene(world)

    def policy(resources: int) -> str:
        named = [f"arn:aws:ec2:*::snapshot/snap-{n:017x}" for n in range(resources)]
        return json.dumps(document(allow("ec2:CopySnapshot", named)))

    few, many = policy(10), policy(24)
    assert len(many) < sts.LONGEST_POLICY
    assert 0 < allowed(_assume(act, Policy=few))["PackedPolicySize"] <= 100
    refused("PackedPolicyTooLarge", _assume(act, Policy=many))


def chaining(world: World) -> None:
    """A role's session assumes another role for an hour at most, even if that one allows more."""
    act = _scene(world)
    world.iam.roles.put(DEV, "AmiCopyRole", TRUST_HUB, {}, longest=sts.timedelta(hours=4))

    refused("ValidationError", _assume(act, DurationSeconds=3601), "role chaining")
    got = allowed(_assume(act, DurationSeconds=3600))
    assert (got["Credentials"]["Expiration"] - world.now).total_seconds() <= 3600


def duration(world: World) -> None:
    """More than 12 hours, or than the role allows, are refused (botocore refuses less than 15 minutes)."""
    trust_root = document({"Effect": "Allow", "Principal": {"AWS": HUB}, "Action": "sts:AssumeRole"})
    put_role(world, "AmiCopyRole", account=DEV, trust=trust_root)
    root = world.client("sts", HUB)

    refused("ValidationError", _assume(root, DurationSeconds=7200), "MaxSessionDuration")
    refused("ValidationError", _assume(root, DurationSeconds=43_201))
    allowed(_assume(root, DurationSeconds=900))


def whose(world: World) -> None:
    """Outside of an organization, or in another, a role lacks its id: a session can be conditional on it."""
    people = world.organizations
    ours, theirs = people.create(HUB), people.create("900000000000")
    people.add_account(ours, DEV)
    people.add_account(theirs, PROD)
    elsewhere = allow("sts:AssumeRole", Effect="Deny", Condition={"StringNotEquals": {"aws:ResourceOrgID": ours.id}})
    act = _scene(world, allow("sts:AssumeRole"), elsewhere)

    allowed(_assume(act))
    for account in (PROD, "999999999999"):
        arn = put_role(world, "AmiCopyRole", account=account, trust=TRUST_HUB)
        refused("AccessDenied", _assume(act, RoleArn=arn))


CHECKS = {
    sts.TRUST.name: trust,
    sts.CALLER_TOO.name: caller_too,
    sts.SESSION_SIZE.name: session_size,
    sts.PACKED_SIZE.name: packed_size,
    sts.CHAINING.name: chaining,
    sts.DURATION.name: duration,
    sts.WHOSE.name: whose,
}
