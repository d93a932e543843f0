"""The findings for one target; no check passes that could not be made."""

import json
from dataclasses import replace

import pytest

from ami_promoter.hub.health import Senders
from ami_promoter.reconcile.doctor_target_checks import HubNames, KnownAtHub, findings
from ami_promoter.reconcile.facts import TargetFacts
from chalicelib.delivery.copy_quota import CopyQuota
from chalicelib.delivery.instances import LaunchSite
from chalicelib.delivery.target_seen import LAUNCHES, AllowedImages, ForwardingRule, TargetSeen, rule_names
from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import LaunchTest, Target
from tests.images.examples import a_key

HUB, DEV, REGION = "111111111111", "222222222222", "us-east-1"
HERE = HubNames("aws", HUB, REGION, Senders(frozenset({DEV})))
KEY = a_key(arn=f"arn:aws:kms:{REGION}:{DEV}:key/1", account=DEV)
ROOT = {"Sid": "Root", "Effect": "Allow", "Principal": {"AWS": DEV}, "Action": "kms:*", "Resource": "*"}
RULES = tuple(ForwardingRule(name, "ENABLED", (HERE.bus,), ("arn:role",)) for name in rule_names(HUB, REGION))
THROTTLED = Fault("aws-throttled", "there", "It was refused: Throttling.", "Wait.")
DENIED = Fault("aws-AccessDeniedException", "there", "It was refused: no policy.", "Deploy it; then tag the AMI again.")
SETTINGS = {"encrypts_by_default": True, "default_key": "alias/mine", "snapshots_public": "unblocked"}
RIGHTS = ("ec2:*", "kms:*")
WELL = TargetSeen(
    key=KEY, key_policy=json.dumps({"Statement": ROOT}), rules=RULES, images_public="x", allows=RIGHTS, **SETTINGS
)
TARGET = Target(DEV, REGION)
SHARING = replace(TARGET, mode="share")
ROLE = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"


def found(target=TARGET, seen=WELL, hub=HERE, **known):
    return {one["check"]: one for one in findings(target, TargetFacts(seen=seen), KnownAtHub(**known), hub)}


def policy(*statements) -> str:
    return json.dumps({"Statement": list(statements)})


def test_a_target_that_is_well():
    """Every check passes; share mode has no key of its own, but Allowed AMIs. Tags that come unasked are a warning."""
    copying, sharing = found(), found(SHARING, replace(WELL, key=None, key_policy="", allowed_images="disabled"))

    of_a_copy = ["target", "template", "key", "key-policy", "forwarding", "settings", "source-tags", "copy-quota"]
    assert list(copying) == of_a_copy
    assert list(sharing) == ["target", "template", "forwarding", "allowed-amis", "settings"]
    assert "`source_tags`" in copying.pop("source-tags")["cure"]
    assert found(replace(TARGET, source_tags=("os",)))["source-tags"]["cure"] == ""
    assert {(one["passed"], one["cure"]) for one in (*copying.values(), *sharing.values())} == {(True, "")}
    assert "on, under alias/mine" in copying["settings"]["what"]


def test_a_target_whose_stack_lets_no_parameter_be_written():
    """It is said with the stack's parameter; without the setting, or where the policy cannot be read, nothing is."""
    named = replace(TARGET, ssm_parameter="/golden/{family}/current")
    lacks, has = found(named)["parameter"], found(named, replace(WELL, parameters=("/golden/*",)))["parameter"]

    assert (lacks["passed"], "ParameterPrefix=/golden/" in lacks["cure"]) == (False, True)
    assert (has["passed"], has["cure"]) == (True, "")
    assert "parameter" not in found()
    assert "parameter" not in found(named, replace(WELL, refused={"GetRolePolicy": DENIED}))


