"""By way of the hub: what is read of the hub's own copy, at each step of its life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.model import CopyState, State
from chalicelib.ports import Write
from chalicelib.service import deliveries, hub_copies
from tests.core.deliveries import NOW, TARGET_KEY, a_delivery, with_copies
from tests.stores import in_memory

DONE = CopyState.COMPLETED


@pytest.mark.parametrize("state", State)
def test_it_is_copied_from_as_soon_as_nothing_can_take_it_away(state):
    """Whoever waits is woken while it is being published, and looks at once: too early would be minutes too late."""
    made = replace(with_copies(a_delivery(State.COPYING), DONE, DONE), state=state, key_arn=TARGET_KEY)
    stores = in_memory()
    stores.records.create(Write(made.key, state.value, deliveries.plain(made), None), NOW)
    seen = hub_copies.look(stores.records, None, replace(a_delivery(), via=made.id, asked_by=made.asked_by))

    copied = ev.HubCopySeen((("snap-0a", "snap-0ac"), ("snap-0b", "snap-0bc")), TARGET_KEY)
    failed = {State.FAILED, State.CANCELLED, State.WITHDRAWN}
    if state in failed:
        assert isinstance(seen, ev.TargetUnfit)
    else:
        assert seen == (copied if state in (State.PUBLISHING, State.DELIVERED) else ev.HubCopySeen())
