"""Checks of KMS: who may use a key, and the life of grants."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from awsim.services.kms import access, grants, keys, policies, service
from awsim.world import World
from tests.awsim.iam_words import DEV, HERE, HUB, PROD, TRUST_HUB, allow, allowed, document, new_key, put_role, session
from tests.awsim.platform_words import refused, wait

TARGET = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
COPYING = ["DescribeKey", "Decrypt", "CreateGrant", "ReEncryptFrom"]
EBS = "kms:EncryptionContext:aws:ebs:id"
LATEST = 301


def _target_role(world: World, *statements: dict[str, Any]) -> str:
    return put_role(world, "AmiCopyRole", *(statements or (allow("kms:*"),)), account=DEV, trust=TRUST_HUB)


def _grant(world: World, key: str, **more: Any) -> dict[str, Any]:
    asked = {"KeyId": key, "GranteePrincipal": TARGET, "Operations": COPYING, **more}
    made: dict[str, Any] = world.client("kms", HUB).create_grant(**asked)
    return made


def _may(world: World, action: str, key: str, role: str = TARGET, **context: str) -> bool:
    """Whether EC2 may do this with a key for a role's session now."""
    caller, *_ = world.accounts.issue(role, "a-session")
    return world.kms.may_use(caller, f"kms:{action}", key, context={EBS: "snap-1", **context})[0]


def _listed(world: World, key: str, **narrow: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.client("kms", HUB).list_grants(KeyId=key, **narrow)["Grants"]
    return found


def key_side(world: World) -> None:
    """Another account's role with full permissions may not use a key that does not admit it."""
    key = new_key(world)
    _target_role(world)

    assert not _may(world, "Decrypt", key)
    refused("AccessDeniedException", lambda: session(world, "kms", TARGET).describe_key(KeyId=key), "no resource-based")
    _grant(world, key)
    wait(world, LATEST)
    assert _may(world, "Decrypt", key)


def caller_side(world: World) -> None:
    """With a grant or a key policy, another account's role also needs its own policy."""
    admitting = document(allow("kms:*", Principal={"AWS": [HUB, DEV]}))
    opened, granted = new_key(world, policy=json.dumps(admitting)), new_key(world)
    _target_role(world, allow("kms:DescribeKey"))
    _grant(world, granted)
    wait(world, LATEST)

    assert not _may(world, "Decrypt", granted)
    assert not _may(world, "Decrypt", opened)
    assert _may(world, "DescribeKey", granted)
    _target_role(world, allow("kms:Decrypt", [granted, opened]))
    assert _may(world, "Decrypt", granted)
    assert _may(world, "Decrypt", opened)


def grant_at_home(world: World) -> None:
    """A service-linked role uses another account's key by a grant of its own account, not of the owner.

    The grant shows its issuer's root, is refused for a role that does not exist, and the key's owner can revoke it.
    """
    admitting = document(allow("kms:*", Principal={"AWS": [HUB, DEV]}))
    key = new_key(world, policy=json.dumps(admitting))
    role = f"arn:aws:iam::{DEV}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    _target_role(world, allow("kms:CreateGrant", key))
    theirs = session(world, "kms", TARGET)
    asked = {"KeyId": key, "GranteePrincipal": role, "Operations": COPYING}
    refused("InvalidArnException", lambda: theirs.create_grant(**asked))
    world.iam.put_service_linked_role(DEV)

    world.client("kms", HUB).create_grant(**asked)
    wait(world, LATEST)
    assert not _may(world, "Decrypt", key, role)
    made = allowed(lambda: theirs.create_grant(**asked))["GrantId"]
    wait(world, LATEST)
    assert _may(world, "Decrypt", key, role)
    shown = {grant["GrantId"]: grant["IssuingAccount"] for grant in _listed(world, key)}
    assert shown[made] == f"arn:aws:iam::{DEV}:root"
    world.client("kms", HUB).revoke_grant(KeyId=key, GrantId=made)
    wait(world, LATEST)
    assert not _may(world, "Decrypt", key, role)


def delegated(world: World) -> None:
    """The default key policy requires an IAM policy of the account's roles; a statement that names a role does not."""
    idle = put_role(world, "idle")
    user = put_role(world, "user", allow("kms:DescribeKey"))
    by_default = new_key(world)
    root, named = allow("kms:*", Principal={"AWS": HUB}), allow("kms:Decrypt", Principal={"AWS": idle})
    naming = new_key(world, policy=json.dumps(document(root, named)))

    assert _may(world, "DescribeKey", by_default, user)
    assert not _may(world, "DescribeKey", by_default, idle)
    assert _may(world, "Decrypt", naming, idle)


def constraints(world: World) -> None:
    """A constraint binds cryptographic operations, but not DescribeKey, to their encryption context."""
    key = new_key(world)
    _target_role(world)
    _grant(world, key, Constraints={"EncryptionContextSubset": {"aws:ebs:id": "snap-1"}})
    wait(world, LATEST)

    assert _may(world, "Decrypt", key)
    assert _may(world, "DescribeKey", key, **{EBS: "snap-2"})
    assert not _may(world, "Decrypt", key, **{EBS: "snap-2"})


def same_role(world: World) -> None:
    """A role that is deleted and created again cannot use the old one's grant, which then shows an id."""
    key = new_key(world)
    _target_role(world)
    _grant(world, key)
    wait(world, LATEST)
    assert _may(world, "Decrypt", key)

    world.iam.roles.drop(TARGET)
    _target_role(world)
    assert not _may(world, "Decrypt", key)
    assert _listed(world, key)[0]["GranteePrincipal"].startswith("AROA")


def own_account(world: World) -> None:
    """A bare key id means the caller's account; another account's key must be named by its ARN."""
    key = new_key(world, policy=json.dumps(document(allow("kms:*", Principal={"AWS": [HUB, DEV]}))))
    dev = world.client("kms", DEV)

    refused("NotFoundException", lambda: dev.describe_key(KeyId=key.rsplit("/", 1)[-1]), f"{HERE}:{DEV}:key/")
    found = allowed(lambda: dev.describe_key(KeyId=key))["KeyMetadata"]
    assert (found["AWSAccountId"], found["Arn"], found["KeyManager"]) == (HUB, key, "CUSTOMER")


def policy_size(world: World) -> None:
    """A policy of more than 32 KB is refused."""
    key = new_key(world)
    kms = world.client("kms", HUB)
    root = allow("kms:*", Principal={"AWS": HUB})
    large = [allow("kms:DescribeKey", Principal={"AWS": HUB}, Sid="s" * 300) for _ in range(90)]

    allowed(lambda: kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document(root))))
    text = json.dumps(document(root, *large))
    refused("LimitExceededException", lambda: kms.put_key_policy(KeyId=key, PolicyName="default", Policy=text))


