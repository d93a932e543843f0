"""An operator's wish on a promotion's record: what failed is tried again, everywhere or at some accounts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.core.promotion import machine
from chalicelib.core.promotion.machine import Examined, Expanded, LookAtTag, TagSeen
from chalicelib.core.promotion.model import State
from chalicelib.ports import Stored
from chalicelib.service.promotions import parse, plain

HUB, REGION, NOW = "111111111111", "us-east-1", 1_800_000_000
PLACES = ("222222222222/us-east-1", "333333333333/us-east-1")


def over(**changes):
    """A promotion that is over, its value in force."""
    promotion = machine.started("ami-0a", HUB, REGION, NOW)
    return replace(promotion, state=State.OVER, value="dev", places=PLACES, episode=1, due_at=None, **changes)


@pytest.mark.parametrize(("wish", "only"), [("1:", ()), ("1:222222222222", ("222222222222",)), ("1:2,3", ("2", "3"))])
def test_a_wish_makes_it_examine_its_value_again(wish, only):
    """As a new event of the tag does; the accounts stay on the record until the deliveries are written."""
    promotion = over(hints={"retry": wish})
    assert machine.outstanding(promotion, NOW) == (LookAtTag(),)

    seen = machine.absorb(promotion, TagSeen("dev", "available"), NOW)
    assert (seen.state, seen.only) == (State.RESOLVING, only)
    examined = machine.absorb(seen, Examined("dev", PLACES, "plan", "digest", (), retry=True), NOW)
    assert (examined.state, examined.only) == (State.EXPANDING, only)
    assert machine.absorb(examined, Expanded(2), NOW).only == ()


def test_a_wish_is_heard_once():
    """The same note again changes nothing, and a later event of the tag is not narrowed by it."""
    promotion = machine.absorb(over(hints={"retry": "1:222222222222"}), TagSeen("dev", "available"), NOW)
    rested = replace(promotion, state=State.OVER, candidate=None, absent_since=0)
    assert machine.outstanding(rested, NOW) == ()

    again = replace(rested, hints={**rested.hints, "tag": "000000000002"})
    assert machine.absorb(again, TagSeen("dev", "available"), NOW).only == ()


def test_nothing_to_do_forgets_the_accounts():
    """Or the next promotion would be narrowed by a wish of long ago."""
    seen = machine.absorb(over(hints={"retry": "1:222222222222"}), TagSeen("dev", "available"), NOW)

    assert machine.absorb(seen, Examined("dev", PLACES, "plan", "digest", (), retry=False), NOW).only == ()


def test_a_record_of_before_is_read():
    """It bears no such member."""
    body = plain(over())
    del body["only"]

    assert parse(Stored(over().key, body, 1, 0)).only == ()
