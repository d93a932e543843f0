"""The pass over tags: compares the tags in EC2 with the heads of all promotions, and acts where the two differ.

So the pass finds tag changes whose event was lost, and promotions whose targets a new file or new members change. AMIs
that are tagged when it first looks are the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import HEADS, RecordKey
from chalicelib.engine.budget import Budget, TimeLeft
from chalicelib.engine.errors import ParkRecord
from chalicelib.engine.ports import Records, Write
from chalicelib.engine.rotation import Rotation
from chalicelib.engine.stored import bodiless, is_missing
from chalicelib.engine.waker import Clock, Waker
from chalicelib.images.ports import Tagged
from chalicelib.promotion import evolving
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.head import Move, move
from chalicelib.promotion.model import Promotion
from chalicelib.sharing.head import Head
from chalicelib.targets.ports import Targets

BASELINE = RecordKey("discovery", "baseline")
CALLS = 4
"""For one AMI: an inbox entry, ``woken_at``, a message, and the cursor; for a slice of new ones: two transactions and
messages."""
AT_ONCE = 25
"""New promotions in one transaction, each with its head: with 5,000 tagged AMIs there is no time for single writes."""
A_PART = 0.7
"""Part of the time left that each turn of ``TagPass.run`` has, except the last one."""
LISTED = 100
"""How many AMIs the notice of the baseline names."""
DAMAGED = Head()
"""Stands for a head that cannot be read: it has no value, so the promotion is woken, and writes its head again."""

Heads = Mapping[str, Head]
"""By AMI."""


def read_heads(records: Records) -> Heads:
    """Read the heads of all promotions; DAMAGED for each that cannot be read."""
    return {key.sk: _head(key, item) for key, item in records.list(HEADS, "ami-")}


def read_head(records: Records, ami: str) -> Head:
    """Read the head of one promotion; DAMAGED if it is missing or cannot be read."""
    found = records.list(HEADS, ami)
    return next((_head(key, item) for key, item in found if key.sk == ami), DAMAGED)


def _head(key: RecordKey, item: Mapping[str, Any]) -> Head:
    try:
        return codec.decode(Head, codec.parsed_json(item["body"]), str(key))
    except (KeyError, TypeError, ValueError):
        return DAMAGED


@dataclass(eq=False)
class TagPass:
    """Begins promotions of tagged AMIs without one, and wakes those whose tag or targets have changed."""

    records: Records
    targets: Targets
    waker: Waker
    clock: Clock
    hub: str
    region: str

    def run(self, found: Sequence[Tagged], heads: Heads, *, time_left: TimeLeft) -> None:
        """Compare the tagged AMIs with the heads."""
        tagged = {one.ami: one for one in found}
        if bodiless(self.records, BASELINE) is None:
            self._write_baseline(tagged, heads, time_left)
            return
        applied = self.targets.read()
        judge = cache(applied.judge)  # thousands of AMIs have a few values
        moves: dict[str, Move] = {}
        for ami in tagged.keys() | heads.keys():
            one = tagged.get(ami)
            value, state = (one.value, one.state) if one else (None, "")
            step = move(value, state, heads.get(ami), applied, judge)
            if step is not None:
                moves[ami] = step
        starts = {ami for ami, step in moves.items() if step is Move.START}
        may_close = {ami for ami in moves if _has_open(heads.get(ami))}
        budget = Budget(time_left)

        def known(some: list[str]) -> None:
            for ami in some:
                self._move(ami, moves[ami], tagged.get(ami), heads.get(ami), applied.digests)

        def new(some: list[str]) -> None:
            self._start([tagged[ami] for ami in some], budget)

        # Promotions that may have to close something come first; no turn may take the time of the later ones.
        turns: list[tuple[str, Collection[str], int, Callable[[list[str]], None]]] = [
            ("tags-open", may_close, 1, known),
            ("tags", moves.keys() - may_close - starts, 1, known),
            ("starts", starts, AT_ONCE, new),
        ]
        turns = [turn for turn in turns if turn[1]]
        failed: Exception | None = None
        for number, (name, amis, size, act) in enumerate(turns, start=1):
            part = budget if number == len(turns) else budget.part(A_PART)
            try:
                Rotation(self.records, name).go(amis, act, part, CALLS, size)
            except Exception as error:  # noqa: BLE001 - one AMI's trouble must not delay others; it is raised below
                failed = failed or error
        if failed is not None:
            raise failed

    def _move(self, ami: str, step: Move, one: Tagged | None, was: Head | None, digests: str) -> None:
        minute = self.clock() // 60
        key = addresses.promotion(ami)
        match step:
            case Move.LOOK:
                self._look(key, one.value if one else "")
            case Move.RESOLVE:
                # With the time: a former file that comes back is news, as the promotion may have seen the one between.
                self.waker.wake(key, f"file:{digests}:{minute}", {"file": f"{minute}:{digests}"})
            case Move.FORGET:
                self._forget(addresses.head(ami), was)

    def _forget(self, key: RecordKey, was: Head | None) -> None:
        """Delete a head, unless it has been written since it was read, or a newer version wrote it."""
        try:
            item = self.records.get(key)
        except ParkRecord:
            return
        if item is not None and _head(key, item) == was:
            self.records.forget(key, {"kind": "head", **({"body": item["body"]} if "body" in item else {})})

    def _look(self, key: RecordKey, value: str) -> bool:
        minute = self.clock() // 60
        return self.waker.wake(key, f"discovered:{minute}", {"seen": f"{minute}:{value}"})

    def _start(self, some: Sequence[Tagged], budget: Budget) -> None:
        """Begin promotions and wake them. One that exists already has lost its head: it is to look at its tag."""
        now = self.clock()
        values = {addresses.promotion(one.ami): one.value for one in some}
        new = [evolving.started(one.ami, self.hub, self.region, now) for one in some]
        there = self._create(new, values)
        self.waker.wake_all([(record.key, f"discovered:{now // 60}") for record in new if record.key not in there])
        for key in budget.each(sorted(there, key=str), CALLS):
            mark, looks = addresses.standing(key.name), self._look(key, values[key])
            if not looks and bodiless(self.records, mark) is None:  # it is parked: the other pass looks
                self.records.put(mark, {"kind": "standing", "episode": 0})

    def _create(self, new: Sequence[Promotion], values: Mapping[RecordKey, str]) -> Collection[RecordKey]:
        """Write promotions with their heads, in one transaction. Returns the keys of those that existed already."""
        now = self.clock()
        items = {
            one.key: (
                PROMOTIONS.encode(one),
                [PROMOTIONS.head_item(one, *((values[one.key],) if one.key in values else ()))],
            )
            for one in new
        }
        there = self.records.create_all(list(items.values()), now)
        rest = [item for key, item in items.items() if key not in there]
        if there and rest:
            there = {*there, *self.records.create_all(rest, now)}
        return there

    def _write_baseline(self, tagged: Mapping[str, Tagged], heads: Heads, time_left: TimeLeft) -> None:
        """Write the baseline: a promotion for each AMI that is tagged now, which waits for a new tag event.

        EC2 keeps no time for a tag, so the service cannot tell old tags from new ones. One notice lists these AMIs.
        """
        left = Rotation(self.records, "baseline").go(
            [ami for ami in tagged if ami not in heads],
            lambda some: self._write_promotions([tagged[ami] for ami in some]),
            Budget(time_left),
            CALLS,
            AT_ONCE,
        )
        if not left:
            return
        now, there = self.clock(), read_heads(self.records)
        if any(is_missing(self.records, addresses.promotion(ami)) for ami in tagged.keys() - there.keys()):
            return  # some are not written yet: with the baseline complete, the next pass would promote them as new
        found = [ami for ami, head in there.items() if ami in tagged and head.waits]
        if found:
            body = {"images": sorted(found)[:LISTED], "count": len(found), "region": self.region, "hub": self.hub}
            notice = Write(addresses.BASELINE_NOTICE, "open", body, now)
            self.records.create(notice, now)
            self.waker.send(notice.key, "baseline")
        self.records.put(BASELINE, {"kind": "baseline", "at": now, "images": len(tagged)})

    def _write_promotions(self, tagged: Sequence[Tagged]) -> None:
        now = self.clock()
        new = [evolving.baseline(one.ami, self.hub, self.region, one.value, now) for one in tagged]
        self._create(new, {})


def _has_open(head: Head | None) -> bool:
    """Whether shares of a promotion may be open, so that a change may be a removal."""
    return head is not None and (head.moving or head.standing)
