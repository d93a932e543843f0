"""Checks of SQS: message groups, deduplication, delay, visibility, dead letters."""

import json

from awsim.world import World
from platform_words import OPS, a_queue, a_topic, admit, after, messages, received, refused, send, wait


def sqs_message_group_in_order(world: World) -> None:
    queue = a_queue(world, "q.fifo")
    for body, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        send(world, queue, body, group)
    (first,) = messages(world, queue, 1)

    assert first["Body"] == "a1"
    assert received(world, queue) == ["b1"]

    world.client("sqs", OPS).delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    assert received(world, queue) == ["a2"]


def sqs_deduplication_id_remembered_five_minutes(world: World) -> None:
    queue = a_queue(world, "q.fifo")
    send(world, queue, "first", key="same")
    (first,) = messages(world, queue)
    world.client("sqs", OPS).delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    wait(world, 290)
    send(world, queue, "again", key="same")

    assert received(world, queue) == []

    wait(world, 20)
    send(world, queue, "later", key="same")
    assert received(world, queue) == ["later"]


def sqs_deduplication_scope_message_group(world: World) -> None:
    apart, together = a_queue(world, "apart.fifo"), a_queue(world, "together.fifo", DeduplicationScope="queue")
    for queue in (apart, together):
        send(world, queue, "a", "a", key="same")
        send(world, queue, "b", "b", key="same")

    assert received(world, together) == ["a"]
    assert received(world, apart) == ["a", "b"]


def sqs_queue_delay(world: World) -> None:
    queue = a_queue(world, "q.fifo", DelaySeconds="5")
    send(world, queue, "x")

    assert received(world, queue) == []
    assert received(after(world, 5), queue) == ["x"]


def sqs_visibility_timeout(world: World) -> None:
    queue = a_queue(world, VisibilityTimeout="60")
    send(world, queue, "x")

    assert received(world, queue) == ["x"]
    assert received(after(world, 50), queue) == []
    wait(world, 15)
    (again,) = messages(world, queue)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def sqs_redrive_to_dead_letter_queue(world: World) -> None:
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


def sqs_retention(world: World) -> None:
    queue = a_queue(world, MessageRetentionPeriod="3600")
    send(world, queue, "x")
    assert received(after(world, 3601), queue) == []


def sqs_fifo_receipt_expires(world: World) -> None:
    queue = a_queue(world, "q.fifo", VisibilityTimeout="10")
    send(world, queue, "x")
    (message,) = messages(world, queue)
    wait(world, 11)

    client = world.client("sqs", OPS)
    refused("InvalidParameterValue", client.delete_message, QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])


def sqs_fifo_needs_message_group(world: World) -> None:
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", OPS)
    refused("MissingParameter", client.send_message, QueueUrl=queue.url, MessageBody="x", MessageDeduplicationId="1")


def sqs_fifo_needs_deduplication_id(world: World) -> None:
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", OPS)
    by_content = a_queue(world, "content.fifo", ContentBasedDeduplication="true")
    for _ in range(2):
        client.send_message(QueueUrl=by_content.url, MessageBody="x", MessageGroupId="g")

    assert received(world, by_content) == ["x"]
    refused("InvalidParameterValue", client.send_message, QueueUrl=queue.url, MessageBody="x", MessageGroupId="g")


def sqs_fifo_no_message_delay(world: World) -> None:
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", OPS)
    refused(
        "InvalidParameterValue",
        client.send_message,
        QueueUrl=queue.url,
        MessageBody="x",
        MessageGroupId="g",
        MessageDeduplicationId="1",
        DelaySeconds=5,
    )


def sqs_batch_of_ten(world: World) -> None:
    queue = a_queue(world)
    client = world.client("sqs", OPS)
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    assert len(client.send_message_batch(QueueUrl=queue.url, Entries=entries[:10])["Successful"]) == 10
    refused(
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        client.send_message_batch,
        QueueUrl=queue.url,
        Entries=entries,
    )


def _entry(number: object, body: str = "x", **more: str) -> dict[str, str]:
    return {"Id": str(number), "MessageBody": body, **more}


