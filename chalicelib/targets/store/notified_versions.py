"""Of which versions of the applied file people were notified: one item beside the members, which no operator can write.

===========  ========  =========================================================================
pk           sk        what
===========  ========  =========================================================================
``applied``  ``notified``  body: JSON, ``Notified``; number: how often it was written
===========  ========  =========================================================================
"""

from __future__ import annotations

import json

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import Misconfigured
from chalicelib.engine.store.table import Table
from chalicelib.targets.ports import Notified

NOTIFIED = RecordKey("applied", "notified")


class NotifiedVersions:
    """The port ``NotifiedStore``; it reads consistently. An error from AWS is raised as boto3 raises it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def load(self) -> tuple[Notified, int]:
        item = self._table.get(NOTIFIED)
        if item is None:
            return Notified(), 0
        try:
            return codec.decode(Notified, json.loads(item["body"]), str(NOTIFIED)), int(item["number"])
        except (KeyError, ValueError) as error:
            what = f"the item {NOTIFIED.pk} / {NOTIFIED.sk} of the members' table is unreadable ({error!r}): delete it."
            raise Misconfigured(what) from error

    def save(self, notified: Notified, number: int) -> bool:
        body = json.dumps(codec.encode(notified), separators=(",", ":"))
        return self._table.put_unless_changed(NOTIFIED, {"body": body, "number": number + 1}, "number", number)
