"""Which copies of a family in a target are superseded, and when they are to be deprecated. Pure.

A superseded copy stays eligible for a rollback: a deprecated AMI can be launched by its id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.release.current import MOST, Release
from chalicelib.targets.applied_file import Retirement

SLACK = 300
"""Seconds by which a date may be later than was asked for: EC2 rounds it, and a call takes its time."""


@dataclass(frozen=True, slots=True)
class OwnDate:
    """A deprecation date that the service has written on a superseded copy, or was about to write."""

    at: int
    """The date, in epoch seconds."""
    before: str = ""
    """The date that EC2 showed before; "": none."""

    def is_shown(self, date: str) -> bool:
        """Whether EC2 shows this date, and not one that somebody has written since. ``date``: as EC2 writes it."""
        return bool(date) and abs(datetime.fromisoformat(date).timestamp() - self.at) <= SLACK

    def may_show(self, date: str) -> bool:
        """Whether EC2 shows this date, or may show it yet: a read may be some minutes old, or nothing was written."""
        return self.is_shown(date) or date == self.before

    def is_in_the_way(self, now: int) -> bool:
        """Whether the copy would not be deprecated without it."""
        return not self.before or datetime.fromisoformat(self.before).timestamp() > now + SLACK


def to_deprecate(
    releases: Sequence[Release], usable: Collection[str], kept: Collection[str], rule: Retirement, now: int
) -> dict[str, int]:
    """Return from when each superseded copy is to be deprecated (epoch seconds), by its AMI.

    ``releases`` are those that are remembered, oldest first; ``usable``: AMIs that the target shows available and
    nobody has recalled; ``kept``: the current AMI, and the pinned one.
    The oldest in a full memory is forgotten with the next release, so it gets its date ahead of time.
    """
    standing = [one for one in releases if one.image in usable]
    forgotten_next = set(releases[: max(0, len(releases) - MOST + 1)])
    found: dict[str, int] = {}
    for one in standing[: -rule.keep]:
        if one.shared or one.image in kept or not one.made_at:
            continue
        old_at = int(datetime.fromisoformat(one.made_at).timestamp()) + rule.after
        if old_at <= now or one in forgotten_next:
            found[one.image] = max(old_at, now)
    return found


def is_deprecated(shown: Mapping[str, str], image: str, at: int) -> bool:
    """Whether EC2 shows a date that is no later than the wanted one. ``shown``: AMI -> its date, as EC2 writes it."""
    date = shown.get(image, "")
    return bool(date) and datetime.fromisoformat(date).timestamp() <= at + SLACK
