"""Checks of SQS: message groups, deduplication, delay, visibility, dead letters."""

import json

from awsim.services import queues, sqs
from awsim.world import World
from tests.awsim.platform_words import HUB, a_queue, a_topic, admit, messages, received, refused, send, wait


def in_order(world: World) -> None:
    """While a message of a group is in flight, that group's next is not received; another group's is."""
    queue = a_queue(world, "q.fifo")
    for body, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        send(world, queue, body, group)
    (first,) = messages(world, queue, 1)

    assert first["Body"] == "a1"
    assert received(world, queue) == ["b1"]

    world.client("sqs", HUB).delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    assert received(world, queue) == ["a2"]


def remembers(world: World) -> None:
    """A deduplication id counts for five minutes from sending, also after the message was deleted."""
    queue = a_queue(world, "q.fifo")
    send(world, queue, "first", key="same")
    (first,) = messages(world, queue)
    world.client("sqs", HUB).delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    wait(world, 290)
    send(world, queue, "again", key="same")

    assert received(world, queue) == []

    wait(world, 20)
    send(world, queue, "later", key="same")
    assert received(world, queue) == ["later"]


def scope(world: World) -> None:
    """With DeduplicationScope=messageGroup two groups may use one id; without it they may not."""
    apart, together = a_queue(world, "apart.fifo"), a_queue(world, "together.fifo", DeduplicationScope="queue")
    for queue in (apart, together):
        send(world, queue, "a", "a", key="same")
        send(world, queue, "b", "b", key="same")

    assert received(world, together) == ["a"]
    assert received(world, apart) == ["a", "b"]


def delay(world: World) -> None:
    """A queue's delay holds each message back, also in a FIFO queue."""
    queue = a_queue(world, "q.fifo", DelaySeconds="5")
    send(world, queue, "x")

    assert received(world, queue) == []
    wait(world, 5)
    assert received(world, queue) == ["x"]


def visibility(world: World) -> None:
    """After its visibility timeout a message is received again, and each receive is counted."""
    queue = a_queue(world, VisibilityTimeout="60")
    send(world, queue, "x")

    assert received(world, queue) == ["x"]
    wait(world, 50)
    assert received(world, queue) == []
    wait(world, 15)
    (again,) = messages(world, queue)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def dead_letters(world: World) -> None:
    """After maxReceiveCount receives a message goes to the dead-letter queue, and its group continues."""
    dead_queue = a_queue(world, "dead.fifo")
    redrive = json.dumps({"deadLetterTargetArn": dead_queue.arn, "maxReceiveCount": 2})
    queue = a_queue(world, "q.fifo", VisibilityTimeout="10", RedrivePolicy=redrive)
    send(world, queue, "poison")
    send(world, queue, "good")
    for _ in range(2):
        assert received(world, queue, 1) == ["poison"]
        wait(world, 11)

    assert received(world, queue) == ["good"]
    assert received(world, dead_queue) == ["poison"]


def retention(world: World) -> None:
    """A message is deleted after the queue's retention period."""
    queue = a_queue(world, MessageRetentionPeriod="3600")
    send(world, queue, "x")
    wait(world, 3601)

    assert received(world, queue) == []


def receipt(world: World) -> None:
    """In a FIFO queue a receipt handle expires with the visibility timeout."""
    queue = a_queue(world, "q.fifo", VisibilityTimeout="10")
    send(world, queue, "x")
    (message,) = messages(world, queue)
    wait(world, 11)

    client = world.client("sqs", HUB)
    refused(
        "InvalidParameterValue",
        lambda: client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"]),
    )


def needs_group(world: World) -> None:
    """A message to a FIFO queue without a group is refused."""
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", HUB)
    refused(
        "MissingParameter", lambda: client.send_message(QueueUrl=queue.url, MessageBody="x", MessageDeduplicationId="1")
    )


def needs_id(world: World) -> None:
    """A message to a FIFO queue without a deduplication id is refused, unless its content serves as one."""
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", HUB)
    by_content = a_queue(world, "content.fifo", ContentBasedDeduplication="true")
    for _ in range(2):
        client.send_message(QueueUrl=by_content.url, MessageBody="x", MessageGroupId="g")

    assert received(world, by_content) == ["x"]
    refused(
        "InvalidParameterValue", lambda: client.send_message(QueueUrl=queue.url, MessageBody="x", MessageGroupId="g")
    )


def no_delay(world: World) -> None:
    """A message to a FIFO queue cannot have its own delay."""
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", HUB)
    refused(
        "InvalidParameterValue",
        lambda: client.send_message(
            QueueUrl=queue.url, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="1", DelaySeconds=5
        ),
    )


def ten(world: World) -> None:
    """A batch of eleven is refused."""
    queue = a_queue(world)
    client = world.client("sqs", HUB)
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    assert len(client.send_message_batch(QueueUrl=queue.url, Entries=entries[:10])["Successful"]) == 10
    refused(
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        lambda: client.send_message_batch(QueueUrl=queue.url, Entries=entries),
    )


def _entry(number: object, body: str = "x", **more: str) -> dict[str, str]:
    return {"Id": str(number), "MessageBody": body, **more}


def not_empty(world: World) -> None:
    """An empty batch is refused, to send and to delete."""
    queue = a_queue(world)
    client = world.client("sqs", HUB)
    empty = "AWS.SimpleQueueService.EmptyBatchRequest"
    refused(empty, lambda: client.send_message_batch(QueueUrl=queue.url, Entries=[]))
    refused(empty, lambda: client.delete_message_batch(QueueUrl=queue.url, Entries=[]))