def policy_principals(world: World) -> None:
    """A policy that names a missing role is refused; after a role is deleted, so is any policy that names it."""
    key = new_key(world)
    kms = world.client("kms", HUB)
    naming = json.dumps(document(allow("kms:*", Principal={"AWS": [HUB, TARGET]})))

    def put() -> object:
        return kms.put_key_policy(KeyId=key, PolicyName="default", Policy=naming)

    refused("MalformedPolicyDocumentException", put, "invalid principals")
    _target_role(world)
    allowed(put)
    world.iam.roles.drop(TARGET)
    refused("MalformedPolicyDocumentException", put)


def _put(world: World, key: str, text: dict[str, Any], **more: Any) -> Callable[[], object]:
    call = partial(world.client("kms", HUB).put_key_policy, KeyId=key, PolicyName="default", Policy=json.dumps(text))
    return partial(call, **more)


def closed(world: World) -> None:
    """A closed account in a policy makes PutKeyPolicy fail, whatever else the policy names."""
    key = new_key(world)
    naming = document(allow("kms:*", Principal={"AWS": [HUB, f"arn:aws:iam::{DEV}:root"]}))

    allowed(_put(world, key, naming))
    world.accounts.closed.add(DEV)
    refused("MalformedPolicyDocumentException", _put(world, key, naming), "invalid principals")


