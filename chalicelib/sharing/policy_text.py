"""Reads policy documents, and edits them as text: removes and adds statements, and keeps every other byte.

Parsing a policy and writing it again would lose its owner's layout, and if a member occurs twice, all but the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.engine import codec

BLANKS = " \t\n\r"
"""What JSON allows between its signs."""


@dataclass(frozen=True, slots=True)
class Part:
    """One statement: where it is in the text, and its content."""

    start: int
    end: int
    value: Mapping[str, Any]

    @property
    def sid(self) -> str:
        """Its Sid; "" if it has none."""
        return str(self.value.get("Sid", ""))

    @property
    def principals(self) -> frozenset[str]:
        """The AWS principals in ``Principal`` and ``NotPrincipal``."""
        return frozenset(
            name for element in ("Principal", "NotPrincipal") for name in aws_principals(self.value.get(element))
        )


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy's text. ``start`` and ``end`` enclose the value of ``Statement``: a list, or one statement alone."""

    text: str
    start: int
    end: int
    parts: tuple[Part, ...]

    @property
    def rest(self) -> Mapping[str, Any]:
        """All members but ``Statement``."""
        return {name: value for name, value in codec.parsed_json(self.text).items() if name != "Statement"}


def listed(value: Any) -> list[Any]:
    """Return the values of a member, as a list also if it is one value alone."""
    return list(value) if isinstance(value, list | tuple) else [value]


def statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a policy's statements, also if it is a single one without a list."""
    return listed(document.get("Statement", []))


def aws_principals(principal: Any) -> list[str]:
    """Return a ``Principal`` or ``NotPrincipal`` as a list: "*", ARNs and account ids; services are left out."""
    names = principal.get("AWS", []) if isinstance(principal, Mapping) else principal
    return [name for name in listed(names) if isinstance(name, str)]


def taken_apart(text: str) -> PolicyText | str:
    """Find the statements in a policy; or return why that is not safe."""
    try:
        whole = codec.parsed_json(text)
        found = list(_members(text)) if isinstance(whole, dict) else []
        meaning(whole)  # to compare takes more of the stack than to parse
    except (ValueError, RecursionError) as error:
        return f"it is no JSON: {error}"
    places = [(start, end) for name, start, end in found if name == "Statement"]
    if len(places) != 1:
        return f"it has {len(places)} members named Statement, not one"
    ((start, end),) = places
    parts = tuple(Part(a, b, codec.parsed_json(text[a:b])) for a, b in _elements(text, start, end))
    if not all(isinstance(part.value, dict) for part in parts):
        return "a statement in it is not an object"
    return PolicyText(text, start, end, parts)


def rebuilt(policy: PolicyText, without: Collection[str], new: Sequence[str]) -> str:
    """Return the text without the statements of these Sids and with new ones at the end."""
    text, parts = policy.text, policy.parts
    kept = [number for number, part in enumerate(parts) if part.sid not in without]
    if not new and len(kept) == len(parts):
        return text
    if text[policy.start] != "[":
        bare = [text[policy.start : policy.end]] if kept else []
        return f"{text[: policy.start]}[{','.join([*bare, *new])}]{text[policy.end :]}"
    head = text[: parts[0].start] if parts else text[: policy.start + 1]
    tail = text[parts[-1].end if parts else policy.start + 1 :]
    body = ""
    for number in kept:
        between = text[parts[number - 1].end : parts[number].start] if body else ""
        body += between + text[parts[number].start : parts[number].end]
    return head + ",".join([*([body] if body else []), *new]) + tail


def meaning(value: Any) -> str:
    """Return a part of a policy as text, the same text for the same meaning.

    A list of one means its member, order in a list does not matter, an account id means its root ARN, and a number or
    a boolean means its text [IAM user guide: policy elements and grammar; KMS may return either form].
    """
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _roots(_plain(inner)) if name == "AWS" else _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        plain = sorted((_plain(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
        return plain[0] if len(plain) == 1 else plain
    return json.dumps(value) if isinstance(value, (bool, int, float)) else value


def _roots(value: Any) -> Any:
    if isinstance(value, list):
        return sorted({_roots(one) for one in value if isinstance(one, str)})
    found = re.fullmatch("arn:aws[a-z-]*:iam::([0-9]{12}):root", value) if isinstance(value, str) else None
    return found.group(1) if found else value


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of value of each member of a JSON object, which is known to be well formed."""
    decoder = json.JSONDecoder()
    at = _after(text, 0, "{")
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        start = _after(text, at, ":")
        _, end = decoder.raw_decode(text, start)
        yield name, start, end
        at = _after(text, end, ",")


def _elements(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each statement in a value that is a list of statements or a single one."""
    if text[start] != "[":
        yield start, end
        return
    decoder = json.JSONDecoder()
    at = _after(text, start, "[")
    while text[at] != "]":
        _, stop = decoder.raw_decode(text, at)
        yield at, stop
        at = _after(text, stop, ",")


def _after(text: str, at: int, sign: str) -> int:
    """Skip blanks, then ``sign`` if it is there, then blanks."""
    rest = text[at:].lstrip(BLANKS).removeprefix(sign).lstrip(BLANKS)
    return len(text) - len(rest)
