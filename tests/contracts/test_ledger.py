"""What every ledger, every store of slot leases and every list of tracked deliveries promises."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.delivery.outcomes import EXPIRED
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.addresses import HOLD, copy_quota, promotion
from chalicelib.engine.addresses import holding as holding_place
from chalicelib.engine.errors import LostRace, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Write
from chalicelib.sharing.ports import StandingHolding
from chalicelib.sharing.share import DELIVERED_AMIS, Share, ShareState
from tests.fakes import copying, sharing

NOW = 1_800_000_000
RESOURCE = "resource#snapshot#snap-0a"
ACCOUNT = "222222222222"
SHARE = Share(RESOURCE, ACCOUNT, ACCOUNT, last_closing_at=NOW + 100)
QUOTA = copy_quota(ACCOUNT, "us-east-1")
AMI = "ami-0a"


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_holding_again_names_the_role_that_the_file_has_now(store):
    """Whether that is later, or for as long; the share worker then moves the statement."""
    for role, until in (("old", NOW + 100), ("new", NOW + 100), ("newer", NOW + 200)):
        store.ledger.hold(replace(SHARE, grantee=role, last_closing_at=until), copying("d1"))
        (found,) = store.ledger.shares(RESOURCE)
        assert (found.grantee, found.last_closing_at, found.asked) == (role, until, 1)


@pytest.mark.parametrize(("item", "whole"), [("share", 390), ("share", 420), ("tracked", 190), ("tracked", 420)])
def test_a_share_and_a_tracked_delivery_may_have_400_kb_each(store, item, whole):
    """Each is an item of its own; what DynamoDB refuses does not pass in memory."""
    long = "x" * whole * 1024
    store.ledger.hold(SHARE, copying("d1"))
    (share,) = store.ledger.shares(RESOURCE)
    fault = Fault("share-refused", "here", long, "")
    writes = {
        "share": lambda: store.ledger.save([replace(share, fault=fault)], "refused", NOW),
        "tracked": lambda: store.tracked.add(AMI, replace(tracked("d1"), ssm_parameter=long)),
    }
    with nullcontext() if whole < 400 else pytest.raises((AssertionError, ClientError)):
        writes[item]()


SECOND = replace(SHARE, resource="resource#snapshot#snap-0b")


@pytest.mark.parametrize(
    ("before", "held"),
    [(None, 2), ((SECOND, "d2", NOW + 50), 2), ((SECOND, "d2", NOW + 200), 1), ((SECOND, "d1", NOW + 100), 1)],
    ids=["new", "of another", "of another with a later end", "its own"],
)
def test_holdings_are_written_together_or_the_first_alone(store, before, held):
    """Where a share needs more than one write, the rest is left to the next call, which has its own time."""
    if before is not None:
        share, delivery, until = before
        store.ledger.hold(replace(share, last_closing_at=until), copying(delivery))

    wanted = [(share, copying("d1")) for share in (SHARE, SECOND)]
    assert store.ledger.hold_all(wanted) == held
    left = wanted[held:]
    while left:
        left = left[store.ledger.hold_all(left) :]

    for share in (SHARE, SECOND):
        (found,) = store.ledger.shares(share.resource)
        assert copying("d1") in found.holdings
        assert found.asked == len(found.holdings)


def test_a_later_holder_moves_the_last_closing_time_and_never_to_an_earlier_one(store):
    """It is the latest end of all who have come to hold the share for copies."""
    for until in (100, 300, 200):
        store.ledger.hold(replace(SHARE, last_closing_at=NOW + until), copying(f"d{until}"))

    assert store.ledger.shares(RESOURCE)[0].last_closing_at == NOW + 300


def test_two_holders_and_the_last_one_leaves(store):
    """Two AMIs on one snapshot: the share keeps a holding until the last is released."""
    store.ledger.hold(SHARE, copying("d1"))
    store.ledger.hold(replace(SHARE, last_closing_at=NOW + 50), copying("d2"))
    store.ledger.release(RESOURCE, ACCOUNT, copying("d1"))
    (one,) = store.ledger.shares(RESOURCE)
    assert (one.holdings, one.last_closing_at) == (frozenset({copying("d2")}), NOW + 100)

    store.ledger.release(RESOURCE, ACCOUNT, copying("d2"))
    store.ledger.release(RESOURCE, ACCOUNT, copying("d2"))
    store.ledger.release(RESOURCE, "999999999999", copying("d2"))
    assert [s.holdings for s in store.ledger.shares(RESOURCE)] == [frozenset()]


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)  # in memory one write is one step
@pytest.mark.parametrize("broken", [HOLD, "share#"])
def test_nobody_sees_a_holding_without_its_ask(store, broken):
    """One of the two writes fails: neither is there."""
    store.ledger.hold(SHARE, copying("d1"))
    refuse_writes_of(store.table, broken)
    with pytest.raises(Refusal) as refused:
        store.ledger.hold(SHARE, copying("d2"))
    assert (refused.value.kind, refused.value.fault.code) == (RefusalKind.THROTTLED, "share-busy")

    (found,) = store.ledger.shares(RESOURCE)
    assert (found.holdings, found.asked) == (frozenset({copying("d1")}), 1)


def refuse_writes_of(table, sort_key):
    """Let DynamoDB refuse every transaction with a write of such an item."""
    real = table._client.transact_write_items

    def refused(TransactItems):  # noqa: N803 - boto3's own name
        for write in TransactItems:
            for request in write.values():
                key = request.get("Key") or request["Item"]
                if key["sk"]["S"].startswith(sort_key):
                    unmet, never = request.get("ConditionExpression"), "attribute_exists(no_such_attribute)"
                    request["ConditionExpression"] = f"({unmet}) AND {never}" if unmet else never
        return real(TransactItems=TransactItems)

    table._client.transact_write_items = refused


def test_many_amis_hold_one_share_and_each_lets_go_of_its_own(store):
    """A grant that all AMIs of an account under one key hold: each holding is an item of its own."""
    held = [replace(sharing(f"{number:020x}"), ami=f"ami-{number:017x}") for number in range(40)]
    for one in held:
        store.ledger.hold(SHARE, one)
    store.ledger.release(RESOURCE, ACCOUNT, held[7])
    (found,) = store.ledger.shares(RESOURCE)
    assert (found.holdings, found.asked) == ({*held[:7], *held[8:]}, 40)
    assert [one.holding for one in store.ledger.standing(held[8].ami)] == [held[8]]


def test_a_new_episode_holds_in_place_of_the_old_one_and_outlives_its_release(store):
    """A delivery was killed before its release, and started again; a late write of the old episode changes nothing."""
    store.ledger.hold(SHARE, copying("d1", episode=1))
    store.ledger.hold(SHARE, sharing("d1", episode=2))
    store.ledger.hold(SHARE, copying("d1", episode=1))
    store.ledger.release(RESOURCE, ACCOUNT, copying("d1", episode=1))

    (found,) = store.ledger.shares(RESOURCE)
    assert (found.holdings, found.asked) == (frozenset({sharing("d1", episode=2)}), 2)
    assert [one.holding.episode for one in store.ledger.standing(AMI)] == [2]


def test_what_is_released_and_still_listed_holds_nothing(store):
    """The pass over standing shares finds it until it has made the resource due; then it removes it."""
    store.ledger.hold(SHARE, sharing("d1"))
    for _ in range(2):
        store.ledger.release(RESOURCE, ACCOUNT, sharing("d1"), listed=True)
    assert [s.holdings for s in store.ledger.shares(RESOURCE)] == [frozenset()]
    (listed,) = store.ledger.standing(AMI)
    assert listed == StandingHolding(RESOURCE, ACCOUNT, sharing("d1"))

    store.ledger.hold(SHARE, sharing("d1"))
    (found,) = store.ledger.shares(RESOURCE)
    assert (found.holdings, found.asked) == (frozenset({sharing("d1")}), 2)
    store.ledger.release(RESOURCE, ACCOUNT, sharing("d1"), listed=True)
    store.ledger.release(RESOURCE, ACCOUNT, sharing("d1"))
    assert store.ledger.standing(AMI) == []


def test_a_delivery_reads_its_own_holdings_together(store):
    """By one call; those of others are left out, and a share that it does not hold has none."""
    other = "resource#snapshot#snap-0b"
    for name in ("d1", "d2"):
        store.ledger.hold(SHARE, copying(name))
    store.ledger.hold(replace(SHARE, resource=other), copying("d2"))

    found = store.ledger.find_for([(RESOURCE, ACCOUNT, "d1"), (other, ACCOUNT, "d1"), (RESOURCE, "no share", "d1")])
    assert {s.resource: s.holdings for s in found} == {RESOURCE: {copying("d1")}, other: frozenset()}
    found = store.ledger.find([(RESOURCE, ACCOUNT), (other, ACCOUNT)])
    assert {s.resource: len(s.holdings) for s in found} == {RESOURCE: 2, other: 1}


def test_a_worker_that_was_not_alone_is_notified(store):
    """Its write is refused, so that it does not overwrite another's."""
    store.ledger.hold(SHARE, copying("d1"))
    (read,) = store.ledger.shares(RESOURCE)
    store.ledger.save([replace(read, state=ShareState.OPEN)], "opened", NOW)

    with pytest.raises(LostRace):
        store.ledger.save([replace(read, state=ShareState.CLOSING)], "closing", NOW)
    assert store.ledger.shares(RESOURCE)[0].state is ShareState.OPEN


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)  # in memory a read is one moment
@pytest.mark.parametrize(("page", "seen"), [(1, True), (2, True), (3, False)])
def test_a_holder_who_comes_between_two_pages_of_a_read_is_seen_or_ends_what_was_read(store, page, seen, monkeypatch):
    """Its holding is behind the place that the read has reached, or before it."""
    other = "333333333333"
    for delivery in ("d5", "d6"):
        store.ledger.hold(replace(SHARE, share_name=other), copying(delivery))
    store.ledger.hold(SHARE, copying("d0"))
    store.ledger.release(RESOURCE, ACCOUNT, copying("d0"))
    pages, real = [], store.table._client.query

    def query(**request):
        if len(pages) == page:
            store.ledger.hold(SHARE, copying("d1"))
        pages.append(request)
        return real(**request, Limit=1)

    monkeypatch.setattr(store.table._client, "query", query)
    read = next(one for one in store.ledger.shares(RESOURCE) if one.share_name == ACCOUNT)
    assert len(pages) > page
    assert read.holdings == ({copying("d1")} if seen else frozenset())
    if not seen:
        with pytest.raises(LostRace):
            store.ledger.save([replace(read, state=ShareState.CLOSING)], "closing", NOW, unheld=True)


