"""The port ``Entitlements``: EC2, the applied file and Organizations say whether a share may be opened.

Neither the share's item nor the records of promotion and delivery decide it, nor the table of members (invariants 8 and
11). Only what EC2 does not know comes from records: the value last understood and the time of the last tag event (both
in the head), and the nonces of the hub's own copies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from chalicelib.engine import addresses, codec, schedule
from chalicelib.engine.errors import ParkRecord, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import IMAGE, SNAPSHOT, Arn, Place, Resource
from chalicelib.engine.ports import Records
from chalicelib.engine.waker import Clock
from chalicelib.images.arriving import ExaminedSource
from chalicelib.images.ports import Source, TagRead
from chalicelib.sharing.bounds import NOT_ADMITTED, Bounds
from chalicelib.sharing.entitlement import (
    HUB_COPY_CURE,
    NO_ENTITLEMENT,
    NOTHING_OPENED,
    SETTINGS_CHANGED,
    SOURCE_GONE,
    USELESS,
    Entitlement,
    end_in_force,
    entitlement,
    launched_by,
    source_gone,
)
from chalicelib.sharing.head import Head
from chalicelib.sharing.ports import MISSED, BegunDeliveries, Judgement
from chalicelib.sharing.share import Holding, Purpose, Share, ShareState
from chalicelib.targets import approvals
from chalicelib.targets.applied_file import AppliedFile, Target
from chalicelib.targets.approvals import Given
from chalicelib.targets.organization import is_brought
from chalicelib.targets.ports import Targets
from chalicelib.targets.withdrawals import covering
from chalicelib.targets.worker.live_members import LiveMembers

FRESH = 10
"""Seconds for which one read of an AMI serves all its resources."""
MOST_ASKED = 5
"""Most AMIs, or accounts of one AMI, that one look asks about for a share: each takes calls of its own.

