"""Records of a hub with any number of targets and promotions, without a hub."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ami_promoter.report_page.model import Overview, ReportContext, overview
from ami_promoter.report_page.reading import HubRecords, sort
from chalicelib.delivery.model import Copy, CopyState, Delivery, DeliveryState, NewImage
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses, codec
from chalicelib.engine.faults import Fault
from chalicelib.engine.schema import FIRST
from chalicelib.engine.store.table import Table
from chalicelib.promotion.model import Promotion, PromotionState
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import DynamoLedger
from chalicelib.targets.applied_file import Target

HUB, REGION = "111111111111", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{HUB}:key/9a1c841d-1f7b-4fec-ba46-83f5f366bf0e"
NOW = 1767606054
DAY = 86400
StoredItem = Mapping[str, Any]

STEPS = (
    ("awaiting-slot", 2),
    ("opening", 20),
    ("copying", 27),
    ("registering", 640),
    ("verifying", 642),
    ("publishing", 700),
)
"""States of a delivery, and the seconds after its start at which it enters them."""


def context(days: int = 30) -> ReportContext:
    """Where and when the page is written."""
    return ReportContext(HUB, REGION, f"ami-promoter-{REGION}", NOW, NOW - days * DAY, days)


def record(pk: str, sk: str, body: Any = None, **attributes: Any) -> StoredItem:
    """Build an item as the table would have it."""
    written = {} if body is None else {"body": json.dumps(codec.encode(body)), "schema": FIRST}
    return {"pk": pk, "sk": sk, **written, **attributes}


def step(pk: str, name: str, version: int, at: int, state: str) -> StoredItem:
    """Build the history item of one step of a record, or of what ``name`` says."""
    entries = json.dumps([{"version": version, "at": at, "state": state, "what": []}])
    return record(pk, f"history#{name}{version:08d}", entries=entries)


def sorted_by_kind(found: Iterable[StoredItem]) -> HubRecords:
    return sort(found, DynamoLedger(Table(None, "")).read)


def shown(found: Iterator[StoredItem], days: int = 30) -> Overview:
    return overview(sorted_by_kind(found), context(days))


def hub(
    targets: int, promotions: int, *, fails: int = 100, bad: Mapping[str, str] | None = None
) -> Iterator[StoredItem]:
    """Yield the records: one image a day, delivered everywhere except each ``fails``th target, the last one copying.

    ``bad``: hostile texts in the fields that people and AWS write.
    """
    for day in range(promotions):
        began, last = NOW - (promotions - day) * DAY, day == promotions - 1
        targeted = [number % fails == fails - 1 for number in range(targets)]
        yield from _promotion(f"ami-{day:017x}", targeted, began, last, bad or {})


def _promotion(ami: str, targets: list[bool], began: int, last: bool, bad: Mapping[str, str]) -> Iterator[StoredItem]:
    name = bad.get("name", f"golden-{began // DAY * DAY}")
    state = PromotionState.RUNNING if last else PromotionState.OVER
    promoted = Promotion(ami, HUB, REGION, state, value=bad.get("value", "dev prod"), image_name=name, since=began)
    yield record(f"promotion#{ami}", "record", promoted, state=state.value, created_at=began)
    for number, failed in enumerate(targets):
        yield from _delivery(ami, name, f"{200000000000 + number}", began + number % 600, last, failed, bad)


def _delivery(
    ami: str, name: str, account: str, began: int, last: bool, fails: bool, bad: Mapping[str, str]
) -> Iterator[StoredItem]:
    ident = addresses.delivery_id(HUB, ami, account, REGION)
    state = DeliveryState.COPYING if last else DeliveryState.FAILED if fails else DeliveryState.DELIVERED
    image = f"ami-{int(account) % 10**12:012d}{ami[-5:]}" if state is DeliveryState.DELIVERED else None
    what = bad.get("what", "AssumeRole was refused: AccessDenied.")
    faults = (Fault("role-not-assumable", account, what, bad.get("cure", "Deploy deploy/target.yaml there.")),)
    made = Delivery(
        ident,
        HUB,
        ami,
        Target(account, REGION),
        1,
        began,
        name,
        (),
        state=state,
        entered={state: began + 710},
        image=NewImage(image),
        faults=faults if state is DeliveryState.FAILED else (),
        copies=(Copy(bad.get("snapshot", "snap-1"), CopyState.PENDING, progress=40),),
    )
    parked = {"parked": bad["parked"]} if "parked" in bad else {}
    yield record(f"delivery#{ident}", "record", made, state=state.value, **parked)
    short = "running" if last else state.value
    yield record(
        f"promotion#{ami}", f"delivery#{ident}", TrackedDelivery(ident, account, REGION, 1, short, image or "")
    )
    steps = [*STEPS[: 3 if last else len(STEPS)], *([] if last else [(state.value, 710)])]
    for version, (entered, after) in enumerate(steps):
        yield step(f"delivery#{ident}", "", version, began + after, entered)
    resources = (addresses.snapshot_resource(f"snap-{ami[4:]}").pk, addresses.key_resource(KEY, account).pk)
    for resource, holder in zip(resources, (account, f"{ident}-AmiCopyRole"), strict=True):
        yield from _share(resource, holder, account, began, last)


def _share(resource: str, holder: str, account: str, began: int, last: bool) -> Iterator[StoredItem]:
    state = ShareState.OPEN if last else ShareState.ARCHIVED
    times = {"intended_at": began + 20, "opened_at": began + 21}
    times |= {} if last else {"removed_at": began + 641, "closed_at": began + 780}
    share = Share(resource, holder, account, state=state, **times)
    sk = f"share#{holder}" if last else f"closed#{holder}#{began + 790:010d}"
    steps = [("opening", 20), ("open", 21), *([] if last else [("closing", 640), ("closing", 641), ("closed", 780)])]
    recent = json.dumps([{"at": began + after, "state": step, "what": []} for step, after in steps])
    own = {"state": state.value if last else "closed", "account": account, "at": began + 790, "recent": recent}
    yield record(resource, sk, share, **own)
