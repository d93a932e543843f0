"""Two versions of the service meet one table: an upgrade, the minutes of a deployment, and a rollback.

Both are this code: the newer one has another form of each kind, in which nothing has come.
"""

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.schema import FORMS, Forms, grown
from chalicelib.entry.queue_consumer import SHARE_WORKER_KINDS, WORKER_KINDS
from chalicelib.promotion.worker.tag_pass import BASELINE
from tests.service.cloud import CloudBehavior
from tests.service.hub import Hub
from tests.service.shared_ami import AMI, HOUR, A, B, open_to, pass_time
from tests.stores import on_dynamodb, stores_on

MINUTES = 180
"""Seconds of a deployment, in which some functions are of the older version and some of the newer one."""
BESIDE = ("tracked", "head", "share", "archive", "release", "found")
"""Kinds of items with a body that are no records, but for ``image``."""


def newer(*kinds: str) -> Forms:
    """The forms of a version that has changed these kinds of items."""
    return Forms({**FORMS.steps, **{kind: (*FORMS.steps.get(kind, ()), grown) for kind in kinds}})


ALL_BUT_IMAGES = newer(*WORKER_KINDS, *SHARE_WORKER_KINDS, *BESIDE)
NEWER = newer(*ALL_BUT_IMAGES.steps, "image")
WORKERS = ("deliveries", "promotions", "pointers", "copy_quotas", "own_notices")
"""What runs in the function `worker`."""
FUNCTIONS = {"worker": WORKERS, "share-worker": ("share_worker", "grant_audit"), "discover": ("_discover",)}
MOMENTS = (0, *(pytest.param(seconds, marks=pytest.mark.thorough) for seconds in (3, 8, 600)))
"""Seconds after an AMI was tagged."""
OUTCOME = {"copy": "delivered", "share": "shared"}


@pytest.fixture
def table():
    with on_dynamodb() as stores:
        yield stores.table


def a_hub(table, mode="copy", forms: Forms = FORMS) -> Hub:
    """A hub of one version; its copies take an hour."""
    slow = CloudBehavior(copying=(HOUR,))
    hub = Hub((A, B), stores=stores_on(table, forms), target={"mode": mode}, behavior=slow).unwatched()
    hub.cloud.make_image(AMI, {"snap-00": True})
    return hub


def deploy(hub, forms: Forms, but=()) -> None:
    """Let all functions be of another version, ``but`` some."""
    kept = {name: getattr(hub, name) for function in but for name in FUNCTIONS[function]}
    hub.stores = stores_on(hub.stores.table, forms)
    hub._wire()
    vars(hub).update(kept)


def ended_well(hub, mode) -> None:
    """Both targets have the AMI, without a failure, with one notice each, and nothing is parked or open for copies."""
    assert set(hub.ended().values()) == {OUTCOME[mode]}
    assert [key for key in hub.known() if (seen := hub.stores.seen(key)) and seen.parked] == []
    assert len(hub.notified(f"delivery.{OUTCOME[mode]}")) == 2
    assert hub.faults() == []
    if mode == "copy":
        assert open_to(hub) == set()


@pytest.mark.parametrize("mode", OUTCOME)
@pytest.mark.parametrize("seconds", MOMENTS)
def test_an_upgrade_goes_on_with_what_the_older_version_has_begun(table, mode, seconds):
    """Whatever has been written by then."""
    hub = a_hub(table, mode)
    hub.cloud.tag(AMI, "default")
    hub.wait(seconds)
    deploy(hub, NEWER)

    ended_well(hub, mode)


