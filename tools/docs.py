"""Write the generated parts of ``docs/``, or check that they are fresh.

    python -m tools.docs [--check]

Exits with status 1 if a page is not what the code says; nothing is written then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from chalicelib.core.image_members import MEMBERS
from tools import events, permissions, state_machine, what_is_copied

DOCS = Path(__file__).resolve().parent.parent / "docs"

PAGES: Mapping[str, Callable[[], str]] = {
    "events.md": events.page,
    "permissions.md": permissions.page,
    "state-machine.md": state_machine.page,
    "what-is-copied.md": lambda: what_is_copied.page(MEMBERS),
}
"""A page's name and what makes its whole text."""


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them; return the exit status."""
    stale = [name for name, text in PAGES.items() if _read(DOCS / name) != text()]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/{name} is not what the code says now: run `make docs` and commit the result.", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/{name} written anew")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
