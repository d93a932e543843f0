"""Wakes and notices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.records.wakes import Wake


class WakeQueues(Protocol):
    """Sends wakes: messages that name a record."""

    def wake(self, key: RecordKey, cause: str) -> None:
        """Send the record's key; the same key and cause within five minutes count once."""

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> Sequence[RecordKey]:
        """Send many, each a record's key and a cause, in any order; returns those that cannot be sent as they are.

        Raises Refusal where the queue does not answer, or answers some only: then all are to be sent again.
        """


class Wakes(Protocol):
    """Wakes a record's worker and tells it why."""

    def send(self, wake: Wake) -> None:
        """Send it; the same key and cause within five minutes count once."""


class Notices(Protocol):
    """Sends notices: to SNS and, with the same body, to the hub's event bus."""

    def publish(self, notice: Mapping[str, Any]) -> None:
        """Publish one notice, already complete. Raises Refusal."""
