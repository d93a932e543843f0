"""Checks of KMS: who may use a key, and the life of grants."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from awsim.world import World
from iam_words import DEV, HERE, OPS, PROD, TRUST_OPS, allow, allowed, document, new_key, put_role, session
from platform_words import after, refused, wait

TARGET = f"arn:aws:iam::{DEV}:role/CopyRole"
COPYING = ["DescribeKey", "Decrypt", "CreateGrant", "ReEncryptFrom"]
FOREIGN = "kms:DescribeKey on this resource because the resource does not exist in this Region, no resource-based"
EBS = "kms:EncryptionContext:aws:ebs:id"
LATEST = 301


def _target_role(world: World, *statements: dict[str, Any]) -> str:
    return put_role(world, "CopyRole", *(statements or (allow("kms:*"),)), account=DEV, trust=TRUST_OPS)


def _grant(world: World, key: str, **more: Any) -> dict[str, Any]:
    asked = {"KeyId": key, "GranteePrincipal": TARGET, "Operations": COPYING, **more}
    return world.client("kms", OPS).create_grant(**asked)


def _may(world: World, action: str, key: str, role: str = TARGET, **context: str) -> bool:
    """Whether EC2 may do this with a key for a role's session now."""
    caller, *_ = world.accounts.issue(role, "a-session")
    return world.kms.may_use(caller, f"kms:{action}", key, context={EBS: "snap-1", **context})[0]


def _listed(world: World, key: str, **narrow: Any) -> list[dict[str, Any]]:
    return world.client("kms", OPS).list_grants(KeyId=key, **narrow)["Grants"]


def kms_key_policy_or_grant_needed(world: World) -> None:
    key = new_key(world)
    _target_role(world)

    assert not _may(world, "Decrypt", key)
    refused("AccessDeniedException", session(world, "kms", TARGET).describe_key, KeyId=key, saying=FOREIGN)
    _grant(world, key)
    assert _may(after(world, LATEST), "Decrypt", key)


def kms_foreign_key_needs_own_policy(world: World) -> None:
    admitting = document(allow("kms:*", Principal={"AWS": [OPS, DEV]}))
    opened, granted = new_key(world, policy=json.dumps(admitting)), new_key(world)
    _target_role(world, allow("kms:DescribeKey"))
    _grant(world, granted)
    assert not _may(after(world, LATEST), "Decrypt", granted)
    assert not _may(world, "Decrypt", opened)
    assert _may(world, "DescribeKey", granted)
    _target_role(world, allow("kms:Decrypt", [granted, opened]))
    assert _may(world, "Decrypt", granted)
    assert _may(world, "Decrypt", opened)


def kms_own_accounts_grant_opens_foreign_key(world: World) -> None:
    admitting = document(allow("kms:*", Principal={"AWS": [OPS, DEV]}))
    key = new_key(world, policy=json.dumps(admitting))
    role = f"arn:aws:iam::{DEV}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    _target_role(world, allow("kms:CreateGrant", key))
    theirs = session(world, "kms", TARGET)
    asked = {"KeyId": key, "GranteePrincipal": role, "Operations": COPYING}
    refused("InvalidArnException", theirs.create_grant, **asked)
    world.iam.put_service_linked_role(DEV)

    world.client("kms", OPS).create_grant(**asked)
    assert not _may(after(world, LATEST), "Decrypt", key, role)
    made = allowed(theirs.create_grant, **asked)["GrantId"]
    assert _may(after(world, LATEST), "Decrypt", key, role)
    shown = {grant["GrantId"]: grant["IssuingAccount"] for grant in _listed(world, key)}
    assert shown[made] == f"arn:aws:iam::{DEV}:root"
    world.client("kms", OPS).revoke_grant(KeyId=key, GrantId=made)
    assert not _may(after(world, LATEST), "Decrypt", key, role)


