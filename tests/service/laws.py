"""The laws of the design, asked at every call that changes AWS, after every invocation, and at rest.

A lane that is worked on twice may make a call once more whose result is on record by then: the intent counts, not
whether it is the last word.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chalicelib.core import addresses
from chalicelib.core.addresses import Key
from chalicelib.core.delivery.model import ENDED, CopyState, Delivery, State
from chalicelib.core.promotion.model import State as PromotionState
from chalicelib.core.share import Share, needed, overdue
from chalicelib.core.share import State as ShareState
from chalicelib.service import deliveries

if TYPE_CHECKING:
    from tests.service.hub import Hub

LIVE = (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING)
LONGEST_STEP = 15 * 60
"""Of the sweep."""
UNCHECKED = (State.REQUESTED, State.CHECKING, State.WAITING)


class Laws:
    """Raises AssertionError, naming the law."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._delivered: dict[str, str] = {}

    # --- at a call ---------------------------------------------------------------------------------------------------

    def watch(self, port: str, method: str, args: tuple[Any, ...]) -> None:
        """Ask before a call takes effect."""
        if port == "target" and method == "start_copy":
            self._copying(args[0], args[1].id)
        elif port == "target" and method == "register":
            self._registering(args[0])
        elif port in ("snapshots", "keys") and method == "open":
            for share in args[1]:
                self._opening(share)
        elif port in ("snapshots", "keys") and method == "close":
            for share in args[1]:
                self._closing(share)

    def _copying(self, asked: Delivery, source: str) -> None:
        record = self._delivery(asked.id)
        intended = [c for c in record.copies if c.source == source and c.state is CopyState.INTENDED]
        assert intended, f"law 3: {source} is copied for {asked.id} without an intent on record"
        live = self._hub.cloud.live_copies(asked.id, source)
        assert not live, f"law 4: {source} is copied for {asked.id} although {live[0].id} is {live[0].state}"

    def _registering(self, asked: Delivery) -> None:
        assert self._delivery(asked.id).register_intended_at, f"law 3: {asked.id} registers without an intent on record"

    def _opening(self, asked: Share) -> None:
        share = self._share(asked)
        account = asked.account
        intended = share.state in (ShareState.OPENING, ShareState.OPEN) and share.generation == asked.generation
        assert intended, f"law 3: {asked.resource} opens to {account}, {share.state} on record"
        assert account in self._hub.cloud.directory.accounts, f"law 8: {asked.resource} opens to the stranger {account}"
        for holder in share.holders:
            delivery = self._delivery(holder.partition(":")[0])
            assert delivery.state not in UNCHECKED, f"law 1: {asked.resource} opens for {holder} while {delivery.state}"

    def _closing(self, asked: Share) -> None:
        share, cloud = self._share(asked), self._hub.cloud
        intended = share.state in (ShareState.CLOSING, ShareState.CLOSED) and share.generation == asked.generation
        assert intended, f"law 3: {asked.resource} closes while {share.state} on record"
        kind, name = asked.resource.split("#")[1:3]
        assert (name, asked.account) not in cloud.foreign, f"law 2: {asked.resource} was open before us"
        for copy in cloud.pending(asked.account):
            uses = copy.source == name if kind == "snapshot" else (copy.key, copy.delivery) == (name, asked.holder_key)
            assert not uses or overdue(share, cloud.now), (
                f"law 1: {asked.resource} closes to {asked.account} under the unfinished {copy.id}"
            )

    # --- after an invocation -----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Ask after every invocation, whether it ended or died."""
        self._shares_are_needed()
        cloud = self._hub.cloud
        assert cloud.foreign <= cloud.permissions, "law 2: a permission that was there before us is gone"
        doubles = Counter((image.source, image.account) for image in cloud.images.values())
        assert not doubles or max(doubles.values()) == 1, f"law 4: two AMIs: {doubles}"
        for key in self._hub.known():
            self._goes_on(key)
        for delivery, image in self._delivered.items():
            assert image in cloud.images, f"law 4: {image}, delivered by {delivery}, is gone"

    def _shares_are_needed(self) -> None:
        cloud = self._hub.cloud
        ledger = [share for resource in self._hub.resources() for share in self._hub.stores.ledger.shares(resource)]
        live = {
            (share.resource.split("#")[2], share.account): share
            for share in ledger
            if share.resource.startswith("resource#snapshot#") and share.state in LIVE
        }
        live_grants = {
            (share.resource.split("#")[2], share.grant_name): share
            for share in ledger
            if share.resource.startswith("resource#key#") and share.state in LIVE
        }
        for place in cloud.permissions - cloud.foreign:
            assert place in live, f"law 1: {place} is open and the ledger does not know"
            self._wanted(live[place])
        for name in cloud.grants:
            assert name in live_grants, f"law 1: the grant {name} is open and the ledger does not know"
            self._wanted(live_grants[name])

    def _wanted(self, share: Share) -> None:
        record = self._hub.stores.seen(Key(share.resource))
        due = None if record is None else record.ring_at
        assert due is not None, f"law 6: {share.resource} has a share that is {share.state}, and nothing is due"
        soon = due <= self._hub.cloud.now + LONGEST_STEP
        assert share.holders or soon or self._held(share.account), f"law 1: {share.resource} stays open for nobody"

    def _held(self, account: str) -> bool:
        """Whether a delivery died while it wrote itself in or out: its own record is due."""
        keys = [self._hub.delivery_key(ami, account) for ami in self._hub.cloud.hub_images]
        found = [self._hub.stores.records.read(key) for key in keys]
        return any(deliveries.parse(stored).held for stored in found if stored is not None)

    def _goes_on(self, key: Key) -> None:
        """Law 6: something is due as long as it has not ended."""
        record = self._hub.stores.seen(key)
        if record is None:
            return
        assert not record.parked, f"parked: {key}: {record.parked}"
        ended = record.state in (PromotionState.OVER, *ENDED) or key.kind in ("destination", "resource")
        assert ended or record.astir, f"law 6: {key} is {record.state}, and nothing is due"
        if key.kind == "delivery" and record.state == State.DELIVERED and key.pk not in self._delivered:
            self._delivered[key.pk] = self._delivery(key.pk.removeprefix("delivery#")).image or "none"

    # --- at rest -----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Ask when nothing more will happen."""
        cloud, hub = self._hub.cloud, self._hub
        assert cloud.permissions == cloud.foreign, f"law 1: left open: {cloud.permissions - cloud.foreign}"
        assert not cloud.grants, f"law 1: grants left: {cloud.grants}"
        assert not hub.lanes.dead, f"dead letters: {hub.lanes.dead}"
        for key in hub.known():
            record = hub.stores.seen(key)
            ended = record is None or record.state in (PromotionState.OVER, *ENDED, "open")
            assert ended, f"law 6: {key} rests in {record and record.state}"
        used = {copy for image in cloud.images.values() for copy in image.copies}
        orphans = [copy for copy in cloud.live_copies() if copy.id not in used]
        assert not orphans, f"law 4: orphans: {orphans}"
        for resource in hub.resources():
            for share in hub.stores.ledger.shares(resource):
                assert not needed(share), f"law 1: {resource} still counts {share}"
        for destination in hub.destinations():
            for slots in hub.stores.slots.asked(destination):
                assert slots.over, f"{destination} still keeps slots: {slots}"

    # --- records -----------------------------------------------------------------------------------------------------

    def _delivery(self, ident: str) -> Delivery:
        stored = self._hub.stores.records.read(addresses.delivery(ident))
        assert stored is not None, f"no delivery {ident}"
        return deliveries.parse(stored)

    def _share(self, asked: Share) -> Share:
        shares = self._hub.stores.ledger.shares(asked.resource)
        found = [share for share in shares if share.holder_key == asked.holder_key]
        assert found, f"law 3: {asked.resource} has no share {asked.holder_key} on record"
        return found[0]


def ids(notices: list[Any], event: str) -> list[str]:
    """Return the ids of the notices of one event, each once."""
    return sorted({notice["id"] for notice in notices if notice["event"] == event})
