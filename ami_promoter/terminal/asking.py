"""Asks before a command changes what others rely on."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import RenderableType

from ami_promoter.terminal.account_names import with_names
from ami_promoter.terminal.exits import Exit
from ami_promoter.terminal.output import console, printable, show
from ami_promoter.terminal.report import NotDone
from chalicelib.engine.faults import Fault


def confirm(verb: str, does: str, lines: Sequence[RenderableType], *, as_json: bool) -> None:
    """Show what will happen, and ask; raises NotDone unless the answer is yes. Without a terminal nobody can be asked.

    Both go to standard error, as a person may have sent the output to a file.
    ``does``: what the command does, in a sentence without its full stop.
    """
    if as_json or not (sys.stdin and sys.stdin.isatty()):  # None: the shell has closed it
        what = f"{does}. Without a terminal nobody can be asked."
        raise NotDone(Fault("not-confirmed", verb, what, "To confirm, add --yes."), lines=lines)
    show(lines, console(sys.stderr))
    try:
        agreed = click.confirm(printable(f"{with_names(does)}. Continue?"), err=True)
    except click.Abort:
        click.echo(err=True)
        stopped = Fault("interrupted", verb, "it was stopped at the question.", "")
        raise NotDone(stopped, status=Exit.INTERRUPTED) from None
    if not agreed:
        raise NotDone(Fault("not-confirmed", verb, "the answer was no.", "To go on, answer `y`, or add --yes."))
