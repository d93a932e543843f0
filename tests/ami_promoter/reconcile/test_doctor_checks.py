"""What `doctor` says of the hub, from what was read of it."""

import pytest

from ami_promoter.commands.doctor import source_keys
from ami_promoter.hub.approvers import Approvers
from ami_promoter.hub.health import EventMapping, GoldenKey, Health
from ami_promoter.reconcile import doctor_checks
from chalicelib.delivery.model import Delivery, HubCopy, Snapshot
from chalicelib.targets.applied_file import Target
from tests.images.examples import a_key

HUB, REGION = "111111111111", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{HUB}:key/k"


def hub(**changes):
    """Build what was read of a hub that has nothing wrong."""
    facts = {
        "account": HUB,
        "region": REGION,
        "now": 1_800_000_000,
        "file": None,
        "paused": "",
        "organization": (),
        "parked": (),
        "due": {},
        "health": Health(),
    }
    return doctor_checks.HubFacts(**{**facts, **changes})


def found(facts, check):
    return [one for one in doctor_checks.hub(facts) if one["check"] == check]


@pytest.mark.parametrize(
    ("access", "allowed", "lacks", "ways"),
    [
        ({"none"}, ["kms:Describe*"], "", ""),
        ({"policy"}, ["kms:Describe*", "kms:GetKeyPolicy", "kms:PutKeyPolicy"], "", ""),
        ({"policy"}, ["kms:Describe*", "kms:CreateGrant"], "kms:GetKeyPolicy, kms:PutKeyPolicy", " --access policy"),
        ({"grant"}, ["kms:Describe*", "kms:*KeyPolicy"], "kms:CreateGrant, kms:ListGrants, kms:RevokeGrant", ""),
        ({"grant", "none"}, ["kms:Describe*"], "kms:CreateGrant, kms:ListGrants, kms:RevokeGrant", " --access grant"),
        ({"grant", "policy"}, ["kms:*Grant*"], "kms:DescribeKey, kms:Ge", " --access grant --access policy"),
        ({"grant", "none"}, ["kms:*"], "", ""),
    ],
)
def test_the_hubs_key_is_judged_by_how_targets_get_to_it(access, allowed, lacks, ways):
    """With `key_access: policy` no grant is needed, and with `none` nothing but a look."""
    root = {"AWS": f"arn:aws:iam::{HUB}:root"}
    policy = {"Statement": [{"Effect": "Allow", "Principal": root, "Action": allowed, "Resource": "*"}]}
    health = Health(keys={KEY: GoldenKey(a_key(arn=KEY, account=HUB), policy)})

    (one,) = found(hub(health=health, access={KEY: access}), "source-key")

    assert (one["passed"], lacks in one["what"]) == (not lacks, True)
    assert ("its owner gives access to it, not the service" in one["what"]) is (access == {"none"})
    assert one["cure"].endswith(f"key-policy hub {KEY} --region {REGION}{ways}") is bool(lacks)


def test_a_hubs_key_that_is_disabled_is_named_with_the_command_that_helps():
    """Its policy, which lacks everything too, comes after that."""
    health = Health(keys={KEY: GoldenKey(a_key(arn=KEY, account=HUB, state="Disabled"), {"Statement": []})})

    (one,) = found(hub(health=health, access={KEY: {"grant"}}), "source-key")

    assert one["passed"] is False
    assert f"aws kms enable-key --region {REGION} --key-id {KEY}" in one["cure"]


def test_what_is_late_by_more_than_half_an_hour_is_named_the_oldest_first():
    """The sweep looks each minute; a record that is due now is no sign that it does not."""
    facts = hub()
    due = {record: int(facts.now) - late for record, late in (("a", 1800), ("b", 1801), ("c", 1860))}

    (late,), (well,) = (found(hub(due=some), "overdue") for some in (due, {"a": due["a"]}))

    assert "looked at c since 2027-01-15T07:29:00Z, b since 2027-01-15T07:29:59Z." in late["what"]
    assert well["passed"]


