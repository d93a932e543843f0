"""Lets virtual time run until the promotion has come to rest, and shows it at a pace that eyes can follow."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from sandbox.demo import screen

if TYPE_CHECKING:
    from sandbox.demo.story import Story

LONGEST = timedelta(hours=6)
"""Virtual time after which it is not waited for any longer."""
AFTERWARDS = timedelta(minutes=15)
"""Virtual time, after the promotion is over, for the last share to be closed and the last ring to be answered."""
FRAME_SECONDS = 1 / 12
STEPS = (0.5, 30.0)
"""Virtual seconds in a frame: the fewest, after something happened, and the most, while nothing does."""
GROWTH = 1.3
PATIENCE = 22.0
"""Real seconds after which the show stops waiting for eyes."""


def plainly(story: Story, console: Console) -> None:
    """Print a line for each thing that happens, and wait for nobody."""
    kernel = story.scene.world.kernel
    width = max(len(name) for name in story.scene.names.values())
    end = kernel.now + LONGEST
    while not story.settled and kernel.now < end:
        if story.over:
            end = min(end, kernel.now + AFTERWARDS)
        kernel.run(until=lambda: story.look() or story.settled, limit=end - kernel.now)
        for happening in story.news():
            console.print(screen.told(happening, width), soft_wrap=True)


def live(story: Story, console: Console) -> None:
    """Draw the picture anew twelve times a second; the clock slows down when something happens."""
    kernel = story.scene.world.kernel
    end = kernel.now + LONGEST
    began = time.perf_counter()
    picture, step = screen.Picture(story), STEPS[0]
    pause = threading.Event()  # time.sleep would let virtual time pass
    crowd = 1 + len(story.scene.targets) // 4
    was_over = False
    with Live(picture, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as canvas:
        while not story.settled and kernel.now < end:
            if story.over and not was_over:
                was_over, end = True, min(end, kernel.now + AFTERWARDS)
            frame = time.perf_counter()
            for _ in range(crowd):  # with many targets, several things happen in a frame
                kernel.run(
                    until=lambda: story.look() or story.settled, limit=min(timedelta(seconds=step), end - kernel.now)
                )
            told = any(happening.tone != "progress" for happening in story.news())
            step = STEPS[0] if told else min(step * GROWTH, STEPS[1])
            canvas.refresh()
            if frame - began < PATIENCE:
                pause.wait(max(0.0, FRAME_SECONDS - (time.perf_counter() - frame)))
        canvas.refresh()
