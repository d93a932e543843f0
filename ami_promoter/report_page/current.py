"""Which image is current in which target. Pure: from what ``promotion_data`` shows to families of images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ami_promoter.promotions.outcome import GOOD

_DATE = r"(?:19|20)\d\d[-._]?(?:0[1-9]|1[0-2])(?:[-._]?(?:0[1-9]|[12]\d|3[01]))?(?:[-._tT]?\d{4}(?:\d\d)?[zZ]?)?"
ENDING = re.compile(rf"(?:[-._ /]?(?:{_DATE}|\d{{6,}}|v\d+(?:[._]\d+)*|\d+\.\d+\.\d+))+$")
"""A date, a number of six digits or more, or a version as v2 or 1.2.3, at the end of an AMI's name."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One image that one target can launch."""

    account: str
    region: str
    image: str
    own: bool
    """Whether it is the target's own; else it is the hub's, shared."""
    source: str
    name: str
    """The source AMI's."""
    since: str
    """ISO 8601, or a dash."""


@dataclass(frozen=True, slots=True)
class Family:
    """Images of one kind: their names differ in their endings only."""

    name: str
    latest: Placed
    """The one delivered last, wherever."""
    current: Sequence[Placed]
    """One for each target, by account and Region: the one delivered there last."""
    earlier: int
    """So many more images of the family are in these targets."""

    @property
    def behind(self) -> int:
        """How many targets have another source's image than the latest."""
        return sum(one.source != self.latest.source for one in self.current)


def family(name: str) -> str:
    """Return what an image's name has in common with those that are built before and after it."""
    stem = ENDING.sub("", name)
    return f"{stem}…" if stem and stem != name else name


def families(pages: Iterable[Mapping[str, Any]]) -> list[Family]:
    """Find what each target has, by family."""
    by_name: dict[str, list[Placed]] = {}
    for page in pages:
        for one in page["deliveries"]:
            if one["state"] in GOOD and (image := _image(page, one)):
                by_name.setdefault(family(page["name"]) or page["ami"], []).append(image)
    return [_family(name, by_name[name]) for name in sorted(by_name)]


def _image(page: Mapping[str, Any], delivery: Mapping[str, Any]) -> Placed | None:
    own = delivery["state"] != "shared"
    image = delivery["image"] if own else page["ami"]
    if not image:
        return None
    place = str(delivery["account"]), str(delivery["region"])
    return Placed(*place, str(image), own, page["ami"], str(page["name"]), delivery["since"])


def _family(name: str, found: Sequence[Placed]) -> Family:
    newest = sorted(found, key=lambda one: "" if one.since == "-" else one.since)
    current = {(one.account, one.region): one for one in newest}
    in_order = [current[place] for place in sorted(current)]
    return Family(name, newest[-1], in_order, len(found) - len(current))
