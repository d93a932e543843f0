"""An inventory: the list of what the service created in one target, for an operator (`ami-promoter admin reconcile`).

A second kind of inventory lists the target's settings for `ami-promoter doctor`: key, roles, rules, EC2's settings. It
has a record of its own; each of its pages is of one AWS service. A third kind, with a record for each AMI that somebody
asks about, lists what there names that AMI (`ami-promoter where --use`).

If two commands ask the same at once, the later look answers both: it begins after both have asked.

The record has the question, how far the answer is, and the outcome; each page of the answer is an item beside it.
``worker`` lists a target page by page and writes the record after each, so that the next run goes on there. It removes
only what an operator named, slice by slice, after one more look at each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from chalicelib.delivery.target_seen import TargetSeen
from chalicelib.engine import addresses, schedule, transitions
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Row, leads

LOOK, REMOVE = "look", "remove"
"""Inbox entries: each says the run of the command that asks."""

TRIES = 4
"""Tries of one page that is throttled, and of a listing whose cursor is stale; then the answer stays incomplete."""

Part = Literal["images", "snapshots", "checks", "uses"]
"""What is being listed: images and then snapshots, the target's settings, or what names an AMI."""


class InventoryState(StrEnum):
    """What an inventory waits for."""

    RESTING = "resting"
    """an operator to ask"""
    LISTING = "listing"
    """the next page of what is there; removals may go on beside it"""
    REMOVING = "removing"
    """the next slice of an order to be removed"""


S = InventoryState


@dataclass(frozen=True, slots=True)
class OwnImage:
    """An AMI in the target that has this hub's tag."""

    id: str
    name: str
    state: str
    delivery: str
    source: str
    protected: bool = False
    """Whether its deregistration protection is on; EC2 also refuses to deregister it during its cooldown."""
    changeable: Mapping[str, str] = field(default_factory=dict)
    """The attributes that its account can change (``comparison.CHANGEABLE``), as EC2 shows them."""


@dataclass(frozen=True, slots=True)
class OwnSnapshot:
    """A snapshot in the target that has this hub's tag. ``used``: some AMI there uses it."""

    id: str
    state: str
    delivery: str
    source: str
    started_at: int
    used: bool
    key_arn: str = ""
    """The KMS key that it is encrypted under; "" if it is not encrypted."""


@dataclass(frozen=True, slots=True)
class OwnInstance:
    """An instance of a launch test, or a volume of one, that has this hub's tag and is not gone."""

    id: str
    state: str
    delivery: str
    token: str = ""
    """The client token that started it; "" of a volume."""


@dataclass(frozen=True, slots=True)
class AmiUse:
    """What names an AMI in a target: an instance, a launch template or a parameter."""

    kind: str
    """As EC2 calls it, such as ``ec2:Instance``."""
    arn: str


Found = OwnImage | OwnSnapshot | OwnInstance | AmiUse | TargetSeen | Fault
"""What a page lists: things in the target, or a part of its settings. A fault: why instances could not be listed."""


@dataclass(frozen=True, slots=True)
class InventoryPage:
    """One page of a listing. ``cursor``: the next one's, as EC2 gave it; "" after the last. A page may be empty."""

    found: tuple[Found, ...] = ()
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """One target's record. ``seen`` is the run that was last answered, in as many items as ``pages`` says.

    ``looking`` is the run whose look is under way: ``part`` and ``cursor`` say which page comes next. Times are epoch
    seconds.
    """

    account: str
    region: str
    checks: bool = False
    """Whether it lists the target's settings, not what the service created there."""
    image: str = ""
    """The AMI whose use it lists instead."""
    seen: str = ""
    removed: str = ""
    """The run whose removals were done last."""
    removing: str = ""
    """The run whose removals are under way."""
    slice: int = 0
    """Which slice of that order comes next, or goes on."""
    at: int = 0
    pages: int = 0
    looking: str = ""
    part: Part = "images"
    cursor: str = ""
    look_at: int = 0
    """When the next page may be listed (epoch seconds)."""
    restarts: int = 0
    """How often this look had to start again."""
    fault: Fault | None = None
    """Why it could not be listed."""
    tries: int = 0
    due_at: int | None = None
    inbox: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> addresses.RecordKey:
        """Where it is stored."""
        return addresses.inventory(self.account, self.region, checks=self.checks, image=self.image)

    @property
    def state(self) -> InventoryState:
        """What it waits for."""
        return S.LISTING if self.looking else S.REMOVING if self.removing else S.RESTING

    @property
    def to_look(self) -> str:
        """The run that waits for a look; "" if none does."""
        asked = self.inbox.get(LOOK, "")
        return asked if asked != self.seen else ""

    @property
    def to_remove(self) -> str:
        """The run whose removals wait; "" if none does."""
        asked = self.inbox.get(REMOVE, "")
        return asked if asked != self.removed else ""


