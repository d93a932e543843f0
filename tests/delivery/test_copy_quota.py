"""Copy slots: the copy quota grants them to the oldest delivery first, by the number of running copies."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.delivery import copy_quota
from chalicelib.delivery.copy_quota import LIMIT, LIMIT_HELD_FOR, CopyQuota, SlotLease
from chalicelib.engine import schedule

NOW = 1_800_000_000
QUOTA = CopyQuota("222222222222", "us-east-1")


def lease(name: str, wanted: int, created: int = 0, **changes: int) -> SlotLease:
    return replace(SlotLease(name, 1, NOW + created, wanted, 0, until=NOW + schedule.LEASE), **changes)


leases_of_many = st.lists(
    st.builds(
        lambda name, wanted, granted, done, created, until: SlotLease(
            name, 1, created, max(wanted, granted), min(done, granted), granted, NOW + until
        ),
        st.uuids().map(str),
        st.integers(0, 30),
        st.integers(0, 8),
        st.integers(0, 8),
        st.integers(0, 5),
        st.sampled_from([-10, 0, 10]),
    ),
    max_size=12,
)


def after(limit: int, leases: list[SlotLease]) -> list[SlotLease]:
    """Return all leases after the free slots are granted."""
    granted = {one.delivery: one for one in copy_quota.grants(limit, leases, NOW)}
    return [granted.get(one.delivery, one) for one in leases]


@given(leases_of_many, st.integers(1, LIMIT))
def test_no_more_copies_run_than_the_limit_allows(leases, limit):
    """Running and granted copies stay within the limit, unless more ran before."""
    running = sum(one.running for one in leases)

    assert sum(one.running for one in after(limit, leases)) <= max(limit, running)
    assert all(one.granted <= one.wanted for one in after(limit, leases))


@given(leases_of_many, st.integers(1, LIMIT))
def test_no_slot_stays_free_while_somebody_lacks_one(leases, limit):
    """AWS allows twenty at once, and twenty run."""
    given_out = after(limit, leases)

    assert sum(one.running for one in given_out) >= limit or not any(one.lacking for one in given_out)


@given(leases_of_many, st.integers(1, LIMIT))
def test_nobody_whose_lease_has_run_out_counts_or_gets_a_slot_without_a_look(leases, limit):
    """To be checked: expired leases that hold slots, and those that would be granted some; no others."""
    doubtful = {one.delivery for one in copy_quota.in_doubt(limit, leases, NOW)}

    run_out = [one for one in leases if one.until <= NOW]
    assert {one.delivery for one in run_out if one.running} <= doubtful <= {one.delivery for one in run_out}
    assert {one.delivery for one in copy_quota.grants(limit, leases, NOW)} & {
        one.delivery for one in run_out
    } <= doubtful


def test_a_long_queue_that_has_run_out_costs_a_look_for_each_free_slot_only():
    """After an outage a thousand wait: only those whose turn it is are read."""
    waiting = [lease(f"{number:04d}", 1, number, until=NOW) for number in range(1000)]

    assert len(copy_quota.in_doubt(LIMIT, waiting, NOW)) == LIMIT


def test_the_oldest_gets_all_it_lacks_and_only_then_the_next():
    """A started delivery has open shares: it is finished before a younger one starts."""
    granted = copy_quota.grants(22, [lease("young", 20, created=5), lease("old", 20)], NOW)

    assert {one.delivery: one.granted for one in granted} == {"old": 20, "young": 2}
    assert {one.until for one in granted} == {NOW + schedule.LEASE}


def test_a_delivery_that_stops_gives_back_what_it_has_not_used():
    """Of twenty granted slots five have a running copy; the delivery wants no more, so fifteen are free."""
    assert lease("a", wanted=5, done=0, granted=20).running == 5


def test_a_refused_copy_teaches_the_limit_for_a_while():
    """Others copy into that account, too: EC2's refusal gives the limit, which rises again later."""
    leases = [lease("a", 21, granted=20, done=1, limited_at=NOW)]
    taught = copy_quota.learn(QUOTA, leases, NOW)
    assert taught.limit == 19

    assert copy_quota.learn(taught, leases, NOW + LIMIT_HELD_FOR - 1).limit == 19
    assert copy_quota.learn(taught, leases, NOW + LIMIT_HELD_FOR).limit == 20


def test_where_others_use_the_whole_limit_one_copy_is_tried_every_five_minutes():
    """Every try was refused: no slot is granted for a while, since a try at once would be refused, too."""
    leases = [lease("a", 40, granted=20, done=20, limited_at=NOW)]
    taught = copy_quota.learn(QUOTA, leases, NOW)

    assert copy_quota.grants(taught.limit, leases, NOW) == ()
    assert copy_quota.next_look(leases, NOW) == NOW + LIMIT_HELD_FOR
    later = copy_quota.learn(taught, leases, NOW + LIMIT_HELD_FOR)
    assert [one.granted for one in copy_quota.grants(later.limit, leases, NOW)] == [21]

    refused = [replace(leases[0], granted=21, done=21, wanted=41, limited_at=NOW + LIMIT_HELD_FOR)]
    assert copy_quota.learn(later, refused, NOW + LIMIT_HELD_FOR).limit == 0, "refused in the same second"


def test_it_is_looked_at_again_while_anyone_waits_and_not_otherwise():
    """After a lost wake a delivery does not wait until its deadline."""
    assert copy_quota.next_look([lease("a", 2, granted=1)], NOW) is not None
    assert copy_quota.next_look([lease("a", 2, granted=2)], NOW) is None
