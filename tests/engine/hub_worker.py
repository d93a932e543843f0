"""A worker of the hub on the simulator, with real adapters: its credentials, and a target's role that it may assume."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from awsim.world import World
from chalicelib.engine.aws.refusals import as_refusal

HUB, DEV, REGION = "111111111111", "222222222222", "us-east-1"
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": HUB}, "Action": "sts:AssumeRole"}],
}


class RootSessions:
    """Clients of the hub's root, in place of a function's."""

    as_refusal = staticmethod(as_refusal)

    def __init__(self, world: World) -> None:
        self._world = world

    def own(self, service: str, *, once: bool = False, region: str = "") -> Any:
        """A client in a Region, or in the hub's; ``once`` makes no difference here."""
        return self._world.client(service, HUB, region or REGION)

    def now(self) -> float:
        """The simulator's time in epoch seconds."""
        return self._world.now.timestamp()


def works(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give the process the credentials of the worker's role, and the target a role that may do anything."""
    world.iam.put_role(DEV, "AmiCopyRole", TRUST, {"all": ANYTHING})
    takes(world, monkeypatch, tmp_path, "worker", ANYTHING)


def takes(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role_name: str, policy: Mapping[str, Any]
) -> None:
    """Give the process the credentials of a role of the hub, which has this policy."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    role = world.iam.roles.put(HUB, role_name, {"Version": "2012-10-17", "Statement": []}, {"own": policy})
    _, key, secret, token = world.accounts.issue(role.arn, "session")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
