"""Only what has the nonce of an attempt is the service's; all else in a target is neither used nor deleted."""

from dataclasses import replace

import pytest

from chalicelib.delivery import machine, proof
from chalicelib.delivery.attempts import CopiesFound, CopyStarted, FindCopies, ImageRegistered, RegisterImage
from chalicelib.delivery.common_changes import VERIFY_TRIES
from chalicelib.delivery.model import (
    Attempt,
    Cleanup,
    Copy,
    CopyState,
    Delivery,
    DeliveryState,
    ImageRequest,
    LastLook,
    SlotRequest,
)
from chalicelib.delivery.phase import CancelAsked, DeadlinePassed, DeliveryEvent, Refused
from chalicelib.delivery.phases.checking import TargetReady
from chalicelib.delivery.phases.ending import LeftoversSeen, RemoveLeftovers
from chalicelib.delivery.phases.imaging import ImageDiscarded, ImageSeen
from chalicelib.delivery.proof import ShownImage
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from tests.delivery.examples import ATTEMPTS, FAULT, NOW, TARGET_KEY, a_delivery, in_copying, seen, with_copies

C = CopyState


def shown(image: str, **changes: object) -> ShownImage:
    """An AMI as EC2 shows it, by default made by the delivery's attempt."""
    ours = ShownImage(image, "available", a_delivery().id, "nonce-", NOW)
    return replace(ours, **changes)


# --- copies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": ""},
        {"nonce": "of somebody else"},
        {"nonce": "nonce-snap-0b"},
        {"started_at": NOW - proof.CLOCKS_DIFFER - 1},
    ],
    ids=["no nonce", "an unknown nonce", "another snapshot's nonce", "older than the attempt"],
)
def test_a_completed_snapshot_with_the_services_tags_that_no_attempt_made_is_never_used_or_deleted(changes):
    """Planted under the target's key before the first look: everything is copied; the planted one is named."""
    planted = tuple(seen(source, "completed", id=f"{source}x", **changes) for source in ("snap-0a",))
    ready = machine.evolve(a_delivery(), TargetReady(TARGET_KEY, copies=planted), NOW)

    assert ready.state is DeliveryState.AWAITING_SLOT
    assert [copy.state for copy in ready.copies] == [C.WANTED, C.WANTED]
    assert (ready.cleanup.to_delete, ready.cleanup.unproven) == ((), ("snap-0ax",))
    plan = proof.removal(ready, (), planted)
    assert (plan.copies, plan.unproven) == ((), ("snap-0ax",))


def test_a_snapshot_that_seems_a_little_older_than_its_attempt_is_adopted():
    """Clocks differ by less than five minutes."""
    early = seen("snap-0a", "completed", started_at=NOW - proof.CLOCKS_DIFFER)

    assert proof.copies(a_delivery(), (early,)).own == (early,)


def test_the_one_bearer_of_an_attempts_nonce_is_adopted():
    """After a crash between CopySnapshot and its answer; an older attempt's late copy is deleted."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    delivery = replace(delivery, attempts=(Attempt("older", "snap-0a", NOW - 300), *delivery.attempts))
    adopted = machine.evolve(delivery, CopiesFound((seen("snap-0a", "pending"),)), NOW)
    late = seen("snap-0a", "pending", id="snap-0late", nonce="older")
    both = machine.evolve(adopted, CopiesFound((seen("snap-0a", "pending"), late)), NOW)

    assert (adopted.copies[0].state, adopted.copies[0].id) == (C.PENDING, "snap-0ac")
    assert (both.copies[0].id, both.cleanup.to_delete) == ("snap-0ac", ("snap-0late",))


def test_of_two_bearers_of_one_nonce_neither_is_adopted_or_deleted_and_a_fault_names_both():
    """Someone copied the tag from the service's snapshot before CopySnapshot's answer was recorded."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    twins = (seen("snap-0a", "completed"), seen("snap-0a", "completed", id="snap-0x"))
    after = machine.evolve(delivery, CopiesFound(twins), NOW)

    assert (after.state, after.ending) == (DeliveryState.STOPPING, DeliveryState.FAILED)
    (fault,) = after.faults
    assert fault.code == "attempt-doubled"
    assert "snap-0ac" in fault.what
    assert "snap-0x" in fault.what
    assert not {"snap-0ac", "snap-0x"} & set(proof.removal(after, (), twins).copies)