def test_each_who_comes_is_counted_once_and_ends_what_was_read_before(store):
    """The count tells the share worker which holdings a refusal did not answer, and that a new one needs the share.

    A closing is not begun over it, and any other write of the worker leaves it.
    """
    for name in ("d1", "d1", "d2"):
        store.ledger.hold(SHARE, copying(name))
    (read,) = store.ledger.shares(RESOURCE)
    assert read.asked == 2
    store.ledger.release(RESOURCE, ACCOUNT, copying("d1"))
    store.ledger.save([replace(read, state=ShareState.CLOSING)], "its end", NOW, unheld=True)
    (read,) = store.ledger.shares(RESOURCE)
    assert (read.state, read.asked) == (ShareState.CLOSING, 2)

    store.ledger.hold(SHARE, copying("d3"))
    with pytest.raises(LostRace):
        store.ledger.save([replace(read, answered=2)], "its end", NOW, unheld=True)
    store.ledger.save([replace(read, answered=2)], "refused", NOW)
    (after,) = store.ledger.shares(RESOURCE)
    assert (after.asked, after.answered, after.holdings) == (3, 2, {copying("d2"), copying("d3")})


def test_shares_of_many_resources_are_found_at_once(store):
    """By resource and name; a missing one is left out, and 120 work like 20."""
    places = [(f"resource#snapshot#snap-{number}", ACCOUNT) for number in range(120)]
    for resource, _ in places[1:]:
        store.ledger.hold(replace(SHARE, resource=resource), copying("d1"))

    found = store.ledger.find([*places, places[-1]])

    assert {(s.resource, s.share_name) for s in found} == set(places[1:])
    assert len(found) == 119
    assert all(s.holdings == {copying("d1")} for s in found)


