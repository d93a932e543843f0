"""What every store of records promises."""

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine.addresses import RecordKey, copy_lookups, lookup
from chalicelib.engine.errors import Unreadable
from chalicelib.engine.ports import Due, MadeDue, Write
from chalicelib.engine.store.records import SHARDS, shard_of

NOW = 1_800_000_000
KEY = RecordKey("delivery#0123")


def write(state: str = "requested", due: int | None = NOW, **changes) -> Write:
    return Write(KEY, state, changes.pop("body", {"n": 1}), due, **changes)


def due(store, now: int) -> list[RecordKey]:
    """All due records, in all shards."""
    return [one.key for shard in range(SHARDS) for one in store.records.due(shard, now, 10)]


@pytest.fixture
def begun(store):
    """The stores with one record, which was requested and is due now."""
    store.records.create(write(), NOW)
    return store


def test_a_record_is_put_once(store):
    """Put-if-absent: the second one changes nothing."""
    assert store.records.create(write(), NOW)
    assert not store.records.create(write(body={"n": 2}), NOW)
    assert store.records.read(KEY).body == {"n": 1}


@pytest.mark.parametrize("whole", [390 * 1024, 420 * 1024])
def test_an_item_of_more_than_400_kb_is_refused(begun, whole):
    """Of a record, its body counts together with its inbox; an item beside a record counts by itself."""
    fits = whole < 400 * 1024

    def says(act) -> bool:
        """Whether the begun takes it."""
        try:
            act()
        except (AssertionError, ClientError):
            return False
        return True

    assert says(lambda: begun.records.put(RecordKey("heads", "ami-1"), {"body": "x" * whole})) is fits
    assert says(lambda: begun.records.make_due(KEY, NOW, {"n": "x" * (whole // 2)}))
    stored = begun.records.read(KEY)
    assert says(lambda: begun.records.save(stored, write(body={"n": "x" * (whole // 2)}), (), NOW)) is fits


def test_what_happened_and_what_leads_to_it_expires_and_the_record_does_not(begun):
    """History and look-ups expire after 400 days, so that years of finished work cost nothing."""
    entry = lookup(copy_lookups("222222222222", "us-east-1", "snap-1"), "0123")
    beside = [(entry, {"kind": "lookup", "delivery": "0123"}), (RecordKey("heads", "ami-1"), {"kind": "head"})]
    began = begun.records.save(begun.records.read(KEY), write(), ["it began"], NOW, beside)
    begun.records.save(began, write("over", None), ["it ended"], NOW)

    past = [item["expires_at"] for _, item in begun.records.list(KEY.pk, "history#")]
    assert {*past, begun.records.get(entry)["expires_at"]} == {NOW + 400 * 86_400}
    assert begun.history(KEY) == [["it began"], ["it ended"]]
    assert "expires_at" not in begun.records.get(RecordKey("heads", "ami-1"))
    assert not any("expires_at" in item for _, item in begun.records.list(KEY.pk, KEY.sk))


def test_many_records_are_put_at_once_each_with_what_stands_beside_it(store):
    """All are due when they say; the items beside them are read back unchanged."""
    keys = [RecordKey(f"delivery#{number:04d}") for number in range(25)]
    new = [(Write(key, "requested", {"n": 1}, NOW), [(RecordKey("heads", key.pk), {"body": "{}"})]) for key in keys]

    assert set(store.records.create_all(new, NOW)) == set()
    assert store.records.read(keys[24]).body == {"n": 1}
    assert store.records.get(RecordKey("heads", keys[24].pk))["body"] == "{}"
    assert keys[24] in due(store, NOW)


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)  # in memory there are no attributes
def test_many_records_are_read_at_once_without_what_is_missing_or_damaged(store):
    """What cannot be read hides no other."""
    keys = [RecordKey(f"delivery#{number:04d}") for number in range(3)]
    for key in keys[:2]:
        store.records.create(Write(key, "requested", {"of": key.pk}, NOW), NOW)
    store.table.update(keys[0], "SET body = :damaged", {":damaged": "{"})

    found = store.records.read_all(keys)
    assert {key: stored.body for key, stored in found.items()} == {keys[1]: {"of": keys[1].pk}}


def test_where_one_of_many_is_there_none_is_put_and_it_is_named(begun):
    """The caller can leave it out and try again."""
    other = RecordKey("delivery#4567")
    new = [
        (Write(key, "requested", {"n": 2}, NOW), [(RecordKey("heads", key.pk), {"kind": "head"})])
        for key in (other, KEY)
    ]

    assert set(begun.records.create_all(new, NOW)) == {KEY}
    assert begun.records.read(other) is None
    assert begun.records.get(RecordKey("heads", KEY.pk)) is None
    assert begun.records.read(KEY).body == {"n": 1}


def test_a_record_that_nobody_can_read_is_replaced_whole(begun):
    """The new record has no inbox entries, and is due when it says."""
    begun.records.leave(KEY, {"image": "x"}, NOW)
    begun.records.park(KEY, "damaged", NOW)
    begun.records.replace(write(body={"n": 2}, due=NOW + 60), NOW)

    stored = begun.records.read(KEY)
    assert (stored.body, stored.inbox, stored.parked) == ({"n": 2}, {}, "")
    assert due(begun, NOW) == []
    assert due(begun, NOW + 60) == [KEY]
    begun.records.replace(write(body={"n": 3}), NOW + 1)
    assert not begun.records.save(stored, write("open", None), (), NOW + 1), "it began with an earlier replacement"
    assert begun.records.save(begun.records.read(KEY), write("open", None), (), NOW + 1)


@pytest.mark.parametrize("happened", [[], ["something"]])
@pytest.mark.parametrize("come", ["leave", "make due"])
def test_a_write_never_hides_what_came_meanwhile(begun, happened, come):
    """An inbox entry or wake that arrives between read and write makes the write fail."""
    read = begun.records.read(KEY)
    if come == "leave":
        begun.records.leave(KEY, {"cancel": "1:tag"}, NOW)
    else:
        begun.records.make_due(KEY, NOW)
        assert not begun.records.save(read, write("delivered", None), happened, NOW)
        read = begun.records.read(KEY)
        begun.records.make_due(KEY, NOW, {"cancel": "1:tag"})

    assert not begun.records.save(read, write("delivered", None), happened, NOW)
    again = begun.records.read(KEY)
    assert again.inbox == {"cancel": "1:tag"}
    assert begun.records.save(again, write("stopping"), happened, NOW)
    assert begun.records.read(KEY).inbox == {"cancel": "1:tag"}


def test_what_belongs_together_is_written_together(begun):
    """Intent and look-up are written both, or neither."""
    read = begun.records.read(KEY)
    partition = copy_lookups("222222222222", "us-east-1", "snap-0a")
    entry = (lookup(partition, "0123"), {"delivery": "0123"})
    begun.records.leave(KEY, {"x": "y"}, NOW)

    assert not begun.records.save(read, write(), ["intent"], NOW, [entry])
    assert begun.records.list(partition, "delivery#") == []
    assert begun.records.save(begun.records.read(KEY), write(), ["intent"], NOW, [entry])
    assert [item["delivery"] for _, item in begun.records.list(partition, "delivery#")] == ["0123"]


def test_what_happened_is_kept_once_however_much_it_is(begun):
    """In the order in which it happened, wherever it is kept; also where a write is lost to a race."""
    said = [[f"step {number} " + "x" * (number * 40)] for number in range(12)]
    stored = begun.records.read(KEY)
    for lines in said:
        lost = begun.records.save(stored, write(), lines, NOW)
        assert lost is not None
        assert begun.records.save(stored, write("stopping"), ["lost"], NOW) is None
        stored = begun.records.read(KEY)

    assert begun.history(KEY) == said
    assert len(stored.recent) < len(said), "the record has the last of it alone, as each write costs by its size"


def test_a_write_without_news_leaves_the_history(begun):
    """Polls that show nothing new would fill it."""
    stored = begun.records.save(begun.records.read(KEY), write(), ["it began"], NOW)
    begun.records.save(stored, write(body={"n": 2}), (), NOW + 60)

    assert begun.history(KEY) == [["it began"]]


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
@pytest.mark.parametrize("leave", ["leave", "make_due"])
def test_an_entry_that_dynamodb_refuses_of_a_sound_record_is_not_lost_in_silence(begun, leave):
    """Only a record that cannot be counted is passed over: its worker parks it."""
    with pytest.raises(ClientError, match="size"):
        getattr(begun.records, leave)(KEY, inbox={"retry": "1:" + "x" * 500_000}, now=NOW)


def test_a_wake_is_sent_once_until_it_is_answered(begun):
    """One wake until the record is written, and one more before the next sweep, as the first may be lost."""
    assert begun.records.make_due(KEY, NOW) is MadeDue.SEND
    assert begun.records.make_due(KEY, NOW + 49) is MadeDue.SENT
    assert begun.records.make_due(KEY, NOW + 50) is MadeDue.SEND
    assert begun.records.make_due(KEY, NOW + 61) is MadeDue.SENT
    stored = begun.records.read(KEY)
    assert stored.woken
    assert not begun.records.save(stored, write(), (), NOW + 61).woken
    assert not begun.records.read(KEY).woken
    assert begun.records.make_due(KEY, NOW + 62) is MadeDue.SEND


def test_what_may_be_missing_is_created_as_it_is_made_due(store):
    """By one write; a record that is there keeps what it has, and a parked one stays parked."""
    fresh = write(due=NOW)
    assert store.records.make_due(KEY, NOW, fresh=fresh) is MadeDue.SEND
    assert due(store, NOW) == [KEY]
    stored = store.records.read(KEY)
    assert (stored.body, stored.woken) == ({"n": 1}, True)
    saved = store.records.save(stored, write(body={"n": 2}, due=None), (), NOW)
    assert store.records.make_due(KEY, NOW + 1, fresh=fresh) is MadeDue.SEND
    assert store.records.read(KEY).body == {"n": 2}
    assert not store.records.save(saved, write(due=None), (), NOW), "it has been made due since"
    store.records.park(KEY, "damaged", NOW)
    assert store.records.make_due(KEY, NOW + 100, fresh=fresh) is MadeDue.NONE
    assert due(store, NOW + 100) == []


def test_a_write_says_which_entries_the_inbox_has_then(begun):
    """One that says nothing of the inbox leaves it as it is; one that came meanwhile is never lost."""
    begun.records.leave(KEY, {"look": "1", "cancel": "1:tag"}, NOW)
    stored = begun.records.save(begun.records.read(KEY), write(inbox={"cancel": "1:tag", "image": "x"}), (), NOW)
    assert stored.inbox == begun.records.read(KEY).inbox == {"cancel": "1:tag", "image": "x"}

    begun.records.save(stored, write(), (), NOW)
    assert begun.records.read(KEY).inbox == stored.inbox
    read = begun.records.read(KEY)
    begun.records.leave(KEY, {"image": "y"}, NOW)
    assert begun.records.save(read, write(inbox={}), (), NOW) is None
    assert begun.records.read(KEY).inbox == {"cancel": "1:tag", "image": "y"}


def test_a_missing_record_takes_neither_a_note_nor_a_wake(begun):
    """Unless the caller says what is to be created."""
    other = RecordKey("delivery#other")
    begun.records.leave(other, {"a": "1"}, NOW)
    assert begun.records.make_due(other, NOW, {"cancel": "1:tag"}) is MadeDue.NONE
    assert begun.records.read(other) is None


def test_a_note_creates_a_record_that_may_be_missing_and_replaces_none(store):
    """With one call: the entry never waits for a record that a killed process did not write."""
    fresh = write(due=NOW + 600, body={"n": 2})
    store.records.leave(KEY, {"a": "1"}, NOW, fresh=fresh)
    found = store.records.read(KEY)
    assert (found.body, found.inbox, found.scheduled) == ({"n": 2}, {"a": "1"}, NOW + 600)

    store.records.save(found, write("over", None, body={"n": 3}), (), NOW)
    store.records.leave(KEY, {"a": "2"}, NOW, fresh=fresh)
    found = store.records.read(KEY)
    assert (found.body, found.inbox, found.scheduled) == ({"n": 3}, {"a": "2"}, NOW + 600)


def test_a_note_for_later_makes_a_record_at_rest_due_then(store):
    """A record that is due earlier keeps its time."""
    store.records.create(write(due=None), NOW)

    store.records.leave(KEY, {"a": "1"}, NOW, fresh=write(due=NOW + 600))
    assert due(store, NOW + 599) == []
    assert due(store, NOW + 600) == [KEY]
    store.records.leave(KEY, {"a": "2"}, NOW, fresh=write(due=NOW + 900))
    assert due(store, NOW + 600) == [KEY]


def test_an_older_or_repeated_event_leaves_no_note(begun):
    """Versions only rise."""
    for version in ("000000000007", "000000000007", "000000000003"):
        begun.records.leave(KEY, {"tag": version}, NOW, newer=True)
    assert begun.records.read(KEY).inbox["tag"] == "000000000007"


def shard(key: RecordKey) -> int:
    """The number of the shard that a record is in."""
    return int(shard_of(key).removeprefix("due#"))


def test_what_is_due_is_found_with_all_that_its_wakes_follow_from(store):
    """Its due time, the start of its wakes, and its deadline; never early, and for as long as it is due."""
    store.records.create(write(due=NOW + 5, latest=NOW + 150), NOW)

    assert due(store, NOW + 4) == []
    for later in (5, 6, 10**6):
        assert store.records.due(shard(KEY), NOW + later, 10) == [Due(KEY, NOW + 5, NOW + 5, NOW + 150)]


def test_what_was_due_before_it_was_written_is_woken_from_then(store):
    """A due time in the past does not make it wait for a later step."""
    store.records.create(write(due=NOW - 1000), NOW)
    assert store.records.due(shard(KEY), NOW, 10) == [Due(KEY, NOW, NOW - 1000)]
    store.records.save(store.records.read(KEY), write(due=NOW - 1000), [], NOW + 60)
    assert store.records.due(shard(KEY), NOW + 60, 10) == [Due(KEY, NOW + 60, NOW - 1000)]


def test_what_is_due_comes_in_pages_longest_due_first(store):
    """Many are due at once: the next page starts behind the last record, although that is no longer due."""
    keys = [RecordKey(f"delivery#{n:04}") for n in range(60)]
    for n, key in enumerate(keys):
        store.records.create(Write(key, "requested", {}, NOW + n // 20), NOW)
    there = [key for key in keys if shard(key) == 1]
    found, after = [], None
    while True:
        page = store.records.due(1, NOW + 60, 4, after)
        found += page
        if len(page) < 4:
            break
        after = page[-1]
        store.records.save(store.records.read(after.key), Write(after.key, "delivered", {}, None), [], NOW + 60)

    assert sorted(one.key for one in found) == there
    assert [one.wake_at for one in found] == sorted(one.wake_at for one in found)


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)  # in-memory records have no attributes
def test_a_damaged_deadline_hides_no_record(store):
    """A damaged item stays in the sweep's list, and so do the others."""
    store.records.create(write(latest=NOW + 150), NOW)
    store.table.update(KEY, "SET latest = :w, due_at = :w", {":w": "soon"})

    assert store.records.due(shard(KEY), NOW + 60, 10) == [Due(KEY, NOW, NOW + 60)]


def test_the_index_moves_as_seldom_as_it_can(store):
    """While a run goes on, the index keeps the time of a poll; at rest, one that is a minute early at most."""
    store.records.create(write("copying", NOW + 600, latest=NOW + 7200), NOW)
    went_on = store.records.save(store.records.read(KEY), write("registering", NOW), [], NOW, goes_on=True)
    assert [(one.wake_at, one.latest) for one in store.records.due(shard(KEY), NOW + 600, 10)] == [
        (NOW + 600, NOW + 7200)
    ]

    over = store.records.save(went_on, write("registering", NOW + 650, latest=NOW + 3600), [], NOW)
    assert [(one.wake_at, one.latest) for one in store.records.due(shard(KEY), NOW + 600, 10)] == [
        (NOW + 600, NOW + 3600)
    ]
    over = store.records.save(over, write("verifying", NOW + 700), [], NOW)
    assert store.records.due(shard(KEY), NOW + 699, 10) == []
    store.records.save(over, write("verifying", NOW + 705), [], NOW + 700)
    assert due(store, NOW + 704) == [], "a time that has passed is no time to be woken at"


@pytest.mark.parametrize(
    ("due_at", "woken_at", "wake_at"),
    [
        (None, NOW + 5, NOW + 5),
        (NOW + 90_000, NOW, NOW + 50),
        (NOW + 30, NOW, NOW + 30),
        (NOW, NOW + 7200, NOW + 7250),
    ],
    ids=["at rest", "far off", "sooner", "long since"],
)
def test_a_wake_makes_a_record_due_within_a_minute_whenever_it_was_due(store, due_at, woken_at, wake_at):
    """One wake may be lost: a released holding must not wait until the share is due, in a day.

    The index is sparse: a record at rest is in it from its first wake on. What is long due, the sweep wakes every
    quarter of an hour only.
    """
    store.records.create(write("open", due_at), NOW)
    assert due(store, NOW + 10**6) == ([] if due_at is None else [KEY])
    assert store.records.make_due(KEY, woken_at) is MadeDue.SEND

    assert store.records.read(KEY).scheduled == wake_at
    assert (due(store, wake_at - 1), due(store, wake_at)) == ([], [KEY])


def test_a_record_that_was_parked_since_it_was_read_is_not_written(begun):
    """Its run may have had a twin; a write would make it due again, and nobody would ever answer that."""
    before = begun.records.read(KEY)
    begun.records.park(KEY, "IllegalEvent", NOW)

    assert begun.records.save(before, write(due=NOW + 60), ["too late"], NOW) is None
    assert due(begun, NOW + 10**6) == []
    assert begun.records.read(KEY).parked == "IllegalEvent"


def test_what_is_asked_of_a_parked_record_counts_when_it_goes_on(begun):
    """It is neither due nor woken until then, and the entry waits: a person finds the record."""
    begun.records.leave(KEY, {"a": "1"}, NOW)
    begun.records.park(KEY, "IllegalEvent", NOW)
    assert begun.records.make_due(KEY, NOW, {"cancel": "1:tag"}) is MadeDue.NONE
    assert due(begun, NOW + 10**6) == []
    assert begun.records.read(KEY).parked == "IllegalEvent"

    begun.records.unpark(KEY, NOW)
    assert begun.records.read(KEY).inbox == {"a": "1", "cancel": "1:tag"}


def test_no_record_is_made_by_parking_one(store):
    """Its message may outlive it."""
    store.records.park(KEY, "IllegalEvent", NOW)

    assert store.records.read(KEY) is None
    assert not store.records.unpark(KEY, NOW)


def test_a_parked_record_goes_on_when_it_is_notified_to(store):
    """It is due at once with its inbox entries and version; a record that is not parked stays as it is."""
    store.records.create(write(due=None), NOW)
    assert not store.records.unpark(KEY, NOW)
    assert due(store, NOW + 10**6) == []
    store.records.leave(KEY, {"a": "1"}, NOW)
    store.records.park(KEY, "IllegalEvent", NOW)

    assert store.records.unpark(KEY, NOW + 5)
    assert due(store, NOW + 5) == [KEY]
    found = store.records.read(KEY)
    assert (found.parked, found.inbox, found.version) == ("", {"a": "1"}, 2)
    assert not store.records.unpark(RecordKey("delivery#other"), NOW)


def test_the_days_that_a_record_was_parked_do_not_count_as_overdue(begun):
    """The sweep tells for how long the oldest record has been due: an alarm, if no worker looks at it for so long."""
    begun.records.park(KEY, "IllegalEvent", NOW)
    back = NOW + 3 * 86_400
    begun.records.unpark(KEY, back)

    assert [one.due_at for shard in range(SHARDS) for one in begun.records.due(shard, back, 10)] == [back]


def test_the_events_of_all_snapshots_of_a_large_ami_are_answered_in_one_write(begun):
    """They may come before its next run. DynamoDB takes an expression of 4 KB."""
    entries = {f"look#snap-{number:017x}": "completed" for number in range(128)}
    begun.records.make_due(KEY, NOW, entries)
    stored = begun.records.read(KEY)
    assert stored.inbox == entries

    assert begun.records.save(stored, write(inbox={}), ("looked",), NOW) is not None
    assert begun.records.read(KEY).inbox == {}


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)  # in memory there are no attributes
@pytest.mark.parametrize(("damage", "given"), [("SET version = :w", {":w": "nonsense"}), ("REMOVE version", {})])
def test_a_record_whose_version_is_damaged_is_woken_all_the_same(begun, damage, given):
    """So that its worker parks it. Counted from 1 again, it would write over its history."""
    begun.table.update(KEY, damage, given)

    assert begun.records.make_due(KEY, NOW) is MadeDue.SEND
    assert begun.records.make_due(KEY, NOW, fresh=write()) is MadeDue.SEND
    begun.records.leave(KEY, {"a": "1"}, NOW)
    with pytest.raises(Unreadable):
        begun.records.read(KEY)


def test_records_spread_over_the_shards():
    """No single index partition takes all writes."""
    shards = {shard_of(RecordKey(f"delivery#{n}")) for n in range(100)}

    assert len(shards) == SHARDS


def test_an_item_is_changed_where_what_was_seen_is_still_so(store):
    """What others wrote stays; where it is no longer so, or there is no item, nothing is written."""
    place = RecordKey("standing", "ami-0a")
    assert not store.records.change(place, {"tag": "x"}, {"episode": None})
    assert store.records.get(place) is None
    store.records.put(place, {"kind": "standing", "episode": 1, "tag": "a"})

    assert store.records.change(place, {"tag": None, "again_at": 5}, {"episode": 1, "withdrawn": None})
    changed = {"kind": "standing", "episode": 1, "tag": None, "again_at": 5}
    assert store.records.get(place).items() >= changed.items()
    assert not store.records.change(place, {"tag": "b"}, {"episode": 2, "withdrawn": None})
    assert not store.records.change(place, {"tag": "b"}, {"episode": 1, "withdrawn": "now"})
    assert not store.records.change(place, {"tag": "b"}, {"again_at": None})
    assert store.records.get(place).items() >= changed.items()


def test_an_item_is_forgotten_where_what_was_seen_is_still_so(store):
    """One that another has put again since stays."""
    place = RecordKey("standing", "ami-0a")
    store.records.put(place, {"kind": "standing", "episode": 1})
    store.records.forget(place, {"episode": None})
    store.records.forget(place, {"episode": 2})
    assert store.records.get(place) is not None
    store.records.forget(place, {"episode": 1, "withdrawn": None})
    assert store.records.get(place) is None


def test_what_a_run_leaves_is_due_from_its_last_write(begun):
    """The sweep wakes what is long due by ever longer steps; a record that is worked on is not long due."""
    later = NOW + 3 * 3600

    begun.records.save(begun.records.read(KEY), write(due=later), (), later, goes_on=True)

    (found,) = [one for shard in range(SHARDS) for one in begun.records.due(shard, later + 60, 10)]
    assert found.wake_at >= later