def test_a_second_bearer_that_shows_after_the_first_was_adopted_is_noticed_before_registering():
    """A copy that was found by its nonce, without CopySnapshot's answer, is listed again when all have completed."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    ready = machine.evolve(delivery, CopiesFound((seen("snap-0a", "completed", id="snap-0x"),)), NOW)
    assert machine.outstanding(ready, NOW) == (FindCopies(),)

    twins = (seen("snap-0a", "completed"), seen("snap-0a", "completed", id="snap-0x"))
    after = machine.evolve(ready, CopiesFound(twins), NOW)
    assert [fault.code for fault in after.faults] == ["attempt-doubled"]
    assert not {"snap-0ac", "snap-0x"} & set(proof.removal(after, (), twins).copies)


def test_where_aws_named_the_copy_another_snapshot_with_its_nonce_is_left():
    """The id that CopySnapshot returned is the proof; the other one is named."""
    delivery = in_copying(C.PENDING, C.COMPLETED)
    twins = (seen("snap-0a", "completed"), seen("snap-0a", "completed", id="snap-0x"))
    after = machine.evolve(delivery, CopiesFound(twins), NOW)

    assert (after.state, after.cleanup.unproven) == (DeliveryState.REGISTERING, ("snap-0x",))
    assert after.copies[0].id == "snap-0ac"


RUNNING_IDS = {"snap-0ac", "snap-0bc"}
ANSWERED = tuple(replace(one, id=f"{one.source}c") for one in ATTEMPTS[:2])
LATE_ONE = Attempt("late", "snap-0a", NOW - 600)
FAILED_ONE = replace(LATE_ONE, id="snap-0failed")


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({}, RUNNING_IDS),
        ({"attempts": (*ANSWERED, FAILED_ONE)}, RUNNING_IDS),
        (
            {"attempts": (*ANSWERED, FAILED_ONE), "cleanup": Cleanup(leftovers=("snap-0failed", "AMI golden"))},
            {*RUNNING_IDS, "snap-0failed"},
        ),
        ({"attempts": (*ANSWERED, LATE_ONE)}, set()),
        ({"copies": (Copy("snap-0a", C.PENDING, "snap-0ac", adopted=True), Copy("snap-0b", C.PENDING, "b"))}, set()),
        ({"copies": (Copy("snap-0a", C.PENDING, "snap-0ac"), Copy("snap-0b"))}, set()),
        ({"copies": (Copy("snap-0a", C.COMPLETED, "snap-0ac"), Copy("snap-0b", C.COMPLETED, "b"))}, set()),
    ],
    ids=["all answered", "one failed", "which stayed", "one unknown", "adopted", "one to come", "all over"],
)
def test_running_copies_are_looked_at_by_their_ids_if_there_can_be_no_others(changes, ids):
    """A list by tag takes a call for each 1,000 snapshots of the account."""
    running = replace(in_copying(C.PENDING, C.PENDING, attempts=ANSWERED), **changes)
    assert proof.running(running) == ids


def test_a_look_by_ids_says_nothing_of_what_it_did_not_ask_for():
    """What somebody planted is still named, a call without an answer is not missed, and a try needs a list first."""
    planted = in_copying(C.PENDING, C.INTENDED, opened_at=NOW).with_cleanup(unproven=("snap-0x",))
    failed = seen("snap-0a", "error", message="Source snapshot is not found")
    after = machine.evolve(planted, CopiesFound((failed,), by_ids=True), NOW)

    assert after.cleanup.unproven == ("snap-0x",)
    assert [(copy.state, copy.found_at, copy.missed_since) for copy in after.copies] == [
        (C.WANTED, 0, 0),
        (C.INTENDED, 0, 0),
    ]


def with_ids(delivery: Delivery, **ids: str) -> Delivery:
    """The delivery whose attempts are known to have made these: by the nonce's end, with _ for -."""
    known = {f"nonce-{name.replace('_', '-')}": made for name, made in ids.items()}
    return replace(delivery, attempts=tuple(replace(one, id=known.get(one.nonce, "")) for one in delivery.attempts))


