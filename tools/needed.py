"""Whether each permission was needed: every action and condition of every statement against the scenarios' calls.

    python -m tools.needed

Reads what the scenarios wrote down while they ran (build/permissions, tests/scenarios/permission_log.py), after
`make pytest`, whose scenarios need each permission, or `make permissions`, which runs all. Exits with status 1 if an action allowed no call, or a condition
decided none, and .chalice/policies/unexercised.yaml has no source for it; or if the test that
.chalice/policies/needed.yaml names did not need it. A line of unexercised.yaml that needed.yaml has, too, is named,
and is no failure: it grants nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import yaml

from tools import policies
from tools.policies import ALL_FUNCTIONS, ATTACHED, DATA_KEY, POLICIES, ROOT, statements

LOG = ROOT / "build" / "permissions"
UNEXERCISED = POLICIES / "unexercised.yaml"
NEEDED = POLICIES / "needed.yaml"
HEAD = """\
# A test that fails without it, for each action, condition and denial: role -> statement -> action or condition -> test.
# `python -m tests.scenarios.without_permission` writes this file after `make permissions`; the soak plays it. docs/reference/
# permissions.md shows it.

"""
DENIAL = "the denial"
"""Stands where an action is named else, for the whole of a statement that denies."""
Permission = tuple[str, str, str]
"""Role, statement, and action, condition (``only if OPERATOR KEY``) or ``DENIAL``."""


def main() -> int:
    """Compare and print; return the exit status."""
    seen = logged(LOG)
    if not seen:
        print(f"{LOG.relative_to(ROOT)} is empty: run `make permissions`.", file=sys.stderr)
        return 1
    every, excused, proved = {*actions(), *conditions()}, excuses(), proofs()
    found = [*faults(every, seen.keys(), excused.keys()), *stale(proved, seen)]
    for fault in found:
        print(fault, file=sys.stderr)
    for role, sid, what in sorted(excused.keys() & proved.keys()):
        print(f"{role}, {sid}: {what} has a test in needed.yaml; take its line out of unexercised.yaml.")
    needed = len(every & seen.keys())
    sourced = len((every & excused.keys()) - seen.keys())
    print(f"Permissions: {len(every)} actions and conditions; {needed} were needed, {sourced} have a source instead.")
    return int(bool(found))


def actions() -> Iterator[Permission]:
    """Every action that a statement allows."""
    return ((it.role, it.sid, action) for it in statements() if not it.denied for action in it.actions)


def conditions() -> Iterator[Permission]:
    """Every condition of a statement, those of denials, too."""
    return ((it.role, it.sid, one) for it in statements() for one in policies.conditions(it))


def denials() -> Iterator[Permission]:
    """Every statement that denies."""
    return ((it.role, it.sid, DENIAL) for it in statements() if it.denied)


def logged(directory: Path) -> dict[Permission, set[str]]:
    """Read what was needed, each with its tests."""
    several = {ALL_FUNCTIONS, DATA_KEY, *(role for role in ATTACHED.values() if " and " in role)}
    shared = {it.sid: it.role for it in statements() if it.role in several}
    found: dict[Permission, set[str]] = {}
    for file in sorted(directory.glob("*.json")):
        for role, sid, action, tests in json.loads(file.read_text(encoding="utf-8")):
            found.setdefault((shared.get(sid, role), sid, action), set()).update(tests)
    return found


def excuses() -> dict[Permission, str]:
    """Read what no scenario can need: its source, by statement."""
    return _read(UNEXERCISED)


def proofs() -> dict[Permission, str]:
    """Read which test fails without which action or condition."""
    return _read(NEEDED)


def _read(file: Path) -> dict[Permission, str]:
    read: Mapping[str, Mapping[str, Mapping[str, str]]] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    functions = {it.role for it in statements() if it.sid == "WriteLogs"}
    return {
        (role, sid, action): text
        for group, those in read.items()
        for role in (functions if group == "every function" else [group])
        for sid, lines in those.items()
        for action, text in lines.items()
    }


def faults(
    every: AbstractSet[Permission], seen: AbstractSet[Permission], excused: AbstractSet[Permission]
) -> Iterator[str]:
    """Say which permissions are too many, and which lines of the list."""
    for role, sid, what in sorted(every - seen - excused):
        cure = "Take it out of the policy, or say in unexercised.yaml who asks for it."
        yield f"{role}, {sid}: no call needed {what}. {cure}"
    for role, sid, what in sorted(excused - every):
        yield f"{role}, {sid}: {what} is in unexercised.yaml, and in no policy."


def stale(proved: Mapping[Permission, str], seen: Mapping[Permission, AbstractSet[str]]) -> Iterator[str]:
    """Say which tests of needed.yaml ran and no longer need what they stand for."""
    for permission, test in sorted(proved.items()):
        if test not in seen.get(permission, {test}):
            yield f"{', '.join(permission)}: {test} does not need it any longer. Run `python -m tests.scenarios.without_permission`."


def write(proved: Mapping[Permission, str]) -> None:
    """Write needed.yaml."""
    tree: dict[str, dict[str, dict[str, str]]] = {}
    for (role, sid, what), test in sorted(proved.items()):
        tree.setdefault(role, {}).setdefault(sid, {})[what] = test
    NEEDED.write_text(HEAD + yaml.safe_dump(tree, width=10**6), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
