"""Applies a compiled targets file: writes its items, then that it is in force, by one conditional put.

Before that put nothing changes for the service; after it the whole new file is in force.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.operators_table import write
from chalicelib.engine.addresses import digest_of
from chalicelib.engine.aws import sdk
from chalicelib.engine.errors import TargetsDamaged
from chalicelib.targets.applied_file import Directory
from chalicelib.targets.applied_items import to_items
from chalicelib.targets.store.targets_table import IN_FORCE, VERSIONS, FileVersion, TargetsTable, partition

KEEP = 5
"""How many versions stay in the table, with the one in force."""

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AppliedVersion:
    """The file in force. ``damaged``: somebody changed its items, and ``directory`` is empty."""

    current: FileVersion | None
    directory: Directory
    damaged: bool = False


class Publisher:
    """Reads and replaces the file in force. ``sleep`` waits between tries."""

    def __init__(self, connection: Connection, sleep: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._client = connection.dynamodb
        self._sleep = sleep

    def applied(self) -> AppliedVersion:
        """Read the file in force; may raise HubError."""
        table = self._read()
        with self._connection.telling("reading the applied targets"):
            current = table.version_in_force()
            if current is None:
                return AppliedVersion(None, Directory())
            try:
                return AppliedVersion(current, table.directory(current))
            except TargetsDamaged:
                return AppliedVersion(current, Directory(), damaged=True)

    def text(self, current: FileVersion) -> str | None:
        """Return the text of the file with this version; None if it was not kept. May raise HubError."""
        with self._connection.telling("reading the applied targets"):
            found = self._client.get_item(
                TableName=self._connection.config_table,
                Key={"pk": {"S": partition(current.version)}, "sk": {"S": "source"}},
                ConsistentRead=True,
            ).get("Item")
        try:
            return gzip.decompress(found["text"]["B"]).decode() if found else None
        except (KeyError, OSError, ValueError):
            return None

    def publish(self, before: AppliedVersion, wanted: Directory, source: str, at: str) -> FileVersion:
        """Put ``wanted`` into force if ``before`` is still in force; raises HubError otherwise.

        ``source`` is the file's text, kept for people; ``at`` is ISO 8601 in UTC.
        """
        items = to_items(wanted)
        generation = before.current.generation + 1 if before.current else 1
        after = FileVersion(generation, digest_of(items), at, self._connection.caller)
        with self._connection.telling("writing the new targets (those in force are unchanged)"):
            self._put(VERSIONS, f"version#{after.version}", {"begun_at": {"S": at}})
            self._write([{"PutRequest": {"Item": item}} for item in _items(after.version, items, source)])
            self._flip(before.current, after)
        return after

    def clean(self, current: FileVersion) -> None:
        """Delete all but the last few versions; a version's own item goes last, so that a crash forgets nothing."""
        with self._connection.telling("deleting old versions (the new targets are in force)"):
            notes = [key["sk"]["S"] for key in self._keys(VERSIONS) if key["sk"]["S"].startswith("version#")]
            for note in notes:
                old = note.removeprefix("version#")
                if FileVersion.of_version(old).generation <= current.generation - KEEP:
                    self._write([{"DeleteRequest": {"Key": key}} for key in self._keys(partition(old))])
                    self._write([{"DeleteRequest": {"Key": {"pk": {"S": VERSIONS}, "sk": {"S": note}}}}])

    def _read(self) -> TargetsTable:
        return TargetsTable(self._client, self._connection.config_table, self._connection.members_table)

    def _flip(self, before: FileVersion | None, after: FileVersion) -> None:
        which = {
            "generation": {"N": str(after.generation)},
            "digest": {"S": after.digest},
            "applied_at": {"S": after.applied_at},
            "applied_by": {"S": after.applied_by},
        }
        unchanged: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if before is not None:
            unchanged = {
                "ConditionExpression": "generation = :seen",
                "ExpressionAttributeValues": {":seen": {"N": str(before.generation)}},
            }
        try:
            self._put(VERSIONS, IN_FORCE, which, **unchanged)
        except sdk.ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            if self._read().version_in_force() == after:
                return  # the SDK sent it twice, and the first had taken effect
            what = (
                "somebody else has applied a targets file since you started: that file is in force, and yours is not."
            )
            cure = "Run `ami-promoter targets diff FILE`, then apply again."
            raise HubError(what, self._connection.place, cure, "targets-raced") from error

    def _put(self, pk: str, sk: str, attributes: Item, **condition: Any) -> None:
        item = {"pk": {"S": pk}, "sk": {"S": sk}, **attributes}
        self._client.put_item(TableName=self._connection.config_table, Item=item, **condition)

    def _keys(self, pk: str) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._connection.config_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]

    def _write(self, requests: Sequence[Item]) -> None:
        write(self._connection, requests, "The targets in force are unchanged.", self._sleep)


def _items(version: str, items: Mapping[str, str], source: str) -> Iterator[Item]:
    pk = {"S": partition(version)}
    for sk, body in items.items():
        yield {"pk": pk, "sk": {"S": sk}, "body": {"S": body}}
    yield {"pk": pk, "sk": {"S": "source"}, "text": {"B": gzip.compress(source.encode(), mtime=0)}}
