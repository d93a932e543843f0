"""The verdict on each kind of act: by the ledger's intents, the applied file, and the open shares."""

from collections.abc import Collection
from dataclasses import replace
from random import Random

import pytest

from chalicelib.monitor.judging import (
    AFTER,
    BEFORE,
    Evidence,
    Known,
    SeenPolicy,
    is_own,
    judge,
    known,
)
from chalicelib.monitor.trail_actions import PUBLIC, Act, TrailAction
from chalicelib.monitor.verdicts import ActionVerdict, MonitorFinding, Severity
from chalicelib.sharing.share import Share, ShareState

HUB, DEV, TEST, STRANGER = "111111111111", "222222222222", "333333333333", "999999999999"
HERE = "us-east-1"
SNAPSHOT, KEY = "snap-0a1", f"arn:aws:kms:{HERE}:{HUB}:key/k"
OURS = f"arn:aws:iam::{HUB}:role/ami-promoter-{HERE}-share-worker"
SIBLING = f"arn:aws:iam::{HUB}:role/ami-promoter-eu-west-1-share-worker"
JO = f"arn:aws:iam::{HUB}:user/jo"
ROLE = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
SLR = f"arn:aws:iam::{DEV}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
UNIT = "arn:aws:organizations::555555555555:ou/o-a1b2c3d4e5/ou-ab12-11111111"
NOW = 1_800_000_000
S, V = ShareState, ActionVerdict


def action(act: Act, *receivers: str, by: str = OURS, account: str = HUB, **more: object) -> TrailAction:
    """An act on the snapshot, now."""
    given = {"event": "e", "request": "r", "name": "Call", "at": NOW, "region": HERE, "resource": SNAPSHOT} | more
    return TrailAction(principal=by, account=account, act=act, receivers=receivers, **given)


def share(account: str = DEV, *steps: tuple[int, ShareState], **more: object) -> Known:
    """A share in the ledger, with its steps in seconds from now."""
    reported = tuple((NOW + seconds, state) for seconds, state in steps)
    return Known(**{"share_name": account, "account": account, "steps": reported, **more})


def verdict(what: TrailAction, *shares: Known, **more: object) -> ActionVerdict:
    """The verdict on an act; the applied file lists DEV and TEST, and the key is a source key."""
    given = {"strangers": frozenset({STRANGER, PUBLIC}), "source_key": True, "siblings": {"eu-west-1"}} | more
    return judge(what, Evidence(HUB, HERE, shares, **given)).verdict


def seen(admitted: Collection[str], others: Collection[str] = ()) -> tuple[SeenPolicy, ...]:
    """The key's policy, as it was written last a minute ago."""
    return (SeenPolicy(NOW - 60, frozenset(admitted), frozenset(others), JO, "e-before"),)


OPENING = share(DEV, (-5, S.OPENING))
OPENED = share(DEV, (-600, S.OPENING), (-590, S.OPEN))
CLOSED = share(DEV, (-6000, S.OPENING), (-5990, S.OPEN), (-3000, S.CLOSING), (-2900, S.CLOSED))
CLOSING = share(DEV, (-600, S.OPENING), (-590, S.OPEN), (-3, S.CLOSING))
GRANT = share(DEV, (-5, S.OPENING), share_name="d" * 20, grantee=ROLE, grants=frozenset({"g-1"}))
AGAIN = replace(GRANT, share_name="grant-g-1", steps=((NOW - 3, S.CLOSING),))
"""The same grant, which the grant audit has found after it was closed."""
ON_KEY = {"resource": KEY, "grant": "g-1"}
BY_EBS = {"by": "x", "account": DEV, "resource": KEY, "grant": "c"}
BY_EC2 = {"by_service": True, "ebs": True}


