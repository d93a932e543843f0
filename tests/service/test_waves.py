"""A delivery waits until the group before its own has succeeded, and opens nothing meanwhile."""

from dataclasses import replace

import pytest

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import DeliveryState
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine import addresses, schedule
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.waker import Waker
from chalicelib.promotion.model import WAKE, Promotion
from chalicelib.promotion.worker.passes import DeliveryPass
from chalicelib.targets.applied_file import Directory, LaunchTest, Target
from chalicelib.targets.organization import Unit
from chalicelib.targets.waves import FileWaves, Wave
from tests.delivery.examples import a_delivery
from tests.fakes import SentWakes
from tests.service.arrivals import ALL_ON_TIME, NOTHING_COMES
from tests.service.cloud import HUB, REGION, START, UNREADABLE, CloudBehavior
from tests.service.gate import PortCrash, PortTrouble, ProcessKilled
from tests.service.hub import Hub
from tests.service.in_waves import (
    DEV,
    DEV2,
    GROUPS,
    PLAIN,
    PROD,
    QA,
    WAITS,
    apply,
    break_key,
    cure_key,
    hub_with,
    promoted,
    states,
    stops,
)
from tests.service.organization import OTHER_ARN, OTHER_OU, OU, A, B, C, OrganizationHub, membership_of
from tests.service.shared_ami import AMI, DAY, HOUR, pass_time
from tests.stores import in_memory

DONE = ["delivered"] * 4
MIDDLE = {"qa": Wave("dev", DAY), "prod": Wave("qa")}
"""The second wave soaks for a day."""


def opened_to(hub: Hub) -> set[str]:
    """The accounts to which anything was opened, or in which anything was made."""
    cloud = hub.cloud
    copied = {one.account for one in (*cloud.copies.values(), *cloud.images.values())}
    return {who for _, who in (*cloud.permissions, *cloud.launches)} | copied


def reported(hub: Hub, event: str, account: str) -> int:
    """When a notice about an account was published (epoch seconds)."""
    return next(one["at"] for one in hub.cloud.notices if one["event"] == event and one.get("account") == account)


def shared_then_copied(soak: int, until: int, **settings: LaunchTest) -> Hub:
    """A hub that shares the AMI with dev until a date, and copies it to prod in the wave after; boots are slow."""
    settings = {"mode": "share", "until": until, **settings}
    hub = hub_with({"prod": Wave("dev", soak)}, settings, behavior=CloudBehavior(booting=(720,)))
    listed = {**hub.cloud.directory.accounts, PROD: (Target(PROD, REGION),)}
    hub.cloud.directory = replace(hub.cloud.directory, accounts=listed)
    hub.cloud.tag(AMI, "dev prod")
    return hub


def after_an_ou() -> OrganizationHub:
    """An OU of one account that has the AMI, and another account that waits ten hours longer."""
    it = OrganizationHub(A)
    it.cloud.directory = replace(it.cloud.directory, waves={"other": Wave("default", 10 * HOUR)})
    it.look(3)
    it.tag("default other")
    assert it.outcomes == {A: "delivered", C: WAITS}
    return it


def opens_at(it: OrganizationHub) -> int:
    """When its second wave opens (epoch seconds)."""
    return max(one["at"] for one in it.hub.notified("delivery.delivered")) + 10 * HOUR


# --- chains ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [0, START + 2 * HOUR])
def test_what_was_shared_until_its_date_has_succeeded(until):
    """The date of dev passes while prod's wave soaks: the soak counts from when dev was shared."""
    hub = shared_then_copied(3 * HOUR, until)
    states(hub)
    shared_at = max(reported(hub, "delivery.shared", one) for one in (DEV, DEV2))

    assert states(hub, after=5 * HOUR)[3] == "delivered"
    assert shared_at + 3 * HOUR < reported(hub, "delivery.delivered", PROD) < shared_at + 4 * HOUR


def test_what_was_shared_until_its_date_has_succeeded_although_its_record_is_parked():
    """Its shares close at the date without it, and it has been shared: the wave after it opens."""
    hub = shared_then_copied(3 * HOUR, START + 2 * HOUR)
    assert states(hub)[:2] == ["shared", "shared"]
    hub.park(*(hub.delivery_key(AMI, account) for account in (DEV, DEV2)))

    assert states(hub, after=5 * HOUR)[3] == "delivered"
    assert stops(hub) == []
    assert hub.cloud.launches == set()


