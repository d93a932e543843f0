"""Lists in parameters: the most that CloudFormation accepts fits into the policies, and more is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from awsim.cfn import Stack, TemplateError, read
from awsim.cfn.deployment import _Deployment, _parameters
from awsim.iam import roles
from awsim.world import World
from tests.templates.conftest import GIVEN, TARGET, resources
from tests.templates.conftest import HUB as PACKAGE

HUB, DEV, REGION = "111111111111", "222222222222", "us-east-1"
LONG_REGION, LONG_PARTITION = "ap-southeast-5", "aws-us-gov"
VALUE = 4096
"""Bytes that CloudFormation accepts for one parameter's value."""
ROLE = 10_240
"""Characters of all inline policies of a role, white space not counted."""
BUS = 10 * 1024
"""Bytes of an event bus's policy."""
ENVIRONMENT = 4096
"""Bytes of a function's variables, with their names."""
ADDRESS = "x" * 100
"""Stands for the name or address of a resource; the longest is a queue's URL."""
OPEN = {
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{DEV}:root"}, "Action": "kms:*", "Resource": "*"}
    ]
}
"""A key policy that leaves the decision to the account."""
VIA = "ec2.us-east-1.amazonaws.com"


def key(number: int) -> str:
    """The ARN of a key of the hub."""
    return f"arn:{LONG_PARTITION}:kms:{LONG_REGION}:{HUB}:key/mrk-{number:032x}"