@pytest.mark.parametrize(
    ("what", "shares", "expected"),
    [
        # sharing, by the service
        (action(Act.ADDED, DEV), [OPENING], V.EXPECTED),
        (action(Act.ADDED, DEV), [], V.NO_INTENT),
        (action(Act.ADDED, DEV), [CLOSED], V.NO_INTENT),
        (action(Act.ADDED, DEV, TEST), [OPENING], V.NO_INTENT),
        (action(Act.ADDED, STRANGER), [replace(OPENING, share_name=STRANGER)], V.NO_INTENT),
        (action(Act.ADDED, PUBLIC), [replace(OPENING, share_name=PUBLIC)], V.NO_INTENT),
        (action(Act.REMOVED, DEV), [CLOSING], V.EXPECTED),
        (action(Act.REMOVED, DEV), [share(DEV, (-5000, S.CLOSING))], V.EXPECTED),
        (action(Act.REMOVED, DEV), [OPENED], V.NO_INTENT),
        (action(Act.REMOVED, DEV), [], V.NO_INTENT),
        (action(Act.CLEARED), [OPENED], V.NO_INTENT),
        (action(Act.UNBLOCKED, PUBLIC), [], V.NO_INTENT),
        (action(Act.ADDED, HUB), [OPENING], V.NO_INTENT),
        # sharing, by others
        (action(Act.ADDED, DEV, by=JO), [], V.LISTED),
        (action(Act.ADDED, UNIT, by=JO), [], V.LISTED),
        (action(Act.ADDED, DEV, STRANGER, by=JO), [], V.STRANGER),
        (action(Act.ADDED, STRANGER, by=JO), [replace(OPENING, share_name=STRANGER)], V.STRANGER),
        (action(Act.ADDED, PUBLIC, by=JO), [], V.STRANGER),
        (action(Act.ADDED, HUB, by=JO), [], V.EXPECTED),
        (action(Act.UNBLOCKED, PUBLIC, by=JO), [], V.STRANGER),
        (action(Act.REMOVED, DEV, by=JO), [OPENED], V.VANISHED),
        (action(Act.REMOVED, DEV, by=JO), [replace(OPENED, preexisting=True)], V.EXPECTED),
        (action(Act.REMOVED, DEV, by=JO), [CLOSED], V.EXPECTED),
        (action(Act.REMOVED, STRANGER, by=JO), [OPENED], V.EXPECTED),
        (action(Act.CLEARED, by=JO), [OPENED], V.VANISHED),
        (action(Act.CLEARED, by=JO), [CLOSED], V.EXPECTED),
        # by the account's hub in another Region
        (action(Act.ADDED, TEST, by=SIBLING), [], V.EXPECTED),
        (action(Act.ADDED, TEST, by=SIBLING.replace("eu-west-1", "x")), [], V.LISTED),
        (action(Act.ADDED, STRANGER, by=SIBLING), [], V.STRANGER),
        (action(Act.ADDED, PUBLIC, by=SIBLING), [], V.STRANGER),
        # grants
        (action(Act.ADDED, ROLE, **ON_KEY), [GRANT], V.EXPECTED),
        (action(Act.ADDED, ROLE, **ON_KEY), [replace(GRANT, grants=frozenset())], V.EXPECTED),
        (action(Act.ADDED, f"{ROLE}2", **(ON_KEY | {"grant": "g-2"})), [GRANT], V.NO_INTENT),
        (action(Act.ADDED, f"arn:aws:iam::{HUB}:root", **ON_KEY), [], V.NO_INTENT),
        (action(Act.ADDED, "ec2.amazonaws.com", **ON_KEY), [], V.EXPECTED),
        (action(Act.ADDED, f"arn:aws:iam::{STRANGER}:root", by=JO, **ON_KEY), [], V.LISTED),
        (
            action(Act.ADDED, SLR, by="222222222222:AROA:s", account=DEV, **ON_KEY),
            [replace(GRANT, grantee=SLR)],
            V.EXPECTED,
        ),
        (action(Act.ADDED, f"{DEV}:aws:ec2-infrastructure:i-1", **BY_EBS), [GRANT], V.EXPECTED),
        (action(Act.ADDED, f"{DEV}:aws:ec2-infrastructure:i-1", **BY_EBS), [], V.LISTED),
        (action(Act.ADDED, f"arn:aws:iam::{HUB}:role/builder", by=JO, **ON_KEY), [], V.EXPECTED),
        (action(Act.ADDED, "ec2.amazonaws.com", by=JO, **ON_KEY), [], V.EXPECTED),
        (action(Act.REMOVED, **ON_KEY), [replace(GRANT, steps=CLOSING.steps)], V.EXPECTED),
        (action(Act.REMOVED, **ON_KEY), [replace(GRANT, steps=CLOSED.steps), AGAIN], V.EXPECTED),
        (action(Act.REMOVED, **ON_KEY), [replace(GRANT, steps=CLOSED.steps)], V.NO_INTENT),
        (action(Act.REMOVED, by=JO, **ON_KEY), [replace(GRANT, steps=CLOSED.steps), AGAIN], V.EXPECTED),
        (action(Act.REMOVED, **ON_KEY), [replace(GRANT, steps=OPENED.steps)], V.NO_INTENT),
        (action(Act.REMOVED, by=JO, **ON_KEY), [replace(GRANT, steps=OPENED.steps)], V.VANISHED),
        (action(Act.REMOVED, by=JO, **(ON_KEY | {"grant": "other"})), [GRANT], V.EXPECTED),
        # the key itself
        (action(Act.DISABLED, by=JO, resource=KEY), [], V.VANISHED),
        (action(Act.DISABLED, resource=KEY), [], V.NO_INTENT),
        # use
        (action(Act.USED, by="x", account=DEV, resource=KEY, **BY_EC2), [OPENED], V.EXPECTED),
        (action(Act.USED, by="x", account=DEV, resource=KEY, **BY_EC2), [CLOSED], V.LISTED),
        (action(Act.USED, by="x", account=DEV, resource=KEY, ebs=True), [OPENED], V.LISTED),
        (action(Act.USED, by="x", account=STRANGER, resource=KEY, **BY_EC2), [], V.STRANGER),
        (action(Act.USED, by=JO, resource=KEY, by_service=True), [], V.EXPECTED),
        (action(Act.USED, by=JO, resource=KEY), [], V.LISTED),
        (action(Act.USED, resource=KEY), [], V.NO_INTENT),
        (action(Act.USED, resource=KEY, **BY_EC2), [OPENED], V.NO_INTENT),
        (action(Act.USED, resource=KEY, by_service=True), [], V.EXPECTED),
        (action(Act.USED, DEV, by="ec2", account=""), [OPENED], V.EXPECTED),
        (action(Act.USED, DEV, by="ec2", account=""), [CLOSED], V.LISTED),
        (action(Act.USED, DEV, by="ec2", account=""), [], V.EXPECTED),
        (action(Act.USED, STRANGER, by="ec2", account=""), [OPENED], V.STRANGER),
        (action(Act.USED, HUB, by="ec2", account=""), [], V.EXPECTED),
        (action(Act.USED, by="ec2", account=""), [OPENED], V.EXPECTED),
        (action(Act.USED, by="ec2", account=""), [CLOSED], V.LISTED),
        (action(Act.USED, by="ec2", account=""), [], V.EXPECTED),
        # the trigger
        (action(Act.TAGGED, by=JO, resource="ami-0a1"), [], V.EXPECTED),
        (action(Act.TAGGED, resource="ami-0a1"), [], V.NO_INTENT),
    ],
)
def test_each_action_has_its_verdict(what, shares, expected):
    """Each case of the security page's table."""
    assert verdict(what, *shares) == expected


