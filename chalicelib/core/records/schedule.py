"""How often to look, and how long to wait. All in seconds."""

from __future__ import annotations

from collections.abc import Sequence

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR

POLLS: Sequence[int] = (1 * MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 15 * MINUTE)
"""Between two looks at something that AWS is doing; an event usually comes first."""

RETRIES: Sequence[int] = (5, 10, 20, 40, 80, 160, 320)
"""After a throttle or an outage."""

NOT_YET: Sequence[int] = (1 * MINUTE, 2 * MINUTE, 4 * MINUTE)
"""Key access and shares become true late: up to five minutes [aws-facts 3]."""

NOT_YET_FOR = 10 * MINUTE
"""For how long after opening an inaccessible key or an invisible snapshot is no failure."""

SILENCE = 2 * MINUTE
"""An intent without a known result is given this long to show itself before "there is none" is believed."""

SECOND_LOOK_AFTER = 30
"""Seconds between two looks of which both must agree before absence is believed."""

LEDGER_CLOSES_AFTER = 1 * HOUR
"""After a delivery's copy deadline and linger, or its date: then the share worker closes its shares by itself."""

IMAGE_DEADLINE = 1 * HOUR
"""For registering, for verifying, and for tagging what CopyImage made."""

NOTICE_DEADLINE = 1 * HOUR
"""After a deadline: for so long a notice that is refused is tried."""

TIDYING_DEADLINE = 1 * HOUR
"""For removing what a delivery made, and for its last notice."""

APPROVAL_DEADLINE = 30 * DAY
"""For so long a delivery waits for its approval."""

LAST_LOOK_WITHIN = 24 * HOUR
"""After a deadline: for so long a look is tried that shows whether the work is done, where the target refuses it."""

LEASE = 1 * HOUR
"""For so long copy slots are a delivery's without a sign of life from it."""

LEASE_MARGIN = 5 * MINUTE
"""So long before its end a delivery no longer relies on a lease: for clocks that differ, and calls under way."""

WAKE_LOST = 1 * MINUTE
"""A wake not answered for so long counts as lost."""


def last_wake(due_at: int, deadline: int, until: int) -> int | None:
    """Return the last moment up to ``until`` at which the sweep wakes a due record; None: there was none yet.

    It wakes at ``due_at``, from there by the growing steps of ``POLLS``, and at ``deadline`` (0: there is none). All of
    that follows from when the record was due, so that the sweep writes nothing on a record. All in epoch seconds.
    """
    if until < due_at:
        return None
    at = due_at
    for wait in POLLS:
        if at + wait > until:
            break
        at += wait
    else:
        at += (until - at) // POLLS[-1] * POLLS[-1]
    return deadline if at < deadline <= until else at


def step(steps: Sequence[int], count: int) -> int:
    """Return the wait after the ``count``-th try (from 0); the last step repeats."""
    return steps[min(count, len(steps) - 1)]
