"""Share mode: a targets file with it, and the end of its promotions."""

from demo import stage
from tests.scenarios.scene import DEV, PROD, TEST, targets_file

SHARING = f"""\
defaults:
  external_id: {stage.EXTERNAL_ID}
  mode: share
  copy_deadline: 5m
  service_linked_roles: []
groups:
  default: ["{DEV}"]
  dev: ["{DEV}", "{TEST}"]
  prod: ["{PROD}"]
accounts:
  "{TEST}": {{share_snapshots: true}}
  "{PROD}": {{mode: copy}}
"""


def share_with(scene, account: str) -> None:
    """Apply a targets file by which one account shares, and share the AMI with it."""
    scene.apply(targets_file() + f'accounts: {{"{account}": {{mode: share, service_linked_roles: []}}}}\n')
    scene.launches |= {account}
    scene.tag(account)
    scene.run_until_state("shared", account)


def shared(scene) -> dict[str, str]:
    """Run until all are at rest; return the states."""
    scene.run_until_over()
    states = scene.states()
    assert "failed" not in states.values(), [n["faults"] for n in scene.notices("delivery.failed")]
    return states
