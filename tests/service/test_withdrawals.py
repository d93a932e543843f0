"""An operator withdraws an account: its part ends whatever else is wrong, and starts again with the next tag event."""

from dataclasses import replace

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.addresses import STANDING, RecordKey
from chalicelib.engine.errors import RefusalKind
from chalicelib.images.ports import TagRead
from chalicelib.promotion.worker.standing_pass import WITHDRAWN_AT
from chalicelib.promotion.worker.tag_pass import read_heads
from chalicelib.targets.applied_file import Target
from tests.service.arrivals import NOTHING_COMES
from tests.service.cloud import REGION, START, CloudBehavior, FakeSource
from tests.service.gate import LostAnswer, PortCrash
from tests.service.hub import Hub
from tests.service.organization import A, B, C
from tests.service.shared_ami import (
    AMI,
    HOUR,
    TROUBLES,
    open_to,
    outcomes,
    park_delivery,
    pass_time,
    recalled_for_a_while,
    record,
    shared,
    tagged,
    untagged,
)

DEEP = {**TROUBLES, "parked delivery": park_delivery, "no trouble": lambda _hub: None}


def copying(**given) -> Hub:
    """A hub whose AMI is being copied to two accounts."""
    return tagged(f"{A} {B}", **given)


@pytest.mark.parametrize("trouble", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("again", [False, True], ids=["once", "doubled"])
def test_what_is_shared_with_it_is_withdrawn_whatever_else_is_wrong(trouble, again):
    """Within the hour, by the sweep and discovery alone; the other account loses nothing."""
    hub = shared()
    trouble(hub)
    for _ in range(1 + again):
        hub.withdraw(AMI, B)
    assert open_to(hub, after=HOUR) == {A}


@pytest.mark.parametrize("running", [False, True], ids=["over", "running"])
@pytest.mark.parametrize("settings", [{}, {"mode": "share"}], ids=["copied", "shared"])
def test_an_ami_that_is_deregistered_and_restored_with_its_tag_brings_no_account_back(settings, running):
    """The tag had no other value meanwhile, and nobody has removed it: the account is withdrawn, also the next time."""
    hub = copying(target=settings, behavior=CloudBehavior(copying=(HOUR,))).unwatched()
    hub.wait(300)
    hub.withdraw(AMI, B)
    pass_time(hub, 300 if running else 2 * HOUR)
    for _ in range(2):
        hub.cloud.gone.add(AMI)
        hub.cloud.changed()
        pass_time(hub, 2 * HOUR)
        assert record(hub).value is None

        hub.cloud.gone.remove(AMI)
        hub.cloud.changed()
        pass_time(hub, 2 * HOUR)
        assert record(hub).value == f"{A} {B}"
    assert hub.outcomes()[AMI, B] in ("cancelled", "withdrawn")


def test_a_value_whose_event_was_lost_is_meant_although_later_looks_show_no_tag_and_the_value_before():
    """Looks that are out of date put no value in force again: it counts from when it came into force."""
    hub = tagged(A, target={"mode": "share"}).wait(HOUR)
    hub.cloud.tag(AMI, f"{A} {B}", arrives=False)
    hub.withdraw(AMI, B)
    for shown in (None, A):
        hub.gate.troubles.append(LostAnswer("source", "tag", says=TagRead(shown, "available", AMI)))
        hub.promotions.run(addresses.promotion(AMI), "stale", time_left=lambda: 30)
        hub.cloud.now += 30
    assert record(hub).seen_value == A
    assert open_to(hub, after=HOUR) == {A}


@pytest.mark.parametrize("seconds", [0, 2, 6, 20, 40, 70])
def test_a_copy_is_cancelled_wherever_it_is(seconds):
    """Nothing of it is left, and the other account is delivered; an intended RegisterImage finishes."""
    hub = copying()
    hub.run(until=START + seconds)
    hub.withdraw(AMI, B)
    hub.run()

    outcomes = hub.outcomes()
    assert outcomes[AMI, A] == "delivered"
    assert outcomes.get((AMI, B)) in (None, "cancelled", "delivered")
    assert not hub.cloud.permissions
    assert not hub.cloud.grants
    left = {copy.account for copy in hub.cloud.copies.values() if not copy.deleted}
    assert left == ({A, B} if outcomes.get((AMI, B)) == "delivered" else {A})


def test_where_ec2_throttles_every_look_at_the_copies_their_shares_close_within_an_hour():
    """What still runs there is deleted as soon as a look shows it; the other account's copies go on."""
    hub = copying(behavior=CloudBehavior(copying=(4 * HOUR,)))
    pass_time(hub, HOUR)
    hub.gate.refuse("target.snapshots", "find", why=RefusalKind.THROTTLED, only=lambda one: one.target.account == B)
    hub.withdraw(AMI, B)
    pass_time(hub, HOUR // 2)
    assert {account for _, account in hub.cloud.permissions} == {A, B}
    pass_time(hub, HOUR // 2)
    assert hub.outcomes()[AMI, B] == "stopping"
    assert {account for _, account in hub.cloud.permissions} == {A}
    assert len(hub.cloud.grants) == 1

    hub.gate.troubles.clear()
    assert hub.ended() == {(AMI, A): "delivered", (AMI, B): "cancelled"}
    assert {copy.account for copy in hub.cloud.copies.values() if not copy.deleted} == {A}


@pytest.mark.parametrize("kind", ["withdrawal", "baseline"])
def test_a_late_wake_for_a_notice_whose_record_has_expired_sends_nothing(kind):
    """A dead letter may be sent again after weeks."""
    hub, key = Hub(accounts=(A,)), RecordKey(f"{kind}#long-ago")
    hub.own_notices.run(key)

    assert hub.cloud.notices == []
    assert hub.stores.records.read(key) is None


# --- an AMI of the baseline ------------------------------------------------------------------------------------------


def baseline() -> Hub:
    """A hub whose AMI was tagged before discovery first looked."""
    hub = untagged()
    hub.tagged_before(AMI)
    return hub


@pytest.mark.parametrize("state", ["available", "pending"])
@pytest.mark.parametrize("act", ["withdrawal", "recall"])
def test_a_lift_promotes_nothing_of_the_baseline(act, state):
    """It ends the withdrawal, or the recall, and no more; a tag event promotes the AMI then."""
    hub = baseline()
    hub.cloud.hub_images[AMI]["State"] = state
    for place in (A, f"{B}/{REGION}"):
        hub.withdraw(AMI, place)
    if act == "recall":
        hub.recall(AMI)
    pass_time(hub, HOUR)
    for place in (A, f"{B}/{REGION}"):
        hub.lift(AMI, place)
    if act == "recall":
        hub.lift_recall(AMI)
    pass_time(hub, HOUR)
    hub.cloud.set_state(AMI, "available")
    assert outcomes(hub, after=HOUR) == {}

    hub.cloud.tag(AMI, f"{A} {B}")
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): "delivered"}


@pytest.mark.parametrize(("hours", "retried"), [(1, False), (48, False), (1, True)])
def test_an_ami_of_the_baseline_that_is_deregistered_and_restored_with_its_tag_is_not_promoted(hours, retried):
    """Nobody has tagged it again, and while it is gone no look comes without end; a tag event promotes it to all then.

    A retry of one account promotes nothing, before or then: nothing has failed there.
    """
    hub = baseline()
    if retried:
        hub.retry(AMI, A)
        assert outcomes(hub, after=HOUR) == {}
    for _ in range(2):
        hub.cloud.gone.add(AMI)
        hub.cloud.changed()
        pass_time(hub, HOUR)
        so_far = len(hub.invocations)
        pass_time(hub, hours * HOUR)
        assert "worker" not in hub.invocations[so_far:]
        hub.cloud.gone.remove(AMI)
        hub.cloud.changed()
        assert outcomes(hub, after=HOUR) == {}

    hub.cloud.tag(AMI, f"{A} {B}")
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): "delivered"}