def test_what_was_to_be_shared_is_tracked_to_its_end_when_its_date_comes_first():
    """The process is killed after each notice; the date comes before the record says that it is shared."""
    hub = hub_with({}, {"mode": "share", "until": START + 200})
    hub.gate.troubles = [PortTrouble("tracked", "end", ProcessKilled(), 6, after=True)]
    hub.cloud.tag(AMI, "dev")

    assert states(hub)[:2] == ["withdrawn", "withdrawn"]
    assert {one.state for one in hub.stores.tracked.all(AMI)} == {"expired"}


def test_what_was_shared_until_its_date_stays_a_success_when_another_try_is_taken_back():
    """An operator retries it with a later date; the process is killed before the write, and it is withdrawn."""
    hub = hub_with()
    dates = {account: (Target(account, REGION, mode="share", until=START + 1000),) for account in (DEV, DEV2)}
    listed = {**dates, PROD: (Target(PROD, REGION),)}
    groups = {"dev": (DEV, DEV2), "prod": (PROD,)}
    hub.cloud.directory = Directory(groups, listed, waves={"prod": Wave("dev", 2 * DAY)})
    hub.cloud.tag(AMI, "dev prod")
    states(hub)
    listed |= {account: (replace(one, until=START + 10 * DAY),) for account, (one,) in dates.items()}
    hub.cloud.directory = replace(hub.cloud.directory, accounts=listed)
    killed = PortTrouble("tracked", "add", ProcessKilled(), after=True)
    hub.gate.troubles = [killed]
    hub.retry(AMI, DEV)
    hub.until(lambda: not killed.times)
    hub.withdraw(AMI, DEV)

    assert states(hub, after=3 * DAY)[3] == "delivered"
    assert stops(hub) == []


@pytest.mark.parametrize("continues", [False, True])
def test_what_is_parked_before_its_date_keeps_the_wave_after_it_waiting_for_thirty_days_at_most(continues):
    """Nobody knows whether the AMI is good; once the records continue, it is known that nobody is left before it."""
    hub = shared_then_copied(0, START + 300, launch_test=LaunchTest("t3.micro"))
    hub.run(until=START + 200)
    keys = [hub.delivery_key(AMI, account) for account in (DEV, DEV2)]
    hub.park(*keys)
    pass_time(hub, 3 * HOUR)
    assert (states(hub)[3], stops(hub), hub.cloud.launches) == (WAITS, [], set())

    if continues:
        hub.unpark(*keys)
        assert states(hub) == ["withdrawn", "withdrawn", "", WAITS]
        assert len(stops(hub)) == 1
    hub.cloud.now = START + 30 * DAY
    pass_time(hub, 2 * HOUR)
    assert states(hub)[3] == "failed"


# --- failures --------------------------------------------------------------------------------------------------------


def test_after_thirty_days_it_fails_like_one_without_an_approval():
    """It names what the wave waited for, and leaves nothing open; the wave after it, too, comes to its end."""
    hub = promoted(broken=(DEV,))
    states(hub)
    hub.cloud.now = START + 29 * DAY
    assert states(hub) == ["failed", "delivered", WAITS, WAITS]
    assert list(hub.ended().values()) == ["failed", "delivered", "failed", "failed"]
    assert hub.cloud.now < START + 32 * DAY
    assert any(one.startswith("deadline-awaiting-wave") for one in hub.faults())
    assert any("to `dev` failed" in one for one in hub.faults())


DATES = {
    "its date comes first": (5 * DAY, 0, {}),
    "the file has a later date": (5 * DAY, DAY, {}),
    "the file has an earlier date": (5 * DAY, -10 * HOUR, {}),
    "the file has an earlier date, and a conflict": (5 * DAY, -10 * HOUR, {"by_way_of": QA}),
    "the file has a later date, and a conflict": (5 * DAY, DAY, {"by_way_of": QA}),
    "a pause keeps it closed": (4 * HOUR, 0, {}),
}