def test_once_it_is_known_what_an_attempt_made_only_that_is_proven_in_every_later_episode():
    """Whatever has its nonce; and its own source counts, not the tag that somebody there can change."""
    delivery = with_ids(a_delivery(episode=2), snap_0a="snap-0ac")
    planted = seen("snap-0a", "completed", id="snap-0x")
    ours = seen("snap-0a", "completed", nonce="changed")

    assert proof.copies(delivery, (planted,)).unproven == (planted,)
    assert proof.copies(delivery, (planted, replace(ours, source="snap-0b"))).own == (ours,)
    ready = machine.evolve(delivery, TargetReady(TARGET_KEY, copies=(planted, ours)), NOW)
    assert (ready.copies[0].id, ready.copies[0].adopted) == ("snap-0ac", False)
    assert ready.cleanup.unproven == ("snap-0x",)


@pytest.mark.parametrize("state", [DeliveryState.COPYING, DeliveryState.STOPPING, DeliveryState.TIDYING])
def test_an_answer_a_look_and_a_cleanup_say_what_an_attempt_made(state):
    """Each writes the id on the record: of a copy, of an AMI, and of what CopyImage made."""
    begun = with_copies(a_delivery(state), C.INTENDED, C.COMPLETED)
    answered = machine.evolve(begun, CopyStarted("snap-0a", "snap-0ac", "nonce-snap-0a"), NOW)
    assert answered.attempts[0].id == "snap-0ac"

    shows = (shown("ami-0b"),), (seen("snap-0a", "completed"),)
    left = proof.removal(begun, *shows)
    stopping = replace(begun, state=DeliveryState.STOPPING)
    after = machine.evolve(stopping, LeftoversSeen(left.showing, learnt=left.learnt), NOW)
    assert [one.id for one in after.attempts] == ["snap-0ac", "", "ami-0b"]

    by_image = replace(begun, method="image")
    made = proof.removal(by_image, (), (seen("", "pending", id="snap-0i", nonce="nonce-"),))
    assert made.copies == ("snap-0bc", "snap-0i")
    kept = proof.with_attempts(by_image, made.learnt)
    assert kept.attempts[-1] == Attempt("nonce-", proof.UNKNOWN, NOW, "snap-0i", episode=1)
    listed = proof.copies(kept, (seen("", "", id="snap-0i"),))
    assert proof.with_attempts(kept, proof.learnt(kept, listed.own)) == kept
    more = proof.removal(kept, (), (seen("", "pending", id="snap-0j", nonce="nonce-"),))
    both = proof.with_attempts(kept, more.learnt)
    assert [one.id for one in both.attempts[-2:]] == ["snap-0i", "snap-0j"]  # a later look's does not replace the first


def test_a_deletion_that_ec2_has_accepted_is_asked_for_again_only_if_the_copy_has_ended_and_shows():
    """A copy that still runs goes when it ends; one that does not show any longer is gone."""
    stopping = with_copies(a_delivery(DeliveryState.STOPPING), C.PENDING, C.COMPLETED)
    two = seen("snap-0a", "pending"), seen("snap-0b", "completed")
    assert proof.removal(stopping, (), two).copies == ("snap-0ac", "snap-0bc")

    ids = ("snap-0ac", "snap-0bc")
    early = replace(stopping, next_try=NOW + 900)  # an event about a copy came before the next scheduled look
    hurried = machine.evolve(early, LeftoversSeen(ids, ("snap-0ac",), deleted=("snap-0ac",), more=True), NOW)
    assert (hurried.cleanup.deletes_accepted, hurried.next_try) == (False, NOW)
    assert proof.removal(hurried, (), two).copies == ("snap-0bc",)
    asked = machine.evolve(hurried, LeftoversSeen(ids, ("snap-0ac",), deleted=("snap-0bc",)), NOW)
    assert asked.cleanup.deletes_accepted
    assert proof.removal(asked, (), two[:1]).copies == ()
    assert proof.removal(asked, (), (seen("snap-0a", "completed"),)).copies == ("snap-0ac",)


