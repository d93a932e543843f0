"""The properties can fail: each wrong service below breaks one, in a scene that is known to show it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest

from tests.service import quota_scenes
from tests.service.arrivals import NOTHING_COMES
from tests.service.gate import PortCrash
from tests.service.hub import Parts
from tests.service.scenes import HubSetup, all_delivered
from tests.service.wrong_parts import (
    DoesNotLook,
    EntitlesEverybody,
    ForgetsIntents,
    GrantsNothing,
    KeepsItsSlots,
    LetsGoEarly,
    NeverCloses,
    NeverDue,
    RenewsNothing,
    Sleeps,
    TakesAllForItsOwn,
    TakesNothingBack,
    TellsAgain,
    careless,
    relies_on_its_lease,
)
from tests.stores import Stores, in_memory

RIGHT, PLAIN = Parts(), HubSetup()


@dataclass(frozen=True)
class Mutation:
    """A wrong service, the scene in which it fails, and the checker's message."""

    says: str
    parts: Parts = RIGHT
    scene: HubSetup = PLAIN
    stores: Callable[[], Stores] = in_memory
    crash_around_the_copy: bool = False
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
    "a delivery does not look": Mutation("invariant 4", Parts(deliveries=DoesNotLook), crash_around_the_copy=True),
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
    if mutation.crash_around_the_copy:
        ways = [{"crashes": [PortCrash(call, after=True)]} for call in range(105, 130)]
    elif mutation.side_by_side:
        ways = [{"pairings": ["twin"], "order": [False] * number + [True]} for number in range(8)]
    else:
        ways = [{}]
    for way in ways:
        hub = mutation.scene.play(parts=mutation.parts, stores=mutation.stores(), **way)
        all_delivered(hub, notified_once=not way)
