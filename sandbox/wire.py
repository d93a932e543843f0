"""The transport under boto3: requests go to the world of this process, not to the network."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import botocore.loaders
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.client import ClientCreator
from botocore.config import Config
from botocore.httpsession import URLLib3Session

from sandbox.accounts import SECRET

if TYPE_CHECKING:
    from sandbox.world import World


class _Request(Protocol):
    method: str
    url: str
    headers: Any
    body: Any


class _Raw(io.BytesIO):
    """What botocore expects of urllib3's response."""

    def stream(self, amt: int = 1 << 16, **_: object) -> Iterator[bytes]:
        while chunk := self.read(amt):
            yield chunk


@contextmanager
def installed(world: World) -> Iterator[None]:
    """While inside, every botocore client of this process talks to the world.

    botocore's own checks, signing, retries and parsing stay in the path; only the socket is replaced. Sessions made
    meanwhile share what they read of botocore's service models, and the classes of clients made of them: a function's
    cold start would else read EC2's again, which takes 0.15 s, and each role's client write 700 methods anew.
    """

    def send(_session: URLLib3Session, request: _Request) -> AWSResponse:
        status, headers, body = world.gateway.handle(request.method, request.url, request.headers, request.body)
        return AWSResponse(request.url, status, headers, _Raw(body))

    real_send, real_loader = URLLib3Session.send, botocore.session.create_loader
    URLLib3Session.send, botocore.session.create_loader = send, _loader
    ClientCreator._create_client_class = _client_class  # noqa: SLF001 - botocore has no door for it
    try:
        yield
    finally:
        URLLib3Session.send, botocore.session.create_loader = real_send, real_loader
        ClientCreator._create_client_class = _new_class  # noqa: SLF001


_new_class = ClientCreator._create_client_class  # noqa: SLF001
_classes: dict[str, Any] = {}
BARE = frozenset({"dynamodb", "ec2", "events", "kms", "sns", "sqs", "sts"})
"""Services to whose client classes neither botocore nor boto3 adds anything that a session could change."""


def _client_class(creator: Any, service: str, model: Any) -> Any:
    """Make a client's class once for all sessions, where the classes are the same."""
    if service not in BARE:
        return _new_class(creator, service, model)
    if service not in _classes:
        _classes[service] = _new_class(creator, service, model)
    return _classes[service]


@functools.cache
def _loader(search_path: str | None = None) -> Any:
    return botocore.loaders.create_loader(search_path)


@functools.cache
def botocore_session() -> Any:
    """The one botocore session of the sandbox's own clients."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return session


_making = threading.Lock()


@functools.cache
def client(service: str, region: str, key: str, token: str | None) -> Any:
    """Make a boto3 client without retries; equal arguments give the same client, in later worlds too."""
    with _making:
        return boto3.session.Session(botocore_session=botocore_session()).client(
            service,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=SECRET,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True),
        )
