"""Runs a command, prints what it found, and returns the exit status that ``--help`` describes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from ami_promoter import asking, aws, drain, key_policy, members, pausing, reconcile, status, targets
from ami_promoter.arguments import Call, parse
from ami_promoter.report import Report
from chalicelib.core.faults import Fault

OK, FAULTS, USAGE, AWS, UNFINISHED = 0, 1, 2, 3, 4

RUN: Mapping[str, Callable[[Call, str], Report]] = {
    "targets": targets.run,
    "members": members.run,
    "status": status.run,
    "pause": pausing.run,
    "resume": pausing.run,
    "drain": drain.run,
    "promote": asking.run,
    "cancel": asking.run,
    "retry": asking.run,
    "reconcile": reconcile.run,
    "key-policy": key_policy.run,
}
"""A command's first word, and what carries it out; each may raise Trouble."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; ``argv`` is without the program's name, by default the process's own."""
    call = parse(sys.argv[1:] if argv is None else argv)
    if isinstance(call, str):
        print(call)
        return OK
    if not isinstance(call, Call):
        return _usage(call)
    try:
        region = aws.region(call.options.get("--region"), os.environ)
        if region is None:
            what = "neither it nor AWS_REGION nor a profile says the hub's Region."
            return _usage([Fault("usage-region", "--region", what, "Write `--region REGION`.")])
        report = RUN[call.command.words[0]](call, region)
    except aws.Trouble as trouble:
        print(f"ami-promoter: {trouble}", file=sys.stderr)
        return AWS
    if "--json" in call.options:
        data = {"faults": [fault.to_json() for fault in report.faults]} if report.faults else report.data
        print(json.dumps(data, indent=2))
    else:
        _print(report.lines)
    _print(report.warnings, "ami-promoter: warning: ")
    if report.faults:
        _print_faults(report.faults)
        return FAULTS
    return UNFINISHED if report.unfinished else OK


def _usage(faults: Sequence[Fault]) -> int:
    _print_faults(faults)
    print("`ami-promoter --help` shows how it is called.", file=sys.stderr)
    return USAGE


def _print_faults(faults: Sequence[Fault]) -> None:
    for fault in faults:
        print(fault, file=sys.stderr)
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    print(f"{count}; nothing was changed.", file=sys.stderr)


def _print(lines: Iterable[str], prefix: str = "") -> None:
    for line in lines:
        print(f"{prefix}{line}", file=sys.stderr if prefix else sys.stdout)
