"""The tables of docs/index.md: each page's title, and the first sentence, in which the page says what it is for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from tools.code_tables import table

ROOT = Path(__file__).resolve().parent.parent
USERS = """
    guide/try-it guide/deploy guide/deploy-production guide/targets-file guide/choose-a-mode guide/pipelines
    guide/consume guide/releases guide/approve guide/notices guide/migrate operations/runbook operations/reconcile
    operations/report operations/upgrade operations/leave
"""
LOOKED_UP = """
    reference/glossary reference/cli reference/json guide/deploy-organization guide/deploy-regions
    guide/deploy-guardrails guide/deploy-data-key guide/deploy-terraform reference/settings reference/faults
    operations/outcomes reference/events reference/parameters reference/telemetry reference/what-is-copied
    reference/cost reference/benchmarks
"""
REVIEWERS = """
    explanation/why explanation/security reference/permissions operations/access-monitor explanation/assumptions
    explanation/how-it-works explanation/invariants explanation/reliability reference/state-machines reference/records
    reference/calls explanation/second-opinion explanation/dependencies decisions/index ../awsim/docs/aws-facts
    ../CONTRIBUTING ../awsim/README ../awsim/docs/rules ../tests/README ../CHANGELOG ../SECURITY
"""
SHELVES: Mapping[str, str] = {"for users": USERS, "to look up": LOOKED_UP, "for reviewers": REVIEWERS}
"""Which pages -> their paths, from docs/."""
BENCH = {"docs/reference/cost.md", "docs/reference/benchmarks.md"}
OTHERWISE = {
    "reference/cli": "Every verb: options, exit statuses, rights",
    "reference/cost": "Dollars for a delivery, an idle month, a busy one, by list price",
    "reference/state-machines": "States, events and transitions",
    "../awsim/docs/aws-facts": "What AWS documents about the calls used here, with sources",
}
"""For pages that begin in another way."""
ORIGIN = re.compile(r"\*?This page is generated from [^:]*$|\*?This page is generated from [^:]*: ")
"""No purpose of a page."""


def tables(generated: Collection[str]) -> Mapping[str, Callable[[], str]]:
    """Return for each shelf what makes its table; ``generated`` are the paths of pages that the code writes."""
    return {f"the pages {which}": partial(_rows, shelf.split(), generated) for which, shelf in SHELVES.items()}


def _rows(pages: Collection[str], generated: Collection[str]) -> str:
    rows = []
    for page in pages:
        path = os.path.normpath(f"docs/{page}.md")
        title, purpose = _said((ROOT / path).read_text(encoding="utf-8"))
        by = " (*generated* by `make bench`)" if path in BENCH else " (*generated*)" if path in generated else ""
        rows.append((f"[{title}]({page}.md)", OTHERWISE.get(page, purpose) + by))
    return table(("page", "what it is for"), *rows)


def _said(text: str) -> tuple[str, str]:
    """Return a page's title and its first sentence, without links."""
    lines = [ORIGIN.sub("", line) for line in re.sub("(?s)<!--.*?-->", "", text).splitlines()]
    lines = [line for line in lines if line.strip()]
    sentence = re.split(r"(?<=[.:?]) *$|(?<=\.) (?=[A-Z`])", lines[1])[0]
    return lines[0].removeprefix("# "), re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", sentence).rstrip(".:")
