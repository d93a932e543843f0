"""Virtual time, and who may run: one thread at a time, in an order that the seed decides.

The *driver* is the thread that owns the world (a test, the demo, the HTTP front). It calls :meth:`Kernel.run`, which
takes what is due off a heap, in order, and moves the clock to it. A *strand* is an invocation of a function, in a
thread of its own. Between them goes a baton: a strand runs only while the driver waits for it, and gives the baton back
at each AWS call (:meth:`Kernel.elapse`), so crashes, interleavings and time are the kernel's to decide.
"""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from random import Random
from typing import Protocol, SupportsIndex

from awsim.rules import Rules, rule

PATIENCE = 120.0
"""Real seconds that a strand may hold the baton before it is called stuck."""

DEAD = rule(
    "killed-invocation-makes-no-call",
    "A killed process does nothing more: no finally, no except, no other call. [the nature of a killed process]",
)

_sleep = time.sleep


def _strand() -> Strand | None:
    """Return the strand that the current thread belongs to: its own thread, or one that it started."""
    return getattr(threading.current_thread(), "strand", None)


class Killed(BaseException):
    """Raised in a strand that was killed, at each call it still tries. No ``except Exception`` catches it."""


class ProcessClock(Protocol):
    """The clock of this process."""

    def shift(self, delta: timedelta) -> None:
        """Move it on."""
        ...


class Timer:
    """Something due at a time; ``cancel`` takes it back."""

    __slots__ = ("label", "what", "when")

    def __init__(self, when: datetime, what: Callable[[], object], label: str) -> None:
        self.when = when
        self.label = label
        self.what: Callable[[], object] | None = what

    def cancel(self) -> None:
        """Make it never happen."""
        self.what = None


