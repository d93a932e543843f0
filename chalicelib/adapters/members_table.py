"""Whom the units of the organisation have, as it is in force: one pointer, and behind it a slot of immutable items.

====================  ==================  ========================================================================
pk                    sk                  what
====================  ==================  ========================================================================
``members``           ``current``         the pointer: generation, digest
``members#<slot>``    ``units``           body: JSON, unit -> ARN
``members#<slot>``    ``accounts#<NN>``   body: JSON, account -> its units; of all accounts that end with these digits
``members``           ``book``            what the resolver remembers, with its version
``members``           ``accepted``        the accounts that a person lets go
====================  ==================  ========================================================================

A generation is written into the slot after the last one's, each item with its generation, and then the pointer moves:
a half-written listing is never read, what an older generation left in the slot is passed over, and nothing needs to be
deleted. A slot comes round again after three changes, which are minutes apart.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import codec
from chalicelib.core.addresses import Key
from chalicelib.core.delivery.events import Why
from chalicelib.core.departures import DAY, Book
from chalicelib.core.errors import Misconfigured
from chalicelib.core.faults import Fault
from chalicelib.core.organisation import Membership, Unit, text_digest
from chalicelib.ports import Refusal

MEMBERS = "members"
CURRENT, BOOK, ACCEPTED = Key(MEMBERS, "current"), Key(MEMBERS, "book"), Key(MEMBERS, "accepted")
SLOTS = 3
TRIES = 3
"""For a reader whose slot was written anew while it read."""


class MembersTable:
    """The port ``MembersBook``; every read is consistent. An error from AWS is raised as boto3 raises it."""

    def __init__(self, client: Any, table: str) -> None:
        self._table = Table(client, table)
        self._name = table

    def membership(self) -> Membership:
        """See the port."""
        for _ in range(TRIES):
            generation, digest = self._pointer()
            if not generation:
                return Membership()
            bodies = {
                item["sk"]: item["body"]
                for prefix in ("units", "accounts#")
                for item in self._table.query(_slot(generation), prefix)
                if item.get("generation") == generation
            }
            if text_digest(bodies) == digest:
                return _membership(generation, bodies)
        what = "whom the units have is not what the resolver wrote: items were changed or deleted by hand."
        cure = (
            "Put the items members#… back from a backup; or delete the item members / current: then everything is read "
            "anew, and whoever is not found in the organisation at that moment is no target any more."
        )
        raise Refusal(Why.DENIED, Fault("organization-damaged", f"table {self._name}", what, cure))

    def units_of(self, accounts: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Return the units of these accounts, as far as they have any; reads only the items these stand in."""
        for _ in range(TRIES):
            generation, _ = self._pointer()
            if not generation or not accounts:
                return {}
            found: dict[str, tuple[str, ...]] = {}
            for shard in sorted({account[-2:] for account in accounts}):
                item = self._item(generation, f"accounts#{shard}")
                body = json.loads(item["body"]) if item else {}
                found |= {account: tuple(body[account]) for account in accounts if account in body}
            if self._pointer()[0] < generation + SLOTS - 1:  # else what was read may have been written over
                return found
        return {}

    def arns(self) -> Mapping[str, str]:
        """Return every unit's ARN."""
        generation, _ = self._pointer()
        item = self._item(generation, "units") if generation else None
        return dict(json.loads(item["body"])) if item else {}

    def troubles(self) -> Mapping[str, Fault]:
        """Return why units could not be read the last time."""
        return {unit: trouble.fault for unit, trouble in self.book()[0].troubles.items()}

    def publish(self, before: Membership, after: Membership) -> bool:
        """See the port."""
        generation = before.generation + 1
        bodies = dict(_bodies(after))
        for sk, body in bodies.items():
            self._table.put(Key(_slot(generation), sk), {"generation": generation, "body": body})
        pointer = {"generation": generation, "digest": text_digest(bodies)}
        if before.generation == 0:
            return self._table.put(CURRENT, pointer, absent=True)
        moved = self._table.update(
            CURRENT,
            "SET generation = :generation, digest = :digest",
            {":generation": generation, ":digest": pointer["digest"], ":before": before.generation},
            condition="generation = :before",
        )
        return moved is not None

    def book(self) -> tuple[Book, int]:
        """See the port."""
        item = self._table.get(BOOK)
        if item is None:
            return Book(), 0
        try:
            return codec.decode(Book, json.loads(item["body"]), "members/book"), int(item["version"])
        except (KeyError, ValueError) as error:
            raise Misconfigured(
                f"table {self._name}: the resolver's book cannot be read: {error!r}; delete the item members / book."
            ) from error

    def save(self, book: Book, version: int) -> bool:
        """See the port."""
        body = json.dumps(codec.encode(book), separators=(",", ":"))
        if version == 0:
            return self._table.put(BOOK, {"version": 1, "body": body}, absent=True)
        given = {":body": body, ":version": version + 1, ":before": version}
        expression = "SET body = :body, version = :version"
        return self._table.update(BOOK, expression, given, condition="version = :before") is not None

    def accepted(self, now: int) -> frozenset[str]:
        """See the port."""
        item = self._table.get(ACCEPTED)
        return frozenset(json.loads(item["body"])) if item and item["at"] > now - DAY else frozenset()

    def accept(self, accounts: Iterable[str], by: str, at: int) -> None:
        """Let these go, for a day from ``at`` (epoch seconds), and nobody else any more."""
        self._table.put(ACCEPTED, {"body": json.dumps(sorted(accounts)), "by": by, "at": at})

    def _pointer(self) -> tuple[int, str]:
        item = self._table.get(CURRENT)
        return (int(item["generation"]), str(item["digest"])) if item else (0, "")

    def _item(self, generation: int, sk: str) -> Mapping[str, Any] | None:
        item = self._table.get(Key(_slot(generation), sk))
        return item if item is not None and item.get("generation") == generation else None


def _slot(generation: int) -> str:
    return f"{MEMBERS}#{generation % SLOTS}"


def _bodies(membership: Membership) -> Iterator[tuple[str, str]]:
    shards: dict[str, dict[str, list[str]]] = {}
    for unit, found in sorted(membership.units.items()):
        for account in found.accounts:
            shards.setdefault(account[-2:], {}).setdefault(account, []).append(unit)
    yield "units", _json({unit: found.arn for unit, found in membership.units.items()})
    for shard, accounts in shards.items():
        yield f"accounts#{shard}", _json(accounts)


def _membership(generation: int, bodies: Mapping[str, str]) -> Membership:
    accounts: dict[str, list[str]] = {}
    for sk, body in bodies.items():
        if sk != "units":
            for account, units in json.loads(body).items():
                for unit in units:
                    accounts.setdefault(unit, []).append(account)
    arns = json.loads(bodies["units"])
    return Membership(
        generation, {unit: Unit(arn, tuple(sorted(accounts.get(unit, ())))) for unit, arn in arns.items()}
    )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
