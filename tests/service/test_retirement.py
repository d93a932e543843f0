"""Superseded copies are deprecated, by the pointer's worker; the current one and a pinned one never."""

import pytest

from chalicelib.engine.errors import RefusalKind
from chalicelib.targets.applied_file import Retirement
from tests.service.family import (
    DAY,
    DEV,
    HOUR,
    MADE,
    PLACE,
    a_family,
    another_architecture,
    pinned,
    pointer,
    promoted,
    raw,
)
from tests.service.gate import LostAnswer, PortTrouble, ProcessKilled
from tests.service.hub import Hub

FIRST, SECOND, THIRD = MADE
RULE = Retirement(1, 30 * DAY)


def a_hub(rule: Retirement | None = RULE) -> Hub:
    """A hub with three AMIs of a family, all old enough to be superseded."""
    return a_family(target={"retire": rule})


def deprecated(hub: Hub) -> set[str]:
    """Sources whose copies are deprecated."""
    copies = [one for one in hub.cloud.images.values() if one.account == DEV]
    return {one.source for one in copies if one.raw.get("DeprecationTime")}


@pytest.mark.parametrize("order", [(FIRST, SECOND, THIRD), (THIRD, SECOND, FIRST), (SECOND, THIRD, FIRST)])
def test_superseded_copies_are_deprecated_once_and_are_removable(order):
    """In any order of promotions; deliveries stay what they are."""
    hub = promoted(a_hub(), *order)
    assert deprecated(hub) == {FIRST, SECOND}
    sources = {one.image: one.source for one in pointer(hub).releases}
    assert {sources[image] for image in pointer(hub).retired} == {FIRST, SECOND}

    hub.wait(3 * DAY)
    assert hub.gate.made["target.parameters", "deprecate"] == 2
    assert len(pointer(hub).retired) == 2
    outcomes = [one["outcome"] for one in hub.cloud.notices if "outcome" in one and "delivery" in one]
    assert outcomes == ["delivered"] * 3


def test_a_setting_that_comes_later_counts_at_the_next_look_and_begins_nothing_again():
    """The daily look; deliveries and approvals are left alone."""
    hub = promoted(a_hub(rule=None), *MADE)
    assert (deprecated(hub), hub.gate.made["target.parameters", "deprecate"]) == (set(), 0)
    sent = len(hub.cloud.notices)
    hub.cloud.change_targets(retire=RULE)

    hub.wait(25 * HOUR)

    assert deprecated(hub) == {FIRST, SECOND}
    assert [one for one in hub.cloud.notices[sent:] if "delivery" in one] == []


def test_a_copy_that_a_rollback_holds_is_current_and_stays():
    """What is newer than the pin is neither current nor pinned."""
    hub = a_hub(rule=None)
    promoted(hub, *MADE)
    hub.cloud.change_targets(retire=RULE)
    pinned(hub, FIRST)

    assert pointer(hub).source == FIRST
    assert deprecated(hub) == {SECOND}


@pytest.mark.parametrize("act", ["recall", "rollback", "no retire", "no target"])
def test_a_copy_that_is_to_stay_before_it_was_deprecated_stays(act):
    """The process was killed right before the call; an operator takes the newer AMI back, or changes the file."""
    hub = a_hub()
    killed = PortTrouble("target.parameters", "deprecate", ProcessKilled())
    hub.gate.troubles = [killed]
    for ami in (SECOND, THIRD):
        hub.cloud.tag(ami, "default")
    hub.until(lambda: not killed.times)
    if act == "recall":
        hub.recall(THIRD)
    elif act == "rollback":
        pinned(hub, SECOND)
    elif act == "no retire":
        hub.cloud.change_targets(retire=None)
    else:
        hub.cloud.drop_targets(DEV)
    hub.wait(25 * HOUR)

    assert pointer(hub).source == (SECOND if act in ("recall", "rollback") else THIRD)
    assert deprecated(hub) == ({THIRD} if act == "recall" else set())
    assert hub.gate.made["target.parameters", "deprecate"] == 1, "nor was it for a while"


