"""Growth: the cost of a promotion, a minute of the sweep and a pass of discovery on a hub with years of finished work.

Calls are counted at the ports; each is one call of DynamoDB, SQS or AWS, except for lists of many pages. Read units are
DynamoDB's: one for 4 KB of items read consistently, half of one if read eventually consistent, at least one for a call.
``python -m tests.service.growth`` prints the table of docs/explanation/reliability.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.promotion.worker.tag_pass import BASELINE
from chalicelib.sharing.share import Share
from chalicelib.targets.applied_file import Directory, Target
from tests.images.examples import describe_image
from tests.service.cloud import HUB, REGION
from tests.service.gate import Gate
from tests.service.hub import DISCOVERY, Hub
from tests.service.slow import function_of

ACCOUNT, SHARER = "200000000001", "200000000002"
"""The account that gets copies, and the account that AMIs are shared with."""
SHARED = "shared"
"""The group of ``SHARER``."""
OVERHEAD = 200
"""Bytes of an item besides its body: keys, names of attributes, dates."""
UNIT = 4096
CONSISTENT = {"records read", "records get", "records list"}
LISTS = {"ledger shares", "ledger find", "ledger find_for", "tracked all", "slots asked"}
WITH_RECORD = "ledger with_record"
EVENTUAL = {"records due"}


@dataclass
class Cost:
    """Calls by port and method, and read units."""

    calls: Counter[str] = field(default_factory=Counter)
    units: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.calls - other.calls, self.units - other.units)

    def copy(self) -> Cost:
        """Return a copy of the present counts."""
        return Cost(self.calls.copy(), self.units)


@dataclass
class CountingGate(Gate):
    """Counts the calls and read units of each function."""

    costs: dict[str, Cost] = field(default_factory=dict)
    function: str = ""

    def call(self, name: str, method: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        result = super().call(name, method, real, args, kwargs)
        cost = self.costs.setdefault(self.function, Cost())
        call = f"{name} {method}"
        cost.calls[call] += 1
        if call == WITH_RECORD:
            record, shares = result
            cost.units += units([record, *shares])
        elif call in CONSISTENT | LISTS:
            cost.units += units(result)
        elif call in EVENTUAL:
            cost.units += units(result) / 2
        return result


def units(result: Any) -> int:
    """Read units of a consistent read of one item, of a missing item, or of a query's items together."""
    items = result if isinstance(result, (list, tuple)) else [result]
    return max(-(-sum(map(size, items)) // UNIT), 1)


def size(item: Any) -> int:
    """Bytes of an item, approximately."""
    if item is None:
        return 0
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], RecordKey):  # of a list: key, item
        return OVERHEAD + len(json.dumps(item[1], default=str))
    if isinstance(item, Share):  # its holdings are items of their own, which are read with it
        plain = json.dumps(codec.encode(replace(item, holdings=frozenset())), default=str, separators=(",", ":"))
        return OVERHEAD + len(plain) + sum(OVERHEAD + len(json.dumps(codec.encode(one))) for one in item.holdings)
    body = item if isinstance(item, dict) else getattr(item, "body", None)
    if body is None:
        body = (
            codec.encode(item)
            if hasattr(item, "__dataclass_fields__") and not isinstance(item, RecordKey)
            else str(item)
        )
    return OVERHEAD + len(json.dumps(body, default=str, separators=(",", ":")))


@dataclass
class GrowingHub(Hub):
    """A hub that counts calls, and to which years of finished work can be added."""

    gate: CountingGate = field(default_factory=CountingGate)

    def _invoke(self, name: str, work: Callable[[], None]) -> bool:
        self.gate.function = function_of(name)
        return super()._invoke(name, work)

    def promote(self, ami: str, snapshots: Iterable[str]) -> None:
        """Make an AMI, tag it, and run until nothing more happens."""
        self.cloud.make_image(ami, dict.fromkeys(snapshots, True))
        self.cloud.tag(ami, "default")
        self.wait(4 * 3600)

    def cost(self) -> Cost:
        """Return what all functions except the scheduled ones have cost so far."""
        total = Cost()
        for function, cost in self.gate.costs.items():
            if function not in ("sweep", "discover"):
                total.calls += cost.calls
                total.units += cost.units
        return total

    def of(self, function: str) -> Cost:
        """Return what one function has cost so far."""
        return self.gate.costs.get(function, Cost()).copy()


@dataclass(frozen=True)
class Size:
    """How much finished and standing work a hub has."""

    finished: int = 0
    """Finished deliveries, all to one account."""
    keys: int = 1
    """How many source keys encrypted the finished AMIs, in turn: the closed shares are spread over as many keys."""
    tagged: int = 0
    shared: int = 0


EMPTY = Size()
YEARS = Size(finished=100_000, keys=5, tagged=5_000, shared=500)


def grown(much: Size) -> GrowingHub:
    """Return a hub of this size. The service writes the first item of each kind; the others are copies of it."""
    hub = GrowingHub(accounts=(ACCOUNT, SHARER), watchful=False)
    targets = {ACCOUNT: (Target(ACCOUNT, REGION),)}
    targets[SHARER] = (Target(SHARER, REGION, mode="share", share_snapshots=True),)
    hub.cloud.directory = Directory({"default": (ACCOUNT,), SHARED: (SHARER,)}, targets)
    if much.shared:
        _share(hub, much.shared)
    if much.tagged:
        _tagged(hub, much.tagged)
    if much.finished:
        _finished(hub, much)
    hub.wait(4 * 3600)
    return hub


