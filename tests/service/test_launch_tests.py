"""One instance from each new AMI starts in the target before the AMI is published, and never outlives its delivery."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from ami_promoter.promotions.timeline_text import words
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.instances import InstanceSeen
from chalicelib.delivery.model import Delivery
from chalicelib.engine import addresses, codec
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.stored import peek
from chalicelib.promotion.machine import RECALL
from chalicelib.targets.applied_file import LaunchTest
from tests.service.cloud import PLACE, REGION, START, UNREADABLE, CloudBehavior, Image, LaunchSite
from tests.service.gate import LostAnswer, PortCrash, PortTrouble, ProcessKilled
from tests.service.hub import Hub
from tests.service.scenes import killed_at_calls
from tests.service.slow import SlowGate, SlowHub

AMI, NEXT, DEV, PROD = "ami-0a", "ami-0b", "200000000001", "200000000002"
MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
MODES = ("copy", "share")
ENDS = {"copy": "delivered", "share": "shared"}
BROKEN = ("impaired", "hangs", "Client.InstanceInitiatedShutdown")
UNTESTED = (
    "pending",
    "Server.InternalError",
    "Server.InsufficientVolumeCapacity",
    "Client.UserInitiatedShutdown",
    "Client.InternalError",
    "host",
)


def a_hub(
    mode: str = "copy",
    accounts: tuple[str, ...] = (DEV,),
    target: dict[str, Any] | None = None,
    order: tuple[bool, ...] = (),
    **aws,
) -> Hub:
    """A hub with an AMI and a target with a launch test; ``aws``: how AWS behaves.

    ``order``: each invocation runs twice at once, and the two hand over to each other at these calls.
    """
    settings = {"mode": mode, "launch_test": LaunchTest("t3.micro"), **(target or {})}
    twice = {"pairings": ("twin",), "order": order} if order else {}
    hub = Hub(accounts=accounts, behavior=CloudBehavior(**aws), target=settings, **twice)
    hub.cloud.make_image(AMI, {"snap-0": True}, family="base", CreationDate="2026-01-01T00:00:00.000Z")
    return hub


def promoted(hub: Hub, seconds: int = 2 * HOUR) -> Hub:
    """Tag the AMI and let time pass."""
    hub.cloud.tag(AMI, "default")
    return hub.wait(seconds)


def until_instance(hub: Hub) -> Hub:
    """Let time pass until the first instance was started."""
    hub.until(lambda: bool(hub.cloud.instances))
    return hub


def retried(hub: Hub) -> Hub:
    """Ask for another try, as `ami-promoter retry` does."""
    hub.retry(AMI)
    return hub.wait(2 * HOUR)


def record(hub: Hub) -> Delivery:
    found = peek(hub.stores.records, hub.delivery_key(AMI, DEV), DELIVERIES)
    assert found is not None
    return found


def notice(hub: Hub) -> dict[str, Any]:
    """The last notice of the delivery."""
    return [one for one in hub.cloud.notices if one.get("account") == DEV][-1]


def codes(hub: Hub) -> list[str]:
    return [fault["code"] for fault in notice(hub)["faults"]]


def ended(hub: Hub) -> tuple[str, list[str]]:
    """The state of the delivery, and the codes of the faults in its last notice."""
    return hub.outcomes()[AMI, DEV], codes(hub)


def states(hub: Hub) -> list[str]:
    return [one.state for one in hub.cloud.instances.values()]


def is_open(hub: Hub) -> bool:
    """Whether any permission is open, of a snapshot, a key or the AMI."""
    return bool(hub.cloud.permissions or hub.cloud.grants or hub.cloud.launches)


@pytest.mark.parametrize("mode", MODES)
def test_an_ami_is_published_after_its_instance_started_and_was_terminated(mode):
    """One instance from what the target will run; the notice comes after its end."""
    hub = until_instance(promoted(a_hub(mode), 0))
    assert hub.outcomes()[AMI, DEV] == "launching"
    assert not [one for one in hub.cloud.notices if one.get("account") == DEV]
    hub.wait(2 * HOUR)

    (one,) = hub.cloud.instances.values()
    assert hub.outcomes()[AMI, DEV] == ENDS[mode]
    assert (one.state, one.subnet) == ("terminated", PLACE.subnets[0])
    assert one.image == (AMI if mode == "share" else next(iter(hub.cloud.images)))


def test_in_copy_mode_the_shares_are_closed_before_the_instance_starts():
    """A boot keeps no permission open."""
    hub = until_instance(promoted(a_hub(booting=(10 * MINUTE,)), 0))
    assert hub.wait(5 * MINUTE).outcomes()[AMI, DEV] == "launching"
    assert (hub.cloud.permissions, hub.cloud.grants) == (set(), {})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("boots", BROKEN)
def test_an_ami_that_does_not_start_fails_and_nothing_of_it_stays(mode, boots):
    """As one that differs from its source; its instance, the only one, is terminated."""
    hub = promoted(a_hub(mode, boots=(boots,)))

    assert ended(hub) == ("failed", ["launch-test-failed"])
    assert states(hub) == ["terminated"]
    assert (hub.cloud.images, hub.cloud.live_copies(), hub.cloud.launches) == ({}, [], set())
    assert notice(hub)["leftovers"] == []


def test_checks_without_a_result_yet_fail_no_ami_before_the_time_is_over():
    """EC2 says `initializing` for minutes; only a check that two looks find impaired ends the test at once."""
    hub = until_instance(promoted(a_hub(boots=("hangs",)), 0))
    assert hub.wait(10 * MINUTE).outcomes()[AMI, DEV] == "launching"


@pytest.mark.parametrize("boots", UNTESTED)
def test_an_ami_that_could_not_be_tested_stays_unpublished_and_is_tested_again_without_another_copy(boots):
    """Hours of copying are kept; the notice says why, and names the AMI that stays."""
    hub = promoted(a_hub(boots=(boots, "ok"), target={"ssm_parameter": "/golden/{family}/current"}))
    copies, (image,) = set(hub.cloud.copies), hub.cloud.images
    assert ended(hub) == ("failed", ["launch-not-tested"])
    assert (notice(hub)["image"], notice(hub)["leftovers"]) == (None, [image])
    by_key = "AmiCopyRole-launch may not use the key" in str(notice(hub)["faults"])
    assert by_key is (boots == "Client.InternalError")
    assert [one["image"] for one in hub.notified("promotion.over")[-1]["deliveries"]] == [None]
    assert hub.cloud.parameters == {}
    assert "DeregistrationProtection" not in hub.cloud.images[image].raw

    retried(hub)
    assert hub.outcomes()[AMI, DEV] == "delivered"
    assert (set(hub.cloud.copies), set(hub.cloud.images)) == (copies, {image})
    assert states(hub) == ["terminated"] * 2
    assert [one.value for one in hub.cloud.parameters.values()] == [image]


def rename(hub: Hub) -> Hub:
    """Apply a file with another `ami_name`."""
    hub.cloud.change_targets(ami_name="new-{source_name}-{source_id}")
    return hub


def test_an_ami_that_failed_in_the_end_keeps_no_name():
    """It was removed; the file's new name counts."""
    hub = retried(promoted(a_hub(boots=("Server.InternalError", "impaired", "ok"))))
    retried(rename(hub))

    assert [one.name for one in hub.cloud.images.values()] == [f"new-golden-{AMI}-{AMI}"]


