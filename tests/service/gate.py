"""Between the service and its ports: here a process dies, another invocation gets its turn, an account refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


class ProcessKilled(BaseException):
    """The process is gone. Nobody in the service may catch it."""


@dataclass
class PortTrouble:
    """A refusal (or an error) that lies in wait at one port's method; ``after``: it has taken effect all the same."""

    port: str
    method: str
    refusal: Exception
    times: int = 1
    after: bool = False
    only: Callable[..., bool] = lambda *_args: True


@dataclass(frozen=True)
class PortCrash:
    """The process dies at a call, counted over the whole run, before or after it takes effect."""

    call: int
    after: bool


@dataclass
class Gate:
    """What every call of every port passes."""

    crashes: list[PortCrash] = field(default_factory=list)
    troubles: list[PortTrouble] = field(default_factory=list)
    watch: Callable[[str, str, tuple[Any, ...]], None] = lambda *_: None
    duet: Duet | None = None
    calls: int = 0

    def guard(self, name: str, port: Any) -> Any:
        """Return the port behind the gate."""
        return _Guarded(self, name, port)

    def call(self, name: str, method: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Make one call, or do not."""
        if self.duet is not None:
            self.duet.hand_over()
        number = self.calls
        self.calls += 1
        deaths = {crash.after for crash in self.crashes if crash.call == number}
        if False in deaths:
            raise ProcessKilled
        trouble = next(
            (t for t in self.troubles if (t.port, t.method) == (name, method) and t.times and t.only(*args)), None
        )
        if trouble is not None:
            trouble.times -= 1
            if not trouble.after:
                raise trouble.refusal
        self.watch(name, method, args)
        result = real(*args, **kwargs)
        if trouble is not None:
            raise trouble.refusal
        if True in deaths:
            raise ProcessKilled
        return result


class _Guarded:
    def __init__(self, gate: Gate, name: str, port: Any) -> None:
        self._gate = gate
        self._name = name
        self._port = port

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._port, method)
        if not callable(real):
            return real
        return lambda *args, **kwargs: self._gate.call(self._name, method, real, args, kwargs)


class Duet:
    """Two invocations at once, one call of one, then one of the other, as ``order`` says. Only one ever runs."""

    def __init__(self, order: Iterator[bool]) -> None:
        self._order = order
        self._turn = threading.Condition()
        self._current = 0
        self._alive: set[int] = set()
        self._errors: list[BaseException] = []

    def play(self, *parts: Callable[[], None]) -> None:
        """Run both to their ends, and raise what either raised."""
        self._alive = set(range(len(parts)))
        threads = [
            threading.Thread(target=self._play, args=(number, part), name=str(number))
            for number, part in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _play(self, number: int, part: Callable[[], None]) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._current == number)
        try:
            part()
        except BaseException as error:  # noqa: BLE001 - it is raised again by play
            self._errors.append(error)
        with self._turn:
            self._alive.discard(number)
            self._current = 1 - number
            self._turn.notify_all()

    def hand_over(self) -> None:
        """Let the other one go on, if it is its turn."""
        me = int(threading.current_thread().name)
        with self._turn:
            if (1 - me) in self._alive and next(self._order):
                self._current = 1 - me
                self._turn.notify_all()
                self._turn.wait_for(lambda: self._current == me)
