"""Repairs what ``reconcile`` found. It writes inbox entries and ledger items; the functions then change AWS.

Each repair first reads what it changes once more, and changes nothing if that has changed. You can repeat each repair.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ami_promoter.hub.applied_targets import Receivers, in_force
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, RecordSeen
from ami_promoter.reconcile.inventories import POLL
from ami_promoter.reconcile.repair_data import (
    EndTracked,
    MakeDue,
    RecordOpen,
    ReleaseHolding,
    Remove,
    Reopen,
    Repair,
    Withdraw,
)
from ami_promoter.reconcile.share_findings import alive, holds
from ami_promoter.verbs import TerminalClock
from chalicelib.delivery.model import ENDED, Delivery, DeliveryState, EndRequest
from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries
from chalicelib.delivery.tracked import RUNNING
from chalicelib.engine import addresses, codec, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import slices
from chalicelib.engine.places import Place
from chalicelib.engine.ports import Write
from chalicelib.engine.store.table import EXPIRES
from chalicelib.inventory.machine import REMOVE
from chalicelib.sharing.share import Holding, Share, ShareState
from chalicelib.sharing.store.ledger import DynamoLedger

BY = "ami-promoter admin reconcile"
MOVED_ON = "not changed: it has changed since it was read"
SLICE = 200
"""Number of removals in one item: about 20 KB, which the worker writes again after each removal."""
ORDER_KEPT = 30 * schedule.DAY
"""Seconds after which DynamoDB may delete an order and its results."""
PUT_RIGHT_END = 2 * schedule.HOUR
"""A share that is added to the ledger closes after this time at the latest; a new holder postpones that."""


class Repairs:
    """Repairs in one hub. ``run``: id of this run, which makes a repeated request harmless. ``clock``: for waiting."""

    def __init__(self, connection: Connection, run: str, patience: int, clock: TerminalClock | None = None) -> None:
        self._connection = connection
        self._clock = clock or TerminalClock()
        self._run = run
        self._patience = patience
        self._reader = Reader(connection, "repairing (run the command again; it continues where it stopped)")
        self._records = connection.records
        self._ledger = DynamoLedger(connection.record_items)
        self._tracked = DynamoTrackedDeliveries(connection.record_items)

    def _now(self) -> int:
        return int(self._connection.now())

    def repair(self, repair: Repair) -> str:
        """Make one repair and return its result; ``remove`` makes removals. May raise HubError."""
        with self._connection.telling("repairing (run the command again; it continues where it stopped)"):
            match repair:
                case MakeDue(pk):
                    self.wake(pk)
                    return "done"
                case RecordOpen():
                    return self._record_open(repair)
                case Reopen(share):
                    return self._reopen(share)
                case ReleaseHolding(resource, share_name, holding):
                    return self._release_holding(resource, share_name, holding)
                case Withdraw():
                    return self._withdraw(repair)
                case EndTracked(ami, delivery):
                    return self._end_tracked(ami, delivery)
                case Remove():
                    return "not done"

    def wake(self, pk: str) -> None:
        """Make a record due within a minute, even if it waits; create a resource's record if it is lost."""
        now = self._now()
        if pk.startswith("resource#"):
            self._records.create(Write(RecordKey(pk), "open", {"resource": pk}, now), now)
        self._records.make_due(RecordKey(pk), now)

    def _share(self, resource: str, share_name: str) -> Share | None:
        return next((s for s in self._ledger.shares(resource) if s.share_name == share_name), None)

    def _delivery(self, ident: str) -> RecordSeen[Delivery] | None:
        return self._reader.deliveries([ident]).get(ident)

    def _record_open(self, repair: RecordOpen) -> str:
        now = self._now()
        before = self._share(repair.resource, repair.share_name)
        if before is None:
            before = Share(
                repair.resource, repair.share_name, repair.account, repair.grantee, last_closing_at=now + PUT_RIGHT_END
            )
        if before.version != repair.version:
            return MOVED_ON
        known = replace(
            before,
            state=ShareState.OPEN,
            grant_id=repair.grant_id,
            grantee=before.grantee or repair.grantee,
            preexisting=False,
            seen_at=None,
            intended_at=repair.intended_at or now,
            opened_at=now,
            closed_at=None,
            closed_blind=False,
            fault=None,
            answered=before.asked,
            tries=0,
            next_try=now + repair.wait,
        )
        return self._put_right(known, "found open; the service opened it")

    def _reopen(self, share: Share) -> str:
        now = self._now()
        before = self._share(share.resource, share.share_name)
        if before is None or before.version != share.version or before.state is not ShareState.OPEN:
            return MOVED_ON
        gone = replace(before, state=ShareState.CLOSED, closed_at=now, tries=0, next_try=now)
        return self._put_right(gone, "found closed")

    def _put_right(self, share: Share, what: str) -> str:
        if not self._ledger.put_right(share, f"{what} ({BY})", self._now()):
            return MOVED_ON
        self.wake(share.resource)
        return "done"

    def _release_holding(self, resource: str, share_name: str, holding: Holding) -> str:
        if holds(resource, holding, self._delivery(holding.delivery)):
            return MOVED_ON
        self._ledger.release(resource, share_name, holding)
        self.wake(resource)
        return "done"

    def _withdraw(self, repair: Withdraw) -> str:
        """End the receiver's shares, unless the applied file contains the receiver now."""
        receivers = in_force(self._connection)
        if receivers.contain(repair.receiver) is not False:
            return MOVED_ON
        for share in repair.shares:
            for holding in share.holdings:
                self._end(share, holding, receivers)
        for resource in sorted({share.resource for share in repair.shares}):
            self.wake(resource)
        return "done"

    def _end(self, share: Share, holding: Holding, receivers: Receivers) -> None:
        """Cancel a delivery that holds a share; if the file contains its account, only remove its holding."""
        key = addresses.delivery(holding.delivery)
        record = self._delivery(holding.delivery)
        goes_on = record is not None and receivers.contain(record.it.target.account)
        if goes_on or not alive(record, holding.episode):
            self._ledger.release(share.resource, share.share_name, holding)
        else:
            request = EndRequest(holding.episode, "reconcile", f"{self._connection.caller} ended it by reconcile.")
            self._records.make_due(key, self._now(), {"cancel": str(request)})

    def _end_tracked(self, ami: str, delivery: str) -> str:
        entry = next((one for one in self._tracked.all(ami) if one.delivery == delivery), None)
        record = self._delivery(delivery)
        state = DeliveryState.FAILED if record is None else record.state
        if entry is None or entry.state != RUNNING or state not in ENDED:
            return MOVED_ON
        over = replace(entry, state=state, image="")
        if record is not None:  # of a damaged one the state beside the body counts
            known = replace(record.it, ending=None if state == DeliveryState.DELIVERED else DeliveryState(state))
            over = entry.ended(known, known.entered.get(state, self._now()))
        self._tracked.end(ami, over)
        self._records.make_due(addresses.promotion(ami), self._now())
        return "done"

    def remove(self, orders: Sequence[Remove]) -> dict[Remove, str]:
        """Ask `worker` to delete these copies, and wait for the results until no more come."""
        places: dict[Place, list[Remove]] = {}
        for order in orders:
            places.setdefault(Place(order.account, order.region), []).append(order)
        results: dict[Remove, str] = dict.fromkeys(orders, "asked for; not answered yet: run the command again later")
        with self._connection.telling("asking for copies to be deleted"):
            for place, some in places.items():
                self._order(place, some)
        waiting, until, answered = dict(places), self._clock.now() + self._patience, 0
        while waiting and self._clock.now() < until:
            answers = {place: self._answers(place, len(some)) for place, some in waiting.items()}
            for place, found in answers.items():
                results |= {one: _outcome(found[one.snapshot]) for one in waiting[place] if one.snapshot in found}
            waiting = {place: some for place, some in waiting.items() if len(answers[place]) < len(some)}
            if (now := sum("not answered" not in result for result in results.values())) > answered:
                answered, until = now, self._clock.now() + self._patience
            if waiting:
                self._order_again(waiting)
                self._clock.sleep(POLL)
        return results

    def _order_again(self, places: Iterable[Place]) -> None:
        """Ask again if another command's order has replaced this one and is done."""
        keys = {addresses.inventory(*place): place for place in places}
        for key, record in self._reader.many(keys).items():
            asked = record.it.inbox.get(REMOVE)
            if asked not in (None, self._run) and record.it.removed == asked:
                self._records.make_due(key, self._now(), {REMOVE: self._run})

    def _order(self, place: Place, some: Sequence[Remove]) -> None:
        """Write the order beside the target's inventory, in parts that fit into an item, and then make it due."""
        key = addresses.inventory(*place)
        pieces = list(slices(some, SLICE))
        for number, piece in enumerate(pieces):
            body = json.dumps([{"snapshot": one.snapshot, "delivery": one.delivery} for one in piece])
            item = {"kind": "order", "slices": len(pieces), "body": body, EXPIRES: self._now() + ORDER_KEPT}
            self._records.put(addresses.inventory_order(key, self._run, number), item)
        self._records.make_due(key, self._now(), {REMOVE: self._run})

    def _answers(self, place: Place, ordered: int) -> dict[str, str]:
        """Read the results of the removals so far."""
        key = addresses.inventory(*place)
        numbers = range(-(-ordered // SLICE))
        items = self._reader.all(addresses.inventory_order(key, self._run, number) for number in numbers)
        order = [one for item in items for one in codec.parsed_json(item["body"])]
        return {one["snapshot"]: one["result"] for one in order if "result" in one}


def _outcome(result: str | None) -> str:
    return "done" if result == "" else f"not done: {result or 'no answer'}"
