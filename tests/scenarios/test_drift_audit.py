"""The drift audit end to end: the packaged function, under its own role, over what the simulator's EC2 and KMS show."""

import json

import pytest

from tests.scenarios.failures import metric
from tests.scenarios.monitoring import WAYS, audited, monitored, share
from tests.scenarios.scene import (
    DEV,
    HOUR,
    HUB,
    REGION,
    SERVICE,
    STRANGER,
    TEST,
    Scene,
    lets,
    put_key_policy,
    targets_file,
)

TWO_LOOKS = 1800
"""Seconds in which a pass over a small hub begins and takes its second looks."""


def passes(scene: Scene) -> dict[str, int]:
    """How far it has come."""
    client = scene.client("dynamodb")
    key = {"pk": {"S": "drift"}, "sk": {"S": "pass"}}
    item = client.get_item(TableName=f"ami-promoter-{REGION}-findings", Key=key, ConsistentRead=True)["Item"]
    return {name: int(value["N"]) for name, value in item.items() if "N" in value}


@pytest.mark.parametrize(
    "way", ["copy, by grants, for Auto Scaling", "copy, by the key's policy", "share with snapshots, by grants"]
)
@pytest.mark.thorough_but("share with snapshots, by grants")
def test_what_a_promotion_opens_is_accounted_for_in_every_mode(scene, way):
    """While copies run, while it is shared, and after the tag was removed."""
    for account in (DEV, TEST):
        scene.world.iam.put_service_linked_role(account, SERVICE)
    scene.apply(targets_file(**WAYS[way]))
    scene.world.ec2.pace.copy = 2 * HOUR
    scene.tag("dev")
    assert scene.after(1200).world.shares_open()
    monitored(scene)
    assert audited(scene.after(TWO_LOOKS)) == []
    seen = passes(scene)
    assert seen["ended_at"]
    assert (metric(scene, "DriftLooks") >= 6, seen["not_seen"]) == (True, 0)
    assert scene.failed_invocations() == []


def test_what_was_opened_past_the_service_is_found_though_no_event_says_so(scene):
    """A stranger's snapshot, a listed account's AMI, a stranger's grant and a stranger in the key's policy.

    No trail logs, so the access monitor receives no event. `ami-promoter history` shows what was found.
    """
    scene.promote("dev")
    monitored(scene)
    scene.world.cloudtrail.stop_logging(HUB)
    root = f"arn:aws:iam::{STRANGER}:root"
    share(scene, STRANGER)
    scene.client("ec2").modify_image_attribute(ImageId=scene.image, LaunchPermission={"Add": [{"UserId": TEST}]})
    scene.client("kms").create_grant(KeyId=scene.key, GranteePrincipal=root, Operations=["Decrypt"])
    policy = json.loads(scene.key_policy())
    put_key_policy(scene.client("kms"), scene.key, *policy["Statement"], lets(STRANGER, "kms:*"))
    before = scene.world.shares_open()
    assert sorted(audited(scene.after(TWO_LOOKS))) == [
        ("notice", "foreign-listed", scene.image),
        ("page", "foreign-stranger", scene.key),
        ("page", "foreign-stranger", scene.key),
        ("page", "foreign-stranger", scene.snapshots[0]),
    ]
    assert scene.world.shares_open() == before  # it closes nothing that is not the service's
    found = scene.ask("history", scene.image)["findings"]
    assert [one["severity"] for one in found if one["call"] == "drift audit"].count("page") == 3


def test_a_grant_of_the_service_that_the_ledger_does_not_know_is_a_page_and_is_closed(scene):
    """Somebody made it with the share worker's role while no trail logged; the share worker revokes it."""
    scene.promote("dev")
    scene.wait(1200)  # the grant audit has looked and rests
    root = f"arn:aws:iam::{DEV}:root"
    scene.client("kms").create_grant(
        KeyId=scene.key, GranteePrincipal=root, Operations=["Decrypt"], Name=f"ami-promoter:{REGION}:forged:1"
    )
    monitored(scene)
    scene.world.cloudtrail.stop_logging(HUB)
    assert audited(scene.after(TWO_LOOKS)) == [("page", "own-without-intent", scene.key)]
    assert scene.grants() == []


@pytest.mark.parametrize(("operation", "when"), [("PutItem", "after"), ("Publish", "after")])
@pytest.mark.thorough_but("Publish-after")
def test_a_death_of_the_audit_hides_nothing(scene, operation, when):
    """The next run continues; a finding may be published twice, and is published at least once."""
    monitored(scene)
    scene.world.cloudtrail.stop_logging(HUB)
    share(scene, STRANGER)
    crash = scene.world.injections.crash("drift-audit", operation, 1, when)
    scene.wait(TWO_LOOKS + 600)

    assert crash.happened
    assert set(audited(scene)) == {("page", "foreign-stranger", scene.snapshots[0])}
