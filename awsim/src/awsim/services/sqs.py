"""Amazon SQS: the queues of all accounts and Regions, over the API and for services that send to them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.parts import Base
from awsim.rules import rule
from awsim.services.queues import Message, Queue, system_attributes

NEEDS_GROUP = rule(
    "sqs-fifo-needs-message-group",
    "A message to a FIFO queue must name its message group. [SQS API reference, SendMessage]",
)
NEEDS_ID = rule(
    "sqs-fifo-needs-deduplication-id",
    "A message to a FIFO queue must have a deduplication id, unless ContentBasedDeduplication is on. "
    "[SQS API reference, SendMessage]",
)
NO_DELAY = rule(
    "sqs-fifo-no-message-delay",
    "A message to a FIFO queue cannot have a DelaySeconds of its own. [aws-facts SQS FIFO, VERIFIED]",
)
TEN = rule("sqs-batch-of-ten", "A batch, sent, received or deleted, holds at most ten. [aws-facts SQS FIFO, VERIFIED]")
NOT_EMPTY = rule(
    "sqs-batch-not-empty", "A batch without entries is refused: EmptyBatchRequest. [botocore, sqs model: errors]"
)
DISTINCT = rule(
    "sqs-batch-ids-distinct",
    "Two entries of one batch cannot have the same Id: BatchEntryIdsNotDistinct. [botocore, sqs model: errors]",
)
ENTRY_ID = rule(
    "sqs-batch-id-form",
    "An entry's Id has up to 80 letters, digits, hyphens and underscores: else InvalidBatchEntryId. [SQS developer "
    "guide, quotas for messages]",
)
TOKEN = rule(
    "sqs-group-and-deduplication-id-form",
    "A message group and a deduplication id have up to 128 ASCII letters, digits and punctuation marks, no space. "
    "[SQS API reference, SendMessage]",
)
SIZE = rule(
    "sqs-message-of-1-mib",
    "A message with its attributes has at least one byte and at most the queue's MaximumMessageSize, 1 MiB unless set "
    "lower. [SQS API reference, SendMessage and CreateQueue: 1,048,576 bytes; 256 KiB until 2025]",
)
BATCH_SIZE = rule(
    "sqs-batch-of-1-mib",
    "All messages of one batch together have at most 1 MiB: else BatchRequestTooLong. [SQS API reference, "
    "SendMessageBatch]",
)
SAME_KIND = rule(
    "sqs-dead-letter-queue-of-same-kind",
    "A FIFO queue's dead-letter queue must be FIFO, a standard queue's standard. [aws-facts SQS FIFO, VERIFIED]",
)
SENDERS = rule(
    "sqs-service-needs-queue-policy",
    "EventBridge and SNS reach a queue only if its policy lets them send. [aws-facts 1e, VERIFIED for the rule's DLQ]",
)
PURGE_PAUSE = rule(
    "sqs-purge-once-a-minute",
    "A queue can be purged once in 60 seconds, else PurgeQueueInProgress. [SQS API reference, PurgeQueue]",
)
LONGEST_WAIT = 20
LARGEST_BATCH = 1_048_576
AN_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
A_TOKEN = re.compile(r"[!-~]{1,128}")


class Sqs:
    """All queues of a world, by ARN in ``queues``. Other services of the world call ``deliver``."""

    name = "sqs"
    exclusive = True

    def __init__(self, base: Base) -> None:
        self.queues: dict[str, Queue] = {}
        self._base = base
        self.watchers: list[Callable[[Queue], object]] = []
        """Called with a queue whenever it may have a message to receive."""
        self._sequence = itertools.count(1)
        self._operations: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            name: getattr(self, f"_{_snake(name)}")
            for name in (
                "CreateQueue",
                "DeleteQueue",
                "GetQueueUrl",
                "ListQueues",
                "ListDeadLetterSourceQueues",
                "GetQueueAttributes",
                "SetQueueAttributes",
                "TagQueue",
                "ListQueueTags",
                "SendMessage",
                "SendMessageBatch",
                "ReceiveMessage",
                "DeleteMessage",
                "DeleteMessageBatch",
                "ChangeMessageVisibility",
                "PurgeQueue",
                "StartMessageMoveTask",
            )
        }

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that it answers."""
        return self._operations

    def create(
        self, account: str, region: str, name: str, attributes: Mapping[str, str], tags: Mapping[str, str] | None = None
    ) -> Queue:
        """Create a queue, or return the one of that name. Raises AwsError."""
        queue = Queue(name, account, region, self._base.rules, self._base.now, dict(attributes), dict(tags or {}))
        if queue.arn in self.queues:
            return self.queues[queue.arn]
        self._check(queue, attributes)
        queue.dead_letters = self.queues.get
        queue.changed = self._changed
        self.queues[queue.arn] = queue
        return queue

    def queue(self, account: str, region: str, name: str) -> Queue:
        """Return a queue by its name. Raises KeyError."""
        return self.queues[f"arn:aws:sqs:{region}:{account}:{name}"]

    def deliver(
        self,
        arn: str,
        body: str,
        *,
        principal: str,
        source_arn: str,
        group: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Send for a service (``events.amazonaws.com``). Raises AwsError if its policy forbids, or it is missing."""
        queue = self.queues.get(arn)
        if queue is None:
            raise _missing()
        if self._base.on(SENDERS):
            context = {"aws:SourceArn": source_arn, "aws:SourceAccount": source_arn.split(":")[4]}
            if not self._base.policies.service_may(
                principal, self.resource_policy(arn), "sqs:SendMessage", arn, context
            ):
                raise AwsError(
                    "AccessDenied", f"the policy of {arn} does not let {principal} send for {source_arn}", 403
                )
        self.send(queue, body, principal, group=group, attributes=dict(attributes or {}))

    def receipts(self) -> Iterator[str]:
        """Return receipt handles, for Lambda's event source mappings, which receive without the API."""
        while True:
            yield f"receipt-{next(self._sequence):012d}"

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the policy of a queue."""
        queue = self.queues.get(arn)
        policy: Mapping[str, Any] | None = json.loads(queue.attributes.get("Policy") or "null") if queue else None
        return policy

    # --- the API ---

    def _create_queue(self, call: Call) -> Mapping[str, Any]:
        given = call.params
        queue = self.create(
            call.caller.account, call.region, given["QueueName"], given.get("Attributes", {}), given.get("tags")
        )
        return {"QueueUrl": queue.url}

    def _delete_queue(self, call: Call) -> Mapping[str, Any]:
        del self.queues[self._named(call).arn]
        return {}

    def _get_queue_url(self, call: Call) -> Mapping[str, Any]:
        account = call.params.get("QueueOwnerAWSAccountId", call.caller.account)
        queue = self.queues.get(f"arn:aws:sqs:{call.region}:{account}:{call.params['QueueName']}")
        if queue is None:
            raise _missing()
        return {"QueueUrl": queue.url}

    def _list_queues(self, call: Call) -> Mapping[str, Any]:
        prefix = call.params.get("QueueNamePrefix", "")
        own = [q for q in self.queues.values() if (q.account, q.region) == (call.caller.account, call.region)]
        return {"QueueUrls": sorted(q.url for q in own if q.name.startswith(prefix))}

    def _list_dead_letter_source_queues(self, call: Call) -> Mapping[str, Any]:
        dead_queue = self._named(call).arn
        sources = [q.url for q in self.queues.values() if (q.redrive() or ("", 0))[0] == dead_queue]
        return {"queueUrls": sorted(sources)}

    def _get_queue_attributes(self, call: Call) -> Mapping[str, Any]:
        queue = self._named(call)
        born = str(int(queue.created.timestamp()))
        everything = {
            **queue.attributes,
            **queue.counts(self._base.now),
            "QueueArn": queue.arn,
            "CreatedTimestamp": born,
            "LastModifiedTimestamp": born,
        }
        wanted = set(call.params.get("AttributeNames", ()))
        return {"Attributes": {k: v for k, v in everything.items() if k in wanted or "All" in wanted}}

    def _set_queue_attributes(self, call: Call) -> Mapping[str, Any]:
        queue = self._named(call)
        self._check(queue, call.params["Attributes"])
        queue.attributes.update(call.params["Attributes"])
        return {}

    def _tag_queue(self, call: Call) -> Mapping[str, Any]:
        self._named(call).tags.update(call.params["Tags"])
        return {}

    def _list_queue_tags(self, call: Call) -> Mapping[str, Any]:
        return {"Tags": self._named(call).tags}

    def _send_message(self, call: Call) -> Mapping[str, Any]:
        queue, given = self._named(call), call.params
        if self._base.injected.loses(queue.name):
            return {"MessageId": self._new_id(), "MD5OfMessageBody": _md5(given["MessageBody"])}
        message = self.send(
            queue,
            given["MessageBody"],
            call.caller.arn,
            group=given.get("MessageGroupId"),
            deduplication_id=given.get("MessageDeduplicationId"),
            delay=given.get("DelaySeconds"),
            attributes=given.get("MessageAttributes", {}),
            trace=call.trace,
        )
        sent = {"MessageId": message.id, "MD5OfMessageBody": message.md5}
        return sent | ({"SequenceNumber": f"{message.sequence:020d}"} if queue.fifo else {})

    def _send_message_batch(self, call: Call) -> Mapping[str, Any]:
        good: list[Mapping[str, Any]] = []
        bad: list[Mapping[str, Any]] = []
        entries = self._batch(call)
        together = sum(_size(entry["MessageBody"], entry.get("MessageAttributes", {})) for entry in entries)
        if together > LARGEST_BATCH and self._base.on(BATCH_SIZE):
            raise AwsError(
                "AWS.SimpleQueueService.BatchRequestTooLong",
                f"Batch requests cannot be longer than {LARGEST_BATCH} bytes. You have sent {together} bytes.",
            )
        for entry in entries:
            params = {**entry, "QueueUrl": call.params["QueueUrl"]}
            one = replace(call, operation="SendMessage", params=params)
            try:
                good.append({"Id": entry["Id"], **self._send_message(one)})
            except AwsError as refused:
                bad.append({"Id": entry["Id"], "SenderFault": True, "Code": refused.code, "Message": refused.message})
        return {"Successful": good} | ({"Failed": bad} if bad else {})

    def _receive_message(self, call: Call) -> Mapping[str, Any]:
        queue, given, clock = self._named(call), call.params, self._base.clock
        most = given.get("MaxNumberOfMessages", 1)
        if most > 10 and self._base.on(TEN):
            raise AwsError(
                "InvalidParameterValue",
                f"Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if "
                "provided.",
            )
        wait = given.get("WaitTimeSeconds", int(queue.attributes["ReceiveMessageWaitTimeSeconds"]))
        end = clock.now + timedelta(seconds=min(wait, LONGEST_WAIT))
        while True:
            messages = queue.receive(clock.now, most, given.get("VisibilityTimeout"), self.receipts())
            if messages or clock.now >= end:
                break
            clock.elapse(1)
        names = set(given.get("AttributeNames", ())) | set(given.get("MessageSystemAttributeNames", ()))
        return {"Messages": [_shown(message, queue, names) for message in messages]} if messages else {}

    def _delete_message(self, call: Call) -> Mapping[str, Any]:
        queue = self._named(call)
        message = queue.find(call.params["ReceiptHandle"], self._base.now)
        if message is not None:
            queue.remove(message)
        elif queue.fifo:
            raise _expired(call)
        return {}

    def _delete_message_batch(self, call: Call) -> Mapping[str, Any]:
        good: list[Mapping[str, Any]] = []
        bad: list[Mapping[str, Any]] = []
        for entry in self._batch(call):
            params = {**entry, "QueueUrl": call.params["QueueUrl"]}
            one = Call(call.caller, call.service, "DeleteMessage", params, call.region, call.at, call.request_id)
            try:
                self._delete_message(one)
                good.append({"Id": entry["Id"]})
            except AwsError as refused:
                bad.append({"Id": entry["Id"], "SenderFault": True, "Code": refused.code, "Message": refused.message})
        return {"Successful": good} | ({"Failed": bad} if bad else {})

    def _change_message_visibility(self, call: Call) -> Mapping[str, Any]:
        queue = self._named(call)
        message = queue.find(call.params["ReceiptHandle"], self._base.now)
        if message is None:
            raise _expired(call)
        queue.hide(message, call.params["VisibilityTimeout"], self._base.now)
        return {}

    def _purge_queue(self, call: Call) -> Mapping[str, Any]:
        queue, now = self._named(call), self._base.now
        if queue.purged and now < queue.purged + timedelta(seconds=60) and self._base.on(PURGE_PAUSE):
            raise AwsError(
                "AWS.SimpleQueueService.PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
                403,
            )
        queue.purge(now)
        return {}

    def _start_message_move_task(self, call: Call) -> Mapping[str, Any]:
        """Move the messages of a dead-letter queue back to their queue (here: at once)."""
        dead_queue = self.queues.get(call.params["SourceArn"])
        if dead_queue is None:
            raise AwsError(
                "ResourceNotFoundException", "The resource that you specified for the SourceArn doesn't exist.", 404
            )
        for message in dead_queue.messages:
            home = self.queues.get(call.params.get("DestinationArn") or message.dead_from or "")
            if home is not None:
                dead_queue.remove(message)
                message.receives, message.dead_from = 0, None
                home.put(message, self._base.now, delay=0)
        return {"TaskHandle": f"task-{self._new_id()}"}

    # --- below the API ---

    def send(
        self,
        queue: Queue,
        body: str,
        sender: str,
        *,
        group: str | None = None,
        deduplication_id: str | None = None,
        attributes: dict[str, Any] | None = None,
        delay: int | None = None,
        trace: str = "",
    ) -> Message:
        """Add a message, or return the one that it repeats. Raises AwsError for what the queue forbids."""
        now, rules = self._base.now, self._base.rules
        self._check_size(queue, body, attributes or {})
        for name, token in (("MessageGroupId", group), ("MessageDeduplicationId", deduplication_id)):
            if token is not None and not A_TOKEN.fullmatch(token) and rules.on(TOKEN):
                raise AwsError(
                    "InvalidParameterValue",
                    f"Value {token} for parameter {name} is invalid. Reason: {name} can only include alphanumeric and "
                    "punctuation characters. 1 to 128 in length.",
                )
        if queue.fifo:
            if group is None and rules.on(NEEDS_GROUP):
                raise AwsError("MissingParameter", "The request must contain the parameter MessageGroupId.")
            by_content = queue.attributes["ContentBasedDeduplication"] == "true"
            if deduplication_id is None and not by_content and rules.on(NEEDS_ID):
                raise AwsError(
                    "InvalidParameterValue",
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                    "explicitly",
                )
            if delay and rules.on(NO_DELAY):
                raise AwsError(
                    "InvalidParameterValue",
                    f"Value {delay} for parameter DelaySeconds is invalid. Reason: The request include parameter that "
                    "is not valid for this queue type.",
                )
        message = Message(self._new_id(), body, now, now, sender, next(self._sequence))
        message.group, message.deduplication_id, message.attributes = group, deduplication_id, attributes or {}
        message.trace = trace
        twin = queue.twin(message, now)
        if twin is not None:
            return twin
        queue.put(message, now, delay)
        return message

    def _named(self, call: Call) -> Queue:
        account, name = call.params["QueueUrl"].rstrip("/").split("/")[-2:]
        queue = self.queues.get(f"arn:aws:sqs:{call.region}:{account}:{name}")
        if queue is None:
            raise _missing()
        return queue

    def _batch(self, call: Call) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = call.params["Entries"]
        if len(entries) > 10 and self._base.on(TEN):
            raise AwsError(
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                f"Maximum number of entries per request are 10. You have sent {len(entries)}.",
            )
        if not entries and self._base.on(NOT_EMPTY):
            raise AwsError(
                "AWS.SimpleQueueService.EmptyBatchRequest",
                "There should be at least one SendMessageBatchRequestEntry in the request.",
            )
        ids = [entry["Id"] for entry in entries]
        if not all(map(AN_ENTRY_ID.fullmatch, ids)) and self._base.on(ENTRY_ID):
            raise AwsError(
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most "
                "80 letters long.",
            )
        if len(set(ids)) < len(ids) and self._base.on(DISTINCT):
            again = next(one for one in ids if ids.count(one) > 1)
            raise AwsError("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", f"Id {again} repeated.")
        return entries

    def _check_size(self, queue: Queue, body: str, attributes: Mapping[str, Any]) -> None:
        if not self._base.on(SIZE):
            return
        if not body:
            raise AwsError("MissingParameter", "The request must contain the parameter MessageBody.")
        most = int(queue.attributes["MaximumMessageSize"])
        if _size(body, attributes) > most:
            raise AwsError(
                "InvalidParameterValue",
                f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.",
            )

    def _check(self, queue: Queue, attributes: Mapping[str, str]) -> None:
        if "FifoQueue" in attributes and (str(attributes["FifoQueue"]) == "true") != queue.fifo:
            raise AwsError(
                "InvalidParameterValue",
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end "
                "with .fifo suffix and be 1 to 80 in length.",
            )
        policy = attributes.get("RedrivePolicy")
        if policy and self._base.on(SAME_KIND):
            dead_queue = json.loads(policy)["deadLetterTargetArn"]
            if dead_queue.endswith(".fifo") != queue.fifo:
                raise AwsError(
                    "InvalidParameterValue",
                    f"Value {policy} for parameter RedrivePolicy is invalid. Reason: Dead-letter queue must be same "
                    "type of queue as the source.",
                )

    def _changed(self, queue: Queue) -> None:
        for watcher in self.watchers:
            watcher(queue)

    def _new_id(self) -> str:
        return f"{next(self._sequence):08x}-0000-4000-8000-{self._base.random.getrandbits(48):012x}"


def _shown(message: Message, queue: Queue, names: set[str]) -> dict[str, Any]:
    """Return a message as ReceiveMessage shows it."""
    system = {k: v for k, v in system_attributes(message, queue).items() if k in names or "All" in names}
    shown: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": message.md5,
        "Body": message.body,
    }
    if system:
        shown["Attributes"] = system
    if message.attributes:
        shown["MessageAttributes"] = message.attributes
    return shown


def _size(body: str, attributes: Mapping[str, Any]) -> int:
    """Count the bytes of a message: its body, and each attribute's name, type and value."""
    return len(body.encode()) + sum(
        len(f"{name}{one['DataType']}{one.get('StringValue', '')}".encode()) + len(one.get("BinaryValue", b""))
        for name, one in attributes.items()
    )


def _missing() -> AwsError:
    return AwsError("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


def _expired(call: Call) -> AwsError:
    return AwsError(
        "InvalidParameterValue",
        f"Value {call.params['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: The receipt handle has "
        "expired.",
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
