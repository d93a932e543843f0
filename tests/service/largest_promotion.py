"""The largest promotion that the service is designed for, in single invocations: their memory and time.

A thousand accounts in four Regions, an AMI of twenty snapshots. ``python -m tests.service.largest_promotion`` prints a
line of JSON; `make bench` puts it on its page. Memory is the peak that Python allocates in an invocation, by
``tracemalloc``; seconds are virtual, at 30 milliseconds for each call.
"""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field

from chalicelib.targets.applied_file import Directory, Target
from tests.service.cloud import CloudBehavior
from tests.service.slow import SlowGate, SlowHub, function_of

ACCOUNTS, TOGETHER, SNAPSHOTS = 1_000, 500, 20
"""One call opens a snapshot's share for ``TOGETHER`` accounts, the most that a call takes."""
REGIONS = ("us-east-1", "eu-west-1", "us-west-2", "ap-southeast-2")
AMI = "ami-0a"
CALL = 0.03
MB = 1_000_000
Most = dict[str, tuple[float, float]]
"""What -> the most MB and seconds in one invocation."""


@dataclass
class WeighedHub(SlowHub):
    """Measures each invocation; drops wakes of records whose key does not begin with ``wanted``."""

    gate: SlowGate = field(default_factory=lambda: SlowGate(least=CALL, most=CALL))
    wanted: tuple[str, ...] = ("",)
    most: Most = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        send = self.groups.send
        self.groups.send = lambda wake: send(wake) if wake.key.pk.startswith(self.wanted) else None

    def _invoke(self, name: str, work: Callable[[], None]) -> bool:
        tracemalloc.start()
        try:
            lived = super()._invoke(name, work)
            peak = tracemalloc.get_traced_memory()[1] / MB
        finally:
            tracemalloc.stop()
        what = name.split("#", 2)[:2] if name.startswith("resource#") else name.split("#", 1)[:1]
        key = f"{function_of(name)}: {what[-1].split(' ')[0]}"
        before = self.most.get(key, (0.0, 0.0))
        self.most[key] = max(before[0], peak), max(before[1], self.gate._spent)
        return lived


def _hub(accounts: int, regions: tuple[str, ...], *wanted: str) -> WeighedHub:
    listed = [f"{200_000_000_000 + number}" for number in range(accounts)]
    behavior = CloudBehavior(copying=(600,))
    hub = WeighedHub(accounts=listed, behavior=behavior, watchful=False, most_invocations=10**6, wanted=wanted)
    targets = {account: tuple(Target(account, region) for region in regions) for account in listed}
    hub.cloud.directory = Directory({"default": tuple(listed)}, targets)
    hub.cloud.make_image(AMI, {f"snap-{number:02x}": True for number in range(SNAPSHOTS)})
    hub.cloud.tag(AMI, "default")
    return hub


def expansion(accounts: int = ACCOUNTS) -> Most:
    """A promotion writes its deliveries, and the sweep finds all of them due."""
    hub = _hub(accounts, REGIONS, "promotion#")
    hub.wait(1800)
    deliveries = sum(key.pk.startswith("delivery#") for key in hub.stores.records.records)
    assert deliveries == accounts * len(REGIONS), deliveries
    return hub.most


def delivery() -> Most:
    """One delivery of this many snapshots, from its tag to its end."""
    hub = _hub(1, REGIONS[:1], "")
    assert set(hub.wait(4 * 3600).outcomes().values()) == {"delivered"}, hub.outcomes()
    return hub.most


def opening(accounts: int = TOGETHER) -> Most:
    """Each snapshot is opened to all accounts at once."""
    hub = _hub(accounts, REGIONS[:1], "promotion#", "delivery#", "quota#")
    hub.wait(1800)
    hub.most.clear()
    hub.wanted = ("resource#snapshot",)
    hub.wait(1800)
    assert len(hub.cloud.permissions) == accounts * SNAPSHOTS, len(hub.cloud.permissions)
    return hub.most


def worst() -> Most:
    """The maximum of each measure."""
    found: Most = {}
    for part in (expansion(), delivery(), opening()):
        for what, (megabytes, seconds) in part.items():
            before = found.get(what, (0.0, 0.0))
            found[what] = max(before[0], megabytes), max(before[1], seconds)
    return found


if __name__ == "__main__":
    print(json.dumps(worst()))  # noqa: T201 - what it is for
