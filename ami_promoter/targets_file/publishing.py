"""Applies a compiled targets file: writes its items, then that it is in force, by one conditional put.

Before that put nothing changes for the service; after it the whole new file is in force.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub.aws import UNCHANGED, Connection, HubError
from chalicelib.engine.addresses import RecordKey, digest_of
from chalicelib.engine.errors import Misconfigured, TargetsDamaged
from chalicelib.engine.store.table import wire
from chalicelib.targets.applied_file import Directory
from chalicelib.targets.applied_items import to_items
from chalicelib.targets.ports import FileVersion
from chalicelib.targets.store.targets_table import IN_FORCE, VERSIONS, partition

KEEP = 5
"""How many versions stay in the table, with the one in force."""

NOTE = "version#"
"""Beginning of the sort keys of versions that were begun; this item is written before the others."""

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AppliedVersion:
    """The file in force. ``damaged``: somebody changed its items, and ``directory`` is empty."""

    current: FileVersion | None
    """Without a digest: which file is in force cannot be read; the number is the last one that was used."""
    directory: Directory
    damaged: bool = False
    seen: object = None
    """The number in the item that says which file is in force, as it stands there; None: it has none."""


class Publisher:
    """Reads and replaces the file in force. ``sleep`` waits between tries."""

    def __init__(self, connection: Connection, sleep: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._table = connection.operators
        self._sleep = sleep

    def applied(self, *, to_replace: bool = False) -> AppliedVersion:
        """Read the file in force; may raise HubError, but if it is ``to_replace`` not because it cannot be read."""
        table = self._connection.applied
        with self._connection.telling("reading the applied targets"):
            try:
                current = table.in_force()
            except Misconfigured:
                if not to_replace:
                    raise
                seen = (self._table.get(RecordKey(VERSIONS, IN_FORCE)) or {}).get("version_number")
                used = [self._begun(note).number for note in self._table.query(VERSIONS, NOTE)]
                return AppliedVersion(FileVersion.of(max(used, default=0), ""), Directory(), damaged=True, seen=seen)
            if current is None:
                return AppliedVersion(None, Directory())
            try:
                return AppliedVersion(current, table.directory(current), seen=current.number)
            except TargetsDamaged:
                return AppliedVersion(current, Directory(), damaged=True, seen=current.number)

    def text(self, current: FileVersion) -> str | None:
        """Return the text of the file with this version; None if it was not kept. May raise HubError."""
        with self._connection.telling("reading the applied targets"):
            found = self._table.get(RecordKey(partition(current.version), "source"))
        try:
            return gzip.decompress(found["text"].value).decode() if found else None
        except (AttributeError, KeyError, OSError, ValueError):
            return None

    def publish(self, before: AppliedVersion, wanted: Directory, source: str, at: str) -> FileVersion:
        """Put ``wanted`` into force if ``before`` is still in force; raises HubError otherwise.

        ``source`` is the file's text, kept for people; ``at`` is ISO 8601 in UTC.
        """
        items = to_items(wanted)
        number = before.current.number + 1 if before.current else 1
        after = FileVersion.of(number, digest_of(items), at, self._connection.caller)
        with self._connection.telling("writing the new targets (those in force are unchanged)"):
            self._table.put(RecordKey(VERSIONS, f"{NOTE}{after.version}"), {"begun_at": at})
            self._write([{"PutRequest": {"Item": item}} for item in _items(after.version, items, source)])
        with self._connection.telling(f"putting the new targets into force {UNCHANGED}"):
            self._flip(before.seen, after)
        return after

    def clean(self, current: FileVersion) -> None:
        """Delete all but the last few versions; a version's own item goes last, so that a crash forgets nothing."""
        with self._connection.telling("deleting old versions (the new targets are in force)"):
            for note in list(self._table.query(VERSIONS, NOTE)):
                old = self._begun(note)
                if old.number <= current.number - KEEP:
                    for items in (self._table.query(partition(old.version)), [note]):
                        keys = [wire({"pk": item["pk"], "sk": item["sk"]}) for item in items]
                        self._write([{"DeleteRequest": {"Key": key}} for key in keys])

    @staticmethod
    def _begun(note: Item) -> FileVersion:
        return FileVersion(note["sk"].removeprefix(NOTE))

    def _flip(self, seen: object, after: FileVersion) -> None:
        which = {
            "version_number": after.number,
            "digest": after.digest,
            "applied_at": after.at,
            "applied_by": after.by,
        }
        unchanged = "attribute_not_exists(version_number)" if seen is None else "version_number = :seen"
        given = {} if seen is None else {":seen": seen}
        flip = self._table.put_request(RecordKey(VERSIONS, IN_FORCE), which, unchanged, given)
        # The SDK may have sent it twice, and the first had taken effect.
        if not self._table.do("put_item", flip) and self._connection.applied.in_force() != after:
            what = (
                "somebody else has applied a targets file since you started: that file is in force, and yours is not."
            )
            cure = "Run `ami-promoter targets diff FILE`, then apply again."
            raise HubError(what, self._connection.place, cure, "targets-raced")

    def _write(self, requests: Sequence[Item]) -> None:
        self._connection.write_operators(requests, "The targets in force are unchanged.", self._sleep)


def _items(version: str, items: Mapping[str, str], source: str) -> Iterator[Item]:
    pk = partition(version)
    for sk, body in items.items():
        yield wire({"pk": pk, "sk": sk, "body": body})
    yield wire({"pk": pk, "sk": "source", "text": gzip.compress(source.encode(), mtime=0)})
