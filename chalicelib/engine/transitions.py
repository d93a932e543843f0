"""How a state machine is written: a table that says what each event changes in each state, and where that can lead.

The table decides. An event leads to one state, or its handler says which of few. The page on state machines in the docs
is drawn from the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from chalicelib.engine.addresses import RECORD, RecordKey
from chalicelib.engine.errors import IllegalEvent


class Moving(Protocol):
    """What a table needs of a record."""

    @property
    def key(self) -> RecordKey:
        """Where it is stored."""

    @property
    def state(self) -> StrEnum:
        """What it waits for."""


R = TypeVar("R", bound=Moving)
S = TypeVar("S", bound=StrEnum)

Handler = Callable[[Any, R, int], R]
"""(event, record, now) -> the record after the event, ``now`` in epoch seconds."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[R, S]):
    """The way into a state: handlers come to the state through this alone."""

    state: S

    def enter(self, record: R, now: int) -> R:
        """Return the record in the state: its tries begin at zero, the first one now."""
        return _changed(record, state=self.state, tries=0, next_try=now)

    def __call__(self, record: R, now: int, **changes: Any) -> R:
        """Enter the state, with further changes."""
        return _changed(self.enter(record, now), **changes)


def _changed(record: R, **changes: Any) -> R:
    after: R = replace(cast("Any", record), **changes)
    return after


class Edge(NamedTuple, Generic[R]):
    """What an event changes, and the states to which that can lead."""

    change: Handler[R]
    leads_to: frozenset[StrEnum]


def leads(change: Handler[R], *to: Entry[R, Any] | StrEnum) -> Edge[R]:
    """Return the edge of an event that leads to one of these states."""
    return Edge(change, frozenset(one.state if isinstance(one, Entry) else one for one in to))


Row = Mapping[type, Edge[R]]
"""A state's row of the table: an event that it does not have is illegal in this state."""


def evolve(table: Mapping[Any, Row[R]], record: R, event: object, now: int) -> R:
    """Return the record after the event. Raises IllegalEvent if the table does not have it, or where it leads."""
    key, state, name = record.key, record.state, type(event).__name__
    where = key.pk if key.sk == RECORD else f"{key.pk}, {key.sk}"
    edge = table[state].get(type(event))
    if edge is None:
        raise IllegalEvent(where, state, name)
    after = edge.change(event, record, now)
    if after.state not in edge.leads_to:
        raise IllegalEvent(where, state, f"{name} leading to {after.state}")
    return after
