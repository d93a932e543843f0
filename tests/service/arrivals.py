"""How events, wakes and invocations arrive. Each list is used in turn and starts over; an empty fate is a loss."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.service.cloud import CloudBehavior

DAY = 86_400
EARLY = -1
"""Before the call that caused it has returned."""

ON_TIME: tuple[int, ...] = (0,)
LOST: tuple[int, ...] = ()


@dataclass(frozen=True)
class Arrivals:
    """Delays in seconds. ``hurry``: the seconds that an invocation believes each step to have taken."""

    events: Sequence[tuple[int, ...]] = (ON_TIME,)
    wakes: Sequence[tuple[int, ...]] = (ON_TIME,)
    """For all wakes but the sweep's."""
    hurry: int = 0


ALL_ON_TIME = Arrivals()
NOTHING_COMES = Arrivals(events=(LOST,), wakes=(LOST,))

_EVENT_FATES = (ON_TIME, LOST, (0, 0), (5, 1), (0, 40), (EARLY,), (EARLY, 200), (600,), (30, DAY), (DAY,))
_WAKE_FATES = (ON_TIME, LOST, (0, 0), (0, 7), (3,), (45,), (200,))


def _some(*values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=6)


def any_arrivals() -> st.SearchStrategy[Arrivals]:
    """Events and wakes that arrive in any way."""
    return st.builds(
        Arrivals, events=_some(*_EVENT_FATES), wakes=_some(*_WAKE_FATES), hurry=st.sampled_from([0, 0, 0, 7])
    )


def any_cloud_behavior() -> st.SearchStrategy[CloudBehavior]:
    """Any AWS that completes its work in the end."""
    return st.builds(
        CloudBehavior,
        copying=_some(0, 1, 60, 600, 7200),
        access=_some(0, 0, 20, 200),
        registering=_some(0, 10, 300),
        lag=_some(0, 0, 3, 90),
        limit=st.sampled_from([20, 3, 1]),
    )