Hundreds of AMIs may hold one grant, and hundreds of accounts a launch permission of their OU.
"""
STRANGER, NOT_NOW, NOT_SHOWN, NO_MEMBER = "not-entitled", "not-entitled-now", "not-shown-as-its-part", "not-a-member"
WITHOUT_UNITS = "without units"
LOOKS = 6
"""After so many looks, over five minutes, what EC2 does not show as a part of an AMI is none: a read may be partial."""
CURE = "See what the tag names (`ami-promoter status`) and what the applied targets file contains; then tag it again."


@dataclass(frozen=True, slots=True)
class Approved:
    """What is approved of one AMI. ``given``: approvals by "account/region"; ``sources``: what its deliveries bring."""

    given: Given = field(default_factory=dict)
    sources: Mapping[str, ExaminedSource] = field(default_factory=dict)


@dataclass(slots=True)
class _AskedOnce:
    """What one look has read, once for all its shares. ``without_units``: the file as if no unit had an account."""

    applied: AppliedFile
    without_units: AppliedFile
    shares: Sequence[Share]
    strangers: Collection[str]
    asked: dict[tuple[str, str], tuple[TagRead, Entitlement | Fault, Approved]] = field(default_factory=dict)
    """By AMI, and by the file that says who is entitled: its name is ``by`` of ``_why_not_by``."""
    owed: dict[str, Refusal] = field(default_factory=dict)
    """By AMI: why AWS did not answer."""
    unanswered: Refusal | None = None
    """The refusal of Organizations, which is not asked again in this look."""

    def throttled_for(self, share: Share) -> bool:
        """Whether Organizations throttles, and one of the accounts that hold a share comes from an OU."""
        throttled = self.unanswered is not None and self.unanswered.kind is RefusalKind.THROTTLED
        return throttled and any(is_brought(one.account, self.applied.directory.membership) for one in share.holdings)


@dataclass(eq=False)
class LiveEntitlements:
    """Reads the tag and the AMI's snapshots from EC2, and from the applied file whom the tag names."""

    records: Records
    deliveries: BegunDeliveries
    source: Source
    targets: Targets
    members: LiveMembers
    clock: Clock
    hub: Place
    bounds: Bounds = field(default_factory=Bounds)
    _reads: dict[str, tuple[int, TagRead]] = field(default_factory=dict, init=False)
    _keys: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict, init=False)
    _keys_read: set[tuple[str, ...]] = field(default_factory=set, init=False)
    _abroad: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict, init=False)

    def judge(self, shares: Sequence[Share], has_time: Callable[[], bool] = lambda: True) -> Judgement:
        """Return which shares may not be opened, and why. One entitled holding is enough for a share.

        One look asks about ``MOST_ASKED`` AMIs of a share. It refuses a share for good only if it has asked about all
        of them, and about each account whose answer could differ; and where AMIs are gone, only if the look before
        found the same. If AWS does not answer for one AMI, another AMI can still entitle the share.
        """
        applied = self.targets.read()
        held_by = (holding.account for share in shares for holding in share.holdings)
        look = _AskedOnce(applied, _without_units(applied), shares, applied.strangers(held_by))
        self._abroad, self._keys_read = {}, set()
        refused, waits, owed = dict[str, Fault](), dict[str, Fault](), dict[str, Refusal]()
        later = set[str]()
        for share in shares:
            if share is not shares[0] and (not has_time() or look.throttled_for(share)):
                later.add(share.share_name)
                continue
            whys = self._whys_not(look, share)
            if whys is None:
                continue
            why, for_good = _answer(share, whys)
            if isinstance(why, Refusal):
                owed[share.share_name] = why
            else:
                (refused if for_good else waits)[share.share_name] = why
        return Judgement(refused, waits, owed, frozenset(later))

    def _whys_not(self, look: _AskedOnce, share: Share) -> Mapping[Holding, Fault | Refusal] | None:
        """Return why the share may not be opened for each of the holdings in turn; None: it may, for one of them."""
        whys = dict[Holding, Fault | Refusal]()
        for holding in _asked_about(share):
            why = self._why_not(look, share, holding)
            if why is None:
                return None
            whys[holding] = why
        return whys

    def _why_not(self, look: _AskedOnce, share: Share, holding: Holding) -> Fault | Refusal | None:
        """Return why a share may not be opened for one of its holdings: a fault, or that AWS does not answer."""
        ami = holding.ami
        if ami in look.owed:
            return look.owed[ami]
        confirmed = self._confirmed(look, holding.account)
        if not isinstance(confirmed, Refusal):
            by = holding.account if confirmed is not look.applied else ""
            return self._why_not_by(look, confirmed, by, share, holding)
        if confirmed.kind is RefusalKind.THROTTLED:
            return confirmed
        if holding.account not in look.applied.directory.accounts:
            return confirmed.fault
        # The file lists the account by its id, too. Without Organizations it is entitled if two files say so: the one
        # without units, and the one as it is, by which units may block it.
        for file, by in ((look.applied, ""), (look.without_units, WITHOUT_UNITS)):
            why = self._why_not_by(look, file, by, share, holding)
            if why is not None:
                return why if isinstance(why, Refusal) else confirmed.fault
        return None

    def _why_not_by(
        self, look: _AskedOnce, applied: AppliedFile, by: str, share: Share, holding: Holding
    ) -> Fault | Refusal | None:
        """Judge by this file. ``by``: its name within the look; "": it is the one with the table of members."""
        ami = holding.ami
        of = ami, by
        try:
            if of not in look.asked:
                read, entitled = self._ask(ami, applied, opens=True)
                look.asked[of] = read, entitled, self._approvals(ami, look.shares, entitled)
            fault = self._fault(share, holding, *look.asked[of])
        except Refusal as refusal:
            look.owed[ami] = refusal
            return refusal
        if fault is not None and fault.code in (NOT_NOW, SOURCE_GONE) and holding.account in look.strangers:
            return _stranger(share, f"The applied targets file does not contain account {holding.account}.")
        return _no_member(share, holding) if fault is not None and fault.code == NOT_NOW and by else fault

    def _confirmed(self, look: _AskedOnce, account: str) -> AppliedFile | Refusal:
        """Return the applied file with an account's units as Organizations has them, or why it refuses to say that.

        A refusal is about the right to ask or about the rate: it counts for all accounts of a look that units bring.
        """
        if look.unanswered is None:
            try:
                return self.members.checked(look.applied, [account])
            except Refusal as refusal:
                look.unanswered = refusal
        return look.unanswered if is_brought(account, look.applied.directory.membership) else look.applied

    def now(self, ami: str, *, fresh: bool = False) -> tuple[TagRead, Entitlement | Fault]:
        """Return the AMI as read and who may get it now. ``fresh``: read the tag again."""
        if fresh:
            self._reads = {}
        return self._ask(ami, self.targets.read(), opens=True)

    def gone(self, ami: str, where: str) -> Fault | None:
        """Return the fault of an AMI that is gone or unusable, by one look: that is weak evidence. Raises Refusal."""
        read = self._read(ami)
        return None if _usable(read) else source_gone(where, ami, read.image_state if read.owned else None)

    def may_stay_until(self, shares: Sequence[Share]) -> Mapping[str, int]:
        """Return until when each standing share may stay, by the first of its holdings that may keep it.

        It first leaves out the holdings that the applied file alone ends, then asks about ``MOST_ASKED`` of the AMIs.
        That EC2 shows no tag or no AMI counts if an earlier look missed it, too, because one look is weak evidence.
        """
        now, applied = self.clock(), self.targets.read()
        is_over = cache(lambda account, place: _is_over(applied, account, place, now))
        keeps = cache(lambda ami: self._keeps(ami, applied))
        until: dict[str, int] = {}
        for share in shares:
            left = [one for one in share.holdings if one.stands and not is_over(one.account, one.place)]
            end = _end(share, left, keeps, now)
            if end is not None:
                until[share.share_name] = end
        return until

    def _keeps(self, ami: str, applied: AppliedFile) -> Entitlement | Fault | Refusal:
        try:
            return self._ask(ami, applied, opens=False)[1]
        except Refusal as refusal:
            return refusal

    def _ask(self, ami: str, applied: AppliedFile, *, opens: bool) -> tuple[TagRead, Entitlement | Fault]:
        """Return the AMI as read, and who is entitled to it.

        With a damaged head it is unknown whether a tag event has ended a withdrawal, and which value was understood
        last. Then the withdrawal counts for an opening (``opens``), and neither counts for a closing.
        """
        read = self._read(ami)
        head, tag = self._head(ami), read.value if _usable(read) else None
        counts = tag is not None and (opens or head is not None)
        withdrawals = self.targets.withdrawals(ami) if counts else ()
        if head is None and tag is not None and not opens:
            found = applied.judge(tag, in_force=False)
            if not found.understood:
                return read, found.waits or found.faults[0]
        head = head or Head()
        return read, entitlement(tag, head.value, applied, withdrawals, head.withdrawals_from)

    def _read(self, ami: str) -> TagRead:
        """Read the AMI, once for all its resources that this Lambda environment works on in turn."""
        at, read = self._reads.get(ami, (0, None))
        if read is None or self.clock() >= at + FRESH:
            read = self.source.tag(ami)
            self._reads = {ami: (self.clock(), read)}
        return read

    def _is_key_of(self, key: str, read: TagRead) -> bool:
        """Whether it is a key of the snapshots that an AMI has now. Keys never change, but a read may lack some.

        So if this one is missing, they are read again, once in a look.
        """
        snapshots = tuple(sorted(read.snapshots))
        if key not in self._keys.get(snapshots, ()) and snapshots not in self._keys_read:
            self._keys_read.add(snapshots)
            self._keys = {snapshots: self.source.keys(snapshots)}
        return key in self._keys.get(snapshots, ())

    def _head(self, ami: str) -> Head | None:
        """Return the promotion's head; None: it is damaged. Its value counts while the tag's own is not understood."""
        try:
            item = self.records.get(addresses.head(ami))
            return codec.decode(Head, codec.parsed_json(item["body"]), ami) if item else Head()
        except (KeyError, TypeError, ValueError, ParkRecord):
            return None

    def _fault(
        self, share: Share, holding: Holding, read: TagRead, entitled: Entitlement | Fault, approved: Approved
    ) -> Fault | None:
        """Return the first reason why a holding does not entitle the share, by what was read; None: it does."""
        if not _usable(read):
            where = f"{share.resource}, {share.account}"
            return source_gone(where, holding.ami, read.image_state if read.owned else None)
        if isinstance(entitled, Fault):
            return entitled
        place = holding.place
        standing = holding.purpose is Purpose.STANDING
        if not entitled.may_open(place, share.resource, share.share_name, self.clock(), standing=standing):
            if place in entitled.targets:
                return _other_settings(share, holding)
            withdrawn_by = covering(entitled.withdrawn, place)
            return entitled.blocked.get(holding.account) or _not_now(share, holding, withdrawn_by)
        if share.account != _receiver(entitled.targets[place], share.resource, standing=standing):
            return _stranger(share, f"It names another receiver than the target {place} of {holding.ami}.")
        if (outside := self.bounds.fault(share.resource, share.account)) is not None:
            return outside
        if not self._belongs(share.resource, holding, read):
            return self._no_part(share, holding)
        return self._not_approved(share, holding, entitled, approved)

    def _no_part(self, share: Share, holding: Holding) -> Fault:
        """Return the fault of what EC2 does not show as a part of an AMI. One look is enough where it lists all parts.

        DescribeSnapshots may leave one out for a moment.
        """
        it = share.on
        listed = it.kind == IMAGE or (it.kind == SNAPSHOT and not it.region)
        shown = share.waits_for is None or share.waits_for.code != NOT_SHOWN
        if listed or (not shown and share.tries >= LOOKS):
            stranger = _stranger(share, f"It is no part of {holding.ami}.")
            return replace(stranger, cure=HUB_COPY_CURE) if it.region else stranger
        what = f"Nothing is shared yet: EC2 does not show it as a part of {holding.ami}."
        cure = "The service looks again for five minutes; then see which snapshots and keys the AMI has."
        return Fault(NOT_SHOWN, f"{share.resource}, {share.account}", what, cure)

    def _approvals(self, ami: str, shares: Sequence[Share], entitled: Entitlement | Fault) -> Approved:
        """Read the approvals of an AMI that these shares need, together, and what the deliveries that need them bring.

        A delivery whose record cannot be read brings nothing that could be approved.
        """
        if isinstance(entitled, Fault):
            return Approved()
        held = {one.delivery: one.place for share in shares for one in share.holdings if one.ami == ami}
        needing = {
            delivery: place
            for delivery, place in held.items()
            if (target := entitled.targets.get(place)) is not None and approvals.needs(target)
        }
        if not needing:
            return Approved()
        given = self.targets.approvals(ami, sorted(set(needing.values())))
        waiting = [one for one, place in needing.items() if place in given]
        return Approved(given, self.deliveries.sources(ami, waiting))

    def _not_approved(self, share: Share, holding: Holding, entitled: Entitlement, approved: Approved) -> Fault | None:
        """Return the fault of a missing approval, if the target needs one; what records say of it does not count."""
        place = holding.place
        target = entitled.targets[place]
        if not approvals.needs(target):
            return None
        source = approved.sources.get(holding.delivery)
        wanted = "" if source is None else approvals.digest_of(holding.ami, source, entitled.value, target)
        where = f"{share.resource}, {share.account}"
        return approvals.lacking(holding.ami, where, approved.given.get(place, ()), wanted, self.clock())

    def _belongs(self, resource: str, holding: Holding, read: TagRead) -> bool:
        """Whether the resource is the AMI, one of its snapshots, their key, or the target's own key."""
        it = Resource.parse(resource)
        if it.on_own_key:
            return True
        if it.kind == IMAGE:
            return it.name == holding.ami
        if it.kind == SNAPSHOT and not it.region:
            return it.name in read.snapshots
        region = it.region or Arn.parse(it.arn).region
        if it.arn and region == self.hub.region:
            return self._is_key_of(it.arn, read)
        if (holding.ami, resource) not in self._abroad:  # once for all shares of a batch
            self._abroad[holding.ami, resource] = self._copies(holding.ami, region, "" if it.arn else it.name)
        proven = self._abroad[holding.ami, resource]
        return it.name in (set(proven.values()) if it.arn else proven)

    def _copies(self, ami: str, region: str, snapshot: str) -> Mapping[str, str]:
        """Return the hub's own copies of an AMI's snapshots in another Region, and their keys; of one, if it is given.

        Their ids are on record in the hub's delivery there, or they belong to the AMI that an operator has accepted.
        ``snapshot`` may also have a nonce that is open on that record. Other tags prove nothing.
        """
        made = self.deliveries.made(addresses.delivery_id(self.hub.account, ami, self.hub.account, region))
        own = made.ids | (self.source.snapshots_of(made.accepted, region) if made.accepted else frozenset())
        copies = self.source.copies(ami, region, {snapshot} if snapshot else own)
        return {one: copy.key for one, copy in copies.items() if one in own or copy.attempt in made.nonces}


