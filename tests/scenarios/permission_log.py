"""Which statement of which role's policy allowed the packaged service's calls, and in which test.

On if the environment names a directory: ``make pytest`` does, and reads it at the end (tools/needed.py). Only calls by
functions count, with their own roles and those that they assume; a test's calls with stolen credentials of the same
roles do not.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from awsim.api import Caller
from tests.scenarios.scene import REGION

WHERE = "AMI_PROMOTER_PERMISSION_LOG"
"""Environment variable: a directory."""
ROLES = {
    "AmiCopyRole": "target role",
    "AmiCopyRole-grants": "target grant role",
    "AmiOrganizationRead": "organization read role",
}
FUNCTIONS = f"ami-promoter-{REGION}-"
FORWARDING = "-ForwardRole-"
"""Part of the name that CloudFormation generates; EventBridge uses that role, no function."""


class PermissionLog:
    """What one test process observed."""

    def __init__(self) -> None:
        self._tests: dict[tuple[str, str, str], set[str]] = defaultdict(set)

    def of(self, test: str) -> Callable[[Caller, str, str], None]:
        """Make a listener for one test (awsim.iam.Iam.on_allow)."""

        def note(caller: Caller, action: str, sid: str) -> None:
            name = (caller.role_arn or "").rpartition("/")[2]
            role = "target forwarding role" if FORWARDING in name else ROLES.get(name, name.removeprefix(FUNCTIONS))
            if caller.function or FORWARDING in name:
                self._tests[role, sid, action].add(test)

        return note

    def write(self) -> None:
        """Write the observations into the directory, in a file for this process."""
        if self._tests:
            directory = Path(os.environ[WHERE])
            directory.mkdir(parents=True, exist_ok=True)
            seen = [[*which, sorted(tests)] for which, tests in sorted(self._tests.items())]
            (directory / f"{os.getpid()}.json").write_text(json.dumps(seen), encoding="utf-8")


LOG = PermissionLog()
