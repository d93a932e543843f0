"""The whole service, in memory or on DynamoDB, with everything that invokes it, on a virtual clock."""

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Self

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.worker.begun_deliveries import RecordedDeliveries
from chalicelib.delivery.worker.copy_quotas import CopyQuotas
from chalicelib.delivery.worker.deliveries import DeliveryExecutor, delivery_machine
from chalicelib.delivery.worker.live_approvals import LiveApprovals
from chalicelib.delivery.worker.live_waves import LiveWaves
from chalicelib.delivery.worker.share_waiters import WaitingDeliveries
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import ParkRecord, Unreadable
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.engine.runner import Runner
from chalicelib.engine.schedule import DAY
from chalicelib.engine.store.records import SHARDS
from chalicelib.engine.stored import peek
from chalicelib.engine.sweep import Sweep
from chalicelib.engine.waker import Waker
from chalicelib.entry.events import Events
from chalicelib.entry.queue_consumer import SHARE_WORKER_KINDS, WORKER_KINDS, QueueConsumer
from chalicelib.images.arriving import ExaminedSource
from chalicelib.images.source_images import source_image
from chalicelib.promotion import evolving
from chalicelib.promotion.codec import PROMOTIONS, last_source, new_promotion, waves_of
from chalicelib.promotion.machine import RECALL, WITHDRAW
from chalicelib.promotion.worker.discover import Discover
from chalicelib.promotion.worker.own_notices import OwnNotices
from chalicelib.promotion.worker.promotions import PROMOTION_MACHINE, PromotionExecutor
from chalicelib.promotion.worker.standing_pass import WITHDRAWN_AT, StandingPass
from chalicelib.promotion.worker.tag_pass import TagPass
from chalicelib.promotion.worker.trigger_tag_check import TriggerTagCheck
from chalicelib.release.codec import POINTERS
from chalicelib.release.worker.pointers import POINTER_MACHINE, PointerExecutor, RecordedPointers
from chalicelib.sharing.aws.key_policies import PolicyStatements
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.sharing.worker.grant_audit import GrantAudit
from chalicelib.sharing.worker.share_worker import ShareWorker
from chalicelib.targets import approvals
from chalicelib.targets.applied_file import AppliedFile, Directory, Target
from chalicelib.targets.approvals import Approval
from chalicelib.targets.recalls import Recall
from chalicelib.targets.withdrawals import Withdrawal
from chalicelib.targets.worker.live_members import LiveMembers
from tests.invariants import STALEST
from tests.service.arrivals import ALL_ON_TIME, EARLY, Arrivals
from tests.service.cloud import (
    HUB,
    REGION,
    TRIGGER,
    Cloud,
    CloudBehavior,
    FakeGrantListing,
    FakeKeyGrants,
    FakeKms,
    FakeLaunchPermissions,
    FakeNotices,
    FakeParameters,
    FakeRoleGrants,
    FakeSnapshotPermissions,
    FakeSource,
    FakeTargetImages,
    FakeTargetInstances,
    FakeTargetKeys,
    FakeTargetRoles,
    FakeTargets,
    FakeTargetSnapshots,
    FakeWhereabouts,
    Quiet,
    tags_of,
    target_key,
)
from tests.service.gate import Gate, PortCrash, PortTrouble, ProcessKilled, TwoInvocations
from tests.service.groups import MessageGroups, WakeMessage
from tests.service.invariants import Invariants
from tests.stores import Stores, in_memory

MINUTE, DISCOVERY = 60, 300
APPROVER = "arn:aws:iam::111111111111:user/approver"
OPERATOR = "arn:aws:iam::111111111111:user/operator"
MOMENT = 10
UNSEEN = 2 * DISCOVERY
"""Seconds for which a tag may have a value that no look shows, if its event is lost."""
RETRIES = (60, 120)
"""Seconds after which Lambda invokes a function again that was killed while it handled an event."""


class NoMembers:
    """Stands in for ``Members``: this hub's file names no OU. ``tests/service/organization.py`` has the real one."""

    def run(self, *, time_left):
        """See ``Members``."""


class NoVersions:
    """People are notified of the applied file's versions elsewhere (``test_applied_versions.py``)."""

    def look(self):
        """Find nothing."""


