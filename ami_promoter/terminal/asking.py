"""Asks before a command changes what others rely on."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import RenderableType

from ami_promoter.terminal.account_names import with_names
from ami_promoter.terminal.output import console, show
from ami_promoter.terminal.report import Report
from chalicelib.engine.faults import Fault


def refused(verb: str, does: str, lines: Sequence[RenderableType], *, as_json: bool) -> Report | None:
    """Show what will happen, and ask; None: the answer is yes. Without a terminal nobody can be asked.

    ``does``: what the command does, in a sentence without its full stop.
    """
    if as_json or not sys.stdin.isatty():
        what = f"{does}. Without a terminal nobody can be asked."
        return Report(tuple(lines), faults=(Fault("not-confirmed", verb, what, "To confirm, add --yes."),))
    show(lines, console())
    if click.confirm(f"{with_names(does)}. Continue?"):
        return None
    return Report(faults=(Fault("not-confirmed", verb, "the answer was no.", "To go on, answer `y`, or add --yes."),))
