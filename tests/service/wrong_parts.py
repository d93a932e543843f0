"""Parts of the service with one protection removed, for the suites that must find them out."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from chalicelib.delivery.attempts import CopiesFound, FindCopies
from chalicelib.delivery.codecs import DeliveryCodec
from chalicelib.delivery.model import DeliveryState
from chalicelib.delivery.phases.approval import ApprovalSeen
from chalicelib.delivery.phases.copying import StartCopy
from chalicelib.delivery.slots import AskSlots, SlotsAsked
from chalicelib.delivery.worker.approvals import LiveApprovals
from chalicelib.delivery.worker.copy_quotas import CopyQuotas
from chalicelib.delivery.worker.deliveries import DeliveryExecutor, delivery_machine
from chalicelib.engine.sweep import Sweep
from chalicelib.promotion.worker.promotions import PromotionExecutor
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.worker.share_worker import ShareWorker
from tests.fakes import MemoryLedger, MemoryRecords
from tests.stores import Stores, in_memory

NEVER = 10**11


class Replaced(Exception):
    """What a mutation replaces was called."""


def raises(*_args: object, **_named: object) -> NoReturn:
    """Stand in for what a mutation replaces."""
    raise Replaced


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
        idle = SimpleNamespace(batch=adapter.batch, close=lambda *_: None, showing=lambda *_: frozenset())
        super()._close(idle, these, closing, budget)


class LetsGoEarly(DeliveryExecutor):
    """Releases its shares as soon as its copies have started."""

    def execute(self, record, command, budget):
        event = super().execute(record, command, budget)
        if isinstance(command, StartCopy):
            self._release(record, budget, everything=True)
        return event


class DoesNotLook(DeliveryExecutor):
    """Copies again without looking whether the first call took effect."""

    def execute(self, record, command, budget):
        return CopiesFound(()) if isinstance(command, FindCopies) else super().execute(record, command, budget)


class NeverDue(DeliveryCodec):
    """Is never due, and waits for events alone."""

    def encode(self, record):
        return replace(super().encode(record), due_at=None)


class KeepsItsSlots(DeliveryExecutor):
    """Requests slots and never returns them."""

    def execute(self, record, command, budget):
        if isinstance(command, AskSlots) and record.state is not DeliveryState.WAITING:
            had = record.slots
            return SlotsAsked(command.wanted, command.done, had.granted, had.until, had.limited_at or 0)
        return super().execute(record, command, budget)


class TellsAgain(PromotionExecutor):
    """Publishes the summary at every look after the end, also if owners were notified."""

    def _compare(self, promotion, budget):
        return super()._compare(replace(promotion, summarised=0), budget)


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


class Sleeps(Sweep):
    """Wakes no record."""

    def run(self, *, time_left):
        """See Sweep."""


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
