"""A worker of the hub on the simulator, with real adapters: its credentials, and a target's role that it may assume."""

from pathlib import Path

import pytest

from awsim.world import World

HUB, DEV, REGION = "111111111111", "222222222222", "us-east-1"
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": HUB}, "Action": "sts:AssumeRole"}],
}


def works(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give the process the credentials of the worker's role, and the target a role that may do anything."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    world.iam.put_role(DEV, "AmiCopyRole", TRUST, {"all": ANYTHING})
    role = world.iam.roles.put(HUB, "worker", {"Version": "2012-10-17", "Statement": []}, {"worker": ANYTHING})
    _, key, secret, token = world.accounts.issue(role.arn, "worker")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
