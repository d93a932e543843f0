"""What each role of the service must be allowed on a key, and whether a key's policy allows it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.hub import policies
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.images.keys import KeyFacts

THROUGH_EC2 = {"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}}
FOR_AWS = {"Bool": {"kms:GrantIsForAWSResource": "true"}}


@dataclass(frozen=True, slots=True)
class Need:
    """The actions that one role (its name) needs, and the narrowest condition under which they work."""

    sid: str
    role: str
    actions: tuple[str, ...]
    condition: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def target_needs(role: str) -> tuple[Need, ...]:
    """Return what the copy role in a target needs on the key that encrypts the copies."""
    use = (
        "kms:Decrypt",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
    )
    return (
        Need("AmiPromoterLooksAtTheKey", role, ("kms:DescribeKey",)),
        Need("AmiPromoterEncryptsThroughEc2", role, use, THROUGH_EC2),
        Need("AmiPromoterLetsEbsUseTheKey", role, ("kms:CreateGrant",), {**FOR_AWS, **THROUGH_EC2}),
    )


def launch_needs(role: str) -> tuple[Need, ...]:
    """Return what the launch role in a target needs on that key, and on another that its AMIs are encrypted under."""
    use = ("kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo")
    return (
        Need("AmiPromoterLooksAtTheKeyToLaunch", role, ("kms:DescribeKey",)),
        Need("AmiPromoterLaunchesThroughEc2", role, use, THROUGH_EC2),
        Need("AmiPromoterLetsEbsUseTheKeyToLaunch", role, ("kms:CreateGrant",), {**FOR_AWS, **THROUGH_EC2}),
    )


def hub_needs(region: str, access: Collection[str] = ("grant",)) -> tuple[Need, ...]:
    """Return what the hub's functions need on the key that encrypts the source.

    ``access``: the ``key_access`` of targets; with ``none`` the key's owner opens it, and the service only reads it.
    """
    worker, share_worker = (f"ami-promoter-{region}-{name}" for name in ("worker", "share-worker"))
    grants, policy = ("kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"), ("kms:GetKeyPolicy", "kms:PutKeyPolicy")
    opens = {
        "grant": Need("AmiPromoterOpensAndClosesTheKey", share_worker, grants),
        "policy": Need("AmiPromoterChangesTheKeysPolicy", share_worker, policy),
    }
    look = Need("AmiPromoterLooksAtTheKey", worker, ("kms:DescribeKey",))
    return (look, *(need for name, need in opens.items() if name in access))


def grant_needs(role: str) -> tuple[Need, ...]:
    """Return what the grant role in a target needs on the account's own key."""
    return (Need("AmiPromoterLetsServicesUseTheKey", role, ("kms:CreateGrant", "kms:ListGrants")),)


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """Whether the policy allows one action (``verdict``), and which statement decides (``by``)."""

    need: Need
    action: str
    verdict: str
    by: str
    held_back: str = ""
    """If the action is missing: a statement that would allow it under a condition, and that condition."""

    @property
    def lacks(self) -> bool:
        """Whether the policy certainly does not allow the action."""
        return self.verdict in (policies.MISSING, policies.DENIED)


def asked(need: Need, document: Mapping[str, Any], key: str) -> Iterator[KeyAnswer]:
    """Judge each action of a need by a key's policy. ``key``: its ARN; the role is in the key's account."""
    owner = Arn.parse(key)
    iam = Arn(owner.partition, "iam", "", owner.account)
    for action in need.actions:
        request = policies.Request(
            action=action,
            principals=(f"{iam}role/{need.role}", f"{iam}root", owner.account),
            context={
                "aws:PrincipalArn": f"{iam}role/{need.role}",
                "aws:PrincipalAccount": owner.account,
                "kms:CallerAccount": owner.account,
                **({"kms:ViaService": f"ec2.{owner.region}.amazonaws.com"} if "StringLike" in need.condition else {}),
                **({"kms:GrantIsForAWSResource": "true"} if "Bool" in need.condition else {}),
            },
        )
        verdict, sid = policies.judge(document, request)
        held = policies.held_back(document, request) if verdict == policies.MISSING else ""
        yield KeyAnswer(need, action, verdict, f"({sid})" if sid else "", held)


def unfit(key: KeyFacts, account: str) -> Iterator[Fault]:
    """Yield why the service cannot use a key, whatever its policy says. ``account``: the one that must own the key."""
    if key.account != account:
        cure = "Use credentials of the account that owns the key; no other can read its policy."
        yield Fault("key-foreign", key.arn, f"it belongs to account {key.account}, not {account}.", cure)
    if key.manager == "AWS":
        what = "AWS manages it: what is encrypted under it cannot be shared, and its policy cannot be changed."
        yield Fault("key-aws-managed", key.arn, what, "Make a customer managed key: `aws kms create-key`.")
    if key.spec != "SYMMETRIC_DEFAULT" or key.usage != "ENCRYPT_DECRYPT":
        what = f"it is {key.spec} for {key.usage}; EBS works with symmetric encryption keys only."
        yield Fault("key-not-symmetric", key.arn, what, "Make one with the defaults of `aws kms create-key`.")
    if not key.enabled or key.state != "Enabled":
        enable = f"aws kms enable-key --region {Arn.parse(key.arn).region} --key-id {key.arn}"
        cure = f"Enable it: `{enable}`, after cancel-key-deletion if its deletion is scheduled."
        yield Fault("key-not-enabled", key.arn, f"it is in state {key.state}.", cure)
