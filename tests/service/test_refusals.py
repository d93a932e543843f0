"""One refusal of AWS at a time: what follows, and what the target's owner reads."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from chalicelib.delivery.model import DeliveryState
from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import INACCESSIBLE, START, CloudBehavior, refusal
from tests.service.gate import LostAnswer, PortTrouble
from tests.service.organization import of_an_ou
from tests.service.scenes import ACCOUNTS, HubSetup, all_delivered

AMI, OTHER = "ami-0a", "ami-0b"
BAD, GOOD = ACCOUNTS[:2]
WITHOUT_END = 10**6


def of(port, method, why, *, code="Denied", times=1, after=False, unknown=False):
    """A refusal for the first account only."""
    return PortTrouble(port, method, refusal(why, code, unknown=unknown), times, after, _concerns_the_bad)


def _concerns_the_bad(*args):
    return any(
        BAD in repr(arg.target) if hasattr(arg, "target") else isinstance(arg, list) and BAD in repr(arg)
        for arg in args
    ) or all(not hasattr(arg, "target") and not isinstance(arg, list) for arg in args)


def looking(why, **more):
    """A refusal of a look at the first account's copies, while they are made."""
    trouble = of("target.snapshots", "find", why, **more)
    return replace(trouble, only=lambda asked: trouble.only(asked) and asked.state is DeliveryState.COPYING)


def played(*troubles, accounts=2, **settings):
    """Promote one AMI of an encrypted and a plain snapshot to two accounts."""
    scene = HubSetup(accounts=accounts, amis=((0, 1),), encrypted=(True, False, True, True))
    return scene.play(troubles=list(troubles), target=settings)


WAITED_OUT = {
    "the tag cannot be read": of("source", "tag", RefusalKind.THROTTLED, times=3),
    "the source cannot be read": of("source", "examine", RefusalKind.THROTTLED, times=3),
    "the target throttles the checks": of("target.keys", "describe", RefusalKind.THROTTLED, times=4),
    "CopySnapshot is throttled": of("target.snapshots", "copy", RefusalKind.THROTTLED, times=3),
    "CopySnapshot answers to nobody": of("target.snapshots", "copy", RefusalKind.THROTTLED, after=True, unknown=True),
    "CopySnapshot gets no answer and has done nothing": of(
        "target.snapshots", "copy", RefusalKind.THROTTLED, unknown=True
    ),
    "too many copies run": of("target.snapshots", "copy", RefusalKind.LIMIT, times=3),
    "the share is not true yet": of("target.snapshots", "copy", RefusalKind.NOT_YET, times=3),
    "the copies cannot be described": looking(RefusalKind.THROTTLED, times=3),
    "RegisterImage is throttled": of("target.images", "register", RefusalKind.THROTTLED, times=3),
    "RegisterImage answers to nobody": of("target.images", "register", RefusalKind.THROTTLED, after=True, unknown=True),
    "RegisterImage gets no answer and has done nothing": of(
        "target.images", "register", RefusalKind.THROTTLED, unknown=True
    ),
    "RegisterImage does not see a copy yet": of("target.images", "register", RefusalKind.NOT_YET, times=2),
    "the new AMI cannot be described": of("target.images", "see", RefusalKind.THROTTLED, times=3),
    "the permissions cannot be read": of("snapshots", "showing", RefusalKind.THROTTLED, times=3),
    "the permission cannot be added yet": of("snapshots", "open", RefusalKind.THROTTLED, times=3),
    "the grant cannot be made yet": of("keys", "open", RefusalKind.THROTTLED, times=3),
    "the permission cannot be removed yet": of("snapshots", "close", RefusalKind.THROTTLED, times=3),
    "the grant cannot be revoked yet": of("keys", "close", RefusalKind.THROTTLED, times=3),
    "the grant cannot be revoked for now, says IAM": of("keys", "close", RefusalKind.DENIED, times=3),
    "nothing can be published": of("notices", "publish", RefusalKind.THROTTLED, times=5),
}