def lockout(world: World) -> None:
    """A policy that locks its caller out is refused, unless the call skips this check."""
    key = new_key(world)
    away = document(allow("kms:*", Principal={"AWS": DEV}))

    refused("MalformedPolicyDocumentException", _put(world, key, away), "will not allow you to update")
    refused(
        "MalformedPolicyDocumentException", lambda: world.client("kms", HUB).create_key(Policy=json.dumps(away)), "will"
    )
    allowed(_put(world, key, away, BypassPolicyLockoutSafetyCheck=True))


def dead(world: World) -> None:
    """A role that is deleted and created again shows as an id, is not admitted, and blocks PutKeyPolicy."""
    _target_role(world)
    naming = document(allow("kms:*", Principal={"AWS": [HUB, TARGET]}))
    key = new_key(world, policy=json.dumps(naming))
    assert _may(world, "Decrypt", key)

    world.iam.roles.drop(TARGET)
    _target_role(world)
    shown = json.loads(world.client("kms", HUB).get_key_policy(KeyId=key)["Policy"])
    assert [name[:4] for name in shown["Statement"][0]["Principal"]["AWS"]] == [HUB[:4], "AROA"]
    assert not _may(world, "Decrypt", key)
    refused("MalformedPolicyDocumentException", _put(world, key, shown), "invalid principals")


def policy_late(world: World) -> None:
    """A policy's permissions take effect some seconds after PutKeyPolicy; its removals, too."""
    key = new_key(world)
    _target_role(world)
    world.kms.keys.policies.delay = (3, 3)
    both = document(allow("kms:*", Principal={"AWS": [HUB, DEV]}))

    allowed(_put(world, key, both))
    assert not _may(world, "Decrypt", key)
    wait(world, 4)
    assert _may(world, "Decrypt", key)


def policy_stale(world: World) -> None:
    """GetKeyPolicy shows the text that was put; injected, it shows the text before."""
    key = new_key(world)
    kms = world.client("kms", HUB)
    before = kms.get_key_policy(KeyId=key)["Policy"]
    wait(world, 60)
    text = json.dumps(document(allow("kms:*", Principal={"AWS": HUB})), indent=3)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=text)

    assert kms.get_key_policy(KeyId=key)["Policy"] == text
    world.injections.stale_reads("GetKeyPolicy", 1, 30)
    assert kms.get_key_policy(KeyId=key)["Policy"] == before


def managed(world: World) -> None:
    """aws/ebs works for its account's roles through EC2 only, and its policy cannot be changed."""
    key = world.client("kms", HUB).describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]
    idle = put_role(world, "idle")
    _target_role(world)

    assert _may(world, "Decrypt", key, idle)
    assert not _may(world, "Decrypt", key, TARGET)
    caller, *_ = world.accounts.issue(idle, "a-session")
    assert not world.kms.may_use(caller, "kms:Decrypt", key, via_service=f"s3.{HERE}.amazonaws.com")[0]
    text = json.dumps(document(allow("kms:*", Principal={"AWS": [HUB, DEV]})))
    put = world.client("kms", HUB).put_key_policy
    refused("AccessDeniedException", lambda: put(KeyId=key, PolicyName="default", Policy=text))


def late(world: World) -> None:
    """A grant is listed at once and takes effect later; with its token it works at once."""
    key = new_key(world)
    _target_role(world)
    world.kms.grants.delay = (200, 200)
    token = _grant(world, key)["GrantToken"]
    target = session(world, "kms", TARGET)

    assert len(_listed(world, key)) == 1
    assert not _may(world, "Decrypt", key)
    refused("AccessDeniedException", lambda: target.describe_key(KeyId=key))
    allowed(lambda: target.describe_key(KeyId=key, GrantTokens=[token]))
    wait(world, 201)
    assert _may(world, "Decrypt", key)


def lingers(world: World) -> None:
    """A revoked grant leaves the list at once and still works for a while."""
    key = new_key(world)
    _target_role(world)
    world.kms.grants.delay = (200, 200)
    grant = _grant(world, key)["GrantId"]
    wait(world, 201)

    world.client("kms", HUB).revoke_grant(KeyId=key, GrantId=grant)
    assert _listed(world, key) == []
    assert world.kms.open_grants() == []
    assert _may(world, "Decrypt", key)
    wait(world, 201)
    assert not _may(world, "Decrypt", key)


