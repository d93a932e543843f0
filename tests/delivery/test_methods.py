"""A delivery by CopyImage: how long it holds its shares, what it waits for, and that no try leaves anything behind."""

from dataclasses import replace

import pytest

from chalicelib.delivery import machine
from chalicelib.delivery.attempts import ImageRegistered, RegisterImage
from chalicelib.delivery.holdings import ReleaseShares
from chalicelib.delivery.leftovers import DeleteSnapshots
from chalicelib.delivery.model import Delivery, DeliveryState, ImageRequest, NewImage
from chalicelib.delivery.phase import CancelAsked, DeliveryEvent, Refused
from chalicelib.delivery.phases import imaging
from chalicelib.delivery.phases.checking import TargetReady
from chalicelib.delivery.phases.ending import LeftoversSeen, RemoveLeftovers
from chalicelib.delivery.phases.imaging import (
    DiscardImage,
    FinishImage,
    ImageDiscarded,
    ImageFinished,
    ImageSeen,
)
from chalicelib.delivery.slots import wanted as slots_wanted
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.images import comparison
from tests.delivery.examples import FAULT, NOW, TARGET, TARGET_KEY, a_delivery, seen
from tests.images.examples import an_image, describe_image, describe_snapshot, describe_volume

LATE = ImageSeen("failed", reason="AMI snapshot copy failed with error: Given key ID is not accessible")
AVAILABLE = ImageSeen("available", copies=(("snap-0a", "snap-0ac"), ("snap-0b", "snap-0bc")))
BEGUN = ImageRequest(NOW, copy_image_intended_at=NOW)


def an_image_copy(state: DeliveryState = DeliveryState.VERIFYING, **changes: object) -> Delivery:
    """A delivery by CopyImage whose shares opened, and whose copy started, just now; the AMI is pending."""
    image = {"image": NewImage("ami-0b")} if state is DeliveryState.VERIFYING else {}
    begun = {"opened_at": NOW, "request": BEGUN, "holds_copy": True}
    return a_delivery(state, **{"method": "image", **begun, **image, **changes})


def after_events(delivery: Delivery, *events: tuple[DeliveryEvent, int]) -> Delivery:
    """The delivery after these events, each at a number of seconds after the opening."""
    for event, at in events:
        delivery = machine.evolve(delivery, event, NOW + at)
    return delivery


# --- invariant 1 ------------------------------------------------------------------------------------------------------


def test_it_needs_a_launch_permission_beside_snapshots_and_key_and_no_slot():
    """`opening` follows the checks directly: CopyImage has a limit of its own."""
    after = machine.evolve(a_delivery(method="image"), TargetReady(TARGET_KEY), NOW)

    assert after.state is DeliveryState.OPENING
    assert [share.resource.split("#")[1] for share in after.holdings.needed] == ["image", "snapshot", "snapshot", "key"]
    assert after.holdings.needed[0].share_name == TARGET
    assert not any(share.standing for share in after.holdings.needed)
    assert slots_wanted(after) == (0, 0)


def test_the_shares_are_held_until_the_ami_is_available():
    """The next command releases them, or the linger delays that."""
    running = an_image_copy()
    for delivery in (
        running,
        an_image_copy(DeliveryState.REGISTERING),
        after_events(running, (ImageSeen("pending"), 600)),
    ):
        assert not any(isinstance(c, ReleaseShares) for c in machine.outstanding(delivery, NOW + 10**5))
    there = after_events(running, (AVAILABLE, 600))
    lingering = replace(there, target=replace(there.target, linger=300))

    assert machine.outstanding(there, NOW + 600)[0] == ReleaseShares(all=False)
    assert ReleaseShares(all=False) not in machine.outstanding(lingering, NOW + 899)
    assert ReleaseShares(all=False) in machine.outstanding(lingering, NOW + 900)