@pytest.mark.parametrize("trouble", WAITED_OUT.values(), ids=WAITED_OUT)
def test_what_passes_is_waited_out(trouble):
    """A throttle, a limit, a late grant or a lost answer delays its own target only."""
    trouble = replace(trouble)
    hub = played(trouble)

    all_delivered(hub)
    assert not trouble.times, "the refusal was met"


FATAL = {
    "the checks are denied": of("target.keys", "describe", RefusalKind.DENIED),
    "CopySnapshot is denied": of("target.snapshots", "copy", RefusalKind.DENIED),
    "the copies may not be described": looking(RefusalKind.DENIED),
    "RegisterImage is denied": of("target.images", "register", RefusalKind.DENIED),
    "the new AMI may not be described": of("target.images", "see", RefusalKind.DENIED),
    "the permission is refused for one account": of("snapshots", "open", RefusalKind.DENIED, times=WITHOUT_END),
    "the grant is refused for one account": of("keys", "open", RefusalKind.DENIED, times=WITHOUT_END),
}


@pytest.mark.parametrize("trouble", FATAL.values(), ids=FATAL)
def test_what_does_not_pass_fails_one_target_alone(trouble):
    """The notice has AWS's words and a cure; nothing is left there; the other target has its AMI (invariant 7)."""
    hub = played(replace(trouble))

    hub.invariants.rest()
    assert hub.outcomes() == {(AMI, BAD): "failed", (AMI, GOOD): "delivered"}
    assert [image.account for image in hub.cloud.images.values()] == [GOOD]
    (failed,) = hub.notified("delivery.failed")
    assert (failed["account"], failed["image"]) == (BAD, None)
    assert [(f["code"], f["what"], f["cure"]) for f in failed["faults"]] == [
        ("aws-Denied", "AWS says Denied.", "Mend it.")
    ]
    (over,) = hub.notified("promotion.over")
    assert Counter(over["counts"]) == Counter(delivered=1, failed=1)


STACK_COMES = {
    "its key comes after it": LostAnswer("target.keys", "describe", says=(None, "NotFoundException"), times=3),
    "its policy comes after it": of("target.images", "named", RefusalKind.DENIED, times=3),
}


@pytest.mark.parametrize("rest", STACK_COMES.values(), ids=STACK_COMES)
def test_a_role_that_comes_before_the_rest_of_its_stack_fails_no_delivery(rest):
    """CloudFormation makes role and key at once, and the look that assumes the role may come in between."""
    role = of("target.keys", "describe", RefusalKind.ROLE, code="AccessDenied", times=4)
    hub = played(role, replace(rest), accounts=1)

    assert hub.outcomes() == {(AMI, BAD): "delivered"}


@pytest.mark.parametrize("rest", STACK_COMES.values(), ids=STACK_COMES)
def test_a_new_account_of_an_ou_whose_stack_is_just_being_deployed_fails_no_delivery(rest):
    """The StackSet deploys as discovery finds the account: the very first look may come between role and key."""
    hub = HubSetup(accounts=1, amis=((0, 1),)).hub(troubles=[replace(rest)])
    hub.cloud.directory = of_an_ou(BAD)
    hub.cloud.tag(AMI, "default")
    hub.run()

    assert hub.outcomes() == {(AMI, BAD): "delivered"}


def test_a_role_that_comes_without_its_key_is_a_fault_ten_minutes_later():
    """The owner has deployed the stack without a key."""
    role = of("target.keys", "describe", RefusalKind.ROLE, code="AccessDenied", times=4)
    keyless = LostAnswer("target.keys", "describe", says=(None, "NotFoundException"), times=WITHOUT_END)
    hub = played(role, keyless, accounts=1)

    (failed,) = hub.notified("delivery.failed")
    assert [one["code"] for one in failed["faults"]] == ["target-key-missing"]
    assert START + 10 * 60 < failed["at"] < START + 20 * 60


@pytest.mark.parametrize("why", RefusalKind)
def test_a_refused_notice_fails_no_delivery(why):
    """The delivery goes on; the notice is tried again, and comes while the delivery still waits for the role."""
    role = of("target.keys", "describe", RefusalKind.ROLE, code="AccessDenied", times=8)
    hub = played(role, of("notices", "publish", why, times=2), accounts=1)

    assert hub.outcomes() == {(AMI, BAD): "delivered"}
    assert hub.cloud.notices[0]["event"] == "delivery.waiting-for-role"


