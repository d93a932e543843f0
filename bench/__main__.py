"""``python -m bench [--keep]``: measure everything, and write docs/reference/benchmarks.md and cost.md.

``--keep`` measures only what a run before has not (``build/bench.json``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import pages, results
from bench.cold import PACKAGE


def main(arguments: Sequence[str]) -> int:
    """Run it; returns the exit status."""
    if not PACKAGE.exists():
        print("bench: the package is not built: run `make package` first.", file=sys.stderr)
        return 1
    measured = results.measure(lambda text: print(text, flush=True), keep="--keep" in arguments)
    for path in pages.write(measured):
        print(f"{path} written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