def test_a_grant_to_a_stranger_pages():
    """The receiver's account decides; the grantee is a role or an account's root."""
    root = f"arn:aws:iam::{STRANGER}:root"

    assert verdict(action(Act.ADDED, root, by=JO, **ON_KEY), strangers=frozenset({root})) == V.STRANGER


def test_a_key_that_the_service_never_used_is_not_its_business_unless_it_touches_it_itself():
    """AWS services create thousands of grants; a stolen role of the service may use any key."""
    foreign = action(Act.ADDED, ROLE, by=JO, **ON_KEY)

    assert verdict(foreign, source_key=False) == V.EXPECTED
    assert verdict(replace(foreign, principal=OURS), source_key=False) == V.NO_INTENT


def test_an_account_that_the_file_lost_since_was_listed_then_for_all_that_is_known():
    """The file lost the account between call and verdict; only the ledger's intent can show that it was listed."""
    shares = [replace(OPENING, share_name=STRANGER)]

    assert verdict(action(Act.ADDED, STRANGER), *shares, changed_at=NOW + 60) == V.EXPECTED
    assert verdict(action(Act.ADDED, STRANGER), *shares, changed_at=NOW - 2 * BEFORE) == V.NO_INTENT
    assert verdict(action(Act.ADDED, STRANGER), changed_at=NOW + 60) == V.NO_INTENT


