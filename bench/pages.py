"""docs/reference/benchmarks.md with its plots, docs/reference/cost.md, and the README's table, from what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import after_copy_page, calls_page, cost_page, functions_page, time_page, verdicts
from bench.results import Results
from bench.summary import summary

ROOT = Path(__file__).parents[1]
HEAD = """\
# Benchmarks

<!-- Generated: bench/ writes this page (`make bench`). -->

*This page is generated from runs in the simulator.*

How fast the service is and what it costs: its time, API calls and dollars, compared with the lowest possible values and with other tools.
Time is virtual, so the numbers do not depend on the machine; only the [cold start](#cold-start) is measured in CPU time, as a ratio.
`make bench` measures everything again, in up to 15 minutes on two cores, without a network.

Every benchmark uses the same promotion: an AMI of two volumes, 8 and 100 GiB, encrypted under one key of the hub.
A copy of 8 GiB takes 10 minutes and one of 518 GiB three hours, each plus or minus 20 %; AWS guarantees no times.
An AWS call takes 20 to 40 milliseconds, EC2 allows 50 changes at once and then 5 a second for each account and Region, 20 copies run at once into each, and KMS makes 50 grants a second.
Events arrive within two seconds, and key grants take effect at once unless a table says otherwise.
Runs of the whole package have up to 200 targets; for 1,000 targets only the service runs, in memory.
"""
README = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


def write(results: Results) -> Iterator[str]:
    """Write everything that has changed; yields the paths."""
    texts = {"docs/reference/benchmarks.md": benchmarks(results), "docs/reference/cost.md": cost_page.page(results)}
    texts |= {f"docs/reference/{name}": text for name, text in time_page.plots(results).items()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    texts["README.md"] = README.sub(lambda found: f"{found[1]}{summary(results, 100)}{found[2]}", readme)
    for path, text in texts.items():
        place = ROOT / path
        if not place.exists() or place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")
            yield path


def benchmarks(results: Results) -> str:
    """Return the page of benchmarks, in Markdown."""
    sections: Sequence[str] = (
        HEAD,
        verdicts.section(results),
        time_page.section(results),
        calls_page.section(results),
        functions_page.section(results),
        after_copy_page.section(results),
    )
    return "\n".join(sections)