def test_what_waits_for_an_approval_is_not_said_to_wait_for_none():
    """Each AMI that waits fails the check; the check passes only where none does, and an approval is needed."""
    assert found(hub(), "approvals") == []
    waits = doctor_checks.Unapproved("ami-1", "0123456789abcdef", 2, 1_700_000_000)
    for unapproved, passed in (([waits], [False]), ([], [True])):
        facts = hub(approvers=Approvers(("role/Approver",)), unapproved=unapproved)
        assert [one["passed"] for one in found(facts, "approvals")] == passed
        assert [one["what"] for one in found(facts, "approvers")] == ["role/Approver may approve."]


def test_a_keys_ways_are_those_of_the_deliveries_that_need_it():
    """By the settings on their records, which leave the default out; another account's key is its owner's."""
    there, foreign = Snapshot("snap-1", KEY), Snapshot("snap-2", KEY.replace(HUB, "222222222222"))

    def needs(access, *snapshots, by_way_of="", **more):
        target = Target("222222222222", REGION, key_access=access, by_way_of=by_way_of)
        return Delivery("d", HUB, "ami-1", target, 1, 1, "golden", snapshots, **more)

    under_way = [
        needs("none", there, foreign),
        needs("grant", there),
        needs("policy", by_way_of=HUB, hub_copy=HubCopy(key_arn=f"{KEY}2")),
    ]

    assert source_keys(HUB, under_way) == {KEY: {"none", "grant"}, f"{KEY}2": {"policy"}}


TOPIC = f"arn:aws:sns:{REGION}:{HUB}:on-call"


@pytest.mark.parametrize(
    ("alarms", "unread", "passed", "says"),
    [
        ({TOPIC: {"email ops@example.org": f"{TOPIC}:id"}}, {}, True, "1 subscribed"),
        ({TOPIC: {"email ops@example.org": "PendingConfirmation"}}, {}, False, "has not confirmed"),
        ({TOPIC: {}}, {}, False, "nobody is subscribed"),
        ({}, {}, False, "notify nobody"),
        ({TOPIC: {}}, {TOPIC: "AuthorizationError"}, None, "AuthorizationError"),
        (None, {"alarms": "AccessDenied"}, None, "AccessDenied"),
    ],
)
def test_whether_an_alarm_reaches_a_person(alarms, unread, passed, says):
    """A topic of another account may not be readable; that is not called well, and concerns no key."""
    facts = hub(health=Health(alarms=alarms, unread=unread))
    (one,) = found(facts, "alarms")

    assert (one["passed"], says in one["what"]) == (passed, True)
    assert (one["cure"] == "") is (passed is True)
    assert found(facts, "source-key") == []


@pytest.mark.parametrize(("monitor", "free"), [({}, 10), ({"LearningHours": "24"}, 17)], ids=["without", "with"])
def test_the_access_monitor_needs_room_in_the_quota_too(monitor, free):
    """It shares the account's concurrent executions with the workers, whose wakes would be throttled."""
    sources = {"worker": {"u-1": EventMapping("Enabled", 4)}, "share-worker": {"u-2": EventMapping("Enabled", 2)}}
    least = {"sources": sources, "monitor": monitor}
    (enough,), (too_few,) = (found(hub(health=Health(**least, free=one)), "concurrency") for one in (free, free - 1))

    assert (enough["passed"], too_few["passed"]) == (True, False)
    halves, none = (found(hub(health=Health(**least, free=free - one)), "concurrency")[0]["cure"] for one in (2, 3))
    assert halves.startswith("Deploy the hub with MaximumConcurrency=2 and ShareConcurrency=2, or ask AWS for more")
    assert none.startswith("Ask AWS for more")
    (deployed,) = found(hub(health=Health(**least)), "access-monitor")
    assert ("is not deployed" in deployed["what"]) is not bool(monitor)
