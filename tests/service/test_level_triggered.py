"""A promotion compares what is wanted with what there is: nothing that happens in between is lost."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import MOST_FAULTS
from chalicelib.promotion import commands as do
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.targets.applied_file import Directory, Target
from tests.service.arrivals import Arrivals
from tests.service.cloud import REGION, CloudBehavior, target_key
from tests.service.gate import ProcessKilled
from tests.service.hub import Hub
from tests.service.organization import A, B, C
from tests.service.shared_ami import (
    AMI,
    HOUR,
    conflicting,
    disable_key,
    pass_time,
    pause,
    record,
    send_tag_change,
    shared,
    tagged,
    untagged,
    when,
    withdrawn,
)
from tests.stores import on_dynamodb

SLOW = CloudBehavior(copying=(5 * HOUR,))


# --- withdrawals -----------------------------------------------------------------------------------------------------


def test_two_accounts_that_are_withdrawn_one_after_the_other_are_both_out():
    """The promotion has just read the table for A as an operator withdraws B."""
    hub = tagged(behavior=SLOW)
    assert set(hub.wait(1800).outcomes().values()) == {"copying"}
    when(hub, do.Compare, lambda: hub.withdraw(AMI, B))
    hub.withdraw(AMI, A)
    pass_time(hub, HOUR)
    assert not hub.cloud.permissions
    assert hub.ended() == {(AMI, A): "cancelled", (AMI, B): "cancelled"}


@pytest.mark.parametrize("look", [do.Slice, do.Compare, do.LookAtTag, do.Examine])
def test_whatever_the_promotion_just_did_a_withdrawal_ends_its_delivery(look):
    """The entry comes between the read and the write of any of its steps."""
    hub = tagged(behavior=SLOW)
    when(hub, look, lambda: hub.withdraw(AMI, B))
    pass_time(hub, HOUR)

    assert hub.outcomes().get((AMI, B), "cancelled") == "cancelled"
    assert hub.outcomes()[AMI, A] == "copying"
    assert {account for _, account in hub.cloud.permissions} == {A}


def test_a_pause_that_a_slow_run_has_read_puts_off_no_withdrawal():
    """Meanwhile an operator withdraws B, and the run that has compared this is killed before it asks B to end."""
    hub = tagged(f"{A} {B}", (A, B, C), behavior=SLOW).unwatched().wait(1800)

    the_pass = hub.promotions.executor._pass

    def withdraw() -> None:
        hub.withdraw(AMI, B)
        the_pass.end, real = killed, the_pass.end
        with pytest.raises(ProcessKilled):
            hub.promotions.run(addresses.promotion(AMI), "withdraw", time_left=lambda: 30)
        the_pass.end = real

    def killed(*_given: object) -> None:
        raise ProcessKilled

    pause(hub)
    when(hub, do.Examine, withdraw)
    hub.cloud.tag(AMI, f"{A} {B} {C}")

    assert {account for _, account in hub.wait(180).cloud.permissions} == {A}


def test_an_account_that_the_file_loses_while_others_begin_is_asked_to_end_at_once():
    """The source was just examined for the tag's new value, and deliveries begin by the file of before."""
    hub = tagged(f"{A} {B}", (A, B, C), behavior=SLOW).unwatched().wait(1800)
    accounts = hub.cloud.directory.accounts
    file = Directory({}, {A: accounts[A], C: accounts[C]})
    when(hub, do.Examine, lambda: setattr(hub.cloud, "directory", file))
    hub.cloud.tag(AMI, f"{A} {B} {C}")

    assert hub.wait(30).outcomes()[AMI, B] != "copying"


