"""Parked, dead and late records are seen: alarms and dashboard watch existing metrics, and say what to do."""

import argparse
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from ami_promoter.cli import root
from chalicelib.delivery.outcomes import OUTCOMES
from tests.templates.conftest import ROOT, resources

TELEMETRY = (ROOT / "chalicelib" / "entry/telemetry.py").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "operations" / "runbook.md").read_text(encoding="utf-8")

WATCHED = {
    "RecordsParked": "ParkedAlarm",
    "OldestDueSeconds": "OverdueAlarm",
    "OldestOpenShareSeconds": "OpenShareAlarm",
    "DeliveriesStillFailed": "DeliveriesFailedAlarm",
    "ValuesRefused": "ValuesRefusedAlarm",
    "TargetsLoosened": "TargetsLoosenedAlarm",
    "SecondsInState": "StandStillAlarm",
    "SharesStillOpen": "StillOpenAlarm",
    "SharesClosedBlind": "ClosedBlindAlarm",
    "GrantsOutliving": "GrantsOutlivingAlarm",
    "UnitsUnreadable": "UnitsUnreadableAlarm",
    "AccountsHeld": "AccountsHeldAlarm",
    "Discoveries": "DiscoveryStoppedAlarm",
    "FoundBySweep": "FoundBySweepAlarm",
    "AccessPages": "AccessPageAlarm",
    "AccessWarnings": "AccessWarningAlarm",
    "TrailSilent": "TrailSilentAlarm",
    "DriftAuditAge": "DriftAuditLateAlarm",
}
"""The service's metrics that an operator must see, and their alarms."""


