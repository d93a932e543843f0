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
    """Whether the target owns it; else the hub owns it and shares it."""
    source: str
    name: str
    """Name of the source AMI."""
    since: str
    """ISO 8601, or a dash."""


@dataclass(frozen=True, slots=True)
class Family:
    """Images whose names differ only in their endings."""

    name: str
    latest: Placed
    """The image that was delivered last to any target."""
    current: Sequence[Placed]
    """For each target, by account and Region, the image that was delivered there last."""
    earlier: int
    """Number of older images of the family in these targets."""

    @property
    def behind(self) -> int:
        """How many targets do not have the image of the latest source AMI."""
        return sum(one.source != self.latest.source for one in self.current)


def family(name: str) -> str:
    """Return an image's name without its date, number or version at the end."""
    stem = ENDING.sub("", name)
    return f"{stem}…" if stem and stem != name else name


def families(pages: Iterable[Mapping[str, Any]]) -> list[Family]:
    """Return the images of each target, by family."""
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
