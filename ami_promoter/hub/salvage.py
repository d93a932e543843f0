"""Reads as much of a stored record as fits: a person must see what there is, also of a damaged one."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin

from chalicelib.engine import codec

T = TypeVar("T")


def salvage(kind: type[T], value: Any, path: str = "record") -> tuple[T, tuple[str, ...]]:
    """Build ``kind`` from as much of a JSON value as fits, for a reader that must show what it can.

    Members that this version does not know are ignored. What is missing or does not fit has its default, or is empty;
    the second result says what that is, each with its path.
    """
    try:
        return codec.decode(kind, value, path), ()
    except ValueError:
        damage: list[str] = []
        return typing.cast("T", _salvaged(kind, value, path, damage)), tuple(damage)


def _salvaged(kind: Any, value: Any, path: str, damage: list[str]) -> Any:
    """Raises ValueError for a leaf that does not fit; ``damage`` gets what was left out below."""
    origin, args = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _built(kind, codec.decode(dict, value, path), path, damage)
    if origin is tuple or origin is frozenset:
        return origin(_each_salvaged(args[0], codec.decode(list, value, path), path, damage))
    if origin in (Union, types.UnionType) and value is not None:
        (inner,) = (arg for arg in args if arg is not type(None))
        return _salvaged(inner, value, path, damage)
    return codec.decode(kind, value, path)


def _built(kind: Any, given: Mapping[str, Any], path: str, damage: list[str]) -> Any:
    return kind(**dict(_members_salvaged(kind, given, path, damage)))


def _members_salvaged(kind: Any, given: Mapping[str, Any], path: str, damage: list[str]) -> Iterator[tuple[str, Any]]:
    hints, missing = typing.get_type_hints(kind), dataclasses.MISSING
    for member in dataclasses.fields(kind):
        name, where = member.name, f"{path}.{member.name}"
        if name in given:
            try:
                yield name, _salvaged(hints[name], given[name], where, damage)
                continue
            except ValueError as error:
                damage.append(str(error))
        if member.default is missing and member.default_factory is missing:
            damage += [] if name in given else [f"{where} is missing"]
            yield name, _empty(hints[name])


def _each_salvaged(kind: Any, given: Sequence[Any], path: str, damage: list[str]) -> Iterator[Any]:
    for number, one in enumerate(given):
        try:
            yield _salvaged(kind, one, f"{path}[{number}]", damage)
        except ValueError as error:
            damage.append(str(error))


def _empty(kind: Any) -> Any:
    """Return an empty value of a type: "" or 0, None where that is allowed, a dataclass of empty members."""
    if dataclasses.is_dataclass(kind):
        return _built(kind, {}, "", [])
    if type(None) in get_args(kind):
        return None
    return (get_origin(kind) or kind)() if get_origin(kind) is not Mapping else {}
