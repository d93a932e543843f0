"""Asks what the service has in each target, and reads the answers.

The roles in targets trust the service alone, so `worker` looks there: the command writes an entry into the inbox of the
target's inventory, and reads the answer from the table. If another command replaces the entry, this one takes the
answer to that, because it is newer.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.record_requests import wake
from ami_promoter.hub.records import Reader, RecordSeen
from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.terminal.output import Progress, tell
from ami_promoter.verbs import TerminalClock
from chalicelib.delivery.target_seen import TargetSeen
from chalicelib.engine import addresses, codec
from chalicelib.engine.budget import slices
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.engine.ports import Write
from chalicelib.inventory.machine import LOOK, AmiUse, Inventory, OwnImage, OwnInstance, OwnSnapshot

POLL, POLL_IN_ALL = 5, 1
"""Seconds between two reads of the answers; where the whole time is short."""
AT_ONCE, AT_ONCE_IN_ALL = 100, 10
"""Targets that are asked before they are woken together: they answer while the next ones are asked."""
STEPS, SILENT = 10, 30
"""Progress is reported in so many steps, and at least every so many seconds."""


@dataclass(frozen=True, slots=True)
class Inventories:
    """Asks the targets of one hub. ``patience``: seconds without a new answer after which it stops waiting."""

    connection: Connection
    patience: int
    clock: TerminalClock
    checks: bool = False
    """Ask for the targets' settings instead of what the service created there."""
    images: Mapping[Place, str] = field(default_factory=dict)
    """Ask what names the AMI of each target."""
    in_all: bool = False
    """``patience`` is for asking and for all answers together; half of it for asking."""

    @property
    def _reader(self) -> Reader:
        return Reader(self.connection, "reading the targets' answers")

    def ask(self, places: Sequence[Place], verb: str) -> dict[Place, TargetFacts]:
        """Ask `worker` to look at these targets, and wait for the answers. ``verb``: who asks, for the request's id."""
        until = self.clock.now() + self.patience
        asks_until = self.clock.now() + self.patience / 2 if self.in_all else math.inf
        asked = self._ask_all(places, f"{verb}-{uuid.uuid4().hex[:12]}", asks_until)
        found: dict[Place, TargetFacts] = {}
        until = until if self.in_all else self.clock.now() + self.patience
        reported, reported_at = -1, self.clock.now()
        while left := [place for place in asked if place not in found]:
            if answers := self._answers(left):
                found |= answers
                until = until if self.in_all else self.clock.now() + self.patience
            if len(found) == len(asked) or self.clock.now() >= until:
                if reported >= 0:
                    tell(_answered(found, places))
                break
            if len(found) >= reported + max(1, len(places) // STEPS) or self.clock.now() > reported_at + SILENT:
                tell(_answered(found, places, " (Ctrl-C: go on without them)" if self.in_all else ""))
                reported, reported_at = len(found), self.clock.now()
            self.clock.sleep(POLL_IN_ALL if self.in_all else POLL)
        return found | {place: TargetFacts(fault=_silent(place)) for place in places if place not in found}

    def _ask_all(self, places: Sequence[Place], run: str, until: float) -> Sequence[Place]:
        """Write the requests, and wake; return the targets that were asked before ``until``, in slices."""
        progress = Progress("Asking the targets", self.clock.now)
        known = self._reader.many(map(self._key, places))
        asked = 0
        with self.connection.telling("asking the targets"):
            for some in slices(places, AT_ONCE_IN_ALL if self.in_all else AT_ONCE):
                for number, place in enumerate(some, asked):
                    progress.at(number, len(places))
                    self._ask(place, run, known=self._key(place) in known)
                wake(self.connection, map(self._key, some))
                asked += len(some)
                if self.clock.now() >= until:
                    break
        return places[:asked]

    def _key(self, place: Place) -> addresses.RecordKey:
        return self._asked(place).key

    def _asked(self, place: Place) -> Inventory:
        return Inventory(*place, checks=self.checks, image=self.images.get(place, ""))

    def _ask(self, place: Place, run: str, *, known: bool) -> None:
        """Ask about one target; ``known``: its inventory exists."""
        record, now = self._asked(place), int(self.connection.now())
        if not known:
            body = codec.encode(record)
            body.pop("inbox")
            self.connection.records.create(Write(record.key, record.state.value, body, now), now)
        self.connection.records.make_due(record.key, now, {LOOK: run})

    def _answers(self, places: Iterable[Place]) -> dict[Place, TargetFacts]:
        """Read the answers that have arrived."""
        keys = {self._key(place): place for place in places}
        answered = {key: one.it for key, one in self._reader.many(keys).items() if _is_answered(one)}
        pages = self._pages(answered)
        found = {key: (one, pages.get(key.pk, [])) for key, one in answered.items()}
        return {keys[key]: self._facts(*one) for key, one in found.items() if _is_complete(*one)}

    def _pages(self, answered: Mapping[addresses.RecordKey, Inventory]) -> dict[str, list[Mapping[str, Any]]]:
        """Read the pages of all inventories that have been answered, by partition key, in their order."""
        wanted = [addresses.inventory_page(key, n) for key, one in answered.items() for n in range(one.pages)]
        pages: dict[str, list[Mapping[str, Any]]] = {}
        for page in sorted(self._reader.all(wanted), key=lambda page: str(page["sk"])):
            pages.setdefault(str(page["pk"]), []).append(page)
        return pages

    def _facts(self, inventory: Inventory, pages: Iterable[Mapping[str, Any]]) -> TargetFacts:
        if inventory.fault:
            return TargetFacts(fault=inventory.fault)
        rows = [row for page in pages for row in codec.parsed_json(page.get("body", "[]"))]
        return TargetFacts(
            tuple(codec.decode(OwnImage, row["image"]) for row in rows if "image" in row),
            tuple(codec.decode(OwnSnapshot, row["snapshot"]) for row in rows if "snapshot" in row),
            tuple(codec.decode(OwnInstance, row["instance"]) for row in rows if "instance" in row),
            next((codec.decode(Fault, row["unseen"]) for row in rows if "unseen" in row), None),
            together(row["seen"] for row in rows if "seen" in row) if self.checks else None,
            uses=tuple(codec.decode(AmiUse, row["use"]) for row in rows if "use" in row),
        )


def _is_answered(record: RecordSeen[Inventory]) -> bool:
    """Whether `worker` has finished the last look that was asked for."""
    sound = isinstance(record.item.get("version"), int) and not record.parked
    return sound and bool(record.it.seen) and not record.it.to_look


def _is_complete(inventory: Inventory, pages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all pages are of that look; another command may have asked for the next one meanwhile."""
    return len(pages) == inventory.pages and all(page.get("run") == inventory.seen for page in pages)


def _silent(place: Place) -> Fault:
    cure = (
        "Check whether its record is parked (`ami-promoter status`), and whether the sweep and `worker` run "
        "(docs/operations/runbook.md)."
    )
    return Fault("not-seen", f"account {place[0]}, {place[1]}", "The target has not answered.", cure)


def _answered(found: Sized, places: Sized, stop: str = "") -> str:
    return f"Targets that answered: {len(found):,} of {len(places):,}{stop}."


def together(parts: Iterable[Mapping[str, Any]]) -> TargetSeen:
    """Combine the stored facets (``codec.encode``, sparse). Raises ValueError."""
    whole: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for part in parts:
        whole |= part
        refused |= part.get("refused", {})
    return codec.decode(TargetSeen, {**whole, "refused": refused}, "what a target is like")
