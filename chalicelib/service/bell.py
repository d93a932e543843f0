"""Wakes: one conditional write that is safe to repeat, and a message that may be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chalicelib.core.records.addresses import RecordKey
from chalicelib.ports.aws import NOTHING, MadeDue
from chalicelib.ports.messaging import Rings
from chalicelib.ports.records import Records, Write

Clock = Callable[[], int]
"""Epoch seconds."""


class Bell:
    """Wakes the workers of records. A wake carries no facts: whoever is woken looks."""

    def __init__(self, records: Records, rings: Rings, clock: Clock) -> None:
        self._records = records
        self._rings = rings
        self._clock = clock

    def wake(self, key: RecordKey, cause: str, hints: Mapping[str, str] = NOTHING) -> bool:
        """Make a record due, so that the sweep finds it, and send a wake, unless one is on its way.

        ``hints``: what a person asks of it. False: there is no such record, or it was set aside.
        """
        call = self._records.make_due(key, self._clock(), hints)
        if call is MadeDue.SEND:
            self._rings.ring(key, cause)
        return call is not MadeDue.NONE

    def wake_or_create(self, write: Write, cause: str) -> None:
        """Wake one that may not exist yet."""
        if not self.wake(write.key, cause) and self._records.create(write, self._clock()):
            self.ring(write.key, cause)

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> None:
        """Send wakes, and no more: to records that have just been put, or that look when they are due, too."""
        self._rings.ring_all(wakes)

    def remind(self, write: Write, hints: Mapping[str, str]) -> None:
        """Leave hints on a record that may not exist yet and is due at ``write.due_at``, if not sooner; wake nobody."""
        if not self._records.note(write.key, hints, self._clock(), due=write.due_at):
            self._records.create(write, self._clock())
            self._records.note(write.key, hints, self._clock(), due=write.due_at)

    def ring(self, key: RecordKey, cause: str) -> None:
        """Wake a record that has just been written, unless a wake is on its way."""
        if self._records.mark_rung(key, self._clock()):
            self._rings.ring(key, cause)
