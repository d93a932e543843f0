"""The drift audit: compares every snapshot, AMI, key policy and grant of the hub with the ledger, once a day.

The access monitor judges events. The audit looks at what is open, so it also finds permissions that are older than the
monitor or that no event reported. It changes no permission: it notifies people, and wakes the share worker to close the
service's own.

If there is no time to ask Organizations about all accounts of a place, the next run goes on with the next one of them.

A run takes at most ``PER_RUN`` looks, so that EC2 does not throttle the share worker. It writes its place after each
slice, and after a crash the next run looks at that slice again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget, TimeLeft, slices
from chalicelib.engine.errors import Refusal, RefusalKind, StaleCursor
from chalicelib.engine.places import Resource, account_of
from chalicelib.engine.ports import Notices, Telemetry, WakeQueues
from chalicelib.engine.stored import compact
from chalicelib.engine.waker import Clock
from chalicelib.monitor import drift, verdicts
from chalicelib.monitor.drift import Doubt, DriftPlace, Pass, PassPart, Situation
from chalicelib.monitor.ports import DriftFindings, HubAccess, HubPage
from chalicelib.monitor.trail_actions import PUBLIC
from chalicelib.monitor.verdicts import ActionVerdict, MonitorFinding
from chalicelib.sharing import holders
from chalicelib.sharing.ports import Ledger
from chalicelib.sharing.share import Share
from chalicelib.sharing.shown import ShownAccess, of_grant
from chalicelib.targets.applied_file import AppliedFile
from chalicelib.targets.ports import Targets
from chalicelib.targets.worker.live_members import LiveMembers

PER_RUN = 300
"""Most looks of one run. EC2 allows 20 such calls a second [aws-facts 6, VERIFIED]; a run is every five minutes."""
GRANTS_PER_RUN = 10 * PER_RUN
"""Most looks of one run at an account's grants: they do not call EC2, and one list of a key's grants serves all."""
SLICE = 20
"""Looks after which the audit writes its place."""
ASKED = 100
"""Accounts about which the audit asks Organizations before it counts them as done."""
CALLS = 8
"""Calls of one look: what AWS shows, up to three reads of the ledger, and publishing a finding."""
SETTLED = schedule.HOUR
"""Seconds after which everything that a new applied file takes away is closed."""
NOT_LISTED = "~"
"""Stands for an account if AWS does not list a key's grants; sorts after all account ids."""

Step = tuple[DriftPlace, Doubt | None]
"""A place and the doubt of its first look; None: this is the first look."""


class _Unfinished(Exception):
    """AWS throttles, or time is up: the next run continues here, or at ``this``, if the look was begun."""

    def __init__(self, this: Pass | None = None) -> None:
        super().__init__()
        self.this = this


