"""The access monitor's template, as CloudFormation receives it: a stack of its own beside the hub's."""

import json
import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from awsim.patterns import matches
from chalicelib.monitor.trail_actions import NAMES
from chalicelib.monitor.worker.access_monitor import TRIES
from tests.templates.conftest import MONITORING, ROOT, resources

TRAIL = json.loads((ROOT / "tests" / "samples" / "trail.json").read_text(encoding="utf-8"))["samples"]


def test_the_hub_has_nothing_of_it(hub):
    """Without its stack there is no function, role, queue, rule, table, topic or alarm of it, and no cost."""
    named = [name for name in hub["Resources"] if re.match("AccessMonitor|Drift|Trail|Security|Findings|Access", name)]

    assert named == []
    assert [name for name in MONITORING if name in json.dumps(hub)] == []


def test_it_calls_the_hubs_resources_by_their_names(hub, monitor):
    """It imports nothing from the hub's stack, so each address ends with the name that the hub's resource has."""
    (of_hub,) = {json.dumps(environment(hub, name)) for name in ("Worker", "Discover")}
    naming = {"AWS::DynamoDB::Table": "TableName", "AWS::SQS::Queue": "QueueName", "AWS::SNS::Topic": "TopicName"}
    for function in MONITORING:
        for variable, value in environment(monitor, function).items():
            there = json.loads(of_hub).get(variable)
            if not isinstance(value, dict) or value == there or there is None:
                continue
            resource = hub["Resources"][there["Ref"]]
            name = resource["Properties"][naming.get(resource["Type"], "Name")]["Fn::Sub"]
            assert re.split(r"[/:](?=ami-promoter)", value["Fn::Sub"])[-1] == name, variable
        dead = monitor["Resources"][function]["Properties"]["DeadLetterConfig"]["TargetArn"]["Fn::Sub"]
        assert dead.endswith(":" + hub["Resources"]["DeadEvents"]["Properties"]["QueueName"]["Fn::Sub"])


def environment(template, function):
    """A function's variables."""
    return template["Resources"][function]["Properties"]["Environment"]["Variables"]


def test_it_has_the_hubs_parameters_as_the_hub_has_them(hub, monitor):
    """So that both stacks can be given the same values; what only the hub needs is not there."""
    shared = hub["Parameters"].keys() & monitor["Parameters"].keys()

    assert {name: hub["Parameters"][name] for name in shared} == {name: monitor["Parameters"][name] for name in shared}
    assert monitor["Parameters"].keys() - shared == {"WatchKeyUse", "LearningHours", "SiblingRegions", "BuilderArns"}
    text = json.dumps([monitor["Resources"], monitor["Conditions"]])
    assert [name for name in monitor["Parameters"] if name not in text] == []


def test_its_functions_are_woken_by_its_queue_and_by_schedules(monitor):
    """One queue, which is not FIFO, as it holds events and not records; and a schedule for each function."""
    (mapping,) = resources(monitor, "AWS::Lambda::EventSourceMapping").values()
    rules = resources(monitor, "AWS::Events::Rule").values()

    assert (mapping["FunctionName"], mapping["BatchSize"]) == ({"Ref": "AccessMonitor"}, 1)
    assert mapping["EventSourceArn"]["Fn::Sub"].endswith(
        ":" + monitor["Resources"]["AccessMonitorQueue"]["Properties"]["QueueName"]["Fn::Sub"]
    )
    assert "MaximumBatchingWindowInSeconds" not in mapping
    assert sorted(rule["Targets"][0]["Arn"]["Fn::GetAtt"][0] for rule in rules) == [
        "AccessMonitor",
        *["AccessMonitorQueue"] * 4,
        "DriftAudit",
    ]
    for rule in rules:
        if "EventPattern" in rule:
            dead = {"Arn": {"Fn::GetAtt": ["AccessMonitorDead", "Arn"]}}
            assert rule["Targets"][0]["DeadLetterConfig"] == dead


def test_the_monitors_events_lie_ten_minutes_and_come_from_its_rules_alone(monitor):
    """By then the ledger is written."""
    queue = monitor["Resources"]["AccessMonitorQueue"]["Properties"]
    statements = monitor["Resources"]["AccessMonitorQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    [sends] = [one for one in statements if one.get("Effect") == "Allow"]
    senders = sends["Condition"]["ArnEquals"]["aws:SourceArn"]

    assert queue["DelaySeconds"] == 600
    assert queue["RedrivePolicy"]["maxReceiveCount"] == TRIES
    assert queue["VisibilityTimeout"] >= 6 * monitor["Resources"]["AccessMonitor"]["Properties"]["Timeout"]
    named = {(one["Fn::If"][1] if "Fn::If" in one else one)["Fn::GetAtt"][0] for one in senders}
    assert named == set(trail_rules(monitor))


def trail_rules(template):
    """The rules that match CloudTrail's events, by logical id."""
    rules = resources(template, "AWS::Events::Rule")
    return {name: it for name, it in rules.items() if name.startswith("TrailOf")}


def test_other_regions_forward_what_the_hub_hears(monitor):
    """The same patterns, and the same state for read-only events."""
    region = yaml_parse((ROOT / "deploy" / "hub-region.yaml").read_text(encoding="utf-8"))
    parts = ("EventPattern", "State", "Description")
    here, there = (
        {name: [it.get(part) for part in parts] for name, it in trail_rules(template).items()}
        for template in (monitor, region)
    )

    assert here == there


@pytest.mark.parametrize("name", TRAIL)
def test_each_sample_of_the_trail_reaches_the_monitor_by_one_rule(monitor, name):
    """The monitor gets no event twice."""
    matching = [rule for rule, it in trail_rules(monitor).items() if matches(it["EventPattern"], TRAIL[name]["event"])]

    assert len(matching) == 1


def test_the_patterns_name_the_calls_that_are_read(monitor):
    """A call without a rule would be read for nothing, and a rule without a reader would forward for nothing."""
    named = [call for it in trail_rules(monitor).values() for call in it["EventPattern"]["detail"]["eventName"]]

    assert sorted(named) == sorted(NAMES)


def test_only_monitor_and_audit_publish_on_the_security_topic_which_is_encrypted(monitor):
    """The topic's messages say who may have taken what."""
    [denied] = monitor["Resources"]["SecurityPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert monitor["Resources"]["Security"]["Properties"]["KmsMasterKeyId"] == {
        "Fn::If": ["HasDataKey", {"Ref": "DataKeyArn"}, "alias/aws/sns"]
    }
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "sns:Publish")
    assert denied["Condition"] == {
        "StringNotEquals": {
            "aws:PrincipalArn": [{"Fn::GetAtt": [role, "Arn"]} for role in ("AccessMonitorRole", "DriftAuditRole")]
        }
    }
