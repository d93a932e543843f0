"""Which runs are played: all single kills in the soak, a seeded sample in the normal test run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random

from demo import stage
from tests.reliability.plans import FunctionCrash, MessageInjections, Point, RunPlan, When

WHENS: tuple[When, When] = ("before", "after")
READING = ("BatchGet", "Describe", "Get", "List", "Query")
"""How the names of calls begin that change nothing: killed before or after one, a function leaves the same behind."""
NEXT = 200
"""A second kill comes within this many calls of the first."""
RUN = 400
"""The approximate number of calls in a run."""

CHANGES = frozenset(
    {
        "AddTagsToResource",
        "CopyImage",
        "CopySnapshot",
        "CreateGrant",
        "CreateTags",
        "DeleteParameter",
        "DeleteSnapshot",
        "DeregisterImage",
        "DisableImage",
        "DisableImageDeprecation",
        "EnableImage",
        "EnableImageDeprecation",
        "EnableImageDeregistrationProtection",
        "ModifyImageAttribute",
        "ModifySnapshotAttribute",
        "PutKeyPolicy",
        "PutParameter",
        "RegisterImage",
        "RevokeGrant",
        "RunInstances",
        "TerminateInstances",
    }
)
"""Calls that change what is in a source or a target."""

Case = tuple[str, RunPlan]
"""(scenario's name, plan)."""


def everywhere(points: Mapping[str, Sequence[Point]]) -> list[Case]:
    """Every single kill: at each call, before and after its effect; common beginnings of scenarios are played once."""
    seen: set[tuple[Point, ...]] = set()
    cases = []
    for name, made in points.items():
        for number in range(1, len(made) + 1):
            past = tuple(made[:number])
            if past not in seen:
                seen.add(past)
                cases += [(name, RunPlan((FunctionCrash(number, when),))) for when in WHENS]
    return cases


def each_kind(points: Mapping[str, Sequence[Point]], random: Random) -> list[Case]:
    """For each function and operation: one kill before and one after (see ``kills``), at any such call."""
    kinds: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for name in points:
        for point in points[name]:
            kinds[point.function, point.operation].append((name, point.number))
    chosen = []
    for kind in sorted(kinds):
        for when in kills(kind[1]):
            name, number = random.choice(kinds[kind])
            chosen.append((name, RunPlan((FunctionCrash(number, when),))))
    return chosen


def kills(operation: str) -> tuple[When, ...]:
    """When a function is killed at a call: before it takes effect and after, or at one of the two if it has none."""
    return WHENS[:1] if operation.startswith(READING) else WHENS


def pairs(points: Mapping[str, Sequence[Point]], random: Random, count: int) -> list[Case]:
    """Two kills in one run: at any call, and at a later one."""
    cases = []
    for _ in range(count):
        name = random.choice(sorted(points))
        first = random.choice(points[name]).number
        second = first + random.randint(1, NEXT)
        cases.append(
            (name, RunPlan((FunctionCrash(first, random.choice(WHENS)), FunctionCrash(second, random.choice(WHENS)))))
        )
    return cases


def storms(names: Sequence[str], random: Random, count: int) -> list[Case]:
    """Random injections into events, wakes and messages, and up to two kills."""
    return [(random.choice(names), storm(random)) for _ in range(count)]


def storm(random: Random) -> RunPlan:
    messages = MessageInjections(
        lost=random.choice([0, 0, 0.3, 1]),
        times=random.choice([1, 1, 3]),
        spread=random.choice([0, 20, 600]),
        late=random.choice([0, 0, 120]),
        early=random.choice([0, 2]),
        wakes_lost=random.random() < 0.25,
        twins=tuple((name, random.choice([0.0, 0.3, 1.0])) for name in stage.WAKE_QUEUES),
    )
    deaths = sorted(random.sample(range(1, RUN), random.choice([0, 1, 2])))
    return RunPlan(
        tuple(FunctionCrash(number, random.choice(WHENS)) for number in deaths), messages, random.getrandbits(32)
    )
