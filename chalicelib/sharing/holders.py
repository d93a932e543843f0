"""Who holds a share and until when, and why its holders must stop waiting for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chalicelib.engine.faults import Fault
from chalicelib.engine.places import POLICY
from chalicelib.sharing.share import OPEN_STATES, Share, ShareState

ENDED_LONG_AGO = 1
"""The end of a share whose end is not known."""

MOST_NAMED = 5
"""A fault names so many resources."""


def standing(share: Share) -> bool:
    """Whether it has a standing holding."""
    return any(holding.stands for holding in share.holdings)


def must_close_at(share: Share) -> int:
    """Return when the share must close even if a delivery holds it; 0: only when its holders release it."""
    stand = [holding.until for holding in share.holdings if holding.stands]
    if 0 in stand:
        return 0
    times = [*stand, share.later_end] if stand else []
    if len(stand) < len(share.holdings):
        times.append(share.last_closing_at or ENDED_LONG_AGO)
    elif not stand:
        times.append(share.last_closing_at)
    return max(times)


def names_former_role(share: Share) -> bool:
    """Whether an open statement names a role that the applied file has renamed since."""
    open_ = share.state is ShareState.OPEN and is_statement(share)
    return open_ and "" not in (share.opened_to, share.grantee) and share.opened_to != share.grantee


def is_statement(share: Share) -> bool:
    """Whether the permission is a statement of a key's policy."""
    return share.on.kind == POLICY


def past_end(share: Share, now: int) -> bool:
    """Whether the share must close now even if a delivery holds it."""
    end = must_close_at(share)
    return end != 0 and now >= end


def needed(share: Share) -> bool:
    """Whether the share is open, or its holders wait until it is."""
    return share.state in OPEN_STATES or (bool(share.holdings) and refusal(share) is None)


def may_show(share: Share) -> bool:
    """Whether AWS may still show the service's permission: it is there, or no look has missed it since its removal."""
    missed = share.state is ShareState.CLOSING and share.gone_at is not None
    return share.state in OPEN_STATES and not missed and not share.preexisting


def refusal(share: Share) -> Fault | None:
    """Return why the share's holders must stop waiting for it: it was refused, or closed at its end; else None.

    If a new holding came since, the share worker tries again, and all holders wait for that answer.
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
    """Whether a holding was added since the share was last opened, looked at, refused, or closed at its end."""
    return share.asked > share.answered


def still_open(where: str, resources: Sequence[str]) -> Fault:
    """Return the fault of a withdrawal whose shares AWS has not let go of for an hour."""
    named = ", ".join(one.removeprefix("resource#") for one in resources[:MOST_NAMED])
    what = f"The account may still have access: for an hour the service could not close {named}. It goes on trying."
    return Fault("share-still-open", where, what, 'See "Closing by hand" in docs/operations/runbook.md.')


def oldest_open(shares: Iterable[Share], now: int) -> int | None:
    """Return for how many seconds the oldest share for copies has been open; None if none is."""
    counted = [s for s in shares if s.state is ShareState.OPEN and not s.preexisting and not standing(s)]
    opened_at = [s.opened_at for s in counted if s.opened_at is not None]
    return now - min(opened_at) if opened_at else None