class Strand:
    """A thread that runs only while it holds the baton.

    ``surroundings`` makes a context entered whenever it takes the baton and left whenever it gives it back (the
    environment of a function). ``killed`` says why it was killed, if it was.
    """

    def __init__(
        self,
        kernel: Kernel,
        what: Callable[[], object],
        label: str,
        surroundings: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.label = label
        self.function = ""
        """Name of the function that it invokes."""
        self.invocation = ""
        """Request id of the invocation."""
        self.killed: str | None = None
        self.done = False
        self.error: BaseException | None = None
        """What escaped from ``what``: an error of the simulator, raised again in the driver."""
        self.deadline: Timer | None = None
        """Cancelled when it ends."""
        self.ended: Callable[[], object] = lambda: None
        """Called in the driver when it has come to its end, also by being killed."""
        self._kernel = kernel
        self._what = what
        self._surroundings = surroundings
        self._mine, self._back = threading.Lock(), threading.Lock()  # who hands the baton over releases, ...
        self._mine.acquire()  # ... who waits for it acquires
        self._back.acquire()
        self._timer: Timer | None = None
        self._reported = False
        self.turns = threading.RLock()
        """For its own thread and those that it starts: one of them makes a call at a time, and holds the baton then."""
        self._thread = threading.Thread(target=self._main, name=label, daemon=True)
        vars(self._thread)["strand"] = self

    def kill(self, why: str) -> None:
        """Let it run no further: it is woken to end, and can make no other call."""
        if self.done or self.killed:
            return
        self.killed = why
        if self._kernel.current is not self:
            if self._timer:
                self._timer.cancel()
            self._kernel.after(0, self.resume, f"{self.label} is killed")

    def resume(self) -> None:
        """Hand the baton to it and wait until it comes back (the driver calls this)."""
        if self.done:
            return
        if self.killed and self._thread.ident is None:  # killed before it began
            self.done = True
            self.ended()
            return
        kernel = self._kernel
        before, kernel.current = kernel.current, self
        try:
            with self._surroundings():
                if self._thread.ident is None:
                    self._thread.start()
                self._mine.release()
                if not self._back.acquire(timeout=PATIENCE):
                    frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - the only way to see it
                    where = "".join(traceback.format_stack(frame))
                    raise RuntimeError(
                        f"{self.label} did not give back the baton for {PATIENCE:.0f} s. It is at:\n{where}"
                    )
        finally:
            kernel.current = before
        self._report()

    def pause(self, seconds: float) -> None:
        """Give back the baton for some virtual seconds (the strand calls this)."""
        if self.killed is None or not self._kernel.strict:
            self._timer = self._kernel.after(seconds, self.resume, self.label)
            self._back.release()
            self._mine.acquire()
            self._timer = None
        if self.killed is not None and (self._kernel.strict or not self._reported):
            self._reported = True
            raise Killed(self.killed)

    def _report(self) -> None:
        """Tell, in the driver, that it has come to its end, if it has."""
        if self.done:
            if self.deadline:
                self.deadline.cancel()
            self.ended()
        if self.error:
            raise self.error

    def _main(self) -> None:
        self._mine.acquire()
        try:
            self._what()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised in the driver
            self.error = error
        self.done = True
        self._back.release()


class Kernel:
    """The clock, the heap of what is due, and the baton of one world."""

    def __init__(self, seed: int, start: datetime, rules: Rules) -> None:
        self.random = Random(seed)
        self.current: Strand | None = None
        """The strand that holds the baton; None while the driver has it."""
        self._rules = rules
        self._process: ProcessClock | None = None
        self._now = start
        self._heap: list[tuple[datetime, int, Timer]] = []
        self._order = itertools.count()
        self._gate = threading.RLock()
        self._depth = 0
        self._frozen = False

    @property
    def now(self) -> datetime:
        """Virtual time, in UTC."""
        return self._now

    @property
    def strict(self) -> bool:
        """Whether who was killed can make no other call."""
        return self._rules.on(DEAD)

    def at(self, when: datetime, what: Callable[[], object], label: str) -> Timer:
        """Let ``what`` happen at a time (now, if that is past). Things due at one time keep the order they came in."""
        timer = Timer(max(when, self._now), what, label)
        heapq.heappush(self._heap, (timer.when, next(self._order), timer))
        return timer

    def after(self, seconds: float, what: Callable[[], object], label: str) -> Timer:
        """Let ``what`` happen in some virtual seconds."""
        return self.at(self._now + timedelta(seconds=seconds), what, label)

    def spawn(
        self,
        what: Callable[[], object],
        label: str,
        surroundings: Callable[[], AbstractContextManager[None]] = nullcontext,
        delay: float = 0,
    ) -> Strand:
        """Start a strand in some virtual seconds; ``what`` must catch what its guest raises."""
        strand = Strand(self, what, label, surroundings)
        strand._timer = self.after(delay, strand.resume, label)  # noqa: SLF001 - one class in two halves
        return strand

    def run(self, until: Callable[[], object] | None = None, limit: timedelta = timedelta(days=1)) -> bool:
        """Let virtual time run until ``until()`` is true (then True) or ``limit`` has passed (then what it is by then).

        ``until`` is asked after each step, and its own AWS calls take no time.
        """
        with self._gate:
            end = self._now + limit
            while True:
                if until is not None and self._ask(until):
                    return True
                if not self._step(end):
                    break
            self._move(end)
            return until is not None and self._ask(until)

    def elapse(self, seconds: float) -> None:
        """Let a while pass, as an AWS call does.

        In a strand: the others go on meanwhile, and if it was killed this raises :class:`Killed`. In the driver: what
        is due meanwhile happens, except inside a step of the kernel's own (there only the clock moves).
        """
        strand = _strand()
        if strand is not None:
            with strand.turns:
                strand.pause(seconds)
            return
        if self._frozen:
            return
        with self._gate:
            end = self._now + timedelta(seconds=seconds)
            if not self._depth:
                while self._step(end):
                    pass
            self._move(end)

    def turn(self) -> AbstractContextManager[object]:
        """Take turns, inside, with the other threads of this one's function, if it is one of a function's.

        Their calls take time one after the other, though a real function's would take it side by side.
        """
        strand = _strand()
        return nullcontext() if strand is None else strand.turns

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Be the driver for a while, from any thread: the HTTP front's requests come in here."""
        with self._gate:
            yield

    @contextmanager
    def installed(self, process: ProcessClock) -> Iterator[None]:
        """While this lasts, the process's clock follows, and ``time.sleep`` in the driver and in strands takes no time.

        (botocore sleeps between its retries. Leaving kills all strands that are left.) A thread that a strand starts
        belongs to it.
        """
        driver = threading.get_ident()
        start_thread = threading.Thread.start

        def sleep(seconds: float | SupportsIndex, /) -> None:
            if threading.get_ident() == driver or _strand() is not None:
                self.elapse(float(seconds))
            else:
                _sleep(seconds)

        def start(thread: threading.Thread) -> None:
            strand = _strand()
            if strand is not None:
                vars(thread)["strand"] = strand
            start_thread(thread)

        self._process = process
        time.sleep = sleep
        threading.Thread.start = start  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            time.sleep = _sleep
            threading.Thread.start = start_thread  # type: ignore[method-assign]
            self._dismiss()
            self._process = None

    def _ask(self, until: Callable[[], object]) -> bool:
        self._frozen = True
        self._depth += 1
        try:
            return bool(until())
        finally:
            self._frozen = False
            self._depth -= 1

    def _step(self, end: datetime) -> bool:
        """Do the next thing due up to ``end``; False when there is none."""
        while self._heap and self._heap[0][0] <= end:
            when, _, timer = heapq.heappop(self._heap)
            what, timer.what = timer.what, None
            if what is None:
                continue
            self._move(when)
            self._depth += 1
            try:
                what()
            finally:
                self._depth -= 1
            return True
        return False

    def _move(self, when: datetime) -> None:
        if when <= self._now:
            return
        if self._process is not None:
            self._process.shift(when - self._now)
        self._now = when

    def _dismiss(self) -> None:
        """Kill and join every strand that still waits, so that no thread outlives its world."""
        waiting = [timer.what for _, _, timer in self._heap]
        self._heap.clear()
        for what in waiting:
            strand = getattr(what, "__self__", None)
            if isinstance(strand, Strand) and not strand.done:
                strand.killed = strand.killed or "the world ended"
                strand.resume()
