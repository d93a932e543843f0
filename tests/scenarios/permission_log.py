"""Which statement of which role's policy allowed what the packaged service did, and in which test.

On if the environment says where to: ``make pytest`` does, and reads it at the end (tools/needed.py). Only calls that
functions make count, with their own roles and with those that they assume; what a test does with stolen credentials of
the same roles does not.
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
"""In the name that CloudFormation makes up; EventBridge uses that role, no function."""


class PermissionLog:
    """What one test process saw."""

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
        """Write what was seen into the directory, in a file of this process's own."""
        if self._tests:
            directory = Path(os.environ[WHERE])
            directory.mkdir(parents=True, exist_ok=True)
            seen = [[*which, sorted(tests)] for which, tests in sorted(self._tests.items())]
            (directory / f"{os.getpid()}.json").write_text(json.dumps(seen), encoding="utf-8")


LOG = PermissionLog()
