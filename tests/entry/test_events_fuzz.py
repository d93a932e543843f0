"""Thousands of hostile events, messages and tag values, made from the simulator's events (tests/samples).

None raises, since that would only repeat the event; none writes what DynamoDB would refuse; and none starts anything
but the promotion of a well-formed AMI of the hub, whose tag ``worker`` then reads from EC2.
"""

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.engine import addresses, notices, wakes
from chalicelib.engine.ports import Write
from chalicelib.entry.events import AMI, Events
from chalicelib.entry.queue_consumer import QueueConsumer
from chalicelib.promotion import evolving
from chalicelib.promotion import notices as promotion_notices
from chalicelib.promotion.codec import new_promotion
from chalicelib.targets.applied_file import Directory, Target, resolve
from tests.fakes import MemoryRecords

NOW = 1_800_000_000
HUB, REGION, TRIGGER = "111111111111", "us-east-1", "promote"
SAMPLES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "samples" / "events.json").read_text(encoding="utf-8")
)
LONGEST_KEY = 2048
LONGEST_ENTRY = 400
"""Bytes; a record has a few inbox entries, and an item 400 KB."""

HOSTILE: list[Any] = [
    None, True, -1, 0, 10**30, 1.5, 3.0, 1e300, float("nan"), float("inf"),
    "", " ", "\x00", "\ud800", "a" * 5000, "ami-" + "0" * 3000,
    "snap-" + "0" * 3000, "ami-0abc\n", "ami-0ABC", "ami-", "snap-", "/", "#", "delivery#0123", "promotion#", [], {},
    [[]], [None], [{"a": []}], {"a": {}}, {"": ""}, "١٢٣٤٥٦٧٨٩٠١٢", "111111111111#us-east-1", "us-east-1/../",
    "copySnapshot",
    "arn:aws:ec2:us-east-1::image/", "arn:aws:ec2:us-east-1::image/ami-0abc/ami-0def", HUB, REGION, TRIGGER,
]  # fmt: skip

json_values = st.recursive(
    st.sampled_from(HOSTILE) | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


class StrictRecords(MemoryRecords):
    """Records that refuse what DynamoDB refuses, and entries that would let an item grow without limit."""

    def leave(self, key, inbox, now, **how):
        check_key(key.pk)
        for name, value in inbox.items():
            assert isinstance(value, str)
            assert 0 < len(f"{name}{value}".encode()) <= LONGEST_ENTRY
        return super().leave(key, inbox, now, **how)

    def replace(self, write, now):
        check_key(write.key.pk)
        json.dumps(write.body).encode()
        super().replace(write, now)

    def list(self, pk, prefix):
        check_key(pk)
        return super().list(pk, prefix)


class StrictWakes(list[wakes.Wake]):
    """The port ``WakeQueues``, with at most 128 characters in a group id. What is sent decodes unchanged."""

    def send(self, wake):
        assert 0 < len(wake.key.pk) <= 128
        body = wakes.encode(wake)
        assert len(body.encode()) < 1024
        assert wakes.decode(body) == wake
        self.append(wake)


def check_key(pk: str) -> None:
    """Assert DynamoDB's limits for keys."""
    assert 0 < len(pk.encode()) <= LONGEST_KEY


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in an event, except the event itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, one in inner for place in [(*path, name), *places(one, (*path, name))]]


@st.composite
def events(draw: Any) -> dict[str, Any]:
    """A sample with up to four places changed, removed, or taken from another sample."""
    event = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        where = places(event)
        if not where:
            break
        *before, last = draw(st.sampled_from(where))
        spot = event
        for part in before:
            spot = spot[part]
        match draw(st.sampled_from(["replace", "remove", "cross"])):
            case "remove":
                del spot[last]
            case "cross":
                other = draw(st.sampled_from(SAMPLES))
                spot[last] = copy.deepcopy(other[draw(st.sampled_from(sorted(other)))])
            case _:
                spot[last] = copy.deepcopy(draw(json_values))
    return event


