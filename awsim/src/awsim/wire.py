"""The transport under boto3: requests go to the world of this process instead of the network."""

from __future__ import annotations

import functools
import inspect
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import boto3
import botocore.hooks
import botocore.loaders
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSResponse
from botocore.client import ClientCreator
from botocore.config import Config
from botocore.exceptions import NoCredentialsError
from botocore.hooks import EventAliaser, NodeList, _PrefixTrie
from botocore.httpsession import URLLib3Session
from botocore.regions import EndpointRulesetResolver

from awsim.accounts import SECRET
from awsim.gateway import Gateway
from awsim.kernel import Kernel


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
def installed(gateway: Gateway, kernel: Kernel) -> Iterator[None]:
    """Within the context, every botocore client of this process talks to the world.

    botocore's own checks, retries and parsing stay in use. Replaced are the socket, and the signature, which the
    simulator does not check and which takes a tenth of a call. Sessions share botocore's service models, client classes
    and endpoints: otherwise each cold start would read EC2's model again (0.15 s), each role's client would generate
    700 methods again, and each call would evaluate the rules for its service's host name.
    """

    def send(_session: URLLib3Session, request: _Request) -> AWSResponse:
        with kernel.turn():
            status, headers, body = gateway.handle(request.method, request.url, request.headers, request.body)
        return AWSResponse(request.url, status, headers, _Raw(body))

    real_send, real_loader = URLLib3Session.send, botocore.session.create_loader
    URLLib3Session.send, botocore.session.create_loader = send, _loader
    for owner, name, _, ours in _SHARED:
        setattr(owner, name, ours)
    try:
        yield
    finally:
        URLLib3Session.send, botocore.session.create_loader = real_send, real_loader
        for owner, name, theirs, _ in _SHARED:
            setattr(owner, name, theirs)


_new_class = ClientCreator._create_client_class  # noqa: SLF001 - botocore has no public name for it, nor for the next two
_new_model = ClientCreator._load_service_model  # noqa: SLF001
_new_alias = EventAliaser._alias_event_name  # noqa: SLF001
_new_endpoint = EndpointRulesetResolver.construct_endpoint
_sign = SigV4Auth.add_auth
_inspected = botocore.hooks.accepts_kwargs
_append, _remove, _copied = _PrefixTrie.append_item, _PrefixTrie.remove_item, _PrefixTrie._recursive_copy  # noqa: SLF001
_classes: dict[str, Any] = {}
_models: dict[str, Any] = {}
_endpoints: dict[Any, Any] = {}
BARE = frozenset({"dynamodb", "ec2", "events", "kms", "sns", "sqs", "sts"})
"""Services whose client classes botocore and boto3 extend by nothing that a session can change."""


def _client_class(creator: Any, service: str, model: Any) -> Any:
    """Make a client's class once for all sessions, if the classes are the same."""
    if service not in BARE:
        return _new_class(creator, service, model)
    if service not in _classes:
        _classes[service] = _new_class(creator, service, model)
    return _classes[service]


def _model(creator: Any, service: str, version: str | None = None) -> Any:
    """Make a service's model once for all sessions; it resolves operations and shapes once, too."""
    if service not in BARE or version is not None:
        return _new_model(creator, service, version)
    if service not in _models:
        _models[service] = _new_model(creator, service)
    return _models[service]


@functools.cache
def _alias(name: str) -> Any:
    return _new_alias(EventAliaser(None), name)


def _shared_trie(trie: Any) -> Any:
    """Return a tree that shares the nodes of another: ``_appended`` and ``_removed`` change copies of them."""
    new = _PrefixTrie()
    new._root = trie._root  # noqa: SLF001
    return new


def _appended(trie: Any, key: str, value: Any, section: int = 1) -> None:
    """Do what ``_PrefixTrie.append_item`` does, on copies of the nodes on the way: each client copies its session's."""
    trie._root = node = dict(trie._root)  # noqa: SLF001
    for part in key.split("."):
        node["children"] = children = dict(node["children"])
        node = children[part] = dict(children.get(part) or {"chunk": part, "values": None, "children": {}})
    node["values"] = NodeList(*map(list, node["values"] or ([], [], [])))
    node["values"][section].append(value)


