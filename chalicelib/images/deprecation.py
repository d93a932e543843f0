"""The deprecation date of the copy: the source's, or as soon as EC2 allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chalicelib.images.image import SourceImage


def deprecate_at(image: SourceImage, now: float) -> str | None:
    """Return the date for EnableImageDeprecation; None if the source has none. ``now`` is epoch seconds.

    EC2 accepts no date in the past [aws-facts 8, VERIFIED]: if the source is deprecated already, it is in five minutes.
    """
    if image.deprecation_time is None:
        return None
    soonest = datetime.fromtimestamp(now, UTC) + timedelta(minutes=5)
    return f"{max(to_minute(image.deprecation_time), soonest):%Y-%m-%dT%H:%M:%SZ}"


def as_of(at: float, now: float) -> str:
    """Return a date for EnableImageDeprecation, or the earliest one that EC2 takes for certain: the next minute.

    Both are epoch seconds. EC2 takes now or later [aws-facts, Added end of November 2026, VERIFIED]; a call arrives a
    moment later.
    """
    return f"{datetime.fromtimestamp(max(at, now + 60), UTC):%Y-%m-%dT%H:%M:%SZ}"


def has_come(date: str, now: float) -> bool:
    """Whether a deprecation date, as EC2 writes it ("": none), is not later than ``now`` (epoch seconds)."""
    return bool(date) and datetime.fromisoformat(date).timestamp() <= now


def to_minute(text: str) -> datetime:
    """Return EC2's text of an instant, to the minute: EC2 itself rounds deprecation dates [aws-facts 8, VERIFIED]."""
    at = datetime.fromisoformat(text) + timedelta(seconds=30)
    return at.replace(second=0, microsecond=0)
