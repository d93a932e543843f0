"""What a target's administrator may remove: decided from copies, what names them, and snapshots."""

from dataclasses import replace
from datetime import UTC, datetime

from ami_promoter.hub.own_copies import OwnSnapshots, StandingCopy
from ami_promoter.promotions.clean_up import (
    NAMED,
    NEWEST,
    NEWEST_ENABLED,
    NOT_ASKED,
    STANDING,
    JudgedCopy,
    judged,
    superseded,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
PAST, FUTURE = "2026-05-01T00:00:00.000Z", "2026-07-01T00:00:00.000Z"
NO_SNAPSHOTS = OwnSnapshots({}, (), {})


def copy(number: int, **more: str) -> StandingCopy:
    """A deprecated copy of the family; a higher number is newer."""
    made = StandingCopy(
        f"ami-{number}", "golden", "111", "base", f"ami-src{number}", f"2026-01-0{number}T00:00:00.000Z", "available"
    )
    return replace(made, deprecated_at=PAST, snapshots=(f"snap-{number}",), **more)


def reasons(*copies: StandingCopy, named: dict[str, tuple[str, ...]] | None = None) -> list[str]:
    """Why each stays, with nothing that names any unless the test says so."""
    asked = {one.image: () for one in copies} | (named or {})
    return [one.why for one in judged(copies, asked, NO_SNAPSHOTS, NOW)]


def test_the_newest_of_a_family_stays_whatever_else_is_true():
    """Deprecated and named by nothing; of another hub or family there is another newest."""
    assert reasons(copy(1), copy(2)) == ["", NEWEST]
    assert reasons(copy(1), copy(2, hub="222")) == [NEWEST, NEWEST]
    assert reasons(copy(1), copy(2, family="web")) == [NEWEST, NEWEST]
    assert reasons(copy(2), copy(1)) == [NEWEST, ""]


def test_the_newest_that_can_be_launched_stays_too():
    """The newest was recalled and disabled: the one before is what launches."""
    assert reasons(copy(1), copy(2), copy(3, state="disabled")) == ["", NEWEST_ENABLED, NEWEST]


def test_only_what_is_deprecated_goes():
    """Not before its date, to the second."""
    now = datetime.fromtimestamp(NOW, UTC).isoformat()
    dates = ("", FUTURE, now)

    assert [reasons(replace(copy(1), deprecated_at=at), copy(2))[0] for at in dates] == [STANDING, STANDING, ""]


def test_what_something_names_stays():
    """And what nobody was asked about, as after a refusal."""
    arn = "arn:aws:ec2:us-east-1:222222222222:instance/i-1"
    first, newest = copy(1), copy(2)

    assert reasons(first, newest, named={first.image: (arn,)}) == [NAMED, NEWEST]
    assert [one.why for one in judged([first, newest], {}, NO_SNAPSHOTS, NOW)] == [NOT_ASKED, NEWEST]
    assert superseded([first, newest], NOW) == (first,)


def test_snapshots_go_along_unless_another_ami_uses_them():
    """Or unless they are not the hub's: then they are in no list of its snapshots."""
    first, newest = replace(copy(1), snapshots=("snap-1", "snap-shared", "snap-foreign")), copy(2)
    used = {"snap-1": frozenset({first.image}), "snap-shared": frozenset({first.image, "ami-theirs"})}
    there = OwnSnapshots({"snap-1": 8, "snap-shared": 4}, (), used)

    found = judged([first, newest], {first.image: ()}, there, NOW)

    assert found[0] == JudgedCopy(first, "", (), ("snap-1",), 8)
