"""A target with `approval: required` gets nothing without an approval, and nothing by a void one."""

from dataclasses import replace

import pytest

from chalicelib.delivery.phases.waiting import ApprovalSeen
from chalicelib.sharing.ports import Judgement
from chalicelib.targets.applied_file import Directory, Target
from tests.service.arrivals import NOTHING_COMES
from tests.service.cloud import HUB, REGION, START, source_key
from tests.service.gate import PortCrash
from tests.service.hub import Hub
from tests.service.organization import OU, A, B, OrganizationHub
from tests.service.shared_ami import AMI, HOUR, outcomes, pass_time, tagged, untagged

DAY = 24 * HOUR
WAITS = "awaiting-approval"


def waiting(accounts=(A,), **given) -> Hub:
    """A hub whose AMI waits for an approval."""
    settings = {"approval": "required", **given.pop("target", {})}
    hub = tagged(" ".join(accounts), accounts=accounts, target=settings, **given)
    pass_time(hub, HOUR)
    return hub


def opened(hub: Hub) -> bool:
    """Whether any share is open, or anything was copied or registered."""
    cloud = hub.cloud
    return bool(cloud.permissions or cloud.grants or cloud.launches or cloud.copies or cloud.images)


def deliver(hub: Hub) -> None:
    """Approve it; it is delivered then."""
    hub.approve(AMI)
    assert hub.ended() == {(AMI, A): "delivered"}


def asked(hub: Hub) -> list[str]:
    """The digests for which approvers were asked, in turn."""
    return [one["digest"] for one in hub.notified("promotion.awaiting-approval")]


def test_the_sweep_alone_finds_the_approval():
    """With every event and wake lost, the approver's entry is enough, also if it is written twice."""
    hub = waiting(arrivals=NOTHING_COMES)
    pass_time(hub, HOUR)
    hub.approve(AMI)
    deliver(hub)


def test_it_ends_after_thirty_days_and_the_queue_deadline_does_not_count():
    """Without an approval the delivery fails after 30 days, names the cure, and leaves nothing open."""
    hub = waiting(target={"queue_deadline": HOUR})
    hub.cloud.now = START + 29 * DAY
    assert outcomes(hub, after=HOUR) == {(AMI, A): WAITS}
    assert hub.ended() == {(AMI, A): "failed"}
    assert any("deadline-awaiting-approval" in fault for fault in hub.faults())
    assert hub.cloud.now < START + 31 * DAY


@pytest.mark.parametrize("state", ["deregistered", "disabled"])
def test_it_ends_within_minutes_where_its_ami_is_gone_or_disabled(state):
    """Nobody can approve it any more. One look that does not show the AMI proves nothing; two do."""
    hub = waiting()
    hub.cloud.set_state(AMI, state)
    assert outcomes(hub, after=HOUR) == {(AMI, A): "failed"}
    assert [one for one in hub.faults() if one.startswith("source-gone")]
    assert not opened(hub)


def test_a_share_is_not_waited_for_once_its_date_has_come():
    """An approval would open nothing any more: the delivery fails with the date's fault within the hour."""
    hub = waiting(target={"mode": "share", "until": int(START) + DAY})
    assert outcomes(hub, after=DAY - 2 * HOUR) == {(AMI, A): WAITS}
    assert outcomes(hub, after=2 * HOUR) == {(AMI, A): "failed"}
    assert [one for one in hub.faults() if one.startswith("share-until-passed")]
    assert not opened(hub)


def test_a_later_date_in_the_file_counts_while_the_settings_conflict():
    """The delivery cannot begin again with the new settings yet; it waits until the later date, and no longer."""
    hub = waiting(target={"mode": "share", "until": int(START) + DAY})
    hub.cloud.change_targets(by_way_of=B, until=int(START) + 2 * DAY)
    assert outcomes(hub, after=2 * DAY - 2 * HOUR) == {(AMI, A): WAITS}
    assert outcomes(hub, after=2 * HOUR) == {(AMI, A): "failed"}
    assert [one for one in hub.faults() if one.startswith("share-until-passed")]