@pytest.mark.parametrize(
    "act",
    [
        lambda hub: hub.withdraw(AMI, A),
        lambda hub: hub.cloud.tag(AMI, None),
        lambda hub: hub.cloud.tag(AMI, B),
        lambda hub: hub.cloud.gone.add(AMI),
        lambda hub: setattr(hub.cloud, "directory", Directory({}, {B: hub.cloud.directory.accounts[B]})),
    ],
    ids=["withdrawal", "no tag", "another value", "AMI gone", "file"],
)
def test_a_failed_delivery_counts_until_its_target_is_no_longer_wanted(act):
    """An alarm counts it in each run of discovery; all that was under way has ended long before."""

    def still_failed():
        hub.telemetry.reported.clear()
        hub.discover()
        return [given for name, given in hub.telemetry.reported if name == "still_failed"]

    hub = untagged()
    hub.cloud.disabled.add(target_key(A))
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, 3 * HOUR)
    assert hub.outcomes() == {(AMI, A): "failed", (AMI, B): "delivered"}
    assert still_failed() == [(1,)]
    act(hub)
    pass_time(hub, HOUR)
    assert still_failed() == []


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_name_that_an_account_gets_begins_nothing_again(mode):
    """What runs keeps running, what is shared stays shared."""
    hub = shared() if mode == "share" else tagged()
    pass_time(hub, 3 * HOUR)
    before = hub.outcomes(), set(hub.cloud.launches), set(hub.cloud.copies)
    hub.cloud.change_targets(name="dev")
    pass_time(hub, 3 * HOUR)

    assert before == (hub.outcomes(), set(hub.cloud.launches), set(hub.cloud.copies))


def tagged_again(hub: Hub) -> None:
    """A message with the rights of the function that receives tag events, of a change that never was."""
    send_tag_change(hub, "2099-01-01T00:00:00Z")


def wakes(name: str, entry: str) -> Callable[[Hub], None]:
    """A message with another function's rights."""
    return lambda hub: hub.stores.records.make_due(addresses.promotion(AMI), hub.cloud.now, {name: entry}) and None


def another_value_and_back(hub: Hub) -> None:
    """Within one look: EC2 has shown nobody another value."""
    hub.cloud.tag(AMI, A)
    hub.cloud.tag(AMI, f"{A} {B}")


STAYS = {
    "an event of a tag change that never was": tagged_again,
    "a retry": wakes("retry", f"1:{B}"),
    "an entry of a written tag": wakes("written", "4102444800"),
    "discovery's entry": wakes("seen", f"1:{A} {B}"),
    "another file": wakes("file", "new"),
    "the lift of another": wakes("lifted", "1"),
    "another withdrawal": wakes("withdraw", "2"),
    "a change and back that nobody saw": another_value_and_back,
}


@pytest.mark.parametrize("then", STAYS.values(), ids=STAYS)
def test_a_withdrawal_stays_while_ec2_shows_the_same_value(then):
    """One message, or one look between, does not end it."""
    hub = withdrawn()
    then(hub)
    pass_time(hub, HOUR)

    assert {account for _, account in hub.cloud.launches} == {A}


@pytest.mark.parametrize("between", [A, None], ids=["another value", "no tag"])
@pytest.mark.parametrize("events", [True, False], ids=["heard", "events are lost"])
def test_a_withdrawal_ends_when_ec2_has_shown_another_value_or_none(between, events):
    """On two looks; then the old value is a new one."""
    hub = withdrawn()
    if not events:
        hub.cloud.emit = lambda _event: None
    hub.cloud.tag(AMI, between)
    pass_time(hub, 900)
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, HOUR)

    assert {account for _, account in hub.cloud.launches} == {A, B}


def test_one_look_without_the_tag_ends_no_withdrawal():
    """EC2 answered one of them with what was true elsewhere: the next shows the value again."""
    hub = withdrawn()
    hub.cloud.tag(AMI, None)
    when(hub, do.LookAtTag, lambda: hub.cloud.tag(AMI, f"{A} {B}"))
    pass_time(hub, HOUR)

    assert {account for _, account in hub.cloud.launches} == {A}


# --- a put that DynamoDB answers twice -------------------------------------------------------------------------------


def answered_twice(hub: Hub) -> Hub:
    """The SDK repeats each put of a delivery, whose answer was lost: the condition of the second one fails."""
    create = hub.stores.records.create

    def created(write: Any, now: int) -> bool:
        made: bool = create(write, now)
        return made and write.key.kind != "delivery"

    hub.stores.records.create = created
    return hub


def test_a_delivery_that_a_repeated_put_began_counts_as_begun():
    """Its promotion ends with it."""
    hub = answered_twice(tagged())
    assert hub.ended() == {(AMI, A): "delivered", (AMI, B): "delivered"}
    assert record(hub).state == "over"
    assert [one.state for one in hub.stores.tracked.all(AMI)] == ["delivered"] * 2


