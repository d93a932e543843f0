"""The switch that pauses the hub: one item in the operators' table, which `worker` reads before it starts anything new.

The item: pk ``switches``, sk ``promotions``; ``paused`` (true or false), ``by`` (ARN of the caller), ``at`` (epoch
seconds) and ``why`` (text). No item means not paused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ami_promoter.hub.aws import UNCHANGED, Connection
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import moment
from chalicelib.engine.addresses import SWITCH
from chalicelib.engine.store.table import setting

SCHEMA = js.perhaps(
    js.thing(
        "who paused promotions, and when; null: they are not paused",
        since=js.time("when promotions were paused"),
        by=js.text("ARN of the operator who paused promotions"),
        why=js.text("the reason that the operator gave with `--why`; empty: none"),
    )
)
"""The schema of what ``to_json`` returns."""


def read(connection: Connection) -> Mapping[str, Any] | None:
    """Return the switch's item if promotions are paused; None otherwise."""
    with connection.telling("reading whether promotions are paused"):
        item = connection.operators.get(SWITCH)
    return item if item and item.get("paused") else None


def turn(connection: Connection, *, paused: bool, why: str) -> bool:
    """Pause or resume, and record who did it; False: it was so already."""
    by, at = connection.caller, int(connection.now())
    item = {"kind": "switch", "paused": paused, "by": by, "at": at, "why": why}
    turned = "#paused = :other" + (" OR attribute_not_exists(#paused)" if paused else "")
    with connection.telling(f"pausing or resuming {UNCHANGED}"):
        written = connection.operators.update(SWITCH, **setting(item, {":other": not paused}), condition=turned)
    return written is not None


def explain(connection: Connection, why: str) -> None:
    """Write another reason for the pause that is in force; since when and by whom stay."""
    with connection.telling(f"writing the reason {UNCHANGED}"):
        connection.operators.update(SWITCH, **setting({"why": why}, {":yes": True}), condition="paused = :yes")


def said(item: Mapping[str, Any] | None) -> str:
    """Write when, by whom and why promotions were paused; "" if they are not."""
    if item is None:
        return ""
    why = f": {item['why']}" if item.get("why") else ""
    return f"since {moment(item.get('at'))}, by {item.get('by', 'nobody known')}{why}"


def to_json(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the switch's item as JSON data; None if promotions are not paused."""
    if item is None:
        return None
    return {"since": moment(item.get("at")), "by": item.get("by"), "why": item.get("why", "")}
