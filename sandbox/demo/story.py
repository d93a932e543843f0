"""What happens, as an onlooker sees it: told from the AWS calls that pass the gateway, and from EC2's copies.

Nothing of the service is asked or imported. States of deliveries are read off the history entries that the service
writes with each change (table layout: docs of the records), so each is known to the very call that made it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox import stage

if TYPE_CHECKING:
    from sandbox.api import Call
    from sandbox.demo.scene import Scene
    from sandbox.functions import Invocation
    from sandbox.services.ec2.facts import CopyProgress

TELLING = frozenset(
    {
        "CopySnapshot",
        "CreateGrant",
        "DeleteSnapshot",
        "DeregisterImage",
        "ModifySnapshotAttribute",
        "RegisterImage",
        "RevokeGrant",
    }
)
"""Calls that change something a person would want to know of."""
ENDS = frozenset({"delivered", "failed", "cancelled"})
QUARTER = 25
BLINK = timedelta(seconds=1)
"""Copies are looked at no more often: with hundreds of them each look takes a while."""
BUSY = 20
"""So many of the latest invocations are asked whether they run still."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. ``who`` is an account's name; ``tone`` is news, good, bad, faint, or progress."""

    at: datetime
    who: str
    text: str
    tone: str = "news"


@dataclass(slots=True)
class Delivery:
    """One delivery so far."""

    id: str
    account: str
    entered: list[tuple[str, datetime]] = field(default_factory=list)
    """Each state it came into, and when; never the same twice in a row."""
    image: str = ""

    @property
    def state(self) -> str:
        """The state it is in."""
        return self.entered[-1][0]

    @property
    def seconds(self) -> Counter[str]:
        """Virtual seconds in each state it has left."""
        spent: Counter[str] = Counter()
        for (state, since), (_, until) in zip(self.entered, self.entered[1:], strict=False):
            spent[state] += (until - since).total_seconds()  # type: ignore[assignment]  # a Counter counts anything
        return spent


