"""The loop of a lane: read the record, ask what is outstanding, write the intent, do it, absorb the result, write it.

Deliveries and promotions run in it. Between any two of its calls the process may die: whoever rings next starts from
the record as it was last written.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from chalicelib.core.addresses import Key
from chalicelib.core.errors import IllegalEvent, ParkRecord
from chalicelib.ports import Records, Stored, Telemetry, Write
from chalicelib.service.bell import Bell, Clock

R = TypeVar("R")
C = TypeVar("C")
E = TypeVar("E")

MAX_STEPS = 40
"""In one invocation; what is left then rings again. The function's time limit is checked by the handler's caller."""

Extras = Sequence[tuple[Key, Mapping[str, Any]]]


class Lane(ABC, Generic[R, C, E]):
    """One kind of record's loop; ``R`` record, ``C`` command, ``E`` event."""

    def __init__(self, records: Records, bell: Bell, clock: Clock, telemetry: Telemetry) -> None:
        self._records = records
        self._bell = bell
        self._clock = clock
        self._telemetry = telemetry

    def run(self, key: Key, cause: str, *, time_left: Clock) -> None:
        """Do what is outstanding for one record. ``time_left`` says how many seconds the invocation still has."""
        try:
            stored = self._records.begin(key)
            steps = 0
            while stored is not None and not stored.parked:
                if steps >= MAX_STEPS or time_left() < self.needs_seconds:
                    self._bell.ring(key, f"more:{stored.version}")
                    return
                stored = self._step(stored, cause, time_left)
                steps += 1
        except ParkRecord as trouble:
            self._records.park(key, str(trouble), self._clock())
            self._telemetry.parked(key, str(trouble))

    needs_seconds = 16
    """A step is begun only with so much time left: two SDK time-outs."""

    def _step(self, stored: Stored, cause: str, time_left: Clock) -> Stored | None:
        """Take one step; None when nothing is left to do now."""
        read = self.decode(stored)
        record, events = read, []
        for event in self.heard(read, self._clock()):
            record = self.absorb(record, event, self._clock())
            events.append(event)
        commands = self.outstanding(record, self._clock())
        intended = self.intend(record, commands, self._clock())
        if intended != read or (stored.astir and self.due_at(intended) is None):
            written = self._write(stored, intended, events, [], self.extras(intended, commands))
            if written is None:
                return self._records.read(stored.key)
            stored = written
        if not commands:
            return None
        results = self._perform(intended, commands, time_left)
        return self._absorbed(stored, intended, results, cause)

    def _perform(self, record: R, commands: Sequence[C], time_left: Clock) -> list[E]:
        """Carry out the commands in turn; stop where a result leads to another state, as the rest is then moot.

        Or where time runs out: what is left is asked for again, and intents are looked for first.
        """
        results: list[E] = []
        state = self.state(record)
        for command in commands:
            event = self.perform(record, command, time_left)
            results.append(event)
            record = self.absorb(record, event, self._clock())
            self._telemetry.did(self.key(record), self.state(record), command, event)
            if self.state(record) != state or time_left() < self.needs_seconds:
                break
        return results

    def _absorbed(self, stored: Stored, record: R, results: Sequence[E], cause: str) -> Stored | None:
        """Write the results; a write that is refused is read and absorbed again, never dropped."""
        fresh: Stored | None = stored
        while fresh is not None:
            after = record
            for event in results:
                try:
                    after = self.absorb(after, event, self._clock())
                except IllegalEvent as old_news:
                    if fresh is stored:
                        raise
                    self._telemetry.old_news(fresh.key, str(old_news))
            if after == record:
                return None if fresh is stored else fresh
            written = self._write(fresh, after, (), results, self.result_extras(after, results))
            if written is not None:
                self._telemetry.moved(written.key, self.state(record), self.state(after), cause)
                return written
            fresh = self._records.read(stored.key)
            record = record if fresh is None else self.decode(fresh)
        return None

    def _write(
        self, before: Stored, after: R, heard: Sequence[E], results: Sequence[E], extras: Extras
    ) -> Stored | None:
        body = self.encode(after)
        write = Write(before.key, self.state(after), body, self.due_at(after), self.latest(after))
        happened = [_short(event) for event in (*heard, *results)]
        if not self._records.save(before, write, happened, self._clock(), extras):
            return None
        return Stored(
            before.key, body, before.version + 1, before.notes, before.hints, astir=self.due_at(after) is not None
        )

    @abstractmethod
    def decode(self, stored: Stored) -> R:
        """Parse a record, its hints beside it. Raises Unreadable."""

    @abstractmethod
    def encode(self, record: R) -> Mapping[str, Any]:
        """Turn a record into JSON values, without its hints."""

    @abstractmethod
    def heard(self, record: R, now: int) -> Sequence[E]:
        """Return what hints and the clock bring."""

    @abstractmethod
    def outstanding(self, record: R, now: int) -> Sequence[C]:
        """Return what is left to do."""

    def intend(self, record: R, _commands: Sequence[C], _now: int) -> R:
        """Put intents on the record."""
        return record

    @abstractmethod
    def absorb(self, record: R, event: E, now: int) -> R:
        """Return the record after an event."""

    @abstractmethod
    def perform(self, record: R, command: C, time_left: Clock) -> E:
        """Carry out one command, or a slice of it; whatever a target's trouble is, it comes back as an event."""

    def extras(self, _record: R, _commands: Sequence[C]) -> Extras:
        """Return items to write together with the intents."""
        return ()

    def result_extras(self, _record: R, _results: Sequence[E]) -> Extras:
        """Return items to write together with the results."""
        return ()

    @abstractmethod
    def key(self, record: R) -> Key:
        """Return where it is stored."""

    @abstractmethod
    def state(self, record: R) -> str:
        """Return its state's name."""

    @abstractmethod
    def due_at(self, record: R) -> int | None:
        """When it must be looked at again."""

    def latest(self, _record: R) -> int | None:
        """Return the moment that the sweep's growing steps never pass."""
        return None


def _short(event: object) -> str:
    """One line of history: the event with its members, bounded."""
    members = {name: str(getattr(event, name))[:200] for name in getattr(event, "__dataclass_fields__", {})}
    return f"{type(event).__name__} {json.dumps(members)}"[:1000]
