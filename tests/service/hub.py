"""The whole service, in memory or on DynamoDB, with everything that wakes it, on a virtual clock."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.adapters.dynamo.records import SHARDS
from chalicelib.adapters.policy_door import PolicyDoor
from chalicelib.core import addresses
from chalicelib.core.addresses import Key
from chalicelib.core.targets import Directory, Target
from chalicelib.inbound import Inbound
from chalicelib.service.bell import Bell
from chalicelib.service.deliveries import Deliveries, DeliveryPorts
from chalicelib.service.destinations import Destinations
from chalicelib.service.discover import Discover
from chalicelib.service.grant_audit import GrantAudit, is_audit
from chalicelib.service.promotions import PromotionPorts, Promotions
from chalicelib.service.settle import Settle
from chalicelib.service.sweep import Sweep
from tests.service.cloud import (
    HUB,
    REGION,
    TRIGGER,
    Cloud,
    Nature,
    Quiet,
    TwinGrantDoor,
    TwinGrants,
    TwinImageDoor,
    TwinKms,
    TwinNotices,
    TwinRoleDoor,
    TwinSnapshotDoor,
    TwinSource,
    TwinTarget,
    TwinTargets,
    target_key,
)
from tests.service.gate import Crash, Duet, Gate, Killed, Trouble
from tests.service.lanes import Lanes, Message
from tests.service.laws import Laws
from tests.service.weather import EARLY, FAIR, Weather
from tests.stores import Stores, in_memory

MINUTE, DISCOVERY = 60, 300
MOMENT = 10
RETRIES = (60, 120)
"""After which Lambda invokes a function again that an event woke and that died."""
MAX_INVOCATIONS = 20_000


@dataclass(frozen=True)
class Parts:
    """What the service is put together from; a mutation replaces one."""

    deliveries: Callable[..., Deliveries] = Deliveries
    promotions: Callable[..., Promotions] = Promotions
    destinations: Callable[..., Destinations] = Destinations
    settle: Callable[..., Settle] = Settle
    sweep: Callable[..., Sweep] = Sweep
    inbound: Callable[..., Inbound] = Inbound
    policy_door: Callable[..., PolicyDoor] = PolicyDoor


@dataclass
class Hub:
    """Made from what is to go wrong; then tagged; then run until nothing more happens."""

    accounts: Sequence[str] = ("200000000001",)
    weather: Weather = FAIR
    nature: Nature = field(default_factory=Nature)
    stores: Stores = field(default_factory=in_memory)
    crashes: list[Crash] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    duets: Sequence[str] = ("alone",)
    """What an invocation runs beside, in turn and round again: "twin" is the same once more, "other" another lane."""
    order: Sequence[bool] = (True,)
    """At which of their calls two invocations hand over to each other, in turn and round again."""
    parts: Parts = field(default_factory=Parts)
    watchful: bool = True
    """Ask the laws after every invocation, and not only at calls and at rest."""
    target: dict[str, Any] = field(default_factory=dict)
    """Settings of every target."""
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        targets = {account: (Target(account, REGION, **self.target),) for account in self.accounts}
        self.cloud = Cloud(Directory({"default": tuple(self.accounts)}, targets), self.nature, self._post)
        self._event_fates = itertools.cycle(self.weather.events)
        self._ring_fates = itertools.cycle(self.weather.rings)
        self._duets = itertools.cycle(self.duets)
        self._order = itertools.cycle(self.order)
        self._discover_at: int | None = None
        self._swept_at = 0
        self.invocations: list[str] = []
        self.lanes = Lanes(self._clock, self._ring_fate)
        self.telemetry = Quiet()
        self.laws = Laws(self)
        self._wire()
        self._discover.run()
        self.gate.crashes, self.gate.troubles, self.gate.watch = self.crashes, self.troubles, self.laws.watch
        self.gate.calls = 0

    def _wire(self) -> None:
        guard, cloud, clock, told = self.gate.guard, self.cloud, self._clock, self.telemetry
        records = guard("records", self.stores.records)
        ledger, children = guard("ledger", self.stores.ledger), guard("children", self.stores.children)
        slots, rings = guard("slots", self.stores.slots), guard("rings", self.lanes)
        source, targets = guard("source", TwinSource(cloud)), guard("targets", TwinTargets(cloud))
        notices = guard("notices", TwinNotices(cloud))
        doors = {
            "snapshot": guard("snapshots", TwinSnapshotDoor(cloud)),
            "image": guard("images", TwinImageDoor(cloud)),
            "key": guard("keys", TwinGrantDoor(cloud)),
            "role": guard("roles", TwinRoleDoor(cloud)),
            "policy": guard("policies", self.parts.policy_door(TwinKms(cloud, guard), ledger, HUB, "hub")),
        }
        bell = Bell(records, rings, clock)
        self.inbound = self.parts.inbound(records, bell, clock, hub=HUB, region=REGION, trigger_tag=TRIGGER)
        self._promotions = self.parts.promotions(
            records,
            bell,
            clock,
            told,
            PromotionPorts(source, targets, children, notices),
            trigger_tag=TRIGGER,
        )
        ports = DeliveryPorts(slots, ledger, children, targets, guard("target", TwinTarget(cloud)), notices)
        self._deliveries = self.parts.deliveries(
            records, bell, clock, told, ports, partition="aws", trigger_tag=TRIGGER
        )
        self._destinations = self.parts.destinations(records, slots, bell, clock, told)
        self._settle = self.parts.settle(records, ledger, doors, targets, bell, clock, told)
        self._grant_audit = GrantAudit(records, ledger, guard("keys", TwinGrants(cloud)), bell, clock, told)
        self._sweep = self.parts.sweep(records, rings, clock, told, SHARDS)
        self._discover = Discover(records, source, targets, children, bell, clock, HUB, REGION)

    # --- what there is -----------------------------------------------------------------------------------------------

    def delivery_key(self, ami: str, account: str) -> Key:
        """Where a delivery is."""
        return addresses.delivery(addresses.delivery_id(HUB, ami, account, REGION))

    def delivery_keys(self) -> list[Key]:
        """Where deliveries may be."""
        return [self.delivery_key(ami, account) for ami in self.cloud.hub_images for account in self.accounts]

    def destinations(self) -> list[Key]:
        """Where destinations may be."""
        return [addresses.destination(account, REGION) for account in self.accounts]

    def resources(self) -> list[str]:
        """Return every shared resource there may be."""
        keys = {facts.get("KmsKeyId") for facts in self.cloud.hub_snapshots.values()} - {None}
        return [
            *(addresses.snapshot_resource(snapshot).pk for snapshot in self.cloud.hub_snapshots),
            *(
                addresses.key_resource(str(key), account).pk
                for key in sorted(map(str, keys))
                for account in self.accounts
            ),
            *(addresses.image_resource(ami).pk for ami in self.cloud.hub_images),
            *(addresses.policy_resource(key).pk for key in sorted(map(str, keys))),
            *(
                addresses.role_resource(key, account).pk
                for account in self.accounts
                for key in (target_key(account), *sorted(map(str, keys)))
            ),
        ]

    def known(self) -> Iterator[Key]:
        """Return every record there may be."""
        yield from map(addresses.promotion, self.cloud.hub_images)
        yield from self.delivery_keys()
        yield from self.destinations()
        yield from map(Key, self.resources())

    def outcomes(self) -> dict[tuple[str, str], str]:
        """Return the state of each delivery that there is, by AMI and account."""
        found = {
            (ami, account): self.stores.seen(self.delivery_key(ami, account))
            for ami in self.cloud.hub_images
            for account in self.accounts
        }
        return {place: seen.state for place, seen in found.items() if seen is not None}

    def faults(self) -> list[str]:
        """Return what the notices complain of."""
        return [
            f"{fault['code']}: {fault['what']}" for notice in self.cloud.notices for fault in notice.get("faults", ())
        ]

    # --- what wakes it -----------------------------------------------------------------------------------------------

    def run(self, until: int | None = None) -> None:
        """Let everything happen that will, up to ``until``, or until nothing more does. Ask the laws all the way."""
        while (step := self._next()) is not None and (until is None or step[0] <= until):
            at, act = step
            self.cloud.now = max(self.cloud.now, at)
            act()
            assert len(self.invocations) < MAX_INVOCATIONS, "law 6: it does not end"
        if until is not None:
            self.cloud.now = until

    def _next(self) -> tuple[int, Callable[[], None]] | None:
        """Return the next thing to happen; of those due at once: AWS's own, rings, the sweep, discovery."""
        options: list[tuple[int, int, Callable[[], None]]] = []
        if self.cloud.to_come:
            options.append((self.cloud.to_come[0][0], 0, self._from_cloud))
        message = self.lanes.next()
        if message is not None:
            options.append((message.visible_at, 1, lambda: self._receive(message)))
        due = self.stores.next_due()
        if due is not None:
            options.append((max(_grid(due, MINUTE), self._swept_at + MINUTE), 2, self._sweep_now))
        if self._discover_at is not None:
            options.append((self._discover_at, 3, self._discover_now))
        if not options:
            return None
        at, _, act = min(options, key=lambda option: option[:2])
        return at, act

    def _invoke(self, name: str, work: Callable[[], None]) -> bool:
        """Run one function once; False if it died."""
        self.invocations.append(name)
        if name != "discover":
            self._discover_at = _grid(self.cloud.now + 1, DISCOVERY)
        try:
            work()
        except Killed:
            died = True
        else:
            died = False
        if self.watchful and self.gate.duet is None:
            self.laws.step()
        return not died

    def _from_cloud(self) -> None:
        heapq.heappop(self.cloud.to_come)[2]()

    def _post(self, event: dict[str, Any]) -> None:
        self._discover_at = _grid(self.cloud.now + 1, DISCOVERY)
        for delay in next(self._event_fates):
            if delay == EARLY:
                self._hear(event, 0)
            else:
                self.cloud.after(delay, lambda: self._hear(event, 0))

    def _hear(self, event: dict[str, Any], attempt: int) -> None:
        heard = self._invoke(f"event {event['detail-type']}", lambda: self._inbound(event))
        if not heard and attempt < len(RETRIES):
            self.cloud.after(RETRIES[attempt], lambda: self._hear(event, attempt + 1))

    def _inbound(self, event: dict[str, Any]) -> None:
        if event["detail-type"] == "Tag Change on Resource":
            self.inbound.tag_change(event)
        elif event["account"] == HUB:
            self.inbound.image_state(event)
        else:
            self.inbound.target_event(event)

    def _receive(self, message: Message) -> None:
        beside = self._beside(message)
        messages = [message] if beside is None or beside is message else [message, beside]

        def work() -> None:
            if beside is None:
                self._act(message)
                return
            self.gate.duet = Duet(self._order)
            try:
                self.gate.duet.play(lambda: self._act(message), lambda: self._act(beside))
            finally:
                self.gate.duet = None

        lived = self._invoke(" beside ".join(f"{one.key} {one.cause}" for one in messages), work)
        for one in messages:
            if lived:
                self.lanes.done(one)
            else:
                self.lanes.dropped(one)

    def _beside(self, message: Message) -> Message | None:
        """Return what runs at the same time. Another lane's message is waited for, if that takes a moment only."""
        match next(self._duets):
            case "twin":
                return message
            case "other":
                other = self.lanes.next(but=message.key.pk)
                if other is not None and other.visible_at <= self.cloud.now + MOMENT:
                    self.cloud.now = max(self.cloud.now, other.visible_at)
                    return other
        return None

    def _act(self, message: Message) -> None:
        key, cause = message.key, message.cause
        match key.kind:
            case "delivery":
                self._deliveries.run(key, cause, time_left=self._time_left())
            case "promotion":
                self._promotions.run(key, cause, time_left=self._time_left())
            case "destination":
                self._destinations.run(key)
            case _ if is_audit(key):
                self._grant_audit.run(key, time_left=self._time_left())
            case _:
                self._settle.run(key, time_left=self._time_left())

    def _sweep_now(self) -> None:
        self._swept_at = self.cloud.now
        self._invoke("sweep", lambda: self._sweep.run(time_left=self._time_left()))

    def _discover_now(self) -> None:
        self._discover_at = None
        if not self._invoke("discover", self._discover.run):
            self._discover_at = self.cloud.now + DISCOVERY

    # --- small parts -------------------------------------------------------------------------------------------------

    def _clock(self) -> int:
        return self.cloud.now

    def _time_left(self) -> Callable[[], int]:
        left = itertools.count(30, -self.weather.hurry)
        return lambda: next(left)

    def _ring_fate(self, cause: str) -> tuple[int, ...]:
        """The sweep's own rings are taken as certain: it would ring again, later and later."""
        return (0,) if cause.startswith("sweep:") else next(self._ring_fates)


def _grid(at: int, step: int) -> int:
    return -(-at // step) * step
