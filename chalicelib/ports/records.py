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
    """What ``Records.make_due`` found."""

    SEND = "send"
    """The record is due, and the caller must send a wake."""
    SENT = "sent"
    """The record is due, and a wake is on its way."""
    NONE = "none"
    """There is no such record, or it is parked."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read: its JSON body, its version, and the inbox entries written since."""

    key: RecordKey
    body: Mapping[str, Any]
    version: int
    """Every write increments it, also one that only makes the record due."""
    inbox: Mapping[str, str] = field(default_factory=dict)
    parked: str = ""
    scheduled: int | None = None
    """From when the sweep wakes it (epoch seconds); None: it is not in the index of what is due."""
    woken: bool = False
    """Whether a wake was sent that no write has answered: until one does, no other is sent for a minute."""
    recent: Sequence[Mapping[str, Any]] = ()
    """The last entries of its history, oldest first, which the store keeps on the record itself."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record in the index of what is due. All times in epoch seconds."""

    key: RecordKey
    wake_at: int
    """From when the sweep wakes it: the index's sort key."""
    due_at: int
    """When the record itself says that it is due."""
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
"""Items that are written together with a record: keys and attributes."""


class Records(Protocol):
    """State records. Every write is conditional; every read is consistent."""

    def begin(self, key: RecordKey, inbox: Mapping[str, str], now: int) -> Stored | None:
        """Write inbox entries, as ``leave`` does, and read the record that has them."""

    def read(self, key: RecordKey) -> Stored | None:
        """Read a record."""

    def read_all(self, keys: Collection[RecordKey]) -> Mapping[RecordKey, Stored]:
        """Read records; those that are missing or cannot be read are left out."""

    def create(self, write: Write, now: int) -> bool:
        """Write a record if it is absent. False: there was one."""

    def create_all(self, new: Sequence[tuple[Write, Extras]], now: int) -> Collection[RecordKey]:
        """Write absent records, each with its items, in one transaction of at most 100 items.

        Returns the records that exist already; if there are any, nothing was written.
        """

    def save(
        self,
        before: Stored,
        after: Write,
        happened: Sequence[str],
        now: int,
        also: Extras = (),
        *,
        goes_on: bool = False,
    ) -> Stored | None:
        """Write a record with its history, if it has not been written since it was read; else return None.

        This answers its wake, so the next one is sent.
        ``also``: items to write with it. Look-ups among them are written first, even if the record then is not.
        ``goes_on``: the run is not over, so the index may keep its time, unless that is over a minute too late.
        """

    def replace(self, write: Write, now: int) -> None:
        """Write a record without condition: for one that cannot be read and can be computed again."""

    def park(self, key: RecordKey, why: str, now: int) -> None:
        """Park a record: remove it from the index of what is due."""

    def unpark(self, key: RecordKey, now: int) -> bool:
        """Unpark a record: it is due at once. False: it is not parked."""

    def make_due(
        self, key: RecordKey, now: int, inbox: Mapping[str, str] = NOTHING, fresh: Write | None = None
    ) -> MadeDue:
        """Make a record due within a minute, in case the wake that follows is lost, and increment its version.

        So a run that is working on it cannot write what it read before, and looks again. ``inbox``: requests to write;
        a parked record only gets these. ``fresh``: the record to create if there is none.
        """

    def leave(
        self, key: RecordKey, inbox: Mapping[str, str], now: int, *, newer: bool = False, due: int | None = None
    ) -> bool:
        """Write inbox entries. A due record keeps its time; another one becomes due at ``due`` (default: now).

        ``newer``: only if each inbox entry is greater than the one there. False: there is no such record.
        """

    def put(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        """Write an item beside the records, such as a look-up, without condition."""

    def change(self, key: RecordKey, attributes: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
        """Write attributes of such an item, if it still has those of ``seen`` (None: it lacks the attribute)."""

    def get(self, key: RecordKey) -> Mapping[str, Any] | None:
        """Read such an item."""

    def list(self, pk: str, prefix: str) -> Sequence[tuple[RecordKey, Mapping[str, Any]]]:
        """Read such items of a partition. Raises Unreadable or NewerSchema if this version cannot read one."""

    def list_readable(self, pk: str, prefix: str) -> Sequence[tuple[RecordKey, Mapping[str, Any]]]:
        """Read such items of a partition; one that this version cannot read comes without its body."""

    def forget(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        """Delete such an item, if it still has these attributes (None: it lacks the attribute)."""

    def due(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        """Return records of one shard that were due up to ``until``, longest due first; fewer than ``limit``: the end.

        ``after``: the last record of the page before; it need not be due any more. Eventually consistent.
        """
