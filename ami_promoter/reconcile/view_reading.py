"""Reads one hub for `reconcile`: records, ledger, open permissions, and the service's AMIs and snapshots in targets.

It reads the table page by page. Of records that have ended it keeps only the ids of snapshots and AMIs that may be
open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ami_promoter.hub import cloudtrail
from ami_promoter.hub.applied_targets import in_force
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.cloudtrail import Change
from ami_promoter.hub.records import IN_ENDED, Reader, RecordSeen, record_of, source_of
from ami_promoter.reconcile.facts import HubView, TargetFacts, may_be_open, missing, unexplained
from ami_promoter.reconcile.hub_reading import Candidates, HubReading
from ami_promoter.reconcile.inventories import Inventories
from ami_promoter.verbs import TerminalClock
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.addresses import ARCHIVED, GONE_WITH_RESOURCE, HOLD, SHARE, SHARE_STEP, RecordKey
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import IMAGE, SNAPSHOT, Place, Resource
from chalicelib.promotion.model import Promotion, PromotionState
from chalicelib.sharing.grant_names import delivery_of, unrecorded_name
from chalicelib.sharing.share import OPEN_STATES, Share, ShareState

SCAN = (
    f"(sk = :record AND NOT (begins_with(pk, :delivery) AND {IN_ENDED} AND attribute_not_exists(parked))) "
    "OR begins_with(sk, :image) "
    "OR (begins_with(pk, :promotion) AND begins_with(sk, :delivery) AND NOT (running = :no)) "
    "OR (begins_with(pk, :resource) AND (begins_with(sk, :share) OR begins_with(sk, :hold)))"
)


@dataclass(slots=True)
class _Read:
    """What a scan of the table keeps."""

    items: dict[RecordKey, RecordSeen[Any]] = field(default_factory=dict)
    ledger: dict[tuple[str, str], Share] = field(default_factory=dict)
    candidates: Candidates = field(default_factory=Candidates)

    def take_share(self, share: Share) -> None:
        """Keep a share that may be open or is held."""
        if share.state not in (ShareState.CLOSED, ShareState.REFUSED) or share.holdings:
            self.ledger[share.resource, share.share_name] = share
            self._resource(share.resource)

    def take(self, item: Mapping[str, Any]) -> None:
        """Keep a record, or only the ids in it."""
        one = record_of(item)
        key = one.key
        if key.kind == "promotion":
            self.candidates.images.add(key.name)
        if key.sk.startswith(addresses.SOURCE):
            source = source_of(item)
            self.candidates.add_snapshots("", [] if source is None else [one.id for one in source.snapshots])
            return
        if key.kind == "resource":
            self._resource(key.pk)
        over = isinstance(one.it, Promotion) and one.state == PromotionState.OVER
        moves = key.kind in ("delivery", "promotion")
        if (moves and not over) or one.parked or (one.damage and key.kind != "promotion"):
            self.items[key] = one
        if isinstance(one.it, Delivery):
            self.candidates.add_snapshots("", [snapshot.id for snapshot in one.it.snapshots])

    def _resource(self, pk: str) -> None:
        it = Resource.parse(pk)
        if it.kind == IMAGE:
            self.candidates.images.add(it.name)
        elif it.kind == SNAPSHOT:
            self.candidates.add_snapshots(it.region, [it.name])
        else:
            self.candidates.keys.add(it.arn)


@dataclass(frozen=True, slots=True)
class Looking:
    """Looks at one hub. ``since``, ``patience``: how far back in CloudTrail, and how long for targets, in seconds."""

    connection: Connection
    clock: TerminalClock = field(default_factory=TerminalClock)
    keys: Sequence[str] = ()
    """ARNs of further source keys."""
    since: int = 48 * 3600
    patience: int = 300

    def look(self, *, targets: bool) -> HubView:
        """Read everything; may raise HubError. ``targets``: also what is in each target.

        The ledger is read before AWS; entries that differ from AWS are read again, because they may have changed
        meanwhile. The applied file is read after the ledger, so that it contains the receiver of each new share.
        """
        now = int(self.connection.now())
        seen = self._targets() if targets else {}
        read = self._scan()
        receivers = in_force(self.connection)
        self._candidates_in(seen, read.candidates)
        hub = HubReading(self.connection, self.keys)
        sources, keys = hub.there(read.candidates)
        keys |= set(self.keys)
        view = HubView(
            now,
            self.connection.region,
            read.items,
            read.ledger,
            hub.permissions(sources),
            hub.grants(keys),
            policies=hub.policies(keys),
            cut=hub.cut,
            targets=seen,
            receivers=receivers,
            troubles=(*(receivers.faults if targets or not receivers.known else ()), *hub.faults),
        )
        view = self._read_again(view)
        return self._witnessed(self._with_named(view))

    def _targets(self) -> dict[Place, TargetFacts]:
        """Ask every target of the applied file, listed or in an OU that it names."""
        places = in_force(self.connection).places((self.connection.account, self.connection.region))
        return Inventories(self.connection, self.patience, self.clock).ask(places, "reconcile")

    def _scan(self) -> _Read:
        read = _Read()
        beside: list[Mapping[str, Any]] = []
        for item in Reader(self.connection).items(SCAN, {":no": False}):
            if item["sk"].startswith((SHARE, HOLD)):
                beside.append(item)
            else:
                read.take(item)
        for share in Reader(self.connection).shares_in(beside):
            read.take_share(share)
        return read

    def _candidates_in(self, seen: Mapping[Place, TargetFacts], candidates: Candidates) -> None:
        """Add the sources that the tags of copies in targets name, and the hub's own copies in other Regions.

        A target in another Region copies from the hub's Region or, with ``by_way_of``, from the hub's copy in the
        target's Region. The tags do not say which, so `admin reconcile` checks both Regions.
        """
        for (account, region), target in seen.items():
            abroad = "" if region == self.connection.region else region
            sources = [one.source for one in target.snapshots if one.source]
            candidates.images |= {image.source for image in target.images if image.source}
            for place in {"", abroad}:
                candidates.add_snapshots(place, sources)
            if account == self.connection.account:
                candidates.add_snapshots(abroad, [one.id for one in target.snapshots])

    def _read_again(self, view: HubView) -> HubView:
        """Read again the ledger entries that differ from AWS."""
        open_ = unexplained(view)
        places = {(one.resource, one.share_name) for one in open_}
        places |= {(one.resource, one.share_name) for one in missing(view)}
        places |= {(one.resource, unrecorded_name(one.grant)) for one in open_ if one.grant}
        found = Reader(self.connection, "reading the ledger").shares(sorted(places))
        left = {place: share for place, share in view.ledger.items() if place not in places}
        return replace(view, ledger={**left, **found})

    def _with_named(self, view: HubView) -> HubView:
        """Add the ended records, which the scan leaves out, that something in the view names."""
        deliveries = {holding.delivery for share in view.ledger.values() for holding in share.holdings}
        deliveries |= {delivery_of(one.name) for one in view.shown if one.grant}
        deliveries |= {image.delivery for target in view.targets.values() for image in target.images}
        deliveries |= {snapshot.delivery for target in view.targets.values() for snapshot in target.snapshots}
        tracked = {key: one.it for key, one in view.items.items() if isinstance(one.it, TrackedDelivery)}
        deliveries |= {one.delivery for one in tracked.values()}
        keys = {addresses.delivery(one) for one in deliveries if one}
        keys |= {RecordKey(key.pk) for key in tracked}
        keys |= {RecordKey(share.resource) for share in view.ledger.values() if may_be_open(share)}
        found = Reader(self.connection).many(sorted(keys - view.items.keys()))
        return replace(view, items={**view.items, **found})

    def _witnessed(self, view: HubView) -> HubView:
        """Ask CloudTrail and the ledger's history about snapshots and AMIs for which AWS and the ledger differ."""
        asked = [(one.on, one.receiver) for one in unexplained(view) if not one.on.arn]
        regions = {source.region for source, _ in asked}
        regions |= {source.region for one in missing(view) if not (source := Resource.parse(one.resource)).arn}
        changes: dict[tuple[Resource, str], Change] = {}
        faults: list[Fault] = []
        for region in sorted(regions):
            seen = cloudtrail.changes(self.connection, view.now - self.since, region)
            if isinstance(seen, Fault):
                faults.append(seen)
            else:
                changes |= {(Resource.of(one, region), who): change for (one, who), change in seen.items()}
        lost = [(source, key) for source, key in asked if view.share(str(source), key) is None]
        once_open = frozenset(one for one in lost if self._was_open(*one))
        return replace(view, changes=changes, once_open=once_open, troubles=(*view.troubles, *faults))

    def _was_open(self, source: Resource, receiver: str) -> bool:
        """Whether the last that is known of a share that has left the ledger is that it was open and not preexisting.

        The end of a share that closed is in the archive alone.
        """
        found = {
            item["sk"].removeprefix(f"{kind}{receiver}#"): item
            for kind in (SHARE_STEP, ARCHIVED)
            for item in Reader(self.connection).query(str(source), f"{kind}{receiver}#")
        }
        return had_open(found[max(found)] if found else {})


def had_open(entry: Mapping[str, Any]) -> bool:
    """Whether the last entry of a share's history says that it was open, or gone with its resource; not preexisting."""
    open_or_gone = entry.get("state") in OPEN_STATES or entry.get(GONE_WITH_RESOURCE) is True
    return open_or_gone and entry.get("preexisting") is False
