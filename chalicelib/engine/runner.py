"""Runs one record: reads it, asks what is outstanding, writes the intent, executes, writes the result.

The machine decides, the executor calls AWS, and the codec knows the stored form. If Lambda kills the process between
two calls, the next run starts from the record as it was last written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from chalicelib.engine import calls, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget, TimeLeft
from chalicelib.engine.calls import TakeCalls
from chalicelib.engine.errors import IllegalEvent, NewerSchema, ParkRecord
from chalicelib.engine.ports import NOTHING, Records, Stored, Telemetry
from chalicelib.engine.stored import C, E, RecordCodec
from chalicelib.engine.transitions import Moving, R
from chalicelib.engine.waker import Clock, Waker

MAX_STEPS = 40
"""Most steps of one invocation."""

CALLS_OF_STEP = 4
"""There must be time for so many calls to begin a step, or a command after the first."""

R_contra = TypeVar("R_contra", bound=Moving, contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
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
    enters_history: Callable[[R, R], bool] = lambda before, after: before != after
    """(before, after): whether the history gets an entry; not for a look that shows nothing new."""
    between_writes: Callable[[C], bool] = lambda _command: True
    """(command): whether it changes anything, so that the record must be written before it and after it."""
    intended_call: Callable[[R, C], str] = lambda _record, _command: ""
    """(record, command): the history's name of the AWS call whose intent is on the record; "": none."""
    has_attempt: Callable[[R, C], bool] = lambda _record, _command: False
    """(record, command): whether its intent was written before, and a look must show what came of that."""
    results_count: Callable[[R, R], bool] = lambda _before, _after: True
    """(before, after): whether what was done for a record still counts for it as another run has written it."""


class Executor(Protocol[R_contra, C_contra, E_co]):
    """Makes the calls of one kind of record."""

    def execute(self, record: R_contra, command: C_contra, budget: Budget) -> E_co:
        """Execute one command, or a slice of it; a target's refusal comes back as an event."""


@contextmanager
def parking(key: RecordKey, records: Records, clock: Clock, telemetry: Telemetry) -> Iterator[None]:
    """Park a record if its work raises ParkRecord, but for what a newer version wrote."""
    try:
        yield
    except NewerSchema:
        raise
    except ParkRecord as error:
        records.park(key, str(error), clock())
        telemetry.parked(key, str(error))


@dataclass
class _Unwritten(Generic[R, E]):
    """What has happened to a record since it was read or last written."""

    results: list[tuple[E, int]] = field(default_factory=list)
    """Each with its time."""
    answers: list[str] = field(default_factory=list)
    """Lines of history of the results."""
    happened: list[str] = field(default_factory=list)
    """All lines of history for the next write."""
    items: list[tuple[RecordKey, Mapping[str, Any]]] = field(default_factory=list)
    moves: list[tuple[R, R]] = field(default_factory=list)
    """The record before and after each step."""
    called: bool = False
    """Whether a call has changed AWS: the history has it even if it changes nothing on the record."""
    urgent: bool = False
    """Whether to write before the next command: a command has changed something, or a deadline has passed."""


@dataclass
class _Run(Generic[R, E]):
    """A record while a run works on it."""

    stored: Stored
    read: R
    """As it is stored."""
    record: R
    """As it is now."""
    cause: str
    inbox: Mapping[str, str]
    """Entries that its wake brings, until a write has them."""
    since: _Unwritten[R, E] = field(default_factory=_Unwritten)
    over: bool = False
    """Whether the last results have changed nothing: then the run takes no further step."""


