"""Writes many items into the operators' table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ami_promoter.hub.aws import Connection
from chalicelib.engine.budget import slices

AT_ONCE = 25
"""Most requests of one BatchWriteItem."""


def write(connection: Connection, requests: Sequence[Mapping[str, Any]]) -> None:
    """Write in batches. Raises botocore's errors.

    DynamoDB may take a batch in several parts, each with one request at least [DynamoDB API reference, BatchWriteItem].
    """
    for some in slices(requests, AT_ONCE):
        left = {connection.config_table: some}
        while left:
            left = connection.dynamodb.batch_write_item(RequestItems=left)["UnprocessedItems"]
