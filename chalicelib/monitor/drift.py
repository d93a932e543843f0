"""Whether the ledger accounts for the permissions, grants and statements that AWS shows on one resource.

A permission without a share is foreign; with the service's name, it is the service's without a record. A permission
that the ledger calls open and held, and that AWS does not show, has vanished. Both take two looks: see ``DriftPlace``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from chalicelib.engine import addresses, schedule
from chalicelib.engine.places import account_of
from chalicelib.monitor.trail_actions import PUBLIC, admitted, is_outside, share_of, statements_of
from chalicelib.monitor.verdicts import ActionVerdict, MonitorFinding
from chalicelib.sharing import holders, key_policy
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.shown import ShownAccess, shares_of

EVERY = schedule.DAY
"""From the beginning of a pass to that of the next one."""
AGAIN = 15 * schedule.MINUTE
"""From the last doubt of a pass to the second looks. Grants show within five minutes."""
CALL = "drift audit"
"""Stands in a finding where the access monitor's findings name a call."""
ROOM_FOR_DOUBTS = 200_000
"""Most characters of doubts, as one item stores them; a finding beyond that needs no second look."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the service knows of a resource, read after AWS. ``region`` is the hub's.

    ``settled``: the applied file has been in force for so long that what it no longer names must be closed.
    """

    hub: str
    region: str
    shares: Sequence[Share] = ()
    """The ledger's shares of this resource."""
    strangers: frozenset[str] = frozenset()
    """The receivers that the applied file does not list."""
    settled: bool = True
    may_derive: frozenset[str] = frozenset()
    """Accounts to which the key is open, so that they may make grants of their own."""


def findings(shown: Collection[ShownAccess], this: Situation) -> tuple[MonitorFinding, ...]:
    """Return the differences: at most one finding for each verdict, with all its receivers."""
    found: dict[ActionVerdict, MonitorFinding] = {}
    known = shares_of(shown, this.shares, this.region)
    for one in [*_of_what_shows(known, this), *_vanished(known, this)]:
        before = found.get(one.verdict)
        receivers = (*(before.receivers if before else ()), *one.receivers)
        found[one.verdict] = MonitorFinding(one.verdict, one.why, tuple(dict.fromkeys(receivers)))
    return tuple(found[verdict] for verdict in ActionVerdict if verdict in found)


def _of_what_shows(known: Mapping[ShownAccess, Sequence[Share]], this: Situation) -> Iterator[MonitorFinding]:
    for one, shares in known.items():
        if not is_outside(one.receiver, this.hub) and (account_of(one.receiver) or one.receiver not in this.strangers):
            continue
        accounts_for = [share for share in shares if holders.needed(share)]
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
    """Judge access of the ledger to an account that the file does not list: an attacker could write the ledger."""
    if all(share.preexisting for share in known):
        why = "It was open before the service came, and the applied targets file does not list the receiver."
        return MonitorFinding(ActionVerdict.STRANGER, why, (one.receiver,))
    why = "The ledger says that the service opened it, but the applied targets file does not list the receiver."
    return MonitorFinding(ActionVerdict.NO_INTENT, why, (one.receiver,))


def _vanished(known: Mapping[ShownAccess, Sequence[Share]], this: Situation) -> Iterator[MonitorFinding]:
    showing = {(share.resource, share.share_name) for shares in known.values() for share in shares}
    for share in this.shares:
        needed = share.state is ShareState.OPEN and share.holdings and not share.preexisting
        if needed and (share.resource, share.share_name) not in showing:
            why = "The ledger says that it is open and needed, and AWS does not show it."
            yield MonitorFinding(ActionVerdict.VANISHED, why, (share.account,))


# --- what AWS shows --------------------------------------------------------------------------------------------------


def of_policy(key: str, text: str, hub: str, region: str, siblings: Collection[str] = ()) -> tuple[ShownAccess, ...]:
    """Return the access that a key's policy gives: by the service's statements, and by all others.

    ``siblings``: the Regions of the account's other hubs.
    """
    resource, hub_sid = addresses.policy_resource(key).pk, key_policy.hub_sid(hub, region)
    theirs = [key_policy.hub_sid(hub, one) for one in siblings]
    found: dict[ShownAccess, None] = {}
    others: dict[bool, list[Any]] = {False: [], True: []}
    for one in statements_of(text):
        statement = one if isinstance(one, dict) else {}
        if share := share_of(statement, hub_sid):
            found[ShownAccess(share.account, resource, str(share), own=True)] = None
        else:
            others[any(share_of(statement, sibling) for sibling in theirs)].append(one)
    for sibling, statements in others.items():
        for receiver in admitted(statements):
            found[ShownAccess(receiver, resource, sibling=sibling)] = None
    return tuple(found)


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
    """The object of one look: a snapshot, an AMI, a key's policy, or one account's grants on a key.

    A finding is a doubt at first, and counts for the receivers of whom a second look says the same ``AGAIN`` later. By
    then late reads have become true, and what was being opened or closed is done.
    """

    part: str
    resource: str
    """Id of a snapshot or AMI, or ARN of a key."""
    account: str = ""
    """The account whose grants it is about; "" for the other kinds."""

    @property
    def name(self) -> str:
        """Its name within the part."""
        return f"{self.resource} {self.account}".rstrip()

    def __str__(self) -> str:
        return f"{self.part} {self.name}"

    @classmethod
    def read(cls, text: str) -> DriftPlace:
        """Read a place from its text."""
        return cls(*(*text.split(" "), "", "")[:3])


Doubt = Mapping[str, tuple[str, ...]]
"""The verdicts of a place's first look -> their receivers."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How far a pass has come. Times are epoch seconds; ``part`` "": the pass has ended.

    ``first_at``: when the audit ran for the first time; ``ended_at``: when the last whole pass ended.
    """

    first_at: int
    began_at: int
    ended_at: int = 0
    part: str = ""
    page: str = ""
    """EC2's token of the page of snapshots or AMIs that is being looked at; "": the first one."""
    after: str = ""
    """The last name of that page, or of another part, that was looked at."""
    keys: tuple[str, ...] = ()
    """ARNs of the hub's keys under which the pages before have snapshots."""
    asked_of: str = ""
    """The place, and the digest of the applied file, for which Organizations was asked about accounts; "": none."""
    asked: str = ""
    """The last account about which it was asked."""
    outside: tuple[str, ...] = ()
    """Those of the accounts up to that one that the applied file does not list."""
    not_seen: int = 0
    doubted_at: int = 0
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    """Each doubtful place, as text, with its doubt."""
    version: int = 0
    """For the item's conditional write."""


def confirmed(found: Sequence[MonitorFinding], doubt: Doubt) -> Iterator[MonitorFinding]:
    """Yield the findings of a second look, with the receivers of whom the first one said the same."""
    for one in found:
        before = frozenset(doubt.get(one.verdict, ()))
        if both := tuple(receiver for receiver in one.receivers if receiver in before):
            yield replace(one, receivers=both)
