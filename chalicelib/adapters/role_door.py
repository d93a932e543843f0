"""The door for service-linked roles: a grant on a key, made from the target's account, for a role of a service there.

The policies of such a role cannot be changed, so Auto Scaling's documentation lets somebody in its account make a grant
[aws-facts 3, VERIFIED], also on a key of another account, whose owner has let that account in. Who lists and revokes
it is the key's owner: the hub, or the target where the key is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.adapters.doors import LAUNCH_OPERATIONS, GrantDoor
from chalicelib.adapters.refusals import STALE_CREDENTIALS, code_of
from chalicelib.adapters.session_policies import policy_for_role
from chalicelib.adapters.sessions import Sessions
from chalicelib.core import addresses, preflight
from chalicelib.core.addresses import key_of
from chalicelib.core.delivery.events import Why
from chalicelib.core.errors import Refusal
from chalicelib.core.faults import Fault
from chalicelib.core.share import Share
from chalicelib.ports import Targets

NO_SUCH_ROLE = "InvalidArnException"
"""Also for a role that was made moments ago; the two cannot be told apart [aws-facts, VERIFIED]."""
DENIED = ("AccessDeniedException", "AccessDenied")


class RoleDoor(GrantDoor):
    """The port ``Door`` for ``resource#role#<arn>#<account>``: one named grant per role and opening."""

    def __init__(self, sessions: Sessions, targets: Targets, hub: str, region: str) -> None:
        super().__init__(sessions, f"account {hub} (hub), {region}", region, LAUNCH_OPERATIONS)
        self._targets = targets
        self._hub = hub

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        with _placed(self._sessions, resource, shares):
            return super().showing(resource, shares)

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        with _placed(self._sessions, resource, shares, opening=True):
            return super().open(resource, shares)

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        with _placed(self._sessions, resource, shares):
            super().close(resource, shares)

    def _issuer(self, resource: str, share: Share) -> Any:
        """Return a client of the target's role, in the key's Region."""
        key = key_of(resource)
        _, partition, _, region, *_ = key.split(":")
        live = self._targets.live(share.account)
        if live is None:
            raise Refusal(Why.ROLE, _left(share))
        role, external_id = live
        return self._sessions.assumed(
            "kms",
            region,
            f"arn:{partition}:iam::{share.account}:role/{role}",
            external_id,
            "ami-promoter-service-roles",
            policy_for_role(key, share.account, share.grantee),
        )

    def _owner(self, resource: str, share: Share) -> Any:
        """Return the hub's own client for the hub's keys, the target's role's for its own."""
        return self._issuer(resource, share) if addresses.at_home(resource) else super()._owner(resource, share)

    def _name(self, resource: str, share: Share) -> str:
        """Name the hub too on a target's own key, where several hubs may make the same grant: a name is one grant."""
        name = super()._name(resource, share)
        return f"{name}:{self._hub}" if addresses.at_home(resource) else name


class _placed:  # noqa: N801 - reads as a word in a with statement
    """Says of a refusal inside which role in which account was to get which right on which key, and what to do."""

    def __init__(self, sessions: Sessions, resource: str, shares: Sequence[Share], *, opening: bool = False) -> None:
        self._sessions = sessions
        self._resource = resource
        self._share = shares[0]
        self._opening = opening

    def __enter__(self) -> None:
        """Enter; nothing to do."""

    def __exit__(self, kind: object, error: object, _trace: object) -> None:
        """Raise a refusal in the words of this door instead of one in AWS's; any other error goes on as it is."""
        if not isinstance(error, Refusal):
            return
        code = code_of(error)
        if code in STALE_CREDENTIALS:
            self._sessions.forget()
        if self._opening and code == NO_SUCH_ROLE:
            raise Refusal(Why.NOT_YET, preflight.role_missing(self._where, self._share.holder_key)) from error.__cause__
        if self._opening and code in DENIED and error.why is not Why.ROLE:
            # What is let in anew becomes true late; on the target's own key nothing is let in anew.
            why = Why.DENIED if addresses.at_home(self._resource) else Why.NOT_YET
            raise Refusal(why, self._not_granted(error.fault)) from error.__cause__

    @property
    def _where(self) -> str:
        region = key_of(self._resource).split(":")[3]
        return f"account {self._share.account}, {region}"

    def _not_granted(self, refused: Fault) -> Fault:
        name = self._share.holder_key.rpartition("/")[2]
        own = addresses.at_home(self._resource)
        let_in = "the key's policy there" if own else "the key, which the hub opens (key_access in the targets file),"
        return Fault(
            "service-linked-role-not-granted",
            self._where,
            f"{name} gets no grant on {key_of(self._resource)}, as the target's role lacks kms:CreateGrant on it. "
            f"{refused.what}",
            f"Deploy this version's deploy/target.yaml there (with SourceKeyArns that name the hub's key, or empty), "
            f"and see that {let_in} lets the account in, and that no service control policy denies it; "
            "then tag the AMI again.",
        )


def _left(share: Share) -> Fault:
    return Fault(
        "target-dropped",
        f"account {share.account}",
        "The applied targets file does not contain this account any longer, so its role is not known.",
        "Add it to the file and apply it; or revoke the grant there by hand (docs/targets.md says how).",
    )
