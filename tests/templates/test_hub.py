"""The hub's template, as CloudFormation receives it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chalice.app import CloudWatchEventConfig, ScheduledEventConfig, SQSEventConfig
from samtranslator.yaml_helper import yaml_parse

from app import app as wired
from awsim.patterns import matches
from chalicelib.core.monitor.trail_actions import NAMES
from chalicelib.service.budget import RESERVED, SLOW_CALL
from chalicelib.service.discover import PERIOD
from tests.templates.conftest import FUNCTIONS, ROOT, STACKSET, TARGET
from tools import events
from tools.template_checks import problems

TRAIL = json.loads((ROOT / "tests" / "samples" / "trail.json").read_text(encoding="utf-8"))["samples"]
SQS_ARN = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}"
MONITOR = ("AccessMonitorOn", "KeyUseWatched")
"""Conditions of resources that only the access monitor needs."""


def resources(template, type_):
    """The properties of all resources of a type, by logical id."""
    return {name: it["Properties"] for name, it in template["Resources"].items() if it["Type"] == type_}


def test_the_translated_template_is_clean(package, hub):
    """cfn-lint and the repository's own checks find no fault."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("cfn-lint"),
            "--ignore-checks",
            "W3002",
            "--",
            package / "template.yaml",
            TARGET,
            STACKSET,
            ROOT / "deploy" / "organization.yaml",
            ROOT / "deploy" / "guardrails.yaml",
            ROOT / "deploy" / "hub-region.yaml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout + done.stderr == ""
    assert problems(hub) == []


def test_the_nine_functions_have_their_documented_names_and_a_role_each(hub):
    """Function, role and log group are called ami-promoter-REGION-NAME."""
    functions = resources(hub, "AWS::Lambda::Function")
    names = {it["Handler"].removeprefix("app."): it["FunctionName"]["Fn::Sub"] for it in functions.values()}

    assert names == {name.replace("-", "_"): "ami-promoter-${AWS::Region}-" + name for name in FUNCTIONS.values()}
    for function in functions.values():
        role = hub["Resources"][function["Role"]["Fn::GetAtt"][0]]["Properties"]
        assert role["RoleName"] == function["FunctionName"]
    logs = {it["LogGroupName"]["Fn::Sub"] for it in resources(hub, "AWS::Logs::LogGroup").values()}
    assert logs == {f"/aws/lambda/{name}" for name in names.values()}


def test_every_function_is_woken_and_only_by_whom_it_should_be(hub):
    """Three queues, four schedules, and seven rules: the targets' events arrive on their own bus."""
    mapped = {it["FunctionName"]["Ref"] for it in resources(hub, "AWS::Lambda::EventSourceMapping").values()}
    rules = resources(hub, "AWS::Events::Rule").values()
    woken = sorted((it["Targets"][0]["Arn"]["Fn::GetAtt"][0], "EventBusName" in it) for it in rules)

    assert mapped == {"Worker", "ShareWorker", "AccessMonitor"}
    assert woken == [
        ("AccessMonitor", False),
        *[("AccessMonitorQueue", False)] * 4,
        ("Discover", False),
        ("DriftAudit", False),
        ("OnImageState", False),
        ("OnTagChange", False),
        ("OnTargetEvent", True),
        ("Sweep", False),
    ]


