"""Who joins and leaves an OU: complete readings, positive evidence, and never too many at once."""

from dataclasses import replace

import pytest

from chalicelib.engine import codec
from chalicelib.engine.faults import Fault
from chalicelib.engine.schedule import DAY
from chalicelib.targets import departures
from chalicelib.targets.departures import APART, MembersReading, Whereabouts
from chalicelib.targets.listing import Crawl, Page
from chalicelib.targets.organization import Membership

NOW = 1_000_000
OU, INNER, OTHER, ROOT = "ou-ab12-11111111", "ou-ab12-22222222", "ou-ab12-33333333", "r-ab12"
TEN = tuple(f"{number:012d}" for number in range(10))
REFUSED = Fault("organization-unreadable", "there", "It was refused.", "Ask.")


def crawl(accounts=TEN):
    """A finished reading of the OU, with all accounts directly in it."""
    found = Crawl(NOW).begin(OU, "arn:ou", [OU])
    found = found.read(found.next(), Page(tuple((account, "ACTIVE") for account in accounts)))
    return found.read(found.next(), Page())


def joined(accounts=TEN):
    """The membership in force and discovery's record after a first reading."""
    return departures.compare(MembersReading(), Membership(), crawl(accounts), [OU], NOW)


def after(reading, membership, shown, at, where=None, **settings):
    """One run of discovery: a complete reading, questions about missing accounts, and removals."""
    membership, reading = departures.compare(reading, membership, crawl(shown), [OU], at)
    for account in departures.to_ask(reading):
        reading = departures.answered(reading, account, where)
    given = {"groups": {"dev": (OU,)}, "most_leaving": "10%", "accepted": (), **settings}
    return departures.remove(reading, membership, **given, now=at)


def test_a_reading_goes_through_empty_pages_and_nested_units_and_takes_active_accounts_only():
    """A page without accounts is not the last; nested OUs are read, too; an account's State decides."""
    reading = Crawl(NOW).begin(OU, "arn:ou", [OU])
    asked = []
    pages = {
        (OU, "accounts", ""): Page((), "1"),
        (OU, "accounts", "1"): Page(((TEN[0], "ACTIVE"), (TEN[1], "CLOSED")), "2"),
        (OU, "accounts", "2"): Page(((TEN[2], "ACTIVE"),)),
        (OU, "units", ""): Page((), "x"),
        (OU, "units", "x"): Page(((INNER, "arn:inner"),)),
        (INNER, "accounts", ""): Page(((TEN[3], "ACTIVE"), (TEN[4], ""), (TEN[5], "SUSPENDED"))),
        (INNER, "units", ""): Page(),
    }
    while (step := reading.next()) is not None:
        asked.append((step.parent, step.what, step.token))
        reading = codec.decode(Crawl, codec.encode(reading.read(step, pages[asked[-1]])))

    assert asked == list(pages)
    assert reading.listing(OU) == {TEN[0], TEN[2], TEN[3]}


def test_what_is_missing_in_one_branch_makes_the_unit_unknown_and_no_other():
    """Half a listing does not count."""
    reading = Crawl(NOW).begin(OU, "arn:ou", [OU]).begin(OTHER, "arn:other", [OTHER])
    while (step := reading.next()) is not None:
        reading = reading.failed(step, REFUSED) if step.parent == OTHER else reading.read(step, Page())

    assert (reading.listing(OU), reading.listing(OTHER)) == (frozenset(), REFUSED)


def test_a_unit_that_cannot_be_read_keeps_whom_it_has_and_the_trouble_its_beginning():
    """An unreadable OU is not an empty one. After the next reading the fault is gone."""
    membership, reading = joined()
    for at in (NOW + 300, NOW + 600, NOW + DAY):
        membership, reading = departures.compare(reading, membership, Crawl(at).cannot(OU, REFUSED), [OU], at)
    assert membership.units[OU].accounts == TEN
    assert reading.troubles[OU] == departures.UnreadUnit(NOW + 300, REFUSED)
    membership, reading = departures.compare(reading, membership, crawl(), [OU], NOW + 2 * DAY)
    assert (reading.troubles, reading.read_at) == ({}, {OU: NOW + 2 * DAY})


EVIDENCE = [
    (Whereabouts(""), "it is no longer in the organization"),
    (Whereabouts("CLOSED", (OU, ROOT)), "its state is CLOSED"),
    (Whereabouts("SUSPENDED", (OU, ROOT)), "its state is SUSPENDED"),
    (Whereabouts("ACTIVE", (OTHER, ROOT)), f"it is now in {OTHER}"),
    (Whereabouts("ACTIVE", (INNER, OU, ROOT)), ""),
    (Whereabouts("ACTIVE"), ""),
    (Whereabouts("ASTRAY", (OTHER, ROOT)), ""),
    (None, ""),
]


