"""The share worker: opens and closes the shares of one resource, for all deliveries that hold them.

Deliveries write their holdings into the ledger and wake the resource. The share worker closes first, so that revoking
never waits for openings. It works in slices: it asks for the time left before each call, writes results after each
slice, and the next run continues there.

It reads the shares once in each round. A delivery that holds or releases a share meanwhile writes the ledger and then
makes the resource's record due. So the conditional write of that record fails, and another round reads them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget, TimeLeft
from chalicelib.engine.calls import TakeCalls
from chalicelib.engine.errors import LostRace, ParkRecord, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import ROLE, Arn, Resource
from chalicelib.engine.ports import Records, Stored, Telemetry, Write
from chalicelib.engine.waker import Waker, new_resource
from chalicelib.sharing import account_access, grant_names, holders, machine, outstanding, share
from chalicelib.sharing.ports import MISSED, Entitlements, Judgement, Ledger, PermissionAdapter, ShareWaiters
from chalicelib.sharing.share import OPEN_STATES, Share, ShareState
from chalicelib.sharing.worker import grant_audit, refused_accounts
from chalicelib.sharing.worker.resource_shares import WRITTEN_AT_ONCE, ResourceShares
from chalicelib.sharing.worker.share_batches import CALLS_FOR_MANY, Act, in_batches

ROUNDS = 6
"""Most rounds of one run, if deliveries write meanwhile; after the last it sends itself a wake."""
ONE_BY_ONE = 10
"""Shares in a slice, if each takes a call of its own, as a grant does."""
CALLS_TO_ASK = 5
"""Reads that say who is entitled to one AMI: applied file, members, AMI, snapshots, and the promotion's head."""
FOR_ASKING = 0.6
"""The part of the time left for asking who is entitled."""
FOR_INTENTS = 0.4
"""The part of the time left for writing intents; the rest is for the calls and their results."""

NOT_GONE = "The permission was removed, and shows, or it is too early to say that it does not."
"""Why a share is still to be closed though AWS refuses nothing."""

LATELY = 30 * schedule.MINUTE
"""The access monitor judges a call ten minutes later by what was open a quarter of an hour before the call."""