def _without_units(applied: AppliedFile) -> AppliedFile:
    """Return the file as if no unit had an account: whom it lists by id needs no answer of Organizations."""
    membership = applied.directory.membership
    emptied = replace(membership, units={name: replace(unit, accounts=()) for name, unit in membership.units.items()})
    return AppliedFile(replace(applied.directory, membership=emptied), applied.digest, applied.fault)


def _is_over(applied: AppliedFile, account: str, place: str, now: int) -> bool:
    """Whether the file no longer gives a target ("account/region") anything, of any AMI."""
    resolution = applied.resolve(account, in_force=True)
    return resolution.understood and not end_in_force(resolution.until(place), now)


def _in_turn(holdings: Collection[Holding], tries: int, of: Callable[[Holding], Hashable]) -> list[Holding]:
    """Return the holdings that this look asks about, by what they are ``of``; the next try asks about the next ones."""
    each = sorted({of(holding) for holding in holdings}, key=str)
    start = tries * MOST_ASKED % len(each) if len(each) > MOST_ASKED else 0
    turn = {*[*each[start:], *each[:start]][:MOST_ASKED]}
    return sorted((holding for holding in holdings if of(holding) in turn), key=str)


def _asked_about(share: Share) -> list[Holding]:
    """Return the holdings that this look asks about: some in turn, and one of each AMI if the AMIs are few."""
    some = _in_turn(share.holdings, share.tries, lambda holding: (holding.ami, holding.account))
    of_each = {holding.ami: holding for holding in sorted(share.holdings, key=str)}
    if len(of_each) > MOST_ASKED:
        return some
    met = {holding.ami for holding in some}
    return [*some, *(holding for ami, holding in of_each.items() if ami not in met)]


