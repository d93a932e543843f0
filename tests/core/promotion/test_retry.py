"""An operator's retry on a promotion's record: failed deliveries start again, at all or at some accounts."""

from dataclasses import replace

import pytest

from chalicelib.core.promotion.commands import LookAtTag
from chalicelib.core.promotion.events import Examined, Expanded, Resolved, TagSeen
from chalicelib.core.promotion.evolving import evolve, started
from chalicelib.core.promotion.machine import outstanding
from chalicelib.core.promotion.model import PromotionState

HUB, REGION, NOW = "111111111111", "us-east-1", 1_800_000_000
SAME = Resolved("dev", plan="plan", planned=2, digest="digest")


def over(**changes):
    """A promotion that is over, with its value in force."""
    promotion = started("ami-0a", HUB, REGION, NOW)
    return replace(
        promotion, state=PromotionState.OVER, value="dev", plan="plan", planned=2, episode=1, due_at=None, **changes
    )


@pytest.mark.parametrize(("wish", "only"), [("1:", ()), ("1:222222222222", ("222222222222",)), ("1:2,3", ("2", "3"))])
def test_a_wish_makes_it_resolve_its_value_again(wish, only):
    """As after a tag event; the accounts stay on the record until the deliveries are written."""
    promotion = over(inbox={"retry": wish})
    assert outstanding(promotion, NOW) == (LookAtTag(),)

    seen = evolve(promotion, TagSeen("dev", "available"), NOW)
    assert (seen.state, seen.only) == (PromotionState.RESOLVING, only)
    examined = evolve(evolve(seen, replace(SAME, additions=True), NOW), Examined(), NOW)
    assert (examined.state, examined.only) == (PromotionState.EXPANDING, only)
    assert evolve(examined, Expanded(2), NOW).only == ()


def test_a_wish_is_received_once():
    """The same entry again changes nothing, and does not narrow a later tag event."""
    promotion = evolve(over(inbox={"retry": "1:222222222222"}), TagSeen("dev", "available"), NOW)
    rested = replace(promotion, state=PromotionState.OVER, candidate=None, absent_since=0)
    assert outstanding(rested, NOW) == ()

    again = replace(rested, inbox={**rested.inbox, "tag": "000000000002"})
    assert evolve(again, TagSeen("dev", "available"), NOW).only == ()


def test_nothing_to_do_forgets_the_accounts():
    """Otherwise an old retry would narrow the next promotion."""
    seen = evolve(over(inbox={"retry": "1:222222222222"}), TagSeen("dev", "available"), NOW)

    assert evolve(seen, SAME, NOW).only == ()
