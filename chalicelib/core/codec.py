"""Records to JSON and back, checked at the door: a value that does not fit its type raises ValueError with its path."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Turn a dataclass (nested ones, tuples, mappings, enums) into plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(member) for member in value]
    if isinstance(value, (set, frozenset)):
        return sorted(encode(member) for member in value)
    return value


def decode(kind: type[T], value: Any, path: str = "record") -> T:
    """Build ``kind`` from JSON values; unknown members are refused, missing ones take their default."""
    return typing.cast("T", _decode(kind, value, path))


def _decode(kind: Any, value: Any, path: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (inner,) = (arg for arg in args if arg is not type(None))
        return _decode(inner, value, path)
    if origin is Literal:
        return _fitting(value in args, value, path, kind)
    if origin is tuple:
        return tuple(_decode(args[0], member, f"{path}[{n}]") for n, member in enumerate(_a(list, value, path)))
    if origin is frozenset:
        return frozenset(_decode(args[0], member, f"{path}[{n}]") for n, member in enumerate(_a(list, value, path)))
    if origin is Mapping:
        return {key: _decode(args[1], member, f"{path}.{key}") for key, member in _a(dict, value, path).items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, _a(dict, value, path), path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"{path}: {value!r} is no {kind.__name__}") from None
    return _a(kind, value, path)


def _dataclass(kind: type, value: Mapping[str, Any], path: str) -> Any:
    hints = _hints(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise ValueError(f"{path}: {kind.__name__} has no {', '.join(unknown)}")
    try:
        return kind(**{name: _decode(hints[name], member, f"{path}.{name}") for name, member in value.items()})
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from None


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _a(kind: type, value: Any, path: str) -> Any:
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    return _fitting(fits, value, path, kind)


def _fitting(fits: bool, value: Any, path: str, kind: Any) -> Any:  # noqa: FBT001 - private
    if not fits:
        raise ValueError(f"{path}: {value!r} is no {getattr(kind, '__name__', kind)}")
    return value
