"""``WakeQueues`` that behave like SQS FIFO: message groups, ids, visibility timeouts, dead letters."""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from chalicelib.engine import wakes
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.wakes import Wake

REMEMBERED = 300
VISIBILITY = 180
MAX_RECEIVES = 5
SHARE_WORKER_DELAY = 5


def function_of(key: RecordKey) -> str:
    """Return which function works on a record."""
    return "share-worker" if key.kind == "resource" else "worker"


@dataclass
class WakeMessage:
    """A wake that was sent and not received yet, or received and not deleted yet."""

    key: RecordKey
    cause: str
    visible_at: int
    number: int
    body: str = ""
    receives: int = 0
    chain: Counter[str] = field(default_factory=Counter)
    """How often each function had run, in the chain of wakes, when it was sent."""


class MessageGroups:
    """Both queues; their message groups have different names.

    ``fate`` says when a wake arrives: never, once, or several times.
    """

    def __init__(self, clock: Callable[[], int], fate: Callable[[str], tuple[int, ...]]) -> None:
        self._clock = clock
        self._fate = fate
        self._groups: dict[str, deque[WakeMessage]] = {}
        self._heads: list[tuple[int, int, WakeMessage]] = []
        """A heap of each message group's first message, as it was at some time; ``next`` drops outdated ones."""
        self._sent: dict[tuple[str, str], int] = {}
        self._numbers = itertools.count()
        self.dead: list[WakeMessage] = []
        self.chain: Counter[str] = Counter()
        """The chain of the running invocation."""
        self.longest: Counter[str] = Counter()
        """The most runs of each function in one chain."""

    def send(self, wake: Wake) -> None:
        now, key, cause = self._clock(), wake.key, wake.cause
        if now - self._sent.get((key.pk, cause), -REMEMBERED) < REMEMBERED:
            return
        self._sent[key.pk, cause] = now
        group = self._groups.setdefault(key.pk, deque())
        for delay in self._fate(cause):
            wait = delay + (SHARE_WORKER_DELAY if key.kind == "resource" else 0)
            message = WakeMessage(key, cause, now + wait, next(self._numbers), wakes.encode(wake), 0, self.chain)
            group.append(message)
            if len(group) == 1:
                self._headed(key.pk)

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> Sequence[RecordKey]:
        for key, cause in wakes:
            self.send(Wake(key, cause))
        return ()

    def next(self, but: str = "") -> WakeMessage | None:
        """Return the message that can be received first, in any message group except ``but``."""
        aside = []
        found = None
        while self._heads and found is None:
            at, _, message = self._heads[0]
            group = self._groups[message.key.pk]
            if not group or group[0] is not message or message.visible_at != at:
                heapq.heappop(self._heads)
            elif message.key.pk == but:
                aside.append(heapq.heappop(self._heads))
            else:
                found = message
        for head in aside:
            heapq.heappush(self._heads, head)
        return found

    @contextmanager
    def running(self, messages: Sequence[WakeMessage]) -> Iterator[None]:
        """The context in which the invocations of these messages run: what they send continues the longer chain."""
        for one in messages:
            self.chain = self.chain | (one.chain + Counter([function_of(one.key)]))
        self.longest |= self.chain
        try:
            yield
        finally:
            self.chain = Counter()

    def lose(self) -> None:
        """Lose every wake under way, except the sweep's own."""
        for name, group in self._groups.items():
            self._groups[name] = deque(message for message in group if message.cause.startswith("sweep:"))
            self._headed(name)

    def done(self, message: WakeMessage) -> None:
        self._groups[message.key.pk].remove(message)
        self._headed(message.key.pk)

    def dropped(self, message: WakeMessage) -> None:
        """The receiver was killed: the message is visible again after its visibility timeout."""
        message.receives += 1
        message.visible_at = self._clock() + VISIBILITY
        self._headed(message.key.pk)
        if message.receives >= MAX_RECEIVES:
            self.done(message)
            self.dead.append(message)

    def put_off(self, message: WakeMessage, until: int) -> None:
        """The queue's function is off: the message waits until then."""
        message.visible_at = until
        self._headed(message.key.pk)

    def busy(self, name: str, until: int) -> None:
        """The next message of a message group is received after the one before it was processed."""
        for message in self._groups[name]:
            message.visible_at = max(message.visible_at, until)
        self._headed(name)

    def _headed(self, name: str) -> None:
        """Put a message group's first message on the heap, where ``next`` finds it."""
        if self._groups[name]:
            first = self._groups[name][0]
            heapq.heappush(self._heads, (first.visible_at, first.number, first))
