"""One case, from its tag to its rest, in the simulator: what it took."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from awsim.api import Call
from awsim.functions import Invocation
from awsim.services.ec2.records import Ec2Snapshot
from awsim.world import World
from bench import bound
from bench.capacity import CapacityUnits
from bench.case import Case
from bench.stage import HUB, Staged, set_up
from bench.stage import REGION as HUB_REGION
from demo import bill

LONGEST = timedelta(hours=30)
REST = timedelta(minutes=6)
"""By then what was closed has been looked at twice."""
OVERHEAD = 0.02
"""Seconds of each invocation beside its AWS calls: an assumption, for parsing, deciding and logging."""
Place = tuple[str, str]
"""Account and Region."""
SHARING = frozenset({"ModifySnapshotAttribute"})


@dataclass
class MeasuredRun:
    """What a case took. Seconds are virtual."""

    case: Case
    seconds: float = 0.0
    """From the tag to the last delivery."""
    bound: float = 0.0
    serial_bound: float = 0.0
    """If copies of one snapshot to many accounts wait for each other."""
    hub_copy_bound: float = 0.0
    """The bound by way of a copy of the hub's own in each Region."""
    hub_copy_serial_bound: float = 0.0
    delivered: int = 0
    invocations: dict[str, int] = field(default_factory=dict)
    cold: int = 0
    billed: float = 0.0
    """Seconds of functions that are billed, the schedule's too."""
    billed_wakes: float = 0.0
    """Of these, those of invocations that events and wakes brought."""
    seconds_of: dict[str, float] = field(default_factory=dict)
    """Billed seconds by function."""
    gb_seconds: float = 0.0
    longest: dict[str, float] = field(default_factory=dict)
    hub_calls: dict[str, int] = field(default_factory=dict)
    target_calls: dict[str, int] = field(default_factory=dict)
    scheduled_calls: dict[str, int] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    closings: int = 0
    """The fewest calls that close the snapshots, if none stays open for the sake of another target."""
    sharing: int = 0
    """ModifySnapshotAttribute calls."""
    queue_messages: int = 0
    log_bytes: int = 0
    reads: dict[str, float] = field(default_factory=dict)
    writes: dict[str, float] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    stored_bytes: int = 0
    store_calls: dict[str, int] = field(default_factory=dict)
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Step -> median and longest seconds."""
    throttled: int = 0
    instance_seconds: float = 0.0
    """From the calls that run instances to those that terminate them, of all deliveries."""

    @property
    def per_delivery(self) -> float:
        """Calls to limited services for each delivery, polls included."""
        every = (self.hub_calls, self.target_calls, self.scheduled_calls)
        return sum(sum(calls.values()) for calls in every) / self.case.deliveries


def measure(case: Case) -> MeasuredRun:
    """Play a case. Raises RuntimeError if it is not over in time."""
    with World() as world:
        staged = set_up(world, case)
        units = CapacityUnits()
        world.gateway.before.append(units.before)
        world.gateway.answered.append(units.answered)
        began, first_call, first = world.now, len(world.calls), len(world.lambda_.invocations)
        staged.tag()
        if not world.kernel.run(until=lambda: _is_over(world), limit=LONGEST):
            raise RuntimeError(f"{case}: not over within {LONGEST}")
        over = len(world.lambda_.invocations)
        world.kernel.run(limit=REST)
        invocations = world.lambda_.invocations[first:]
        ids = {one.id for one in invocations}
        calls = [call for call in world.calls[first_call:] if call.invocation in ids]
        result = MeasuredRun(case)
        _time(result, staged, calls, began)
        _functions(result, world, invocations, over - first)
        _calls(result, invocations, calls)
        _store(result, units, invocations)
        result.throttled = staged.throttle.refused
        result.instance_seconds = _since(calls, "TerminateInstances") - _since(calls, "RunInstances")
    return result


def _since(calls: Iterable[Call], operation: str) -> float:
    return sum(call.at.timestamp() for call in calls if call.operation == operation and not call.error)


def _is_over(world: World) -> bool:
    return any(published.body["event"] == "promotion.over" for published in world.sns.published)


def _time(result: MeasuredRun, staged: Staged, calls: Sequence[Call], began: datetime) -> None:
    case = result.case
    delivered = {(body["account"], body["region"]): at for at, body in _notices(calls) if "delivered" in body["event"]}
    result.delivered = len(delivered)
    result.seconds = (max(delivered.values()) - began).total_seconds()
    made: dict[Place, list[Ec2Snapshot]] = defaultdict(list)
    for snapshot in sorted(_copies(staged.world), key=lambda one: one.size):
        if snapshot.state == "completed":
            made[snapshot.owner, snapshot.region].append(snapshot)
    places = sorted(made)
    durations = [[_seconds(snapshot) for snapshot in made[place]] for place in places]
    late = _lateness(staged.world, places) if case.late_keys else []
    result.bound = bound.promotion(durations, late=late)
    result.serial_bound = bound.one_after_another(durations, case.volumes)
    regions: dict[str, list[list[float]]] = defaultdict(list)
    for (_, region), some in zip(places, durations, strict=True):
        regions[region].append(some)
    result.hub_copy_bound = bound.by_way_of_hub(regions, HUB_REGION, serial=False)
    result.hub_copy_serial_bound = bound.by_way_of_hub(regions, HUB_REGION, serial=True)
    ends = [(max(map(end, made[place])) - began).total_seconds() for place in places]
    result.closings = bound.closings(ends) * case.volumes
    result.steps = _steps(calls, delivered, made, began)


def _notices(calls: Iterable[Call]) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
    for call in calls:
        if call.operation == "Publish" and not call.error:
            yield call.at, json.loads(json.loads(call.params["Message"])["default"])


def _copies(world: World) -> list[Ec2Snapshot]:
    return [one for one in world.ec2.state.snapshots.all() if one.origin is not None and one.owner != HUB]


def end(snapshot: Ec2Snapshot) -> datetime:
    """When a copy was completed."""
    assert snapshot.completed is not None  # noqa: S101 - only such are asked
    return snapshot.completed


def _seconds(snapshot: Ec2Snapshot) -> float:
    return (end(snapshot) - snapshot.started).total_seconds()


def _lateness(world: World, places: Sequence[Place]) -> list[float]:
    """Return how late each account's first grant on the source's key began to work."""
    first: dict[str, float] = {}
    for grant in (grant for grants in world.kms.grants.by_key.values() for grant in grants):
        first.setdefault(grant.grantee.split(":")[4], (grant.works_from - grant.created).total_seconds())
    return [first[account] for account, _ in places]


def _steps(
    calls: Sequence[Call],
    delivered: Mapping[Place, datetime],
    made: Mapping[Place, Sequence[Ec2Snapshot]],
    began: datetime,
) -> dict[str, tuple[float, float]]:
    """Measure how long each step takes that is not AWS's: from what makes it possible to its first call."""
    by_place: dict[Place, list[Call]] = defaultdict(list)
    for call in calls:
        if call.service == "ec2" and call.caller.account != HUB:
            by_place[call.caller.account, call.region].append(call)
    found: dict[str, list[float]] = defaultdict(list)
    for place, mine in by_place.items():
        ends = [end(snapshot) for snapshot in made[place]]
        first = next(call.at for call in mine if call.operation == "CopySnapshot")
        registered = next(call.at for call in mine if call.operation == "RegisterImage" and not call.error)
        found["tag set → first CopySnapshot"].append((first - began).total_seconds())
        found["the last copy ends → RegisterImage"].append((registered - max(ends)).total_seconds())
        if place in delivered:
            found["RegisterImage → notice of the delivery"].append((delivered[place] - registered).total_seconds())
    return {name: (median(seconds), max(seconds)) for name, seconds in found.items()}


