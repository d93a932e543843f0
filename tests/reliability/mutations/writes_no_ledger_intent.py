"""Mutation: a statement is put into a key policy without an intent in the ledger."""

from chalicelib.sharing import share_events

_evolve = share_events.evolve


def evolve(one, event, now):
    """Record no intent for key policies."""
    intends = isinstance(event, share_events.OpeningIntended) and one.resource.startswith("resource#policy#")
    return one if intends else _evolve(one, event, now)


share_events.evolve = evolve
