"""The one table that matters: the service beside four ways that people go today."""

from __future__ import annotations

from collections.abc import Iterator

from bench import cost
from bench.case import Case, counted
from bench.results import Results, rivals
from bench.rivals.promotion import RivalOutcome
from bench.table import rough, rough_duration, table

HEAD = (
    "100 targets",
    "delivered",
    "time to the last",
    "function time each",
    "AWS calls each",
    "dollars each",
    "shares left open",
)


def summary(results: Results, targets: int) -> str:
    """Return the table for so many targets."""
    return table((counted(targets, "target"), *HEAD[1:]), _rows(results, Case(targets)))


def _rows(results: Results, case: Case) -> Iterator[tuple[str, ...]]:
    own = results.of(case)
    yield (
        "**this service**",
        f"{own.delivered}",
        rough_duration(own.seconds),
        f"{rough(own.billed / case.deliveries)} s",
        rough(own.per_delivery),
        f"${rough(sum(cost.delivery(own).values()))}",
        "no",
    )
    for one in rivals(case):
        yield (
            one.name,
            f"{one.delivered}",
            rough_duration(one.seconds) + (" without its limit" if one.delivered < one.targets else ""),
            f"{rough(one.functions / one.targets)} s" if one.functions else "none",
            rough(one.calls / one.targets),
            f"${rough(sum(cost.rival(one, case.volumes).values()))}",
            "yes" if one.left_open else "no",
        )


def named(outcome: RivalOutcome) -> str:
    """Return a rival's name without its letter."""
    return outcome.name.partition(") ")[2]