@pytest.mark.parametrize(
    ("call", "check", "target"),
    [
        ("DescribeKey", "key", TARGET),
        ("GetKeyPolicy", "key-policy", TARGET),
        ("GetRole", "service-roles", replace(TARGET, service_linked_roles=(ROLE,))),
        (f"GetRole {ROLE}", "service-roles", replace(TARGET, service_linked_roles=(ROLE,))),
        ("DescribeRule", "forwarding", TARGET),
        ("ListTargetsByRule", "forwarding", TARGET),
        ("GetEbsDefaultKmsKeyId", "settings", TARGET),
        ("GetImageBlockPublicAccessState", "settings", TARGET),
        ("GetAllowedImagesSettings", "allowed-amis", SHARING),
    ],
)
def test_what_could_not_be_read_is_not_called_well(call, check, target):
    """The check says why, and which permission is missing; it says nothing about deliveries."""
    one = found(target, replace(WELL, refused={call: THROTTLED}))[check]

    assert (one["passed"], one["what"], one["cure"]) == (None, THROTTLED.what, THROTTLED.cure)


def test_a_key_that_may_not_be_described_is_a_fault_of_the_target():
    """As in the checks before a delivery: its copies would fail."""
    one = found(seen=replace(WELL, key=None, key_policy="", refused={"DescribeKey": DENIED}))

    assert (one["key"]["passed"], DENIED.what in one["key"]["what"]) == (False, True)
    assert "key-policy" not in one
    assert "key-policy" not in found(seen=replace(WELL, key=replace(KEY, manager="AWS")))
    assert "tag the AMI" not in one["key"]["cure"]


@pytest.mark.parametrize(
    ("text", "passed", "says"),
    [
        (policy({**ROOT, "Effect": "Deny"}), False, "kms:Decrypt is denied (Root)"),
        (policy({**ROOT, "Action": "kms:Describe*"}), False, "kms:CreateGrant is missing"),
        (policy({**ROOT, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}), None, "kms:Decrypt (Root)"),
        (
            policy({**ROOT, "Condition": {"StringEquals": {"kms:CallerAccount": HUB}}}),
            False,
            "Root allows it only where",
        ),
        *(
            (
                policy({**ROOT, "Condition": {"StringEquals": {"kms:ViaService": service}}}),
                False,
                f"Root allows it only where kms:ViaService StringEquals {service}",
            )
            for service in (f"rds.{REGION}.amazonaws.com", "ec2.eu-west-1.amazonaws.com")
        ),
        ("{", None, "cannot be read"),
        ("[1]", None, "cannot be read"),
        (policy({"Effect": "Allow"}), None, "cannot be read"),
    ],
)
def test_a_keys_policy(text, passed, says):
    """A missing or denied action fails; a condition on an unknown value stays open."""
    one = found(seen=replace(WELL, key_policy=text))["key-policy"]

    assert (one["passed"], says in one["what"]) == (passed, True), one["what"]
    assert f"ami-promoter admin key-policy target {KEY.arn} --region {REGION}" in one["cure"]


def test_the_grant_role_is_asked_for_only_where_service_linked_roles_need_it():
    """Without them the key must admit only the role that copies, under its configured name."""
    own = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{DEV}:role/Mine"}, "Action": "kms:*", "Resource": "*"}
    target, seen = replace(TARGET, role_name="Mine"), replace(WELL, key_policy=policy(own))
    linked = found(replace(target, service_linked_roles=(ROLE,)), seen)

    assert found(target, seen)["key-policy"]["passed"] is True
    assert "does not let Mine-grants use it: kms:CreateGrant" in linked["key-policy"]["what"]
    assert linked["key-policy"]["cure"].endswith("--role-name Mine --service-roles")
    assert linked["service-roles"]["passed"] is True


TESTED = replace(TARGET, launch_test=LaunchTest("t3.micro"))
SITE = LaunchSite(("subnet-1",), (), ("x86_64",), ("uefi",), ("t3.micro",))