def test_builders_are_those_that_the_parameter_names():
    """They use the key and write the tag; any other caller is a notice."""
    using, tagging = action(Act.USED, by=JO, resource=KEY), action(Act.TAGGED, by=JO, resource="ami-0a1")

    assert [verdict(one, builders=frozenset({JO})) for one in (using, tagging)] == [V.EXPECTED] * 2
    assert [verdict(one, builders=frozenset({OURS})) for one in (using, tagging)] == [V.LISTED] * 2


def test_whom_the_keys_own_policy_lets_in_may_use_it_through_ec2():
    """With `key_access: none` the owner's policy decides."""
    use = action(Act.USED, by="x", account=TEST, resource=KEY, **BY_EC2)

    assert verdict(use, policies=seen({HUB, TEST})) == V.EXPECTED
    assert verdict(replace(use, ebs=False), policies=seen({HUB, TEST})) == V.LISTED
    assert verdict(use, policies=seen({HUB})) == V.LISTED


def policy(*admitted: str, by: str = OURS) -> TrailAction:
    """A PutKeyPolicy that admits these."""
    return action(Act.POLICY, *admitted, by=by, resource=KEY)


@pytest.mark.parametrize(
    ("what", "shares", "before", "expected"),
    [
        (policy(HUB, DEV), [OPENING], frozenset({HUB}), V.EXPECTED),
        (policy(HUB, DEV, STRANGER), [OPENING], frozenset({HUB, STRANGER}), V.EXPECTED),
        (policy(HUB, DEV, STRANGER), [OPENING], None, V.EXPECTED),
        (policy(HUB, DEV, STRANGER), [OPENING], frozenset({HUB}), V.NO_INTENT),
        (policy(HUB, DEV), [], frozenset({HUB}), V.NO_INTENT),
        (policy(HUB), [CLOSING], frozenset({HUB, DEV}), V.EXPECTED),
        (policy(HUB, PUBLIC), [OPENING], None, V.NO_INTENT),
        (policy(HUB, TEST, by=JO), [], frozenset({HUB}), V.LISTED),
        (policy(HUB, STRANGER, by=JO), [], frozenset({HUB}), V.STRANGER),
        (policy(HUB, "o-listed", by=JO), [], frozenset({HUB}), V.EXPECTED),
        (policy(HUB, PUBLIC, by=JO), [], None, V.STRANGER),
        (policy(HUB, DEV, STRANGER, by=JO), [], None, V.STRANGER),
        (policy(HUB, STRANGER, by=SIBLING), [], None, V.STRANGER),
        (policy(HUB, TEST, by=JO), [], None, V.EXPECTED),
        (policy(HUB, PUBLIC, by=JO), [], frozenset({PUBLIC}), V.EXPECTED),
        (policy(HUB, by=JO), [OPENED], frozenset({HUB, DEV}), V.VANISHED),
        (policy(HUB, DEV, by=JO), [OPENED], frozenset({HUB, DEV}), V.EXPECTED),
        (policy(HUB, TEST, by=SIBLING), [], frozenset({HUB}), V.EXPECTED),
        (policy(HUB, STRANGER, by=SIBLING), [], frozenset({HUB}), V.STRANGER),
    ],
)
def test_a_policy_is_judged_by_what_is_new_in_it(what, shares, before, expected):
    """PutKeyPolicy writes the whole policy; earlier statements are not this caller's."""
    assert verdict(what, *shares, policies=() if before is None else seen(before)) == expected


def test_only_what_wakes_people_is_severe():
    """A page for a stolen role and for strangers, a warning for a lost permission, a notice for a listed account."""
    severities = {one: MonitorFinding(one, "").severity for one in V}

    assert severities == {
        V.EXPECTED: Severity.NONE,
        V.LISTED: Severity.NOTICE,
        V.VANISHED: Severity.WARNING,
        V.STRANGER: Severity.PAGE,
        V.NO_INTENT: Severity.PAGE,
    }


