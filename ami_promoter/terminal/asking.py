"""Asks before a command changes what others rely on."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import RenderableType

from ami_promoter.terminal.output import console, show
from chalicelib.engine.faults import Fault


def refused(verb: str, question: str, lines: Sequence[RenderableType], *, as_json: bool) -> Fault | None:
    """Show what will happen, and ask; None: the answer is yes. Without a terminal nobody can be asked."""
    if as_json or not sys.stdin.isatty():
        return Fault("not-confirmed", verb, f"{question} Nobody can be asked here.", "To confirm, add --yes.")
    show(lines, console())
    return None if click.confirm(question) else Fault("not-confirmed", verb, "Nothing was changed.", "")
