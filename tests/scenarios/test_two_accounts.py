"""The page docs/guide/deploy.md, played from the released files with the real ``aws`` and ``ami-promoter`` over HTTP.

From two accounts without anything to a promoted AMI and back. What the page says is printed must be printed.
"""

import os
import re
import shutil
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from awsim.front import Front, write_profiles
from awsim.world import World
from tests.scenarios.platform import ROOT
from tests.scenarios.shells import IMPATIENT, run, write_programs
from tools import release

pytestmark = pytest.mark.thorough

PAGE = (ROOT / "docs" / "guide" / "deploy.md").read_text(encoding="utf-8")
HUB, TARGET, REGION = "111111111111", "222222222222", "eu-central-1"
A_STEP = timedelta(seconds=1)
"""Virtual time between two looks at a command."""
ADDED = "chalicelib/another.txt"
"""What only the other package has."""

PIPX = """\
#!/bin/sh
for wheel in "$@"; do [ "$1" = uninstall ] || [ "$wheel" = install ] || test -f "$wheel" || exit 1; done
echo "  installed package ami-promoter VERSION, installed using Python"
"""
"""It installs nothing: the command line is there already, and the wheel has a test of its own."""
KEEPING = "set -a; if [ -e ../state ]; then . ../state; fi\n{}\nstatus=$?; export -p >../state; exit $status"
"""Runs one block of the page, with the variables that the blocks before it have set."""


@dataclass
class PageStep:
    """A block of commands, and what the page says that it prints; ``not_run``: why nobody can run it here."""

    commands: str
    printed: str
    not_run: str


def steps():
    """Every block of commands of the page."""
    form = r"(?:^<!-- not run: (.*) -->\n\n)?((?:^ {4}.*\n)+)(?:\n```text\n([\s\S]*?)```)?"
    found = re.findall(form, PAGE, re.MULTILINE)
    return [
        PageStep(re.sub(r"^ {4}", "", text, flags=re.MULTILINE), printed, reason) for reason, text, printed in found
    ]


def fits(expected, printed):
    """Whether a line of the page is printed; … stands for any text."""
    pattern = ".*".join(re.escape(part) for part in expected.rstrip(".").split("…"))
    return re.search(rf"^{pattern}", printed, re.MULTILINE) is not None


@pytest.fixture
def follow(tmp_path):
    """Run a block in the unpacked release, as a reader with profiles HUB and TARGET, while virtual time runs."""
    folder = release.build(ROOT / "build" / "hub", tmp_path)
    programs = write_programs(tmp_path / "bin", {"ami-promoter": IMPATIENT, "pipx": PIPX})
    (folder / "targets.yaml").write_text(re.search(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1])
    with World(seed=1) as world, Front(world) as front:
        profiles = write_profiles(tmp_path / "aws", {"HUB": HUB, "TARGET": TARGET}, REGION, front.url)
        profiles.pop("AWS_PROFILE")
        environment = {
            "PATH": f"{programs}:{ROOT / '.venv-aws' / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            **profiles,
        }

        def run_block(commands):
            script = KEEPING.format(re.sub(r"\bBUCKET\b(?!=)", "packages-of-the-hub", commands))
            return run(world, ["bash", "-c", script], environment, folder, A_STEP)

        yield world, run_block


@pytest.fixture
def another_release(tmp_path):
    """The folder of a release with the same version and another package."""
    hub = tmp_path / "hub"
    shutil.copytree(ROOT / "build" / "hub", hub)
    with zipfile.ZipFile(hub / "deployment.zip", "a") as package:
        package.writestr(ADDED, "")
    return release.build(hub, tmp_path / "another")


def client(world, service, account):
    return world.client(service, account, REGION)


def functions_with(file, world):
    """The functions whose code has a file."""
    return {arn for arn, function in world.lambda_.functions.items() if Path(function.package.directory, file).exists()}


def test_the_page_leads_from_nothing_to_a_promoted_ami_and_back(follow):
    """Each command ends well and prints what the page says; at the end nothing of the service is left."""
    world, run_block = follow
    owned = []
    for step in steps():
        if step.not_run:
            continue
        status, printed = run_block(step.commands)
        expected = step.printed.replace("BUCKET", "packages-of-the-hub").splitlines()
        wrong = [line for line in expected if not fits(line, printed)]

        assert wrong == [], f"{step.commands}\n{printed}"
        assert status == 0 or "FAILED" in step.printed, f"{step.commands}\n{printed}"
        if "verify" in step.commands:
            owned = client(world, "ec2", TARGET).describe_images(Owners=["self"])["Images"]

    assert [image["State"] for image in owned] == ["available"]
    assert world.stacks == {}
    assert not client(world, "dynamodb", HUB).list_tables()["TableNames"]
    assert not client(world, "s3", HUB).list_buckets()["Buckets"]
    for account in (HUB, TARGET):
        ec2, kms = (client(world, service, account) for service in ("ec2", "kms"))
        assert not ec2.describe_images(Owners=["self"])["Images"]
        assert not ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
        assert {key["KeyState"] for key in keys} == {"PendingDeletion"}


def test_an_upgrade_as_the_page_says_runs_the_new_package(follow, another_release):
    """Parameters that are not named keep their values; hub and monitor run the new package all the same."""
    world, run_block = follow
    make, copy = next(step.commands for step in steps() if "s3 cp" in step.commands).strip().splitlines()
    hub = next(step.commands for step in steps() if "--template-file hub.yaml" in step.commands)
    monitor = hub.replace("hub.yaml --stack-name ami-promoter", "monitor.yaml --stack-name ami-promoter-monitor")
    deploy = f"set -e\n{copy}\n{hub}\n{monitor}"

    first = run_block(f"{make}\n{deploy}")
    before = functions_with(ADDED, world)
    second = run_block(f"(cd {another_release}\n{deploy})")

    assert (first[0], second[0]) == (0, 0), f"{first[1]}\n{second[1]}"
    assert len(world.lambda_.functions) == 9  # seven of the hub, two of the monitor
    assert before == set()
    assert functions_with(ADDED, world) == world.lambda_.functions.keys()


def test_each_step_is_read():
    """The commands of the page, and what they print, are found; few of them cannot run here."""
    found = steps()

    assert len(found) >= 15
    assert [step.commands.split()[0] for step in found if step.not_run] == ["curl", "UNTIL=7"]
    assert len([step for step in found if step.printed]) >= 9
