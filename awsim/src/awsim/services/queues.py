"""One SQS queue, without API and clock: the time is an argument.

A queue is a set of message groups; in a standard queue each message is a group of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from awsim.rules import Rules, rule

IN_ORDER = rule(
    "sqs-message-group-in-order",
    "While a message of a group is in flight, no other message of that group is given out. [aws-facts SQS FIFO, "
    "VERIFIED]",
)
REMEMBERS = rule(
    "sqs-deduplication-id-remembered-five-minutes",
    "A deduplication id is remembered for five minutes from sending, also when its message was deleted. "
    "[aws-facts SQS FIFO, VERIFIED]",
)
SCOPE = rule(
    "sqs-deduplication-scope-message-group",
    "DeduplicationScope=messageGroup remembers deduplication ids for each message group apart; without it one memory "
    "serves the queue. [aws-facts SQS FIFO, VERIFIED]",
)
DELAY = rule(
    "sqs-queue-delay",
    "A message comes out only after the queue's DelaySeconds, in FIFO queues too. [aws-facts SQS FIFO, VERIFIED]",
)
VISIBILITY = rule(
    "sqs-visibility-timeout",
    "A received message stays invisible until its visibility timeout ends, then it is given out again; each time "
    "counts "
    "as a receive. [aws-facts SQS FIFO, VERIFIED]",
)
DEAD_LETTER = rule(
    "sqs-redrive-to-dead-letter-queue",
    "A message received maxReceiveCount times and not deleted goes to the dead-letter queue instead of being given out "
    "again. [SQS developer guide, dead-letter queues]",
)
RETENTION = rule(
    "sqs-retention",
    "A message is discarded when the queue's MessageRetentionPeriod (default four days) has passed. "
    "[aws-facts SQS FIFO, VERIFIED: up to 14 days]",
)
EXPIRED_RECEIPT = rule(
    "sqs-fifo-receipt-expires",
    "In a FIFO queue a receipt handle is of no use any more once the message's visibility timeout has ended. "
    "[SQS developer guide, FIFO queue visibility]",
)

MEMORY = timedelta(minutes=5)

DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "SqsManagedSseEnabled": "true",
}
FIFO_DEFAULTS = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}


@dataclass(slots=True, eq=False)
class Message:
    """One message."""

    id: str
    body: str
    sent: datetime
    visible: datetime
    """When it can be received (again)."""
    sender: str
    sequence: int
    group: str | None = None
    deduplication_id: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    receives: int = 0
    first_received: datetime | None = None
    receipt: str = ""
    """The receipt handle of the latest receive."""
    dead_from: str | None = None
    """ARN of the queue whose dead letter it is."""
    trace: str = ""
    """The trace header of the call that sent it."""

    @property
    def md5(self) -> str:
        """MD5 of the body, as SQS gives it."""
        return hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest()

    def in_flight(self, now: datetime) -> bool:
        """Whether it was received and is hidden."""
        return self.receives > 0 and self.visible > now


@dataclass(slots=True, eq=False)
class Queue:
    """A queue: its attributes as the API shows them, and its messages by group."""

    name: str
    account: str
    region: str
    rules: Rules
    created: datetime
    attributes: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    groups: dict[str, deque[Message]] = field(default_factory=dict)
    memory: dict[tuple[str, str], Message] = field(default_factory=dict)
    dead_letters: Callable[[str], Queue | None] = lambda _: None
    """Returns the dead-letter queue by its ARN."""
    changed: Callable[[Queue], object] = lambda _: None
    """Called whenever a message may have become available."""
    purged: datetime | None = None

    def __post_init__(self) -> None:
        self.attributes = DEFAULTS | (FIFO_DEFAULTS if self.fifo else {}) | self.attributes

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue: its name says so."""
        return self.name.endswith(".fifo")

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"

    @property
    def url(self) -> str:
        """Its URL."""
        return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{self.name}"

    @property
    def messages(self) -> list[Message]:
        """All messages, oldest first, hidden ones too; for tests."""
        return sorted((m for group in self.groups.values() for m in group), key=lambda m: m.sequence)

    def twin(self, message: Message, now: datetime) -> Message | None:
        """The message sent in the last five minutes that makes this one a duplicate."""
        if not self.fifo:
            return None
        if message.deduplication_id is None:
            message.deduplication_id = hashlib.sha256(message.body.encode()).hexdigest()
        self.memory = {key: old for key, old in self.memory.items() if now < old.sent + MEMORY}
        twin = self.memory.get(self._memory_key(message))
        if twin is not None and not self.rules.on(REMEMBERS) and twin not in self.groups.get(twin.group or "", ()):
            return None
        return twin

    def put(self, message: Message, now: datetime, delay: int | None = None) -> None:
        """Add a message."""
        seconds = int(self.attributes["DelaySeconds"]) if delay is None else delay
        if delay is None and not self.rules.on(DELAY):
            seconds = 0
        message.visible = now + timedelta(seconds=seconds)
        if self.fifo:
            self.memory[self._memory_key(message)] = message
        self.groups.setdefault(self._group(message), deque()).append(message)
        self.changed(self)

    def receive(self, now: datetime, most: int, timeout: int | None, receipts: Iterator[str]) -> list[Message]:
        """Return up to ``most`` messages and hide them for ``timeout`` seconds (None: the queue's own)."""
        seconds = int(self.attributes["VisibilityTimeout"]) if timeout is None else timeout
        if not self.rules.on(VISIBILITY):
            seconds = 0
        given: list[Message] = []
        for message in self._available(now):
            message.receives += 1
            message.first_received = message.first_received or now
            message.receipt = next(receipts)
            message.visible = now + timedelta(seconds=seconds)
            given.append(message)
            if len(given) == most:
                break
        if given:
            self.changed(self)
        return given

    def find(self, receipt: str, now: datetime) -> Message | None:
        """Return the message of a receipt handle, while the handle is valid."""
        for group in self.groups.values():
            for message in group:
                if message.receipt == receipt:
                    expired = self.fifo and message.visible <= now and self.rules.on(EXPIRED_RECEIPT)
                    return None if expired else message
        return None

    def remove(self, message: Message) -> None:
        """Delete a message; its deduplication id stays remembered."""
        group = self.groups.get(self._group(message))
        if group is not None and message in group:
            group.remove(message)
            if not group:
                del self.groups[self._group(message)]
            self.changed(self)

    def hide(self, message: Message, seconds: int, now: datetime) -> None:
        """Change a message's visibility timeout, counted from now."""
        message.visible = now + timedelta(seconds=seconds)
        self.changed(self)

    def purge(self, now: datetime) -> None:
        """Delete all messages."""
        self.purged = now
        self.groups.clear()

    def counts(self, now: datetime) -> dict[str, str]:
        """The three approximate numbers of messages (here they are exact)."""
        messages = self.messages
        flying = sum(m.in_flight(now) for m in messages)
        delayed = sum(not m.receives and m.visible > now for m in messages)
        return {
            "ApproximateNumberOfMessages": str(len(messages) - flying - delayed),
            "ApproximateNumberOfMessagesNotVisible": str(flying),
            "ApproximateNumberOfMessagesDelayed": str(delayed),
        }

    def next_change(self, now: datetime) -> datetime | None:
        """Return when the next hidden message becomes visible by itself."""
        heads = (m.visible for group in self.groups.values() for m in list(group)[: 1 if self.fifo else None])
        return min((when for when in heads if when > now), default=None)

    def redrive(self) -> tuple[str, int] | None:
        """ARN of the dead-letter queue and number of receives after which a message goes there."""
        policy = self.attributes.get("RedrivePolicy")
        if not policy:
            return None
        parsed = json.loads(policy)
        return parsed["deadLetterTargetArn"], int(parsed["maxReceiveCount"])

    def _available(self, now: datetime) -> Iterator[Message]:
        for group in list(self.groups.values()):
            self._discard_old(group, now)
            if self.fifo and self.rules.on(IN_ORDER) and any(m.in_flight(now) for m in group):
                continue
            for message in list(group):
                if message.visible > now:
                    if self.fifo and self.rules.on(IN_ORDER):
                        break
                    continue
                if self._to_dead_letters(message, now):
                    continue
                yield message

    def _discard_old(self, group: deque[Message], now: datetime) -> None:
        if not self.rules.on(RETENTION):
            return
        kept = timedelta(seconds=int(self.attributes["MessageRetentionPeriod"]))
        for message in [m for m in group if m.sent + kept <= now]:
            self.remove(message)

    def _to_dead_letters(self, message: Message, now: datetime) -> bool:
        """Move a message to the dead-letter queue if it was received often enough."""
        redrive = self.redrive()
        if redrive is None or message.receives < redrive[1] or not self.rules.on(DEAD_LETTER):
            return False
        dead_queue = self.dead_letters(redrive[0])
        if dead_queue is None:
            return False
        self.remove(message)
        message.dead_from = self.arn
        message.receives, message.receipt = 0, ""
        if self.fifo:
            message.sent = now  # a FIFO dead-letter queue counts retention again
        dead_queue.put(message, now, delay=0)
        return True

    def _group(self, message: Message) -> str:
        return (message.group or "") if self.fifo else message.id

    def _memory_key(self, message: Message) -> tuple[str, str]:
        apart = self.attributes.get("DeduplicationScope") == "messageGroup" and self.rules.on(SCOPE)
        return ((message.group or "") if apart else "", message.deduplication_id or "")


def system_attributes(message: Message, queue: Queue) -> dict[str, str]:
    """The attributes that SQS itself gives to a received message, as strings."""
    first = message.first_received or message.sent
    attributes = {
        "SenderId": message.sender,
        "SentTimestamp": str(int(message.sent.timestamp() * 1000)),
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(int(first.timestamp() * 1000)),
    }
    if queue.fifo:
        attributes |= {
            "MessageGroupId": message.group or "",
            "MessageDeduplicationId": message.deduplication_id or "",
            "SequenceNumber": f"{message.sequence:020d}",
        }
    if message.trace:
        attributes["AWSTraceHeader"] = message.trace
    if message.dead_from:
        attributes["DeadLetterQueueSourceArn"] = message.dead_from
    return attributes
