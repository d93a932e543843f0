"""Stored records: read another worker's, and turn bodies into records and back."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, TypeVar

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import ParkRecord, Unreadable
from chalicelib.engine.ports import Extras, Records, Stored, Write
from chalicelib.engine.transitions import R

T = TypeVar("T")
C = TypeVar("C")
E = TypeVar("E")


class RecordCodec(ABC, Generic[R, C, E]):
    """The stored form of one kind of record: its body has all members but the inbox."""

    kind: type[R]

    @abstractmethod
    def due_at(self, record: R) -> int | None:
        """Return when a worker must look at the record again (epoch seconds); None: when it is woken."""

    def decode(self, stored: Stored) -> R:
        """Read a record, its inbox entries beside it. Raises Unreadable."""
        record: Any = read_body(self.kind, stored)
        read: R = replace(record, inbox=stored.inbox)
        return read

    def encode(self, record: R) -> Write:
        """Return the record as it is to be stored, without its inbox entries."""
        return Write(record.key, record.state.value, body(record), self.due_at(record))

    def about(self, _record: R, _now: int) -> Mapping[str, object]:
        """Return further fields for the log; ``seconds``: how long the record has been in a state that must end."""
        return {}

    def intent_items(self, _record: R, _commands: Sequence[C]) -> Extras:
        """Return items to write together with the intents."""
        return ()

    def result_items(self, _record: R, _results: Sequence[E]) -> Extras:
        """Return items to write together with the results."""
        return ()


def peek(records: Records, key: RecordKey, kind: RecordCodec[R, Any, Any]) -> R | None:
    """Read another worker's record; None if it is missing, parked, or cannot be read."""
    try:
        stored = records.read(key)
        return None if stored is None or stored.parked else kind.decode(stored)
    except ParkRecord:
        return None


def peek_all(records: Records, keys: Collection[RecordKey], kind: RecordCodec[R, Any, Any]) -> list[R]:
    """Read records of another worker in few calls, and leave out those for which ``peek`` returns None."""
    found = []
    for stored in records.read_all(keys).values():
        if not stored.parked:
            with suppress(ParkRecord):
                found.append(kind.decode(stored))
    return found


def is_missing(records: Records, key: RecordKey) -> bool:
    """Whether there is no such record; one that cannot be read is there."""
    try:
        return records.read(key) is None
    except ParkRecord:
        return False


def bodiless(records: Records, key: RecordKey) -> Mapping[str, Any] | None:
    """Read an item that has no body. One into which somebody wrote a body is there, and says nothing."""
    try:
        return records.get(key)
    except ParkRecord:
        return {}


def fitting(item: Mapping[str, Any], name: str, default: T) -> T:
    """Return one of an item's own attributes; the default if it is missing or has a wrong type."""
    value = item.get(name, default)
    return value if isinstance(value, type(default)) else default


def compact(value: Any) -> str:
    """Return a JSON value as the text that items hold."""
    return json.dumps(value, separators=(",", ":"))


def read_item(kind: type[T], item: Mapping[str, Any] | None, what: str) -> T:
    """Build what the body of an item beside a record holds. Raises Unreadable if the item is missing or damaged."""
    if item is None:
        raise Unreadable(f"{what} is not on record.")
    try:
        value = codec.parsed_json(item["body"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{what} cannot be read: {error!r:.200}") from None
    return _built(kind, value, what)


def read_body(kind: type[T], stored: Stored) -> T:
    """Build a record from its body. Raises Unreadable."""
    return _built(kind, stored.body, str(stored.key))


def _built(kind: type[T], value: Any, what: str) -> T:
    try:
        return codec.decode(kind, value, what)
    except ValueError as error:
        raise Unreadable(f"{error!s:.500}") from error


def body(record: object) -> dict[str, Any]:
    """Encode a record without its default values: DynamoDB bills each KB, and a record is written ten times or more."""
    values: dict[str, Any] = codec.encode(record, sparse=True)
    values.pop("inbox", None)
    return values
