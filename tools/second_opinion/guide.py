"""The commands that docs/guide/deploy.md tells people to type: every code block of the page, in its order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
FENCE = re.compile(r"```(\w*)\s*$")
SHELL = ("", "sh", "bash", "shell", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of commands.

    ``line`` is that of its first command; ``section`` the heading above it; ``not_run`` the reason written on the page
    (``<!-- not run: ... -->`` above the block) why nobody can run it here, empty for all others.
    """

    line: int
    section: str
    text: str
    not_run: str

    @property
    def commands(self) -> tuple[str, ...]:
        """Its commands, those written over several lines in one."""
        return tuple(line.strip() for line in re.sub(r"\\\n\s*", "", self.text).splitlines() if line.strip())


def blocks(page: str) -> tuple[Block, ...]:
    """Read the page: shell fences and indented blocks; a fence of another language holds no commands."""
    found: list[Block] = []
    section, reason, start = "", "", 0
    text: list[str] = []
    fence: str | None = None
    for number, line in enumerate([*page.splitlines(), "end"], 1):
        mark = FENCE.match(line)
        indented = fence is None and line.startswith("    ") and line.strip() != ""
        if fence is not None and not mark:
            text.append(line)
            continue
        if indented:
            start = start or number
            text.append(line[4:])
            continue
        if text and (fence is None or fence in SHELL):
            found.append(Block(start, section, "\n".join(text), reason))
            reason = ""
        text, start = [], 0
        if mark:
            fence, start = (mark[1], number + 1) if fence is None else (None, 0)
        if line.startswith("#"):
            section = line.lstrip("# ")
        if reported := NOT_RUN.search(line):
            reason = reported[1]
    return tuple(found)


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """A command with the reader's own values for the page's placeholders; everything else as it stands."""
    for placeholder, value in values.items():
        text = re.sub(rf"(?<![\w/-]){re.escape(placeholder)}(?![\w/-])", value.replace("\\", r"\\"), text)
    return text


def read(root: Path) -> tuple[Block, ...]:
    """The blocks of the guide."""
    return blocks((root / "docs" / "guide" / "deploy.md").read_text(encoding="utf-8"))
