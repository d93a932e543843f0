"""Wakes records after an operator's request, so that they answer in seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from ami_promoter.hub.aws import Connection, errors
from ami_promoter.hub.source_checks import CallersSessions
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.aws.sqs import SqsWakes
from chalicelib.engine.errors import Refusal


def wake(connection: Connection, keys: Iterable[RecordKey]) -> None:
    """Send a wake to the worker of each record. A lost or refused wake is harmless: the sweep wakes within a minute."""
    wakes = [(key, f"operator:{time.time_ns()}") for key in keys]
    if not wakes:
        return
    with suppress(Refusal, *errors()):
        name = f"ami-promoter-{connection.region}-worker.fifo"
        queue = connection.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        SqsWakes(CallersSessions(connection), queue, "").wake_all(wakes)
