"""A gate between the service and its ports: it kills a process, lets another invocation run, or returns a refusal."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import refusal

ALWAYS = 10**9
"""Times."""


class ProcessKilled(BaseException):
    """The process was killed. Code of the service must not catch it."""


@dataclass
class PortTrouble:
    """A refusal or error that one port method raises; ``after``: the call has taken effect all the same."""

    port: str
    method: str
    refusal: Exception | None
    times: int = 1
    after: bool = False
    only: Callable[..., bool] = lambda *_args: True

    def answer(self) -> Any:
        """What the caller gets instead of the result."""
        assert self.refusal is not None
        raise self.refusal


@dataclass
class LostAnswer(PortTrouble):
    """A conditional write takes effect and its answer is lost: the SDK repeats it, and the condition no longer holds.

    ``refusal`` is raised, or ``says`` returned.
    """

    refusal: Exception | None = None
    after: bool = True
    says: Any = None

    def answer(self) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return self.says


@dataclass(frozen=True)
class PortCrash:
    """The process is killed at a call, counted over the whole run, before or after the call takes effect."""

    call: int
    after: bool


@dataclass
class Gate:
    """Every call of every port passes through it."""

    crashes: list[PortCrash] = field(default_factory=list)
    troubles: list[PortTrouble] = field(default_factory=list)
    watch: Callable[[str, str, tuple[Any, ...]], None] = lambda *_: None
    pair: TwoInvocations | None = None
    calls: int = 0
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The calls by port and method."""
    meanwhile: dict[int, Callable[[], object]] = field(default_factory=dict)
    """What happens just before a call takes effect, by the call's number over the whole run."""
    _befores: list[tuple[str, str, Callable[[], object], Callable[..., bool]]] = field(default_factory=list)

    def guard(self, name: str, port: Any) -> Any:
        """Return the port behind the gate."""
        return _Guarded(self, name, port)

    def refuse(
        self, port: str, *methods: str, why: RefusalKind, times: int = ALWAYS, after: bool = False, **how: Any
    ) -> None:
        """Let AWS refuse calls of a port from now on. ``how``: code and text of the refusal, and ``only`` which calls.

        ``after``: they have taken effect all the same.
        """
        only = how.pop("only", lambda *_args, **_given: True)
        refused = refusal(why, **{"code": "Refused", **how})
        self.troubles += [PortTrouble(port, method, refused, times, after, only) for method in methods]

    def before(
        self, port: str, method: str, act: Callable[[], object], only: Callable[..., bool] = lambda *_args: True
    ) -> None:
        """Let something happen once, right before the next such call takes effect."""
        self._befores.append((port, method, act, only))

    def call(self, name: str, method: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Make one call, unless the gate raises before it."""
        if self.pair is not None:
            self.pair.hand_over()
        number = self.calls
        self.calls += 1
        self.made[name, method] += 1
        after_its_effect = {crash.after for crash in self.crashes if crash.call == number}
        if False in after_its_effect:
            raise ProcessKilled
        self.meanwhile.pop(number, lambda: None)()
        trouble = next(
            (t for t in self.troubles if (t.port, t.method) == (name, method) and t.times and t.only(*args)), None
        )
        if trouble is not None:
            trouble.times -= 1
            if not trouble.after:
                return trouble.answer()
        for one in [one for one in self._befores if one[:2] == (name, method) and one[3](*args)]:
            self._befores.remove(one)
            one[2]()
        self.watch(name, method, args)
        result = real(*args, **kwargs)
        if trouble is not None:
            return trouble.answer()
        if True in after_its_effect:
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


class TwoInvocations:
    """Two invocations that alternate at calls, in the given ``order``. Only one runs at a time."""

    def __init__(self, order: Iterator[bool]) -> None:
        self._order = order
        self._turn = threading.Condition()
        self._current = 0
        self._alive: set[int] = set()
        self._errors: list[BaseException] = []

    def play(self, *parts: Callable[[], None]) -> None:
        """Run both to their ends, and raise what either of them raised."""
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
        """Let the other one continue, if it is its turn."""
        me = int(threading.current_thread().name)
        with self._turn:
            if (1 - me) in self._alive and next(self._order):
                self._current = 1 - me
                self._turn.notify_all()
                self._turn.wait_for(lambda: self._current == me)
