"""What the access monitor reads from CloudTrail's records: samples, refused calls, and unreadable records."""

import json
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chalicelib.engine.places import account_of
from chalicelib.monitor import trail_actions
from chalicelib.monitor.trail_actions import PUBLIC, Act, admitted, of_others, statements_of

SAMPLES = json.loads((Path(__file__).parents[1] / "samples" / "trail.json").read_text(encoding="utf-8"))["samples"]


IN_HUB = {"type": "AssumedRole", "accountId": "111111111111"}


def record(name: str) -> dict[str, Any]:
    """The CloudTrail record of a sample."""
    return deepcopy(SAMPLES[name]["event"]["detail"])


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_read(name):
    """Act, resource, receivers, caller and time."""
    found = trail_actions.read(record(name), "promote")

    assert [[action.act.value, action.resource, list(action.receivers)] for action in found] == SAMPLES[name]["actions"]
    assert {(action.event, action.at) for action in found} <= {(record(name)["eventID"], 1767603600)}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_refused_call_is_no_action(name):
    """It changed nothing."""
    assert trail_actions.read(record(name) | {"errorCode": "Client.UnauthorizedOperation"}, "promote") == ()


def test_each_call_that_is_read_has_a_sample_or_is_read_like_one():
    """A reader without a sample would be untested."""
    sampled = {trail_actions._READERS[record(name)["eventName"]] for name in SAMPLES}

    assert set(trail_actions._READERS.values()) == sampled


FOR_EBS = {"by_service": True, "ebs": True}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a snapshot is shared", {"principal": "arn:aws:iam::111111111111:role/ami-promoter-us-east-1-share-worker"}),
        ("another account decrypts for a volume", {"principal": "222222222222:AROA2:ami-promoter", **FOR_EBS}),
        ("another account re-encrypts for a volume", FOR_EBS),  # ReEncrypt names two encryption contexts and two keys
        ("a grant is made, the key named by its id", {"grant": "g-1"}),
        ("a grant is revoked", {"grant": "g-1"}),
        (
            "EBS makes its grant for a copy, in the name of the account that copies",
            {"grant": "g-3", "account": "222222222222", "by_service": True},
        ),
        ("EBS decrypts for that copy", {"account": "", **FOR_EBS}),
        ("EBS retires that grant", {"grant": "g-3"}),  # its parameters are empty: the id is in the additional data
    ],
)
def test_who_acted_and_on_which_grant_is_read_where_the_call_has_it(name, shown):
    """A session is named by its role, another account's caller, of whom CloudTrail shows no ARN, by account and id.

    One id connects the beginning and the end of a grant.
    """
    action, *_ = trail_actions.read(record(name), "promote")

    assert {member: getattr(action, member) for member in shown} == shown


@pytest.mark.parametrize(
    ("shows", "by_service"),
    [
        ({}, False),
        ({"userIdentity": IN_HUB | {"invokedBy": "ec2.amazonaws.com"}}, True),
        ({"userAgent": "AWS Internal"}, True),
        ({"sourceIPAddress": "AWS Internal"}, True),
        ({"sourceIPAddress": "ec2.amazonaws.com"}, True),
        (
            {"userIdentity": IN_HUB | {"arn": "arn:aws:sts::111111111111:assumed-role/aws:ec2-infrastructure/i-0a1"}},
            True,
        ),
    ],
)
def test_that_a_service_called_is_read_wherever_a_record_shows_it(shows, by_service):
    """What EC2 decrypts for an attached volume has a session of its own, and its address is no service's."""
    plain = {"sourceIPAddress": "172.16.0.1", "userAgent": "aws-internal/3", "userIdentity": IN_HUB}
    (used,) = trail_actions.read(record("another account decrypts for a volume") | plain | shows, "promote")

    assert used.by_service is by_service


def test_a_copy_of_ones_own_snapshot_is_no_use_of_a_share():
    """CloudTrail shows CopySnapshot to the caller, and to the source's owner without the caller's ARN."""
    own = record("another account copies a shared snapshot")
    own["userIdentity"] = record("two AMIs are tagged")["userIdentity"]

    assert trail_actions.read(own, "promote") == ()


def test_a_key_that_the_caller_names_by_its_alias_is_the_one_among_the_resources():
    """An alias may name another key by now, and the ledger knows none: a finding must name the key itself."""
    used = record("another account decrypts for a volume")
    key = used["resources"][0]["ARN"]
    alias = key.partition(":key/")[0] + ":alias/amis"
    used["resources"].insert(0, {"ARN": alias})
    used["requestParameters"]["keyId"] = alias

    assert [action.resource for action in trail_actions.read(used, "promote")] == [key]


def test_other_tags_are_no_action():
    """Only the trigger's key counts."""
    assert trail_actions.read(record("two AMIs are tagged"), "release") == ()


ORGANIZATION = "arn:aws:organizations::555555555555:organization/o-zzzzzzzzzz"
TO_ALL = {"userIdSet": {"items": [{"userId": "222222222222"}]}, "groupSet": {"items": [{"group": "all"}]}}


