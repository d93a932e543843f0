"""When to deprecate the copy: when the source is, or as soon as EC2 allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chalicelib.core.images.image import SourceImage


def deprecate_at(image: SourceImage, now: float) -> str | None:
    """The date to give to EnableImageDeprecation, or None if the source has none. ``now`` is epoch seconds.

    EC2 takes no date in the past [aws-facts 8, VERIFIED]: for a source already deprecated it is in five minutes.
    """
    if image.deprecation_time is None:
        return None
    soonest = datetime.fromtimestamp(now, UTC) + timedelta(minutes=5)
    return f"{max(to_minute(image.deprecation_time), soonest):%Y-%m-%dT%H:%M:%SZ}"


def to_minute(text: str) -> datetime:
    """EC2's text of an instant, to the minute: it rounds deprecation dates itself [aws-facts 8, VERIFIED]."""
    at = datetime.fromisoformat(text) + timedelta(seconds=30)
    return at.replace(second=0, microsecond=0)
