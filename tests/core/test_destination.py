"""Copy slots: handed out by the destination, oldest delivery first, from what is really running."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import destination
from chalicelib.core.destination import LIMIT, LIMIT_HELD_FOR, Destination, Slots

NOW = 1_800_000_000
PLACE = Destination("222222222222", "us-east-1")


def slots(name: str, wanted: int, created: int = 0, **changes: int) -> Slots:
    """One delivery's request."""
    return replace(Slots(name, 1, NOW + created, wanted, 0), **changes)


requests = st.lists(
    st.builds(
        lambda name, wanted, granted, done, created: Slots(
            name, 1, created, max(wanted, granted), min(done, granted), granted, granted
        ),
        st.uuids().map(str),
        st.integers(0, 30),
        st.integers(0, 8),
        st.integers(0, 8),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(requests, st.integers(1, LIMIT))
def test_no_more_copies_run_than_the_limit_allows(asked, limit):
    """What runs and what is handed out stay within the limit, unless more ran already."""
    running = sum(s.running for s in asked)
    given_out = {s.delivery: s for s in destination.hand_out(limit, asked)}
    after = [given_out.get(s.delivery, s) for s in asked]

    assert sum(s.running for s in after) <= max(limit, running)
    assert all(s.granted <= s.wanted for s in after)


@given(requests, st.integers(1, LIMIT))
def test_no_slot_stays_free_while_somebody_lacks_one(asked, limit):
    """Twenty at once is what AWS allows, so twenty it is."""
    given_out = {s.delivery: s for s in destination.hand_out(limit, asked)}
    after = [given_out.get(s.delivery, s) for s in asked]

    assert sum(s.running for s in after) >= limit or not any(s.lacking for s in after)


def test_the_oldest_gets_all_it_lacks_and_only_then_the_next():
    """A delivery that has begun has its shares open: it is brought to its end before a younger one begins."""
    given_out = destination.hand_out(22, [slots("young", 20, created=5), slots("old", 20)])

    assert {s.delivery: s.granted for s in given_out} == {"old": 20, "young": 2}


def test_a_slot_that_was_given_but_not_told_is_told_again():
    """The process may have died between giving and telling."""
    assert destination.hand_out(20, [slots("a", 1, granted=1, told=0)]) == (slots("a", 1, granted=1, told=0),)


def test_a_refused_copy_teaches_the_limit_for_a_while():
    """Others copy into that account as well: what EC2 refused is the limit, and it is probed upwards again."""
    asked = [slots("a", 20, granted=20, done=0, limited_at=NOW)]
    taught = destination.learn(PLACE, asked, NOW)
    assert taught.limit == 19

    assert destination.learn(taught, asked, NOW + LIMIT_HELD_FOR - 1).limit == 19
    assert destination.learn(taught, asked, NOW + LIMIT_HELD_FOR).limit == 20


def test_the_lane_looks_again_while_anyone_waits_and_not_otherwise():
    """A lost ring does not leave a delivery waiting until its deadline."""
    assert destination.next_look(PLACE, [slots("a", 2, granted=1)], NOW) is not None
    assert destination.next_look(PLACE, [slots("a", 2, granted=2)], NOW) is None
