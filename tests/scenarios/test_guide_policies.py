"""The guide's policies, tried in the simulator: sufficient, and no wider than the page says."""

import json
import re
import textwrap
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.scenarios.scene import DEV, REGION, document, targets_file
from tests.scenarios.sharing import SHARE

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
LAUNCHES = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*"}


def policy(page, **values):
    """The only IAM policy on a page of the guide, with the reader's values."""
    text = (GUIDE / page).read_text(encoding="utf-8")
    blocks = [textwrap.dedent(one) for one in re.findall(r"^(?: {4}.*\n)+", text, re.MULTILINE)]
    blocks += re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if '"Statement"' in block]
    for placeholder, value in values.items():
        found = found.replace(placeholder, value)
    return json.loads(found)


def act_as(scene, arn):
    """A session with a role's credentials."""
    _, key, secret, token = scene.world.accounts.issue(arn, "person")
    return boto3.Session(key, secret, token, region_name=REGION)


def test_a_consumer_launches_with_the_policy_of_the_page_and_not_with_less(scene):
    """docs/guide/consume.md: both statements are needed, and the key works through EC2 only."""
    scene.apply(targets_file(**SHARE))
    scene.promote("dev")
    scene.wait(60)  # a key policy takes effect some seconds later
    statements = policy("consume.md", KEY_ARN_OF_THE_HUB=scene.key, REGION=REGION)["Statement"]
    arn = scene.role(DEV, "Enough", only=document(LAUNCHES, *statements))
    for number, one in enumerate(statements):
        less = document(LAUNCHES, *[other for other in statements if other is not one])
        scene.role(DEV, f"Without{number}", only=less)

    assert scene.launch(DEV, by="Enough") == ""
    assert [bool(scene.launch(DEV, by=f"Without{n}")) for n in range(2)] == [True, True]
    with pytest.raises(ClientError, match="AccessDenied"):
        act_as(scene, arn).client("kms").create_grant(
            KeyId=scene.key, GranteePrincipal=f"arn:aws:iam::{DEV}:root", Operations=["Decrypt"]
        )
    with pytest.raises(ClientError, match="AccessDenied"):
        act_as(scene, arn).client("kms").describe_key(KeyId=scene.key)
