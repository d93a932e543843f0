"""The worker of an inventory answers each run once, page by page, and deletes only what was ordered."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import pytest

from ami_promoter.reconcile.inventories import together
from chalicelib.delivery.target_seen import FACETS, TargetSeen
from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, RefusalKind, StaleCursor
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Write
from chalicelib.engine.runner import Runner
from chalicelib.engine.store.table import EXPIRES
from chalicelib.engine.waker import Waker
from chalicelib.inventory.machine import LOOK, REMOVE, TRIES, AmiUse, Inventory, InventoryPage, OwnImage, OwnSnapshot
from chalicelib.inventory.worker.inventories import INVENTORIES, INVENTORY_MACHINE, InventoryExecutor
from chalicelib.targets.applied_file import AppliedFile, Directory, Target
from chalicelib.targets.organization import Organization
from tests.fakes import MemoryRecords
from tests.service.cloud import Quiet

DEV, REGION, NOW = "222222222222", "us-east-1", 1_800_000_000
KEY = addresses.inventory(DEV, REGION)
FAULT = Fault("role-not-assumable", "there", "the role cannot be assumed.", "deploy it.")


@dataclass
class AskedTarget:
    """A target that contains some of the service's snapshots, listed in pages of two; it may refuse calls."""

    snapshots: list[str] = field(default_factory=lambda: ["snap-1", "snap-2"])
    trouble: Refusal | None = None
    stale: int = 0
    """How often the target no longer knows a cursor."""
    looks: int = 0
    dies_at: str = ""
    """The snapshot at whose removal the invocation is killed."""

    def looked_at(self, cursor: str) -> None:
        """Count a look; refuse it, or its cursor."""
        self.looks += 1
        if self.trouble:
            raise self.trouble
        if cursor and self.stale:
            self.stale -= 1
            raise StaleCursor(RefusalKind.DENIED, FAULT)

    def page(self, account: str, region: str, part: str, cursor: str) -> InventoryPage:
        self.looked_at(cursor)
        if part == "images":
            return InventoryPage((OwnImage("ami-1", "golden", "available", "d1", "ami-0"),))
        start = int(cursor or 0)
        some = self.snapshots[start : start + 2]
        more = str(start + 2) if start + 2 < len(self.snapshots) else ""
        found = tuple(OwnSnapshot(one, "completed", "d1", "snap-0", 0, used=False) for one in some)
        return InventoryPage(found, more)

    def uses(self, account: str, region: str, image: str, cursor: str) -> InventoryPage:
        self.looked_at(cursor)
        use = AmiUse("ec2:Instance", f"{image}-{cursor or 1}")
        return InventoryPage((use,), "" if cursor else "2")

    def remove(self, account: str, region: str, delivery: str, snapshot: str) -> str:
        if self.trouble:
            raise self.trouble
        if snapshot == self.dies_at:
            raise KeyboardInterrupt
        self.snapshots.remove(snapshot)
        return ""


@dataclass
class Checks:
    """What a target is like; keeps which facets were read."""

    read_of: list[tuple[str, str]] = field(default_factory=list)
    trouble: Refusal | None = None

    def read(self, target: Target, facet: str) -> TargetSeen:
        if self.trouble:
            raise self.trouble
        self.read_of.append((target.key, facet))
        return TargetSeen(missing_roles=("s/one",) if facet == "roles" else (), refused={facet: FAULT})


@dataclass
class File:
    """The applied file: one account, with a key of its own. ``unit``: one whose accounts are not read yet."""

    targets: tuple[Target, ...] = (Target(DEV, REGION, key="alias/own"),)
    unit: str = ""

    def read(self) -> AppliedFile:
        if self.unit:
            named = Organization("o-a1b2c3d4e5", {self.unit: ("dev",)})
            return AppliedFile(Directory({"dev": (self.unit,)}, by_unit={"dev": self.targets}, organization=named))
        return AppliedFile(Directory({}, {DEV: self.targets}), "digest")


