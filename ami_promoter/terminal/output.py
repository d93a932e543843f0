"""Prints a report: for a person by rich, for a program as JSON.

Other people write names, tag values and AWS's messages. So their control characters (and those that change the
direction of writing) are shown as escapes: nobody can move the cursor or forge a line. rich reads NO_COLOR and COLUMNS.
If the output is no terminal, lines are not folded.
"""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ami_promoter.terminal.account_names import COMMAND, NAMED, with_names
from ami_promoter.terminal.report import Exit, Report
from chalicelib.delivery.outcomes import OUTCOMES
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import last_part

PROGRAM = "ami-promoter"
FILE = re.compile(r"(?<![\w/])(?:deploy|docs)/[\w./-]+\.(?:json|md|yaml)")
"""A file of the repository, in a message."""
UNFOLDED = 10_000
"""Columns if the output is no terminal, or says that it has none."""
GAP = 2
"""Columns between those of a table."""
_COMMAND = re.compile(COMMAND)
_GLUE = "\0"
"""Instead of the spaces of a command while a line is folded; ``printable`` leaves none."""
AN_ID, FOLDED = len("  snap-0123456789abcdef0"), 12
"""Words up to this length, indented or not, and ARNs stay whole in a column that folds; a longer one, such as a tag's
value, has this room at least."""
BAR, LONGEST_BAR, BESIDE_BAR = 10, 30, 65
"""Columns of a bar, at least and at most; columns of a table beside it."""
SHORT = 8
"""Digits of a short id."""
EVERY = 5
"""Seconds between two lines about a progress."""
COLORS = {
    **{state: "green" if one.there else "red" if one.in_wave else "yellow" for state, one in OUTCOMES.items()},
    "completed": "green",
    "refused": "red",
    "error": "red",
    "recalling": "yellow",
    "awaiting-wave": "yellow",
    "awaiting-approval": "yellow",
    "awaiting-slot": "yellow",
    "copying": "cyan",
    "pending": "cyan",
}


def _pages() -> str:
    """Return where the repository's files can be read; "" in a checkout, which has them."""
    if (Path(__file__).parents[2] / "deploy").is_dir():
        return ""
    urls = dict(one.split(", ", 1) for one in metadata(PROGRAM).get_all("Project-URL") or ())
    return f"{urls['Repository']}/blob/main/" if "Repository" in urls else ""


PAGES = _pages()
"""The address that the repository's files begin with, for messages; "" in a checkout."""


def console(stream: TextIO | None = None) -> Console:
    """Make a console for standard output, or another stream."""
    out = sys.stdout if stream is None else stream
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")  # a terminal that cannot write a character shows "?"
    made = Console(file=out, highlight=False, markup=False, emoji=False)
    if not made.width or (not made.is_terminal and "COLUMNS" not in os.environ):
        made.width = UNFOLDED
    return made


def printable(text: str) -> str:
    r"""Write invisible characters as escapes: ``\x1b``, ``\n``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def linked(text: str, pages: str = PAGES) -> str:
    """Name files of the repository by address, for a person who has no checkout. ``pages``: see ``PAGES``."""
    return FILE.sub(rf"{pages}\g<0>", text) if pages else text


def cell(text: object, style: str = "") -> Text:
    """Make text that came from elsewhere safe to print, with the names of accounts."""
    return Text(printable(with_names(str(text))), style=style)


class Folded:
    """A line that is folded between words, and indented.

    A long word such as an ARN stays whole, so that it can be copied; so does a command, which the terminal folds
    itself.
    """

    def __init__(self, text: str, by: int = 0, style: str = "", *, lead: str = "", lead_style: str = "") -> None:
        """``lead``: a word before it, in its own style, under which no further line begins."""
        self._text = " " * by + linked(printable(text))
        self._style = style
        self._lead = lead
        self._lead_style = lead_style

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich."""
        indent = self._text[: len(self._text) - len(self._text.lstrip())]
        width = max(options.max_width - len(self._lead), len(indent) + 1)
        text = _COMMAND.sub(lambda found: found[0].replace(" ", _GLUE), printable(with_names(self._text)))
        folded = textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lead = self._lead
        for line in folded or [""]:
            parts = (lead, self._lead_style), (line.replace(_GLUE, " "), self._style)
            yield Text.assemble(*parts, no_wrap=True, overflow="ignore")
            lead = " " * len(self._lead)


class Bar:
    """A bar of progress with its number: longer on a wider terminal, and as clear without color."""

    def __init__(self, percent: int) -> None:
        self._percent = percent

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        """See rich. ``options`` are those of the table."""
        columns = max(BAR, min(LONGEST_BAR, options.max_width - BESIDE_BAR)) + len(" 100%")
        return Measurement(columns, columns)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich."""
        columns = options.max_width - len(" 100%")
        done = columns * self._percent // 100
        full, empty = "#-" if options.ascii_only else "━╌"
        style = "green" if self._percent == 100 else "cyan"
        yield Text.assemble((full * done, style), (empty * (columns - done), "dim"), f" {self._percent:3}%")


class Whole:
    """A line that is never folded, because a program may read it."""

    def __init__(self, text: str) -> None:
        self._text = printable(text)

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        """See rich."""
        yield Text(self._text, no_wrap=True, overflow="ignore")


def state(word: str) -> Text:
    """Color a state's word."""
    return cell(word, COLORS.get(word, ""))