@pytest.mark.parametrize(
    ("adopted", "deleted", "answered", "closes"),
    [
        (False, "snap-0bc", "snap-0bc", True),
        (False, "", "snap-0bc", False),
        (False, "snap-0bc", "", False),
        (True, "", "snap-0bc", False),
    ],
    ids=["all accepted", "one not yet", "one with an unknown result", "one adopted"],
)
def test_without_a_list_only_what_an_answer_proves_is_deleted_and_shares_wait_for_the_rest(
    adopted, deleted, answered, closes
):
    """Another may have an adopted copy's nonce, and a copy whose answer was lost may run: only a list shows that."""
    begun = with_copies(a_delivery(DeliveryState.STOPPING), C.PENDING, C.PENDING if answered else C.INTENDED)
    begun = with_ids(begun, snap_0a="snap-0ac", snap_0b=answered)
    unlisted = replace(begun, copies=(begun.copies[0], replace(begun.copies[1], adopted=adopted)), last_refusal=FAULT)
    ids = proof.to_delete(unlisted)
    assert ids == {"snap-0ac", *(() if adopted or not answered else ("snap-0bc",))}
    assert {*proof.removal(unlisted, (), (seen("snap-0a", "pending"),), ids).copies} == ids

    asked = LeftoversSeen((), deleted=tuple({"snap-0ac", deleted} & ids), by_ids=True)
    after = machine.evolve(unlisted, asked, NOW)
    assert (after.state, after.cleanup.deletes_accepted) == (DeliveryState.STOPPING, closes)
    assert RemoveLeftovers() in machine.outstanding(after, NOW), "the list is next"


@pytest.mark.parametrize(
    ("left", "after", "closes"),
    [((), schedule.SILENCE, True), ((), schedule.SILENCE - 1, False), (("snap-0bc",), schedule.SILENCE, False)],
    ids=["gone", "it may not show yet", "it shows"],
)
def test_a_copy_on_record_that_is_gone_keeps_no_share_open(left, after, closes):
    """EC2 has no deletion to accept: it was deleted before, or somebody in the account has done that."""
    begun = with_copies(a_delivery(DeliveryState.STOPPING), C.PENDING, C.PENDING)
    begun = with_ids(begun, snap_0a="snap-0ac", snap_0b="snap-0bc")
    asked = LeftoversSeen(left, deleted=("snap-0ac",), by_ids=True)
    assert machine.evolve(begun, asked, NOW + after).cleanup.deletes_accepted is closes


def test_a_copy_that_may_be_in_use_is_not_asked_for_without_a_list():
    """It was left in the target by an earlier episode."""
    begun = with_ids(a_delivery(DeliveryState.STOPPING), snap_0a="snap-0ac", snap_0b="snap-0bc")
    first, *others = begun.attempts
    assert proof.to_delete(replace(begun, attempts=(replace(first, stays=True), *others))) == {"snap-0bc"}


def test_without_a_list_the_snapshots_of_copy_image_are_not_known():
    """Its shares wait for the list, or for half an hour."""
    begun = replace(a_delivery(DeliveryState.STOPPING, method="image"), attempts=(Attempt("nonce-i", "", NOW),))
    after = machine.evolve(begun, LeftoversSeen((), by_ids=True), NOW + schedule.HOUR)
    assert not after.cleanup.deletes_accepted


