"""The part of the page on calls: to AWS beside the least possible, and to DynamoDB by purpose."""

from __future__ import annotations

from collections.abc import Iterator

from bench import matrix
from bench.case import Case
from bench.results import Results
from bench.run import MeasuredRun
from bench.table import number, table

WHY = {
    "the promotion": "state, and a short item for each delivery: written at the start and the end",
    "the promotion's head": "what the pass over standing shares compares; one item for each AMI",
    "the delivery": "the record of 1 to 3 KB, with the last entries of its history: its intent before each call, its result after (invariant 3), and when to look again after each poll",
    "copy slots": "what a delivery asks for, and what it was granted",
    "the ledger of shares": "each permission before and after it is opened and closed (invariants 1 to 3), the two looks after that, its archive; the resource's record, by which its holders wake it",
    "look-ups for events": "from a copy's or an AMI's event to its delivery",
    "history": "what happened (invariant 10): entries of records, some together; one for each change of a share",
    "the index of what is due": "the sparse index that the sweep reads (invariant 6): written whenever a due time moves",
    "withdrawals": "whether somebody has withdrawn the AMI: read before each opening",
    "the applied file and members": "who may receive, read again right before each opening (invariant 11)",
}


def above_least(measured: MeasuredRun, *, apart: bool = False) -> float:
    """Return calls over the least possible; ``apart``: where no share stays open for the sake of another target."""
    made = sum(measured.hub_calls.values()) + sum(measured.target_calls.values())
    together = measured.least["ModifySnapshotAttribute"] // 2
    return made / (sum(measured.least.values()) + (max(0, measured.closings - together) if apart else 0))


def section(results: Results) -> str:
    """Return the section on calls, in Markdown."""
    return "\n".join(
        [
            "## AWS calls\n",
            "The tables count calls to EC2, KMS, STS, SNS and EventBridge for each delivery, like [calls](calls.md), which lists them step by step.",
            'Column "of the least, together": compared with the least calls if all copies ended at the same time and one call closed a snapshot for all.',
            'Column "apart": compared with the least calls for the actual ends. One call closes a snapshot for copies that end within 5 seconds, because no share stays open for another one (invariant 1).',
            'AssumeRole counts as a call of the hub. Column "swept" has the polls of long copies and the looks after closing, which the sweep causes.\n',
            table(
                ("promotion", "hub", "targets", "all", "least", "of the least, together", "apart", "swept"),
                _calls(results),
            ),
            "Calls that open and close snapshots; each serves up to 500 accounts:\n",
            table(("promotion", "ModifySnapshotAttribute", "least"), _sharing(results)),
            "## DynamoDB\n",
            "Units for each delivery, without sweep and discovery: a read unit is 4 KB, a write unit 1 KB, and each item of a transaction counts twice.\n",
            table(("promotion", "calls", "read units", "write units", "bytes kept"), _store(results)),
            "By purpose, at 100 targets:\n",
            table(("what", "read units", "write units", "why"), _purposes(results)).replace("---:|\n", "---|\n", 1),
            "The service in memory, counted at its ports, as far as 1,000 targets:\n",
            table(
                ("targets", "invocations each", "store calls each", "AWS calls each", "opening and closing"),
                _curve(results),
            ),
        ]
    )


def _calls(results: Results) -> Iterator[tuple[str, ...]]:
    cases = [*matrix.SIZES, *matrix.TOGETHER, *matrix.VOLUMES, *matrix.FOUR_REGIONS, *matrix.SWEPT]
    for case in dict.fromkeys(cases):
        one, count = results.of(case), case.deliveries
        hub, targets = sum(one.hub_calls.values()) / count, sum(one.target_calls.values()) / count
        least = sum(one.least.values()) / count
        swept = sum(one.scheduled_calls.values()) / count
        ratios = (above_least(one), above_least(one, apart=True)) if case.events else ()
        shown = [f"{ratio:.2f}" for ratio in ratios] or ["", ""]
        yield str(case), *map(number, (hub, targets, hub + targets, least)), *shown, number(swept)


def _sharing(results: Results) -> Iterator[tuple[str, int, int]]:
    for case in (*matrix.TOGETHER, *matrix.SIZES):
        one = results.of(case)
        yield str(case), one.sharing, one.least["ModifySnapshotAttribute"]
    for targets, point in sorted(results.curve.items()):
        if targets > 200:
            yield f"{targets:,} targets, in memory", point["sharing"], 4 * -(-targets // 500)


def _store(results: Results) -> Iterator[tuple[str, ...]]:
    for case in dict.fromkeys([*matrix.SIZES, *matrix.VOLUMES, *matrix.SWEPT]):
        one, count = results.of(case), case.deliveries
        values = (sum(one.store_calls.values()), sum(one.reads.values()), sum(one.writes.values()), one.stored_bytes)
        yield str(case), *(number(value / count) for value in values)


def _purposes(results: Results) -> Iterator[tuple[str, ...]]:
    one = results.of(Case(100))
    for name in sorted({*one.reads, *one.writes}, key=lambda name: (-one.writes.get(name, 0), name)):
        reads, writes = one.reads.get(name, 0) / 100, one.writes.get(name, 0) / 100
        if reads + writes:
            yield name, number(reads), number(writes), WHY.get(name, "")


def _curve(results: Results) -> Iterator[tuple[str, ...]]:
    for targets, point in sorted(results.curve.items()):
        values = (point["invocations"], point["store_calls"], point["aws_calls"])
        yield f"{targets:,}", *(number(value / targets) for value in values), f"{point['sharing']:,}"