def test_a_hundred_and_twenty_shares_are_written_in_one_go(store):
    """That is more than one transaction takes."""
    for n in range(120):
        store.ledger.hold(replace(SHARE, share_name=f"{n:012d}", account=f"{n:012d}"), copying(f"d{n}"))
    store.ledger.save([replace(s, state=ShareState.OPEN) for s in store.ledger.shares(RESOURCE)], "opened", NOW)

    assert {s.state for s in store.ledger.shares(RESOURCE)} == {ShareState.OPEN}
    assert len(store.ledger.shares(RESOURCE)) == 120


def closed(store, name: str = ACCOUNT) -> Share:
    """A closed share without holdings."""
    store.ledger.hold(replace(SHARE, share_name=name), copying("d1"))
    store.ledger.release(RESOURCE, name, copying("d1"))
    read = next(s for s in store.ledger.shares(RESOURCE) if s.share_name == name)
    store.ledger.save([replace(read, state=ShareState.CLOSED, closed_at=NOW)], "closed", NOW)
    return next(s for s in store.ledger.shares(RESOURCE) if s.share_name == name)


def test_what_is_archived_is_read_no_more_and_is_remembered(store):
    """The ledger's partition has only open and wanted shares; the archive has the earlier ones."""
    one = closed(store)
    assert not store.ledger.was_open(RESOURCE)
    store.ledger.archive([one], NOW)

    assert store.ledger.shares(RESOURCE) == []
    assert store.ledger.was_open(RESOURCE)
    assert store.ledger.was_open(RESOURCE, ACCOUNT[:5])
    assert not store.ledger.was_open(RESOURCE, "9")
    store.ledger.release(RESOURCE, ACCOUNT, copying("d1"))
    assert store.ledger.shares(RESOURCE) == []


