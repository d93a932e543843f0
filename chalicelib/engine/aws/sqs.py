"""Sends wakes: to the queue of ``worker`` and, with a delay, to that of ``share-worker``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from chalicelib.engine import wakes
from chalicelib.engine.addresses import RecordKey, digest
from chalicelib.engine.aws.refusals import as_refusal, code_of
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.budget import slices
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.wakes import Wake

IN_A_BATCH = 10
"""The most entries of SendMessageBatch [SQS API reference]."""

ONE_IS_WRONG = frozenset(
    {"InvalidParameterValue", "InvalidMessageContents", "AWS.SimpleQueueService.BatchRequestTooLong"}
)
"""SQS can refuse a whole batch because of one entry: then each entry is sent alone."""

THREADS = 8
"""Threads: fewer than the ten connections that botocore keeps to one endpoint; 512 MB have room for them."""

FEW = 2
"""Up to this many calls run one after another, because starting threads costs more."""

Batch = Sequence[tuple[RecordKey, str]]
Sender = Callable[[tuple[str, Batch]], Sequence[RecordKey]]
"""Sends a batch to a queue, and returns the entries that it refuses."""
SideBySide = Callable[[Sender, Sequence[tuple[str, Batch]]], Sequence[Sequence[RecordKey]]]


def side_by_side(send: Sender, batches: Sequence[tuple[str, Batch]]) -> Sequence[Sequence[RecordKey]]:
    """Send batches in a few threads, because a call is mostly waiting. Raises the first error, after all have run.

    The threads end with the calls: Lambda freezes a process between two invocations.
    """
    if len(batches) <= FEW:
        return list(map(send, batches))
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        return list(pool.map(send, batches))


@dataclass(eq=False)
class SqsWakes:
    """The port ``WakeQueues``.

    The message group is the record's partition: one message group per record.
    """

    sessions: Sessions
    worker_queue_url: str
    share_worker_queue_url: str
    side_by_side: SideBySide = side_by_side

    def send(self, wake: Wake) -> None:
        self.sessions.own("sqs").send_message(QueueUrl=self._queue(wake.key), **message(wake))

    def wake_all(self, wakes: Batch) -> Sequence[RecordKey]:
        queues: dict[str, list[tuple[RecordKey, str]]] = {}
        for key, cause in wakes:
            queues.setdefault(self._queue(key), []).append((key, cause))
        batches = [(queue, few) for queue, some in queues.items() for few in slices(some, IN_A_BATCH)]
        client = self.sessions.own("sqs")  # made before the threads are: making one is not thread-safe

        def send(batch: tuple[str, Batch]) -> Sequence[RecordKey]:
            return _sent(client, *batch)

        return [key for unfit in self.side_by_side(send, batches) for key in unfit]

    def _queue(self, key: RecordKey) -> str:
        return self.share_worker_queue_url if key.kind == "resource" else self.worker_queue_url


def _sent(client: Any, queue: str, batch: Batch) -> Sequence[RecordKey]:
    """Send one batch; return the entries that SQS refuses."""
    try:
        with as_refusal("SendMessageBatch", queue):
            entries = [{"Id": str(n), **message(Wake(key, cause))} for n, (key, cause) in enumerate(batch)]
            answer = client.send_message_batch(QueueUrl=queue, Entries=entries)
    except Refusal as refusal:
        if code_of(refusal) not in ONE_IS_WRONG:
            raise
        if len(batch) == 1:
            return [batch[0][0]]
        return [key for one in batch for key in _sent(client, queue, [one])]
    failed = answer.get("Failed", ())
    for one in failed:
        if not one["SenderFault"]:
            what = f"SendMessageBatch did not take a message: {one['Code']}: {one.get('Message', '')}"
            raise Refusal(RefusalKind.THROTTLED, Fault("aws-throttled", queue, what, "The service sends it again."))
    return [batch[int(one["Id"])][0] for one in failed]


def message(wake: Wake) -> Mapping[str, str]:
    """Return the parameters of SendMessage, or of an entry of a batch, that make a wake."""
    return {
        "MessageBody": wakes.encode(wake),
        "MessageGroupId": wake.key.pk,
        "MessageDeduplicationId": digest(wake.key.pk, wake.cause),
    }
