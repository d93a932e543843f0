"""The state machine of a delivery: the table, every pair of state and event, and a test for each edge."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import delivery as delivery_room
from chalicelib.delivery import common_changes, machine, notices, permissions
from chalicelib.delivery.attempts import CopiesFound, CopyStarted, FindCopies, ImageRegistered, RegisterImage
from chalicelib.delivery.holdings import (
    HoldShares,
    LookAtShares,
    ReleaseShares,
    SharesHeld,
    SharesReleased,
    SharesSeen,
    last_closing_at,
)
from chalicelib.delivery.instances import END_LOOKS, InstancesEnded, SeenInstance
from chalicelib.delivery.leftovers import DeleteSnapshots, SnapshotsDeleted
from chalicelib.delivery.model import (
    ENDED,
    MOST_ENDS,
    Attempt,
    Cleanup,
    CopyState,
    Delivery,
    DeliveryState,
    EndRequest,
    ImageRequest,
    InstanceAttempt,
    NewImage,
    SlotRequest,
)
from chalicelib.delivery.outcomes import OUTCOMES
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, DeliveryEvent, Refused
from chalicelib.delivery.phases.checking import BY_STACK, TargetReady, TargetUnfit
from chalicelib.delivery.phases.copying import LookIfAwaited, StartCopy
from chalicelib.delivery.phases.ending import ClosingSeen, LeftoversSeen, NotifyOutcome, OutcomeNotified
from chalicelib.delivery.phases.imaging import FindImage, FinishImage, ImageNotFound, ImageSeen
from chalicelib.delivery.phases.recalling import CopySeen, begun
from chalicelib.delivery.phases.waiting import ApprovalSeen
from chalicelib.delivery.slots import AskSlots, SlotsAsked, free, request
from chalicelib.delivery.worker import deliveries, launches, naming_and_recall
from chalicelib.engine import codec, schedule
from chalicelib.engine.errors import IllegalEvent, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.sharing import share as ledger
from chalicelib.sharing.entitlement import source_gone
from tests.delivery.examples import EVENTS, FAULT, NOW, TARGET, TARGET_KEY, a_delivery, in_copying, seen, with_copies
from tests.fakes import copying

C = CopyState
AUTO_SCALING = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
SPOT = "spot.amazonaws.com/AWSServiceRoleForEC2Spot"


METHODS = ("snapshots", "image")


@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("method", METHODS)
def test_every_pair_of_state_and_event_follows_the_table(state, method):
    """An event leads where the table says, or is illegal; it never leads elsewhere and raises nothing else."""
    delivery, row = a_delivery(state, method=method), machine.TRANSITIONS[state]
    for event in EVENTS:
        try:
            after = machine.evolve(delivery, event, NOW)
        except IllegalEvent:
            assert type(event) not in row, event
        else:
            assert type(event) in row, event
            assert after.state in row[type(event)].leads_to, event
            assert (machine.due_at(after) is None) == (after.state in ENDED), event


def test_each_kind_of_event_is_in_the_table_and_among_the_examples():
    """A new event needs its rows, and an example here."""
    declared = {one for module in modules() for one in vars(module).values() if is_event(one)}
    in_table = {kind for row in machine.TRANSITIONS.values() for kind in row}

    assert in_table == declared
    assert {type(event) for event in EVENTS} == in_table


def test_the_executor_has_a_case_for_each_command():
    """The type checker cannot tell: each phase declares its own, and no list has them all."""
    declared = {one.__name__ for module in modules() for one in vars(module).values() if is_command(one)}
    trees = (ast.parse(inspect.getsource(one)) for one in (deliveries, launches, naming_and_recall))
    cases = (node.cls for tree in trees for node in ast.walk(tree) if isinstance(node, ast.MatchClass))

    assert {name.attr for name in cases if isinstance(name, ast.Attribute)} == declared


def is_command(one: object) -> bool:
    """Whether it is the class of a command."""
    return isinstance(one, type) and issubclass(one, Command) and one is not Command


def modules() -> list[ModuleType]:
    """Each module of the room."""
    found = pkgutil.walk_packages(delivery_room.__path__, f"{delivery_room.__name__}.")
    return [importlib.import_module(one.name) for one in found]


def is_event(one: object) -> bool:
    """Whether it is the class of an event."""
    return isinstance(one, type) and issubclass(one, DeliveryEvent) and one is not DeliveryEvent


def test_ended_states_have_empty_rows():
    """No event moves an ended delivery within its episode; an outcome that stands has not ended."""
    assert {state for state, row in machine.TRANSITIONS.items() if not row} == ENDED
    assert {state for state, outcome in OUTCOMES.items() if not outcome.stands} == ENDED


def drive(delivery: Delivery, picks: list[int], inbox: Sequence[str] = ()) -> list[Delivery]:
    """Run a delivery: at each step record the intents of its commands, then let one legal example event happen.

    Most of the events that would end the delivery are passed over: all states have their turn.
    """
    seen_states, now = [delivery], NOW
    for pick in picks:
        wanted = machine.outstanding(delivery, now)
        delivery = machine.record_intent(delivery, wanted, now, [f"nonce-{now}-{n}" for n in range(len(wanted))])
        legal = [e for e in EVENTS if type(e) in machine.TRANSITIONS[delivery.state]]
        if not legal:
            break
        first = pick % len(legal)
        for event in (*legal[first:], *legal[:first]):
            after = machine.evolve(delivery, event, now)
            if after.ending is None or pick % 8 == 0:
                break
        delivery = replace(after, inbox=dict.fromkeys(inbox, f"1:{pick}"))
        seen_states.append(delivery)
        now += pick % 700
    return seen_states


SOON = NOW + 900


def waiting_copies(state: CopyState, **times: int) -> Delivery:
    """A delivery whose slots are granted and whose two copies wait until ``times``."""
    copying = in_copying(state, state)
    copying = copying.with_slots(granted=2, until=NOW + schedule.LEASE, next_ask=NOW + schedule.DAY)
    return replace(copying, copies=tuple(replace(copy, **times) for copy in copying.copies))


HALF_GRANTED = waiting_copies(C.WANTED, found_at=NOW).with_slots(granted=1)
BEGINNINGS = (
    *(a_delivery(state, method=method) for method, state in product(METHODS, DeliveryState) if state not in ENDED),
    *(waiting_copies(C.PENDING), waiting_copies(C.WANTED, found_at=NOW), HALF_GRANTED),
)
PICKS = st.lists(st.integers(0, 10_000), min_size=10, max_size=30)
HINTS = st.lists(st.sampled_from(["image", "look#snap-0a"]), max_size=2)
HISTORIES = st.builds(drive, st.sampled_from(BEGINNINGS), PICKS)


@given(st.builds(drive, st.sampled_from(BEGINNINGS), PICKS, HINTS))
def test_whatever_is_outstanding_has_a_due_date(history):
    """In any history: until a delivery has ended, or is shared without a date, a worker looks again by itself."""
    for delivery in history:
        rests = delivery.ended or (delivery.state is DeliveryState.SHARED and not delivery.share_mode.ends_at)
        assert (machine.due_at(delivery) is None) == rests


@given(HISTORIES)
def test_at_its_due_date_and_not_before_there_is_something_to_do_or_to_hear(history):
    """At that time a command is outstanding, or a deadline passes; a second earlier not, unless it was at once.

    What is outstanding at once, and was refused, waits for the next try.
    """
    for delivery in history:
        due, since = machine.due_at(delivery), delivery.entered.get(delivery.state, NOW)
        if due is not None:
            when = max(due, NOW)
            assert machine.outstanding(delivery, when) or machine.due_events(delivery, when)
        if due is not None and due > since and not machine.outstanding(delivery, since):
            assert not machine.outstanding(delivery, due - 1)


def shared_until(until: int) -> Delivery:
    """A shared AMI whose end date has come, while the applied file cannot be read until then."""
    shared = a_delivery(DeliveryState.SHARED)
    return replace(shared, share_mode=replace(shared.share_mode, ends_at=NOW, next_read=until))


@pytest.mark.parametrize(
    "delivery",
    [
        a_delivery(DeliveryState.AWAITING_SLOT).with_slots(asked="1:2:0:0", next_ask=SOON),
        waiting_copies(C.WANTED, next_look=SOON, found_at=SOON),
        waiting_copies(C.WANTED, next_look=NOW + schedule.LEASE).with_slots(
            granted=2, until=SOON + schedule.LEASE_MARGIN, next_ask=NOW
        ),
        waiting_copies(C.PENDING, next_look=SOON),
        waiting_copies(C.INTENDED, next_look=SOON),
        a_delivery(DeliveryState.LAUNCHING).with_launch(result="passed", next_look=SOON),
        a_delivery(
            DeliveryState.PUBLISHING,
            holds_copy=True,
            image=NewImage("ami-0b", protected=True),
            linger=SOON - NOW,
        ),
        shared_until(SOON),
    ],
    ids=["slot", "try", "lease", "copy", "lost-try", "instance", "linger", "end-date"],
)
def test_a_delivery_that_waits_for_a_single_time_is_due_then(delivery):
    """No event need come, and no deadline: of each time on its record."""
    assert machine.due_at(delivery) == SOON


def test_a_deadline_makes_a_delivery_due_before_its_next_look():
    """Also where nothing else is to be done for longer."""
    waits = a_delivery(DeliveryState.AWAITING_SLOT).with_slots(asked="1:2:0:0", next_ask=NOW + 100 * schedule.DAY)
    assert machine.due_at(waits) == machine.deadline(waits) == NOW + waits.target.queue_deadline


@given(HISTORIES)
def test_commands_derive_from_the_record_alone(history):
    """After a crash the stored record gives the same commands as the one in memory."""
    for delivery in history:
        stored = codec.decode(Delivery, codec.encode(delivery))

        assert machine.outstanding(stored, NOW) == machine.outstanding(delivery, NOW)


def starts(delivery: Delivery, now: int) -> list[Command]:
    """The copies that it would start, if it has just listed what it has."""
    listed = replace(delivery, copies=tuple(replace(copy, found_at=now) for copy in delivery.copies))
    return [command for command in machine.outstanding(listed, now) if isinstance(command, StartCopy)]


@given(HISTORIES)
def test_no_copy_is_started_without_a_slot(history):
    """A delivery starts no more copies than it holds slots, and none in the last minutes of its lease."""
    late = NOW + 58 * schedule.MINUTE
    assert (len(starts(HALF_GRANTED, NOW)), starts(HALF_GRANTED, late)) == (1, []), "two are wanted"
    for delivery in history:
        assert len(starts(delivery, NOW)) <= free(delivery, NOW)
        assert not starts(delivery, late)


# --- invariant 1: a share is open as long as a holder needs it --------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, {"snapshot": {""}, "key": {"role/AmiCopyRole"}}),
        ({"method": "image", "grantee": "account"}, {"image": {""}, "snapshot": {""}, "key": {"root"}}),
        ({"key_access": "policy"}, {"snapshot": {""}, "policy": {"role/AmiCopyRole"}}),
        ({"mode": "share", "share_snapshots": True}, {"image": {""}, "snapshot": {""}, "key": {"root"}}),
    ],
)
def test_only_a_permission_on_a_key_names_a_principal(settings, named):
    """`history --json` and the report show it: a snapshot and an AMI are opened to the account."""
    delivery = a_delivery(**settings)
    found: dict[str, set[str]] = {}
    for share in permissions.needed(delivery):
        principal = permissions.grantee(delivery, share, "aws")
        found.setdefault(share.resource.split("#")[1], set()).add(principal.removeprefix(f"arn:aws:iam::{TARGET}:"))

    assert found == named


def test_what_is_copied_already_is_registered_once_its_service_roles_have_their_grants():
    """Copies of an earlier try: only the target's own key is opened, because the AMI will need it."""
    fresh = a_delivery(service_linked_roles=(AUTO_SCALING,))
    copies = tuple(seen(snapshot.id, "completed") for snapshot in fresh.snapshots)

    opening = machine.evolve(fresh, TargetReady(TARGET_KEY, copies=copies), NOW)
    done = machine.evolve(opening.with_holdings(holds_standing=True), SharesSeen(open=True), NOW)

    assert opening.state is DeliveryState.OPENING
    assert [(share.resource.split("#")[1], share.standing) for share in opening.holdings.needed] == [("role", True)]
    assert done.state is DeliveryState.REGISTERING
    assert done.holdings.holds_standing


