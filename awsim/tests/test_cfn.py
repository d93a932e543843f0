"""CloudFormation: parameters, conditions, functions, resources."""

import json
from pathlib import Path
from typing import Any

import pytest

from awsim import cfn
from awsim.cfn import TemplateError
from awsim.world import World
from platform_words import EVERYTHING, HERE, LAMBDA, OPS, PROBE, after, run, send, wait


def _output(world: World, value: Any, parameters: dict[str, str] | None = None, **parts: Any) -> str:
    template = {"Resources": {}, "Outputs": {"It": {"Value": value}}, **parts}
    return world.deploy(template, OPS, HERE, "s", parameters or {}).outputs["It"]


QUEUES = {
    "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead"}},
    "Work": {
        "Type": "AWS::SQS::Queue",
        "Properties": {"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}},
    },
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"Ref": "AWS::AccountId"}, OPS),
        ({"Ref": "Dead"}, f"https://sqs.{HERE}.amazonaws.com/{OPS}/dead"),
        ({"Fn::GetAtt": ["Dead", "Arn"]}, f"arn:aws:sqs:{HERE}:{OPS}:dead"),
        ({"Fn::GetAtt": "Dead.Arn"}, f"arn:aws:sqs:{HERE}:{OPS}:dead"),
        ({"Fn::Sub": "${AWS::Partition}/${Dead.QueueName}/${!Literal}"}, "aws/dead/${Literal}"),
        ({"Fn::Sub": ["${a}-${AWS::Region}", {"a": {"Ref": "AWS::StackName"}}]}, f"s-{HERE}"),
        ({"Fn::Join": ["-", ["a", {"Ref": "AWS::Region"}, {"Ref": "AWS::NoValue"}]]}, f"a-{HERE}"),
        ({"Fn::Select": [1, {"Fn::Split": ["/", "a/b/c"]}]}, "b"),
        ({"Fn::If": ["Yes", "yes", "no"]}, "yes"),
        ({"Fn::If": ["No", "yes", "no"]}, "no"),
    ],
    ids=str,
)
def test_functions(world: World, value: Any, text: str) -> None:
    """Each intrinsic function gives the documented result."""
    conditions = {
        "Yes": {"Fn::Or": [{"Condition": "No"}, {"Fn::Equals": [{"Ref": "AWS::Region"}, HERE]}]},
        "No": {"Fn::And": [{"Fn::Not": [{"Fn::Equals": ["a", "b"]}]}, {"Fn::Equals": ["a", "b"]}]},
    }
    assert _output(world, value, Resources=QUEUES, Conditions=conditions) == text


def test_short_forms_are_read(world: World, tmp_path: Path) -> None:
    """YAML's ``!Ref`` and its siblings are the same functions, also in conditions."""
    path = tmp_path / "t.yaml"
    path.write_text(
        "AWSTemplateFormatVersion: 2010-09-09\n"
        "Conditions: {Here: !Not [!Equals [!Ref AWS::Region, nowhere]], Same: !Or [!Condition Here, !Condition Here]}\n"
        "Resources: {Q: {Type: AWS::SQS::Queue, Condition: Same, Properties: {QueueName: q}}}\n"
        "Outputs:\n"
        "  A: {Value: !GetAtt Q.Arn}\n"
        "  B: {Value: !Sub ['${x}!', {x: !Join ['', [a, b]]}]}\n",
        encoding="utf-8",
    )
    stack = world.deploy(path, OPS, HERE, "s", {})

    assert stack.outputs == {"A": f"arn:aws:sqs:{HERE}:{OPS}:q", "B": "ab!"}


def test_all_problems_of_parameters_are_reported_at_once(world: World) -> None:
    """Unknown, missing, not allowed, not matching, out of bounds: one message, and nothing is created."""
    declared = {
        "Account": {"Type": "String", "AllowedPattern": "[0-9]{12}", "ConstraintDescription": "12 digits"},
        "Many": {"Type": "CommaDelimitedList", "AllowedPattern": "[0-9]{12}"},
        "Number": {"Type": "Number", "MinValue": 2, "MaxValue": 10},
        "Choice": {"Type": "String", "AllowedValues": ["a", "b"]},
        "Short": {"Type": "String", "MaxLength": 3},
        "Needed": {"Type": "String"},
    }
    given = {"Account": "1", "Many": "1,222222222222", "Number": "1", "Choice": "c", "Short": "long", "Stranger": "x"}
    with pytest.raises(TemplateError) as reported:
        _output(world, "x", given, Parameters=declared, Resources=QUEUES)

    problems = str(reported.value).splitlines()[1:]
    assert [problem.split(":")[0].strip() for problem in problems] == [
        "Stranger", "Account", "Many", "Number", "Choice", "Short", "Needed",
    ]  # fmt: skip
    assert "12 digits" in str(reported.value)
    assert world.sqs.queues == {}


def test_lists_and_defaults(world: World) -> None:
    """A list parameter is a list; a default applies, also an empty list."""
    declared = {"Many": {"Type": "CommaDelimitedList", "Default": ""}}
    joined = {"Fn::Join": ["+", {"Ref": "Many"}]}

    assert _output(world, joined, Parameters=declared) == ""
    assert _output(world, joined, {"Many": "a, b"}, Parameters=declared) == "a+b"


