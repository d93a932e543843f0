"""What `admin reconcile` knows about one hub, and where the ledger and what AWS shows differ. Pure.

``view_reading`` reads these plain values, and ``findings`` compares the rest of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ami_promoter.hub.applied_targets import Receivers
from ami_promoter.hub.cloudtrail import Change
from ami_promoter.hub.records import RecordSeen
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.target_seen import TargetSeen
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RECORD, RecordKey
from chalicelib.engine.faults import Fault, without_afterwards
from chalicelib.engine.places import IMAGE, POLICY, ROLE, Place, Resource
from chalicelib.inventory.machine import AmiUse, OwnImage, OwnInstance, OwnSnapshot
from chalicelib.sharing.holders import is_statement, standing
from chalicelib.sharing.key_policy import Access, Document, PolicyShare
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import OPEN_STATES, TRIES_BEFORE_ALARM, Share, ShareState
from chalicelib.sharing.shown import ShownAccess, of_grant, shares_of


def is_going(share: Share) -> bool:
    """Whether a share is closing, which takes some minutes, without trouble so far."""
    return share.state is ShareState.CLOSING and share.fault is None and share.tries < TRIES_BEFORE_ALARM


def may_be_open(share: Share | None) -> bool:
    """Whether the permission of a share may exist."""
    return share is not None and share.state in OPEN_STATES


def explained(share: Share) -> bool:
    """Whether the ledger lists a share as opened by the service."""
    return may_be_open(share) and not share.preexisting


def stands(share: Share) -> bool:
    """Whether a share is open for longer than copies run."""
    return share.state is ShareState.OPEN and standing(share)


def described(share: Share) -> str:
    """Say what is open, for a message."""
    it = Resource.parse(share.resource)
    if it.arn:
        return f"{'statement in the policy of' if is_statement(share) else 'grant on'} {it.arn}"
    return f"{'launch permission of' if it.kind == IMAGE else 'snapshot'} {it.in_words}"


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What the service created in one target, or (``seen``) its settings. ``fault``: why it could not be read."""

    images: tuple[OwnImage, ...] = ()
    snapshots: tuple[OwnSnapshot, ...] = ()
    instances: tuple[OwnInstance, ...] = ()
    unseen: Fault | None = None
    """Why instances could not be listed."""
    seen: TargetSeen | None = None
    fault: Fault | None = None
    uses: tuple[AmiUse, ...] = ()
    """What names an AMI there, if that was asked."""

    @property
    def trouble(self) -> Fault | None:
        """Why not all of it could be read; None: it was."""
        fault = self.fault or self.unseen
        return None if fault is None else replace(fault, cure=without_afterwards(fault.cure))


@dataclass(frozen=True, slots=True)
class HubView:
    """Everything that was read, at ``now`` (epoch seconds)."""

    now: int
    region: str
    """The hub's."""
    items: Mapping[RecordKey, RecordSeen[Any]] = field(default_factory=dict)
    """Records and tracked deliveries: those under way, and those that another member names."""
    ledger: Mapping[tuple[str, str], Share] = field(default_factory=dict)
    """(resource, share_name) -> share: those that may be open or are held, and those that another member names."""
    permissions: Mapping[Resource, frozenset[str]] = field(default_factory=dict)
    """Accounts and, for an AMI, OUs and organizations; "all" if it is public. Absent: not read."""
    grants: Mapping[str, Sequence[ShownAccess]] = field(default_factory=dict)
    """Key -> the grants that the service made on it. Absent: not read."""
    cut: Collection[str] = ()
    """Keys whose grants were not read to the end."""
    policies: Mapping[str, Document] = field(default_factory=dict)
    """Key -> its policy. Absent: not read."""
    changes: Mapping[tuple[Resource, str], Change] = field(default_factory=dict)
    """(snapshot or AMI, receiver) -> the last change of that permission that CloudTrail knows."""
    once_open: frozenset[tuple[Resource, str]] = frozenset()
    """(snapshot or AMI, receiver) that the ledger has lost, and that the service had open by the share's history."""
    targets: Mapping[Place, TargetFacts] = field(default_factory=dict)
    receivers: Receivers = field(default_factory=Receivers)
    """Who may receive anything; where that is not known, a trouble says why."""
    troubles: tuple[Fault, ...] = ()
    """What else could not be seen, and why."""

    @property
    def shown(self) -> Iterator[ShownAccess]:
        """Yield all that AWS shows."""
        for source, receivers in sorted(self.permissions.items()):
            yield from (ShownAccess(one, str(source), one) for one in sorted(receivers))
        yield from (one for _, grants in sorted(self.grants.items()) for one in grants)
        for key, document in sorted(self.policies.items()):
            policy, opened = addresses.policy_resource(key).pk, sorted(document.shares, key=str)
            yield from (ShownAccess(one.account, policy, str(one), own=True) for one in opened)

    def delivery(self, ident: str) -> RecordSeen[Delivery] | None:
        """Read a delivery's record."""
        return self.items.get(addresses.delivery(ident))

    def of_kind(self, kind: str) -> Iterator[RecordSeen[Any]]:
        """Yield all records of a kind."""
        return (one for key, one in self.items.items() if key.sk == RECORD and key.kind == kind)

    def share(self, resource: str, share_name: str) -> Share | None:
        """Read a share."""
        return self.ledger.get((resource, share_name))


def own_grants(key: str, grants: Iterable[SeenGrant], hub: str, region: str) -> Iterator[ShownAccess]:
    """Yield the grants on a key of the hub that the service made, by their name and issuer.

    The hub issues the grants for targets; an account issues the grants for its own service-linked roles. Those on a
    target's own key are not compared, if the hub is that target.
    """
    for grant in grants:
        one = of_grant(key, grant, hub, region)
        issuer = one.on.account if one.on.kind == ROLE else hub
        at_home = one.on.on_own_key or grant.name.endswith(f":{hub}")  # KMS may show no role as its grantee
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
        return not it.on_own_key and it.arn in (view.policies if it.kind == POLICY else view.grants.keys() - view.cut)
    return it in view.permissions
