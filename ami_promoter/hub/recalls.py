"""Recalls and pins: the operators' table has them (``targets/recalls.py``), and no function writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ami_promoter.hub.aws import UNCHANGED, Connection
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import moment
from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import Fault
from chalicelib.engine.store.table import setting
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets.recalls import ATTRIBUTE, Pin, Recall, read_pin, written
from chalicelib.targets.recalls import read as read_recall

BODY = "body"
MEMBERS = {
    "at": js.time("when the operator recalled it"),
    "by": js.text("ARN of the operator"),
    "why": js.text("the reason"),
}
SCHEMA = js.perhaps(js.thing("the recall of the AMI: nothing promotes it; null: it is not recalled", **MEMBERS))
DONE = js.perhaps(
    js.thing(
        "what became of the AMI in the target by a recall; null: it was not recalled there",
        by=js.text("ARN of the operator, as the service read it; empty: not read yet"),
        why=js.text("the reason"),
        deprecated=js.flag("whether the service has nothing left to do: the AMI is deprecated, unless a fault says so"),
        disabled=js.flag("whether the AMI is disabled, too"),
    )
)
STATES = frozenset((DeliveryState.RECALLING, DeliveryState.RESTORING, DeliveryState.RECALLED))


def stored(connection: Connection, ami: str) -> Recall | None:
    """Return an AMI's recall; None: it is not recalled."""
    with connection.telling("reading the recall"):
        return connection.applied.recall(ami)


def every(connection: Connection) -> Mapping[str, Recall]:
    """Return all recalls, by AMI."""
    with connection.telling("reading the recalls"):
        items = list(connection.operators.query(addresses.withdrawals("").pk, "ami-"))
    return {str(item["sk"]): read_recall(item[ATTRIBUTE]) for item in items if ATTRIBUTE in item}


def pins(connection: Connection, keys: Iterable[RecordKey]) -> Mapping[RecordKey, Pin | None]:
    """Return the pins that stand among these; None: it is damaged.

    The record of a pointer does not know a pin before its worker has looked.
    """
    with connection.telling("reading the pins"):
        items = [item for item in connection.operators.get_all(list(dict.fromkeys(keys))) if BODY in item]
    return {RecordKey.of(item): _pin(item[BODY]) for item in items}


def recall_it(connection: Connection, ami: str, why: str) -> Recall:
    """Recall an AMI; return the recall."""
    one = Recall(int(connection.now()), connection.caller, why)
    with connection.telling(f"recalling {UNCHANGED}"):
        connection.operators.update(addresses.withdrawals(ami), **setting({ATTRIBUTE: written(one)}))
    return one


def lift(connection: Connection, ami: str) -> None:
    """End an AMI's recall."""
    with connection.telling(f"lifting the recall {UNCHANGED}"):
        connection.operators.update(addresses.withdrawals(ami), **setting({}, removing=[ATTRIBUTE]))


def pin(connection: Connection, pointer: Pointer, release: Release, why: str) -> None:
    """Hold a pointer's family there at a release."""
    one = Pin(release.source, release.made_at, int(connection.now()), connection.caller, why)
    with connection.telling("rolling back (run the command again; it keeps what it has written)"):
        connection.operators.update(pin_of(pointer), **setting({BODY: written(one)}))


def unpin(connection: Connection, pointer: Pointer) -> None:
    """End the pin of a pointer's family there: the parameter names again what is current."""
    with connection.telling("lifting a rollback (run the command again)"):
        connection.operators.update(pin_of(pointer), **setting({}, removing=[BODY]))


def pin_of(pointer: Pointer) -> RecordKey:
    """Return the record key of the pin that holds a pointer."""
    return addresses.pin(pointer.account, pointer.region, pointer.family)


def _pin(body: object) -> Pin | None:
    try:
        return read_pin(body)
    except ValueError:
        return None


def to_json(recall: Recall | None) -> dict[str, str] | None:
    """Show a recall."""
    return None if recall is None else {"at": moment(recall.at), "by": recall.by, "why": recall.why}


def said(recall: Mapping[str, str]) -> str:
    """Say who has recalled an AMI, when and why: the end of a sentence."""
    at = f" at {recall['at']}" if recall["at"] != "-" else ""
    why = f": {recall['why'].rstrip('.')}" if recall["why"] else ""
    return f"recalled{at} by {recall['by']}{why}."


def lift_command(ami: str) -> str:
    """Return the command that ends a recall."""
    return f"`ami-promoter recall {ami} --lift`"


def lines(ami: str, recall: Mapping[str, str] | None) -> tuple[str, ...]:
    """Say below what a command did that a recall stands all the same."""
    if recall is None:
        return ()
    return (f"{ami} was {said(recall)}", f"Nothing promotes it to any target until {lift_command(ami)}.")


def read(connection: Connection, ami: str) -> dict[str, str] | None:
    """Read an AMI's recall, and show it; None: it is not recalled."""
    return to_json(stored(connection, ami))


def refused(connection: Connection, ami: str) -> Fault | None:
    """Return why an AMI cannot be promoted: it is recalled; None: it is not."""
    if (recall := read(connection, ami)) is None:
        return None
    cure = f"{lift_command(ami)} ends the recall, if the AMI is good after all."
    return Fault("recalled", ami, f"it was {said(recall)}", cure)


def of_delivery(delivery: Delivery, state: str) -> dict[str, Any] | None:
    """Show what a recall has done to a delivery's AMI; None: nothing."""
    one = delivery.recall
    if state not in STATES:
        return None
    return {"by": one.by, "why": one.why, "deprecated": one.done, "disabled": one.disabled}


def remark(state: str, recalled: Mapping[str, Any], *, faulty: bool) -> str:
    """Say for a terminal what has been done to an AMI in a target; "": its faults say so."""
    if state == DeliveryState.RESTORING:
        return "The recall was lifted: the AMI is being made as it was before."
    if state == DeliveryState.RECALLING:
        return "Its AMI is being deprecated."
    if faulty:
        return ""
    how = "deprecated and disabled" if recalled["disabled"] else "deprecated"
    return f"Its AMI is {how}; it was not deregistered."
