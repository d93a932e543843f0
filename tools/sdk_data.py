"""What of botocore's data ships: what describes the services that functions call, and of EC2 the operations they may.

A function parses a service's description with its first client. EC2's, whole, takes half as long as importing boto3.
Nothing is lost: a call that no policy names is refused anyway, and texts for a reader of the SDK describe nothing.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DATA = "botocore/data/"
SERVICES = ("dynamodb", "ec2", "events", "iam", "kms", "organizations", "sns", "sqs", "ssm", "sts")
"""The services that functions call. The SDK describes some 400 others."""
LARGE = ("ec2", "ssm")
"""Of these the operations alone that a policy allows."""
MODEL, PACKED = "service-2.json", ".gz"
ENDPOINTS = f"{DATA}endpoints.json"
Content = Mapping[str, bytes]
"""Files by their paths in the zip."""


def trimmed(content: Content, root: Path) -> dict[str, bytes]:
    """Return the files of a package with less of botocore's data. ``root``: of the repository, with its policies."""
    newest = _newest(content)
    kept = {name: data for name, data in content.items() if _ships(name, newest)}
    for service, version in newest.items():
        place = f"{DATA}{service}/{version}/{MODEL}"
        model = json.loads(gzip.decompress(kept.pop(place + PACKED)))
        if service in LARGE:
            model = only(model, allowed(service, root))
        kept[place] = _compact(without_texts(model))
    endpoints = json.loads(kept[ENDPOINTS])
    for partition in endpoints["partitions"]:
        partition["services"] = {name: it for name, it in partition["services"].items() if name in SERVICES}
    return {**kept, ENDPOINTS: _compact(endpoints)}


def allowed(service: str, root: Path) -> frozenset[str]:
    """Return the operations of a service that the policies of functions, and of the role in a target, name."""
    policies = [*(root / ".chalice" / "policies").glob("*.json"), root / "deploy" / "target.yaml"]
    named = rf"\b{service}:([A-Z][A-Za-z]+)\b"
    return frozenset(name for path in policies for name in re.findall(named, path.read_text(encoding="utf-8")))


def only(model: Mapping[str, Any], operations: frozenset[str]) -> dict[str, Any]:
    """Return a service's description with these operations alone, and the shapes that they refer to."""
    kept = {name: it for name, it in model["operations"].items() if name in operations}
    shapes: dict[str, Any] = {}
    waiting = list(_shapes(kept))
    while waiting:
        if (name := waiting.pop()) not in shapes:
            shapes[name] = model["shapes"][name]
            waiting += _shapes(shapes[name])
    return {**model, "operations": kept, "shapes": dict(sorted(shapes.items()))}


def _newest(content: Content) -> dict[str, str]:
    """Return the newest version of each description: the one that botocore takes."""
    places = (name.removeprefix(DATA).split("/") for name in content if name.startswith(DATA))
    found = sorted((path[0], path[1]) for path in places if len(path) == 3 and path[0] in SERVICES)
    return dict(found)


def _ships(name: str, newest: Mapping[str, str]) -> bool:
    if not name.startswith(DATA) or name.count("/") == 2:
        return True
    service, version, file = name.removeprefix(DATA).split("/")
    return newest.get(service) == version and not file.startswith("examples")


def without_texts(value: Any) -> Any:
    """Return a description without what it says to a reader."""
    if isinstance(value, Mapping):
        return {
            name: without_texts(it)
            for name, it in value.items()
            if not (name == "documentation" and isinstance(it, str))
        }
    return [without_texts(it) for it in value] if isinstance(value, list) else value


def _shapes(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(name := value.get("shape"), str):
            yield name
        value = list(value.values())
    if isinstance(value, list):
        for it in value:
            yield from _shapes(it)


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
