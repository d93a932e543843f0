"""The access monitor end to end: no finding for the service's acts, and one for a thief's or a stranger's."""

import json

import pytest

from tests.scenarios.monitoring import (
    LATE,
    OF_AN_ORGANIZATION,
    WAYS,
    audited,
    findings,
    judged,
    judged_events,
    monitored,
    share,
    switch_off,
    verdicts,
)
from tests.scenarios.scene import (
    DEV,
    HOUR,
    HUB,
    PROD,
    REGION,
    SERVICE,
    STRANGER,
    TEST,
    Scene,
    lets,
    permit,
    put_key_policy,
    targets_file,
)
from tests.scenarios.stolen import client

OURS = f"arn:aws:iam::{HUB}:role/ami-promoter-{REGION}-share-worker"


def admit(scene: Scene, *accounts: str) -> None:
    """Let the hub's account and others use the key by its policy."""
    principals = [f"arn:aws:iam::{account}:root" for account in (HUB, *accounts)]
    put_key_policy(scene.client("kms"), scene.key, {**lets(HUB, "kms:*"), "Principal": {"AWS": principals}})


# --- no finding for expected acts ---


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.thorough_but("share, by the key's policy")
def test_a_promotion_and_its_withdrawal_raise_nothing(scene, way):
    """In each mode; the monitor has judged what was opened and closed."""
    for account in (DEV, TEST):
        scene.world.iam.put_service_linked_role(account, SERVICE)
    scene.apply(targets_file(**WAYS[way]))
    monitored(scene)
    scene.promote("dev")
    scene.wait(LATE)
    before = judged(scene)
    assert before >= 3
    scene.untag()
    assert verdicts(scene.after(LATE + 600)) == audited(scene) == []
    assert judged(scene) > before
    assert scene.dead_letters() == []
    assert scene.failed_invocations() == []


# --- findings ---


def test_a_stolen_share_worker_pages_even_where_it_forges_the_ledger(scene):
    """It shares with a stranger, and with a listed account without a promotion, and grants that account a key."""
    monitored(scene, **OF_AN_ORGANIZATION)
    share(scene, STRANGER, by="share-worker")
    assert verdicts(scene.after(LATE)) == [("page", "own-without-intent")]
    [finding] = findings(scene)
    assert (finding["receivers"], finding["resource"]) == ([STRANGER], scene.snapshots[0])
    assert finding["principal"] == OURS

    scene.wait(HOUR)
    share(scene, PROD, by="share-worker")
    assert verdicts(scene.after(LATE)) == [("page", "own-without-intent")] * 2

    client(scene, "share-worker", "kms").create_grant(
        KeyId=scene.key, GranteePrincipal=f"arn:aws:iam::{PROD}:root", Operations=["Decrypt"]
    )
    assert verdicts(scene.after(LATE)) == [("page", "own-without-intent")] * 3

    scene.wait(HOUR)
    now = int(scene.world.now.timestamp())
    forged = {
        "pk": {"S": f"resource#snapshot#{scene.snapshots[1]}"},
        "sk": {"S": f"history#share#{STRANGER}#{now:010d}#00000001"},
        "entries": {"S": json.dumps([{"version": 1, "at": now, "state": "opening", "what": []}])},
    }
    client(scene, "share-worker", "dynamodb").put_item(TableName=f"ami-promoter-{REGION}", Item=forged)
    permit(client(scene, "share-worker", "ec2"), scene.snapshots[1], STRANGER)
    assert verdicts(scene.after(LATE)) == [("page", "own-without-intent")] * 4
    assert "does not list" in findings(scene)[-1]["why"]


