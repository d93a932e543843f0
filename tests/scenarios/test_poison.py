"""Records that cannot be read or that always raise: each is parked alone, and a person finds it."""

import random
from collections.abc import Callable, Mapping

import pytest

from demo import stage
from tests.scenarios import damage
from tests.scenarios.damage import spoil
from tests.scenarios.failures import assert_untouched, calm_pace, metric, write
from tests.scenarios.scene import DEV, GATHERING, TEST, Scene, targets_file

CLOSED_WITHIN = 3600 + 15 * 60
"""Seconds from a copy deadline until a share is closed in any case: grace, and the sweep's longest step."""
FIVE_TRIES = 5 * 180 + 60
SEED = 1
A_FEW = 2
"""The kinds of damage, drawn by SEED, in the normal run; ``tests/scenarios/soak.py`` plays all of them."""


def a_few(kinds: Mapping[str, object]) -> list[str]:
    """Draw some kinds of damage."""
    return random.Random(SEED).sample(sorted(kinds), A_FEW)


def spoil_all(scene: Scene, kinds: Mapping[str, Callable[[damage.Body], damage.Attributes]]) -> None:
    """Damage records while no function runs: a running one would overwrite the damage."""

    def spoilt() -> bool:
        if not all(one.done for one in scene.world.lambda_.invocations):
            return False
        for record, kind in kinds.items():  # asked by the kernel, calls take no time
            spoil(scene, record, kind)
        return True

    scene.run_until(spoilt)


def damage_deliveries(
    scene: Scene, kinds: Mapping[str, Callable[[damage.Body], damage.Attributes]], minutes: int = 5
) -> None:
    """One AMI for each kind: its delivery is damaged while it copies, beside a healthy AMI and target.

    Each is parked, found by ``status`` and counted for the alarm; its share closes at its last closing time, as blind.
    ``minutes``: the copy deadline.
    """
    calm_pace(scene)
    scene.apply(targets_file(queue_deadline="30m", copy_deadline=f"{minutes}m"))
    scene.watch.may_close_blind = True
    images = {name: scene.seed(f"poison-{n}", volumes=(8,), key=None) for n, name in enumerate(sorted(kinds))}
    scene.tag(TEST)
    for image in images.values():
        scene.tag(DEV, image)
    scene.run_until(lambda: sum(scene.live_copies().values()) == len(images) + 2)
    scene.wait(8)
    spoil_all(scene, {f"delivery#{scene.delivery_record(DEV, images[name])['id']}": kinds[name] for name in images})
    scene.run_until_over()
    assert_untouched(scene)
    assert len(scene.after(GATHERING).world.shares_open()) == len(images), scene.world.shares_open()

    scene.wait(FIVE_TRIES)
    found = {one["record"]: one["why"] for one in scene.ask("status")["parked"]}
    for name, image in images.items():
        (shown,) = scene.status(image)["deliveries"]
        assert (shown["account"], bool(shown["parked"])) == (DEV, True), f"{name}: {shown}"
        assert found[f"delivery#{shown['id']}"] == shown["parked"], name
    assert len(found) == len(images)
    assert metric(scene, "RecordsParked") == len(images)
    scene.run_until(lambda: not scene.world.shares_open(), minutes * 60 + CLOSED_WITHIN)
    scene.wait(300)  # two looks, two minutes after the removal
    assert metric(scene, "SharesClosedBlind") == len(images)
    assert scene.watch.problems == []


def test_a_delivery_that_cannot_be_read_is_parked_alone(scene):
    """By hand, by another version, by a bug: parked at once, and no invocation fails."""
    damage_deliveries(scene, {name: damage.UNREADABLE_DELIVERY[name] for name in a_few(damage.UNREADABLE_DELIVERY)})

    assert scene.failed_invocations() == []
    assert scene.dead_letters() == []