@pytest.mark.parametrize(
    ("site", "says"),
    [
        (SITE, "can run t3.micro in subnet-1, in the default security group of its VPC"),
        (replace(SITE, groups=("sg-1",)), "in subnet-1, in sg-1"),
        (replace(SITE, subnets=()), "No subnet there has the tag"),
        (replace(SITE, subnets=("subnet-1", "subnet-2")), "subnet-1, subnet-2 there has the tag"),
        (replace(SITE, types=("t3.nano",)), "may run t3.nano, and the targets file names t3.micro"),
        (replace(SITE, architectures=()), "does not offer t3.micro"),
    ],
)
def test_where_a_launch_test_can_run(site, says):
    """The faults of the checks before a delivery, without an AMI; and nothing where none is wanted."""
    one = found(TESTED, replace(WELL, launch=site))["launch-test"]

    assert (one["passed"], says in one["what"]) == (says.startswith(("can", "in")), True), one["what"]
    assert "tag the AMI" not in one["cure"]
    assert "launch-test" not in found(seen=replace(WELL, launch=site))


def test_a_launch_role_that_cannot_be_entered_or_may_not_use_the_key():
    """The cure of the first is the stack's parameter; that of the second names what the key's policy needs."""
    no_role = Fault("role-not-assumable", "there", "AssumeRole was refused.", "Deploy it.")
    missing = found(TESTED, replace(WELL, refused={LAUNCHES: no_role}))["launch-test"]
    silent = found(TESTED, replace(WELL, refused={LAUNCHES: THROTTLED}))["launch-test"]
    own = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{DEV}:role/AmiCopyRole"}, "Action": "kms:*"}
    key = found(TESTED, replace(WELL, launch=SITE, key_policy=policy({**own, "Resource": "*"})))["key-policy"]

    assert (missing["passed"], "LaunchTest=true, which makes the role AmiCopyRole-launch" in missing["cure"]) == (
        False,
        True,
    )
    assert (silent["passed"], silent["what"]) == (None, THROTTLED.what)
    assert "does not let AmiCopyRole-launch use it: kms:DescribeKey" in key["what"]
    assert key["cure"].endswith(" --launch-test")


def test_a_role_that_is_missing():
    """The fault of the checks before a delivery, without the advice for after one."""
    target = replace(TARGET, service_linked_roles=(ROLE,))
    one = found(target, replace(WELL, missing_roles=(ROLE,)))["service-roles"]

    assert (one["passed"], one["cure"].startswith("Make it there (aws iam create-service-linked-role")) == (False, True)
    assert "tag the AMI" not in one["cure"]


@pytest.mark.parametrize(
    ("senders", "passed"),
    [(None, True), (Senders(frozenset(), organizations=True), True), (Senders(frozenset({HUB})), False)],
)
def test_who_may_send_to_the_hubs_bus(senders, passed):
    """The members of an organization are unknown here; a policy that was not read says nothing."""
    assert found(hub=replace(HERE, senders=senders))["forwarding"]["passed"] is passed


@pytest.mark.parametrize(
    ("change", "says", "cure"),
    [
        ({"state": "DISABLED"}, "is disabled", "aws events enable-rule"),
        ({"buses": ()}, "but to no bus", "ForwardEvents=true"),
        ({"buses": ("arn:other",)}, "but to arn:other", "ForwardEvents=true"),
        ({"roles": ()}, "has no role", "ForwardEvents=true"),
    ],
)
def test_a_rule_that_forwards_nothing_to_the_hub(change, says, cure):
    """One of both is enough."""
    one = found(seen=replace(WELL, rules=(replace(RULES[0], **change), RULES[1])))["forwarding"]

    assert (one["passed"], says in one["what"], cure in one["cure"]) == (False, True, True)


@pytest.mark.parametrize(
    ("known", "passed", "says"),
    [
        ({}, True, "no delivery has needed one yet"),
        ({"last_event_at": 1_800_000_000}, True, "the last event arrived 2027-01-15T08:00:00Z"),
        ({"last_event_at": 1_800_000_000, "no_event_at": 1_700_000_000}, True, "the last event arrived 2027"),
        ({"no_event_at": 1_800_000_000}, False, "none has ever arrived from there"),
        ({"last_event_at": 1_700_000_000, "no_event_at": 1_800_000_000}, False, "the last one arrived 2023"),
    ],
)
def test_when_the_last_event_came(known, passed, says):
    """Rules that look right while nothing arrives: the cure asks for the rule's failed invocations at that time."""
    one = found(**known)["forwarding"]

    assert (one["passed"], says in one["what"]) == (passed, True)
    assert ("FailedInvocations" in one["cure"] and "2027-01-15T07:00:00Z" in one["cure"]) is not passed