def test_an_ami_that_is_there_already_gets_its_service_roles_grants_first_and_they_stay():
    """As for a copied AMI; if the AMI turns out to differ from the source, the grants are released."""
    fresh = a_delivery(service_linked_roles=(AUTO_SCALING,))
    opening = machine.evolve(fresh, TargetReady(TARGET_KEY, "ami-0b"), NOW)
    assert opening.state is DeliveryState.OPENING
    assert [(share.resource, share.share_name, share.standing) for share in opening.holdings.needed] == [
        (f"resource#role#{TARGET_KEY}#{TARGET}", AUTO_SCALING, True)
    ]

    held = machine.record_intent(opening, machine.outstanding(opening, NOW), NOW, ())
    verifying = machine.evolve(held, SharesSeen(open=True), NOW)
    assert (verifying.state, verifying.image.id, verifying.holdings.holds_standing) == (
        DeliveryState.VERIFYING,
        "ami-0b",
        True,
    )
    there = machine.evolve(verifying, ImageSeen("available"), NOW)
    assert not any(isinstance(command, ReleaseShares) for command in machine.outstanding(there, NOW))

    for _ in range(common_changes.VERIFY_TRIES):
        verifying = machine.evolve(verifying, ImageSeen("available", (FAULT,)), NOW)
    assert machine.outstanding(verifying, NOW)[0] == ReleaseShares()


def test_an_image_that_is_seen_finished_needs_no_further_step():
    """Another one gets its deprecation date, or the tags of its snapshots, first; one that differs is removed."""
    verifying = a_delivery(DeliveryState.VERIFYING).with_image(differed=common_changes.VERIFY_TRIES - 1)
    seen = {
        (finished, wrong): machine.evolve(verifying, ImageSeen("available", wrong, finished=finished), NOW)
        for finished in (False, True)
        for wrong in ((), (FAULT,))
    }

    assert seen[True, ()].state is DeliveryState.PUBLISHING
    assert machine.outstanding(seen[False, ()], NOW)[-1] == FinishImage()
    assert {seen[finished, (FAULT,)].faults for finished in (False, True)} == {(FAULT,)}


def test_each_service_role_is_received_of_by_itself_and_names_what_it_waits_for():
    """One role's grant does not count for the other; past the deadline the fault names what the other waits for."""
    fresh = a_delivery(mode="share", key_access="none", service_linked_roles=(AUTO_SCALING, SPOT))
    opening = machine.evolve(fresh, TargetReady(""), NOW)
    waits_for = Fault("code", "there", "It is refused.", "Deploy it.")
    shares = in_ledger(opening, {SPOT: {"state": ledger.ShareState.OPENING, "waits_for": waits_for}})
    held = machine.record_intent(opening, [HoldShares()], NOW, [])

    assert permissions.seen(held, in_ledger(opening)) == SharesSeen(open=True)
    assert permissions.seen(held, in_ledger(opening)[1:]) == SharesSeen(open=False)
    waiting = machine.evolve(held, permissions.seen(held, shares), NOW)
    assert (waiting.state, waiting.last_refusal) == (DeliveryState.OPENING, waits_for)
    assert machine.evolve(waiting, SharesSeen(open=False), NOW).last_refusal is None
    last = machine.deadline(held)
    assert machine.due_events(held, last) == ()
    assert machine.outstanding(held, last) == (LookAtShares(),)
    late = machine.evolve(held, permissions.seen(held, shares), last)
    assert late.faults[0].what.endswith("The last refusal was: It is refused.")
    assert late.faults[0].cure == "Deploy it."
    assert machine.evolve(held, SharesSeen(open=True), last).state is DeliveryState.PUBLISHING


