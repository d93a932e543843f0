"""A pass over many names that may run out of time: the next run continues after the last name.

It also continues after one that failed, which would otherwise stop each run at the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget, slices
from chalicelib.engine.ports import Records
from chalicelib.engine.stored import bodiless


class Rotation:
    """A named pass. Its cursor is an item of its own, written only if the pass did not reach the end."""

    def __init__(self, records: Records, name: str) -> None:
        self._records = records
        self._key = RecordKey("cursors", name)

    def go(
        self, names: Collection[str], act: Callable[[list[str]], None], budget: Budget, calls: int, size: int = 1
    ) -> bool:
        """Process the names in order, starting after the cursor; at least one. False: time ran out before the last.

        ``size``: how many names ``act`` gets at once, which take ``calls`` together.
        """
        if not names:
            return True
        cursor = str((bodiless(self._records, self._key) or {}).get("after", ""))
        ordered = sorted(names, key=lambda name: (name <= cursor, name))
        some = ordered[-1:]
        for some in budget.each(slices(ordered, size), calls):
            try:
                act(some)
            except Exception:
                self._stopped_behind(some[-1])
                raise
        if some[-1] == ordered[-1]:
            return True
        self._stopped_behind(some[-1])
        return False

    def _stopped_behind(self, name: str) -> None:
        self._records.put(self._key, {"kind": "cursor", "after": name})
