"""The StackSet: the same target template everywhere, also for accounts that join later."""

import pytest

from awsim.world import World
from tests.templates.conftest import GIVEN, STACKSET, TARGET

HUB, TARGET_ACCOUNT = "111111111111", "222222222222"
REGIONS = ("eu-central-1", "us-east-1")


@pytest.fixture
def properties(stackset):
    return stackset["Resources"]["Targets"]["Properties"]


def test_its_template_is_the_targets_word_for_word(properties):
    """An OU gets the same template as a manual deployment; CloudFormation takes 51,200 characters as text."""
    assert properties["TemplateBody"] == TARGET.read_text(encoding="utf-8")
    assert len(STACKSET.read_bytes()) < 51_200


def test_every_parameter_of_the_target_is_given_and_no_other(properties, target):
    """The StackSet also passes a parameter that the target's template gains later."""
    given = [it["ParameterKey"] for it in properties["Parameters"]]

    assert sorted(given) == sorted(target["Parameters"])


def test_parameters_that_both_have_mean_the_same(stackset, target):
    """The same in all but words; only the external id is required here, because a role is always created."""
    theirs = target["Parameters"]
    for name, ours in stackset["Parameters"].items():
        if name in theirs and name != "ExternalId":
            assert {**ours, "Description": ""} == {**theirs[name], "Description": ""}
    assert "Default" not in stackset["Parameters"]["ExternalId"]


def test_accounts_that_join_later_get_the_same_and_those_that_leave_keep_no_trust(properties):
    """No overrides, which would not reach new accounts; no role that trusts the hub stays behind."""
    assert properties["PermissionModel"] == "SERVICE_MANAGED"
    assert properties["AutoDeployment"] == {"Enabled": True, "RetainStacksOnAccountRemoval": False}
    assert [set(group) for group in properties["StackInstancesGroup"]] == [{"DeploymentTargets", "Regions"}]
    assert properties["Capabilities"] == ["CAPABILITY_NAMED_IAM"]


def test_one_account_that_fails_undoes_no_other(properties):
    """A failed operation would roll back all accounts."""
    assert properties["OperationPreferences"]["FailureTolerancePercentage"] == 100


def test_the_first_region_gets_the_role(properties):
    """The other Regions' stacks must not create it: it belongs to the whole account."""
    by_key = {it["ParameterKey"]: it["ParameterValue"] for it in properties["Parameters"]}

    assert by_key["CreateRole"] == "true"
    assert by_key["RoleRegion"] == {"Fn::Select": [0, {"Ref": "Regions"}]}


def test_two_regions_of_an_account_make_one_role_two_keys_and_forward_from_both():
    """Both have the same parameters, as a StackSet gives them."""
    with World() as world:
        admit(world)
        stacks = [
            world.deploy(TARGET, TARGET_ACCOUNT, region, f"target-{region}", {**GIVEN, "RoleRegion": REGIONS[0]})
            for region in REGIONS
        ]

        assert [set(stack.outputs) for stack in stacks] == [{"RoleArn", "GrantRoleArn", "KeyArn"}, {"KeyArn"}]
        assert all({"ForwardRole", "CopyEnded", "ImageState"} <= set(stack.resources) for stack in stacks)


def admit(world: World) -> None:
    """Create a hub's inbound bus that admits the target, without the rest of the hub."""
    name = "ami-promoter-us-east-1-inbound"
    arn = f"arn:aws:events:us-east-1:{HUB}:event-bus/{name}"
    statement = {"Effect": "Allow", "Principal": {"AWS": TARGET_ACCOUNT}, "Action": "events:PutEvents", "Resource": arn}
    bus = {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}
    policy = {
        "Type": "AWS::Events::EventBusPolicy",
        "Properties": {"EventBusName": {"Ref": "Bus"}, "StatementId": "All", "Statement": statement},
    }
    world.deploy({"Resources": {"Bus": bus, "Policy": policy}}, HUB, "us-east-1", "bus", {})