@pytest.mark.parametrize(("soak", "later", "settings"), DATES.values(), ids=DATES)
def test_a_wave_is_not_waited_for_once_the_date_of_the_share_has_come(soak, later, settings):
    """Nothing could be shared when it opens: the delivery fails within the hour, by the file's date at that moment."""
    hub = promoted({"prod": Wave("dev", soak)}, settings={"mode": "share", "until": START + DAY}, value="dev prod")
    assert states(hub)[3] == WAITS
    hub.cloud.paused = soak < DAY
    hub.cloud.change_targets(PROD, until=START + DAY + later, **settings)
    assert states(hub, after=DAY + later - 3 * HOUR)[3] == WAITS
    assert states(hub, after=3 * HOUR)[3] == "failed"
    assert [one for one in hub.faults() if one.startswith("share-until-passed")]


# --- who counts ------------------------------------------------------------------------------------------------------


def test_what_was_withdrawn_or_cancelled_counts_for_neither_side():
    """A withdrawn account neither holds the wave up nor succeeds; where no other is left, the wave waits."""
    hub = promoted()
    hub.run(until=START + 20)
    hub.withdraw(AMI, DEV)
    assert states(hub, after=2 * HOUR) == ["cancelled", *DONE[1:]]

    hub = promoted({"qa": Wave("dev", HOUR), "prod": Wave("qa")}, settings={"mode": "share"})
    hub.run(until=START + 600)
    hub.withdraw(AMI, DEV)
    hub.withdraw(AMI, DEV2)
    assert states(hub, after=DAY)[2:] == [WAITS, WAITS]
    (fault,) = hub.faults()
    assert fault.startswith("wave-not-reached: "), "people are notified that nobody is left before it"


def test_a_wave_soaks_from_the_last_end_that_counts():
    """One account is withdrawn while its copy runs, which takes thirty hours; the other has the AMI."""
    hub = promoted({"qa": Wave("dev", DAY)}, value="dev qa", behavior=CloudBehavior(copying=(60, 30 * HOUR, 60)))
    slow = DEV if states(hub, after=20 * HOUR)[0] == "copying" else DEV2
    hub.withdraw(AMI, slow)
    assert states(hub, after=29 * HOUR)[2] == "delivered"


def test_what_was_withdrawn_before_it_began_opens_the_wave_after_its_lift():
    """It was the only account of its group."""
    hub = promoted({"prod": Wave("dev")}, value="dev prod", groups={**GROUPS, "dev": (DEV,)})
    hub.withdraw(AMI, DEV)
    assert states(hub) == ["", "", "", WAITS]
    hub.lift(AMI, DEV)
    assert states(hub, after=2 * HOUR) == ["delivered", "", "", "delivered"]
    assert reported(hub, "delivery.delivered", DEV) < reported(hub, "delivery.delivered", PROD)


def test_failures_alone_stop_a_wave_however_many_may_fail():
    """Nobody has shown that the AMI is good."""
    hub = promoted({"prod": Wave("dev", 0, 2)}, value="dev prod", broken=(DEV, DEV2))
    assert states(hub, after=2 * HOUR) == ["failed", "failed", "", WAITS]
    assert len(stops(hub)) == 1


def test_each_of_two_waves_after_one_group_is_stopped_by_a_notice_of_its_own():
    """Receivers drop a second notice with the same id."""
    hub = promoted({"qa": Wave("dev"), "prod": Wave("dev", HOUR)}, broken=(DEV,))
    assert states(hub) == ["failed", "delivered", WAITS, WAITS]
    assert sorted(one["groups"] for one in stops(hub)) == [["prod"], ["qa"]]
    assert len({one["id"] for one in stops(hub)}) == 2


def test_what_the_file_loses_counts_no_longer():
    """The failed account is taken out of the file: the wave goes on without it."""
    hub = promoted(broken=(DEV,))
    states(hub)
    apply(hub, PLAIN, {**GROUPS, "dev": (DEV2,)})
    pass_time(hub, HOUR)
    assert states(hub) == ["failed", *DONE[1:]]


