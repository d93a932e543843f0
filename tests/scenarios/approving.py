"""A targets file by which an approval is required, and the policies that this project offers."""

import json
from typing import Any

from tests.scenarios.platform import ROOT
from tests.scenarios.scene import DEV, PROD

WAITS = "awaiting-approval"
FILE = """\
defaults: {{external_id: only-the-hub-knows}}
groups:
  default: ["{dev}"]
  dev: ["{dev}"]
  prod: {{members: ["{prod}"], approval: required{settings}}}
"""


def file(settings: str = "") -> str:
    """A targets file in which `prod` needs an approval."""
    return FILE.format(dev=DEV, prod=PROD, settings=settings)


def deployed(name: str) -> Any:
    """Read a policy from deploy/."""
    return json.loads((ROOT / "deploy" / f"{name}.json").read_text())