def of_type(both: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The properties of each resource of a type in both stacks, by logical id."""
    return {name: it for template in both.values() for name, it in resources(template, kind).items()}


@pytest.fixture(scope="module")
def alarms(both) -> dict[str, dict[str, Any]]:
    """The properties of each alarm, by logical id."""
    return of_type(both, "AWS::CloudWatch::Alarm")


def metrics(alarm: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Namespace, name and dimensions of an alarm's metrics."""
    if "MetricName" in alarm:
        yield alarm["Namespace"], alarm["MetricName"], {it["Name"]: it["Value"] for it in alarm["Dimensions"]}
    for one in alarm.get("Metrics", ()):
        if "MetricStat" in one:
            metric = one["MetricStat"]["Metric"]
            yield metric["Namespace"], metric["MetricName"], {it["Name"]: it["Value"] for it in metric["Dimensions"]}


def test_each_thing_that_a_person_must_see_has_its_alarm(alarms):
    """Parked, overdue, open too long, not closing, closed blind, outliving grants, no sweep, no events."""
    ours = {name: next(metrics(alarm))[1] for name, alarm in alarms.items() if next(metrics(alarm))[0] == "AmiPromoter"}

    assert ours == {alarm: metric for metric, alarm in WATCHED.items()}


def test_metrics_in_the_templates_are_those_that_the_functions_write(alarms, hub):
    """An alarm or widget for a metric that is never written would stay silent.

    In the code, names that are composed are recognized by their parts; deliveries are counted by their outcomes.
    """
    written = set(re.findall(r'(?:_count|_seconds)\(\s*"(\w+)"', TELEMETRY))
    written |= set(re.findall(r'"((?:Shares|Values|Access)[A-Z]\w+)"', TELEMETRY))
    written |= {outcome.metric for outcome in OUTCOMES.values()}
    own = {name for alarm in alarms.values() for namespace, name, _ in metrics(alarm) if namespace == "AmiPromoter"}
    shown = {one[1] for widget in widgets(hub) for one in widget.get("metrics", ()) if one[0] == "AmiPromoter"}

    assert (own | shown) - written == set()


def test_the_services_metrics_have_one_dimension(alarms):
    """Powertools writes the dimension `service`; an alarm without it watches another metric."""
    for alarm in alarms.values():
        for namespace, _, dimensions in metrics(alarm):
            assert namespace != "AmiPromoter" or dimensions == {"service": "ami-promoter"}


def test_every_queue_and_every_function_is_watched(alarms, both):
    """Dead letters and old wakes of each queue, errors of each function."""
    queues = [
        (dimensions["QueueName"]["Fn::GetAtt"][0], name)
        for alarm in alarms.values()
        for namespace, name, dimensions in metrics(alarm)
        if namespace == "AWS/SQS"
    ]
    functions = {
        dimensions["FunctionName"]["Ref"]
        for alarm in alarms.values()
        for namespace, name, dimensions in metrics(alarm)
        if (namespace, name) == ("AWS/Lambda", "Errors")
    }

    assert sorted(queues) == [
        ("AccessMonitorDead", "ApproximateNumberOfMessagesVisible"),
        ("AccessMonitorQueue", "ApproximateAgeOfOldestMessage"),
        ("DeadEvents", "ApproximateNumberOfMessagesVisible"),
        ("ShareWorkerDead", "ApproximateNumberOfMessagesVisible"),
        ("ShareWorkerQueue", "ApproximateAgeOfOldestMessage"),
        ("WorkerDead", "ApproximateNumberOfMessagesVisible"),
        ("WorkerQueue", "ApproximateAgeOfOldestMessage"),
    ]
    assert functions == of_type(both, "AWS::Lambda::Function").keys()


def test_silence_of_what_runs_all_the_time_is_the_alarm_and_silence_of_all_else_is_none(alarms):
    """That a function has stopped is said by Lambda's own count.

    Any function can write the service's metrics: a thief of one could hide that another has stopped.
    """
    counted = {
        name: dimensions["FunctionName"]["Ref"]
        for name, alarm in alarms.items()
        if alarm["TreatMissingData"] == "breaching"
        for namespace, metric, dimensions in metrics(alarm)
        if (namespace, metric) == ("AWS/Lambda", "Invocations")
    }

    assert counted == {
        "SweepStoppedAlarm": "Sweep",
        "DiscoveryStoppedAlarm": "Discover",
        "DriftAuditLateAlarm": "DriftAudit",
    }
    assert sum(alarm["TreatMissingData"] == "breaching" for alarm in alarms.values()) == len(counted)
    assert alarms["SweepStoppedAlarm"]["ComparisonOperator"] == "LessThanThreshold"


def test_what_must_not_happen_alarms_the_first_time(alarms):
    """The others: an age in seconds, a number, silence, or what must last for two or three looks."""
    above = {
        name: (alarm["Threshold"], alarm["EvaluationPeriods"])
        for name, alarm in alarms.items()
        if alarm["ComparisonOperator"] == "GreaterThanThreshold"
    }

    assert {name: one for name, one in above.items() if one != (0, 1)} == {
        "WorkerAgeAlarm": (900, 1),
        "ShareWorkerAgeAlarm": (900, 1),
        "AccessMonitorAgeAlarm": (3600, 1),
        "DriftAuditLateAlarm": (172_800, 1),
        "OverdueAlarm": (1800, 1),
        "StandStillAlarm": ({"Ref": "StandStillAlarmSeconds"}, 1),
        "OpenShareAlarm": ({"Ref": "OpenShareAlarmSeconds"}, 1),
        "StillOpenAlarm": (0, 3),
        "RunawayAlarm": (100_000, 1),
        "FoundBySweepAlarm": (25, 2),
        **dict.fromkeys(("ErrorsAlarm", "AccessMonitorErrorsAlarm", "DriftAuditErrorsAlarm"), (0, 3)),
    }
    assert {alarms[name]["Threshold"] for name in alarms.keys() - above.keys()} == {1}, "silence"


def test_an_alarm_speaks_of_what_there_is(alarms, both):
    """A word that is written as parameters are is one, or a part of the text's address."""
    there = {name for template in both.values() for name in template["Parameters"]}
    texts = re.sub(r"\$\{\w+\}", "", " ".join(it["AlarmDescription"]["Fn::Sub"] for it in alarms.values()))
    said = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", texts))

    assert said - there - {"CloudTrail"} == set()


def test_a_notice_goes_out_only_where_a_topic_is_named(alarms):
    """The condition is the same for every alarm."""
    actions = [{"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]}]

    assert [name for name, alarm in alarms.items() if alarm["AlarmActions"] != actions] == []


def runbook_commands() -> dict[str, list[str]]:
    """The state's and the repair's command of each alarm that has both, by its name."""
    block = re.compile(r"(?m)^    # the state\n((?:    .*\n)+?)    # the repair\n((?:    .*\n)+)")
    sections = dict(re.findall(r"(?ms)^### (\w+Alarm)$(.+?)(?=^##)", RUNBOOK))
    return {
        name: [" ".join(one.replace("\\\n", " ").split()) for one in found.groups()]
        for name, text in sections.items()
        if (found := block.search(text))
    }


def test_each_alarm_says_what_to_do_and_where_to_read_on(alarms):
    """It ends with its section of the runbook, within CloudWatch's limit for the text."""
    for name, alarm in alarms.items():
        text = alarm["AlarmDescription"]["Fn::Sub"]
        assert text.endswith(f" ${{RunbookUrl}}#{name.lower()}")
        assert len(text) + 300 <= 1024  # RunbookUrl has 300 characters at most


def test_the_runbook_has_each_alarm(alarms):
    """A line in the first table, and a section that says when it is over."""
    sections = dict(re.findall(r"(?ms)^### (\w+Alarm)$(.+?)(?=^##)", RUNBOOK))

    assert set(sections) == set(alarms)
    assert [name for name in alarms if f"| [`{name}`](#{name.lower()}) |" not in RUNBOOK] == []
    assert [name for name, text in sections.items() if "\nOver when " not in text] == []


def test_the_ten_alarms_that_matter_most_have_the_two_commands(alarms):
    """All urgent ones, failed deliveries and parked records: one command shows the state, one makes the repair."""
    urgent = re.findall(r"\| \[`(\w+)`\]\(#\w+\) \| now", RUNBOOK)
    given = {name: len(commands) for name, commands in runbook_commands().items()}

    assert given == dict.fromkeys([*urgent, "DeliveriesFailedAlarm", "ParkedAlarm"], 2)
    assert len(given) == 10
    assert given.keys() <= alarms.keys()


@pytest.mark.parametrize("command", sorted({one for both in runbook_commands().values() for one in both}))
def test_a_command_of_the_runbook_is_one(command):
    """It has a verb, and options, that there are; for the AWS command line, also what the call requires."""
    inner = re.findall(r"\$\((.*?)\)\"", command)
    for one in (re.sub(r"\$\((.*?)\)\"", 'INNER"', command), *inner):
        words = [word for word in shlex.split(one) if not word.startswith("AWS_PROFILE=")]
        (parse_own if words[0] == "ami-promoter" else parse_aws)(words[1:])


def parse_own(words):
    """Ask for a command's help behind its options, which must exist. An unknown verb or option raises click's error."""
    assert root.main([*words, "--help"], "ami-promoter", standalone_mode=False) == 0


def parse_aws(words):
    """Compare a command with the SDK's model of its call."""
    found = argparse.ArgumentParser(prog="aws", allow_abbrev=False)
    for name in ("profile", "region", "query", "output"):
        found.add_argument(f"--{name}")
    found.add_argument("service")
    found.add_argument("operation")
    known, rest = found.parse_known_args(words)
    model = botocore.session.get_session().get_service_model(known.service)
    operation = next(name for name in model.operation_names if xform_name(name, "-") == known.operation)
    shape = model.operation_model(operation).input_shape
    options = argparse.ArgumentParser(prog=operation, allow_abbrev=False)
    for name, member in shape.members.items():
        of = {"action": argparse.BooleanOptionalAction} if member.type_name == "boolean" else {"nargs": "+"}
        options.add_argument(f"--{xform_name(name, '-')}", required=name in shape.required_members, **of)
    options.parse_args(rest)


def test_the_saved_queries_are_those_of_the_runbook(hub, both):
    """By name and text, over the logs of every function; all but one of the dashboard's queries are among them.

    Those of the hub read the logs of the hub's functions, and that of the access monitor reads its own.
    """
    section = RUNBOOK.partition("\n## Logs\n")[2].partition("\n## ")[0]
    saved = of_type(both, "AWS::Logs::QueryDefinition").values()
    groups = of_type({"hub": hub}, "AWS::Logs::LogGroup").keys() | {"AccessMonitorLogGroup"}
    shown = [it["query"].rpartition("SOURCE")[2].partition(" | ")[2] for it in widgets(hub) if "query" in it]

    names = {one["Name"]["Fn::Sub"].partition("/")[2]: one["QueryString"] for one in saved}
    assert names == dict(re.findall(r"(?m)^### (.+)\n\n    (.+)$", section))
    listed = {name for it in saved for name in re.findall(r'"Ref": "(\w+)"', json.dumps(it["LogGroupNames"]))}
    assert listed == groups
    assert len(set(shown) - set(names.values())) == 1


def widgets(hub: dict[str, Any]) -> list[dict[str, Any]]:
    """The dashboard's widgets, with names in place of CloudFormation's substitutions."""
    body = hub["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    text = re.sub(r"\$\{([\w.:]+)\}", lambda found: "1" if found[1] == "OpenShareAlarmSeconds" else found[1], body)
    return [widget["properties"] | {"place": widget} for widget in json.loads(text)["widgets"]]


def test_the_dashboard_shows_what_one_wants_to_know_first(hub):
    """Deliveries by outcome, open shares, oldest wake and due record, dead letters, finds of the sweep."""
    shown = {one[1] for widget in widgets(hub) for one in widget.get("metrics", ())}

    assert {
        "DeliveriesDelivered",
        "DeliveriesFailed",
        "DeliveriesCancelled",
        "OldestOpenShareSeconds",
        "ApproximateAgeOfOldestMessage",
        "OldestDueSeconds",
        "ApproximateNumberOfMessagesVisible",
        "FoundBySweep",
    } <= shown


def test_the_dashboard_speaks_of_this_stack_only(hub):
    """Its queues, functions and alarms are this stack's, with every unconditional alarm."""
    queues = {f"{name}.QueueName" for name in resources(hub, "AWS::SQS::Queue")}
    functions = set(resources(hub, "AWS::Lambda::Function"))
    alarms = of_type({"hub": hub}, "AWS::CloudWatch::Alarm")
    always = {f"{name}.Arn" for name in alarms if "Condition" not in hub["Resources"][name]}
    for widget in widgets(hub):
        for namespace, _, dimension, value, *_ in widget.get("metrics", ()):
            allowed = {"AWS/SQS": queues, "AWS/Lambda": functions, "AmiPromoter": {"ami-promoter"}}[namespace]
            assert value in allowed
            assert (
                dimension == {"AWS/SQS": "QueueName", "AWS/Lambda": "FunctionName", "AmiPromoter": "service"}[namespace]
            )

    [listed] = [set(widget["alarms"]) for widget in widgets(hub) if "alarms" in widget]
    assert listed == always


def test_widgets_do_not_overlap_and_fit_the_grid(hub):
    """CloudWatch's grid is 24 wide."""
    cells: set[tuple[int, int]] = set()
    for widget in widgets(hub):
        place = widget["place"]
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["width"])
            for y in range(place["y"], place["y"] + place["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in taken) < 24
        cells |= taken


def test_the_runbook_is_by_default_the_repositorys_page(hub):
    """An alarm that ends in a relative path sends a person on call nowhere; pyproject.toml has the same address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    default = hub["Parameters"]["RunbookUrl"]["Default"]

    assert default == f"{project['urls']['Repository']}/blob/main/docs/operations/runbook.md"
