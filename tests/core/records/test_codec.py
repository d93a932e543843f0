"""Records to JSON and back, and what decoding refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pytest

from chalicelib.core.records import codec


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
