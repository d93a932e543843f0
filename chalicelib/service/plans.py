"""The plan of a promotion: the targets of its value with their settings, in items beside the record.

A plan's name is its digest, so writing the same plan again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from chalicelib.core.errors import Unreadable
from chalicelib.core.promotion.model import NO_PLAN, Plan, Promotion
from chalicelib.core.records import addresses, codec
from chalicelib.core.targets.applied_file import Resolution, Target
from chalicelib.ports.beside import TrackedDeliveries
from chalicelib.ports.records import Records
from chalicelib.ports.targets import Targets
from chalicelib.service.codecs import compact, parsed

PLANNED = 200
"""Targets with their settings in one item: about 120 KB of the 400 that an item may have."""
LISTED = 5000
"""Places ("account/region") in one item: about 120 KB."""

PlannedTarget = tuple[Target, tuple[str, ...]]
"""A target with its settings, and the groups of the value that name it."""


class Plans:
    """Writes and reads plans."""

    def __init__(self, records: Records, targets: Targets, tracked: TrackedDeliveries) -> None:
        self._records = records
        self._file = targets
        self._tracked = tracked

    def write(self, promotion: Promotion, resolution: Resolution, blocked: Collection[str]) -> str:
        """Write the targets and their settings beside the record, except what an earlier try wrote; return the name."""
        planned = [
            {"target": codec.encode(target), "groups": list(resolution.groups.get(target.place, ()))}
            for target in resolution.targets
        ]
        blocked = sorted(blocked)
        plan = addresses.digest(json.dumps([planned, blocked], sort_keys=True), length=16)
        items = {
            addresses.plan(promotion.ami, plan, number): compact(planned[start : start + PLANNED])
            for number, start in enumerate(range(0, len(planned), PLANNED))
        }
        listed = [*((place, True) for place in resolution.places), *((place, False) for place in blocked)]
        items |= {
            addresses.places(promotion.ami, plan, number): compact(_sorted_out(listed[start : start + LISTED]))
            for number, start in enumerate(range(0, max(len(listed), 1), LISTED))
        }
        found = self._records.list(addresses.promotion(promotion.ami).pk, f"plan#{plan}#")
        there = {key: item.get("body") for key, item in found}
        for key, body in items.items():
            if there.get(key) != body:  # it is new, or was damaged
                self._records.put(key, {"kind": "plan", "body": body})
        return plan

    def read(self, promotion: Promotion, plan: str) -> Plan:
        """Read the targets of a plan, without those that an operator has withdrawn."""
        return self.named(promotion, plan).without(promotion.withdrawn)

    def named(self, promotion: Promotion, plan: str) -> Plan:
        """Read the targets of a plan. If it is damaged, resolve the value in force by the applied file instead."""
        if not plan:
            return NO_PLAN
        try:
            return self._read(promotion, plan)
        except Unreadable:
            named = self._file.read().resolve(promotion.value or "", in_force=True)
            if not named.understood:
                raise
            places = (one.place for one in self._tracked.all(promotion.ami) if one.account in named.blocked)
            return Plan(frozenset(named.places), frozenset(places))

    def _read(self, promotion: Promotion, plan: str) -> Plan:
        found = self._records.list(addresses.promotion(promotion.ami).pk, f"plan#{plan}#places#")
        if not found:
            raise Unreadable(f"{promotion.key}: its plan {plan} is not on record. {_how_to_write_again(promotion)}")
        try:
            lists = [parsed(item, f"{promotion.key}: its plan {plan}") for _, item in found]
        except Unreadable as error:
            raise Unreadable(f"{error} {_how_to_write_again(promotion)}") from None
        wanted = frozenset(place for one in lists for place in one["wanted"])
        return Plan(wanted, frozenset(place for one in lists for place in one["blocked"]))

    def behind(self, promotion: Promotion, plan: str, cursor: int) -> list[PlannedTarget]:
        """Return the targets after the first ``cursor``, up to the end of their item. May raise Unreadable."""
        return self._chunk(promotion, plan, cursor // PLANNED)[cursor % PLANNED :]

    def targets(self, promotion: Promotion) -> Iterator[PlannedTarget]:
        """Yield the targets of the plan in force. May raise Unreadable."""
        for number in range(-(-promotion.planned // PLANNED)):
            yield from self._chunk(promotion, promotion.plan, number)

    def _chunk(self, promotion: Promotion, plan: str, number: int) -> list[PlannedTarget]:
        item = self._records.get(addresses.plan(promotion.ami, plan, number))
        try:
            planned = parsed(item, f"{promotion.key}: chunk {number} of its plan {plan}")
        except Unreadable as error:
            raise Unreadable(f"{error} {_how_to_write_again(promotion)}") from None
        return [(codec.decode(Target, one["target"]), tuple(one["groups"])) for one in planned]


def _how_to_write_again(promotion: Promotion) -> str:
    return f"`ami-promoter retry {promotion.ami}` resolves the tag's value and writes the plan again."


def _sorted_out(listed: Sequence[tuple[str, bool]]) -> dict[str, list[str]]:
    return {
        "wanted": [place for place, wanted in listed if wanted],
        "blocked": [place for place, wanted in listed if not wanted],
    }
