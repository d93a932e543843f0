"""Refuses to read tags by a new trigger tag key while AMIs are shared by the old one.

No AMI has the new tag, so every look would show a removed tag, and the service would withdraw every standing share.
"""

from __future__ import annotations

from chalicelib.engine.addresses import STANDING, TRIGGER
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Records
from chalicelib.engine.stored import bodiless


class TriggerTagCheck:
    """Called before each read of tags by the key. Raises Refusal while there are standing shares by another key."""

    def __init__(self, records: Records, key: str) -> None:
        self._records = records
        self._key = key
        self._checked = False

    def __call__(self) -> None:
        """Compare the key with the one on record, once: a Lambda environment keeps its parameters."""
        if self._checked:
            return
        item = bodiless(self._records, TRIGGER) or {}
        known = item.get("key")
        if known != self._key:
            if isinstance(known, str) and self._records.list(STANDING, "ami-"):
                raise Refusal(RefusalKind.THROTTLED, _changed(known, self._key))
            self._records.put(TRIGGER, {"kind": "trigger", "key": self._key})
        self._checked = True


def _changed(known: str, key: str) -> Fault:
    return Fault(
        "trigger-tag-changed",
        "parameter TriggerTagKey",
        f"It is `{key}`, and AMIs are still shared by the tag `{known}`. No tag is looked at, so nothing is "
        "withdrawn or promoted.",
        f"If the parameter was changed, deploy with `TriggerTagKey={known}` again. To change it: remove that tag from "
        "all AMIs, wait until `ami-promoter status` shows nothing shared, and deploy then. If it was not, somebody has "
        "written the table of records: delete its item `discovery`, `trigger`.",
    )