def named(world: World) -> None:
    """The same name and parameters return the same grant with a new token; anything else creates another grant."""
    key = new_key(world)
    _target_role(world)
    first, again = _grant(world, key, Name="d-1/g1"), _grant(world, key, Name="d-1/g1")

    assert first["GrantId"] == again["GrantId"]
    assert first["GrantToken"] != again["GrantToken"]
    assert _grant(world, key, Name="d-1/g1", Operations=["Decrypt"])["GrantId"] != first["GrantId"]
    assert _grant(world, key)["GrantId"] != _grant(world, key)["GrantId"]
    assert len(_listed(world, key)) == 4


def dying(world: World) -> None:
    """A name that is used again too soon returns the dying grant; later it creates a new one."""
    key = new_key(world)
    _target_role(world)
    world.kms.grants.delay = (60, 60)
    first = _grant(world, key, Name="d-1/g1")["GrantId"]
    world.client("kms", HUB).revoke_grant(KeyId=key, GrantId=first)

    assert _grant(world, key, Name="d-1/g1")["GrantId"] == first
    assert _listed(world, key) == []
    wait(world, 61)
    assert _grant(world, key, Name="d-1/g1")["GrantId"] != first


def grantee(world: World) -> None:
    """A grantee must exist; an unknown account is accepted, an organization is not."""
    key = new_key(world)

    refused("InvalidArnException", lambda: _grant(world, key))
    organization = f"arn:aws:organizations::{HUB}:organization/o-1"
    refused("InvalidArnException", lambda: _grant(world, key, GranteePrincipal=organization))
    allowed(lambda: _grant(world, key, GranteePrincipal=f"arn:aws:iam::{PROD}:root"))


def subset(world: World) -> None:
    """A grantee with CreateGrant grants on part of its operations, and no more."""
    key = new_key(world)
    _target_role(world)
    _grant(world, key)
    wait(world, LATEST)
    target = session(world, "kms", TARGET)
    child = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{PROD}:root"}

    refused("AccessDeniedException", lambda: target.create_grant(**child, Operations=["Decrypt", "Encrypt"]))
    allowed(lambda: target.create_grant(**child, Operations=["Decrypt"]))
    assert {grant["IssuingAccount"] for grant in _listed(world, key)} == {
        f"arn:aws:iam::{HUB}:root",
        f"arn:aws:iam::{DEV}:root",
    }


def pages(world: World) -> None:
    """ListGrants returns 50 a page, or 100 on request, never more."""
    key = new_key(world)
    for number in range(120):
        _grant(world, key, GranteePrincipal=f"arn:aws:iam::{DEV}:root", Name=f"n-{number}")
    kms = world.client("kms", HUB)

    assert len(_listed(world, key)) == 50
    refused("ValidationException", lambda: kms.list_grants(KeyId=key, Limit=101))
    first = kms.list_grants(KeyId=key, Limit=100)
    assert (len(first["Grants"]), first["Truncated"]) == (100, True)
    rest = kms.list_grants(KeyId=key, Limit=100, Marker=first["NextMarker"])
    assert (len(rest["Grants"]), rest["Truncated"]) == (20, False)


def filters(world: World) -> None:
    """ListGrants shows one grant, or one grantee's."""
    key = new_key(world)
    _target_role(world)
    mine = _grant(world, key)["GrantId"]
    _grant(world, key, GranteePrincipal=f"arn:aws:iam::{PROD}:root")

    assert [grant["GrantId"] for grant in _listed(world, key, GranteePrincipal=TARGET)] == [mine]
    assert [grant["GrantId"] for grant in _listed(world, key, GrantId=mine)] == [mine]


def gone(world: World) -> None:
    """A second revocation of a grant is refused."""
    key = new_key(world)
    _target_role(world)
    grant = _grant(world, key)["GrantId"]
    revoke = world.client("kms", HUB).revoke_grant

    allowed(lambda: revoke(KeyId=key, GrantId=grant))
    refused("NotFoundException", lambda: revoke(KeyId=key, GrantId=grant))


