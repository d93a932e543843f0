"""The lane of a census: answers once for each run, deletes what was ordered and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from chalicelib.core import addresses
from chalicelib.core.census import LOOK, REMOVE, TRIES, OurImage, OurSnapshot
from chalicelib.core.census import Census as Record
from chalicelib.core.delivery.events import Why
from chalicelib.core.faults import Fault
from chalicelib.ports import Refusal, Write
from chalicelib.service.bell import Bell
from chalicelib.service.census import Census, parse, plain
from tests.fakes import MemoryRecords
from tests.service.cloud import Quiet

DEV, REGION, NOW = "222222222222", "us-east-1", 1_800_000_000
KEY = addresses.census(DEV, REGION)
FAULT = Fault("role-not-assumable", "there", "the role cannot be assumed.", "deploy it.")


@dataclass
class Place:
    """A target with some snapshots of ours in it, and perhaps some trouble."""

    snapshots: list[str] = field(default_factory=lambda: ["snap-1", "snap-2"])
    trouble: Refusal | None = None
    looks: int = 0

    def look(self, account: str, region: str) -> Any:
        """See the port."""
        self.looks += 1
        if self.trouble:
            raise self.trouble
        image = OurImage("ami-1", "golden", "available", "d1", "ami-0")
        return (image,), tuple(OurSnapshot(s, "completed", "d1", "snap-0", 0, used=False) for s in self.snapshots)

    def remove(self, account: str, region: str, delivery: str, snapshot: str) -> str:
        """See the port."""
        if self.trouble:
            raise self.trouble
        self.snapshots.remove(snapshot)
        return ""


class Rings:
    """Nobody hears."""

    def ring(self, key: object, cause: str) -> None:
        """Heard by nobody."""


@dataclass
class Scene:
    """The lane with its record, and a clock."""

    place: Place = field(default_factory=Place)
    records: MemoryRecords = field(default_factory=MemoryRecords)
    now: int = NOW

    def __post_init__(self) -> None:
        bell = Bell(self.records, Rings(), lambda: self.now)
        self.lane = Census(self.records, self.place, bell, lambda: self.now, Quiet())
        self.records.create(Write(KEY, "open", plain(Record(DEV, REGION)), self.now), self.now)

    def ask(self, **hints: str) -> None:
        """Leave a note, as the command does."""
        self.records.note(KEY, hints, self.now)

    def order(self, run: str, *snapshots: str) -> None:
        """Order removals."""
        body = json.dumps([{"snapshot": snapshot, "delivery": "d1"} for snapshot in snapshots])
        self.records.put(addresses.census_order(KEY, run), {"kind": "order", "body": body})
        self.ask(**{REMOVE: run})

    def run(self, seconds: int = 30) -> Record:
        """Run the lane once."""
        self.lane.run(KEY, time_left=lambda: seconds)
        return parse(self.records.read(KEY))

    def results(self, run: str) -> list[str | None]:
        """What became of an order."""
        return [one.get("result") for one in json.loads(self.records.get(addresses.census_order(KEY, run))["body"])]


def test_what_is_there_lies_beside_the_record():
    """Once for each run; rung again, it does not look again, and is at rest."""
    scene = Scene()
    scene.ask(**{LOOK: "one"})

    seen = scene.run()
    scene.run()

    assert (seen.seen, seen.pages, seen.fault) == ("one", 1, None)
    found = json.loads(scene.records.get(addresses.census_page(KEY, 0))["body"])
    assert [row["snapshot"]["id"] for row in found if "snapshot" in row] == ["snap-1", "snap-2"]
    assert scene.place.looks == 1
    assert not scene.records.read(KEY).astir


def test_a_target_that_cannot_be_seen_says_why():
    """The answer is the refusal, in words; nobody waits for more."""
    scene = Scene(Place(trouble=Refusal(Why.ROLE, FAULT)))
    scene.ask(**{LOOK: "one"})

    assert scene.run().fault == FAULT


def test_a_throttle_is_tried_again_and_not_for_ever():
    """Due again after a while each time; at last the throttle is the answer."""
    scene = Scene(Place(trouble=Refusal(Why.THROTTLED, FAULT)))
    scene.ask(**{LOOK: "one"})
    for _ in range(TRIES - 1):
        seen = scene.run()
        assert (seen.seen, scene.records.read(KEY).astir) == ("", True)
        scene.now = seen.due_at

    assert (scene.run().fault, scene.place.looks) == (FAULT, TRIES)


def test_what_was_ordered_is_removed_once():
    """And what was not ordered stays; rung again, nothing is removed again."""
    scene = Scene()
    scene.order("one", "snap-1")

    assert scene.run().removed == "one"
    scene.run()

    assert scene.place.snapshots == ["snap-2"]
    assert scene.results("one") == [""]


def test_a_copy_of_a_delivery_under_way_is_not_removed():
    """Its record is read where it is done: the order may be older than the delivery."""
    scene = Scene()
    scene.records.create(Write(addresses.delivery("d1"), "copying", {"state": "copying"}, NOW), NOW)
    scene.order("one", "snap-1")

    scene.run()

    assert scene.place.snapshots == ["snap-1", "snap-2"]
    assert scene.results("one") == ["its delivery is under way, and looks after it"]


def test_a_removal_that_is_refused_says_why():
    """The others are tried all the same."""
    scene = Scene(Place(trouble=Refusal(Why.DENIED, FAULT)))
    scene.order("one", "snap-1", "snap-2")

    scene.run()

    assert scene.results("one") == [FAULT.what, FAULT.what]


def test_what_time_does_not_suffice_for_is_done_next_time():
    """It stays due, and goes on where it stopped."""
    scene = Scene()
    scene.order("one", "snap-1", "snap-2")

    assert scene.run(seconds=5).removed == ""
    assert scene.records.read(KEY).astir
    assert scene.run().removed == "one"
    assert scene.results("one") == ["", ""]


@pytest.mark.parametrize("body", [{"account": DEV}, {"account": 7, "region": REGION}])
def test_a_damaged_census_is_parked(body):
    """It keeps nobody else from being looked at."""
    scene = Scene()
    scene.records.records[KEY].body = body

    scene.lane.run(KEY, time_left=lambda: 30)

    assert scene.records.read(KEY).parked
