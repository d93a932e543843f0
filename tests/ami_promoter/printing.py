"""What a person sees on a terminal."""

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType

from ami_promoter.terminal.output import show


def as_printed(lines: Iterable[RenderableType], width: int = 80) -> list[str]:
    out = io.StringIO()
    show(lines, Console(file=out, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]