def test_what_app_says_wakes_a_function_wakes_it_and_nothing_else_does(hub):
    """Each decorator's event is in the template, by Chalice's name, with what cannot be said there merged onto it.

    The merge changes the tag's key alone, and adds one event: the access monitor's second.
    """
    said = {}
    for one in wired.event_sources:
        logical = "".join(word.capitalize() for word in one.name.split("-"))
        match one:
            case CloudWatchEventConfig():
                said[f"{logical}{logical}Event"] = one.event_pattern
            case ScheduledEventConfig():
                said[f"{logical}{logical}Event"] = one.schedule_expression.to_string()
            case SQSEventConfig():
                said[f"{logical}{logical}SqsEventSource"] = (f"{SQS_ARN}:{one.queue}", one.batch_size)
    found = {}
    for name, rule in resources(hub, "AWS::Events::Rule").items():
        if not name.startswith("TrailOf"):
            found[name] = rule.get("EventPattern") or rule["ScheduleExpression"]
    for name, mapping in resources(hub, "AWS::Lambda::EventSourceMapping").items():
        found[name] = (mapping["EventSourceArn"]["Fn::Sub"], mapping["BatchSize"])

    key = said["OnTagChangeOnTagChangeEvent"]["detail"]
    assert key["changed-tag-keys"] == [hub["Parameters"]["TriggerTagKey"]["Default"]]
    keyed = {**said["OnTagChangeOnTagChangeEvent"], "detail": {**key, "changed-tag-keys": [{"Ref": "TriggerTagKey"}]}}
    assert found == {
        **said,
        "OnTagChangeOnTagChangeEvent": keyed,
        "AccessMonitorFiveMinutes": "rate(5 minutes)",
    }


def test_what_targets_forward_arrives_on_their_bus_alone(hub):
    """What targets forward matches the pattern of app.py, and its bus is theirs."""
    rule = hub["Resources"]["OnTargetEventOnTargetEventEvent"]["Properties"]
    drawn = events.samples()

    assert rule["EventBusName"] == {"Ref": "InboundBus"}
    assert [name for name in drawn if matches(rule["EventPattern"], drawn[name])] == [
        name for name in drawn if name != "tag-change"
    ]


def test_a_message_group_is_dark_for_six_function_timeouts_and_then_dead_letters(hub):
    """Each mapped queue is FIFO, hides a message for six timeouts, and has a FIFO dead-letter queue."""
    queues = resources(hub, "AWS::SQS::Queue")
    mappings = resources(hub, "AWS::Lambda::EventSourceMapping")
    names = {f"{SQS_ARN}:{queue['QueueName']['Fn::Sub']}": queue for queue in queues.values()}
    monitored = mappings.pop("AccessMonitorAccessMonitorSqsEventSource")
    assert monitored["BatchSize"] == 1  # events, not records: its queue is not FIFO
    assert names[monitored["EventSourceArn"]["Fn::Sub"]] == queues["AccessMonitorQueue"]
    for mapping in mappings.values():
        queue = names[mapping["EventSourceArn"]["Fn::Sub"]]
        function = hub["Resources"][mapping["FunctionName"]["Ref"]]["Properties"]
        dead = queues[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]

        assert queue["FifoQueue"] is dead["FifoQueue"] is True
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert mapping["BatchSize"] == 1
        assert "MaximumBatchingWindowInSeconds" not in mapping


def test_discovery_has_time_for_its_lists_and_ends_before_its_next_run(hub):
    """5,000 tagged AMIs are 25 pages of DescribeImages and two of heads, at 2 s each on a slow AWS."""
    timeout = hub["Resources"]["Discover"]["Properties"]["Timeout"]
    assert (5000 / 200 + 2) * SLOW_CALL + RESERVED + 60 < timeout < PERIOD