def test_what_the_file_loses_and_gets_back_opens_the_wave_after_it():
    """Its delivery begins again without a tag event, and counts like the first one."""
    waves, groups = {"prod": Wave("dev")}, {**GROUPS, "dev": (DEV,)}
    hub = promoted(waves, value="dev prod", groups=groups, behavior=CloudBehavior(copying=(2 * HOUR,)))
    assert states(hub) == ["copying", "", "", WAITS]
    apply(hub, waves, {**GROUPS, "dev": (QA,)})
    assert states(hub, after=3 * HOUR) == ["cancelled", "", "", WAITS]
    apply(hub, waves, groups)
    assert states(hub, after=8 * HOUR) == ["delivered", "", "", "delivered"]


@pytest.mark.parametrize("arrivals", [ALL_ON_TIME, NOTHING_COMES], ids=["events", "sweep"])
@pytest.mark.parametrize(
    "act",
    [lambda hub: hub.withdraw(AMI, DEV), lambda hub: hub.cloud.tag(AMI, f"{DEV2} qa prod")],
    ids=["withdrawal", "value"],
)
def test_a_failure_at_a_target_that_is_wanted_no_longer_stops_no_wave(act, arrivals):
    """An operator withdraws the failed account, or the value names it no longer: the wave goes on without it."""
    hub = promoted(broken=(DEV,), arrivals=arrivals)
    assert states(hub, after=2 * HOUR) == ["failed", "delivered", WAITS, WAITS]
    assert len(stops(hub)) == 1

    act(hub)
    assert states(hub, after=DAY) == ["failed", *DONE[1:]]
    assert len(stops(hub)) == 1


def test_people_are_notified_that_a_wave_waits_for_accounts_that_wait_for_a_tag_event():
    """While it soaks, the file replaces the group before: nothing begins there, and one notice says what to do."""
    hub = promoted({"prod": Wave("dev", DAY)}, value="dev prod", groups={**GROUPS, "dev": (DEV,)})
    assert states(hub) == ["delivered", "", "", WAITS]
    apply(hub, {"prod": Wave("dev", DAY)}, {**GROUPS, "dev": (DEV2,)})
    pass_time(hub, HOUR)
    assert states(hub, after=2 * DAY) == ["delivered", "", "", WAITS]
    assert [one.partition(":")[0] for one in hub.faults()] == ["wave-not-begun"]
    hub.cloud.tag(AMI, "prod dev")
    assert states(hub, after=DAY + 2 * HOUR) == ["delivered", "delivered", "", "delivered"]
    assert len(hub.faults()) == 1
    apply(hub, {"prod": Wave("dev", DAY)}, {**GROUPS, "dev": (QA,)})
    pass_time(hub, HOUR)
    assert len(hub.faults()) == 1, "nobody waits any longer"


def test_nobody_is_notified_of_a_wave_whose_deliveries_no_longer_wait_for_it():
    """They copy for a day when the file replaces the group before: to tag the AMI again would bring them nothing."""
    hub = promoted(
        {"prod": Wave("dev")},
        behavior=CloudBehavior(copying=(600, 20 * HOUR)),
        value="dev prod",
        groups={**GROUPS, "dev": (DEV,)},
    )
    assert states(hub, after=2 * HOUR) == ["delivered", "", "", "copying"]
    apply(hub, {"prod": Wave("dev")}, {**GROUPS, "dev": (DEV2,)})
    assert states(hub, after=DAY) == ["delivered", "", "", "delivered"]
    assert hub.faults() == []


def test_people_are_notified_once_that_a_wave_waits_in_vain_also_if_somebody_who_waits_is_withdrawn():
    """The fault is the same before, while and after that delivery ends."""
    waves = {"qa": Wave("dev", DAY), "prod": Wave("dev", DAY)}
    hub = promoted(waves, groups={**GROUPS, "dev": (DEV,)})
    assert states(hub) == ["delivered", "", WAITS, WAITS]
    apply(hub, waves, {**GROUPS, "dev": (DEV2,)})
    pass_time(hub, HOUR)
    hub.withdraw(AMI, QA)
    assert states(hub, after=2 * DAY) == ["delivered", "", "cancelled", WAITS]
    notified = hub.notified("promotion.refused")
    assert [[fault["code"] for fault in one["faults"]] for one in notified] == [["wave-not-begun"]]


