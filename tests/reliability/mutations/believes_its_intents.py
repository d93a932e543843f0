"""Mutation: an intended closing is recorded as done."""

from dataclasses import replace

from chalicelib.sharing import share_events
from chalicelib.sharing.share import ShareState

_evolve = share_events.evolve


def evolve(one, event, now):
    """Take the intent for the result."""
    after = _evolve(one, event, now)
    return replace(after, state=ShareState.CLOSED) if isinstance(event, share_events.ClosingIntended) else after


share_events.evolve = evolve
