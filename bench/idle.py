"""What a hub takes that has nothing to do, counted over an hour of virtual time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from awsim.world import World
from bench.capacity import CapacityUnits
from bench.case import Case
from bench.run import OVERHEAD
from bench.stage import set_up
from demo import bill

HOURS = 1


@dataclass
class Idle:
    """An hour's use."""

    invocations: dict[str, int] = field(default_factory=dict)
    gb_seconds: float = 0.0
    reads: float = 0.0
    writes: float = 0.0
    log_bytes: int = 0
    metrics: list[str] = field(default_factory=list)
    """Custom metrics that get a value while nothing happens."""


def measure() -> Idle:
    """Let an hour pass."""
    with World() as world:
        set_up(world, Case())
        world.kernel.run(limit=timedelta(minutes=15))
        units = CapacityUnits()
        world.gateway.before.append(units.before)
        world.gateway.answered.append(units.answered)
        first = len(world.lambda_.invocations)
        world.kernel.run(limit=timedelta(hours=HOURS))
        memory = {function.arn: function.memory for function in world.lambda_.functions.values()}
        counted: Counter[str] = Counter()
        idle, metrics = Idle(), set()
        for one in world.lambda_.invocations[first:]:
            counted[bill.function(one)] += 1
            seconds = ((one.ended or world.now) - one.began).total_seconds() + OVERHEAD
            idle.gb_seconds += seconds * memory[one.function] / 1024
            idle.log_bytes += len(one.log)
            for metric in one.metrics:
                for group in metric["_aws"]["CloudWatchMetrics"]:
                    metrics |= {one["Name"] for one in group["Metrics"]}
        idle.invocations, idle.metrics = dict(counted), sorted(metrics)
        idle.reads, idle.writes = float(sum(units.reads.values())), float(sum(units.writes.values()))
    return idle
