"""The bell: one FIFO queue for the lanes that act, another, with a delay, for the resources that settle."""

from __future__ import annotations

from chalicelib.adapters.sessions import Sessions
from chalicelib.core import wakes
from chalicelib.core.addresses import Key, digest
from chalicelib.core.wakes import Wake


class SqsRings:
    """The ports ``Rings`` and ``Wakes``. The message group is the record's partition: one lane per record."""

    def __init__(self, sessions: Sessions, act_queue_url: str, settle_queue_url: str) -> None:
        self._sessions = sessions
        self._act = act_queue_url
        self._settle = settle_queue_url

    def ring(self, key: Key, cause: str) -> None:
        """See the port."""
        self.send(Wake(key, cause))

    def send(self, wake: Wake) -> None:
        """See the port."""
        key = wake.key
        self._sessions.own("sqs").send_message(
            QueueUrl=self._settle if key.kind == "resource" else self._act,
            MessageBody=wakes.encode(wake),
            MessageGroupId=key.pk,
            MessageDeduplicationId=digest(key.pk, wake.cause),
        )