def test_the_intent_to_hold_says_when_to_look_so_that_nothing_is_left_to_write_after_it():
    """However many slices it takes: only the first counts as a try."""
    opening, hold = a_delivery(DeliveryState.OPENING), HoldShares()
    intended = machine.record_intent(opening, [hold], NOW, [])
    assert (intended.tries, intended.next_try) == (1, NOW + schedule.POLLS[0])
    assert machine.evolve(intended, SharesHeld(), NOW + 1) == intended

    more = machine.evolve(intended, SharesHeld(upto=3), NOW + 20)
    assert machine.outstanding(more, NOW + 20) == (hold,)
    last = machine.record_intent(more, [hold], NOW + 20, [])
    after = machine.evolve(last, SharesHeld(), NOW + 30)
    assert (after.tries, after.next_try, after.holdings.continue_at) == (1, NOW + 20 + schedule.POLLS[0], 0)


@pytest.mark.parametrize("state", [DeliveryState.OPENING, DeliveryState.COPYING])
def test_who_holds_what_is_open_already_goes_on_at_once(state):
    """Others held it before. One that must wait reads the ledger when it is woken, or at the next poll."""
    wants = with_copies(a_delivery(state, holds_copy=True), C.WANTED, C.WANTED)
    holds = machine.record_intent(wants.with_holdings(opened_at=None), [HoldShares()], NOW, [])
    waits = machine.evolve(holds, SharesHeld(seen=SharesSeen(open=False)), NOW)

    assert machine.evolve(holds, SharesHeld(seen=SharesSeen(open=True)), NOW).holdings.opened_at == NOW
    assert waits.holdings.opened_at is None
    assert LookAtShares() not in machine.outstanding(waits, NOW)
    assert LookAtShares() in machine.looks(waits, NOW)
    assert LookAtShares() in machine.outstanding(waits, waits.next_try)


def in_ledger(delivery: Delivery, others: Mapping[str, Any] = MappingProxyType({})) -> list[ledger.Share]:
    """A delivery's shares as the ledger has them: open, but changed by ``others`` by their holder keys."""
    holding = copying(delivery.id, episode=delivery.episode)
    shares = [
        ledger.Share(
            s.resource, s.share_name, TARGET, state=ledger.ShareState.OPEN, asked=1, holdings=frozenset({holding})
        )
        for s in delivery.holdings.needed
    ]
    return [replace(share, **others.get(share.share_name, {})) for share in shares]


def test_what_another_episode_holds_is_not_open_to_this_one():
    """A new episode needs a holding of its own."""
    before = replace(a_delivery(DeliveryState.OPENING), episode=1)
    assert permissions.seen(before, in_ledger(before)).open
    assert not permissions.seen(replace(before, episode=2), in_ledger(before)).open


def test_shares_that_are_refused_while_copies_run_end_it_after_a_last_look():
    """A poll of a copy also asks the ledger, but not in the first hour; completed copies remain usable."""
    copying_now = in_copying(C.PENDING, C.COMPLETED, holds_copy=True)
    for minutes, asks in ((59, False), (60, True)):
        polled = copying_now.with_holdings(opened_at=NOW - minutes * 60)
        assert (LookAtShares() in machine.outstanding(polled, NOW)) is asks
    refused = machine.evolve(copying_now, SharesSeen(open=False, refused=FAULT), NOW)
    assert (refused.state, refused.last_look.failure) == (DeliveryState.COPYING, FAULT)
    assert machine.outstanding(refused, NOW) == (FindCopies(),)


def test_each_statement_in_a_keys_policy_is_received_of_by_itself():
    """The account's own statement was refused, for lack of room, the roles' was added: the AMI is not shared."""
    fresh = a_delivery(mode="share", key_access="policy", service_linked_roles=(AUTO_SCALING,))
    opening = machine.evolve(fresh, TargetReady(""), NOW)
    account, *others = sorted(opening.holdings.needed, key=lambda share: not share.share_name.endswith("-share"))
    assert len(opening.holdings.needed) == len(others) + 1
    refused = {account.share_name: {"state": ledger.ShareState.REFUSED, "fault": FAULT, "answered": 1}}
    seen_now = permissions.seen(opening, in_ledger(opening, refused))
    assert seen_now == SharesSeen(open=False, refused=FAULT)


@pytest.mark.parametrize("standing", [False, True])
def test_what_released_its_shares_for_copies_releases_at_its_end_only_what_still_stands(standing):
    """Each release wakes the share worker."""
    held = a_delivery(DeliveryState.REGISTERING, holds_copy=True, holds_standing=standing)
    released = machine.evolve(held, SharesReleased(all=False), NOW)
    tidying = replace(released, state=DeliveryState.TIDYING, ending=DeliveryState.FAILED)

    assert (ReleaseShares() in machine.outstanding(tidying, NOW)) is standing


def test_release_when_registered_keeps_the_shares_until_then():
    """The setting is for users who doubt that EBS is done with the source at `completed`."""
    delivery = a_delivery(DeliveryState.REGISTERING, holds_copy=True)
    kept = a_delivery(DeliveryState.REGISTERING, holds_copy=True, release_when="registered")

    assert ReleaseShares(all=False) in machine.outstanding(delivery, NOW)
    assert ReleaseShares(all=False) not in machine.outstanding(kept, NOW)
    assert ReleaseShares(all=False) in machine.outstanding(replace(kept, state=DeliveryState.PUBLISHING), NOW)


def test_linger_keeps_the_shares_for_a_while():
    """The setting `linger`: seconds after the last copy."""
    lingering = a_delivery(DeliveryState.REGISTERING, holds_copy=True, linger=600)

    assert ReleaseShares(all=False) not in machine.outstanding(lingering, NOW + 599)
    assert ReleaseShares(all=False) in machine.outstanding(lingering, NOW + 600)
    cancelled = replace(lingering.with_cleanup(deletes_accepted=True), state=DeliveryState.STOPPING)
    cancelled = replace(cancelled, ending=DeliveryState.CANCELLED)
    assert ReleaseShares(all=False) in machine.outstanding(cancelled, NOW), "what ends lets nobody in any longer"


def test_a_withdrawal_looks_after_two_minutes_then_with_each_sweep():
    """The share worker's look comes a few seconds later in the same minute: two more minutes would miss its sweep."""
    asked = replace(a_delivery(DeliveryState.TIDYING), ending=DeliveryState.WITHDRAWN)
    first = machine.evolve(asked, ClosingSeen(("resource#image#ami-0a",)), NOW)
    second = machine.evolve(first, ClosingSeen(("resource#image#ami-0a",)), NOW + 120)
    third = machine.evolve(second, ClosingSeen(("resource#image#ami-0a",)), NOW + 180)
    assert [machine.due_at(one) for one in (first, second, third)] == [NOW + 120, NOW + 150, NOW + 210]


def test_a_time_of_opening_that_is_not_on_record_is_no_deadline_that_has_passed():
    """It raises, so that the record is parked: running copies are not ended for it."""
    delivery = replace(in_copying(C.PENDING, C.PENDING), entered={})
    with pytest.raises(KeyError):
        machine.due_events(delivery, NOW)