@pytest.mark.parametrize(
    ("state", "criteria", "passed"),
    [
        ("audit-mode", (), True),
        ("enabled", (), False),
        ("enabled", (AllowedImages(("amazon",)),), False),
        ("enabled", (AllowedImages(("amazon", HUB)),), True),
        ("enabled", (AllowedImages((HUB,), narrower=True),), None),
        ("enabled", (AllowedImages(narrower=True),), None),
        ("enabled", (AllowedImages(("amazon",), narrower=True),), False),
    ],
)
def test_allowed_amis(state, criteria, passed):
    """A criterion beyond the owner may or may not be met: it stays open."""
    seen = replace(WELL, key=None, key_policy="", allowed_images=state, allowed_by=criteria)
    one = found(SHARING, seen)["allowed-amis"]

    assert one["passed"] is passed
    if passed is False and criteria and criteria[0].narrower:
        assert "replaces all criteria" in one["cure"]
    assert found(replace(TARGET, copy_method="image"), seen)["allowed-amis"] == one
    assert "allowed-amis" not in found(TARGET, seen), "which copies snapshots alone"
    assert "allowed-amis" not in found(replace(SHARING, account=HUB), seen), "to which the AMIs belong"


def test_allowed_amis_are_no_trouble_where_only_some_amis_need_copy_image():
    """Method auto: a recommendation that fails no check."""
    seen = replace(WELL, allowed_images="enabled", allowed_by=(AllowedImages(("amazon",)),))
    one = found(replace(TARGET, copy_method="auto"), seen)["allowed-amis"]

    assert one["passed"]
    assert "CopyImage" in one["what"]
    assert HUB in one["cure"]
    refused = replace(seen, refused={"GetAllowedImagesSettings": DENIED})
    assert "allowed-amis" not in found(replace(TARGET, copy_method="auto"), refused)


@pytest.mark.parametrize(
    ("by_policy", "criteria", "cure"),
    [
        (True, ("amazon",), "describe-effective-policy --policy-type DECLARATIVE_POLICY_EC2"),
        (False, ("none",), f"""--image-criteria '[{{"ImageProviders": ["{HUB}"]}}]'"""),
    ],
)
def test_the_cure_of_allowed_amis_is_one_that_the_account_can_use(by_policy, criteria, cure):
    """It cannot change what an organization's declarative policy sets, and `none` stands beside no other criterion."""
    allowed = (AllowedImages(criteria),)
    seen = replace(WELL, allowed_images="enabled", allowed_by=allowed, allowed_by_policy=by_policy)

    assert cure in found(SHARING, seen)["allowed-amis"]["cure"]


@pytest.mark.parametrize(
    ("quota", "passed"),
    [({}, True), ({"limit": 20, "full": True}, True), ({"limit": 12}, True), ({"limit": 12, "full": True}, False)],
)
def test_the_copy_quota_is_a_trouble_where_others_copy_there(quota, passed):
    """The service's own queue is no trouble."""
    assert found(quota=CopyQuota(DEV, "us-east-1", **quota))["copy-quota"]["passed"] is passed
    assert "copy-quota" not in found(replace(TARGET, copy_method="image"))


def test_a_target_that_did_not_answer():
    """Its fault is the only finding."""
    cure = "Deploy it; then tag the AMI again."
    fault = Fault("role-not-assumable", "there", "AssumeRole was refused.", cure)
    (one,) = findings(TARGET, TargetFacts(fault=fault), KnownAtHub(), HERE)
    (answered,) = findings(None, TargetFacts(seen=WELL), KnownAtHub(), HERE)

    assert answered["passed"], "whose settings conflict: nothing of it can be checked"
    assert one == {"check": "target", "passed": False, "what": fault.what, "cure": "Deploy it."}
