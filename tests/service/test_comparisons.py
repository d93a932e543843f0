"""What a comparison does not wait for, and what it does not begin again."""

from typing import Any

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from chalicelib.images.ports import TagRead
from chalicelib.promotion import commands as do
from chalicelib.targets.applied_file import Directory, Target
from tests.service.cloud import REGION, UNREADABLE, CloudBehavior, refusal, target_key
from tests.service.gate import LostAnswer
from tests.service.hub import Hub
from tests.service.organization import A, B, C, of_an_ou
from tests.service.shared_ami import AMI, HOUR, conflicting, pass_time, record, tagged, untagged, when

FOR_HOURS = CloudBehavior(copying=(60 * HOUR,))
THROTTLED = refusal(RefusalKind.THROTTLED, "aws-throttled")


def refuse_the_examination(hub: Hub) -> None:
    """A value that is refused is tagged, and EC2 refuses to show the source."""
    hub.gate.refuse("source", "examine", why=RefusalKind.THROTTLED)
    hub.cloud.tag(AMI, "default nobody")
    hub.wait(HOUR)


def damage_the_file(hub: Hub) -> None:
    hub.cloud.applied = UNREADABLE


@pytest.mark.parametrize("trouble", [refuse_the_examination, damage_the_file])
@pytest.mark.parametrize(("mode", "state"), [("copy", "stopping"), ("share", "withdrawn")])
def test_a_withdrawal_waits_neither_for_the_file_nor_for_the_source(trouble, mode, state):
    """Who was withdrawn is known without them; whom the value names else is not, and goes on."""
    hub = tagged(behavior=FOR_HOURS, target={"mode": mode})
    hub.wait(HOUR)
    before = hub.outcomes()[AMI, A]
    trouble(hub)
    hub.withdraw(AMI, B)
    hub.wait(HOUR)

    assert hub.outcomes() == {(AMI, A): before, (AMI, B): state}
    assert B not in {account for _, account in hub.cloud.permissions | hub.cloud.launches}


def test_people_are_notified_once_that_the_source_cannot_be_read_however_often_the_file_changes():
    """EC2 refuses the look for days, of which the first goes by without a notice; then what waited begins.

    Nobody tags again, and nothing is said of it any longer.
    """
    hub = tagged()
    hub.gate.refuse("source", "examine", why=RefusalKind.THROTTLED)
    assert hub.wait(23 * HOUR).cloud.notices == []
    for day in range(4):
        hub.wait(25 * HOUR)
        hub.cloud.change_targets(tags={"day": str(day)})
        hub.discover()
    assert [one["event"] for one in hub.cloud.notices] == ["promotion.refused"]
    assert [one.code for one in record(hub).faults] == ["source-never-available"]

    hub.gate.troubles.clear()
    hub.wait(HOUR)
    assert hub.outcomes() == {(AMI, A): "delivered", (AMI, B): "delivered"}
    assert record(hub).faults == ()


def test_an_approver_is_asked_while_another_delivery_does_not_end():
    """One target's trouble is its own: that of B, which the tag no longer names, is parked."""
    hub = untagged(behavior=FOR_HOURS).unwatched()
    hub.cloud.change_targets(A, approval="required")
    hub.cloud.tag(AMI, B)
    hub.wait(1800)
    hub.park(hub.delivery_key(AMI, B))
    hub.cloud.tag(AMI, A)
    hub.wait(HOUR)

    assert [notice["event"] for notice in hub.cloud.notices] == ["promotion.awaiting-approval"]


def test_a_fault_that_is_gone_while_its_notice_is_sent_leaves_nothing_to_do():
    """Another invocation finds it gone meanwhile; the promotion rests afterwards."""
    hub = untagged((A,), file=conflicting(2), most_invocations=1_000).unwatched()

    def repair() -> None:
        hub.cloud.directory = Directory({"default": (A,)}, {A: (Target(A, REGION),)})
        hub.stores.records.make_due(addresses.promotion(AMI), hub.cloud.now, {"file": "new"})
        hub.promotions.run(addresses.promotion(AMI), "twin", time_left=lambda: 30)

    when(hub, do.NotifyRefused, repair)
    hub.cloud.tag(AMI, "default")
    hub.wait(12 * HOUR)
    assert record(hub).state == "over"


@pytest.mark.parametrize("withdrawn", [(), (C,)])
def test_one_stale_look_ends_nobody_also_if_a_withdrawal_comes(withdrawn):
    """It shows a value without B; within half a minute an operator withdraws C."""
    hub = tagged(accounts=(A, B, C), behavior=FOR_HOURS)
    hub.wait(HOUR)
    hub.gate.troubles.append(LostAnswer("source", "tag", says=TagRead(f"{A} {C}", "available", AMI)))
    hub.stores.records.make_due(addresses.promotion(AMI), hub.cloud.now, {"seen": "9:x"})
    hub.promotions.run(addresses.promotion(AMI), "stale", time_left=lambda: 30)
    assert not hub.gate.troubles[0].times
    for account in withdrawn:
        hub.withdraw(AMI, account)
    hub.wait(HOUR)

    ends = {(AMI, account): "stopping" if account in withdrawn else "copying" for account in (A, B, C)}
    assert hub.outcomes() == ends


def lift_after_withdrawal(hub):
    """An operator withdraws the account, and lifts that."""
    hub.withdraw(AMI, A)
    pass_time(hub, HOUR)
    hub.lift(AMI, A)