# --- commands and events ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListPage:
    """List the next page, and write it beside the record."""


@dataclass(frozen=True, slots=True)
class RemoveSlice:
    """Remove what a slice of the order names, or the rest of it."""


@dataclass(frozen=True, slots=True)
class LookAsked:
    """An operator's command, the ``run``, asks what is there."""

    run: str


@dataclass(frozen=True, slots=True)
class RemovalsAsked:
    """An operator's command, the ``run``, has put an order beside the record."""

    run: str


@dataclass(frozen=True, slots=True)
class PageListed:
    """A page was listed; ``items``: in how many items it is beside the record, none if it is empty."""

    cursor: str
    items: int


@dataclass(frozen=True, slots=True)
class PageRefused:
    """A page was refused; ``again``: the same one may be listed later; ``stale``: EC2 no longer knows the cursor."""

    fault: Fault
    again: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class RemovalsTried:
    """Removals of a slice were tried; ``over``: it is done; ``last``: no slice follows."""

    over: bool
    last: bool


InventoryCommand = ListPage | RemoveSlice
Event = LookAsked | RemovalsAsked | PageListed | PageRefused | RemovalsTried


def outstanding(inventory: Inventory, now: int) -> tuple[InventoryCommand, ...]:
    """List the commands that are left: a look comes first, unless it waits for its time."""
    if inventory.looking and now >= inventory.look_at:
        return (ListPage(),)
    return (RemoveSlice(),) if inventory.removing else ()


def due_events(inventory: Inventory, _now: int) -> tuple[Event, ...]:
    """Return what operators have asked for since: the look or order of another run begins from its start."""
    look, order = inventory.to_look, inventory.to_remove
    looks = (LookAsked(look),) if look and look != inventory.looking else ()
    return (*looks, *((RemovalsAsked(order),) if order and order != inventory.removing else ()))


def evolve(inventory: Inventory, event: Event, now: int) -> Inventory:
    """Return the inventory after the event. Raises IllegalEvent if the table does not allow the transition."""
    after = transitions.evolve(TRANSITIONS, inventory, event, now)
    waits = after.look_at if after.to_look else None
    return replace(after, due_at=now if after.to_remove else waits)


def _look(event: LookAsked, inventory: Inventory, now: int) -> Inventory:
    return replace(_from_the_start(inventory, now), looking=event.run, fault=None, restarts=0, tries=0)


def _from_the_start(inventory: Inventory, now: int) -> Inventory:
    first: Part = "checks" if inventory.checks else "uses" if inventory.image else "images"
    return replace(inventory, part=first, cursor="", pages=0, look_at=now)


def _remove(event: RemovalsAsked, inventory: Inventory, _now: int) -> Inventory:
    return replace(inventory, removing=event.run, slice=0)


def _listed(event: PageListed, inventory: Inventory, now: int) -> Inventory:
    after = replace(inventory, pages=inventory.pages + event.items, cursor=event.cursor, tries=0, look_at=now)
    if event.cursor:
        return after
    return replace(after, part="snapshots") if inventory.part == "images" else _answered(after, now)


def _refused(event: PageRefused, inventory: Inventory, now: int) -> Inventory:
    if event.stale and inventory.restarts + 1 < TRIES:
        return replace(_from_the_start(inventory, now), restarts=inventory.restarts + 1)
    if event.again and inventory.tries + 1 < TRIES:
        wait = schedule.step(schedule.RETRIES, inventory.tries)
        return replace(inventory, tries=inventory.tries + 1, look_at=now + wait)
    return replace(_answered(inventory, now), pages=0, fault=event.fault)


def _tried(event: RemovalsTried, inventory: Inventory, _now: int) -> Inventory:
    if event.over and event.last:
        return replace(inventory, removed=inventory.removing, removing="", slice=0)
    return replace(inventory, slice=inventory.slice + event.over)


def _answered(inventory: Inventory, now: int) -> Inventory:
    return replace(inventory, seen=inventory.looking, looking="", part="images", cursor="", at=now, tries=0)


TRANSITIONS: Mapping[InventoryState, Row[Inventory]] = {
    S.RESTING: {
        LookAsked: leads(_look, S.LISTING),
        RemovalsAsked: leads(_remove, S.REMOVING),
    },
    S.LISTING: {
        LookAsked: leads(_look, S.LISTING),
        RemovalsAsked: leads(_remove, S.LISTING),
        PageListed: leads(_listed, *S),
        PageRefused: leads(_refused, *S),
        RemovalsTried: leads(_tried, S.LISTING),
    },
    S.REMOVING: {
        LookAsked: leads(_look, S.LISTING),
        RemovalsAsked: leads(_remove, S.REMOVING),
        RemovalsTried: leads(_tried, S.REMOVING, S.RESTING),
    },
}