def _answer(share: Share, whys: Mapping[Holding, Fault | Refusal]) -> tuple[Fault | Refusal, bool]:
    """Return why a share that no holding entitles may not be opened, and whether a fault is for good."""
    refusals = [why for why in whys.values() if isinstance(why, Refusal)]
    patient = [refusal for refusal in refusals if refusal.kind is not RefusalKind.DENIED]
    lasting = _all_last(share, whys)
    if patient or (refusals and lasting):
        return (patient or refusals)[0], False
    faults = [*(one.fault for one in refusals), *(why for why in whys.values() if isinstance(why, Fault))]
    gone = [fault for fault in faults if fault.code == SOURCE_GONE]
    if lasting and gone:
        fault = _all_gone(gone)
        return fault, share.waits_for == fault and not _was_opened(share)
    return (faults[0] if faults else _stranger(share, "No delivery holds it.")), lasting


def _end(
    share: Share, holdings: Collection[Holding], keeps: Callable[[str], Entitlement | Fault | Refusal], now: int
) -> int | None:
    """Return until when a share may stay by the first of these holdings that may keep it; None: it is not known.

    ``keeps``: who may keep an AMI.
    """
    some = _in_turn(holdings, share.tries, lambda holding: holding.ami)
    known, missed = len(some) == len(holdings), False
    second = 0 < share.missed_since <= now - schedule.SECOND_LOOK_AFTER
    for holding in some:
        entitled = keeps(holding.ami)
        if not isinstance(entitled, Entitlement):
            known = False
        elif entitled is NO_ENTITLEMENT and not second:
            missed = True
        elif entitled.may_keep(holding.place, share.resource, share.share_name, now):
            return entitled.end(holding.place, now)
    if not known:
        return None
    return MISSED if missed else 0


