"""The stored form of promotions, and the head that is written together with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.delivery.wave_progress import PromotionWaves
from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Extras, Records, Write
from chalicelib.engine.stored import RecordCodec, compact, peek
from chalicelib.promotion import commands as promotion_commands
from chalicelib.promotion import events as promotion_events
from chalicelib.promotion import evolving, machine
from chalicelib.promotion.head import head
from chalicelib.promotion.model import Promotion


class PromotionCodec(RecordCodec[Promotion, promotion_commands.PromotionCommand, promotion_events.Event]):
    """The stored form of promotions."""

    kind = Promotion

    def due_at(self, record: Promotion) -> int | None:
        """Return when to look again if no wake arrives."""
        return machine.due_at(record)

    def result_items(self, record: Promotion, results: Sequence[promotion_events.Event]) -> Extras:
        """Return the head's item, if these results may change it: the head is never older than the record."""
        return () if all(isinstance(event, _KEEP_HEAD) for event in results) else [self.head_item(record)]

    def head_item(self, promotion: Promotion, *seen: str) -> tuple[RecordKey, Mapping[str, Any]]:
        """Return the key and the item of a promotion's head. ``seen``: a value that its first look will find."""
        one = head(promotion)
        text = compact(codec.encode(replace(one, known=(*one.known, *seen))))
        return addresses.head(promotion.ami), {"kind": "head", "body": text}


_KEEP_HEAD = (promotion_events.NotExecuted, promotion_events.Paused)
"""Events that do not change the head."""

PROMOTIONS = PromotionCodec()


def new_promotion(ami: str, hub: str, region: str, now: int) -> Write:
    """Return the record of a new promotion as it is to be stored. ``now``: epoch seconds."""
    return PROMOTIONS.encode(evolving.started(ami, hub, region, now))


def last_source(records: Records, ami: str) -> str:
    """Return the name of an AMI's source as its promotion examined it last; "" if that cannot be read."""
    promotion = peek(records, addresses.promotion(ami), PROMOTIONS)
    return "" if promotion is None else promotion.source


def waves_of(records: Records, ami: str) -> PromotionWaves | None:
    """Return how far the waves of an AMI's promotion are; None if that cannot be read."""
    promotion = peek(records, addresses.promotion(ami), PROMOTIONS)
    return None if promotion is None else PromotionWaves(promotion.waves, gone=promotion.is_gone)
