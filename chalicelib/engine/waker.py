"""Waking a record: a conditional write that is safe to repeat, and a message that may be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import NOTHING, MadeDue, Records, WakeQueues, Write
from chalicelib.engine.wakes import Wake

Clock = Callable[[], int]
"""Epoch seconds."""


def new_resource(resource: str, now: int) -> Write:
    """Return the record of a resource with shares, due now. It has nothing that the ledger does not have."""
    return Write(RecordKey(resource), "open", {"resource": resource}, now)


class Waker:
    """Wakes the workers of records. A wake carries no facts; the worker looks."""

    def __init__(self, records: Records, wakes: WakeQueues, clock: Clock) -> None:
        self._records = records
        self._wakes = wakes
        self.clock = clock

    def wake(self, key: RecordKey, cause: str, inbox: Mapping[str, str] = NOTHING, fresh: Write | None = None) -> bool:
        """Make a record due, so that the sweep finds it, and send a wake, unless one is on its way.

        ``inbox``: requests to write. ``fresh``: the record to create if there is none. False: there is no such record,
        or it is parked.
        """
        call = self._records.make_due(key, self.clock(), inbox, fresh)
        if call is MadeDue.SEND:
            self._wakes.send(Wake(key, cause))
        return call is not MadeDue.NONE

    def wake_resources(self, resources: Iterable[str], cause: str) -> None:
        """Wake resources with shares, and create the records of those that have none.

        The service parks no such record. One that somebody else has parked goes on, as no removal waits for a person.
        """
        wakes = []
        for resource in resources:
            fresh = new_resource(resource, self.clock())
            call = self._records.make_due(fresh.key, self.clock(), fresh=fresh)
            if call is MadeDue.SEND or (call is MadeDue.NONE and self._records.unpark(fresh.key, self.clock())):
                wakes.append((fresh.key, cause))
        if wakes:
            self.wake_all(wakes)

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> None:
        """Send wakes without making records due: they were just written, or look soon by themselves."""
        self._wakes.wake_all(wakes)

    def send(self, key: RecordKey, cause: str) -> None:
        """Send a wake for a record that is due already."""
        self._wakes.send(Wake(key, cause))
