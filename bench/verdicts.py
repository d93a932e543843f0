"""Which of the goals hold, computed from what was measured, and what stands in the way of the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench import cost, matrix
from bench.calls_page import above_least
from bench.case import Case
from bench.cold import MOST
from bench.limits import CONCURRENCY, limits
from bench.results import Results, rivals
from bench.table import dollars, table
from bench.time_page import within

FLAT = 0.1
POLL, STEPS = 15 * 60, 5
"""Seconds between looks at a long copy; steps beside it: promotion, slots, opening, registering, comparing."""
LEAST_RATIO = 1.3
MEMORY_MB, SECONDS = 256.0, 30.0
BASE_MB = 90.0
"""What a function holds after its imports, boto3 most of it: an assumption, as it differs between machines."""


def section(results: Results) -> str:
    """Return the section."""
    rows = [(goal, "yes" if holds else "**no**", why) for goal, holds, why in _verdicts(results)]
    return "## Goals, and which hold\n\n" + table(
        ("goal", "holds", "measured, and what stands in the way"), rows
    ).replace("---:|---:|\n", "---|---|\n", 1)


def _verdicts(results: Results) -> Iterator[tuple[str, bool, str]]:
    yield from _times(results)
    yield from _functions(results)
    yield from _calls(results)
    yield from _starts(results)
    yield from _money(results)


def _times(results: Results) -> Iterator[tuple[str, bool, str]]:
    usual = [case for case in dict.fromkeys(matrix.ALL) if case.events and not case.late_keys]
    late = [case for case in usual if not within(results.of(case))]
    worst = max(usual, key=lambda case: results.of(case).seconds - results.of(case).bound)
    above = results.of(worst).seconds - results.of(worst).bound
    why = f"At most {above:.0f} s above the bound ({worst})." + (f" Not within it: {_words(late)}." if late else "")
    yield "Tag to last delivery within 2 % and 60 s of the physical bound, with events: 1 to 200 targets", not late, why
    most, bound = thousand(results)
    yield (
        "The same at 1,000 targets",
        most <= 0.02 * bound + 60,
        (
            f"Not played whole. The last copy begins {most:.0f} s after the tag, if that grows from 100 to 200 targets as it goes on: "
            f"`worker` works on {CONCURRENCY} records at once. That is `MaximumConcurrency`, the brake on the hub's calls; 30 would do."
        ),
    )
    swept = {case: results.of(case).seconds - results.of(case).bound for case in matrix.SWEPT}
    yield (
        "With every event lost, one poll interval a step more",
        max(swept.values()) <= POLL + STEPS * 120,
        (
            f"{', '.join(f'{value / 60:.0f} minutes more for {case.deliveries}' for case, value in swept.items())}: "
            "up to 15 minutes until the look at the copy, one or two minutes for each other step."
        ),
    )


def thousand(results: Results) -> tuple[float, float]:
    """Return the seconds until the last copy of 1,000 begins, as 100 and 200 let expect, and the bound."""
    name = "tag set → first CopySnapshot"
    some, more = (results.of(Case(count)).steps[name][1] for count in (100, 200))
    return more + (more - some) * 8, results.of(Case(200)).bound


def _functions(results: Results) -> Iterator[tuple[str, bool, str]]:
    ratios = {case: rivals(case)[0].functions / results.of(case).billed for case in matrix.SIZES}
    yield (
        "Billed function time at least 100 times less than one function that waits",
        min(ratios.values()) >= 100,
        f"{min(ratios.values()):,.0f} to {max(ratios.values()):,.0f} times less.",
    )
    each = {
        case.deliveries: results.of(case).billed / case.deliveries for case in matrix.SIZES if case.deliveries >= 10
    }
    spread = max(each.values()) / min(each.values()) - 1
    points = {targets: point["invocations"] / targets for targets, point in results.curve.items() if targets >= 10}
    memory = max(points.values()) / min(points.values()) - 1
    yield (
        "Flat, within 10 %, from 10 to 1,000 targets",
        max(spread, memory) <= FLAT,
        (
            f"{', '.join(f'{value:.1f} s at {targets}' for targets, value in each.items())}: it never rises, and falls as cold "
            f"starts are shared by more. Invocations in memory differ by {100 * memory:.0f} % from 10 to 1,000."
        ),
    )


def _calls(results: Results) -> Iterator[tuple[str, bool, str]]:
    ratios = {str(case): above_least(results.of(case)) for case in (*matrix.SIZES, *matrix.TOGETHER)}
    worst = max(ratios, key=lambda name: ratios[name])
    polls = sum(results.of(Case(100)).scheduled_calls.values()) / 100
    yield (
        "AWS calls at most 1.3 times the least",
        ratios[worst] <= LEAST_RATIO,
        (
            f"{min(ratios.values()):.2f} to {ratios[worst]:.2f} ({worst}). Above the least: each execution environment assumes the role "
            "for itself; the share worker asks EC2 for tag and keys right before each opening (decision 15); copies that end apart close apart. "
            f"Polls of long copies are not in it: {polls:.0f} more for each delivery at 100 targets, wanted only if an event is lost."
        ),
    )
    points = [
        (case.deliveries, results.of(case).sharing, results.of(case).least["ModifySnapshotAttribute"])
        for case in matrix.TOGETHER
    ]
    points += [(t, p["sharing"], 4 * -(-t // 500)) for t, p in sorted(results.curve.items()) if t > 200]
    yield (
        "Calls that open and close grow with targets / 500, when deliveries move together",
        all(made <= 2 * least for _, made, least in points),
        ", ".join(f"{made} for {targets:,} (least {least})" for targets, made, least in points) + ".",
    )
    writes = {case.deliveries: sum(results.of(case).writes.values()) / case.deliveries for case in matrix.SIZES}
    large = [value for targets, value in writes.items() if targets >= 10]
    yield (
        "DynamoDB units for each delivery flat",
        max(large) / min(large) - 1 <= FLAT,
        ", ".join(f"{value:.0f} write units at {targets}" for targets, value in writes.items())
        + ". Not cut: a delivery's record is written in one transaction with its history, which doubles its units.",
    )


def _starts(results: Results) -> Iterator[tuple[str, bool, str]]:
    above = {name: one["ratio"] for name, one in results.cold.items() if one["ratio"] > MOST}
    why = "Each function imports what it needs. "
    if above:
        why += (
            f"Above it: {', '.join(f'`{name}` {ratio:.2f}' for name, ratio in above.items())}: half of their time is "
            "some hundred dataclasses, which Python compiles at each start."
        )
    yield f"Cold start at most {MOST} times boto3 with one client", not above, why
    megabytes = max(float(one[0]) for one in results.worst.values()) + BASE_MB
    seconds = max(float(one[1]) for one in results.worst.values())
    yield (
        "No function above 256 MB or 30 s with 1,000 targets in four Regions and 20 snapshots",
        megabytes <= MEMORY_MB and seconds <= SECONDS,
        f"At most {megabytes:.0f} MB, of which {BASE_MB:.0f} are taken for the imports, and {seconds:.0f} s.",
    )


def _money(results: Results) -> Iterator[tuple[str, bool, str]]:
    idle = sum(cost.idle(results.idle).values())
    watched = sum(cost.watching(results.idle, *cost.watchers()).values())
    yield (
        "Idle below one dollar a month, without alarms, dashboard and keys",
        idle < 1,
        f"{dollars(idle)}; watching costs {dollars(watched)} more ([cost](cost.md#idle)).",
    )
    name, count = min(limits(results.of(Case(100))), key=lambda one: one[1])
    yield (
        "The ceiling is known",
        True,
        f"{count:,.0f} promotions of 100 targets a day; first: {name} ([ceiling](#ceiling)).",
    )


def _words(cases: Iterable[Case]) -> str:
    return "; ".join(map(str, cases))
