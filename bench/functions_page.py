"""The part of the page on functions: billed time, cold start, memory, and the ceiling."""

from __future__ import annotations

from collections.abc import Iterator

from bench import matrix
from bench.case import COLD_SECONDS, Case
from bench.cold import MOST
from bench.limits import limits
from bench.results import Results, rivals
from bench.run import OVERHEAD
from bench.table import number, table


def section(results: Results) -> str:
    """Return the section on functions, in Markdown."""
    return "\n".join(
        [
            "## Function time\n",
            f"Billed seconds for each delivery: all AWS calls, cold starts of {COLD_SECONDS[0]} to {COLD_SECONDS[1]} seconds, and {1000 * OVERHEAD:.0f} milliseconds for each invocation, an assumption.",
            "Sweep and discovery run even without promotions; [the idle cost](cost.md#idle) contains them.\n",
            table(
                (
                    "promotion",
                    "invocations each",
                    "seconds each",
                    "of them for polls",
                    "(a) without its limit",
                    "ratio",
                ),
                _time(results),
            ),
            "![Billed function time for each delivery](benchmark-functions.svg)\n",
            "## Cold start\n",
            "CPU time of a function's imports and first client, divided by that of boto3 with one client, in pairs of processes; and the memory and modules after that.",
            "At each start, Lambda compiles the modules that a function imports, because its disk is read-only, unless the package contains compiled files.",
            "This package contains them; boto3 as pip installs it does not.",
            "The first ratio is for functions without compiled files; the last one compares with a compiled boto3.\n",
            table(
                ("function", "not compiled", "as it is", "over boto3 compiled", f"at most {MOST}", "modules", "MB"),
                _cold(results),
            ),
            "## Package\n",
            table(("part", "KB, compressed"), [(name, f"{size / 1000:,.0f}") for name, size in results.sizes.items()]),
            "## Memory and duration\n",
            "The largest promotion that the service supports, with 1,000 accounts in four Regions and 20 snapshots, run through single invocations of the service in memory.",
            "Memory is what Python allocates after the imports, without boto3's parsing of answers. The opening step runs with 500 accounts in one Region, which is the most that one call accepts. Seconds are virtual.\n",
            table(("function: record", "MB", "seconds"), _worst(results)),
            "The longest invocations of the packaged functions at 200 targets:\n",
            table(("function", "seconds"), _longest(results)),
            "## Ceiling\n",
            "The number of promotions of 100 targets a day that reaches a limit, if they are spread evenly.",
            "The sweep wakes 10,000 records in one run of less than 30 seconds (`tests/service/test_sweep.py`), and [100,000 finished deliveries](../explanation/reliability.md#growth) slow down nothing.\n",
            table(("limit", "promotions of 100 targets a day"), _limits(results)),
        ]
    )


def _time(results: Results) -> Iterator[tuple[str, ...]]:
    cases = [*matrix.SIZES, *matrix.VOLUMES, *matrix.FOUR_REGIONS, *matrix.SWEPT]
    for case in dict.fromkeys(cases):
        one, count = results.of(case), case.deliveries
        slow = rivals(case)[0].functions / count
        invocations = sum(n for name, n in one.invocations.items() if name not in ("sweep", "discover"))
        polls = (one.billed - one.billed_wakes) / count
        mine = one.billed / count
        yield str(case), *map(number, (invocations / count, mine, polls, slow)), f"1 : {slow / mine:,.0f}"


def _cold(results: Results) -> Iterator[tuple[str, ...]]:
    for function, one in results.cold.items():
        within = "yes" if one["compiled"] <= MOST else "no"
        ratios = [f"{one[name]:.2f}" for name in ("before", "ratio", "compiled")]
        yield f"`{function}`", *ratios, within, f"{one['modules']}", f"{one['megabytes']:.0f}"


def _worst(results: Results) -> Iterator[tuple[str, ...]]:
    for what, (megabytes, seconds) in sorted(results.worst.items()):
        yield f"`{what}`".replace("`events: event`", "`on-tag-change`"), number(megabytes), number(seconds)


def _longest(results: Results) -> Iterator[tuple[str, str]]:
    for name, seconds in sorted(results.of(Case(200)).longest.items()):
        yield f"`{name}`", number(seconds)


def _limits(results: Results) -> Iterator[tuple[str, str]]:
    for name, count in sorted(limits(results.of(Case(100))), key=lambda one: one[1]):
        yield name, f"{count:,.0f}"
