"""Which AMI of a family is current in a target. Pure: it follows from what was delivered and what the target shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from chalicelib.targets.recalls import Pin

MOST = 50
"""Most releases of a family that are remembered in a target: the newest ones by the source's creation date."""


@dataclass(frozen=True, slots=True)
class Release:
    """An AMI of the family that was delivered or shared there."""

    source: str
    """The hub's AMI."""
    made_at: str
    """The source's creation date, as EC2 writes it (ISO 8601, UTC), which sorts by time."""
    image: str
    """The AMI to launch there: the target's own copy, or in share mode the source."""
    architecture: str = ""
    delivery: str = ""
    episode: int = 0
    """The delivery's episode that named it here last."""

    @property
    def shared(self) -> bool:
        """Whether the target launches the hub's own AMI."""
        return self.image == self.source

    @property
    def order(self) -> tuple[str, str]:
        """Sorts by the source's creation date; the id decides between two of one moment."""
        return self.made_at, self.source


def current(
    releases: Iterable[Release], available: Collection[str], recalled: Collection[str] = (), pin: Pin | None = None
) -> Release | None:
    """Return the newest release that is available there, not recalled, and not newer than a pin; None: there is none.

    ``available``: AMIs that the target shows so; ``recalled``: sources.
    """
    left = (one for one in releases if one.image in available and one.source not in recalled)
    held = (one for one in left if pin is None or one.order <= pin.order)
    return max(held, key=lambda one: one.order, default=None)


def remembered(releases: Sequence[Release], named: str) -> Sequence[Release]:
    """Return the newest releases, and the one whose AMI the parameter names, oldest first."""
    ordered = sorted(releases, key=lambda one: one.order)
    return [one for one in ordered[:-MOST] if one.image == named] + ordered[-MOST:]
