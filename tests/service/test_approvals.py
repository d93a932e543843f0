"""A target that needs an approval gets nothing before there is one, and nothing by one that is void."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.core.delivery.events import ApprovalSeen
from chalicelib.core.targets.applied_file import Directory, Target
from chalicelib.service.approvals import LiveApprovals
from chalicelib.service.entitlements import LiveEntitlements
from tests.service.cloud import REGION, START
from tests.service.gate import PortCrash
from tests.service.hub import APPROVER, Hub, Parts
from tests.service.organization import A, B
from tests.service.test_removals import AMI, HOUR, open_to, pass_time
from tests.service.weather import NOTHING_COMES

DAY = 24 * HOUR
WAITS = "awaiting-approval"


def waiting(accounts=(A,), **given) -> Hub:
    """A hub whose AMI waits for an approval."""
    settings = {"approval": "required", **given.pop("target", {})}
    hub = Hub(accounts, target=settings, **given)
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, " ".join(accounts))
    pass_time(hub, HOUR)
    return hub


def opened(hub: Hub) -> bool:
    """Whether anything is open, or was copied or registered."""
    cloud = hub.cloud
    return bool(cloud.permissions or cloud.grants or cloud.launches or cloud.copies or cloud.images)


def asked(hub: Hub) -> list[str]:
    """The digests that approvers were asked for, in turn."""
    return [one["digest"] for one in hub.cloud.notices if one["event"] == "promotion.awaiting-approval"]


def apply(hub: Hub, **settings) -> None:
    """Another file is applied, with these settings for every account."""
    listed = {account: (replace(targets[0], **settings),) for account, targets in hub.cloud.directory.accounts.items()}
    hub.cloud.directory = Directory({"default": tuple(listed)}, listed)


def test_nothing_opens_before_the_approval_and_everything_after_it():
    """The notice asks once, and the outcome says who approved."""
    hub = waiting()
    pass_time(hub, DAY)
    assert hub.outcomes() == {(AMI, A): WAITS}
    assert not opened(hub)
    assert len(asked(hub)) == 1
    hub.approve(AMI)
    hub.run()

    assert hub.outcomes() == {(AMI, A): "delivered"}
    (delivered,) = [one for one in hub.cloud.notices if one["event"] == "delivery.delivered"]
    assert delivered["approved_by"] == APPROVER
    assert len(asked(hub)) == 1


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_target_that_needs_none_does_not_wait_for_one_that_does(mode):
    """One file, two accounts: the approval of one delays nothing of the other."""
    hub = Hub((A, B), target={"mode": mode})
    listed = dict(hub.cloud.directory.accounts)
    listed[B] = (Target(B, REGION, mode=mode, approval="required"),)
    hub.cloud.directory = Directory({"default": (A, B)}, listed)
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, 2 * HOUR)

    assert hub.outcomes() == {(AMI, A): "shared" if mode == "share" else "delivered", (AMI, B): WAITS}
    hub.approve(AMI)
    pass_time(hub, 2 * HOUR)
    assert set(hub.outcomes().values()) == {"shared" if mode == "share" else "delivered"}


def test_the_sweep_alone_finds_the_approval():
    """Every event and every wake is lost; the approver's entry is enough, also written twice."""
    hub = waiting(weather=NOTHING_COMES)
    pass_time(hub, HOUR)
    hub.approve(AMI)
    hub.approve(AMI)
    hub.run()

    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_it_ends_after_thirty_days_and_the_queue_deadline_does_not_count():
    """Nobody approves: it fails, names the cure, and leaves nothing open."""
    hub = waiting(target={"queue_deadline": HOUR})
    hub.cloud.now = START + 29 * DAY
    pass_time(hub, HOUR)
    assert hub.outcomes() == {(AMI, A): WAITS}
    hub.run()

    assert hub.outcomes() == {(AMI, A): "failed"}
    assert any("deadline-awaiting-approval" in fault for fault in hub.faults())
    assert hub.cloud.now < START + 31 * DAY


def test_the_queue_deadline_begins_with_the_approval():
    """A slot that is free after hours is still waited for."""
    hub = waiting(target={"queue_deadline": 2 * HOUR})
    hub.cloud.now = START + 5 * DAY
    pass_time(hub, HOUR)
    hub.approve(AMI)
    hub.run()

    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_an_expired_approval_opens_nothing():
    """It was given for an hour, and the service slept; a new one opens, and the question is asked again."""
    hub = waiting()
    hub.approve(AMI, lasts=0)
    pass_time(hub, DAY)

    assert not opened(hub)
    hub.approve(AMI)
    hub.run()
    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_another_value_voids_it_and_is_asked_for_anew():
    """The same account by another value: what was approved was the value before."""
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
    hub.approve(AMI)
    hub.run()
    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_other_settings_void_it_and_begin_anew():
    """The delivery that waited had the settings before: it is cancelled, and its next episode has the new ones."""
    hub = waiting()
    hub.approve(AMI)
    apply(hub, tags={"cost": "more"})
    pass_time(hub, HOUR)
    assert not opened(hub)
    assert hub.outcomes() == {(AMI, A): WAITS}
    assert len(set(asked(hub))) == 2
    hub.approve(AMI)
    hub.run()

    assert hub.outcomes() == {(AMI, A): "delivered"}
    (image,) = hub.cloud.images.values()
    assert {"Key": "cost", "Value": "more"} in image.raw["Tags"]


