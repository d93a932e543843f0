"""Operations on keys, aliases and grants, beside the simulator's rules."""

import json
from datetime import timedelta
from typing import Any

import pytest

from awsim.api import AwsError
from awsim.world import World
from iam_words import (
    DEV,
    HERE,
    OPS,
    PROD,
    TRUST_OPS,
    allow,
    allowed,
    as_role,
    document,
    new_key,
    put_role,
    session,
)
from platform_words import refused, wait

TARGET = f"arn:aws:iam::{DEV}:role/CopyRole"


def test_a_key_under_the_default_policy(world: World) -> None:
    """CreateKey without a policy gives the account's root everything; the policy can be read and replaced."""
    key = new_key(world)
    kms = world.client("kms", OPS)
    policy = json.loads(kms.get_key_policy(KeyId=key)["Policy"])

    assert policy["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{OPS}:root"}
    changed = document(allow("kms:*", Principal={"AWS": OPS}), allow("kms:DescribeKey", Principal={"AWS": DEV}))
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(changed))
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == changed
    wait(world, 6)
    allowed(world.client("kms", DEV).describe_key, KeyId=key)


def test_aliases_point_at_keys(world: World) -> None:
    """An alias is created, listed, moved and deleted; each account and Region has its own."""
    first, second = new_key(world), new_key(world)
    kms = world.client("kms", OPS)
    kms.create_alias(AliasName="alias/copies", TargetKeyId=first)

    assert kms.describe_key(KeyId="alias/copies")["KeyMetadata"]["Arn"] == first
    full = f"arn:aws:kms:{HERE}:{OPS}:alias/copies"
    assert kms.describe_key(KeyId=full)["KeyMetadata"]["Arn"] == first
    assert [alias["AliasArn"] for alias in kms.list_aliases(KeyId=first)["Aliases"]] == [full]
    refused("AlreadyExistsException", kms.create_alias, AliasName="alias/copies", TargetKeyId=second)
    refused("InvalidAliasNameException", kms.create_alias, AliasName="alias/aws/ours", TargetKeyId=second)
    kms.update_alias(AliasName="alias/copies", TargetKeyId=second)
    assert kms.describe_key(KeyId="alias/copies")["KeyMetadata"]["Arn"] == second
    assert world.client("kms", OPS, "us-west-2").list_aliases()["Aliases"] == []
    kms.delete_alias(AliasName="alias/copies")
    refused("NotFoundException", kms.describe_key, KeyId="alias/copies")
    refused("NotFoundException", kms.delete_alias, AliasName="alias/copies")
    refused("NotFoundException", kms.update_alias, AliasName="alias/copies", TargetKeyId=second)


def test_a_key_is_deleted_after_its_waiting_period(world: World) -> None:
    """Until then the deletion can be cancelled, which leaves the key disabled."""
    key = new_key(world)
    kms = world.client("kms", OPS)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    refused("KMSInvalidStateException", kms.enable_key, KeyId=key)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"

    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    world.kernel.run(limit=timedelta(days=7))
    refused("NotFoundException", kms.describe_key, KeyId=key)


def test_rotation_is_switched_and_shown(world: World) -> None:
    """A new key does not rotate."""
    key = new_key(world)
    kms = world.client("kms", OPS)

    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    kms.enable_key_rotation(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True
    kms.disable_key_rotation(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False


def test_who_may_not_ask_does_not_learn_whether_a_key_exists(world: World) -> None:
    """Without permission a missing key is refused like an existing one."""
    idle = session(world, "kms", put_role(world, "idle"))
    asker = as_role(world, "kms", allow("kms:DescribeKey", f"arn:aws:kms:*:{OPS}:key/*"))

    refused("AccessDeniedException", idle.describe_key, KeyId="alias/none")
    refused("NotFoundException", asker.describe_key, KeyId="alias/none")
    refused("AccessDeniedException", idle.create_key)
    refused("AccessDeniedException", idle.delete_alias, AliasName="alias/none")


def _grants(world: World, key: str) -> list[dict[str, Any]]:
    return world.client("kms", OPS).list_grants(KeyId=key)["Grants"]


def test_a_grant_is_retired_by_those_who_may(world: World) -> None:
    """Its issuer, its retiring principal, and a grantee with RetireGrant; no other principal."""
    key = new_key(world)
    put_role(world, "CopyRole", allow("kms:*"), account=DEV, trust=TRUST_OPS)
    kms, target, prod = world.client("kms", OPS), session(world, "kms", TARGET), world.client("kms", PROD)
    asked = {"KeyId": key, "GranteePrincipal": TARGET, "Operations": ["Decrypt"]}

    plain = kms.create_grant(**asked)
    refused("AccessDeniedException", target.retire_grant, GrantToken=plain["GrantToken"])
    kms.retire_grant(KeyId=key, GrantId=plain["GrantId"])
    own = kms.create_grant(**{**asked, "Operations": ["Decrypt", "RetireGrant"]})
    target.retire_grant(GrantToken=own["GrantToken"])
    by_prod = kms.create_grant(**asked, RetiringPrincipal=f"arn:aws:iam::{PROD}:root")
    prod.retire_grant(KeyId=key, GrantId=by_prod["GrantId"])
    assert _grants(world, key) == []
    refused("NotFoundException", kms.retire_grant, KeyId=key, GrantId=by_prod["GrantId"])


def test_a_policy_can_limit_which_grants_are_made(world: World) -> None:
    """kms:GrantOperations and kms:GranteePrincipal have the values of a CreateGrant call."""
    key = new_key(world)
    put_role(world, "CopyRole", account=DEV, trust=TRUST_OPS)
    limits = {
        "ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt", "DescribeKey"]},
        "StringLike": {"kms:GranteePrincipal": "arn:aws:iam::*:role/CopyRole"},
    }
    sharer = as_role(world, "kms", allow("kms:CreateGrant", key, Condition=limits))
    asked = {"KeyId": key, "GranteePrincipal": TARGET}

    allowed(sharer.create_grant, **asked, Operations=["Decrypt"])
    refused("AccessDeniedException", sharer.create_grant, **asked, Operations=["Decrypt", "Encrypt"])
    root = f"arn:aws:iam::{PROD}:root"
    refused("AccessDeniedException", sharer.create_grant, KeyId=key, GranteePrincipal=root, Operations=["Decrypt"])