def test_a_delivery_that_a_newer_version_wrote_waits_for_that(scene):
    """After a rollback it is not parked, and no invocation fails; it goes on once its form is one that is read."""
    scene.begin_copies(DEV, 600)
    record = f"delivery#{scene.delivery(DEV)['id']}"
    written = scene.record(record)["schema"]
    spoil_all(scene, {record: damage.NEWER})
    scene.wait(30 * 60)
    assert scene.ask("status")["parked"] == []
    assert (scene.failed_invocations(), scene.dead_letters()) == ([], [])
    write(scene, record, schema={"N": str(written)})

    scene.run_until_over()
    scene.assert_delivered(DEV)


@pytest.mark.thorough
def test_a_delivery_over_which_every_look_raises_is_parked_with_the_fifth(scene):
    """Its message is in the dead-letter queue once, and does not return."""
    damage_deliveries(scene, damage.RAISES, minutes=30)

    assert len(scene.failed_invocations()) == 5 * len(damage.RAISES)
    assert len(scene.dead_letters()) == len(damage.RAISES)


def damage_index(scene: Scene, kinds: Mapping[str, Callable[[damage.Body], damage.Attributes]]) -> None:
    """With every other wake lost, the sweep brings the damaged and the healthy records to their end."""
    calm_pace(scene)
    images = {name: scene.seed(f"odd-{n}", volumes=(8,), key=None) for n, name in enumerate(sorted(kinds))}
    for image in (scene.image, *images.values()):
        scene.tag(DEV, image)
    scene.run_until(lambda: sum(scene.live_copies().values()) == len(images) + 2)
    scene.wait(8)
    spoil_all(scene, {f"delivery#{scene.delivery_record(DEV, images[name])['id']}": kinds[name] for name in images})
    scene.world.injections.drop_events()
    scene.world.injections.lose_messages(stage.WAKE_QUEUES, except_from="sweep")
    for image in (scene.image, *images.values()):
        scene.run_until_over(image)

    ends = {name: scene.delivery_state(DEV, image) for name, image in images.items()}
    assert ends == dict.fromkeys(images, "delivered")
    scene.run_until(lambda: not scene.world.shares_open(), 1800)
    scene.assert_invariants()


@pytest.mark.thorough
def test_what_the_sweep_reads_of_a_damaged_record_does_not_stop_it(scene):
    """A record's wake time, deadline and due time are nonsense: the sweep wakes it, and all others."""
    damage_index(scene, damage.HARMLESS)


def damage_shares(scene: Scene, kinds: Mapping[str, Callable[[damage.Body], damage.Attributes]]) -> None:
    """One AMI for each kind, for two targets: the first one's share of the snapshot is damaged while both copy.

    Its permission is revoked; the other's share of the same snapshot is unaffected.
    """
    calm_pace(scene)
    scene.apply(targets_file(queue_deadline="30m", copy_deadline="5m"))
    scene.watch.may_close_blind = True
    images = {name: scene.seed(f"share-{n}", volumes=(8,), key=None) for n, name in enumerate(sorted(kinds))}
    for image in images.values():
        scene.tag("dev", image)
    scene.run_until(lambda: sum(scene.live_copies().values()) == 2 * len(images))
    scene.wait(8)
    for name, image in images.items():
        (snapshot,) = scene.delivery_record(DEV, image)["snapshots"]
        spoil(scene, f"resource#snapshot#{snapshot['id']}", kinds[name], f"share#{DEV}")
    for image in images.values():
        scene.run_until_over(image, seconds=2 * 3600)

    for name, image in images.items():
        assert scene.delivery_state(TEST, image) == "delivered", f"{name}: {scene.describe()}"
        assert_untouched(scene, TEST, image)
        ended = scene.delivery_state(DEV, image)
        assert ended in ("delivered", "failed"), f"{name}: {ended}"
    scene.run_until(lambda: not scene.world.shares_open(), CLOSED_WITHIN)
    assert scene.watch.problems == []
    assert scene.dead_letters() == []


def test_a_share_that_cannot_be_read_closes_and_hinders_no_other(scene):
    """One account's item on a snapshot: the other account is delivered, and no permission stays open."""
    damage_shares(scene, {name: damage.SHARES[name] for name in a_few(damage.SHARES)})
