"""Turns an event into a wake. The worker that the wake starts asks AWS what is true.

Account and Region are taken from the envelope, ids from the text after the last "/" of an ARN: AWS's own samples
show three spellings of a snapshot's ARN [aws-facts 1b, VERIFIED]. An event that does not fit is ignored and raises
nothing, because it would only come again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.places import last_part
from chalicelib.engine.ports import Records, WakeQueues
from chalicelib.engine.wakes import FAILED_COPY, Reason, TagEntry, Wake, said_of

AMI = re.compile(r"ami-[0-9a-f]{1,40}\Z")
SNAPSHOT = re.compile(r"snap-[0-9a-f]{1,40}\Z")
ACCOUNT = re.compile(r"[0-9]{12}\Z")
REGION = re.compile(r"[a-z0-9-]{1,40}\Z")
MAX_ID = 100
"""Characters of an event's id; AWS's have 36."""
MAX_VERSION = 10**12


@dataclass(eq=False)
class Events:
    """Sends wakes. It reads look-ups only, and writes nothing (invariant 11)."""

    records: Records
    wakes: WakeQueues
    hub: str
    region: str
    trigger_tag: str

    def tag_change(self, event: Mapping[str, Any]) -> None:
        """Wake the promotion of an image of the hub whose trigger tag has changed (``Tag Change on Resource``).

        The event's version says which of several is the newest.
        """
        detail = _mapping(event.get("detail"))
        tags = _mapping(detail.get("tags"))
        changed = detail.get("changed-tag-keys")
        ami = _last(event.get("resources"), AMI)
        if not self._from_hub(event) or ami is None or not isinstance(changed, list) or self.trigger_tag not in changed:
            return
        version = _whole(detail.get("version"))
        if version is None or not 0 <= version < MAX_VERSION:
            return
        value = str(tags[self.trigger_tag]) if self.trigger_tag in tags else None
        entry = TagEntry(version, _epoch(event.get("time")), _id(event), said_of(value))
        self._wake(addresses.promotion(ami), "untag" if value is None else "tag", str(entry), event)

    def image_state(self, event: Mapping[str, Any]) -> None:
        """Wake the promotion of an image of the hub that has changed its state: it may be waiting for that."""
        ami = _last(event.get("resources"), AMI)
        if self._from_hub(event) and ami is not None:
            self._wake(addresses.promotion(ami), "image", _id(event), event)

    def target_event(self, event: Mapping[str, Any]) -> None:
        """Wake the deliveries that a target's event is about: a copy ended, or an AMI changed its state.

        An event about no known delivery wakes nothing.
        """
        account, region = event.get("account"), event.get("region")
        if not (isinstance(account, str) and ACCOUNT.match(account)):
            return
        if not (isinstance(region, str) and REGION.match(region)):
            return
        detail = _mapping(event.get("detail"))
        if event.get("detail-type") == "EBS Snapshot Notification" and detail.get("event") == "copySnapshot":
            source = _last([detail.get("source")], SNAPSHOT)
            if source is not None:
                said = "" if detail.get("result") == "succeeded" else FAILED_COPY
                self._wake_deliveries(addresses.copy_lookups(account, region, source), f"look#{source}", event, said)
        elif event.get("detail-type") == "EC2 AMI State Change":
            image = _last(event.get("resources"), AMI)
            if image is not None:
                self._wake_deliveries(addresses.image_lookups(account, region, image), "image", event)

    def _wake_deliveries(self, partition: str, name: str, event: Mapping[str, Any], said: str = "") -> None:
        for key, item in self.records.list(partition, "delivery#"):
            # By way of the hub's own copy: the delivery knows each copy by its first source.
            reason = f"look#{item['source']}" if "source" in item else name
            value = f"{said}{_id(event)}"[:MAX_ID]
            self._wake(addresses.delivery(key.sk.removeprefix("delivery#")), reason, value, event)

    def _wake(self, key: RecordKey, name: str, value: str, event: Mapping[str, Any]) -> None:
        self.wakes.send(Wake(key, _id(event), Reason(name, value)))

    def _from_hub(self, event: Mapping[str, Any]) -> bool:
        return event.get("account") == self.hub and event.get("region") == self.region


def _id(event: Mapping[str, Any]) -> str:
    """Return the event's id as text that a record can contain."""
    return ascii(str(event.get("id")))[1:-1][:MAX_ID]


def _whole(value: Any) -> int | None:
    """Read a whole number, however JSON wrote it: AWS's sample of a tag event has ``3``, others show ``3.0``."""
    if isinstance(value, float) and value.is_integer():  # false for NaN and the infinities
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _epoch(time: Any) -> int | None:
    """Read the envelope's time; None if there is none that can be read, or that can be meant."""
    try:
        return max(int(datetime.fromisoformat(time).timestamp()), 0) or None
    except (TypeError, ValueError, OverflowError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _last(arns: Any, form: re.Pattern[str]) -> str | None:
    """Return the id at the end of the first ARN, if it has the form of one."""
    if not isinstance(arns, list) or not arns or not isinstance(arns[0], str):
        return None
    ident = last_part(arns[0])
    return ident if form.match(ident) else None
