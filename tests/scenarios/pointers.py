"""Pointers: stacks and a targets file by which DEV's parameters name the current AMIs of their families."""

from collections.abc import Sequence
from typing import Any

from tests.scenarios.scene import DEV, Scene, targets_file

PREFIX, FAMILY = "/golden/", "base"
NAME = f"{PREFIX}{FAMILY}/current"
PARAMETER = f"{PREFIX}{{family}}/current"
"""The setting that names the family's parameter in a target."""
RESOLVED = f"resolve:ssm:{NAME}"


def deploy(scene: Scene, prefix: str = PREFIX, account: str = DEV, **more: str) -> None:
    """Update a target's stack, so that its copy role may write below a path."""
    scene.deploy_target(account, ParameterPrefix=prefix, **more)


def with_pointers(scene: Scene, mode: str = "copy", accounts: Sequence[str] = (DEV,), **settings: Any) -> None:
    """Give accounts the parameter, with these settings besides; update DEV's stack, and give the AMI its family."""
    named = {account: {"ssm_parameter": PARAMETER, **settings} for account in accounts}
    scene.apply(targets_file(accounts=named, mode=mode, service_linked_roles=[]))
    deploy(scene)
    scene.tag(FAMILY, key="family")


def successor(scene: Scene, name: str = "golden-2026-02", **rest: Any) -> str:
    """Make a newer AMI of the family."""
    scene.wait(60)
    return scene.seed(name, tags={"family": FAMILY}, **rest)


def parameter(scene: Scene, account: str = DEV) -> dict[str, Any]:
    """``ssm get-parameter`` in a target; empty if there is none."""
    found = scene.client("ssm", account).get_parameters(Names=[NAME])["Parameters"]
    return found[0] if found else {}


def parameter_tags(scene: Scene) -> dict[str, str]:
    """Tags of the parameter."""
    found = scene.client("ssm", DEV).list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
    return {tag["Key"]: tag["Value"] for tag in found}


def shows(scene: Scene, account: str = DEV) -> str:
    """The AMI that the parameter names; "" if there is none."""
    return parameter(scene, account).get("Value", "")


def notice(scene: Scene, image: str = "", account: str = DEV) -> dict[str, Any]:
    """The last notice of a target's delivery of an AMI."""
    *_, last = (one for one in scene.notices(image=image or scene.image) if one.get("account") == account)
    return last