def test_one_stale_list_does_not_close_the_shares_under_running_copies():
    """One look does not show a known copy: that does not mean that it is gone."""
    stopping = machine.evolve(in_copying(C.PENDING, C.PENDING, holds_copy=True), CancelAsked(), NOW)
    stale = machine.evolve(stopping, LeftoversSeen((), ()), NOW + 1000)
    shown = machine.evolve(stale, LeftoversSeen(("snap-0ac",), ("snap-0ac",)), NOW + 1030)
    once_more = machine.evolve(shown, LeftoversSeen((), ()), NOW + 1060)

    assert [d.state for d in (stale, shown, once_more)] == [DeliveryState.STOPPING] * 3
    assert not any(ReleaseShares() in machine.outstanding(d, NOW + 1060) for d in (stale, shown, once_more))


@pytest.mark.parametrize("state", [C.INTENDED, C.PENDING])
def test_a_copy_that_may_have_begun_has_two_minutes_to_show_before_its_shares_close(state):
    """Two looks that miss it right after CopySnapshot prove nothing: it would stay behind, without its shares."""
    at, delivery = NOW + 1, machine.evolve(in_copying(state, C.WANTED, holds_copy=True), CancelAsked(), NOW + 1)
    while at < NOW + schedule.SILENCE:
        assert (delivery.state, ReleaseShares() in machine.outstanding(delivery, at)) == (DeliveryState.STOPPING, False)
        delivery = machine.evolve(delivery, LeftoversSeen((), ()), at)
        at += schedule.SECOND_LOOK_AFTER
    for _ in range(2):
        delivery = machine.evolve(delivery, LeftoversSeen((), ()), at)
        at += schedule.SECOND_LOOK_AFTER
    assert ReleaseShares() in machine.outstanding(delivery, at)


def test_it_never_ends_while_it_holds_a_share():
    """The outcome is published only after the last release."""
    for state in (DeliveryState.PUBLISHING, DeliveryState.TIDYING):
        holding = a_delivery(state, holds_copy=True, cleanup=Cleanup(done=True))
        assert not any(isinstance(c, NotifyOutcome) for c in machine.outstanding(holding, NOW))


# --- invariant 4: at most one -----------------------------------------------------------------------------------------


def slots(delivery: Delivery, count: int) -> Delivery:
    """The delivery with this many slots for an hour."""
    return delivery.with_slots(granted=count, until=NOW + schedule.LEASE)


def test_an_intent_to_copy_is_looked_for_before_it_is_made_again():
    """After a crash it is unknown whether CopySnapshot took effect: the delivery looks first, and starts nothing."""
    delivery = slots(in_copying(C.INTENDED, C.WANTED), 5)
    listed = replace(delivery, copies=tuple(replace(copy, found_at=NOW) for copy in delivery.copies))

    assert machine.outstanding(listed, NOW) == (FindCopies(),)


def test_an_intent_to_register_is_looked_for_before_it_is_made_again():
    """RegisterImage has no client token, and a list may be stale for two minutes."""
    delivery = a_delivery(DeliveryState.REGISTERING, request=ImageRequest(NOW))
    waiting = machine.evolve(delivery, ImageNotFound(), NOW)
    assert machine.outstanding(waiting, NOW + schedule.SILENCE - 1) == ()

    looked = machine.evolve(waiting, ImageNotFound(), NOW + schedule.SILENCE)
    assert machine.outstanding(looked, NOW + schedule.SILENCE) == (RegisterImage(),)


@pytest.mark.parametrize(
    "looks",
    [
        (1, schedule.SILENCE - 1, schedule.SILENCE),
        (2 * schedule.SILENCE, 2 * schedule.SILENCE + schedule.SECOND_LOOK_AFTER),
        (2 * schedule.SILENCE, 2 * schedule.SILENCE + 1, 2 * schedule.SILENCE + schedule.SECOND_LOOK_AFTER),
    ],
    ids=["soon", "after a crash", "after a crash, while an event of another copy is a reason to look"],
)
def test_an_intent_that_does_not_show_itself_is_given_two_minutes_and_two_looks(looks):
    """The copy is wanted again only then. A first look that comes late may be stale, too."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    first = machine.evolve(delivery, CopiesFound(()), NOW + looks[0]).copies[0]
    assert first.next_look == NOW + max(schedule.SILENCE, looks[0] + schedule.SECOND_LOOK_AFTER)

    for at in looks:
        assert delivery.copies[0].state is C.INTENDED
        delivery = machine.evolve(delivery, CopiesFound(()), NOW + at)
    assert delivery.copies[0].state is C.WANTED


def test_of_a_second_try_two_looks_decide_too_however_often_the_first_copy_was_looked_at():
    """Its answer is lost, and the first look comes late: the second copy may exist, and a third would be too many."""
    delivery = slots(in_copying(C.PENDING, C.COMPLETED, opened_at=NOW), 9)
    polled = machine.evolve(delivery, CopiesFound((seen("snap-0a", "pending"),)), SOON)
    early = CopiesFound((seen("snap-0a", "error", message="Source snapshot is not found"),))
    tried = machine.record_intent(machine.evolve(polled, early, SOON), [StartCopy("snap-0a")], SOON, ["second"])

    late = machine.evolve(tried, CopiesFound(()), SOON + schedule.SILENCE)
    assert late.copies[0].state is C.INTENDED
    assert machine.evolve(late, CopiesFound(()), late.copies[0].next_look).copies[0].state is C.WANTED


def test_looks_that_missed_one_try_say_nothing_of_the_next():
    """Its answer is lost, too, and its only look may be stale."""
    tried = in_copying(C.INTENDED, C.COMPLETED)
    for at in (schedule.SILENCE, 2 * schedule.SILENCE):
        tried = machine.evolve(tried, CopiesFound(()), NOW + at)
    assert tried.copies[0].state is C.WANTED

    then = NOW + schedule.HOUR
    again = machine.record_intent(tried, [StartCopy("snap-0a")], then, ["second"])
    late = machine.evolve(again, CopiesFound(()), then + schedule.SILENCE)
    assert late.copies[0].state is C.INTENDED


def test_looks_that_missed_a_copy_before_its_answer_came_are_none_of_those_by_which_it_is_gone():
    """Another run looked while CopySnapshot was under way; an hour later a stale look must not fail the delivery."""
    early = machine.evolve(in_copying(C.INTENDED, C.COMPLETED), CopiesFound(()), NOW + 1)
    started = machine.evolve(early, CopyStarted("snap-0a", "snap-0ac", "nonce-snap-0a"), NOW + 2)
    missed = machine.evolve(started, CopiesFound((seen("snap-0b", "completed"),)), NOW + schedule.HOUR)
    assert (missed.state, missed.faults) == (DeliveryState.COPYING, ())


def test_of_two_copies_the_oldest_is_kept_and_the_other_deleted():
    """A repeated CopySnapshot leaves no orphan."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    delivery = replace(delivery, attempts=(Attempt("earlier", "snap-0a", NOW - 200), *delivery.attempts))
    twins = (
        seen("snap-0a", "pending", id="snap-0young", started_at=NOW + 5),
        seen("snap-0a", "pending", id="snap-0old", started_at=NOW, nonce="earlier"),
    )
    after = machine.evolve(delivery, CopiesFound(twins), NOW)

    assert after.copies[0].id == "snap-0old"
    assert DeleteSnapshots(("snap-0young",)) in machine.outstanding(after, NOW)