def _all_last(share: Share, whys: Mapping[Holding, Fault | Refusal]) -> bool:
    """Whether no later look will differ, also for the holdings that had no turn.

    Of the faults that last, only ``STRANGER`` may be of one account: the others are of an AMI, or of the receiver.
    """
    settled = {holding.ami for holding, why in whys.items() if isinstance(why, Refusal) or why.code != STRANGER}
    left = share.holdings - whys.keys()
    return all(map(_lasts, whys.values())) and all(holding.ami in settled for holding in left)


def _lasts(why: Fault | Refusal) -> bool:
    """Whether asking again will not change it."""
    lasting = (STRANGER, NOT_ADMITTED, SOURCE_GONE)
    return why.kind is RefusalKind.DENIED if isinstance(why, Refusal) else why.code in lasting


def _usable(read: TagRead) -> bool:
    return read.owned and read.image_state is not None and read.image_state not in USELESS


def _all_gone(gone: Sequence[Fault]) -> Fault:
    """Return one fault of all AMIs of a share that are gone; two looks that find the same have equal ones."""
    whats = sorted({fault.what.removesuffix(NOTHING_OPENED) for fault in gone})
    return replace(gone[0], what=" ".join(whats) + NOTHING_OPENED)


def _was_opened(share: Share) -> bool:
    """Whether it may be open for copies that run, which do not need the AMI: its snapshots may be there."""
    return share.state in (ShareState.OPEN, ShareState.OPENING) and share.opened_at is not None


