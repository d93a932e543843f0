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
    """Return the section on time, in Markdown."""
    parts = [
        "## Beside what people do today\n",
        "Each other tool is a small model in `bench/rivals/`, written from its public description. Where the description leaves a choice, the model uses the one that favors the tool.",
        "(a) is the single function of a CloudFormation guide: Lambda ends it after 900 seconds, so the table shows its time without that limit.",
        f"(b) is an execution of Step Functions for each target, with a poll every 30 seconds: {_transitions():.0f} state transitions for each delivery.",
        "(c) is a build tool that copies with CopyImage and waits for 30 minutes at most; (d) is a shell script for one target, run once for each.\n",
        "The tables count AWS calls to EC2, KMS, STS, SNS and EventBridge, including polls.\n",
        *(summary(results, targets) for targets in (1, 10, 100)),
        "At 1,000 targets, by the models:\n",
        table(("1,000 targets", "delivered", "time to the last", "function time each", "AWS calls each"), _thousand()),
        "![Time from the tag to the last delivery](benchmark-time.svg)\n",
        "## Time from the tag to the last delivery\n",
        "The bound is the physically shortest time: the longest chain of copies under the quota and KMS's rate, the registration, and eight consecutive calls (`bench/bound.py`).",
        "The goal is at most 2 % and one sweep period (60 seconds) above the bound with events, and one poll interval more for each step without them.\n",
        table(("promotion", "took", "bound", "above it", "within the goal"), _bounds(results, matrix.TIMED)),
        _serial(results),
        "## Steps\n",
        "How long the service takes to react, in 100 deliveries: median and longest.",
        "A step is two invocations, one for the event and one of the worker, with a queue between them; the sweep polls in case the event is lost.\n",
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
        "this service": [(case.deliveries, results.of(case).billed / case.deliveries) for case in matrix.SIZES]
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
        "AWS does not document whether copies of one snapshot to many accounts wait for each other; in the simulator they run in parallel.\n"
        "The table shows the bound for every tool in both cases, also with `by_way_of_hub`: the hub then copies once into each further Region, and that Region's targets copy from there.\n\n"
        + table(
            ("promotion", "side by side", "one after another", "by way of the hub", "the same, one after another"), rows
        )
        + "\nIf copies wait for each other, `by_way_of_hub` shortens the wait for many targets in several Regions, but not within one Region. If copies do not wait, it costs one more copy.\n"
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
        "Messages to the share worker wait in its queue for 5 seconds, so that one call can open or close several shares of a snapshot.\n"
        "Calls that this saves, and time that it costs, if all copies of one size end at the same time:\n\n"
        + table(("", "ModifySnapshotAttribute", "hub calls each", "above the bound"), rows)
    )
