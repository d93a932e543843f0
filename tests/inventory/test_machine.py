"""The state machine of an inventory: every pair of state and event, and a due time for each order."""

from itertools import product

import pytest

from chalicelib.engine.errors import IllegalEvent
from chalicelib.engine.faults import Fault
from chalicelib.inventory import machine as inventory
from chalicelib.inventory.machine import LOOK, REMOVE, Inventory
from chalicelib.inventory.machine import InventoryState as S

NOW = 1_800_000_000
FAULT = Fault("denied", "there", "It was refused.", "Allow it.")
EVENTS = (
    inventory.LookAsked("one"),
    inventory.RemovalsAsked("one"),
    inventory.PageListed("next", 2),
    inventory.PageListed("", 0),
    inventory.PageRefused(FAULT),
    inventory.PageRefused(FAULT, again=True),
    inventory.PageRefused(FAULT, stale=True),
    inventory.RemovalsTried(over=False, last=True),
    inventory.RemovalsTried(over=True, last=False),
    inventory.RemovalsTried(over=True, last=True),
)


def an_inventory(state: S, *, both: bool = False) -> Inventory:
    """An inventory in this state, with its orders; ``both``: a look and removals."""
    looks, removes = (
        state is S.LISTING,
        state is S.REMOVING or (both and state is S.LISTING),
    )
    inbox = {**({LOOK: "one"} if looks else {}), **({REMOVE: "one"} if removes else {})}
    asked = {"looking": "one" if looks else "", "removing": "one" if removes else ""}
    return Inventory("222222222222", "us-east-1", inbox=inbox, **asked)


@pytest.mark.parametrize(("state", "event", "both"), list(product(S, EVENTS, (False, True))))
def test_every_pair_of_state_and_event_follows_the_table(state, event, both):
    """An event leads where the table says, or is illegal; unfinished orders are due."""
    before = an_inventory(state, both=both)
    row = inventory.TRANSITIONS[state]
    if type(event) not in row:
        with pytest.raises(IllegalEvent, match=state.value):
            inventory.evolve(before, event, NOW)
        return

    after = inventory.evolve(before, event, NOW)

    assert after.state in row[type(event)].leads_to
    assert (after.due_at is not None) == bool(after.to_look or after.to_remove)


def test_what_is_asked_for_is_begun_once_and_is_due():
    """With both, the look comes first; if the worker is killed right after, the sweep continues."""
    record = Inventory("222222222222", "us-east-1", inbox={LOOK: "one", REMOVE: "one"})

    for event in inventory.due_events(record, NOW):
        record = inventory.evolve(record, event, NOW)

    assert inventory.due_events(record, NOW) == ()
    assert (inventory.outstanding(record, NOW), record.due_at) == ((inventory.ListPage(),), NOW)