@pytest.mark.parametrize("its_name", ["is taken", "is free", "is free later"])
def test_a_kept_ami_that_its_owner_has_deregistered_names_no_other_try(its_name):
    """The file's new name counts, as for a first try; also where somebody else has taken the old one."""
    hub = promoted(a_hub(boots=("Server.InternalError", "ok")))
    (kept,) = hub.cloud.images.values()
    if its_name == "is free later":
        hub.cloud.deregister(kept.id)
    else:
        del hub.cloud.images[kept.id]
    if its_name == "is taken":
        hub.cloud.images["ami-0f"] = Image("ami-0f", DEV, kept.name, "", "", (), {"State": "available"})
    retried(rename(hub))

    assert ended(hub) == ("delivered", [])
    made = record(hub).image.id
    assert hub.cloud.images[made].name == f"new-golden-{AMI}-{AMI}"
    assert len(hub.cloud.copies) == 1, "its snapshots are still there"


def test_a_kept_ami_that_shows_without_its_tags_is_not_gone():
    """Somebody there has removed them: until its owner deregisters it, no second AMI is made (invariant 4)."""
    hub = promoted(a_hub(boots=("Server.InternalError", "ok")))
    (kept,) = hub.cloud.images.values()
    kept.delivery = ""
    retried(rename(hub))
    assert (list(hub.cloud.images), codes(hub)) == ([kept.id], ["target-name-taken"])

    del hub.cloud.images[kept.id]
    assert retried(hub).outcomes()[AMI, DEV] == "delivered"
    assert [one.name for one in hub.cloud.images.values()] == [f"new-golden-{AMI}-{AMI}"]


def test_a_kept_ami_that_its_owner_has_disabled_stays_until_it_is_enabled():
    """The fault asks to enable it: hours of copying are not lost by a retry before that."""
    hub = promoted(a_hub(boots=("pending", "ok")))
    (kept,) = hub.cloud.images.values()
    kept.raw["State"] = "disabled"
    for _ in range(2):
        retried(hub)
        assert ended(hub) == ("failed", ["registered-image-failed"])
        assert f"enable-image --image-id {kept.id}" in notice(hub)["faults"][0]["cure"]
        assert (list(hub.cloud.images), notice(hub)["leftovers"]) == ([kept.id], [kept.id])

    kept.raw["State"] = "available"
    assert retried(hub).outcomes()[AMI, DEV] == "delivered"
    assert (list(hub.cloud.images), len(hub.cloud.copies)) == ([kept.id], 1)


def test_in_share_mode_a_key_that_is_not_open_yet_is_no_failure():
    """A missing right on the key shows late: the instance terminates by itself, and another one is started."""
    hub = promoted(a_hub("share", access=(4 * MINUTE,), booting=(30,)))
    assert hub.outcomes()[AMI, DEV] == "shared"
    assert len(hub.cloud.instances) > 1
    assert set(states(hub)) == {"terminated"}


def test_a_grant_that_somebody_has_revoked_is_made_again_for_the_next_ami():
    """Both AMIs are under one key, and share one grant: the first AMI holds it still, and the second needs it."""
    hub = promoted(a_hub("share"))
    for key, name in list(hub.cloud.grants):
        hub.cloud.revoke(key, name)
    hub.cloud.make_image(NEXT, {"snap-1": True}, family="base", CreationDate="2026-01-02T00:00:00.000Z")
    hub.cloud.tag(NEXT, "default")
    hub.wait(2 * HOUR)
    assert hub.outcomes()[NEXT, DEV] == "shared"
    assert {grantee for _, grantee in hub.cloud.grants.items()} == {f"arn:aws:iam::{DEV}:root"}


@pytest.mark.parametrize("order", sorted(set(itertools.product((True, False), repeat=4)) - {(False,) * 4}))
def test_two_invocations_that_look_at_one_instance_fail_no_ami_for_a_key_that_is_not_open_yet(order):
    """The first begins again without that instance; what the second has seen of it says nothing about the next one."""
    hub = promoted(a_hub("share", order=order, boots=("Client.InternalError", "ok"), booting=(20,)))
    assert ended(hub) == ("shared", [])
    assert set(states(hub)) == {"terminated"}


