"""Who holds a share and until when, and which refusal its holders read."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.core.faults import Fault
from chalicelib.core.records import addresses
from chalicelib.core.sharing.share import ENDED_LONG_AGO, Share, ShareState

MOST_HOLDINGS = 3_500
"""How many holdings a share has at most: of 95 bytes each they are 332 KB; an item takes 400 KB [aws-facts 6]."""


def standing(share: Share) -> bool:
    """Whether it has a standing holding: then `OpenShareAlarm` does not count its age."""
    return any(holding.stands for holding in share.holdings)


def must_close_at(share: Share) -> int:
    """When the share must close even if a delivery holds it; 0: only when its holders release it."""
    stand = _standing_ends(share)
    if 0 in stand:
        return 0
    ends = [*stand, share.later_end] if stand else []
    if len(stand) < len(share.holdings):
        ends.append(share.last_closing_at or ENDED_LONG_AGO)
    elif not stand:
        ends.append(share.last_closing_at)
    return max(ends)


def moved(share: Share) -> bool:
    """Whether an open statement names another role than its holders now have, because the file has renamed it."""
    open_ = share.state is ShareState.OPEN and is_statement(share)
    return open_ and share.opened_to not in ("", share.grantee)


def is_statement(share: Share) -> bool:
    """Whether it is a statement of a key's policy."""
    return addresses.resource_kind(share.resource) == "policy"


def _standing_ends(share: Share) -> list[int]:
    return [holding.until for holding in share.holdings if holding.stands]


def past_end(share: Share, now: int) -> bool:
    """Whether the share must close now even if a delivery holds it."""
    end = must_close_at(share)
    return end != 0 and now >= end


def needed(share: Share) -> bool:
    """Whether the share is open, or a delivery needs it open."""
    return bool(share.holdings) or share.state in (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING)


def refusal(share: Share) -> Fault | None:
    """Return why the holders of the share must not wait for it: it was refused, or closed at its end.

    None if a new holding came since: the share worker tries again, and that answer counts for all. An old holder may
    never release the share, as with a damaged delivery.
    """
    if asked_since(share):
        return None
    if share.closed_blind and share.state is ShareState.CLOSED:
        return Fault(
            "share-closed-at-its-end",
            f"{share.resource}, account {share.account}",
            "The share was closed at its last closing time while the delivery still held it.",
            "Find out why the delivery did not end by its own deadline: its history, dead letters, "
            "the role in the target.",
        )
    return share.fault


def asked_since(share: Share) -> bool:
    """Whether a new holding came since it was last refused, or closed at its end."""
    return share.asked > share.answered


def held_by_too_many(share: Share) -> Fault:
    """Return the fault of one more holding than a share can have."""
    return Fault(
        "share-held-by-too-many",
        f"{share.resource}, {share.share_name}",
        f"{MOST_HOLDINGS:,} AMIs or deliveries hold this permission already, which is as many as its record takes.",
        "Build further AMIs under another KMS key, or remove the trigger tag from AMIs that the account no longer "
        "needs; then tag this AMI again.",
    )


def oldest_open(shares: Iterable[Share], now: int) -> int | None:
    """For how many seconds the service's oldest share has been open; None if none is."""
    counted = [s for s in shares if s.state is ShareState.OPEN and not s.preexisting and not standing(s)]
    opened_at = [s.opened_at for s in counted if s.opened_at is not None]
    return now - min(opened_at) if opened_at else None
