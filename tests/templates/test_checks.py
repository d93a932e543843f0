"""The repository's own checks of a template find what they are for."""

from typing import Any

import pytest

from tools.package import substituted, without_nulls
from tools.template_checks import problems


def a_template(type_: str, **properties: Any) -> dict[str, Any]:
    return {"Resources": {"It": {"Type": type_, "Properties": properties}}}


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (a_template("AWS::SNS::Topic", TopicName=None), "TopicName: is null"),
        (a_template("AWS::Events::Rule", EventPattern={"source": "aws.ec2"}), "EventPattern.source: 'aws.ec2' must be"),
        (a_template("AWS::Events::Rule", EventPattern={"detail": {"event": {"prefix": "copy"}}}), "detail.event: {"),
        (a_template("AWS::Events::Rule", EventPattern={"source": []}), "EventPattern.source: is an empty list"),
        (a_template("AWS::CloudWatch::Dashboard", DashboardBody='{"a": ]'), "DashboardBody: is not JSON"),
        (a_template("AWS::CloudWatch::Dashboard", DashboardBody={"Fn::Sub": '{"r": ${AWS::Region}'}), "is not JSON"),
        (a_template("AWS::CloudWatch::Dashboard", DashboardBody={"Fn::Sub": '{"r": ${AWS::Region}}'}), "is not JSON"),
        (a_template("AWS::IAM::Role", Policies=[{"Resource": "arn:aws:s3:::${AWS::Region}"}]), "not inside Fn::Sub"),
    ],
)
def test_a_fault_that_cfn_lint_passes_is_found(template, fault):
    """Each planted fault is named with its place, and nothing else is."""
    found = problems(template)

    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    "template",
    [
        a_template("AWS::Events::Rule", EventPattern={"source": [{"prefix": "aws."}], "detail": {"a": ["b"]}}),
        a_template("AWS::CloudWatch::Dashboard", DashboardBody={"Fn::Sub": '{"region": "${AWS::Region}"}'}),
        a_template("AWS::CloudWatch::Dashboard", DashboardBody={"Fn::Sub": '{"seconds": ${Seconds}}'})
        | {"Parameters": {"Seconds": {"Type": "Number"}}},
        a_template("AWS::SNS::Topic", TopicName={"Fn::Sub": "${AWS::Region}-x"}),
        a_template("AWS::CloudFormation::StackSet", TemplateBody="Value: !Sub ${AWS::Region}"),
    ],
)
def test_what_is_right_is_left_alone(template):
    """Correct patterns, dashboards and substitutions pass."""
    assert problems(template) == []


def test_substitution_reaches_every_string_and_no_other():
    """Strings with ${...} are wrapped at any depth; others stay plain."""
    policy = {"Action": ["a:B"], "Resource": ["arn:${AWS::Partition}:x", "*"], "Condition": {"E": {"k": "${P}"}}}

    assert substituted(policy) == {
        "Action": ["a:B"],
        "Resource": [{"Fn::Sub": "arn:${AWS::Partition}:x"}, "*"],
        "Condition": {"E": {"k": {"Fn::Sub": "${P}"}}},
    }


def test_nulls_are_left_out_and_nothing_else():
    """Only null members are removed; false, zero and empty ones stay."""
    expected = {"b": {"d": 0}, "e": [{}, ""], "g": False}
    assert without_nulls({"a": None, "b": {"c": None, "d": 0}, "e": [{"f": None}, ""], "g": False}) == expected