def test_one_moment_at_which_a_check_is_impaired_fails_no_ami():
    """Two invocations that look at the same moment are one look: it counts if a later one shows it, too."""
    hub = until_instance(promoted(a_hub(order=(True, False), booting=(50,)), 0))
    impaired = InstanceSeen(next(iter(hub.cloud.instances)), "running", system="ok", instance="impaired")
    hub.gate.troubles.append(LostAnswer("target.instances", "see", after=False, says=impaired, times=2))
    assert hub.wait(2 * HOUR).gate.troubles[0].times == 0
    assert ended(hub) == ("delivered", [])


@pytest.mark.parametrize(
    ("system", "instance"),
    [("insufficient-data", "insufficient-data"), ("ok", "insufficient-data"), ("initializing", "ok"), ("", "")],
)
def test_checks_of_which_ec2_has_no_result_that_is_about_the_ami_remove_no_copy(system, instance):
    """EC2 has no data until the test's time is over, or only its host is not ok: the AMI stays, to be tested again."""
    hub = until_instance(promoted(a_hub(), 0))
    said = InstanceSeen(next(iter(hub.cloud.instances)), "running", system=system, instance=instance)
    hub.gate.troubles.append(LostAnswer("target.instances", "see", after=False, says=said, times=100))

    assert ended(hub.wait(2 * HOUR)) == ("failed", ["launch-not-tested"])
    assert len(hub.cloud.images) == 1


@pytest.mark.parametrize(
    ("missed", "order", "expected"),
    [(1, (), ("delivered", [])), (2, (), ("failed", ["launch-not-tested"])), (2, (True, False), ("delivered", []))],
    ids=["one look", "two looks", "two invocations at one moment"],
)
def test_an_instance_that_runs_is_gone_only_if_two_looks_miss_it(missed, order, expected):
    """One stale answer of EC2 says nothing. What two looks miss cannot be tested; it is terminated all the same."""
    hub = until_instance(promoted(a_hub(order=order, booting=(12 * MINUTE,)), 0)).wait(4 * MINUTE)
    stale = InstanceSeen(next(iter(hub.cloud.instances)))
    hub.gate.troubles.append(LostAnswer("target.instances", "see", after=False, says=stale, times=missed))
    assert hub.wait(2 * HOUR).gate.troubles[0].times == 0
    assert ended(hub) == expected
    assert states(hub) == ["terminated"]


REFUSED = {
    "throttled for a minute": (RefusalKind.THROTTLED, 4, "delivered"),
    "no capacity for a day": (RefusalKind.THROTTLED, 10**9, "failed"),
    "denied": (RefusalKind.DENIED, 10**9, "failed"),
    "the role is gone": (RefusalKind.ROLE, 10**9, "failed"),
    "the role is gone for a minute": (RefusalKind.ROLE, 1, "delivered"),
}


@pytest.mark.parametrize("how", sorted(REFUSED))
def test_what_the_target_refuses_is_no_failure_of_the_ami(how):
    """It is tried for as long as the instance may take, and stays for another try."""
    kind, times, outcome = REFUSED[how]
    hub = a_hub()
    hub.gate.refuse("target.instances", "run", why=kind, times=times)
    promoted(hub, 6 * HOUR)

    assert hub.outcomes()[AMI, DEV] == outcome
    assert len(hub.cloud.images) == 1
    assert len(hub.cloud.instances) == (outcome == "delivered")
    assert outcome == "delivered" or codes(hub)[0] == "launch-not-tested"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [RefusalKind.THROTTLED, RefusalKind.DENIED])
def test_an_instance_whose_answer_was_lost_is_found_by_its_nonce(mode, kind):
    """The call took effect; it is repeated with the same client token, or its instance is found by it and ended."""
    hub = a_hub(mode)
    hub.gate.refuse("target.instances", "run", why=kind, unknown=True, times=1, after=True)
    promoted(hub)
    assert states(hub) == ["terminated"]
    assert hub.outcomes()[AMI, DEV] == (ENDS[mode] if kind is RefusalKind.THROTTLED else "failed")


def test_an_instance_of_a_call_that_was_repeated_for_minutes_is_ended_although_it_shows_late():
    """Two minutes count from the last call: its answer was lost, and the first two looks miss the instance."""
    hub = a_hub()
    hub.gate.refuse("target.instances", "run", why=RefusalKind.THROTTLED, unknown=True, times=6)
    hub.gate.refuse("target.instances", "run", why=RefusalKind.DENIED, unknown=True, times=1, after=True)
    hub.gate.troubles.append(LostAnswer("target.instances", "started", times=2, says=()))
    promoted(hub)
    assert states(hub) == ["terminated"]


@pytest.mark.parametrize(("within", "looks"), [(15, 4), (40, 6)])
def test_checks_that_come_late_but_within_the_time_are_ok(within, looks):
    """It looks at 1, 2, 4 … minutes until then, and once at the end. The targets file says the time."""
    settings = {"launch_test": LaunchTest("t3.micro", within * MINUTE)}
    hub = until_instance(promoted(a_hub(target=settings, booting=(within * MINUTE - 5,)), 0))
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "delivered"
    assert hub.gate.made["target.instances", "see"] == looks


CANCELS = {
    "the tag is removed": lambda hub: hub.cloud.tag(AMI, None),
    "an operator withdraws": lambda hub: hub.withdraw(AMI, DEV),
    "an operator recalls": lambda hub: hub.recall(AMI),
}


