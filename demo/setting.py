"""What stands before the tag: a hub, targets, the targets file applied by the real command line, and an AMI or two."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from awsim.injections import PlannedCrash
from awsim.services.organizations import SimulatedOrganization
from awsim.world import World
from demo import stage
from demo import ways as cast
from demo.options import Options
from demo.terminal import ROOT, Terminal
from demo.ways import FAR, SECRET, UNITS, Place, Way

STANDING = timedelta(minutes=6)
"""How long the hub has stood before the tag is set. Its first look for tagged AMIs, within five minutes, is its
baseline: what is tagged by then moves only by an event."""
COPYING = (30.0, 0.5)
"""Virtual seconds that a copy takes, and more for each GiB, when all ways are shown: much less than in AWS, as
`make demo` shows that."""
USE = ["kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]


class NotReady(Exception):
    """What must stand could not be set up; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A world ready for the tags."""

    world: World
    ways: tuple[Way, ...]
    staged: stage.Stage
    keys: Mapping[Place, str]
    """Where -> ARN of the key that stands there for copies."""
    policy: str
    """The source key's policy, as its owner wrote it."""
    before: frozenset[str]
    """What was open before the service came."""
    began: datetime
    crashes: tuple[PlannedCrash, ...] = ()
    tpm: str = ""
    """Id of a second AMI, one with a TPM; "" where nobody is to get it."""
    organization: SimulatedOrganization | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    """Name of an OU -> its id."""

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of the AMIs that are promoted."""
        return tuple(image for image in (self.staged.image, self.tpm) if image)

    def source(self, way: Way) -> str:
        """Id of the AMI that a way is shown with."""
        return self.tpm if way.group == "tpm" else self.staged.image

    def name(self, holder: str) -> str:
        """Call an account or an OU as a person does."""
        if holder.startswith("arn:"):
            return next((f"OU {name}" for name in self.units if self.arn(name) == holder), holder)
        named = (way.name for way in self.ways if way.account == holder)
        return next(named, "hub" if holder == stage.HUB else holder)

    def client(self, service: str, account: str = stage.HUB, region: str = stage.REGION) -> Any:
        """AWS, as an account's administrator."""
        return self.world.client(service, account, region)

    def holders(self, way: Way) -> set[str]:
        """Return whom a permission for a way's account can name: its id, and the ARN of its OU."""
        return {way.account, *([self.arn(way.group)] if way.group in self.units else [])}

    def arn(self, unit: str) -> str:
        """Return the ARN of an OU, by its name."""
        return self.organization.arn_of(self.units[unit]) if self.organization else ""

    def join(self, way: Way) -> str:
        """Let a way's account join its OU; returns the OU's id."""
        unit = self.units[way.group]
        if self.organization:
            self.world.organizations.add_account(self.organization, way.account, unit)
        return unit

    def open(self) -> list[str]:
        """Return each permission for another account that is open now and was not before the service came."""
        return [share for share in self.world.shares_open() if share not in self.before]

    def open_for(self, way: Way, shares: Iterable[str] | None = None) -> list[str]:
        """Return those of the open permissions (or of ``shares``) that a way's account, or its OU, has."""
        holders = self.holders(way)
        return [share for share in (self.open() if shares is None else shares) if _is_for(share, holders)]

    def launch(self, way: Way) -> str:
        """Try to launch what a way promises, a copy or the hub's AMI; returns why the instance would not run."""
        image = self.source(way)
        if not way.shares:
            own = self.client("ec2", *way.place).describe_images(Owners=["self"])["Images"]
            if not own:
                return "it has no AMI"
            image = own[0]["ImageId"]
        return self.world.launch(*way.place, image, by=way.role)

    def value(self, *without: str) -> str:
        """Return what the tag says: the words of all ways that get the first AMI, but some."""
        words = dict.fromkeys(way.word or way.group for way in self.ways if self.source(way) == self.staged.image)
        return " ".join(word for word in words if word not in without)

    def tag(self, image: str = "", value: str = "") -> None:
        """Tag an AMI, by the call that an image builder makes when it is done; the first with all words, if empty."""
        tags = [{"Key": "promote", "Value": value or self.value()}]
        self.client("ec2").create_tags(Resources=[image or self.staged.image], Tags=tags)