@pytest.mark.parametrize("state", [DeliveryState.STOPPING, DeliveryState.TIDYING])
@pytest.mark.parametrize("event", [LeftoversSeen((), by_ids=True), LeftoversSeen((), refusal=FAULT, by_ids=True)])
def test_a_look_without_a_list_ends_no_cleanup(state, event):
    """However often it shows nothing that is left, or AWS refuses a deletion."""
    after = with_copies(a_delivery(state), C.PENDING, C.PENDING)
    for minute in range(9):
        after = machine.evolve(after, event, NOW + minute * schedule.MINUTE)
    assert (after.state, after.cleanup.done) == (state, False)


@pytest.mark.parametrize("too_late", [False, True])
def test_a_delivery_that_tidies_asks_for_every_deletion_before_it_waits_or_gives_up(too_late):
    """A run had time for one. After the deadline the notice would name copies that nobody asked EC2 to delete."""
    tidying = with_copies(a_delivery(DeliveryState.TIDYING), C.COMPLETED, C.COMPLETED)
    if too_late:
        tidying = replace(tidying, last_look=LastLook(since=NOW))
    ids = ("snap-0ac", "snap-0bc")
    early = replace(tidying, next_try=NOW + 900)
    hurried = machine.evolve(early, LeftoversSeen(ids, deleted=("snap-0ac",), more=True), NOW)

    assert (hurried.cleanup.done, hurried.next_try) == (False, NOW)
    refused = LeftoversSeen(ids, refusal=FAULT, more=True)
    after = machine.evolve(tidying, refused, NOW)
    assert after.cleanup.done or after.next_try > NOW  # not at once for what is refused, which would not end


def test_what_copyimage_made_is_proven_by_its_nonce_only_in_its_episode_and_until_the_ami_shows_it():
    """After that, a snapshot with the nonce is left alone; each of the AMI's is proven by its own id."""
    running = with_ids(a_delivery(DeliveryState.VERIFYING, method="image"), **{"": "ami-0b"}).with_image(id="ami-0b")
    planted = seen("snap-0a", "completed", id="snap-0x", nonce="nonce-")
    parts = (("snap-0a", "snap-0ac"), ("snap-0b", "snap-0bc"))
    there = machine.evolve(running, ImageSeen("available", copies=parts), NOW)
    own = seen("", "completed", id="snap-0bc", nonce="nonce-")

    assert proof.copies(running, (planted,)).own == (replace(planted, source=proof.UNKNOWN),)
    found = proof.copies(there, (planted, own))
    assert (found.own, [one.id for one in found.unproven]) == ((replace(own, source="snap-0b"),), ["snap-0x"])
    later = replace(running, episode=2, created_at=NOW + 1)
    assert [one.id for one in proof.copies(later, (planted,)).unproven] == ["snap-0x"]
    assert [one.id for one in proof.copies(replace(running, method="snapshots"), (planted,)).unproven] == ["snap-0x"]


@pytest.mark.parametrize("state", [DeliveryState.COPYING, DeliveryState.REGISTERING, DeliveryState.VERIFYING])
def test_a_late_answer_that_names_another_snapshot_than_was_adopted_ends_the_delivery(state):
    """A look of another run found only the one that somebody had planted; AWS's answer counts."""
    begun = in_copying(C.INTENDED, C.COMPLETED)
    planted = seen("snap-0a", "completed", id="snap-0x")
    misled = replace(machine.evolve(begun, CopiesFound((planted,)), NOW), state=state)
    after = machine.evolve(misled, CopyStarted("snap-0a", "snap-0ac", "nonce-snap-0a"), NOW)

    assert (after.state, [fault.code for fault in after.faults]) == (DeliveryState.STOPPING, ["attempt-doubled"])
    plan = proof.removal(after, (), (planted, seen("snap-0a", "completed")))
    assert (plan.copies, plan.unproven) == (("snap-0ac", "snap-0bc"), ("snap-0x",))


