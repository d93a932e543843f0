"""Ways in which a record may be damaged: by hand, by another version, by a bug. In DynamoDB's own types."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.scenarios.failures import write
from tests.scenarios.scene import Scene

Body = dict[str, Any]
Attributes = Mapping[str, Mapping[str, str] | None]
"""What replaces attributes of the item; None removes one."""

REST = {"S": "nonsense"}


def _body(change: Callable[[Body], Body]) -> Callable[[Body], Attributes]:
    return lambda body: {"body": {"S": json.dumps(change(body))}}


def _always(**attributes: Mapping[str, str] | None) -> Callable[[Body], Attributes]:
    return lambda _body: attributes


def _without(name: str) -> Callable[[Body], Body]:
    return lambda body: {key: value for key, value in body.items() if key != name}


BODIES: Mapping[str, Callable[[Body], Attributes]] = {
    "the body is no JSON": _always(body={"S": "{"}),
    "the body is a list": _always(body={"S": "[]"}),
    "the body is a number": _always(body={"N": "5"}),
    "the body is empty": _always(body={"S": "{}"}),
    "the body is gone": _always(body=None),
    "the version is text": _always(version=REST),
    "the version is gone": _always(version=None),
}
"""Of a record or a share."""

UNREADABLE: Mapping[str, Callable[[Body], Attributes]] = {
    **BODIES,
    "the body is null": _always(body={"S": "null"}),
    "an unknown member": _body(lambda body: {**body, "colour": "red"}),
    "an unknown state": _body(lambda body: {**body, "state": "flying"}),
    "an older schema": _always(schema={"N": "0"}),
    "the schema is text": _always(schema=REST),
    "a hint is a number": _always(**{"in:cancel": {"N": "5"}}),
}
"""Of any record with a state: its worker parks it at once."""

NEWER = _always(schema={"N": "99"})
"""As a newer version writes it: no worker of this one parks it."""

UNREADABLE_DELIVERY: Mapping[str, Callable[[Body], Attributes]] = {
    **UNREADABLE,
    "the target is gone": _body(_without("target")),
    "the copies are text": _body(lambda body: {**body, "copies": "none"}),
    "a copy is a list": _body(lambda body: {**body, "copies": [[]]}),
}

RAISES: Mapping[str, Callable[[Body], Attributes]] = {
    "no time of entering": _body(lambda body: {**body, "entered": {}})
}
"""Of a copying delivery: the body decodes, and every run raises. The fifth try parks it."""

HARMLESS: Mapping[str, Callable[[Body], Attributes]] = {
    "rings are text": _always(wakes=REST),
    "the latest ring is text": _always(latest=REST),
    "the due date is text": _always(due_at=REST),
    "the due date is gone": _always(due_at=None),
}
"""Of attributes that the sweep reads: it must continue with all others, and the record's message group repairs them."""

SHARES: Mapping[str, Callable[[Body], Attributes]] = {
    **BODIES,
    "it speaks of another resource": _body(lambda body: {**body, "resource": "resource#snapshot#snap-0123"}),
    "an unknown state": _body(lambda body: {**body, "state": "ajar"}),
    "the account is gone, the body too": _always(account=None, body=None),
    "the last hour is text": _always(last_closing_at=REST),
    "the last hour is gone": _always(last_closing_at=None),
    "the grantee is a number": _always(grantee={"N": "5"}),
}
"""Of an open share: it closes, and other accounts' shares on the same resource are unaffected."""


def spoil(scene: Scene, pk: str, kind: Callable[[Body], Attributes], sk: str = "record") -> None:
    """Damage one item in one way."""
    item = next(item for item in scene.items() if (item["pk"], item["sk"]) == (pk, sk))
    attributes = kind(json.loads(item["body"]) if "body" in item else {})
    gone = tuple(name for name, value in attributes.items() if value is None)
    write(scene, pk, sk, remove=gone, **{name: value for name, value in attributes.items() if value is not None})
