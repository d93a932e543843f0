"""A new scene for each scenario."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from awsim.world import World
from demo import stage
from tests.scenarios.approving import WAITS, file
from tests.scenarios.permission_log import LOG, WHERE
from tests.scenarios.platform import ROOT
from tests.scenarios.regions import FAR, between, everywhere
from tests.scenarios.scene import DEV, HUB, PROD, TEST, Scene, as_administrator
from tests.scenarios.sharing import sharing_file
from tests.scenarios.without_permission import withhold

NINE = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@pytest.fixture
def scene(request, monkeypatch, tmp_path) -> Iterator[Scene]:
    """Set up a hub, three targets, the stage's targets file and an AMI of two encrypted volumes; nothing is tagged yet.

    Copies take half a minute and grants work at once, unless a test slows them down. A parameter names other targets,
    or the start time.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    param = getattr(request, "param", stage.TARGETS)
    targets, start = (stage.TARGETS, param) if isinstance(param, datetime) else (param, NINE)
    with World(start=start) as world:
        as_administrator(monkeypatch, tmp_path, world)
        if WHERE in os.environ:
            LOG.listen(world.iam, f"{request.path.name}::{request.node.name}")
        withhold(world.iam.roles)
        yield Scene(world, tmp_path, ROOT, targets)


@pytest.fixture
def become(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Go on as a role, of the hub or another account, that has one policy and nothing else.

    Returns its credentials as variables.
    """

    def become(policy: Mapping[str, Any], account: str = stage.HUB) -> dict[str, str]:
        _, key, secret, token = scene.world.accounts.issue(scene.role(account, "Person", only=policy), "person")
        variables = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return variables

    return become


@pytest.fixture
def sharing(scene):
    """Apply a targets file by which DEV and TEST share and PROD copies."""
    scene.apply(sharing_file())
    return scene


@pytest.fixture
def waiting(scene):
    """DEV has the AMI, and PROD waits for the approval."""
    scene.apply(file())
    scene.tag("dev prod")
    scene.run_until_state("delivered", DEV)
    assert scene.states() == {DEV: "delivered", PROD: WAITS}
    return scene


@pytest.fixture
def abroad(scene):
    """A scene with both targets prepared in another Region, too; the account's role exists already."""
    scene.keys_abroad = {
        account: scene.deploy_target(account, FAR, CreateRole="false").outputs["KeyArn"] for account in (DEV, TEST)
    }
    scene.apply(everywhere())
    return scene


@pytest.fixture
def by_way(abroad):
    """DEV gets its AMI in the other Region by way of the hub, which is prepared there, too."""
    abroad.deploy_target(HUB, FAR)
    abroad.apply(between())
    return abroad


def pytest_sessionfinish() -> None:
    """Write which permissions were needed, if the environment asks for it."""
    if WHERE in os.environ:
        LOG.write()
