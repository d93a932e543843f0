"""Parts of the service in memory with one protection removed: classes that stand in for its own."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.delivery.attempts import RegisterImage
from chalicelib.delivery.codecs import DELIVERIES, DeliveryCodec
from chalicelib.delivery.model import DeliveryState
from chalicelib.delivery.phases.checking import AwaitingRoleNotified
from chalicelib.delivery.phases.copying import StartCopy
from chalicelib.delivery.phases.ending import FindLeftovers, LeftoversSeen, NotifyOutcome
from chalicelib.delivery.phases.waiting import ApprovalSeen
from chalicelib.delivery.shares import HoldShares, SharesHeld
from chalicelib.delivery.slots import AskSlots, SlotsAsked
from chalicelib.delivery.worker.copy_quotas import CopyQuotas
from chalicelib.delivery.worker.deliveries import DeliveryExecutor, delivery_machine
from chalicelib.delivery.worker.live_approvals import LiveApprovals
from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget
from chalicelib.engine.faults import Fault
from chalicelib.promotion import events as promotion_events
from chalicelib.promotion.worker.promotions import PromotionExecutor
from chalicelib.promotion.worker.standing_pass import StandingPass
from chalicelib.sharing.aws.key_policies import PolicyStatements
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.share_events import ShareOpened, evolve
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.sharing.worker.share_worker import ShareWorker
from tests.fakes import MemoryLedger, MemoryRecords
from tests.protections.changes import raises
from tests.service.hub import Parts
from tests.stores import Stores, in_memory

NEVER = 10**11


def raising(part: Any) -> Any:
    """Return a part that raises in what a wrong part does otherwise: a test that it passes shows nothing."""
    if not isinstance(part, type):
        return raises
    own = [name for name in vars(part) if callable(vars(part)[name]) and (name == "__init__" or name[:2] != "__")]
    return type(part.__name__, (part,), dict.fromkeys(own, raises))


def all_raising(parts: Any) -> Any:
    """Return the parts of a service with ``raising`` instead of each that is not the usual one."""
    usual = type(parts)()
    wrong = {one.name: getattr(parts, one.name) for one in fields(parts)}
    return replace(parts, **{n: raising(part) for n, part in wrong.items() if part is not getattr(usual, n)})


def found_out(says: str) -> AbstractContextManager[pytest.ExceptionInfo[AssertionError]]:
    """Expect an assertion to fail with a message that is all of this regular expression."""
    return pytest.raises(AssertionError, match=rf"(?s)\A(?:{says})\Z")


def passes_for(says: str, check: Any) -> bool:
    """Whether a check fails as ``found_out`` expects, and not by another error."""
    try:
        check()
    except AssertionError as error:
        return re.fullmatch(says, str(error), re.DOTALL) is not None
    except Exception:  # noqa: BLE001 - any other error makes the test red, too
        return False
    return False


class ForgetsIntents(ShareWorker):
    """Opens shares without a written intent."""

    def _open(self, adapter, these, opening, budget):
        save = these.save
        these.save = lambda shares, happened, **rest: (
            list(shares) if happened == "opening is intended" else save(shares, happened, **rest)
        )
        super()._open(adapter, these, opening, budget)


class TakesAllForItsOwn(ShareWorker):
    """Does not look which permissions are preexisting."""

    def _open(self, adapter, these, opening, budget):
        blind = SimpleNamespace(batch=adapter.batch, open=adapter.open, showing=lambda *_: frozenset())
        super()._open(blind, these, opening, budget)


class EntitlesEverybody:
    """Opens for every account, listed or not."""

    def __init__(self, *_ports):
        pass

    def judge(self, _resource, _shares, _has_time=None):
        return Judgement()

    def ends(self, _resource, shares):
        """No share's end is prolonged."""
        return {one.share_name: 0 for one in shares}


class NeverCloses(ShareWorker):
    """Takes a permission for closed without closing it."""

    def _close(self, adapter, these, closing, budget):
        idle = SimpleNamespace(batch=adapter.batch, close=lambda *_: False, showing=lambda *_: frozenset())
        super()._close(idle, these, closing, budget)


class LetsGoEarly(DeliveryExecutor):
    """Releases its shares as soon as its copies have started."""

    def execute(self, record, command, budget):
        event = super().execute(record, command, budget)
        if isinstance(command, StartCopy):
            self._release(record, budget, everything=True)
        return event