def _functions(result: MeasuredRun, world: World, invocations: Sequence[Invocation], until_over: int) -> None:
    memory = {function.arn: function.memory for function in world.lambda_.functions.values()}
    counted: Counter[str] = Counter()
    longest: dict[str, float] = defaultdict(float)
    seconds_of: dict[str, float] = defaultdict(float)
    for place, one in enumerate(invocations):
        seconds = ((one.ended or world.now) - one.began).total_seconds() + OVERHEAD
        name = bill.function(one)
        counted[name] += 1
        longest[name] = max(longest[name], seconds)
        seconds_of[name] += seconds
        if name in bill.ON_SCHEDULE:
            continue  # they run whether something is promoted or not: idle cost
        result.billed += seconds
        result.billed_wakes += 0 if bill.scheduled(one) else seconds
        result.gb_seconds += seconds * memory[one.function] / 1024
        result.cold += one.cold and place < until_over
        result.log_bytes += len(one.log)
    result.invocations, result.longest, result.seconds_of = dict(counted), dict(longest), dict(seconds_of)


def _calls(result: MeasuredRun, invocations: Iterable[Invocation], calls: Iterable[Call]) -> None:
    by_id = {one.id: one for one in invocations}
    hub: Counter[str] = Counter()
    target: Counter[str] = Counter()
    scheduled: Counter[str] = Counter()
    for call in calls:
        one = by_id[call.invocation or ""]
        if call.service == "sqs":
            result.queue_messages += len(call.params.get("Entries", ())) or 1
        if call.service not in bill.COUNTED or bill.function(one) in bill.ON_SCHEDULE:
            continue
        if bill.scheduled(one):
            scheduled[call.operation] += 1
        elif call.caller.account == HUB:
            hub[call.operation] += 1
        else:
            target[call.operation] += 1
        result.sharing += call.operation in SHARING
    result.hub_calls, result.target_calls, result.scheduled_calls = dict(hub), dict(target), dict(scheduled)
    result.least = dict(bill.least(result.case.deliveries, result.case.volumes))


def _store(result: MeasuredRun, units: CapacityUnits, invocations: Iterable[Invocation]) -> None:
    idle = {one.id for one in invocations if bill.function(one) in bill.ON_SCHEDULE}
    reads: dict[str, float] = defaultdict(float)
    writes: Counter[str] = Counter()
    for (invocation, purpose), count in units.reads.items():
        reads[purpose] += 0 if invocation in idle else count
    for (invocation, purpose), count in units.writes.items():
        writes[purpose] += 0 if invocation in idle else count
    result.reads, result.writes = dict(reads), dict(writes)
    result.items = dict(units.items)
    for (invocation, operation), count in units.calls.items():
        result.store_calls[operation] = result.store_calls.get(operation, 0) + (0 if invocation in idle else count)
    result.stored_bytes = units.stored