def _removed(trie: Any, key: str, value: Any) -> None:
    """Do what ``_PrefixTrie.remove_item`` does, on a copy of all nodes."""
    trie._root = _copied(trie, trie._root)  # noqa: SLF001
    _remove(trie, key, value)


def _endpoint(resolver: Any, operation_model: Any, call_args: Any, request_context: Any) -> Any:
    """Resolve a service's endpoint once for all clients with the same settings: the world reads no host name."""
    service = operation_model.service_model.service_name
    if service not in BARE:
        return _new_endpoint(resolver, operation_model, call_args, request_context)
    settings = resolver._builtins.values()  # noqa: SLF001
    key = (service, operation_model.name, *(value() if callable(value) else value for value in settings))
    if key not in _endpoints:
        _endpoints[key] = _new_endpoint(resolver, operation_model, call_args, request_context)
    return _endpoints[key]


def _signed(auth: Any, request: Any) -> None:
    """Say who calls, as ``SigV4Auth.add_auth`` does, with a signature of no value."""
    if type(auth) is not SigV4Auth:  # S3 and URLs that are signed beforehand
        _sign(auth, request)
        return
    if auth.credentials is None:
        raise NoCredentialsError
    request.context["timestamp"] = now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    scope = auth.scope(request)
    for name, value in (
        ("X-Amz-Date", now),
        ("X-Amz-Security-Token", auth.credentials.token),
        ("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"),
    ):
        del request.headers[name]  # this may be a retry
        if value:
            request.headers[name] = value


def _accepts_kwargs(handler: Any) -> Any:
    """Say whether an event's handler takes any keyword, which each client asks of each: read its code's flag."""
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    return _inspected(handler) if code is None else code.co_flags & inspect.CO_VARKEYWORDS


_SHARED: tuple[tuple[Any, str, Any, Any], ...] = (
    (ClientCreator, "_create_client_class", _new_class, _client_class),
    (ClientCreator, "_load_service_model", _new_model, _model),
    (EventAliaser, "_alias_event_name", _new_alias, lambda _aliaser, name: _alias(name)),
    (_PrefixTrie, "__copy__", _PrefixTrie.__copy__, _shared_trie),
    (_PrefixTrie, "append_item", _append, _appended),
    (_PrefixTrie, "remove_item", _remove, _removed),
    (EndpointRulesetResolver, "construct_endpoint", _new_endpoint, _endpoint),
    (SigV4Auth, "add_auth", _sign, _signed),
    (SigV4Auth, "canonical_request", SigV4Auth.canonical_request, lambda _auth, _request: ""),
    (SigV4Auth, "signature", SigV4Auth.signature, lambda _auth, _text, _request: "0" * 64),
    (URLLib3Session, "_get_ssl_context", URLLib3Session._get_ssl_context, lambda _session: None),  # noqa: SLF001
    (botocore.hooks, "accepts_kwargs", _inspected, _accepts_kwargs),
)
"""Owner and name of a method of botocore's, the method, and its replacement."""


@functools.cache
def _loader(search_path: str | None = None) -> Any:
    return botocore.loaders.create_loader(search_path)


@functools.cache
def botocore_session() -> Any:
    """The one botocore session of the simulator's own clients."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return session


@functools.cache
def _session() -> Any:
    """The one boto3 session on it: each session adds its methods to S3's clients, and the second one could not."""
    return boto3.session.Session(botocore_session=botocore_session())


_making = threading.Lock()


@functools.cache
def client(service: str, region: str, key: str, token: str | None) -> Any:
    """Make a boto3 client without retries; equal arguments give the same client, in later worlds too."""
    with _making:
        return _session().client(
            service,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=SECRET,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True),
        )
