"""The drift audit's items in the table of findings.

===========================  =======================  ==================================================
pk                           sk                       what
===========================  =======================  ==================================================
``drift``                    ``pass``                 how far the audit has come, and its doubts
``drift#<digest>``           ``record``               that this was published: at
``finding#<resource>``       ``at#<time>#<digest>``   a finding, beside those of the access monitor
===========================  =======================  ==================================================

Its role can write no other item there: a thief of it can silence the audit, but not the access monitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey, digest, finding
from chalicelib.engine.schedule import DAY
from chalicelib.engine.store.table import EXPIRES, Table
from chalicelib.monitor.drift import DriftPlace, Pass

PASS = RecordKey("drift", "pass")
NOTIFIED_KEPT = 7 * DAY
"""Seconds after which a finding that was gone and is back is published again; a pass is daily."""


class DynamoDrift:
    """The port ``DriftFindings`` on one table. ``keep_days``: for how long findings are kept."""

    def __init__(self, table: Table, keep_days: int) -> None:
        self._table = table
        self._keep = keep_days * DAY

    def read(self) -> Pass | None:
        """Read it; what a later version has added is left out."""
        item = self._table.get(PASS) or {}
        members = {one.name: item[one.name] for one in fields(Pass) if one.name in item}
        return codec.decode(Pass, members, "the drift audit's pass") if members else None

    def save(self, this: Pass) -> Pass | None:
        after = replace(this, version=this.version + 1)
        put = self._table.put_unless_changed(PASS, codec.encode(after), "version", this.version)
        return after if self._table.do("put_item", put) else None

    def was_notified(self, about: str, now: int) -> bool:
        item = self._table.get(_notified(about))
        return item is not None and int(item[EXPIRES]) > now

    def notified(self, about: str, now: int) -> None:
        self._table.put(_notified(about), {"at": now, EXPIRES: now + NOTIFIED_KEPT})

    def keep(self, place: DriftPlace, said: Mapping[str, object], now: int) -> None:
        event = f"drift-{digest(str(place), str(said['verdict']), length=12)}"
        self._table.put(finding(place.resource, now, event, "drift"), {**said, EXPIRES: now + self._keep})


def _notified(about: str) -> RecordKey:
    return RecordKey(f"drift#{about}")
