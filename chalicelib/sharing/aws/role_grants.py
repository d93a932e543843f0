"""The permission adapter for grants to service-linked roles, which must be made from the target's account.

The policies of such a role cannot be changed, so Auto Scaling's documentation has the role's account make a grant
[aws-facts 3, VERIFIED], also on a key of another account, whose owner has admitted that account. The hub lists and
revokes grants on its own keys. On the target's own key the grant role is the retiring principal of its grants and
retires them, so it needs no right to revoke other grants there [KMS developer guide: retiring and revoking grants].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.engine.aws.refusals import code_of, gone
from chalicelib.engine.aws.sessions import Sessions, session_policy
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn, last_part
from chalicelib.sharing import service_roles
from chalicelib.sharing.aws.grants import GRANT_GONE, NO_SUCH_ROLE, KeyGrants
from chalicelib.sharing.key_policy import FOR_ROLES
from chalicelib.sharing.share import Share
from chalicelib.targets.applied_file import grant_role
from chalicelib.targets.ports import Targets

DENIED = ("AccessDeniedException", "AccessDenied")


class RoleGrants(KeyGrants):
    """The port ``PermissionAdapter`` for ``resource#role#<arn>#<account>``: one named grant per role and opening."""

    def __init__(self, sessions: Sessions, targets: Targets, hub: str, region: str) -> None:
        super().__init__(sessions, f"account {hub} (hub), {region}", region)
        self._targets = targets
        self._hub = hub

    def open(self, shares: Sequence[Share]) -> Mapping[str, str]:
        try:
            return super().open(shares)
        except Refusal as refusal:
            raise _explained(shares[0], refusal) from refusal.__cause__

    def _issuer(self, share: Share) -> Any:
        """Return a client of the target's grant role, in the key's Region."""
        role, external_id = self._role(share)
        policy = policy_for_role(share.on.arn, share.account, share.grantee)
        region = Arn.parse(share.on.arn).region
        return self._sessions.assumed("kms", region, role, external_id, "ami-promoter-service-roles", policy)

    def _role(self, share: Share) -> tuple[str, str]:
        """Return the grant role's ARN and its external id, as the applied file has them now."""
        live = self._targets.live(share.account)
        if live is None:
            raise Refusal(RefusalKind.ROLE, _left(share))
        copies_with, external_id = live
        partition = Arn.parse(share.on.arn).partition
        return str(Arn(partition, "iam", "", share.account, f"role/{grant_role(copies_with)}")), external_id

    def _owner(self, share: Share) -> Any:
        """Return the hub's own client for the hub's keys, the grant role's for the target's own."""
        return self._issuer(share) if share.on.on_own_key else super()._owner(share)

    def _retiring(self, share: Share) -> Mapping[str, str]:
        """On the target's own key: the role that makes the grant."""
        return {"RetiringPrincipal": self._role(share)[0]} if share.on.on_own_key else {}

    def _end(self, share: Share, grant_id: str) -> None:
        """Retire it on the target's own key. A role that was created again may not retire it [aws-facts 3]."""
        if not share.on.on_own_key:
            super()._end(share, grant_id)
            return
        key = share.on.arn
        try:
            with self._sessions.as_refusal("RetireGrant", f"account {share.account}, {key}"), gone(*GRANT_GONE):
                self._owner(share).retire_grant(KeyId=key, GrantId=grant_id)
        except Refusal as refusal:
            if code_of(refusal) not in DENIED or refusal.kind is RefusalKind.ROLE:
                raise
            raise Refusal(RefusalKind.DENIED, _not_retired(share, key, grant_id, refusal.fault)) from refusal.__cause__

    def _name(self, share: Share) -> str:
        """Name the hub too on a target's own key, where several hubs may make the same grant: a name is one grant."""
        name = super()._name(share)
        return f"{name}:{self._hub}" if share.on.on_own_key else name

    def _is_named(self, share: Share, name: str) -> bool:
        """See above; another hub's grant on a target's own key is not this one's."""
        theirs = share.on.on_own_key and not name.endswith(f":{self._hub}")
        return not theirs and super()._is_named(share, name)


def _explained(share: Share, refusal: Refusal) -> Refusal:
    """Say which role in which account was to get which right on which key, and what to do."""
    where = f"account {share.account}, {Arn.parse(share.on.arn).region}"
    code = code_of(refusal)
    if code == NO_SUCH_ROLE:
        return Refusal(RefusalKind.NOT_YET, service_roles.missing(where, share.share_name))
    if code in DENIED and refusal.kind is not RefusalKind.ROLE:
        # New access becomes effective late; on the target's own key no access is new.
        why = RefusalKind.DENIED if share.on.on_own_key else RefusalKind.NOT_YET
        return Refusal(why, _not_granted(where, share, refusal.fault))
    return refusal


def _not_granted(where: str, share: Share, refused: Fault) -> Fault:
    name = last_part(share.share_name)
    hubs = "the key, which the hub opens (key_access in the targets file),"
    let_in = "the key's policy there" if share.on.on_own_key else hubs
    return Fault(
        "service-linked-role-not-granted",
        where,
        f"{name} gets no grant on {share.on.arn}, because the grant role there lacks kms:CreateGrant on it. "
        f"{refused.what}",
        f"Deploy this version's deploy/target.yaml there (with SourceKeyArns that name the hub's key, or empty), "
        f"and see that {let_in} lets the account in, and that no service control policy denies it; "
        "then tag the AMI again.",
    )


def _not_retired(share: Share, key: str, grant_id: str, refused: Fault) -> Fault:
    name = last_part(share.share_name)
    return Fault(
        "grant-not-retired",
        f"account {share.account}",
        f"The grant of {name} on {key} stays: the grant role there may not retire it, perhaps because it was deleted "
        f"and created again. {refused.what}",
        f"Revoke it there (aws kms revoke-grant --key-id {key} --grant-id {grant_id}); the service then finds it gone.",
    )


def _left(share: Share) -> Fault:
    what = "The applied targets file no longer contains this account, so its role is not known."
    cure = "Add it to the file and apply it; or revoke the grant there by hand (docs/reference/settings.md says how)."
    return Fault("target-dropped", f"account {share.account}", what, cure)


def policy_for_role(key_arn: str, account: str, grantee: str) -> str:
    """Return the session policy for grants on one key to one service-linked role (ARN) of an account.

    On the account's own key the session can list and retire them; on the hub's key, the hub revokes them. The grant
    role needs no permission to retire grants of which it is the retiring principal; that the session policy must allow
    it is an assumption (docs/explanation/assumptions.md).
    """
    condition = {
        "StringEquals": {"kms:GranteePrincipal": grantee},
        "ForAllValues:StringEquals": {"kms:GrantOperations": list(FOR_ROLES)},
    }
    create = {"Effect": "Allow", "Action": "kms:CreateGrant", "Resource": key_arn, "Condition": condition}
    statements: list[dict[str, Any]] = [create]
    if Arn.parse(key_arn).account == account:
        statements.append({"Effect": "Allow", "Action": ["kms:ListGrants", "kms:RetireGrant"], "Resource": key_arn})
    return session_policy(*statements)
