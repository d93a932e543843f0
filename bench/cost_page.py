"""The page docs/reference/cost.md: dollars for a delivery and a month."""

from __future__ import annotations

from collections.abc import Iterator

from bench import cost
from bench.case import Case
from bench.results import Results, rivals
from bench.table import dollars, table

PROMOTIONS_A_DAY, TARGETS = 50, 100
HEAD = """\
# Cost

<!-- Generated: bench/ writes this page (`make bench`). -->

*This page is generated from the counts of the [benchmarks](benchmarks.md) and the prices in `ami_promoter/prices.json`.*

List prices of {region}, collected on {dated}, without free tiers and discounts; [the last table](#prices) says where each was read.
The promotion is an AMI of two volumes, 8 and 100 GiB.
"""


def page(results: Results) -> str:
    """Return the page, in Markdown."""
    file = cost.prices()
    own = results.of(Case(TARGETS))
    day = sum(cost.delivery(own).values()) * PROMOTIONS_A_DAY * TARGETS
    stored = sum(own.case.sizes)
    kept = cost.storage(stored, 1)["snapshots, a month"]
    return "\n".join(
        [
            HEAD.format(**file),
            "## A delivery\n",
            "By service, at 100 targets. The hub pays, except for EventBridge's forwarded events and EC2's use of the target's key.\n",
            table(("service", "this service"), _lines(cost.delivery(own))),
            "Compared with the other tools, without their limits:\n",
            table(("", "dollars each", "made of"), _rivals(results)),
            "## Snapshots\n",
            f"The same for every tool that copies: {stored} GiB cost at most {dollars(kept)} a month in each target, less if blocks are empty.",
            f"The transfer to another Region costs {dollars(stored * cost.usd('transfer_gb'))} once.",
            f"With `complete_within` the copies cost at most {dollars(stored * cost.usd('timed_copy_gb'))} once, for 15 minutes; less for a longer time.",
            "One month of storage costs more than all work of the service for the delivery.\n",
            "## Idle\n",
            "A month without promotions: the sweep runs every minute, discovery every five minutes.\n",
            table(("", "a month"), _lines(cost.idle(results.idle))),
            "Lambda polls its queues even if they are empty: about 15 times a minute each. This is an assumption, because AWS does not document it for FIFO queues.\n",
            "Monitoring, priced separately:\n",
            table(("", "a month"), _lines(cost.watching(results.idle, *cost.watchers()))),
            f"A key costs {dollars(cost.usd('kms_key_month'))} a month: one in the hub that encrypts the AMIs, and one in each target that `deploy/target.yaml` makes, unless its owner uses an existing key.\n",
            f"## {PROMOTIONS_A_DAY} promotions a day to {TARGETS} targets\n",
            f"{PROMOTIONS_A_DAY * TARGETS:,} deliveries a day.\n",
            table(("", "a day", "a month"), _busy(results, day)),
            "## Prices\n",
            'Column "read" names the page where the number was read: AWS\'s own, or another one that quotes it.',
            "Check quoted prices on AWS's page before you rely on a sum.\n",
            table(("price", "dollars", "per", "AWS's page", "read"), _prices()),
        ]
    )


def _lines(parts: dict[str, float]) -> Iterator[tuple[str, str]]:
    for name, value in parts.items():
        yield name, dollars(value)
    yield "**all**", f"**{dollars(sum(parts.values()))}**"


def _rivals(results: Results) -> Iterator[tuple[str, str, str]]:
    case = Case(TARGETS)
    parts = cost.delivery(results.of(case))
    yield "**this service**", dollars(sum(parts.values())), _words(parts)
    for one in rivals(case):
        parts = cost.rival(one, case.volumes)
        yield one.name, dollars(sum(parts.values())), _words(parts)


def _words(parts: dict[str, float]) -> str:
    largest = sorted(parts.items(), key=lambda one: -one[1])[:2]
    return ", ".join(f"{name} {dollars(value)}" for name, value in largest)


def _busy(results: Results, day: float) -> Iterator[tuple[str, str, str]]:
    yield "**this service**, with its idle cost", dollars(day + _idle(results)), dollars(30 * (day + _idle(results)))
    case = Case(TARGETS)
    for one in rivals(case):
        total = sum(cost.rival(one, case.volumes).values()) * PROMOTIONS_A_DAY * TARGETS
        yield one.name, dollars(total), dollars(30 * total)


def _idle(results: Results) -> float:
    return sum(cost.idle(results.idle).values()) / 30


def _prices() -> Iterator[tuple[str, ...]]:
    for name, one in cost.prices()["prices"].items():
        by = {
            "aws": f"[AWS]({one['seen_at']}), {one['as_of']}",
            "other": f"[quoted]({one['seen_at']}), {one['as_of']}",
        }
        yield (
            name.replace("_", " "),
            f"{one['usd']:.10f}".rstrip("0").rstrip("."),
            one["per"],
            one["source"],
            by[one["confirmed"]],
        )
