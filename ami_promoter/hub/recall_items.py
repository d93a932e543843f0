"""Recalls and pins in the operators' table (``targets/recalls.py``). No function writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ami_promoter.hub.aws import UNCHANGED, Connection
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.store.table import setting
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets import recalls
from chalicelib.targets.recalls import Pin, Recall

BODY = "body"


class OperatorsDecisions:
    """What operators have decided about AMIs, under the caller's credentials."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._table = connection.operators

    def recall(self, ami: str) -> Recall | None:
        """Return an AMI's recall; None: it is not recalled."""
        with self._connection.telling("reading the recall"):
            return self._connection.applied.recall(ami)

    def recalls(self) -> Mapping[str, Recall]:
        """Return all recalls, by AMI."""
        with self._connection.telling("reading the recalls"):
            items = [
                item for item in self._table.query(addresses.withdrawals("").pk, "ami-") if recalls.ATTRIBUTE in item
            ]
        return {str(item["sk"]): recalls.read(item[recalls.ATTRIBUTE]) for item in items}

    def pins(self, keys: Iterable[RecordKey]) -> Mapping[RecordKey, Pin | None]:
        """Return the pins that stand among these; None: it is damaged.

        The record of a pointer does not know a pin before its worker has looked.
        """
        with self._connection.telling("reading the pins"):
            items = [item for item in self._table.get_all(list(dict.fromkeys(keys))) if BODY in item]
        return {RecordKey.of(item): _read(item[BODY]) for item in items}

    def recall_it(self, ami: str, why: str) -> Recall:
        """Recall an AMI; return the recall."""
        one = Recall(int(self._connection.now()), self._connection.caller, why)
        with self._connection.telling(f"recalling {UNCHANGED}"):
            self._table.update(addresses.withdrawals(ami), **setting({recalls.ATTRIBUTE: recalls.written(one)}))
        return one

    def lift(self, ami: str) -> None:
        """End an AMI's recall."""
        with self._connection.telling(f"lifting the recall {UNCHANGED}"):
            self._table.update(addresses.withdrawals(ami), **setting({}, removing=[recalls.ATTRIBUTE]))

    def pin(self, pointer: Pointer, release: Release, why: str) -> None:
        """Hold a pointer's family there at a release."""
        one = Pin(release.source, release.made_at, int(self._connection.now()), self._connection.caller, why)
        with self._connection.telling("rolling back (run the command again; it keeps what it has written)"):
            self._table.update(pin_of(pointer), **setting({BODY: recalls.written(one)}))

    def unpin(self, pointer: Pointer) -> None:
        """End the pin of a pointer's family there: the parameter names again what is current."""
        with self._connection.telling("lifting a rollback (run the command again)"):
            self._table.update(pin_of(pointer), **setting({}, removing=[BODY]))


def pin_of(pointer: Pointer) -> RecordKey:
    """Return the record key of the pin that holds a pointer."""
    return addresses.pin(pointer.account, pointer.region, pointer.family)


def _read(body: object) -> Pin | None:
    try:
        return recalls.read_pin(body)
    except ValueError:
        return None
