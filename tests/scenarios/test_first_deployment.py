"""A first deployment that fails: what it leaves, and that the next one works."""

import copy
import json
from datetime import timedelta

import pytest

from awsim import cfn
from awsim.cfn import TemplateError
from awsim.world import World
from demo import stage
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import DEV, HUB, REGION, TABLE

HUBS = {"OrganizationId": "o-a1b2c3d4e5", "CreateSourceKey": "true"}
TARGETS = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": stage.EXTERNAL_ID}
TABLES = [TABLE, f"{TABLE}-config", f"{TABLE}-members"]
TAKEN = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "taken"}}
"""A resource that CloudFormation refuses, because its name is taken."""


@pytest.fixture
def world():
    """A simulator without any stack."""
    with World(seed=1) as world:
        yield world


def broken(file, folder):
    """Write a template that fails when all its resources are made."""
    template = copy.deepcopy(cfn.read(ROOT / file))
    template["Resources"]["Taken"] = TAKEN
    (folder / "deployment.zip").symlink_to(ROOT / "build" / "hub" / "deployment.zip")
    (folder / "broken.json").write_text(json.dumps(template), encoding="utf-8")
    return folder / "broken.json"


def fails(world, folder, file, account, given):
    """Deploy a broken template as a first deployment; return the state of its stack."""
    world.client("sns", account, REGION).create_topic(Name="taken")
    with pytest.raises(TemplateError, match="taken already exists"):
        world.deploy(broken(file, folder), account, REGION, "first", given)
    return world.stacks[account, REGION, "first"].status


def remove(world, table):
    """Lift a table's protection and delete it, as the guide says."""
    dynamodb = world.client("dynamodb", HUB, REGION)
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=table)


def keys(world, account):
    """State of each key of an account."""
    kms = world.client("kms", account, REGION)
    every = (kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"])
    return [key["KeyState"] for key in every if key["KeyManager"] == "CUSTOMER"]


def test_a_target_is_deployed_again_at_once_after_its_first_deployment_failed(world, tmp_path):
    """Nothing is left but a key that is to be deleted; the failed stack goes first, then the same command works."""
    given = TARGETS | {"ForwardEvents": "false"}
    assert fails(world, tmp_path, stage.TARGET_TEMPLATE, DEV, given) == "ROLLBACK_COMPLETE"

    assert set(keys(world, DEV)) <= {"PendingDeletion"}
    with pytest.raises(TemplateError, match="ROLLBACK_COMPLETE"):
        world.deploy(ROOT / stage.TARGET_TEMPLATE, DEV, REGION, "first", given)
    world.delete_stack(DEV, REGION, "first")
    world.deploy(ROOT / stage.TARGET_TEMPLATE, DEV, REGION, "first", given)
    assert keys(world, DEV).count("Enabled") == 1


def test_a_target_can_be_deployed_before_its_hub(world):
    """EventBridge takes the forwarding rules all the same; its events arrive from when the hub admits it."""
    target = world.deploy(ROOT / stage.TARGET_TEMPLATE, DEV, REGION, "ami-promoter-target", TARGETS)

    hub = stage.set_up(world, ROOT, {"dev": DEV}).hub
    world.events.emit(DEV, REGION, "aws.ec2", "EC2 AMI State Change", [], {"State": "available"})
    world.kernel.run(limit=timedelta(seconds=10))
    inbound = [event["account"] for bus, event in world.events.seen if bus == hub.outputs["InboundBusArn"]]
    assert (target.status, inbound) == ("CREATE_COMPLETE", [DEV])


@pytest.mark.parametrize(
    ("template", "given", "tables"),
    [(stage.HUB_TEMPLATE, HUBS, TABLES), (stage.MONITOR_TEMPLATE, {}, [f"{TABLE}-findings"])],
    ids=["hub", "access monitor"],
)
@pytest.mark.thorough_but("hub")
def test_a_hub_is_deployed_again_after_its_first_deployment_failed(world, tmp_path, template, given, tables):
    """Only tables stay, because their deletion protection holds; lifted and deleted, as the guide says, all is made."""
    assert fails(world, tmp_path, template, HUB, given) == "ROLLBACK_COMPLETE"

    dynamodb = world.client("dynamodb", HUB, REGION)
    left = dynamodb.list_tables()["TableNames"]
    assert set(left) <= set(tables)
    assert set(keys(world, HUB)) <= {"PendingDeletion"}
    world.delete_stack(HUB, REGION, "first")
    if left:
        with pytest.raises(TemplateError, match=f"{TABLE}.* already exists"):
            world.deploy(ROOT / template, HUB, REGION, "first", given)
        world.delete_stack(HUB, REGION, "first")
    for table in dynamodb.list_tables()["TableNames"]:
        remove(world, table)

    stack = world.deploy(ROOT / template, HUB, REGION, "first", given)
    assert sorted(dynamodb.list_tables()["TableNames"]) == tables
    assert stack.status == "CREATE_COMPLETE"


def test_a_block_of_public_snapshots_that_stands_fails_no_deployment(world):
    """A person has set it, and the stack leaves it alone, unless its parameter says otherwise."""
    ec2 = world.client("ec2", HUB, REGION)
    ec2.enable_snapshot_block_public_access(State="block-new-sharing")
    with pytest.raises(TemplateError, match="is on already"):
        world.deploy(ROOT / stage.HUB_TEMPLATE, HUB, REGION, "blocks", {"BlockPublicSnapshots": "block-all-sharing"})
    world.delete_stack(HUB, REGION, "blocks")
    for table in world.client("dynamodb", HUB, REGION).list_tables()["TableNames"]:
        remove(world, table)

    world.deploy(ROOT / stage.HUB_TEMPLATE, HUB, REGION, "ami-promoter", {})
    assert ec2.get_snapshot_block_public_access_state()["State"] == "block-new-sharing"
