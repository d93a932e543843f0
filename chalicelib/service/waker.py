"""Waking a record: a conditional write that is safe to repeat, and a message that may be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chalicelib.core.records.addresses import RecordKey
from chalicelib.ports.messaging import WakeQueues
from chalicelib.ports.records import NOTHING, MadeDue, Records, Write

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

    def wake(self, key: RecordKey, cause: str, inbox: Mapping[str, str] = NOTHING) -> bool:
        """Make a record due, so that the sweep finds it, and send a wake, unless one is on its way.

        ``inbox``: requests to write. False: there is no such record, or it is parked.
        """
        call = self._records.make_due(key, self.clock(), inbox)
        if call is MadeDue.SEND:
            self._wakes.wake(key, cause)
        return call is not MadeDue.NONE

    def leave_to_sweep(self, key: RecordKey) -> None:
        """Make a record due within two minutes, and send no wake: the sweep's begins a new chain of invocations."""
        self._records.make_due(key, self.clock())

    def wake_or_create(self, write: Write, cause: str) -> None:
        """Wake a record, and create it first if it does not exist."""
        if not self.wake(write.key, cause) and self._records.create(write, self.clock()):
            self.send(write.key, cause)

    def wake_resource(self, resource: str, cause: str) -> None:
        """Wake a resource with shares, and create its record first if it does not exist.

        The service parks no such record. One that somebody else has parked goes on, as no removal waits for a person.
        """
        fresh = new_resource(resource, self.clock())
        if not self.wake(fresh.key, cause) and (
            self._records.unpark(fresh.key, self.clock()) or self._records.create(fresh, self.clock())
        ):
            self.send(fresh.key, cause)

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> None:
        """Send wakes without making records due: they were just written, or look soon by themselves."""
        self._wakes.wake_all(wakes)

    def remind(self, write: Write, inbox: Mapping[str, str]) -> None:
        """Write inbox entries for a record, and create it first if it does not exist; due by ``write.due_at``."""
        if not self._records.leave(write.key, inbox, self.clock(), due=write.due_at):
            self._records.create(write, self.clock())
            self._records.leave(write.key, inbox, self.clock(), due=write.due_at)

    def send(self, key: RecordKey, cause: str) -> None:
        """Send a wake for a record that is due already, unless one is on its way."""
        if self._records.mark_woken(key, self.clock()):
            self._wakes.wake(key, cause)
