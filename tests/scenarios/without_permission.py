"""Runs a test without one permission, or without one condition of a statement: the test that needs it must fail.

The environment says which (``role|Sid|action``, ``role|Sid|only if OPERATOR KEY``, or ``role|Sid|the denial``); the
scene then deploys the hub and the targets with that much less in their roles' policies.
``.chalice/policies/needed.yaml`` names, for each action, condition and denial, a test that fails so. ``make
test-thorough`` plays one of them, the soak all (``run``).

    python -m tests.scenarios.without_permission [ROLE ...]

writes that file after `make permissions`: it runs the tests that the log names without the permission, until one
fails. What is proved stays, unless its test no longer needs the permission, so a second run is short.
"""

import gc
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from awsim.iam.roles import Roles
from demo import stage
from tests.scenarios.permission_log import WHERE, role_of
from tools.needed import DENIAL, LOG, Permission, actions, conditions, denials, excuses, logged, proofs, write
from tools.policies import ALL_FUNCTIONS, DATA_KEY, ONLY_IF, statements

ROOT = Path(__file__).resolve().parents[2]
WITHHELD = "AMI_PROMOTER_WITHHELD"
"""Environment variable: what the roles of a scene lack."""
NOTHING = ("nobody", "Nothing", "nothing:Nothing")
"""With this withheld a test must still succeed, or its failure would prove nothing."""
TRIES = 6
"""So many tests are run without a permission before it counts as not proved."""
FAILED, BROKEN = 1, 99
"""pytest's exit status if a test failed; that of a fork in which pytest did not run."""


def withhold(roles: Roles) -> None:
    """Let the roles of a scene lack what the environment names, if it does.

    What cannot be withheld ends pytest with ``BROKEN``: as an error it would look like the failure that is expected.
    """

    def edited(name: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            role, sid, what = os.environ[WITHHELD].split("|")
            return without(document, sid, what) if role_of(name) in _named(role) else document
        except Exception as error:  # noqa: BLE001 - whatever it is, no test has failed
            pytest.exit(f"{os.environ[WITHHELD]} cannot be withheld: {error!r}", returncode=BROKEN)

    if WITHHELD in os.environ:
        roles.edited = edited


def _named(role: str) -> Sequence[str]:
    """Return the roles that a policy is attached to, by the heading that it has in the docs."""
    if role not in (ALL_FUNCTIONS, DATA_KEY):
        return role.split(" and ")
    return [it.role for it in statements() if it.sid == "WriteLogs"]


def without(document: Mapping[str, Any], sid: str, what: str) -> Mapping[str, Any]:
    """Return a policy without an action or a condition of one statement; the statement goes with its last action."""
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    changed = [_without(one, what) if one.get("Sid") == sid else one for one in listed]
    return {**document, "Statement": [one for one in changed if one]}


def _without(statement: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    if what == DENIAL:
        return {}
    if not what.startswith(ONLY_IF):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        left = [one for one in actions if one != what]
        return {**statement, "Action": left} if left else {}
    operator, key = what.removeprefix(ONLY_IF).split(" ")
    kept = {
        one: {name: values for name, values in tests.items() if (one, name) != (operator, key)}
        for one, tests in statement.get("Condition", {}).items()  # some stand there only with a parameter of the stack
    }
    return {**statement, "Condition": {one: tests for one, tests in kept.items() if tests}}


def fails(permission: Permission, test: str) -> str:
    """Run a test without a permission. Return "" if it failed, as it should; else what pytest said."""
    environment = {name: value for name, value in os.environ.items() if name != WHERE}
    environment[WITHHELD] = "|".join(permission)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *_options(test)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == FAILED else done.stdout[-2000:] + done.stderr[-2000:]


def _options(test: str) -> list[str]:
    return ["-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", f"{folder_of(test)}/{test}"]


def folder_of(test: str) -> Path:
    """Return the folder of a test that needed.yaml names by its file: that of the scenarios, or that of the stories."""
    file = test.partition("::")[0]
    (folder,) = (ROOT / "tests" / one for one in ("scenarios", "stories") if (ROOT / "tests" / one / file).exists())
    return folder


def _fails_forked(permission: Permission, test: str) -> bool:
    """Do what ``fails`` does in a fork of this process, which has imported everything: that takes half the time."""
    child = os.fork()
    if child == 0:
        status = BROKEN
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            os.chdir(ROOT)
            os.environ.pop(WHERE, None)
            os.environ[WITHHELD] = "|".join(permission)
            status = int(pytest.main([*_options(test), "-W", "ignore::pytest.PytestAssertRewriteWarning"]))
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == FAILED


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Withhold one permission after another, in an order that the seed draws; return how many, and the failures."""
    end, cases, failures = time.monotonic() + seconds, 0, []
    every = sorted(proofs().items())
    for permission, test in random.Random(seed).sample(every, len(every)):
        if time.monotonic() >= end:
            break
        cases += 1
        if fails(permission, test):
            failures.append(f"{' | '.join(permission)}: {test} succeeds without it.")
    return cases, failures


def prove(roles: Sequence[str]) -> int:
    """Find a failing test for each action, condition and denial, and write them. Return 1 if one has none."""
    from tests.scenarios import soak  # noqa: PLC0415 - it imports scenarios, and their fixtures this module

    soak.in_a_world(lambda _scene: None, 1, stage.TARGETS)  # so that no fork imports and reads what a scene needs
    gc.freeze()
    seen, proved, every = logged(LOG), proofs(), {*actions(), *conditions(), *denials()}
    proved = {one: test for one, test in proved.items() if one in every and test in seen.get(one, {test})}
    busy = Counter(test for tests in seen.values() for test in tests)
    wanted = sorted(one for one in every - proved.keys() - excuses().keys() if not roles or one[0] in roles)
    sound: dict[str, bool] = {}
    for permission in wanted:
        good = Counter(proved.values())
        tests = sorted(seen.get(permission, ()), key=lambda test: (-good[test], busy[test], test))
        for test in tests[:TRIES]:
            if test not in sound:
                sound[test] = not _fails_forked(NOTHING, test)
            if sound[test] and _fails_forked(permission, test):
                proved[permission] = test
                break
        print(*permission, proved.get(permission, "not proved"), sep=" | ", flush=True)  # noqa: T201
        write(proved)
    return int(not proved.keys() >= {*wanted})


if __name__ == "__main__":
    sys.exit(prove(sys.argv[1:]))
