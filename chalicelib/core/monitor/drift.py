"""Whether the ledger accounts for what AWS shows: permissions, grants and statements, one resource at a time.

The access monitor judges calls; this module judges states. A permission that is in no share is foreign or, if it has
the service's name, the service's without a record. A permission that the ledger calls open and held, and that AWS does
not show, has vanished. One look proves neither, because both sides change and reads are late: see ``DriftPlace``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chalicelib.core.monitor.judging import ActionVerdict, MonitorFinding
from chalicelib.core.monitor.trail_actions import PUBLIC, account_of, admitted
from chalicelib.core.records import addresses, schedule
from chalicelib.core.sharing import grant_names, holders, key_policy
from chalicelib.core.sharing.share import Share, ShareState

EVERY = schedule.DAY
"""A pass begins so long after the one before began."""
AGAIN = 15 * schedule.MINUTE
"""Time after the last doubt of a pass until the doubtful places are read again. Grants show within five minutes."""
CALL = "drift audit"
"""Used in place of the call that a finding of the access monitor names."""
DOUBTS = 500
"""At most this many places are read twice; findings beyond that count at once. One item stores them."""


@dataclass(frozen=True, slots=True)
class ShownAccess:
    """One thing that AWS shows open. ``receiver``: account id, ARN or PUBLIC."""

    receiver: str
    resource: str
    """The ledger's partition that would account for it."""
    name: str = ""
    """Of a grant its name, of a statement of the service the share's ``share_name``."""
    grant: str = ""
    """Id of the grant."""
    own: bool = False
    """It has the service's name."""
    sibling: bool = False
    """It has the name of the account's hub in another Region, which audits its own."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known besides what AWS shows, read after it. ``region`` is the hub's.

    ``settled``: the applied file has been in force for so long that what it took away must be closed.
    """

    hub: str
    region: str
    shares: Sequence[Share] = ()
    """The ledger's, of every partition that could account for something here."""
    strangers: frozenset[str] = frozenset()
    """The receivers that the applied file does not list."""
    settled: bool = True
    may_derive: frozenset[str] = frozenset()
    """Accounts that may make grants of their own, as something on the key is open to them."""


def findings(shown: Collection[ShownAccess], this: Situation) -> tuple[MonitorFinding, ...]:
    """Return the differences: at most one finding for each verdict, with all its receivers."""
    found: dict[ActionVerdict, MonitorFinding] = {}
    for one in [*_of_what_shows(shown, this), *_vanished(shown, this)]:
        before = found.get(one.verdict)
        receivers = (*(before.receivers if before else ()), *one.receivers)
        found[one.verdict] = MonitorFinding(one.verdict, one.why, tuple(dict.fromkeys(receivers)))
    return tuple(found[verdict] for verdict in ActionVerdict if verdict in found)


def _of_what_shows(shown: Collection[ShownAccess], this: Situation) -> Iterator[MonitorFinding]:
    for one in shown:
        if one.receiver != PUBLIC and _at_home(one.receiver, this.hub):
            continue
        accounts_for = [share for share in this.shares if holders.needed(share) and is_of(one, share, this.region)]
        if accounts_for:
            if one.receiver in this.strangers and this.settled:
                yield _open_to_a_stranger(one, accounts_for)
        elif one.own:
            why = "It has the service's name, and the ledger does not know it as open."
            yield MonitorFinding(ActionVerdict.NO_INTENT, why, (one.receiver,))
        elif one.receiver == PUBLIC:
            yield MonitorFinding(ActionVerdict.STRANGER, "It is open to everybody.", (PUBLIC,))
        elif one.receiver in this.strangers:
            why = "It is open, and the applied targets file does not list the receiver."
            yield MonitorFinding(ActionVerdict.STRANGER, why, (one.receiver,))
        elif not one.sibling and account_of(one.receiver) not in this.may_derive:
            why = "It is open to a listed account, and the service did not open it."
            yield MonitorFinding(ActionVerdict.LISTED, why, (one.receiver,))


def _open_to_a_stranger(one: ShownAccess, known: Sequence[Share]) -> MonitorFinding:
    """Who can write the ledger could put a stranger into it. So the applied file decides, which no function writes."""
    if all(share.preexisting for share in known):
        why = "It was open before the service came, and the applied targets file does not list the receiver."
        return MonitorFinding(ActionVerdict.STRANGER, why, (one.receiver,))
    why = "The ledger says that the service opened it, but the applied targets file does not list the receiver."
    return MonitorFinding(ActionVerdict.NO_INTENT, why, (one.receiver,))


