"""``make second-opinion``: form it, print it, and exit with status 0 only if all of it holds."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tools.second_opinion import opinion
from tools.second_opinion.launcher import emulator, tail

CANNOT = (
    "how KMS decides in a copy: the emulator evaluates neither grants nor the keys' policies there",
    "whether bus policies admit a forwarded event: it stores them only",
    "the AMI's finer properties (boot mode, TPM, UEFI, deprecation), real timing, quotas, and real event payloads",
)


def main() -> int:
    """Return the exit status: 1 if something does not hold, 2 if it could not go on."""
    with tempfile.TemporaryDirectory(prefix="second-opinion-") as name:
        scratch = Path(name)
        try:
            with emulator(scratch) as running:
                found = opinion.form(running, scratch, lambda line: print(line, flush=True))
        except (opinion.Broken, RuntimeError) as broken:
            print(f"second-opinion: {broken}", file=sys.stderr)
            if (scratch / "emulator.log").exists():
                print(tail((scratch / "emulator.log").read_text(encoding="utf-8", errors="replace")), file=sys.stderr)
            return 2
    print(report(found))
    return 0 if found.holds else 1


def report(found: opinion.Opinion) -> str:
    """Return what a person reads."""
    lines = ["", "Deployed, by the guide's own commands:", *(f"  {line}" for line in found.deployed), "", "Checked:"]
    for statement, holds, detail in found.checks:
        lines.append(f"  {'holds ' if holds else 'BROKEN'}  {statement}")
        if not holds:
            lines.append(f"          {detail}")
    lines += [
        "",
        "What this emulator cannot show (docs/explanation/second-opinion.md):",
        *(f"  - {line}" for line in CANNOT),
    ]
    broken = sum(not holds for _, holds, _ in found.checks)
    verdict = "all of it holds" if found.holds else f"{broken} of {len(found.checks)} statements do not hold"
    return "\n".join([*lines, "", f"Second opinion: {verdict} ({found.seconds:.0f} s)."])


if __name__ == "__main__":
    sys.exit(main())