def test_the_queue_deadline_begins_with_the_approval():
    """After the approval the delivery still waits hours for a slot."""
    hub = waiting(target={"queue_deadline": 2 * HOUR})
    hub.cloud.now = START + 5 * DAY
    pass_time(hub, HOUR)
    deliver(hub)


@pytest.mark.parametrize("expired", [False, True], ids=["the first one", "in the place of an expired one"])
def test_nobody_is_asked_again_while_a_part_of_the_answer_shows(expired):
    """An approver answers for each target in turn, and a promotion compares in between."""
    hub = waiting((A, B))
    if expired:
        hub.cloud.now += HOUR
        hub.approve(AMI, lasts=-1)
        del hub.cloud.approvals[AMI, f"{B}/{REGION}"]
        pass_time(hub, HOUR)
    before = len(asked(hub))
    assert before == (2 if expired else 1)
    hub.approve(AMI)
    second = hub.cloud.approvals.pop((AMI, f"{B}/{REGION}"))
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered", (AMI, B): WAITS}
    assert len(asked(hub)) == before
    hub.cloud.approvals[AMI, f"{B}/{REGION}"] = second
    assert set(hub.ended().values()) == {"delivered"}


def test_nobody_is_asked_again_about_one_target_where_the_approval_of_another_expires():
    """One target has the AMI by then; nothing has changed for the one that waits."""
    hub = waiting((A, B))
    hub.approve(AMI, lasts=2 * HOUR)
    del hub.cloud.approvals[AMI, f"{B}/{REGION}"]
    assert outcomes(hub, after=DAY) == {(AMI, A): "delivered", (AMI, B): WAITS}
    assert len(asked(hub)) == 1
    hub.approve(AMI)
    assert set(hub.ended().values()) == {"delivered"}


def test_another_value_voids_the_approval_and_is_asked_for_again():
    """The same account by another value: the approval was for the value before, and another is requested."""
    hub = waiting()
    hub.approve(AMI)
    void = dict(hub.cloud.approvals)
    hub.cloud.approvals.clear()
    hub.cloud.tag(AMI, "default")
    pass_time(hub, HOUR)
    hub.cloud.approvals.update(void)
    pass_time(hub, DAY)

    assert not opened(hub)
    assert len(set(asked(hub))) == 2
    deliver(hub)


def test_other_settings_void_the_approval_and_start_another_episode():
    """The waiting delivery has the old settings: it is cancelled, and its next episode has the new ones."""
    hub = waiting()
    hub.approve(AMI)
    hub.cloud.change_targets(tags={"cost": "more"})
    pass_time(hub, HOUR)
    assert not opened(hub)
    assert hub.outcomes() == {(AMI, A): WAITS}
    assert len(set(asked(hub))) == 2
    deliver(hub)
    (image,) = hub.cloud.images.values()
    assert {"Key": "cost", "Value": "more"} in image.raw["Tags"]


def test_a_file_that_asks_for_no_approval_any_longer_lets_it_go_on():
    """The applied file decides which targets need an approval."""
    hub = waiting()
    hub.cloud.change_targets(approval="none")
    assert hub.ended() == {(AMI, A): "delivered"}


def test_an_account_that_joins_needs_a_new_one():
    """The approved account goes on; the new one waits, and the service asks for its approval."""
    hub = waiting()
    hub.accounts = (A, B)
    hub.approve(AMI)
    listed = {one: (Target(one, REGION, approval="required"),) for one in (A, B)}
    hub.cloud.directory = Directory({"default": (A, B)}, listed)
    assert outcomes(hub, after=HOUR) == {(AMI, A): "delivered"}
    hub.cloud.tag(AMI, f"{A} {B}")
    assert outcomes(hub, after=DAY) == {(AMI, A): "delivered", (AMI, B): WAITS}
    assert len(set(asked(hub))) == 2
    hub.approve(AMI)
    assert hub.ended() == {(AMI, A): "delivered", (AMI, B): "delivered"}


