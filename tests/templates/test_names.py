"""Names are an interface: for targets, subscribers, resources that outlive the stack, and a second hub."""

from typing import Any

from tests.templates.conftest import FUNCTIONS, MONITORING
from tools.templates_docs import names

EVERY = FUNCTIONS | MONITORING
PROMISED = {
    **{logical: f"ami-promoter-R-{name}" for logical, name in EVERY.items()},
    **{f"{logical}Role": f"ami-promoter-R-{name}" for logical, name in EVERY.items()},
    **{f"{logical}LogGroup": f"/aws/lambda/ami-promoter-R-{name}" for logical, name in EVERY.items()},
    "Table": "ami-promoter-R",
    "ConfigTable": "ami-promoter-R-config",
    "MembersTable": "ami-promoter-R-members",
    "WorkerQueue": "ami-promoter-R-worker.fifo",
    "WorkerDead": "ami-promoter-R-worker-dead.fifo",
    "ShareWorkerQueue": "ami-promoter-R-share-worker.fifo",
    "ShareWorkerDead": "ami-promoter-R-share-worker-dead.fifo",
    "FindingsTable": "ami-promoter-R-findings",
    "AccessMonitorQueue": "ami-promoter-R-access-monitor",
    "AccessMonitorDead": "ami-promoter-R-access-monitor-dead",
    "Security": "ami-promoter-R-security",
    "DeadEvents": "ami-promoter-R-dead-events",
    "InboundBus": "ami-promoter-R-inbound",
    "Notices": "ami-promoter-R-notices",
    "NoticesBus": "ami-promoter-R-notices",
    "Dashboard": "ami-promoter-R",
    "SourceKeyAliasName": "alias/ami-promoter-source",
}


def test_no_name_and_no_logical_id_changes_silently(both):
    """Another logical id replaces the resource; another name breaks whatever refers to the old one."""
    found = {
        logical: (name if fixed(name) else name["Fn::Sub"]).replace("${AWS::Region}", "R")
        for template in both.values()
        for logical, (_, name) in names(template).items()
    }

    assert found == PROMISED


def test_two_hubs_in_one_account_share_no_name(both):
    """Every fixed name has the Region in it: roles and dashboards are unique in the account, across stacks.

    An alias is unique in its Region.
    """
    fixed = [it for template in both.values() for it in names(template).items() if it[0] != "SourceKeyAliasName"]
    assert [name for _, (_, name) in fixed if "${AWS::Region}" not in name["Fn::Sub"]] == []


def fixed(value: Any) -> bool:
    """Whether a name is a constant, without a parameter or the stack's account and Region."""
    return isinstance(value, str)


def test_two_hubs_on_one_target_can_be_notified_apart(target):
    """A named resource in a target has its name from a parameter; CloudFormation names all others.

    The rules' names have the hub's account and Region: a target of two hubs has two of each.
    """
    found = names(target)

    assert {logical: name for logical, (_, name) in found.items()} == {
        "Role": {"Ref": "RoleName"},
        "GrantRole": {"Fn::Sub": "${RoleName}-grants"},
        "LaunchRole": {"Fn::Sub": "${RoleName}-launch"},
        "Alias": {"Ref": "KeyAlias"},
        "CopyEnded": {"Fn::Sub": "ami-promoter-${HubAccountId}-${HubRegion}-copies"},
        "ImageState": {"Fn::Sub": "ami-promoter-${HubAccountId}-${HubRegion}-images"},
    }
    assert not any(fixed(name) for _, name in found.values())


def test_the_stackset_of_each_hub_has_its_own_name(stackset):
    """One management account may deploy the targets of several hubs."""
    assert names(stackset) == {
        "Targets": ("StackSetName", {"Fn::Sub": "ami-promoter-targets-of-${HubAccountId}-${HubRegion}"})
    }
