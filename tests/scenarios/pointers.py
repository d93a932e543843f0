"""Pointers: stacks and a targets file by which DEV's parameters name the current AMIs of their families."""

from typing import Any

from demo import stage
from tests.scenarios.scene import DEV, TEST, Scene

PREFIX, FAMILY = "/golden/", "base"
NAME = f"{PREFIX}{FAMILY}/current"
FILE = """\
defaults:
  external_id: {external_id}
  mode: {mode}
  service_linked_roles: []
groups:
  default: ["{dev}"]
  dev: ["{dev}", "{test}"]
accounts:
  "{dev}": {{ssm_parameter: "/golden/{{family}}/current"}}
"""
EACH = (
    FILE
    + """  "{test}": {{ssm_parameter: "/golden/{{family}}/current"}}
"""
)
"""TEST has the parameter, too."""
RESOLVED = f"resolve:ssm:{NAME}"


def deploy(scene: Scene, prefix: str = PREFIX, account: str = DEV, **more: str) -> None:
    """Update a target's stack, so that its copy role may write below a path."""
    scene.deploy_target(account, ParameterPrefix=prefix, **more)


def with_pointers(scene: Scene, mode: str = "copy", file: str = FILE) -> None:
    """Apply the file, update DEV's stack, and give the AMI its family."""
    scene.apply(file.format(external_id=stage.EXTERNAL_ID, mode=mode, dev=DEV, test=TEST))
    scene.launches |= {DEV, TEST} if mode == "share" else set()
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
