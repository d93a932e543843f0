"""Writes many items into the operators' table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ami_promoter.hub.aws import Connection, HubError
from chalicelib.engine.budget import slices

TRIES = 8
"""Tries for items that DynamoDB leaves unprocessed, within half a minute."""
AT_ONCE = 25
"""Most requests of one BatchWriteItem."""


def write(
    connection: Connection,
    requests: Sequence[Mapping[str, Any]],
    left: str,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write in batches, and send again what DynamoDB leaves unprocessed. May raise HubError.

    ``left``: a sentence for the error that says what was written.
    """
    table = connection.config_table
    for some in slices(requests, AT_ONCE):
        rest = some
        for attempt in range(TRIES):
            answer = connection.dynamodb.batch_write_item(RequestItems={table: rest})
            rest = answer["UnprocessedItems"].get(table, [])
            if not rest:
                break
            sleep(min(0.1 * 2**attempt, 5))
        else:
            what = f"DynamoDB still leaves items unwritten after several tries. {left}"
            cure = "Wait a minute and run the command again."
            raise HubError(what, connection.place, cure, "items-unwritten")
