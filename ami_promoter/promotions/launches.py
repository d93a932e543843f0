"""The launch test of a delivery's AMI, as data and as text. Pure.

The end of the instance's console output may hold secrets: `status` of one AMI shows it, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.terminal import schema as js
from chalicelib.delivery.model import Delivery, DeliveryState

SCHEMA = js.perhaps(
    js.thing(
        "the launch test of the AMI in the target; null: the target has none",
        instance_type=js.text("type of the instance that must start from the AMI"),
        result=js.text(
            "passed, failed, untested (it could not be tested), or stopped (it was cancelled or recalled); empty: the "
            "test has no result yet"
        ),
        console=js.text("end of the instance's console output, if the AMI failed; only `status` of one AMI shows it"),
    )
)
MOST_LINES = 20
"""Of the console output on a terminal."""


def of_delivery(delivery: Delivery, *, consoles: bool) -> dict[str, Any] | None:
    """Show a delivery's launch test; None: the target has none. ``consoles``: with the console output."""
    test, launch = delivery.target.launch_test, delivery.launch
    if test is None and not launch.result:
        return None
    console = launch.console if consoles else ""
    return {"instance_type": test.instance_type if test else "", "result": launch.result, "console": console}


def remarks(test: Mapping[str, Any] | None, state: str) -> Iterator[str]:
    """Yield what a terminal shows of a launch test: that it runs, and the console output of one that failed."""
    if test is None:
        return
    if state == DeliveryState.LAUNCHING:
        next_ = "its instance is being terminated" if test["result"] else "its instance must pass its status checks"
        yield f"launch test on {test['instance_type']}: {next_}."
    yield from (f"console: {line}" for line in test["console"].splitlines()[-MOST_LINES:])
