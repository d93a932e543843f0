"""Runs one record: reads it, asks what is outstanding, writes the intent, executes, writes the result.

The machine decides, the executor calls AWS, and the codec knows the stored form. If Lambda kills the process between
two calls, the next run starts from the record as it was last written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from chalicelib.core.errors import IllegalEvent, ParkRecord
from chalicelib.core.records import calls
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.records.calls import TakeCalls
from chalicelib.ports.records import Records, Stored, Write
from chalicelib.ports.telemetry import Telemetry
from chalicelib.service.budget import Budget, TimeLeft
from chalicelib.service.waker import Clock, Waker

MAX_STEPS = 40
"""Most steps of one invocation."""

CALLS_OF_STEP = 4
"""There must be time for so many calls to begin a step, or a command after the first."""

Items = Sequence[tuple[RecordKey, Mapping[str, Any]]]


class Record(Protocol):
    """The attributes of a record that the runner reads."""

    @property
    def key(self) -> RecordKey:
        """Where it is stored."""

    @property
    def state(self) -> StrEnum:
        """What it waits for."""

    @property
    def due_at(self) -> int | None:
        """When a worker must look at it again (epoch seconds)."""


R = TypeVar("R", bound=Record)
C = TypeVar("C")
E = TypeVar("E")
R_contra = TypeVar("R_contra", bound=Record, contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
E_contra = TypeVar("E_contra", contravariant=True)
E_co = TypeVar("E_co", covariant=True)


@dataclass(frozen=True)
class Machine(Generic[R, C, E]):
    """The functions that decide for one kind of record. ``now`` is in epoch seconds."""

    outstanding: Callable[[R, int], Sequence[C]]
    """(record, now): what is left to do."""
    evolve: Callable[[R, E, int], R]
    """(record, event, now): the record after an event. Raises IllegalEvent."""
    due_events: Callable[[R, int], Sequence[E]] = lambda _record, _now: ()
    """(record, now): the events that follow from inbox entries and the clock."""
    looks: Callable[[R, int], Sequence[C]] = lambda _record, _now: ()
    """(record, now): what to read from AWS after a wake even if nothing is due, as a wake carries no facts."""
    record_intent: Callable[[R, Sequence[C], int], R] = lambda record, _commands, _now: record
    """(record, commands, now): the record to write before the commands are executed."""
    tells: Callable[[R, R], bool] = lambda before, after: before != after
    """(before, after): whether the history gets an entry; not for a look that shows nothing new."""
    announced: Callable[[R, C], str] = lambda _record, _command: ""
    """(record, command): the history's name of the AWS call whose intent is on the record; "": none."""


class Executor(Protocol[R_contra, C_contra, E_co]):
    """Makes the calls of one kind of record."""

    def execute(self, record: R_contra, command: C_contra, budget: Budget) -> E_co:
        """Execute one command, or a slice of it; a target's refusal comes back as an event."""


class Codec(Protocol[R, C_contra, E_contra]):
    """The stored form of one kind of record."""

    def decode(self, stored: Stored) -> R:
        """Read a record, its inbox entries beside it. Raises Unreadable."""

    def encode(self, record: R) -> Write:
        """Return the record as it is to be stored, without its inbox entries."""

    def about(self, _record: R, _now: int) -> Mapping[str, object]:
        """Return further fields for the log; ``seconds``: how long the record has been in a state that must end."""
        return {}

    def intent_items(self, _record: R, _commands: Sequence[C_contra]) -> Items:
        """Return items to write together with the intents."""
        return ()

    def result_items(self, _record: R, _results: Sequence[E_contra]) -> Items:
        """Return items to write together with the results."""
        return ()


@contextmanager
def parking(key: RecordKey, records: Records, clock: Clock, telemetry: Telemetry) -> Iterator[None]:
    """Park a record if its work raises ParkRecord."""
    try:
        yield
    except ParkRecord as error:
        records.park(key, str(error), clock())
        telemetry.parked(key, str(error))