def _finished(hub: GrowingHub, much: Size) -> None:
    """Promote one AMI, then copy its records until there are this many. No function reads their bodies."""
    hub.promote("ami-00f", ["snap-00f0", "snap-00f1"])
    assert hub.outcomes()["ami-00f", ACCOUNT] == "delivered"
    hub.cloud.tag("ami-00f", None)
    hub.cloud.gone.add("ami-00f")
    hub.wait(3600)
    records, ledger, tracked = hub.stores.records, hub.stores.ledger, hub.stores.tracked
    ident = addresses.delivery_id(HUB, "ami-00f", ACCOUNT, REGION)
    items = [(k, v) for k, v in records.records.items() if "00f" in k.pk or ident in k.pk]
    shares = [(k, v) for k, v in ledger.items.items() if "00f" in k[0] or ident in k[1]]
    notes = [(k, v) for k, v in tracked.items.items() if k[0] == "ami-00f"]
    for n in range(much.finished):
        ami = f"ami-f{n:016x}"
        new = addresses.delivery_id(HUB, ami, ACCOUNT, REGION)
        names = {"ami-00f": ami, "snap-00f": f"snap-f{n:015x}", ident: new}
        if n % much.keys:
            names |= {f"source-{key}": f"source-{key}x{n % much.keys}" for key in (0, 1)}
        for key, item in items:
            records.records[RecordKey(_renamed(key.pk, names), key.sk)] = item
        for (resource, holder), share in shares:
            place = (_renamed(resource, names), _renamed(holder, names))
            ledger.items[place] = replace(share, resource=place[0], share_name=place[1])
        for (_, _delivery), entry in notes:
            tracked.items[ami, new] = replace(entry, delivery=new)


def _tagged(hub: GrowingHub, many: int) -> None:
    """Add AMIs that have the tag and that discovery has seen."""
    for n in range(many):
        ami = f"ami-b{n:016x}"
        tags = [{"Key": "promote", "Value": "default"}]
        hub.cloud.hub_images[ami] = describe_image(ImageId=ami, State="available", Tags=tags)
    hub.cloud.changed()
    hub.stores.records.items.pop(BASELINE, None)
    hub._discover_at = hub.cloud.now + DISCOVERY
    hub.wait(DISCOVERY)


def _share(hub: GrowingHub, many: int) -> None:
    """Add shared AMIs, each promoted through the service."""
    for n in range(many):
        hub.cloud.make_image(f"ami-a{n:016x}", {f"snap-a{n:015x}": True})
        hub.cloud.tag(f"ami-a{n:016x}", SHARED)
    assert set(hub.wait(4 * 3600).outcomes().values()) == {"shared"}, Counter(hub.outcomes().values())


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class Growth:
    """The cost of a promotion, of a minute of the sweep and of a pass of discovery."""

    promotion: Cost
    sweep: Cost
    discovery: Cost


def measure(hub: GrowingHub) -> Growth:
    """Measure one more promotion (two snapshots, one account), one minute of the sweep, and one pass of discovery."""
    before = hub.cost()
    hub.promote("ami-0001", ["snap-00010", "snap-00011"])
    promotion = hub.cost() - before
    hub.wait(3600)
    before = hub.of("sweep")
    hub.cloud.now += 60
    hub._sweep_now()
    sweep = hub.of("sweep") - before
    before = hub.of("discover")
    hub.cloud.now += DISCOVERY
    hub._discover_now()
    return Growth(promotion, sweep, hub.of("discover") - before)


def must_be_flat(empty: Growth, grown_to: Growth, much: Size) -> None:
    """Assert that finished work adds no cost, and that tagged and shared AMIs add no more than their bounds."""
    assert sum(grown_to.promotion.calls.values()) <= 1.1 * sum(empty.promotion.calls.values())
    assert grown_to.promotion.units <= 1.1 * empty.promotion.units + much.shared / 4
    assert grown_to.sweep.calls == empty.sweep.calls
    assert grown_to.sweep.units <= empty.sweep.units + 2
    assert sum(grown_to.discovery.calls.values()) <= sum(empty.discovery.calls.values()) + 1
    assert grown_to.discovery.units <= empty.discovery.units + (much.tagged + 2 * much.shared) / 8 + 3


def table(sizes: Iterable[tuple[str, Growth]]) -> str:
    """Return the lines of the page's table."""
    lines = ["| | promotion | sweep, a minute | discovery, a pass |", "|---|---:|---:|---:|"]
    for name, growth in sizes:
        cells = [f"{sum(c.calls.values()):,} calls, {c.units:,.0f} read units" for c in vars(growth).values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(_seconds: float, seed: int) -> tuple[int, list[str]]:
    """The soak's part: a hub as large as any, of years and AMIs that the seed draws. One takes a minute or two."""
    random = Random(seed)
    much = Size(
        random.randrange(50_000, 100_000), random.choice([1, 5]), random.randrange(5_000), random.randrange(500)
    )
    try:
        must_be_flat(measure(grown(EMPTY)), measure(grown(much)), much)
    except AssertionError as failure:
        return 1, [f"{much}: {failure}"]
    return 1, []


if __name__ == "__main__":
    nothing, years = measure(grown(EMPTY)), measure(grown(YEARS))
    print(table([("empty hub", nothing), ("after years", years)]))  # noqa: T201 - what it is for
    must_be_flat(nothing, years, YEARS)
