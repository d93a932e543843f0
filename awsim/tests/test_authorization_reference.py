"""A second reading of what calls of EC2 and KMS need: AWS's service authorization reference, as cfn-lint ships it.

The simulator's own reading is awsim/iam/ec2_needs.py and awsim/services/kms. Where they differ, one of them is wrong.
"""

import json
import re
from importlib.resources import files
from typing import Any

import pytest

from awsim.api import Call
from awsim.iam import ec2_needs, needs
from awsim.world import World
from iam_words import DEV, HERE, OPS

REFERENCE: dict[str, dict[str, dict[str, Any]]] = {
    service: {
        "actions": {name: it.get("Resources", []) for name, it in found["Actions"].items()},
        "keys": {name: it.get("ConditionKeys", []) for name, it in found["Resources"].items()},
        "arns": {name: it["ARNFormats"] for name, it in found["Resources"].items()},
    }
    for service, found in json.loads(
        (files("cfnlint") / "data/AdditionalSpecs/Policies.json").read_text(encoding="utf-8")
    ).items()
    if service in ("ec2", "kms")
}
TAGS = [{"ResourceType": kind, "Tags": [{"Key": "k", "Value": "v"}]} for kind in ("image", "snapshot")]
GENERAL = {
    "Resources": ["ami-1", "snap-1"],
    "Tags": [{"Key": "k", "Value": "v"}],
    "TagSpecifications": TAGS,
    "BlockDeviceMappings": [{"Ebs": {"SnapshotId": "snap-1"}}],
    "SourceImageId": "ami-1",
    "SourceSnapshotId": "snap-1",
    "SourceRegion": HERE,
    "InstanceId": "i-1",
    "InstanceIds": ["i-1"],
}
OWN = {
    "ModifyImageAttribute": {"ImageId": "ami-1", "LaunchPermission": {"Add": [{"UserId": DEV}, {"Group": "all"}]}},
    "ModifySnapshotAttribute": {"SnapshotId": "snap-1", "OperationType": "add", "UserIds": [DEV]},
    "RunInstances": {
        "ImageId": "ami-1",
        "TagSpecifications": [{**TAGS[0], "ResourceType": kind} for kind in ("instance", "volume")],
        "MetadataOptions": {"HttpTokens": "required"},
        "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False}],
    },
}
"""Parameters of calls that do not take all of these."""
OUTLINED = {"ec2:CreateSnapshot", "ec2:CreateVolume", "ec2:DeleteVolume", "ec2:RunInstances"}
"""The simulator knows volumes and launches in outline only, without key pairs and placement groups."""
EC2 = sorted(set(ec2_needs.TABLE) - OUTLINED)
KMS = [
    f"kms:{name}"
    for name in [
        "CreateGrant",
        "Decrypt",
        "DescribeKey",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GetKeyPolicy",
        "ListGrants",
        "PutKeyPolicy",
        "ReEncryptFrom",
        "ReEncryptTo",
        "RetireGrant",
        "RevokeGrant",
    ]
]
EVERYWHERE = ("aws:principal", "aws:source", "aws:via", "aws:requestedregion", "aws:calledvia")
"""Condition keys that no service lists, because every request has them."""


def types(action: str) -> set[str]:
    """The resource types that the reference lists for an action."""
    service, name = action.split(":")
    return set(REFERENCE[service]["actions"][name.lower()])


def kind_of(arn: str) -> str:
    """The resource type of an ARN that the simulator asks about; "" for none."""
    if arn == "*":
        return ""
    forms = {name: form for name, [form, *_] in REFERENCE["ec2"]["arns"].items()}
    for name, form in forms.items():
        pattern = form.replace("${Partition}", "aws").replace("${Region}", HERE).replace("${Account}", f"({OPS})?")
        if re.fullmatch(pattern, arn):
            return name
    return f"none is like {arn}"


@pytest.mark.parametrize("action", EC2)
def test_ec2_asks_for_the_resource_types_that_the_reference_lists(world: World, action: str):
    """For each action of EC2 that it knows. An action without a type is asked for on "*"."""
    name = action.removeprefix("ec2:")
    params = OWN.get(name) or {**GENERAL, "ImageId": "ami-1", "SnapshotId": "snap-1"}
    call = Call(world.accounts.root(OPS), "ec2", name, params, HERE, world.now, "id")
    found = needs.of(world.authorisation.facts, call)
    assert found is not None, f"The simulator does not know what {action} needs."
    asked = {kind_of(need.resource) for need in found if need.action == action} - {""}
    listed = types(action)

    assert asked <= listed
    if name not in ("CreateTags", "DeleteTags"):  # they take every type that EC2 has
        if name == "CopyImage":  # its source has no snapshots in this world: those that it makes count
            assert asked == {"image", "snapshot"}
        assert asked == listed


@pytest.mark.parametrize("action", [*EC2, "ec2:RunInstances"])
def test_every_condition_key_that_the_simulator_gives_is_one_of_the_resource_type(world: World, action: str):
    """A key that AWS does not give would let a condition hold in the simulator and fail in AWS."""
    image = world.ec2.seed_image(OPS, HERE, name="base", tags={"team": "images"})
    root = world.client("ec2", OPS)
    snapshot = root.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    text = json.dumps(OWN.get(action.removeprefix("ec2:")) or {**GENERAL, "ImageId": "ami-1", "SnapshotId": "snap-1"})
    params = json.loads(text.replace("ami-1", image).replace("snap-1", snapshot))
    call = Call(world.accounts.root(OPS), "ec2", action.removeprefix("ec2:"), params, HERE, world.now, "id")

    for need in needs.of(world.authorisation.facts, call) or ():
        listed = REFERENCE["ec2"]["keys"].get(kind_of(need.resource), [])
        known = [one.lower().partition("${")[0] for one in [*listed, "ec2:CreateAction", "ec2:Region"]]
        strange = [key for key in need.context if not key.startswith((*known, *EVERYWHERE))]
        assert strange == [], need


@pytest.mark.parametrize("action", KMS)
def test_every_action_of_kms_is_about_a_key(action: str):
    """The simulator asks for each on the key's ARN alone."""
    assert types(action) == {"key"}
