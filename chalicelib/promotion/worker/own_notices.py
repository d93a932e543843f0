"""Notices that no promotion or delivery sends: of the baseline, and of a withdrawal whose delivery cannot act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.delivery import notices as delivery_notices
from chalicelib.delivery import permissions
from chalicelib.engine import schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Notices, Records, Write
from chalicelib.engine.stored import fitting
from chalicelib.engine.waker import Clock
from chalicelib.promotion import notices as promotion_notices
from chalicelib.sharing.ports import Ledger


@dataclass(eq=False)
class OwnNotices:
    """Sends these notices. The record of one is due until the notice has been sent."""

    records: Records
    ledger: Ledger
    out: Notices
    clock: Clock

    def run(self, key: RecordKey) -> None:
        """Send the notice. After a refusal its record stays due, and the sweep wakes it.

        The notice of a withdrawal waits until looks at AWS miss what was shared; after an hour it says what is open.
        """
        stored = self.records.read(key)
        if stored is None or stored.parked or stored.body.get("sent"):
            return
        body, now = stored.body, self.clock()
        if key.kind == "baseline":
            notice = promotion_notices.baseline(body["hub"], body["region"], body["images"], body["count"], now)
        else:
            left = self._still_open(body)
            if left and now < fitting(body, "since", 0) + schedule.TIDYING_DEADLINE:
                self.records.save(stored, Write(key, "open", body, now + schedule.SILENCE), (), now)
                return
            notice = delivery_notices.withdrawn_unsaid(body, left, now)
        self.out.publish(notice)
        self.records.save(stored, Write(key, "open", {**body, "sent": now}, None), ("notified",), now)

    def _still_open(self, body: Mapping[str, Any]) -> Sequence[str]:
        places = [(str(resource), str(share_name)) for resource, share_name in body.get("shares", ())]
        return permissions.still_open(self.ledger.find(places)) if places else ()
