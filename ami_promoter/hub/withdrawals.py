"""Operators' withdrawals from an AMI's promotion: one item for each AMI in the operators' table.

The item: pk ``withdrawals``, sk the AMI; for each "account" or "account/region" an attribute with time, operator and
the tag's value. No function writes it; another value of the tag ends a withdrawal (``targets/withdrawals.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader
from ami_promoter.terminal import schema as js
from chalicelib.engine import addresses
from chalicelib.engine.budget import slices
from chalicelib.engine.faults import Fault
from chalicelib.engine.store.table import setting
from chalicelib.promotion.model import Promotion
from chalicelib.targets import withdrawals
from chalicelib.targets.store.targets_table import withdrawals_in
from chalicelib.targets.withdrawals import EVERYWHERE, Withdrawal, by_place

ROOM = 400_000
"""Bytes of the item's names and texts, which are ASCII: DynamoDB takes 409,600, and a recall must always fit."""
AT_ONCE = 50
"""Most attributes in one update: DynamoDB allows 4 KB of expression."""


SCHEMA = js.mapping(
    "withdrawals in force until another value, its removal, or their lift, by account or ACCOUNT/REGION",
    js.text("ARN of the operator who withdrew it"),
)


class Withdrawn:
    """The withdrawals of one AMI, under the caller's credentials."""

    def __init__(self, connection: Connection, ami: str) -> None:
        self._connection = connection
        self._key = addresses.withdrawals(ami)
        self._table = connection.operators

    def read(self) -> Sequence[Withdrawal]:
        """Return all withdrawals, also those that another value of the tag has ended; a recall is none of them."""
        return [one for one in withdrawals_in(self._item()) if one.place != EVERYWHERE]

    def _item(self) -> Mapping[str, Any]:
        with self._connection.telling("reading the withdrawals"):
            return self._table.get(self._key) or {}

    def no_room(self, places: Collection[str], value: str, over: Collection[str]) -> Fault | None:
        """Return why the item has no room for these withdrawals, once those that are ``over`` are out; None: it has."""
        kept = {name: str(text) for name, text in self._item().items() if name not in over}
        size = sum(len(name) + len(text) for name, text in {**kept, **self._entries(places, value)}.items())
        if size <= ROOM:
            return None
        ami = self._key.sk
        what = (
            f"its withdrawals, each with the tag's value, would take {size} bytes; one item in DynamoDB has room for "
            f"{ROOM} and a recall."
        )
        cure = (
            "Take the accounts out of the targets file and apply it, or promote the AMI with a value that does not "
            f"name them, which also ends all withdrawals; for all accounts, `ami-promoter recall {ami} --why TEXT`."
        )
        return Fault("withdrawals-full", ami, what, cure)

    def _entries(self, places: Iterable[str], value: str, after: int = 0) -> dict[str, str]:
        at, by = max(int(self._connection.now()), after), self._connection.caller
        return {one: withdrawals.written(Withdrawal(one, at, by, value)) for one in places}

    def write(self, places: Iterable[str], value: str, after: int) -> None:
        """Withdraw these now. ``after``: from when withdrawals count (epoch seconds; ``counts_from``)."""
        fresh = self._entries(places, value, after)
        with self._connection.telling("withdrawing (run the command again; it keeps what it has written)"):
            for some in slices(sorted(fresh), AT_ONCE):
                self._table.update(self._key, **setting({place: fresh[place] for place in some}))

    def remove(self, places: Iterable[str]) -> None:
        """Remove these; ignore missing ones."""
        with self._connection.telling("lifting withdrawals (run the command again)"):
            for some in slices(sorted(places), AT_ONCE):
                self._table.update(self._key, **setting({}, removing=some))


def withdrawn_for(connection: Connection, ami: str, value: str) -> Mapping[str, str]:
    """Return whom operators have withdrawn while the tag has this value: place -> operator; may raise HubError."""
    found = Withdrawn(connection, ami).read()
    record = Reader(connection).promotion(ami) if found else None
    return by_place(in_force(found, record.it if record else None, value))


def in_force(found: Iterable[Withdrawal], known: Promotion | None, value: str) -> tuple[Withdrawal, ...]:
    """Return those that count while the tag has this value, by an AMI's promotion.

    If the service has refused the value, those of the value in force count, too.
    """
    values = {value, known.value if known and value == known.refused_value else value}
    return withdrawals.in_force(found, values, counts_from(known, value))


def over(found: Iterable[Withdrawal], known: Promotion) -> list[str]:
    """Return the places of those that have ended for certain: EC2 has shown another value since."""
    return [one.place for one in found if one.ended(known.withdrawals_from)]


def counts_from(known: Promotion | None, value: str | None) -> int:
    """Return from when withdrawals count for a value (epoch seconds), by an AMI's promotion; 0: always.

    Another value than that in force was written after it.
    """
    if known is None:
        return 0
    return known.withdrawals_count_from(known.value if value == known.refused_value else value)
