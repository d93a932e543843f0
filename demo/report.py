"""What is printed at the end: what arrived, how long it took, and which checks passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from demo.observer import GOOD, Observer
from demo.screen import Glyphs
from demo.table import say_verdict
from demo.verdict import Row, Verdict

STATES = {
    "awaiting-wave": "wave",
    "awaiting-approval": "appro-\nval",
    "requested": "reques-\nted",
    "awaiting-role": "role",
    "awaiting-slot": "slot",
    "opening": "open-\ning",
    "copying": "copy-\ning",
    "registering": "regis-\ntering",
    "verifying": "veri-\nfying",
    "launching": "launch-\ning",
    "publishing": "publi-\nshing",
    "stopping": "stop-\nping",
    "tidying": "tidy-\ning",
}
"""State -> how it is headed in a narrow column."""
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SELDOM = frozenset({"awaiting-wave", "awaiting-approval", "awaiting-role", "launching", "stopping", "tidying"})
"""Shown only if some delivery was in them."""
WIDE = 120
"""Columns of a terminal on which each state is headed by its whole name."""
MOST_PROBLEMS = 10
FIRST = 5
SPREAD = (("shortest", 0.0), ("half of them", 0.5), ("nine in ten", 0.9), ("longest", 1.0))
NEXT = (
    ("make demo-all", "shows every way of sharing"),
    ("make demo-release", "shows what follows: waves, a failed boot, a recall"),
    ("make sandbox", "keeps a hub and targets up; promote an AMI yourself"),
    ("docs/index.md", "lists the guides; docs/guide/deploy.md is the next step"),
)
MOST_ROWS = 15
"""With more targets than this the tables show some of them, and how the others spread."""


def report(observer: Observer, verdict: Verdict, glyphs: Glyphs, width: int) -> RenderableType:
    """Compose the end of the demo, for so many columns."""
    many = len(verdict.rows) > MOST_ROWS
    return Group(
        _arrivals(observer, verdict),
        *([_times(observer, wide=width >= WIDE)] if many else []),
        _summary(observer),
        Text(),
        *_checks(observer, verdict, glyphs),
    )


def print_report(console: Console, observer: Observer, verdict: Verdict, glyphs: Glyphs) -> None:
    """Print the end of the demo, one line that says it all, and what to try next."""
    console.print(report(observer, verdict, glyphs, console.width))
    say_verdict(console, verdict)
    if verdict.good:
        for command, shows in NEXT:
            console.print(Text.assemble((f"  {command:<18}", "bold cyan"), shows))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", border_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _arrivals(observer: Observer, verdict: Verdict) -> Table:
    table = _table("Target", "New AMI, and the target's own key", "Delivered\nafter", "Access\nopen for")
    for column in table.columns[2:]:
        column.justify = "right"
    shown = verdict.rows if len(verdict.rows) <= MOST_ROWS else verdict.rows[:FIRST]
    for row in shown:
        keys = [key.rsplit("/", 1)[-1] for key in row.keys]
        table.add_row(
            Text.assemble((row.way.name, "bold"), f"\n{row.way.account}"),
            Text.assemble(
                (", ".join(row.images) or "no AMI", "" if row.images else "red"),
                ("\n" + "\n".join(keys) if keys else "\nno snapshot", "dim" if keys else "red"),
            ),
            _delivered_after(observer, row),
            _open_for(observer, row),
        )
    rest = verdict.rows[len(shown) :]
    if rest:
        arrived = sum(bool(row.images) for row in rest)
        still = sum(bool(row.problems["open"]) for row in rest)
        table.add_row(f"{len(rest)} more", f"{arrived} AMIs", "", f"{still} still open" if still else "all closed")
    return table


def _delivered_after(observer: Observer, row: Row) -> Text:
    delivery = observer.deliveries.get((observer.setting.source(row.way), row.way.place))
    if delivery is None or delivery.state not in GOOD:
        return Text(delivery.state if delivery else "never begun", style="red")
    return Text(_lasted(delivery.entered[-1][1] - observer.setting.began))


def _open_for(observer: Observer, row: Row) -> Text:
    if row.problems["open"]:
        return Text("still open", style="bold red")
    span = observer.access.get(row.way.account)
    return Text(_lasted(span[1] - span[0]) if span else "never", style="green")


def _lasted(span: timedelta) -> str:
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _times(observer: Observer, *, wide: bool) -> Table:
    deliveries = list(observer.deliveries.values())
    visited = {state for one in deliveries for state in one.seconds}
    shown = [state for state in STATES if state not in SELDOM or state in visited]
    table = _table("Seconds\nin state", *(state if wide else STATES[state] for state in shown), "all")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [
        (observer.setting.name(one.place[0]), [*(one.seconds.get(state) for state in shown), one.seconds.total()])
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


def _checks(observer: Observer, verdict: Verdict, glyphs: Glyphs) -> Iterator[Text]:
    for claim, problems in _claims(observer, verdict):
        if not problems:
            yield Text.assemble((f"{glyphs.good} ", "bold green"), claim)
            continue
        yield Text.assemble((f"{glyphs.bad} failed: ", "bold red"), (claim, "bold"))
        for problem in problems[:MOST_PROBLEMS]:
            yield Text(f"    {problem}", style="red")
        if len(problems) > MOST_PROBLEMS:
            yield Text(f"    and {len(problems) - MOST_PROBLEMS} more", style="red")


def _claims(observer: Observer, verdict: Verdict) -> Iterator[tuple[str, list[str]]]:
    """Say what must hold, and what is wrong of it in all targets."""
    count = len(verdict.rows)
    many = WORDS[count] if count < len(WORDS) else str(count)

    def each(promise: str) -> list[str]:
        return [
            f"{row.way.name} ({row.way.account}): {one}"
            for row in verdict.rows
            for one in row.problems.get(promise, ())
        ]

    yield f"delivered to {'the target' if count == 1 else f'all {many} targets'}", each("ended")
    yield "one AMI in each, available, and owned by it", each("image")
    yield "an instance launched from it would run there", each("launches")
    yield "every snapshot encrypted under the target's own key", each("key")
    yield "devices and sizes as in the source", each("devices")
    yield "tags as in the source", each("tags")
    yield "no snapshot left over", each("leftovers")
    yield "in each target only the calls that its mode needs", each("way")
    yield "shares still open: none", [*each("open"), *verdict.whole["shares"]]
    yield "the policy of the source key is unchanged", [*verdict.whole["policy"]]
    yield "no record is parked", [*verdict.whole["parked"]]
    yield "no message in a dead-letter queue", [*verdict.whole["dead letters"]]
    yield "the tag's value was understood", [*verdict.whole["refused"]]
    if observer.setting.crashes:
        yield "every crash that was asked for has happened", [*verdict.whole["crashes"]]


def _summary(observer: Observer) -> Table:
    """Say how long it took, what of it was AWS's copying, and what was injected."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    last = max(observer.deliveries.values(), key=lambda one: one.entered[-1][1], default=None)
    if last is not None:
        took = last.entered[-1][1] - observer.setting.began
        copying = timedelta(seconds=last.seconds["copying"])
        table.add_row("Time", f"{_lasted(took)} from the tag to the last delivery, {_lasted(copying)} of it copying")
    ended = Counter(one.outcome for one in observer.invocations if one.outcome != "ok")
    happened = observer.setting.world.injections.happened
    troubles = [f"{count} {outcome}" for outcome, count in ended.items()]
    troubles += [f"{happened[what]} {what}" for what in ("events lost", "events doubled") if happened[what]]
    if wakes := happened["messages lost"]:
        troubles.append(f"{wakes} wakes lost")
    if troubles:
        table.add_row("Injected", f"{', '.join(troubles)}; the schedule found {found_by_sweep(observer)} steps to do")
    return table


def found_by_sweep(observer: Observer) -> int:
    """Sum the service's own metric for work that the sweep found, as it stands in the logs."""
    return int(sum(_number(metric.get("FoundBySweep", 0)) for one in observer.invocations for metric in one.metrics))


def _number(value: Any) -> float:
    return float(sum(value)) if isinstance(value, list) else float(value)