def test_an_account_that_joins_gets_what_was_examined_when_the_tag_was_written():
    """For all targets, with and without an approval: what somebody tags later waits for a tag event."""
    it = OrganizationHub(A)
    it.look(3)
    it.tag()
    it.cloud.hub_images["ami-0a"]["Tags"].append({"Key": "later", "Value": "yes"})
    it.organization.accounts[B] = "ACTIVE"
    it.look(12)
    assert it.outcomes == {A: "delivered", B: "delivered"}
    assert not [image for image in it.cloud.images.values() if "later" in str(image.raw["Tags"])]


def test_the_parameter_is_that_of_the_family_which_was_approved():
    """The source got another family after its delivery had begun to wait, and with another value it was examined."""
    hub = Hub((A, B), target={"approval": "required", "ssm_parameter": "/golden/{family}/current"})
    hub.cloud.make_image(AMI, {"snap-00": True}, family="old")
    hub.cloud.tag(AMI, A)
    pass_time(hub, HOUR)
    (family,) = (tag for tag in hub.cloud.hub_images[AMI]["Tags"] if tag["Key"] == "family")
    family["Value"] = "new"
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, HOUR)
    hub.approve(AMI)

    assert set(outcomes(hub, after=2 * HOUR).values()) == {"delivered"}
    assert set(hub.cloud.parameters) == {(A, "/golden/new/current"), (B, "/golden/new/current")}


def test_a_tag_that_names_it_no_longer_ends_it_at_once():
    """Removal from the tag cancels it during the wait for the approval, and also during a pause."""
    hub = waiting((A, B))
    hub.cloud.paused = True
    hub.cloud.tag(AMI, A)
    assert outcomes(hub, after=300) == {(AMI, A): WAITS, (AMI, B): "cancelled"}
    hub.cloud.tag(AMI, None)
    assert hub.ended() == {(AMI, A): "cancelled", (AMI, B): "cancelled"}
    assert not opened(hub)


def test_an_account_that_the_file_loses_while_the_tag_has_a_refused_value_waits_no_longer():
    """A removal does not wait for a value that is understood; the other account waits on, and no notice is repeated."""
    hub = waiting((A, B))
    hub.cloud.tag(AMI, "dve")
    pass_time(hub, HOUR)
    hub.cloud.drop_targets(B)
    assert outcomes(hub, after=HOUR) == {(AMI, A): WAITS, (AMI, B): "cancelled"}
    assert len(hub.notified("promotion.refused")) == 1
    looks = len(hub.invocations)
    pass_time(hub, HOUR)
    assert len(hub.invocations) < looks + 30, "discovery does not wake it every five minutes"


def test_what_begins_again_while_the_tag_has_a_refused_value_repeats_no_notice():
    """The file gives the waiting account other settings: its next episode has them, by the value in force."""
    hub = waiting()
    hub.cloud.tag(AMI, "dve")
    pass_time(hub, HOUR)
    hub.cloud.change_targets(tags={"cost": "more"})
    assert outcomes(hub, after=2 * HOUR) == {(AMI, A): WAITS}
    assert len(hub.notified("promotion.refused")) == 1
    deliver(hub)
    (image,) = hub.cloud.images.values()
    assert {"Key": "cost", "Value": "more"} in image.raw["Tags"]


def test_a_pause_holds_nothing_back_that_was_approved():
    """Both approved and waiting deliveries continue while new promotions are paused."""
    hub = waiting()
    hub.cloud.paused = True
    deliver(hub)


