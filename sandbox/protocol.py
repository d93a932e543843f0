"""AWS's wire protocols, by botocore's own service models: a request in, a response or an error out.

Works the same for a request caught under boto3 and for one that came over HTTP from any SDK or the ``aws`` command.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from botocore.parsers import QueryParser, RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from botocore.utils import parse_timestamp
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request as MotoRequest
from moto.core.routing import get_service_router
from moto.core.serialize import (
    EC2Serializer,
    JSONSerializer,
    QuerySerializer,
    ResponseSerializer,
    RestJSONSerializer,
    RestXMLSerializer,
    SerializationContext,
)
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from sandbox.api import AwsError

SIGNED_AS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}
"""Where the signing name in a request is not botocore's name of the service."""

SERIALIZERS: dict[str, type[ResponseSerializer]] = {
    "ec2": EC2Serializer,
    "json": JSONSerializer,
    "query": QuerySerializer,
    "rest-json": RestJSONSerializer,
    "rest-xml": RestXMLSerializer,
}

CREDENTIAL = re.compile(r"Credential=([A-Z0-9]+)/\d+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")

Response = tuple[int, dict[str, str], bytes]
"""HTTP status, headers, body."""


@dataclass(frozen=True, slots=True)
class Request:
    """One AWS request, understood."""

    method: str
    url: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    service: str
    region: str
    access_key: str
    token: str | None
    protocol: str
    operation: str
    params: dict[str, Any]


def parse(method: str, url: str, headers: Mapping[str, Any], body: Any) -> Request:
    """Read a signed request. Raises AwsError if it is not signed or asks for nothing we know."""
    lower = {str(name).lower(): _text(value) for name, value in headers.items()}
    raw = _bytes(body)
    if lower.get("content-encoding") == "gzip":
        raw = gzip.decompress(raw)
    signed = CREDENTIAL.search(lower.get("authorization", ""))
    if signed is None:
        raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    key, region, name = signed.groups()
    service = SIGNED_AS.get(name, name)
    protocol = _protocol(service, lower)
    operation, params = _operation(method, url, lower, raw, service, protocol)
    token = lower.get("x-amz-security-token")
    return Request(method, url, lower, raw, service, region, key, token, protocol, operation, params)


def result(request: Request, value: Mapping[str, Any], request_id: str) -> Response:
    """Serialise an operation's result."""
    model = operation_model(request.service, request.operation)
    if request.protocol == "cbor":
        return 200, _headers(request_id, "application/cbor", cbor=True), _to_cbor(value, model)
    serializer = SERIALIZERS[request.protocol](model, SerializationContext(request_id))
    # What a handler leaves out is absent; the models' error checks are for moto's own objects.
    answer = serializer.serialize(value)
    body = answer["body"]
    headers = _headers(request_id, str(answer["headers"].get("Content-Type", "text/xml")))
    return answer["status_code"], {**answer["headers"], **headers}, body if isinstance(body, bytes) else body.encode()


def error(service: str, protocol: str, fault: AwsError, request_id: str) -> Response:
    """Serialise a refusal as AWS words it in that protocol."""
    code, message = fault.code, fault.message
    if protocol == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
        return fault.status, _headers(request_id, "text/xml"), body.encode()
    if protocol in {"query", "rest-xml"}:
        blame = "Sender" if fault.status < 500 else "Receiver"
        inner = f"<Error><Type>{blame}</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        body = f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
        return fault.status, _headers(request_id, "text/xml"), body.encode()
    name, extra = _modelled(service, code)
    content = json.dumps({"__type": name, "message": message}).encode()
    if protocol == "cbor":
        return (
            fault.status,
            {**_headers(request_id, "application/cbor", cbor=True), **extra},
            _error_to_cbor(name, message),
        )
    headers = {**_headers(request_id, "application/x-amz-json-1.0"), "x-amzn-errortype": name, **extra}
    return fault.status, headers, content


