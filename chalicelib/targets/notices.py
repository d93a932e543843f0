"""The notice of a new version of the applied file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.engine.notices import MAX_LISTED, NoticeKind
from chalicelib.targets.difference import Difference, Loosened

APPLIED = NoticeKind(
    "targets.applied", {"applied": "is applied", "loosened": "is applied, and asks for less than before"}
)
"""The service has read a new version of the applied file, by its next look within five minutes. ``loosened``: an
approval or a limit is less strict than before, or nobody can compare it; then an alarm follows.
"""
MAX_SETTING = 200
"""Characters of a setting's value."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A version of the applied file that is new to the service, and the one before, by their names.

    ``difference``: None where one of the two cannot be read any more. ``by``: an ARN that the version itself claims.
    """

    before: str
    after: str
    by: str
    applied_at: str
    difference: Difference | None
    loosened: Sequence[Loosened] = ()

    @property
    def alarming(self) -> bool:
        """Whether it asks for less than before, or nobody can say what it changes."""
        return bool(self.loosened) or self.difference is None


def applied(hub: str, region: str, change: FileChange, now: int) -> dict[str, Any]:
    """Build the notice of a new version of the applied file."""
    found = change.difference or Difference()
    groups = sorted({*found.groups_added, *found.groups_removed, *found.groups_changed})
    changed = [*found.changed.values(), *found.by_unit.values()]
    lists: dict[str, list[Any]] = {
        "added": ["/".join(place)[:MAX_SETTING] for place in found.added],
        "removed": ["/".join(place)[:MAX_SETTING] for place in found.removed],
        "changed": ["/".join(place)[:MAX_SETTING] for place in (*found.changed, *found.by_unit)],
        "changed_groups": groups,
        "settings": sorted({*(name for settings in changed for name in settings), *found.organization}),
        "loosened": [{name: value[:MAX_SETTING] for name, value in one._asdict().items()} for one in change.loosened],
    }
    cause = (change.before, change.after, change.applied_at)
    unlisted = sum(max(len(values) - MAX_LISTED, 0) for values in lists.values())
    return {
        **APPLIED.head(now, hub, region, cause=cause, outcome="loosened" if change.alarming else "applied"),
        "hub": hub,
        "region": region,
        "version": change.after,
        "before": change.before,
        "applied_at": change.applied_at,
        "applied_by": change.by,
        "claimed": True,
        "compared": change.difference is not None,
        **{name: values[:MAX_LISTED] for name, values in lists.items()},
        "unlisted": unlisted,
        "why": _why(change),
    }


def _why(change: FileChange) -> str:
    if change.difference is None:
        return "The version before, or this one, was deleted or changed, so nobody can say what it changes."
    if change.loosened:
        return "An approval or a limit is less strict than before: a person must look at it."
    return "A new version of the targets file is in force."
