"""Whether AWS shows the shares that the ledger calls open. Pure."""

from __future__ import annotations

from ami_promoter.reconcile import ledger_facts
from ami_promoter.reconcile.facts import Grant, HubView, explained
from chalicelib.engine.places import Resource
from chalicelib.sharing.grant_names import unrecorded_name
from chalicelib.sharing.holders import is_statement
from chalicelib.sharing.share import Share, ShareState


class Shown:
    """The permissions, grants and statements of a view, by the ledger's names."""

    def __init__(self, view: HubView) -> None:
        self._view = view
        self._grants: dict[str, list[Grant]] = {}
        for grant in view.grants:
            self._grants.setdefault(grant.resource, []).append(grant)
        self._admitted = {(one.resource, one.share_name): one.principal for one in view.statements if one.complete}

    def shows(self, share: Share) -> bool | None:
        """Whether AWS shows the permission of a share; None if it was not read."""
        it = Resource.parse(share.resource)
        if not it.arn:
            seen = self._view.permissions.get(it)
            return None if seen is None else share.account in seen
        if is_statement(share):
            if it.arn not in self._view.policy_keys:
                return None
            admitted, wanted = self._admitted.get((share.resource, share.share_name)), share.opened_to or share.grantee
            return admitted is not None and wanted in ("", admitted)  # a damaged share may not say whom it is for
        if it.arn not in self._view.granted_keys:
            return None
        return any(ledger_facts.is_of(share, grant) for grant in self._grants.get(share.resource, ()))

    def missing(self) -> list[Share]:
        """Return the shares that the ledger calls open and that AWS does not show."""
        return [one for one in self._view.ledger.values() if one.state is ShareState.OPEN and self.shows(one) is False]

    def unexplained(self) -> list[tuple[str, str]]:
        """Return (resource, share_name) of all that AWS shows and the ledger does not list as opened by the service."""
        places = [(str(source), receiver) for source, seen in self._view.permissions.items() for receiver in seen]
        places += [(grant.resource, grant.share_name) for grant in self._view.grants]
        places += [(grant.resource, unrecorded_name(grant.id)) for grant in self._view.grants]
        places += [(statement.resource, statement.share_name) for statement in self._view.statements]
        return [place for place in places if not explained(self._view.ledger.get(place))]