@pytest.mark.parametrize("how", sorted(CANCELS))
def test_a_shared_ami_that_is_cancelled_while_it_is_tested_closes_at_once(how):
    """Its shares wait for no instance; the last notice waits until that is terminated."""
    hub = until_instance(promoted(a_hub("share", ending=(20 * MINUTE,), booting=(HOUR,)), 0))
    assert hub.cloud.launches
    CANCELS[how](hub)
    assert hub.wait(10 * MINUTE).cloud.launches == set()
    assert states(hub) == ["shutting-down"]
    assert hub.outcomes()[AMI, DEV] == "tidying"
    assert states(hub.wait(2 * HOUR)) == ["terminated"]
    assert hub.outcomes()[AMI, DEV] == "cancelled"


DATES = {
    "during its launch test": (5 * MINUTE, {"booting": (12 * MINUTE,)}),
    "until its instance has ended": (8 * MINUTE, {"ending": (20 * MINUTE,)}),
    "until its parameter is valid": (8 * MINUTE, {"checking": (9 * MINUTE,)}),
}


@pytest.mark.parametrize("when", sorted(DATES))
def test_a_date_that_comes_before_a_shared_ami_is_published_closes_it_at_once(when):
    """A date never waits: nobody is notified that it is shared, and no parameter names it afterwards."""
    after, aws = DATES[when]
    date = START + after
    hub = a_hub("share", target={"until": date, "ssm_parameter": "/golden/{family}/current"}, **aws)
    promoted(hub, 0).run(until=date - 1)
    assert hub.cloud.launches
    hub.run(until=date + 2 * MINUTE)
    assert hub.cloud.launches == set()
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "withdrawn"
    assert [one["event"] for one in hub.cloud.notices if one.get("account") == DEV] == ["delivery.withdrawn"]
    assert set(states(hub)) == {"terminated"}
    assert hub.cloud.parameters == {}


def test_a_later_date_in_the_file_lets_a_launch_test_go_on():
    """Also where the file cannot be read at the first date."""
    date = START + 5 * MINUTE
    hub = promoted(a_hub("share", target={"until": date}, booting=(12 * MINUTE,)), 0)
    hub.cloud.applied = UNREADABLE
    hub.run(until=date + MINUTE)
    hub.cloud.change_targets(until=START + 10 * HOUR)
    hub.cloud.applied = None
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "shared"
    assert hub.wait(9 * HOUR).outcomes()[AMI, DEV] == "withdrawn"


def test_a_finished_copy_is_tested_to_its_end_although_its_tag_is_removed():
    """As one whose RegisterImage was intended: it finishes and stays."""
    hub = until_instance(promoted(a_hub(), 0))
    hub.cloud.tag(AMI, None)
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "delivered"


ONCE_LIFTED = {
    "ok": ("delivered", []),
    "impaired": ("failed", ["launch-test-failed"]),
    "pending": ("failed", ["launch-not-tested"]),
}


@pytest.mark.parametrize("boots", sorted(ONCE_LIFTED))
def test_a_copy_that_was_recalled_while_it_was_tested_is_tested_when_the_recall_is_lifted(boots):
    """Its instance is ended and the copy deprecated; nobody is notified that it was delivered, as nothing has shown yet
    that it starts, and no parameter names it.

    If it fails then, it waits for a retry like every other one: one test, and one notice.
    """
    named = a_hub(boots=("ok", boots, boots), target={"ssm_parameter": "/golden/{family}/current"})
    hub = until_instance(promoted(named, 0))
    hub.recall(AMI)
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "recalled"
    assert states(hub) == ["terminated"]
    (image,) = hub.cloud.images.values()
    assert image.raw["DeprecationTime"]
    assert [one["event"] for one in hub.cloud.notices if one.get("account") == DEV] == ["delivery.recalled"]
    hub.lift_recall(AMI)
    hub.wait(2 * HOUR)

    outcome, _ = ONCE_LIFTED[boots]
    assert ended(hub) == ONCE_LIFTED[boots]
    assert {one.subnet for one in hub.cloud.instances.values()} == {PLACE.subnets[0]}
    assert states(hub) == ["terminated"] * 2
    assert len(hub.notified(f"delivery.{outcome}")) == 1
    assert len(hub.cloud.images) == (boots != "impaired")
    assert bool(hub.cloud.parameters) == (boots == "ok")


def kept_untested(*boots: str, **target: Any) -> tuple[Hub, Image]:
    """A hub whose AMI could not be tested in DEV, and that AMI; ``boots``: what becomes of later instances."""
    hub = promoted(a_hub(boots=("pending", *boots), target=target))
    (image,) = hub.cloud.images.values()
    assert ended(hub) == ("failed", ["launch-not-tested"])
    return hub, image


def recalled(hub: Hub) -> Hub:
    hub.recall(AMI)
    return hub.wait(2 * HOUR)


def lifted(hub: Hub) -> Hub:
    hub.lift_recall(AMI)
    return hub.wait(2 * HOUR)


def fails_its_checks(hub: Hub) -> None:
    """The Region no longer offers the type for that architecture, and a retry says so."""
    hub.cloud.place = LaunchSite(("subnet-0a",), (), ("arm64",))
    assert ended(retried(hub)) == ("failed", ["launch-type"])
    hub.cloud.place = PLACE


def loses_its_tag(hub: Hub) -> None:
    """While a retry waits for the target; it is tagged again afterwards."""
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.THROTTLED)
    hub.retry(AMI)
    hub.wait(2 * MINUTE)
    hub.cloud.tag(AMI, None)
    assert hub.wait(HOUR).outcomes()[AMI, DEV] == "cancelled"
    hub.gate.troubles.clear()


IN_VAIN: dict[str, Callable[[Hub], object]] = {
    "no retry": lambda _hub: None,
    "its checks fail": fails_its_checks,
    "its tag is removed": loses_its_tag,
}


