"""The store of records, with their inboxes and history."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from chalicelib.core.records.addresses import RecordKey

NOTHING: Mapping[str, str] = MappingProxyType({})


class MadeDue(StrEnum):
    """The outcomes of making a record due."""

    SEND = "send"
    """It is due, and the caller must send a wake."""
    SENT = "sent"
    """It is due, and a wake is on its way."""
    NONE = "none"
    """There is no such record, or it is parked."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read: its JSON body, its version, and the inbox entries written since."""

    key: RecordKey
    body: Mapping[str, Any]
    version: int
    """Every write raises it, also one that only makes the record due."""
    inbox: Mapping[str, str] = field(default_factory=dict)
    parked: str = ""
    scheduled: int | None = None
    """From when the sweep wakes it (epoch seconds); None: it is not in the index of what is due."""
    recent: Sequence[Mapping[str, Any]] = ()
    """The last entries of its history, on the record itself, the oldest first; for the store."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record in the index of what is due. All times in epoch seconds."""

    key: RecordKey
    wake_at: int
    """From when the sweep wakes it; its place in the index."""
    due_at: int
    """When it was due, by the record."""
    latest: int = 0
    """Its deadline; 0: none."""


@dataclass(frozen=True, slots=True)
class Write:
    """A record as it must be stored."""

    key: RecordKey
    state: str
    body: Mapping[str, Any]
    due_at: int | None
    latest: int | None = None
    """When the sweep wakes it at the latest (epoch seconds)."""


Extras = Sequence[tuple[RecordKey, Mapping[str, Any]]]
"""Items that are written together with a record: where, and what."""


class Records(Protocol):
    """State records. Every write is conditional; every read is consistent."""

    def begin(self, key: RecordKey) -> Stored | None:
        """Begin work on the record: clear its ``woken_at``, and read it as it is then or later."""

    def read(self, key: RecordKey) -> Stored | None:
        """Read it, and change nothing."""

    def read_all(self, keys: Collection[RecordKey]) -> Mapping[RecordKey, Stored]:
        """Read these, and change nothing; what is not there, or cannot be read, is left out."""

    def create(self, write: Write, now: int) -> bool:
        """Put it if it is absent. False: there was one."""

    def create_all(self, new: Sequence[tuple[Write, Extras]], now: int) -> Collection[RecordKey]:
        """Put records that are absent, each with its items: all or nothing, and at most 100 items.

        Returns the records that were there, or that somebody else wrote just then: if there are any, nothing was
        written.
        """

    def save(self, before: Stored, after: Write, happened: Sequence[str], now: int, also: Extras = ()) -> Stored | None:
        """Write a record with its history, if nobody else has written meanwhile. None: somebody has.

        ``also`` is written with it; look-ups among it are written before, and stay where the record is not written.
        """

    def replace(self, write: Write, now: int) -> None:
        """Write it, whatever is there: for a record that cannot be read and can be computed again."""

    def park(self, key: RecordKey, why: str, now: int) -> None:
        """Park it: take it out of the index of what is due."""

    def unpark(self, key: RecordKey, now: int) -> bool:
        """Unpark it: it is due at once. False: it is not parked."""

    def make_due(self, key: RecordKey, now: int, inbox: Mapping[str, str] = NOTHING) -> MadeDue:
        """Make a record due within a minute, as the wake that follows may be lost, and count its version up.

        So a run that works on it just now cannot write what it found before: it looks once more. ``inbox``: what a
        person asks of it. A parked one only takes that, for when it goes on.
        """

    def leave(
        self, key: RecordKey, inbox: Mapping[str, str], now: int, *, newer: bool = False, due: int | None = None
    ) -> bool:
        """Write inbox entries for later: a due record keeps its date, and one at rest is due at ``due`` (or now).

        ``newer``: only if each inbox entry is greater than the one there. False: there is no such record.
        """

    def mark_woken(self, key: RecordKey, now: int) -> bool:
        """Set ``woken_at`` if it is absent or too old to be true. False: somebody has woken."""

    def put(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        """Write an item that is safe to write again: a look-up, a blob."""

    def change(self, key: RecordKey, attributes: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
        """Write some attributes of such an item, if those ``seen`` are still so (None: it has none of that name).

        False: they are not, or there is no such item.
        """

    def get(self, key: RecordKey) -> Mapping[str, Any] | None:
        """Read such an item."""

    def list(self, pk: str, prefix: str) -> Sequence[tuple[RecordKey, Mapping[str, Any]]]:
        """Read all such items of a partition. Raises Unreadable, or NewerSchema, for one of a form not read here."""

    def list_readable(self, pk: str, prefix: str) -> Sequence[tuple[RecordKey, Mapping[str, Any]]]:
        """Read all such items of a partition; one of a form that is not read here comes without its body."""

    def forget(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        """Delete such an item, if these of its attributes are still so (None: it has none of that name)."""

    def due(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        """Return records of one shard that were due up to ``until``, longest due first; fewer than ``limit``: the end.

        ``after``: the last one of the page before, whatever has become of it since. Eventually consistent.
        """