def test_a_person_who_shares_with_a_listed_account_is_a_notice_and_with_everybody_a_page(scene):
    """The file lists the account, so there is no harm, but the notice says that it happened.

    Where the block of public snapshots is lifted, nothing need have become public yet.
    """
    monitored(scene)
    share(scene, DEV)
    assert verdicts(scene.after(LATE)) == [("notice", "foreign-listed")]

    image, ec2 = scene.seed("unencrypted", key=None), scene.client("ec2")
    ec2.disable_image_block_public_access()
    scene.wait(LATE)
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]})
    assert verdicts(scene.after(LATE))[1:] == [("page", "foreign-stranger")] * 2
    expected = [("DisableImageBlockPublicAccess", ["all"]), ("ModifyImageAttribute", ["all"])]
    assert [(one["call"], one["receivers"]) for one in findings(scene)[1:]] == expected

    scene.wait(HOUR)
    ec2.disable_snapshot_block_public_access()
    assert verdicts(scene.after(LATE))[3:] == [("page", "foreign-stranger")]
    assert findings(scene)[3]["call"] == "DisableSnapshotBlockPublicAccess"


def test_a_stranger_in_a_keys_policy_pages(scene):
    """The key is one of the service's, and its policy was seen before."""
    scene.apply(targets_file(**WAYS["copy, by the key's policy"]))
    monitored(scene)
    scene.promote("dev")
    scene.wait(LATE)
    admit(scene, STRANGER)
    assert verdicts(scene.after(LATE)) == [("page", "foreign-stranger")]
    assert findings(scene)[0]["receivers"] == [STRANGER]


def test_the_use_of_a_key_is_judged_where_a_parameter_asks_for_it_and_nowhere_else(scene):
    """A promotion's own use raises nothing; a stranger's is a page, a listed account's and a person's are a notice.

    A rule gets events of read-only calls in one state only; this one is deployed with ``with-key-use`` alone.
    """
    admit(scene, STRANGER, TEST)
    monitored(scene)
    scene.promote("dev")
    scene.client("kms", STRANGER).decrypt(KeyId=scene.key, CiphertextBlob=b"x")
    assert judged(scene.after(LATE)) >= 3
    assert verdicts(scene) == []

    monitored(scene, WatchKeyUse="true")
    scene.promote("dev", scene.seed("another"))
    scene.wait(LATE)
    assert [one["call"] for one in judged_events(scene)].count("Decrypt") >= 3
    assert verdicts(scene) == []

    for account in (STRANGER, TEST):
        scene.client("kms", account).generate_data_key(KeyId=scene.key, KeySpec="AES_256")
    scene.person("person", "kms", allowed="kms:Decrypt").decrypt(KeyId=scene.key, CiphertextBlob=b"x")
    assert sorted(verdicts(scene.after(LATE))) == [*[("notice", "foreign-listed")] * 2, ("page", "foreign-stranger")]


# --- messages ---


def test_nothing_pages_while_it_learns(scene):
    """For the learning hours after its first event a page is a notice."""
    monitored(scene, learning=2)
    share(scene, STRANGER)
    assert verdicts(scene.after(LATE)) == [("notice", "foreign-stranger")]
    assert findings(scene)[0]["learning"] is True

    scene.wait(2 * HOUR)
    share(scene, STRANGER)
    assert verdicts(scene.after(LATE))[1:] == [("page", "foreign-stranger")]


@pytest.mark.parametrize(
    ("operation", "when"), [("PutItem", "before"), ("PutItem", "after"), ("Publish", "before"), ("Publish", "after")]
)
@pytest.mark.thorough_but("Publish-before")
def test_a_death_of_the_monitor_hides_nothing(scene, operation, when):
    """It may publish a finding twice, but loses none."""
    monitored(scene, **OF_AN_ORGANIZATION)
    crash = scene.world.injections.crash("access-monitor", operation, 1, when)
    share(scene, STRANGER, by="share-worker")
    scene.wait(LATE + 600)

    assert crash.happened
    assert set(verdicts(scene)) == {("page", "own-without-intent")}
    assert len(verdicts(scene)) <= 2


# --- a silent trail ---