@pytest.mark.parametrize("earlier", [True, False])
def test_a_copy_in_error_is_the_result_of_the_try_that_made_it_alone(earlier):
    """The copy of a later try may not show yet: it runs on, and must neither fail for that error nor be forgotten."""
    delivery = in_copying(C.INTENDED, C.COMPLETED)
    later = Attempt("later", "snap-0a", NOW + 100, episode=1)
    again = replace(delivery.copies[0], tries=2)
    delivery = replace(delivery, copies=(again, *delivery.copies[1:]), attempts=(*delivery.attempts, later))
    failed = seen("snap-0a", "error")
    failed = failed if earlier else replace(failed, nonce="later", started_at=NOW + 100)
    after = machine.evolve(delivery, CopiesFound((failed,)), NOW + 101)

    goes_on = [after.state is DeliveryState.COPYING, after.faults == (), after.copies[0].state is C.INTENDED]
    assert goes_on == [earlier] * 3


def test_a_copy_whose_answer_comes_late_is_deleted_when_another_was_adopted():
    """The answer of an abandoned call comes late: its copy must be deleted."""
    delivery = in_copying(C.PENDING, C.PENDING)
    after = machine.evolve(delivery, CopyStarted("snap-0a", "snap-0late"), NOW)

    assert after.copies == delivery.copies
    assert after.cleanup.to_delete == ("snap-0late",)


def tried_to_register(delivery: Delivery, refused: Refused, now: int, until: int) -> tuple[Delivery, int]:
    """Return the delivery after this answer to each RegisterImage until then, as nothing shows; and the time."""
    while delivery.state is DeliveryState.REGISTERING and now < until:
        for command in machine.outstanding(delivery, now):
            if isinstance(command, RegisterImage):
                nonce = f"n{now}"
                delivery = machine.record_intent(delivery, (command,), now, [nonce])
                delivery = machine.evolve(delivery, replace(refused, nonce=nonce), now)
            elif isinstance(command, FindImage):
                delivery = machine.evolve(delivery, ImageNotFound(), now)
        now += 5
    return delivery, now


@pytest.mark.parametrize("unknown", [True, False], ids=["no answer", "throttled"])
def test_an_outage_of_registering_lasts_until_the_deadline_which_names_it(unknown):
    """The copies took hours, and what AWS says will pass counts for no try; nor does it use up those of a refusal."""
    outage = Fault("aws-throttled", "where", "RegisterImage was refused: 503.", "cure.")
    passes = Refused("RegisterImage", RefusalKind.THROTTLED, outage, unknown=unknown)
    begun = with_copies(a_delivery(DeliveryState.REGISTERING), C.COMPLETED, C.COMPLETED)
    late = machine.deadline(begun)
    waiting, now = tried_to_register(begun, passes, NOW, late)
    assert (waiting.state, now) == (DeliveryState.REGISTERING, late)

    not_shown = Refused("RegisterImage", RefusalKind.NOT_YET, FAULT, nonce=waiting.nonce())
    once = machine.evolve(waiting, not_shown, now)
    assert once.state is DeliveryState.REGISTERING

    failure = machine.evolve(waiting, DeadlinePassed(), now).last_look.failure
    assert failure is not None
    assert outage.what in failure.what


def at_work(now):
    """A delivery with a slot for each copy that has started none; its checks were at NOW."""
    slots = SlotRequest(granted=2, until=now + schedule.LEASE)
    return a_delivery(DeliveryState.COPYING, opened_at=now, next_try=now, slots=slots)


def test_the_list_that_the_checks_made_is_good_for_a_minute():
    """The usual case needs no further call."""
    assert [type(c) for c in machine.outstanding(at_work(NOW + 60), NOW + 60)] == [StartCopy] * 2


def test_after_that_they_are_listed_first():
    """No copy is started on an old list; existing copies are adopted, and only the others started."""
    later = NOW + 3600
    delivery = at_work(later)

    assert machine.outstanding(delivery, later) == (FindCopies(),)

    there = seen("snap-0a", "completed", id="snap-9a")
    found = machine.evolve(delivery, CopiesFound((there,)), later)
    expected = [(C.COMPLETED, "snap-9a"), (C.WANTED, None)]
    assert [(copy.state, copy.id) for copy in found.copies] == expected
    assert StartCopy("snap-0b") in machine.outstanding(found, later)
    assert StartCopy("snap-0a") not in machine.outstanding(found, later)


# --- invariant 5: an event is a reason to look ------------------------------------------------------------------------


def test_an_inbox_entry_makes_it_look_once():
    """An inbox entry makes the worker read EC2, once for each entry."""
    delivery = in_copying(C.PENDING, C.COMPLETED)
    delivery = replace(delivery, copies=tuple(replace(c, next_look=NOW + 60) for c in delivery.copies))
    assert machine.outstanding(delivery, NOW) == ()

    hinted = replace(delivery, inbox={"look#snap-0a": "event-1"})
    assert machine.outstanding(hinted, NOW) == (FindCopies(),)

    still = machine.evolve(hinted, CopiesFound((seen("snap-0a", "pending", progress=40),)), NOW)
    assert still.state is DeliveryState.COPYING
    assert machine.outstanding(still, NOW) == ()


@pytest.mark.parametrize(
    ("said", "looks"),
    [
        ({"snap-0a": "event-1"}, False),
        ({"snap-0a": "event-1", "snap-0b": "event-2"}, True),
        ({"snap-0a": "failed:event-1"}, True),
    ],
    ids=["one of two", "both", "one failed"],
)
def test_one_look_serves_all_copies_that_events_speak_of(said, looks):
    """Nothing is to be done before the last has ended; but one that failed is tried again, and slots are for others."""
    delivery = in_copying(C.PENDING, C.PENDING)
    delivery = replace(delivery, copies=tuple(replace(c, next_look=NOW + 60) for c in delivery.copies))
    woken = replace(delivery, inbox={f"look#{source}": event for source, event in said.items()})

    if not looks:
        assert machine.looks(woken, NOW) == (LookIfAwaited(),), "whoever is woken asks whether its slots are wanted"
    assert machine.outstanding(woken, NOW) == ((FindCopies(),) if looks else ())
    polled = machine.outstanding(woken, NOW + 60)
    assert polled[0] == FindCopies(), "the clock waits for no event"


def test_a_copy_under_another_key_is_not_believed():
    """Completed, but not under the target's key: the delivery fails and removes everything."""
    delivery = in_copying(C.PENDING, C.COMPLETED)
    event = CopiesFound((seen("snap-0a", "completed", key_arn="arn:another"),))
    after = machine.evolve(delivery, event, NOW)

    assert (after.state, after.ending) == (DeliveryState.STOPPING, DeliveryState.FAILED)
    assert [fault.code for fault in after.faults] == ["copy-under-another-key"]


MISSED, RUNS, DONE = (
    CopiesFound((*shown, seen("snap-0b", "pending")))
    for shown in ((), (seen("snap-0a", "pending"),), (seen("snap-0a", "completed"),))
)


@pytest.mark.parametrize(
    ("looks", "apart", "codes"),
    [
        ([MISSED, MISSED], 60, []),
        ([MISSED, MISSED, MISSED], 60, ["copy-vanished"]),
        ([RUNS, RUNS, RUNS, RUNS, MISSED, RUNS, RUNS, MISSED], 900, []),
        ([MISSED, DONE, MISSED], 3600, []),
    ],
    ids=["for a minute", "for two minutes", "once after hours", "once before and after its end"],
)
def test_a_copy_is_gone_only_when_looks_for_two_minutes_do_not_show_it(looks, apart, codes):
    """Absence in an eventually consistent read is weak evidence; a run beside may have begun its look much earlier."""
    delivery = in_copying(C.PENDING, C.PENDING)
    for number, look in enumerate(looks, 1):
        assert delivery.state is DeliveryState.COPYING
        delivery = machine.evolve(delivery, look, NOW + apart * number)

    assert [fault.code for fault in delivery.faults] == codes
    assert (delivery.state is DeliveryState.COPYING) is not bool(codes)


