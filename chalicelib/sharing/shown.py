"""What AWS shows on a snapshot, an AMI or a key, and the shares of the ledger that account for it.

The grant audit, the drift audit and ``ami-promoter admin reconcile`` compare by it. Each reads AWS itself, and decides
what follows from a difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.engine.places import KEY, ROLE, Arn, Resource, account_of
from chalicelib.sharing.grant_names import delivery_of, is_grant_for, is_grant_of, service_role
from chalicelib.sharing.key_policy import DEAD
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import Share


@dataclass(frozen=True, slots=True)
class ShownAccess:
    """One permission, grant or statement that AWS shows."""

    receiver: str
    """An account id, an ARN, or ``all`` for everybody."""
    resource: str
    """The ledger's partition in which its share would be."""
    share_name: str = ""
    """The ledger's name of its share; "": it is a statement that opens none."""
    grant: str = ""
    """A grant's id."""
    name: str = ""
    """A grant's name."""
    grantee: str = ""
    """A grant's grantee."""
    own: bool = False
    """It has the service's name."""
    sibling: bool = False
    """It has the name of another hub of the account, which makes its own audit."""

    @property
    def on(self) -> Resource:
        """What it opens."""
        return Resource.parse(self.resource)


def of_grant(key: str, grant: SeenGrant, hub: str, region: str, siblings: Collection[str] = ()) -> ShownAccess:
    """Return the access that a grant gives to its grantee, or to its issuer if that is an AWS service.

    ``hub`` and ``region``: this hub; ``siblings``: the Regions of the account's other hubs. A deleted grantee is a
    receiver without an account; KMS may show one that was made moments ago in the same way.
    """
    named = account_of(grant.grantee) or DEAD.fullmatch(grant.grantee)
    receiver = grant.grantee if named else grant.issuer
    account, own = account_of(receiver) or receiver, is_grant_of(grant.name, hub, region)
    role, delivery = service_role(grant.grantee), delivery_of(grant.name)
    resource = Resource(ROLE if role else KEY, key, account)
    # One to copy by is for one delivery and role, or as a fallback for "root", the whole account.
    share_name = role or (f"{delivery}-{Arn.parse(grant.grantee).name}" if delivery else account)
    sibling = any(is_grant_of(grant.name, hub, one) for one in siblings)
    of = str(resource), share_name, grant.id, grant.name, grant.grantee
    return ShownAccess(receiver, *of, own=own, sibling=sibling)


def shares_of(
    shown: Iterable[ShownAccess], shares: Iterable[Share], region: str
) -> Mapping[ShownAccess, Sequence[Share]]:
    """Return each access with its shares. A snapshot may have a thousand of both, so no two are compared in vain."""
    on: dict[str, dict[str, Share]] = defaultdict(dict)
    for share in shares:
        on[share.resource][share.share_name] = share
    found: dict[ShownAccess, Sequence[Share]] = {}
    for one in shown:
        there = on[one.resource]
        if one.grant:
            found[one] = [share for share in there.values() if is_grant_for(share, one.grant, one.name, region)]
        else:
            found[one] = [there[one.share_name]] if one.share_name in there else []
    return found
