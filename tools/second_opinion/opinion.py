"""Follows the guide on the emulator, and says of everything that can be said there whether it holds."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools import release
from tools.second_opinion import conditions, guide
from tools.second_opinion.guide import Block
from tools.second_opinion.launcher import ROOT, Emulator

HUB, TARGET, REGION = "111111111111", "222222222222", "eu-central-1"
EXTERNAL_ID = "AN-ID-OF-YOUR-CHOICE"
BUCKET = "packages-of-the-hub"
NAME = "ami-promoter-test"
FUNCTIONS = ("on-tag-change", "on-image-state", "on-target-event", "worker", "share-worker", "sweep", "discover")
STACKS = (("HUB", "ami-promoter", "hub.yaml"), ("TARGET", "ami-promoter-target", "target.yaml"))
COMMAND_WITHIN, PROMOTED_WITHIN = 180, 300
LEFT_OUT = ("pipx ", "ami-promoter doctor")
"""The command line is there already; `doctor` waits for answers that the emulator does not have."""
FOLLOWED_TO = "Remove all of it again"
"""The section of the guide at which it stops."""
KEEPING = "set -a; if [ -e ../state ]; then . ../state; fi\n{}\nstatus=$?; export -p >../state; exit $status"
"""Runs one command with the shell variables that the commands before it have set."""

TARGETS_FILE = f"""\
defaults:
  external_id: {EXTERNAL_ID}
groups:
  dev: ["{TARGET}"]
"""


class Broken(Exception):
    """It cannot go on; the text says at which command, and what came of it."""


@dataclass(slots=True)
class Opinion:
    """What was found: ``deployed`` says per stack "n of n", ``checks`` whether each statement holds, with details."""

    deployed: list[str] = field(default_factory=list)
    checks: list[tuple[str, bool, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether all of it does."""
        return bool(self.checks) and all(holds for _, holds, _ in self.checks)

    def check(self, statement: str, holds: bool, detail: object = "") -> None:  # noqa: FBT001
        """Record whether a statement holds."""
        self.checks.append((statement, holds, str(detail)))