@pytest.mark.parametrize("retry", IN_VAIN)
def test_a_kept_ami_is_deprecated_by_a_recall_and_tested_again_when_that_is_lifted(retry):
    """It is a copy like every other one: what is recalled must not be launched. Nobody gets it untested."""
    hub, image = kept_untested("ok", ssm_parameter="/golden/{family}/current")
    IN_VAIN[retry](hub)
    assert recalled(hub).outcomes()[AMI, DEV] == "recalled"
    assert image.raw["DeprecationTime"]
    assert (notice(hub)["image"], notice(hub)["leftovers"]) == (image.id, [])

    hub.cloud.tag(AMI, "default")
    assert retried(hub).outcomes()[AMI, DEV] == "recalled", "a retry begins nothing"
    lifted(hub)
    assert "DeprecationTime" not in image.raw
    assert states(hub) == ["terminated"] * 2
    assert ended(hub) == ("delivered", [])
    assert list(hub.cloud.images) == [image.id]
    assert [one.value for one in hub.cloud.parameters.values()] == [image.id]
    assert hub.wait(DAY).outcomes()[AMI, DEV] == "delivered"


@pytest.mark.parametrize("tested", [False, True])
def test_an_untested_ami_whose_tag_was_removed_beside_its_recall_is_left_untested_by_the_lift(tested):
    """It could not be tested, or was being tested. It is as it was before, and unpublished; the next tag tests it."""
    named = {"ssm_parameter": "/golden/{family}/current"}
    hub = promoted(a_hub(boots=("pending", "impaired", "ok"), target=named), 0)
    hub = until_instance(hub) if tested else hub.wait(2 * HOUR)
    (image,) = hub.cloud.images.values()
    hub.recall(AMI)
    hub.cloud.tag(AMI, None)
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "recalled"
    assert image.raw["DeprecationTime"]
    lifted(hub)
    assert (ended(hub), notice(hub)["leftovers"]) == (("cancelled", ["launch-still-untested"]), [image.id])
    assert "DeprecationTime" not in image.raw
    assert (states(hub), hub.cloud.parameters) == (["terminated"], {})

    assert ended(promoted(hub)) == ("failed", ["launch-test-failed"])
    assert hub.cloud.images == {}
    hub.cloud.tag(AMI, DEV)
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "delivered"


def test_a_kept_ami_that_differed_at_its_retry_was_removed_and_is_not_recalled():
    """No notice names what is not there, and the lift begins a new one."""
    hub, image = kept_untested("ok")
    image.raw["EnaSupport"] = not image.raw.get("EnaSupport")
    retried(hub)
    assert hub.cloud.images == {}
    recalled(hub)
    assert (hub.outcomes()[AMI, DEV], hub.notified("delivery.recalled")) == ("failed", [])
    assert lifted(hub).outcomes()[AMI, DEV] == "delivered"


def test_a_kept_ami_that_its_owner_has_deregistered_is_made_again_after_the_recall():
    """Its recall has nothing left to do there."""
    hub, image = kept_untested("ok")
    hub.cloud.deregister(image.id)
    assert recalled(hub).outcomes()[AMI, DEV] == "recalled"
    assert notice(hub)["faults"] == []
    assert lifted(hub).outcomes()[AMI, DEV] == "delivered"
    assert image.id not in hub.cloud.images


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no launch test": ({"launch_test": None}, "delivered"),
    "share mode": ({"mode": "share"}, "shared"),
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_settings_of_today_count_for_a_kept_ami_when_its_recall_is_lifted(settings):
    """As for every other try."""
    changes, outcome = SETTINGS[settings]
    hub, image = kept_untested("ok")
    hub.cloud.change_targets(**changes)
    recalled(hub)
    assert image.raw["DeprecationTime"]
    assert not is_open(hub)
    assert lifted(hub).outcomes()[AMI, DEV] == outcome
    assert "DeprecationTime" not in image.raw
    assert set(states(hub)) == {"terminated"}


def test_an_ami_that_was_published_without_its_test_is_one_that_was_tested():
    """Its targets file has no launch test any more; the lift of its recall waits for none, and for no tag."""
    hub, image = kept_untested()
    hub.cloud.change_targets(launch_test=None)
    assert retried(hub).outcomes()[AMI, DEV] == "delivered"
    hub.cloud.tag(AMI, None)
    assert lifted(recalled(hub)).outcomes()[AMI, DEV] == "delivered"
    assert "DeprecationTime" not in image.raw


def test_a_recall_opens_nothing_for_an_ami_that_could_not_be_tested():
    """The grant on the target's own key closed when its delivery failed; the lift opens it for what is delivered."""
    hub, _ = kept_untested("ok", service_linked_roles=("autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",))
    assert not is_open(hub)
    assert recalled(hub).outcomes()[AMI, DEV] == "recalled"
    assert not is_open(hub)
    held = [one for resource in hub.resources() for one in hub.stores.ledger.shares(resource) if one.holdings]
    assert held == [], "another delivery to that account would open it"
    assert lifted(hub).outcomes()[AMI, DEV] == "delivered"
    assert is_open(hub)


@pytest.mark.parametrize("seconds", [0, 5, 61, 5 * MINUTE, 20 * MINUTE])
@pytest.mark.parametrize("twice", [False, True])
def test_a_recall_of_a_kept_ami_that_is_lifted_at_any_time_leaves_it_as_it_was(seconds, twice):
    """It may be recalled again right after the lift."""
    hub, image = kept_untested("ok", "ok", "ok")
    image.raw["DeprecationTime"] = "2028-06-01T00:00:00.000Z"
    for _ in range(1 + twice):
        hub.recall(AMI)
        hub.wait(seconds)
        hub.lift_recall(AMI)
        hub.wait(seconds)
    hub.wait(4 * HOUR)
    assert image.raw["DeprecationTime"] == "2028-06-01T00:00:00.000Z"
    assert hub.outcomes()[AMI, DEV] == "delivered"


