"""Share mode: a targets file with it, and the end of its promotions."""

from collections.abc import Mapping
from typing import Any

from tests.scenarios.scene import PROD, TEST, targets_file

SHARE: Mapping[str, Any] = {"mode": "share", "service_linked_roles": []}
"""Settings by which a target launches the hub's own AMI."""


def sharing_file(**settings: Any) -> str:
    """A targets file by which DEV and TEST share, TEST its snapshots, too, and PROD copies."""
    accounts = {TEST: {"share_snapshots": True}, PROD: {"mode": "copy"}}
    return targets_file(accounts=accounts, **{**SHARE, "copy_deadline": "5m", **settings})


def share_with(scene, account: str) -> None:
    """Apply a targets file by which one account shares, and share the AMI with it."""
    scene.apply(targets_file(accounts={account: SHARE}))
    scene.tag(account)
    scene.run_until_state("shared", account)


def shared(scene) -> dict[str, str]:
    """Run until all are at rest; return the states."""
    scene.run_until_over()
    states = scene.states()
    assert "failed" not in states.values(), [n["faults"] for n in scene.notices("delivery.failed")]
    return states
