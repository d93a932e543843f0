"""The hub's template, as CloudFormation receives it, and what holds for the access monitor's, too."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chalice.app import CloudWatchEventConfig, ScheduledEventConfig, SQSEventConfig
from samtranslator.yaml_helper import yaml_parse

from app import app as wired
from awsim.cfn import TemplateError
from awsim.patterns import matches
from awsim.world import World
from chalicelib.engine.budget import RESERVED, SLOW_CALL
from chalicelib.promotion.worker.discover import PERIOD
from tests.templates.conftest import ROOT, TARGET, resources
from tools import events
from tools.template_checks import problems

SQS_ARN = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}"


def test_every_template_that_is_deployed_as_it_stands_is_clean():
    """cfn-lint and the repository's own checks find no fault; the build asks both about what it translates."""
    templates = sorted((ROOT / "deploy").glob("*.yaml"))
    command = [Path(sys.executable).with_name("cfn-lint"), *templates]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert TARGET in templates
    assert done.stdout + done.stderr == ""
    assert [found for path in templates for found in problems(yaml_parse(path.read_text(encoding="utf-8")))] == []


def test_each_function_has_a_role_of_its_own(both):
    """Not another's, whose rights it would have."""
    for template in both.values():
        for name, function in resources(template, "AWS::Lambda::Function").items():
            assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}


def test_what_app_says_wakes_a_function_wakes_it_and_nothing_else_does(hub, both):
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
    for template in both.values():
        for name, rule in resources(template, "AWS::Events::Rule").items():
            if not name.startswith("TrailOf"):
                found[name] = rule.get("EventPattern") or rule["ScheduleExpression"]
        for name, mapping in resources(template, "AWS::Lambda::EventSourceMapping").items():
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


def test_lambda_ends_no_chain_of_the_two_that_wake_each_other(hub):
    """All other functions keep Lambda's default."""
    functions = resources(hub, "AWS::Lambda::Function")

    assert {name for name, one in functions.items() if "RecursiveLoop" in one} == {"Worker", "ShareWorker"}
    assert {functions[name]["RecursiveLoop"] for name in ("Worker", "ShareWorker")} == {"Allow"}


