"""The machine of a pointer: what it knows of its own writes."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import get_args

import pytest

from chalicelib.engine.errors import IllegalEvent, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.release import pointer as machine
from chalicelib.release.current import Release
from chalicelib.release.pointer import (
    IMAGE_TYPE,
    Changed,
    CopyNotRetired,
    CopyRetired,
    DeliveriesWoken,
    Event,
    Intent,
    Looked,
    Overtaken,
    Pointer,
    PointerRefused,
    SeenParameter,
    ShownParameter,
    Unwanted,
)
from chalicelib.release.retirement import OwnDate
from chalicelib.targets.applied_file import Retirement
from chalicelib.targets.recalls import Pin

NOW, DAY = 1_800_000_000, 24 * 3600
OLD = Release("ami-0a", "2026-01-01T00:00:00.000Z", "ami-0a", "x86_64", "d1", 1)
NEW = Release("ami-0b", "2026-02-01T00:00:00.000Z", "ami-0b", "x86_64", "d2", 1)
GONE = Fault("role-not-assumable", "account 222222222222", "The role is gone.", "Make it again.")
FRESH = Pointer("222222222222", "us-east-1", "/golden/base/current", "base", "111111111111", next_try=NOW)


def looked(value: str, *releases: Release) -> Looked:
    """What the target shows: a value ("": no parameter), and each AMI of the list."""
    shown = ShownParameter(value, IMAGE_TYPE) if value else None
    return Looked(releases, SeenParameter(shown, frozenset(one.image for one in releases)))


def written(*, unknown: bool) -> Pointer:
    """A pointer that has written NEW; ``unknown``: the answer was lost."""
    pointer = machine.evolve(FRESH, looked("", OLD, NEW), NOW)
    assert pointer.intent is not None
    done = PointerRefused(RefusalKind.THROTTLED, GONE, (OLD, NEW), unknown=True) if unknown else Changed()
    return machine.evolve(pointer, done, NOW)


def replaces_its_own(pointer: Pointer) -> None:
    """Assert that it moves a parameter which shows NEW, a day later, when only OLD is left."""
    pointer = machine.evolve(pointer, looked(NEW.image, OLD), NOW + DAY)

    assert pointer.fault is None
    assert pointer.intent is not None
    assert (pointer.intent.image, pointer.intent.over) == (OLD.image, NEW.image)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize(
    "unread",
    [
        PointerRefused(RefusalKind.ROLE, GONE, (OLD,)),
        PointerRefused(RefusalKind.DENIED, GONE, (OLD,)),
        PointerRefused(RefusalKind.ROLE, GONE, ()),
        Unwanted((OLD,)),
    ],
)
def test_a_value_that_it_may_have_written_is_its_own_although_nobody_could_read_it_back(unread, unknown):
    """The AMI is taken back meanwhile, and a day later the parameter shows it."""
    pointer = machine.evolve(written(unknown=unknown), unread, NOW + 60)
    pointer = machine.evolve(pointer, DeliveriesWoken(("d1", "d2")), NOW + 60)

    assert machine.outstanding(pointer, NOW + 2 * DAY) == (machine.Look(),)
    replaces_its_own(pointer)


def begun(pointer: Pointer) -> Pointer:
    """As it is stored right before the call."""
    return machine.record_intent(pointer, machine.outstanding(pointer, NOW), NOW)


@pytest.mark.parametrize("refused", [PointerRefused(RefusalKind.ROLE, GONE, (OLD,)), Unwanted((OLD,))])
def test_a_value_of_a_process_that_was_killed_in_the_call_is_its_own(refused):
    """The next process cannot repeat the call; the AMI is taken back meanwhile."""
    pointer = begun(begun(machine.evolve(FRESH, looked("", OLD, NEW), NOW)))
    pointer = machine.evolve(pointer, refused, NOW)

    replaces_its_own(pointer)


def test_a_refused_write_leaves_no_claim_on_a_value():
    """What Parameter Store has refused was not written: such a value is a person's."""
    pointer = begun(machine.evolve(FRESH, looked("", OLD, NEW), NOW))
    pointer = machine.evolve(pointer, PointerRefused(RefusalKind.DENIED, GONE, (OLD,)), NOW)
    assert pointer.fault.cure.startswith(GONE.cure)
    pointer = machine.evolve(pointer, looked(NEW.image, OLD), NOW + DAY)

    assert pointer.fault is not None
    assert pointer.fault.code == "pointer-not-ours"