def test_an_account_that_joins_later_does_not_restart_the_wave():
    """Neither while the group before runs, nor during the soak, nor if it fails."""
    it = after_an_ou()
    opens = opens_at(it)
    break_key(it.hub, B)
    it.organization.accounts[B] = "ACTIVE"
    it.look(12)
    assert it.outcomes == {A: "delivered", B: "failed", C: WAITS}
    it.hub.run(until=opens + HOUR)
    assert it.outcomes == {A: "delivered", B: "failed", C: "delivered"}
    it.cloud.tag("ami-0a", None)
    it.look(3)
    cure_key(it.hub, B)
    break_key(it.hub, A)
    it.cloud.tag("ami-0a", "default other")
    it.look(24)
    assert it.outcomes[B] == "delivered", "the next generation has it from its beginning"


def test_an_account_that_joins_while_aws_refuses_the_checks_of_the_source_holds_up_no_wave():
    """It begins after the outage, and counts no more than if it had begun at once."""
    it = after_an_ou()
    opens = opens_at(it)
    it.hub.gate.refuse("source", "examine", why=RefusalKind.THROTTLED)
    it.organization.accounts[B] = "ACTIVE"
    it.look(12)
    it.hub.run(until=opens + HOUR)
    assert it.outcomes == {A: "delivered", C: "delivered"}


def test_people_are_notified_of_a_wave_after_a_group_of_which_only_accounts_that_joined_later_are_left():
    """Their deliveries run, and do not count: the fault says so, and a tag event counts them."""
    it = after_an_ou()
    it.organization.accounts = {B: "ACTIVE"}
    it.look(12 * 12)
    assert it.outcomes == {A: "delivered", B: "delivered", C: WAITS}
    (fault,) = it.hub.faults()
    assert "where no delivery counts before the next tag event" in fault

    it.cloud.tag("ami-0a", "other default")
    it.look(12 * 12)
    assert it.outcomes[C] == "delivered"


def test_an_account_that_joins_later_and_is_withdrawn_does_not_restart_the_wave_when_that_is_lifted():
    """It was withdrawn before it joined; its delivery, which fails, begins with the lift, during the soak."""
    it = after_an_ou()
    opens = opens_at(it)
    break_key(it.hub, B)
    it.hub.withdraw("ami-0a", B)
    it.organization.accounts[B] = "ACTIVE"
    it.look(12)
    assert it.outcomes == {A: "delivered", C: WAITS}
    it.hub.lift("ami-0a", B)
    it.look(12)
    assert it.outcomes == {A: "delivered", B: "failed", C: WAITS}
    it.hub.run(until=opens + HOUR)
    assert it.outcomes == {A: "delivered", B: "failed", C: "delivered"}


def test_an_ou_of_a_wave_that_nobody_has_read_lets_nobody_begin_and_delays_no_removal():
    """Who waits for whom is not known, so everybody waits; who is named no longer is known all the same."""
    it = OrganizationHub(A, settings={"mode": "share"})
    it.look(3)
    it.tag("default other")
    assert it.outcomes == {A: "delivered", C: "shared"}
    before = it.cloud.directory
    units = {OU: ("default",), OTHER_OU: ("late",)}
    it.cloud.directory = replace(
        before,
        groups={**before.groups, "late": (OTHER_OU,)},
        by_unit={**before.by_unit, "late": (Target("", REGION),)},
        organization=replace(before.organization, units=units),
        waves={"late": Wave("other")},
    )
    it.cloud.make_image("ami-0b", {"snap-01": True})
    it.cloud.tag("ami-0b", "default")
    it.cloud.tag("ami-0a", "default")
    pass_time(it.hub, HOUR)
    assert it.hub.outcomes() == {("ami-0a", A): "delivered", ("ami-0a", C): "withdrawn", ("ami-0b", A): WAITS}
    assert it.reported("promotion.refused") == 0, "it passes by itself"
    read = membership_of({**it.cloud.directory.membership.units, OTHER_OU: Unit(OTHER_ARN)})
    it.cloud.directory = replace(it.cloud.directory, membership=read)
    pass_time(it.hub, HOUR)
    assert it.hub.outcomes()["ami-0b", A] == "delivered"


# --- while it waits --------------------------------------------------------------------------------------------------


