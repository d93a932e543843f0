"""The source key's policy, as its owner writes it, and the targets file that lets the service change it."""

import json
from typing import Any

from demo import stage
from tests.scenarios.scene import Scene


def by(scene: Scene, access: str) -> None:
    """Apply the stage's targets with another key access."""
    scene.apply(stage.targets_file(stage.TARGETS).replace("defaults:\n", f"defaults:\n  key_access: {access}\n"))


def put_now(scene: Scene, *statements: dict[str, Any]) -> str:
    """Write the policy, also within another call, without virtual time; return it."""
    text = json.dumps({"Version": "2012-10-17", "Id": "hand-made", "Statement": list(statements)}, indent=3)
    scene.client("kms").put_key_policy(KeyId=scene.key, PolicyName="default", Policy=text)
    return text


def put(scene: Scene, *statements: dict[str, Any]) -> str:
    """Write the policy, and let it take effect; return it."""
    text = put_now(scene, *statements)
    scene.wait(10)
    return text
