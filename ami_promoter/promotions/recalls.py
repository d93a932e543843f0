"""The recall of an AMI, as data and as text: who has taken it back everywhere, when and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import moment
from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.engine.faults import Fault
from chalicelib.targets.recalls import Recall

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


def to_json(recall: Recall | None) -> dict[str, str] | None:
    """Show a recall."""
    return None if recall is None else {"at": moment(recall.at), "by": recall.by, "why": recall.why}


def said(recall: Mapping[str, str]) -> str:
    """Say who has recalled an AMI, when and why: the end of a sentence."""
    at = f" at {recall['at']}" if recall["at"] != "-" else ""
    why = f": {recall['why'].rstrip('.')}" if recall["why"] else ""
    return f"recalled{at} by {recall['by']}{why}."


def lift(ami: str) -> str:
    """Return the command that ends a recall."""
    return f"`ami-promoter recall {ami} --lift`"


def lines(ami: str, recall: Mapping[str, str] | None) -> tuple[str, ...]:
    """Say below what a command did that a recall stands all the same."""
    if recall is None:
        return ()
    return (f"{ami} was {said(recall)}", f"Nothing promotes it to any target until {lift(ami)}.")


def refused(ami: str, recall: Recall | None) -> Fault | None:
    """Return why an AMI cannot be promoted: it is recalled; None: it is not."""
    if recall is None:
        return None
    shown = to_json(recall) or {}
    return Fault(
        "recalled", ami, f"it was {said(shown)}", f"{lift(ami)} ends the recall, if the AMI is good after all."
    )


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
