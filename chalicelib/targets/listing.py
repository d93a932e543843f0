"""Reads an organization in steps: lists show direct children only, in pages of 20, and a run has half a minute.

A *branch* is a parent (an OU or the root) whose accounts and OUs are listed, page after page. The crawl holds what has
been read and what is left, so that the next run continues there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from chalicelib.engine.faults import Fault

What = Literal["accounts", "units"]
ACTIVE = "ACTIVE"
DEEPEST = 10
"""OUs nest five deep below the root [aws-facts 7]; deeper than this is a mistake of the service's, or of AWS's."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: (account, state) or (unit, ARN) pairs, and the token of the next; an empty page may have one."""

    found: tuple[tuple[str, str], ...] = ()
    token: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """How far one parent has been read."""

    step: Literal["accounts", "units", "done"] = "accounts"
    token: str = ""
    accounts: tuple[str, ...] = ()
    """Its accounts that are ACTIVE."""
    units: tuple[str, ...] = ()
    trouble: Fault | None = None
    """Why it could not be read; then the accounts of every unit that contains it are not known."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to ask next."""

    parent: str
    what: What
    token: str


@dataclass(frozen=True, slots=True)
class Crawl:
    """One reading of all units that the file names. ``roots``: each of those -> the parents where it begins."""

    begun_at: int
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    arns: Mapping[str, str] = field(default_factory=dict)
    branches: Mapping[str, Branch] = field(default_factory=dict)
    troubles: Mapping[str, Fault] = field(default_factory=dict)
    """Units for which the crawl could not begin."""

    def begin(self, unit: str, arn: str, parents: Iterable[str]) -> Crawl:
        """Add a unit to be read."""
        parents = tuple(parents)
        fresh = {parent: Branch() for parent in parents if parent not in self.branches}
        return replace(
            self,
            roots={**self.roots, unit: parents},
            arns={**self.arns, unit: arn},
            branches={**self.branches, **fresh},
        )

    def cannot(self, unit: str, trouble: Fault) -> Crawl:
        """Store that a unit cannot be read at all."""
        return replace(self, troubles={**self.troubles, unit: trouble})

    def next(self) -> Step | None:
        """Return what to ask next; None when all is read."""
        for parent, branch in self.branches.items():
            if branch.step != "done":
                return Step(parent, branch.step, branch.token)
        return None

    def read(self, step: Step, page: Page) -> Crawl:
        """Add a page."""
        branch = self.branches[step.parent]
        if step.what == "accounts":
            active = tuple(account for account, state in page.found if state == ACTIVE)
            after = replace(branch, accounts=(*branch.accounts, *active), token=page.token)
            after = after if page.token else replace(after, step="units")
        else:
            after = replace(branch, units=(*branch.units, *(unit for unit, _ in page.found)), token=page.token)
            after = after if page.token else replace(after, step="done")
        fresh = {unit: Branch() for unit in after.units if unit not in self.branches}
        return replace(self, branches={**self.branches, step.parent: after, **fresh})

    def failed(self, step: Step, trouble: Fault) -> Crawl:
        """Store that a parent cannot be read."""
        branch = replace(self.branches[step.parent], step="done", token="", trouble=trouble)
        return replace(self, branches={**self.branches, step.parent: branch})

    def listing(self, unit: str) -> frozenset[str] | Fault:
        """Return all ACTIVE accounts of a unit, when all is read; or why it is not known."""
        if unit in self.troubles:
            return self.troubles[unit]
        branches = list(self._below(self.roots[unit]))
        troubles = [branch.trouble for branch in branches if branch.trouble is not None]
        if troubles:
            return troubles[0]
        return frozenset(account for branch in branches for account in branch.accounts)

    def _below(self, parents: Iterable[str], depth: int = 0) -> Iterator[Branch]:
        for parent in parents if depth < DEEPEST else ():
            yield self.branches[parent]
            yield from self._below(self.branches[parent].units, depth + 1)