def _receiver(target: Target, resource: str, *, standing: bool) -> str:
    """Return the receiver of a target's share: its account; for a standing launch permission possibly its unit."""
    return launched_by(target) if standing and Resource.parse(resource).kind == IMAGE else target.account


def _stranger(share: Share, what: str) -> Fault:
    return Fault(STRANGER, f"{share.resource}, {share.account}", f"Nothing is shared. {what}", CURE)


def _other_settings(share: Share, holding: Holding) -> Fault:
    what = f"Nothing is shared: by the applied targets file, {holding.place} does not have this share of {holding.ami}."
    cure = "The service begins the delivery again with the settings of the file as it is now."
    return Fault(SETTINGS_CHANGED, f"{share.resource}, {share.account}", what, cure)


def _not_now(share: Share, holding: Holding, withdrawn_by: str | None) -> Fault:
    where = f"{share.resource}, {share.account}"
    if withdrawn_by is not None:
        what = f"Nothing is shared: it was withdrawn from {holding.ami} by {withdrawn_by}."
        return Fault(NOT_NOW, where, what, f"`ami-promoter withdraw {holding.ami} --lift` ends that.")
    what = f"Nothing is shared yet: by the applied targets file the tag of {holding.ami} does not name it now."
    return Fault(NOT_NOW, where, what, CURE)


def _no_member(share: Share, holding: Holding) -> Fault:
    """Return the fault of an account that the table of members has in an OU, and Organizations does not."""
    what = (
        f"Nothing is shared yet: AWS Organizations itself does not show account {holding.account} as ACTIVE in the OUs "
        f"by which the tag of {holding.ami} names it."
    )
    cure = (
        "If it has just joined or left, or `ami-promoter targets members` shows that it waits to be accepted, the "
        "service asks again. If not, somebody has written the table of members: see "
        "docs/explanation/security.md#what-an-attacker-could-do."
    )
    return Fault(NO_MEMBER, f"{share.resource}, {share.account}", what, cure)
