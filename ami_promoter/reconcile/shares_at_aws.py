"""Which grants at AWS are the service's, and where the ledger and what AWS shows differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ami_promoter.reconcile.facts import HubView, explained
from chalicelib.engine.places import POLICY, ROLE, Resource
from chalicelib.sharing.holders import is_statement
from chalicelib.sharing.key_policy import Access, PolicyShare
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.shown import ShownAccess, of_grant, shares_of


def own_grants(key: str, grants: Iterable[SeenGrant], hub: str, region: str) -> Iterator[ShownAccess]:
    """Yield the grants on a key of the hub that the service made, by their name and issuer.

    The hub issues the grants for targets; an account issues the grants for its own service-linked roles. Those on a
    target's own key are not compared, if the hub is that target.
    """
    for grant in grants:
        one = of_grant(key, grant, hub, region)
        issuer = one.on.account if one.on.kind == ROLE else hub
        at_home = one.on.at_home or grant.name.endswith(f":{hub}")  # KMS may show no role as its grantee
        if one.own and not at_home and f"::{issuer}:" in grant.issuer:
            yield one


def unexplained(view: HubView) -> list[ShownAccess]:
    """Return what AWS shows and the ledger does not list as opened by the service."""
    return [one for one, shares in _compared(view).items() if not any(map(explained, shares))]


def missing(view: HubView) -> list[Share]:
    """Return the shares that the ledger calls open and that AWS does not show, of what was read."""
    showing = {share.key for shares in _compared(view).values() for share in shares}
    open_ = [share for share in view.ledger.values() if share.state is ShareState.OPEN]
    return [one for one in open_ if (one.key not in showing and _was_read(view, one)) or is_changed(view, one)]


def is_changed(view: HubView, share: Share) -> bool:
    """Whether a key's policy shows the statements of a share, but not as the service writes them.

    It is not known of a damaged share that does not say whom it is for.
    """
    wanted, key = share.opened_to or share.grantee, Resource.parse(share.resource).arn
    document = view.policies.get(key) if is_statement(share) and wanted else None
    if document is None:
        return False
    access = Access(*PolicyShare.parse(share.share_name), wanted, document.hub)
    return document.shows(access) and not document.gives(access)


def _compared(view: HubView) -> Mapping[ShownAccess, Sequence[Share]]:
    """Return what AWS shows with its shares: where the ledger knows the id of a grant, another grant is not its."""
    known = shares_of(view.shown, view.ledger.values(), view.region)
    return {one: [s for s in shares if not one.grant or s.grant_id in ("", one.grant)] for one, shares in known.items()}


def _was_read(view: HubView, share: Share) -> bool:
    it = Resource.parse(share.resource)
    if it.arn:
        return not it.at_home and it.arn in (view.policies if it.kind == POLICY else view.grants.keys() - view.cut)
    return it in view.permissions