# --- what is waited out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "state"), [(600, DeliveryState.REGISTERING), (601, DeliveryState.STOPPING)])
def test_a_share_that_is_not_true_yet_is_waited_for_ten_minutes(at, state):
    """CopyImage cannot see the AMI or its storage yet: after ten minutes EC2's refusal is the fault."""
    after = after_events(
        an_image_copy(DeliveryState.REGISTERING, request=replace(BEGUN, discarded=("ami-0a",))),
        (Refused("RegisterImage", RefusalKind.NOT_YET, FAULT), at),
    )

    assert after.state is state
    assert (after.last_refusal if state is DeliveryState.REGISTERING else after.faults[0]) == FAULT


def test_a_name_that_a_discarded_ami_still_has_is_waited_for():
    """It becomes free later, possibly after the ten minutes."""
    taken = Refused("RegisterImage", RefusalKind.NOT_YET, Fault(imaging.NAME_NOT_FREE, "w", "w.", "c."))
    after = after_events(
        an_image_copy(DeliveryState.REGISTERING, request=replace(BEGUN, discarded=("ami-0b",))), (taken, 900)
    )

    assert after.state is DeliveryState.REGISTERING
    assert machine.outstanding(after, NOW + 960) == (RegisterImage(),)


def test_too_many_copies_are_waited_for():
    """300 run at once: the delivery waits until the copy deadline."""
    after = after_events(
        an_image_copy(DeliveryState.REGISTERING), (Refused("RegisterImage", RefusalKind.LIMIT, FAULT), 5000)
    )

    assert after.state is DeliveryState.REGISTERING
    assert machine.deadline(after) == NOW + after.target.copy_deadline


# --- a copy that failed ----------------------------------------------------------------------------------------------


def test_a_copy_that_failed_early_is_discarded_with_all_that_it_made_and_then_tried_again():
    """DiscardImage runs at once, to free the name, and again after two minutes; the next try knows the AMI's id."""
    failed = after_events(an_image_copy(), (LATE, 12))
    assert machine.outstanding(failed, NOW + 12) == (DiscardImage(),)

    once = after_events(failed, (ImageDiscarded(), 13))
    assert machine.outstanding(once, NOW + 119) == ()
    assert machine.outstanding(once, NOW + 120) == (DiscardImage(),)

    twice = after_events(once, (ImageDiscarded(), 120))
    assert (twice.request.discarded, twice.image.id) == (("ami-0b",), None)
    assert machine.outstanding(twice, NOW + 120) == (RegisterImage(),)
    assert ReleaseShares(all=False) not in machine.outstanding(twice, NOW + 10**5)


def test_an_answer_to_an_earlier_try_does_not_bring_a_discarded_ami_back():
    """Of two concurrent calls the first one's answer may come after the discard."""
    trying = an_image_copy(DeliveryState.REGISTERING, request=replace(BEGUN, discarded=("ami-0b",)))

    assert after_events(trying, (ImageRegistered("ami-0b"), 200)).image.id is None
    assert after_events(trying, (ImageRegistered("ami-0c"), 200)).image.id == "ami-0c"


@pytest.mark.parametrize(
    ("changes", "event"),
    [
        ({"request": replace(BEGUN, copy_image_intended_at=NOW + 601)}, LATE),
        ({}, ImageSeen("failed", reason="The disk is full")),
        ({"image": NewImage("ami-0b", adopted=True)}, LATE),
    ],
    ids=["tried late", "for another reason", "not of this episode"],
)
def test_other_failures_are_notified(changes, event):
    """With EC2's reason, and what to check."""
    (fault,) = after_events(an_image_copy(**changes), (event, 700)).faults

    assert fault.code == "image-copy-failed"
    assert event.reason in fault.what
    assert "both keys" in fault.cure


@pytest.mark.parametrize("state", ["failed", "disabled"])
@pytest.mark.parametrize("method", ["snapshots", "image"])
@pytest.mark.parametrize("adopted", [False, True])
def test_the_cure_of_an_ami_that_failed_says_whether_it_is_still_there(adopted, method, state):
    """A new one is removed; one of an earlier episode stays, and until a person acts each try would find it again."""
    verifying = an_image_copy(method=method, image=NewImage("ami-0b", adopted=adopted))
    after = after_events(verifying, (ImageSeen(state, reason="The disk is full"), 700))
    acts = {"failed": "deregister-image --image-id ami-0b", "disabled": "enable-image --image-id ami-0b"}[state]

    assert ("It is removed." in after.faults[0].cure, acts in after.faults[0].cure) == (not adopted, adopted)
    assert (RemoveLeftovers() in machine.outstanding(after, NOW + 700)) is not adopted