@dataclass(eq=False)
class Runner(Generic[R, C, E]):
    """Works on one record at a time; ``R`` record, ``C`` command, ``E`` event."""

    machine: Machine[R, C, E]
    executor: Executor[R, C, E]
    codec: RecordCodec[R, C, E]
    records: Records
    waker: Waker
    clock: Clock
    telemetry: Telemetry
    take_calls: TakeCalls = tuple
    """Belongs to the executor's adapters, if they change AWS."""

    def run(self, key: RecordKey, cause: str, inbox: Mapping[str, str] = NOTHING, *, time_left: TimeLeft) -> None:
        """Do what is outstanding for one record; if steps or time run out, wake it again.

        ``inbox``: the entries that its wake brings. The first write has them, and a record at rest has no use for them.
        """
        budget, steps = Budget(time_left), iter(range(MAX_STEPS))
        with parking(key, self.records, self.clock, self.telemetry):
            stored = self.records.read(key)
            while stored is not None and not stored.parked:
                run: _Run[R, E] = _Run(stored, *self._decoded(stored, inbox), cause, inbox)
                stored, inbox = self._work(run, steps, budget), run.inbox

    def _decoded(self, stored: Stored, inbox: Mapping[str, str]) -> tuple[R, R]:
        """Return a record as it is stored, and with the entries that its wake brings."""
        read = self.codec.decode(stored)
        brings = inbox and self.codec.due_at(read) is not None
        return read, self.codec.decode(replace(stored, inbox={**stored.inbox, **inbox})) if brings else read

    def _work(self, run: _Run[R, E], steps: Iterator[int], budget: Budget) -> Stored | None:
        """Take steps until nothing is left to do now; if another run writes the record first, return it as it is then.

        A write has the results of one step and the intents of the next. It comes before a command that changes
        something, and after one; what looks have shown waits for the next write. But before an attempt is repeated,
        it is written alone: otherwise runs that are killed after each write would only intend and look.

        The first step looks as after a wake: the other writer may be one that sent no message, as one was on its way.
        """
        woken = True
        if isinstance(seconds := self.codec.about(run.record, self.clock()).get("seconds"), int):
            self.telemetry.in_state(run.record.key, seconds)
        while next(steps, None) is not None and budget.allows(CALLS_OF_STEP):
            commands = () if run.over else self._next(run, woken=woken)
            woken = False
            repeats = any(self.machine.has_attempt(run.record, command) for command in commands)
            if repeats and run.since.results and not self._write(run, last=False):
                return self._after_lost_race(run)
            self._intend(run, commands)
            must = run.since.urgent or not commands or any(map(self.machine.between_writes, commands))
            if must and not self._write(run, last=not commands):
                return self._after_lost_race(run)
            if not commands:
                return None
            self._execute(run, commands, budget)
        if not self._write(run, last=True):
            return self._after_lost_race(run)
        self.waker.send(run.record.key, f"more:{run.stored.version}")
        return None

    def _next(self, run: _Run[R, E], *, woken: bool) -> Sequence[C]:
        """Return the next commands, after what the inbox and the clock bring."""
        before, now = run.record, self.clock()
        events = self.machine.due_events(before, now)
        record = before
        for event in events:
            record = self.machine.evolve(record, event, self.clock())
        commands = self.machine.outstanding(record, self.clock())
        if woken:
            looks = self.machine.looks(record, self.clock())
            commands = (*commands, *(look for look in looks if look not in commands))
        run.record = record
        run.since.happened += map(_short, events)
        run.since.urgent = run.since.urgent or bool(events)
        if record.state != before.state:
            run.since.moves.append((before, record))
        return commands

    def _intend(self, run: _Run[R, E], commands: Sequence[C]) -> None:
        """Put the intents of the commands on the record."""
        run.record = self.machine.record_intent(run.record, commands, self.clock())
        run.since.happened += map(calls.intent, self._intended_calls(run.record, commands))
        run.since.items += self.codec.intent_items(run.record, commands)

    def _intended_calls(self, record: R, commands: Sequence[C]) -> list[str]:
        return [call for command in commands if (call := self.machine.intended_call(record, command))]

    def _execute(self, run: _Run[R, E], commands: Sequence[C], budget: Budget) -> None:
        """Execute the commands until a result changes the state, or time runs out; the next step asks for the rest.

        History gets a line for each result, and for each call that changed AWS.
        """
        before, since = run.record, run.since
        events: list[E] = []
        happened: list[str] = []
        self.take_calls()  # drop calls made for another record
        for command in commands:
            event = self.executor.execute(run.record, command, budget)
            now = self.clock()
            events.append(event)
            since.results.append((event, now))
            happened += [_short(event), *map(str, self.take_calls())]
            run.record = self.machine.evolve(run.record, event, now)
            since.urgent = since.urgent or self.machine.between_writes(command)
            self.telemetry.did(run.record.key, run.record.state.value, command, event)
            if run.record.state != before.state or not budget.allows(CALLS_OF_STEP):
                break
        happened += map(calls.not_made, self._intended_calls(before, commands[len(events) :]))
        called = any(map(calls.MadeCall.read, happened))
        run.over = run.record == before
        since.called = since.called or called
        since.answers += happened
        since.happened += happened if called or self.machine.enters_history(before, run.record) else ()
        since.items += self.codec.result_items(run.record, events)
        if called or not run.over:
            since.moves.append((before, run.record))

    def _write(self, run: _Run[R, E], *, last: bool) -> bool:
        """Write what has happened to the record, with its history and items; False: another run wrote first.

        ``last``: the run is over, so the record is due when it says, and its wake is answered.
        """
        stored, since, write = run.stored, run.since, self.codec.encode(run.record)
        rests = last and (stored.woken or _index_is_wrong(stored.scheduled, write.due_at, self.clock()))
        if run.record == run.read and not since.called and not rests:
            return True
        written = self.records.save(stored, write, since.happened, self.clock(), since.items, goes_on=not last)
        if written is None:
            return False
        for before, after in since.moves:
            self._moved(before, after, run.cause)
        run.stored, run.read, run.inbox, run.since = written, run.record, NOTHING, _Unwritten()
        return True

    def _after_lost_race(self, run: _Run[R, E]) -> Stored | None:
        """After a lost race, evolve what the other run wrote by the results, and write it. Return what is stored then.

        Each result counts at its own time: a second later it could lead to another state, which does not have the next.
        If it no longer counts, it is dropped, as if the process had been killed before it wrote.
        """
        since = run.since
        while True:
            fresh = self.records.read(run.record.key)
            if fresh is None or fresh.parked or not since.results:
                return fresh
            before, after = self._decoded(fresh, run.inbox)
            results = since.results if self.machine.results_count(run.record, after) else ()
            for event, at in results:
                try:
                    after = self.machine.evolve(after, event, at)
                except IllegalEvent as old_news:
                    self.telemetry.old_news(fresh.key, str(old_news))
            if after == before and not since.called:
                return fresh
            said = since.answers if since.called or self.machine.enters_history(before, after) else ()
            items = self.codec.result_items(after, [event for event, _ in results])
            written = self.records.save(fresh, self.codec.encode(after), said, self.clock(), items, goes_on=True)
            if written is not None:
                run.inbox = NOTHING
                self._moved(before, after, run.cause)
                return written

    def _moved(self, before: R, after: R, cause: str) -> None:
        about = self.codec.about(before, self.clock())
        self.telemetry.moved(before.key, before.state.value, after.state.value, cause, about)


def _index_is_wrong(scheduled: int | None, due_at: int | None, now: int) -> bool:
    """Whether the index has another time than the record: a wake made it due, or the writes of a run left it."""
    if scheduled is None or due_at is None:
        return scheduled is not None
    right = due_at <= scheduled <= max(due_at, now)
    return not right and not schedule.stays(scheduled, due_at, now, goes_on=False)


def _short(event: object) -> str:
    """Return one line of history: the event with its members, shortened, without those that have their default."""
    members = {
        member.name: str(value)[:200]
        for member in (fields(event) if is_dataclass(event) else ())
        if (value := getattr(event, member.name)) != member.default
    }
    return f"{type(event).__name__} {json.dumps(members)}"[:1000]