class NeverDue(DeliveryCodec):
    """Is never due, and waits for events alone."""

    def encode(self, record):
        return replace(super().encode(record), due_at=None)


class KeepsItsSlots(DeliveryExecutor):
    """Requests slots and never returns them."""

    def execute(self, record, command, budget):
        if isinstance(command, AskSlots) and record.state is not DeliveryState.AWAITING_SLOT:
            had = record.slots
            return SlotsAsked(command.wanted, command.done, had.granted, had.until, had.limited_at or 0)
        return super().execute(record, command, budget)


class TellsAgain(PromotionExecutor):
    """Publishes the summary at every look after the end, also if owners were notified."""

    def _compare(self, promotion, budget):
        return super()._compare(replace(promotion, summarised_episode=0), budget)


class GrantsNothing(CopyQuotas):
    """Never counts slots, so that no delivery gets one."""

    def run(self, key, *, time_left):
        """See CopyQuotas."""


class TakesNothingBack(CopyQuotas):
    """Takes every delivery for active, so that no lease expires."""

    def goes_on(self, lease):
        return True


class RenewsNothing(CopyQuotas):
    """Takes slots back when their lease has expired, without looking whether the delivery is active."""

    def goes_on(self, lease):
        return False


def relies_on_its_lease(draw):
    """Skip the check, before a copy starts, whether the lease has expired."""
    right = delivery_machine(draw)

    def evolve(record, event, now):
        after = right.evolve(record, event, now)
        return after.with_slots(until=NEVER) if after.slots.until else after

    return replace(right, evolve=evolve)


class IgnoresVersions(MemoryRecords):
    """Overwrites what others have written meanwhile."""

    def save(self, before, *rest, **more):
        item = self.records[before.key]
        return super().save(replace(before, version=item.version), *rest, **more)


def careless() -> Stores:
    """Stores in which the last writer wins."""
    return with_records(IgnoresVersions())


def with_records(records: MemoryRecords) -> Stores:
    """Return stores in memory with these records."""
    return replace(in_memory(), records=records, ledger=MemoryLedger(records))


def raising_stores(stores: Callable[[], Stores]) -> Callable[[], Stores]:
    """Return the stores, or, instead of the careless ones, some that raise."""
    return stores if stores is in_memory else lambda: with_records(raising(IgnoresVersions)())


class TakesAllForApproved(LiveApprovals):
    """Takes every delivery for approved."""

    def look(self, _delivery):
        return ApprovalSeen("nobody")


class PortOverride:
    """A port with another function for one method; ``change`` gets the real port, then the arguments."""

    def __init__(self, port, method, change):
        self._port, self._method, self._change = port, method, change

    def __getattr__(self, name):
        if name == self._method:
            return lambda *args, **kwargs: self._change(self._port, *args, **kwargs)
        return getattr(self._port, name)


def instead(command: type, what: Callable) -> type[DeliveryExecutor]:
    """An executor that does something else for this command. ``what`` gets executor, record and command."""

    class Override(DeliveryExecutor):
        def execute(self, record, asked, budget):
            return what(self, record, asked) if isinstance(asked, command) else self.really(record, asked)

        def really(self, record, asked):
            return super().execute(record, asked, Budget(lambda: 30))

    return Override


def opens_before_its_turn(executor, record, command):
    """Hold the shares while it waits for a slot."""
    if record.state is DeliveryState.AWAITING_SLOT:
        executor._hold(record, HoldShares(executor.clock() + 10**5), Budget(lambda: 30))
    return executor.really(record, command)


def throws_away(executor, record, command):
    """Delete a copy after looking at it."""
    executor.snapshots.delete(record, [copy.copy for copy in record.copies if copy.copy])
    return executor.really(record, command)


def tidies_too_soon(executor, record, command):
    """Remove what it made while it still works."""
    executor.images.deregister(record, record.image.id)
    return executor.really(record, command)


class NeverEnds(ShareWorker):
    """Ignores last closing times."""

    def __init__(self, records, ledger, *rest):
        def with_record(port, key):
            stored, shares = port.with_record(key)
            return stored, [replace(share, last_closing_at=10**12) for share in shares]

        super().__init__(records, PortOverride(ledger, "with_record", with_record), *rest)


REMOVES_NOTHING = instead(FindLeftovers, lambda *_: LeftoversSeen((), ()))
"""Reports that nothing is left, without a look."""
TELLS_OF_NOTHING = instead(NotifyOutcome, lambda it, record, asked: it.really(record.with_image(id="ami-none"), asked))
"""Names an AMI that does not exist."""
TELLS_NOBODY = instead(NotifyOutcome, lambda it, record, _asked: it.really(record, NotifyOutcome(publish=False)))
"""Ends without a notice."""