def test_a_notice_that_is_always_refused_keeps_no_delivery_beyond_its_deadline():
    """It is given up, and the delivery fails with the refusal for which it has waited."""
    role = of("target.keys", "describe", RefusalKind.ROLE, code="AccessDenied", times=WITHOUT_END)
    denied = replace(of("notices", "publish", RefusalKind.DENIED, times=WITHOUT_END), only=_is_about_the_role)
    hub = played(role, denied, accounts=1, queue_deadline=3600)

    (failed, _) = hub.cloud.notices
    assert failed["faults"][0]["what"].endswith("The last refusal was: AWS says AccessDenied.")
    assert 3600 <= failed["at"] - START <= 3600 + 15 * 60


def _is_about_the_role(notice):
    return notice["event"] == "delivery.waiting-for-role"


def test_a_name_that_a_stranger_took_meanwhile_fails_and_names_the_stranger():
    """The service finds it on RegisterImage, hours after the checks."""
    scene = HubSetup()
    hub = scene.hub(troubles=[of("target.images", "register", RefusalKind.NAME_TAKEN, code="InvalidAMIName.Duplicate")])
    real = hub.cloud.register
    hub.cloud.tag(AMI, "default")
    hub.cloud.after(30, lambda: real(BAD, {"Name": f"golden-{AMI}-{AMI}", "BlockDeviceMappings": []}, "", "ami-1"))
    hub.run()

    hub.invariants.rest()
    assert hub.outcomes() == {(AMI, BAD): "failed"}
    assert any("which this service did not make" in fault for fault in hub.faults()), hub.faults()
    assert [image.name for image in hub.cloud.images.values()] == [f"golden-{AMI}-{AMI}"], "it stays"


def test_leftovers_that_may_not_be_removed_are_listed_and_keep_nothing_open():
    """The cleanup gives up after an hour; the shares close all the same."""
    hub = played(
        of("target.images", "register", RefusalKind.DENIED),
        of("target.snapshots", "delete", RefusalKind.DENIED, times=WITHOUT_END),
        accounts=1,
    )

    assert not hub.cloud.permissions
    assert not hub.cloud.grants
    assert hub.outcomes() == {(AMI, BAD): "failed"}
    (failed,) = hub.notified("delivery.failed")
    assert len(failed["leftovers"]) == 2


def test_a_failed_copy_that_the_target_lets_the_service_delete_only_later_is_no_leftover():
    """The notice sends nobody to delete what is gone."""
    hub = HubSetup(behavior=CloudBehavior(copying=(60, 4 * 3600), fails=(INACCESSIBLE, ""))).hub()
    hub.gate.refuse("target.snapshots", "delete", why=RefusalKind.DENIED)
    hub.cloud.tag(AMI, "default")
    hub.wait(600)
    hub.gate.troubles.clear()
    hub.wait(6 * 3600)

    (delivered,) = hub.notified("delivery.delivered")
    assert (len(hub.cloud.live_copies()), delivered["leftovers"]) == (1, [])


def test_a_failed_copy_whose_deletion_is_throttled_for_hours_is_named_when_the_ami_is_delivered():
    """The delivery does not come back to it: its owner reads what is left to delete."""
    hub = HubSetup(behavior=CloudBehavior(fails=(INACCESSIBLE, ""))).hub()
    hub.gate.refuse("target.snapshots", "delete", why=RefusalKind.THROTTLED)
    hub.cloud.tag(AMI, "default")
    hub.wait(6 * 3600)

    (delivered,) = hub.notified("delivery.delivered")
    assert delivered["leftovers"] == [copy.id for copy in hub.cloud.live_copies() if copy.state == "error"]


