"""Records to JSON and back, and what decoding refuses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal

import pytest

from ami_promoter.hub.salvage import salvage
from chalicelib.delivery.model import Delivery, DeliveryState, Snapshot
from chalicelib.engine import codec
from chalicelib.engine.errors import Unreadable
from chalicelib.engine.stored import body, read_item
from chalicelib.targets.applied_file import Target
from tests.delivery.examples import a_delivery


class Colour(StrEnum):
    """An enum."""

    RED = "red"


@dataclass(frozen=True)
class Inner:
    """A nested record."""

    name: str
    size: int | None = None


@dataclass(frozen=True)
class Outer:
    """A record with every kind of member."""

    colour: Colour
    inners: tuple[Inner, ...] = ()
    words: frozenset[str] = frozenset()
    numbers: Mapping[str, int] = field(default_factory=dict)
    mode: Literal["copy", "share"] = "copy"
    anything: Any = None


def test_what_is_written_is_read_back_as_it_was():
    """A record with every kind of member survives encoding and decoding."""
    value = Outer(Colour.RED, (Inner("a", 1), Inner("b")), frozenset({"y", "x"}), {"n": 2}, "share", {"k": [1]})

    assert codec.decode(Outer, codec.encode(value)) == value


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"colour": "blue"}, "record.colour"),
        ({"colour": "red", "inners": [{"name": 7}]}, "record.inners[0].name"),
        ({"colour": "red", "inners": [{"name": "a", "size": True}]}, "record.inners[0].size"),
        ({"colour": "red", "inners": [{"name": "a", "size": 2**63}]}, "record.inners[0].size"),
        ({"colour": "red", "numbers": {"n": "2"}}, "record.numbers.n"),
        ({"colour": "red", "mode": "steal"}, "record.mode"),
        ({"colour": "red", "flavour": "sweet"}, "Outer has no flavour"),
        ({}, "record"),
        ([], "record"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_path(given, path):
    """The message says where a damaged or foreign record is wrong."""
    with pytest.raises(ValueError, match="record") as refused:
        codec.decode(Outer, given)

    assert path in str(refused.value)


def test_json_that_is_nested_too_deeply_is_refused_as_other_damage_is():
    """Python's parser raises RecursionError, which no reader of a damaged item expects."""
    with pytest.raises(ValueError, match="nested too deeply"):
        codec.parsed_json("[" * 100_000)


@pytest.mark.parametrize("given", [{"colour": "x" * 400_000}, {"colour": "red", "y" * 400_000: 1}])
def test_a_damaged_record_has_room_for_the_reason_why_it_is_parked(given):
    """The reason is written onto the record itself, of which DynamoDB holds 400 KB."""
    with pytest.raises(Unreadable, match=r"^pointer#1") as refused:
        read_item(Outer, {"body": json.dumps(given)}, "pointer#1")

    assert len(str(refused.value)) <= 500


def salvaged(**body):
    """What can be read of a delivery, and what cannot."""
    whole = codec.encode(Delivery("d1", "1", "ami-1", Target("2", "r"), 1, 1, "golden", (Snapshot("snap-1", None),)))
    return salvage(Delivery, {**whole, **body})


def test_a_whole_record_and_members_of_a_newer_version_are_no_damage():
    """Also below the record's own members."""
    found, damage = salvaged(of_a_newer_version=1, image={"id": "ami-9", "of_a_newer_version": 1})

    assert (found.image.id, damage) == ("ami-9", ())


@pytest.mark.parametrize(
    ("body", "damage"),
    [
        ({"state": "dancing"}, "record.state: 'dancing' is no DeliveryState"),
        ({"tries": "3"}, "record.tries: '3' is no int"),
        ({"image": {"id": 3}}, "record.image.id: 3 is no str"),
        ({"copies": [{"source": "snap-1"}, 3]}, "record.copies[1]: 3 is no dict"),
        ({"target": {"account": "2"}}, "record.target.region is missing"),
        ({"target": "nowhere"}, "record.target: 'nowhere' is no dict"),
        ({"last_refusal": {"code": "c", "where": "w", "what": 1, "cure": ""}}, "record.last_refusal.what: 1 is no str"),
    ],
)
def test_what_does_not_fit_is_empty_and_named(body, damage):
    """All else is read; the fault says where it is."""
    found, said = salvaged(**body)

    assert said == (damage,)
    assert (found.id, found.snapshots) == ("d1", (Snapshot("snap-1", None),))
    assert found.target.account in ("2", "")


def test_of_nothing_every_member_is_empty():
    """Each that has no default is named."""
    found, said = salvage(Delivery, {"id": "d1"})

    assert (found.target.account, found.episode, found.snapshots, found.state) == ("", 0, (), DeliveryState.REQUESTED)
    assert "record.target is missing" in said


def test_a_record_is_stored_without_what_has_its_default_and_reads_as_before():
    """DynamoDB bills each KB of each write; a record has dozens of members, most of which say nothing."""
    delivery = a_delivery(DeliveryState.COPYING, episode=2)
    kept = body(delivery)
    quiet = {one.name for one in fields(Delivery) if getattr(delivery, one.name) in (0, "", None, ())}

    assert quiet.isdisjoint(kept)
    assert (kept["episode"], codec.decode(Delivery, kept, "record")) == (2, delivery)
