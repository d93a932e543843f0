"""What a manager asks: is the newest image everywhere? Pure: from what ``promotion_data`` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ami_promoter.promotions.outcome import STOPPED
from ami_promoter.report_page.current import Family, family_of
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine.faults import count


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