@dataclass(eq=False)
class DriftAudit:
    """Runs the audit."""

    access: HubAccess
    ledger: Ledger
    applied: Targets
    members: LiveMembers
    findings: DriftFindings
    notices: Notices
    wakes: WakeQueues
    clock: Clock
    telemetry: Telemetry
    hub: str
    region: str
    learning: int
    """For so many seconds after its first run the audit sends no page."""
    siblings: frozenset[str]
    """Regions of this account's other hubs."""
    _grants: tuple[str, Mapping[str, Sequence[ShownAccess]]] = field(default=("", {}), init=False)
    _page: HubPage = field(default=HubPage(), init=False)
    _budget: Budget = field(default_factory=lambda: Budget(lambda: 0), init=False)

    def run(self, *, time_left: TimeLeft) -> None:
        """Begin a pass if one is due, or continue the last one."""
        now = self.clock()
        this = self.findings.read() or Pass(first_at=now, began_at=now - drift.EVERY)
        if not this.part and now >= this.began_at + drift.EVERY:
            this = Pass(this.first_at, now, this.ended_at, PassPart.SNAPSHOTS, version=this.version)
        looked, budget = 0, Budget(time_left)
        if this.part:
            applied = self.applied.read()
            if applied.fault is not None and applied.fault.code != "no-targets-applied":
                # Without the file every account would be a stranger.
                self.telemetry.not_done("drift-audit", applied.fault.what)
                return
            try:
                this, looked = self._go_on(this, applied, budget)
            except Refusal as refusal:
                self.telemetry.not_done("drift-audit", f"{refusal.fault.where}: {refusal.fault.what}")
        self.telemetry.audited(looked, this.not_seen, now - (this.ended_at or this.first_at))

    def _go_on(self, this: Pass, applied: AppliedFile, budget: Budget) -> tuple[Pass, int]:
        """Look at place after place. Returns the pass with its new place, and the number of looks."""
        self._grants, self._budget = ("", {}), budget
        looked, steps = 0, self._steps(this, applied)
        while this.part and not self._waits(this) and (not looked or budget.allows(CALLS)):
            if looked >= (GRANTS_PER_RUN if this.part == PassPart.GRANTS else PER_RUN):
                break
            try:
                step = next(steps, None)
                if step is None:
                    this = self._next(this)
                    steps = self._steps(this, applied)
                    continue
                this = self._step(this, step, applied)
            except StaleCursor as stale:
                self.telemetry.not_done("drift-audit", stale.fault.what)
                this = replace(this, page="", after="")
                break
            except _Unfinished as unfinished:
                this = unfinished.this or this
                break
            looked += 1
            if looked % SLICE == 0:
                written = self.findings.save(this)
                if written is None:
                    return this, looked  # another run is working on this pass
                this = written
        self.findings.save(this)
        return this, looked

    def _next(self, this: Pass) -> Pass:
        """Return the pass at its next page, or at its next part."""
        theirs = {key for key in self._page.keys if account_of(key) == self.hub}
        this = replace(this, page=self._page.token, after="", keys=tuple(sorted({*this.keys, *theirs})))
        parts = [*PassPart, ""]
        if not this.page:
            this = replace(this, part=parts[parts.index(this.part) + 1])
        return this if this.part else replace(this, doubts={}, keys=(), ended_at=self.clock())

    def _waits(self, this: Pass) -> bool:
        """Whether only the second looks are left, and these are not due yet."""
        early = self.clock() < this.doubted_at + drift.AGAIN
        return this.part == PassPart.DOUBTS and bool(this.doubts) and early

    # --- which places ------------------------------------------------------------------------------------------------

    def _steps(self, this: Pass, applied: AppliedFile) -> Iterator[Step]:
        """Yield the places of a part, or of a page of it, in order, after the last one that was looked at."""
        self._page = HubPage()
        if this.part == PassPart.DOUBTS:
            doubts = sorted(this.doubts.items())
            yield from ((DriftPlace.read(text), verdicts) for text, verdicts in doubts if text > this.after)
        elif this.part:
            names = self._names(this, applied)
            yield from ((DriftPlace.read(f"{this.part} {name}"), None) for name in names if name > this.after)

    def _names(self, this: Pass, applied: AppliedFile) -> Iterator[str]:
        part = PassPart(this.part)
        if part in (PassPart.SNAPSHOTS, PassPart.IMAGES):
            self._page = self.access.page(part, this.page)
            yield from sorted(self._page.names)
        elif part is PassPart.POLICIES:
            yield from this.keys
        else:
            units = applied.directory.membership.units.values()
            everybody = {*applied.directory.accounts, *(account for unit in units for account in unit.accounts)}
            for key in this.keys:
                if f"{key} {NOT_LISTED}" > this.after:
                    yield from (f"{key} {one}" for one in self._granted_to(key, everybody))

    def _granted_to(self, key: str, everybody: set[str]) -> Sequence[str]:
        """Return the accounts whose grants to look at; only NOT_LISTED if AWS refuses the list: its look says why."""
        try:
            return sorted(everybody | self._granted(key).keys())
        except Refusal as refusal:
            if refusal.kind is RefusalKind.THROTTLED:
                raise _Unfinished from refusal
            return [NOT_LISTED]

    def _granted(self, key: str) -> Mapping[str, Sequence[ShownAccess]]:
        """List the grants on a key by the account that each admits, once for all accounts. May raise Refusal.

        A key has at most 50,000 grants [KMS quotas]: 500 pages, which take half a minute of a run's four.
        """
        if self._grants[0] != key:
            found: dict[str, list[ShownAccess]] = defaultdict(list)
            page, marker = self.access.grants(key, "")
            while True:
                for one in page:
                    shown = of_grant(key, one, self.hub, self.region, self.siblings)
                    if account := account_of(shown.receiver):  # else all that it names was deleted: it admits nobody
                        found[account].append(shown)
                if not marker:
                    break
                if not self._budget.allows(CALLS):
                    raise _Unfinished  # part of a list proves nothing: the next run lists from the start
                page, marker = self.access.grants(key, marker)
            self._grants = (key, found)
        return self._grants[1]

    # --- one place ---------------------------------------------------------------------------------------------------

    def _step(self, this: Pass, step: Step, applied: AppliedFile) -> Pass:
        """Look at one place. A finding of a first look is only a doubt; it is published if the second look agrees."""
        place, before = step
        after = str(place) if before is not None else place.name
        begun = this
        this = replace(this, after=after, asked_of="", asked="", outside=())
        try:
            found = self._look(begun, place, applied)
        except Refusal as refusal:
            if refusal.kind is RefusalKind.THROTTLED:
                raise _Unfinished from refusal
            self.telemetry.not_done("drift-audit", f"{place}: {refusal.fault.what}")
            return replace(this, not_seen=this.not_seen + 1)
        doubts = {**this.doubts, str(place): {one.verdict.value: one.receivers for one in found}}
        if before is None and found and len(compact(doubts)) <= drift.ROOM_FOR_DOUBTS:
            return replace(this, doubts=doubts, doubted_at=self.clock())
        for one in found if before is None else drift.confirmed(found, before):
            self._conclude(place, one, learning=self.clock() < this.first_at + self.learning)
        return this

    def _look(self, begun: Pass, place: DriftPlace, applied: AppliedFile) -> Sequence[MonitorFinding]:
        """Read what AWS shows, and then the ledger: an intent is written before its call, so it is never missed.

        ``begun``: the pass, with the accounts about which an earlier run has asked: of this place under this file, or
        of another, as that is gone, this one is new, or another file was applied.
        """
        of = f"{place} {applied.digest}"
        begun = begun if begun.asked_of == of else replace(begun, asked_of=of, asked="", outside=())
        shown = self._shown(place)
        if shown is None:
            return ()
        shares = [share for home in self._homes(place) for share in self.ledger.shares(home.pk)]
        if not shown and not shares:
            return ()
        this = Situation(
            self.hub,
            self.region,
            shares,
            self._strangers(begun, {one.receiver for one in shown}, applied),
            settled=self.clock() >= self.applied.applied_at() + SETTLED,
            may_derive=self._may_derive(place, shares),
        )
        return drift.findings(shown, this)

    def _strangers(self, this: Pass, receivers: set[str], applied: AppliedFile) -> frozenset[str]:
        """Return the receivers that the applied file does not list, with the units as Organizations says.

        It asks about the accounts in order, after those that ``this`` has.
        """
        asked = verdicts.accounts_and_units(receivers, applied)
        checked = self.members.checked(applied, [one for one in asked if ":organizations:" in one])
        accounts = [one for one in asked if ":organizations:" not in one and one > this.asked]
        for some in slices(accounts, ASKED):
            try:
                theirs = self.members.checked(applied, some, self._budget.allows)
            except Refusal as refusal:
                if refusal.kind is RefusalKind.THROTTLED:
                    raise _Unfinished(this) from refusal
                raise
            outside = verdicts.strangers(some, theirs) - {PUBLIC}
            this = replace(this, asked=some[-1], outside=(*this.outside, *sorted(outside)))
        known = frozenset(this.outside)
        return verdicts.strangers(receivers, checked) | {one for one in receivers if account_of(one) in known}

    def _shown(self, place: DriftPlace) -> Sequence[ShownAccess] | None:
        """Return the access that AWS shows there; None: the resource is gone."""
        if place.account:
            return self._granted(place.resource).get(place.account, ())
        if place.resource.startswith("arn:"):
            text = self.access.policy(place.resource)
            hubs = self.hub, self.region, self.siblings
            return None if text is None else drift.of_policy(place.resource, text, *hubs)
        receivers = self.access.receivers(place.resource)
        home = self._homes(place)[0].pk
        return None if receivers is None else [ShownAccess(one, home, one) for one in sorted(receivers)]

    def _may_derive(self, place: DriftPlace, shares: Sequence[Share]) -> frozenset[str]:
        """Return the place's account if a share on the key is open to it, by grant or policy: it may grant further."""
        if not place.account:
            return frozenset()
        policy = self.ledger.shares(addresses.policy_resource(place.resource).pk)
        theirs = [*shares, *(share for share in policy if share.account == place.account)]
        return frozenset({place.account} if any(map(holders.needed, theirs)) else ())

    def _homes(self, place: DriftPlace) -> Sequence[RecordKey]:
        """Return the ledger's partitions of a place."""
        name, account = place.resource, place.account
        if account:
            return addresses.key_resource(name, account), addresses.role_resource(name, account)
        if name.startswith("arn:"):
            return (addresses.policy_resource(name),)
        return (RecordKey(str(Resource.of(name))),)

    # --- what follows ------------------------------------------------------------------------------------------------

    def _conclude(self, place: DriftPlace, finding: MonitorFinding, *, learning: bool) -> None:
        """Publish a finding once for as long as it persists; wake the share worker if the service must close it."""
        findings, now = self.findings, self.clock()
        about = addresses.digest(str(place), finding.verdict, *sorted(finding.receivers))
        if finding.verdict is ActionVerdict.NO_INTENT:
            self._wake(place, now)
        if not findings.was_notified(about, now):
            severity = verdicts.severity(finding, learning=learning)
            said = verdicts.said(finding, now, drift.CALL, self.region)
            findings.keep(place, said, now)
            of = (self.hub, self.region), place.resource, CURES[finding.verdict]
            self.notices.publish(verdicts.notice(said, severity, about, *of, learning=learning))
            self.telemetry.finding(severity, finding.verdict, place.resource)
        findings.notified(about, now)

    def _wake(self, place: DriftPlace, now: int) -> None:
        """Wake the share worker and the grant audit, which revokes a grant without a share; both need a record."""
        looks = [*self._homes(place), *([addresses.grants_on(place.resource)] if place.account else [])]
        self.wakes.wake_all([(key, f"drift:{now}") for key in looks])


CURES = {
    ActionVerdict.NO_INTENT: "Find who opened it in CloudTrail; `ami-promoter admin reconcile --apply` closes what is "
    "the service's own: docs/operations/runbook.md#accesspagealarm.",
    ActionVerdict.STRANGER: "Find who opened it in CloudTrail; if it was not intended, remove the permission: "
    "docs/operations/runbook.md#accesspagealarm.",
    ActionVerdict.VANISHED: "Find who removed it in CloudTrail; `ami-promoter status AMI` shows what fails: "
    "docs/operations/runbook.md#accesswarningalarm.",
    ActionVerdict.LISTED: "Nothing, if it was intended. The service neither needs nor closes it.",
}