@dataclass
class InventorySetup:
    """The worker with its record, and a clock."""

    place: AskedTarget = field(default_factory=AskedTarget)
    records: MemoryRecords = field(default_factory=MemoryRecords)
    checks: Checks = field(default_factory=Checks)
    file: File = field(default_factory=File)
    now: int = NOW
    about: bool = False
    """Whether it is asked what the target is like."""

    def __post_init__(self) -> None:
        waker = Waker(self.records, SimpleNamespace(send=lambda _: None), lambda: self.now)
        executor = InventoryExecutor(self.records, self.place, self.checks, self.file)
        now = lambda: self.now  # noqa: E731
        self.worker = Runner(INVENTORY_MACHINE, executor, INVENTORIES, self.records, waker, now, Quiet())
        self.records.create(
            INVENTORIES.encode(replace(Inventory(DEV, REGION, checks=self.about), due_at=self.now)), self.now
        )

    @property
    def key(self) -> addresses.RecordKey:
        return addresses.inventory(DEV, REGION, checks=self.about)

    def ask(self, **inbox: str) -> None:
        """Order a look, as the command does."""
        self.records.make_due(self.key, self.now, inbox)

    def order(self, run: str, *snapshots: str) -> None:
        """Order removals, in slices of two."""
        slices = [snapshots[start : start + 2] for start in range(0, len(snapshots), 2)]
        for number, some in enumerate(slices):
            body = json.dumps([{"snapshot": snapshot, "delivery": "d1"} for snapshot in some])
            item = {"kind": "order", "slices": len(slices), "body": body, EXPIRES: NOW + 5}
            self.records.put(addresses.inventory_order(KEY, run, number), item)
        self.ask(**{REMOVE: run})

    def run(self, seconds: int = 30) -> Inventory:
        self.worker.run(self.key, "test", time_left=lambda: seconds)
        return INVENTORIES.decode(self.records.read(self.key))

    def asked_what_names(self, image: str) -> tuple[Inventory, list[str]]:
        """The record of this question after a run, and the ARNs that were stored beside it."""
        record = Inventory(DEV, REGION, image=image)
        self.records.create(INVENTORIES.encode(replace(record, due_at=NOW)), NOW)
        self.records.make_due(record.key, NOW, {LOOK: "one"})
        self.worker.run(record.key, "test", time_left=lambda: 30)
        items = [item for _, item in self.records.list(record.key.pk, "found#")]
        arns = [row["use"]["arn"] for item in items for row in json.loads(item["body"])]
        return INVENTORIES.decode(self.records.read(record.key)), arns

    def results(self) -> list[str | None]:
        items = [item for _, item in self.records.list(KEY.pk, "remove#one#")]
        return [one.get("result") for item in items for one in json.loads(item["body"])]

    def found(self, pages: int) -> list[str]:
        """The ids that were stored beside the record, from this many pages."""
        items = [self.records.get(addresses.inventory_page(KEY, n)) for n in range(pages)]
        rows = [row for item in items for row in json.loads(item["body"])]
        return [(row.get("image") or row["snapshot"])["id"] for row in rows]


def asked(place: AskedTarget | None = None, **given: Any) -> InventorySetup:
    """The worker, when a run has ordered a look."""
    scene = InventorySetup(place or AskedTarget(), **given)
    scene.ask(**{LOOK: "one"})
    return scene


def test_a_page_that_is_longer_than_an_item_is_kept_in_several():
    """EC2 says in one answer that thousands of instances use an AMI."""
    scene = InventorySetup()
    arns = [f"arn:aws:ec2:{REGION}:{DEV}:instance/i-{n:017x}" for n in range(5000)]
    scene.place.uses = lambda *_: InventoryPage(tuple(AmiUse("ec2:Instance", arn) for arn in arns))
    seen, found = scene.asked_what_names("ami-1")
    assert (seen.seen, found) == ("one", arns)


def countdown(steps: int) -> Callable[[], int]:
    """Time that is left: enough for this many steps."""
    return chain(repeat(30, steps), repeat(5)).__next__


