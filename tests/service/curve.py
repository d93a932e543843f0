"""What a promotion costs by its number of targets, on the service in memory, up to a thousand targets.

It counts calls at the ports, as ``growth.py`` does. ``python -m tests.service.curve 1 10 100`` prints a line of JSON
for each number of targets; `make bench` compares it with the cost of the packaged service.
"""

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass

from tests.service.cloud import CloudBehavior
from tests.service.growth import CountingGate, GrowingHub
from tests.service.scenes import all_delivered
from tests.service.slow import function_of

AMI, SNAPSHOTS = "ami-0a", ("snap-00", "snap-01")
COPYING = (540, 2700, 600, 2440, 660, 2200)
"""Seconds that copies take, in turn."""
STORES = ("records", "ledger", "tracked", "slots")
OURS = ("wakes", "targets")
"""Ports that are neither a record store nor an AWS service with a rate limit that matters."""
ON_SCHEDULE = ("sweep", "discover")


@dataclass(frozen=True)
class CurvePoint:
    """What one promotion cost."""

    targets: int
    invocations: int
    store_calls: int
    aws_calls: int
    sharing: int
    """Calls that open or close a snapshot's permission."""
    functions: dict[str, int]


def point(targets: int) -> CurvePoint:
    """Promote an AMI of two snapshots to this many accounts, until every delivery has ended."""
    accounts = [f"{200_000_000_000 + number}" for number in range(targets)]
    setup = {"behavior": CloudBehavior(copying=COPYING), "gate": CountingGate(), "watchful": False}
    hub = GrowingHub(accounts=accounts, most_invocations=10**6, **setup)
    hub.cloud.make_image(AMI, dict.fromkeys(SNAPSHOTS, True))
    began = Counter(hub.invocations)
    hub.cloud.tag(AMI, "default")
    hub.wait(4 * 3600)
    all_delivered(hub)
    cost = hub.cost()
    functions = Counter(function_of(name) for name in (Counter(hub.invocations) - began).elements())
    stores = sum(count for call, count in cost.calls.items() if call.split()[0] in STORES)
    ours = sum(count for call, count in cost.calls.items() if call.split()[0] in OURS)
    return CurvePoint(
        targets,
        sum(count for name, count in functions.items() if name not in ON_SCHEDULE),
        stores,
        cost.calls.total() - stores - ours,
        cost.calls["snapshots open"] + cost.calls["snapshots close"],
        dict(functions),
    )


if __name__ == "__main__":
    for number in sys.argv[1:]:
        print(json.dumps(asdict(point(int(number)))), flush=True)  # noqa: T201 - what it is for