def registers_unwritten(draw):
    """Call RegisterImage without a written intent."""
    right = delivery_machine(draw)

    def record_intent(record, commands, now):
        return right.record_intent(record, [one for one in commands if not isinstance(one, RegisterImage)], now)

    return replace(right, record_intent=record_intent)


class ComesTooLate(DeliveryCodec):
    """Is due again days after its deadline."""

    def encode(self, record):
        write = super().encode(record)
        return write if write.due_at is None else replace(write, due_at=write.due_at + 10**6)


def meets_the_unexpected(draw):
    """Take an event to a state that has no edge for it."""
    right = delivery_machine(draw)

    def evolve(record, event, now):
        return right.evolve(record, AwaitingRoleNotified() if isinstance(event, SharesHeld) else event, now)

    return replace(right, evolve=evolve)


def waits_for_the_running(draw):
    """Hold the shares of a delivery that stops until its last copy has ended."""
    right = delivery_machine(draw)

    def evolve(record, event, now):
        after = right.evolve(record, event, now)
        running = isinstance(event, LeftoversSeen) and event.unfinished
        return after.with_cleanup(deletes_accepted=False) if running else after

    return replace(right, evolve=evolve)


class OpensTheDelivered(PromotionExecutor):
    """Takes a delivered delivery for a cancelled one, and begins it again."""

    def __init__(self, records, waker, clock, source, targets, tracked, *rest, **named):
        def seen(port, ami):
            return [replace(one, state="cancelled") if one.state == "delivered" else one for one in port.all(ami)]

        super().__init__(records, waker, clock, source, targets, PortOverride(tracked, "all", seen), *rest, **named)


class OneForAll(PromotionExecutor):
    """Stops at the first delivery that it cannot read."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        begin = self._pass.begin

        def after_all_were_read(promotion, wanted, tracked, budget):
            for one in tracked:
                DELIVERIES.decode(self.records.read(addresses.delivery(one.delivery)))
            return begin(promotion, wanted, tracked, budget)

        self._pass.begin = after_all_were_read


class NeverOver(PromotionExecutor):
    """Compares without end, once it has begun its deliveries."""

    def _compare(self, promotion, budget):
        found = super()._compare(promotion, budget)
        return promotion_events.NotExecuted(Fault("again", "", "", "")) if promotion.episode else found


class OpensHalf(ShareWorker):
    """Takes a launch permission for open without asking for it."""

    def _opened(self, adapter, resource, some):
        if not resource.startswith("resource#image#"):
            return super()._opened(adapter, resource, some)
        return [evolve(one, ShareOpened(), self.waker.clock()) for one in some]


def nobody(_port, _ami):
    return ()


class PromotesTheWithdrawn(PromotionExecutor):
    """Ignores withdrawals."""

    def __init__(self, records, waker, clock, source, targets, *rest, **named):
        super().__init__(records, waker, clock, source, PortOverride(targets, "withdrawals", nobody), *rest, **named)


class EntitlesTheWithdrawn(LiveEntitlements):
    """Entitles withdrawn accounts."""

    def __init__(self, records, deliveries, source, targets, *rest):
        super().__init__(records, deliveries, source, PortOverride(targets, "withdrawals", nobody), *rest)


class KeepsTheWithdrawn(StandingPass):
    """Keeps withdrawn accounts."""

    def __init__(self, records, ledger, source, targets, *rest):
        super().__init__(records, ledger, source, PortOverride(targets, "withdrawals", nobody), *rest)


IGNORED = Parts(promotions=PromotesTheWithdrawn, entitlements=EntitlesTheWithdrawn, standing_pass=KeepsTheWithdrawn)
"""Only all three together break the invariant: each covers for the others."""


class PutsTheOldAgain(PolicyStatements):
    """Writes a policy that it read earlier."""

    def _read(self, key):
        known = self.__dict__.setdefault("known", {})
        return known.setdefault(key, super()._read(key))


class OpensByAnyApproval(LiveEntitlements):
    """Opens by any approval that was ever given."""

    def _not_approved(self, share, holding, entitled, approved):
        place = f"{holding.account}/{holding.region}"
        return None if place in approved.given else super()._not_approved(share, holding, entitled, approved)