def test_a_late_look_right_after_the_lift_costs_a_kept_ami_no_date_of_its_own():
    """The second recall's look shows the first recall's date still, and another try has begun in between."""
    hub, image = kept_untested("ok", "ok")
    image.raw["DeprecationTime"] = "2028-06-01T00:00:00.000Z"
    late = {**recalled(hub).cloud.images[image.id].raw}
    hub.lift_recall(AMI)
    hub.until_state(AMI, DEV, "launching")
    hub.gate.troubles.append(LostAnswer("target.images", "shown", after=False, says=late))
    recalled(hub)
    assert hub.gate.troubles[0].times == 0
    assert image.raw["DeprecationTime"] < "2028"
    assert lifted(hub).outcomes()[AMI, DEV] == "delivered"
    assert image.raw["DeprecationTime"] == "2028-06-01T00:00:00.000Z"


@pytest.mark.parametrize("where", [("tracked", "add"), ("target.keys", "describe")])
def test_a_retry_that_was_killed_keeps_no_untested_ami_from_its_recall(where):
    """Before it has written that it begins, or right after that."""
    hub, image = kept_untested("ok")
    hub.gate.troubles.append(PortTrouble(*where, ProcessKilled(), after=True))
    hub.retry(AMI)
    hub.wait(0)
    assert hub.gate.troubles[0].times == 0
    assert recalled(hub).outcomes()[AMI, DEV] == "recalled"
    assert image.raw["DeprecationTime"]
    assert len(hub.cloud.instances) == 1


def test_a_kept_ami_is_recalled_although_its_record_was_parked_when_it_was_to_begin_again():
    """Each such try counts as failed; once the record is free, recall and lift find the AMI."""
    hub, image = kept_untested("ok")
    hub.park(hub.delivery_key(AMI, DEV))
    retried(retried(hub))
    hub.unpark(hub.delivery_key(AMI, DEV))
    assert recalled(hub).outcomes()[AMI, DEV] == "recalled"
    assert image.raw["DeprecationTime"]
    assert lifted(hub).outcomes()[AMI, DEV] == "delivered"
    assert "DeprecationTime" not in image.raw


@pytest.mark.parametrize("seconds", [0, 5, 61, 5 * MINUTE, 20 * MINUTE])
def test_a_kept_ami_is_recalled_whatever_a_retry_is_doing(seconds):
    """Its instance ends; nobody is notified that it was delivered."""
    hub, image = kept_untested("pending", "ok")
    hub.retry(AMI)
    hub.wait(seconds)
    assert recalled(hub).outcomes()[AMI, DEV] == "recalled"
    assert image.raw["DeprecationTime"]
    assert set(states(hub)) == {"terminated"}


def test_a_target_that_refuses_the_recall_of_a_kept_ami_is_named_and_retried():
    """As one that refuses the recall of a delivered one, and its lift."""
    hub, image = kept_untested("ok")
    hub.gate.refuse("target.images", "recall", why=RefusalKind.DENIED)
    recalled(hub).wait(2 * DAY)
    assert codes(hub) == ["recall-not-done", "aws-Refused"]
    hub.gate.troubles.clear()
    now = hub.cloud.now
    hub.stores.records.make_due(addresses.promotion(AMI), now, {RECALL: f"{now}:{DEV}/{REGION}"})
    hub.wait(HOUR)
    assert (hub.outcomes()[AMI, DEV], codes(hub)) == ("recalled", [])
    assert image.raw["DeprecationTime"]

    hub.gate.refuse("target.images", "restore", why=RefusalKind.DENIED)
    lifted(hub).wait(2 * DAY)
    hub.gate.troubles.clear()
    assert hub.wait(2 * DAY).outcomes()[AMI, DEV] == "delivered"
    assert "DeprecationTime" not in image.raw


