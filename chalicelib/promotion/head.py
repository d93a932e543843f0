"""What discovery does about a promotion, from its head alone."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from chalicelib.promotion.model import Promotion, PromotionState
from chalicelib.promotion.wanted import places_digest
from chalicelib.sharing.head import Head
from chalicelib.targets.applied_file import DAMAGED, AppliedFile, Resolution


def head(promotion: Promotion) -> Head:
    """Return the head of a promotion."""
    busy = promotion.state in (PromotionState.COMPARING, PromotionState.ADJUSTING)
    values = (promotion.value, promotion.refused_value, promotion.seen_value if busy else None)
    known = () if promotion.awaits_ami or promotion.is_of_baseline_and_gone else values
    passes = any(fault.code.startswith("organization-") or fault.code == DAMAGED for fault in promotion.faults)
    return Head(
        value=promotion.value if promotion.file else None,
        known=tuple(sorted({value for value in known if value is not None})),
        digests=promotion.file,
        places=promotion.places,
        withdrawals_from=promotion.withdrawals_from,
        moving=promotion.state is not PromotionState.OVER,
        standing=promotion.standing,
        failed=promotion.failed,
        waits=promotion.is_of_baseline and not promotion.is_of_baseline_and_gone,
        refusal_passes=promotion.refused_value is not None and passes,
    )


def behind(head: Head, applied: AppliedFile, resolution: Resolution) -> bool:
    """Whether a new file or new members change the targets of the value in force, so that its promotion must look.

    ``resolution``: of that value, by the new file and members. Once nothing runs or is shared, removals change nothing:
    delivered AMIs stay. Then only accounts that join count, and failures, which an alarm counts while they are wanted.
    """
    if head.digests in ("", applied.digests) or not resolution.understood:
        return False
    if places_digest(resolution.targets, resolution.blocked) == head.places and not resolution.blocked:
        return False
    joins = resolution.back_fill and not head.digests.endswith(f"/{applied.directory.membership.digest}")
    return head.moving or head.standing or head.failed > 0 or joins


class Move(StrEnum):
    """What discovery does about one AMI."""

    START = "start"
    """The AMI has no promotion: one begins."""
    LOOK = "look"
    """The tag or the AMI's state differs from the head: the promotion looks at its tag."""
    RESOLVE = "resolve"
    """A new file or new members change its targets: the promotion resolves its value again."""
    FORGET = "forget"
    """The promotion has ended, and the tag is gone: discovery deletes the head and keeps the record."""


def move(
    value: str | None, state: str, head: Head | None, applied: AppliedFile, judge: Callable[..., Resolution]
) -> Move | None:
    """Return what to do about an AMI with the tag ``value`` (None: no tag) and this head. ``state``: its state in EC2.

    ``judge``: ``applied.judge``, which the caller may have cached. A promotion that gave up a pending AMI after a day
    looks when the AMI is available.
    """
    if head is None:
        return None if value is None else Move.START
    if value is None:
        if head.known and not (head.moving and head.value is None):
            return Move.LOOK  # until the promotion knows that it has no tag, so that the next one is news
        return None if head.standing or head.moving else Move.FORGET
    if head.standing and state == "disabled":
        return Move.LOOK
    if state == "pending" and not head.moving:
        return None
    if value not in head.known:
        return Move.LOOK
    if head.refusal_passes and judge(value, in_force=value == head.value).understood:
        return Move.RESOLVE
    if head.value is None:
        return None
    late = behind(head, applied, judge(head.value, in_force=True))  # also beside a refused value
    return Move.RESOLVE if late else None