def test_ill_formed_requests_are_refused(world: World) -> None:
    """Malformed names, ids, markers and ARNs."""
    key = new_key(world)
    kms = world.client("kms", OPS)
    grant = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{DEV}:root", "Operations": ["Decrypt"]}

    refused("ValidationException", kms.create_grant, **grant, Name="with blanks")
    refused("InvalidGrantIdException", kms.revoke_grant, KeyId=key, GrantId="1234")
    refused("NotFoundException", kms.retire_grant, KeyId=key.split("/")[1], GrantId="1" * 64, saying="Invalid arn")
    refused("InvalidMarkerException", kms.list_grants, KeyId=key, Marker="somewhere")
    refused("InvalidArnException", kms.describe_key, KeyId=f"arn:aws:ec2:{HERE}:{OPS}:key/1")
    refused("NotFoundException", world.client("kms", OPS, "us-west-2").describe_key, KeyId=key)


def test_open_shares_are_read_from_state(world: World) -> None:
    """A grant to another account is an open share until it is revoked; one within the account is none."""
    key = new_key(world)
    own = put_role(world, "own")
    kms = world.client("kms", OPS)
    kms.create_grant(KeyId=key, GranteePrincipal=own, Operations=["Decrypt"])
    assert world.shares_open() == []

    grant = kms.create_grant(KeyId=key, GranteePrincipal=DEV, Operations=["Decrypt"])["GrantId"]
    assert world.shares_open() == [f"{key} grant {grant} to {DEV}"]
    kms.revoke_grant(KeyId=key, GrantId=grant)
    assert world.shares_open() == []


def test_a_stale_list_shows_what_was(world: World) -> None:
    """A read that is a minute late misses a new grant, and still shows a revoked one."""
    key = new_key(world)
    kms = world.client("kms", OPS)
    wait(world, 120)
    grant = kms.create_grant(KeyId=key, GranteePrincipal=DEV, Operations=["Decrypt"])["GrantId"]
    world.injections.stale_reads("ListGrants", seconds=60)
    assert _grants(world, key) == []
    assert len(_grants(world, key)) == 1

    wait(world, 120)
    kms.revoke_grant(KeyId=key, GrantId=grant)
    world.injections.stale_reads("ListGrants", seconds=60)
    assert len(_grants(world, key)) == 1
    assert _grants(world, key) == []


def test_an_account_as_grantee_lets_in_its_roles_with_a_policy_of_their_own(world: World) -> None:
    """The documented fallback: with the account as grantee, its roles still need their own permission."""
    key = new_key(world)
    world.client("kms", OPS).create_grant(
        KeyId=key, GranteePrincipal=f"arn:aws:iam::{DEV}:root", Operations=["Decrypt"]
    )
    wait(world, 301)
    may = put_role(world, "may", allow("kms:Decrypt", key), account=DEV)
    idle = put_role(world, "idle", account=DEV)

    results = [
        world.kms.may_use(world.accounts.issue(role, "a-session")[0], "kms:Decrypt", key) for role in (may, idle)
    ]
    assert [allowed_ for allowed_, _ in results] == [True, False]
    assert "no identity-based policy" in results[1][1]


def test_session_policies_limit_what_ec2_may_do_for_a_session(world: World) -> None:
    """EC2 calls KMS with the caller's session and its session policy; kms:ViaService shows that."""
    key = new_key(world)
    via = {"StringEquals": {"kms:ViaService": f"ec2.{HERE}.amazonaws.com"}}
    role = put_role(world, "worker", allow("kms:Decrypt", Condition=via))
    wide, narrow = document(allow("kms:*")), document(allow("ec2:*"))

    def may(*policies: dict[str, Any], service: str = "ec2") -> bool:
        caller, *_ = world.accounts.issue(role, "a-session", policies=policies)
        return world.kms.may_use(caller, "kms:Decrypt", key, via_service=f"{service}.{HERE}.amazonaws.com")[0]

    assert may(wide)
    assert not may(wide, narrow)
    assert not may(wide, service="s3")


def test_a_malformed_role_is_refused_with_its_place(world: World) -> None:
    """put_role names policy, role, account and statement."""
    wrong = {"Version": "2012-10-17", "Statement": [{"Sid": "Mine", "Effect": "Allow", "Action": "*"}]}

    with pytest.raises(
        AwsError, match=f"policy inline of role worker in {OPS}.*statement Mine: exactly one of Resource"
    ):
        world.iam.put_role(OPS, "worker", TRUST_OPS, {"inline": wrong})
