"""An operator's retry on a promotion's record: failed deliveries begin again, everywhere or at some targets."""

from dataclasses import replace

import pytest

from chalicelib.engine.faults import Fault
from chalicelib.engine.schedule import SECOND_LOOK_AFTER
from chalicelib.engine.stored import compact
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.commands import Compare, LookAtTag
from chalicelib.promotion.events import Compared, TagSeen
from chalicelib.promotion.evolving import MOST_NAMED, started
from chalicelib.promotion.machine import NEWS, evolve, outstanding
from chalicelib.promotion.model import Promotion, PromotionState, Retry

HUB, REGION, NOW = "111111111111", "us-east-1", 1_800_000_000
A, B = "222222222222", "333333333333"
AT_A, AT_B = f"{A}/{REGION}", f"{B}/{REGION}"


def over(**changes: object) -> Promotion:
    """A promotion that is over, with its value in force."""
    fresh = replace(started("ami-0a", HUB, REGION, NOW), state=PromotionState.OVER)
    known = {"value": "dev", "seen_value": "dev", "seen_since": NOW, "file": "digest/"}
    known |= {"generation": 1, "passed_generation": 1}
    return replace(fresh, **(known | changes))


def looked(promotion: Promotion, value: str | None = "dev", later: int = 0) -> Promotion:
    """The promotion after a look, so many seconds later, that shows this value."""
    answers = {name: entry for name, entry in promotion.inbox.items() if name in NEWS}
    return evolve(
        promotion, TagSeen(value, "available", answers=answers, starting_point=promotion.starting_point), NOW + later
    )


def generations(promotion: Promotion) -> list[int]:
    """The generations of A and B: a delivery of an older one that has failed begins again."""
    return [promotion.generation_of(place.partition("/")[0], place) for place in (AT_A, AT_B)]


@pytest.mark.parametrize(
    ("wish", "expected"), [("1:", [NOW, NOW]), (f"1:{A}", [2, 1]), (f"1:{A},{B}", [2, 2]), (f"1:{AT_B}", [1, 2])]
)
def test_a_wish_raises_the_generation_of_the_targets_that_it_names(wish, expected):
    """It makes the promotion look, and then compare."""
    promotion = over(inbox={"retry": wish})
    assert outstanding(promotion, NOW) == (LookAtTag(),)

    seen = looked(promotion)
    assert (generations(seen), outstanding(seen, NOW)) == (expected, (Compare(),))


def test_an_ami_of_the_baseline_is_begun_by_no_retry_that_names_targets():
    """It waits for a tag event, or for a retry of all."""
    promotion = over(generation=0, passed_generation=0, inbox={"retry": f"1:{A}"})

    assert generations(looked(promotion)) == [0, 0]


@pytest.mark.parametrize(
    ("known", "lifted", "expected"),
    [
        ({"generation": 1}, "1", [2, 2]),
        ({"generation": 0}, "1", [0, 0]),
        ({"generation": 1}, f"1:{A}", [2, 1]),
        ({"generation": 1}, f"1:{AT_B}", [1, 2]),
        ({"generation": 0}, f"1:{A}", [0, 0]),
    ],
)
def test_a_lift_begins_no_other_target_and_nothing_that_had_not_begun(known, lifted, expected):
    """That of a recall is for all, that of a withdrawal for accounts, or one of an account's Regions.

    An AMI of the baseline stays as it is.
    """
    seen = looked(over(inbox={"lifted": lifted}, **known))
    assert generations(seen) == expected
    assert LookAtTag() not in outstanding(seen, NOW), "it is received once"


def test_a_lift_before_a_pass_is_complete_leaves_to_it_what_is_yet_to_begin():
    """A tag event has asked for all, and their deliveries have not begun."""
    assert looked(over(generation=2, inbox={"lifted": f"1:{A}"})).passed_generation == 1


def test_more_targets_than_a_record_has_room_for_are_retried_with_all_others():
    """What failed before begins again anywhere; only what is named counts as asked for, and begins after its date."""
    full = {f"{number:012}/ap-southeast-7": NOW for number in range(MOST_NAMED)}
    promotion = over(retries=full, passed_generation=NOW)
    assert len(compact(PROMOTIONS.encode(promotion).body)) < 150_000, "DynamoDB takes items of 400 KB"

    again = looked(replace(promotion, inbox={"retry": f"1:{AT_A}"}))
    assert (generations(again), again.passed_generation) == ([NOW + 1, NOW], NOW)
    assert [again.named_generation_of(*one) for one in ((A, AT_A), (B, AT_B))] == [NOW + 1, 1]
    assert len(again.retries) == 2


def test_a_wish_is_received_once():
    """The same entry again raises nothing, and a later tag event is for all."""
    once = replace(looked(over(inbox={"retry": f"1:{A}"})), state=PromotionState.OVER)
    assert (outstanding(once, NOW), generations(looked(once))) == ((), [2, 1])

    tagged = looked(replace(once, inbox={**once.inbox, "tag": "000000000002"}))
    assert generations(tagged) == [NOW, NOW]


def test_a_wish_that_comes_just_before_the_second_look_is_looked_for_twice_too():
    """A tag event asked for the first one; both looks miss the tag, which is removed."""
    first = looked(over(inbox={"tag": "000000000002"}), None)
    wished = replace(first, inbox={**first.inbox, "retry": "1:"})
    second = looked(wished, None, SECOND_LOOK_AFTER)
    assert (second.value, second.unread("tag"), second.unread("retry")) == (None, None, "1:")
    assert LookAtTag() not in outstanding(second, NOW + SECOND_LOOK_AFTER)

    third = looked(second, None, 2 * SECOND_LOOK_AFTER)
    assert (third.unread("retry"), third.newest) == (None, first.newest)


def test_people_are_notified_again_of_what_still_prevents_it():
    """As after a tag event."""
    fault = Fault("code", "where", "what", "cure")
    refused = over(refused_value="dve", seen_value="dve", faults=(fault,), inbox={"retry": "1:"})
    again = looked(replace(refused, notified=refused.faulty), "dve")
    found = Compared(
        "dev",
        refused="dve",
        faults=(fault,),
        inputs="i",
        starting_point=again.starting_point,
        pass_reached=again.pass_reached,
    )

    assert evolve(again, found, NOW).unnotified


@pytest.mark.parametrize("text", ["1:", f"1:{A}", f"17:{A},{AT_B}"])
def test_a_wish_is_written_as_it_was_read(text):
    """The command line writes it, and the promotion reads it."""
    assert str(Retry.parse(text)) == text
