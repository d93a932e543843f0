"""What stands before the tag: a hub, its targets in all Regions of a case, the applied file, an AMI of its volumes."""

from __future__ import annotations

from dataclasses import dataclass

from awsim.world import World
from bench.case import COLD_SECONDS, COPY_SECONDS, COPY_SECONDS_PER_GIB, REGIONS, SPREAD, Case, accounts
from bench.rates import Throttle
from demo import setting, terminal
from demo import stage as scene

HUB, REGION = scene.HUB, scene.REGION
GROUP, FIRST = "everyone", "first"
PREFIX = "/golden/"
SUBNET_TAG = {"ami-promoter:launch-test": "true"}
LATEST_KEY = 300.0
"""Seconds after which AWS promises that a grant works [aws-facts 4, VERIFIED]."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A world that is ready for the tag."""

    world: World
    image: str
    throttle: Throttle
    value: str

    def tag(self) -> None:
        """Set the tag, as an image builder does when it is done."""
        tags = [{"Key": "promote", "Value": self.value}]
        self.world.client("ec2", HUB, REGION).create_tags(Resources=[self.image], Tags=tags)


def set_up(world: World, case: Case) -> Staged:
    """Deploy, apply and build what a case needs. Raises FileNotFoundError if the package is not built."""
    listed = accounts(case.accounts)
    names = {f"t{account}": account for account in listed}
    staged = scene.set_up(world, terminal.ROOT, names)
    given = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": scene.EXTERNAL_ID, "CreateRole": "false"}
    regions = REGIONS[: case.regions]
    for region in regions[1:]:
        for account in listed:
            world.deploy(terminal.ROOT / scene.TARGET_TEMPLATE, account, region, "ami-promoter-target", given)
    if case.after_copy:
        _allow(world, listed, given)
    setting.apply(world, _targets_file(listed, regions, after_copy=case.after_copy), names)
    pace = world.ec2.pace
    pace.copy, pace.copy_per_gib = COPY_SECONDS, COPY_SECONDS_PER_GIB
    pace.copy_spread = 0.0 if case.together else SPREAD
    world.kms.grants.delay = (0.0, LATEST_KEY) if case.late_keys else (0.0, 0.0)
    image = world.ec2.seed_image(
        HUB,
        REGION,
        name="measured",
        volumes=case.sizes,
        key=staged.key,
        tags={"Name": "measured", "team": "platform", **({"family": "base"} if case.after_copy else {})},
    )
    world.kernel.run(limit=setting.STANDING)
    _adjust(world, case)
    throttle = Throttle(world.now)
    world.gateway.before.append(throttle)
    return Staged(world, image, throttle, f"{FIRST} {GROUP}" if case.after_copy else GROUP)


def _allow(world: World, listed: list[str], given: dict[str, str]) -> None:
    """Let the hub write the parameter and test AMIs in each target."""
    more = {**given, "CreateRole": "true", "ParameterPrefix": PREFIX, "LaunchTest": "true"}
    for account in listed:
        world.ec2.seed_subnet(account, REGION, tags=SUBNET_TAG)
        world.deploy(terminal.ROOT / scene.TARGET_TEMPLATE, account, REGION, "ami-promoter-target", more)


def _adjust(world: World, case: Case) -> None:
    world.lambda_.cold_seconds = COLD_SECONDS
    if case.share_delay is not None:
        for queue in world.sqs.queues.values():
            if queue.name.endswith("share-worker.fifo"):
                queue.attributes["DelaySeconds"] = str(case.share_delay)
    if not case.events:
        world.injections.drop_events()
        world.injections.lose_messages(scene.WAKE_QUEUES, except_from="sweep")


def _targets_file(listed: list[str], regions: tuple[str, ...], *, after_copy: bool) -> str:
    first, *rest = (f'"{account}"' for account in listed)
    members, others = ", ".join((first, *rest)), ", ".join(rest)
    more = f"""\
  ssm_parameter: {PREFIX}{{family}}/current
  launch_test: {{instance_type: t3.micro, within: 15m}}
groups:
  {FIRST}: [{first}]
  {GROUP}: {{members: [{others}], after: {FIRST}}}
"""
    usual = f"""\
groups:
  {GROUP}: [{members}]
"""
    return f"""\
defaults:
  external_id: {scene.EXTERNAL_ID}
  regions: [{", ".join(regions)}]
{more if after_copy else usual}"""