def retry_one(hub):
    """An operator asks for the account's delivery again."""
    hub.retry(AMI, A)


@pytest.mark.parametrize("ask", [retry_one, lift_after_withdrawal])
def test_what_is_asked_for_one_account_shares_an_ami_with_nobody_else_that_was_disabled(ask):
    """The others stay as they are until the AMI is tagged again."""
    hub = tagged(target={"mode": "share"})
    hub.wait(HOUR)
    for state in ("disabled", "available"):
        hub.cloud.set_state(AMI, state)
        pass_time(hub, HOUR)
    assert set(hub.outcomes().values()) == {"withdrawn"}
    ask(hub)
    pass_time(hub, HOUR)
    assert hub.outcomes() == {(AMI, A): "shared", (AMI, B): "withdrawn"}

    hub.cloud.tag(AMI, f"{A} {B}")
    assert set(hub.wait(HOUR).outcomes().values()) == {"shared"}


def test_an_image_that_is_marked_as_the_services_own_begins_nothing_again():
    """It was shared before; its value names fewer now, and what was cancelled is not begun by the value in force."""
    hub = tagged(target={"mode": "share"})
    hub.wait(HOUR)
    hub.cloud.hub_images[AMI]["Tags"].append({"Key": "ami-promoter:delivery", "Value": "of another"})
    hub.cloud.tag(AMI, A)
    pass_time(hub, 6 * HOUR)
    assert record(hub).episode == 1


def test_what_runs_is_left_alone_when_an_account_joins():
    """The deliveries that run are not tracked again: with a thousand that would be a thousand writes and wakes."""
    hub = tagged(accounts=(A, B, C), file=of_an_ou(A, B), behavior=FOR_HOURS).unwatched().wait(HOUR)
    added: list[str] = []

    def note(port: str, method: str, args: tuple[Any, ...]) -> None:
        if (port, method) == ("tracked", "add"):
            added.append(args[1].account)

    hub.gate.watch = note
    hub.cloud.directory = of_an_ou(A, B, C)
    hub.discover()
    hub.wait(300)
    assert (set(added), hub.outcomes()[AMI, C]) == ({C}, "copying")


@pytest.mark.parametrize("refused", ["", "nobody"])
def test_a_refused_value_that_the_file_explains_later_gives_the_ami_to_those_it_names(refused):
    """Also the empty value, which means `default`: a group that the file gains while a delivery still runs."""
    listed = {one: (Target(one, REGION),) for one in (A, B)}
    hub = tagged("first", file=Directory({"first": (A,)}, listed), behavior=FOR_HOURS).wait(HOUR)
    hub.cloud.tag(AMI, refused)
    assert hub.wait(HOUR).outcomes() == {(AMI, A): "copying"}
    hub.cloud.directory = Directory({"first": (A,), refused or "default": (A, B)}, listed)
    pass_time(hub, 2 * HOUR)
    assert hub.outcomes() == {(AMI, A): "copying", (AMI, B): "copying"}


def test_members_that_come_back_are_news():
    """A promotion that is over has seen those between by itself, before discovery has."""
    fewer, more = of_an_ou(A, B), of_an_ou(A, B, C)
    hub = tagged(accounts=(A, B, C), file=fewer).unwatched().wait(HOUR)
    for directory in (more, fewer):
        hub.cloud.directory = directory
        pass_time(hub, HOUR)
    hub.cloud.directory = more
    hub.stores.records.make_due(addresses.promotion(AMI), hub.cloud.now, {"withdraw": "1"})
    hub.wait(120)
    assert record(hub).file.endswith(f"/{more.membership.digest}")

    hub.cloud.directory = fewer
    pass_time(hub, HOUR)
    assert record(hub).file.endswith(f"/{fewer.membership.digest}")


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("value", ["default", f"{A} {B}", B])
def test_what_was_tagged_while_the_file_was_damaged_counts_when_the_same_file_is_applied_again(value, over):
    """`targets-damaged` says to do that, and no more: nobody tags again."""
    hub = untagged(watchful=False)
    hub.cloud.disabled.add(target_key(B))
    if over:
        hub.cloud.tag(AMI, "default")
        assert hub.wait(HOUR).outcomes()[AMI, B] == "failed"
    hub.cloud.disabled.clear()
    before = hub.outcomes()
    damage_the_file(hub)
    hub.cloud.tag(AMI, None)
    hub.cloud.now += 1
    hub.cloud.tag(AMI, value)
    pass_time(hub, HOUR)
    assert hub.outcomes() == before
    hub.cloud.applied = None
    pass_time(hub, HOUR)

    assert hub.outcomes()[AMI, B] == "delivered"
    assert record(hub).refused_value is None
    looks = [one for one in hub.invocations if one.startswith("promotion#")]
    pass_time(hub, HOUR)
    assert [one for one in hub.invocations if one.startswith("promotion#")] == looks


def test_a_promotion_that_finds_nobody_left_to_begin_sends_no_summary():
    """The account leaves the file while the source is examined: "all are delivered" would be said of nothing."""
    hub = untagged((A,))
    hub.gate.before("source", "examine", lambda: hub.cloud.drop_targets(A))
    hub.cloud.tag(AMI, "default")
    hub.wait(HOUR)

    assert (record(hub).episode, hub.outcomes(), hub.notified("promotion.over")) == (1, {}, [])
