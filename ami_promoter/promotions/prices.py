"""Dollars by list price, for ``plan``. What AWS really charges depends on Region, contract and empty blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from chalicelib.engine import codec
from chalicelib.targets.applied_file import Target

ONCE = {
    "transfer": "for the transfer to other Regions",
    "timed": "for time-based copies",
    "launch": "for launch tests",
}
"""What is paid once, by name."""
INSTANCE_ENDS = 300
"""Seconds in which the instance of a launch test ends."""


@cache
def read() -> Mapping[str, Any]:
    """Return the price file: ``region``, ``dated``, and ``prices`` by name."""
    text = files("ami_promoter").joinpath("prices.json").read_text(encoding="utf-8")
    found: Mapping[str, Any] = codec.parsed_json(text)
    return found


def usd(name: str) -> float:
    """Return one price."""
    return float(read()["prices"][name]["usd"])


def of_target(target: Target, gib: int, hub_region: str) -> dict[str, float]:
    """Return what the copies for a target cost at most: by the month, and once. ``gib``: as if every block were full.

    By way of the hub, the copy stays within its Region; the hub's own copy there pays the transfer.
    """
    elsewhere = target.region != hub_region and not target.by_way_of
    return {
        "storage": round(gib * usd("snapshot_gb_month"), 4),
        "transfer": round(gib * usd("transfer_gb"), 4) if elsewhere else 0.0,
        "timed": round(gib * usd("timed_copy_gb"), 4) if target.complete_within else 0.0,
    }


def of_launch(target: Target) -> dict[str, float]:
    """Return what a target's launch test costs at most, once; nothing where it has none, or the price is not known.

    For as long as the instance may take, and a few minutes in which it ends.
    """
    test = target.launch_test
    if test is None or f"instance_hour_{test.instance_type}" not in read()["prices"]:
        return {}
    hours = (test.within + INSTANCE_ENDS) / 3600
    return {"launch": round(hours * usd(f"instance_hour_{test.instance_type}"), 4)}


def lines(targets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the total cost; nothing if nothing is copied."""
    total = {name: sum(one["dollars"].get(name, 0.0) for one in targets) for name in ("storage", *ONCE)}
    begun = sum(bool(one["calls"]) for one in targets)
    if not begun:
        return
    once = [f"{dollars(total[name])} once {what}" for name, what in ONCE.items() if total[name]]
    unknown = any("RunInstances" in one["calls"] and "launch" not in one["dollars"] for one in targets)
    parts = ", ".join((f"{dollars(total['storage'])} a month for snapshots in the targets", *once))
    own = f"the service's own calls cost about {dollars(begun * float(read()['service']['usd']))}"
    yield f"By the list prices of {read()['region']}, {read()['dated']}: at most {parts}; {own}."
    if unknown:
        yield "Launch tests cost the price of their instance for some minutes; this file has none for that type."


def dollars(value: float) -> str:
    """Write dollars with cents; less than that in tenths of cents."""
    return f"${value:,.2f}" if value >= 0.01 or not value else f"${value:.4f}"