class Story:
    """Listens from when it is made. :meth:`look` is for ``kernel.run(until=...)``: whether there is news."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.began = scene.world.now
        self.deliveries: dict[str, Delivery] = {}
        """Account -> delivery."""
        self.happenings: list[Happening] = []
        self.over = False
        """Whether the promotion says that it is over."""
        self._by_id: dict[str, Delivery] = {}
        self._told = 0
        self._looked = scene.world.now
        self._copies: dict[str, tuple[str, int]] = {}
        self._grants: dict[str, str] = {}
        self._running: list[Invocation] = []
        self._seen = self._before_us = len(scene.world.lambda_.invocations)
        scene.world.gateway.after.insert(0, self._hear)  # before the faults, which may kill the caller there

    def look(self) -> bool:
        """Look around; whether anything has happened since :meth:`news` was asked."""
        if self.scene.world.now >= self._looked + BLINK:
            self._looked = self.scene.world.now
            self._watch_copies()
        self._watch_invocations()
        return len(self.happenings) > self._told

    def news(self) -> list[Happening]:
        """Return what has happened since this was last asked."""
        fresh = self.happenings[self._told :]
        self._told = len(self.happenings)
        return fresh

    def copies_in(self, account: str) -> dict[str, CopyProgress]:
        """Source snapshot -> its latest copy in an account."""
        return {one.source: one for one in self.scene.world.ec2.progress() if one.account == account}

    @property
    def settled(self) -> bool:
        """Whether nothing moves any more: the promotion over, no share open, no ring under way, no function running."""
        if not self.over:
            return False
        world = self.scene.world
        rings = any(queue.messages for queue in world.sqs.queues.values() if "-dead" not in queue.name)
        return not rings and not world.shares_open() and all(one.done for one in world.lambda_.invocations[-BUSY:])

    @property
    def invocations(self) -> list[Invocation]:
        """All invocations since the story began."""
        return self.scene.world.lambda_.invocations[self._before_us :]

    @property
    def calls(self) -> list[Call]:
        """All AWS calls since the story began that the service made, in the hub and in targets."""
        return [call for call in self.scene.world.calls if call.caller.function and call.at >= self.began]

    def tell(self, who: str, text: str, tone: str = "news") -> None:
        """Add a happening of now."""
        self.happenings.append(Happening(self.scene.world.now, who, text, tone))

    def _name(self, account: str) -> str:
        return self.scene.names.get(account, account)

    def _hear(self, call: Call) -> None:
        if call.caller.function is None:
            return
        if call.operation in TELLING:
            if call.error:
                self.tell(self._name(call.caller.account), f"{call.operation} is refused: {call.error}", "bad")
            else:
                getattr(self, f"_{call.operation}")(call)
        elif call.error is None and call.service == "dynamodb":
            self._record(call)
        elif call.error is None and call.operation == "Publish":
            body = json.loads(call.params["Message"])
            if "account" not in body:
                self.tell("hub", f"notice to all: {body['event']}", "good" if body["outcome"] == "delivered" else "bad")

    # --- records ---

    def _record(self, call: Call) -> None:
        writes = [entry.get("Put", {}) for entry in call.params.get("TransactItems", ())]
        if call.operation == "PutItem":
            writes.append(call.params)
        for item in (_plain(write["Item"]) for write in writes if "Item" in write):
            if item.get("kind") == "delivery":
                body = json.loads(item["body"])
                account = body["target"]["account"]
                self.deliveries[account] = self._by_id[body["id"]] = Delivery(body["id"], account)
                self._enter(self.deliveries[account], item["state"])
            elif item["sk"].startswith("history#"):
                self._history(item)

    def _history(self, item: Mapping[str, Any]) -> None:
        kind, _, name = item["pk"].partition("#")
        if kind == "promotion" and item["state"] == "over" and name == self.scene.stage.image:
            self.over = True
        if kind == "delivery" and name in self._by_id:
            self._enter(self._by_id[name], item["state"])

    def _enter(self, delivery: Delivery, state: str) -> None:
        if delivery.entered and delivery.state == state:
            return
        first = not delivery.entered
        delivery.entered.append((state, self.scene.world.now))
        tone = "faint" if state not in ENDS else "good" if state == "delivered" else "bad"
        text = f"a delivery, {state}" if first else state
        if state == "delivered":
            text = f"delivered: {delivery.image}"
        self.tell(self._name(delivery.account), text, tone)

    # --- calls ---

    def _CopySnapshot(self, call: Call) -> None:  # noqa: N802 - as AWS calls it
        source, copy = call.params["SourceSnapshotId"], call.result["SnapshotId"]
        self.tell(self._name(call.caller.account), f"copies {_short(source)} to {_short(copy)}")

    def _DeleteSnapshot(self, call: Call) -> None:  # noqa: N802
        self.tell(self._name(call.caller.account), f"deletes {_short(call.params['SnapshotId'])}", "faint")

    def _RegisterImage(self, call: Call) -> None:  # noqa: N802
        account, image = call.caller.account, call.result["ImageId"]
        if account in self.deliveries:
            self.deliveries[account].image = image
        self.tell(self._name(account), f"registers {image}")

    def _DeregisterImage(self, call: Call) -> None:  # noqa: N802
        self.tell(self._name(call.caller.account), f"deregisters {call.params['ImageId']}", "bad")

    def _ModifySnapshotAttribute(self, call: Call) -> None:  # noqa: N802
        adds = call.params.get("OperationType") == "add"
        who = ", ".join(self._name(account) for account in call.params.get("UserIds", ()))
        snapshot = _short(call.params["SnapshotId"])
        self.tell("hub", f"shares {snapshot} with {who}" if adds else f"no longer shares {snapshot} with {who}")

    def _CreateGrant(self, call: Call) -> None:  # noqa: N802
        if call.caller.account != stage.HUB:
            return
        account = call.params["GranteePrincipal"].split(":")[4]
        self._grants[call.result["GrantId"]] = self._name(account)
        self.tell("hub", f"lets {self._name(account)} use its key")

    def _RevokeGrant(self, call: Call) -> None:  # noqa: N802
        who = self._grants.get(call.params["GrantId"], "somebody")
        self.tell("hub", f"no longer lets {who} use its key")

    # --- what happens by itself ---

    def _watch_copies(self) -> None:
        for one in self.scene.world.ec2.progress():
            quarter = one.percent // QUARTER
            if self._copies.get(one.snapshot) == (one.state, quarter):
                continue
            before = self._copies.get(one.snapshot)
            self._copies[one.snapshot] = (one.state, quarter)
            who, what = self._name(one.account), f"{_short(one.source)}, {one.size} GiB"
            if one.state == "error":
                found = self.scene.world.ec2.state.snapshots.get(one.snapshot)
                why = found.state_message if found else ""
                self.tell(who, f"copy of {what}: error, {why}", "bad")
            elif one.state == "completed":
                self.tell(who, f"copy of {what}: completed", "good")
            elif before is not None:
                self.tell(who, f"copy of {what}: {one.percent} %", "progress")

    def _watch_invocations(self) -> None:
        invocations = self.scene.world.lambda_.invocations
        running = [*self._running, *invocations[self._seen :]]
        self._seen = len(invocations)
        self._running = [one for one in running if not one.done]
        for one in running:
            if one.done and one.outcome != "ok":
                name = one.function.rsplit(f"{stage.REGION}-", 1)[-1]
                self.tell("hub", f"{name} {_died(one)}", "bad")


def _died(invocation: Invocation) -> str:
    if invocation.outcome == "crashed":
        return f"is killed: {invocation.error}"
    return f"fails: {invocation.error.splitlines()[0] if invocation.error else invocation.outcome}"


def _plain(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Drop DynamoDB's type names: {"S": "a"} is "a"."""
    return {name: next(iter(value.values())) for name, value in item.items()}


def _short(resource: str) -> str:
    """Cut an id for a line that is read in passing: snap-0544a6e6."""
    kind, _, number = resource.partition("-")
    return f"{kind}-{number[:8]}"