def test_many_snapshots_are_listed_though_each_invocation_has_time_for_one_page_only():
    """It continues where it stopped: 10,000 pages do not kill it, and it lists each page once."""
    many = [f"snap-{n:03d}" for n in range(41)]
    scene = asked(AskedTarget(snapshots=list(many)))
    runs = 0
    while INVENTORIES.decode(scene.records.read(KEY)).seen != "one":
        assert scene.records.read(KEY).scheduled
        scene.worker.run(KEY, "test", time_left=countdown(1))
        runs += 1
        assert runs < 100

    seen = scene.run()

    assert scene.found(seen.pages) == ["ami-1", *many]
    assert scene.place.looks == 22
    assert not scene.records.read(KEY).scheduled


def test_an_invocation_that_is_killed_after_a_page_lists_that_page_again_and_none_twice():
    """The page was stored before the record knew of it."""
    scene = asked(AskedTarget(snapshots=["snap-1", "snap-2", "snap-3"]))
    scene.worker.run(KEY, "test", time_left=countdown(2))
    saving = scene.records.save

    def dies(*_given: Any, **_more: Any) -> bool:
        raise SystemExit

    scene.records.save = dies
    with pytest.raises(SystemExit):
        scene.run()
    scene.records.save = saving

    assert scene.found(scene.run().pages) == ["ami-1", "snap-1", "snap-2", "snap-3"]


@pytest.mark.parametrize(("stale", "fault"), [(1, None), (TRIES - 1, None), (TRIES, FAULT)])
def test_an_expired_cursor_starts_the_look_from_the_beginning(stale, fault):
    """After a few tries the worker gives the refusal as its answer. Nothing of the first try is left in it."""
    scene = asked(AskedTarget(snapshots=["snap-1", "snap-2", "snap-3"], stale=stale))

    seen = scene.run()

    assert (seen.seen, seen.fault) == ("one", fault)
    assert scene.found(seen.pages) == ([] if fault else ["ami-1", "snap-1", "snap-2", "snap-3"])


def test_a_later_run_asks_for_a_look_of_its_own():
    """The listing of the earlier run is not its answer."""
    scene = asked(AskedTarget(snapshots=["snap-1", "snap-2", "snap-3"]))
    scene.worker.run(KEY, "test", time_left=countdown(2))
    scene.place.snapshots = ["snap-4"]
    scene.ask(**{LOOK: "two"})

    seen = scene.run()

    assert (seen.seen, scene.found(seen.pages)) == ("two", ["ami-1", "snap-4"])


def test_a_long_order_is_carried_out_slice_by_slice():
    """Each removal runs once, however often the invocation is cut short; what was not ordered stays."""
    many = [f"snap-{n}" for n in range(7)]
    scene = InventorySetup(AskedTarget(snapshots=list(many)))
    scene.order("one", *many[:5])
    runs = 0
    while INVENTORIES.decode(scene.records.read(KEY)).removed != "one":
        scene.worker.run(KEY, "test", time_left=countdown(1))
        runs += 1
        assert runs < 50
    scene.run()

    assert scene.place.snapshots == many[5:]
    assert scene.results() == [""] * 5
    assert [item[EXPIRES] for _, item in scene.records.list(KEY.pk, "remove#one#")] == [NOW + 5] * 3
    assert not scene.records.read(KEY).scheduled


def test_a_run_that_is_killed_while_it_removes_does_not_remove_again_what_it_has_removed():
    """Each result is written before the next removal; a second removal would find no such snapshot."""
    scene = InventorySetup()
    scene.order("one", "snap-1", "snap-2")
    scene.place.dies_at = "snap-2"
    with pytest.raises(KeyboardInterrupt):
        scene.run()
    scene.place.dies_at = ""

    assert scene.run().removed == "one"
    assert (scene.place.snapshots, scene.results()) == ([], ["", ""])


def test_a_throttle_is_tried_again_and_not_for_ever():
    """It is due again after growing waits; in the end the throttle is the answer."""
    scene = asked(AskedTarget(trouble=Refusal(RefusalKind.THROTTLED, FAULT)))
    for _ in range(TRIES - 1):
        seen = scene.run()
        assert (seen.seen, scene.records.read(KEY).scheduled is not None) == ("", True)
        scene.now = seen.due_at

    assert (scene.run().fault, scene.place.looks) == (FAULT, TRIES)


