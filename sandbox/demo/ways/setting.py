"""What stands before the tag: the hub, every target prepared for its way, an organisation, two AMIs under one key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox import stage
from sandbox.demo import scene
from sandbox.demo.ways.cast import FAR, MANAGEMENT, SECRET, UNITS, Way, targets_file

if TYPE_CHECKING:
    from sandbox.services.organizations import Organization
    from sandbox.world import World

COPYING = (30.0, 0.5)
"""Virtual seconds that a copy takes, and more for each GiB: much less than in AWS, as `make demo` shows that."""
USE = ["kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A world ready for the tags. ``tpm`` is "" where nobody is to get that AMI."""

    world: World
    ways: tuple[Way, ...]
    staged: stage.Stage
    tpm: str
    keys: dict[tuple[str, str], str]
    """Account and Region -> ARN of the key that stands there for copies."""
    organisation: Organization
    units: dict[str, str]
    """Name of an OU -> its id."""
    policy: str
    """The source key's policy, as its owner wrote it."""
    before: frozenset[str]
    """What was open before the service came."""
    began: datetime

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of the AMIs that are promoted."""
        return tuple(image for image in (self.staged.image, self.tpm) if image)

    def source(self, way: Way) -> str:
        """Id of the AMI that a way is shown with."""
        return self.tpm if way.group == "tpm" else self.staged.image

    def name(self, account: str) -> str:
        """Call an account as a person does."""
        return next(
            (way.name for way in self.ways if way.account == account), "hub" if account == stage.HUB else account
        )

    def client(self, service: str, account: str = stage.HUB, region: str = stage.REGION) -> Any:
        """AWS, as an account's administrator."""
        return self.world.client(service, account, region)

    def open_for(self, way: Way) -> list[str]:
        """Every foreign permission of the hub's that is the account's, but for what was there before us."""
        holders = (
            {way.account, self.organisation.arn_of(self.units[way.group])} if way.group in self.units else {way.account}
        )
        return [share for share in self.world.shares_open() if share not in self.before and _is_for(share, holders)]

    def value(self, *without: str) -> str:
        """Return what the tag says: the groups of all ways that get the first AMI, but some."""
        groups = dict.fromkeys(way.group for way in self.ways if self.source(way) == self.staged.image)
        return " ".join(group for group in groups if group not in without)


def _is_for(share: str, holders: set[str]) -> bool:
    """Whether a line of ``World.shares_open`` names a holder: what it is about stands before " to " or " for "."""
    _, _, holder = share.replace(" for ", " to ").rpartition(" to ")
    return any(one in holder for one in holders)


def build(world: World, ways: Sequence[Way]) -> Setting:
    """Deploy, make and apply everything. Raises NotReady."""
    names = {way.name: way.account for way in ways if way.account != stage.HUB}
    try:
        staged = stage.set_up(world, scene.ROOT, names)
    except FileNotFoundError as missing:
        raise scene.NotReady(str(missing)) from None
    world.ec2.pace.copy, world.ec2.pace.copy_per_gib = COPYING
    keys = {(account, stage.REGION): stack.outputs["KeyArn"] for account, stack in staged.targets.items()}
    keys |= {way.place: _prepare_far(world, way.account) for way in ways if way.region == FAR}
    for way in ways:
        if way.role:
            world.iam.put_service_linked_role(way.account)
    organisation, units = _organise(world, ways)
    policy = _open_key(world, staged.key, ways)
    tpm = ""
    if any(way.group == "tpm" for way in ways):
        tpm = world.ec2.seed_image(
            stage.HUB,
            stage.REGION,
            name="golden-tpm-2026-01",
            volumes=stage.SIZES[:1],
            key=staged.key,
            tags={"Name": "golden-tpm", "team": "platform"},
            BootMode="uefi-preferred",
            TpmSupport="v2.0",
            uefi_data="AAAA",
        )
    scene.apply(world, targets_file(ways, organisation.id, units), names)
    world.kernel.run(limit=scene.STANDING)
    before = frozenset(world.shares_open())
    return Setting(world, tuple(ways), staged, tpm, keys, organisation, units, policy, before, world.now)


def _prepare_far(world: World, account: str) -> str:
    """Deploy deploy/target.yaml in the other Region, too; the role is the account's and is made once."""
    given = {"HubAccountId": stage.HUB, "HubRegion": stage.REGION, "ExternalId": stage.EXTERNAL_ID}
    given["CreateRole"] = str(account == stage.HUB).lower()
    template = scene.ROOT / stage.TARGET_TEMPLATE
    key: str = world.deploy(template, account, FAR, "ami-promoter-target", given).outputs["KeyArn"]
    return key


def _organise(world: World, ways: Sequence[Way]) -> tuple[Organization, dict[str, str]]:
    made = world.organizations.create(MANAGEMENT)
    named = [name for name in UNITS if any(way.group == name for way in ways)]
    units = {name: world.organizations.add_unit(made, name) for name in named}
    world.organizations.add_account(made, stage.HUB)
    for way in ways:
        if way.group in units and not way.joins:
            world.organizations.add_account(made, way.account, units[way.group])
    given = {"HubAccountId": stage.HUB, "HubRegion": stage.REGION, "ExternalId": SECRET}
    template = scene.ROOT / "deploy" / "organization.yaml"
    world.deploy(template, MANAGEMENT, stage.REGION, "ami-promoter-organization", given)
    return made, units


def _open_key(world: World, key: str, ways: Sequence[Way]) -> str:
    """Write the key's policy as its owner does who lets some accounts in; returns it."""
    let_in = [way.account for way in ways if "none" in way.settings]
    root = {"AWS": f"arn:aws:iam::{stage.HUB}:root"}
    own = {"Sid": "Owner", "Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    theirs = {**own, "Sid": "Vault", "Principal": {"AWS": let_in}, "Action": USE}
    text = json.dumps({"Version": "2012-10-17", "Statement": [own, theirs] if let_in else [own]}, indent=2)
    world.client("kms", stage.HUB, stage.REGION).put_key_policy(KeyId=key, PolicyName="default", Policy=text)
    return text
