"""Whether each permission was needed: every action of every statement against what the scenarios' calls were allowed by.

    python -m tools.needed [--tests]

Reads what the scenarios wrote down while they ran (build/permissions, tests/scenarios/permission_log.py), so all of them
must have run: `make permissions` or `make pytest`. Exits with status 1 if an action was needed by no call and is not in
.chalice/policies/unexercised.yaml with a source. A line there that a call needed after all is named, and is no failure:
it grants nothing. With --tests it prints a test for each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import yaml

from tools.permissions import POLICIES, ROOT, statements

LOG = ROOT / "build" / "permissions"
UNEXERCISED = POLICIES / "unexercised.yaml"
Permission = tuple[str, str, str]
"""Role, statement and action."""


def main(arguments: list[str]) -> int:
    """Compare and print; return the exit status."""
    every = {(it.role, it.sid, action) for it in statements() if not it.denied for action in it.actions}
    seen = logged(LOG)
    if not seen:
        print(f"{LOG.relative_to(ROOT)} is empty: run `make permissions`.", file=sys.stderr)
        return 1
    excused = excuses()
    for fault in faults(every, seen.keys(), excused.keys()):
        print(fault, file=sys.stderr)
    for role, sid, action in sorted(excused.keys() & seen.keys()):
        print(f"{role}, {sid}: {action} was needed; take its line out of unexercised.yaml.")
    if "--tests" in arguments:
        for one in sorted(every):
            print(*one, seen.get(one) or excused.get(one, "none"), sep=" | ")
    needed = len(every & seen.keys())
    sourced = len((every & excused.keys()) - seen.keys())
    print(f"Permissions: {len(every)} actions; {needed} were needed by a scenario, {sourced} have a source instead.")
    return int(any(faults(every, seen.keys(), excused.keys())))


def logged(directory: Path) -> dict[Permission, str]:
    """Read what was needed, each with its first test by name."""
    found: dict[Permission, str] = {}
    for file in sorted(directory.glob("*.json")):
        for role, sid, action, tests in json.loads(file.read_text(encoding="utf-8")):
            found[role, sid, action] = min([*tests, *filter(None, [found.get((role, sid, action))])])
    return found


def excuses() -> dict[Permission, str]:
    """Read what no scenario can need: its source, by statement."""
    read: Mapping[str, Mapping[str, Mapping[str, str]]] = yaml.safe_load(UNEXERCISED.read_text(encoding="utf-8"))
    functions = {it.role for it in statements() if it.sid == "WriteLogs"}
    return {
        (role, sid, action): source
        for group, those in read.items()
        for role in (functions if group == "every function" else [group])
        for sid, actions in those.items()
        for action, source in actions.items()
    }


def faults(
    every: AbstractSet[Permission], seen: AbstractSet[Permission], excused: AbstractSet[Permission]
) -> Iterator[str]:
    """Say which permissions are too many, and which lines of the list."""
    for role, sid, action in sorted(every - seen - excused):
        yield f"{role}, {sid}: no call needed {action}. Take it out of the policy, or say in unexercised.yaml who asks for it."
    for role, sid, action in sorted(excused - every):
        yield f"{role}, {sid}: {action} is in unexercised.yaml, and in no policy."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
