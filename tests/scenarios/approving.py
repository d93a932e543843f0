"""A targets file by which an approval is required, and the policies that this project offers."""

import json
from typing import Any

from tests.scenarios.platform import ROOT
from tests.scenarios.scene import DEV, PROD, targets_file

WAITS = "awaiting-approval"


def file(approval: str = "required", **settings: Any) -> str:
    """A targets file in which `prod` needs an approval; ``settings``: others of `prod`."""
    return targets_file({"default": [DEV], "dev": [DEV], "prod": {"members": [PROD], "approval": approval, **settings}})


def deployed(name: str) -> Any:
    """Read a policy from deploy/."""
    return json.loads((ROOT / "deploy" / f"{name}.json").read_text())