def distinct(world: World) -> None:
    """A batch with a repeated Id is refused."""
    queue = a_queue(world)
    client = world.client("sqs", HUB)
    refused(
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        lambda: client.send_message_batch(QueueUrl=queue.url, Entries=[_entry(1), _entry(2), _entry(1)]),
    )
    assert received(world, queue) == []


def entry_id(world: World) -> None:
    """An Id of 81 characters is refused, and one with a dot; one of 80 is not."""
    queue = a_queue(world)
    client = world.client("sqs", HUB)
    client.send_message_batch(QueueUrl=queue.url, Entries=[_entry("a-_0" * 20)])
    for bad in ("x" * 81, "a.b", "é"):
        refused(
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            lambda bad=bad: client.send_message_batch(QueueUrl=queue.url, Entries=[_entry(bad)]),
        )


def token(world: World) -> None:
    """A group or deduplication id of 129 characters, with a space or with a letter beyond ASCII is refused."""
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", HUB)
    send(world, queue, "x", "g" * 64 + "#!~[]" + "g" * 59, "k" * 128)
    good = {"MessageGroupId": "g", "MessageDeduplicationId": "k"}
    for name in good:
        for bad in ("x" * 129, "a b", "é"):
            given = good | {name: bad}
            refused(
                "InvalidParameterValue",
                lambda given=given: client.send_message(QueueUrl=queue.url, MessageBody="x", **given),
            )
    failed = client.send_message_batch(QueueUrl=queue.url, Entries=[_entry(1, **good | {"MessageGroupId": "a b"})])
    assert [one["Code"] for one in failed["Failed"]] == ["InvalidParameterValue"]


def size(world: World) -> None:
    """An empty message, one above 1 MiB and one above the queue's limit are refused; attributes count."""
    queue, small = a_queue(world), a_queue(world, "small", MaximumMessageSize="1024")
    client = world.client("sqs", HUB)
    client.send_message(QueueUrl=queue.url, MessageBody="x" * 1_048_576)
    attributes = {"n": {"DataType": "String", "StringValue": "v" * 100}}
    refused("MissingParameter", lambda: client.send_message(QueueUrl=queue.url, MessageBody=""))
    for there, body, more in ((queue, "x" * 1_048_577, {}), (small, "é" * 513, {}), (small, "x" * 1000, attributes)):
        refused(
            "InvalidParameterValue",
            lambda there=there, body=body, more=more: client.send_message(
                QueueUrl=there.url, MessageBody=body, MessageAttributes=more
            ),
        )


def batch_size(world: World) -> None:
    """Ten messages that are small enough each, but above 1 MiB together, are refused as a batch."""
    queue = a_queue(world)
    client = world.client("sqs", HUB)
    entries = [_entry(number, "x" * 104_857) for number in range(10)]
    assert len(client.send_message_batch(QueueUrl=queue.url, Entries=entries)["Successful"]) == 10
    entries[0]["MessageBody"] += "x" * 10
    refused(
        "AWS.SimpleQueueService.BatchRequestTooLong",
        lambda: client.send_message_batch(QueueUrl=queue.url, Entries=entries),
    )


def same_kind(world: World) -> None:
    """A FIFO queue cannot have a standard dead-letter queue."""
    dead_queue = a_queue(world, "dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_queue.arn, "maxReceiveCount": 5})
    client = world.client("sqs", HUB)
    refused(
        "InvalidParameterValue",
        lambda: client.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true", "RedrivePolicy": redrive}),
    )


def senders(world: World) -> None:
    """SNS delivers to a queue only if the queue's policy admits it."""
    closed, opened, topic = a_queue(world, "closed"), a_queue(world, "opened"), a_topic(world)
    admit(opened, "sns.amazonaws.com")
    for queue in (closed, opened):
        world.sns.subscribe(topic.arn, "sqs", queue.arn, {"RawMessageDelivery": "true"})
    world.client("sns", HUB).publish(TopicArn=topic.arn, Message="hello")

    assert received(world, opened) == ["hello"]
    assert received(world, closed) == []


def purge(world: World) -> None:
    """A second purge within a minute is refused; a purged queue is empty."""
    queue = a_queue(world)
    send(world, queue, "x")
    client = world.client("sqs", HUB)
    client.purge_queue(QueueUrl=queue.url)

    assert received(world, queue) == []
    refused("AWS.SimpleQueueService.PurgeQueueInProgress", lambda: client.purge_queue(QueueUrl=queue.url))


CHECKS = {
    queues.IN_ORDER.name: in_order,
    queues.REMEMBERS.name: remembers,
    queues.SCOPE.name: scope,
    queues.DELAY.name: delay,
    queues.VISIBILITY.name: visibility,
    queues.DEAD_LETTER.name: dead_letters,
    queues.RETENTION.name: retention,
    queues.EXPIRED_RECEIPT.name: receipt,
    sqs.NEEDS_GROUP.name: needs_group,
    sqs.NEEDS_ID.name: needs_id,
    sqs.NO_DELAY.name: no_delay,
    sqs.TEN.name: ten,
    sqs.NOT_EMPTY.name: not_empty,
    sqs.DISTINCT.name: distinct,
    sqs.ENTRY_ID.name: entry_id,
    sqs.TOKEN.name: token,
    sqs.SIZE.name: size,
    sqs.BATCH_SIZE.name: batch_size,
    sqs.SAME_KIND.name: same_kind,
    sqs.SENDERS.name: senders,
    sqs.PURGE_PAUSE.name: purge,
}
