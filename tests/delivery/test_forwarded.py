"""Which of a target's events count, and when some are expected."""

import pytest

from chalicelib.delivery import forwarded
from chalicelib.delivery.model import DeliveryState, NewImage
from chalicelib.engine.wakes import EVENT_AT
from tests.delivery.examples import NOW, a_delivery


@pytest.mark.parametrize(("entry", "last"), [(NOW + 9, NOW + 9), (NOW - 9, None), ("soon", None)])
def test_an_event_of_an_earlier_episode_does_not_count(entry, last):
    """Inbox entries outlive the episode."""
    published = a_delivery(DeliveryState.PUBLISHING, inbox={EVENT_AT: str(entry)})

    assert forwarded.last_event_at(published) == last
    assert forwarded.last_event_at(a_delivery(DeliveryState.PUBLISHING)) is None


@pytest.mark.parametrize(
    ("made", "changes", "expected"),
    [
        (NewImage("ami-0b", NOW), {}, True),
        (NewImage("ami-0b", NOW, adopted=True), {}, False),
        (NewImage("ami-0b", NOW), {"ending": DeliveryState.FAILED}, False),
        (NewImage("ami-0b", NOW - 9), {}, False),
        (NewImage(), {"mode": "share"}, False),
    ],
)
def test_nothing_is_missed_where_nothing_was_made(made, changes, expected):
    """An AMI that was there already, a failure, the lift of a recall, share mode."""
    assert forwarded.expected(a_delivery(DeliveryState.PUBLISHING, image=made, **changes)) is expected