def short(ident: str, *, wide: bool) -> str:
    """Shorten an AWS id, or an ARN to the short form of its last part; ``wide`` leaves it whole."""
    return ident if wide else re.sub(f"^((?:ami-|snap-)?.{{{SHORT}}}).{{5,}}$", r"\1…", last_part(ident))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[RenderableType]],
    *,
    folds: Sequence[str] = (),
    cuts: Sequence[str] = (),
) -> Table:
    """Make a table without lines.

    On a narrow terminal, columns in ``folds``, or with an account's name, are folded, and those in ``cuts`` cut, but no
    heading. Where that does not suffice, the terminal folds the lines, so that each id stays whole.
    """
    made = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for name in head:
        made.add_column(name, no_wrap=name not in (*folds, *cuts), overflow="ellipsis" if name in cuts else "fold")
    for row in rows:
        cells = [cell(one) if isinstance(one, str) else one for one in row]
        made.add_row(*cells)
        for column, one in zip(made.columns, cells, strict=True):
            column.no_wrap = column.no_wrap and not (isinstance(one, Text) and NAMED.search(one.plain))
    for column, name in zip(made.columns, head, strict=True):
        texts = [one for one in column.cells if isinstance(one, Text)]
        own = [one.cell_len for one in texts] if column.no_wrap else []
        if column.overflow == "fold" and not column.no_wrap:
            words = [word for one in texts for word in re.findall(r"^ *\S+|\S+", one.plain)]
            own = [len(word) if len(word) <= AN_ID or "arn:" in word else FOLDED for word in words]
        column.min_width = max([len(name), *own])
    return made


def show(lines: Iterable[RenderableType], to: Console) -> None:
    """Print a report's lines. A table for which a terminal is too narrow is folded by the terminal."""
    for line in lines:
        if isinstance(line, Table):
            least = sum((one.min_width or 1) + GAP for one in line.columns) - GAP
            line.width = least if least > to.width else None
        if isinstance(line, Table) and not to.is_terminal:  # no spaces that fill its last column
            with to.capture() as drawn:
                to.print(line, crop=False)
            to.file.write(re.sub(" +$", "", drawn.get(), flags=re.MULTILINE))
        else:
            to.print(Folded(line) if isinstance(line, str) else line, crop=False)


def tell(line: str) -> None:
    """Print a line about the progress to standard error."""
    show([line], console(sys.stderr))


class Progress:
    """Reports the progress of one reading, at most every five seconds, so that a short one prints nothing."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._notified_at = self._clock()

    def at(self, done: int, of: int | None = None) -> None:
        """So many are done."""
        if self._clock() >= self._notified_at + EVERY:
            self._notified_at = self._clock()
            tell(f"{self._what}: {done:,}{'' if of is None else f' of {of:,}'}.")


def warn(warnings: Iterable[str]) -> None:
    """Print warnings to standard error."""
    show((f"{PROGRAM}: warning: {warning}" for warning in warnings), console(sys.stderr))


def write_json(data: Any) -> None:
    """Print JSON, in ASCII only; at once, so that a full disk is noticed here."""
    print(json.dumps(data, indent=2), flush=True)


def discard_output() -> None:
    """Drop what cannot be written: Python would try it again when it ends, and fail."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def emit(report: Report, *, as_json: bool, reads: bool) -> Exit:
    """Print a report and return its exit status. ``reads``: the verb changes nothing, so a fault need not say so."""
    if report.faults and as_json:
        write_json(failure(report.faults, report.status))
    elif as_json:
        write_json(report.data)
    else:
        show(report.lines, console())
    errors = console(sys.stderr)
    warn(report.warnings)
    if report.faults:
        show((str(fault) for fault in report.faults), errors)
        show([f"{count(len(report.faults), 'fault')}{'' if reads else '; nothing was changed'}."], errors)
    return report.status


def failed(faults: Sequence[Fault], status: Exit, *, as_json: bool) -> Exit:
    """Print why a verb was not carried out: wrong usage, or AWS. For a person first: the output may be a full disk."""
    said = (str(fault) for fault in faults)
    show((one if one.startswith(PROGRAM) else f"{PROGRAM}: {one}" for one in said), console(sys.stderr))
    if as_json:
        write_json(failure(faults, status))
    return status


def failure(faults: Sequence[Fault], status: Exit) -> dict[str, Any]:
    """Return the document that a verb prints with ``--json`` if it could not do its work."""
    return {"faults": [fault.to_json() for fault in faults], "exit_status": int(status)}
