"""The part of the page on time: from the tag to the last delivery, beside the bound and the rivals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench import matrix, plot
from bench.case import Case, counted
from bench.results import RIVAL_SIZES, Results, rivals
from bench.run import MeasuredRun
from bench.summary import named, summary
from bench.table import duration, table

SWEEP = 60.0
ABOVE = 1.02


def within(measured: MeasuredRun) -> bool:
    """Whether a promotion was over within 2 % of the bound and one minute."""
    return measured.seconds <= ABOVE * measured.bound + SWEEP


def section(results: Results) -> str:
    """Return the section."""
    parts = [
        "## Beside what people do today\n",
        "Each other tool is a small model in `bench/rivals/`, written from its public description; where that leaves a choice, the model takes the one that is better for the tool.",
        "(a) is the one function of a CloudFormation guide: Lambda kills it after 900 seconds, so the table shows its time without that limit.",
        f"(b) is an execution of Step Functions for each target, a look every 30 seconds: {_transitions():.0f} state transitions for each delivery.",
        "(c) is a build tool that copies with CopyImage and waits for 30 minutes at most; (d) is a shell script for one target, run once for each.\n",
        "AWS calls are those to EC2, KMS, STS, SNS and EventBridge, polls included.\n",
        *(summary(results, targets) for targets in (1, 10, 100)),
        "At 1,000 targets, as the models have it:\n",
        table(("1,000 targets", "delivered", "time to the last", "function time each", "AWS calls each"), _thousand()),
        "![Time from the tag to the last delivery](benchmark-time.svg)\n",
        "## Time from the tag to the last delivery\n",
        "The bound is physical: the longest chain of copies under the quota and KMS's rate, the registration, and eight calls that follow each other (`bench/bound.py`).",
        "The goal is 2 % above it and one sweep period, 60 seconds, if events come; without them it is one poll interval for each step.\n",
        table(("promotion", "took", "bound", "above it", "within the goal"), _bounds(results, matrix.ALL)),
        _serial(results),
        "## Steps\n",
        "How long the service takes to react, in 100 deliveries: middle and longest.",
        "A step is two invocations, the event's and the worker's, and one queue between them; the sweep polls in case the event is lost.\n",
        table(("step", "middle", "longest", "with every event lost, middle", "longest"), _steps(results)),
        _delay(results),
    ]
    return "\n".join(parts)


def plots(results: Results) -> Mapping[str, str]:
    """Return each plot's file."""
    times: dict[str, list[tuple[float, float]]] = {
        "this service": [(case.deliveries, results.of(case).seconds / 60) for case in matrix.SIZES],
        "the bound": [(case.deliveries, results.of(case).bound / 60) for case in matrix.SIZES],
        "every event lost": [(case.deliveries, results.of(case).seconds / 60) for case in matrix.SWEPT],
    }
    functions = {
        "this service": [(case.deliveries, results.of(case).billed / case.deliveries) for case in matrix.SIZES],
    }
    for targets in RIVAL_SIZES:
        for one in rivals(Case(targets)):
            times.setdefault(named(one), []).append((targets, one.seconds / 60))
            if one.functions:
                functions.setdefault(named(one), []).append((targets, one.functions / targets))
    return {
        "benchmark-time.svg": plot.chart("From the tag to the last delivery", "targets", "minutes", times),
        "benchmark-functions.svg": plot.chart("Billed function time", "targets", "seconds a delivery", functions),
    }


def _transitions() -> float:
    one = rivals(Case(100))[1]
    return one.transitions / one.targets


def _thousand() -> Iterator[tuple[str, ...]]:
    for one in rivals(Case(1000)):
        functions = f"{one.functions / one.targets:,.1f} s" if one.functions else "none"
        yield one.name, f"{one.delivered:,}", duration(one.seconds), functions, f"{one.calls / one.targets:.0f}"


def _bounds(results: Results, cases: list[Case]) -> Iterator[tuple[str, ...]]:
    for case in dict.fromkeys(cases):
        one = results.of(case)
        above = f"{one.seconds - one.bound:,.0f} s, {100 * (one.seconds / one.bound - 1):.1f} %"
        goal = ("yes" if within(one) else "no") if case.events else ""
        yield str(case), duration(one.seconds), duration(one.bound), above, goal


def _serial(results: Results) -> str:
    rows = []
    for case in (Case(100), *matrix.FOUR_REGIONS):
        one = results.of(case)
        by_hub = (one.hub_copy_bound, one.hub_copy_serial_bound)
        rows.append((str(case), *map(duration, (one.bound, one.serial_bound, *by_hub))))
    return (
        "AWS does not say whether copies of one snapshot to many accounts wait for each other; the simulator lets them run side by side.\n"
        "The bound in both readings, for every tool, and with `by_way_of_hub`: the hub then copies once into each further Region, and that Region's targets copy from there.\n\n"
        + table(
            ("promotion", "side by side", "one after another", "by way of the hub", "the same, one after another"), rows
        )
        + "\nIf copies wait for each other, `by_way_of_hub` cuts the wait where many targets are in several Regions; within one Region it changes nothing. If they do not, it costs one copy more.\n"
    )


def _steps(results: Results) -> Iterator[tuple[str, ...]]:
    swept = results.of(Case(100, events=False)).steps
    for name, (middle, longest) in results.of(Case(100)).steps.items():
        yield name, duration(middle), duration(longest), duration(swept[name][0]), duration(swept[name][1])


def _delay(results: Results) -> str:
    rows = []
    for targets in (1, 20):
        for case in (Case(targets, together=True, share_delay=0), Case(targets, together=True)):
            one = results.of(case)
            delay = "none" if case.share_delay == 0 else "5 s, as deployed"
            hub = sum(one.hub_calls.values()) / targets
            rows.append(
                (f"{counted(targets, 'target')}, {delay}", one.sharing, f"{hub:.1f}", duration(one.seconds - one.bound))
            )
    return (
        "Messages to the share worker lie in its queue for 5 seconds, so that openings and closings of one snapshot gather.\n"
        "What that saves, and what it costs in time, when all copies of a size end at once:\n\n"
        + table(("", "ModifySnapshotAttribute", "hub calls each", "above the bound"), rows)
    )
