"""deploy/strict.json: the hub's parameters, each with its closed value."""

import json
import re
from pathlib import Path

import pytest

from ami_promoter.reconcile.doctor_checks import ADMITTED, OPEN, open_defaults
from awsim import cfn
from tools import release

ROOT = Path(__file__).resolve().parents[2]
GIVEN = dict(line.split("=", 1) for line in json.loads((ROOT / "deploy" / "strict.json").read_text(encoding="utf-8")))
DECLARED = release.from_a_bucket(cfn.read(ROOT / "build" / "hub" / "template.yaml"), "package.zip")["Parameters"]
DEFAULTS = {name: str(one.get("Default", "")) for name, one in DECLARED.items()}
ELSEWHERE = {"AlarmTopicArn", "Operators", "Approvers"}
"""Open by default, too; other checks of `doctor` name them: `alarms` and `writers`."""


def named(parameters):
    """The parameters that doctor names as open; of those of which one is enough, the first."""
    found = [one["what"] for one in open_defaults(parameters) if one["cure"]]
    return {re.split(r":| or ", what)[0] for what in found}


def valid(name, value):
    """Whether CloudFormation takes a value."""
    declared = DECLARED[name]
    if "AllowedValues" in declared:
        return value in map(str, declared["AllowedValues"])
    parts = value.split(",") if declared["Type"] == "CommaDelimitedList" else [value]
    return all(re.fullmatch(declared["AllowedPattern"], part.strip()) for part in parts)


def test_it_closes_exactly_what_doctor_names_as_open_by_default():
    """A new open default needs its line in the file, and each line of the file closes one."""
    assert named(DEFAULTS) | ELSEWHERE == GIVEN.keys() - {"PackageBucket"}
    assert named(DEFAULTS | GIVEN) == set()


@pytest.mark.parametrize("name", GIVEN)
def test_cloudformation_refuses_what_must_be_replaced_and_takes_the_rest(name):
    """Nobody deploys a placeholder by mistake."""
    assert name in DECLARED
    assert valid(name, GIVEN[name]) == ("REPLACE" not in GIVEN[name])


@pytest.mark.parametrize("name", [*OPEN, *ADMITTED])
def test_doctor_judges_parameters_that_exist(name):
    """And each by its own name."""
    closed = DEFAULTS | GIVEN
    assert name in DECLARED
    if name in OPEN:
        assert named(closed | {name: DEFAULTS[name]}) == {name}


def test_doctor_says_what_is_not_encrypted_at_all_without_a_data_key():
    """Tables, queues and logs are under AWS's keys then; a topic is under none unless its template names one."""
    closed, resources = DEFAULTS | GIVEN, cfn.read(ROOT / "build" / "hub" / "template.yaml")["Resources"]
    topics = {name: it.get("Properties", {}) for name, it in resources.items() if it["Type"] == "AWS::SNS::Topic"}
    (said,) = (one["what"] for one in open_defaults(closed | {"DataKeyArn": ""}))

    assert {name: it["KmsMasterKeyId"] for name, it in topics.items()} == {
        "Notices": {"Fn::If": ["HasDataKey", {"Ref": "DataKeyArn"}, {"Ref": "AWS::NoValue"}]}
    }
    assert "the topic of notices is not encrypted" in said


def test_a_stack_of_another_version_is_judged_by_what_it_has():
    """A parameter that it does not have is neither open nor closed."""
    assert named({}) == set()
    assert named({"OrganizationId": "", "TargetAccounts": "222222222222"}) == set()
    assert named({"OrganizationId": "", "TargetAccounts": ""}) == {"OrganizationId"}