@pytest.mark.parametrize("before", [False, True], ids=["first recall", "second recall"])
@pytest.mark.parametrize("lifted", ["while it is gone", "afterwards", "never"])
def test_a_recall_of_a_baseline_ami_that_is_gone_promotes_nothing_when_it_is_restored(lifted, before):
    """A recall is compared at once. It must not forget that the tag was there before discovery first looked."""
    hub = baseline()
    if before:
        recalled_for_a_while(hub)
    hub.cloud.gone.add(AMI)
    hub.cloud.changed()
    pass_time(hub, HOUR)
    hub.recall(AMI)
    pass_time(hub, HOUR)
    so_far = len(hub.invocations)
    pass_time(hub, HOUR)
    assert "worker" not in hub.invocations[so_far:]
    if lifted == "while it is gone":
        hub.lift_recall(AMI)
        pass_time(hub, HOUR)
    hub.cloud.gone.remove(AMI)
    hub.cloud.changed()
    pass_time(hub, HOUR)
    if lifted == "afterwards":
        hub.lift_recall(AMI)
    assert outcomes(hub, after=HOUR) == {}

    if lifted != "never":
        hub.cloud.tag(AMI, f"{A} {B}")
        assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): "delivered"}


@pytest.mark.parametrize("value", ["default", f"{A} {B}"])
def test_a_tag_event_of_a_pending_ami_of_the_baseline_is_for_all_also_after_a_retry(value):
    """The operator has asked for A, then somebody tags the AMI again; it is available later."""
    hub = baseline()
    hub.cloud.hub_images[AMI]["State"] = "pending"
    hub.retry(AMI, A)
    pass_time(hub, HOUR)
    hub.stores.records.make_due(addresses.promotion(AMI), hub.cloud.now, {"tag": "000000000009"})
    hub.cloud.tag(AMI, value)
    pass_time(hub, HOUR)
    hub.cloud.set_state(AMI, "available")
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): "delivered"}


