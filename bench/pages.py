"""docs/reference/benchmarks.md with its plots, docs/reference/cost.md, and the README's table, from what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import calls_page, cost_page, functions_page, time_page, verdicts
from bench.results import Results
from bench.summary import summary

ROOT = Path(__file__).parents[1]
HEAD = """\
# Benchmarks

<!-- Generated: bench/ writes this page (`make bench`). -->

*This page is generated from runs in the simulator.*

For those who ask how fast and how dear the service is: its time, calls and dollars, beside the least possible and beside other tools.
Time is virtual, so the numbers do not depend on the machine; only the [cold start](#cold-start) is measured in CPU time, as a ratio.
`make bench` measures all of it again, in up to 15 minutes on two cores, without a network.

The promotion is the same everywhere: an AMI of two volumes, 8 and 100 GiB, encrypted under one key of the hub.
A copy of 8 GiB takes 10 minutes and one of 518 GiB three hours, a fifth more or less; AWS promises nothing.
An AWS call takes 20 to 40 milliseconds, EC2 allows 50 changes at once and then 5 a second for each account and Region, 20 copies run at once into each, and KMS makes 50 grants a second.
Events come within two seconds, and key grants work at once unless a table says otherwise.
Whole runs of the package go up to 200 targets; 1,000 targets are played on the service in memory.
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
    """Return the page."""
    sections: Sequence[str] = (
        HEAD,
        verdicts.section(results),
        time_page.section(results),
        calls_page.section(results),
        functions_page.section(results),
    )
    return "\n".join(sections)