@pytest.mark.parametrize(("where", "evidence"), EVIDENCE)
def test_gone_is_who_is_missing_twice_and_known_to_be_elsewhere(where, evidence):
    """Not before a second reading, some time after the first; and never without an answer, or on an unknown one."""
    membership, reading = joined()
    for at in (NOW + 300, NOW + 600):
        membership, reading = after(reading, membership, TEN[1:], at, where)
        assert membership.units[OU].accounts == TEN
    membership, reading = after(reading, membership, TEN[1:], NOW + 300 + APART, where)

    assert membership.units[OU].accounts == (TEN[1:] if evidence else TEN)
    assert [(one.account, one.groups, one.why) for one in reading.left] == (
        [(TEN[0], ("dev",), evidence)] if evidence else []
    )
    assert bool(reading.missing) == (not evidence)


def test_an_answer_about_one_missing_account_says_nothing_of_another():
    """Of two that are missing, AWS says of one that it is gone: whichever is asked first, only that one leaves."""
    for gone, unknown in (TEN[:2], TEN[1::-1]):
        membership, reading = joined()
        for at in (300, 300 + APART):
            membership, reading = departures.compare(reading, membership, crawl(TEN[2:]), [OU], NOW + at)
        for account in departures.to_ask(reading):
            reading = departures.answered(reading, account, Whereabouts("") if account == gone else None)
        membership, _ = departures.remove(reading, membership, {"dev": (OU,)}, "100%", (), NOW + 300 + APART)
        assert (gone in membership.units[OU].accounts, unknown in membership.units[OU].accounts) == (False, True)


def test_who_shows_again_was_never_away():
    """The count starts over."""
    membership, reading = joined()
    for at, shown in ((300, TEN[1:]), (600, TEN), (900, TEN[1:]), (1200, TEN[1:])):
        membership, reading = after(reading, membership, shown, NOW + at, Whereabouts(""))
    assert membership.units[OU].accounts == TEN
    assert [one.times for one in reading.missing.values()] == [1]


def leave(count, **settings):
    """This many of ten accounts have left, with full evidence."""
    membership, reading = joined()
    for at in (300, 300 + APART):
        membership, reading = after(reading, membership, TEN[count:], NOW + at, Whereabouts(""), **settings)
    return membership, reading


def test_more_than_may_leave_at_once_all_stay_until_a_person_lets_them_go():
    """One of ten leaves. Of two, each stays until a person accepts it by name, however few wait besides."""
    assert leave(1)[0].units[OU].accounts == TEN[1:]
    membership, reading = leave(2)
    assert (membership.units[OU].accounts, reading.held_in, reading.left) == (TEN, {"dev": TEN[:2]}, ())
    later = NOW + 300 + 2 * APART
    gone, reading_gone = leave(2, most_leaving="2")
    assert gone.units[OU].accounts == TEN[2:]
    assert after(reading_gone, gone, TEN[2:], later)[1].held_in == {}, "a lower limit, and nobody else leaves"

    one, reading_one = after(reading, membership, TEN[2:], later, Whereabouts(""), accepted=TEN[:1])
    assert (one.units[OU].accounts, reading_one.held_in) == (TEN[1:], {"dev": TEN[1:2]})
    both, reading = after(reading, membership, TEN[2:], later, Whereabouts(""), accepted=TEN[:2])
    assert (both.units[OU].accounts, reading.held_in) == (TEN[2:], {})
    assert all(left.accepted for left in reading.left)
    for more in (1, 2):
        both, reading = after(reading, both, TEN[3:], later + more * APART, Whereabouts(""))
    assert both.units[OU].accounts == TEN[3:], "whom a person let go does not count against the limit"


def test_slowly_is_not_another_way_to_lose_many():
    """Accounts that left within a day count; a day later the next may leave, but not who waits for a person."""
    gone, left = leave(1)
    membership, reading = gone, left
    for hours in (1, 2, 3, 30):
        membership, reading = after(reading, membership, TEN[2:], NOW + hours * 3600, Whereabouts(""))
        assert (membership.units[OU].accounts, reading.held_in) == (TEN[1:], {"dev": (TEN[1],)} if hours > 1 else {})
    for at in (0, APART):
        gone, left = after(left, gone, TEN[2:], NOW + 2 * DAY + at, Whereabouts(""))
    assert (gone.units[OU].accounts, left.held_in) == (TEN[2:], {})


