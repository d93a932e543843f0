"""The accounts of the organization's units, as they are in force. `discover` alone writes them; `worker` the last row.

===========  ==================  ==================================================================================
pk           sk                  what
===========  ==================  ==================================================================================
``members``  ``current``         the digest of the items below: it names the members in force
``members``  ``units``           body: JSON, unit -> ARN
``members``  ``accounts#<NN>``   body: JSON, account -> its units; of a 64th of all accounts
``members``  ``reading``         what the pass over the organization remembers; body: compressed JSON; version: number
``applied``  ``notified``        of which version of the applied file people were notified; body: JSON; number
===========  ==================  ==================================================================================

Operators accept departures, so these are in the operators' table (``targets_table``): ``departures`` / ``accepted``.

A change is one transaction with a condition on the digest, so no reader sees a half-written listing. The digest shows
a reader of all items whether they belong together. No counter names members, because a table that somebody empties
would begin it again, and readers would take the new members for the old ones.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey, digest_of
from chalicelib.engine.errors import Misconfigured, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.schedule import DAY
from chalicelib.engine.store.table import Table
from chalicelib.engine.stored import compact
from chalicelib.targets.departures import MembersReading
from chalicelib.targets.organization import Membership, Unit

T = TypeVar("T")

MEMBERS = "members"
CURRENT, READING = RecordKey(MEMBERS, "current"), RecordKey(MEMBERS, "reading")
NOTIFIED = RecordKey("applied", "notified")
ACCEPTED = RecordKey("departures", "accepted")
UNITS = "units"
SHARDS = 64
"""Items of accounts: with the digest, the units and the reading they fit into one transaction (100)."""
TRIES = 3
"""How often a reader of all items tries again if `discover` writes between its pages."""


class NumberedItem(Generic[T]):
    """An item with a value, and the number of its last write, which the next write must name; a ``NotifiedStore``, too.

    It reads consistently. An error from AWS is raised as boto3 raises it. ``packed``: the value is compressed.
    """

    def __init__(
        self, table: Table, key: RecordKey, kind: type[T], number: str = "number", *, packed: bool = False
    ) -> None:
        self._table = table
        self._key = key
        self._kind = kind
        self._number = number
        self._packed = packed

    def load(self) -> tuple[T, int]:
        """Read it; an empty value and 0 if there is none. Raises Misconfigured if it is damaged."""
        item, name = self._table.get(self._key), f"{self._key.pk} / {self._key.sk}"
        if item is None:
            return self._kind(), 0
        try:
            text = zlib.decompress(bytes(item["body"])) if self._packed else item["body"]
            return codec.decode(self._kind, codec.parsed_json(text), name), int(item[self._number])
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            what = f"table {self._table.name}: the item {name} is unreadable ({error!r}): delete it."
            raise Misconfigured(what) from error

    def save(self, value: T, number: int) -> bool:
        return self._table.do("put_item", self.request(value, number))

    def request(self, value: T, number: int) -> dict[str, Any]:
        """Build ``save``, for use in a transaction."""
        text = compact(codec.encode(value))
        item = {self._number: number + 1, "body": zlib.compress(text.encode()) if self._packed else text}
        return self._table.put_unless_changed(self._key, item, self._number, number)


class MembersTable:
    """The port ``MembersStore``; every read is consistent. An error from AWS is raised as boto3 raises it.

    ``table``: its name; ``config``: the name of the table with the applied file.
    """

    def __init__(self, client: Any, table: str, config: str) -> None:
        self._table = Table(client, table)
        self._config = Table(client, config)
        # of 10,000 accounts that are missing it would have 1.6 MB, and DynamoDB takes 400 KB
        self._reading = NumberedItem(self._table, READING, MembersReading, "version", packed=True)

    def membership(self) -> Membership:
        for _ in range(TRIES):
            item = self._table.get(CURRENT)
            if item is None:
                return Membership()
            bodies = {
                found["sk"]: found["body"]
                for prefix in (UNITS, "accounts#")
                for found in self._table.query(MEMBERS, prefix)
            }
            if digest_of(bodies) == item["digest"]:
                return _membership(item["digest"], bodies)
        what = "the members of the OUs are not those that `discover` wrote: somebody changed or deleted items."
        cure = (
            "Put the items members / accounts#.. and units back from a backup; or delete them with members / "
            "current: the service then reads all again, and an account that is not in the organization at that "
            "moment is no target."
        )
        raise Refusal(RefusalKind.DENIED, Fault("organization-damaged", f"table {self._table.name}", what, cure))

    def digest(self) -> str:
        """Return the digest of the members in force; "": nothing yet."""
        item = self._table.get(CURRENT)
        return item["digest"] if item else ""

    def units_of(self, account: str) -> tuple[str, ...]:
        """Return the units of an account; reads only the item with it."""
        item = self._table.get(RecordKey(MEMBERS, _shard(account)))
        return tuple(codec.parsed_json(item["body"]).get(account, ())) if item else ()

    def troubles(self) -> Mapping[str, Fault]:
        """Return why units could not be read the last time."""
        return {unit: unread.fault for unit, unread in self.reading()[0].troubles.items()}

    def publish(self, before: Membership, after: Membership, reading: MembersReading, version: int) -> bool:
        old, new = dict(_bodies(before)) if before.digest else {}, dict(_bodies(after))
        changed = [
            {"Put": self._table.put_request(RecordKey(MEMBERS, sk), {"body": body})}
            for sk, body in new.items()
            if old.get(sk) != body
        ]
        given = {":digest": digest_of(new)}
        there = "attribute_not_exists(pk)"
        if before.digest:
            there, given[":before"] = "digest = :before", before.digest
        update = self._table.update_request(CURRENT, "SET digest = :digest", given, condition=there)
        return self._table.transact([{"Update": update}, *changed, {"Put": self._reading.request(reading, version)}])

    def reading(self) -> tuple[MembersReading, int]:
        return self._reading.load()

    def save(self, reading: MembersReading, version: int) -> bool:
        return self._reading.save(reading, version)

    def accepted(self, now: int) -> frozenset[str]:
        item = self._config.get(ACCEPTED) or {}
        try:
            return frozenset(codec.parsed_json(item["body"])) if item["at"] > now - DAY else frozenset()
        except (KeyError, TypeError, ValueError):  # what is damaged accepts nobody, and the next acceptance replaces it
            return frozenset()

    def accept(self, accounts: Iterable[str], by: str, at: int) -> None:
        """Accept the departure of these accounts alone, for a day from ``at`` (epoch seconds)."""
        self._config.put(ACCEPTED, {"body": json.dumps(sorted(accounts)), "by": by, "at": at})


def _shard(account: str) -> str:
    return f"accounts#{int(account) % SHARDS:02d}"


def _bodies(membership: Membership) -> Iterator[tuple[str, str]]:
    shards: dict[str, dict[str, list[str]]] = {}
    for unit, found in sorted(membership.units.items()):
        for account in found.accounts:
            shards.setdefault(_shard(account), {}).setdefault(account, []).append(unit)
    yield UNITS, _json({unit: found.arn for unit, found in membership.units.items()})
    for number in range(SHARDS):
        yield (sk := f"accounts#{number:02d}"), _json(shards.get(sk, {}))


def _membership(digest: str, bodies: Mapping[str, str]) -> Membership:
    accounts: dict[str, list[str]] = {}
    for sk, body in bodies.items():
        if sk != UNITS:
            for account, units in codec.parsed_json(body).items():
                for unit in units:
                    accounts.setdefault(unit, []).append(account)
    arns = codec.parsed_json(bodies[UNITS])
    return Membership(digest, {unit: Unit(arn, tuple(sorted(accounts.get(unit, ())))) for unit, arn in arns.items()})


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