def _vanished(shown: Collection[ShownAccess], this: Situation) -> Iterator[MonitorFinding]:
    for share in this.shares:
        needed = share.state is ShareState.OPEN and share.holdings and not share.preexisting
        if needed and not any(is_of(one, share, this.region) for one in shown):
            why = "The ledger says that it is open and needed, and AWS does not show it."
            yield MonitorFinding(ActionVerdict.VANISHED, why, (share.account,))


def is_of(one: ShownAccess, share: Share, region: str) -> bool:
    """Whether what shows is the permission of a share."""
    if one.resource != share.resource:
        return False
    if grant_names.nameless(share.resource):
        return one.receiver == share.account
    if not one.grant:
        return one.name == share.share_name
    return grant_names.is_grant_for(share, one.grant, one.name, region)


def _at_home(receiver: str, hub: str) -> bool:
    """Whether a receiver is of the hub's own account, or an AWS service."""
    return ":organizations:" not in receiver and account_of(receiver) in ("", hub)


# --- what AWS shows --------------------------------------------------------------------------------------------------


def of_permissions(resource: str, receivers: Collection[str]) -> tuple[ShownAccess, ...]:
    """Return what a snapshot's or an AMI's attribute shows."""
    return tuple(ShownAccess(receiver, resource) for receiver in sorted(receivers))


def of_policy(key: str, text: str, hub: str, region: str) -> tuple[ShownAccess, ...]:
    """Return whom a key's policy lets in: by the service's statements, each a share's, and by all others."""
    resource, hub_sid = addresses.policy_resource(key).pk, key_policy.hub_sid(hub, region)
    try:
        stated = json.loads(text)["Statement"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    found: dict[ShownAccess, None] = {}
    others: dict[bool, list[Any]] = {False: [], True: []}
    for one in stated if isinstance(stated, list) else [stated]:
        sid = str(one.get("Sid", "")) if isinstance(one, dict) else ""
        if name := key_policy.share_named(sid, hub_sid):
            found[ShownAccess(name.partition("-")[0], resource, name, own=True)] = None
        else:
            others[key_policy.is_siblings(sid, hub)].append(one)
    for sibling, statements in others.items():
        for receiver in admitted(json.dumps({"Statement": statements})):
            found[ShownAccess(receiver, resource, sibling=sibling)] = None
    return tuple(found)


def of_grant(key: str, grant: str, name: str, grantee: str, issuer: str, region: str) -> ShownAccess:
    """Return whom a grant lets in: its grantee; where that is an AWS service or is gone, who issued it."""
    receiver = grantee if account_of(grantee) else issuer
    account, own = account_of(receiver), grant_names.is_grant_of(name, region)
    of_roles = own and grant_names.ROLE_PATH in grantee
    resource = addresses.role_resource(key, account) if of_roles else addresses.key_resource(key, account)
    sibling = name.startswith(grant_names.GRANT_PREFIX) and not own
    return ShownAccess(receiver, resource.pk, name, grant, own=own, sibling=sibling)


# --- a pass ----------------------------------------------------------------------------------------------------------


class PassPart(StrEnum):
    """The parts of a pass, in order."""

    SNAPSHOTS = "snapshots"
    IMAGES = "images"
    POLICIES = "policies"
    GRANTS = "grants"
    DOUBTS = "doubts"


@dataclass(frozen=True, slots=True)
class DriftPlace:
    """What one look is at: a snapshot, an AMI, a key's policy, or one account's grants on a key.

    A finding there is a doubt at first. It counts if a second look, ``AGAIN`` later, has the same verdict: between the
    two every late read has become true, and everything that was just being opened or closed is.
    """

    part: str
    name: str
    """Id of a snapshot or AMI, ARN of a key, or "KEY-ARN ACCOUNT"."""

    @property
    def resource(self) -> str:
        """What a finding there is kept by: an id, or a key's ARN."""
        return self.name.partition(" ")[0]

    @property
    def account(self) -> str:
        """Whose grants; "" elsewhere."""
        return self.name.partition(" ")[2]

    def __str__(self) -> str:
        return f"{self.part} {self.name}"

    @classmethod
    def read(cls, text: str) -> DriftPlace:
        """Read one as it was written."""
        part, _, name = text.partition(" ")
        return cls(part, name)


@dataclass(frozen=True, slots=True)
class Pass:
    """How far a pass has come. Times are epoch seconds; ``part`` "": the pass has ended.

    ``first_at``: when the audit ran for the first time; ``ended_at``: when the last whole pass ended.
    """

    first_at: int
    began_at: int
    ended_at: int = 0
    part: str = ""
    after: str = ""
    """The last name of the part that was looked at."""
    looks: int = 0
    not_seen: int = 0
    doubted_at: int = 0
    doubts: Mapping[str, tuple[ActionVerdict, ...]] = field(default_factory=dict)
    """Each doubtful place, as text, with the verdicts of its first look."""
    version: int = 0
    """Of the item, for its conditional write."""
