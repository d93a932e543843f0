"""How often to look, and how long to wait. All in seconds."""

from __future__ import annotations

from collections.abc import Sequence

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR

POLLS: Sequence[int] = (1 * MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 15 * MINUTE)
"""Times between looks at something that AWS is doing; usually an event comes first."""

COPY_POLLS: Sequence[int] = (2 * MINUTE, 15 * MINUTE)
"""Times between looks at a running copy. One whose key access came too late shows that within two minutes; the others
take longer, each look costs an invocation, and an event says that they have ended."""

RETRIES: Sequence[int] = (5, 10, 20, 40, 80, 160, 320)
"""Times between tries after a throttle or an outage."""

NOT_YET: Sequence[int] = (1 * MINUTE, 2 * MINUTE, 4 * MINUTE)
"""Key access and shares become true late: up to five minutes [aws-facts 3]."""

NOT_YET_FOR = 10 * MINUTE
"""For this time after opening, an inaccessible key or an invisible snapshot is not a failure."""

SILENCE = 2 * MINUTE
"""For this time the effect of an intent without a result may not show yet; after that there was no effect."""

SECOND_LOOK_AFTER = 30
"""Seconds between the two looks that must agree before absence counts."""

LEDGER_CLOSES_AFTER = 1 * HOUR
"""After a delivery's copy deadline and linger, or its date: then the share worker closes its shares."""

IMAGE_DEADLINE = 1 * HOUR
"""For registering, for verifying, and for tagging what CopyImage made."""

NOTICE_DEADLINE = 1 * HOUR
"""After a deadline: for how long the worker tries a notice that is refused."""

TIDYING_DEADLINE = 1 * HOUR
"""For removing what a delivery made, and for its last notice."""

APPROVAL_DEADLINE = 30 * DAY
"""How long a delivery waits for its approval."""

WAVE_DEADLINE = 30 * DAY
"""How long a delivery waits for its wave."""

WAVE_POLLS = 5 * MINUTE
"""How long at most a promotion lets pass between comparisons while a wave waits for deliveries that run."""

LAST_LOOK_WITHIN = 24 * HOUR
"""After a deadline: for how long the worker tries to look whether the work is done, if the target refuses the look."""

NONCES_KEPT = 24 * HOUR
"""After an episode's last intent: for how long the nonces stay at least, as what it made may show late."""

LEASE = 1 * HOUR
"""How long a delivery has copy slots without renewing the lease."""

LEASE_MARGIN = 5 * MINUTE
"""How long before its end a delivery stops relying on a lease: clocks differ, and calls take time."""

WAKE_LOST = MINUTE - 10
"""After how long a wake without an effect counts as lost: before the next sweep, which can wake the record again."""


def stays(scheduled: int, due_at: int | None, now: int, *, goes_on: bool) -> bool:
    """Whether the index of what is due may keep its time at a write: each move costs two more writes.

    ``goes_on``: the run is not over. Then it may be late by the longest poll: the message of a run that is killed comes
    back sooner, and until then the record is as safe as if an event were lost. At rest it may be a minute early, if the
    time is still to come.
    """
    if goes_on:
        return now - MINUTE <= scheduled <= max(due_at or 0, now) + POLLS[-1]
    return due_at is not None and max(now + 1, due_at - MINUTE) <= scheduled <= due_at


def last_wake(due_at: int, deadline: int, until: int) -> int | None:
    """Return the last time up to ``until`` at which the sweep wakes a due record; None: there is none yet.

    It wakes at ``due_at``, then after the growing steps of ``POLLS``, and at ``deadline`` (0: there is none). All of
    this follows from when the record was due, so the sweep writes to no record. All in epoch seconds.
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