def test_an_event_that_finds_no_function_is_kept(hub):
    """Event rules and their functions send failed events to a standard queue."""
    dead = {"Fn::GetAtt": ["DeadEvents", "Arn"]}
    for rule in resources(hub, "AWS::Events::Rule").values():
        if "EventPattern" in rule:
            assert rule["Targets"][0]["DeadLetterConfig"] == {"Arn": dead}
        if rule["Targets"][0]["Arn"]["Fn::GetAtt"][0] == "AccessMonitorQueue":
            continue
        woken = hub["Resources"][rule["Targets"][0]["Arn"]["Fn::GetAtt"][0]]["Properties"]
        assert woken["DeadLetterConfig"] == {"TargetArn": dead}

    assert "FifoQueue" not in hub["Resources"]["DeadEvents"]["Properties"]
    policy = hub["Resources"]["DeadEventsPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert policy["Principal"] == {"Service": "events.amazonaws.com"}


def test_deleting_the_stack_keeps_the_tables_the_logs_and_the_key(hub):
    """The ledger and the history outlive the stack, golden AMIs need their key, and nothing becomes public by it."""
    kept = {it["Type"] for it in hub["Resources"].values() if "DeletionPolicy" in it}

    block = "AWS::EC2::SnapshotBlockPublicAccess"
    assert kept == {"AWS::DynamoDB::Table", "AWS::Logs::LogGroup", "AWS::KMS::Key", block}
    assert resources(hub, block)["PublicSnapshots"] == {"State": {"Ref": "BlockPublicSnapshots"}}


def test_a_failed_creation_leaves_only_what_must_not_go(hub):
    """Tables stay, as deletion protection would stop the rollback; and the block, which a rollback must not lift."""
    held = {name: it["DeletionPolicy"] for name, it in hub["Resources"].items() if "DeletionPolicy" in it}

    stay = {name for name, policy in held.items() if policy == "Retain"}
    assert stay == {"PublicSnapshots", *resources(hub, "AWS::DynamoDB::Table")}
    assert {held[name] for name in held.keys() - stay} == {"RetainExceptOnCreate"}
    assert all(hub["Resources"][name]["UpdateReplacePolicy"] == "Retain" for name in held)


def test_the_stack_makes_no_snapshot_public_again(hub):
    """A weaker state than an account has shows what is public by its attributes: by default the stack sets none."""
    assert hub["Parameters"]["BlockPublicSnapshots"]["Default"] == "false"


def inbound(hub):
    """The policies of the bus to which targets send events."""
    every = resources(hub, "AWS::Events::EventBusPolicy")
    return {name: it for name, it in every.items() if it["EventBusName"] == {"Ref": "InboundBus"}}


def test_the_inbound_bus_is_closed_unless_a_parameter_opens_it(hub):
    """Without an organization or accounts no one may send; no statement admits all principals without a condition."""
    policies = inbound(hub)
    conditions = {hub["Resources"][name]["Condition"] for name in policies}

    assert conditions == {"HasOrganization", "HasAccounts"}
    for policy in policies.values():
        statement = policy["Statement"]
        tests = statement["Condition"]
        assert statement["Principal"] != "*" or tests["StringEquals"].keys() == {"aws:PrincipalOrgID"}
        assert statement["Action"] == "events:PutEvents"


def test_only_entries_about_copies_and_images_may_be_sent(hub):
    """Every entry of a call must be one of the two events; a call without source and detail-type is refused."""
    for policy in inbound(hub).values():
        tests = policy["Statement"]["Condition"]
        assert tests["ForAllValues:StringEquals"] == {
            "events:source": "aws.ec2",
            "events:detail-type": ["EBS Snapshot Notification", "EC2 AMI State Change"],
        }
        assert tests["Null"] == {"events:source": "false", "events:detail-type": "false"}


def test_the_topic_is_closed_to_other_accounts_unless_a_parameter_opens_it(hub):
    """They may subscribe a queue, a function or a stream only; no statement admits all principals unconditionally."""
    denied, *others = hub["Resources"]["NoticesPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert denied["Effect"] == "Deny"
    assert [one["Fn::If"][0] for one in others] == ["HasSubscriberOrganization", "HasSubscriberAccounts"]
    for statement in (one["Fn::If"][1] for one in others):
        tests = statement["Condition"]["StringEquals"]
        assert statement["Action"] == "sns:Subscribe"
        assert statement["Resource"] == {"Ref": "Notices"}
        assert tests["sns:Protocol"] == ["sqs", "lambda", "firehose"]
        assert statement["Principal"] != "*" or tests["aws:PrincipalOrgID"] == {"Ref": "SubscriberOrganizationId"}


def test_only_the_worker_tells_on_the_topic_and_on_the_bus_of_its_own(hub):
    """Every other principal is denied, whatever its own policies allow; the functions publish on no other bus."""
    topic = hub["Resources"]["NoticesPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    bus = hub["Resources"]["NoticesBusPolicy"]["Properties"]["Statement"]

    for statement, action in ((topic, "sns:Publish"), (bus, "events:PutEvents")):
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", action)
        assert statement["Condition"] == {
            "StringNotEquals": {"aws:PrincipalArn": {"Fn::GetAtt": ["WorkerRole", "Arn"]}}
        }
    for function in resources(hub, "AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["AMI_PROMOTER_EVENT_BUS"] == {"Ref": "NoticesBus"}


def test_each_table_can_be_set_back_to_any_second_of_the_last_month(hub):
    """A mistake, by the service or a person, does not lose the ledger, the targets file or the members."""
    tables = resources(hub, "AWS::DynamoDB::Table")

    assert set(tables) == {"Table", "ConfigTable", "MembersTable", "FindingsTable"}
    for name, table in tables.items():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert hub["Resources"][name]["UpdateReplacePolicy"] == "Retain"
        assert table["DeletionProtectionEnabled"] is True


def test_only_records_expire_and_only_by_the_date_they_bear(hub):
    """File, switches and members stay; a parameter, which the functions read, sets how long history stays."""
    tables = resources(hub, "AWS::DynamoDB::Table")
    reported = [it["Environment"]["Variables"] for it in resources(hub, "AWS::Lambda::Function").values()]

    assert {name: it.get("TimeToLiveSpecification") for name, it in tables.items()} == {
        "Table": {"AttributeName": "expires_at", "Enabled": True},
        "ConfigTable": None,
        "MembersTable": None,
        "FindingsTable": {"AttributeName": "expires_at", "Enabled": True},
    }
    assert {str(it["AMI_PROMOTER_KEEP_HISTORY_DAYS"]) for it in reported} == {"{'Ref': 'KeepHistoryDays'}"}


CONDITIONAL = r'\{"Fn::If": \["(?:AccessMonitorOn|KeyUseWatched)", \{[^{}]*\}, \{"Ref": "AWS::NoValue"\}\]\}'
"""A text that only the access monitor adds."""


def test_nothing_of_the_access_monitor_is_deployed_unless_a_parameter_says_so(hub):
    """Off by default: it then has no function, role, queue, rule, table, topic or alarm, and costs nothing."""
    assert hub["Parameters"]["AccessMonitoring"]["Default"] == "off"
    its = {name: it for name, it in hub["Resources"].items() if it.get("Condition") in MONITOR}
    rest = {name: it for name, it in hub["Resources"].items() if name not in its}

    assert "AccessMonitor" in its
    named = {name: re.sub(CONDITIONAL, "", json.dumps(it)) for name, it in rest.items()}
    assert [name for name, text in named.items() if any(f'"{one}"' in text for one in its)] == []
    assert [
        name for name in rest if name.startswith(("AccessMonitor", "DriftAudit", "Trail", "Security", "Findings"))
    ] == []


def test_the_monitors_events_lie_ten_minutes_and_come_from_its_rules_alone(hub):
    """By then the ledger is written."""
    queue = hub["Resources"]["AccessMonitorQueue"]["Properties"]
    [sends] = hub["Resources"]["AccessMonitorQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    senders = sends["Condition"]["ArnEquals"]["aws:SourceArn"]

    assert queue["DelaySeconds"] == 600
    assert queue["VisibilityTimeout"] >= 6 * hub["Resources"]["AccessMonitor"]["Properties"]["Timeout"]
    named = {(one["Fn::If"][1] if "Fn::If" in one else one)["Fn::GetAtt"][0] for one in senders}
    assert named == set(trail_rules(hub))


def trail_rules(template):
    """The rules that match CloudTrail's events, by logical id."""
    rules = resources(template, "AWS::Events::Rule")
    return {name: it for name, it in rules.items() if name.startswith("TrailOf")}


def test_other_regions_forward_what_the_hub_hears(hub):
    """The same patterns, and the same state for read-only events."""
    region = yaml_parse((ROOT / "deploy" / "hub-region.yaml").read_text(encoding="utf-8"))
    parts = ("EventPattern", "State", "Description")
    here, there = (
        {name: [it.get(part) for part in parts] for name, it in trail_rules(template).items()}
        for template in (hub, region)
    )

    assert here == there


@pytest.mark.parametrize("name", TRAIL)
def test_each_sample_of_the_trail_reaches_the_monitor_by_one_rule(hub, name):
    """The monitor gets no event twice."""
    matching = [rule for rule, it in trail_rules(hub).items() if matches(it["EventPattern"], TRAIL[name]["event"])]

    assert len(matching) == 1


def test_the_patterns_name_the_calls_that_are_read(hub):
    """A call without a rule would be read for nothing, and a rule without a reader would forward for nothing."""
    named = [call for it in trail_rules(hub).values() for call in it["EventPattern"]["detail"]["eventName"]]

    assert sorted(named) == sorted(NAMES)


def test_only_monitor_and_audit_publish_on_the_security_topic_which_is_encrypted(hub):
    """The topic's messages say who may have taken what."""
    [denied] = hub["Resources"]["SecurityPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert hub["Resources"]["Security"]["Properties"]["KmsMasterKeyId"] == {
        "Fn::If": ["HasDataKey", {"Ref": "DataKeyArn"}, "alias/aws/sns"]
    }
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "sns:Publish")
    assert denied["Condition"] == {
        "StringNotEquals": {
            "aws:PrincipalArn": [{"Fn::GetAtt": [role, "Arn"]} for role in ("AccessMonitorRole", "DriftAuditRole")]
        }
    }


def test_the_template_knows_no_account_and_no_region(hub):
    """It is the same for every account, Region and partition."""
    text = json.dumps(hub["Resources"])

    assert re.findall(r"\b\d{12}\b|\barn:aws[a-z-]*:|\b[a-z]{2}-(?:east|west|central|north|south)[a-z]*-\d", text) == []


BUILDER = "arn:aws:iam::111111111111:role/image-builder"
GOOD_AND_BAD = [
    ("hub", "TriggerTagKey", ["promote", "team:promote"], ["", "aws:promote", "ami-promoter:x", "a\nb"]),
    ("hub", "TargetRoleName", ["AmiCopyRole"], ["", "*", "path/Role", "a" * 65]),
    (
        "hub",
        "OrganizationReadRoleArn",
        ["", "arn:aws:iam::900000000000:role/AmiOrganizationRead"],
        ["AmiOrganizationRead", "arn:aws:iam::*:role/R", "arn:aws:iam::900000000000:role/path/R"],
    ),
    ("hub", "SiblingRegions", ["", "eu-west-1", "eu-west-1,us-gov-east-1"], ["eu-west-1a", "*", "eu-west-1,"]),
    ("hub", "OrganizationId", ["", "o-a1b2c3d4e5"], ["o-1", "r-abcd", "*"]),
    (
        "hub",
        "TargetAccounts",
        ["", "012345678901", "012345678901,222222222222"],
        ["12345678901", "all", "*", "012345678901,"],
    ),
    ("hub", "SubscriberOrganizationId", ["", "o-a1b2c3d4e5"], ["o-1", "*"]),
    ("hub", "SubscriberAccounts", ["", "012345678901"], ["12345678901", "*"]),
    (
        "hub",
        "PolicyKeyArns",
        ["", f"arn:aws:kms:eu-west-1:123456789012:key/mrk-{'a' * 32}"],
        ["*", "alias/x", "arn:aws:kms:eu-west-1:123456789012:key/*", "arn:aws:iam::123456789012:root"],
    ),
    (
        "hub",
        "SourceKeyArns",
        ["", "arn:aws:kms:*:123456789012:key/*", f"arn:aws:kms:eu-west-1:123456789012:key/mrk-{'a' * 32}"],
        ["*", "alias/x", "arn:aws:iam::123456789012:root"],
    ),
    (
        "hub",
        "BuilderArns",
        ["", "arn:aws:iam::123456789012:role/build/images", "arn:aws-us-gov:iam::123456789012:user/jo"],
        ["*", "arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:assumed-role/images/s", "images"],
    ),
    ("hub", "SourceKeyAlias", ["alias/golden"], ["golden", "alias/aws/ebs", "alias/"]),
    ("hub", "GoldenTagValue", ["", "yes", "team:golden 2026"], ["*", "a\nb", "x" * 257]),
    (
        "hub",
        "DataKeyArn",
        ["", "arn:aws:kms:eu-west-1:123456789012:key/1234-ab"],
        ["alias/x", "arn:aws:kms:eu-west-1:123456789012:key/*", "arn:aws:kms:*:123456789012:key/1234-ab"],
    ),
    (
        "hub",
        "PermissionsBoundary",
        ["", "limits", "path/limits"],
        ["/limits", "arn:aws:iam::123456789012:policy/x", "*"],
    ),
    ("hub", "Operators", ["", f"{BUILDER}*", "arn:aws:iam::012345678901:root"], ["operators", "*", f"{BUILDER} "]),
    ("hub", "Approvers", ["", BUILDER], ["approvers", "*"]),
    ("hub", "AlarmTopicArn", ["", "arn:aws:sns:eu-west-1:123456789012:ops"], ["ops", "arn:aws:sqs:eu-west-1:1:q"]),
    (
        "hub",
        "RunbookUrl",
        ["docs/operations/runbook.md", "https://docs.example.com/runbook.html"],
        ["", "see the wiki"],
    ),
    ("target", "HubAccountId", ["012345678901"], ["", "12345678901", "1234-5678-9012"]),
    ("target", "HubRegion", ["eu-central-1", "us-gov-west-1"], ["", "eu-central-1a", "Frankfurt"]),
    ("target", "RoleRegion", ["", "eu-central-1"], ["eu-central-1a", "*"]),
    ("target", "RoleName", ["AmiCopyRole"], ["", "a b", "path/Role"]),
    ("target", "ExternalId", ["", "3f2b-77"], ["x", "with blank"]),
    ("target", "SourceKeyArns", ["", "arn:aws:kms:*:123456789012:key/*"], ["alias/x", "arn:aws:kms:eu-west-1:1:key/a"]),
    ("target", "PermissionsBoundary", ["", "limits", "path/limits"], ["/limits", "*"]),
    ("target", "KeyAlias", ["alias/ami-promoter"], ["ami-promoter", "alias/aws/ebs", "alias/"]),
    ("stackset", "OrganizationalUnitIds", ["ou-ab12-11111111", "r-ab12"], ["", "ou-1", "123456789012", "*"]),
    ("stackset", "Regions", ["eu-central-1"], ["", "eu-central-1a", "*"]),
    ("stackset", "HubAccountId", ["012345678901"], ["", "12345678901"]),
    ("stackset", "HubRegion", ["eu-central-1"], ["", "eu-central-1a"]),
    ("stackset", "RoleName", ["AmiCopyRole"], ["", "a b", "path/Role"]),
    ("stackset", "ExternalId", ["3f2b-77"], ["", "x", "with blank"]),
    ("stackset", "SourceKeyArns", ["", "arn:aws:kms:*:123456789012:key/*"], ["alias/x"]),
    ("stackset", "PermissionsBoundary", ["", "limits"], ["/limits", "*"]),
    ("stackset", "KeyAlias", ["alias/ami-promoter"], ["ami-promoter", "alias/aws/ebs"]),
    ("guardrails", "HubAccountId", ["012345678901"], ["", "12345678901"]),
    ("guardrails", "TriggerTagKey", ["promote"], ["", "aws:promote"]),
    (
        "guardrails",
        "Taggers",
        [BUILDER],
        ["", "image-builder", f"arn:aws:sts::{'1' * 12}:assumed-role/a/b", "*", f"{BUILDER} "],
    ),
    ("guardrails", "GoldenTaggers", ["", BUILDER], ["*", "image-builder"]),
    ("guardrails", "Exempt", ["arn:aws:iam::*:role/service-role/AWSBackup*"], ["*", "arn:aws:iam::1:role/x"]),
    ("guardrails", "Deployers", ["", BUILDER, "arn:aws:iam::*:role/stacksets-exec-*"], ["*", "deployer"]),
    ("guardrails", "StackName", ["ami-promoter"], ["", "1a", "a_b"]),
    ("guardrails", "ReserveIn", ["ou-ab12-11111111"], ["1111", "o-a1b2c3d4e5", "ou-ab12-11111111 "]),
    ("guardrails", "RoleName", ["AmiCopyRole"], ["", "a b", "path/Role", "*"]),
    ("organization", "HubAccountId", ["012345678901"], ["", "12345678901"]),
    ("organization", "HubRegion", ["eu-central-1"], ["", "eu-central-1a"]),
    ("organization", "RoleName", ["AmiOrganizationRead"], ["", "a b", "path/Role"]),
    ("organization", "ExternalId", ["3f2b-77"], ["", "x", "with blank"]),
    ("organization", "PermissionsBoundary", ["limits"], ["/limits", "*"]),
]


@pytest.mark.parametrize(
    ("template", "parameter", "good", "bad"), GOOD_AND_BAD, ids=lambda it: it if isinstance(it, str) else ""
)
def test_a_bad_parameter_is_refused_with_a_word_of_help(template, parameter, good, bad, request):
    """CloudFormation refuses bad values before it creates anything, and shows what a good one looks like."""
    declared = request.getfixturevalue(template)["Parameters"][parameter]
    allowed = re.compile(declared["AllowedPattern"])

    assert [value for value in good if not allowed.fullmatch(value)] == []
    assert [value for value in bad if allowed.fullmatch(value) and len(value) >= declared.get("MinLength", 0)] == []
    assert declared["ConstraintDescription"]


TEMPLATES = ("hub", "target", "stackset", "guardrails", "organization")


def test_every_parameter_that_is_written_is_tried_with_good_and_bad_values(request):
    """The list above has every parameter."""
    patterned = {
        (name, parameter)
        for name in TEMPLATES
        for parameter, declared in request.getfixturevalue(name)["Parameters"].items()
        if declared["Type"] != "Number" and "AllowedValues" not in declared
    }

    assert {(name, parameter) for name, parameter, _, _ in GOOD_AND_BAD} == patterned


def test_every_parameter_and_output_is_described(request):
    """The console shows what each is for."""
    for template in map(request.getfixturevalue, TEMPLATES):
        for part in ("Parameters", "Outputs"):
            assert [name for name, it in template.get(part, {}).items() if not it.get("Description")] == []


def test_app_only_wires():
    """app.py imports from chalicelib only what wires it, without decisions and AWS calls."""
    source = (ROOT / "app.py").read_text(encoding="utf-8")
    imported = re.findall(r"^(?:from|import) ([\w.]+)(?: import (.+))?$", source, re.MULTILINE)
    ours = {
        f"{module}.{name.strip()}" for module, names in imported if module == "chalicelib" for name in names.split(",")
    }
    ours |= {module for module, _ in imported if module.startswith("chalicelib.")}

    assert ours == {"chalicelib.bootstrap", "chalicelib.telemetry"}
    assert not {module.split(".")[0] for module, _ in imported} & {"boto3", "botocore", "ami_promoter", "awsim"}
