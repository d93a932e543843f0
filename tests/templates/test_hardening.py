"""What a security review asks of the templates: confused deputies, boundaries, keys, and retention."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from awsim.iam import policy as iam
from awsim.iam.policy import Ask, PolicyVerdict, Who
from awsim.world import World
from tests.templates.conftest import FUNCTIONS, MONITORING, ROOT, resources
from tools.policies import ATTACHED, DATA_KEY, statements

OTHERS = ("target.yaml", "organization.yaml", "chat.yaml", "hub-region.yaml")
RESERVED = "ReservedConcurrentExecutions"
NOBODY = {"Ref": "AWS::NoValue"}


@pytest.fixture(scope="module")
def templates(both) -> dict[str, dict[str, Any]]:
    """Every template that makes roles or admits services."""
    read = {name: yaml_parse((ROOT / "deploy" / name).read_text(encoding="utf-8")) for name in OTHERS}
    return {**both, **read}


def ours(value: dict[str, Any]) -> dict[str, Any]:
    """The value that a condition guards."""
    return value["Fn::If"][1] if "Fn::If" in value else value


def let_in(node: Any) -> Iterator[dict[str, Any]]:
    """Every policy statement whose principal is an AWS service."""
    if isinstance(node, dict):
        if isinstance(node.get("Principal"), dict) and "Service" in node["Principal"]:
            yield node
        for entry in node.values():
            yield from let_in(entry)
    elif isinstance(node, list):
        for entry in node:
            yield from let_in(entry)


def test_a_service_may_act_for_this_account_alone(templates):
    """A queue, a topic or a function accepts a service's calls only for named rules or for this account.

    A role that a service assumes can be given to it by its own account only: iam:PassRole reaches no other [IAM user
    guide: PassRole]. Lambda and the forwarding rules have such roles, and AWS documents no aws:SourceArn for them.
    """
    for name, template in templates.items():
        for resource, body in template["Resources"].items():
            trust = body.get("Properties", {}).get("AssumeRolePolicyDocument")
            passed = [] if trust is None else list(let_in(trust))
            for statement in let_in(body):
                keys = {key for tests in statement.get("Condition", {}).values() for key in tests}
                assert "aws:SourceArn" in keys or statement in passed, f"{name}: {resource}"
            assert all(it["Action"] in ("sts:AssumeRole", ["sts:AssumeRole"]) for it in passed)
        for resource, permission in resources(template, "AWS::Lambda::Permission").items():
            assert "SourceArn" in permission, f"{name}: {resource}"


@pytest.mark.parametrize(("stack", "policy"), [("hub", "DeadEventsPolicy"), ("monitor", "AccessMonitorDeadPolicy")])
def test_dead_events_come_from_the_rules_of_the_stack_alone(both, stack, policy):
    """Each rule that has this dead-letter queue, and no other."""
    [statement] = both[stack]["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]
    named = {ours(arn)["Fn::GetAtt"][0] for arn in statement["Condition"]["ArnEquals"]["aws:SourceArn"]}
    rules = resources(both[stack], "AWS::Events::Rule")

    assert named == {name for name, it in rules.items() if "DeadLetterConfig" in json.dumps(it["Targets"])}


def test_every_role_can_have_a_permissions_boundary(templates):
    """By one parameter of its template."""
    for name, template in templates.items():
        for resource, role in resources(template, "AWS::IAM::Role").items():
            condition, boundary, otherwise = role["PermissionsBoundary"]["Fn::If"]
            assert (condition, otherwise) == ("HasBoundary", NOBODY), f"{name}: {resource}"
            assert boundary["Fn::Sub"].endswith(":policy/${PermissionsBoundary}")


@pytest.mark.parametrize("stack", ["hub", "monitor"])
def test_what_is_kept_at_rest_can_be_under_a_key_of_ones_own(both, stack):
    """Tables, queues, the topic and the logs, all by one parameter."""
    key = {"Ref": "DataKeyArn"}
    under = ["HasDataKey", key, NOBODY]
    hub = both[stack]

    for queue in resources(hub, "AWS::SQS::Queue").values():
        assert queue["KmsMasterKeyId"] == {"Fn::If": under}
        assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["HasDataKey", NOBODY, True]}
    for topic in resources(hub, "AWS::SNS::Topic").values():
        assert topic["KmsMasterKeyId"]["Fn::If"][:2] == under[:2]
    for logs in resources(hub, "AWS::Logs::LogGroup").values():
        assert logs["KmsKeyId"] == {"Fn::If": under}
    for table in resources(hub, "AWS::DynamoDB::Table").values():
        encrypted = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
        assert table["SSESpecification"] == {"Fn::If": ["HasDataKey", encrypted, NOBODY]}


KEY, HUB, REGION = "arn:aws:kms:eu-west-1:111111111111:key/data", "111111111111", "eu-west-1"
LOGS, EVENTS = f"logs.{REGION}.amazonaws.com", "events.amazonaws.com"


def test_the_data_keys_policy_in_the_guide_lets_services_use_it_for_this_hub_alone(both):
    """Logs for each log group of both stacks, and EventBridge, which alone sends to queues as a service."""
    page = (ROOT / "docs" / "guide" / "deploy-data-key.md").read_text(encoding="utf-8")
    [text] = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    policy = {"Statement": json.loads(re.sub(r"\bR\b", REGION, text).replace("HUB", HUB))}
    groups, senders = [], set()
    for template in both.values():
        groups += [it["LogGroupName"]["Fn::Sub"] for it in resources(template, "AWS::Logs::LogGroup").values()]
        queues = resources(template, "AWS::SQS::QueuePolicy").values()
        senders |= {it["Principal"]["Service"] for queue in queues for it in let_in(queue)}

    def allowed(service: str, key: str, value: str, *actions: str) -> set[bool]:
        asks = [Ask(f"kms:{action}", KEY, {key: value}) for action in actions]
        return {iam.resource(policy, ask, Who(service=service))[0] is PolicyVerdict.ALLOW for ask in asks}

    def encrypts(account: str, group: str) -> set[bool]:
        arn = f"arn:aws:logs:{REGION}:{account}:log-group:{group.replace('${AWS::Region}', REGION)}"
        uses = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey")
        return allowed(LOGS, "kms:encryptioncontext:aws:logs:arn", arn, *uses)

    assert senders == {EVENTS}
    assert [encrypts(HUB, group) for group in groups] == [{True}] * len(FUNCTIONS | MONITORING)
    assert encrypts(HUB, "/aws/lambda/theirs") == encrypts("999999999999", groups[0]) == {False}
    assert allowed(EVENTS, "aws:sourceaccount", HUB, "Decrypt", "GenerateDataKey") == {True}
    assert allowed(EVENTS, "aws:sourceaccount", "999999999999", "Decrypt", "GenerateDataKey") == {False}


def reaching(service: str) -> set[str]:
    """The functions whose own policy has an action of a service."""
    return {
        it.role
        for it in statements()
        if it.role in (FUNCTIONS | MONITORING).values()
        and any(action.startswith(f"{service}:") for action in it.actions)
    }


@pytest.mark.parametrize(
    ("policy", "service", "actions"),
    [
        ("QueuesUnderDataKey", "sqs", {"kms:GenerateDataKey", "kms:Decrypt"}),
        ("TablesUnderDataKey", "dynamodb", {"kms:Decrypt"}),
        ("TopicUnderDataKey", "sns", {"kms:GenerateDataKey", "kms:Decrypt"}),
    ],
)
def test_a_function_may_use_that_key_through_the_services_that_it_speaks_to_and_through_no_other(
    both, policy, service, actions
):
    """Its permissions on the key follow from its permissions on queues, tables and the topic."""
    functions = set()
    for template in both.values():
        given = template["Resources"][policy]
        [statement] = given["Properties"]["PolicyDocument"]["Statement"]
        roles = (template["Resources"][role["Ref"]]["Properties"] for role in given["Properties"]["Roles"])
        functions |= {role["RoleName"]["Fn::Sub"].removeprefix("ami-promoter-${AWS::Region}-") for role in roles}

        assert given["Condition"] == "HasDataKey"
        assert {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"]) == actions
        assert statement["Resource"] == {"Ref": "DataKeyArn"}
        assert statement["Condition"] == {
            "StringEquals": {"kms:ViaService": {"Fn::Sub": f"{service}.${{AWS::Region}}.amazonaws.com"}}
        }
    assert functions == reaching(service)
    assert ATTACHED[policy] == DATA_KEY


def test_the_key_of_golden_amis_names_no_role_and_nobody_without_a_condition(hub):
    """The account's policies decide; use is through EC2, and only share-worker grants, to targets."""
    key = hub["Resources"]["SourceKey"]
    by_sid = {it["Sid"]: it for it in key["Properties"]["KeyPolicy"]["Statement"]}
    uses = {"Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"}

    assert key["Properties"]["EnableKeyRotation"] is True
    for statement in by_sid.values():
        assert statement["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
        assert not [action for action in statement["Action"] if "*" in action and isinstance(statement["Action"], list)]
    administration = by_sid.pop("AdministeredByThisAccount")
    assert not {f"kms:{it}" for it in uses | {"CreateGrant"}} & set(administration["Action"])
    assert set(by_sid["UsedThroughEc2"]["Action"]) == {f"kms:{it}" for it in uses}
    assert all("Condition" in it for it in by_sid.values())


def test_the_key_lets_share_worker_grant_to_whom_its_own_policy_names(hub):
    """Both have the same conditions on receivers and operations."""
    statement = next(
        it
        for it in hub["Resources"]["SourceKey"]["Properties"]["KeyPolicy"]["Statement"]
        if it["Sid"] == "ShareWorkerGrantsToTargets"
    )
    own = next(it for it in statements() if (it.role, it.sid) == ("share-worker", "OpenKeys"))
    grantees = [it["Fn::Sub"] for it in statement["Condition"]["StringLike"]["kms:GranteePrincipal"]]

    assert grantees == own.condition["StringLike"]["kms:GranteePrincipal"]
    assert statement["Condition"]["ForAllValues:StringEquals"] == {
        "kms:GrantOperations": own.condition["ForAllValues:StringEquals"]["kms:GrantOperations"]
    }


def test_the_key_of_golden_amis_is_granted_by_ec2_for_its_caller_or_by_share_worker_alone(package):
    """Neither by a builder's own call, nor through another service, nor by another function to a target."""
    with World() as world:
        given = {"CreateSourceKey": "true", "TargetAccounts": "222222222222"}
        key = world.deploy(package / "template.yaml", HUB, REGION, "hub", given).outputs["SourceKeyArn"]
        policy = json.loads(world.client("kms", HUB, REGION).get_key_policy(KeyId=key)["Policy"])

    def grants(role: str, **context: str) -> bool:
        keys = {"aws:principalarn": f"arn:aws:iam::{HUB}:role/{role}"} | {f"kms:{it}": context[it] for it in context}
        asked = iam.resource(policy, Ask("kms:CreateGrant", key, keys), Who(account=HUB))
        return asked[0] is PolicyVerdict.ALLOW

    ec2, copies = f"ec2.{REGION}.amazonaws.com", "arn:aws:iam::222222222222:role/AmiCopyRole"
    assert grants("builder", viaservice=ec2, grantisforawsresource="true")
    assert not grants("builder", viaservice=ec2)
    assert not grants("builder", viaservice=ec2.replace("ec2", "rds"), grantisforawsresource="true")
    assert grants(f"ami-promoter-{REGION}-share-worker", granteeprincipal=copies, grantoperations="Decrypt")
    assert not grants(f"ami-promoter-{REGION}-worker", granteeprincipal=copies, grantoperations="Decrypt")


def test_logs_are_kept_as_long_as_the_parameter_says(hub, monitor):
    """Every log group, as long as the history; CloudWatch allows certain numbers of days, and 400 is one."""
    for template, functions in ((hub, FUNCTIONS), (monitor, MONITORING)):
        kept = [it["RetentionInDays"] for it in resources(template, "AWS::Logs::LogGroup").values()]
        assert kept == [{"Ref": "KeepHistoryDays"}] * len(functions)
    assert hub["Parameters"]["KeepHistoryDays"]["Default"] == 400


def test_no_concurrency_is_reserved(hub):
    """An account's limit may be too low to reserve any, and then the deployment would fail."""
    assert not any(RESERVED in it for it in resources(hub, "AWS::Lambda::Function").values())


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1", "us-isob-east-1", "eusc-de-east-1"])
def test_every_template_takes_regions_of_every_partition(templates, region):
    """Wherever a parameter is a Region; that of a StackSet is the same parameter."""
    asked = {
        f"{name} {parameter}": it["AllowedPattern"]
        for name, template in templates.items()
        for parameter, it in template["Parameters"].items()
        if parameter.endswith(("Region", "Regions"))
    }
    assert len(asked) >= 4
    assert [one for one, pattern in asked.items() if not re.match(pattern, region)] == []
