"""Small changes of a delivery that the phases have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from chalicelib.delivery.model import Copy, Delivery
from chalicelib.engine import schedule

MAX_TRIES = 8
"""Tries of one copy, or of a step whose access is missing; after the last one a person must act."""

VERIFY_TRIES = 3
"""Reads are eventually consistent, so a difference counts only after a second read."""


def again(delivery: Delivery, now: int, wait: int, **changes: Any) -> Delivery:
    """Count one more try of the current step; the next one follows after ``wait`` seconds."""
    return replace(delivery, tries=delivery.tries + 1, next_try=now + wait, **changes)


def looks_again(delivery: Delivery, now: int, within: int, wait: int) -> Delivery | None:
    """Return the delivery that looks again for what one look has missed; None: it is gone (invariant 5).

    Looks of ``within`` seconds must agree; the next one follows after ``wait`` seconds.
    """
    since = now if delivery.clear_since is None else delivery.clear_since
    left = since + within - now
    return again(delivery, now, min(wait, left), clear_since=since) if left > 0 else None


def each_copy(delivery: Delivery, change: Callable[[Copy], Copy]) -> Delivery:
    """Change each copy."""
    return replace(delivery, copies=tuple(change(copy) for copy in delivery.copies))


def without_entries(delivery: Delivery, names: Collection[str]) -> Delivery:
    """Take away the inbox entries that led to a look, even if that look failed."""
    left = {name: value for name, value in delivery.inbox.items() if name not in names}
    return replace(delivery, inbox=left)


def copy_entries(delivery: Delivery) -> list[str]:
    """Return the names of the inbox entries about its copies."""
    return [f"look#{copy.source}" for copy in delivery.copies]


def extended(delivery: Delivery, last: int) -> int:
    """Return a deadline; once it has passed, the time until which the service still tries to look at the target."""
    since = delivery.last_look.since
    return since + schedule.LAST_LOOK_WITHIN if since else last