def test_a_file_that_asks_for_no_approval_any_longer_lets_it_go_on():
    """Who applies the file decides who needs one."""
    hub = waiting()
    apply(hub, approval="none")
    hub.run()

    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_an_account_that_joins_needs_a_new_one():
    """What was approved goes on; the other waits, and is asked for."""
    hub = waiting()
    hub.accounts = (A, B)
    hub.approve(AMI)
    listed = {one: (Target(one, REGION, approval="required"),) for one in (A, B)}
    hub.cloud.directory = Directory({"default": (A, B)}, listed)
    pass_time(hub, HOUR)
    assert hub.outcomes() == {(AMI, A): "delivered"}
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, DAY)
    assert hub.outcomes() == {(AMI, A): "delivered", (AMI, B): WAITS}
    assert len(set(asked(hub))) == 2
    hub.approve(AMI)
    hub.run()
    assert hub.outcomes() == {(AMI, A): "delivered", (AMI, B): "delivered"}


def test_a_tag_that_names_it_no_longer_ends_it_at_once():
    """Nothing is waited for: not the approval, and not a pause."""
    hub = waiting((A, B))
    hub.cloud.paused = True
    hub.cloud.tag(AMI, A)
    pass_time(hub, 300)
    assert hub.outcomes() == {(AMI, A): WAITS, (AMI, B): "cancelled"}
    hub.cloud.tag(AMI, None)
    hub.run()

    assert hub.outcomes() == {(AMI, A): "cancelled", (AMI, B): "cancelled"}
    assert not opened(hub)


def test_a_pause_holds_nothing_back_that_was_approved():
    """What runs goes on, and what waits for its approval runs."""
    hub = waiting()
    hub.cloud.paused = True
    hub.approve(AMI)
    hub.run()

    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_what_stands_is_not_closed_when_its_approval_expires():
    """An approval is for opening; the tag, the file and the operators end what stands."""
    hub = waiting(target={"mode": "share"})
    hub.approve(AMI, lasts=DAY)
    pass_time(hub, 10 * DAY)
    assert open_to(hub) == {A}
    hub.cloud.tag(AMI, None)
    pass_time(hub, HOUR)

    assert open_to(hub) == set()


@pytest.mark.parametrize("void", ["expired", "other settings"])
def test_an_approval_that_is_void_when_the_share_worker_asks_is_asked_for_anew(void):
    """The delivery had gone on by then: nothing opens, it is cancelled, and its next episode waits."""
    hub = waiting()
    hub.approve(AMI)
    while hub.outcomes()[AMI, A] == WAITS:
        hub.run(until=hub.cloud.now + 1)
    assert not opened(hub)
    (place,) = hub.cloud.approvals
    if void == "expired":
        hub.cloud.approvals[place] = replace(hub.cloud.approvals[place], until=hub.cloud.now)
    else:
        apply(hub, tags={"cost": "more"})
    pass_time(hub, DAY)

    assert hub.outcomes() == {(AMI, A): WAITS}
    assert not opened(hub)
    assert [one for one in hub.faults() if one.startswith("not-approved")]
    assert len(asked(hub)) == 2
    hub.approve(AMI)
    hub.run()
    assert hub.outcomes() == {(AMI, A): "delivered"}


def crashed(*crashes: PortCrash) -> Hub:
    """A hub whose AMI is approved after ten minutes, and whose processes die at these calls; no event arrives."""
    hub = Hub((A,), target={"approval": "required"}, weather=NOTHING_COMES, crashes=list(crashes), watchful=False)
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, A)
    hub.run(until=START + 1200)
    hub.approve(AMI)
    hub.run()
    return hub


def test_it_ends_well_wherever_a_process_dies():
    """At a third of the calls from the tag to the delivery, before or after they take effect."""
    for call in range(0, crashed().gate.calls, 3):
        hub = crashed(PortCrash(call, after=bool(call % 2)))
        assert hub.outcomes() == {(AMI, A): "delivered"}, call
        assert len(set(asked(hub))) == 1, call


class TakesAllForApproved(LiveApprovals):
    """Looks for no approval."""

    def look(self, _delivery):
        """See the class."""
        return ApprovalSeen("nobody")


class OpensUnapproved(LiveEntitlements):
    """Does not ask for one where it opens."""

    def _not_approved(self, *_args):
        return None


@pytest.mark.parametrize("parts", [Parts(approvals=TakesAllForApproved), Parts(entitlements=OpensUnapproved)])
def test_one_function_that_asks_nobody_opens_nothing(parts):
    """The delivery's look and the share worker's question each keep it shut [invariant 11]."""
    assert not opened(waiting(parts=parts))


def test_a_service_that_asks_nobody_is_found_out():
    """The invariant that these tests ask can fail."""
    with pytest.raises(AssertionError, match=r"invariant 11: .* without an approval"):
        waiting(parts=Parts(approvals=TakesAllForApproved, entitlements=OpensUnapproved))
