"""An inventory: what the service created in one target, listed when an operator asks (`ami-promoter reconcile`).

It is for what no record leads to: a delivery looks after its own. The record says what was asked, how far the answer
is, and what was answered; what was found lies beside it, a page an item. A target is listed page by page, and the
record is written after each, so that a look that is cut short goes on where it stopped. Nothing is removed but what
an operator named, slice by slice, and each of those is looked at once more where it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from chalicelib.core import addresses, pace
from chalicelib.core.faults import Fault

LOOK, REMOVE = "look", "remove"
"""Hints: each the name of a run of the command."""

TRIES = 4
"""Of one page that is throttled, and of a listing whose cursor went stale; then it is told as it is."""

Part = Literal["images", "snapshots"]
"""What is being listed; snapshots come last."""


@dataclass(frozen=True, slots=True)
class OurImage:
    """An AMI there that bears this hub's tag."""

    id: str
    name: str
    state: str
    delivery: str
    source: str


@dataclass(frozen=True, slots=True)
class OurSnapshot:
    """A snapshot there that bears this hub's tag. ``used``: by an AMI there, whoever made it."""

    id: str
    state: str
    delivery: str
    source: str
    started_at: int
    used: bool


@dataclass(frozen=True, slots=True)
class InventoryPage:
    """One page of a listing. ``cursor``: EC2's token of the next one; "" after the last. It may be empty and go on."""

    images: tuple[OurImage, ...] = ()
    snapshots: tuple[OurSnapshot, ...] = ()
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """One target's record. ``seen`` is the run that was last answered, in as many items as ``pages`` says.

    ``looking`` is the run whose look is under way: ``part`` and ``cursor`` say which page comes next. Times are epoch
    seconds.
    """

    account: str
    region: str
    seen: str = ""
    removed: str = ""
    """The run whose removals were last carried out."""
    removing: str = ""
    """The run whose removals are under way."""
    slice: int = 0
    """Which slice of that order comes next."""
    at: int = 0
    pages: int = 0
    looking: str = ""
    part: Part = "images"
    cursor: str = ""
    restarts: int = 0
    """How often this look had to begin anew."""
    fault: Fault | None = None
    """Why it could not look."""
    tries: int = 0
    due_at: int | None = None
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> addresses.Key:
        """Where it is stored."""
        return addresses.inventory(self.account, self.region)

    @property
    def to_look(self) -> str:
        """The run that waits for a look; "" if none does."""
        asked = self.hints.get(LOOK, "")
        return asked if asked != self.seen else ""

    @property
    def to_remove(self) -> str:
        """The run whose removals wait; "" if none does."""
        asked = self.hints.get(REMOVE, "")
        return asked if asked != self.removed else ""


def begun(inventory: Inventory) -> Inventory:
    """Begin the look that is asked for, or go on with it: another run's starts from the first page."""
    run = inventory.to_look
    if inventory.looking == run:
        return inventory
    return replace(inventory, looking=run, part="images", cursor="", pages=0, restarts=0, fault=None, tries=0)


def listed(inventory: Inventory, page: InventoryPage, now: int) -> Inventory:
    """Take a page that has been written beside the record; the last one of the snapshots is the answer."""
    pages = inventory.pages + bool(page.images or page.snapshots)
    after = replace(inventory, pages=pages, cursor=page.cursor, tries=0, due_at=now)
    if page.cursor:
        return after
    if inventory.part == "images":
        return replace(after, part="snapshots")
    return _answered(after, now)


def not_listed(inventory: Inventory, fault: Fault, now: int, *, again: bool) -> Inventory:
    """Take a refusal: the same page later again, or the refusal is the answer."""
    if again and inventory.tries + 1 < TRIES:
        wait = pace.step(pace.RETRIES, inventory.tries)
        return replace(inventory, tries=inventory.tries + 1, due_at=now + wait)
    return replace(_answered(inventory, now), pages=0, fault=fault)


def begun_anew(inventory: Inventory, fault: Fault, now: int) -> Inventory:
    """EC2 knows the cursor no longer: the look begins anew, a few times."""
    restarts = inventory.restarts + 1
    if restarts >= TRIES:
        return not_listed(inventory, fault, now, again=False)
    return replace(inventory, part="images", cursor="", pages=0, restarts=restarts, due_at=now)


def _answered(inventory: Inventory, now: int) -> Inventory:
    return replace(
        inventory, seen=inventory.looking, looking="", part="images", cursor="", at=now, tries=0, due_at=None
    )


def removal_begun(inventory: Inventory) -> Inventory:
    """Begin the removals that are asked for, or go on with them."""
    run = inventory.to_remove
    return inventory if inventory.removing == run else replace(inventory, removing=run, slice=0)


def slice_done(inventory: Inventory, *, last: bool, now: int) -> Inventory:
    """Each removal of a slice was tried, once. A look that waits for its time keeps it."""
    waits = inventory.due_at if inventory.to_look else None
    if last:
        return replace(inventory, removed=inventory.removing, removing="", slice=0, due_at=waits)
    return replace(inventory, slice=inventory.slice + 1, due_at=now)
