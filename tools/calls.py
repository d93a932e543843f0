"""``docs/reference/calls.md``: every AWS call of a promotion, step by step, as the simulator counts them.

A change that costs a call more, or one less, shows as a change of that page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from awsim.api import Call
from awsim.functions import Invocation
from awsim.world import World
from demo import bill, setting
from demo.bill import Bill
from demo.options import Options

SNAPSHOTS = 2
TOGETHER = 3
LIMITS = {"first": (33, 20), "further": (21, 12), "apart": (22, None)}
"""The most calls and invocations for a first target, for each further one closing with it, and one closing alone.

A further one had 20 before the share worker asked EC2, right before it opens a key to an account, for the AMI's tag and
for its snapshots' keys (decision 15): two calls a key and account, fewer where one environment opens several in turn.
"""
STORES = ("dynamodb", "sqs")
LONGEST = timedelta(hours=2)
REST = timedelta(minutes=5)
"""By then what was closed has been looked at twice."""
HEAD = """\
# Calls

<!-- Generated: tools/calls.py writes this page from a run in the simulator (`make docs`). -->

*This page is generated from a run in the simulator.*

For those who ask about limits: how many calls and invocations one promotion takes.
The AMI has two volumes, encrypted under one key of the hub; every event arrives on time and once, and key access works at once.
The table counts invocations, and calls to EC2, KMS, STS, SNS and EventBridge, whose rates AWS limits.
It does not count scheduled work: the sweep, discovery, and polls of long copies.

"""


LOOKS = """
## Looks after closing

The tables above do not count these, because the sweep wakes the share worker for them.
A share of a snapshot or an AMI is closed when two looks miss its permission, one to two and two to four minutes after the removal ([decision 18](../decisions/0018-two-looks-at-a-removal.md)).
One look serves up to 500 accounts.

"""
TAIL = """
The difference has two causes:

- Each execution environment keeps its own sessions, so a wake that reaches another environment assumes the role again.
- Right before it opens a share, the share worker asks EC2 whether the AMI still has its tag, and for a key, which keys the AMI's snapshots have ([decision 15](../decisions/0015-entitlement-asked-at-the-opening.md)).
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One promotion, from its tag to its rest."""

    invocations: tuple[Invocation, ...]
    calls: tuple[Call, ...]
    bill: Bill


@cache
def promote(targets: int, *, together: bool = True) -> Run:
    """Promote the AMI to so many targets; their copies end at the same time, or each at its own."""
    with World() as world:
        ready = setting.copies(world, Options(targets=targets))
        world.kms.grants.delay = (0.0, 0.0)
        world.ec2.pace.copy, world.ec2.pace.copy_per_gib = (20, 0.2) if together else (300, 0)
        world.ec2.pace.copy_spread = 0 if together else 0.8
        began = len(world.lambda_.invocations)
        ready.tag()
        if not world.kernel.run(until=lambda: _is_over(world), limit=LONGEST):
            raise RuntimeError(f"The promotion to {targets} targets was not over within {LONGEST}.")
        world.kernel.run(limit=REST)
        invocations = tuple(world.lambda_.invocations[began:])
        ids = {one.id for one in invocations}
        calls = tuple(call for call in world.calls if call.invocation in ids)
    return Run(invocations, calls, bill.add_up(invocations, calls))


def _is_over(world: World) -> bool:
    return any(published.body["event"] == "promotion.over" for published in world.sns.published)


def page() -> str:
    """Return the text of docs/reference/calls.md."""
    one, together, apart = promote(1), promote(TOGETHER), promote(TOGETHER, together=False)
    looks = _looks(one, together)
    parts = [HEAD, *_totals(one, together, apart), *_steps(one), *_beside_the_least(one, together), *looks]
    return "\n".join(parts).rstrip() + "\n"


def further(one: Run, many: Run) -> tuple[float, float]:
    """Return calls and invocations for each target after the first."""
    more = TOGETHER - 1
    calls = (many.bill.calls.total() - one.bill.calls.total()) / more
    return calls, (many.bill.invocations.total() - one.bill.invocations.total()) / more


def _totals(one: Run, together: Run, apart: Run) -> Iterator[str]:
    rows = [
        ("a first target", (one.bill.calls.total(), one.bill.invocations.total()), LIMITS["first"]),
        ("each further one that closes with it", further(one, together), LIMITS["further"]),
        ("each further one that closes alone", further(one, apart), LIMITS["apart"]),
    ]
    yield "| | calls | at most | invocations | at most |\n|---|---:|---:|---:|---:|"
    for name, (calls, invocations), (most_calls, most_invocations) in rows:
        yield f"| {name} | {calls:g} | {most_calls} | {invocations:g} | {most_invocations or ''} |"
    yield ""


def _steps(run: Run) -> Iterator[str]:
    yield "## Step by step, to one target\n"
    yield "| # | function | woken for | AWS calls | DynamoDB | SQS |\n|---:|---|---|---|---:|---:|"
    of_schedule = [one for one in run.invocations if bill.scheduled(one)]
    steps = [one for one in run.invocations if one not in of_schedule]
    for number, one in enumerate(steps, 1):
        mine = [call for call in run.calls if call.invocation == one.id]
        stores = Counter(call.service for call in mine)
        counted = ", ".join(_counted(call.operation for call in mine if call.service not in STORES))
        numbers = " | ".join(str(stores[name]) for name in STORES)
        yield f"| {number} | `{bill.function(one)}` | {_woken_for(one)} | {counted} | {numbers} |"
    yield ""


def _counted(names: Iterable[str]) -> Iterator[str]:
    """Name calls in the order they were made: one, or so many times in a row."""
    row: list[tuple[str, int]] = []
    for name in names:
        if row and row[-1][0] == name:
            row[-1] = (name, row[-1][1] + 1)
        else:
            row.append((name, 1))
    yield from (name if count == 1 else f"{count} x {name}" for name, count in row)


def _woken_for(one: Invocation) -> str:
    records: Sequence[dict[str, str]] = one.event.get("Records", ())
    if records:
        kind, _, rest = str(json.loads(records[0]["body"])["key"]).partition("#")
        return rest.partition("#")[0] if kind == "resource" else kind
    return f"`{one.event['detail-type']}`"


def _beside_the_least(one: Run, together: Run) -> Iterator[str]:
    yield f"## Compared with the least possible\n\nFor one target, and for {TOGETHER} that move together.\n"
    yield f"| call | one | least | {TOGETHER} | least |\n|---|---:|---:|---:|---:|"
    least_one, least_many = bill.least(1, SNAPSHOTS), bill.least(TOGETHER, SNAPSHOTS)
    columns = (one.bill.calls, least_one, together.bill.calls, least_many)
    for name in sorted(set().union(*columns)):
        yield f"| {name} | " + " | ".join(str(column[name]) for column in columns) + " |"
    yield "| all | " + " | ".join(str(column.total()) for column in columns) + " |"
    yield TAIL


def _looks(one: Run, together: Run) -> Iterator[str]:
    yield f"{LOOKS}| call | one | {TOGETHER} |\n|---|---:|---:|"
    name = "DescribeSnapshotAttribute"
    yield f"| {name} | {one.bill.scheduled_calls[name]} | {together.bill.scheduled_calls[name]} |"


if __name__ == "__main__":
    print(page())