def test_the_latest_archive_says_whose_permission_went_with_its_resource(store):
    """A permission that was removed later is not the service's if it shows again."""
    store.ledger.archive([replace(closed(store), gone_with_resource=True)], NOW)
    store.ledger.archive([closed(store, "333333333333")], NOW)
    assert set(store.ledger.gone_with_resource(RESOURCE)) == {ACCOUNT}
    store.ledger.archive([closed(store)], NOW + 1)

    assert not store.ledger.gone_with_resource(RESOURCE)


def test_who_comes_before_it_is_archived_keeps_it(store):
    """A holding that comes after the archiving starts a new share."""
    one, other = closed(store), closed(store, "333333333333")
    store.ledger.hold(SHARE, copying("d2"))
    with pytest.raises(LostRace):
        store.ledger.archive([one], NOW)
    store.ledger.archive([other], NOW)
    store.ledger.hold(replace(SHARE, share_name="333333333333"), copying("d2"))
    expected = {ACCOUNT: (ShareState.CLOSED, 1), "333333333333": (ShareState.WANTED, 0)}

    assert {s.share_name: (s.state, s.version) for s in store.ledger.shares(RESOURCE)} == expected


def test_what_is_not_in_the_ledger_can_be_put_into_it_once(store):
    """For a permission of the service's that no share accounts for."""
    found = replace(SHARE, state=ShareState.CLOSING, share_name="grant-1")
    assert store.ledger.put_right(found, "found", NOW)
    assert not store.ledger.put_right(found, "found", NOW)
    assert [(s.state, s.version) for s in store.ledger.shares(RESOURCE)] == [(ShareState.CLOSING, 1)]


def test_a_standing_holding_is_found_by_its_ami_as_long_as_it_lasts(store):
    """With resource, share, delivery and end."""
    store.ledger.hold(SHARE, sharing("d1", until=NOW))
    store.ledger.hold(SHARE, copying("d2"))

    assert store.ledger.standing(AMI) == [StandingHolding(RESOURCE, ACCOUNT, sharing("d1", until=NOW))]
    assert store.ledger.standing("ami-0b") == []
    for _ in range(2):
        store.ledger.release(RESOURCE, ACCOUNT, sharing("d1", until=NOW))
    assert store.ledger.standing(AMI) == []
    assert [s.holdings for s in store.ledger.shares(RESOURCE)] == [frozenset({copying("d2")})]


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)  # in memory it cannot be damaged
def test_no_damage_takes_a_key_from_the_amis_that_were_delivered(store):
    """The grant on the target's own key has one holder for them all, which holds whatever its item says."""
    store.ledger.hold(SHARE, sharing(DELIVERED_AMIS))
    place = holding_place(RESOURCE, ACCOUNT, DELIVERED_AMIS)
    store.table.update(place, "SET episode = :none REMOVE account, standing_of", {":none": "none"})

    (found,) = store.ledger.shares(RESOURCE)
    assert [(one.delivery, one.stands) for one in found.holdings] == [(DELIVERED_AMIS, True)]


def test_a_holding_of_which_the_episode_is_unknown_is_released_whatever_it_is(store):
    """It was damaged when it was read."""
    store.ledger.hold(SHARE, sharing("d1"))
    (read,) = store.ledger.shares(RESOURCE)
    store.ledger.release(RESOURCE, ACCOUNT, replace(sharing("d1"), episode=0))

    assert [s.holdings for s in store.ledger.shares(RESOURCE)] == [frozenset()]
    assert read.holdings == frozenset({sharing("d1")})
    assert store.ledger.standing(AMI) == []


