"""Which parameters of the hub's stack have an open value, what that lets in, and how to close it. Pure.

An open value is a choice, no fault: the check passes with a warning. ``deploy/strict.json`` closes all of them. Other
checks warn of an alarm topic and of table writers that nobody named (``alarms``, ``writers``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.reconcile.grouped_checks import good

CHECK = "open-defaults"
_STRICT = "Deploy the hub with {name} (deploy/strict.json; docs/guide/deploy-production.md#for-a-bank)"
OPEN = {
    "SourceKeyArns": "The share worker may make and end grants on every key of the account that leaves it to IAM.",
    "GoldenTagValue": "The share worker may share every snapshot of the account, also of what is no golden AMI.",
    "DataKeyArn": "No key policy says who reads tables, queues and logs, and the topic of notices is not encrypted.",
    "BlockPublicSnapshots": "The stack does not keep people from making the account's snapshots public.",
}
"""Parameter -> what its open value lets in. The value is open if it is empty or ``false``."""
ADMITTED = ("OrganizationId", "TargetAccounts")
"""Parameters of which one must have a value."""


def findings(parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a finding for each open value of a stack's parameters, or one that there is none.

    A parameter that the stack does not have is not judged: its template is of another version.
    """
    found = []
    if set(ADMITTED) <= parameters.keys() and not any(parameters[name] for name in ADMITTED):
        what = "The hub may enter every account whose role trusts it, and open AMIs to every account of the file."
        found.append((" or ".join(ADMITTED), what))
    found += [(name, what) for name, what in OPEN.items() if parameters.get(name) in ("", "false")]
    for name, what in found:
        yield good(CHECK, f"{name}: {what}", f"{_STRICT.format(name=name)}.")
    if not found:
        yield good(CHECK, "No parameter of the stack has an open value.")