def test_where_the_parameter_is_gone_the_superseded_copies_are_deprecated_all_the_same():
    """The pinned copy was disabled, and a person deleted the parameter, as the fault says. Nothing is current then."""
    hub = promoted(a_hub(rule=None), FIRST, SECOND, THIRD)
    raw(hub, FIRST)["State"] = "disabled"
    pinned(hub, FIRST).wait(DAY)
    del hub.cloud.parameters[PLACE]
    hub.cloud.change_targets(retire=RULE)
    hub.wait(2 * DAY)

    assert deprecated(hub) == {SECOND}
    assert not pointer(hub).retiring


@pytest.mark.parametrize("how", ["disabled", "recalled"])
def test_a_copy_that_somebody_disabled_or_recalled_supersedes_nothing(how):
    """The rule keeps two that can be launched, so the oldest is needed."""
    hub = promoted(a_hub(rule=None), *MADE)
    if how == "disabled":
        raw(hub)["State"] = "disabled"
    else:
        hub.recall(SECOND)
    hub.cloud.change_targets(retire=Retirement(2, 30 * DAY))
    hub.wait(25 * HOUR)

    assert deprecated(hub) - {SECOND} == set()


def rolled_back(hub: Hub) -> Hub:
    """Roll back to the copy before the newest, which is retired; run."""
    assert pointer(pinned(hub, SECOND)).source == SECOND
    return hub


@pytest.mark.parametrize("rule", [RULE, None])
def test_a_retired_copy_that_a_rollback_makes_current_is_deprecated_no_longer(rule):
    """Also if the file has no `retire` any more. When the rollback is lifted, it is superseded again."""
    hub = promoted(a_hub(), *MADE)
    hub.cloud.change_targets(retire=rule)
    rolled_back(hub).wait(2 * DAY)
    assert (deprecated(hub), hub.gate.made["target.parameters", "end_retirement"]) == ({FIRST}, 1)

    hub.cloud.pins.clear()
    hub.wait(25 * HOUR)
    assert pointer(hub).source == THIRD
    assert deprecated(hub) == ({FIRST, SECOND} if rule else {FIRST})


def test_a_retired_copy_that_a_recall_makes_current_is_deprecated_no_longer_beside_another_architecture():
    """The newest of the family is another architecture's, which is a fault: nothing more is superseded meanwhile."""
    hub = promoted(a_hub(), *MADE)
    promoted(hub, another_architecture(hub))
    hub.recall(THIRD)
    hub.wait(25 * HOUR)

    assert pointer(hub).source == SECOND
    assert deprecated(hub) == {FIRST, THIRD}


def test_an_older_copy_of_another_architecture_is_not_superseded():
    """Nobody has said that the newer ones replace it."""
    hub = a_hub()
    promoted(hub, another_architecture(hub))
    promoted(hub, FIRST, SECOND)

    assert deprecated(hub) == set()


def test_a_copy_that_is_recalled_just_when_its_deprecation_ends_is_deprecated_all_the_same():
    """EC2 still shows the date that the pointer has removed a moment ago, when the next AMI turns out bad, too."""
    hub = promoted(a_hub(), *MADE)
    stale = dict(raw(hub))
    hub.recall(THIRD)
    hub.wait(60)
    assert deprecated(hub) == {FIRST, THIRD}
    hub.gate.troubles = [LostAnswer("target.images", "shown", says=stale)]
    hub.recall(SECOND)
    hub.wait(HOUR)

    assert hub.outcomes()[SECOND, DEV] == "recalled"
    assert deprecated(hub) == {SECOND, THIRD}


LATER, PAST = "2029-01-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z"


@pytest.mark.parametrize("recall", ["none", "deprecates", "disables"])
@pytest.mark.parametrize(
    ("before", "since", "shows"), [("", "", None), (LATER, "", LATER), (PAST, "", PAST), ("", LATER, LATER)]
)
def test_a_date_that_the_service_has_not_written_stays_or_comes_back(before, since, shows, recall):
    """The source's later date comes back; one that has passed, and one that its owner wrote since, stay.

    Also where a recall is lifted before an operator goes back to the copy.
    """
    hub = promoted(a_hub(rule=None), *MADE)
    hub.cloud.may_disable = recall == "disables"
    raw(hub).update({"DeprecationTime": before} if before else {})
    hub.cloud.change_targets(retire=RULE)
    hub.wait(25 * HOUR)
    if recall != "none":
        hub.recall(SECOND)
        hub.wait(3 * DAY)
    assert deprecated(hub) == {FIRST, SECOND}
    raw(hub).update({"DeprecationTime": since} if since else {})
    if recall != "none":
        hub.lift_recall(SECOND)
        hub.wait(25 * HOUR)

    assert raw(rolled_back(hub)).get("DeprecationTime") == shows


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["deprecate", "end_retirement"])
def test_a_process_that_is_killed_while_a_copy_is_retired_or_comes_back_leaves_it_right(method, after):
    """Before and after the call takes effect: no answer is needed to know whose date it is."""
    hub = a_hub()
    hub.gate.troubles = [PortTrouble("target.parameters", method, ProcessKilled(), times=2, after=after)]
    promoted(hub, *MADE)
    assert deprecated(hub) == {FIRST, SECOND}

    assert deprecated(rolled_back(hub)) == {FIRST}
    assert not hub.gate.troubles[0].times


