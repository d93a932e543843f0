"""The bell: one FIFO queue for the lanes that act, another, with a delay, for the resources that settle."""

from __future__ import annotations

import json

from chalicelib.adapters.sessions import Sessions
from chalicelib.core.addresses import Key, digest


class SqsRings:
    """The port ``Rings``. The message group is the record's partition: one lane per record."""

    def __init__(self, sessions: Sessions, act_queue_url: str, settle_queue_url: str) -> None:
        self._sessions = sessions
        self._act = act_queue_url
        self._settle = settle_queue_url

    def ring(self, key: Key, cause: str) -> None:
        """See the port."""
        self._sessions.own("sqs").send_message(
            QueueUrl=self._settle if key.kind == "resource" else self._act,
            MessageBody=json.dumps({"key": key.pk, "cause": cause}),
            MessageGroupId=key.pk,
            MessageDeduplicationId=digest(key.pk, cause),
        )