def test_a_message_group_is_dark_for_three_minutes_and_then_dead_letters(hub):
    """Each mapped queue is FIFO, hides a message for longer than its function runs, and has a FIFO dead-letter queue.

    A message may wait for a minute while Lambda has no room for the function.
    """
    queues = resources(hub, "AWS::SQS::Queue")
    mappings = resources(hub, "AWS::Lambda::EventSourceMapping")
    names = {f"{SQS_ARN}:{queue['QueueName']['Fn::Sub']}": queue for queue in queues.values()}
    for mapping in mappings.values():
        queue = names[mapping["EventSourceArn"]["Fn::Sub"]]
        function = hub["Resources"][mapping["FunctionName"]["Ref"]]["Properties"]
        dead = queues[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]

        assert queue["FifoQueue"] is dead["FifoQueue"] is True
        assert function["Timeout"] + 60 <= queue["VisibilityTimeout"] == 180
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
        woken = hub["Resources"][rule["Targets"][0]["Arn"]["Fn::GetAtt"][0]]["Properties"]
        assert woken["DeadLetterConfig"] == {"TargetArn": dead}

    assert "FifoQueue" not in hub["Resources"]["DeadEvents"]["Properties"]
    policy = hub["Resources"]["DeadEventsPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert policy["Principal"] == {"Service": "events.amazonaws.com"}


def test_deleting_a_stack_keeps_the_tables_the_logs_and_the_key(both):
    """Ledger, findings and history outlive the stacks, golden AMIs need their key, and nothing becomes public by it.

    Of a failed creation tables stay, as deletion protection would stop the rollback, and the block, which a rollback
    must not lift.
    """
    every = [it for template in both.values() for it in template["Resources"].values()]
    held = [it for it in every if "DeletionPolicy" in it]

    assert {(it["Type"], it["DeletionPolicy"]) for it in held} == {
        ("AWS::DynamoDB::Table", "Retain"),
        ("AWS::EC2::SnapshotBlockPublicAccess", "Retain"),
        ("AWS::Logs::LogGroup", "RetainExceptOnCreate"),
        ("AWS::KMS::Key", "RetainExceptOnCreate"),
    }
    assert {it["UpdateReplacePolicy"] for it in held} == {"Retain"}
    assert sum(it["Type"] in {one["Type"] for one in held} for it in every) == len(held)


def test_the_stack_makes_no_snapshot_public_again(hub):
    """A weaker state than an account has shows what is public by its attributes: by default the stack sets none."""
    block = resources(hub, "AWS::EC2::SnapshotBlockPublicAccess")

    assert block == {"PublicSnapshots": {"State": {"Ref": "BlockPublicSnapshots"}}}
    assert hub["Parameters"]["BlockPublicSnapshots"]["Default"] == "false"


def test_the_inbound_bus_is_closed_unless_a_parameter_opens_it(hub):
    """Without an organization or accounts no one may send; no statement admits all principals without a condition.

    Every entry of a call must be one of the two events; a call without source and detail-type is refused.
    """
    every = resources(hub, "AWS::Events::EventBusPolicy")
    policies = {name: it for name, it in every.items() if it["EventBusName"] == {"Ref": "InboundBus"}}

    assert {hub["Resources"][name]["Condition"] for name in policies} == {"HasOrganization", "HasAccounts"}
    for policy in policies.values():
        statement = policy["Statement"]
        tests = statement["Condition"]
        assert statement["Principal"] != "*" or tests["StringEquals"].keys() == {"aws:PrincipalOrgID"}
        assert statement["Action"] == "events:PutEvents"
        assert tests["ForAllValues:StringEquals"] == {
            "events:source": "aws.ec2",
            "events:detail-type": ["EBS Snapshot Notification", "EC2 AMI State Change"],
        }
        assert tests["Null"] == {"events:source": "false", "events:detail-type": "false"}


@pytest.fixture
def tables(both):
    return {name: it for template in both.values() for name, it in resources(template, "AWS::DynamoDB::Table").items()}


def test_each_table_can_be_set_back_to_any_second_of_the_last_month(tables):
    """A mistake, by the service or a person, loses no ledger, targets file, members or findings."""
    assert set(tables) == {"Table", "ConfigTable", "MembersTable", "FindingsTable"}
    for table in tables.values():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["DeletionProtectionEnabled"] is True


def test_only_records_and_findings_expire_and_only_by_their_own_date(hub, tables):
    """File, switches and members stay; a parameter, which the functions read, sets how long history stays."""
    reported = [it["Environment"]["Variables"] for it in resources(hub, "AWS::Lambda::Function").values()]

    assert {name: it.get("TimeToLiveSpecification") for name, it in tables.items()} == {
        "Table": {"AttributeName": "expires_at", "Enabled": True},
        "FindingsTable": {"AttributeName": "expires_at", "Enabled": True},
        "ConfigTable": None,
        "MembersTable": None,
    }
    assert {str(it["AMI_PROMOTER_KEEP_HISTORY_DAYS"]) for it in reported} == {"{'Ref': 'KeepHistoryDays'}"}


@pytest.mark.parametrize("stack", ["hub", "monitor"])
def test_the_template_knows_no_account_and_no_region(both, stack):
    """It is the same for every account, Region and partition."""
    text = json.dumps(both[stack]["Resources"])

    assert re.findall(r"\b\d{12}\b|\barn:aws[a-z-]*:|\b[a-z]{2}-(?:east|west|central|north|south)[a-z]*-\d", text) == []


@pytest.mark.parametrize("name", ["SourceKeyArns", "PolicyKeyArns", "HubCopies"])
def test_a_parameter_that_can_take_the_right_to_close_says_so(name, hub):
    """What is open under it would stay open."""
    assert re.search(r"only when nothing .*: the service (cannot|could not) ", hub["Parameters"][name]["Description"])


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
    ("monitor", "LearningHours", ["0", "24", "719", "720"], ["", "-1", "0.5", "721", "1000"]),
    ("monitor", "SiblingRegions", ["", "eu-west-1", "eu-west-1,us-gov-east-1"], ["eu-west-1a", "*", "eu-west-1,"]),
    ("hub", "OrganizationId", ["", "o-a1b2c3d4e5"], ["o-1", "r-abcd", "*"]),
    (
        "hub",
        "TargetAccounts",
        ["", "012345678901", "012345678901,222222222222"],
        ["12345678901", "all", "*", "012345678901,"],
    ),
    (
        "hub",
        "SubscriberAccounts",
        ["", "012345678901", "012345678901,222222222222", "organization"],
        ["12345678901", "*", "organization,012345678901"],
    ),
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
        "monitor",
        "BuilderArns",
        ["", "arn:aws:iam::123456789012:role/build/images", f"arn:aws-us-gov:iam::123456789012:user/jo,{BUILDER}"],
        ["*", "arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:assumed-role/images/s", f"{BUILDER},"],
    ),
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
    (
        "target",
        "ParameterPrefix",
        ["", "/golden/", "/a/b.c_d-1/"],
        ["/", "golden/", "/golden", "/a//", "/a*/", "/aws/", "/SSM/x/"],
    ),
    ("target", "LaunchTestTypes", ["t3.micro", "u-6tb1.metal"], ["", "t3", "t3.*", "*"]),
    ("stackset", "OrganizationalUnitIds", ["ou-ab12-11111111", "r-ab12"], ["", "ou-1", "123456789012", "*"]),
    ("stackset", "Regions", ["eu-central-1"], ["", "eu-central-1a", "*"]),
    ("stackset", "ExternalId", ["3f2b-77"], ["", "x", "with blank"]),
    ("guardrails", "HubAccountId", ["012345678901"], ["", "12345678901"]),
    ("guardrails", "TriggerTagKey", ["promote", "a" * 127], ["", "aws:promote", "ami-promoter:x", "a" * 128]),
    ("guardrails", "FamilyTagKey", ["", "family"], ["aws:family", "*"]),
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