@pytest.mark.parametrize("ends", [lambda hub: hub.cloud.tag(AMI, None), lambda hub: hub.withdraw(AMI, A)])
def test_a_delivery_that_a_repeated_put_began_ends_with_its_tag_or_a_withdrawal(ends):
    """It is tracked as running."""
    hub = answered_twice(tagged(accounts=(A,), behavior=SLOW))
    assert hub.wait(1800).outcomes() == {(AMI, A): "copying"}
    ends(hub)
    pass_time(hub, HOUR)
    assert not hub.cloud.permissions
    assert hub.ended() == {(AMI, A): "cancelled"}


def test_a_delivery_that_another_invocation_took_for_never_written_is_tracked_again():
    """That one looked between the announcement and the put. Untracked, the delivery would outlast its tag."""
    hub = tagged(accounts=(A,), behavior=SLOW)
    create, tracked = hub.stores.records.create, hub.stores.tracked

    def created(write: Any, now: int) -> bool:
        if write.key.kind == "delivery":
            (one,) = tracked.all(AMI)
            tracked.take_back(AMI, one, replace(one, episode=0, state="cancelled"))
        made: bool = create(write, now)
        return made

    hub.stores.records.create = created
    assert hub.wait(1800).outcomes() == {(AMI, A): "copying"}
    assert [one.state for one in tracked.all(AMI)] == ["running"]
    hub.cloud.tag(AMI, None)
    pass_time(hub, HOUR)
    assert not hub.cloud.permissions
    assert hub.ended() == {(AMI, A): "cancelled"}


# --- two invocations at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.thorough_but("0")
def test_two_invocations_of_one_promotion_leave_no_target_out(seed):
    """More targets than one slice takes: both go on from the same cursor, and their calls alternate at random."""
    draw = random.Random(seed)
    accounts = tuple(f"{200_000_000_001 + number}" for number in range(24))
    order = [draw.random() < 0.5 for _ in range(40)]
    hub = tagged(accounts=accounts, pairings=("twin",), order=order, arrivals=Arrivals(hurry=1))
    hub.unwatched().wait(6 * HOUR)

    assert {account for _, account in hub.outcomes()} == set(accounts)


def test_every_target_begins_and_is_asked_to_end_at_once_though_a_run_has_time_for_a_few():
    """The next run goes on after them. None waits for the polls, by which a promotion looks at whom it has asked."""
    accounts = tuple(f"{200_000_000_001 + number}" for number in range(60))
    hub = tagged(accounts=accounts, behavior=SLOW, arrivals=Arrivals(hurry=1)).unwatched().wait(HOUR)
    assert {one.account for one in hub.stores.tracked.all(AMI)} == set(accounts)

    hub.cloud.tag(AMI, None)
    pass_time(hub, 600)

    assert set(hub.outcomes().values()) <= {"stopping", "tidying", "cancelled"}


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_a_good_account_gets_its_ami_beside_900_with_conflicting_settings():
    """Their faults would not fit on the promotion's record, which DynamoDB keeps under 400 KB."""
    with on_dynamodb() as stores:
        hub = tagged(accounts=(A,), file=conflicting(900), stores=stores).unwatched().wait(6 * HOUR)
        assert not stores.seen(addresses.promotion(AMI)).parked
        assert hub.outcomes() == {(AMI, A): "delivered"}
        assert len(record(hub).faults) == MOST_FAULTS
        assert len(hub.notified("promotion.refused")) == 1


def test_one_notice_says_that_nobody_gets_the_ami_however_many_accounts_are_blocked():
    """The source's key is disabled, too. A further account in conflict is news, and the same faults are none."""
    hub = untagged(accounts=(A,), file=conflicting(30)).unwatched()
    disable_key(hub)
    hub.cloud.tag(AMI, "default")
    pass_time(hub, 6 * HOUR)
    (first,) = hub.notified("promotion.refused")
    assert first["faults"][0]["code"].startswith("source-")
    assert first["faults"][-1] == {
        "code": "more",
        "where": record(hub).where,
        "what": "There are 12 more faults.",
        "cure": f"`ami-promoter plan {AMI}` lists all.",
    }
    assert len(first["faults"]) == MOST_FAULTS

    hub.cloud.directory = conflicting(40)
    pass_time(hub, 6 * HOUR)
    _, second = hub.notified("promotion.refused")
    assert second["faults"][0] == first["faults"][0]
    assert second["faults"][-1]["what"] == "There are 22 more faults."
    assert hub.outcomes() == {}


