"""What a target's administrator can remove of what the service made there, decided from what the target shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ami_promoter.hub.own_copies import OwnSnapshots, StandingCopy

NEWEST = "it is the newest of its family"
NEWEST_ENABLED = "it is the newest of its family that can be launched"
STANDING = "it is not deprecated"
NAMED = "something names it"
NOT_ASKED = "what names it is not known"


@dataclass(frozen=True, slots=True)
class JudgedCopy:
    """A copy with why it stays; "": it can be removed."""

    copy: StandingCopy
    why: str = ""
    named_by: tuple[str, ...] = ()
    """ARNs."""
    snapshots: tuple[str, ...] = ()
    """Those that go with it: the hub's, that no other AMI uses."""
    gib: int = 0


def superseded(copies: Sequence[StandingCopy], now: float) -> tuple[StandingCopy, ...]:
    """Return the copies that are deprecated, and neither the newest of their family nor the newest enabled one.

    Copies of another hub are another family. ``now``: epoch seconds.
    """
    return tuple(one for one in copies if not _stays(one, copies, now))


def judged(
    copies: Sequence[StandingCopy], named_by: Mapping[str, Sequence[str]], snapshots: OwnSnapshots, now: float
) -> tuple[JudgedCopy, ...]:
    """Judge all copies there. ``named_by`` is asked for those that are superseded; without an answer a copy stays."""
    found = []
    for one in copies:
        named = named_by.get(one.image)
        why = _stays(one, copies, now) or (NOT_ASKED if named is None else NAMED if named else "")
        alone = tuple(each for each in one.snapshots if snapshots.used_by.get(each, frozenset()) == {one.image})
        gib = sum(snapshots.gib[each] for each in alone)
        found.append(JudgedCopy(one, why, tuple(named or ()), alone, gib))
    return tuple(found)


def _stays(one: StandingCopy, copies: Iterable[StandingCopy], now: float) -> str:
    family = [other for other in copies if (other.hub, other.family) == (one.hub, one.family)]
    enabled = [other for other in family if other.state == "available"]
    for reason, some in ((NEWEST, family), (NEWEST_ENABLED, enabled)):
        if some and one == max(some, key=lambda other: other.order):
            return reason
    deprecated = one.deprecated_at and datetime.fromisoformat(one.deprecated_at).timestamp() <= now
    return "" if deprecated else STANDING
