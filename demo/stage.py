"""The scene that demos and scenario tests begin with: a hub, three targets, a key, an AMI of two volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from awsim.cfn import Stack
from awsim.services.buses import EventRule
from awsim.world import World

REGION = "us-east-1"
HUB = "111111111111"
TARGETS = {"dev": "222222222222", "test": "333333333333", "prod": "444444444444"}
"""Name -> account. ``hub`` and these are the names of the profiles, too."""
MANAGEMENT = "900000000000"
"""The management account of an organization."""
READ_ROLE = f"arn:aws:iam::{MANAGEMENT}:role/AmiOrganizationRead"
"""The role there that deploy/organization.yaml creates."""
MOST_LISTED = 170
"""Accounts that the hub's parameter TargetAccounts takes."""
EXTERNAL_ID = "only-the-hub-knows"
FAMILY, PREFIX = "base", "/golden/"
PARAMETER = f"{PREFIX}{FAMILY}/current"
"""Names the current AMI of the family in each target, where a stack and the targets file ask for it."""
HUB_TEMPLATE = Path("build/hub/template.yaml")
MONITOR_TEMPLATE = Path("build/hub/monitor.yaml")
TARGET_TEMPLATE = Path("deploy/target.yaml")
ALARMS = "on-call"
"""The hub's topic that its alarms notify."""
WAKE_QUEUES = ("worker.fifo", "share-worker.fifo")
"""How the names of the queues end that carry wakes."""
STATELESS = (
    *(f"chalicelib.{room}." for room in ("promotion", "monitor", "inventory", "delivery", "release", "sharing")),
    *(f"chalicelib.{room}." for room in ("targets", "images", "engine")),
    *(f"chalicelib.entry.{name}" for name in ("events", "queue_consumer")),
)
"""The hub's packages whose modules keep no state that a call changes; ``tests/test_source.py`` checks that."""
SIZES = (8, 100)
"""GiB of the AMI's two volumes."""


def targets_file(targets: Mapping[str, str]) -> str:
    """Write a targets file: group ``prod`` is the target of that name, ``dev`` all others, ``default`` the first."""
    names = {name: f'"{account}"' for name, account in targets.items()}
    groups = {
        "default": next(iter(names.values())),
        "dev": ", ".join(account for name, account in names.items() if name != "prod"),
        "prod": names.get("prod", ""),
    }
    listed = "".join(f"  {group}: [{accounts}]\n" for group, accounts in groups.items() if accounts)
    return f"""\
# Who may receive AMIs. Apply with: ami-promoter targets apply FILE
defaults:
  external_id: {EXTERNAL_ID}
groups:
{listed}"""


TARGETS_FILE = targets_file(TARGETS)


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands in the world when the scene is set."""

    hub: Stack
    targets: dict[str, Stack]
    """Account -> its stack."""
    key: str
    """ARN of the key that encrypts the AMI's snapshots, in the hub."""
    image: str
    """Id of the AMI, in the hub: available, not tagged yet."""
    snapshots: tuple[str, ...]
    """Ids of its snapshots, the root's first."""


def set_up(world: World, root: Path = Path(), targets: Mapping[str, str] = TARGETS, organization: str = "") -> Stage:
    """Deploy the hub from ``build/hub`` and each target from ``deploy/target.yaml``, and make a key and an AMI.

    ``root`` is the repository, ``targets`` name -> account; the hub admits these, and the accounts of
    ``organization`` (an id), which is made if they are many.
    Raises FileNotFoundError, saying what to run, when the package is not built.
    """
    if not (root / HUB_TEMPLATE).exists():
        raise FileNotFoundError(f"{HUB_TEMPLATE} does not exist: run `make package` first, in the repository's root")
    world.lambda_.stateless = STATELESS
    key = world.client("kms", HUB, REGION).create_key(Description="golden images")["KeyMetadata"]["Arn"]
    given = {
        "OrganizationId": organization,
        "OrganizationReadRoleArn": READ_ROLE if organization else "",
        **_admitted(world, targets),
        "SubscriberAccounts": ",".join(list(targets.values())[:MOST_LISTED]),
        "PolicyKeyArns": key,
        "HubCopies": "true",
        "AlarmTopicArn": world.client("sns", HUB, REGION).create_topic(Name=ALARMS)["TopicArn"],
    }
    hub = world.deploy(root / HUB_TEMPLATE, HUB, REGION, "ami-promoter", given)
    given = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": EXTERNAL_ID}
    stacks = {
        account: world.deploy(root / TARGET_TEMPLATE, account, REGION, "ami-promoter-target", given)
        for account in targets.values()
    }
    image = world.ec2.seed_image(
        HUB, REGION, name="golden-2026-01", volumes=SIZES, key=key, tags={"Name": "golden", "team": "platform"}
    )
    (shown,) = world.client("ec2", HUB, REGION).describe_images(ImageIds=[image])["Images"]
    snapshots = tuple(device["Ebs"]["SnapshotId"] for device in shown["BlockDeviceMappings"])
    return Stage(hub, stacks, key, image, snapshots)


def allow_releases(world: World, root: Path, accounts: Iterable[str]) -> None:
    """Update the targets' stacks, which then allow what follows a copy: a parameter, launch tests, who uses an AMI."""
    given = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": EXTERNAL_ID, "ParameterPrefix": PREFIX}
    given |= {"LaunchTest": "true", "AllowUseReport": "true"}
    for account in accounts:
        world.ec2.seed_subnet(account, REGION, tags={"ami-promoter:launch-test": "true"})
        world.deploy(root / TARGET_TEMPLATE, account, REGION, "ami-promoter-target", given)


def leave_out_vain_sweeps(world: World) -> None:
    """Play no sweep of a hub where nothing is due: most are such, change nothing, and take most of a long run."""

    def in_vain(rule: EventRule) -> bool:
        if not any(one.arn.endswith("-sweep") for one in rule.targets.values()):
            return False
        region, account = rule.arn.split(":")[3:5]
        due = world.tables.numbers(account, region, f"ami-promoter-{region}", "wake_at")
        return all(one > world.now.timestamp() for one in due)

    world.events.leaves_out = in_vain


def _admitted(world: World, targets: Mapping[str, str]) -> dict[str, str]:
    """Return the hub's parameter that admits the targets: their list, or an organization that they are put into."""
    if len(targets) <= MOST_LISTED:
        return {"TargetAccounts": ",".join(targets.values())}
    organization = world.organizations.create(MANAGEMENT)
    for account in (HUB, *targets.values()):
        world.organizations.add_account(organization, account)
    return {"OrganizationId": organization.id}