TEMPLATES = ("hub", "monitor", "target", "stackset", "guardrails", "organization")


def test_every_parameter_that_is_written_is_tried_with_good_and_bad_values(request):
    """The list above has every parameter."""
    patterned = {
        (name, parameter)
        for name in TEMPLATES
        for parameter, declared in request.getfixturevalue(name)["Parameters"].items()
        if declared["Type"] != "Number" and "AllowedValues" not in declared
    }
    hub, target = (request.getfixturevalue(name)["Parameters"] for name in ("hub", "target"))
    patterned -= {("monitor", name) for name in hub}  # the monitor has these as the hub has them
    patterned -= {("stackset", name) for name in target.keys() - {"ExternalId"}}  # and the StackSet as the target

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
    ours = {f"{module} import {names}" for module, names in imported if module.startswith("chalicelib")}

    assert ours == {"chalicelib.entry import bootstrap", "chalicelib.entry.telemetry import log_metrics, logged"}
    assert not {module.split(".")[0] for module, _ in imported} & {"boto3", "botocore", "ami_promoter", "awsim"}


INTERFACE = "AWS::CloudFormation::Interface"


def test_the_console_asks_first_for_the_six_parameters_that_most_hubs_set(hub, target):
    """Each parameter stands once in the console's groups; a stack has no more of them than a person reads."""
    first, *advanced = hub["Metadata"][INTERFACE]["ParameterGroups"]
    listed = [name for group in (first, *advanced) for name in group["Parameters"]]

    assert len(first["Parameters"]) == 6
    assert all(group["Label"]["default"].startswith("Advanced") for group in advanced)
    assert sorted(listed) == sorted(hub["Parameters"])
    assert (len(listed) <= 24, len(target["Parameters"]) <= 18) == (True, True)


def test_who_may_subscribe_is_a_list_of_accounts_or_the_organization(package):
    """The word alone, and only with an organization; CloudFormation says so before anything is made.

    They may subscribe a queue, a function or a stream only, and nobody may without the parameter.
    """
    account, region, allowed = "111111111111", "us-east-1", {}
    given = {"TargetAccounts": "222222222222", "SubscriberAccounts": "organization"}
    with World() as world:
        template = package / "template.yaml"
        with pytest.raises(TemplateError, match="SubscriberAccounts is organization, and OrganizationId is empty"):
            world.deploy(template, account, region, "hub", given)
        organization = {"OrganizationId": "o-a1b2c3d4e5"}
        for named, more in (("organization", organization), ("222222222222,333333333333", {}), ("", organization)):
            stack = world.deploy(template, account, region, "hub", {**given, "SubscriberAccounts": named, **more})
            topic = {"TopicArn": stack.outputs["TopicArn"]}
            policy = world.client("sns", account, region).get_topic_attributes(**topic)["Attributes"]["Policy"]
            allowed[named] = [one for one in json.loads(policy)["Statement"] if one["Effect"] == "Allow"]

    (by_organization,), (by_account,), by_nobody = allowed.values()
    assert by_organization["Condition"]["StringEquals"]["aws:PrincipalOrgID"] == "o-a1b2c3d4e5"
    assert by_account["Principal"] == {"AWS": ["222222222222", "333333333333"]}
    assert by_nobody == []
    for statement in (by_organization, by_account):
        assert (statement["Action"], statement["Resource"]) == ("sns:Subscribe", topic["TopicArn"])
        assert statement["Condition"]["StringEquals"]["sns:Protocol"] == ["sqs", "lambda", "firehose"]
