"""What people were told of the applied file's versions: one item beside the members, which no operator can write.

===========  ========  =========================================================================
pk           sk        what
===========  ========  =========================================================================
``applied``  ``told``  body: JSON, ``Told``; number: how often it was written
===========  ========  =========================================================================
"""

from __future__ import annotations

import json

from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.errors import Misconfigured
from chalicelib.core.records import codec
from chalicelib.core.records.addresses import RecordKey
from chalicelib.ports.applied_versions import Told

TOLD = RecordKey("applied", "told")


class ToldVersions:
    """The port ``ToldStore``; it reads consistently. An error from AWS is raised as boto3 raises it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def load(self) -> tuple[Told, int]:
        item = self._table.get(TOLD)
        if item is None:
            return Told(), 0
        try:
            return codec.decode(Told, json.loads(item["body"]), str(TOLD)), int(item["number"])
        except (KeyError, ValueError) as error:
            what = f"the item {TOLD.pk} / {TOLD.sk} of the table of members is unreadable ({error!r}): delete it."
            raise Misconfigured(what) from error

    def save(self, told: Told, number: int) -> bool:
        body = json.dumps(codec.encode(told), separators=(",", ":"))
        return self._table.put_unless_changed(TOLD, {"body": body, "number": number + 1}, "number", number)