def test_a_removal_never_waits_for_a_wave():
    """A tag that goes or names fewer, a recall, a withdrawal, another file: what waits ends, also during a pause."""
    for act, left in (
        (lambda hub: hub.cloud.tag(AMI, None), ["cancelled", "cancelled"]),
        (lambda hub: hub.cloud.tag(AMI, "dev qa"), [WAITS, "cancelled"]),
        (lambda hub: hub.recall(AMI), ["cancelled", "cancelled"]),
        (lambda hub: hub.withdraw(AMI, PROD), [WAITS, "cancelled"]),
        (lambda hub: apply(hub, {"qa": PLAIN["qa"]}, {"dev": (DEV, DEV2), "qa": (QA,)}), [WAITS, "cancelled"]),
    ):
        hub = promoted(MIDDLE)
        hub.run(until=START + 3 * HOUR)
        hub.cloud.paused = True
        act(hub)
        pass_time(hub, 700)
        assert states(hub, after=0)[2:] == left
        assert opened_to(hub) <= {DEV, DEV2}


def test_a_wave_in_the_middle_may_lose_all_its_targets():
    """What runs there ends, and nobody has its wave any longer; the one after it waits."""
    for act in (
        lambda hub: hub.withdraw(AMI, QA),
        lambda hub: apply(hub, MIDDLE, {**GROUPS, "qa": ("200000000009",)}),
    ):
        hub = promoted(MIDDLE)
        hub.run(until=START + 3 * HOUR)
        act(hub)
        pass_time(hub, 700)
        assert states(hub) == ["delivered", "delivered", "cancelled", WAITS]


def test_pause_approval_and_wave_together():
    """The wave first, then the approval, which an approver may give meanwhile. A paused hub opens no wave."""
    paused, meanwhile = (hub_with({"prod": Wave("dev", 2 * HOUR)}) for _ in range(2))
    for hub in (paused, meanwhile):
        hub.cloud.change_targets(PROD, approval="required")
        hub.cloud.tag(AMI, "dev prod")
        assert states(hub)[3] == WAITS
    paused.cloud.paused = True
    assert states(paused, after=5 * HOUR)[3] == WAITS
    paused.cloud.paused = False
    assert states(paused)[3] == "awaiting-approval"
    paused.approve(AMI)
    assert states(paused, after=2 * HOUR)[3] == "delivered"

    meanwhile.approve(AMI)
    assert states(meanwhile, after=1800)[3] == WAITS
    assert states(meanwhile, after=3 * HOUR)[3] == "delivered"


def test_settings_of_waves_void_no_approval_and_restart_nothing():
    """Another soak: the approved delivery goes on, in the same episode."""
    hub = promoted({"prod": Wave("dev", DAY)}, settings={"approval": "required"}, value="dev prod")
    states(hub)
    hub.approve(AMI)
    states(hub)
    apply(hub, {"prod": Wave("dev")}, approval="required")
    pass_time(hub, 2 * HOUR)
    assert states(hub, after=0)[3] == "delivered"
    done = hub.notified("delivery.delivered")
    assert [one["episode"] for one in done] == [1, 1, 1]


def test_other_settings_of_the_target_count_when_the_wave_opens():
    """A delivery keeps the settings of its start, which may be weeks ago: it begins again with the new ones."""
    hub = promoted({"prod": Wave("dev", DAY)}, "dev prod")
    states(hub)
    apply(hub, {"prod": Wave("dev", DAY)}, tags={"cost": "more"})
    pass_time(hub, DAY + HOUR)
    assert states(hub)[3] == "delivered"
    (image,) = [one for one in hub.cloud.images.values() if one.account == PROD]
    assert {"Key": "cost", "Value": "more"} in image.raw["Tags"]


def test_a_file_without_the_wave_lets_it_go_on_and_one_with_another_lets_it_wait():
    """Which wave an account has is read when it looks: a renamed group, or another rule, opens nothing by itself."""
    hub = promoted({"prod": Wave("dev", DAY)}, "dev qa prod")
    states(hub)
    renamed = {"dev": (DEV, DEV2), "qa": (QA,), "production": (PROD,), "prod": (PROD,)}
    apply(hub, {"production": Wave("dev", 2 * DAY)}, renamed)
    pass_time(hub, DAY + HOUR)
    assert states(hub, after=0)[3] == WAITS
    apply(hub, {}, renamed)
    pass_time(hub, 2 * HOUR)
    assert states(hub)[3] == "delivered"


