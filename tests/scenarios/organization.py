"""An organization with OUs, and a targets file of them."""

from demo import stage
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import HUB, REGION

MANAGEMENT = "900000000000"
SECRET = "org-secret"
ROLE = f"arn:aws:iam::{MANAGEMENT}:role/AmiOrganizationRead"
BY_ROLE = f"read_role: {ROLE}, external_id: {SECRET}"
READ_ROLE = {"OrganizationReadRoleArn": ROLE}
"""The hub's parameter that names it."""
READING = 5 * 60 + 30
"""Seconds in which the organization is read once more."""


class OrganizationScene:
    """An organization with an OU, an inner OU, and the hub beside them; the read role is deployed."""

    def __init__(self, scene):
        self.people = scene.world.organizations
        self.made = self.people.create(MANAGEMENT)
        self.outer = self.people.add_unit(self.made, "workloads")
        self.inner = self.people.add_unit(self.made, "production", self.outer)
        self.people.add_account(self.made, HUB)
        given = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": SECRET}
        self.stack = scene.world.deploy(
            ROOT / "deploy" / "organization.yaml", MANAGEMENT, REGION, "ami-promoter-organization", given
        )
        admitted = ",".join(sorted(scene.listed))
        scene.deploy_hub(TargetAccounts=admitted, OrganizationId=self.made.id, **READ_ROLE)

    def file(self, settings: str = BY_ROLE) -> str:
        """A targets file of one group with the outer OU."""
        return f"""\
defaults:
  external_id: {stage.EXTERNAL_ID}
  queue_deadline: 5m
  copy_deadline: 30m
organization: {{id: {self.made.id}, {settings}}}
groups:
  workloads: ["{self.outer}"]
"""
