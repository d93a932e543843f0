"""Events in: any event wakes the right record and leaves its reason there, and does nothing else."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import addresses, wakes
from chalicelib.engine.ports import Write
from chalicelib.engine.wakes import said_of
from chalicelib.entry.events import Events
from chalicelib.entry.queue_consumer import QueueConsumer
from chalicelib.promotion.codec import new_promotion
from tests.fakes import MemoryRecords

HUB, TARGET, REGION, NOW = "111111111111", "222222222222", "us-east-1", 1_800_000_000
AMI = "ami-0abc"


class ReadOnly:
    """Records as a function for events has them: look-ups only."""

    def __init__(self, records):
        self.list = records.list


class EventsSetup:
    """Events over in-memory records; each wake passes through a queue's body, as its worker reads it."""

    def __init__(self):
        self.records, self.woken_at = MemoryRecords(), []
        self.events = Events(ReadOnly(self.records), self, hub=HUB, region=REGION, trigger_tag="promote")
        ports = None, self.records, lambda: NOW, None, ()
        self.worker = QueueConsumer(*ports, lambda ami: new_promotion(ami, HUB, REGION, NOW))

    def send(self, wake):
        self.woken_at.append(wake.key.pk)
        taken = wakes.decode(wakes.encode(wake))
        assert taken == wake
        if taken.key.kind == "delivery":
            self.records.leave(taken.key, self.worker.inbox_entries(taken.reason), NOW)
        else:
            self.worker.leave(taken.key, taken.reason)

    def inbox(self, key):
        """A record's inbox entries; None without a record."""
        found = self.records.read(key)
        return None if found is None else found.inbox


@pytest.fixture
def scene():
    return EventsSetup()


DEV = said_of("dev")
"""What the event below says of the tag."""


def tag_event(**changes):
    event = {
        "version": "0",
        "id": "event-1",
        "detail-type": "Tag Change on Resource",
        "source": "aws.tag",
        "account": HUB,
        "region": REGION,
        "resources": [f"arn:aws:ec2:{REGION}::image/{AMI}"],
        "detail": {
            "changed-tag-keys": ["promote"],
            "service": "ec2",
            "resource-type": "image",
            "version": 3,
            "tags": {"promote": "dev"},
        },
    }
    detail = {**event["detail"], **changes.pop("detail", {})}
    return {**event, "detail": detail, **changes}


def copy_event(source="snap-0a", **changes):
    """A copySnapshot event, as AWS documents it."""
    snapshot_arn = f"arn:aws:ec2::{REGION}:snapshot/snap-0c"
    return {
        "id": "event-2",
        "detail-type": "EBS Snapshot Notification",
        "source": "aws.ec2",
        "account": TARGET,
        "region": REGION,
        "resources": [snapshot_arn],
        "detail": {
            "event": "copySnapshot",
            "result": "succeeded",
            "snapshot_id": snapshot_arn,
            "source": f"arn:aws:ec2::{REGION}:snapshot/{source}",
        },
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "unread"),
    [
        ({}, f"000000000003{DEV}#event-1"),
        ({"detail": {"version": 3.0}}, f"000000000003{DEV}#event-1"),
        ({"time": "2026-01-05T09:00:00Z"}, f"000000000003{DEV}@1767603600#event-1"),
        ({"time": "yesterday"}, f"000000000003{DEV}#event-1"),
        ({"time": 5}, f"000000000003{DEV}#event-1"),
    ],
    ids=["as documented", "as captured", "with its time", "an unreadable time", "no time"],
)
def test_a_tag_wakes_the_worker_which_begins_the_promotion(scene, changes, unread):
    """The function for the event writes nothing; the worker creates the record before it runs.

    It recognizes an event that is a day late by its time; one without a time is taken as it is. AWS's documentation
    has ``"version": 3``, captured tag events have ``3.0``.
    """
    scene.events.tag_change(tag_event(**changes))

    assert scene.inbox(addresses.promotion(AMI)) == {"tag": unread}
    assert scene.woken_at == [f"promotion#{AMI}"]


def test_a_repeated_or_older_event_changes_nothing(scene):
    """AWS delivers at least once and in any order; the tag set's version orders them. Each wakes the worker."""
    scene.events.tag_change(tag_event())
    before = scene.records.records[addresses.promotion(AMI)].version
    for version in (3, 2, 1):
        scene.events.tag_change(tag_event(detail={"version": version}))

    assert scene.records.records[addresses.promotion(AMI)].version == before
    assert scene.inbox(addresses.promotion(AMI)) == {"tag": f"000000000003{DEV}#event-1"}