@pytest.mark.parametrize("late", [ImageSeen("available", (FAULT,)), Refused("VerifyImage", RefusalKind.NOT_YET, FAULT)])
def test_one_early_look_removes_no_image_that_was_pending_for_hours(late):
    """The looks at the pending one count for nothing: what it shows first may be incomplete, or not there yet."""
    delivery = a_delivery(DeliveryState.VERIFYING, image=NewImage("ami-0b"))
    for _ in range(2 * common_changes.MAX_TRIES):
        delivery = machine.evolve(delivery, ImageSeen("pending"), NOW)
    early = machine.evolve(delivery, late, NOW)

    assert early.state is DeliveryState.VERIFYING
    assert machine.evolve(early, ImageSeen("available", finished=True), NOW).state is DeliveryState.PUBLISHING


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*BY_STACK, "target-ami-name-taken"])
def test_only_what_a_stack_brings_is_waited_for_in_an_account_of_an_ou(code):
    """Anything else that is wrong there fails its deliveries, and stops its wave, at once."""
    delivery = a_delivery()
    delivery = replace(delivery, target=replace(delivery.target, unit="ou-1"))
    after = machine.evolve(delivery, TargetUnfit((replace(FAULT, code=code),)), NOW)

    assert (after.state is DeliveryState.REQUESTED) == (code in BY_STACK)


@pytest.mark.parametrize("message", ["Given key ID is not accessible", "Source snapshot is not found"])
def test_access_that_is_not_true_yet_is_tried_again_after_one_two_and_four_minutes(message):
    """A grant may need five minutes to take effect, and so may a share; the errored copy is deleted before that."""
    delivery = slots(in_copying(C.PENDING, C.COMPLETED, opened_at=NOW), 9)
    begun = replace(delivery.copies[0], progress=46)
    late = CopiesFound((seen("snap-0a", "error", message=message),))
    after = machine.evolve(replace(delivery, copies=(begun, *delivery.copies[1:])), late, NOW)

    assert (after.copies[0].next_look, after.copies[0].progress) == (NOW + 60, 0)
    assert machine.outstanding(after, NOW + 60) == (DeleteSnapshots(("snap-0ac",)), StartCopy("snap-0a"))
    assert machine.outstanding(after, NOW + 61) == (DeleteSnapshots(("snap-0ac",)), FindCopies()), "the list is old"

    deleted = machine.evolve(after, SnapshotsDeleted(("snap-0ac",)), NOW + 61)
    listed = machine.evolve(deleted, CopiesFound(()), NOW + 61)
    assert machine.outstanding(listed, NOW + 61) == (StartCopy("snap-0a"),)


def test_a_key_that_is_not_accessible_after_ten_minutes_is_a_failure():
    """By then a permission is missing, and the message says which."""
    delivery = in_copying(C.PENDING, C.COMPLETED, opened_at=NOW - 601)
    event = CopiesFound((seen("snap-0a", "error", message="Given key ID is not accessible"),))
    after = machine.evolve(delivery, event, NOW)

    assert after.ending is DeliveryState.FAILED
    assert "Given key ID is not accessible" in after.faults[0].what
    assert "service control policy" in after.faults[0].cure


def test_a_refusal_that_is_over_is_not_named_as_the_cause_of_a_deadline():
    """One throttled look in the first hour does not explain a deadline after 24 hours."""
    copying = in_copying(C.PENDING, C.COMPLETED)
    throttled = machine.evolve(copying, Refused("FindCopies", RefusalKind.THROTTLED, FAULT), NOW)
    looked = machine.evolve(throttled, CopiesFound((seen("snap-0a", "pending"),)), NOW + 60)
    passed = machine.evolve(looked, DeadlinePassed(), NOW + 24 * 3600)
    over = machine.evolve(passed, CopiesFound((seen("snap-0a", "pending"),)), NOW + 24 * 3600)

    assert FAULT.what not in over.faults[0].what


def test_copies_that_were_tried_again_are_counted_once_more_at_the_end():
    """A copy that appeared late is found and deleted."""
    delivery = with_copies(a_delivery(DeliveryState.REGISTERING), C.COMPLETED, C.COMPLETED)
    delivery = replace(delivery, copies=(replace(delivery.copies[0], tries=2), delivery.copies[1]))
    delivery = replace(delivery, attempts=(Attempt("earlier", "snap-0a", NOW - 200), *delivery.attempts))
    assert machine.outstanding(delivery, NOW) == (FindCopies(),)

    twin = seen("snap-0a", "completed", id="snap-0late", nonce="earlier")
    counted = machine.evolve(delivery, CopiesFound((seen("snap-0a", "completed"), twin)), NOW)
    assert machine.outstanding(counted, NOW) == (DeleteSnapshots(("snap-0late",)), RegisterImage())


def test_too_many_copies_gives_the_slot_back_and_tells_the_copy_quota():
    """ResourceLimitExceeded is no failure; the quota learns the limit, also if it was being asked at that moment."""
    delivery = slots(in_copying(C.INTENDED, C.PENDING, slots=SlotRequest("1:2:0:0")), 2)
    after = machine.evolve(delivery, Refused("StartCopy", RefusalKind.LIMIT, FAULT, "snap-0a"), NOW)
    assert after.copies[0].state is C.WANTED
    assert AskSlots() in machine.outstanding(after, NOW)
    asked = request(after, NOW)
    assert (asked.wanted, asked.granted, asked.done, asked.limited_at) == (3, 2, 1, NOW)

    answered = machine.evolve(after, SlotsAsked(2, 0, 2, NOW + schedule.LEASE), NOW)
    assert AskSlots() in machine.outstanding(answered, NOW)
    assert request(answered, NOW) == asked


def test_a_deadline_while_copying_deletes_the_copies_first():
    """The fault names the state that lasted too long, and a cure."""
    delivery = in_copying(C.PENDING, C.PENDING, holds_copy=True)
    late = NOW + delivery.target.copy_deadline
    assert machine.due_events(delivery, late) == (DeadlinePassed(),)

    passed = machine.evolve(delivery, DeadlinePassed(), late)
    assert machine.outstanding(passed, late) == (FindCopies(),)
    after = machine.evolve(passed, CopiesFound((seen("snap-0a", "pending"),)), late)
    assert after.state is DeliveryState.STOPPING
    assert after.faults[0].code == "deadline-copying"
    assert "copy_deadline" in after.faults[0].cure


def test_stopping_ends_at_the_last_closing_time_with_its_leftovers_listed():
    """The role was deleted during the copy: the record must end all the same."""
    stopping = with_copies(a_delivery(DeliveryState.STOPPING, holds_copy=True), C.PENDING, C.COMPLETED)
    last = last_closing_at(stopping)
    assert machine.due_events(stopping, last) == (DeadlinePassed(),)

    after = machine.evolve(stopping, DeadlinePassed(), last)
    assert after.state is DeliveryState.TIDYING
    assert after.cleanup.leftovers == ("snap-0ac", "snap-0bc")