def _is_for(share: str, holders: set[str]) -> bool:
    """Whether a line of ``World.shares_open`` names a holder: what it is about stands before " to " or " for "."""
    _, _, holder = share.replace(" for ", " to ").rpartition(" to ")
    return any(one in holder for one in holders)


def copies(world: World, options: Options) -> Setting:
    """Deploy and apply what it takes to copy one AMI to so many targets. Raises NotReady."""
    ways = cast.copies(options.targets)
    names = {way.name: way.account for way in ways}
    staged = _stage(world, names)
    policy = world.kms.describe(stage.HUB, stage.REGION, staged.key).versions[-1].text
    apply(world, stage.targets_file(names), names)
    world.kernel.run(limit=STANDING)
    injections = world.injections
    if not options.events:
        injections.drop_events()
        injections.lose_messages(stage.WAKE_QUEUES, except_from="sweep")
    crashes = tuple(injections.crash(c.function, c.operation, c.nth, c.when) for c in options.crashes)
    before = frozenset(world.shares_open())
    return Setting(world, ways, staged, _keys(staged), policy, before, world.now, crashes)


def every_way(world: World, ways: Sequence[Way]) -> Setting:
    """Deploy, make and apply what all these ways of sharing take. Raises NotReady."""
    names = {way.name: way.account for way in ways if way.account != stage.HUB}
    organization, units = _organise(world, ways)
    staged = _stage(world, names, organization.id)
    world.ec2.pace.copy, world.ec2.pace.copy_per_gib = COPYING
    keys = _keys(staged) | {way.place: _prepare_far(world, way.account) for way in ways if way.region == FAR}
    for way in ways:
        if way.role:
            world.iam.put_service_linked_role(way.account)
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
    apply(world, cast.targets_file(ways, organization.id, units), names)
    world.kernel.run(limit=STANDING)
    before = frozenset(world.shares_open())
    return Setting(
        world, tuple(ways), staged, keys, policy, before, world.now, tpm=tpm, organization=organization, units=units
    )


def _stage(world: World, names: Mapping[str, str], organization: str = "") -> stage.Stage:
    try:
        return stage.set_up(world, ROOT, names, organization)
    except FileNotFoundError as missing:
        raise NotReady(str(missing)) from None


def _keys(staged: stage.Stage) -> dict[Place, str]:
    return {(account, stage.REGION): stack.outputs["KeyArn"] for account, stack in staged.targets.items()}


def apply(world: World, text: str, names: Mapping[str, str]) -> None:
    """Apply a targets file as a person does. Raises NotReady. ``names`` is name -> account, for the profiles."""
    with Terminal(world, names) as terminal:
        status, said = terminal.run("targets", "apply", "--yes", terminal.file("targets.yaml", text))
    if status:
        raise NotReady(f"`ami-promoter targets apply` ended with status {status}:\n{said}")


def _prepare_far(world: World, account: str) -> str:
    """Deploy deploy/target.yaml in the other Region, too; the role is the account's and is made once."""
    given = {"HubAccountId": stage.HUB, "HubRegion": stage.REGION, "ExternalId": stage.EXTERNAL_ID}
    given["CreateRole"] = str(account == stage.HUB).lower()
    template = ROOT / stage.TARGET_TEMPLATE
    key: str = world.deploy(template, account, FAR, "ami-promoter-target", given).outputs["KeyArn"]
    return key


def _organise(world: World, ways: Sequence[Way]) -> tuple[SimulatedOrganization, dict[str, str]]:
    """Make an organization, its OUs and its accounts; returns it, and the id of each OU by its name."""
    made = world.organizations.create(stage.MANAGEMENT)
    named = [name for name in UNITS if any(way.group == name for way in ways)]
    units = {name: world.organizations.add_unit(made, name) for name in named}
    world.organizations.add_account(made, stage.HUB)
    for way in ways:
        if way.group in units and not way.joins:
            world.organizations.add_account(made, way.account, units[way.group])
    given = {"HubAccountId": stage.HUB, "HubRegion": stage.REGION, "ExternalId": SECRET}
    template = ROOT / "deploy" / "organization.yaml"
    world.deploy(template, stage.MANAGEMENT, stage.REGION, "ami-promoter-organization", given)
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
