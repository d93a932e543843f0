"""The properties can fail: each wrong service below breaks one, in a scene that is known to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import pytest

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.model import DeliveryState
from chalicelib.ports.ledger import Judgement
from chalicelib.service.codecs import DeliveryCodec
from chalicelib.service.copy_quotas import CopyQuotas
from chalicelib.service.deliveries import DeliveryExecutor, delivery_machine
from chalicelib.service.promotions import PromotionExecutor
from chalicelib.service.share_worker import ShareWorker
from chalicelib.service.sweep import Sweep
from tests.fakes import MemoryRecords
from tests.service import quota_scenes
from tests.service.arrivals import NOTHING_COMES
from tests.service.gate import PortCrash
from tests.service.hub import Parts
from tests.service.scenes import HubSetup, all_delivered
from tests.stores import Stores, in_memory


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

    def judge(self, _resource, _shares):
        """See the class."""
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
        """See the class."""
        event = super().execute(record, command, budget)
        if isinstance(command, do.StartCopy):
            self._release(record, budget, everything=True)
        return event


class DoesNotLook(DeliveryExecutor):
    """Copies again without looking whether the first call took effect."""

    def execute(self, record, command, budget):
        """See the class."""
        return ev.CopiesFound(()) if isinstance(command, do.FindCopies) else super().execute(record, command, budget)


class NeverDue(DeliveryCodec):
    """Is never due, and waits for events alone."""

    def encode(self, record):
        """See the class."""
        return replace(super().encode(record), due_at=None)


class KeepsItsSlots(DeliveryExecutor):
    """Requests slots and never returns them."""

    def execute(self, record, command, budget):
        """See the class."""
        if isinstance(command, do.AskSlots) and record.state is not DeliveryState.WAITING:
            had = record.slots
            return ev.SlotsAsked(command.wanted, command.done, had.granted, had.until, had.limited_at or 0)
        return super().execute(record, command, budget)


class TellsAgain(PromotionExecutor):
    """Publishes the summary at every look after the end, also if owners were notified."""

    def _count(self, promotion, budget):
        return super()._count(replace(promotion, summarised=0), budget)


class GrantsNothing(CopyQuotas):
    """Never counts slots, so that no delivery gets one."""

    def run(self, key, *, time_left):
        """See CopyQuotas."""


class TakesNothingBack(CopyQuotas):
    """Takes every delivery for active, so that no lease expires."""

    def goes_on(self, lease):
        """See CopyQuotas."""
        return True


class RenewsNothing(CopyQuotas):
    """Takes slots back when their lease has expired, without looking whether the delivery is active."""

    def goes_on(self, lease):
        """See CopyQuotas."""
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

    def save(self, before, after, happened, now, also=()):
        """See the class."""
        item = self.records[before.key]
        return super().save(replace(before, version=item.version), after, happened, now, also)


def careless() -> Stores:
    """Stores in which the last writer wins."""
    return replace(in_memory(), records=IgnoresVersions())


RIGHT, PLAIN = Parts(), HubSetup()
NEVER = 10**11


@dataclass(frozen=True)
class Mutation:
    """A wrong service, the scene in which it fails, and the checker's message."""

    says: str
    parts: Parts = RIGHT
    scene: HubSetup = PLAIN
    stores: Callable[[], Stores] = in_memory
    crash_anywhere: bool = False
    side_by_side: bool = False
    """Process each message group twice at once, in many orders."""
    drop: bool = False
    """Remove the account from the targets file before anything is opened."""
    play: Callable[[Parts], object] | None = None
    """A scene of its own, which asserts its own end."""


def tagged_twice(parts):
    """What was delivered is tagged again with the same value: there is nothing to do, and nothing to notify."""
    hub = HubSetup().hub(parts=parts)
    hub.cloud.tag("ami-0a", "default")
    hub.run()
    hub.cloud.tag("ami-0a", None)
    hub.cloud.tag("ami-0a", "default")
    hub.run()
    all_delivered(hub)


MUTATIONS = {
    "the share worker forgets intents": Mutation("invariant 3", Parts(share_worker=ForgetsIntents)),
    "the share worker takes all for its own": Mutation(
        "invariant 2", Parts(share_worker=TakesAllForItsOwn), HubSetup(shared_before=True)
    ),
    "everybody is entitled": Mutation("invariant 8", Parts(entitlements=EntitlesEverybody), drop=True),
    "the share worker never closes": Mutation("invariant 1", Parts(share_worker=NeverCloses)),
    "a delivery lets go early": Mutation("invariant 1", Parts(deliveries=LetsGoEarly)),
    "a delivery does not look": Mutation("invariant 4", Parts(deliveries=DoesNotLook), crash_anywhere=True),
    "a delivery is never due": Mutation("invariant 6", Parts(delivery_codec=NeverDue)),
    "a delivery keeps its slots": Mutation("still keeps slots", Parts(deliveries=KeepsItsSlots)),
    "a copy quota grants nothing": Mutation("invariant 6", Parts(copy_quotas=GrantsNothing)),
    "a copy quota takes nothing back": Mutation(
        "ami-01 waits for ever",
        play=partial(quota_scenes.nobody_works_on_it, quota_scenes.damaged, 40),
        parts=Parts(copy_quotas=TakesNothingBack),
    ),
    "a copy quota renews nothing": Mutation(
        "a copy is begun while as many run as may",
        play=quota_scenes.long_copies,
        parts=Parts(copy_quotas=RenewsNothing),
    ),
    "a delivery relies on its lease": Mutation(
        "invariant 7",
        play=partial(quota_scenes.parked_and_freed, "opening"),
        parts=Parts(delivery_machine=relies_on_its_lease),
    ),
    "the sweep sleeps": Mutation("invariant 6", Parts(sweep=Sleeps), HubSetup(arrivals=NOTHING_COMES)),
    "the last writer wins": Mutation("invariant 4", stores=careless, side_by_side=True),
    "a promotion tells again": Mutation("told more than once", Parts(promotions=TellsAgain), play=tagged_twice),
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_wrong_service_is_found_out(mutation):
    """It breaks the invariant that it was written to break."""
    with pytest.raises(AssertionError, match=mutation.says):
        _try(mutation)


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_the_right_service_passes_the_same_scene(mutation):
    """The scene passes without the mutation."""
    right = replace(mutation, parts=RIGHT, stores=in_memory)
    if not mutation.drop:
        _try(right)
        return
    with pytest.raises(AssertionError, match="not-entitled"):
        _try(right)


def _try(mutation: Mutation) -> None:
    if mutation.play is not None:
        mutation.play(mutation.parts)
        return
    if mutation.drop:
        hub = mutation.scene.hub(parts=mutation.parts)
        hub.cloud.tag("ami-0a", "default")
        hub.run(until=hub.cloud.now + 4)
        hub.cloud.directory = replace(hub.cloud.directory, accounts={})
        hub.run()
        all_delivered(hub)
        return
    if mutation.crash_anywhere:
        ways = [{"crashes": [PortCrash(call, after=True)]} for call in range(120)]
    elif mutation.side_by_side:
        ways = [{"pairings": ["twin"], "order": [False] * number + [True]} for number in range(8)]
    else:
        ways = [{}]
    for way in ways:
        hub = mutation.scene.play(parts=mutation.parts, stores=mutation.stores(), **way)
        all_delivered(hub, notified_once=not way)
