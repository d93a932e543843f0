"""Notices that no promotion or delivery sends: of the baseline, and of a withdrawal whose delivery cannot act."""

from __future__ import annotations

from chalicelib.core import notices
from chalicelib.core.records.addresses import RecordKey
from chalicelib.ports.messaging import Notices
from chalicelib.ports.records import Records, Write
from chalicelib.service.waker import Clock


class OwnNotices:
    """Sends such notices. A notice's record is due until the notice has been sent."""

    def __init__(self, records: Records, out: Notices, clock: Clock) -> None:
        self._records = records
        self._out = out
        self._clock = clock

    def run(self, key: RecordKey) -> None:
        """Send the notice once. After a refusal its record stays due, and the sweep wakes it."""
        stored = self._records.begin(key)
        if stored is None or stored.parked or stored.body.get("sent"):
            return
        body, now = stored.body, self._clock()
        if key.kind == "baseline":
            notice = notices.baseline(body["hub"], body["region"], body["images"], body["count"], now)
        else:
            notice = notices.withdrawn_unsaid(body, now)
        self._out.publish(notice)
        self._records.save(stored, Write(key, "open", {**body, "sent": now}, None), ("notified",), now)
