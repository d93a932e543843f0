"""Which copies of a family are superseded, and from when they are to be deprecated."""

from datetime import UTC, datetime

import pytest

from chalicelib.engine.schedule import DAY
from chalicelib.release.current import MOST, Release
from chalicelib.release.retirement import SLACK, is_deprecated, to_deprecate
from chalicelib.targets.applied_file import Retirement

NOW = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())


def release(age: int, *, shared: bool = False) -> Release:
    """A release whose source is so many days old; its copy is named after that."""
    made = datetime.fromtimestamp(NOW - age * DAY, UTC)
    source = f"ami-src{age}"
    return Release(source, f"{made:%Y-%m-%dT%H:%M:%S.000Z}", source if shared else f"ami-{age}")


def deprecated(*ages: int, kept: tuple[int, ...] = (), gone: tuple[int, ...] = (), keep: int = 1) -> list[int]:
    """Ages of those that are deprecated at once, of releases of these ages; the rule asks for ten days."""
    releases = [release(age) for age in sorted(ages, reverse=True)]
    usable = {one.image for one in releases} - {f"ami-{age}" for age in gone}
    found = to_deprecate(releases, usable, {f"ami-{age}" for age in kept}, Retirement(keep, 10 * DAY), NOW)
    assert set(found.values()) <= {NOW}
    return [int(image.removeprefix("ami-")) for image in found]


def test_what_is_old_and_has_newer_ones_is_superseded():
    """To the day, and to the number."""
    assert deprecated(30, 20, 10, 5) == [30, 20, 10]
    assert deprecated(30, 9, 5) == [30]
    assert deprecated(30, 20, 10, keep=2) == [30]
    assert deprecated(30, 20, keep=2) == []


def test_what_is_current_or_pinned_stays():
    """A rollback holds the parameter at an old one."""
    assert deprecated(40, 30, 20, 10, kept=(30,)) == [40, 20]


def test_only_usable_ones_count_as_newer():
    """The target does not show them, or they were recalled: then the older ones may be needed."""
    assert deprecated(40, 30, 20, 10, gone=(20, 10)) == [40]
    assert deprecated(40, 30, gone=(40,)) == []


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([release(30, shared=True), release(20, shared=True)], {}),
        ([Release("ami-src", "", "ami-copy"), release(30), release(20)], {"ami-30": NOW}),
    ],
    ids=["the hub's own", "without a date"],
)
def test_what_is_no_copy_or_has_no_date_is_never_deprecated(others, found):
    """In share mode there is no copy. EC2 may show no date of a source; the others are judged all the same."""
    assert to_deprecate(others, {one.image for one in others}, (), Retirement(1, DAY), NOW) == found


def test_what_is_forgotten_next_gets_its_date_ahead():
    """More releases within the time than are remembered: the oldest becomes superseded when it is old enough."""
    releases = [release(age) for age in range(MOST, 0, -1)]
    usable = {one.image for one in releases}
    rule = Retirement(3, 90 * DAY)

    assert to_deprecate(releases, usable, (), rule, NOW) == {f"ami-{MOST}": NOW + (90 - MOST) * DAY}

    for fewer in range(1, MOST):
        assert to_deprecate(releases[fewer:], usable, (), rule, NOW) == {}


@pytest.mark.parametrize(("seconds", "is_it"), [(-DAY, True), (SLACK, True), (SLACK + 1, False)])
def test_a_date_that_is_early_enough_is_left(seconds, is_it):
    """EC2 rounds to the minute; an earlier date, such as the source's own, is good, too."""
    date = datetime.fromtimestamp(NOW + seconds, UTC).isoformat()

    assert is_deprecated({"ami-1": date}, "ami-1", NOW) is is_it
    assert not is_deprecated({}, "ami-1", NOW)