@pytest.mark.parametrize(("kind", "hours"), [(RefusalKind.THROTTLED, 1), (RefusalKind.DENIED, 25)])
def test_a_refusal_to_end_a_deprecation_is_said_and_tried_again(kind, hours):
    """The parameter names the copy all the same."""
    hub = promoted(a_hub(), *MADE)
    hub.gate.refuse("target.parameters", "end_retirement", why=kind, code="AccessDenied")
    rolled_back(hub)
    assert (pointer(hub).fault, pointer(hub).not_retired.code) == (None, "aws-AccessDenied")
    assert deprecated(hub) == {FIRST, SECOND}

    hub.gate.troubles = []
    hub.wait(hours * HOUR)
    assert (deprecated(hub), pointer(hub).not_retired) == ({FIRST}, None)


def test_a_refusal_to_end_a_deprecation_keeps_no_other_copy_from_being_retired():
    """A policy there may deny the one call and allow the other."""
    hub = promoted(a_hub(), SECOND, THIRD)
    hub.gate.refuse("target.parameters", "end_retirement", why=RefusalKind.DENIED, code="AccessDenied")
    promoted(rolled_back(hub), FIRST)

    assert deprecated(hub) == {FIRST, SECOND}
    assert pointer(hub).not_retired.code == "aws-AccessDenied"


@pytest.mark.parametrize(
    ("kind", "hours"), [(RefusalKind.THROTTLED, 1), (RefusalKind.DENIED, 25), (RefusalKind.ROLE, 25)]
)
def test_a_refusal_is_said_and_fails_nothing(kind, hours):
    """The parameter names the newest all the same; it is tried again, after a denial by the daily look."""
    hub = a_hub()
    hub.gate.refuse("target.parameters", "deprecate", why=kind, code="AccessDenied")
    promoted(hub, *MADE)
    found = pointer(hub)
    assert (found.source, found.fault, found.settled) == (THIRD, None, True)
    assert (found.not_retired.code, found.retired) == ("aws-AccessDenied", ())
    assert [one["outcome"] for one in hub.cloud.notices if "outcome" in one and "delivery" in one] == ["delivered"] * 3

    hub.gate.troubles = []
    assert deprecated(hub.wait(hours * HOUR)) == {FIRST, SECOND}
    assert pointer(hub).not_retired is None


def test_a_setting_that_goes_ends_it():
    """What is deprecated stays so, and removable; nothing else is."""
    hub = a_hub()
    promoted(hub, FIRST, SECOND)
    assert deprecated(hub) == {FIRST}
    hub.cloud.change_targets(retire=None)
    promoted(hub, THIRD)

    assert deprecated(hub) == {FIRST}
    sources = {one.image: one.source for one in pointer(hub).releases}
    assert [sources[image] for image in pointer(hub).retired] == [FIRST]


def test_a_target_that_the_file_loses_has_nothing_left_to_deprecate():
    """The fault of a copy that could not be deprecated goes with the wish."""
    hub = a_hub()
    hub.gate.refuse("target.parameters", "deprecate", why=RefusalKind.DENIED, code="AccessDenied")
    promoted(hub, *MADE)
    assert pointer(hub).not_retired.code == "aws-AccessDenied"

    hub.cloud.directory = type(hub.cloud.directory)()
    hub.wait(25 * HOUR)
    assert (pointer(hub).unwanted, pointer(hub).not_retired) == (True, None)
