"""``promote``, ``cancel`` and ``retry``: the tag from the command line, and another try for what failed."""

import json

from tests.scenarios.failures import write
from tests.scenarios.platform import hub_checks
from tests.scenarios.scene import DEV, TEST, targets_file


def test_promote_and_cancel_write_and_remove_the_tag(scene):
    """A promoted AMI is copied; a cancelled one ends, and nothing of it is left."""
    scene.world.ec2.pace.copy = 600
    asked = scene.ask("promote", scene.image, DEV)
    assert (asked["ami"], asked["value"], asked["named"]) == (scene.image, DEV, 1)
    scene.run_until(lambda: len(scene.live_copies()) == 2)

    assert scene.ask("cancel", "--yes", scene.image)["changed"]
    assert scene.outcome() == {DEV: "cancelled"}
    assert not scene.ask("cancel", "--yes", scene.image)["changed"]
    assert scene.cli("promote", "ami-00000000000000000", "dev")[0] == 1
    scene.assert_invariants()


def test_retry_tries_again_what_failed_at_one_account_or_at_all(scene):
    """Both failed for lack of the role. A retry for one leaves the other's record; a retry for all retries it, too."""
    scene.apply(targets_file(queue_deadline="10m"))
    restored = [scene.drop_role(account) for account in (DEV, TEST)]
    assert scene.promoted("dev") == {DEV: "failed", TEST: "failed"}
    for restore in restored:
        restore()

    assert len(scene.ask("retry", scene.image, "--account", DEV)["again"]) == 1
    assert scene.outcome(times=2) == {DEV: "delivered", TEST: "failed"}

    assert len(scene.ask("retry", scene.image)["again"]) == 1
    assert scene.outcome(times=3) == {DEV: "delivered", TEST: "delivered"}
    assert scene.ask("retry", scene.image) == {"ami": scene.image, "unparked": [], "again": [], "pointers": []}
    scene.assert_invariants()


def test_retry_lets_a_parked_delivery_go_on(scene):
    """A damaged record was parked while it copied, as doctor says; after the repair it continues and is delivered."""
    scene.begin_copies(DEV, 600)
    record = f"delivery#{scene.delivery(DEV)['id']}"
    good = scene.record(record)["body"]
    write(scene, record, body={"S": "{"})
    scene.run_until(lambda: scene.record(record).get("parked"))
    ((passed, _, cure),) = hub_checks(scene, "parked")
    assert (passed, f"`ami-promoter admin reconcile --unpark '{record}'`" in cure) == (False, True), cure
    write(scene, record, body={"S": good})

    assert scene.ask("retry", scene.image)["unparked"] == [record]
    scene.run_until_over()
    scene.assert_delivered(DEV)


def test_who_may_wake_the_worker_is_answered_within_seconds(scene):
    """``doctor`` waits for no sweep; without the permission to wake it gets every answer within a minute or so."""
    scene.wait(10 * 60)

    def seconds() -> float:
        begun = scene.world.now
        status, out, err = scene.cli("doctor", "--json")
        assert status in (0, 5), out + err
        assert not [one for one in json.loads(out)["findings"] if "not answered" in one["what"]]
        return (scene.world.now - begun).total_seconds()

    assert seconds() < 15
    scene.world.injections.refuse("SendMessageBatch", "AccessDenied")
    assert 15 < seconds() < 120
