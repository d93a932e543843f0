"""The names of the service's grants, and which of its permissions have no name."""

from __future__ import annotations

import re

from chalicelib.engine.places import IMAGE, SNAPSHOT, Resource
from chalicelib.sharing.share import Share, ShareState

GRANT_PREFIX = "ami-promoter:"
_NAME = re.compile(
    f"{GRANT_PREFIX}[^:]+:(?:(?P<delivery>[0-9a-f]{{20}})(?:-[^:]*)?|[^:]*):(?P<intended_at>[0-9]+)(?::(?P<hub>.+))?"
)


def service_role(grantee: str) -> str:
    """Return the service-linked role that an ARN names ("SERVICE/NAME"); "" if it names none."""
    return grantee.partition(":role/aws-service-role/")[2]


def grant_stem(share_name: str, region: str) -> str:
    """Return the beginning of the names of all grants of a share. KMS allows no dots in names.

    ``region`` is the hub's, so that two hubs of one account with grants on one key do not close each other's.
    """
    return f"{GRANT_PREFIX}{region}:{re.sub('[^a-zA-Z0-9/_-]', '_', share_name)}:"


def grant_name(share: Share, region: str) -> str:
    """Return the name of a share's grant, with the time of its intent: repeating the call returns the same grant.

    Each opening has a new name, because soon after revoking KMS could return the revoked grant [aws-facts 3].
    """
    return f"{grant_stem(share.share_name, region)}{share.intended_at}"


def is_grant_of(name: str, hub: str, region: str) -> bool:
    """Whether a grant's name says that this hub made it; the name of one on a target's own key says which account's."""
    found = _NAME.fullmatch(name)
    return found is not None and name.startswith(f"{GRANT_PREFIX}{region}:") and found["hub"] in (None, hub)


def delivery_of(name: str) -> str:
    """Return the delivery for which a grant was made, by its name; "": it is a standing one, or not the service's."""
    found = _NAME.match(name)
    return (found["delivery"] or "") if found else ""


def intended_at(name: str) -> int:
    """Return the time of a grant's intent (epoch seconds), by its name; 0: it does not say."""
    found = _NAME.match(name)
    return int(found["intended_at"]) if found else 0


def is_grant_for(share: Share, grant_id: str, name: str, region: str) -> bool:
    """Whether a grant is the one that opened a share."""
    return grant_id == share.grant_id or is_named_for(share, name, region)


def is_named_for(share: Share, name: str, region: str) -> bool:
    """Whether a grant's name says that it opened a share.

    If the time of its intent is not known, as its record is damaged, each grant with its stem did.
    """
    if not share.intended_at and share.state is not ShareState.WANTED:
        return name.startswith(grant_stem(share.share_name, region))
    own = grant_name(share, region)
    return name == own or name.startswith(f"{own}:")


def unrecorded_name(grant_id: str) -> str:
    """Return the ``share_name`` for a grant that belongs to no delivery's share."""
    return f"grant-{grant_id}"


def nameless(resource: str) -> bool:
    """Whether permissions on a resource have no name, so that the service's look like any other."""
    return Resource.parse(resource).kind in (SNAPSHOT, IMAGE)