def sqs_batch_not_empty(world: World) -> None:
    queue = a_queue(world)
    client = world.client("sqs", OPS)
    empty = "AWS.SimpleQueueService.EmptyBatchRequest"
    refused(empty, client.send_message_batch, QueueUrl=queue.url, Entries=[])
    refused(empty, client.delete_message_batch, QueueUrl=queue.url, Entries=[])


def sqs_batch_ids_distinct(world: World) -> None:
    queue = a_queue(world)
    client = world.client("sqs", OPS)
    refused(
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        client.send_message_batch,
        QueueUrl=queue.url,
        Entries=[_entry(1), _entry(2), _entry(1)],
    )
    assert received(world, queue) == []


def sqs_batch_id_form(world: World) -> None:
    queue = a_queue(world)
    client = world.client("sqs", OPS)
    client.send_message_batch(QueueUrl=queue.url, Entries=[_entry("a-_0" * 20)])
    for bad in ("x" * 81, "a.b", "é"):
        refused(
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            client.send_message_batch,
            QueueUrl=queue.url,
            Entries=[_entry(bad)],
        )


def sqs_group_and_deduplication_id_form(world: World) -> None:
    queue = a_queue(world, "q.fifo")
    client = world.client("sqs", OPS)
    send(world, queue, "x", "g" * 64 + "#!~[]" + "g" * 59, "k" * 128)
    good = {"MessageGroupId": "g", "MessageDeduplicationId": "k"}
    for name in good:
        for bad in ("x" * 129, "a b", "é"):
            given = good | {name: bad}
            refused("InvalidParameterValue", client.send_message, QueueUrl=queue.url, MessageBody="x", **given)
    failed = client.send_message_batch(QueueUrl=queue.url, Entries=[_entry(1, **good | {"MessageGroupId": "a b"})])
    assert [one["Code"] for one in failed["Failed"]] == ["InvalidParameterValue"]


def sqs_message_of_1_mib(world: World) -> None:
    queue, small = a_queue(world), a_queue(world, "small", MaximumMessageSize="1024")
    client = world.client("sqs", OPS)
    client.send_message(QueueUrl=queue.url, MessageBody="x" * 1_048_576)
    attributes = {"n": {"DataType": "String", "StringValue": "v" * 100}}
    refused("MissingParameter", client.send_message, QueueUrl=queue.url, MessageBody="")
    for there, body, more in ((queue, "x" * 1_048_577, {}), (small, "é" * 513, {}), (small, "x" * 1000, attributes)):
        refused(
            "InvalidParameterValue", client.send_message, QueueUrl=there.url, MessageBody=body, MessageAttributes=more
        )


def sqs_batch_of_1_mib(world: World) -> None:
    queue = a_queue(world)
    client = world.client("sqs", OPS)
    entries = [_entry(number, "x" * 104_857) for number in range(10)]
    assert len(client.send_message_batch(QueueUrl=queue.url, Entries=entries)["Successful"]) == 10
    entries[0]["MessageBody"] += "x" * 10
    refused(
        "AWS.SimpleQueueService.BatchRequestTooLong", client.send_message_batch, QueueUrl=queue.url, Entries=entries
    )


def sqs_dead_letter_queue_of_same_kind(world: World) -> None:
    dead_queue = a_queue(world, "dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_queue.arn, "maxReceiveCount": 5})
    client = world.client("sqs", OPS)
    refused(
        "InvalidParameterValue",
        client.create_queue,
        QueueName="q.fifo",
        Attributes={"FifoQueue": "true", "RedrivePolicy": redrive},
    )


def sqs_service_needs_queue_policy(world: World) -> None:
    closed, opened, topic = a_queue(world, "closed"), a_queue(world, "opened"), a_topic(world)
    admit(opened, "sns.amazonaws.com")
    for queue in (closed, opened):
        world.sns.subscribe(topic.arn, "sqs", queue.arn, {"RawMessageDelivery": "true"})
    world.client("sns", OPS).publish(TopicArn=topic.arn, Message="hello")

    assert received(world, opened) == ["hello"]
    assert received(world, closed) == []


def sqs_purge_once_a_minute(world: World) -> None:
    queue = a_queue(world)
    send(world, queue, "x")
    client = world.client("sqs", OPS)
    client.purge_queue(QueueUrl=queue.url)

    assert received(world, queue) == []
    refused("AWS.SimpleQueueService.PurgeQueueInProgress", client.purge_queue, QueueUrl=queue.url)
