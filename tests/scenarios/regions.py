"""Targets in another Region: their files, and what an account owns there."""

from typing import Any

from tests.scenarios.scene import DEV, HUB, REGION, TEST, targets_file

FAR = "eu-west-1"
ABROAD = {HUB: {"regions": [FAR]}}


def everywhere(**settings: Any) -> str:
    """A targets file by which each account gets AMIs in both Regions."""
    return targets_file(regions=[REGION, FAR], **settings)


def between(**more: Any) -> str:
    """A targets file by which DEV's AMI in the other Region comes from the hub's own copy there; ``more``: accounts."""
    accounts = {**ABROAD, DEV: {"regions": [REGION, FAR], "by_way_of_hub": True}, **more}
    return targets_file({"default": [DEV, TEST]}, accounts)


def found(scene, account: str, region: str):
    """AMIs and snapshots that an account owns in a Region."""
    ec2 = scene.world.client("ec2", account, region)
    return ec2.describe_images(Owners=["self"])["Images"], ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]


def regions_of(deliveries) -> set[tuple[str, str, str]]:
    """Account, Region and state of each."""
    return {(one["account"], one["region"], one["state"]) for one in deliveries}
