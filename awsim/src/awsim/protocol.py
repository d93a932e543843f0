"""AWS's wire protocols, by botocore's service models: a request in, a response or an error out.

It works the same for a request caught under boto3 and for one over HTTP from any SDK or the ``aws`` command.
"""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError
from botocore.utils import parse_timestamp
from werkzeug.exceptions import NotFound

from awsim.api import AwsError
from awsim.moto_parts import (
    PROTOCOL_PARSERS,
    EC2Serializer,
    JSONSerializer,
    OperationModel,
    QuerySerializer,
    ResponseSerializer,
    RestJSONSerializer,
    RestXMLSerializer,
    SerializationContext,
    ServiceModel,
    get_service_model,
    get_service_router,
)
from awsim.moto_parts import Request as MotoRequest

SIGNED_AS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}
"""The signing name in a request -> botocore's name of the service, if they differ."""

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
class AwsRequest:
    """One parsed AWS request."""

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


def parse(method: str, url: str, headers: Mapping[str, Any], body: Any) -> AwsRequest:
    """Read a signed request. Raises AwsError if it is not signed, or its operation is unknown."""
    lower = {str(name).lower(): _text(value) for name, value in headers.items()}
    raw = _bytes(body)
    if lower.get("content-encoding") == "gzip":
        raw = gzip.decompress(raw)
    signed = CREDENTIAL.search(lower.get("authorization", ""))
    if signed is None:
        raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    key, region, name = signed.groups()
    service = SIGNED_AS.get(name, name)
    try:
        protocol = _protocol(service, lower)
    except UnknownServiceError:
        raise AwsError("UnknownService", f"there is no service {service}, or it has a newer name", 404) from None
    operation, params = _operation(method, url, lower, raw, service, protocol)
    token = lower.get("x-amz-security-token")
    return AwsRequest(method, url, lower, raw, service, region, key, token, protocol, operation, params)


def result(request: AwsRequest, value: Mapping[str, Any], request_id: str) -> Response:
    """Serialise an operation's result."""
    model = operation_model(request.service, request.operation)
    serializer = SERIALIZERS[request.protocol](model, SerializationContext(request_id))
    answer = serializer.serialize(value)
    body = answer["body"]
    headers = _headers(request_id, str(answer["headers"].get("Content-Type", "text/xml")))
    return (
        answer["status_code"],
        {**answer["headers"], **headers},
        body if isinstance(body, bytes) else (body or "").encode(),
    )


def family(headers: Mapping[str, Any]) -> str:
    """Return the protocol in which to refuse a request that could not be read."""
    return "json" if any(str(name).lower() == "x-amz-target" for name in headers) else "query"


def error(service: str, protocol: str, refused: AwsError, request_id: str) -> Response:
    """Serialise a refusal in AWS's wording for that protocol."""
    code, message = refused.code, refused.message
    if protocol == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
        return refused.status, _headers(request_id, "text/xml"), body.encode()
    if protocol in {"query", "rest-xml"}:
        blame = "Sender" if refused.status < 500 else "Receiver"
        inner = f"<Error><Type>{blame}</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        body = f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
        return refused.status, _headers(request_id, "text/xml"), body.encode()
    name, extra = _modelled(service, code)
    content = json.dumps({"__type": name, "message": message}).encode()
    headers = {**_headers(request_id, "application/x-amz-json-1.0"), "x-amzn-errortype": name, **extra}
    return refused.status, headers, content


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Botocore's model of a service."""
    return get_service_model(service)


@functools.cache
def operation_model(service: str, operation: str) -> OperationModel:
    """Return botocore's model of an operation; its shapes are resolved once in a process."""
    model: OperationModel = service_model(service).operation_model(operation)
    return model


def protocol_of(service: str) -> str:
    """Return the protocol of a service, for a request that did not show one."""
    return str(service_model(service).protocol)


def _protocol(service: str, headers: Mapping[str, str]) -> str:
    content = headers.get("content-type", "")
    if "smithy-protocol" in headers:
        # botocore prefers JSON where a service has both, and so does the aws command.
        raise AwsError(
            "UnsupportedProtocol", f"the simulator does not read {headers['smithy-protocol']}; use JSON", 400
        )
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
    if protocol == "json":
        operation = headers["x-amz-target"].rsplit(".", 1)[-1]
    elif protocol in {"query", "ec2"}:
        values = dict(parse_qsl(body.decode() or urlsplit(url).query, keep_blank_values=True))
        operation = values.get("Action", "")
    else:
        return _rest_operation(method, url, headers, body, service, protocol)
    if operation not in service_model(service).operation_names:
        raise AwsError("InvalidAction", f"Could not find operation {operation or '(none)'} of {service}")
    if service == "dynamodb" and not has_bytes(body):
        return operation, json.loads(body or b"{}")
    parsed = _parser(service, operation, protocol).parse(
        {"method": method, "values": values, "headers": headers, "body": body, "url_path": "", "url_params": uri}
    )
    return operation, parsed


def has_bytes(body: bytes) -> bool:
    """Whether a request to DynamoDB has binary values; all else in it is JSON as it stands."""
    return b'"B"' in body or b'"BS"' in body


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
    """Return error code or shape name -> (shape name, code in the query protocol)."""
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


def _headers(request_id: str, content_type: str) -> dict[str, str]:
    return {"content-type": content_type, "x-amzn-requestid": request_id}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body)
