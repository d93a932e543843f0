"""The head of a promotion: the facts by which discovery sees whether to wake it, without reading its record.

All heads are in one partition, so that one pass over thousands of tagged AMIs reads a few pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.core.promotion.model import Promotion, PromotionState
from chalicelib.core.records.addresses import digest
from chalicelib.core.sharing.entitlement import launched_by
from chalicelib.core.targets.applied_file import AppliedFile, Resolution, Target


@dataclass(frozen=True, slots=True)
class Head:
    """What a promotion was when it was last written."""

    value: str | None = None
    """The value in force, if it was ever understood."""
    known: tuple[str, ...] = ()
    """Values of the tag that need no look: in force, refused, or being examined."""
    generation: str = ""
    """File and membership by which the value was resolved: "digest/generation"; "": not yet."""
    places: str = ""
    """Digest of the targets in force."""
    moving: bool = False
    """Whether it is not over."""
    standing: bool = False
    """Whether deliveries rest in ``shared``."""
    tagged_at: int = 0
    """The tag was written then or later: what an operator withdrew before counts no longer."""
    refused_by_organization: bool = False
    """Whether its value was refused for what may pass with the next reading of the organization."""
    waits: bool = False
    """Whether it is of the baseline: tagged, and not looked at until a new tag event comes."""


def head(promotion: Promotion) -> Head:
    """Return the head of a promotion."""
    known = (promotion.value, promotion.refused_value, promotion.candidate)
    return Head(
        value=promotion.value if promotion.digest else None,
        known=tuple(sorted({value for value in known if value is not None})),
        generation=f"{promotion.digest}/{promotion.members}" if promotion.digest else "",
        places=promotion.places,
        tagged_at=promotion.tagged_at,
        moving=promotion.state is not PromotionState.OVER,
        standing=promotion.standing,
        waits=promotion.state is PromotionState.OVER and promotion.value is not None and not promotion.digest,
        refused_by_organization=promotion.refused_value is not None and promotion.refused_by_organization,
    )


def places_digest(targets: Iterable[Target]) -> str:
    """Name a set of targets by place, and where an AMI is shared by whom it may be launched."""
    return digest(*sorted(f"{one.place}={launched_by(one) if one.mode == 'share' else ''}" for one in targets))


def behind(head: Head, value: str, applied: AppliedFile, resolution: Resolution) -> bool:
    """Whether a new file or membership moves the targets of a value in force, or lets a refused one pass.

    ``resolution``: what the tag's value means now. A finished copy is moved only by accounts that join: nothing of it
    is open, and what was delivered stays.
    """
    if value != head.value:
        return head.refused_by_organization and resolution.understood
    if head.generation in ("", applied.generation) or not resolution.understood:
        return False
    if places_digest(resolution.targets) == head.places and not resolution.blocked:
        return False
    joins = resolution.back_fill and head.generation.rpartition("/")[2] != applied.generation.rpartition("/")[2]
    return head.moving or head.standing or joins


class Move(StrEnum):
    """What discovery does about one AMI."""

    START = "start"
    """Nobody knows it: a promotion begins."""
    LOOK = "look"
    """Its tag or AMI is not what the promotion knows: it looks."""
    RESOLVE = "resolve"
    """File or membership moved its targets: it resolves its value again."""
    FORGET = "forget"
    """It is over and knows that it is not tagged any more: its head goes, and its record stays."""


class Resolver:
    """Resolves each value once, by one reading of the applied file."""

    def __init__(self, applied: AppliedFile) -> None:
        self.applied = applied
        self._known: dict[tuple[str, bool], Resolution] = {}

    def resolve(self, value: str, *, in_force: bool) -> Resolution:
        """See ``AppliedFile.resolve``."""
        if (value, in_force) not in self._known:
            self._known[value, in_force] = self.applied.resolve(value, in_force=in_force)
        return self._known[value, in_force]


def move(value: str | None, state: str, head: Head | None, resolver: Resolver) -> Move | None:
    """Say what is to be done about an AMI that has the tag ``value`` (None: it does not), and has this head.

    ``state`` is EC2's word. An AMI that stayed pending for a day was given up, and is looked at when it is available.
    """
    if head is None:
        return None if value is None else Move.START
    if value is None and head.known and not (head.moving and head.value is None):
        return Move.LOOK  # until it knows itself that it has no tag, so that the next one is news
    if value is None and (head.standing or head.moving):
        return None
    if head.standing and state == "disabled":
        return Move.LOOK
    if state == "pending" and not head.moving:
        return None
    if value is None:
        return Move.FORGET
    if value not in head.known:
        return Move.LOOK
    resolution = resolver.resolve(value, in_force=value == head.value)
    return Move.RESOLVE if behind(head, value, resolver.applied, resolution) else None