# --- the slots of a copy quota ---------------------------------------------------------------------------------------

WISH = SlotLease("d1", 1, NOW, 2, 0, until=NOW + 3600)


def test_asking_again_keeps_what_was_granted_and_renews_the_lease(store):
    """The delivery writes its request, the quota's worker the grant; the answer contains the lease."""
    assert store.slots.ask(QUOTA, WISH) == WISH
    store.slots.grant(QUOTA, replace(WISH, granted=1, until=NOW + 3700))
    asked = store.slots.ask(QUOTA, replace(WISH, wanted=3, done=1, until=NOW + 3800))

    assert asked == replace(WISH, wanted=3, done=1, granted=1, until=NOW + 3800)
    assert list(store.slots.leases(QUOTA)) == [asked]
    assert store.slots.lease(QUOTA, "d1") == asked
    assert store.slots.lease(QUOTA, "d2") is None


def test_a_new_episode_starts_without_slots_and_an_old_one_says_no_more(store):
    """The new episode has no slots, and a late write of the old one changes nothing."""
    store.slots.ask(QUOTA, WISH)
    store.slots.grant(QUOTA, replace(WISH, granted=2))
    again = replace(WISH, episode=2)
    assert store.slots.ask(QUOTA, again) == again
    assert store.slots.ask(QUOTA, replace(WISH, done=2)) == replace(WISH, done=2)
    store.slots.grant(QUOTA, replace(WISH, granted=2))

    assert list(store.slots.leases(QUOTA)) == [again]


def test_a_worker_that_read_too_early_takes_nothing_back(store):
    """Two workers at once: one did not see the grant and renews the lease; the grant stays."""
    store.slots.ask(QUOTA, WISH)
    store.slots.grant(QUOTA, replace(WISH, granted=2))
    store.slots.grant(QUOTA, replace(WISH, granted=0, until=NOW + 9000))

    assert [lease.granted for lease in store.slots.leases(QUOTA)] == [2]


def test_copies_that_run_count_where_nothing_is_known_of_their_delivery(store):
    """Its slots went to others while it was parked: its running copies count all the same."""
    assert store.slots.ask(QUOTA, replace(WISH, granted=1)).granted == 1
    assert store.slots.ask(QUOTA, replace(WISH, granted=2)).granted == 1, (
        "the quota's own word counts where there is one"
    )


def test_one_whose_delivery_has_asked_since_is_not_dropped(store):
    """The worker read its lease as expired, or its delivery as ended; the renewed lease stays."""
    read = store.slots.ask(QUOTA, WISH)
    renewed = store.slots.ask(QUOTA, replace(WISH, until=NOW + 7200))
    store.slots.drop(QUOTA, read)
    assert list(store.slots.leases(QUOTA)) == [renewed]

    store.slots.drop(QUOTA, renewed)
    assert list(store.slots.leases(QUOTA)) == []
    store.slots.grant(QUOTA, replace(WISH, granted=2))
    assert list(store.slots.leases(QUOTA)) == [], "a grant that comes late brings nothing back"


# --- tracked --------------------------------------------------------------------------------------------------------


def tracked(name: str, state: str = "running", episode: int = 1, generation: int = 0) -> TrackedDelivery:
    """The item of one tracked delivery."""
    return TrackedDelivery(name, ACCOUNT, "us-east-1", episode, state, generation=generation)


@pytest.fixture
def tracking(store):
    """The tracked deliveries of a promotion that runs."""
    store.records.create(Write(promotion(AMI), "running", {}, NOW), NOW)
    return store.tracked


def test_the_last_to_end_knows_that_it_is_the_last(tracking):
    """Only the last one wakes the promotion."""
    for name in ("d1", "d2", "d3"):
        assert tracking.add(AMI, tracked(name))

    assert [tracking.end(AMI, tracked(name, "delivered")) for name in ("d1", "d2", "d3")] == [False, False, True]
    assert [one.state for one in tracking.all(AMI)] == ["delivered"] * 3


def test_those_that_were_counted_together_end_as_if_each_had_been_counted(tracking):
    """The last one knows that it is the last."""
    for name in ("d1", "d2"):
        assert tracking.add(AMI, tracked(name), count=False)
    tracking.count(AMI, 2)

    assert [tracking.end(AMI, tracked(name, "delivered")) for name in ("d1", "d2")] == [False, True]


