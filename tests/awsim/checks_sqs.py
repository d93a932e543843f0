"""Checks of SQS: message groups, deduplication, delay, visibility, dead letters."""

from __future__ import annotations

import json

from awsim.services import queues, sqs
from awsim.world import World
from tests.awsim.platform_words import HUB, a_queue, a_topic, admit, messages, received, refused, send, wait


def in_order(world: World) -> None:
    """While a message of a group is in flight nothing else of that group comes out; another group's does."""
    queue = a_queue(world, "q.fifo")
    for body, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        send(world, queue, body, group)
    (first,) = messages(world, queue, 1)

    assert first["Body"] == "a1"
    assert received(world, queue) == ["b1"]

    world.client("sqs", HUB).delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    assert received(world, queue) == ["a2"]


def remembers(world: World) -> None:
    """A deduplication id counts for five minutes from sending, though its message was deleted; then it is new."""
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
    """A queue's delay holds each message back, in a FIFO queue too."""
    queue = a_queue(world, "q.fifo", DelaySeconds="5")
    send(world, queue, "x")

    assert received(world, queue) == []
    wait(world, 5)
    assert received(world, queue) == ["x"]


def visibility(world: World) -> None:
    """A message that was received comes out again when its timeout has ended, and each time is counted."""
    queue = a_queue(world, VisibilityTimeout="60")
    send(world, queue, "x")

    assert received(world, queue) == ["x"]
    wait(world, 50)
    assert received(world, queue) == []
    wait(world, 15)
    (again,) = messages(world, queue)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def dead_letters(world: World) -> None:
    """A message given out maxReceiveCount times goes to the dead-letter queue, and its group is free again."""
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
    """A message is gone when its queue's retention has passed."""
    queue = a_queue(world, MessageRetentionPeriod="3600")
    send(world, queue, "x")
    wait(world, 3601)

    assert received(world, queue) == []


def receipt(world: World) -> None:
    """In a FIFO queue a receipt handle cannot delete any more when the visibility timeout has ended."""
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
        "MissingParameter",
        lambda: client.send_message(QueueUrl=queue.url, MessageBody="x", MessageDeduplicationId="1"),
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
    """A message to a FIFO queue cannot be delayed by itself."""
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
    """SNS reaches a queue only when the queue's policy lets it."""
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
    sqs.SAME_KIND.name: same_kind,
    sqs.SENDERS.name: senders,
    sqs.PURGE_PAUSE.name: purge,
}