def test_a_copy_whose_deletion_is_throttled_for_a_day_after_a_cancel_is_named_in_the_last_notice():
    """Its shares have closed within the hour, and the delivery has ended: its owner reads what is left to delete."""
    hub = HubSetup(accounts=1, behavior=CloudBehavior(copying=(9 * 24 * 3600,))).hub()
    hub.cloud.tag(AMI, "default")
    hub.wait(600)
    hub.gate.refuse("target.snapshots", "delete", why=RefusalKind.THROTTLED, times=WITHOUT_END)
    hub.cloud.tag(AMI, None)
    hub.wait(3600)
    assert not hub.cloud.permissions | set(hub.cloud.grants)
    hub.wait(2 * 24 * 3600)

    (cancelled,) = hub.notified("delivery.cancelled")
    left = {copy.id for copy in hub.cloud.live_copies()}
    assert left
    assert set(cancelled["leftovers"]) == left


@pytest.mark.parametrize("cancelled_in", ["awaiting-slot", "opening"])
def test_copies_that_an_earlier_episode_has_left_are_deleted_although_it_is_cancelled_before_it_copies(cancelled_in):
    """The target refused their deletion then, and allows it now."""
    scene = HubSetup(accounts=1, amis=((0, 1),), encrypted=(True, False, True, True))
    no_deletion = of("target.snapshots", "delete", RefusalKind.DENIED, times=WITHOUT_END)
    hub = scene.hub(troubles=[no_deletion, of("target.images", "register", RefusalKind.DENIED)])
    hub.cloud.tag(AMI, "default")
    hub.run()
    (failed,) = hub.notified("delivery.failed")
    left = {copy.id for copy in hub.cloud.live_copies()}
    assert left == set(failed["leftovers"])

    if cancelled_in == "awaiting-slot":
        for copy in hub.cloud.copies.values():
            copy.state = "error"  # otherwise it would use them
        hub.cloud._copying = itertools.repeat(5 * 3600)
        hub.cloud.make_image(OTHER, {f"snap-1{number:02d}": False for number in range(20)})
        hub.cloud.tag(OTHER, "default")
        hub.wait(60)
    else:
        hub.cloud.change_targets(copy_method="image")
    busy = (("target.snapshots", "delete"), ("snapshots", "open"))
    hub.gate.troubles[:] = [of(*call, RefusalKind.THROTTLED, times=WITHOUT_END) for call in busy]
    hub.cloud.tag(AMI, None)
    hub.cloud.tag(AMI, "default")
    assert hub.wait(120).outcomes()[AMI, BAD] == cancelled_in
    hub.cloud.tag(AMI, None)
    hub.cloud.after(120, hub.gate.troubles.clear)
    hub.wait(1200)

    assert hub.outcomes()[AMI, BAD] == "cancelled"
    assert not left & {copy.id for copy in hub.cloud.live_copies()}
    hub.run()
    hub.invariants.rest()


@pytest.mark.parametrize("seconds", [0, 2, 4])
def test_an_account_dropped_from_the_file_before_anything_is_opened_gets_nothing(seconds):
    """Also if the promotion still lists it (invariant 8): at the checks, or where the share is opened."""
    hub = HubSetup(accounts=2).hub()
    hub.cloud.tag(AMI, "default")
    hub.run(until=START + seconds)
    held = hub.stores.seen(hub.delivery_key(AMI, BAD))
    hub.cloud.drop_targets(BAD)
    hub.run()

    hub.invariants.rest()
    assert held is not None
    assert hub.outcomes() == {(AMI, BAD): "failed", (AMI, GOOD): "delivered"}
    assert any("applied targets file does not contain" in fault for fault in hub.faults())


def test_the_last_look_after_the_queue_deadline_ends_it_where_the_role_has_come_without_its_key():
    """It shows the work unfinished, so nothing is waited for any more."""
    hub = HubSetup(behavior=CloudBehavior(copying=(600,))).hub(target={"queue_deadline": 3600})
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.ROLE, times=8)
    keyless = LostAnswer("target.keys", "describe", says=(None, "NotFoundException"), times=WITHOUT_END)
    hub.gate.troubles.append(keyless)
    hub.cloud.tag(AMI, BAD)
    hub.run()

    assert WITHOUT_END - keyless.times == 1
