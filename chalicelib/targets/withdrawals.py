"""Withdrawals: accounts that an operator has taken out of one AMI's promotion, until its tag has another value.

``ami-promoter withdraw`` writes them into the operators' table, which no function can write; the functions that decide
who receives an AMI read them there. Nothing is written to end one: it no longer counts once EC2 has shown another
value, or none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from chalicelib.engine import codec
from chalicelib.engine.places import Place


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The withdrawal of an account, or of one of its Regions, from one AMI's promotion.

    ``place``: "account" or "account/region". ``at``: epoch seconds by AWS's clock. ``by``: the operator's ARN.
    ``value``: the tag's value that the operator saw; None: it is damaged, and the withdrawal is for every value.
    """

    place: str
    at: int
    by: str
    value: str | None

    def ended(self, since: int) -> bool:
        """Whether EC2 has shown another value after it, at ``since``; nothing in a record ends one without end."""
        return self.at < min(since, WITHOUT_END)


WITHOUT_END = 2**53
EVERYWHERE = "*"
"""Place of a withdrawal of all targets, by a recall (``recalls``)."""


def read(place: str, text: object) -> Withdrawal:
    """Read a stored withdrawal. A damaged one stays in force, so that no damage brings an account back."""
    try:
        return codec.decode(Withdrawal, {**codec.parsed_json(str(text)), "place": place})
    except (TypeError, ValueError):
        return Withdrawal(place, WITHOUT_END, "an operator, by an entry that cannot be read", None)


def written(one: Withdrawal) -> str:
    """Return a withdrawal as it is stored."""
    return json.dumps({"at": one.at, "by": one.by, "value": one.value})


def in_force(withdrawals: Iterable[Withdrawal], values: Collection[str | None], since: int) -> tuple[Withdrawal, ...]:
    """Return the withdrawals that no change of the tag's value has ended.

    ``values``: the tag's value, and the one in force. ``since``: when EC2 last showed another value (epoch seconds).
    """
    return tuple(one for one in withdrawals if not one.ended(since) and (one.value is None or one.value in values))


def by_place(withdrawals: Iterable[Withdrawal]) -> Mapping[str, str]:
    """Return place -> operator."""
    return {one.place: one.by for one in withdrawals}


def why_ended(withdrawn: Mapping[str, str], place: str, otherwise: str) -> str:
    """Return why a delivery is asked to end: by whom, if an operator did it; a sentence for its record."""
    if EVERYWHERE in withdrawn:
        return f"The AMI was recalled by {withdrawn[EVERYWHERE]}."
    by = covering(withdrawn, place)
    return otherwise if by is None else f"Withdrawn by {by}."


def covering(withdrawn: Mapping[str, str], place: str) -> str | None:
    """Return who withdrew a target ("account/region"); None: nobody. ``withdrawn``: see ``by_place``."""
    names = (place, Place.parse(place).account, EVERYWHERE)
    return next((withdrawn[name] for name in names if name in withdrawn), None)