@pytest.mark.parametrize("void", ["expired", "other settings"])
def test_an_approval_that_is_void_when_the_share_worker_asks_is_asked_for_again(void):
    """The delivery already asked to open: nothing opens, it is cancelled, and its next episode waits for approval."""
    hub = waiting()
    hub.approve(AMI)
    hub.until(lambda: hub.outcomes()[AMI, A] != WAITS)
    assert not opened(hub)
    (place,) = hub.cloud.approvals
    if void == "expired":
        hub.cloud.approvals[place] = replace(hub.cloud.approvals[place], until=hub.cloud.now)
    else:
        hub.cloud.change_targets(tags={"cost": "more"})
    assert outcomes(hub, after=DAY) == {(AMI, A): WAITS}
    assert not opened(hub)
    assert [one for one in hub.faults() if one.startswith("not-approved")]
    assert len(asked(hub)) == 2
    deliver(hub)


def test_a_copy_of_the_hubs_waits_though_an_ou_gives_the_hubs_account_other_settings():
    """The targets of the value copy from the hub's account, whose settings as a member of an OU are not meant."""
    it = OrganizationHub(HUB, B)
    it.hub.most_invocations, it.hub.watchful = 300, False
    it.hub.gate.watch = lambda *_: None  # the invariants do not know the hub as a target
    between = Target(HUB, REGION, approval="required")
    listed = {A: (Target(A, REGION, by_way_of=HUB),), HUB: (between,)}
    own = {HUB: {"default": (replace(between, tags={"cost": "more"}),)}}
    groups = {"default": (OU,), "some": (A,)}
    it.cloud.directory = replace(it.cloud.directory, groups=groups, accounts=listed, own=own)
    it.look(3)
    it.hub.accounts = (HUB, A)
    it.cloud.tag("ami-0a", "some")
    it.hub.wait(2 * HOUR)

    assert it.outcomes == {HUB: WAITS, A: "requested"}
    assert len(asked(it.hub)) == 1


def crashed(*crashes: PortCrash) -> Hub:
    """A hub whose AMI is approved after ten minutes; its processes are killed at these calls, and no event arrives."""
    hub = tagged(
        A, accounts=(A,), target={"approval": "required"}, arrivals=NOTHING_COMES, crashes=list(crashes), watchful=False
    ).wait(1200)
    hub.approve(AMI)
    hub.run()
    return hub


@pytest.mark.thorough
def test_it_ends_well_wherever_a_process_is_killed():
    """Killed at every third call from the tag to the delivery, before or after the call takes effect."""
    for call in range(0, crashed().gate.calls, 3):
        hub = crashed(PortCrash(call, after=bool(call % 2)))
        assert hub.outcomes() == {(AMI, A): "delivered"}, call
        assert len(set(asked(hub))) == 1, call


NOBODY_ASKS = {
    "the delivery": lambda hub: setattr(hub.approvals, "look", lambda *_: ApprovalSeen("nobody")),
    "the share worker": lambda hub: setattr(hub.share_worker.entitlements, "judge", lambda *_: Judgement()),
}


@pytest.mark.parametrize("who", NOBODY_ASKS)
def test_one_function_that_asks_nobody_opens_nothing(who):
    """The delivery's check and the share worker's check each suffice to keep everything closed [invariant 11]."""
    hub = untagged((A,), target={"approval": "required"})
    NOBODY_ASKS[who](hub)
    hub.cloud.tag(AMI, A)
    pass_time(hub, HOUR)
    assert not opened(hub)


def test_nobody_is_asked_about_a_source_that_was_refused_and_it_is_delivered_when_it_is_mended():
    """Its key was disabled when it was tagged: nothing was examined, so nothing can be approved yet."""
    hub = untagged((A,), target={"approval": "required"})
    hub.cloud.disabled.add(source_key(0))
    hub.cloud.tag(AMI, A)
    assert outcomes(hub, after=HOUR) == {}
    assert asked(hub) == []
    hub.cloud.disabled.clear()
    hub.cloud.tag(AMI, None)
    pass_time(hub, 300)
    hub.cloud.tag(AMI, A)
    pass_time(hub, HOUR)
    assert len(asked(hub)) == 1
    deliver(hub)