def hear(event: Mapping[str, Any]) -> None:
    """Give it to all three handlers, beside a running delivery, and check the records."""
    records, sent = StrictRecords(), StrictWakes()
    receiver = Events(records, sent, hub=HUB, region=REGION, trigger_tag=TRIGGER)
    worker = QueueConsumer(None, records, lambda: NOW, None, (), lambda ami: new_promotion(ami, HUB, REGION, NOW))
    delivery, body = addresses.delivery("0123"), {"state": "copying"}
    records.create(Write(delivery, "copying", body, NOW), NOW)
    for sample in SAMPLES:  # the delivery's look-ups, as its worker writes them
        for ident in (str(sample["detail"].get("source", "")), *map(str, sample["resources"])):
            name = ident.rpartition("/")[2]
            for lookups in (addresses.copy_lookups, addresses.image_lookups):
                partition = lookups(sample["account"], REGION, name)
                records.put(addresses.lookup(partition, "0123"), {"delivery": "0123"})
    before = copy.deepcopy(dict(records.records))
    for receive in (receiver.tag_change, receiver.image_state, receiver.target_event):
        receive(event)
    assert records.records == before  # the handlers write nothing
    for wake in sent:
        worker.leave(wake.key, wake.reason)

    made = set(records.records) - {delivery}
    item = records.records[delivery]
    assert (item.state, item.body) == ("copying", body)
    assert all(name in ("image", wakes.EVENT_AT) or name.startswith("look#snap-") for name in item.inbox)
    for key in made:
        assert key.kind == "promotion"
        assert AMI.match(key.pk.removeprefix("promotion#"))
        assert (event["account"], event["region"]) == (HUB, REGION)
        assert TRIGGER in event["detail"]["tags"]
        assert records.records[key].state == "requested"
    assert {wake.key.kind for wake in sent} <= {"promotion", "delivery"}


ACCOUNTS = ("222222222222", "333333333333")
DIRECTORY = Directory({"default": ACCOUNTS[:1], "all": ACCOUNTS}, {a: (Target(a, REGION),) for a in ACCOUNTS})
PLAIN = "dev all default true * all, + é o-abcdefghij arn:aws:iam::222222222222:root 2222-22222222 ' ${x} 999999999999"
words = st.sampled_from([*PLAIN.split(" "), "\x00", "\ud800", "\u202e", "٣" * 12, "a" * 300, *ACCOUNTS])
values = st.lists(words | st.text(max_size=20), max_size=8).flatmap(
    lambda some: st.sampled_from([" ", ",", "+", "", "\n", "\t"]).map(lambda by: by.join(some))
)


def read(value: str) -> None:
    """Resolve a tag's value to the file's targets, or to faults with cures in a notice within SNS's limits."""
    found = resolve(value, DIRECTORY, "digest")
    assert bool(found.targets) != bool(found.faults)
    assert {target.account for target in found.targets} <= set(ACCOUNTS)
    assert all(f.code and f.what and f.cure for f in found.faults)
    if found.faults:
        promotion = replace(evolving.started("ami-0abc", HUB, REGION, NOW), faults=found.faults)
        notice = promotion_notices.refused(promotion, NOW)
        json.dumps(notice).encode()
        assert len(json.dumps(notice)) < 64 * 1024
        assert len(notices.subject(notice)) < 100
        assert notices.subject(notice).isascii()
        assert all(notices.attributes(notice).values())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["detail-type"])
def test_nonsense_at_any_one_place_raises_nothing_and_starts_nothing(sample):
    """Every hostile value at every place of every sample, thousands in all."""
    for *before, last in places(sample):
        for value in HOSTILE:
            event = spot = copy.deepcopy(sample)
            for part in before:
                spot = spot[part]
            spot[last] = copy.deepcopy(value)
            hear(event)


@given(events())
@settings(max_examples=500)
def test_a_hostile_event_raises_nothing_and_starts_nothing(event):
    """With any content."""
    hear(event)


@given(values)
@settings(max_examples=500)
def test_a_hostile_value_names_nobody_whom_the_file_does_not(value):
    """Any value resolves to the file's targets, or to a refusal that can be read and sent."""
    read(value)


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Fuzz events and values in turn for this many seconds; return their number, and the first failure."""
    cases, end = 0, time.monotonic() + seconds
    parts: list[tuple[st.SearchStrategy[Any], Callable[[Any], None]]] = [(events(), hear), (values, read)]
    while time.monotonic() < end:
        played, failure = _fuzzed(*parts[seed % 2], seed)
        cases, seed = cases + played, seed + 1
        if failure:
            return cases, [failure]
    return cases, []


def _fuzzed(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], seed: int) -> tuple[int, str]:
    seen = []

    @hypothesis.seed(seed)
    @settings(max_examples=500, database=None, deadline=None)
    @given(strategy)
    def many(one: Any) -> None:
        seen.append(1)
        check(one)

    try:
        many()
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is the finding
        return len(seen), f"seed {seed}: {failure!r}"
    return len(seen), ""
