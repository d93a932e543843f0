"""The commands ``pause`` and ``resume``: one switch in the operators' table, read before anything new is begun.

The item: pk ``switches``, sk ``promotions``; ``paused`` (true or false), ``by`` (ARN of the caller), ``at`` (epoch
seconds) and ``why`` (text). No item means not paused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ami_promoter.arguments import Call
from ami_promoter.aws import Connection
from ami_promoter.report import Report, moment
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.addresses import SWITCH

WHAT_IT_MEANS = "Nothing new is begun; what has begun goes on to its end. `ami-promoter resume` lifts it."


class Switch:
    """The switch of one hub, under the caller's credentials."""

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._table = Table(connection.dynamodb, connection.config_table)
        self._clock = clock

    def read(self) -> Mapping[str, Any] | None:
        """Return the switch as it is if it says paused; None otherwise."""
        with self._connection.telling("reading whether promotions are paused"):
            item = self._table.get(SWITCH)
        return item if item and item.get("paused") else None

    def turn(self, *, paused: bool, why: str) -> bool:
        """Turn it, and write down who did; False if it stands so already, and then nothing is written."""
        given = {
            ":kind": "switch",
            ":paused": paused,
            ":by": self._connection.caller,
            ":at": int(self._clock()),
            ":why": why,
            ":other": not paused,
        }
        turned = "paused = :other" + (" OR attribute_not_exists(paused)" if paused else "")
        with self._connection.telling("turning the switch (promotions go on as before)"):
            done = self._table.update(
                SWITCH,
                "SET kind = :kind, paused = :paused, #by = :by, #at = :at, why = :why",
                given,
                names={"#by": "by", "#at": "at"},
                condition=turned,
            )
        return done is not None


def run(call: Call, region: str) -> Report:
    """Pause or resume; may raise Trouble."""
    connection = Connection(region, call.options.get("--table"), call.options.get("--hub-account"))
    switch = Switch(connection)
    paused = call.command.words == ("pause",)
    changed = switch.turn(paused=paused, why=call.options.get("--why", ""))
    data = {"account": connection.account, "region": region, "table": connection.table}
    if paused:
        found = switch.read() or {}
        first = "Paused" if changed else "Nothing to do, it was paused before"
        lines = (f"{first} in {connection.place}: {said(found)}.", WHAT_IT_MEANS)
        return Report(lines, {**data, "changed": changed, "paused": to_json(found)})
    line = "Resumed: what was held back begins" if changed else "Nothing to do, nothing is paused"
    more = " within a quarter of an hour." if changed else "."
    return Report((f"{line} in {connection.place}{more}",), {**data, "changed": changed, "paused": None})


def said(item: Mapping[str, Any]) -> str:
    """Say when, by whom and why it was paused."""
    why = f": {item['why']}" if item.get("why") else ""
    return f"since {moment(item.get('at'))}, by {item.get('by', 'nobody known')}{why}"


def to_json(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give the same for a program; None if it is not paused."""
    if item is None:
        return None
    return {"since": moment(item.get("at")), "by": item.get("by"), "why": item.get("why", "")}
