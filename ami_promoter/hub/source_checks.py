"""Examines an AMI of the hub as the service does, under the caller's credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ami_promoter.hub.aws import Connection
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.images.aws.hub_images import HubSource
from chalicelib.images.image import SourceImage
from chalicelib.images.keys import KeyFacts


class CallersSessions(Sessions):
    """``Sessions`` with the caller's own clients instead of a function's."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.region, connection.now)
        self._connection = connection

    def own(self, service: str, *, once: bool = False, region: str = "") -> Any:
        """See Sessions; ``once`` does not matter, because what a command does by this may be done twice."""
        del once
        return self._connection.client(service, region or None)


def sources(connection: Connection, tag_key: str) -> HubSource:
    """Return the adapter by which the service looks at the hub's AMIs."""
    return HubSource(CallersSessions(connection), connection.account, connection.region, tag_key)


def examine(connection: Connection, ami: str, tag_key: str) -> tuple[SourceImage, Mapping[str, KeyFacts]] | None:
    """Read an AMI, its snapshots and their keys; None if the hub owns no such AMI. May raise HubError."""
    with connection.telling(f"examining {ami}"):
        return sources(connection, tag_key).examine(ami)
