"""Operators' withdrawals from an AMI's promotion: one item for each AMI in the operators' table.

The item: pk ``withdrawals``, sk the AMI; for each "account" or "account/region" an attribute with time, operator and
the tag's value. No function writes it; a tag event ends a withdrawal (``core/targets/withdrawals.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Record
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.records import addresses
from chalicelib.core.targets import withdrawals
from chalicelib.core.targets.withdrawals import Withdrawal

AT_ONCE = 50
"""Most attributes in one update: DynamoDB allows 4 KB of expression."""


class Withdrawn:
    """The withdrawals of one AMI, under the caller's credentials."""

    def __init__(self, connection: Connection, ami: str) -> None:
        self._connection = connection
        self._key = addresses.withdrawals(ami)
        self._table = Table(connection.dynamodb, connection.config_table)

    def read(self) -> Sequence[Withdrawal]:
        """Return all withdrawals, also those that a tag event has ended."""
        with self._connection.telling("reading the withdrawals"):
            item = self._table.get(self._key) or {}
        return [withdrawals.read(name, value) for name, value in sorted(item.items()) if name[:1].isdigit()]

    def write(self, places: Iterable[str], value: str, after: int) -> None:
        """Withdraw these now. ``after``: when the tag was last written, if known (epoch seconds)."""
        at, by = max(int(self._connection.now()), after), self._connection.caller
        fresh = {one: withdrawals.written(Withdrawal(one, at, by, value)) for one in places}
        with self._connection.telling("withdrawing (run the command again; it keeps what it has written)"):
            for some in _slices(fresh):
                names = {f"#n{number}": place for number, place in enumerate(some)}
                given = {f":v{number}": fresh[place] for number, place in enumerate(some)}
                assigned = ", ".join(f"#n{number} = :v{number}" for number in range(len(some)))
                self._table.update(self._key, f"SET {assigned}", given, names=names)

    def remove(self, places: Iterable[str]) -> None:
        """Remove these; ignore missing ones."""
        with self._connection.telling("lifting withdrawals (run the command again)"):
            for some in _slices(tuple(places)):
                names = {f"#n{number}": place for number, place in enumerate(some)}
                self._table.update(self._key, f"REMOVE {', '.join(names)}", {}, names=names)


def in_force(found: Iterable[Withdrawal], record: Record | None, tag: str | None) -> tuple[Withdrawal, ...]:
    """Return those that no tag event has ended, by an AMI's record and its tag."""
    values = {tag, (record or {}).get("value")} if tag is not None else set()
    return withdrawals.in_force(found, values, tagged_at(record))


def tagged_at(record: Record | None) -> int:
    """Return when the tag was last written (epoch seconds), by the AMI's record; 0: unknown."""
    known = (record or {}).get("tagged_at")
    return known if isinstance(known, int) else 0


def _slices(places: Collection[str]) -> Iterable[Sequence[str]]:
    every = sorted(places)
    return (every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE))