class Runner(Generic[R, C, E]):
    """Works on one record at a time; ``R`` record, ``C`` command, ``E`` event."""

    def __init__(
        self,
        machine: Machine[R, C, E],
        executor: Executor[R, C, E],
        codec: Codec[R, C, E],
        records: Records,
        waker: Waker,
        clock: Clock,
        telemetry: Telemetry,
        take_calls: TakeCalls = tuple,
    ) -> None:
        """``take_calls`` belongs to the executor's adapters, if they change AWS."""
        self._machine = machine
        self._executor = executor
        self._codec = codec
        self._records = records
        self._waker = waker
        self._clock = clock
        self._telemetry = telemetry
        self._take_calls = take_calls

    def run(self, key: RecordKey, cause: str, *, time_left: TimeLeft) -> None:
        """Do what is outstanding for one record; if steps or time run out, wake it again."""
        budget, steps = Budget(time_left), 0
        with parking(key, self._records, self._clock, self._telemetry):
            stored = self._records.begin(key)
            while stored is not None and not stored.parked:
                if steps >= MAX_STEPS or not budget.allows(CALLS_OF_STEP):
                    self._waker.send(key, f"more:{stored.version}")
                    return
                stored = self._step(stored, cause, budget, woken=not steps)
                steps += 1

    def _step(self, stored: Stored, cause: str, budget: Budget, *, woken: bool) -> Stored | None:
        """Take one step; None when nothing is left to do now. ``woken``: it is the first one."""
        read = self._codec.decode(stored)
        if woken and isinstance(seconds := self._codec.about(read, self._clock()).get("seconds"), int):
            self._telemetry.in_state(read.key, seconds)
        events = self._machine.due_events(read, self._clock())
        record = read
        for event in events:
            record = self._machine.evolve(record, event, self._clock())
        commands = self._machine.outstanding(record, self._clock())
        if woken:
            looks = self._machine.looks(record, self._clock())
            commands = (*commands, *(look for look in looks if look not in commands))
        intended = self._machine.record_intent(record, commands, self._clock())
        if intended != read or _too_early(stored.scheduled, intended.due_at):
            happened = [*map(_short, events), *map(calls.intent, self._announced(intended, commands))]
            written = self._write(stored, intended, happened, self._codec.intent_items(intended, commands))
            if written is None:
                return self._records.read(stored.key)
            stored = written
            if intended.state != read.state:
                self._moved(read, intended, cause)
        if not commands:
            return None
        results, happened = self._execute(intended, commands, budget)
        left = self._announced(intended, commands[len(results) :])
        return self._write_results(stored, intended, results, [*happened, *map(calls.not_made, left)], cause)

    def _announced(self, record: R, commands: Sequence[C]) -> list[str]:
        return [call for command in commands if (call := self._machine.announced(record, command))]

    def _execute(self, record: R, commands: Sequence[C], budget: Budget) -> tuple[list[tuple[E, int]], list[str]]:
        """Execute the commands until a result changes the state, or time runs out; the next step asks for the rest.

        Returns the results with their times, and the lines of history: one for each result, and for each call that
        changed AWS.
        """
        results: list[tuple[E, int]] = []
        happened: list[str] = []
        state = record.state
        self._take_calls()  # drop calls made for another record
        for command in commands:
            event = self._executor.execute(record, command, budget)
            now = self._clock()
            results.append((event, now))
            happened += [_short(event), *map(str, self._take_calls())]
            record = self._machine.evolve(record, event, now)
            self._telemetry.did(record.key, record.state.value, command, event)
            if record.state != state or not budget.allows(CALLS_OF_STEP):
                break
        return results, happened

    def _write_results(
        self, stored: Stored, record: R, results: Sequence[tuple[E, int]], happened: Sequence[str], cause: str
    ) -> Stored | None:
        """Evolve the record by the results and write it; after a lost race, evolve what the other run wrote.

        Each result counts at its own time: a second later it could lead to another state, which does not have the next.
        A call that changed AWS is written into the history even if it changes nothing on the record.
        """
        fresh: Stored | None = stored
        called = any(map(calls.MadeCall.read, happened))
        while fresh is not None:
            after = record
            for event, at in results:
                try:
                    after = self._machine.evolve(after, event, at)
                except IllegalEvent as old_news:
                    if fresh is stored:
                        raise
                    self._telemetry.old_news(fresh.key, str(old_news))
            moved = after != record
            if not moved and not called:
                return None if fresh is stored else fresh
            said = happened if called or self._machine.tells(record, after) else ()
            written = self._write(fresh, after, said, self._codec.result_items(after, [event for event, _ in results]))
            if written is not None:
                self._moved(record, after, cause)
                return written if moved or fresh is not stored else None
            fresh = self._records.read(stored.key)
            record = record if fresh is None else self._codec.decode(fresh)
        return None

    def _moved(self, before: R, after: R, cause: str) -> None:
        about = self._codec.about(before, self._clock())
        self._telemetry.moved(before.key, before.state.value, after.state.value, cause, about)

    def _write(self, before: Stored, after: R, happened: Sequence[str], items: Items) -> Stored | None:
        """Write a record with its history and items; None: another run wrote first."""
        return self._records.save(before, self._codec.encode(after), happened, self._clock(), items)


def _too_early(scheduled: int | None, due_at: int | None) -> bool:
    """Whether the index has an earlier time than the record: a wake made the record due, and has been answered."""
    return scheduled is not None and (due_at is None or scheduled < due_at)


def _short(event: object) -> str:
    """Return one line of history: the event with its members, shortened."""
    members = {name: str(getattr(event, name))[:200] for name in getattr(event, "__dataclass_fields__", {})}
    return f"{type(event).__name__} {json.dumps(members)}"[:1000]
