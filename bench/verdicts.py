"""Which of the goals hold, computed from what was measured, and what prevents the goal of the others."""

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
DISCOVERY, POLL, STEPS = 5 * 60, 15 * 60, 5
"""Seconds between looks for tags, and at a long copy; steps beside: promotion, slots, opening, registering, comparing."""
LEAST_RATIO = 1.3
MEMORY_MB, SECONDS = 256.0, 30.0


def section(results: Results) -> str:
    """Return the section on the goals, in Markdown."""
    rows = [(goal, "yes" if holds else "**no**", why) for goal, holds, why in _verdicts(results)]
    return "## Goals, and which hold\n\n" + table(
        ("goal", "holds", "measured, and what prevents the goal"), rows
    ).replace("---:|---:|\n", "---|---|\n", 1)


def _verdicts(results: Results) -> Iterator[tuple[str, bool, str]]:
    yield from _times(results)
    yield from _functions(results)
    yield from _calls(results)
    yield from _starts(results)
    yield from _money(results)


def _times(results: Results) -> Iterator[tuple[str, bool, str]]:
    usual = [case for case in dict.fromkeys(matrix.TIMED) if case.events and not case.late_keys]
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
            f"Not run as a whole. The last copy begins {most:.0f} s after the tag, if the time grows further as it does from 100 to 200 targets: "
            "the promotion writes one delivery after another, two calls each, and `worker` works on "
            f"{CONCURRENCY['worker']} of them at once (`MaximumConcurrency`)."
        ),
    )
    swept = {case: results.of(case).seconds - results.of(case).bound for case in matrix.SWEPT}
    yield (
        "With every event lost, one poll interval more for each step",
        max(swept.values()) <= DISCOVERY + POLL + STEPS * 120,
        (
            f"{', '.join(f'{value / 60:.0f} minutes more for {case.deliveries}' for case, value in swept.items())}: "
            "up to 5 minutes until discovery finds the tag, up to 15 until the look at the copy, and one or two minutes for each other step."
        ),
    )


def thousand(results: Results) -> tuple[float, float]:
    """Return the seconds until the last of 1,000 targets' copies begins, extrapolated from 100 and 200; and the bound."""
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
    points = {targets: point["invocations"] / targets for targets, point in results.curve.items() if targets >= 100}
    memory = max(points.values()) / min(points.values()) - 1
    colds = {case.deliveries: results.of(case).cold for case in matrix.SIZES}
    yield (
        "Flat, within 10 %, from 10 to 1,000 targets",
        max(spread, memory) <= FLAT,
        (
            f"{', '.join(f'{value:.1f} s at {targets}' for targets, value in each.items())}; in memory 1,000 take {100 * memory:.1f} % fewer invocations than 100. "
            f"The time never rises with the number of targets. At 10 it is higher, because {colds[10]} environments start for 10 deliveries, {colds[100]} for 100: an environment runs one record at a time, and all deliveries start at once. "
            "With more deliveries, more of them also share a look after closing."
        ),
    )


def _calls(results: Results) -> Iterator[tuple[str, bool, str]]:
    measured = [results.of(case) for case in dict.fromkeys((*matrix.SIZES, *matrix.TOGETHER, *matrix.VOLUMES))]
    worst = max(measured, key=above_least)
    polls = sum(results.of(Case(100)).scheduled_calls.values()) / 100
    yield (
        "AWS calls at most 1.3 times the least",
        max(above_least(one, apart=True) for one in measured) <= LEAST_RATIO,
        (
            f"At most {max(above_least(one, apart=True) for one in measured):.2f}, if each share closes when its own copy ends, because no share stays open for another one (invariant 1). "
            f"If all copies ended at the same time and one call closed them, the least would be smaller: {above_least(worst):.2f} of it for {worst.case}. "
            "Calls above the least: each execution environment assumes the role for itself; "
            "the share worker asks EC2 for the tag right before each opening (decision 15). "
            f"This does not count polls of long copies: {polls:.0f} more for each delivery at 100 targets, needed only if an event is lost."
        ),
    )
    points = [
        (case.deliveries, results.of(case).sharing, results.of(case).least["ModifySnapshotAttribute"])
        for case in matrix.TOGETHER
    ]
    points += [(t, p["sharing"], 4 * -(-t // 500)) for t, p in sorted(results.curve.items()) if t > 200]
    yield (
        "Calls that open and close shares grow with targets / 500, if deliveries run at the same time",
        all(made <= 2 * least for _, made, least in points),
        ", ".join(f"{made} for {targets:,} (least {least})" for targets, made, least in points) + ".",
    )
    writes = [sum(results.of(case).writes.values()) / case.deliveries for case in matrix.SIZES]
    reads = [sum(results.of(case).reads.values()) / case.deliveries for case in matrix.SIZES]
    flat = max(max(units[1:]) / min(units[1:]) for units in (writes, reads)) - 1 <= FLAT
    yield (
        "DynamoDB units for each delivery constant, and reduced",
        flat,
        (
            f"At {', '.join(str(case.deliveries) for case in matrix.SIZES)} targets {_numbers(writes)} write units and {_numbers(reads)} read units. "
            "With one target, that delivery also carries the units of the promotion. At each wake the share worker reads all open shares of its snapshot; its messages are collected for 5 s, so that is at most twelve times a minute for any number of targets. "
            "Reduced: it was 495 write units at 10 targets and 466 at 100. A record leaves out default values and contains its latest history, which replaces a transaction ([decision 27](../decisions/0027-history-on-its-record.md)); "
            "the service creates and wakes a new delivery with two writes, and reads the deliveries that wait for a share together."
        ),
    )


def _starts(results: Results) -> Iterator[tuple[str, bool, str]]:
    starts = results.cold.values()
    above = {name: one["compiled"] for name, one in results.cold.items() if one["compiled"] > MOST}
    why = (
        f"{min(one['ratio'] for one in starts):.2f} to {max(one['ratio'] for one in starts):.2f} of boto3 as pip installs it, "
        f"because this package is compiled; not compiled it would be {min(one['before'] for one in starts):.2f} to {max(one['before'] for one in starts):.2f}. "
    )
    if above:
        why += (
            f"Above {MOST}, if boto3 were compiled, too: {', '.join(f'`{name}` {ratio:.2f}' for name, ratio in above.items())}. "
            "Half of the difference is 140 dataclasses, whose methods Python writes and compiles at each start."
        )
    yield f"Cold start at most {MOST} times boto3 with one client", not above, why
    imports = max(float(one["megabytes"]) for one in results.cold.values())
    megabytes = max(float(one[0]) for one in results.worst.values()) + imports
    seconds = max(float(one[1]) for one in results.worst.values())
    yield (
        "No function above 256 MB or 30 s with 1,000 targets in four Regions and 20 snapshots",
        megabytes <= MEMORY_MB and seconds <= SECONDS,
        f"At most {megabytes:.0f} MB, of which {imports:.0f} MB are the process with its imports, and {seconds:.0f} s.",
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


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _words(cases: Iterable[Case]) -> str:
    return "; ".join(map(str, cases))
