"""Wakes records after an operator's request, so that they answer in seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ami_promoter.hub.aws import Connection, errors
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.aws.sqs import IN_A_BATCH, message
from chalicelib.engine.budget import slices
from chalicelib.engine.wakes import Wake


def wake(connection: Connection, keys: Iterable[RecordKey]) -> None:
    """Send a wake to the worker of each record. A lost or refused wake is harmless: the sweep wakes within a minute."""
    left, cause = list(keys), f"operator:{time.time_ns()}"
    if not left:
        return
    with suppress(*errors()):
        sqs: Any = connection.client("sqs")
        queue = sqs.get_queue_url(QueueName=f"ami-promoter-{connection.region}-worker.fifo")["QueueUrl"]
        for some in slices(left, IN_A_BATCH):
            entries = [{"Id": str(number), **message(Wake(key, cause))} for number, key in enumerate(some)]
            sqs.send_message_batch(QueueUrl=queue, Entries=entries)
