"""Which image is current in which target, and whether the newest one is everywhere. Pure: from ``promotion_data``.

Where a parameter names the current image of a family, that one is current; elsewhere the one that was delivered last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ami_promoter.promotions.promotion_data import STOPPED
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine.faults import count

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
    pointer: Mapping[str, Any]
    """The parameter that names the family's current image there, as ``promotion_data`` shows it; empty: none does."""

    @property
    def named(self) -> bool:
        """Whether the parameter names this image."""
        return bool(self.pointer.get("image") == self.image)


@dataclass(frozen=True, slots=True)
class Family:
    """Images with one family in a tag of their sources; or without such a tag, whose names differ only in endings."""

    name: str
    tagged: bool
    """Whether a tag of the sources names the family."""
    latest: Placed
    """The newest image that a parameter names; without parameters the one that was delivered last to any target."""
    current: Sequence[Placed]
    """For each target, by account and Region, the image that the parameter names, or that was delivered there last."""
    earlier: int
    """Number of older images of the family in these targets."""

    @property
    def key(self) -> tuple[str, bool]:
        """What distinguishes it: a tag's family is another than one of names."""
        return self.name, self.tagged

    @property
    def behind(self) -> int:
        """How many targets do not have the image of the latest source AMI."""
        return sum(one.source != self.latest.source for one in self.current)

    @property
    def pointers(self) -> bool:
        """Whether a parameter names the family's current image in any of these targets."""
        return any(one.pointer for one in self.current)


def family(name: str) -> str:
    """Return an image's name without its date, number or version at the end."""
    stem = ENDING.sub("", name)
    return f"{stem}…" if stem and stem != name else name


def family_of(page: Mapping[str, Any], delivery: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the family of a delivery's image, and whether a tag of the source names it."""
    tagged = str(delivery["family"] or "")
    return tagged or family(str(page["name"])) or str(page["ami"]), bool(tagged)


def families(pages: Iterable[Mapping[str, Any]]) -> list[Family]:
    """Return the images of each target, by family."""
    by_name: dict[tuple[str, bool], list[Placed]] = {}
    for page in pages:
        for one in page["deliveries"]:
            if one["state"] in GOOD and (image := _image(page, one)):
                by_name.setdefault(family_of(page, one), []).append(image)
    return [_family(name, found, tagged=tagged) for (name, tagged), found in sorted(by_name.items())]


def _image(page: Mapping[str, Any], delivery: Mapping[str, Any]) -> Placed | None:
    own = delivery["state"] != "shared"
    image = delivery["image"] if own else page["ami"]
    if not image:
        return None
    place = str(delivery["account"]), str(delivery["region"])
    pointer = delivery["pointer"] or {}
    return Placed(*place, str(image), own, page["ami"], str(page["name"]), delivery["since"], pointer)


def _family(name: str, found: Sequence[Placed], *, tagged: bool) -> Family:
    newest = sorted(found, key=lambda one: "" if one.since == "-" else one.since)
    current = {(one.account, one.region): one for one in newest}
    current |= {(one.account, one.region): one for one in newest if one.named}
    in_order = [current[place] for place in sorted(current)]
    by_parameter = (one for one in newest if one.named)
    latest = max(by_parameter, key=lambda one: str(one.pointer["made_at"] or ""), default=newest[-1])
    return Family(name, tagged, latest, in_order, len(found) - len(current))


@dataclass(frozen=True, slots=True)
class Headline:
    """An image, and how many accounts have it as their current one, of those that have its family or are to have it."""

    image: str
    """Its family and version."""
    ami: str
    current: int
    accounts: int
    failed: int
    running: int

    @property
    def behind(self) -> int:
        """How many accounts have an older image, and nothing under way."""
        return self.accounts - self.current - self.failed - self.running

    def __str__(self) -> str:
        counts = ((self.failed, "failed"), (self.running, "under way"), (self.behind, "behind"))
        others = ", ".join(f"{number:,} {what}" for number, what in counts if number)
        of = f"current in {self.current:,} of {count(self.accounts, 'account')}"
        return f"{self.image}: {of}{'; ' * bool(others)}{others}"


def headlines(pages: Iterable[Mapping[str, Any]], families: Sequence[Family]) -> list[Headline]:
    """Return one line for each family's latest image, and one for a newer image that is in no target yet.

    ``pages``: the newest first. What failed comes first.
    """
    current = {one.key: one for one in families}
    newest: dict[tuple[str, bool], Mapping[str, Any]] = {}
    by_ami = {str(page["ami"]): page for page in pages}
    for page in by_ami.values():
        if not page["recall"] and _wanted(page):
            newest.setdefault(family_of(page, _wanted(page)[0]), page)
    found = []
    for key in sorted({*newest, *current}):
        family = current.get(key)
        latest = by_ami.get(family.latest.source) if family else None
        found += [_line(key[0], page, family) for page in _shown(newest.get(key), latest)]
    return sorted(found, key=lambda one: not one.failed)


def _shown(newest: Mapping[str, Any] | None, latest: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Leave out a newest image that some targets have, where a parameter holds the family at another."""
    if latest is None:
        return [newest] if newest else []
    nowhere = newest is not None and not any(one["state"] in GOOD for one in newest["deliveries"])
    return [newest, latest] if newest is not None and nowhere else [latest]


def _wanted(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in page["deliveries"] if one["state"] not in STOPPED]


def _line(stem: str, page: Mapping[str, Any], family: Family | None) -> Headline:
    of_account: dict[str, set[str]] = {}
    for here in family.current if family else ():
        of_account.setdefault(here.account, set()).add("current" if here.source == page["ami"] else "behind")
    for one in _wanted(page):
        word = "failed" if one["state"] == "failed" else "" if one["state"] in GOOD else "running"
        of_account.setdefault(str(one["account"]), set()).add(word)
    words = [
        next((word for word in ("failed", "running", "behind") if word in found), "current")
        for found in of_account.values()
    ]
    counts = words.count("current"), len(words), words.count("failed"), words.count("running")
    return Headline(_named(stem.removesuffix("…"), str(page["name"])) or str(page["ami"]), str(page["ami"]), *counts)


def _named(stem: str, name: str) -> str:
    """Write an image's family and version; its name alone where that does not begin with the family."""
    version = name.removeprefix(stem).strip("-_./ ")
    if not name.startswith(stem) or not version:
        return f"{stem} ({name})" if stem and stem != name else name
    return f"{stem} {version}"