@pytest.mark.parametrize("meanwhile", ["nothing", "withdrawal", "recall and lift"])
@pytest.mark.parametrize("first", ["new", "baseline", "recalled baseline"])
def test_what_was_asked_for_of_an_ami_that_is_pending_for_days_begins_when_it_is_available(first, meanwhile):
    """The same for one of the baseline that was tagged again as for a new one; no further tag event is needed."""
    hub = copying() if first == "new" else baseline()
    if first == "recalled baseline":
        recalled_for_a_while(hub)
        pass_time(hub, HOUR)
    hub.cloud.hub_images[AMI]["State"] = "pending"
    hub.cloud.tag(AMI, "default")
    hub.stores.records.make_due(addresses.promotion(AMI), hub.cloud.now, {"tag": "000000000009"})
    pass_time(hub, 30 * HOUR)
    if meanwhile == "withdrawal":
        hub.withdraw(AMI, B)
    if meanwhile == "recall and lift":
        recalled_for_a_while(hub)
    pass_time(hub, 3 * HOUR)
    assert {one["event"] for one in hub.cloud.notices} == {"promotion.refused"}
    assert hub.outcomes() == {}

    hub.cloud.set_state(AMI, "available")
    there = (A,) if meanwhile == "withdrawal" else (A, B)
    assert outcomes(hub, after=HOUR) == {(AMI, account): "delivered" for account in there}


# --- an account that the file got after the tag event -----------------------------------------------------------------


def add_to_file(hub: Hub, account: str) -> None:
    """Apply a file whose group ``default`` has one more account."""
    before, target = hub.cloud.directory, Target(account, REGION, **hub.target)
    groups = {"default": (*before.groups["default"], account)}
    hub.accounts = (*hub.accounts, account)
    hub.cloud.directory = replace(before, groups=groups, accounts={**before.accounts, account: (target,)})


@pytest.mark.parametrize("act", ["recall", "withdrawal", "both"])
def test_a_lift_begins_no_account_that_the_file_got_after_the_tag_event(act):
    """The lift restores what there was; the new account waits for a tag event."""
    hub = copying()
    hub.cloud.tag(AMI, "default")
    pass_time(hub, HOUR)
    add_to_file(hub, C)
    if act != "recall":
        hub.withdraw(AMI, C)
    if act != "withdrawal":
        hub.recall(AMI)
    pass_time(hub, HOUR)
    if act != "recall":
        hub.lift(AMI, C)
    if act != "withdrawal":
        hub.lift_recall(AMI)
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): "delivered"}

    hub.cloud.tag(AMI, f"{A} {B} {C}")
    assert outcomes(hub, after=HOUR) == dict.fromkeys([(AMI, A), (AMI, B), (AMI, C)], "delivered")


def test_what_was_withdrawn_before_it_began_begins_by_the_lift_and_an_account_of_a_later_file_does_not():
    """B was withdrawn when the AMI was tagged, and the AMI recalled for a while; the file then got C."""
    hub = tagged()
    hub.withdraw(AMI, B)
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered"}
    add_to_file(hub, C)
    recalled_for_a_while(hub)
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered"}

    hub.lift(AMI, B)
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): "delivered"}


# --- what goes wrong meanwhile ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("parked", [False, True], ids=["delivery", "parked delivery"])
def test_what_aws_does_not_let_go_of_is_said_after_an_hour(parked):
    """EC2 refuses the removal for two hours. A parked delivery cannot say it; a record of the notice's own does."""
    hub = shared()
    codes = ["share-still-open"]
    if parked:
        park_delivery(hub)
        codes = ["withdrawn-unsaid", *codes]
    hub.gate.refuse("images", "close", why=RefusalKind.THROTTLED)
    hub.withdraw(AMI, B)
    pass_time(hub, 3300)
    assert withdrawals(hub) == []
    pass_time(hub, 1500)
    assert withdrawals(hub) == [codes]
    pass_time(hub, 2400)
    hub.gate.troubles.clear()
    assert open_to(hub, after=HOUR) == {A}
    assert withdrawals(hub) == [codes]