# --- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"nonce": ""}, {"nonce": "nonce-snap-0a"}, {"created_at": NOW - proof.CLOCKS_DIFFER - 1}],
    ids=["no nonce", "a copy's nonce", "older than the attempt"],
)
def test_an_ami_with_the_services_name_and_tags_that_no_attempt_made_is_unproven_until_a_person_accepts_it(changes):
    """It is neither adopted nor removed; when an operator accepts its id it is adopted, and still not removed."""
    delivery, planted = a_delivery(), shown("ami-0x", **changes)
    accepted = replace(delivery, inbox={"accepted": "ami-0x"})

    assert proof.named(delivery, (planted,)) == proof.Named(unproven="ami-0x")
    assert proof.removal(delivery, (planted,), ()).images == ()
    assert proof.removal(delivery, (planted,), ()).unproven == ("ami-0x",)
    assert proof.named(accepted, (planted,)).own == "ami-0x"
    assert proof.removal(accepted.with_image(id="ami-0x"), (planted,), ()).images == ()


def test_an_ami_of_an_attempt_is_adopted_whichever_episode_made_it():
    """Nonces are kept for the life of the record; another AMI with the name is reported as such."""
    assert proof.named(a_delivery(episode=3), (shown("ami-0b"),)) == proof.Named(own="ami-0b", nonce="nonce-")
    assert proof.named(a_delivery(), (shown("ami-0s", delivery=""),)) == proof.Named(other="ami-0s")
    assert proof.named(a_delivery(), (shown("ami-0s", delivery="", state="deregistered"),)) == proof.Named()
    discarded = a_delivery(request=ImageRequest(NOW, discarded=("ami-0b",)))
    assert proof.named(discarded, (shown("ami-0b"),)).own is None, "EC2 shows it for a while"


def test_an_adopted_ami_that_differs_stays_also_when_a_later_episode_removes_what_it_made():
    """That episode gives its AMI another name, and is cancelled; what was left is named with its snapshots."""
    made = a_delivery(DeliveryState.VERIFYING, episode=2)
    made = with_ids(made, snap_0a="snap-0ac", snap_0b="snap-0bc", **{"": "ami-0b"})
    differs = made.with_image(id="ami-0b", adopted=True, differed=VERIFY_TRIES - 1)
    failed = machine.evolve(differs, ImageSeen("available", (FAULT,)), NOW)
    assert (failed.state, failed.cleanup.leftovers) == (DeliveryState.TIDYING, ("ami-0b",))

    fresh = (*proof.carried(failed, NOW), Attempt("nonce-new", "snap-0a", NOW, id="snap-0an", episode=3))
    stopping = a_delivery(DeliveryState.STOPPING, episode=3, attempts=fresh)
    copies = (seen("snap-0a", "completed"), seen("snap-0b", "completed"), seen("snap-0a", "pending", id="snap-0an"))
    plan = proof.removal(stopping, (shown("ami-0b"),), copies)
    assert (plan.images, plan.copies, plan.showing) == ((), ("snap-0an",), ("snap-0an",))
    assert plan.unproven == ("ami-0b", "snap-0ac", "snap-0bc")


@pytest.mark.parametrize("how", [{}, {"method": "image"}])
def test_the_snapshots_of_an_ami_that_was_left_are_not_among_what_a_later_episode_deletes(how):
    """EC2 would refuse that while the AMI is there, and then the service deletes nothing of its own, either.

    What the episode that adopted the AMI had copied itself is deleted.
    """
    before = with_ids(a_delivery(DeliveryState.VERIFYING), snap_0a="snap-0ac", **{"": "ami-0b"})
    other = Attempt("nonce-other", "snap-0b", NOW, id="snap-0bo", episode=2)
    before = replace(before, attempts=(*before.attempts, other))
    left = proof.left_there(before.with_image(id="ami-0b", adopted=True))
    own = Attempt("nonce-new", "snap-0b", NOW, id="snap-0bn", episode=2)
    next_one = a_delivery(episode=3, attempts=(*proof.carried(left, NOW), own), **how)
    made = (seen("snap-0b", "completed", nonce=one.nonce, id=one.id) for one in (own, other))
    ready = machine.evolve(next_one, TargetReady("arn:another key", copies=(seen("snap-0a", "completed"), *made)), NOW)

    assert ready.cleanup.to_delete == ("snap-0bn", "snap-0bo")


