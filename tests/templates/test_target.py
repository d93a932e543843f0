"""The target's template."""

import json

import pytest

from awsim.iam.policy import Ask, PolicyVerdict, identity
from awsim.world import World
from chalicelib.delivery import target_seen
from chalicelib.delivery.template_rights import PARAMETER
from chalicelib.sharing import key_policy
from tests.templates.conftest import GIVEN, TARGET, resources

HUB, OWN, OTHER = GIVEN["HubAccountId"], "222222222222", "999999999999"
ALL_ON = {"ParameterPrefix": "/golden/", "AllowDisable": "true", "AllowUseReport": "true"}
TRUSTED = {"Role": "worker", "GrantRole": "share-worker", "LaunchRole": "worker"}


def statements(target, role="Role"):
    policy = target["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return [it for it in policy if it.get("Effect") == "Allow"]


def under(target, condition):
    """The one statement that the role has under a condition of the template only."""
    policy = target["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    [choice] = [it["Fn::If"] for it in policy if it.get("Fn::If", [""])[0] == condition]
    assert choice[2] == {"Ref": "AWS::NoValue"}
    return choice[1]


@pytest.mark.parametrize(("role", "function"), TRUSTED.items())
def test_only_one_role_of_the_hub_with_the_external_id_may_enter_each(target, role, function):
    """The trust has the hub's account and, as conditions, one function's role and the external id; for an hour."""
    entered = target["Resources"][role]["Properties"]
    statement, *others = entered["AssumeRolePolicyDocument"]["Statement"]

    assert (others, entered["MaxSessionDuration"]) == ([], 3600)
    assert statement["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${HubAccountId}:root"}}
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:PrincipalArn": {
                "Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{HubAccountId}}:role/ami-promoter-${{HubRegion}}-{function}"
            },
            "sts:ExternalId": {"Ref": "ExternalId"},
        }
    }


def test_a_role_without_an_external_id_is_refused(target):
    """CloudFormation refuses CreateRole=true with an empty ExternalId, and says what to do."""
    rule = target["Rules"]["ARoleNeedsAnExternalId"]

    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "CreateRole"}, "true"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExternalId"}, ""]}]}
    assert "CreateRole=false" in rule["Assertions"][0]["AssertDescription"]


