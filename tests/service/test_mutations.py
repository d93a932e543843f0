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
    all_raising,
    careless,
    found_out,
    passes_for,
    raising_stores,
    relies_on_its_lease,
)
from tests.stores import Stores, in_memory

RIGHT, PLAIN = Parts(), HubSetup()
A, SNAPSHOT = "200000000001", "resource#snapshot#snap-00"
DELIVERY = rf"\('ami-0a', '{A}'\)"
COPIED = r"invariant 4: snap-00 is copied for \w+ although snap-\w+ is"


@dataclass(frozen=True)
class Mutation:
    """A wrong service, the scene in which it fails, and all of the checker's message, as a regular expression."""

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
    "the share worker forgets intents": Mutation(
        f"invariant 3: {SNAPSHOT} opens to {A}, wanted on record", Parts(share_worker=ForgetsIntents)
    ),
    "the share worker takes all for its own": Mutation(
        f"invariant 2: {SNAPSHOT} was open before us",
        Parts(share_worker=TakesAllForItsOwn),
        HubSetup(shared_before=True),
    ),
    "everybody is entitled": Mutation(
        f"invariant 8: {SNAPSHOT} opens to the stranger {A}", Parts(entitlements=EntitlesEverybody), drop=True
    ),
    "the share worker never closes": Mutation(
        r"invariant 1: the grant \(.*\) is open and the ledger does not know", Parts(share_worker=NeverCloses)
    ),
    "a delivery lets go early": Mutation(
        rf"invariant 1: {SNAPSHOT} closes to {A} under the unfinished snap-\w+", Parts(deliveries=LetsGoEarly)
    ),
    "a delivery does not look": Mutation(
        f"{COPIED} completed", Parts(deliveries=DoesNotLook), crash_around_the_copy=True
    ),
    "a delivery is never due": Mutation(
        r"invariant 6: delivery#\w+ is waiting, and nothing is due", Parts(delivery_codec=NeverDue)
    ),
    "a delivery keeps its slots": Mutation(
        rf"quota#{A}#us-east-1 still keeps slots: SlotLease\(.*granted=1.*\)", Parts(deliveries=KeepsItsSlots)
    ),
    "a copy quota grants nothing": Mutation(
        rf"invariant 6: it does not end: \{{{DELIVERY}: 'failed'\}}", Parts(copy_quotas=GrantsNothing)
    ),
    "a copy quota takes nothing back": Mutation(
        rf"ami-01 waits for ever: \{{\('ami-00', '{A}'\): 'copying', \('ami-01', '{A}'\): 'waiting', .*\}}",
        play=partial(quota_scenes.nobody_works_on_it, quota_scenes.damaged, 40),
        parts=Parts(copy_quotas=TakesNothingBack),
    ),
    "a copy quota renews nothing": Mutation(
        "a copy is begun while as many run as may",
        play=quota_scenes.long_copies,
        parts=Parts(copy_quotas=RenewsNothing),
    ),
    "a delivery relies on its lease": Mutation(
        r"invariant 7: snap-000 is copied for \w+ without a slot: None",
        play=partial(quota_scenes.parked_and_freed, "opening"),
        parts=Parts(delivery_machine=relies_on_its_lease),
    ),
    "the sweep sleeps": Mutation(
        r"invariant 6: it does not end: \{\}", Parts(sweep=Sleeps), HubSetup(arrivals=NOTHING_COMES)
    ),
    "the last writer wins": Mutation(f"{COPIED} pending", stores=careless, side_by_side=True),
    "a promotion tells again": Mutation(
        r"told more than once: Counter\(\{'\w+': 2, '\w+': 1\}\)", Parts(promotions=TellsAgain), play=tagged_twice
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_wrong_service_is_found_out(mutation):
    """It breaks the invariant that it was written to break."""
    with found_out(mutation.says):
        _try(mutation)


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_service_that_only_raises_is_not_found_out(mutation):
    """Where the wrong part raises, the test above must fail."""
    wrong = replace(mutation, parts=all_raising(mutation.parts), stores=raising_stores(mutation.stores))
    assert not passes_for(mutation.says, lambda: _try(wrong))


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