@pytest.mark.parametrize("mode", OUTCOME)
@pytest.mark.parametrize("late", [("worker",), ("share-worker",), ("discover",), ("worker", "discover")])
@pytest.mark.parametrize("seconds", MOMENTS[:-1])
@pytest.mark.thorough
def test_functions_of_two_versions_hold_up_each_other_for_minutes_alone(table, mode, late, seconds):
    """CloudFormation updates the functions one after the other: what the newer ones have written waits for the late."""
    hub = a_hub(table, mode)
    hub.cloud.tag(AMI, "default")
    hub.wait(seconds)
    deploy(hub, NEWER, but=late)
    pass_time(hub, MINUTES)
    deploy(hub, NEWER)
    hub.wait(HOUR // 4)

    assert {account for _, account in hub.cloud.permissions | hub.cloud.launches} == {A, B}
    ended_well(hub, mode)


@pytest.mark.parametrize("mode", OUTCOME)
@pytest.mark.parametrize("seconds", MOMENTS)
def test_what_a_newer_version_wrote_goes_on_when_it_is_deployed_again(table, mode, seconds):
    """Nobody unparks a record; the older version neither fails nor ends a delivery meanwhile."""
    hub = a_hub(table, mode, NEWER)
    hub.cloud.tag(AMI, "default")
    hub.wait(seconds)
    deploy(hub, FORMS)
    pass_time(hub, HOUR // 2)
    deploy(hub, NEWER)

    ended_well(hub, mode)


@pytest.mark.parametrize("mode", OUTCOME)
def test_after_a_rollback_what_the_tag_no_longer_names_is_closed(table, mode):
    """Revoking waits for no version; and the delivery's end is written by the version that reads its record.

    What was copied is known by the item of the source alone: of a newer form of that, shares wait for their end.
    """
    hub = a_hub(table, mode, ALL_BUT_IMAGES)
    hub.cloud.tag(AMI, "default")
    hub.wait(600)
    deploy(hub, FORMS)
    pass_time(hub, 600)
    hub.cloud.tag(AMI, A)

    assert open_to(hub, after=HOUR // 2) == {A}
    deploy(hub, ALL_BUT_IMAGES)
    assert hub.ended() == {(AMI, A): OUTCOME[mode], (AMI, B): "cancelled" if mode == "copy" else "withdrawn"}


@pytest.mark.parametrize("forged", [BASELINE, addresses.TRIGGER, RecordKey("cursors", "standing")], ids=str)
def test_a_body_where_there_is_none_keeps_nothing_open(table, forged):
    """Somebody wrote it into an item of discovery, in a form that no version reads: its passes are for all AMIs."""
    hub = a_hub(table, "share")
    hub.cloud.tag(AMI, "default")
    hub.wait(HOUR)
    hub.park(addresses.promotion(AMI))
    given = {":body": "{}", ":schema": 99}
    table.update(forged, "SET body = :body, #schema = :schema", given, names={"#schema": "schema"})
    hub._wire()
    hub.cloud.tag(AMI, A)

    assert open_to(hub, after=HOUR) == {A}


def test_what_is_tagged_again_after_a_rollback_begins_when_the_newer_version_is_deployed_again(table):
    """A delivery that the older version cannot read does not count as failed: nobody would try it again."""
    hub = a_hub(table, forms=newer("delivery"))
    hub.cloud.tag(AMI, "default")
    hub.wait(600)
    hub.cloud.tag(AMI, A)
    assert hub.ended() == {(AMI, A): "delivered", (AMI, B): "cancelled"}
    deploy(hub, FORMS)
    hub.cloud.tag(AMI, "default")
    hub.wait(HOUR)
    deploy(hub, newer("delivery"))

    ended_well(hub, "copy")


def test_after_a_rollback_new_amis_are_delivered(table):
    """What the newer version left behind holds up no other AMI."""
    hub = a_hub(table, forms=NEWER)
    hub.cloud.tag(AMI, "default")
    hub.wait(600)
    deploy(hub, FORMS)
    hub.cloud.make_image("ami-01", {"snap-01": False})
    hub.cloud.tag("ami-01", "default")
    hub.wait(2 * HOUR)

    assert {hub.outcomes()["ami-01", account] for account in (A, B)} == {"delivered"}
    assert hub.stores.seen(addresses.promotion(AMI)).scheduled