def test_a_value_that_came_between_the_look_and_the_write_is_moved_by_the_next_look():
    """A person has made an earlier release current: the write that finds this writes nothing."""
    pointer = begun(machine.evolve(FRESH, looked("", OLD, NEW), NOW))
    pointer = machine.evolve(pointer, Overtaken(), NOW)
    pointer = machine.evolve(pointer, looked(OLD.image, OLD, NEW), pointer.next_try)

    assert pointer.intent is not None
    assert (pointer.intent.image, pointer.intent.over) == (NEW.image, OLD.image)


def test_a_copy_that_is_current_again_before_ec2_shows_its_date_is_deprecated_no_longer():
    """EC2 shows what was written some minutes late, and the operator rolls back in these."""
    old, new = replace(OLD, image="ami-1a"), replace(NEW, image="ami-1b")
    rule, pin = Retirement(1, DAY), Pin(old.source, old.made_at, NOW + 20, "an operator")
    pointer = replace(FRESH, image=new.image)
    pointer = machine.evolve(pointer, replace(looked(new.image, old, new), rule=rule), NOW)
    pointer = machine.evolve(pointer, DeliveriesWoken(pointer.waiting), NOW)
    (retire,) = machine.outstanding(pointer, NOW)
    pointer = machine.evolve(pointer, machine.CopyRetired(retire.image), NOW)

    late = replace(looked(old.image, old, new), rule=rule, pin=pin)
    pointer = machine.evolve(pointer, late, NOW + 40)
    assert machine.outstanding(pointer, NOW + 40) == ()
    assert pointer.next_try <= NOW + 3600
    shows = {old.image: datetime.fromtimestamp(NOW + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    pointer = machine.evolve(pointer, replace(late, seen=replace(late.seen, deprecated=shows)), pointer.next_try)
    assert machine.outstanding(pointer, pointer.next_try) == (machine.RetireCopy(old.image, 0),)

    overtaken = machine.evolve(pointer, machine.CopyRetired(old.image), NOW + DAY)  # by a run of before
    assert (overtaken.own_dates, overtaken.retiring) == (pointer.own_dates, pointer.retiring)

    pointer = machine.evolve(pointer, machine.CopyRetired(old.image, ended=True), NOW + DAY)
    assert pointer.own_dates == {}


def test_while_another_architecture_is_the_newest_no_copy_is_deprecated():
    """Nobody has said whether it supersedes the others."""
    older, old = (
        replace(OLD, source="ami-00", made_at="2025-12-01T00:00:00.000Z", delivery="d0"),
        replace(OLD, image="ami-1a"),
    )
    other = replace(NEW, image="ami-1b", architecture="arm64")
    pointer = replace(FRESH, image=old.image)
    two, three = (
        replace(looked(old.image, *some), rule=Retirement(1, DAY)) for some in ((older, old), (older, old, other))
    )

    assert [*machine.evolve(pointer, two, NOW).retiring] == [older.image]
    held = machine.evolve(pointer, three, NOW)
    assert (held.fault.code, held.retiring) == ("pointer-other-architecture", {})


def test_a_recalled_copy_keeps_its_deprecation_although_its_pointer_was_to_end_one():
    """A run that was killed left deliveries to wake, so a wake looks before the end of the deprecation is asked for."""
    old, shows = replace(OLD, image="ami-1a"), datetime.fromtimestamp(NOW - DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pointer = replace(FRESH, image=old.image, own_dates={old.image: OwnDate(NOW - DAY)})
    current = looked(old.image, old)
    current = replace(current, rule=Retirement(1, DAY), seen=replace(current.seen, deprecated={old.image: shows}))
    pointer = machine.evolve(pointer, current, NOW)
    assert pointer.retiring == {old.image: 0}

    assert [*machine.outstanding(pointer, NOW), *machine.looks(pointer, NOW)] == [
        machine.WakeDeliveries((old.delivery,)),
        machine.Look(),
    ]
    pointer = machine.evolve(pointer, DeliveriesWoken((old.delivery,)), NOW)
    pointer = machine.evolve(pointer, Unwanted((old,), frozenset({old.source})), NOW)
    assert machine.outstanding(pointer, NOW) == ()


def test_the_dates_of_copies_that_are_remembered_no_longer_are_forgotten():
    """Else the record would grow for years."""
    old, new = replace(OLD, image="ami-1a"), replace(NEW, image="ami-1b")
    own = {old.image: OwnDate(NOW)}
    pointer = replace(FRESH, image=new.image, own_dates=own)

    assert machine.evolve(pointer, looked(new.image, old, new), NOW).own_dates == own
    assert machine.evolve(pointer, looked(new.image, new), NOW).own_dates == {}


@pytest.mark.parametrize("held", [False, True])
def test_that_nothing_of_its_architecture_is_left_is_said_as_it_is(held):
    """It names a recalled copy, which the account still shows available.

    The only other one is of another architecture, which what launches from it could not run, or newer than a rollback.
    """
    bad, other = replace(OLD, image="ami-1a"), replace(NEW, architecture="x86_64" if held else "arm64")
    pin = Pin(OLD.source, OLD.made_at, NOW, "an operator") if held else None
    seen = replace(looked(bad.image, bad, other), recalled=frozenset({bad.source}), pin=pin)
    pointer = machine.evolve(replace(FRESH, image=bad.image), seen, NOW)

    assert pointer.intent is None
    assert pointer.fault.code == "pointer-nothing-current"
    assert f": each is recalled or {'newer than a rollback allows' if held else 'of another architecture'}." in (
        pointer.fault.what
    )


@pytest.mark.parametrize("shared", [False, True])
def test_the_name_of_the_only_copy_stays_although_the_account_does_not_show_it_available(shared):
    """Its owner may have disabled it for a while. The name of an AMI that is only shared goes."""
    only = replace(OLD, image=OLD.source if shared else "ami-1a")
    pointer = machine.evolve(FRESH, looked(only.image, only), NOW)
    hidden = replace(looked(only.image, only), seen=SeenParameter(ShownParameter(only.image, IMAGE_TYPE), frozenset()))
    pointer = machine.evolve(pointer, hidden, NOW + DAY)
    assert (pointer.intent is not None) is shared
    assert shared or pointer.fault.code == "pointer-nothing-current"
    assert shared or ": each is not available." in pointer.fault.what


@pytest.mark.parametrize("left", [(), (replace(NEW, image="ami-1b"),)], ids=["nothing else", "a copy that is disabled"])
def test_the_name_of_a_shared_ami_that_was_taken_back_goes_as_soon_as_the_account_shows_it_no_longer(left):
    """EC2 may show it there for some minutes more, and the daily look comes a day later. After ten it is a fault."""
    shows = Looked(left, SeenParameter(ShownParameter(OLD.image), frozenset({OLD.image})))
    pointer = machine.evolve(replace(FRESH, image=OLD.image, releases=(OLD,)), shows, NOW)
    assert NOW < pointer.next_try <= NOW + 60
    after = machine.evolve(pointer, replace(shows, seen=replace(shows.seen, available=frozenset())), NOW + 60)
    assert after.intent is not None
    assert (after.intent.image, after.intent.over) == ("", OLD.image)

    late = machine.evolve(pointer, shows, NOW + 600)
    assert (late.settled, late.fault.code) == (True, "pointer-nothing-current")
    assert (": each is not available." if left else ": none is delivered or shared.") in late.fault.what


def test_a_parameter_that_the_file_no_longer_sets_is_said_to_name_a_recalled_ami_only_if_it_does():
    """The share of the AMI that it names has ended; nothing was recalled."""
    shows = Looked((), SeenParameter(ShownParameter(OLD.image), frozenset({OLD.image})), unwanted=True)
    pointer = machine.evolve(replace(FRESH, image=OLD.image, releases=(OLD,)), shows, NOW)

    late = machine.evolve(pointer, shows, NOW + 600)
    assert (late.unwanted, late.fault.code) == (True, "pointer-nothing-current")


INTENT = Intent(NEW.image, OLD.image, NEW.source, NOW, begun=1)
RESTING = replace(FRESH, settled=True, image=OLD.image, releases=(OLD,), retiring={OLD.image: 1})
POINTERS = (
    FRESH,
    RESTING,
    replace(RESTING, intent=INTENT),
    replace(FRESH, intent=INTENT, image=OLD.image, releases=(OLD,)),
    replace(FRESH, intent=replace(INTENT, asked=True), since=NOW - DAY),
)
EVENTS = (
    looked(""),
    looked(OLD.image, OLD, NEW),
    looked("ami-0f", OLD),
    Unwanted((OLD,), frozenset({OLD.source})),
    Changed(),
    Overtaken(),
    *(PointerRefused(kind, GONE, (OLD,), unknown=unknown) for kind in RefusalKind for unknown in (False, True)),
    CopyRetired(OLD.image),
    CopyRetired(OLD.image, ended=True),
    CopyNotRetired(OLD.image, GONE, passing=True),
    DeliveriesWoken(("d1",)),
)


@pytest.mark.parametrize(("before", "event"), list(product(POINTERS, EVENTS)))
def test_every_pair_of_state_and_event_follows_the_table(before, event):
    """An event leads where the table says, or is illegal."""
    assert {type(one) for one in EVENTS} == set(get_args(Event))
    row = machine.TRANSITIONS[before.state]
    if type(event) not in row:
        with pytest.raises(IllegalEvent, match=before.state.value):
            machine.evolve(before, event, NOW)
        return

    assert machine.evolve(before, event, NOW).state in row[type(event)].leads_to
