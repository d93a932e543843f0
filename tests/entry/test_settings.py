"""What a function reads from its environment."""

import json
from pathlib import Path

import pytest

from chalicelib.engine.errors import Misconfigured
from chalicelib.entry.bootstrap import Application
from chalicelib.entry.settings import BY_LAMBDA, Settings
from tools.package import HUB_STACK, MONITOR_STACK, merge_template

GIVEN = {
    "AWS_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_NAME": "ami-promoter-us-east-1-worker",
    "AMI_PROMOTER_HUB_ACCOUNT": "111111111111",
    "AMI_PROMOTER_TABLE": "ami-promoter-us-east-1",
    "AMI_PROMOTER_CONFIG_TABLE": "ami-promoter-us-east-1-config",
    "AMI_PROMOTER_MEMBERS_TABLE": "ami-promoter-us-east-1-members",
    "AMI_PROMOTER_WORKER_QUEUE_URL": "https://act",
    "AMI_PROMOTER_SHARE_WORKER_QUEUE_URL": "https://share-worker",
    "AMI_PROMOTER_TOPIC_ARN": "arn:aws:sns:us-east-1:111111111111:notices",
    "AMI_PROMOTER_EVENT_BUS": "default",
    "AMI_PROMOTER_TRIGGER_TAG": "promote",
    "AMI_PROMOTER_KEEP_HISTORY_DAYS": "400",
}


MONITORS = {
    f"AMI_PROMOTER_{name}" for name in ("FINDINGS_TABLE", "SECURITY_TOPIC_ARN", "LEARNING_HOURS", "SIBLING_REGIONS")
}


@pytest.mark.parametrize(("stack", "more"), [(HUB_STACK, set()), (MONITOR_STACK, MONITORS)], ids=["hub", "monitor"])
def test_the_template_gives_all_that_a_function_wants(stack, more):
    """It sets no variable that no function reads; Lambda sets the Region and the function's name."""
    given = merge_template(stack)["Globals"]["Function"]["Environment"]["Variables"]

    assert {name for name in given if name.startswith("AMI_PROMOTER_")} == (GIVEN.keys() | more) - {*BY_LAMBDA.values()}
    assert Settings.read(GIVEN).keep_history_days == 400
    assert Settings.read(GIVEN).partition == "aws"


def test_everything_that_is_missing_is_named_at_once():
    """One log line has every fault of the deployment."""
    with pytest.raises(Misconfigured, match="lacks AMI_PROMOTER_CONFIG_TABLE, AMI_PROMOTER_KEEP_HISTORY_DAYS: deploy"):
        Settings.read({**GIVEN, "AMI_PROMOTER_CONFIG_TABLE": "", "AMI_PROMOTER_KEEP_HISTORY_DAYS": ""})


def test_a_list_that_is_empty_names_nobody():
    """The empty text is no account, so the hub is not bound to it."""
    several = Settings.read({**GIVEN, "AMI_PROMOTER_TARGET_ACCOUNTS": "222222222222,333333333333"})

    assert several.target_accounts == {"222222222222", "333333333333"}
    assert not Settings.read({**GIVEN, "AMI_PROMOTER_TARGET_ACCOUNTS": ""}).target_accounts


@pytest.mark.parametrize("name", ["AMI_PROMOTER_KEEP_HISTORY_DAYS", "AMI_PROMOTER_LEARNING_HOURS"])
@pytest.mark.parametrize("number", ["-1", "1.5", "many"])
def test_a_number_that_is_none_is_named(name, number):
    """With what stands in its place; it does not count as 0."""
    with pytest.raises(Misconfigured, match=f"{name} is '{number}', no whole number"):
        Settings.read({**GIVEN, name: number})


def test_what_the_worker_has_more_than_the_share_worker_is_for_long_lists():
    """All other work of both ends at the same time."""
    stage = json.loads((Path(__file__).parents[2] / ".chalice" / "config.json").read_text())["stages"]["hub"]
    every, hub = stage["lambda_timeout"], Application(GIVEN)

    assert stage["lambda_functions"]["worker"]["lambda_timeout"] == every + hub.worker_entry.for_lists > every
    assert "lambda_timeout" not in stage["lambda_functions"]["share-worker"]
    assert hub.share_worker_entry.for_lists == 0
