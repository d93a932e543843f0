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
        """Send many (key, cause) in any order; returns the keys that cannot be sent as they are.

        Raises Refusal if the queue does not answer for all of them: then the caller sends all again.
        """


class Wakes(Protocol):
    """Wakes a record's worker, with the reason."""

    def send(self, wake: Wake) -> None:
        """Send it; the same key and cause within five minutes count once."""


class Notices(Protocol):
    """Sends notices: to SNS and, with the same body, to the hub's event bus."""

    def publish(self, notice: Mapping[str, Any]) -> None:
        """Publish one notice, already complete. Raises Refusal."""
