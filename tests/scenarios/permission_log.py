"""Which statement of which role's policy allowed the packaged service's calls, which condition decided, in which test.

On if the environment names a directory: ``make pytest`` does, and reads it at the end (tools/needed.py), so that all
processes of the run count together and a run of a few tests is not compared. Only calls by functions count as allowed,
with their own roles and those that they assume; a test's calls with stolen credentials of the same roles do not. A
condition and a denial count in any call: most are needed by the test of an attack.
"""

import json
import os
from collections import defaultdict
from pathlib import Path

from awsim.api import Caller
from awsim.iam.service import Iam
from tests.scenarios.scene import REGION
from tools.needed import DENIAL
from tools.policies import ONLY_IF

WHERE = "AMI_PROMOTER_PERMISSION_LOG"
"""Environment variable: a directory."""
ROLES = {
    "AmiCopyRole": "target role",
    "AmiCopyRole-grants": "target grant role",
    "AmiCopyRole-launch": "target launch role",
    "AmiOrganizationRead": "organization read role",
}
FUNCTIONS = f"ami-promoter-{REGION}-"
FORWARDING = "-ForwardRole-"
"""In the name that CloudFormation makes up; EventBridge uses that role, no function."""


def role_of(name: str) -> str:
    """Return what tools/policies.py calls the role of a name."""
    return "target forwarding role" if FORWARDING in name else ROLES.get(name, name.removeprefix(FUNCTIONS))


class PermissionLog:
    """What one test process saw."""

    def __init__(self) -> None:
        self._tests: dict[tuple[str, str, str], set[str]] = defaultdict(set)

    def listen(self, iam: Iam, test: str) -> None:
        """Write down what the simulator's IAM decides in a test."""

        def allowed(caller: Caller, action: str, sid: str) -> None:
            if caller.function or FORWARDING in (caller.role_arn or ""):
                self._tests[_role(caller), sid, action].add(test)

        def decided(caller: Caller, sid: str, condition: str) -> None:
            self._tests[_role(caller), sid, f"{ONLY_IF}{condition}"].add(test)

        def denied(caller: Caller, sid: str) -> None:
            self._tests[_role(caller), sid, DENIAL].add(test)

        iam.on_allow.append(allowed)
        iam.on_condition.append(decided)
        iam.on_denial.append(denied)

    def write(self) -> None:
        """Write what was seen into the directory, into a file of this process."""
        if self._tests:
            directory = Path(os.environ[WHERE])
            directory.mkdir(parents=True, exist_ok=True)
            seen = [[*which, sorted(tests)] for which, tests in sorted(self._tests.items())]
            (directory / f"{os.getpid()}.json").write_text(json.dumps(seen), encoding="utf-8")


def _role(caller: Caller) -> str:
    return role_of((caller.role_arn or "").rpartition("/")[2])


LOG = PermissionLog()