def keys(size: int) -> str:
    """As many keys as fit into this many characters, separated by commas."""
    return ",".join(map(key, range((size + 1) // (len(key(0)) + 1))))


SHORTEST = ",".join([f"arn:aws:kms:*:{HUB}:key/*"] * (VALUE // 33))
"""Short ARNs need many quotes and commas in a policy."""


PATH = "/" + "p" * 254 + "/"
"""The longest that the template takes."""
TYPES = ",".join(["u7in-32tb.224xlarge"] * 50)
"""More than anybody would test."""
ACCOUNTS = [f"{number:012d}" for number in range(170)]


def resolved(path: Path, kind: str, **given: str) -> Iterator[tuple[str, dict[str, Any], Callable[[Any], Any]]]:
    """Each resource of a kind, and what gives a value in the partition and Region with the longest names."""
    body = read(path)
    with World() as world:
        at = _Deployment(world, body, Stack("s", HUB, LONG_REGION), _parameters(body, given), path.parent)
        at._values["AWS::Partition"] = LONG_PARTITION
        for name, resource in body["Resources"].items():
            if resource["Type"] == kind:
                yield name, resource["Properties"], at.value


def sizes(path: Path, kind: str = "AWS::IAM::Role", **given: str) -> Iterator[tuple[str, int]]:
    """Each role or managed policy with its policies' size."""
    for name, properties, value in resolved(path, kind, **given):
        policies = value(properties.get("Policies", [properties]))
        yield name, sum(len("".join(json.dumps(it["PolicyDocument"]).split())) for it in policies)


@pytest.mark.parametrize("listed", [keys(VALUE), SHORTEST, ""], ids=["longest ARNs", "shortest ARNs", "none"])
def test_the_targets_role_takes_as_many_source_keys_as_a_parameter(listed):
    """Each role's policies have the list once. IAM counts all inline policies of a role together."""
    assert len(listed) <= VALUE
    most = {"SourceKeyArns": listed, "RoleName": "r" * 57, "ParameterPrefix": PATH, "AllowDisable": "true"}
    most |= {"LaunchTestTypes": TYPES, "AllowUseReport": "true"}
    found = dict(sizes(TARGET, **GIVEN, **most))

    assert max(found["Role"], found["GrantRole"], found["LaunchRole"]) <= ROLE


@pytest.mark.parametrize("listed", [keys(VALUE), ""], ids=["longest ARNs", "none"])
def test_the_hubs_roles_take_as_many_policy_keys_as_a_parameter(listed, package):
    """Both functions that read key policies get the list."""
    found = dict(sizes(PACKAGE / "template.yaml", PolicyKeyArns=listed, TargetRoleName="r" * 57, HubCopies="true"))

    assert {name: size for name, size in found.items() if size > ROLE} == {}


def test_fifty_keys_can_be_named_and_too_many_are_refused_before_anything_is_made():
    """The role may use these and the account's own, and no other key of the hub; a longer list is refused."""
    named = [f"arn:aws:kms:eu-central-1:{HUB}:key/mrk-{number:032x}" for number in range(50)]
    given = {**GIVEN, "ForwardEvents": "false"}
    with World() as world:
        stack = world.deploy(TARGET, DEV, REGION, "target", {**given, "SourceKeyArns": ",".join(named)})
        caller, *_ = world.accounts.issue(stack.outputs["RoleArn"], "session")

        def may(arn: str) -> bool:
            return all(
                world.iam.decide(
                    caller, action, arn, region=REGION, context={"kms:ViaService": VIA}, resource_policy=OPEN
                ).allowed
                for action in ("kms:DescribeKey", "kms:Decrypt")
            )

        assert [may(arn) for arn in (named[0], named[-1])] == [True, True]
        assert may(stack.outputs["KeyArn"])
        assert not may(f"arn:aws:kms:eu-central-1:{HUB}:key/mrk-{99:032x}")
        with pytest.raises(TemplateError, match="4096 bytes"):
            world.deploy(TARGET, DEV, REGION, "target", {**given, "SourceKeyArns": ",".join([*named, *named])})


def test_at_most_170_accounts_may_be_targets(hub):
    """As root ARNs, in AWS's stored form, they fit into the bus's policy; more are refused."""
    declared = hub["Parameters"]["TargetAccounts"]
    rest = sum(len(json.dumps(policy)) for policy in resources(hub, "AWS::Events::EventBusPolicy").values())

    assert len(",".join(ACCOUNTS)) == declared["MaxLength"]
    assert rest + sum(len(f'"arn:{LONG_PARTITION}:iam::{account}:root",') for account in ACCOUNTS) <= BUS
    assert roles.LONGEST == ROLE


@pytest.mark.parametrize("listed", [keys(VALUE), SHORTEST], ids=["longest ARNs", "shortest ARNs"])
def test_what_is_listed_fits_into_the_policies_that_deny_all_else(listed):
    """A managed policy takes 6,144 characters, and each list has its own."""
    given = {"TargetAccounts": ",".join(ACCOUNTS), "OrganizationId": f"o-{'a' * 32}", "SourceKeyArns": listed}
    found = dict(sizes(PACKAGE / "template.yaml", kind="AWS::IAM::ManagedPolicy", **given))
    the_stacks_own = len(f',"{key(0)}"')  # with CreateSourceKey

    lists = {"EnterAdmittedAccounts", "GrantOnSourceKeys", "ShareWithAdmittedAccounts", "GrantToAdmittedAccounts"}
    assert lists <= set(found)
    assert max(found.values()) + the_stacks_own <= roles.LONGEST_MANAGED


LISTED = {
    "TriggerTagKey": "t",
    "TargetAccounts": f"{HUB},",
    "SiblingRegions": f"{LONG_REGION},",
    "BuilderArns": f"arn:{LONG_PARTITION}:iam::{HUB}:role/image-builder,",
}
"""What a parameter whose value a function gets can list, again and again."""


def longest(template: dict[str, Any], name: str) -> str:
    """As much as fits into a parameter: what it says, or what CloudFormation takes."""
    most = min(int(template["Parameters"][name].get("MaxLength", VALUE)), VALUE)
    one = LISTED[name]
    return (one * ((most + one.endswith(",")) // len(one))).removesuffix(",")


@pytest.mark.parametrize(("stack", "file"), [("hub", "template.yaml"), ("monitor", "monitor.yaml")])
def test_what_is_listed_fits_into_a_functions_environment(stack, file, both):
    """Lambda takes 4 KB of variables, and CloudFormation finds that out in the middle of a deployment."""
    template = both[stack]
    given = {name: longest(template, name) for name in LISTED if name in template["Parameters"]}
    found = {}
    for function, properties, value in resolved(PACKAGE / file, "AWS::Lambda::Function", **given):
        variables = {
            name: ADDRESS if isinstance(it, dict) and it.get("Ref") in template["Resources"] else value(it)
            for name, it in properties["Environment"]["Variables"].items()
        }
        found[function] = len(json.dumps(variables, separators=(",", ":")))

    assert {name: size for name, size in found.items() if size > ENVIRONMENT} == {}
