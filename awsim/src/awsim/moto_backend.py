"""Answers with moto, in this process, what the simulator does not model.

It calls moto's handlers under the caller's account and Region, without moto's mocks, URL matching or servers.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException

from awsim import moto_dynamodb, protocol
from awsim.api import AwsError
from awsim.moto_parts import BackendDict, backends
from awsim.moto_parts import Request as MotoRequest
from awsim.protocol import AwsRequest, Response

ANY_ACCOUNT = "123456789012"
"""Any account id: moto's handlers are the same in all accounts."""

Handler = Callable[[Any, str, Any], tuple[int, dict[str, Any], str | bytes]]


def reset() -> None:
    """Delete the state of all accounts."""
    BackendDict.reset()


class Tables:
    """The facts of DynamoDB's tables that policies can test."""

    def partition_key(self, account: str, region: str, table: str) -> str | None:
        """See ``iam.need.TableFacts``."""
        by_account: Any = backends.get_backend("dynamodb")
        known = by_account[account][region].tables.get(table)
        return None if known is None else str(known.hash_key_attr)

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the policy of a table, which is also that of its indexes."""
        table = arn.partition("/index/")[0]
        _, _, _, region, account, _ = table.split(":", 5)
        by_account: Any = backends.get_backend("dynamodb")
        found = by_account[account][region].resource_policies.get(table)
        return None if found is None else _document(found.policy_doc)

    def item(self, account: str, region: str, table: str, key: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return an item, in DynamoDB's JSON, without asking any policy; empty if there is none."""
        by_account: Any = backends.get_backend("dynamodb")
        known = by_account[account][region].tables[table]
        names = [known.hash_key_attr, *([known.range_key_attr] if known.has_range_key else [])]
        found = by_account[account][region].get_item(table, {name: key[name] for name in names})
        return {} if found is None else dict(found.to_json()["Attributes"])

    def numbers(self, account: str, region: str, table: str, name: str) -> list[float]:
        """Return the values of a number that some items of a table have, without asking any policy."""
        by_account: Any = backends.get_backend("dynamodb")
        partitions = by_account[account][region].tables[table].items.values()
        return [float(item.attrs[name].value) for one in partitions for item in one.values() if name in item.attrs]


@functools.cache
def _document(text: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(text)
    return document


def handle(request: AwsRequest, account: str) -> Response:
    """Let moto answer a request as that account. Raises AwsError for what moto does not have."""
    if request.service != "dynamodb" or protocol.has_bytes(request.body):
        return handle_any(request, account)
    _handlers(request.service)  # which puts its replacements into moto
    try:
        return _plain(moto_dynamodb.answer(request.region, account, request.headers, request.body))
    except NotImplementedError as missing:
        raise _not_played(missing) from missing


def handle_any(request: AwsRequest, account: str) -> Response:
    """Let moto answer a request of any service. Raises AwsError for what moto does not have."""
    service = request.service
    host = f"{protocol.service_model(service).endpoint_prefix}.{request.region}.amazonaws.com"
    url = f"https://{host}{_path(request)}"
    bare = url.split("?", 1)[0]
    handler = next((handler for pattern, handler in _handlers(service) if pattern.match(bare)), None)
    if handler is None:
        raise AwsError(
            "UnknownOperationException", f"neither the simulator nor moto answers {request.method} {url}", 404
        )
    sent = {**request.headers, "host": host, "x-moto-account-id": account}
    made = MotoRequest.from_primitives(request.method, url, sent, request.body)
    try:
        return _plain(handler(made, made.raw_url, made.headers))
    except HTTPException as refused:
        return _plain((refused.code or 500, dict(refused.get_headers()), refused.get_body()))
    except NotImplementedError as missing:
        raise _not_played(missing) from missing


def _not_played(missing: NotImplementedError) -> AwsError:
    return AwsError("NotImplemented", f"neither the simulator nor moto plays this call: {missing}", 501)


def _plain(answer: tuple[int, Mapping[str, Any], str | bytes]) -> Response:
    status, headers, content = answer
    plain = {str(name): str(value) for name, value in headers.items()}
    return int(status), plain, content if isinstance(content, bytes) else (content or "").encode()


def _path(request: AwsRequest) -> str:
    parts = urlsplit(request.url)
    path = parts.path or "/"
    if request.service == "s3" and ".s3." in parts.netloc:
        path = f"/{parts.netloc.split('.s3.', 1)[0]}{path}"
    return f"{path}?{parts.query}" if parts.query else path


@functools.cache
def _handlers(service: str) -> tuple[tuple[re.Pattern[str], Handler], ...]:
    if service == "dynamodb":
        moto_dynamodb.patch()
    try:
        by_account: Any = backends.get_backend(service)  # type: ignore[call-overload]
    except (ImportError, AttributeError):
        raise AwsError("UnknownOperationException", f"moto has no service {service}", 404) from None
    if isinstance(by_account, BackendDict):
        regions = by_account[ANY_ACCOUNT]
        backend = regions["us-east-1"] if "us-east-1" in regions else regions["aws"]
    else:
        backend = by_account["global"]
    return tuple((re.compile(pattern), handler) for pattern, handler in backend.urls.items())
