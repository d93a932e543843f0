"""What is printed before and after the acts: who gets the AMI how, and the table of what was promised and holds."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo import stage
from demo.observer import Observer
from demo.screen import fold, glyphs
from demo.setting import Setting
from demo.verdict import Row, Verdict
from demo.ways import UNITS

WIDEST = 100
COLUMNS = ("Way", "Account, Region", "Ended", "Launch", "Key", "Open", "Tags")
OF_THE_AMI = "image key devices leftovers"
"""Promises that share one column."""


def introduce(console: Console, setting: Setting) -> None:
    """Say what stands, and print the settings of each account."""
    mark = (f"{glyphs(console).good} ", "bold green")
    lines = [
        "deployed: build/hub in the hub, deploy/target.yaml in each account and each of its Regions",
        *(["deployed: deploy/organization.yaml in the organization's management account"] if setting.units else []),
        f"built: {', '.join(setting.images)}, encrypted under a key of the hub",
        "ami-promoter targets apply targets.yaml, which says:",
    ]
    for line in lines:
        fold(console, Text.assemble(mark, line), len(mark[0]))
    width = max(len(way.name) for way in setting.ways)
    for way in setting.ways:
        group = f"by its OU; {UNITS[way.group]}".rstrip("; ") if way.group in UNITS else ""
        said = way.settings or group
        row = Text.assemble(f"  {way.account}  ", (f"{way.name:<{width}}  ", "bold"), said)
        fold(console, row, len(row) - len(said))


def print_table(console: Console, observer: Observer, verdict: Verdict) -> None:
    """Print the table, what is wrong, the totals, and one line that says it all."""
    console.print()
    console.print(_table(console, verdict), width=min(console.width, WIDEST))
    bad = glyphs(console).bad
    wrong = [
        f"{row.way.name}, {row.way.region}: {promise}: {problem}"
        for row in verdict.rows
        for promise, found in row.problems.items()
        for problem in found
    ]
    wrong += [f"{what}: {problem}" for what, found in verdict.whole.items() for problem in found]
    for line in wrong:
        console.print(Text.assemble((f"{bad} ", "bold red"), (line, "red")), soft_wrap=True)
    setting = observer.setting
    hours, seconds = divmod(int((setting.world.now - setting.began).total_seconds()), 3600)
    console.print(f"It took {hours} h {seconds // 60:02} min of virtual time.")
    say_verdict(console, verdict)


def say_verdict(console: Console, verdict: Verdict) -> None:
    """Say in one line what came of it."""
    if verdict.good:
        console.print(Text("All checks passed.", style="bold green"))
    else:
        console.print(Text("Some checks failed: see what is marked above.", style="bold red"))


def _table(console: Console, verdict: Verdict) -> Table:
    wide = console.width >= WIDEST
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1 if wide else 0, 0, 0),
        header_style="bold",
        border_style="dim",
    )
    for column in COLUMNS:
        table.add_column(column, no_wrap=column != "Launch")  # where room is short, this one takes two lines
    for row in verdict.rows:
        table.add_row(*_cells(console, row))
    return table


def _cells(console: Console, row: Row) -> list[Text]:
    marks = glyphs(console)
    way = row.way
    where = way.name if way.region == stage.REGION else f"{way.name} {way.region}"

    def cell(promises: str, said: str, otherwise: str) -> Text:
        if any(row.problems.get(promise) for promise in promises.split()):
            return Text(f"{marks.bad} {otherwise}", style="bold red")
        return Text.assemble((f"{marks.good} ", "green"), said)

    return [
        Text(f"{marks.bad} {way.title}", style="bold red") if row.problems["way"] else Text(way.title),
        Text(where, style="bold"),
        cell("ended", row.ended, row.ended),
        cell("launches", "while shared" if way.shares else "yes", "wrong"),
        cell(OF_THE_AMI, "hub's" if way.shares else "own", "wrong"),
        cell("open", "none", f"{len(row.problems['open'])}"),
        Text("-", style="dim") if way.shares else cell("tags", "", ""),
    ]
