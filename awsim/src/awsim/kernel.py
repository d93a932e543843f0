"""Virtual time, and which thread may run: one at a time, in an order that the seed decides.

The *driver* is the thread that owns the world (a test, the demo, the HTTP front). It calls :meth:`Kernel.run`, which
takes what is due from a heap, in order, and moves the clock. A *strand* is a function's invocation, in its own thread.
The driver passes a *baton* to a strand and waits; the strand gives it back at each AWS call (:meth:`Kernel.elapse`), or
keeps it if nothing else is due meanwhile. So the kernel decides about crashes, interleavings and time.
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
"""Real seconds for which a strand may make no call; then the kernel reports it as stuck."""

DEAD = rule(
    "killed-invocation-makes-no-call",
    "A killed process does nothing more: no finally, no except, no other call. [the nature of a killed process]",
)

_sleep = time.sleep


def _strand() -> Strand | None:
    """Return the strand of the current thread, which the strand itself may have started."""
    return getattr(threading.current_thread(), "strand", None)


class Killed(BaseException):
    """Raised in a killed strand at each further call. No ``except Exception`` catches it."""


class ProcessClock(Protocol):
    """The clock that this process shows."""

    def shift(self, delta: timedelta) -> None:
        """Move the clock on."""
        ...


class Timer:
    """A scheduled action, which ``cancel`` ends."""

    __slots__ = ("label", "what", "when")

    def __init__(self, when: datetime, what: Callable[[], object], label: str) -> None:
        self.when = when
        self.label = label
        self.what: Callable[[], object] | None = what

    def cancel(self) -> None:
        """Unschedule it."""
        self.what = None


class Strand:
    """A thread that runs only while it holds the baton.

    ``surroundings`` makes a context that is entered whenever the strand takes the baton, and left whenever it gives it
    back (a function's environment). ``killed`` says why it was killed, if it was.
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
        """An error of the simulator that the strand raised; the driver raises it again."""
        self.deadline: Timer | None = None
        """Cancelled when it ends."""
        self.ended: Callable[[], object] = lambda: None
        """Called in the driver when the strand has ended or was killed."""
        self._kernel = kernel
        self._what = what
        self._surroundings = surroundings
        self._mine, self._back = threading.Lock(), threading.Lock()  # who hands the baton over releases, ...
        self._mine.acquire()  # ... who waits for it acquires
        self._back.acquire()
        self._timer: Timer | None = None
        self._reported = False
        self.calls = 0
        """After how many it has kept the baton."""
        self.threaded = False
        """Whether it has started threads of its own: these take turns where it gives back the baton."""
        self.turns = threading.RLock()
        """Lets one of the strand's threads at a time make a call, and hold the baton then."""
        self._thread = threading.Thread(target=self._main, name=label, daemon=True)
        vars(self._thread)["strand"] = self

    def kill(self, why: str) -> None:
        """End the strand: it is woken to end, and can make no other call."""
        if self.done or self.killed:
            return
        self.killed = why
        if self._kernel.current is not self:
            if self._timer:
                self._timer.cancel()
            self._kernel.after(0, self.resume, f"{self.label} is killed")

    def resume(self) -> None:
        """Pass the baton to the strand and wait until it comes back (the driver calls this)."""
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
                calls = -1
                while not self._back.acquire(timeout=PATIENCE):
                    if calls != self.calls:
                        calls = self.calls
                        continue
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
        if self.killed is None and not self.threaded and self._kernel.goes_on(seconds):
            self.calls += 1
            return
        if self.killed is None or not self._kernel.strict:
            self._timer = self._kernel.after(seconds, self.resume, self.label)
            self._back.release()
            self._mine.acquire()
            self._timer = None
        if self.killed is not None and (self._kernel.strict or not self._reported):
            self._reported = True
            raise Killed(self.killed)

    def _report(self) -> None:
        """Call ``ended``, in the driver, if the strand has ended."""
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
    """The clock, the heap of scheduled actions, and the baton of one world."""

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
        self._alone_until: datetime | None = None
        """The end of a run in which nobody asks anything after each step."""

    @property
    def now(self) -> datetime:
        """Virtual time, in UTC."""
        return self._now

    @property
    def strict(self) -> bool:
        """Whether a killed strand can make no other call."""
        return self._rules.on(DEAD)

    def at(self, when: datetime, what: Callable[[], object], label: str) -> Timer:
        """Call ``what`` at a time (now, if that is past). Actions of the same time keep their order."""
        timer = Timer(max(when, self._now), what, label)
        heapq.heappush(self._heap, (timer.when, next(self._order), timer))
        return timer

    def after(self, seconds: float, what: Callable[[], object], label: str) -> Timer:
        """Call ``what`` in some virtual seconds."""
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
        """Let virtual time run until ``until()`` is true or ``limit`` has passed; return what it then is.

        ``until`` is asked after each step; its own AWS calls take no time.
        """
        with self._gate:
            end = self._now + limit
            while True:
                if until is not None and self._ask(until):
                    return True
                self._alone_until = end if until is None else None
                if not self._step(end):
                    break
            self._move(end)
            return until is not None and self._ask(until)

    def elapse(self, seconds: float) -> None:
        """Let some virtual seconds pass, as an AWS call does.

        In a strand, the others run meanwhile; in a killed one this raises :class:`Killed`. In the driver, scheduled
        actions run meanwhile; inside such an action only the clock moves.
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
                self._alone_until = end
                while self._step(end):
                    pass
            self._move(end)

    def goes_on(self, seconds: float) -> bool:
        """Move the clock on by these seconds for a strand, if nothing else happens meanwhile; return whether it did.

        The strand then keeps the baton, which saves a change of thread and of environment.
        """
        when = self._now + timedelta(seconds=seconds)
        while self._heap and self._heap[0][2].what is None:
            heapq.heappop(self._heap)
        if self._alone_until is None or when > self._alone_until or (self._heap and self._heap[0][0] <= when):
            return False
        self._move(when)
        return True

    def turn(self) -> AbstractContextManager[object]:
        """Within the context, no other thread of this strand makes a call.

        The calls of a function's threads so take time one after another, though on AWS they would take it in parallel.
        """
        strand = _strand()
        return nullcontext() if strand is None else strand.turns

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Be the driver within the context, from any thread: the HTTP front's requests use this."""
        with self._gate:
            yield

    @contextmanager
    def installed(self, process: ProcessClock) -> Iterator[None]:
        """Within the context, the process's clock shows virtual time, and ``time.sleep`` takes none.

        (botocore sleeps between retries.) A thread that a strand starts belongs to the strand. Leaving the context
        kills all strands that are left.
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
                strand.threaded = True
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
        """Run the next action that is due by ``end``; False: there is none."""
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
        """Kill and join every waiting strand, so that no thread outlives its world."""
        waiting = [timer.what for _, _, timer in self._heap]
        self._heap.clear()
        for what in waiting:
            strand = getattr(what, "__self__", None)
            if isinstance(strand, Strand) and not strand.done:
                strand.killed = strand.killed or "the world ended"
                strand.resume()
