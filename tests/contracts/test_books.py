"""What every ledger, copy quota and list of children promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.core.addresses import copy_quota, promotion
from chalicelib.core.copy_quota import SlotLease
from chalicelib.core.promotion.model import Child
from chalicelib.core.share import Share, State
from chalicelib.ports import LostRace, Write

NOW = 1_800_000_000
RESOURCE = "resource#snapshot#snap-0a"
ACCOUNT = "222222222222"
SHARE = Share(RESOURCE, ACCOUNT, ACCOUNT, hard_close_at=NOW + 100)
QUOTA = copy_quota(ACCOUNT, "us-east-1")
AMI = "ami-0a"


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_holding_twice_is_holding_once(store):
    """A crash may repeat it."""
    for _ in range(2):
        store.ledger.hold(RESOURCE, SHARE, "d1:1")

    assert [(s.holders, s.state) for s in store.ledger.shares(RESOURCE)] == [(frozenset({"d1:1"}), State.WANTED)]


def test_two_holders_and_the_last_one_leaves(store):
    """Two AMIs on one snapshot: the share has a holder until the last has gone."""
    store.ledger.hold(RESOURCE, SHARE, "d1:1")
    store.ledger.hold(RESOURCE, replace(SHARE, hard_close_at=NOW + 50), "d2:1")
    store.ledger.release(RESOURCE, ACCOUNT, "d1:1")
    (one,) = store.ledger.shares(RESOURCE)
    assert (one.holders, one.hard_close_at) == (frozenset({"d2:1"}), NOW + 100)

    store.ledger.release(RESOURCE, ACCOUNT, "d2:1")
    store.ledger.release(RESOURCE, ACCOUNT, "d2:1")
    store.ledger.release(RESOURCE, "999999999999", "d2:1")
    assert [s.holders for s in store.ledger.shares(RESOURCE)] == [frozenset()]


def test_a_later_holder_moves_the_hard_end_back_and_never_forward(store):
    """It only ever grows."""
    for until in (100, 300, 200):
        store.ledger.hold(RESOURCE, replace(SHARE, hard_close_at=NOW + until), f"d{until}:1")

    assert store.ledger.shares(RESOURCE)[0].hard_close_at == NOW + 300


def test_the_lane_writes_its_side_and_the_holders_theirs(store):
    """A holder that comes while the lane writes is not lost."""
    store.ledger.hold(RESOURCE, SHARE, "d1:1")
    (read,) = store.ledger.shares(RESOURCE)
    store.ledger.hold(RESOURCE, SHARE, "d2:1")
    store.ledger.save([replace(read, state=State.OPEN, opened_at=NOW)], "opened", NOW)

    (after,) = store.ledger.shares(RESOURCE)
    assert (after.state, after.holders) == (State.OPEN, frozenset({"d1:1", "d2:1"}))


def test_a_lane_that_was_not_alone_is_told(store):
    """Its write is refused, not lost over another's."""
    store.ledger.hold(RESOURCE, SHARE, "d1:1")
    (read,) = store.ledger.shares(RESOURCE)
    store.ledger.save([replace(read, state=State.OPEN)], "opened", NOW)

    with pytest.raises(LostRace):
        store.ledger.save([replace(read, state=State.CLOSING)], "closing", NOW)
    assert store.ledger.shares(RESOURCE)[0].state is State.OPEN


def test_a_closing_is_not_begun_over_a_holder_that_has_just_come(store):
    """Read as unheld, held by the time of the write: the lane reads again."""
    store.ledger.hold(RESOURCE, SHARE, "d1:1")
    store.ledger.release(RESOURCE, ACCOUNT, "d1:1")
    (read,) = store.ledger.shares(RESOURCE)
    store.ledger.hold(RESOURCE, SHARE, "d2:1")

    with pytest.raises(LostRace):
        store.ledger.save([replace(read, state=State.CLOSING)], "closing", NOW, unheld=True)
    store.ledger.release(RESOURCE, ACCOUNT, "d2:1")
    store.ledger.save([replace(read, state=State.CLOSING)], "closing", NOW, unheld=True)
    assert store.ledger.shares(RESOURCE)[0].state is State.CLOSING


def test_a_hundred_and_twenty_shares_are_written_in_one_go(store):
    """More than one transaction takes."""
    for n in range(120):
        store.ledger.hold(RESOURCE, replace(SHARE, holder_key=f"{n:012d}", account=f"{n:012d}"), f"d{n}:1")
    store.ledger.save([replace(s, state=State.OPEN) for s in store.ledger.shares(RESOURCE)], "opened", NOW)

    assert {s.state for s in store.ledger.shares(RESOURCE)} == {State.OPEN}
    assert len(store.ledger.shares(RESOURCE)) == 120