@pytest.mark.parametrize(
    ("principal", "ours"),
    [
        (OURS, True),
        (f"arn:aws:iam::{HUB}:role/ami-promoter-{HERE}-worker", True),
        (SIBLING, False),
        (f"arn:aws:iam::{DEV}:role/ami-promoter-{HERE}-share-worker", False),
        (f"arn:aws:iam::{HUB}:user/ami-promoter-{HERE}-share-worker", False),
        (f"arn:aws:iam::{HUB}:role/other/ami-promoter-{HERE}-share-worker", False),
        ("", False),
    ],
)
def test_the_service_is_known_by_the_roles_of_this_hubs_functions(principal, ours):
    """The role's account, Region and name decide."""
    assert is_own(principal, HUB, HERE) is ours


def test_what_the_service_does_is_expected_at_whatever_time_it_is_seen_to_be_done():
    """Random histories of a share: each call lies between its intent and its result, within clock differences."""
    random = Random(7)
    for _ in range(1000):
        time, steps, calls = NOW, [], []
        for _ in range(random.randint(1, 4)):
            for intent, result, act in ((S.OPENING, S.OPEN, Act.ADDED), (S.CLOSING, S.CLOSED, Act.REMOVED)):
                time += random.randint(1, 5000)
                steps.append((time, intent))
                for _ in range(random.randint(1, 3)):  # tried again, or by two runs at once
                    calls.append((act, time + random.randint(-AFTER, 30)))
                    time += random.choice((0, 31, 400))
                    calls.append((act, time + random.randint(0, 30)))
                time += 31
                if random.random() < 0.9:  # or the run was killed before the write, and the next intent follows
                    steps.append((time, result))
        life = Known(DEV, DEV, steps=tuple(steps))
        for act, at in calls:
            assert verdict(action(act, DEV, at=at), life) == V.EXPECTED, (act, at - NOW, steps)


def test_a_share_without_its_history_is_known_by_its_own_times():
    """History expires; a share may be open for years."""
    item = Share("resource#snapshot#snap-0a1", DEV, DEV, state=S.OPEN, intended_at=NOW - 9, opened_at=NOW - 2)

    assert verdict(action(Act.ADDED, DEV, at=NOW - 5), known(item, ())) == V.EXPECTED
    assert verdict(action(Act.REMOVED, DEV, by=JO, at=NOW + 10**7), known(item, ())) == V.VANISHED


def test_a_stolen_role_that_revokes_a_grant_of_others_is_a_page():
    """The trail showed the grant, and the ledger was closing nothing for its account. One never seen may be old."""
    revokes = action(Act.REMOVED, **{**ON_KEY, "grant": "g-of-others"})
    reopened = share(DEV, (-600, S.OPEN), (-9, S.CLOSING), (-5, S.OPEN), share_name="d", grantee=ROLE, grants={"g-2"})

    assert verdict(revokes, grant_known=True) == V.NO_INTENT
    assert verdict(revokes, GRANT, grant_known=True) == V.NO_INTENT
    assert verdict(revokes, reopened, grant_known=True) == V.EXPECTED
    assert verdict(revokes, grant_known=False) == V.EXPECTED
    assert verdict(replace(revokes, principal=JO), grant_known=True) == V.EXPECTED


@pytest.mark.parametrize(
    ("by", "before", "after", "expected"),
    [
        (OURS, {"owner", "backup"}, frozenset({"owner"}), V.NO_INTENT),
        (OURS, {"owner"}, frozenset({"owner", "backup"}), V.NO_INTENT),
        (OURS, {"owner"}, frozenset({"owner"}), V.EXPECTED),
        (OURS, set(), frozenset({"owner"}), V.EXPECTED),
        (OURS, None, frozenset({"owner"}), V.EXPECTED),
        (OURS, {"owner"}, None, V.EXPECTED),
        (JO, {"owner", "backup"}, frozenset({"owner"}), V.EXPECTED),
    ],
)
def test_a_stolen_role_that_changes_statements_of_others_in_a_keys_policy_is_a_page(by, before, after, expected):
    """While a share opens, too. What the policy had before, or has now, may not be known; a person may remove any."""
    what = replace(policy(HUB, DEV, by=by), others=after)
    assert verdict(what, OPENING, policies=() if before is None else seen({HUB, DEV}, before)) == expected