def parse_query_answer(
    service: str, operation: str, status: int, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Read an answer in the query protocol back into botocore's shape (with ``Error`` for a refusal)."""
    shape = operation_model(service, operation).output_shape
    parsed: dict[str, Any] = QueryParser().parse({"status_code": status, "headers": headers, "body": body}, shape)
    return parsed


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Botocore's model of a service."""
    return get_service_model(service)


@functools.cache
def operation_model(service: str, operation: str) -> OperationModel:
    """Botocore's model of an operation; its shapes are resolved once in a process."""
    model: OperationModel = service_model(service).operation_model(operation)
    return model


def protocol_of(service: str) -> str:
    """Return the protocol that a service speaks if the request did not show one."""
    return str(service_model(service).protocol)


def _protocol(service: str, headers: Mapping[str, str]) -> str:
    content = headers.get("content-type", "")
    if "smithy-protocol" in headers or content.startswith("application/cbor"):
        return "cbor"
    if "x-amz-target" in headers:
        return "json"
    own = protocol_of(service)
    if content.startswith("application/x-www-form-urlencoded"):
        return "ec2" if own == "ec2" else "query"
    return own


def _operation(
    method: str, url: str, headers: Mapping[str, str], body: bytes, service: str, protocol: str
) -> tuple[str, dict[str, Any]]:
    values: dict[str, str] = {}
    uri: dict[str, Any] = {}
    if protocol == "cbor":
        operation = urlsplit(url).path.rsplit("/", 1)[-1]
        return operation, _from_cbor(body)
    if protocol == "json":
        operation = headers["x-amz-target"].rsplit(".", 1)[-1]
    elif protocol in {"query", "ec2"}:
        values = dict(parse_qsl(body.decode() or urlsplit(url).query, keep_blank_values=True))
        operation = values.get("Action", "")
    else:
        return _rest_operation(method, url, headers, body, service, protocol)
    if operation not in service_model(service).operation_names:
        raise AwsError("InvalidAction", f"Could not find operation {operation or '(none)'} of {service}")
    parsed = _parser(service, operation, protocol).parse(
        {"method": method, "values": values, "headers": headers, "body": body, "url_path": "", "url_params": uri}
    )
    return operation, parsed


def _rest_operation(
    method: str, url: str, headers: Mapping[str, str], body: bytes, service: str, protocol: str
) -> tuple[str, dict[str, Any]]:
    request = MotoRequest.from_primitives(method, url, headers, body)
    try:
        model, uri = get_service_router(service).match(request)
    except NotFound:
        raise AwsError("UnknownOperationException", f"{service} has no operation at {method} {url}", 404) from None
    parsed = _parser(service, model.name, protocol).parse(
        {
            "method": method,
            "values": request.values,
            "headers": request.headers,
            "body": body,
            "url_path": request.path,
            "url_params": uri,
        }
    )
    return model.name, parsed


@functools.cache
def _parser(service: str, operation: str, protocol: str) -> Any:
    return PROTOCOL_PARSERS[protocol](operation_model(service, operation), timestamp_parser=_aware)


def _aware(value: Any) -> datetime:
    parsed: datetime = parse_timestamp(value)
    return parsed.astimezone(UTC)


@functools.cache
def _error_names(service: str) -> Mapping[str, tuple[str, str | None]]:
    """Error code or shape name -> (shape name, code in the query protocol where that differs)."""
    names: dict[str, tuple[str, str | None]] = {}
    for shape in service_model(service).error_shapes:
        code = shape.metadata.get("error", {}).get("code")
        names[shape.name] = names[code or shape.name] = (shape.name, code)
    return names


def _modelled(service: str, code: str) -> tuple[str, dict[str, str]]:
    name, query_code = _error_names(service).get(code, (code, None))
    if "awsQueryCompatible" in service_model(service).metadata:
        return name, {"x-amzn-query-error": f"{query_code or code};Sender"}
    return name, {}


def _headers(request_id: str, content_type: str, *, cbor: bool = False) -> dict[str, str]:
    headers = {"content-type": content_type, "x-amzn-requestid": request_id}
    return {**headers, "smithy-protocol": "rpc-v2-cbor"} if cbor else headers


_cbor_parser = RpcV2CBORParser()
_cbor_serializer = RpcV2CBORSerializer()


def _from_cbor(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    parsed: dict[str, Any] = _cbor_parser.parse_data_item(io.BufferedReader(io.BytesIO(body)))
    return parsed


def _to_cbor(value: Mapping[str, Any], model: OperationModel) -> bytes:
    out = bytearray()
    if model.output_shape is not None:
        _cbor_serializer._serialize_data_item(out, value, model.output_shape)  # noqa: SLF001 - has no public entry
    return bytes(out)


def _error_to_cbor(name: str, message: str) -> bytes:
    out = bytearray(b"\xa2")
    for text in ("__type", name, "message", message):
        _cbor_serializer._serialize_type_string(out, text, None, None)  # noqa: SLF001 - has no public entry
    return bytes(out)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body)
