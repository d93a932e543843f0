"""Note and ring: one conditional write that is safe to repeat, and a message that may be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chalicelib.core.addresses import Key
from chalicelib.ports import LeadsOn, Noted, Records, Rings, Write, always, never

Clock = Callable[[], int]
"""Epoch seconds."""


class Bell:
    """Leaves hints on records and rings their lanes. Nothing is in the queue that is not on a record."""

    def __init__(self, records: Records, rings: Rings, clock: Clock) -> None:
        self._records = records
        self._rings = rings
        self._clock = clock

    def note(self, key: Key, hints: Mapping[str, str], cause: str, *, leads_on: LeadsOn = always) -> Noted:
        """Leave hints and ring, unless somebody has rung already.

        ``leads_on``: whether the record as it then is has anything to do; where it has not, nobody is woken.
        """
        noted = self._records.note(key, hints, self._clock(), leads_on=leads_on)
        if noted.ring:
            self._rings.ring(key, cause)
        return noted

    def note_or_create(self, write: Write, hints: Mapping[str, str], cause: str) -> Noted:
        """Leave hints on a record that may not exist yet."""
        noted = self.note(write.key, hints, cause)
        if noted.found:
            return noted
        self._records.create(write, self._clock())
        return self.note(write.key, hints, cause)

    def remind(self, write: Write, hints: Mapping[str, str]) -> None:
        """Leave hints on a record that may not exist yet and rings at ``write.due_at``, if not sooner; wake nobody."""
        noted = self._records.note(write.key, hints, self._clock(), leads_on=never, due=write.due_at)
        if not noted.found:
            self._records.create(write, self._clock())
            self._records.note(write.key, hints, self._clock(), leads_on=never, due=write.due_at)

    def ring_new(self, keys: Sequence[Key], cause: str) -> None:
        """Ring records that have just been put, many by one call. What is lost is due, and the sweep wakes it."""
        self._rings.ring_all([(key, cause) for key in keys])

    def wake_all(self, wakes: Sequence[tuple[Key, str]]) -> None:
        """Wake records that look at the truth when they are due, too: what is lost costs them no more than that."""
        self._rings.ring_all(wakes)

    def ring(self, key: Key, cause: str) -> None:
        """Ring a lane whose record has just been written, unless somebody has rung already."""
        if self._records.mark_rung(key, self._clock()):
            self._rings.ring(key, cause)
