"""A thousand targets of one tag, and hundreds of waiting deliveries: no limit is reached, and waiting is cheap."""

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.ports import Due
from chalicelib.engine.sweep import PAGE
from chalicelib.promotion.codec import new_promotion
from chalicelib.targets.applied_file import Directory, Target
from tests.fakes import MemoryLedger, MemoryRecords, MemorySlotLeases, MemoryTrackedDeliveries
from tests.service.arrivals import Arrivals
from tests.service.cloud import HUB, REGION, TRIGGER, CloudBehavior
from tests.service.gate import PortCrash
from tests.service.hub import Hub
from tests.service.scenes import all_delivered
from tests.stores import Stores

pytestmark = pytest.mark.thorough

A_THOUSAND = 1000
MANY = 100_000
"""Invocations of the hubs here."""
HOUR = 3600


class Counting(MemoryRecords):
    """Counts the sweep's reads and writes."""

    def __init__(self) -> None:
        super().__init__()
        self.swept: Counter[str] = Counter()

    def due(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        self.swept["due"] += 1
        page = super().due(shard, until, limit, after)
        self.swept["seen"] += len(page)
        return page


def stores(records: MemoryRecords) -> Stores:
    return Stores(records, MemorySlotLeases(), MemoryLedger(records), MemoryTrackedDeliveries())


def test_a_thousand_targets_each_get_their_ami_once_whatever_crashes():
    """The promotion writes its deliveries in chunks; each invocation is short of time, and some are killed."""
    accounts = [f"{200_000_000_000 + number}" for number in range(A_THOUSAND)]
    crashes = [PortCrash(call, after=bool(call % 2)) for call in range(0, 150_000, 4999)]
    hub = Hub(
        accounts=accounts,
        stores=stores(MemoryRecords()),
        arrivals=Arrivals(hurry=1),
        crashes=crashes,
        watchful=False,
        most_invocations=MANY,
    )
    hub.cloud.make_image("ami-0a", {"snap-00": True, "snap-01": True})
    hub.cloud.tag("ami-0a", "default")
    hub.run()

    all_delivered(hub, notified_once=False)
    assert sum(crash.call < hub.gate.calls for crash in crashes) > 20, "the processes were killed"


def test_waiting_deliveries_cost_the_sweep_little():
    """Each is woken every quarter of an hour at most, without a write; with promotions they fill a page of a shard."""
    wait_for_slots(420)


def run(_seconds: float, _seed: int) -> tuple[int, list[str]]:
    """Play a thousand of them, for the soak; returns the cases played, and what failed."""
    try:
        wait_for_slots(1_000)
    except AssertionError as error:
        return 1, [str(error)]
    return 1, []


def wait_for_slots(waiting: int) -> None:
    """Let so many AMIs be promoted to one account, whose copies take hours; see what the sweep reads and wakes."""
    records = Counting()
    hub = Hub(
        accounts=["200000000001"],
        stores=stores(records),
        behavior=CloudBehavior(copying=(6 * HOUR,)),
        target={"queue_deadline": 30 * 24 * HOUR},
        watchful=False,
        most_invocations=MANY,
    )
    for number in range(waiting):
        hub.cloud.make_image(f"ami-{number:05x}", {f"snap-{number:05x}": True})
        hub.cloud.tag(f"ami-{number:05x}", "default")
    assert Counter(hub.wait(HOUR).outcomes().values()) == {"awaiting-slot": waiting - 20, "copying": 20}

    before, reported = records.swept.copy(), len(hub.telemetry.reported)
    hub.wait(HOUR)
    swept = records.swept - before
    woken_at = [args[0] for what, args in hub.telemetry.reported[reported:] if what == "swept"]
    a_record = 60 / 15 + 1
    assert sum(woken_at) <= (2 * waiting + 40) * a_record  # deliveries and promotions; a few shares and a copy quota
    assert swept["due"] <= 4 * 60 + swept["seen"] / PAGE


def test_thousands_of_targets_fit_into_items():
    """Two hundred accounts in seventeen Regions. No item holds them all: each slice computes whom the value names."""
    accounts = tuple(f"{200_000_000_000 + number}" for number in range(A_THOUSAND // 5))
    regions = [f"ap-northeast-{number}" for number in range(17)]
    settings = {"key": f"arn:aws:kms:ap-northeast-1:{accounts[0]}:key/{'0' * 36}", "tags": {"team": "x" * 100}}
    hub = Hub((accounts[0],), stores=stores(MemoryRecords()), watchful=False)
    listed = {one: tuple(Target(one, region, **settings) for region in regions) for one in accounts}
    hub.cloud.directory = Directory({"default": accounts}, listed)
    hub.cloud.make_image("ami-0a", {"snap-00": True})
    hub.cloud.hub_images["ami-0a"]["Tags"] = [{"Key": TRIGGER, "Value": "default"}]
    hub.cloud.changed()
    key, now = addresses.promotion("ami-0a"), hub.cloud.now
    hub.stores.records.create(new_promotion("ami-0a", HUB, REGION, now), now)

    for _ in range(6):
        hub.promotions.run(key, "test", time_left=itertools.count(60, -1).__next__)

    deliveries = [one for one in hub.stores.records.records if one.kind == "delivery"]
    assert 6 < len(deliveries) < len(accounts) * len(regions)
