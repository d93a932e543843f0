"""Targets in another Region: their files, and what an account owns there."""

from demo import stage
from tests.scenarios.scene import DEV, HUB, REGION, TEST

FAR = "eu-west-1"
EVERYWHERE = f"""\
defaults:
  external_id: {stage.EXTERNAL_ID}
  regions: [{REGION}, {FAR}]
groups:
  default: ["{DEV}"]
  dev: ["{DEV}", "{TEST}"]
"""
BETWEEN = f"""\
defaults:
  external_id: {stage.EXTERNAL_ID}
groups:
  default: ["{DEV}", "{TEST}"]
accounts:
  "{HUB}": {{regions: [{FAR}]}}
  "{DEV}": {{regions: [{REGION}, {FAR}], by_way_of_hub: true}}
"""


def found(scene, account: str, region: str):
    """AMIs and snapshots that an account owns in a Region."""
    ec2 = scene.world.client("ec2", account, region)
    return ec2.describe_images(Owners=["self"])["Images"], ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]


def regions_of(deliveries) -> set[tuple[str, str, str]]:
    """Account, Region and state of each."""
    return {(one["account"], one["region"], one["state"]) for one in deliveries}