class GuideReader:
    """Someone who follows the guide, in the folder of a release, with profiles HUB and TARGET."""

    def __init__(self, running: Emulator, scratch: Path) -> None:
        self.here = release.build(ROOT / "build" / "hub", scratch)
        self.running = running
        self.values = {it: it.replace("BUCKET", BUCKET) for it in ("BUCKET", "s3://BUCKET", "s3://BUCKET/")}
        (self.here / "targets.yaml").write_text(TARGETS_FILE, encoding="utf-8")
        (scratch / "aws").write_text("".join(profile(n, a, running.url) for n, a in (("HUB", HUB), ("TARGET", TARGET))))
        self.environment = {
            "PATH": os.pathsep.join(
                (*(str(ROOT / it / "bin") for it in (".venv-aws", ".venv")), os.environ.get("PATH", os.defpath))
            ),
            "HOME": str(scratch),
            "AWS_CONFIG_FILE": str(scratch / "aws"),
            "AWS_PAGER": "",
        }

    def follow(self, block: Block, command: str) -> str:
        """Run a command of the guide; return what it printed."""
        return self.shell(guide.filled_in(command, self.values), f"docs/guide/deploy.md, block at line {block.line}")

    def variable(self, name: str) -> str:
        """Return what a command of the guide has put into a shell variable."""
        return self.shell(f"echo ${name}", f"${name}").strip()

    def shell(self, script: str, where: str, *, may_fail: bool = False) -> str:
        """Run a script and return what it printed. Broken if it fails, and may not."""
        try:
            done = subprocess.run(
                ["sh", "-c", KEEPING.format(script)],  # noqa: S607
                cwd=self.here,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_WITHIN,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            printed = (late.stdout or b"").decode(errors="replace")
            raise Broken(f"{where}: not ended within {COMMAND_WITHIN} s\n{script}\n{printed[-2000:]}") from late
        if done.returncode and not may_fail:
            raise Broken(f"{where}: status {done.returncode}\n{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def aws(self, arguments: str, profile: str = "HUB") -> Any:
        """Ask something by the aws command line; return the answer."""
        answer = self.shell(f"aws --profile {profile} {arguments} --output json", f"`aws {arguments}`")
        return json.loads(answer) if answer.strip() else None


def profile(name: str, account: str, url: str) -> str:
    """Return a profile of the aws command line; the emulator takes an account's id for its administrator's key."""
    keys = f"aws_access_key_id = {account}\naws_secret_access_key = test\n"
    return f"[profile {name}]\nregion = {REGION}\nendpoint_url = {url}\n{keys}"


def form(running: Emulator, scratch: Path, say: Callable[[str], None]) -> Opinion:
    """Follow the guide from its first command to its last, and look at what came of it."""
    began, opinion, reader = time.monotonic(), Opinion(), GuideReader(running, scratch)
    for block in guide.read(ROOT):
        if block.section.startswith(FOLLOWED_TO):
            break
        for command in block.commands if not block.not_run else ():
            if not command.startswith(LEFT_OUT):
                say(f"docs/guide/deploy.md:{block.line}  {command[:90]}")
                looked_at(reader, opinion, command, reader.follow(block, command.replace(" --wait", "")))
    nothing_is_shared(reader, opinion)
    journal(reader, opinion)
    opinion.seconds = time.monotonic() - began
    return opinion


def looked_at(reader: GuideReader, opinion: Opinion, command: str, printed: str) -> None:
    """Say what a command of the guide has brought about."""
    if "targets apply" in command:
        deployed(reader, opinion)
        outputs_are_documented(reader, opinion)
    elif "ami-promoter promote" in command:
        promoted(reader, opinion)
    elif "ami-promoter verify" in command:
        opinion.check("the guide's last look finds a complete AMI", "All checks passed." in printed, printed)


def nothing_is_shared(reader: GuideReader, opinion: Opinion) -> None:
    """Look by hand, as docs/guide/deploy-production.md says."""
    asked = f"--attribute createVolumePermission --snapshot-id {reader.variable('snapshot')}"
    permissions = reader.aws(f"ec2 describe-snapshot-attribute {asked}")
    grants = reader.aws(f"kms list-grants --key-id {reader.variable('key')}")
    for what, found in (("permission", permissions), ("grant", grants)):
        opinion.check(f"there is no {what} for the target any more", TARGET not in json.dumps(found), found)


def outputs(reader: GuideReader) -> dict[str, str]:
    """Return the hub's outputs."""
    (stack,) = reader.aws("cloudformation describe-stacks --stack-name ami-promoter")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def outputs_are_documented(reader: GuideReader, opinion: Opinion) -> None:
    """docs/reference/parameters.md explains each output; those whose condition holds are there."""
    page = (ROOT / "docs" / "reference" / "parameters.md").read_text(encoding="utf-8")
    table = page.partition("## The hub")[2].partition("| output | meaning |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    there, expected = (
        set(outputs(reader)),
        conditions.outputs(reader.here / STACKS[0][2], parameters(reader, *STACKS[0])),
    )
    opinion.check(
        f"the hub's {len(there)} outputs are those that are to be, and docs/reference/parameters.md explains each",
        there == expected and there <= documented,
        sorted(there ^ expected | there - documented),
    )


def parameters(reader: GuideReader, who: str, stack: str, *_: str) -> dict[str, str]:
    """Return a stack's parameters."""
    (description,) = reader.aws(f"cloudformation describe-stacks --stack-name {stack}", who)["Stacks"]
    return {one["ParameterKey"]: one["ParameterValue"] for one in description["Parameters"]}


def deployed(reader: GuideReader, opinion: Opinion) -> None:
    """Look at both stacks, and at what the functions are."""
    for who, stack, template in STACKS:
        found = reader.aws(f"cloudformation describe-stack-resources --stack-name {stack}", who)["StackResources"]
        complete = [one for one in found if one["ResourceStatus"] == "CREATE_COMPLETE"]
        expected = conditions.resources(reader.here / template, parameters(reader, who, stack))
        kinds = len(set(expected.values()))
        opinion.deployed.append(f"{stack}: {len(complete)} of {len(expected)} resources, of {kinds} types")
        missing = expected.keys() ^ {one["LogicalResourceId"] for one in complete}
        opinion.check(f"all resources of {stack} come up, and only those whose condition holds", not missing, missing)
    package = (ROOT / "build" / "hub" / "deployment.zip").read_bytes()
    digest = base64.b64encode(hashlib.sha256(package).digest()).decode()
    names = [f"ami-promoter-{REGION}-{name}" for name in FUNCTIONS]
    found = {one["FunctionName"]: one for one in reader.aws("lambda list-functions")["Functions"]}
    opinion.check("the seven functions have their documented names", sorted(found) == sorted(names), sorted(found))
    opinion.check("each holds the package, byte for byte", all(one["CodeSha256"] == digest for one in found.values()))
    roles = {name: one["Role"] for name, one in found.items()}
    own = {name: f"arn:aws:iam::{HUB}:role/{name}" for name in names}
    opinion.check("each has the role of its own name", roles == own, roles)


def promoted(reader: GuideReader, opinion: Opinion) -> None:
    """Wait until the tag's promotion has ended, waking the sweep as its schedule would, only more often."""
    ami, end_at = reader.variable("ami"), time.monotonic() + PROMOTED_WITHIN
    reported, page, states, left_open = "", {}, [], []
    while time.monotonic() < end_at:
        reported = reader.shell(f"ami-promoter status {ami} --json --profile HUB", "status", may_fail=True)
        page = json.loads(reported or "{}").get("promotion", {})
        states = [one["state"] for one in page.get("deliveries", ())]
        left_open = [one for one in page.get("open_shares", ()) if one["state"] == "open"]
        if states == ["delivered"] and not left_open and page["state"] == "over":
            break
        invoke(reader, "sweep")
        time.sleep(1)
    opinion.check(
        "the tag's promotion ends: one target, delivered",
        (states, page.get("state")) == (["delivered"], "over"),
        reported,
    )
    opinion.check("and its shares are closing or closed, none is open", bool(page) and not left_open, reported)
    failed = [name for name in ("sweep", "discover") if not invoke(reader, name)]
    opinion.check("sweep and discover run", not failed, failed)
    images = reader.aws("ec2 describe-images --owners self", "TARGET")["Images"]
    named = [image["Name"] for image in images]
    opinion.check("the target owns one AMI, named after its source", named == [f"{NAME}-{ami}"], named)
    ids = [one["Ebs"]["SnapshotId"] for image in images for one in image["BlockDeviceMappings"]]
    copies = reader.aws(f"ec2 describe-snapshots --snapshot-ids {' '.join(ids)}", "TARGET")["Snapshots"] if ids else []
    keys = {copy.get("KmsKeyId", "").split(":")[4] for copy in copies}
    opinion.check("its snapshot is the target's, under the target's key", keys == {TARGET}, copies)
    dead = [f"ami-promoter-{REGION}-{queue}" for queue in ("worker-dead.fifo", "share-worker-dead.fifo", "dead-events")]
    left = {queue: messages(reader, queue) for queue in dead}
    opinion.check("no message is dead", not any(left.values()), left)


def invoke(reader: GuideReader, function: str) -> bool:
    """Run a function of the hub as its schedule does; return whether it came to its end."""
    event = {"version": "0", "id": "1", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
    (reader.here / "event.json").write_text(
        json.dumps({**event, "account": HUB, "region": REGION, "time": "2026-01-01T00:00:00Z", "resources": []})
    )
    asked = f"lambda invoke --function-name ami-promoter-{REGION}-{function} --payload file://event.json"
    return "FunctionError" not in reader.aws(f"{asked} {function}.json")


def messages(reader: GuideReader, queue: str) -> int:
    """Return how many messages wait in a queue of the hub."""
    sqs = f"--endpoint-url {reader.running.url} sqs"  # this command line takes no address for SQS from a profile
    url = reader.aws(f"{sqs} get-queue-url --queue-name {queue}")["QueueUrl"]
    asked = f"{sqs} get-queue-attributes --queue-url {url} --attribute-names ApproximateNumberOfMessages"
    return int(reader.aws(asked)["Attributes"]["ApproximateNumberOfMessages"])


def journal(reader: GuideReader, opinion: Opinion) -> None:
    """Read who called what: each step under its own role, in its order, and nothing denied."""
    entries = [json.loads(line) for line in reader.running.journal.read_text(encoding="utf-8").splitlines()]
    calls = [entry for entry in entries if ":assumed-role/" in entry.get("caller", "")]
    denied = [entry for entry in calls if not entry["allowed"]]
    opinion.check(
        f"{len(calls)} calls of the functions and of the target's role, none denied", bool(calls) and not denied, denied
    )
    for statement, role, action in STEPS:
        found = [call for call in calls if role_of(call) == role and call["action"] == action]
        opinion.check(f"{statement} ({role}: {action})", bool(found), calls_by_role(calls).get(role, {}))


STEPS: Sequence[tuple[str, str, str]] = (
    ("the tag's event wakes on-tag-change, which wakes worker", "on-tag-change", "sqs:SendMessage"),
    ("worker takes the message from its FIFO queue and begins the promotion", "worker", "dynamodb:PutItem"),
    ("worker reads the AMI", "worker", "ec2:DescribeImages"),
    ("worker assumes the target's role", "worker", "sts:AssumeRole"),
    ("share-worker shares the snapshot", "share-worker", "ec2:ModifySnapshotAttribute"),
    ("share-worker grants the key", "share-worker", "kms:CreateGrant"),
    ("the copy is made by the target's role", "AmiCopyRole", "ec2:CopySnapshot"),
    ("the target's rules forward the event, which on-target-event passes on", "on-target-event", "sqs:SendMessage"),
    ("the AMI is registered by the target's role", "AmiCopyRole", "ec2:RegisterImage"),
    ("share-worker revokes the grant", "share-worker", "kms:RevokeGrant"),
    ("worker tells the outcome", "worker", "sns:Publish"),
    ("and puts it on the bus", "worker", "events:PutEvents"),
    ("the sweep reads what is due", "sweep", "dynamodb:Query"),
    ("discovery looks for tagged AMIs", "discover", "ec2:DescribeImages"),
)


def role_of(call: Mapping[str, Any]) -> str:
    """Return the name of the caller's role, without the hub's prefix."""
    name: str = call["caller"].split("/")[1]
    return name.removeprefix(f"ami-promoter-{REGION}-")


def calls_by_role(calls: Sequence[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Count actions per role."""
    counted: dict[str, Counter[str]] = {}
    for call in calls:
        counted.setdefault(role_of(call), Counter())[call["action"]] += 1
    return counted
