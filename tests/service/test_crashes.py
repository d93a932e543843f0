"""A process can be killed at any call of any port, before or after its effect; the next run continues from there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import REGION, START, refusal
from tests.service.gate import PortCrash, PortTrouble, ProcessKilled
from tests.service.organization import A, B
from tests.service.scenes import HubSetup, all_delivered, scenes
from tests.service.shared_ami import AMI, HOUR, pass_time, untagged
from tests.stores import on_dynamodb

pytestmark = pytest.mark.thorough

DENIED = PortTrouble("target.keys", "describe", refusal(RefusalKind.DENIED, "AccessDenied"), times=10**9)
"""The delivery fails."""
CRASHES = st.lists(st.builds(PortCrash, st.integers(0, 600), st.booleans()), min_size=1, max_size=4)


def test_a_kill_at_any_one_call_changes_nothing():
    """One target, two snapshots: killed at every call of the whole promotion, before and after its effect."""
    scene = HubSetup(amis=((0, 1),), encrypted=(True, False, True, True))
    undisturbed = scene.play().gate.calls
    for call in range(undisturbed):
        for after in (False, True):
            all_delivered(scene.play(crashes=[PortCrash(call, after)]), notified_once=False)


def test_a_kill_at_any_call_for_a_key_policy_changes_nothing():
    """Killed also at KMS's calls: between reading a policy, writing it and reading it again."""
    scene = HubSetup(key_access="policy")
    hub, calls = scene.hub(), set()
    real = hub.gate.call

    def call(name, method, *rest):
        if name in ("kms", "policies"):
            calls.add(hub.gate.calls)
        return real(name, method, *rest)

    hub.gate.call = call
    hub.cloud.after(0, lambda: hub.cloud.tag("ami-0a", "default"))
    hub.run()
    all_delivered(hub)
    assert len(calls) > 8
    for number in sorted(calls):
        for after in (False, True):
            all_delivered(scene.play(crashes=[PortCrash(number, after)]), notified_once=False)


@given(scenes(most_accounts=2, most_snapshots=3), CRASHES)
@settings(max_examples=60)
def test_several_kills_change_nothing_however_messages_arrive(scene, crashes):
    """Several kills, with any delays and losses of events and wakes."""
    all_delivered(scene.play(crashes=crashes), notified_once=False)


@given(scenes(most_accounts=1, most_snapshots=2), CRASHES)
@settings(max_examples=2)
def test_kills_change_nothing_on_dynamodb(scene, crashes):
    """The same on the real stores, with DynamoDB's conditional writes."""
    with on_dynamodb() as stores:
        all_delivered(scene.play(crashes=crashes, stores=stores, watchful=False), notified_once=False)


@pytest.mark.parametrize("after", [False, True])
def test_a_message_group_that_is_always_killed_at_one_step_ends_among_the_dead_letters_or_at_its_deadline(after):
    """Killed at every publish: all that needs no publishing is done, and nothing stays open."""
    scene = HubSetup()
    hub = scene.hub()
    real = hub.gate.call

    def call(name, method, *rest):
        if (name, method) == ("notices", "publish"):
            hub.gate.crashes.append(PortCrash(hub.gate.calls, after))
        return real(name, method, *rest)

    hub.gate.call = call
    hub.cloud.tag("ami-0a", "default")
    assert not hub.wait(30 * 3600).cloud.permissions
    assert not hub.cloud.grants
    assert len(hub.cloud.images) == 1


def until_killed(hub):
    """Run until the only trouble has struck."""
    hub.until(lambda: not hub.gate.troubles[0].times)


def tagged_and_killed(hub, value, account, *, again):
    """Tag the AMI; the process is killed between a tracked delivery and its record. ``again``: it had one before."""
    key = hub.delivery_key(AMI, account)
    only = lambda *args: args[int(again)].key == key  # noqa: E731
    hub.gate.troubles.append(PortTrouble("records", "save" if again else "create", ProcessKilled(), only=only))
    hub.cloud.tag(AMI, value)
    until_killed(hub)


def pause_and_untag(hub):
    """No new promotion goes on, and the tag is removed."""
    hub.cloud.paused = True
    hub.cloud.tag(AMI, None)


