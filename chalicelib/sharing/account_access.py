"""The account's own standing access to a source key, without which it can make no grant for a service-linked role."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.engine import addresses
from chalicelib.engine.places import Resource
from chalicelib.sharing import holders
from chalicelib.sharing.key_policy import Audience, PolicyShare
from chalicelib.sharing.share import Share, ShareState


def places(resource: str, account: str) -> tuple[tuple[str, str], ...]:
    """Return where the ledger has it, as (resource, ``share_name``): a grant, or statements of the key's policy.

    ``resource``: that of the grants for the account's service-linked roles.
    """
    key = Resource.parse(resource).arn
    policy = addresses.policy_resource(key).pk
    statements = ((policy, str(PolicyShare(account, audience))) for audience in (Audience.ACCOUNT, Audience.ROLES))
    return ((addresses.key_resource(key, account).pk, account), *statements)


def open_since(found: Iterable[Share], now: int) -> int:
    """Return since when all of it is open, in epoch seconds; ``now`` while some of it still waits to be opened.

    0: the service opens none, because the key's owner let the account in (``key_access: none``).
    """
    held = [share for share in found if share.holdings]
    if any(share.state is not ShareState.OPEN or holders.names_former_role(share) for share in held):
        return now
    return max((share.opened_at or 0 for share in held), default=0)