@pytest.mark.parametrize("step", ["VerifyImage", "FinishImage"])
def test_an_ami_that_was_kept_stays_where_a_look_at_it_is_denied(step):
    """Hours of copying are not lost for a policy that somebody repairs; a new AMI is removed."""
    denied = Refused(step, RefusalKind.DENIED, FAULT)
    adopted = an_image_copy(image=NewImage("ami-0b", adopted=True, available_at=NOW if step == "FinishImage" else None))
    kept = after_events(adopted.with_launch(kept="ami-0b"), (denied, 60))
    new = after_events(an_image_copy(), (denied, 60))

    assert (kept.state, kept.ending, kept.faults) == (DeliveryState.TIDYING, DeliveryState.FAILED, (FAULT,))
    assert (RemoveLeftovers() in machine.outstanding(kept, NOW + 60), kept.cleanup.leftovers) == (False, ("ami-0b",))
    assert (kept.launch.kept, new.state) == ("ami-0b", DeliveryState.STOPPING)


def test_a_discarded_amis_snapshots_that_are_still_in_use_are_deleted_later():
    """EC2 frees them some time after it deregistered the AMI: the copy is not lost for that."""
    in_use = Refused("DiscardImage", RefusalKind.DENIED, Fault("aws-InvalidSnapshot.InUse", "w", "w.", "c."))
    after = after_events(an_image_copy(), (LATE, 12), (in_use, 130))

    assert after.state is DeliveryState.REGISTERING
    assert machine.outstanding(after, NOW + 12 + 300) == (DiscardImage(),)
    assert after_events(after, (ImageDiscarded(), 312)).request.discarded == ("ami-0b",)


def test_a_copy_that_somebody_deregistered_is_missed_after_two_looks_two_minutes_apart():
    """One look proves nothing; the shares stay until the AMI's snapshots are gone."""
    once = after_events(an_image_copy(), (ImageSeen("missing"), 60))
    assert once.state is DeliveryState.VERIFYING
    assert after_events(once, (ImageSeen("pending"), 120), (ImageSeen("missing"), 240)).state is DeliveryState.VERIFYING
    gone = after_events(once, (ImageSeen("missing"), 120), (ImageSeen("missing"), 180))

    assert (gone.state, gone.faults[0].code) == (DeliveryState.STOPPING, "copy-vanished")
    assert ReleaseShares(all=False) not in machine.outstanding(gone, NOW + 10**5)


@pytest.mark.parametrize("method", ["snapshots", "image"])
@pytest.mark.parametrize("adopted", [False, True])
def test_an_ami_that_ec2_shows_as_deregistered_is_gone(adopted, method):
    """Its owner need not deregister it again, as a list of leftovers, or the cure of an AMI that failed, would say."""
    verifying = an_image_copy(method=method, image=NewImage("ami-0b", adopted=adopted))
    after = after_events(verifying, (ImageSeen("deregistered"), 60))
    (fault,) = after.faults

    assert (fault.code, "look for DeregisterImage" in fault.cure) == ("copy-vanished", True)
    assert "ami-0b" not in after.cleanup.leftovers


# --- ends that leave nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [DeliveryState.REGISTERING, DeliveryState.VERIFYING])
def test_a_removed_tag_stops_a_copy_and_not_what_is_available(state):
    """CopyImage takes hours and can be cancelled; its results count as gone only when they had time to appear."""
    running = replace(an_image_copy(state), inbox={"cancel": "1:x"})
    assert machine.due_events(running, NOW + 60) == (CancelAsked(),)
    assert machine.due_events(running.with_image(available_at=NOW), NOW + 60) == ()

    stopping = after_events(running, (CancelAsked(), 60))
    gone = LeftoversSeen((), ())
    assert after_events(stopping, (gone, 61), (gone, 92)).state is DeliveryState.STOPPING
    assert after_events(stopping, (gone, 121), (gone, 152)).state is DeliveryState.TIDYING


