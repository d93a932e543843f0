"""The start of every scenario: a simulator with the packaged hub, three targets and an AMI, with methods to act and to
look.

A scenario says what people and AWS do, lets virtual time run, and asserts what a user sees: AMIs, snapshots,
permissions and grants in AWS, the notices, and the records as ``ami-promoter status --json`` shows them. Invariants
that no scenario may break are checked at every AWS call (``Watch``) and once more at the end
(``Scene.assert_invariants``).
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from ami_promoter.cli import main
from ami_promoter.targets_file.compiler import HubPlace, compile_targets
from ami_promoter.terminal.schema import FAILURE
from ami_promoter.verbs import TerminalClock, root
from awsim import wire
from awsim.api import Call
from awsim.cfn import Stack
from awsim.services.ec2.records import Ec2Image, Ec2Snapshot
from awsim.services.ec2.snapshot_sharing import changed
from awsim.world import World
from chalicelib.engine.addresses import delivery_id
from chalicelib.sharing.share import Holding
from chalicelib.sharing.store.ledger import SHARE, holdings_in
from chalicelib.targets.applied_file import Directory
from demo import stage
from tests.invariants import AtRest, BetweenCalls, broken
from tests.scenarios.simulated import CallChecks, SimulatedView

ROOT = Path(__file__).resolve().parents[2]
REGION, HUB = stage.REGION, stage.HUB
DEV, TEST, PROD = stage.TARGETS.values()
STRANGER = "999999999999"
"""An account that no targets file contains."""
TRIGGER = "promote"
TABLE = f"ami-promoter-{REGION}"
DELIVERY_TAG, HUB_TAG, SNAPSHOT_TAG = "ami-promoter:delivery", "ami-promoter:hub", "ami-promoter:source-snapshot"
AUTO_SCALING, SERVICE = "AWSServiceRoleForAutoScaling", "autoscaling.amazonaws.com"
ROLE = f"aws-service-role/{SERVICE}/{AUTO_SCALING}"
OPEN_SHARES = {"opening", "open", "closing"}
HOUR = 3600

GATHERING = 20
"""Seconds for which the ledger collects closings, so that one call closes for several accounts."""

GROUPS: Mapping[str, Any] = {"default": [DEV], "dev": [DEV, TEST], "prod": [PROD]}


def targets_file(groups: Mapping[str, Any] = GROUPS, accounts: Mapping[str, Any] | None = None, **settings: Any) -> str:
    """A targets file; ``settings`` are those of every target, ``accounts`` those of one."""
    defaults = {"external_id": stage.EXTERNAL_ID, **settings}
    return yaml.safe_dump({"defaults": defaults, "groups": dict(groups), "accounts": dict(accounts or {})})


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def lets(principal: str, *actions: str, **more: Any) -> dict[str, Any]:
    """A statement that allows an account, or a principal by its ARN, these actions; all without any."""
    arn = f"arn:aws:iam::{principal}:root" if principal.isdigit() else principal
    return {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": list(actions) or "*", "Resource": "*", **more}


def put_key_policy(kms: Any, key: str, *statements: Mapping[str, Any]) -> None:
    """Write the policy of a key."""
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document(*statements)))


def permit(ec2: Any, snapshot: str, account: str, operation: str = "add") -> None:
    """Share a snapshot with an account, or unshare it ("remove")."""
    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType=operation, UserIds=[account]
    )


class Answering(io.StringIO):
    """A terminal at which somebody answers."""

    def isatty(self) -> bool:
        return True


def as_administrator(patch: pytest.MonkeyPatch, directory: Path, world: World) -> None:
    """Let this process be the administrator of the hub, whatever settings of AWS the machine has."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_REGION"):
        patch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AMI_PROMOTER_CONFIG"):
        patch.setenv(name, str(directory / "none"))
    patch.setenv("AWS_ACCESS_KEY_ID", world.accounts.root(HUB).access_key)
    patch.setenv("AWS_SECRET_ACCESS_KEY", "sandbox")
    patch.setenv("AWS_DEFAULT_REGION", REGION)