def test_what_was_found_for_other_members_of_the_group_before_opens_nothing():
    """A minute before the soak is over, the group before gets an account whose delivery has failed."""
    waves = {"prod": Wave("dev", DAY + 300)}  # between two polls of the promotion
    hub = promoted(waves, broken=(QA,))
    assert states(hub) == ["delivered", "delivered", "failed", WAITS]
    ended = max(reported(hub, "delivery.delivered", one) for one in (DEV, DEV2))
    hub.run(until=ended + waves["prod"].soak - 60)
    apply(hub, waves, {**GROUPS, "dev": (DEV, DEV2, QA)})
    assert states(hub)[3] == WAITS
    assert len(stops(hub)) == 1
    apply(hub, waves)
    pass_time(hub, HOUR)
    assert states(hub)[3] == "delivered", "woken, as it is known again when the wave opens"


def test_a_new_value_that_does_not_reach_the_group_before_is_refused():
    """The notice names the group."""
    hub = promoted(value="prod")
    assert states(hub) == [""] * 4
    assert any(one.startswith("wave-not-reached") and "`qa`" in one for one in hub.faults())


def test_a_new_tag_event_waits_for_those_that_begin_again():
    """What failed before in dev begins again, and prod, which failed, too, waits for it."""
    hub = promoted({"prod": Wave("dev", 0, 1)}, "dev prod")
    break_key(hub, PROD)
    break_key(hub, DEV)
    assert states(hub, after=2 * HOUR) == ["failed", "delivered", "", "failed"]
    cure_key(hub, PROD)
    hub.cloud.disabled.clear()
    hub.cloud.tag(AMI, "prod dev")
    assert states(hub, after=60)[3] == WAITS
    assert states(hub, after=2 * HOUR) == ["delivered", "delivered", "", "delivered"]
    assert reported(hub, "delivery.delivered", DEV) < reported(hub, "delivery.delivered", PROD)


# --- whatever is lost ------------------------------------------------------------------------------------------------


def test_the_sweep_alone_leads_from_wave_to_wave():
    """With every event and every wake lost."""
    hub = promoted({"qa": Wave("dev", HOUR), "prod": Wave("qa")}, arrivals=NOTHING_COMES)
    assert list(hub.ended().values()) == DONE
    assert hub.cloud.now < START + DAY


def test_a_file_that_cannot_be_read_while_it_wakes_loses_no_wake():
    """Whose wave opens is in the file: without it, what waits is woken all the same, and looks until it can read it."""
    hub = promoted()
    hub.gate.before(
        "records",
        "save",
        lambda: setattr(hub.cloud, "applied", UNREADABLE),
        only=lambda _before, write, *_: write.body.get("cursor") == {"part": "wake"},
    )
    states(hub, after=20 * 60)
    assert hub.cloud.applied is not None
    assert f"{hub.delivery_key(AMI, QA)} wave:{AMI}" in hub.invocations
    hub.cloud.applied = None
    assert states(hub, after=10 * 60)[2] == "delivered"


def test_a_wave_of_many_that_opens_is_woken_slice_by_slice_and_nobody_else_is():
    """Each run has time for one slice, and the next goes on behind it. What copies already is not woken for nothing."""
    stores, sent = in_memory(), SentWakes()
    accounts = [f"{300_000_000_000 + number}" for number in range(60)]
    prod, later = accounts[:50], accounts[50:]
    file = FileWaves({**PLAIN, "later": Wave("prod")}, {"dev": (DEV,), "qa": (QA,), "prod": prod, "later": later})
    tracked = [TrackedDelivery(one * 2, one, REGION, 1, "running") for one in accounts]
    for one in tracked:
        state = DeliveryState.COPYING if one.account.endswith("9") else DeliveryState.AWAITING_WAVE
        stores.records.create(DELIVERIES.encode(replace(a_delivery(state), id=one.delivery)), START)
    opens = {file.name(PLAIN["prod"]): WaveProgress(opens_at=START), file.name(Wave("prod")): WaveProgress()}
    promotion = Promotion(AMI, HUB, REGION, waves=opens, cursor=WAKE)

    it = DeliveryPass(stores.records, stores.tracked, stores.ledger, Waker(stores.records, sent, lambda: START), int)
    runs = 0
    while promotion.cursor:
        promotion = replace(promotion, cursor=it.wake(promotion, file, tracked, Budget(lambda: 0)).cursor)
        runs += 1
        assert runs < 10
    waiting = [addresses.delivery(one * 2).pk for one in prod if not one.endswith("9")]
    assert (sorted(sent.woken), runs) == (waiting, 3)


