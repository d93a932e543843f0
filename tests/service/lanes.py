"""The port ``Rings`` as SQS FIFO has it: a lane per record, ids remembered, visibility timeouts, dead letters."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.core.addresses import Key

REMEMBERED = 300
VISIBILITY = 180
MAX_RECEIVES = 5
SETTLE_DELAY = 5


@dataclass
class Message:
    """A ring under way."""

    key: Key
    cause: str
    visible_at: int
    number: int
    receives: int = 0


class Lanes:
    """Both queues: their lanes have different names. ``fate`` says when a ring arrives: never, once, or more often."""

    def __init__(self, clock: Callable[[], int], fate: Callable[[str], tuple[int, ...]]) -> None:
        self._clock = clock
        self._fate = fate
        self._lanes: dict[str, list[Message]] = {}
        self._sent: dict[tuple[str, str], int] = {}
        self._numbers = itertools.count()
        self.dead: list[Message] = []

    def ring(self, key: Key, cause: str) -> None:
        """See the port."""
        now = self._clock()
        if now - self._sent.get((key.pk, cause), -REMEMBERED) < REMEMBERED:
            return
        self._sent[key.pk, cause] = now
        lane = self._lanes.setdefault(key.pk, [])
        for delay in self._fate(cause):
            wait = delay + (SETTLE_DELAY if key.kind == "resource" else 0)
            lane.append(Message(key, cause, now + wait, next(self._numbers)))

    def next(self, but: str = "") -> Message | None:
        """Return the message that can be received first, in any lane ``but`` one."""
        heads = [lane[0] for name, lane in self._lanes.items() if lane and name != but]
        return min(heads, key=lambda message: (message.visible_at, message.number), default=None)

    def lose(self) -> None:
        """Every ring under way is lost, but the sweep's own."""
        for name, lane in self._lanes.items():
            self._lanes[name] = [message for message in lane if message.cause.startswith("sweep:")]

    def done(self, message: Message) -> None:
        """Delete it."""
        self._lanes[message.key.pk].remove(message)

    def dropped(self, message: Message) -> None:
        """Its receiver died: it is seen again when its visibility timeout is over, and its lane waits for it."""
        message.receives += 1
        message.visible_at = self._clock() + VISIBILITY
        if message.receives >= MAX_RECEIVES:
            self.done(message)
            self.dead.append(message)