@pytest.mark.parametrize(
    ("seen_or_refused", "closes_after"),
    [
        (LeftoversSeen(("snap-0ac",), ("snap-0ac",)), 1),
        (LeftoversSeen(("snap-0ac",), ("snap-0ac",), FAULT), 2),
        (Refused("RemoveLeftovers", RefusalKind.ROLE, FAULT), 2),
        (Refused("RemoveLeftovers", RefusalKind.DENIED, FAULT), 2),
        (Refused("RemoveLeftovers", RefusalKind.THROTTLED, FAULT), None),
    ],
)
def test_a_delivery_that_stops_holds_no_share_after_its_deletions(seen_or_refused, closes_after):
    """Accepted once, or refused twice: the copy runs on. A throttle answers nothing, and is tried again."""
    delivery = with_copies(a_delivery(DeliveryState.STOPPING, holds_copy=True), C.PENDING, C.WANTED)
    asked = NOW + schedule.SILENCE
    closed = []
    for number in (1, 2, 3):
        delivery = machine.evolve(delivery, seen_or_refused, asked + number)
        assert delivery.state is DeliveryState.STOPPING
        if ReleaseShares(all=False) in machine.outstanding(delivery, asked + number):
            closed.append(number)

    assert closed == list(range(closes_after, 4) if closes_after else ())


OLD = Cleanup(to_delete=("snap-0old",))
"""A snapshot that an earlier episode made, and that this one does not use."""
ENDS_WITHOUT_LOOKING = {
    "cancelled in awaiting-role": (a_delivery(DeliveryState.AWAITING_ROLE, cleanup=OLD), CancelAsked()),
    "cancelled in awaiting-slot": (a_delivery(DeliveryState.AWAITING_SLOT, cleanup=OLD), CancelAsked()),
    "cancelled in opening": (a_delivery(DeliveryState.OPENING, cleanup=OLD), CancelAsked()),
    "an AMI of an earlier episode differs": (
        a_delivery(DeliveryState.VERIFYING, cleanup=OLD, image=NewImage("ami-0b", adopted=True, differed=2)),
        ImageSeen("available", (FAULT,)),
    ),
    "an AMI could not be tested": (
        a_delivery(DeliveryState.LAUNCHING, cleanup=OLD, image=NewImage("ami-0b")),
        Refused("RunInstance", RefusalKind.DENIED, FAULT),
    ),
}


@pytest.mark.parametrize("ends", ENDS_WITHOUT_LOOKING.values(), ids=ENDS_WITHOUT_LOOKING)
def test_what_an_earlier_episode_left_is_deleted_before_the_last_notice_and_nothing_else(ends):
    """No AMI is looked for: one of an earlier episode may be in use, or is kept for another launch test."""
    delivery, event = ends
    after = machine.evolve(delivery, event, NOW)
    assert after.state is DeliveryState.TIDYING
    after = after.with_launch(attempts=())
    assert machine.outstanding(after, NOW) == (DeleteSnapshots(("snap-0old",)),)

    gone = machine.evolve(after, SnapshotsDeleted(("snap-0old",)), NOW)
    assert machine.outstanding(gone, NOW) == (NotifyOutcome(),)
    over = machine.evolve(gone, OutcomeNotified(gone.outcome), NOW)
    assert (over.ended, over.cleanup.leftovers) == (True, ("ami-0b",) if delivery.image.id else ())


@pytest.mark.parametrize(("state", "notifies"), [("terminated", True), ("shutting-down", False)])
def test_the_last_notice_follows_at_once_when_the_last_instance_has_ended(state, notifies):
    """Nothing else is waited for: it does not wait for the next scheduled look."""
    tidying = a_delivery(DeliveryState.TIDYING).with_cleanup(done=True)
    tidying = replace(tidying, launch=a_delivery(DeliveryState.LAUNCHING).launch, next_try=NOW + schedule.HOUR)
    after = machine.evolve(tidying, InstancesEnded((SeenInstance("i-0a", "nonce-i", state),)), NOW)
    assert machine.outstanding(after, NOW) == ((NotifyOutcome(),) if notifies else ())


@pytest.mark.parametrize(("known", "named"), [("i-0a", "i-0a"), ("", "the instance with the client token nonce-i")])
def test_an_instance_that_cannot_be_ended_is_named_by_what_is_known_of_it(known, named):
    """The answer of RunInstances may have been lost; a person finds the instance by its client token."""
    attempts = (InstanceAttempt("nonce-i", NOW, known, episode=1),)
    tidying = (
        a_delivery(DeliveryState.TIDYING).with_cleanup(done=True).with_launch(attempts=attempts, looks=MOST_ENDS - 1)
    )
    after = machine.evolve(tidying, Refused("EndInstances", RefusalKind.DENIED, FAULT), NOW + 2 * 24 * schedule.HOUR)
    assert after.cleanup.leftovers == (named,)
    assert [fault.code for fault in after.faults] == ["launch-instance-left", FAULT.code]
    assert named in after.faults[0].what


@pytest.mark.parametrize(("kind", "tried_until"), [(RefusalKind.DENIED, 0), (RefusalKind.ROLE, schedule.HOUR)])
def test_what_an_earlier_episode_left_is_named_if_the_target_refuses_to_delete_it(kind, tried_until):
    """A denial counts at once; a role that cannot be assumed is tried for an hour. No share stays open meanwhile."""
    held = a_delivery(DeliveryState.OPENING, cleanup=OLD, holds_copy=True)
    delivery = machine.evolve(held, CancelAsked(), NOW)
    assert ReleaseShares() in machine.outstanding(delivery, NOW)

    delivery = machine.evolve(delivery, SharesReleased(), NOW)
    now = NOW
    while DeleteSnapshots(("snap-0old",)) in machine.outstanding(delivery, now):
        delivery = machine.evolve(delivery, Refused("DeleteSnapshots", kind, FAULT), now)
        last, now = now, machine.due_at(delivery)
    assert NOW + tried_until <= last <= NOW + tried_until + schedule.RETRIES[-1]
    assert machine.outstanding(delivery, last) == (NotifyOutcome(),)
    assert notices.outcome(delivery, last)["leftovers"] == ["snap-0old"]


def test_what_an_earlier_episode_left_is_named_if_the_target_can_no_longer_be_looked_at():
    """The slots cannot be read for a day after the queue deadline: nothing is removed."""
    delivery = a_delivery(DeliveryState.AWAITING_SLOT, cleanup=OLD)
    for _ in range(2):
        delivery = machine.evolve(delivery, DeadlinePassed(), NOW)

    assert machine.outstanding(delivery, NOW) == (NotifyOutcome(),)
    assert notices.outcome(delivery, NOW)["leftovers"] == ["snap-0old"]


def test_a_failures_notice_has_the_cure_that_status_shows():
    """Two cures for one fault would leave a person to choose: what failed is retried, without a new tag."""
    fault = Fault("key-disabled", "there", "The key is disabled.", "Enable it; then tag the AMI again.")
    failed = a_delivery(DeliveryState.TIDYING, ending=DeliveryState.FAILED, faults=(fault,))

    (listed,) = notices.outcome(failed, NOW)["faults"]

    assert listed["cure"] == f"Enable it; then `ami-promoter retry {failed.ami}`."


def test_a_delivery_that_intended_register_image_is_not_cancelled():
    """The tag was removed too late for this delivery."""
    inbox = {"cancel": "1:tag#Withdrawn by ann."}
    intended = a_delivery(DeliveryState.REGISTERING, request=ImageRequest(NOW), inbox=inbox)
    not_yet = a_delivery(DeliveryState.REGISTERING, inbox=inbox)

    assert machine.due_events(intended, NOW) == ()
    assert machine.due_events(not_yet, NOW) == (CancelAsked(why="Withdrawn by ann."),)


def test_who_ended_a_delivery_stays_on_its_record():
    """Also in the reduced record of one that is over; a date says so itself."""
    waiting = a_delivery(DeliveryState.AWAITING_SLOT)

    asked = machine.evolve(waiting, CancelAsked(why="Withdrawn by ann."), NOW)
    over = machine.evolve(asked, OutcomeNotified(asked.outcome), NOW)
    expired = machine.evolve(a_delivery(DeliveryState.SHARED), CancelAsked(expired=True, why="x"), NOW)

    assert (over.state, over.because) == (DeliveryState.CANCELLED, "Withdrawn by ann.")
    assert expired.because == "The date `until` of the targets file has come."