@pytest.mark.thorough
@pytest.mark.parametrize("after", [False, True])
def test_a_process_may_be_killed_at_each_call(after):
    """The chain comes to its end, each wave after the one before, and a stop is notified."""
    hub = promoted({"qa": Wave("dev", 600), "prod": Wave("qa")})
    hub.ended()
    for call in range(int(after), hub.gate.calls, 13):
        hub = promoted({"qa": Wave("dev", 600), "prod": Wave("qa")}, crashes=[PortCrash(call, after=after)])
        assert list(hub.ended().values()) == DONE, call
        ends = [reported(hub, "delivery.delivered", one) for one in (DEV, DEV2, QA, PROD)]
        assert max(ends[:2]) + 600 <= ends[2] < ends[3], call


@pytest.mark.thorough
@pytest.mark.parametrize("after", [False, True])
def test_a_process_may_be_killed_at_each_call_around_a_stop(after):
    """No call that is lost opens a stopped wave, or keeps its notice back."""

    def stopped(crashes=()):
        hub = hub_with(crashes=list(crashes))
        break_key(hub, DEV)
        hub.cloud.tag(AMI, "dev qa prod")
        hub.run(until=START + 3 * HOUR)
        return hub

    for call in range(int(after), stopped().gate.calls, 11):
        hub = stopped([PortCrash(call, after=after)])
        assert opened_to(hub) <= {DEV, DEV2}, call
        assert len(stops(hub)) == 1, call


@pytest.mark.thorough
def test_a_thousand_waiting_targets_cost_few_reads_each():
    """Each reads its promotion, not the others; they sleep until the soak is over, and are woken by slices."""
    accounts = [f"{300_000_000_000 + number}" for number in range(1000)]
    groups = {"dev": (DEV,), "prod": accounts}
    hub = Hub((DEV, *accounts), watchful=False, most_invocations=100_000)
    apply(hub, {"prod": Wave("dev", 12 * HOUR)}, groups)
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, "dev prod")
    hub.run(until=START + 11 * HOUR)
    assert {state for (_, account), state in hub.outcomes().items() if account != DEV} == {WAITS}
    assert hub.gate.made["tracked", "all"] < 150, "the promotion reads its deliveries; those that wait do not"
    looks = len([one for one in hub.invocations if one.startswith("worker")])
    assert looks < 1000 * 14, "an hourly look of each at the most"
    assert hub.gate.made["source", "tag"] < 200
    assert schedule.WAVE_DEADLINE > 12 * HOUR


def test_the_parameter_of_a_later_wave_names_the_ami():
    """The pointer asks the file for one account alone, which waits for others."""
    hub = hub_with(settings={"ssm_parameter": "/golden/{family}/current"})
    hub.cloud.make_image(AMI, {"snap-00": True}, family="base")
    hub.cloud.tag(AMI, "dev qa prod")

    assert states(hub) == DONE
    named = {account: shown.value for (account, _), shown in hub.cloud.parameters.items()}
    assert named == {image.account: one for one, image in hub.cloud.images.items()}


@pytest.mark.parametrize("later", [60, 20 * 60], ids=["soon", "just before they end"])
def test_an_ami_that_is_restored_while_its_first_wave_copies_reaches_the_others(later):
    """It was deregistered by mistake: the waves that waited failed, and nobody tags it again."""
    hub = promoted(behavior=CloudBehavior(copying=(1800,)))
    states(hub, after=5 * 60)
    hub.cloud.set_state(AMI, "deregistered")
    assert states(hub, after=5 * 60) == ["copying", "copying", "failed", "failed"]
    assert {one.partition(":")[0] for one in hub.faults()} == {"source-gone"}

    assert states(hub, after=later)[:2] == ["copying", "copying"]
    hub.cloud.gone.remove(AMI)
    pass_time(hub, 4 * HOUR)
    assert states(hub, after=0) == DONE