@pytest.mark.thorough
@pytest.mark.parametrize("late", [3, 200])
@pytest.mark.parametrize("begins", ["recall", "retry"])
def test_a_process_killed_at_any_call_keeps_no_untested_ami_from_its_recall_and_lift(begins, late):
    """Of the recall, or of a retry right before it."""

    def begun() -> Hub:
        hub, _ = kept_untested("pending", "ok")
        (hub.recall if begins == "recall" else hub.retry)(AMI)
        return hub

    for number, hub in killed_at_calls(begun, late):
        (image,) = hub.cloud.images.values()
        hub.wait(late)
        if begins == "retry":
            hub.recall(AMI)
        hub.wait(2 * HOUR)
        assert (hub.outcomes()[AMI, DEV], bool(image.raw.get("DeprecationTime"))) == ("recalled", True), number
        lifted(hub)
        assert "DeprecationTime" not in image.raw, number
        assert set(states(hub)) == {"terminated"}, number


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("boots", ["ok", "impaired", "pending"])
def test_where_the_target_lets_no_instance_end_for_a_day_the_fault_names_it(mode, boots):
    """What is shared closes long before; what has passed its test is delivered all the same."""
    hub = a_hub(mode, boots=(boots,))
    hub.gate.refuse("target.instances", "terminate", why=RefusalKind.DENIED)
    promoted(hub, 20 * HOUR)
    assert hub.outcomes()[AMI, DEV] in ("launching", "tidying", "stopping")
    assert boots == "ok" or hub.cloud.launches == set()
    hub.wait(8 * HOUR)

    (instance,) = hub.cloud.instances
    assert hub.outcomes()[AMI, DEV] == (ENDS[mode] if boots == "ok" else "failed")
    (left,) = (one for one in notice(hub)["faults"] if one["code"] == "launch-instance-left")
    assert f"aws ec2 terminate-instances --region {REGION} --instance-ids {instance}`" in left["cure"]
    assert instance in notice(hub)["leftovers"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("boots", ["ok", "impaired", "pending"])
def test_an_instance_that_one_look_does_not_show_is_terminated_all_the_same(mode, boots):
    """Its id is known: a stale list of instances is no proof that it is gone."""
    hub = a_hub(mode, boots=(boots,), booting=(4 * MINUTE,))
    hub.gate.troubles.append(LostAnswer("target.instances", "started", after=False, says=()))
    promoted(hub)
    assert states(hub) == ["terminated"]
    assert hub.outcomes()[AMI, DEV] == (ENDS[mode] if boots == "ok" else "failed")


def test_the_next_episode_ends_what_an_earlier_one_had_to_leave():
    """Its nonce stays on the record."""
    hub = a_hub(boots=("pending", "ok"))
    hub.gate.refuse("target.instances", "terminate", why=RefusalKind.DENIED)
    promoted(hub, 30 * HOUR)
    assert states(hub) == ["pending"]
    hub.gate.troubles.clear()
    retried(hub)
    assert hub.outcomes()[AMI, DEV] == "delivered"
    assert states(hub) == ["terminated"] * 2


def test_an_instance_that_cannot_be_ended_keeps_no_later_one_running():
    """Somebody protects the first from termination; the second is ended, and only the first is named."""
    hub = a_hub(boots=("pending", "ok"))

    def is_first(_delivery: Delivery, instance: str) -> bool:
        return instance == next(iter(hub.cloud.instances))

    hub.gate.refuse("target.instances", "terminate", why=RefusalKind.DENIED, only=is_first)
    promoted(hub, 30 * HOUR)
    retried(hub)
    assert states(hub) == ["pending", "terminated"]
    assert hub.wait(26 * HOUR).outcomes()[AMI, DEV] == "delivered"
    assert notice(hub)["leftovers"] == [next(iter(hub.cloud.instances))]


def test_an_outage_of_ec2_that_outlasts_the_deadline_ends_no_test_that_went_well():
    """After its deadline it looks for as long as an instance may take, and the checks are ok."""
    hub = until_instance(promoted(a_hub(), 0))
    hub.gate.refuse("target.instances", "see", why=RefusalKind.THROTTLED)
    hub.wait(95 * MINUTE)
    hub.gate.troubles.clear()
    assert hub.wait(HOUR).outcomes()[AMI, DEV] == "delivered"


@pytest.mark.parametrize("boots", ["ok", "impaired"])
@pytest.mark.parametrize("minutes", [84, 120, 26 * 60])
def test_an_outage_of_the_worker_only_delays_the_test(minutes, boots):
    """The instance has its whole time, also where that begins shortly before the deadline or after it."""
    hub = SlowHub(
        accounts=(DEV,),
        behavior=CloudBehavior(booting=(13 * MINUTE,), boots=(boots,)),
        gate=SlowGate(),
        target={"launch_test": LaunchTest("t3.micro")},
    )
    hub.cloud.make_image(AMI, {"snap-0": True})
    hub.gate.refuse("target.instances", "run", why=RefusalKind.THROTTLED, times=1)
    hub.cloud.tag(AMI, "default")
    hub.until_state(AMI, DEV, "launching")
    hub.switch_off("worker", minutes * MINUTE)
    hub.wait(minutes * MINUTE + 2 * HOUR)
    assert ended(hub) == (("delivered", []) if boots == "ok" else ("failed", ["launch-test-failed"]))
    assert set(states(hub)) == {"terminated"}


def test_a_target_that_lets_nobody_look_is_no_failure_of_the_ami():
    """At the deadline the instance is terminated, and the AMI stays."""
    hub = until_instance(promoted(a_hub(), 0))
    hub.gate.refuse("target.instances", "see", why=RefusalKind.DENIED)
    assert codes(hub.wait(4 * HOUR))[0] == "launch-not-tested"
    assert states(hub) == ["terminated"]
    assert len(hub.cloud.images) == 1


PLACES = {
    "no subnet": (LaunchSite(), ["launch-place", "launch-type"]),
    "two subnets": (LaunchSite(("subnet-0a", "subnet-0b"), (), ("x86_64",)), ["launch-place"]),
    "two security groups": (LaunchSite(("subnet-0a",), ("sg-0a", "sg-0b"), ("x86_64",)), ["launch-place"]),
    "a type that the role may not run": (
        LaunchSite(("subnet-0a",), (), ("x86_64",), (), ("t3.nano",)),
        ["launch-type"],
    ),
    "another architecture": (LaunchSite(("subnet-0a",), (), ("arm64",)), ["launch-type"]),
    "a type that boots by UEFI only": (LaunchSite(("subnet-0a",), (), ("x86_64",), ("uefi",)), ["launch-type"]),
    "a type that needs ENA": (LaunchSite(("subnet-0a",), (), ("x86_64",), needs_ena=True), ["launch-type"]),
    "a type for fewer volumes": (LaunchSite(("subnet-0a",), (), ("x86_64",), most_volumes=1), ["launch-type"]),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", sorted(PLACES))
def test_where_no_test_can_run_is_said_before_anything_is_opened(mode, what):
    """All faults at once; nothing is held, opened or copied."""
    hub = a_hub(mode)
    hub.cloud.make_image(AMI, {"snap-0": True, "snap-1": True})
    hub.cloud.hub_images[AMI] |= {"BootMode": "legacy-bios", "EnaSupport": False}
    hub.cloud.place, expected = PLACES[what]
    promoted(hub)
    assert codes(hub) == expected
    assert (hub.cloud.copies, hub.cloud.images, is_open(hub)) == ({}, {}, False)


def test_a_launch_role_that_is_not_there_is_waited_for_before_anything_is_opened():
    """As the copy role; the notice says how the role is made, and what helps against each of STS's reasons."""
    hub = a_hub()
    hub.gate.refuse("target.instances", "place", why=RefusalKind.ROLE)
    promoted(hub, HOUR)
    assert ended(hub) == ("awaiting-role", ["launch-role-not-assumable"])
    cure = notice(hub)["faults"][0]["cure"]
    assert "LaunchTest=true" in cure
    assert "Mend it." in cure
    assert not is_open(hub)
    hub.gate.troubles.clear()
    assert hub.wait(2 * HOUR).outcomes()[AMI, DEV] == "delivered"


def test_the_end_of_the_console_is_on_the_record_alone():
    """It may hold secrets: neither a notice nor the history shows it."""
    hub = promoted(a_hub(boots=("impaired",)))
    assert "hunter2" in record(hub).launch.console
    assert "hunter2" not in repr(hub.cloud.notices)
    assert "hunter2" not in repr(hub.stores.history(hub.delivery_key(AMI, DEV)))
    assert any("console" in line for lines in hub.stores.history(hub.delivery_key(AMI, DEV)) for line in lines)


def test_the_history_says_what_became_of_the_instance_in_plain_words():
    """Its id and state, as `ami-promoter history` shows an event's members."""
    hub = promoted(a_hub())
    (instance,) = hub.cloud.instances
    lines = [line for lines in hub.stores.history(hub.delivery_key(AMI, DEV)) for line in lines]
    shown = [words(line, wide=True) for line in lines if line.startswith("InstancesEnded")]
    assert f"instances ended: seen {instance} terminated" in shown


def test_without_the_setting_nothing_is_asked_and_nothing_more_is_on_the_record():
    """No call as the launch role, and no member on the record that is written."""
    hub = promoted(a_hub(target={"launch_test": None}))
    assert hub.outcomes()[AMI, DEV] == "delivered"
    assert "target.instances" not in {port for port, _ in hub.gate.made}
    stored = codec.encode(record(hub), sparse=True)
    assert "launch" not in stored
    assert "launch_test" not in stored["target"]


@pytest.mark.thorough
@pytest.mark.parametrize(("mode", "boots"), [("copy", "impaired"), ("share", "ok")])
def test_killed_at_any_call_it_starts_one_instance_and_ends_the_same(mode, boots):
    """Each call from just before the launch test to the last notice, before and after its effect."""
    first = until_instance(quick(mode, boots)).gate.calls - 6
    undisturbed = until_over(quick(mode, boots))
    for number in range(first, undisturbed.gate.calls):
        for after in (False, True):
            hub = quick(mode, boots)
            hub.gate.crashes.append(PortCrash(number, after))
            until_over(hub)
            assert hub.outcomes() == undisturbed.outcomes(), (number, after)
            assert states(hub) == ["terminated"], (number, after)


def quick(mode: str, boots: str) -> Hub:
    """A tagged AMI whose launch test is over soon."""
    hub = a_hub(mode, boots=(boots,), target={"launch_test": LaunchTest("t3.micro", 4 * MINUTE)})
    hub.watchful = False
    return promoted(hub, 0)


def until_over(hub: Hub) -> Hub:
    """Let time pass until the delivery is over."""
    for _ in range(40):
        hub.wait(MINUTE)
        if hub.outcomes().get((AMI, DEV)) in (*ENDS.values(), "failed"):
            return hub
    raise TimeoutError


def test_a_kept_ami_that_one_look_misses_after_a_late_key_is_tested_again():
    """The stack is deployed again: its role comes before its key, and then one list is stale."""
    hub = promoted(a_hub(boots=("Server.InternalError", "ok")))
    (kept,) = hub.cloud.images
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.ROLE, times=2)
    hub.gate.troubles.append(LostAnswer("target.keys", "describe", says=(None, "NotFoundException"), times=1))
    waits = lambda delivery, *_: delivery.clear_since is not None  # noqa: E731
    hub.gate.troubles.append(missed := LostAnswer("target.images", "named", after=False, says=(), only=waits))
    hub.retry(AMI)
    rename(hub)
    hub.wait(2 * HOUR)

    assert missed.times == 0
    assert (ended(hub), list(hub.cloud.images)) == (("delivered", []), [kept])


@pytest.mark.parametrize("tag", [None, "default"])
def test_an_ami_that_was_recalled_untested_keeps_no_grant_on_the_targets_key(tag):
    """Its users need it only once the AMI is delivered: after the lift, if the tag still names it."""
    role = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    hub = until_instance(promoted(a_hub(target={"service_linked_roles": (role,)}), 0))
    hub.recall(AMI)
    hub.cloud.tag(AMI, tag)
    hub.wait(2 * HOUR)
    assert (hub.outcomes()[AMI, DEV], is_open(hub)) == ("recalled", False)

    lifted(hub)
    assert (hub.outcomes()[AMI, DEV], is_open(hub)) == (("delivered", True) if tag else ("cancelled", False))


@pytest.mark.parametrize("tested", [True, False])
def test_a_kept_ami_of_a_target_that_uses_the_hubs_own_by_now_is_named(tested):
    """It passes its launch test in share mode, or has none there: the copy stays, and nothing else would ever name it,
    also when the AMI is recalled.
    """
    hub, image = kept_untested("ok")
    hub.cloud.change_targets(mode="share", **({} if tested else {"launch_test": None}))
    assert (ended(retried(hub)), notice(hub)["leftovers"]) == (("shared", []), [image.id])
    assert (ended(recalled(hub)), notice(hub)["leftovers"]) == (("withdrawn", []), [image.id])