def test_what_a_recall_found_is_what_the_first_look_showed():
    """A second invocation may look when the AMI is deprecated by the recall itself; a lift would restore that date."""
    delivery = a_delivery(DeliveryState.RECALLING)
    for date in ("2027-06-01T00:00:00.000Z", "2026-01-05T09:01:00.000Z"):
        delivery = machine.evolve(delivery, CopySeen(there=True, deprecated_at=date), NOW)

    assert delivery.recall.deprecated_before == "2027-06-01T00:00:00.000Z"


def test_what_refused_a_recall_does_not_keep_the_notice_that_its_lift_is_refused_by_the_same():
    """Even if nothing says which request lifts it: a restored promotion may lack that."""
    given_up = replace(a_delivery(DeliveryState.RECALLED), faults=(FAULT,)).with_recall(seen=True)
    assert begun(given_up, NOW, recalled=False).recall.refused == ""


def test_a_recall_whose_copy_two_looks_have_missed_is_done_and_leaves_nothing_to_restore():
    """Half a minute apart: an invocation beside it counts for no second look."""
    delivery = a_delivery(DeliveryState.RECALLING)
    for seconds in (0, 1, 29):
        delivery = machine.evolve(delivery, CopySeen(there=False), NOW + seconds)
        assert not delivery.recall.done
    assert machine.due_at(delivery) == NOW + 30

    gone = machine.evolve(delivery, CopySeen(there=False), NOW + 30)
    over = machine.evolve(gone, OutcomeNotified(gone.outcome), NOW + 30)
    assert (over.state, over.recall.seen) == (DeliveryState.RECALLED, False)
    assert begun(over, NOW + 60, recalled=False).state is DeliveryState.PUBLISHING


def test_a_cancel_of_an_earlier_episode_is_not_received():
    """Such inbox entries count for one episode only."""
    assert machine.due_events(a_delivery(DeliveryState.COPYING, episode=2, inbox={"cancel": "1:tag"}), NOW) == ()


@pytest.mark.parametrize("text", ["1:tag#Withdrawn by ann.", "2:expired:not-entitled:7#", "1:x#a#b: c\nd"])
def test_a_wish_to_end_is_written_as_it_was_read(text):
    """Its sentence may have any signs."""
    assert str(EndRequest.parse(text)) == text


@pytest.mark.parametrize("text", ["", "tag", ":tag#x", "one:tag", f"{'1' * 5000}:tag"])
def test_a_damaged_wish_ends_nothing(text):
    """Nor does it park the delivery."""
    assert machine.due_events(a_delivery(DeliveryState.COPYING, inbox={"cancel": text}), NOW) == ()


@pytest.mark.parametrize(
    ("known", "named"), [({"image": NewImage("ami-0c")}, "ami-0c"), ({"request": ImageRequest(NOW)}, "AMI golden-1")]
)
def test_an_ami_that_nobody_can_look_for_is_listed_too(known, named):
    """The role is gone after RegisterImage, answered or not: the leftovers name the AMI for its owner."""
    delivery = with_copies(
        a_delivery(DeliveryState.STOPPING, image_name="golden-1", **known), CopyState.COMPLETED, CopyState.COMPLETED
    )
    after = machine.evolve(delivery, DeadlinePassed(), NOW)
    assert after.cleanup.leftovers[-1] == named


def test_an_ami_whose_id_comes_while_the_rest_is_removed_is_listed_if_nobody_can_look_for_it():
    """RegisterImage answered late, and the role is gone since: the owner reads which AMI stays."""
    tidying = a_delivery(DeliveryState.TIDYING).with_cleanup(done=True)
    known = machine.evolve(tidying, ImageRegistered("ami-0c"), NOW)
    last = machine.deadline(known)
    passed = machine.evolve(known, DeadlinePassed(), last)
    after = machine.evolve(passed, Refused("RemoveLeftovers", RefusalKind.ROLE, FAULT), last)

    assert (after.cleanup.done, after.cleanup.leftovers) == (True, ("ami-0c",))


REFUSED_WHILE_HEARING = {
    "available": a_delivery(DeliveryState.VERIFYING, image=NewImage("ami-0b")).with_image(available_at=NOW),
    "being verified": a_delivery(DeliveryState.VERIFYING, image=NewImage("ami-0b")),
    "stopping": with_copies(a_delivery(DeliveryState.STOPPING), CopyState.PENDING, CopyState.PENDING),
    "tidying": with_copies(a_delivery(DeliveryState.TIDYING), CopyState.PENDING, CopyState.PENDING),
    "tidied": with_copies(a_delivery(DeliveryState.TIDYING), CopyState.ERROR, CopyState.ERROR).with_cleanup(done=True),
    "publishing": a_delivery(DeliveryState.PUBLISHING, image=NewImage("ami-0b")),
}


@pytest.mark.parametrize("why", [RefusalKind.THROTTLED, RefusalKind.ROLE])
@pytest.mark.parametrize("delivery", REFUSED_WHILE_HEARING.values(), ids=REFUSED_WHILE_HEARING)
def test_what_is_refused_waits_although_an_event_came(delivery, why):
    """An event leads to one look; it does not make a run repeat a refused call until its time is up."""
    woken = replace(delivery, inbox={"image": "event-7", "look#snap-0a": "event-8", "look#snap-0b": "event-9"})
    for _ in range(3):
        for command in machine.outstanding(woken, NOW):
            woken = machine.evolve(woken, Refused(type(command).__name__, why, FAULT), NOW)

    assert machine.outstanding(woken, NOW) == ()
    assert machine.outstanding(woken, NOW + 900)


# --- an approval -----------------------------------------------------------------------------------------------------


GONE = source_gone("there", "ami-00", None)


def test_a_refused_look_is_none_of_the_two_that_do_not_show_the_ami():
    """Awaiting approval, only two looks in turn that come through and do not show the source end it."""
    refused = a_delivery(DeliveryState.AWAITING_APPROVAL, last_refusal=Fault("aws-Throttling", "", "", ""))
    once = machine.evolve(refused, ApprovalSeen(gone=GONE), NOW)
    assert once.state is DeliveryState.AWAITING_APPROVAL

    shown = machine.evolve(once, ApprovalSeen(), once.next_try)
    again = machine.evolve(shown, ApprovalSeen(gone=GONE), shown.next_try)
    assert again.state is DeliveryState.AWAITING_APPROVAL
    assert machine.evolve(again, ApprovalSeen(gone=GONE), again.next_try).faults[0].code == "source-gone"


def test_a_wake_between_two_looks_that_do_not_show_the_ami_does_not_put_off_its_end():
    """Otherwise a delivery that is woken more often than it looks would wait for its deadline, a month."""
    once = machine.evolve(a_delivery(DeliveryState.AWAITING_APPROVAL), ApprovalSeen(gone=GONE), NOW)
    woken = machine.evolve(once, ApprovalSeen(gone=GONE), NOW + 1)
    assert woken == once

    assert machine.evolve(woken, ApprovalSeen(gone=GONE), woken.next_try).faults[0].code == "source-gone"
    shown = machine.evolve(once, ApprovalSeen(), NOW + 1)
    assert machine.evolve(shown, ApprovalSeen(gone=GONE), shown.next_try).state is DeliveryState.AWAITING_APPROVAL


def test_the_service_gives_up_an_instance_after_a_day_of_tries():
    """Not earlier, and at most one wait later."""
    waits = [schedule.step(END_LOOKS, tries) for tries in range(MOST_ENDS - 1)]
    assert schedule.DAY <= sum(waits) <= schedule.DAY + waits[-1]