NO_NEW_TAG = {
    "account": {"account": TARGET},
    "region": {"region": "eu-west-1"},
    "instance": {"resources": [f"arn:aws:ec2:{REGION}:{HUB}:instance/i-0abc"]},
    "nothing": {"resources": []},
    "key": {"detail": {"changed-tag-keys": ["Name"]}},
    "removed": {"detail": {"tags": {}}},
    "text": {"detail": {"version": "3"}},
    "boolean": {"detail": {"version": True}},
    "negative": {"detail": {"version": -1}},
    "broken": {"detail": {"version": 3.5}},
    "not a number": {"detail": {"version": float("nan")}},
    "infinite": {"detail": {"version": float("inf")}},
    "too large": {"detail": {"version": 1e300}},
}


@pytest.mark.parametrize("changes", NO_NEW_TAG.values(), ids=NO_NEW_TAG)
def test_what_is_not_a_new_tag_on_an_image_of_the_hub_starts_nothing(scene, changes):
    """Another account, Region, resource or key; a removed tag of an unknown AMI."""
    scene.events.tag_change(tag_event(**changes))

    assert scene.records.records == {}


def test_a_removed_tag_is_noted_on_a_promotion_that_exists(scene):
    """The worker may have to cancel it."""
    scene.events.tag_change(tag_event())
    scene.events.tag_change(tag_event(detail={"version": 4, "tags": {}}))

    assert scene.inbox(addresses.promotion(AMI)) == {"tag": "000000000004-#event-1"}


def with_delivery(scene):
    """Store a delivery that copies snap-0a into the target."""
    key = addresses.delivery("0123")
    scene.records.create(Write(key, "copying", {}, NOW), NOW)
    partition = addresses.copy_lookups(TARGET, REGION, "snap-0a")
    scene.records.put(addresses.lookup(partition, "0123"), {"delivery": "0123"})
    return key


@pytest.mark.parametrize(
    "arn", ["arn:aws:ec2::{}:snapshot/{}", "arn:aws:ec2:{}::snapshot/{}", "arn:aws:ec2:{}:22:snapshot/{}"]
)
def test_a_finished_copy_is_noted_however_its_arn_is_spelt(scene, arn):
    """AWS's own samples have three spellings."""
    key = with_delivery(scene)
    event = copy_event()
    event["detail"]["source"] = arn.format(REGION, "snap-0a")
    scene.events.target_event(event)

    assert scene.inbox(key) == {"look#snap-0a": "event-2", wakes.EVENT_AT: str(NOW)}
    assert scene.woken_at == ["delivery#0123"]


@pytest.mark.parametrize(
    "event",
    [
        copy_event(account="333333333333"),
        copy_event(region="eu-west-1"),
        copy_event(source="snap-0b"),
        copy_event(source="x"),
    ],
    ids=["account", "region", "snapshot", "no snapshot"],
)
def test_an_event_of_a_copy_of_others_wakes_nothing(scene, event):
    """Forged, foreign or unknown: no record is changed or created."""
    key = with_delivery(scene)
    scene.events.target_event(event)

    assert scene.inbox(key) == {}
    assert len(scene.records.records) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def take(scene, body):
    """Take a message with this body; whatever its reason, it names a record."""
    wake = wakes.decode(json.dumps(body))
    if wake.reason is not None:
        scene.worker.leave(wake.key, wake.reason)
    return wake


@pytest.mark.parametrize(
    "reason",
    [
        {"tag": "3"},
        {"tag": "000000000003@soon"},
        {"tag": "000000000003@1#\n"},
        {"tag": 3},
        {"cancel": "1:drain"},
        {"image": "x" * 101},
        {"image": "\u0660"},
        {"look#snap-0a": "event"},
        {"tag": "000000000003", "image": "event"},
        {},
        [],
        "tag",
        None,
    ],
)
def test_a_reason_that_no_event_gives_is_dropped(scene, reason):
    """A message is untrusted: an unknown reason leaves no entry and creates no record, but wakes the named one."""
    key = addresses.promotion(AMI)
    scene.records.create(Write(key, "running", {}, NOW), NOW)

    assert take(scene, {"key": key.pk, "cause": "forged", "reason": reason}) == wakes.Wake(key, "forged")
    assert scene.inbox(key) == {}


@pytest.mark.parametrize("body", [[], {}, {"key": 5}, {"key": ""}, {"key": "promotion#" + "a" * 200}, "promotion"])
def test_a_message_that_names_no_record_is_an_error(body):
    """It goes to the dead letters, where a person sees it."""
    with pytest.raises(ValueError, match="is no wake"):
        wakes.decode(json.dumps(body))


@pytest.mark.parametrize("pk", ["promotion#x", "promotion#ami-0abc\n", "promotion#ami-", "delivery#0123"])
def test_only_the_promotion_of_an_ami_is_begun(scene, pk):
    """A message that names another record creates nothing."""
    take(scene, {"key": pk, "cause": "forged", "reason": {"tag": "000000000003"}})

    assert scene.records.records == {}


@given(json_values, json_values)
def test_no_message_makes_more_than_the_promotion_of_an_ami(key, reason):
    """Whatever its content."""
    scene = EventsSetup()
    with contextlib.suppress(ValueError):
        take(scene, {"key": key, "cause": "x", "reason": reason})
    assert scene.records.records == {}
