"""Turns records into JSON and back; a value that does not fit its type raises ValueError with its path."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

T = TypeVar("T")

MOST = 2**63
"""Numbers below this fit a time and a DynamoDB number, which has 38 digits; Python reads longer ones from JSON."""

Reader = Callable[[Any, str], Any]
"""Checks a JSON value and builds the Python value; the second argument is the value's path, for the error."""


def encode(value: Any, *, sparse: bool = False) -> Any:
    """Turn a dataclass (nested ones, tuples, mappings, enums) into plain JSON values.

    ``sparse`` leaves out members that have their default.
    """
    if isinstance(value, (str, int, float)) and not isinstance(value, Enum):
        return value
    kind: Any = type(value)  # to mypy, types are not hashable
    defaults = _defaults(kind)
    if defaults is not None:
        members = ((name, getattr(value, name), default) for name, default in defaults)
        return {
            name: encode(member, sparse=sparse)
            for name, member, default in members
            if not sparse or (member is not default and member != default)
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(member, sparse=sparse) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(member, sparse=sparse) for member in value]
    if isinstance(value, (set, frozenset)):
        return sorted(encode(member, sparse=sparse) for member in value)
    return value


@cache
def _defaults(kind: Any) -> Sequence[tuple[str, Any]] | None:
    """The members of a dataclass and their defaults; None for any other type."""
    if not dataclasses.is_dataclass(kind):
        return None
    fields = dataclasses.fields(kind)
    return [(f.name, f.default if f.default_factory is dataclasses.MISSING else f.default_factory()) for f in fields]


def parsed_json(text: str | bytes) -> Any:
    """Parse JSON. Raises ValueError also where it is nested too deeply, which Python's parser says otherwise."""
    try:
        return json.loads(text)  # noqa: TID251 - the one place
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def decode(kind: type[T], value: Any, path: str = "record") -> T:
    """Build ``kind`` from JSON values; unknown members are refused, missing ones take their default."""
    return typing.cast("T", _reader(typing.cast("Any", kind))(value, path))


@cache
def _reader(kind: Any) -> Reader:
    """Ask a type what it is made of once, not at every value: the asking costs more than the reading."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value, _path: value
    if origin in (Union, types.UnionType):
        (inner,) = (_reader(arg) for arg in args if arg is not type(None))
        optional = type(None) in args
        return lambda value, path: None if optional and value is None else inner(value, path)
    if origin is Literal:
        return lambda value, path: _fitting(value in args, value, path, kind)
    if origin is tuple or origin is frozenset:
        member = _reader(args[0])
        return lambda value, path: origin(member(one, f"{path}[{n}]") for n, one in enumerate(_a(list, value, path)))
    if origin is Mapping:
        member = _reader(args[1])
        return lambda value, path: {key: member(one, f"{path}.{key}") for key, one in _a(dict, value, path).items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return lambda value, path: _dataclass(kind, _a(dict, value, path), path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        values = [one.value for one in kind]
        return lambda value, path: kind(_fitting(value in values, value, path, kind))
    return lambda value, path: _a(kind, value, path)


def _dataclass(kind: type, value: Mapping[str, Any], path: str) -> Any:
    members = _members(kind)
    unknown = sorted(value.keys() - members.keys())
    if unknown:
        raise ValueError(f"{path}: {kind.__name__} has no {', '.join(unknown)}")
    try:
        return kind(**{name: members[name](member, f"{path}.{name}") for name, member in value.items()})
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from None


@cache
def _members(kind: type) -> Mapping[str, Reader]:
    return {name: _reader(unread) for name, unread in typing.get_type_hints(kind).items()}


def _a(kind: type, value: Any, path: str) -> Any:
    fits = isinstance(value, kind)
    if kind is int:
        fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST
    return _fitting(fits, value, path, kind)


def _fitting(fits: bool, value: Any, path: str, kind: Any) -> Any:  # noqa: FBT001 - private
    if not fits:
        raise ValueError(f"{path}: {value!r} is no {getattr(kind, '__name__', kind)}")
    return value