def kms_root_statement_delegates_to_iam(world: World) -> None:
    idle = put_role(world, "idle")
    user = put_role(world, "user", allow("kms:DescribeKey"))
    by_default = new_key(world)
    root, named = allow("kms:*", Principal={"AWS": OPS}), allow("kms:Decrypt", Principal={"AWS": idle})
    naming = new_key(world, policy=json.dumps(document(root, named)))

    assert _may(world, "DescribeKey", by_default, user)
    assert not _may(world, "DescribeKey", by_default, idle)
    assert _may(world, "Decrypt", naming, idle)


def kms_grant_constraints(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    _grant(world, key, Constraints={"EncryptionContextSubset": {"aws:ebs:id": "snap-1"}})
    assert _may(after(world, LATEST), "Decrypt", key)
    assert _may(world, "DescribeKey", key, **{EBS: "snap-2"})
    assert not _may(world, "Decrypt", key, **{EBS: "snap-2"})


def kms_grant_dies_with_its_role(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    _grant(world, key)
    assert _may(after(world, LATEST), "Decrypt", key)

    world.iam.roles.drop(TARGET)
    _target_role(world)
    assert not _may(world, "Decrypt", key)
    assert _listed(world, key)[0]["GranteePrincipal"].startswith("AROA")


def kms_grant_to_a_session_passes_over_silence(world: World) -> None:
    key, other = new_key(world), allow("kms:ListKeys")
    worker = put_role(world, "worker", account=OPS)
    asked = {"KeyId": key, "Operations": ["DescribeKey"]}
    limited = [document(other)]
    client = session(world, "kms", worker, limited)

    world.client("kms", OPS).create_grant(GranteePrincipal=worker, **asked)
    refused("AccessDeniedException", after(world, LATEST) and client.describe_key, KeyId=key, saying="session policy")
    world.client("kms", OPS).create_grant(GranteePrincipal=f"arn:aws:sts::{OPS}:assumed-role/worker/a-session", **asked)
    after(world, LATEST)
    allowed(client.describe_key, KeyId=key)
    denied = session(world, "kms", worker, [document(other, allow("kms:*", Effect="Deny"))])
    refused("AccessDeniedException", denied.describe_key, KeyId=key, saying="explicit deny")


def kms_bare_key_id_is_own_account(world: World) -> None:
    key = new_key(world, policy=json.dumps(document(allow("kms:*", Principal={"AWS": [OPS, DEV]}))))
    dev = world.client("kms", DEV)

    refused("NotFoundException", dev.describe_key, KeyId=key.rsplit("/", 1)[-1], saying=f"{HERE}:{DEV}:key/")
    found = allowed(dev.describe_key, KeyId=key)["KeyMetadata"]
    assert (found["AWSAccountId"], found["Arn"], found["KeyManager"]) == (OPS, key, "CUSTOMER")


def kms_key_policy_32_kilobytes(world: World) -> None:
    key = new_key(world)
    kms = world.client("kms", OPS)
    root = allow("kms:*", Principal={"AWS": OPS})
    large = [allow("kms:DescribeKey", Principal={"AWS": OPS}, Sid="s" * 300) for _ in range(90)]

    allowed(kms.put_key_policy, KeyId=key, PolicyName="default", Policy=json.dumps(document(root)))
    text = json.dumps(document(root, *large))
    refused("LimitExceededException", kms.put_key_policy, KeyId=key, PolicyName="default", Policy=text)


def kms_key_policy_principals_exist(world: World) -> None:
    key = new_key(world)
    kms = world.client("kms", OPS)
    naming = json.dumps(document(allow("kms:*", Principal={"AWS": [OPS, TARGET]})))

    def put() -> object:
        return kms.put_key_policy(KeyId=key, PolicyName="default", Policy=naming)

    refused("MalformedPolicyDocumentException", put, saying="invalid principals")
    _target_role(world)
    allowed(put)
    world.iam.roles.drop(TARGET)
    refused("MalformedPolicyDocumentException", put)


def _put(world: World, key: str, text: dict[str, Any], **more: Any) -> Callable[[], object]:
    call = partial(world.client("kms", OPS).put_key_policy, KeyId=key, PolicyName="default", Policy=json.dumps(text))
    return partial(call, **more)


def kms_key_policy_account_exists(world: World) -> None:
    key = new_key(world)
    naming = document(allow("kms:*", Principal={"AWS": [OPS, f"arn:aws:iam::{DEV}:root"]}))

    allowed(_put(world, key, naming))
    world.accounts.closed.add(DEV)
    refused("MalformedPolicyDocumentException", _put(world, key, naming), saying="invalid principals")


def kms_key_policy_resource(world: World) -> None:
    key = new_key(world)
    own = document(allow("kms:*", Principal={"AWS": OPS}), allow("kms:Decrypt", key, Principal={"AWS": OPS}))

    refused("MalformedPolicyDocumentException", _put(world, key, own), saying="Resource")


def kms_key_policy_lockout_check(world: World) -> None:
    key = new_key(world)
    away = document(allow("kms:*", Principal={"AWS": DEV}))

    refused("MalformedPolicyDocumentException", _put(world, key, away), saying="will not allow you to update")
    refused(
        "MalformedPolicyDocumentException", world.client("kms", OPS).create_key, Policy=json.dumps(away), saying="will"
    )
    allowed(_put(world, key, away, BypassPolicyLockoutSafetyCheck=True))


def kms_key_policy_shows_deleted_role_by_id(world: World) -> None:
    _target_role(world)
    naming = document(allow("kms:*", Principal={"AWS": [OPS, TARGET]}))
    key = new_key(world, policy=json.dumps(naming))
    assert _may(world, "Decrypt", key)

    world.iam.roles.drop(TARGET)
    _target_role(world)
    shown = json.loads(world.client("kms", OPS).get_key_policy(KeyId=key)["Policy"])
    assert [name[:4] for name in shown["Statement"][0]["Principal"]["AWS"]] == [OPS[:4], "AROA"]
    assert not _may(world, "Decrypt", key)
    refused("MalformedPolicyDocumentException", _put(world, key, shown), saying="invalid principals")


def kms_key_policy_works_late(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    world.kms.keys.policies.delay = (3, 3)
    both = document(allow("kms:*", Principal={"AWS": [OPS, DEV]}))

    allowed(_put(world, key, both))
    assert not _may(world, "Decrypt", key)
    assert _may(after(world, 4), "Decrypt", key)


def kms_get_key_policy_in_any_order(world: World) -> None:
    names = [f"arn:aws:iam::{account}:root" for account in (OPS, DEV, PROD)]
    text = json.dumps(document(allow("kms:*", Principal={"AWS": names})))
    key, kms = new_key(world, policy=text), world.client("kms", OPS)

    read = [kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"] for _ in range(20)]
    assert len(set(read)) > 1
    shown = [json.loads(one)["Statement"][0]["Principal"]["AWS"] for one in read]
    assert {tuple(sorted(one)) for one in shown} == {tuple(sorted(names))}


def kms_get_key_policy_may_be_stale(world: World) -> None:
    key = new_key(world)
    kms = world.client("kms", OPS)
    before = kms.get_key_policy(KeyId=key)["Policy"]
    wait(world, 60)
    text = json.dumps(document(allow("kms:*", Principal={"AWS": OPS})), indent=3)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=text)

    assert kms.get_key_policy(KeyId=key)["Policy"] == text
    world.injections.stale_reads("GetKeyPolicy", 1, 30)
    assert kms.get_key_policy(KeyId=key)["Policy"] == before


def kms_aws_ebs_only_through_ec2(world: World) -> None:
    key = world.client("kms", OPS).describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]
    idle = put_role(world, "idle")
    _target_role(world)

    assert _may(world, "Decrypt", key, idle)
    assert not _may(world, "Decrypt", key, TARGET)
    caller, *_ = world.accounts.issue(idle, "a-session")
    assert not world.kms.may_use(caller, "kms:Decrypt", key, via_service=f"s3.{HERE}.amazonaws.com")[0]
    text = json.dumps(document(allow("kms:*", Principal={"AWS": [OPS, DEV]})))
    put = world.client("kms", OPS).put_key_policy
    refused("AccessDeniedException", put, KeyId=key, PolicyName="default", Policy=text)


def kms_grant_works_late(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    world.kms.grants.delay = (200, 200)
    token = _grant(world, key)["GrantToken"]
    target = session(world, "kms", TARGET)

    assert len(_listed(world, key)) == 1
    assert not _may(world, "Decrypt", key)
    refused("AccessDeniedException", target.describe_key, KeyId=key)
    allowed(target.describe_key, KeyId=key, GrantTokens=[token])
    assert _may(after(world, 201), "Decrypt", key)


def kms_grant_stops_late(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    world.kms.grants.delay = (200, 200)
    grant = _grant(world, key)["GrantId"]
    wait(world, 201)

    world.client("kms", OPS).revoke_grant(KeyId=key, GrantId=grant)
    assert _listed(world, key) == []
    assert world.kms.open_grants() == []
    assert _may(world, "Decrypt", key)
    assert not _may(after(world, 201), "Decrypt", key)


def kms_grant_name_is_idempotent(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    first, again = _grant(world, key, Name="d-1/g1"), _grant(world, key, Name="d-1/g1")

    assert first["GrantId"] == again["GrantId"]
    assert first["GrantToken"] != again["GrantToken"]
    assert _grant(world, key, Name="d-1/g1", Operations=["Decrypt"])["GrantId"] != first["GrantId"]
    assert _grant(world, key)["GrantId"] != _grant(world, key)["GrantId"]
    assert len(_listed(world, key)) == 4


def kms_grant_name_may_return_dying_grant(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    world.kms.grants.delay = (60, 60)
    first = _grant(world, key, Name="d-1/g1")["GrantId"]
    world.client("kms", OPS).revoke_grant(KeyId=key, GrantId=first)

    assert _grant(world, key, Name="d-1/g1")["GrantId"] == first
    assert _listed(world, key) == []
    assert _grant(after(world, 61), key, Name="d-1/g1")["GrantId"] != first


def kms_grantee_must_exist(world: World) -> None:
    key = new_key(world)

    refused("InvalidArnException", _grant, world, key)
    organization = f"arn:aws:organizations::{OPS}:organization/o-1"
    refused("InvalidArnException", _grant, world, key, GranteePrincipal=organization)
    allowed(_grant, world, key, GranteePrincipal=f"arn:aws:iam::{PROD}:root")


def kms_child_grant_is_a_subset(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    _grant(world, key)
    wait(world, LATEST)
    target = session(world, "kms", TARGET)
    child = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{PROD}:root"}

    refused("AccessDeniedException", target.create_grant, **child, Operations=["Decrypt", "Encrypt"])
    allowed(target.create_grant, **child, Operations=["Decrypt"])
    expected = {f"arn:aws:iam::{OPS}:root", f"arn:aws:iam::{DEV}:root"}
    assert {grant["IssuingAccount"] for grant in _listed(world, key)} == expected


def kms_list_grants_pages(world: World) -> None:
    key = new_key(world)
    for number in range(120):
        _grant(world, key, GranteePrincipal=f"arn:aws:iam::{DEV}:root", Name=f"n-{number}")
    kms = world.client("kms", OPS)

    assert len(_listed(world, key)) == 50
    refused("ValidationException", kms.list_grants, KeyId=key, Limit=101)
    first = kms.list_grants(KeyId=key, Limit=100)
    assert (len(first["Grants"]), first["Truncated"]) == (100, True)
    rest = kms.list_grants(KeyId=key, Limit=100, Marker=first["NextMarker"])
    assert (len(rest["Grants"]), rest["Truncated"]) == (20, False)


def kms_list_grants_filters(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    mine = _grant(world, key)["GrantId"]
    _grant(world, key, GranteePrincipal=f"arn:aws:iam::{PROD}:root")

    assert [grant["GrantId"] for grant in _listed(world, key, GranteePrincipal=TARGET)] == [mine]
    assert [grant["GrantId"] for grant in _listed(world, key, GrantId=mine)] == [mine]
    world.iam.roles.drop(TARGET)
    refused("InvalidArnException", _listed, world, key, GranteePrincipal=TARGET, saying="valid principal")
    _target_role(world)
    assert _listed(world, key, GranteePrincipal=TARGET) == []


def kms_revoke_gone_grant_not_found(world: World) -> None:
    key = new_key(world)
    _target_role(world)
    grant = _grant(world, key)["GrantId"]
    revoke = world.client("kms", OPS).revoke_grant

    allowed(revoke, KeyId=key, GrantId=grant)
    refused("NotFoundException", revoke, KeyId=key, GrantId=grant)


def kms_disabled_key_unusable(world: World) -> None:
    key = new_key(world)
    user = put_role(world, "user", allow("kms:*"))
    _target_role(world)
    kms = world.client("kms", OPS)

    kms.disable_key(KeyId=key)
    assert allowed(kms.describe_key, KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    assert not _may(world, "Decrypt", key, user)
    refused("DisabledException", _grant, world, key)
    kms.enable_key(KeyId=key)
    assert _may(world, "Decrypt", key, user)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert not _may(world, "Decrypt", key, user)
    refused("KMSInvalidStateException", _grant, world, key)


def kms_key_policy_only_at_home(world: World) -> None:
    key = new_key(world, policy=json.dumps(document(allow("kms:*", Principal={"AWS": [OPS, DEV]}))))
    dev = world.client("kms", DEV)

    allowed(dev.list_grants, KeyId=key)
    refused("AccessDeniedException", dev.get_key_policy, KeyId=key, saying="another account")
    refused("AccessDeniedException", dev.disable_key, KeyId=key)


def kms_grant_is_for_aws_resource(world: World) -> None:
    key = new_key(world)
    _target_role(world, allow("kms:CreateGrant", Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}}))
    _grant(world, key)
    wait(world, LATEST)
    target = session(world, "kms", TARGET)

    assert _may(world, "CreateGrant", key)
    asked = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{PROD}:root", "Operations": ["Decrypt"]}
    refused("AccessDeniedException", target.create_grant, **asked, saying="no identity-based policy")


def kms_retire_grant_by_those_it_names(world: World) -> None:
    key = new_key(world)
    role = _target_role(world, allow("kms:RetireGrant"))
    idle = put_role(world, "Idle", allow("kms:ListGrants"))
    delegate = put_role(world, "Delegate", allow("kms:RetireGrant"))
    mine, kept = _grant(world, key, RetiringPrincipal=TARGET), _grant(world, key)
    refused("AccessDeniedException", partial(_retire, world, idle, key, kept))
    refused("AccessDeniedException", partial(_retire, world, role, key, kept))
    _retire(world, role, key, mine)
    _retire(world, delegate, key, kept)
    assert _listed(world, key) == []

    named = put_role(world, "Named", allow("kms:ListGrants"), account=DEV, trust=TRUST_OPS)
    abroad = _grant(world, key, RetiringPrincipal=named)
    refused("AccessDeniedException", partial(_retire, world, named, key, abroad))
    _retire(world, put_role(world, "Named", allow("kms:RetireGrant"), account=DEV, trust=TRUST_OPS), key, abroad)

    dead = _grant(world, key, RetiringPrincipal=TARGET)
    world.iam.roles.drop(TARGET)
    refused("AccessDeniedException", partial(_retire, world, _target_role(world), key, dead))


def _retire(world: World, role: str, key: str, grant: dict[str, Any]) -> None:
    session(world, "kms", role).retire_grant(KeyId=key, GrantId=grant["GrantId"])