STILL_WAITS = [
    ("the limit is higher", TEN[2:], Whereabouts(""), {"most_leaving": "5"}),
    ("AWS does not answer", TEN[2:], None, {}),
    ("AWS knows no state", TEN[2:], Whereabouts("ASTRAY"), {}),
    ("the other came back", TEN[1:], Whereabouts(""), {}),
    ("the group has a new name", TEN[2:], Whereabouts(""), {"most_leaving": "5", "groups": {"test": (OU,)}}),
]


@pytest.mark.parametrize(("_what", "shown", "where", "settings"), STILL_WAITS, ids=[one[0] for one in STILL_WAITS])
def test_who_waits_for_a_person_waits_on_whatever_becomes_of_the_reason(_what, shown, where, settings):
    """At the next reading it would be within the limit, or not known to be gone; it still waits after that."""
    membership, reading = leave(2)
    later = NOW + 300 + 2 * APART
    membership, reading = after(reading, membership, shown, later, where, **settings)
    (group,) = settings.get("groups", {"dev": ()})
    assert (membership.units[OU].accounts, reading.held_in) == (TEN, {group: tuple(sorted({*TEN} - {*shown}))})
    for day in (1, 2):
        membership, reading = after(reading, membership, TEN[1:], later + day * DAY, Whereabouts(""), **settings)
    assert (membership.units[OU].accounts, reading.held_in) == (TEN, {group: TEN[:1]})


def test_who_waits_because_of_one_group_is_not_too_many_in_another():
    """The larger group may lose both: the command line names the group whose limit holds them."""
    groups = {"dev": (OU,), "wide": (OU, *(f"9{number:011d}" for number in range(20)))}
    membership, reading = leave(2, groups=groups)
    for _ in range(2):
        assert reading.held_in == {"dev": TEN[:2]}
        membership, reading = after(reading, membership, TEN[2:], NOW + 3 * APART, Whereabouts(""), groups=groups)


def test_who_waited_and_came_back_may_leave_alone_later():
    """As an account that never left; and the file may take away who waits."""
    membership, reading = leave(2)
    later = NOW + 300 + 2 * APART
    back, read = after(reading, membership, TEN, later)
    assert (back.units[OU].accounts, read.held_in) == (TEN, {})
    for day in (1, 2):
        back, read = after(read, back, TEN[1:], later + day * DAY, Whereabouts(""))
    assert (back.units[OU].accounts, read.held_in) == (TEN[1:], {})

    _, read = after(reading, membership, TEN[2:], later, Whereabouts(""), groups={"dev": TEN[5:]})
    assert read.held_in == {}


def test_of_a_large_group_no_departure_of_the_day_is_forgotten():
    """A tenth of 6,000 has left; those that follow within the day wait for a person, at each of the next readings."""
    many = tuple(f"{number:012d}" for number in range(6000))
    membership, reading = joined(many)
    for at in (300, 300 + APART):
        membership, reading = after(reading, membership, many[600:], NOW + at, Whereabouts(""))
    assert membership.units[OU].accounts == many[600:]
    for looks in range(2, 8):
        membership, reading = after(reading, membership, many[650:], NOW + 300 + looks * APART, Whereabouts(""))
    assert (membership.units[OU].accounts, reading.held_in) == (many[600:], {"dev": many[600:650]})


def test_a_group_that_has_the_account_by_another_way_loses_nothing():
    """The file lists it, or a second OU contains it: no acceptance is needed for any number."""
    membership, reading = leave(3, groups={"dev": (OU, *TEN[:3])}, most_leaving="0")
    assert (membership.units[OU].accounts, reading.held_in, reading.left) == (TEN[3:], {}, ())


def test_a_unit_that_the_file_names_no_more_is_forgotten():
    """The file's author decided that."""
    membership, reading = joined()
    membership, reading = departures.compare(reading, membership, Crawl(NOW), [], NOW + 300)
    assert (membership.units, reading.read_at) == ({}, {})


def test_what_was_read_survives_the_table():
    """With a reading under way, missing accounts and faults."""
    membership, reading = joined()
    _, reading = after(reading, membership, TEN[1:], NOW + 300)
    reading = replace(
        reading, crawl=Crawl(NOW).begin(OU, "arn", [OU]), troubles={OU: departures.UnreadUnit(1, REFUSED)}
    )
    assert codec.decode(MembersReading, codec.encode(reading)) == reading
