"""What becomes of deliveries whose promotion ends, by their states. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import groups, named
from chalicelib.delivery.outcomes import TRACKED_OUTCOMES
from chalicelib.delivery.tracked import TrackedDelivery

_ENDS = {"shared": "the share is withdrawn", "delivered": "the AMI was delivered, and stays"}
DOES = js.thing(**js.PLACE, does=js.text("what happens to the delivery"))


def does(state: str, when: str = "") -> str:
    """Say what happens to a delivery in this state; ``when``: the delivery only ends then."""
    otherwise = f"{state}, and stays so" if state in TRACKED_OUTCOMES else f"the delivery is cancelled{when}"
    return _ENDS.get(state, otherwise)


def lines(tracked: Iterable[TrackedDelivery], when: str = "", *, each: bool) -> Iterator[str]:
    """Say for each target, equal ones together but with ``each``, what happens to its delivery."""
    for group in groups(sorted(tracked, key=lambda one: one.place), lambda one: does(one.state), each=each):
        yield f"{named([one.place for one in group])}: {does(group[0].state, when)}."


def to_json(tracked: Iterable[TrackedDelivery], when: str = "") -> list[dict[str, str]]:
    """Say the same for a program."""
    ordered = sorted(tracked, key=lambda one: one.place)
    return [{"account": one.account, "region": one.region, "does": does(one.state, when)} for one in ordered]


def until(ami: str) -> str:
    """Say how a withdrawal ends."""
    return f"until its tag has another value or is removed, or `ami-promoter withdraw {ami} --lift`"
