"""The part of the page on what may follow a copy: a launch test, a parameter that names the AMI, waves."""

from __future__ import annotations

from collections.abc import Iterator

from bench import cost, matrix
from bench.case import Case
from bench.results import Results
from bench.run import MeasuredRun
from bench.table import dollars, duration, number, table


def section(results: Results) -> str:
    """Return the section on what may follow a copy, in Markdown."""
    last = results.of(matrix.AFTER_COPY[-1])
    seconds = last.instance_seconds / last.case.deliveries
    instance = cost.usd("instance_hour_t3.micro") * seconds / 3600
    return "\n".join(
        [
            "## With a launch test, a parameter and waves\n",
            "The same promotion, if each target runs one instance from its new AMI and gets a parameter that names it, and all but the first target wait until the first has its AMI.",
            "All numbers are for each delivery. The calls include polls and those to Systems Manager; a wait for a wave is one look.\n",
            table(
                (
                    "promotion",
                    "AWS calls",
                    "invocations",
                    "function seconds",
                    "DynamoDB calls",
                    "read units",
                    "write units",
                    "dollars",
                ),
                _rows(results),
            ),
            f"The instance comes on top: a t3.micro for {duration(seconds)} costs {dollars(instance)}, its volumes less.",
            "The shares are closed before the instance starts, so these steps keep no permission open.",
        ]
    )


def _rows(results: Results) -> Iterator[tuple[str, ...]]:
    for case in matrix.AFTER_COPY:
        for one in (results.of(Case(case.accounts)), results.of(case)):
            yield str(one.case), *_values(one)


def _values(one: MeasuredRun) -> Iterator[str]:
    count = one.case.deliveries
    yield number(one.per_delivery)
    yield number(sum(n for name, n in one.invocations.items() if name not in ("sweep", "discover")) / count)
    yield number(one.billed / count)
    for total in (sum(one.store_calls.values()), sum(one.reads.values()), sum(one.writes.values())):
        yield number(total / count)
    yield dollars(sum(cost.delivery(one).values()))