def disabled(world: World) -> None:
    """A disabled key allows DescribeKey only; so does one with a scheduled deletion."""
    key = new_key(world)
    user = put_role(world, "user", allow("kms:*"))
    _target_role(world)
    kms = world.client("kms", HUB)

    kms.disable_key(KeyId=key)
    assert allowed(lambda: kms.describe_key(KeyId=key))["KeyMetadata"]["KeyState"] == "Disabled"
    assert not _may(world, "Decrypt", key, user)
    refused("DisabledException", lambda: _grant(world, key))
    kms.enable_key(KeyId=key)
    assert _may(world, "Decrypt", key, user)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert not _may(world, "Decrypt", key, user)
    refused("KMSInvalidStateException", lambda: _grant(world, key))


def at_home(world: World) -> None:
    """Another account with full permissions in the key policy still cannot read or change that policy."""
    key = new_key(world, policy=json.dumps(document(allow("kms:*", Principal={"AWS": [HUB, DEV]}))))
    dev = world.client("kms", DEV)

    allowed(lambda: dev.list_grants(KeyId=key))
    refused("AccessDeniedException", lambda: dev.get_key_policy(KeyId=key), "another account")
    refused("AccessDeniedException", lambda: dev.disable_key(KeyId=key))


def for_services(world: World) -> None:
    """A role that may grant only for AWS resources grants through EC2, but not by a direct call."""
    key = new_key(world)
    _target_role(world, allow("kms:CreateGrant", Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}}))
    _grant(world, key)
    wait(world, LATEST)
    target = session(world, "kms", TARGET)

    assert _may(world, "CreateGrant", key)
    asked = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{PROD}:root", "Operations": ["Decrypt"]}
    refused("AccessDeniedException", lambda: target.create_grant(**asked), "no identity-based policy")


def retiring(world: World) -> None:
    """The retiring principal needs no policy; RetireGrant by policy works only for grants of the own account."""
    key = new_key(world)
    role = _target_role(world, allow("kms:ListGrants"))
    idle = put_role(world, "Idle", allow("kms:ListGrants"))
    delegate = put_role(world, "Delegate", allow("kms:RetireGrant"))
    mine, kept = _grant(world, key, RetiringPrincipal=TARGET), _grant(world, key)
    refused("AccessDeniedException", partial(_retire, world, idle, key, kept))
    refused("AccessDeniedException", partial(_retire, world, role, key, kept))
    _retire(world, role, key, mine)
    _retire(world, delegate, key, kept)
    assert _listed(world, key) == []

    dead = _grant(world, key, RetiringPrincipal=TARGET)
    world.iam.roles.drop(TARGET)
    refused("AccessDeniedException", partial(_retire, world, _target_role(world), key, dead))


def _retire(world: World, role: str, key: str, grant: dict[str, Any]) -> None:
    session(world, "kms", role).retire_grant(KeyId=key, GrantId=grant["GrantId"])


CHECKS = {
    access.KEY_SIDE.name: key_side,
    access.CALLER_SIDE.name: caller_side,
    access.GRANT_AT_HOME.name: grant_at_home,
    access.DELEGATED.name: delegated,
    access.CONSTRAINTS.name: constraints,
    access.SAME_ROLE.name: same_role,
    keys.OWN_ACCOUNT.name: own_account,
    policies.SIZE.name: policy_size,
    policies.PRINCIPALS.name: policy_principals,
    policies.CLOSED.name: closed,
    policies.LOCKOUT.name: lockout,
    policies.DEAD.name: dead,
    policies.LATE.name: policy_late,
    policies.STALE.name: policy_stale,
    keys.MANAGED.name: managed,
    grants.LATE.name: late,
    grants.LINGERS.name: lingers,
    grants.NAMED.name: named,
    grants.DYING.name: dying,
    grants.GRANTEE.name: grantee,
    grants.SUBSET.name: subset,
    grants.PAGES.name: pages,
    grants.FILTERS.name: filters,
    grants.GONE.name: gone,
    service.DISABLED.name: disabled,
    service.AT_HOME.name: at_home,
    service.FOR_SERVICES.name: for_services,
    service.RETIRING.name: retiring,
}