def test_a_copy_of_a_delivery_under_way_is_not_removed():
    """The worker reads the delivery's record right before the removal: the order may be older than the delivery."""
    scene = InventorySetup()
    scene.records.create(Write(addresses.delivery("d1"), "copying", {"state": "copying"}, NOW), NOW)
    scene.order("one", "snap-1")

    scene.run()

    assert scene.place.snapshots == ["snap-1", "snap-2"]
    assert scene.results() == ["its delivery is under way, and looks after it"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda records, key: setattr(records.records[key], "damaged", True), "its delivery cannot be read: "),
        (lambda records, key: records.park(key, "IllegalEvent", NOW), "its delivery is parked: IllegalEvent"),
    ],
    ids=["damaged", "parked"],
)
def test_a_copy_of_a_delivery_that_cannot_be_read_stays_and_others_go(spoil, why):
    """Its record may know the copy. The target's list is not parked for that: it is there for such copies."""
    scene = InventorySetup()
    delivery = addresses.delivery("d1")
    scene.records.create(Write(delivery, "failed", {"state": "failed"}, NOW), NOW)
    spoil(scene.records, delivery)
    order = json.dumps([{"snapshot": "snap-1", "delivery": "d1"}, {"snapshot": "snap-2", "delivery": "d2"}])
    scene.records.put(addresses.inventory_order(KEY, "one", 0), {"kind": "order", "slices": 1, "body": order})
    scene.ask(**{REMOVE: "one"})

    scene.worker.run(KEY, "test", time_left=lambda: 30)

    assert not scene.records.read(KEY).parked
    assert scene.place.snapshots == ["snap-1"]
    first, second = scene.results()
    assert first.startswith(why)
    assert second == ""


def test_a_removal_that_is_refused_says_why():
    """The other removals are tried all the same."""
    scene = InventorySetup(AskedTarget(trouble=Refusal(RefusalKind.DENIED, FAULT)))
    scene.order("one", "snap-1", "snap-2")

    scene.run()

    assert scene.results() == [FAULT.what, FAULT.what]


def test_what_a_target_is_like_is_read_facet_by_facet():
    """It uses the applied file's settings and lists nothing; a run that was cut short continues where it stopped."""
    scene = asked(about=True)
    while INVENTORIES.decode(scene.records.read(scene.key)).seen != "one":
        scene.worker.run(scene.key, "test", time_left=countdown(2))

    assert scene.checks.read_of == [("alias/own", facet) for facet in FACETS]
    assert scene.place.looks == 0
    items = [scene.records.get(addresses.inventory_page(scene.key, n)) for n in range(len(FACETS))]
    seen = together(row["seen"] for item in items for row in json.loads(item["body"]))
    assert seen == TargetSeen(missing_roles=("s/one",), refused=dict.fromkeys(FACETS, FAULT))


@pytest.mark.parametrize(
    ("setup", "code"),
    [
        (InventorySetup(about=True, checks=Checks(trouble=Refusal(RefusalKind.ROLE, FAULT))), FAULT.code),
        (InventorySetup(about=True, file=File(targets=(Target(DEV, "eu-west-1"),))), "target-dropped"),
        (InventorySetup(about=True, file=File(unit="ou-a1b2-c3d4e5f6")), "organization-not-read-yet"),
    ],
    ids=["role", "no such target", "unit not read yet"],
)
def test_a_target_that_cannot_be_checked_says_why(setup, code):
    """The role cannot be assumed, or the applied file does not have such a target, or not yet."""
    setup.ask(**{LOOK: "one"})

    assert setup.run().fault.code == code


@pytest.mark.parametrize("stale", [0, 1])
def test_what_names_an_ami_is_listed_page_by_page_beside_other_questions(stale):
    """A record of its own for each AMI; a cursor that EC2 no longer knows begins the list again."""
    here = InventorySetup(place=AskedTarget(stale=stale))
    seen, arns = here.asked_what_names("ami-7")
    assert (seen.seen, seen.pages, seen.fault, here.place.looks) == ("one", 2, None, 2 + 2 * stale)
    assert arns == ["ami-7-1", "ami-7-2"]
    assert INVENTORIES.decode(here.records.read(KEY)).seen == ""