@pytest.mark.parametrize(
    "then", [lambda hub: hub.withdraw(AMI, B), pause_and_untag], ids=["an operator withdraws it", "pause, tag removed"]
)
@pytest.mark.parametrize("again", [False, True])
def test_a_delivery_that_was_announced_and_never_written_keeps_no_promotion_from_its_end(again, then):
    """Nobody wants it a moment later; the next tag serves it."""
    hub = untagged(watchful=False)
    if again:
        hub.cloud.tag(AMI, f"{A} {B}")
        hub.run(until=START + 3)
        hub.cloud.tag(AMI, None)
        hub.run(until=START + HOUR)
        assert set(hub.outcomes().values()) == {"cancelled"}

    tagged_and_killed(hub, f"{A} {B}", B, again=again)
    then(hub)
    assert hub.wait(2 * HOUR).stores.seen(addresses.promotion(AMI)).state == "over"
    assert hub.outcomes().get((AMI, B)) == ("cancelled" if again else None)
    hub.cloud.paused = False
    hub.cloud.tag(AMI, None)
    hub.wait(HOUR)
    hub.cloud.tag(AMI, f"{A} {B}")
    assert hub.ended() == {(AMI, A): "delivered", (AMI, B): "delivered"}


def test_a_delivery_that_is_killed_right_after_its_request_for_slots_returns_them():
    """It is cancelled before it asks again; its record says from the beginning that it may have asked."""
    hub = untagged((A,), watchful=False)
    hub.gate.troubles.append(PortTrouble("slots", "ask", ProcessKilled(), after=True))
    quota = addresses.copy_quota(A, REGION)

    hub.cloud.tag(AMI, A)
    until_killed(hub)
    assert [lease.lacking for lease in hub.stores.slots.leases(quota)] == [1]
    hub.cloud.tag(AMI, None)

    assert hub.wait(HOUR).outcomes() == {(AMI, A): "cancelled"}
    assert list(hub.stores.slots.leases(quota)) == []


@pytest.mark.parametrize("before", ["nothing", "cancelled", "failed"])
def test_a_delivery_that_was_announced_and_never_written_is_begun_if_it_is_wanted(before):
    """An operator's `retry` came before the next run."""
    hub = untagged((A,), watchful=False)
    if before != "nothing":
        if before == "failed":
            hub.troubles.append(DENIED)
        hub.cloud.tag(AMI, A)
        hub.run(until=START + (HOUR if before == "failed" else 3))
        hub.cloud.tag(AMI, None)
        if before == "cancelled":
            hub.run(until=START + HOUR)
        hub.troubles.clear()
        assert hub.outcomes() == {(AMI, A): before}

    tagged_and_killed(hub, A, A, again=before != "nothing")
    hub.stores.records.leave(addresses.promotion(AMI), {"retry": f"{hub.cloud.now}:"}, hub.cloud.now)
    assert hub.wait(HOUR).outcomes() == {(AMI, A): "delivered"}
    assert hub.stores.seen(addresses.promotion(AMI)).state == "over"


def test_a_failed_delivery_that_was_announced_again_and_never_written_begins_when_it_is_wanted_again():
    """The file lost the account, and has it again later."""
    hub = untagged((A,), watchful=False)
    file = hub.cloud.directory
    hub.troubles.append(DENIED)
    hub.cloud.tag(AMI, A)
    hub.run(until=START + HOUR)
    assert hub.outcomes() == {(AMI, A): "failed"}
    hub.troubles.clear()
    hub.cloud.tag(AMI, None)
    tagged_and_killed(hub, A, A, again=True)
    hub.cloud.drop_targets(A)
    pass_time(hub, HOUR)
    assert hub.outcomes() == {(AMI, A): "failed"}
    assert hub.stores.seen(addresses.promotion(AMI)).state == "over"
    hub.cloud.directory = file
    hub.stores.records.leave(addresses.promotion(AMI), {"file": "new"}, hub.cloud.now)
    assert hub.wait(HOUR).outcomes() == {(AMI, A): "delivered"}