def test_of_two_amis_of_one_nonce_neither_is_adopted():
    """Neither is adopted nor removed."""
    twins = (shown("ami-0b"), shown("ami-0c"))

    assert proof.named(a_delivery(), twins).own is None
    assert proof.removal(a_delivery(), twins, ()).images == ()


@pytest.mark.parametrize("made", ["ami-0b", "ami-0gone"])
def test_an_ami_with_the_nonce_of_an_attempt_that_made_another_is_unproven(made):
    """RegisterImage answered, the AMI is gone, and somebody registers one with its name and tags."""
    delivery = with_ids(a_delivery(episode=2), **{"": made})
    found = proof.named(delivery, (shown("ami-0b"),))

    assert (found.own, found.unproven) == (("ami-0b", None) if made == "ami-0b" else (None, "ami-0b"))
    ready = machine.evolve(a_delivery(episode=2), TargetReady(TARGET_KEY, "ami-0b", nonce="nonce-"), NOW)
    registered = a_delivery(DeliveryState.REGISTERING, request=ImageRequest(NOW))
    registered = machine.evolve(registered, ImageRegistered("ami-0b", "nonce-"), NOW)
    assert ready.attempts[-1].id == registered.attempts[-1].id == "ami-0b"


# --- attempts --------------------------------------------------------------------------------------------------------


def test_each_attempt_has_a_nonce_of_its_own_that_stands_on_the_record_before_the_call():
    """CopyImage's nonce is also its client token, and stays the same until its AMI was discarded."""
    delivery = a_delivery(DeliveryState.COPYING, attempts=(), slots=SlotRequest(granted=2, until=NOW + schedule.LEASE))
    wanted = machine.outstanding(delivery, NOW)
    intended = machine.record_intent(delivery, wanted, NOW, ["n1", "n2"])
    an_image = a_delivery(DeliveryState.REGISTERING, method="image", attempts=())
    first = machine.record_intent(an_image, (RegisterImage(),), NOW, ["n3"])
    again = machine.record_intent(first.with_request(intended_at=None), (RegisterImage(),), NOW + 200, ["n4"])
    made = machine.evolve(again, ImageRegistered("ami-0b", "n3"), NOW + 200)
    gone = machine.evolve(
        replace(made, state=DeliveryState.REGISTERING), ImageDiscarded(), NOW + 200 + schedule.SILENCE
    )
    anew = machine.record_intent(gone, (RegisterImage(),), NOW + 900, ["n5"])

    assert intended.attempts == (Attempt("n1", "snap-0a", NOW, episode=1), Attempt("n2", "snap-0b", NOW, episode=1))
    assert (first.nonce(), again.nonce(), anew.nonce()) == ("n3", "n3", "n5")
    assert [one.nonce for one in anew.attempts] == ["n3", "n5"]


def stopped(**changes: object) -> Delivery:
    """A failed delivery in its second episode, which intended a copy now and one an hour ago, and removes what it made.

    Of its first episode, an attempt of the day before is on record, and an answered one.
    """
    attempts = (
        Attempt("e1", "snap-0a", NOW - schedule.DAY, "snap-0z", episode=1),
        Attempt("e2", "snap-0a", NOW - schedule.HOUR, episode=2),
        Attempt("e2-last", "snap-0b", NOW, episode=2),
    )
    return replace(a_delivery(DeliveryState.STOPPING, episode=2), attempts=attempts, **changes)


def looked(delivery: Delivery, *looks: DeliveryEvent) -> Delivery:
    """It after these looks at the target, half a minute apart, the first when all intents have been silent."""
    at = NOW + schedule.SILENCE
    for look in looks:
        delivery, at = machine.evolve(delivery, look, at), at + schedule.SECOND_LOOK_AFTER
    return delivery


