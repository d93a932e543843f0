"""The pass over tags: compares those in EC2 with what is on record, for lost tag events and new files.

What is tagged when it first looks is the baseline. After that it reads one list of tagged AMIs and the heads of all
promotions, and acts only where the two do not agree: a pass over what has not changed costs a few pages, and where time
runs out the next pass goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from chalicelib.core import addresses, codec
from chalicelib.core.addresses import HEADS, Key
from chalicelib.core.promotion import evolving
from chalicelib.core.promotion.head import Head, Move, Resolver, move
from chalicelib.ports import Records, Tagged, Targets, Write
from chalicelib.service.bell import Bell, Clock
from chalicelib.service.budget import Budget
from chalicelib.service.codecs import PROMOTIONS
from chalicelib.service.rotation import Rotation

BASELINE = Key("discovery", "baseline")
CALLS = 4
"""For one AMI: a record or a note, a head, a message, and the cursor."""
LISTED = 100
"""So many AMIs the notice of the baseline names."""
DAMAGED = Head()
"""Stands for a head that cannot be read: no value is known, so the promotion looks, and writes it anew."""

Heads = Mapping[str, Head]
"""By AMI."""


def read_heads(records: Records) -> Heads:
    """Read the heads of all promotions."""
    found = {}
    for key, item in records.list(HEADS, "ami-"):
        try:
            found[key.sk] = codec.decode(Head, json.loads(item["body"]), str(key))
        except (KeyError, TypeError, ValueError):
            found[key.sk] = DAMAGED
    return found


class TagPass:
    """Starts what is tagged and unknown, and wakes promotions whose tag, file or membership has moved."""

    def __init__(self, records: Records, targets: Targets, bell: Bell, clock: Clock, hub: str, region: str) -> None:
        self._records = records
        self._targets = targets
        self._bell = bell
        self._clock = clock
        self._hub = hub
        self._region = region

    def run(self, found: Sequence[Tagged], heads: Heads, *, time_left: Clock) -> None:
        """Compare the tagged AMIs with the heads."""
        tagged = {one.ami: one for one in found}
        if self._records.get(BASELINE) is None:
            self._leave(tagged, heads, time_left)
            return
        resolver = Resolver(self._targets.read())
        moves: dict[str, Move] = {}
        for ami in tagged.keys() | heads.keys():
            one = tagged.get(ami)
            value, state = (one.value, one.state) if one else (None, "")
            step = move(value, state, heads.get(ami), resolver)
            if step is not None:
                moves[ami] = step
        generation = resolver.applied.generation
        Rotation(self._records, "tags").go(
            moves,
            lambda ami: self._move(ami, moves[ami], tagged.get(ami), generation),
            Budget(time_left),
            CALLS,
        )

    def _move(self, ami: str, step: Move, one: Tagged | None, generation: str) -> None:
        minute = self._clock() // 60
        key = addresses.promotion(ami)
        look = {"seen": f"{minute}:{one.value if one else ''}"}
        match step:
            case Move.START:
                if not start(self._records, self._bell, ami, self._hub, self._region, self._clock()):
                    self._bell.note(key, look, f"discovered:{minute}")  # it is known, and its head was lost
            case Move.LOOK:
                self._bell.note(key, look, f"discovered:{minute}")
            case Move.RESOLVE:
                self._bell.note(key, {"generation": generation}, f"generation:{generation}:{minute}")
            case Move.FORGET:
                self._records.forget(addresses.head(ami), {"kind": "head"})

    def _leave(self, tagged: Mapping[str, Tagged], heads: Heads, time_left: Clock) -> None:
        """Put what was tagged before the service first looked on record, where it waits for a new tag event.

        EC2 keeps no time for a tag. One notice says what was left; its worker sends it.
        """
        left = Rotation(self._records, "baseline").go(
            [ami for ami in tagged if ami not in heads],
            lambda ami: self._leave_one(tagged[ami]),
            Budget(time_left),
            CALLS,
        )
        if not left:
            return
        now = self._clock()
        found = [ami for ami, head in read_heads(self._records).items() if ami in tagged and head.waits]
        if found:
            body = {"images": sorted(found)[:LISTED], "count": len(found), "region": self._region, "hub": self._hub}
            notice = Write(addresses.baseline_notice(), "open", body, now)
            self._records.create(notice, now)
            self._bell.ring(notice.key, "baseline")
        self._records.put(BASELINE, {"kind": "baseline", "at": now, "images": len(tagged)})

    def _leave_one(self, tagged: Tagged) -> None:
        now = self._clock()
        record = evolving.baseline(tagged.ami, self._hub, self._region, tagged.value, now)
        if self._records.create(PROMOTIONS.encode(record), now):
            self._records.put(*PROMOTIONS.head_item(record))


def start(records: Records, bell: Bell, ami: str, hub: str, region: str, now: int) -> bool:
    """Put a promotion that nobody has looked at yet, and wake it. False: there is one."""
    record = evolving.started(ami, hub, region, now)
    if not records.create(PROMOTIONS.encode(record), now):
        return False
    bell.ring(record.key, f"discovered:{now // 60}")
    return True
