"""What is printed when it is over: what arrived, how long it took, what it cost, and whether all of it is so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sandbox import stage
from sandbox.demo import bill

if TYPE_CHECKING:
    from sandbox.demo.screen import Glyphs
    from sandbox.demo.story import Story
    from sandbox.demo.verdict import Verdict

STATES = {
    "requested": "reques-\nted",
    "checking": "check-\ning",
    "waiting": "wait-\ning",
    "opening": "open-\ning",
    "copying": "copy-\ning",
    "registering": "regis-\ntering",
    "verifying": "veri-\nfying",
    "publishing": "publi-\nshing",
    "stopping": "stop-\nping",
    "tidying": "tidy-\ning",
}
"""State -> how it is headed in a narrow column."""
SELDOM = frozenset({"checking", "stopping", "tidying"})
"""Shown only if some delivery was in them."""
MOST_FAULTS = 10
FIRST = 5
SPREAD = (("shortest", 0.0), ("half of them", 0.5), ("nine in ten", 0.9), ("longest", 1.0))
MOST_ROWS = 15
"""With more targets than this the tables show some of them, and how the others spread."""


def report(story: Story, verdict: Verdict, glyphs: Glyphs) -> RenderableType:
    """Compose the end of the demo."""
    return Group(
        _arrivals(story, verdict),
        _times(story),
        *_checks(verdict, glyphs),
        Text(),
        *_bill(story),
        _costs(story),
    )


def print_report(console: Console, story: Story, verdict: Verdict, glyphs: Glyphs) -> None:
    """Print the end of the demo, and one line that says it all."""
    console.print(report(story, verdict, glyphs))
    if verdict.good:
        console.print(Text("All of it is so.", style="bold green"))
    else:
        console.print(Text("Not all of it is so: see what is marked above.", style="bold red"))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", border_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _arrivals(story: Story, verdict: Verdict) -> Table:
    table = _table("Target", "New AMI, and the target's own key", "AWS calls", "Shares open")
    for column in table.columns[2:]:
        column.justify = "right"
    calls = _calls_by_account(story)
    shown = verdict.arrivals if len(verdict.arrivals) <= MOST_ROWS else verdict.arrivals[:FIRST]
    for arrival in shown:
        keys = [key.rsplit("/", 1)[-1] for key in arrival.keys]
        open_here = [share for share in verdict.shares if arrival.account in share]
        table.add_row(
            Text.assemble((story.scene.names[arrival.account], "bold"), f"\n{arrival.account}"),
            Text.assemble(
                (arrival.image or "no AMI", "" if arrival.image else "red"),
                ("\n" + "\n".join(keys) if keys else "\nno snapshot", "dim" if keys else "red"),
            ),
            f"{calls[arrival.account]}",
            Text("some", style="bold red") if open_here else Text("none", style="green"),
        )
    rest = verdict.arrivals[len(shown) :]
    if rest:
        arrived = sum(bool(one.images) for one in rest)
        total = sum(calls[one.account] for one in rest)
        still = sum(any(one.account in share for share in verdict.shares) for one in rest)
        table.add_row(f"{len(rest)} more", f"{arrived} AMIs", f"{total:,}", f"{still} some" if still else "none")
    table.add_row(Text.assemble(("hub", "bold"), f"\n{stage.HUB}"), "", f"{calls[stage.HUB]:,}", "")
    return table


def _times(story: Story) -> Table:
    deliveries = [one for one in map(story.deliveries.get, story.scene.targets.values()) if one]
    visited = {state for one in deliveries for state in one.seconds}
    shown = [state for state in STATES if state not in SELDOM or state in visited]
    table = _table("Seconds\nin state", *(STATES[state] for state in shown), "all")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [
        (story.scene.names[one.account], [*(one.seconds.get(state) for state in shown), one.seconds.total()])
        for one in deliveries
    ]
    if len(rows) > MOST_ROWS:
        columns = [
            sorted(cell for cell in column if cell is not None) for column in zip(*(r for _, r in rows), strict=True)
        ]
        rows = [
            (name, [column[round(part * (len(column) - 1))] if column else None for column in columns])
            for name, part in SPREAD
        ]
    for name, cells in rows:
        table.add_row(name, *("" if cell is None else f"{cell:,.0f}" for cell in cells))
    return table


def _checks(verdict: Verdict, glyphs: Glyphs) -> Iterator[Text]:
    for check in verdict.checks:
        if not check.faults:
            yield Text.assemble((f"{glyphs.good} ", "bold green"), check.claim)
            continue
        yield Text.assemble((f"{glyphs.bad} not so: ", "bold red"), (check.claim, "bold"))
        for fault in check.faults[:MOST_FAULTS]:
            yield Text(f"    {fault}", style="red")
        if len(check.faults) > MOST_FAULTS:
            yield Text(f"    and {len(check.faults) - MOST_FAULTS} more", style="red")


def _bill(story: Story) -> Iterator[RenderableType]:
    """Say how many calls were made to services whose rates run short, beside the fewest that it could have been."""
    made = bill.add_up(story.invocations, story.calls)
    fewest = bill.least(len(story.scene.targets), len(story.scene.stage.snapshots))
    if len(story.scene.targets) > MOST_ROWS:
        table = _table("AWS calls", "made", "least\npossible", "polls and\nschedule")
        for column in table.columns[1:]:
            column.justify = "right"
        for name in sorted({*made.calls, *made.scheduled_calls, *fewest}):
            table.add_row(name, *(f"{part[name]:,}" for part in (made.calls, fewest, made.scheduled_calls)))
        totals = (f"{part.total():,}" for part in (made.calls, fewest, made.scheduled_calls))
        table.add_row("all", *totals, style="bold")
        yield table
    yield Text.assemble(
        ("EC2, KMS, STS, SNS, EventBridge: ", "bold"),
        f"{made.calls.total():,} calls; least possible {fewest.total():,}; "
        f"polls and schedule {made.scheduled_calls.total():,}",
    )


def _costs(story: Story) -> Table:
    world = story.scene.world
    ran = Counter(one.function.rsplit(f"{stage.REGION}-", 1)[-1] for one in story.invocations)
    ended = Counter(one.outcome for one in story.invocations if one.outcome != "ok")
    troubles = "".join(f"; {count} {outcome}" for outcome, count in ended.items())
    lost, doubled, wakes = (
        world.injections.happened[what] for what in ("events lost", "events doubled", "messages lost")
    )
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_row("Invocations", f"{_counted(ran)}{troubles}")
    table.add_row("AWS calls", _counted(Counter(call.service for call in story.calls)))
    table.add_row("Events", f"{lost} lost, {doubled} doubled; {wakes} wakes lost")
    table.add_row("By the sweep", f"{found_by_sweep(story)} steps found that no event or ring had told of")
    return table


def _counted(parts: Counter[str]) -> str:
    return f"{parts.total():,}: {', '.join(f'{name} {count:,}' for name, count in parts.most_common())}"


def found_by_sweep(story: Story) -> int:
    """Sum the service's own metric for work that the sweep found, as it stands in the logs."""
    return int(sum(_number(metric.get("FoundBySweep", 0)) for one in story.invocations for metric in one.metrics))


def _number(value: Any) -> float:
    return float(sum(value)) if isinstance(value, list) else float(value)


def _calls_by_account(story: Story) -> Counter[str]:
    return Counter(call.caller.account for call in story.calls)
