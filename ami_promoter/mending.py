"""Puts right what ``reconcile`` found, by notes on records and by the ledger's entries. The functions change AWS.

Each mend reads what it changes once more, and leaves alone what has moved on meanwhile. Each may be repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace

from ami_promoter.aws import Connection
from ami_promoter.findings import EndChild, Know, LetGo, Mend, Remove, Reopen, Wake, holds
from ami_promoter.looking import POLL, Place
from ami_promoter.records import Reader
from chalicelib.adapters.dynamo.children import DynamoChildren
from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import addresses, pace
from chalicelib.core.addresses import Key
from chalicelib.core.census import REMOVE
from chalicelib.core.delivery.model import ENDED
from chalicelib.core.share import Holding, Share, State
from chalicelib.ports import Write

BY = "ami-promoter reconcile"
MOVED_ON = "left alone: it has moved on meanwhile"
PUT_RIGHT_END = 2 * pace.HOUR
"""The last hour of a share that is put into the ledger; a holder that comes moves it on."""


class Mender:
    """Mends in one hub; ``run`` names the run, so that repeating it is harmless."""

    def __init__(self, connection: Connection, run: str, patience: int) -> None:
        self._connection = connection
        self._run = run
        self._patience = patience
        self._reader = Reader(connection)
        self._table = Table(connection.dynamodb, connection.table)
        self._records = DynamoRecords(self._table)
        self._ledger = DynamoLedger(self._table)
        self._children = DynamoChildren(self._table)

    def mend(self, mend: Mend) -> str:
        """Carry out one; returns what came of it. Removals are gathered: see ``remove``. May raise Trouble."""
        with self._connection.telling("putting things right (run again, it goes on where it stopped)"):
            match mend:
                case Wake(pk):
                    self.wake(pk)
                    return "done"
                case Know():
                    return self._know(mend)
                case Reopen(resource, holder_key, version):
                    return self._reopen(resource, holder_key, version)
                case LetGo(resource, holder_key, holding):
                    return self._let_go(resource, holder_key, holding)
                case EndChild(ami, delivery):
                    return self._end_child(ami, delivery)
                case Remove():
                    return "not done"

    def wake(self, pk: str) -> None:
        """Make a record due within a minute, whatever it waits for; a resource's is made if it is lost."""
        now = int(time.time())
        if pk.startswith("resource#"):
            self._records.create(Write(Key(pk), "open", {"resource": pk}, now), now)
        self._records.note(Key(pk), {"reconcile": self._run}, now)

    def _share(self, resource: str, holder_key: str) -> Share | None:
        return next((s for s in self._ledger.shares(resource) if s.holder_key == holder_key), None)

    def _know(self, mend: Know) -> str:
        now = int(time.time())
        before = self._share(mend.resource, mend.holder_key)
        if before is None:
            before = Share(
                mend.resource, mend.holder_key, mend.account, mend.grantee, hard_close_at=now + PUT_RIGHT_END
            )
        if before.version != mend.version:
            return MOVED_ON
        known = replace(
            before,
            state=State.OPEN,
            grant_id=mend.grant_id,
            grantee=before.grantee or mend.grantee,
            preexisting=False,
            seen_at=None,
            intended_at=mend.intended_at or now,
            opened_at=now,
            closed_at=None,
            closed_blind=False,
            fault=None,
            notified=frozenset(),
            tries=0,
            next_try=now + mend.wait,
        )
        if not self._ledger.put_right(known, f"found open, and ours ({BY})", now):
            return MOVED_ON
        self.wake(mend.resource)
        return "done"

    def _reopen(self, resource: str, holder_key: str, version: int) -> str:
        now = int(time.time())
        before = self._share(resource, holder_key)
        if before is None or before.version != version or before.state is not State.OPEN:
            return MOVED_ON
        gone = replace(before, state=State.CLOSED, closed_at=now, notified=frozenset(), tries=0, next_try=now)
        if not self._ledger.put_right(gone, f"found closed ({BY})", now):
            return MOVED_ON
        self.wake(resource)
        return "done"

    def _let_go(self, resource: str, holder_key: str, holding: Holding) -> str:
        place = (addresses.delivery(holding.delivery).pk, "record")
        if holds(resource, holding, self._reader.many([place]).get(place)):
            return MOVED_ON
        self._ledger.release(resource, holder_key, holding)
        self.wake(resource)
        return "done"

    def _end_child(self, ami: str, delivery: str) -> str:
        child = next((one for one in self._children.all(ami) if one.delivery == delivery), None)
        place = (addresses.delivery(delivery).pk, "record")
        record = self._reader.many([place]).get(place)
        state = "failed" if record is None else str(record["_item"].get("state"))
        if child is None or child.state != "running" or state not in ENDED:
            return MOVED_ON
        image = str(record.get("image") or "") if record is not None and state == "delivered" else ""
        self._children.end(ami, replace(child, state=state, image=image))
        self._records.note(addresses.promotion(ami), {"ended": f"reconcile:{self._run}"}, int(time.time()))
        return "done"

    def remove(self, orders: Sequence[Remove]) -> dict[Remove, str]:
        """Let `act` delete these copies, and wait for what came of each."""
        places: dict[Place, list[Remove]] = {}
        for order in orders:
            places.setdefault((order.account, order.region), []).append(order)
        results: dict[Remove, str] = dict.fromkeys(orders, "asked for; not answered yet: run it again later")
        with self._connection.telling("asking for copies to be deleted"):
            for place, some in places.items():
                key = addresses.census(*place)
                body = json.dumps([{"snapshot": one.snapshot, "delivery": one.delivery} for one in some])
                self._records.put(addresses.census_order(key, self._run), {"kind": "order", "body": body})
                self._records.note(key, {REMOVE: self._run}, int(time.time()))
        until = time.time() + self._patience
        waiting = dict(places)
        while waiting and time.time() < until:
            for place, some in list(waiting.items()):
                if (answers := self._answers(place)) is not None:
                    results |= {one: _outcome(answers.get(one.snapshot)) for one in some}
                    del waiting[place]
            if waiting:
                time.sleep(POLL)
        return results

    def _answers(self, place: Place) -> dict[str, str] | None:
        with self._connection.telling("reading what became of copies"):
            item = self._table.get(addresses.census_order(addresses.census(*place), self._run))
        order = json.loads(item["body"]) if item else []
        done = {one["snapshot"]: one["result"] for one in order if "result" in one}
        return done if len(done) == len(order) else None


def _outcome(result: str | None) -> str:
    return "done" if result == "" else f"not done: {result or 'no answer'}"