def silent(scene: Scene) -> int:
    """How often the monitor reported that the trail is silent."""
    logs = [one.log for one in scene.world.lambda_.invocations if one.function.endswith("access-monitor")]
    return sum(log.count('"message":"the trail is silent"') for log in logs)


def test_a_trail_without_the_services_grants_is_silent(scene):
    """Half an hour after a grant that no event showed, and until one shows; not where there is nothing to show."""
    monitored(scene)
    assert silent(scene.after(HOUR)) == 0
    scene.world.cloudtrail.stop_logging(HUB)
    scene.copying("dev", 1500)
    assert silent(scene.after(25 * 60)) == 0
    assert silent(scene.after(15 * 60)) >= 1

    scene.world.cloudtrail.start_logging(HUB)
    scene.promote("dev", scene.seed("another"))
    scene.wait(LATE + 300)
    before = silent(scene)
    assert silent(scene.after(HOUR)) == before
    assert judged(scene) > 3


# --- off and on again ---


@pytest.mark.thorough
def test_what_happens_while_it_is_off_is_the_drift_audits_to_find(scene):
    """Switched on again it knows what it learned: no event of that time is judged, no second learning period begins."""
    monitored(scene, learning=1, **OF_AN_ORGANIZATION)
    scene.promote("dev")
    scene.wait(2 * HOUR)
    seen = judged(scene)
    switch_off(scene)
    share(scene, STRANGER, by="share-worker")
    scene.wait(HOUR)
    scene.client("dynamodb").update_item(
        TableName=f"ami-promoter-{REGION}-findings",
        Key={"pk": {"S": "drift"}, "sk": {"S": "pass"}},
        UpdateExpression="ADD began_at :day",  # as if the last audit had begun yesterday
        ExpressionAttributeValues={":day": {"N": str(-24 * HOUR)}},
    )
    monitored(scene, learning=1, **OF_AN_ORGANIZATION)
    assert (verdicts(scene.after(2 * HOUR)), judged(scene)) == ([], seen)
    assert audited(scene) == [("page", "foreign-stranger", scene.snapshots[0])]
    assert silent(scene) == 0
    share(scene, PROD, by="share-worker")
    assert verdicts(scene.after(LATE)) == [("page", "own-without-intent")]
    scene.world.ec2.pace.copy = 1500
    scene.promote("dev", scene.seed("another"))
    assert silent(scene.after(HOUR)) == 0


# --- other Regions ---


def let_in(scene, role, account):
    """As a role that somebody made in the hub, share the snapshot with an account, and grant it the key."""
    permit(scene.person(role, "ec2"), scene.snapshots[0], account)
    root = f"arn:aws:iam::{account}:root"
    scene.person(role, "kms").create_grant(
        KeyId=scene.key, GranteePrincipal=root, Operations=["Decrypt", "CreateGrant"]
    )


def test_only_a_hub_that_the_operator_names_is_a_sibling_and_never_towards_strangers(scene):
    """Anybody who may create roles can give one the name of another Region's share worker."""
    monitored(scene, SiblingRegions="eu-west-1,eu-north-1")
    scene.promote("dev")
    scene.wait(LATE)
    assert verdicts(scene) == []

    let_in(scene, "ami-promoter-eu-west-1-share-worker", PROD)
    scene.wait(LATE)
    assert verdicts(scene) == [], "a sibling, and an account of the file"
    known = 0
    for role, account, verdict in (
        ("ami-promoter-eu-west-1-share-worker", STRANGER, ("page", "foreign-stranger")),
        ("ami-promoter-eu-west-2-share-worker", PROD, ("notice", "foreign-listed")),
        ("ami-promoter-x-share-worker", STRANGER, ("page", "foreign-stranger")),
    ):
        let_in(scene, role, account)
        scene.wait(LATE)
        assert verdicts(scene)[known:] == [verdict] * 2, role
        known += 2
    scene.watch.problems.clear()