def withdrawals(hub) -> list[list[str]]:
    """The codes of the faults of each notice that says withdrawn."""
    return [[fault["code"] for fault in notice["faults"]] for notice in hub.notified("delivery.withdrawn")]


@pytest.mark.thorough
def test_a_process_may_die_at_any_call_while_it_withdraws():
    """Killed before and after each call from the withdrawal on; the sweep continues it."""

    def played(crash=None):
        hub = shared()
        hub.watchful = False  # a pass killed between release and wake: the delivery repairs it when due
        hub.gate.calls = 0
        hub.gate.crashes = [crash] if crash else []
        hub.withdraw(AMI, B)
        assert open_to(hub.wait(HOUR)) == {A}, crash
        assert hub.outcomes() == {(AMI, A): "shared", (AMI, B): "withdrawn"}, crash
        return hub.gate.calls

    for call in range(min(played(), 90)):
        for after in (False, True):
            played(PortCrash(call, after))


def test_the_sweep_alone_is_enough():
    """Every event and every wake is lost."""
    hub = copying(arrivals=NOTHING_COMES)
    hub.run(until=START + 600)
    hub.withdraw(AMI, B)
    assert hub.ended()[AMI, A] == "delivered"
    assert not hub.cloud.permissions


def test_a_tag_event_during_a_long_pass_counts():
    """The pass has read the heads before B is served again: it takes nothing from B."""
    hub = shared()
    hub.withdraw(AMI, B)
    assert open_to(hub.wait(600)) == {A}
    heads, marks = read_heads(hub.stores.records), hub.stores.records.list(STANDING, "ami-")
    hub.cloud.tag(AMI, None)
    hub.wait(120)
    hub.cloud.tag(AMI, f"{A} {B}")
    assert open_to(hub.wait(200)) == {A, B}
    for key, mark in marks:  # as it was when the pass began: the AMI is due to be compared
        hub.stores.records.put(key, {**mark, WITHDRAWN_AT: "anew"})
    hub._discover.passes[1].run(FakeSource(hub.cloud).tagged(), heads, time_left=lambda: 200)
    assert open_to(hub.wait(200)) == {A, B}
    assert hub.outcomes() == {(AMI, A): "shared", (AMI, B): "shared"}
    assert len(hub.notified("delivery.withdrawn")) == 2  # both before the pass


@pytest.mark.parametrize("how", ["withdrawn", "no longer named"])
@pytest.mark.parametrize("whose", ["delivery", "promotion"])
def test_what_was_parked_when_its_account_lost_the_ami_ends_when_it_goes_on(whose, how):
    """Its copy was running: it is not delivered, because neither tag nor operator allows it any more."""
    hub = copying()
    hub.run(until=START + 20)
    hub.park(hub.delivery_key(AMI, B))
    if whose == "promotion":
        hub.park(addresses.promotion(AMI))
    if how == "withdrawn":
        hub.withdraw(AMI, B)
    else:
        hub.cloud.tag(AMI, A)
    pass_time(hub, HOUR)
    if whose == "promotion":
        hub.unpark(addresses.promotion(AMI))
        hub.wait(120)
    hub.unpark(hub.delivery_key(AMI, B))
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): "cancelled"}


@pytest.mark.thorough
def test_a_pass_may_die_at_any_call_that_ends_the_hold_of_a_parked_delivery():
    """Nobody else would look at the share: it has no date, and the delivery that held it cannot act."""

    def played(crash=None):
        hub = shared(key_access="none")  # one share: nothing else leads the pass back to it
        park_delivery(hub)
        hub.gate.calls, hub.gate.crashes = 0, [crash] if crash else []
        hub.withdraw(AMI, B)
        assert open_to(hub.wait(HOUR)) == {A}, crash
        marks = {entry.account: entry.state for entry in hub.stores.tracked.all(AMI)}
        assert marks == {A: "shared", B: "withdrawn"}, crash
        assert "delivery.withdrawn" in [notice["event"] for notice in hub.cloud.notices], crash
        return hub.gate.calls

    for call in range(min(played(), 110)):
        played(PortCrash(call, after=False))