@dataclass
class Hub:
    """A hub with its fault injections. Tag an AMI, then ``run`` until nothing more happens."""

    accounts: Sequence[str] = ("200000000001",)
    arrivals: Arrivals = ALL_ON_TIME
    behavior: CloudBehavior = field(default_factory=CloudBehavior)
    stores: Stores = field(default_factory=in_memory)
    crashes: list[PortCrash] = field(default_factory=list)
    troubles: list[PortTrouble] = field(default_factory=list)
    pairings: Sequence[str] = ("alone",)
    """What an invocation runs beside, in turn: "twin" is the same message again, "other" another message group."""
    order: Sequence[bool] = (True,)
    """At which of their calls two invocations hand over to each other; the list is used in turn and starts over."""
    watchful: bool = True
    """Check the invariants after every invocation, and not only at calls and at rest."""
    most_invocations: int = 20_000
    """More are taken for a loop that does not end."""
    target: dict[str, Any] = field(default_factory=dict)
    """Settings of every target."""
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        targets = {account: (Target(account, REGION, **self.target),) for account in self.accounts}
        self.cloud = Cloud(Directory({"default": tuple(self.accounts)}, targets), self.behavior, self._post)
        self._file = AppliedFile(self.cloud.directory)
        self._event_fates = itertools.cycle(self.arrivals.events)
        self._wake_fates = itertools.cycle(self.arrivals.wakes)
        self._nonces = itertools.count(1)
        self._pairings = itertools.cycle(self.pairings)
        self._order = itertools.cycle(self.order)
        self._discover_at: int | None = None
        self._swept_at = 0
        self._killed: tuple[str, ...] = ()
        self._resources: tuple[tuple[Any, ...], list[str]] = (), []
        self.invocations: list[str] = []
        self.out: set[tuple[str, str]] = set()
        """AMI and account that an operator has withdrawn since the AMI was tagged."""
        self.groups = MessageGroups(self._clock, self._wake_fate)
        self.telemetry = Quiet()
        self.invariants = Invariants(self)
        self._wire()
        self.discover()
        self.gate.crashes, self.gate.troubles, self.gate.watch = self.crashes, self.troubles, self.invariants.watch
        self.gate.calls = 0

    def _wire(self) -> None:
        guard, cloud, clock, reported = self.gate.guard, self.cloud, self._clock, self.telemetry
        records = guard("records", self.stores.records)
        ledger, tracked = guard("ledger", self.stores.ledger), guard("tracked", self.stores.tracked)
        slots, wakes = guard("slots", self.stores.slots), guard("wakes", self.groups)
        source = guard("source", FakeSource(cloud, TriggerTagCheck(self.stores.records, TRIGGER)))
        targets = guard("targets", FakeTargets(cloud))
        notices = guard("notices", FakeNotices(cloud))
        adapters = {
            "snapshot": guard("snapshots", FakeSnapshotPermissions(cloud)),
            "image": guard("images", FakeLaunchPermissions(cloud)),
            "key": guard("keys", FakeKeyGrants(cloud)),
            "role": guard("roles", FakeRoleGrants(cloud)),
            "policy": guard("policies", PolicyStatements(FakeKms(cloud, guard), ledger, HUB, REGION)),
        }
        waker = Waker(records, wakes, clock)
        self.hears = Events(records, wakes, hub=HUB, region=REGION, trigger_tag=TRIGGER)
        kinds = *WORKER_KINDS, *SHARE_WORKER_KINDS
        ports = self, records, clock, reported
        self._worker = QueueConsumer(*ports, kinds, lambda ami: new_promotion(ami, HUB, REGION, clock()))
        loop = (records, waker, clock, reported)
        self.whereabouts = FakeWhereabouts(cloud)
        asks = guard("organization", self.whereabouts)
        members = LiveMembers(lambda _named: asks, clock)
        ports = records, RecordedDeliveries(records), source, targets
        entitlements = LiveEntitlements(*ports, members, clock, Place(HUB, REGION))
        self.approvals = LiveApprovals(records, entitlements, targets, clock, partial(last_source, records))
        beside = source, targets, tracked, ledger, notices, self.approvals
        executor = PromotionExecutor(records, waker, clock, *beside, trigger_tag=TRIGGER)
        self.promotions = Runner(PROMOTION_MACHINE, executor, PROMOTIONS, *loop)
        target = (
            guard("target.snapshots", FakeTargetSnapshots(cloud)),
            guard("target.images", FakeTargetImages(cloud)),
            guard("target.instances", FakeTargetInstances(cloud)),
            guard("target.keys", FakeTargetKeys(cloud)),
            guard("target.roles", FakeTargetRoles(cloud)),
        )
        pointers = RecordedPointers(records, waker, clock)
        waves = LiveWaves(targets, self.approvals, clock, partial(waves_of, records))
        beside = slots, ledger, tracked, targets, *target, notices, self.approvals, waves, pointers
        named = {"partition": "aws", "region": REGION, "trigger_tag": TRIGGER}
        self.deliveries = Runner(
            delivery_machine(self._draw),
            DeliveryExecutor(records, waker, clock, *beside, **named),
            DELIVERIES,
            *loop,
        )
        parameters = guard("target.parameters", FakeParameters(cloud))
        pointer_executor = PointerExecutor(records, waker, parameters, targets, clock)
        self.pointers = Runner(POINTER_MACHINE, pointer_executor, POINTERS, *loop)
        self.copy_quotas = CopyQuotas(records, slots, waker, clock, reported)
        waiters = WaitingDeliveries(records, ledger, waker)
        self.share_worker = ShareWorker(records, ledger, adapters, entitlements, waiters, waker, reported)
        grants = guard("keys", FakeGrantListing(cloud))
        self.grant_audit = GrantAudit(records, ledger, grants, waker, clock, reported, HUB, REGION)
        self._sweep = Sweep(records, wakes, clock, reported, SHARDS)
        tags = TagPass(records, targets, waker, clock, HUB, REGION)
        standing = StandingPass(records, ledger, source, targets, tracked, waker, clock, reported, HUB)
        self._discover = Discover(records, source, (tags, standing, NoMembers()), NoVersions(), clock, reported)
        self.own_notices = OwnNotices(records, ledger, notices, clock)

    # --- what an operator does ---------------------------------------------------------------------------------------

    def withdraw(self, ami: str, place: str) -> None:
        """Withdraw an account, or one of its Regions, as the command line does: it writes entries and sends no wake."""
        value = tags_of(self.cloud.hub_images[ami]).get(TRIGGER)
        assert value is not None, "the command line refuses it"
        self.cloud.withdrawn[ami, place] = Withdrawal(place, self.cloud.now, OPERATOR, value)
        self._leave_withdrawal(ami, {"seen": f"{self.cloud.now}:{value}"})

    def recall(self, ami: str, why: str = "It does not boot.") -> None:
        """Recall an AMI, as the command line does: it writes an entry and sends no wake."""
        self.invariants.recalled.add(ami)
        self.cloud.recalls[ami] = Recall(self.cloud.now, OPERATOR, why)

        self._leave_withdrawal(ami, {RECALL: f"{self.cloud.now}:recalled"})

    def lift_recall(self, ami: str) -> None:
        del self.cloud.recalls[ami]
        self._leave_withdrawal(ami, {RECALL: f"{self.cloud.now}:lifted", "lifted": f"{self.cloud.now}"})

    def lift(self, ami: str, place: str) -> None:
        del self.cloud.withdrawn[ami, place]
        self._leave_withdrawal(ami, {"lifted": f"{self.cloud.now}:{place}"})

    def approve(self, ami: str, lasts: int = 7 * DAY) -> None:
        """Approve what waits for it, as the command line does: it writes entries and sends no wake."""
        members = LiveMembers(lambda _named: self.whereabouts, self._clock)
        records = self.stores.records
        ports = records, RecordedDeliveries(records), FakeSource(self.cloud), FakeTargets(self.cloud)
        _, entitled = LiveEntitlements(*ports, members, self._clock, Place(HUB, REGION)).now(ami)
        if isinstance(entitled, Fault):
            return  # no value was ever understood: the command line refuses
        promotion = peek(self.stores.records, addresses.promotion(ami), PROMOTIONS)
        if promotion is None or not promotion.source:
            return  # the service has not examined it: the command line refuses
        try:
            examined = ExaminedSource(source_image(self.stores.records, ami, promotion.source, promotion.key))
        except Unreadable:
            return  # somebody has damaged what was examined: the command line refuses
        asked = approvals.question(ami, examined, entitled.value, entitled.targets.values())
        for place, digest in asked.targets.items():
            one = Approval(place, digest, self.cloud.now, self.cloud.now + lasts, APPROVER)
            self.cloud.approvals[ami, place] = one

    def is_approved(self, place: tuple[str, str]) -> bool:
        """Whether an AMI may be opened for an account: it needs no approval, or has a valid one.

        Valid: for what its delivery registers, the account's settings and a value of its tag that counts now, and not
        expired. A read may be as stale as ``STALEST`` says, so a value, or an approval, that ended so lately counts.
        """
        ami, account = place
        given, file = self.cloud.approvals.get((ami, f"{account}/{REGION}")), self._applied()
        key = addresses.delivery(addresses.delivery_id(HUB, ami, account, REGION))
        delivery = peek(self.stores.records, key, DELIVERIES)
        source = None if delivery is None else self._examined(delivery)
        for value in self._values(ami, file):
            for target in file.resolve(value, in_force=True).targets:
                if target.account != account:
                    continue
                digest = "" if source is None else approvals.digest_of(ami, source, value, target)
                valid = given is not None and given.digest == digest and self.cloud.now - STALEST < given.until
                if valid or not approvals.needs(target):
                    return True
        return not any(map(approvals.needs, file.resolve(account, in_force=True).targets))

    def _applied(self) -> AppliedFile:
        """Return the file as it is now; it keeps the value that was resolved last, of a thousand targets perhaps."""
        if self._file.directory is not self.cloud.directory:
            self._file = AppliedFile(self.cloud.directory)
        return self._file

    def _examined(self, delivery: Delivery) -> ExaminedSource | None:
        try:
            return ExaminedSource(source_image(self.stores.records, delivery.ami, delivery.source, delivery.key))
        except ParkRecord:
            return None

    def _values(self, ami: str, file: AppliedFile) -> Iterator[str]:
        """Yield the values of an AMI's tag that count: those that a stale read shows, and the last understood one.

        That is one that the service must have seen: it may not know of a value that stood for minutes.
        """
        known, until = False, self.cloud.now
        for at, value in reversed(self.cloud.values.get(ami, ())):
            if value is not None and (not known or until > self.cloud.now - STALEST):
                yield value
            seen = until - at > UNSEEN
            known, until = known or (seen and value is not None and file.judge(value, in_force=False).understood), at

    def _leave_withdrawal(self, ami: str, besides: dict[str, str]) -> None:
        records, now = self.stores.records, self.cloud.now
        mark = records.get(addresses.standing(ami)) or {"kind": "standing", "episode": 0}
        records.put(addresses.standing(ami), {**mark, WITHDRAWN_AT: str(now)})
        records.make_due(addresses.promotion(ami), now, {WITHDRAW: str(now), **besides})

    def retry(self, ami: str, *places: str) -> None:
        """Ask for another try of all that has failed, or at these places, as the command line does."""
        asked = {"retry": f"{self.cloud.now}:{','.join(places)}"}
        self.stores.records.make_due(addresses.promotion(ami), self.cloud.now, asked)

    def park(self, *keys: RecordKey) -> None:
        """Park records; from then on the invariants are checked at calls and at rest alone."""
        self.watchful = False
        for key in keys:
            self.stores.records.park(key, "for a test", self.cloud.now)

    def unpark(self, *keys: RecordKey) -> None:
        for key in keys:
            assert self.stores.records.unpark(key, self.cloud.now)

    def tagged_before(self, ami: str) -> None:
        """Let an AMI have been tagged before discovery first looked: it is of the baseline."""
        self.cloud.hub_images[ami]["Tags"] += [{"Key": TRIGGER, "Value": "default"}]
        self.cloud.changed()
        ignored = evolving.baseline(ami, HUB, REGION, "default", self.cloud.now)
        self.stores.records.create(PROMOTIONS.encode(ignored), self.cloud.now)

    # --- what there is -----------------------------------------------------------------------------------------------

    def delivery_key(self, ami: str, account: str) -> RecordKey:
        return _delivery_key(ami, account)

    def pointer_key(self, account: str, parameter: str) -> RecordKey:
        return addresses.pointer(account, REGION, parameter)

    def delivery_keys(self) -> list[RecordKey]:
        """The keys that deliveries may have."""
        return [self.delivery_key(ami, account) for ami in self.cloud.hub_images for account in self.accounts]

    def quota_keys(self) -> list[RecordKey]:
        """The keys that copy quotas may have."""
        return [addresses.copy_quota(account, REGION) for account in self.accounts]

    def resources(self) -> list[str]:
        """Return every shared resource that may exist."""
        known = (len(self.cloud.hub_snapshots), len(self.cloud.hub_images), *self.accounts)
        if self._resources[0] != known:
            self._resources = known, self._all_resources()
        return self._resources[1]

    def _all_resources(self) -> list[str]:
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

    def known(self) -> Iterator[RecordKey]:
        """Return every record key that may exist."""
        yield from map(addresses.promotion, self.cloud.hub_images)
        yield from self.delivery_keys()
        yield from self.quota_keys()
        yield from map(RecordKey, self.resources())

    def outcomes(self) -> dict[tuple[str, str], str]:
        """Return the state of each existing delivery, by AMI and account."""
        found = {
            (ami, account): self.stores.seen(self.delivery_key(ami, account))
            for ami in self.cloud.hub_images
            for account in self.accounts
        }
        return {place: seen.state for place, seen in found.items() if seen is not None}

    def notified(self, event: str, account: str = "") -> list[Mapping[str, Any]]:
        """The notices of an event, and of an account if one is given, in turn."""
        about = {"event": event, "account": account} if account else {"event": event}
        return [notice for notice in self.cloud.notices if about.items() <= notice.items()]

    def faults(self) -> list[str]:
        """Return the faults that the notices report."""
        return [
            f"{fault['code']}: {fault['what']}" for notice in self.cloud.notices for fault in notice.get("faults", ())
        ]

    # --- what wakes it -----------------------------------------------------------------------------------------------

    def run(self, until: int | None = None) -> None:
        """Run until ``until``, or until nothing more happens. Check the invariants after every step."""
        while (step := self._next()) is not None and (until is None or step[0] <= until):
            at, act = step
            self.cloud.now = max(self.cloud.now, at)
            act()
            assert len(self.invocations) < self.most_invocations, f"invariant 6: it does not end: {self.outcomes()}"
        if until is not None:
            self.cloud.now = until

    def step(self) -> None:
        """Let the next thing happen."""
        step = self._next()
        assert step is not None, f"nothing more happens: {self.outcomes()}"
        at, act = step
        self.cloud.now = max(self.cloud.now, at)
        act()

    def until(self, arrived: Callable[[], bool]) -> None:
        """Run step by step until this holds."""
        while not arrived():
            self.step()

    def until_state(self, ami: str, account: str, state: str) -> None:
        """Run step by step until a delivery has a state."""
        self.until(lambda: self.outcomes().get((ami, account)) == state)

    def at(self, until: int) -> Self:
        """Run until then; return the hub, for an assertion about what holds then."""
        self.run(until=until)
        return self

    def wait(self, seconds: int) -> Self:
        """Let time pass, with everything that happens meanwhile; return the hub."""
        return self.at(self.cloud.now + seconds)

    @contextmanager
    def off(self, *kinds: str) -> Iterator[None]:
        """Kill the process that works on records of these kinds, at each invocation; AWS and all others continue."""
        self._killed = kinds
        yield
        self._killed = ()

    def unwatched(self) -> Self:
        """Check no invariant any more, which do not know what happens in the test; return the hub."""
        self.watchful, self.gate.watch = False, lambda *_: None
        return self

    def ended(self) -> dict[tuple[str, str], str]:
        """Run until nothing more happens; return the outcomes."""
        self.run()
        return self.outcomes()

    def _next(self) -> tuple[int, Callable[[], None]] | None:
        """Return the next step; of steps due at once, in this order: AWS's own, wakes, the sweep, discovery."""
        options: list[tuple[int, int, Callable[[], None]]] = []
        if self.cloud.to_come:
            options.append((self.cloud.to_come[0][0], 0, self._from_cloud))
        message = self.groups.next()
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
        """Run one function once; return False if it was killed."""
        self.invocations.append(name)
        if name != "discover":
            self._discover_soon()
        self.invariants.begins()
        try:
            work()
        except ProcessKilled:
            died = True
        else:
            died = False
        if self.watchful and self.gate.pair is None:
            self.invariants.step()
        return not died

    def _from_cloud(self) -> None:
        heapq.heappop(self.cloud.to_come)[2]()

    def _post(self, event: dict[str, Any]) -> None:
        self._discover_soon()
        for delay in next(self._event_fates):
            if delay == EARLY:
                self._handle(event, 0)
            else:
                self.cloud.after(delay, lambda: self._handle(event, 0))

    def _handle(self, event: dict[str, Any], attempt: int) -> None:
        handled = self._invoke(f"event {event['detail-type']}", lambda: self._inbound(event))
        if not handled and attempt < len(RETRIES):
            self.cloud.after(RETRIES[attempt], lambda: self._handle(event, attempt + 1))

    def _inbound(self, event: dict[str, Any]) -> None:
        if event["detail-type"] == "Tag Change on Resource":
            self.hears.tag_change(event)
        elif event["account"] == HUB:
            self.hears.image_state(event)
        else:
            self.hears.target_event(event)

    def _receive(self, message: WakeMessage) -> None:
        beside = self._beside(message)
        messages = [message] if beside is None or beside is message else [message, beside]

        def work() -> None:
            if beside is None:
                self._act(message)
                return
            self.gate.pair = TwoInvocations(self._order)
            try:
                self.gate.pair.play(lambda: self._act(message), lambda: self._act(beside))
            finally:
                self.gate.pair = None

        with self.groups.running(messages):
            lived = self._invoke(" beside ".join(f"{one.key} {one.cause}" for one in messages), work)
        for one in messages:
            if lived:
                self.groups.done(one)
            else:
                self.groups.dropped(one)

    def _beside(self, message: WakeMessage) -> WakeMessage | None:
        """Return the invocation that runs at the same time.

        It waits for another message group's message, if that arrives within a moment.
        """
        match next(self._pairings):
            case "twin":
                return message
            case "other":
                other = self.groups.next(but=message.key.pk)
                if other is not None and other.visible_at <= self.cloud.now + MOMENT:
                    self.cloud.now = max(self.cloud.now, other.visible_at)
                    return other
        return None

    def _act(self, message: WakeMessage) -> None:
        if message.key.kind in self._killed:
            raise ProcessKilled
        self._worker.take(message.body, message.receives + 1, self._time_left())

    def _sweep_now(self) -> None:
        self._swept_at = self.cloud.now
        self._invoke("sweep", lambda: self._sweep.run(time_left=self._time_left()))

    def _discover_now(self) -> None:
        self._discover_at = None
        if not self._invoke("discover", self.discover):
            self._discover_at = self.cloud.now + DISCOVERY

    def _discover_soon(self) -> None:
        """Something has happened, so that discovery runs at its next time, if it is not to run before."""
        if self._discover_at is None:
            self._discover_at = _grid(self.cloud.now + 1, DISCOVERY)

    def discover(self) -> None:
        self._discover.run(time_left=self._time_left())

    # --- small parts -------------------------------------------------------------------------------------------------

    def _clock(self) -> int:
        return self.cloud.now

    def _draw(self) -> str:
        """Return a nonce. It is predictable, so that a run can be repeated."""
        return f"nonce-{next(self._nonces)}"

    def _time_left(self) -> Callable[[], int]:
        left = itertools.count(30, -self.arrivals.hurry)
        return lambda: next(left)

    def _wake_fate(self, cause: str) -> tuple[int, ...]:
        """The sweep's own wakes always arrive: if one were lost, the sweep would repeat it at growing intervals."""
        return (0,) if cause.startswith("sweep:") else next(self._wake_fates)


@cache
def _delivery_key(ami: str, account: str) -> RecordKey:
    return addresses.delivery(addresses.delivery_id(HUB, ami, account, REGION))


def _grid(at: int, step: int) -> int:
    return -(-at // step) * step
