"""The data of the page. Pure: computed from the records with the same functions as ``status`` and ``history``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.hub.records import RecordSeen, record_of
from ami_promoter.promotions import pointers, promotion_data
from ami_promoter.promotions.reading import placed
from ami_promoter.report_page.current import Family, Headline, families, headlines
from ami_promoter.report_page.exposure import Exposure, exposures
from ami_promoter.report_page.reading import HubRecords, Step
from chalicelib.delivery.model import ENDED, Delivery
from chalicelib.delivery.outcomes import OUTCOMES
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.promotion.model import Promotion
from chalicelib.targets.recalls import Recall


@dataclass(frozen=True, slots=True)
class ReportContext:
    """Which hub and table the command read, and when. Times are epoch seconds."""

    account: str
    region: str
    table: str
    now: int
    since: int
    days: int
    paused: str = ""
    organization: Sequence[str] = ()
    recalls: Mapping[str, Recall] = field(default_factory=dict)
    """By AMI."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time in one state; ``end`` is None while it lasts."""

    state: str
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """One delivery: its data, and the states of its last episode as far as the history has them."""

    data: Mapping[str, Any]
    spans: Sequence[Span]

    @property
    def start(self) -> int | None:
        """When the first span began."""
        return self.spans[0].start if self.spans else None

    @property
    def last(self) -> int | None:
        """When the state last changed."""
        return self.spans[-1].start if self.spans else None


@dataclass(frozen=True, slots=True)
class ShownPromotion:
    """One promotion: its data, and timelines of the deliveries that run or have changed since ``since``."""

    data: Mapping[str, Any]
    timelines: Sequence[Timeline]
    older: int
    """Number of deliveries that ended before that."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page."""

    context: ReportContext
    headlines: Sequence[Headline]
    families: Sequence[Family]
    promotions: Sequence[ShownPromotion]
    """Newest first."""
    troubled: Sequence[Mapping[str, Any]]
    """Promotions that need attention, with only their failed deliveries, as ``status --failed`` shows them."""
    pointers: Sequence[Mapping[str, Any]]
    """Pointers with a fault, as ``status`` shows them."""
    retired: Sequence[Mapping[str, Any]]
    """Superseded copies that can be removed, as ``status --retired`` shows them."""
    exposures: Sequence[Exposure]
    parked: Mapping[str, str]
    damaged: Mapping[str, str]
    """Record -> why it cannot be read."""
    items: int
    names: Mapping[str, str]
    """Source AMI -> its name."""


def overview(records: HubRecords, context: ReportContext) -> Overview:
    """Compute the page."""
    newest = sorted(records.promotions.values(), key=lambda one: one.created_at, reverse=True)
    pages = [_page(record, records, context) for record in newest]
    current = families(pages)
    return Overview(
        context=context,
        headlines=headlines(pages, current),
        families=current,
        promotions=[_shown(page, records, context) for page in pages],
        troubled=list(map(promotion_data.only_failed, filter(promotion_data.in_trouble, pages))),
        pointers=pointers.at_fault(records.pointers.values()),
        retired=pointers.retired(records.pointers.values()),
        exposures=exposures(records),
        parked=dict(sorted(records.parked.items())),
        damaged={f"{pk} {sk}": why for (pk, sk), why in sorted(records.damaged.items())},
        items=records.items,
        names={page["ami"]: str(page["name"]) for page in pages},
    )


def _page(record: RecordSeen[Promotion], records: HubRecords, context: ReportContext) -> dict[str, Any]:
    """Return the data of a promotion; for a delivery whose record cannot be read, use its tracked delivery."""
    tracked = records.tracked.get(record.it.ami, ())
    deliveries = [placed(_known(records.deliveries.get(entry.delivery), entry), entry) for entry in tracked]
    recall = context.recalls.get(record.it.ami)
    return promotion_data.page(record, deliveries, (), context.now, records.pointers, recall)


def _known(known: RecordSeen[Delivery] | None, entry: TrackedDelivery) -> RecordSeen[Delivery]:
    if known is not None and known.it.target.account and known.state:
        return known
    key = addresses.delivery(entry.delivery)
    item = {**({"pk": key.pk, "sk": key.sk} if known is None else known.item), "state": entry.state}
    one = record_of({**item, "body": "{}"})
    return RecordSeen(item, one.it.with_image(id=entry.image or None), () if known is None else known.damage)


def _shown(page: Mapping[str, Any], records: HubRecords, context: ReportContext) -> ShownPromotion:
    every = [_timeline(one, records, context) for one in page["deliveries"]]
    recent = [one for one in every if one.data["state"] not in OUTCOMES or (one.last or 0) >= context.since]
    return ShownPromotion(page, recent, len(every) - len(recent))


def _timeline(delivery: Mapping[str, Any], records: HubRecords, context: ReportContext) -> Timeline:
    ident = str(delivery["id"])
    record = records.deliveries.get(ident)
    steps = records.delivery_steps.get(ident, [])
    created = record.it.created_at if record else 0
    if created >= context.since and (not steps or created <= steps[0][0]):
        steps = [(created, "requested"), *steps]
    if not steps and record:
        steps = sorted((at, state) for state, at in record.it.entered.items())
    return Timeline(delivery, spans(steps))


def spans(steps: Sequence[Step]) -> list[Span]:
    """Turn a delivery's steps into spans of its last episode; an ended state is a span without length."""
    changes: list[Step] = []
    for at, state in steps:
        goes_on = state in ("stopping", "tidying", "publishing", *OUTCOMES)
        if changes and changes[-1][1] in OUTCOMES and not goes_on:
            changes = []
        if not changes or changes[-1][1] != state:
            changes.append((at, state))
    until = [*(at for at, _ in changes[1:]), None]
    return [Span(state, at, at if state in ENDED else end) for (at, state), end in zip(changes, until, strict=False)]