def test_a_pause_delays_no_notice_of_what_is_refused():
    """The source is not examined while promotions are paused; the accounts in conflict are known."""
    hub = untagged(accounts=(A,), file=conflicting(30)).unwatched()
    hub.cloud.paused = True
    hub.cloud.tag(AMI, "default")

    assert len(hub.wait(60).notified("promotion.refused")) == 1


def test_one_notice_counts_the_groups_of_a_value_that_it_has_no_room_for():
    """The disabled key comes first there, and a file that changes nothing of that is no news."""
    hub = untagged()
    disable_key(hub)
    hub.cloud.tag(AMI, " ".join(f"no-{number}" for number in range(25)))
    pass_time(hub, 6 * HOUR)
    hub.cloud.change_targets(tags={"cost": "7"})
    pass_time(hub, 6 * HOUR)

    (notice,) = hub.notified("promotion.refused")
    assert notice["faults"][0]["code"].startswith("source-")
    assert notice["faults"][-1]["what"] == "There are 7 more faults."


def test_nothing_piles_up_beside_a_promotion_however_often_its_targets_change():
    """An account joins and another leaves, twenty times."""
    hub, sizes = shared(), []
    hub.cloud.tag(AMI, "default")
    for number in range(20):
        hub.cloud.directory = Directory(
            {"default": (A,) if number % 2 else (A, B)},
            {one: (Target(one, REGION, mode="share", tags={"n": str(number)}),) for one in (A, B)},
        )
        pass_time(hub, 900)
        beside = {key.sk for key in hub.stores.records.items if key.pk == addresses.promotion(AMI).pk}
        sizes.append(len([one for one in beside if not one.startswith("history#")]))  # which expires
        assert {account for _, account in hub.cloud.launches} == ({A} if number % 2 else {A, B})
        assert len(json.dumps(PROMOTIONS.encode(record(hub)).body)) < 4000

    assert sizes[1] == sizes[-1]


# --- an outage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [lambda hub: hub.cloud.tag(AMI, A), lambda hub: hub.withdraw(AMI, B)])
def test_a_removal_waits_for_no_examination_that_aws_refuses(ends):
    """An account is added to the tag's value, and EC2 refuses to show the source; then another one is taken out."""
    third = "200000000003"
    hub = tagged(f"{A} {B}", accounts=(A, B, third), target={"mode": "share"}, watchful=False)
    pass_time(hub, HOUR)
    hub.gate.refuse("source", "examine", why=RefusalKind.THROTTLED)
    hub.cloud.tag(AMI, f"{A} {B} {third}")
    pass_time(hub, 2 * HOUR)
    ends(hub)
    hub.wait(90)

    assert {account for _, account in hub.cloud.launches} == {A}


# --- values that are refused -----------------------------------------------------------------------------------------


def test_an_image_that_the_service_made_is_refused_once_and_nobody_gets_it():
    """Discovery sees its tag in each pass, and its deliveries wake nothing."""
    hub = untagged(watchful=False)
    hub.cloud.hub_images[AMI]["Tags"] = [{"Key": "ami-promoter:delivery", "Value": "of another"}]
    hub.cloud.tag(AMI, "default")
    for _ in range(6):
        pass_time(hub, HOUR)
        hub.discover()
    assert (hub.outcomes(), len(hub.notified("promotion.refused"))) == ({}, 1)
    assert [fault.partition(":")[0] for fault in hub.faults()] == ["source-made-by-service"]


def test_a_value_that_is_refused_begins_nothing_again():
    """It is no word about the value in force: what had failed stays failed, until that is tagged again."""
    hub = tagged()
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.DENIED, only=lambda one: one.target.account == B)
    assert hub.wait(30 * HOUR).outcomes() == {(AMI, A): "delivered", (AMI, B): "failed"}
    hub.gate.troubles.clear()
    hub.cloud.tag(AMI, "default nobody")
    hub.wait(HOUR)
    assert (hub.outcomes()[AMI, B], len(hub.notified("promotion.refused"))) == ("failed", 1)
    hub.cloud.tag(AMI, "default")
    assert hub.wait(HOUR).outcomes()[AMI, B] == "delivered"
