"""A statement in a key's policy is put without the ledger's knowing that it is to be opened."""

from chalicelib.core.sharing import share

_intend = share.intend_opening


def intend(one, now, *, seen):
    """Write nothing down for policies."""
    return one if one.resource.startswith("resource#policy#") else _intend(one, now, seen=seen)


share.intend_opening = intend
