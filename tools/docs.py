"""Write what is generated of ``docs/``, ``deploy/`` and ``awsim/``, or check that it is fresh.

    python -m tools.docs [--check]

Exits with status 1 if a page is not what the code says; nothing is written then. What takes a run in the simulator is
checked by a test of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from awsim import rules_page
from tools import (
    calls,
    cli_docs,
    code_tables,
    events,
    fault_texts,
    forms,
    permissions,
    shelves,
    stackset,
    state_machine,
    templates_docs,
    what_is_copied,
)
from tools.image_members import MEMBERS

ROOT = Path(__file__).resolve().parent.parent

TABLE = "<!-- `make docs` writes this table from {}. -->"
"""Before a table that is only a part of its page."""
END = "<!-- The end of the table. -->"
TABLES = f"(?s)<!-- `make docs` writes this table [^\n]*?-->.*?{END}"
"""Such a table, as a regular expression."""


def _with_tables(name: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its tables as the code has them; each has the name of its source."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for source, rows in tables.items():
        before, mark, rest = text.partition(TABLE.format(source))
        text = f"{before}{mark}\n\n{rows()}\n\n{END}{rest.partition(END)[2]}"
    return text


DECISIONS = """\
# Decisions

For maintainers: what was decided and why, and which alternatives were rejected; code and tests cite the numbers.
This page is generated from the decisions' titles (`make docs`).

## Decisions

"""


def _decisions() -> str:
    """List the decisions by their titles."""
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    titles = (page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for page in pages)
    return DECISIONS + "".join(f"- [{title}]({page.name})\n" for title, page in zip(titles, pages, strict=True))


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/decisions/index.md": _decisions,
    "awsim/docs/rules.md": rules_page.page,
    "docs/reference/events.md": events.page,
    "docs/reference/permissions.md": permissions.page,
    "deploy/target-stackset.yaml": stackset.page,
    "docs/reference/parameters.md": templates_docs.page,
    "docs/reference/state-machines.md": state_machine.page,
    "docs/reference/what-is-copied.md": lambda: what_is_copied.page(MEMBERS),
    "docs/reference/cli.md": cli_docs.page,
    "tests/contracts/forms.json": forms.page,
    "docs/reference/json.md": cli_docs.json_page,
    **cli_docs.policies(),
}
"""A file's path and what makes its whole text."""
PARTS: Mapping[str, Callable[[], str]] = {
    "docs/reference/faults.md": lambda: fault_texts.page(END),
    "deploy/chat.yaml": events.chat,
    **{
        name: partial(_with_tables, name, tables)
        for name, tables in {
            "docs/index.md": shelves.tables({*PAGES, "docs/reference/calls.md"}),
            "docs/reference/settings.md": {"targets.schema.json": code_tables.settings},
            "docs/reference/records.md": {"chalicelib/promotion/model.py": code_tables.promotion_members},
            "docs/reference/telemetry.md": {"chalicelib/engine/ports.py": code_tables.log_messages},
            "docs/explanation/invariants.md": {"tests/invariants.py": code_tables.invariants},
        }.items()
    },
}
"""Pages of which only a part is generated."""
RUN: Mapping[str, Callable[[], str]] = {"docs/reference/calls.md": calls.page}
"""Pages that take a run of what `make package` has built; tests/scenarios/test_calls.py checks them."""


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them; return the exit status."""
    check = "--check" in arguments
    texts = {name: text() for name, text in ({**PAGES, **PARTS} if check else {**PAGES, **PARTS, **RUN}).items()}
    stale = [name for name, text in texts.items() if _read(ROOT / name) != text]
    if check:
        for name in stale:
            print(f"{name} is not what the code says now: run `make docs` and commit the result.", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(texts[name], encoding="utf-8")
        print(f"{name} written")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
