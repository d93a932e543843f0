"""What is printed before and after the acts: who gets the AMI how, and the table of what was promised and is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox import stage
from sandbox.demo import screen
from sandbox.demo.ways.cast import UNITS

if TYPE_CHECKING:
    from sandbox.demo.ways.checks import Row, Verdict
    from sandbox.demo.ways.setting import Setting

WIDEST = 100
COLUMNS = ("Way", "Account, Region", "Ended", "Launch", "Key", "Open", "Tags")


def introduce(console: Console, setting: Setting) -> None:
    """Say what stands, and print the settings of each account."""
    mark = (f"{screen.glyphs(console).good} ", "bold green")
    lines = [
        "deployed: build/hub in the hub, deploy/target.yaml in each account and each of its Regions",
        *(["deployed: deploy/organization.yaml in the organisation's management account"] if setting.units else []),
        f"built: {', '.join(setting.images)}, encrypted under a key of the hub",
        "ami-promoter targets apply targets.yaml; in it stands:",
    ]
    for line in lines:
        console.print(Text.assemble(mark, line), soft_wrap=True)
    width = max(len(way.name) for way in setting.ways)
    for way in setting.ways:
        group = f"by its OU; {UNITS[way.group]}".rstrip("; ") if way.group in UNITS else ""
        said = way.settings or group
        console.print(Text.assemble(f"  {way.account}  ", (f"{way.name:<{width}}  ", "bold"), said), soft_wrap=True)


def print_table(console: Console, setting: Setting, verdict: Verdict) -> None:
    """Print the table, what is not so, the totals, and one line that says it all."""
    console.print()
    console.print(_table(console, verdict), width=min(console.width, WIDEST))
    bad = screen.glyphs(console).bad
    faults = [
        f"{row.way.name}, {row.way.region}: {promise}: {fault}"
        for row in verdict.rows
        for promise, found in row.faults.items()
        for fault in found
    ]
    for fault in (*faults, *verdict.faults):
        console.print(Text.assemble((f"{bad} ", "bold red"), (fault, "red")), soft_wrap=True)
    hours, seconds = divmod(int((setting.world.now - setting.began).total_seconds()), 3600)
    console.print(
        f"{verdict.calls:,} AWS calls in {verdict.invocations:,} invocations; "
        f"{hours} h {seconds // 60:02} min of virtual time"
    )
    if verdict.good:
        console.print(Text("All of it is so.", style="bold green"))
    else:
        console.print(Text("Not all of it is so: see what is marked above.", style="bold red"))


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
    marks = screen.glyphs(console)
    way = row.way
    where = way.name if way.region == stage.REGION else f"{way.name} {way.region}"

    def cell(promise: str, said: str, otherwise: str) -> Text:
        if row.faults[promise]:
            return Text(f"{marks.bad} {otherwise}", style="bold red")
        return Text.assemble((f"{marks.good} ", "green"), said)

    return [
        Text(f"{marks.bad} {way.title}", style="bold red") if row.faults["way"] else Text(way.title),
        Text(where, style="bold"),
        cell("ended", row.ended, row.ended),
        cell("launches", "while shared" if way.shares else "yes", "not so"),
        cell("key", "hub's" if way.shares else "own", "not so"),
        cell("open", "none", f"{len(row.faults['open'])}"),
        Text("-", style="dim") if way.shares else cell("tags", "", ""),
    ]