def test_rules_are_asserted(world: World) -> None:
    """A template's own rules about its parameters are asserted, with their descriptions."""
    declared = {"Id": {"Type": "String", "Default": ""}}
    assertion = {"Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Id"}, ""]}]}, "AssertDescription": "Id is needed"}
    parts = {"Parameters": declared, "Rules": {"R": {"Assertions": [assertion]}}}
    with pytest.raises(TemplateError, match="Id is needed"):
        _output(world, "x", **parts)

    assert _output(world, "x", {"Id": "1"}, **parts) == "x"


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"X": {"Type": "AWS::Nothing::Known"}}, "AWS::Nothing::Known"),
        ({"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueNam": "q"}}}, "QueueNam"),
        ({"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Base64": "q"}}}}, "Fn::Base64"),
        ({"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Nobody"}}}}, "Nobody"),
        ({"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::GetAtt": ["Q", "Arn"]}}}}, "circular"),
    ],
    ids=["type", "property", "function", "reference", "circle"],
)
def test_what_is_not_known_is_an_error(world: World, resources: dict, said: str) -> None:
    """An unknown part of a template is an error."""
    with pytest.raises(TemplateError, match=said):
        world.deploy({"Resources": resources}, OPS, HERE, "s", {})


def test_a_whole_application(world: World, tmp_path: Path) -> None:
    """SAM is translated; queue, function, rule, permission, table and roles work together."""
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": LAMBDA,
                    "Policies": [{"PolicyName": "all", "PolicyDocument": EVERYTHING}],
                },
            },
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": "t",
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                },
            },
            "In": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "in", "VisibilityTimeout": 180}},
            "Probe": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "FunctionName": "probe",
                    "CodeUri": str(PROBE),
                    "Handler": "app.probe",
                    "Runtime": "python3.13",
                    "Timeout": 30,
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Environment": {"Variables": {"TABLE": {"Ref": "Table"}}},
                    "Events": {
                        "Queue": {
                            "Type": "SQS",
                            "Properties": {"Queue": {"Fn::GetAtt": ["In", "Arn"]}, "BatchSize": 1},
                        },
                        "Minute": {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}},
                        "Ours": {"Type": "EventBridgeRule", "Properties": {"Pattern": {"source": ["ours"]}}},
                    },
                },
            },
        },
    }
    path = tmp_path / "sam.json"
    path.write_text(json.dumps(template), encoding="utf-8")
    world.deploy(path, OPS, HERE, "app", {})
    put = ["call", "dynamodb", "put_item", {"TableName": "t", "Item": {"pk": {"S": "x"}}}]
    send(world, world.sqs.queue(OPS, HERE, "in"), json.dumps({"steps": [put, ["environment", "TABLE"]]}))
    wait(world, 65)

    assert [one.outcome for one in world.lambda_.invocations] == ["ok", "ok"]
    assert world.lambda_.invocations[0].result["said"][1] == "t"
    assert "Item" in world.client("dynamodb", OPS).get_item(TableName="t", Key={"pk": {"S": "x"}})
    assert world.lambda_.invocations[1].event["detail-type"] == "Scheduled Event"

    world.deploy(path, OPS, HERE, "app", {})  # an update that changes nothing
    assert len(after(world, 65).lambda_.invocations) == 3


def test_a_denied_table_is_denied(world: World) -> None:
    """A function's role is evaluated on calls that moto answers."""
    allowed = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}}
    template = {
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": "worker",
                    "AssumeRolePolicyDocument": LAMBDA,
                    "Policies": [{"PolicyName": "some", "PolicyDocument": allowed}],
                },
            },
            "Probe": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": "probe",
                    "Code": {"S3Bucket": "local", "S3Key": str(PROBE)},
                    "Handler": "app.probe",
                    "Runtime": "python3.13",
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
        }
    }
    world.deploy(template, OPS, HERE, "s", {})
    put = ["call", "dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "x"}}}]

    assert "AccessDeniedException" in run(world, world.lambda_.function("probe"), put).error


def test_reading_the_same_template_twice_gives_two_copies(tmp_path: Path) -> None:
    """A deployment's changes to a template do not reach another deployment."""
    path = tmp_path / "t.json"
    path.write_text('{"Resources": {"A": {}}}', encoding="utf-8")
    cfn.read(path)["Resources"].clear()

    assert cfn.read(path) == {"Resources": {"A": {}}}


def test_a_table_that_is_protected_stops_the_rollback(world: World) -> None:
    """DeletionProtectionEnabled stops CloudFormation, too; with it lifted, the stack can be deleted, and made again."""
    properties = {
        "TableName": "t",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "DeletionProtectionEnabled": True,
    }
    resources = {"T": {"Type": "AWS::DynamoDB::Table", "Properties": properties}, **QUEUES}
    world.sqs.create(OPS, HERE, "dead", {})
    with pytest.raises(TemplateError, match=r"the stack is ROLLBACK_FAILED.*DeletionProtectionEnabled"):
        world.deploy({"Resources": resources}, OPS, HERE, "s", {})

    dynamodb = world.client("dynamodb", OPS)
    with pytest.raises(TemplateError, match="DELETE_FAILED"):
        world.delete_stack(OPS, HERE, "s")
    dynamodb.update_table(TableName="t", DeletionProtectionEnabled=False)
    world.delete_stack(OPS, HERE, "s")
    del resources["Dead"], resources["Work"]
    assert list(world.deploy({"Resources": resources}, OPS, HERE, "s", {}).resources) == ["T"]