def test_an_end_counts_once_and_a_new_episode_runs_again(tracking):
    """Put-if-absent: a repeated end counts once, and an older episode's end does not end the new one."""
    assert tracking.add(AMI, tracked("d1"))
    assert not tracking.add(AMI, tracked("d1"))
    tracking.end(AMI, tracked("d1", "failed"))
    assert tracking.add(AMI, tracked("d1", episode=2))

    tracking.end(AMI, tracked("d1", "failed"))
    assert tracking.all(AMI) == [tracked("d1", episode=2)]


@pytest.mark.parametrize("state", ["failed", "delivered", "shared"])
def test_a_delivery_keeps_the_generation_that_began_it(tracking, state):
    """Its worker, which writes the end, does not know it; a newer generation begins again what has failed."""
    assert tracking.add(AMI, tracked("d1", generation=3))

    tracking.end(AMI, tracked("d1", state))
    assert tracking.all(AMI) == [tracked("d1", state, generation=3)]
    tracking.end(AMI, tracked("d1", "withdrawn"))
    assert tracking.all(AMI)[0].generation == 3

    assert tracking.add(AMI, tracked("d1", episode=2, generation=4))
    assert tracking.all(AMI) == [tracked("d1", episode=2, generation=4)]


def test_a_delivery_keeps_that_its_account_joined_and_says_when_it_ended(tracking):
    """The first its worker does not know, the second only its worker does."""
    assert tracking.add(AMI, replace(tracked("d1", generation=3), joined=3))
    tracking.end(AMI, replace(tracked("d1", "failed"), ended_at=NOW))
    (ended,) = tracking.all(AMI)
    assert ended == replace(tracked("d1", "failed", generation=3), joined=3, ended_at=NOW)


def test_a_delivery_has_the_parameter_with_which_it_ended_and_the_one_that_it_gets_later(tracking):
    """The file may set one while it runs, and another one afterwards; what was never tracked gets none."""
    assert tracking.add(AMI, tracked("d1"))
    shared = replace(tracked("d1", "shared"), ssm_parameter="/a/{family}")
    tracking.end(AMI, shared)
    assert tracking.all(AMI) == [shared]

    for name in ("d1", "d2"):
        tracking.rename(AMI, name, "/b/{family}")
    assert tracking.all(AMI) == [replace(shared, ssm_parameter="/b/{family}")]


@pytest.mark.parametrize(
    "before", [tracked("d1", "cancelled", 0), tracked("d1", "failed", 1, generation=2)], ids=["new", "reopened"]
)
def test_an_episode_that_was_announced_and_never_written_is_taken_back(tracking, before):
    """It counts as running no longer, an episode that is there stays, and the next one is added again."""
    announced = tracked("d1", episode=before.episode + 1, generation=3)
    assert tracking.add(AMI, announced)
    tracking.take_back(AMI, replace(announced, episode=announced.episode + 1), before)
    assert tracking.all(AMI) == [announced]
    tracking.take_back(AMI, announced, before)
    assert tracking.all(AMI) == [before]
    tracking.take_back(AMI, announced, before)

    assert tracking.add(AMI, announced)
    assert tracking.end(AMI, replace(announced, state="delivered"))


@pytest.mark.parametrize(("first", "then"), [("shared", "withdrawn"), ("shared", EXPIRED), ("delivered", "recalled")])
def test_what_is_taken_back_in_one_episode_is_so_whichever_worker_writes_last(tracking, first, then):
    """One invocation may still write the outcome that another has overtaken."""
    assert tracking.add(AMI, tracked("d1"))
    for state in (first, then, first):
        tracking.end(AMI, tracked("d1", state))

    assert tracking.all(AMI) == [tracked("d1", then)]


def test_the_end_of_an_episode_that_was_taken_back_too_early_counts(tracking):
    """Its record was written after all, and says what is true; an older episode's end changes nothing then."""
    assert tracking.add(AMI, tracked("d1", episode=2))
    tracking.take_back(AMI, tracked("d1", episode=2), tracked("d1", "delivered"))

    assert tracking.end(AMI, tracked("d1", "recalled", episode=2))
    tracking.end(AMI, tracked("d1", "withdrawn"))
    assert tracking.all(AMI) == [tracked("d1", "recalled", episode=2)]
    assert tracking.add(AMI, tracked("d1", episode=3))
    assert tracking.end(AMI, tracked("d1", "delivered", episode=3)), "none is counted twice"