@dataclass(eq=False)
class ShareWorker:
    """Works on one resource at a time. ``adapters``: by kind, the word after ``resource#``, such as ``snapshot``."""

    records: Records
    ledger: Ledger
    adapters: Mapping[str, PermissionAdapter]
    entitlements: Entitlements
    waiters: ShareWaiters
    waker: Waker
    telemetry: Telemetry
    take_calls: TakeCalls = tuple
    """Belongs to the adapters."""

    def run(self, key: RecordKey, *, time_left: TimeLeft) -> None:
        """Open and close shares, wake their holders, and write when to look again."""
        budget = Budget(time_left)
        try:
            to_wake, archived_at = dict[str, int](), dict[str, int]()
            for _ in range(ROUNDS):
                stored, shares = self._begin(key)
                if stored is None:
                    return
                adapter = self.adapters[Resource.parse(key.pk).kind]
                by_name = {s.share_name: s for s in shares}
                these = ResourceShares(self.ledger, self.waker.clock, key.pk, adapter, by_name, to_wake, archived_at)
                done = self._work(these, budget)
                now = self.waker.clock()
                oldest = holders.oldest_open(these.shares, now)
                if oldest is not None:
                    self.telemetry.open_shares(oldest)
                due = outstanding.due_at(these.shares, now) if done else now
                body = {"resource": key.pk, **_archived_lately(key, stored.body, archived_at, now)}
                write = Write(key, "open", body, due, _latest(these.shares))
                saved = self.records.save(stored, write, (), now)
                if not done or not budget.allows():
                    break
                if saved:
                    return
            self.waker.send(key, f"more:{self.waker.clock()}")
        except LostRace:
            self.waker.send(key, f"raced:{self.waker.clock()}")

    def _begin(self, key: RecordKey) -> tuple[Stored | None, Sequence[Share]]:
        """Read the resource's record and its shares. If it cannot be read, or is parked, write it again first.

        What is open or wanted is in the shares' own items, so no removal waits for a person.
        """
        try:
            stored, shares = self.ledger.with_record(key)
            if stored is None or not stored.parked:
                return stored, shares
            why = stored.parked
        except ParkRecord as error:
            why = str(error)
        self.records.replace(new_resource(key.pk, self.waker.clock()), self.waker.clock())
        self.telemetry.repaired(key, f"The resource's record was written again. {why}")
        return self.ledger.with_record(key)

    def _work(self, these: ResourceShares, budget: Budget) -> bool:
        """Do slice after slice, at least one; True: nothing is left to be done now."""
        first = True
        while (step := self._next(these, budget)) is not None:
            if not first and not budget.allows(CALLS_FOR_MANY):
                return False
            step()
            first = False
        return True

    def _next(self, these: ResourceShares, budget: Budget) -> Callable[[], None] | None:
        """Return the next slice: first closings, then wakes, openings, looks at what is open, the archive."""
        now = self.waker.clock()
        size = these.adapter.batch if these.adapter.batch > 1 else ONE_BY_ONE
        if closing := outstanding.to_close(these.shares, now):
            return lambda: self._close(these, closing[:size], budget)
        if ended := outstanding.to_end(these.shares, now):
            why = ((s, machine.ShareRefused(machine.ended_unopened(s))) for s in ended[:WRITTEN_AT_ONCE])
            over = [machine.evolve(s, refused, now) for s, refused in why]
            return lambda: these.add_to_wake(these.save(over, "its end came before it was opened"))
        if these.to_wake:
            return lambda: self.waiters.wake(these.to_wake, these.shares)
        if opening := outstanding.to_open(these.shares, now):
            return lambda: self._open(these, opening[:size], budget)
        if looked_at := outstanding.to_look_at(these.shares, now):
            return lambda: self._look_again(these, looked_at[:size], budget)
        if left := outstanding.to_archive(these.shares, now):
            return lambda: these.archive(left[:WRITTEN_AT_ONCE])
        return None

    # --- opening -----------------------------------------------------------------------------------------------------

    def _open(self, these: ResourceShares, opening: Sequence[Share], budget: Budget) -> None:
        """Ask who is entitled, look what is preexisting, write the intent, open, write the result."""
        try:
            opening = self._entitled(these, opening, budget)
            fresh = [s for s in opening if s.state not in (ShareState.OPENING, ShareState.CLOSING)]
            seen = self._not_own(these, fresh)
        except Refusal as refusal:
            what = f"not opened: {refusal.fault.what}"
            these.add_to_wake(these.save_some((self._with_refusal(s, refusal) for s in opening), what, budget))
            return
        now = self.waker.clock()
        doubtful = [s for s in fresh if s.share_name in seen and machine.doubtful(s, now)]
        doubts = {s.share_name: machine.evolve(s, machine.SeenBefore(), now) for s in doubtful}
        happened = "the permission shows before it was asked for: to be looked at again"
        these.save_some(doubts.values(), happened, budget)
        sure = [s for s in opening if s.share_name not in doubts]
        begun = [s for s in sure if s.state is ShareState.OPENING]
        these.add_unanswered(begun)
        begun += these.save_some(
            (
                machine.evolve(s, machine.OpeningIntended(seen=s.share_name in seen), now)
                for s in sure
                if s.state is not ShareState.OPENING
            ),
            "opening is intended",
            budget.part(FOR_INTENTS),
        )
        results = [machine.evolve(s, machine.ShareOpened(), now) for s in begun if s.preexisting]
        to_ask = [s for s in begun if not s.preexisting]
        opened = self._with_calls(these, lambda some: self._opened(these, some, budget))
        results += in_batches(these.adapter, to_ask, opened, self._with_refusal, budget)
        saved = these.save_results(results, "opening was tried", budget)
        these.add_to_wake(saved)
        for s in saved:
            what = "opened" if s.state is ShareState.OPEN else "not opened"
            self.telemetry.share(these.resource, s.account, what, preexisting=s.preexisting, grant=s.grant_id)

    def _look_again(self, these: ResourceShares, some: Sequence[Share], budget: Budget) -> None:
        """Look whether AWS still shows what another delivery relies on, and begin again with what no longer shows.

        A share of which AWS refuses the look counts as open.
        """
        looked = in_batches(these.adapter, some, partial(self._looked_at, these), self._not_looked_at, budget)
        there = [s for s in looked if s.state is ShareState.OPEN]
        these.save_some(there, "another delivery has come to hold it", budget)
        gone = [s for s in looked if s.state is not ShareState.OPEN]
        these.save_some(gone, "the permission no longer shows: it is to be opened again", budget)

    def _not_looked_at(self, s: Share, _refusal: Refusal) -> Share:
        return machine.evolve(s, machine.LookedAfter(showing=True), self.waker.clock())

    def _not_own(self, these: ResourceShares, fresh: Sequence[Share]) -> frozenset[str]:
        """Return the names of shares whose permissions show, though the service has not opened them.

        What the Recycle Bin restored with its snapshot or AMI is the service's own, unless the service has opened and
        closed it since: what the archive says is older than that.
        """
        if not fresh or not grant_names.nameless(these.resource):
            return frozenset()
        seen = these.adapter.showing(fresh)
        came_back = {s.share_name for s in fresh if s.gone_with_resource}
        never_begun = {s.share_name for s in fresh if not s.intended_at}
        if seen & never_begun:
            came_back |= never_begun.intersection(self.ledger.gone_with_resource(these.resource))
        return seen - came_back

    def _entitled(self, these: ResourceShares, opening: Sequence[Share], budget: Budget) -> list[Share]:
        """Return the shares whose receivers are entitled to them, and write why the others are not opened."""
        asked, judged = self._judged(these, opening, budget)
        elsewhere = {s.share_name: fault for s in asked if (fault := _elsewhere(s)) is not None}
        refused, now = {**judged.refused, **elsewhere}, self.waker.clock()
        waits = {name: fault for name, fault in judged.waits.items() if name not in refused}
        out = [s for s in asked if s.share_name in refused]
        over = [machine.evolve(s, machine.ShareRefused(refused[s.share_name]), now) for s in out]
        these.add_to_wake(these.save_some(over, f"refused: {_codes(refused)}", budget))
        waiting = [machine.evolve(s, machine.PutOff(waits[s.share_name]), now) for s in asked if s.share_name in waits]
        these.save_some(waiting, f"not yet: {_codes(waits)}", budget)
        return [s for s in asked if s.share_name not in refused.keys() | waits.keys()]

    def _judged(
        self, these: ResourceShares, opening: Sequence[Share], budget: Budget
    ) -> tuple[Sequence[Share], Judgement]:
        """Ask who is entitled; return the shares of which that is known, and write why it is not of the others.

        Each AMI takes reads of its own, and each account of an OU; the next slice does those for which there was no
        time.
        """
        asked, judged, part = list[Share](), Judgement(), budget.part(FOR_ASKING)
        for some in part.each(_by_amis(opening), CALLS_TO_ASK):
            try:
                more = self.entitlements.judge(some, part.allows)
            except Refusal as refusal:
                more = Judgement(owed={s.share_name: refusal for s in some})
            if more.owed:
                happened = f"not opened: {', '.join(sorted({one.fault.what for one in more.owed.values()}))}"
                owed = [self._with_refusal(s, more.owed[s.share_name]) for s in some if s.share_name in more.owed]
                these.add_to_wake(these.save_some(owed, happened, budget))
            judged = Judgement({**judged.refused, **more.refused}, {**judged.waits, **more.waits})
            asked += [s for s in some if s.share_name not in more.owed.keys() | more.later]
        return asked, judged

    def _opened(self, these: ResourceShares, some: Sequence[Share], budget: Budget) -> list[Share]:
        grants = refused_accounts.open_(these, some, budget, self.waker.clock())
        return [machine.evolve(s, machine.ShareOpened(grants.get(s.share_name, "")), self.waker.clock()) for s in some]

    def _with_calls(self, these: ResourceShares, act: Act) -> Act:
        """Return ``act``, which then adds the AWS calls that it makes to the history of the shares that it is given."""

        def acted(some: Sequence[Share]) -> list[Share]:
            self.take_calls()  # drop calls made for other shares
            try:
                return act(some)
            finally:
                these.add_history(some, *map(str, self.take_calls()))

        return acted

    def _with_refusal(self, s: Share, refusal: Refusal) -> Share:
        now = self.waker.clock()
        if s.state is ShareState.CLOSING and not outstanding.to_open([s], now):
            given_up = refusal.kind is not RefusalKind.THROTTLED and machine.gives_up(s)
            after = machine.evolve(s, machine.GivenUp(refusal.fault) if given_up else machine.PutOff(), now)
            return self._still_open(after, f"{refusal.fault.where}: {refusal.fault.what}")
        since = self._accessible_since(s, now) if refusal.kind is RefusalKind.NOT_YET else 0
        if not machine.worth_waiting(s, refusal.kind, now, since):
            return machine.evolve(s, machine.ShareRefused(refusal.fault), now)
        return machine.evolve(s, machine.PutOff(None if refusal.kind is RefusalKind.THROTTLED else refusal.fault), now)

    def _accessible_since(self, s: Share, now: int) -> int:
        """Return when the account itself got access to the key, for a grant to its service-linked role; otherwise 0."""
        if s.on.kind != ROLE:
            return 0
        return account_access.open_since(self.ledger.find(account_access.places(s.resource, s.account)), now)

    # --- closing -----------------------------------------------------------------------------------------------------

    def _close(self, these: ResourceShares, closing: Sequence[Share], budget: Budget) -> None:
        """Write the intent, remove the permission, look whether it is gone, write the result."""
        closing = self._not_prolonged(these, closing, budget)
        now = self.waker.clock()
        begun = [s for s in closing if s.state is ShareState.CLOSING]
        these.add_unanswered(begun)
        begun += these.save_some(
            (machine.evolve(s, machine.ClosingIntended(), now) for s in closing if s.state is not ShareState.CLOSING),
            "closing is intended",
            budget.part(FOR_INTENTS),
            unheld=True,
        )
        self._remind_audit(these, begun)
        results = [machine.evolve(s, machine.ShareClosed(), now) for s in begun if s.preexisting]
        own = [s for s in begun if not s.preexisting]
        if grant_names.nameless(these.resource):
            unlooked = [s for s in own if s.removed_at is not None]
            look = partial(self._looked_after, these)
            results += in_batches(these.adapter, unlooked, look, self._with_refusal, budget)
            own = [s for s in own if s.removed_at is None]
            remove = self._with_calls(these, partial(self._removed, these))
        else:
            remove = self._with_calls(these, lambda some: self._revoked(these, some, budget))
        results += in_batches(these.adapter, own, remove, self._with_refusal, budget)
        for s in these.save_results(results, "closing was tried", budget):
            self._report_closing(s)

    def _not_prolonged(self, these: ResourceShares, closing: Sequence[Share], budget: Budget) -> list[Share]:
        """Return the shares to close. A standing share stays open if the applied file now has a later end date.

        If the end date cannot be read, the share worker asks again each minute for a day: an outage withdraws nothing.
        The next slice does the AMIs for which there is no time.
        """
        dated = [s for s in closing if s.state is ShareState.OPEN and holders.standing(s)]
        undated = {s.share_name for s in closing} - {s.share_name for s in dated}
        part, over, prolonged, now = budget.part(FOR_ASKING), set[str](), list[Share](), self.waker.clock()
        for some in part.each(_by_amis(dated), CALLS_TO_ASK):
            try:
                until = self.entitlements.may_stay_until(some)
            except Refusal:
                until = {}
            for s in some:
                end, since, missed = until.get(s.share_name), 0, 0
                if end is None or end == MISSED:
                    since = s.unsure_since or now
                    missed = s.missed_since or (now if end == MISSED else 0)
                    end = min(now + schedule.MINUTE, since + schedule.LAST_LOOK_WITHIN)
                if end > now:
                    asked = s.tries + 1  # the next look asks about the next AMIs
                    prolonged.append(replace(s, later_end=end, unsure_since=since, missed_since=missed, tries=asked))
                else:
                    over.add(s.share_name)
        happened = "the applied file gives it a later date, or cannot be read now"
        these.save_some(prolonged, happened, budget)
        return [s for s in closing if s.share_name in undated | over]

    def _remind_audit(self, these: ResourceShares, closing: Sequence[Share]) -> None:
        """Ask for the key's grant audit, if an account's last share on the key is closing.

        It asks before the closing, so that a crash after it cannot lose the request.
        """
        if grant_names.nameless(these.resource) or Resource.parse(these.resource).on_own_key:
            return
        names = {s.share_name for s in closing}
        others = {s.account for s in these.shares if s.state in OPEN_STATES and s.share_name not in names}
        if {s.account for s in closing} - others:
            grant_audit.remind(self.records, these.resource, self.waker.clock())

    def _removed(self, these: ResourceShares, some: Sequence[Share]) -> list[Share]:
        """Remove permissions without a name; later looks say whether they are gone."""
        removed = machine.PermissionRemoved(these.adapter.close(some))
        return [machine.evolve(s, removed, self.waker.clock()) for s in some]

    def _looked_at(self, these: ResourceShares, some: Sequence[Share]) -> list[Share]:
        showing, now = these.adapter.showing(some), self.waker.clock()
        return [machine.evolve(s, machine.LookedAfter(showing=s.share_name in showing), now) for s in some]

    def _looked_after(self, these: ResourceShares, some: Sequence[Share]) -> list[Share]:
        """Look at permissions that were removed."""
        looked = self._looked_at(these, some)
        return [self._still_open(s, NOT_GONE) if s.removed_at is None else s for s in looked]

    def _revoked(self, these: ResourceShares, some: Sequence[Share], budget: Budget) -> list[Share]:
        """Remove permissions that have the service's name, and look at once: what still shows is the service's."""
        refused_accounts.close(these, some, budget, self.waker.clock())
        return self._looked_after(these, some)

    def _still_open(self, s: Share, why: str) -> Share:
        """Return a share; report it if it is still to be closed."""
        if s.state is ShareState.CLOSING:
            self.telemetry.share(s.resource, s.account, "not closed", why=why, tries=s.tries)
            if s.tries >= share.TRIES_BEFORE_ALARM and s.removed_at is None:
                self.telemetry.not_closing(s.resource, s.account, s.tries, why)
        return s

    def _report_closing(self, s: Share) -> None:
        if s.state is ShareState.CLOSING:
            return
        if s.closed_at is None:
            self.telemetry.share(s.resource, s.account, "left open in the target", why=s.fault and s.fault.what)
            return
        what = "kept: it existed before the service came" if s.preexisting else "closed"
        seconds = None if s.opened_at is None else (s.removed_at or s.closed_at) - s.opened_at
        self.telemetry.share(s.resource, s.account, what, open_seconds=seconds)
        if s.closed_blind:
            self.telemetry.closed_blind(s.resource, s.account)


