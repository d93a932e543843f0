"""Lets virtual time run until the promotion has come to rest, and shows it at a pace that eyes can follow."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from rich.console import Console
from rich.live import Live

from demo import screen
from demo.observer import Observer

LONGEST = timedelta(hours=6)
"""Virtual time after which it is not waited for any longer."""
AFTERWARDS = timedelta(minutes=15)
"""Virtual time, after the promotion is over, for the last share to be closed and the last wake to be answered."""
FRAME_SECONDS = 1 / 15
STEPS = (1.0, 45.0)
"""Virtual seconds in a frame: the fewest, after something happened, and the most, while nothing does."""
AT_ONCE = ("\x1b[?2026h", "\x1b[?2026l")
"""Around a frame: the terminal is to show it as a whole (synchronised output; unknown modes are ignored)."""
GROWTH = 1.6
PATIENCE = 18.0
"""Real seconds after which a show has taken long enough: from then on it goes as fast as it can."""


def plainly(observer: Observer, console: Console) -> None:
    """Print a line for each thing that happens, and wait for nobody."""
    kernel = observer.setting.world.kernel
    width = screen.longest(observer)
    end = kernel.now + LONGEST
    was_over = False
    while not observer.settled and kernel.now < end:
        if _over(observer) and not was_over:
            was_over, end = True, min(end, kernel.now + AFTERWARDS)
        kernel.run(until=lambda: observer.look() or observer.settled, limit=end - kernel.now)
        for happening in observer.news():
            screen.tell(console, happening, width)


def live(observer: Observer, console: Console, patience: float = PATIENCE) -> None:
    """Draw the picture fifteen times a second; the clock slows down when something happens.

    ``patience``: for so many real seconds it waits for eyes to follow.
    """
    kernel = observer.setting.world.kernel
    end = kernel.now + LONGEST
    began = time.perf_counter()
    picture, step = screen.Picture(observer), STEPS[0]
    pause = threading.Event()  # time.sleep would let virtual time pass
    crowd = 1 + len(observer.setting.ways) // 4  # with many targets, several things happen in a frame
    was_over = False
    with Live(picture, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as canvas:
        while not observer.settled and kernel.now < end:
            if _over(observer) and not was_over:
                was_over, end = True, min(end, kernel.now + AFTERWARDS)
            frame = time.perf_counter()
            reported = False
            for _ in range(crowd):
                limit = min(timedelta(seconds=step), end - kernel.now)
                kernel.run(until=lambda: observer.look() or observer.settled, limit=limit)
                reported |= any(happening.tone != "progress" for happening in observer.news())
            step = STEPS[0] if reported else min(step * GROWTH, STEPS[1])
            _draw(canvas, console)
            if frame - began < patience:
                pause.wait(max(0.0, FRAME_SECONDS - (time.perf_counter() - frame)))
        _draw(canvas, console)


def _over(observer: Observer) -> bool:
    return all(map(observer.over.get, observer.setting.images))


def _draw(canvas: Live, console: Console) -> None:
    begin, end = AT_ONCE
    console.file.write(begin)
    canvas.refresh()
    console.file.write(end)
    console.file.flush()