@pytest.mark.parametrize("role", ["Role", "LaunchRole"])
def test_keys_are_used_through_ec2_only(target, role):
    """No KMS permission of a role that copies or launches works in a direct call; its grants are for AWS services."""
    seen = set()
    for statement in statements(target, role):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        uses = {it for it in actions if it.startswith("kms:")} - {"kms:DescribeKey", "kms:GetKeyPolicy"}
        seen |= uses
        if uses:
            assert statement["Condition"]["StringLike"] == {"kms:ViaService": "ec2.*.amazonaws.com"}
        if "kms:CreateGrant" in uses:
            assert statement["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert {"kms:CreateGrant", "kms:Decrypt"} <= seen


def test_direct_grants_are_for_service_linked_roles_of_the_account_only(target):
    """The role can grant to no others, and no more operations than AWS lists for Auto Scaling."""
    by_sid = {it["Sid"]: it for it in statements(target, "GrantRole")}
    roles = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/*"}

    for name in ("LetServiceRolesUseOwnKeys", "LetServiceRolesUseHubKeys"):
        assert by_sid[name]["Action"] == "kms:CreateGrant"
        condition = by_sid[name]["Condition"]
        assert condition["StringLike"] == {"kms:GranteePrincipal": roles}
        allowed = condition["ForAllValues:StringEquals"]["kms:GrantOperations"]
        assert sorted(allowed) == sorted(key_policy.FOR_ROLES)
    assert by_sid.pop("SeeGrantsOnOwnKeys")["Action"] == "kms:ListGrants"
    assert list(by_sid) == ["LetServiceRolesUseOwnKeys", "LetServiceRolesUseHubKeys"], "it may do nothing else"


def test_only_own_copy_and_image_events_go_to_the_hubs_bus(target):
    """Two rules on the default bus, for this account's events, with a role that may do nothing else.

    They have the names by which `ami-promoter doctor` finds them; the role that copies may read no others.
    """
    bus = {
        "Fn::Sub": "arn:${AWS::Partition}:events:${HubRegion}:${HubAccountId}:"
        "event-bus/ami-promoter-${HubRegion}-inbound"
    }
    rules = resources(target, "AWS::Events::Rule").values()

    expected = [["EBS Snapshot Notification"], ["EC2 AMI State Change"]]
    assert [it["EventPattern"]["detail-type"] for it in rules] == expected
    here = [it["Name"]["Fn::Sub"].replace("${HubAccountId}", "HUB").replace("${HubRegion}", "R") for it in rules]
    assert here == list(target_seen.rule_names("HUB", "R"))
    [look] = [it for it in statements(target) if it["Sid"] == "LookAtForwardingRules"]
    assert look["Resource"]["Fn::Sub"].endswith(":rule/ami-promoter-${HubAccountId}-${HubRegion}-*")
    for rule in rules:
        assert "EventBusName" not in rule
        assert rule["EventPattern"]["account"] == [{"Ref": "AWS::AccountId"}]
        assert [(it["Arn"], it["RoleArn"]) for it in rule["Targets"]] == [(bus, {"Fn::GetAtt": ["ForwardRole", "Arn"]})]
    [statement] = target["Resources"]["ForwardRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("events:PutEvents", bus)


def test_parameters_are_named_below_one_path_and_without_it_not_at_all(target):
    """Four actions, no listing, in every Region of the account; a denial named tags' parameter with a second slash."""
    statement = under(target, "NamesImages")

    assert not [action for action in statement["Action"] if f'"{action}"' in json.dumps(statements(target))]
    assert target["Parameters"]["ParameterPrefix"]["Default"] == ""
    assert target["Conditions"]["NamesImages"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ParameterPrefix"}, ""]}]}
    assert sorted(statement["Action"]) == sorted(PARAMETER)
    below = "arn:${AWS::Partition}:ssm:*:${AWS::AccountId}:parameter%s${ParameterPrefix}*"
    assert [it["Fn::Sub"] for it in statement["Resource"]] == [below % "", below % "/"]


def test_without_a_parameter_for_what_follows_a_copy_a_stack_is_as_it_was(target):
    """It has no other resource or right: no parameter is named, no AMI disabled or launched, no use listed.

    `tests/delivery/test_template_rights.py` has the reason for each right that a stack has without parameters.
    """
    stacks, roles = [], []
    with World() as world:
        for name, more in (("Off", {}), ("On", {**ALL_ON, "CreateKey": "false"})):
            given = {**GIVEN, "ForwardEvents": "false", "RoleName": name, **more}
            stacks.append(world.deploy(TARGET, "2" * 12, "us-east-1", name, given))
            roles.append(world.iam.roles.named("2" * 12, name).policies["ami-promoter"]["Statement"])
    off, on = roles
    allowed = {it["Sid"]: it["Action"] for it in off if it["Effect"] == "Allow"}

    assert sorted(stacks[0].resources) == ["Alias", "GrantRole", "Key", "Role"]
    assert allowed == {it["Sid"]: it["Action"] for it in statements(target)}
    assert [it["Sid"] for it in on if it["Sid"] not in {one["Sid"] for one in off}] == [
        "DisableOwnImages",
        "NameCurrentImages",
        "AskForUse",
        "ListUse",
    ]


def test_what_launches_can_pass_no_role_and_uses_no_template_key_pair_or_snapshot(target):
    """Only the launch role launches; RunInstances is allowed on six kinds of resources, most under a condition."""
    launching = [it for it in statements(target, "LaunchRole") if it["Action"] == "ec2:RunInstances"]
    kinds = [it["Resource"]["Fn::Sub"].rpartition(":")[2] for it in launching]

    assert "RunInstances" not in json.dumps([statements(target), statements(target, "GrantRole")])
    assert "PassRole" not in json.dumps(statements(target, "LaunchRole"))
    types = ("image", "image", "instance", "volume", "subnet", "network-interface", "security-group")
    assert kinds == [f"{kind}/*" for kind in types]
    assert [kind for kind, it in zip(kinds, launching, strict=True) if "Condition" not in it] == ["security-group/*"]


@pytest.mark.parametrize(
    ("owner", "tag", "runs"), [(OWN, HUB, True), (OWN, OWN, False), (HUB, "", True), (OTHER, HUB, False)]
)
def test_an_instance_starts_from_an_image_of_the_hub_or_from_a_copy_that_the_account_owns(owner, tag, runs):
    """A stranger's shared AMI starts none, even if EC2 should show the tags that the account has put on it."""
    with World() as world:
        world.deploy(TARGET, OWN, "us-east-1", "target", {**GIVEN, "ForwardEvents": "false", "LaunchTest": "true"})
        policy = world.iam.roles.named(OWN, "AmiCopyRole-launch").policies["ami-promoter-launch"]
    context = {"ec2:owner": owner, "aws:resourcetag/ami-promoter:hub": tag}
    verdict = identity(policy, Ask("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-1", context))

    assert verdict is (PolicyVerdict.ALLOW if runs else PolicyVerdict.SILENT)


def test_without_launch_test_a_stack_has_no_role_for_it(target):
    """Neither role nor output; the other roles are as with it, but for one denial; in the role's Region only."""
    with World() as world:
        stacks = [
            world.deploy(TARGET, account, "us-east-1", "target", {**GIVEN, "ForwardEvents": "false", **more})
            for account, more in (
                ("2" * 12, {}),
                ("3" * 12, {"LaunchTest": "true"}),
                ("4" * 12, {"LaunchTest": "true", "RoleRegion": "eu-west-1"}),
            )
        ]
        roles = [{role.name: role.policies for role in world.iam.roles.all(account * 12)} for account in "234"]

    assert target["Parameters"]["LaunchTest"]["Default"] == "false"
    assert [set(stack.resources) - {"LaunchRole"} for stack in stacks[:2]] == [set(stacks[0].resources)] * 2
    assert ["LaunchRole" in stack.resources for stack in stacks] == [False, True, False]
    assert ["LaunchRoleArn" in stack.outputs for stack in stacks] == [False, True, False]
    off, on, _ = (json.loads(json.dumps(one).replace("3" * 12, "2" * 12)) for one in roles)
    assert on.pop("AmiCopyRole-launch")["ami-promoter-launch"]["Statement"]
    copying = on["AmiCopyRole"]["ami-promoter"]["Statement"]
    copying.remove(next(it for it in copying if it["Sid"] == "NothingOfThisAccountsOwn"))
    assert on == off


def test_the_key_rotates_and_outlives_the_stack(target):
    """AMIs need their key for as long as they exist."""
    key = target["Resources"]["Key"]

    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert key["Properties"]["EnableKeyRotation"] is True


def test_role_and_key_are_made_only_where_asked_for(target):
    """A second Region of an account makes no second role; an existing key is not doubled."""
    conditional = {name: it["Condition"] for name, it in target["Resources"].items() if "Condition" in it}

    assert conditional == {
        "Role": "WithRole",
        "GrantRole": "WithGrantRole",
        "LaunchRole": "WithLaunchRole",
        "Key": "WithKey",
        "Alias": "WithKey",
        **dict.fromkeys(("ForwardRole", "CopyEnded", "ImageState"), "Forward"),
    }
