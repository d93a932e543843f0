"""The real ``aws`` command line with a simulator over HTTP: what a person types and sees."""

import json
import os
import subprocess

import pytest

from awsim.front import Front, write_profiles
from demo import stage
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import REGION

AWS = ROOT / ".venv-aws" / "bin" / "aws"
SECONDS = 60


@pytest.fixture
def aws(scene, tmp_path):
    """Run ``aws`` as an account's administrator while virtual time stands still; return its JSON output."""
    assert AWS.exists(), f"{AWS} is missing: `make awscli` makes it, and `make pytest` does so by itself"
    with Front(scene.world) as front:
        variables = write_profiles(tmp_path / "aws", {"hub": stage.HUB, **stage.TARGETS}, REGION, front.url)

        def run(profile, *words):
            environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
            command = [str(AWS), "--profile", profile, *words]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout) if done.stdout.strip() else None

        yield run


def test_a_promotion_as_a_person_sees_it(scene, aws):
    """Tagged by a typed command; each target owns the AMI, and no permission and no grant is left."""
    aws("hub", "ec2", "create-tags", "--resources", scene.image, "--tags", 'Key=promote,Value="dev prod"')
    scene.run_until_over()
    scene.wait(20)

    for profile in stage.TARGETS:
        (image,) = aws(profile, "ec2", "describe-images", "--owners", "self")["Images"]
        assert (image["OwnerId"], image["State"]) == (stage.TARGETS[profile], "available")
    permission = ("--attribute", "createVolumePermission", "--snapshot-id")
    for snapshot in scene.snapshots:
        shown = aws("hub", "ec2", "describe-snapshot-attribute", *permission, snapshot)
        assert shown["CreateVolumePermissions"] == []
    assert aws("hub", "kms", "list-grants", "--key-id", scene.key)["Grants"] == []
    scene.assert_invariants()