NOTHING = LeftoversSeen((), ())


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (schedule.SILENCE, ["e2", "e2-last"]),
        (schedule.DAY - 1, ["e2", "e2-last"]),
        (schedule.DAY, []),
    ],
    ids=["at once", "within a day", "after a day"],
)
def test_nonces_go_a_day_after_the_last_intent_of_their_episode_if_two_looks_found_nothing(after, kept):
    """The attempts of one episode go together, and those of an earlier one earlier, answered or not."""
    cleared = looked(stopped(), NOTHING, NOTHING)

    assert [one.nonce for one in proof.carried(cleared, NOW + after)] == kept


REFUSED = Refused("RemoveLeftovers", RefusalKind.ROLE, FAULT)
NOT_FOUND_CLEAR = {
    "no look": looked(stopped()),
    "one look": looked(stopped(), NOTHING),
    "something left": looked(stopped(), LeftoversSeen(("snap-0ac",), (), FAULT), NOTHING),
    "unproven": looked(stopped(), *[replace(NOTHING, unproven=("snap-0x",))] * 2),
    "a removal refused": looked(stopped(), *[replace(NOTHING, refusal=FAULT)] * 2),
    "a late copy": looked(stopped(), NOTHING, NOTHING, CopyStarted("snap-0a", "snap-0ac", "e2")),
    "a late AMI": looked(stopped(), NOTHING, NOTHING, ImageRegistered("ami-0b", "e2")),
    "delivered": replace(stopped(), state=DeliveryState.DELIVERED, ending=None),
}
OVER_WITHOUT_A_LOOK = {
    "every look refused": looked(stopped(), REFUSED, DeadlinePassed(), DeadlinePassed(), REFUSED),
    "looks for a late AMI refused": looked(
        stopped(), NOTHING, NOTHING, ImageRegistered("ami-0b", "e2"), DeadlinePassed(), REFUSED
    ),
    "cancelled before it made anything": machine.evolve(
        replace(stopped(), state=DeliveryState.AWAITING_SLOT), CancelAsked(), NOW
    ),
}


@pytest.mark.parametrize("case", [*NOT_FOUND_CLEAR, *OVER_WITHOUT_A_LOOK])
def test_all_nonces_stay_where_the_cleaning_up_did_not_find_nothing(case):
    """However late it begins again: each may still be the only proof of what is left there, or was delivered."""
    cleaned = (NOT_FOUND_CLEAR | OVER_WITHOUT_A_LOOK)[case]

    assert proof.carried(cleaned, NOW + 30 * schedule.DAY) == cleaned.attempts
    assert cleaned.cleanup.done or case in NOT_FOUND_CLEAR


def test_an_attempt_that_aws_refused_leaves_no_nonce_behind():
    """Nothing has it. An AMI of many snapshots may be refused for hours, and its record must not grow."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    refused = Refused("StartCopy", RefusalKind.LIMIT, FAULT, "snap-0a", nonce="nonce-snap-0a")

    assert [one.source for one in machine.evolve(delivery, refused, NOW).attempts] == ["snap-0b", ""]
    unheard = machine.evolve(delivery, replace(refused, kind=RefusalKind.THROTTLED, unknown=True), NOW)
    assert unheard.attempts == delivery.attempts


def test_a_refusal_of_an_earlier_attempt_ends_no_later_one():
    """Two concurrent calls: when one is refused the other may have made a copy, whose nonce must stay on record."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    late = Refused("StartCopy", RefusalKind.LIMIT, FAULT, "snap-0a", nonce="of an earlier one")
    an_image = a_delivery(DeliveryState.REGISTERING, request=ImageRequest(NOW))

    assert machine.evolve(delivery, late, NOW) == delivery
    after = machine.evolve(an_image, replace(late, step="RegisterImage", source=None), NOW)
    assert (after.request.intended_at, after.attempts) == (NOW, an_image.attempts)