def test_what_a_discarded_try_made_is_looked_for_when_the_delivery_stops():
    """Also without an intent on record."""
    between = an_image_copy(DeliveryState.REGISTERING, request=replace(BEGUN, intended_at=None, discarded=("ami-0b",)))

    assert after_events(between, (CancelAsked(), 130)).state is DeliveryState.STOPPING


def test_what_a_refused_copy_image_made_all_the_same_is_looked_for():
    """The SDK repeats it with its token: the first call may have worked unheard, and its nonce stays on record."""
    ready = a_delivery(DeliveryState.REGISTERING, method="image", attempts=())
    asked = machine.record_intent(ready, (RegisterImage(),), NOW, ["n"])
    refused = machine.evolve(asked, Refused("RegisterImage", RefusalKind.DENIED, FAULT, nonce="n"), NOW)

    assert (refused.state, refused.request.intended_at) == (DeliveryState.STOPPING, None)
    assert machine.outstanding(refused, NOW) == (RemoveLeftovers(),)


def test_a_copy_that_nobody_remembers_gets_its_shares_and_goes_on():
    """After a restore of the table: a pending AMI is adopted with its shares, an available one as it is."""
    asked = a_delivery(method="image")
    copies = (seen("", "pending"),)
    pending = machine.evolve(asked, TargetReady(TARGET_KEY, "ami-0b", copies, unfinished=True), NOW)
    there = machine.evolve(asked, TargetReady(TARGET_KEY, "ami-0b", copies), NOW)
    left = machine.evolve(asked, TargetReady(TARGET_KEY, None, copies), NOW)

    assert (pending.state, pending.cleanup.to_delete, pending.image.adopted) == (DeliveryState.OPENING, (), False)
    assert (there.state, there.image.id, there.image.adopted) == (DeliveryState.VERIFYING, "ami-0b", True)
    assert (left.state, left.cleanup.to_delete) == (DeliveryState.OPENING, (copies[0].id,))


def test_tags_and_extras_are_seen_to_when_it_is_available():
    """Snapshots get their own tags; one that no device uses is deleted."""
    there = after_events(an_image_copy(holds_copy=False), (replace(AVAILABLE, extras=("snap-0cc",)), 600))

    assert machine.outstanding(there, NOW + 600) == (DeleteSnapshots(("snap-0cc",)), FinishImage())
    assert machine.evolve(there, ImageFinished(), NOW + 601).state is DeliveryState.PUBLISHING
    assert [(copy.source, copy.id) for copy in there.copies] == [("snap-0a", "snap-0ac"), ("snap-0b", "snap-0bc")]


# --- the comparison --------------------------------------------------------------------------------------------------


def test_an_image_copy_is_compared_by_device():
    """Two devices of one snapshot have two copies; a device without one, or of another size, is a difference."""
    devices = ("/dev/xvda", "/dev/xvdb")
    image = an_image(
        [describe_snapshot("snap-0a")], BlockDeviceMappings=[describe_volume(name, "snap-0a") for name in devices]
    )
    made = [describe_volume(name, f"snap-0{name[-1]}c", Encrypted=True) for name in devices]
    raw = describe_image(ImageId="ami-0b", SourceImageId=image.id, BlockDeviceMappings=made)

    def differences(**changes: object) -> list[str]:
        shown = {**raw, **changes}
        found = comparison.differences(
            image, shown, {}, comparison.copies_by_device(image, shown), name=raw["Name"], tags={}
        )
        return [fault.where for fault in found]

    assert comparison.copies_by_device(image, raw) == {"/dev/xvda": "snap-0ac", "/dev/xvdb": "snap-0bc"}
    assert differences() == []
    assert differences(BlockDeviceMappings=made[:1]) == ["ami-0b BlockDeviceMappings[/dev/xvdb]"]
    bare = {"DeviceName": "/dev/xvdb", "Ebs": {k: v for k, v in made[1]["Ebs"].items() if k != "SnapshotId"}}
    assert "ami-0b BlockDeviceMappings[/dev/xvdb].Ebs.SnapshotId" in differences(BlockDeviceMappings=[made[0], bare])
    assert differences(PlatformDetails="Windows") == ["ami-0b PlatformDetails"]