class Scene:
    """One simulator with the stage, its people and its clock."""

    def __init__(self, world: World, directory: Path, root: Path, targets: Mapping[str, str] = stage.TARGETS) -> None:
        """``targets``: name -> account, for a scenario that needs other targets than the stage's three."""
        self.world = world
        self.stage = stage.set_up(world, root, targets)
        self.image = self.stage.image
        self.key = self.stage.key
        self.snapshots = self.stage.snapshots
        self._directory = directory
        world.ec2.pace.copy, world.ec2.pace.copy_per_gib = 30, 0.1
        world.kms.grants.delay = (0.0, 0.0)
        self.file: dict[str, Any] = {}
        """The applied file."""
        self.groups: dict[str, dict[str, Any]] = {}
        """The groups of the applied file, each with its members and, if it waits for another, that."""
        self.launches: set[str] = set()
        """Who may get a launch permission: the accounts that a targets file gave it, and what a scenario adds."""
        self.apply(stage.targets_file(targets))
        self.preexisting: set[str] = set()
        self.listed = set(targets.values())
        self.watch = Watch(world)
        self.view = SimulatedView(self)
        self.calls_checked = CallChecks(self).checked
        stage.leave_out_vain_sweeps(world)

    # --- what people do ----------------------------------------------------------------------------------------------

    def client(self, service: str, account: str = HUB) -> Any:
        return self.world.client(service, account, REGION)

    def person(self, role: str, service: str, account: str = HUB, allowed: str = "*") -> Any:
        """A service, for a role of an account that IAM allows an action, or all, on everything."""
        may = document({"Effect": "Allow", "Action": allowed, "Resource": "*"})
        _, key, _, token = self.world.accounts.issue(self.role(account, role, all=may), "person")
        return wire.client(service, REGION, key, token)

    def role(self, account: str, name: str, admits: str = "", **policies: Mapping[str, Any]) -> str:
        """Make a role that an account's root may assume, its own unless ``admits`` says another; return its ARN."""
        root = {"AWS": f"arn:aws:iam::{admits or account}:root"}
        trust = document({"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole"})
        return str(self.world.iam.put_role(account, name, trust, policies).arn)

    def cli(self, *words: str) -> tuple[int, str, str]:
        """Run ``ami-promoter`` as the hub's administrator; return exit status, output and errors.

        While it waits, virtual time runs. With ``--json`` the output is checked against the verb's schema.
        """
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main([*words, "--region", REGION], TerminalClock(sleep=self.wait))
        if "--json" in words:
            conforms(words, json.loads(out.getvalue()), status)
        return status, out.getvalue(), err.getvalue()

    def answer(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run a verb for a program; return its exit status and its output."""
        status, out, _ = self.cli(*words, "--json")
        return status, json.loads(out)

    def ask(self, *words: str, status: int = 0) -> dict[str, Any]:
        """Run a verb for a program; assert how it ends, and return its output."""
        ended, out, err = self.cli(*words, "--json")
        assert ended == status, out + err
        return dict(json.loads(out))

    def prints(self, *words: str) -> tuple[int, str]:
        """Run a verb; return its exit status, and its output and errors in one line."""
        status, out, err = self.cli(*words)
        return status, " ".join(f"{out} {err}".split())

    def said(self, verb: str, *words: str) -> tuple[int, str]:
        """The same of a verb about the AMI."""
        return self.prints(verb, self.image, *words)

    def apply(self, text: str) -> None:
        file = self._directory / "targets.yaml"
        file.write_text(text, encoding="utf-8")
        status, out, err = self.cli("targets", "apply", "--yes", str(file))
        assert status == 0, out + err
        self.file = yaml.safe_load(text)
        compiled = compile_targets(text, file.name, HubPlace(REGION, HUB))
        assert isinstance(compiled, Directory), compiled
        every = [target for targets in compiled.accounts.values() for target in targets]
        self.launches |= {one.account for one in every if one.mode == "share" or one.copy_method != "snapshots"}
        groups = self.file.get("groups") or {}
        self.groups = {n: one if isinstance(one, dict) else {"members": one} for n, one in groups.items()}

    def drop_role(self, account: str = DEV) -> Callable[[], None]:
        """Delete the role by which the service enters a target to copy; return what makes it again."""
        role = self.world.iam.roles.named(account, "AmiCopyRole")
        assert role is not None
        self.world.iam.roles.drop(role.arn)

        def restore() -> None:
            self.world.iam.put_role(account, role.name, role.trust, role.policies)

        return restore

    def deploy_target(self, account: str = DEV, region: str = REGION, **parameters: str) -> Stack:
        """Deploy a target's stack, or update it."""
        given = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": stage.EXTERNAL_ID, **parameters}
        return self.world.deploy(ROOT / stage.TARGET_TEMPLATE, account, region, "ami-promoter-target", given)

    def deploy_hub(self, template: Path = ROOT / stage.HUB_TEMPLATE, **parameters: str) -> Stack:
        """Update the hub's stack, with these parameters alone."""
        return self.world.deploy(template, HUB, REGION, "ami-promoter", parameters)

    def tag(self, value: str, image: str = "", key: str = TRIGGER) -> None:
        self.client("ec2").create_tags(Resources=[image or self.image], Tags=[{"Key": key, "Value": value}])

    def untag(self, image: str = "") -> None:
        self.client("ec2").delete_tags(Resources=[image or self.image], Tags=[{"Key": TRIGGER}])

    def share_before(self, account: str, snapshot: str) -> None:
        """Share a snapshot by hand, before the service comes."""
        permit(self.client("ec2"), snapshot, account)
        self.preexisting = set(self.world.shares_open())

    def seed(self, name: str, volumes: Any = (8,), **rest: Any) -> str:
        """Make another AMI in the hub; under the stage's key unless ``key`` says otherwise."""
        return self.world.ec2.seed_image(HUB, REGION, name=name, volumes=volumes, **{"key": self.key, **rest})

    def launch(self, account: str, image: str = "", by: str = "") -> str:
        """Launch the hub's AMI, or another, in an account; return "" if it runs, else EC2's reason."""
        return self.world.launch(account, REGION, image or self.image, by=by)

    def subscribe(self, protocol: str = "https", endpoint: str = "https://example.com", **attributes: str) -> Any:
        """Subscribe to the topic of notices."""
        return self.world.sns.subscribe(self.stage.hub.outputs["TopicArn"], protocol, endpoint, attributes)

    def emit(
        self,
        detail_type: str,
        source: str,
        resource: str,
        detail: Mapping[str, Any],
        *,
        account: str = HUB,
        region: str = REGION,
        bus: str = "",
    ) -> None:
        """Put an event, true or forged, on the default bus of ``account``, or on the hub's bus ``bus``."""
        events = self.world.events
        event = events._event(account, region, source, detail_type, [resource], detail)
        home = events.default(bus, REGION) if bus else events.default(account, region)
        self.world.kernel.after(0.5, lambda: events.publish(home, event), f"an event {detail_type}")

    def emit_tag_change(
        self, image: str, tags: Mapping[str, str], *, version: float, account: str = HUB, region: str = REGION
    ) -> None:
        """Put a tag event on the hub's bus in AWS's form, with any envelope."""
        detail = {
            "changed-tag-keys": [TRIGGER],
            "tags": dict(tags),
            "service": "ec2",
            "resource-type": "image",
            "version": version,
        }
        arn = f"arn:aws:ec2:{REGION}::image/{image}"
        self.emit("Tag Change on Resource", "aws.tag", arn, detail, account=account, region=region, bus=HUB)

    def emit_copied(self, source: str, copy: str, account: str, result: str = "succeeded") -> None:
        """Put a copy's completion event on an account's bus."""
        arns = [f"arn:aws:ec2::{REGION}:snapshot/{snapshot}" for snapshot in (source, copy)]
        detail = {"event": "copySnapshot", "result": result, "cause": "", "source": arns[0], "snapshot_id": arns[1]}
        self.emit("EBS Snapshot Notification", "aws.ec2", arns[1], detail, account=account)

    def play_every_sweep(self) -> None:
        """Play the sweeps for which nothing is due, too: an alarm watches that the sweep runs."""
        self.world.events.leaves_out = lambda _rule: False

    # --- time --------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self.world.kernel.run(limit=timedelta(seconds=seconds))

    def after(self, seconds: float) -> "Scene":
        """Let virtual time pass; return the scene, for an assertion about what holds then."""
        self.wait(seconds)
        return self

    def run_until(self, what: Callable[[], object], seconds: float = 3 * HOUR) -> None:
        """Let virtual time run until a condition holds; if it never does, fail with a description of the state."""
        if not self.world.kernel.run(until=what, limit=timedelta(seconds=seconds)):
            raise AssertionError(f"not within {seconds} virtual seconds:\n{self.describe()}")

    def promote(self, value: str = "", image: str = "", seconds: float = 3 * HOUR) -> None:
        """Tag an AMI and run until its promotion is over."""
        self.tag(value, image)
        self.run_until_over(image, seconds)

    def promoted(self, value: str = "", image: str = "") -> dict[str, str]:
        """Promote an AMI; return account -> state of its delivery."""
        self.promote(value, image)
        return self.states(image)

    def begin_copies(self, value: str = "", seconds: float | None = None) -> None:
        """Tag the AMI, and run until both copies run; ``seconds``: how long these take."""
        self.world.ec2.pace.copy = self.world.ec2.pace.copy if seconds is None else seconds
        self.tag(value)
        self.run_until(lambda: len(self.live_copies()) == 2)

    def copying(self, value: str, seconds: float, *accounts: str) -> None:
        """Tag the AMI, and run until it is copied to these accounts, or to DEV; ``seconds``: how long copies take."""
        self.world.ec2.pace.copy = seconds
        self.tag(value)
        for account in accounts or (DEV,):
            self.run_until_state("copying", account)

    def run_until_over(self, image: str = "", seconds: float = 3 * HOUR, times: int = 1) -> None:
        """Run until this many summaries were published for the AMI, and everything is at rest."""
        self.run_until(lambda: len(self.notices("promotion.over", image or self.image)) >= times, seconds)
        self.come_to_rest(image)

    def outcome(self, image: str = "", times: int = 1) -> dict[str, str]:
        """Run until the AMI's promotion is over; return account -> state of its delivery."""
        self.run_until_over(image, times=times)
        return self.states(image)

    def run_until_refused(self, image: str = "") -> None:
        """Run until the AMI's value or source was refused, and everything is at rest."""
        self.run_until(lambda: self.notices("promotion.refused", image or self.image), HOUR)
        self.come_to_rest(image)

    def come_to_rest(self, image: str = "") -> None:
        """Run until the AMI's record is over (the notice comes first)."""
        self.run_until(lambda: self.record(f"promotion#{image or self.image}")["state"] == "over", 10 * 60)
        self.wait(2)

    def run_until_state(self, state: str, account: str = DEV, image: str = "", seconds: float = HOUR) -> None:
        self.run_until(lambda: self.delivery_state(account, image) == state, seconds)

    # --- what a user sees --------------------------------------------------------------------------------------------

    def notices(self, event: str = "", image: str = "") -> list[dict[str, Any]]:
        """Bodies of the published notices; only of one event or AMI, if they are named.

        Those of the applied file, which every scene sends, only if they are named.
        """
        bodies = [published.body for published in self.world.sns.published]
        bodies = [b for b in bodies if b["event"] == event or (not event and b["event"] != "targets.applied")]
        return [b for b in bodies if image in ("", b.get("source_image"))]

    def reported(self, image: str = "") -> Counter[str]:
        """How often each event was published about the AMI."""
        return Counter(body["event"] for body in self.notices(image=image or self.image))

    def status(self, image: str = "") -> dict[str, Any]:
        """The output of ``ami-promoter status AMI --json``; empty if it knows no promotion."""
        status, out, _ = self.cli("status", image or self.image, "--json")
        return json.loads(out)["promotion"] if status == 0 else {}

    def delivery(self, account: str, image: str = "") -> dict[str, Any]:
        """One delivery of it; empty without one."""
        return next((d for d in self.status(image).get("deliveries", ()) if d["account"] == account), {})

    def states(self, image: str = "") -> dict[str, str]:
        """Account -> state of its delivery."""
        return {d["account"]: d["state"] for d in self.status(image).get("deliveries", ())}

    def images_in(self, account: str) -> list[dict[str, Any]]:
        """``describe-images --owners self`` in an account."""
        found: list[dict[str, Any]] = self.client("ec2", account).describe_images(Owners=["self"])["Images"]
        return [image for image in found if image["State"] != "deregistered"]

    def image_in(self, account: str) -> dict[str, Any]:
        """The only AMI that the account owns."""
        (found,) = self.images_in(account)
        return found

    def copy_of(self, image: str, account: str = DEV, region: str = REGION) -> dict[str, Any]:
        """The copy of an AMI in a target, disabled or not, as EC2 shows it to the account."""
        tag = [{"Name": "tag:ami-promoter:source-image", "Values": [image]}]
        ec2 = self.world.client("ec2", account, region)
        (found,) = ec2.describe_images(Owners=["self"], Filters=tag, IncludeDisabled=True)["Images"]
        return dict(found)

    def snapshots_of(self, image: str, account: str = HUB) -> list[str]:
        """The snapshots of an account's AMI."""
        (shown,) = self.client("ec2", account).describe_images(ImageIds=[image])["Images"]
        return [one["Ebs"]["SnapshotId"] for one in shown["BlockDeviceMappings"] if "Ebs" in one]

    def deregister(self, account: str, image: str, **options: Any) -> None:
        """Lift the protection and deregister, as the account's administrator."""
        ec2 = self.client("ec2", account)
        ec2.disable_image_deregistration_protection(ImageId=image)
        ec2.deregister_image(ImageId=image, **options)

    def snapshots_in(self, account: str) -> list[dict[str, Any]]:
        """``describe-snapshots --owner-ids self`` in an account."""
        return self.client("ec2", account).describe_snapshots(OwnerIds=["self"])["Snapshots"]

    def shared_with(self, snapshot: str) -> set[str]:
        """``describe-snapshot-attribute``: the accounts that may use a hub snapshot."""
        shown = self.client("ec2").describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
        return {entry.get("UserId") or entry["Group"] for entry in shown["CreateVolumePermissions"]}

    def launchable_by(self) -> set[str]:
        """``describe-image-attribute``: the receivers of the AMI's launch permission."""
        shown = self.client("ec2").describe_image_attribute(ImageId=self.image, Attribute="launchPermission")
        return {value for entry in shown["LaunchPermissions"] for value in entry.values()}

    def grants(self, key: str = "") -> list[dict[str, Any]]:
        """``kms list-grants`` on the source key."""
        return self.client("kms").list_grants(KeyId=key or self.key)["Grants"]

    def ever_opened(self) -> set[str]:
        """The accounts for which the service has ever opened a snapshot or a key."""
        granted = (call.params["GranteePrincipal"] for call in self.calls("CreateGrant") if call.caller.function)
        shared = (call for call in self.calls("ModifySnapshotAttribute") if call.caller.function)
        return {one.split(":")[4] for one in granted}.union(*(changed(call)[0] for call in shared))

    def key_policy(self) -> str:
        """``kms get-key-policy``: the source key's policy, as its owner reads it."""
        return self.client("kms").get_key_policy(KeyId=self.key)["Policy"]

    def faults(self, image: str = "") -> set[str]:
        """Codes of the faults in the AMI's published refusals."""
        return {f["code"] for body in self.notices("promotion.refused", image or self.image) for f in body["faults"]}

    def nothing_happened(self) -> bool:
        """Whether the service has opened, copied, made and published nothing."""
        quiet = not self.world.sns.published and set(self.world.shares_open()) == self.preexisting
        return quiet and not any(self._images() + self._copies())

    # --- what stands behind it ---------------------------------------------------------------------------------------

    def items(self) -> list[dict[str, Any]]:
        """Every present item of the service's table."""
        return [_plain(item) for group in self._table().items.values() for item in group.values()]

    def partition(self, pk: str, *beginnings: str) -> list[dict[str, Any]]:
        """The items beside a record whose sort keys begin so."""
        there = self._table().items.get(DynamoType({"S": pk}), {})
        return [_plain(item) for sk, item in there.items() if str(sk.value).startswith(beginnings)]

    @staticmethod
    def body(item: Mapping[str, Any]) -> dict[str, Any]:
        return json.loads(item["body"])

    def record(self, name: str) -> dict[str, Any]:
        """The item of a record (``promotion#ami-...``); its state is "" without one. Cheaper than ``status``."""
        found = self._table().get_item(DynamoType({"S": name}), DynamoType({"S": "record"}))
        return {"state": ""} if found is None else _plain(found)

    def delivery_record(self, account: str, image: str = "") -> dict[str, Any]:
        """The body of a delivery's record. Raises KeyError without one."""
        name = delivery_id(HUB, image or self.image, account, REGION)
        return self.body(self.record(f"delivery#{name}"))

    def delivery_state(self, account: str, image: str = "") -> str:
        """The state of a delivery's record; "" without one. Cheaper than ``status``."""
        name = delivery_id(HUB, image or self.image, account, REGION)
        return str(self.record(f"delivery#{name}")["state"])

    def delivery_states(self) -> Counter[str]:
        """How many deliveries are in each state, of all AMIs. Cheaper than ``status``."""
        names = [str(pk.value) for pk in self._table().items if str(pk.value).startswith("delivery#")]
        return Counter(self.record(name)["state"] for name in names)

    def _table(self, hub: str = HUB) -> Any:
        return dynamodb_backends[hub][REGION].tables[TABLE]

    def calls(self, operation: str, account: str = "") -> list[Call]:
        """The successful calls of an operation by sessions in an account."""
        found = (call for call in self.world.calls if call.operation == operation and call.error is None)
        return [call for call in found if account in ("", call.caller.account)]

    def _images(self) -> list[Ec2Image]:
        """Registered AMIs that the service made, in any account and Region."""
        there = [
            image
            for image in self.world.ec2.state.images.all()
            if image.state != "deregistered" and (image.owner, image.region) != (HUB, REGION)
        ]
        return [image for image in there if self._tags(image)]

    def _copies(self) -> list[Ec2Snapshot]:
        """Snapshots that the service made, in any account and Region."""
        return [snapshot for snapshot in self.world.ec2.state.snapshots.all() if self._tags(snapshot)]

    def _tags(self, thing: Ec2Image | Ec2Snapshot) -> dict[str, str]:
        """The service's tags on a resource: empty if the service did not make it."""
        tags = self.world.ec2.tags_of(thing.id, thing.region)
        return tags if DELIVERY_TAG in tags else {}

    def live_copies(self) -> Counter[tuple[str, str]]:
        """The number of live copies for each (delivery, source snapshot), without CopyImage's."""
        return Counter((one.delivery, one.source) for one in self.view.live_copies())

    def describe(self) -> str:
        """Describe the state, for the message of a failed test."""
        lines = [f"it is {self.world.now:%H:%M:%S}; open: {self.world.shares_open()}"]
        for item in self.items():
            if item["sk"] == "record" or item["sk"].startswith("share#"):
                try:
                    body = dict(self.body(item))
                except (KeyError, TypeError, ValueError) as error:  # a test has damaged it
                    body = {"state": repr(error)}
                lines.append(
                    f"{item['pk']} {item['sk']}: {body.get('state')} due {_clock(item.get('due_at'))} "
                    f"ring {_clock(item.get('wake_at'))} {item.get('parked', '')}"
                )
                lines += [
                    f"    {name}: {body[name]}" for name in ("last_refusal", "faults", "copies") if body.get(name)
                ]
        lines += self.errors()
        lines += [f"told: {body['event']} {body.get('account', '')}" for body in self.notices()]
        return "\n".join(lines)

    def failed_invocations(self) -> list[Any]:
        """Invocations that raised or timed out, except for those that a test killed."""
        return [i for i in self.world.lambda_.invocations if i.outcome in ("error", "timeout")]

    def errors(self) -> list[str]:
        """What these invocations say."""
        return [f"{i.function.rpartition(':')[2]} {i.outcome}: {i.error}" for i in self.failed_invocations()]

    # --- the invariants -----------------------------------------------------------------------------------------------

    def assert_delivered(self, *accounts: str, errors_allowed: bool = False) -> None:
        """Assert that each of the accounts owns one AMI with its two copies, and nothing is open."""
        assert self.states() == dict.fromkeys(accounts, "delivered"), self.describe()
        for account in accounts:
            assert len(self.images_in(account)) == 1
            assert len(self.snapshots_in(account)) == 2
        self.assert_invariants(errors_allowed=errors_allowed)

    def assert_invariants(self, *, errors_allowed: bool = False) -> None:
        """Assert what must hold at the end of a scenario; see docs: the invariants of the design.

        ``errors_allowed``: the scenario made AWS unreachable for the functions' own calls, so some must have raised,
        and events and wakes may be in dead-letter queues: the sweep replaces them.
        """
        problems = self.broken_invariants(errors_allowed=errors_allowed)
        logs = [one.log[-2000:] for one in self.failed_invocations()]
        assert not problems, "\n".join([*problems, *logs, self.describe()])

    def broken_invariants(self, *, errors_allowed: bool = False) -> list[str]:
        """Return what ``assert_invariants`` asserts that there is not."""
        self.wait(GATHERING)
        problems = [*self.watch.problems, *broken(self.view, BetweenCalls()), *broken(self.view, AtRest())]
        problems += self._shares_move()
        if not errors_allowed:
            problems += [f"dead letter: {letter}" for letter in self.dead_letters()]
            problems += self.errors()
        return problems

    def _shares_move(self) -> list[str]:
        items = self.items()
        held = holdings_in(items)
        shares = [(i["pk"], i["sk"].removeprefix(SHARE), self.body(i)) for i in items if i["sk"].startswith(SHARE)]
        moving = {pk for pk, name, share in shares if _moves(share, held.get((pk, name), ()))}
        due = {i["pk"] for i in items if i["sk"] == "record" and "due_at" in i and "wake_at" in i}
        return [f"invariant 6: a share of {pk} moves, and nothing is due" for pk in sorted(moving - due)]

    def _records(self, kind: str) -> list[dict[str, Any]]:
        return [i for i in self.items() if i["sk"] == "record" and i["pk"].startswith(f"{kind}#")]

    def dead_letters(self) -> list[str]:
        queues = [queue for arn, queue in self.world.sqs.queues.items() if "-dead" in arn]
        return [f"{queue.name}: {body}" for queue in queues for body in (m.body for m in queue.messages)]


class Watch:
    """Checks every AWS call, and records violations."""

    def __init__(self, world: World) -> None:
        self.problems: list[str] = []
        self.may_close_blind = False
        """The scenario removes a target's role, so that a copy cannot be seen and its share closes all the same."""
        world.gateway.before.append(self._before)

    def _before(self, call: Call) -> None:
        if call.params.get("Description") == "" and call.caller.function:
            self.problems.append(f"{call.at:%H:%M:%S}: {call.operation} is sent an empty description")


def conforms(words: Sequence[str], reported: Any, status: int) -> None:
    """Assert that a verb's JSON output matches the documented schema."""
    command: Any = root
    for word in words:
        if not isinstance(command, click.Group) or word not in command.commands:
            break
        command = command.commands[word]
    schema = FAILURE if "exit_status" in reported else command.schema
    jsonschema.Draft202012Validator(schema).validate(reported)
    assert reported.get("exit_status", status) == status


def _moves(share: Mapping[str, Any], held: Collection[Holding]) -> bool:
    """Whether a share is about to change; a held one that stays does not move."""
    stays = share["state"] == "open" and any(holding.stands for holding in held)
    return share["state"] in OPEN_SHARES and not stays


def _plain(item: Any) -> dict[str, Any]:
    typed = item.to_json()["Attributes"]
    pairs = ((name, *value.items()) for name, value in typed.items())
    return {name: int(value) if kind == "N" else value for name, (kind, value) in pairs}


def _clock(epoch: int | None) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%H:%M:%S}" if epoch else "-"