def _by_amis(shares: Sequence[Share]) -> Iterable[list[Share]]:
    """Group shares that are held for the same AMIs, in their order."""
    found: dict[frozenset[str], list[Share]] = {}
    for s in shares:
        found.setdefault(frozenset(holding.ami for holding in s.holdings), []).append(s)
    return found.values()


def _codes(faults: Mapping[str, Fault]) -> str:
    return ", ".join(sorted({fault.code for fault in faults.values()}))


def _elsewhere(s: Share) -> Fault | None:
    """Return the fault of a grantee that is not of the share's account, for which the entitlement was asked."""
    if grant_names.nameless(s.resource) or Arn.parse(s.grantee).account == s.account:
        return None
    what = f"The share is for account {s.account}, and its grantee {s.grantee!r} is not of that account."
    if not s.grantee:
        what = f"The share is for account {s.account}, and its record has no grantee."
    cure = "Find out who wrote this share: its history, and CloudTrail for the service's table. Nothing was opened."
    return Fault("grantee-elsewhere", s.resource, what, cure)


def _archived_lately(
    key: RecordKey, before: Mapping[str, Any], archived_at: Mapping[str, int], now: int
) -> Mapping[str, Mapping[str, int]]:
    """Return the member that lists a key's lately archived shares, by which the access monitor finds their history.

    If a run is killed before it writes this, the monitor looks through the whole archive.
    """
    known = before.get(addresses.ARCHIVED_LATELY)
    both = {**(known if isinstance(known, dict) else {}), **archived_at}
    lately = {name: at for name, at in both.items() if isinstance(at, int) and now < at + LATELY}
    return {addresses.ARCHIVED_LATELY: lately} if lately and not grant_names.nameless(key.pk) else {}


def _latest(shares: Sequence[Share]) -> int | None:
    closings = (holders.must_close_at(s) for s in shares if s.state in OPEN_STATES)
    return min(filter(None, closings), default=None)