@pytest.mark.parametrize(
    ("asked", "resource", "receivers"),
    [
        ({"snapshotId": "snap-0a1", **TO_ALL}, "snap-0a1", ("222222222222", PUBLIC)),
        *(
            (
                {"imageId": "ami-0a1", "attributeType": "launchPermission", "organizationArnSet": member},
                "ami-0a1",
                (ORGANIZATION,),
            )
            for member in ({"items": [{"organizationArn": ORGANIZATION}]}, [ORGANIZATION], {"items": [ORGANIZATION]})
        ),
    ],
)
def test_the_older_form_of_the_request_is_read(asked, resource, receivers):
    """OperationType, UserIds and UserGroups; and OrganizationArns wherever they stand: no record of them is public."""
    old = record("a snapshot is shared") | {"requestParameters": {"operationType": "add", **asked}}

    (action,) = trail_actions.read(old, "promote")
    assert (action.act, action.resource, action.receivers) == (Act.ADDED, resource, receivers)


def test_nothing_that_may_come_raises():
    """Each part of each sample is replaced by nonsense; the rest is still read."""
    random = Random(1)
    nonsense = (None, "", "x", 3, -1.5, True, [], {}, [None], {"items": None}, {"items": [1, {}]}, [[]], "arn:", "\x00")
    for name in SAMPLES:
        for _ in range(300):
            broken = record(name)
            place: Any = broken
            while isinstance(place, dict) and place:
                key = random.choice(sorted(place))
                if random.random() < 0.4 or not isinstance(place[key], dict):
                    place[key] = random.choice(nonsense)
                    break
                place = place[key]
            for action in trail_actions.read(broken, "promote"):
                assert all(isinstance(one, str) for one in (action.principal, action.resource, *action.receivers))


@pytest.mark.parametrize(
    ("receiver", "account"),
    [
        ("222222222222", "222222222222"),
        ("arn:aws:iam::222222222222:role/x", "222222222222"),
        ("arn:aws-cn:iam::222222222222:root", "222222222222"),
        ("222222222222:aws:ec2-infrastructure:i-0a1", "222222222222"),
        ("AWS Internal", ""),
        ("ec2.amazonaws.com", ""),
        ("AROAGONE", ""),
        ("2222222222223", ""),
        ("all", ""),
    ],
)
def test_the_account_of_a_receiver(receiver, account):
    """In CloudTrail's and in KMS's forms."""
    assert account_of(receiver) == account


def statement(**more: Any) -> dict[str, Any]:
    """One statement of a key's policy."""
    return {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", **more}


def for_role(arn: str) -> dict[str, Any]:
    """A condition on the caller's role."""
    return {"ArnLike": {"aws:PrincipalArn": arn}}


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([statement()], (PUBLIC,)),
        (statement(Principal={"AWS": "*"}), (PUBLIC,)),
        ([statement(Condition={"StringEquals": {"kms:CallerAccount": "222222222222"}})], ("222222222222",)),
        ([statement(Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})], ("o-1",)),
        ([statement(Condition={"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}})], (PUBLIC,)),
        ([statement(Condition={"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}})], (PUBLIC,)),
        ([statement(Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}})], (PUBLIC,)),
        ([statement(Condition={"StringEquals": {"aws:principalorgid": "o-1"}})], ("o-1",)),
        ([statement(Condition={"StringEquals": {"KMS:callerAccount": "222222222222"}})], ("222222222222",)),
        ([statement(Condition={"StringLike": {"kms:CallerAccount": "*"}})], (PUBLIC,)),
        ([statement(Condition={"StringLike": {"kms:CallerAccount": ["222222222222", "3*"]}})], (PUBLIC,)),
        ([statement(Condition={"StringLike": {"aws:PrincipalOrgID": "o-*"}})], (PUBLIC,)),
        ([statement(Condition={"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["o-1/r-1/ou-1/*"]}})], ("o-1",)),
        ([statement(Condition={"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["*/ou-1/*"]}})], (PUBLIC,)),
        ([statement(Condition={"ForAllValues:StringLike": {"aws:PrincipalOrgPaths": ["o-1/*"]}})], (PUBLIC,)),
        ([statement(Condition=for_role("arn:aws:iam::222222222222:role/*"))], ("222222222222",)),
        ([statement(Condition=for_role("arn:aws:iam::*:role/x"))], (PUBLIC,)),
        ([statement(Condition=for_role("*:role/x") | {"StringEquals": {"aws:PrincipalOrgID": "o-1"}})], ("o-1",)),
        ([statement(Condition={"StringEquals": {"aws:SourceAccount": "222222222222"}})], ()),
        ([statement(Effect="Deny")], ()),
        ([statement(Principal={"Service": "ec2.amazonaws.com"})], ()),
        ([{"Effect": "Allow", "NotPrincipal": {"AWS": "222222222222"}, "Action": "kms:*", "Resource": "*"}], (PUBLIC,)),
        ([statement(Principal={"AWS": ["222222222222", "arn:aws:iam::333333333333:role/x"]})], None),
    ],
)
def test_whom_a_keys_policy_lets_in(statements, found):
    """A condition narrows ``*`` only if it requires accounts, an organization or a service, and has no wildcard."""
    shown = admitted(statements_of(json.dumps({"Statement": statements})))
    assert shown == (found or (() if found == () else ("222222222222", "333333333333")))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (True, "true", True),
        (False, "false", True),
        (3600, "3600", True),
        (["b", True], ["true", "b"], True),
        (True, "false", False),
        (1, "true", False),
        ("1", 1.5, False),
    ],
)
def test_a_condition_means_the_same_with_and_without_quotes(one, other, same):
    """IAM takes numbers and booleans in both forms, so a statement in another form is not gone."""

    def digests(value: object) -> frozenset[str] | None:
        condition = {"Bool": {"aws:SecureTransport": value}}
        statement = {"Sid": "S", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Condition": condition}
        return of_others(json.dumps({"Statement": [statement]}), "111111111111")

    assert (digests(one) == digests(other)) is same