# --- the slots of a copy quota ---------------------------------------------------------------------------------------

WISH = SlotLease("d1", 1, NOW, 2, 0, until=NOW + 3600)


def test_asking_again_keeps_what_was_granted_and_renews_the_lease(store):
    """The delivery writes its side, the quota's worker the other; the answer says how the lease then stands."""
    assert store.slots.ask(QUOTA, WISH) == WISH
    store.slots.grant(QUOTA, replace(WISH, granted=1, until=NOW + 3700))
    asked = store.slots.ask(QUOTA, replace(WISH, wanted=3, done=1, until=NOW + 3800))

    assert asked == replace(WISH, wanted=3, done=1, granted=1, until=NOW + 3800)
    assert list(store.slots.leases(QUOTA)) == [asked]
    assert store.slots.lease(QUOTA, "d1") == asked
    assert store.slots.lease(QUOTA, "d2") is None


def test_a_new_episode_starts_without_slots_and_an_old_one_says_no_more(store):
    """What the last episode was granted is over; a late word of it changes nothing."""
    store.slots.ask(QUOTA, WISH)
    store.slots.grant(QUOTA, replace(WISH, granted=2))
    again = replace(WISH, episode=2)
    assert store.slots.ask(QUOTA, again) == again
    assert store.slots.ask(QUOTA, replace(WISH, done=2)) == replace(WISH, done=2)
    store.slots.grant(QUOTA, replace(WISH, granted=2))

    assert list(store.slots.leases(QUOTA)) == [again]


def test_a_worker_that_read_too_early_takes_nothing_back(store):
    """Two workers at once: the one that did not see a grant renews the lease, and the grant stays."""
    store.slots.ask(QUOTA, WISH)
    store.slots.grant(QUOTA, replace(WISH, granted=2))
    store.slots.grant(QUOTA, replace(WISH, granted=0, until=NOW + 9000))

    assert [lease.granted for lease in store.slots.leases(QUOTA)] == [2]


def test_copies_that_run_count_where_nothing_is_known_of_their_delivery(store):
    """Its slots were given away while it was parked: what it has begun counts all the same."""
    assert store.slots.ask(QUOTA, replace(WISH, granted=1)).granted == 1
    assert store.slots.ask(QUOTA, replace(WISH, granted=2)).granted == 1, (
        "the quota's own word counts where there is one"
    )


def test_one_whose_delivery_has_asked_since_is_not_dropped(store):
    """Read as run out, or as over, and then renewed: it stays."""
    read = store.slots.ask(QUOTA, WISH)
    renewed = store.slots.ask(QUOTA, replace(WISH, until=NOW + 7200))
    store.slots.drop(QUOTA, read)
    assert list(store.slots.leases(QUOTA)) == [renewed]

    store.slots.drop(QUOTA, renewed)
    assert list(store.slots.leases(QUOTA)) == []
    store.slots.grant(QUOTA, replace(WISH, granted=2))
    assert list(store.slots.leases(QUOTA)) == [], "a grant that comes late brings nothing back"


# --- children --------------------------------------------------------------------------------------------------------


def child(name: str, state: str = "running", episode: int = 1) -> Child:
    """One delivery's mark."""
    return Child(name, ACCOUNT, "us-east-1", episode, state)


def test_the_last_to_end_knows_that_it_is_the_last(store):
    """Only that one rings the promotion."""
    store.records.create(Write(promotion(AMI), "running", {}, NOW), NOW)
    for name in ("d1", "d2", "d3"):
        assert store.children.add(AMI, child(name))

    assert [store.children.end(AMI, child(name, "delivered")) for name in ("d1", "d2", "d3")] == [False, False, True]
    assert [one.state for one in store.children.all(AMI)] == ["delivered"] * 3


def test_a_mark_is_left_once_and_a_new_episode_opens_it_again(store):
    """Put-if-absent; a repeated end is no second one; an older episode's end does not end the new."""
    store.records.create(Write(promotion(AMI), "running", {}, NOW), NOW)
    assert store.children.add(AMI, child("d1"))
    assert not store.children.add(AMI, child("d1"))
    store.children.end(AMI, child("d1", "failed"))
    assert store.children.add(AMI, child("d1", episode=2))

    store.children.end(AMI, child("d1", "failed"))
    assert store.children.all(AMI) == [child("d1", episode=2)]
