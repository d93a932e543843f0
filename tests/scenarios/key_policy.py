"""The source key's policy, as its owner writes it."""

import json
from typing import Any

from tests.scenarios.scene import Scene


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
