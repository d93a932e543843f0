"""Checks a document against targets.schema.json, and returns every fault with its place and cure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import jsonschema

from ami_promoter.targets_file.document import Path, YamlDocument, unquoted
from ami_promoter.targets_file.settings import schema, table
from ami_promoter.terminal.alike import meant
from ami_promoter.terminal.report import seconds
from chalicelib.engine.faults import Fault


def check(document: YamlDocument) -> tuple[Mapping[str, Any], list[Fault]]:
    """Return the parts of the right shape, and a fault for all others."""
    if document.data is None:
        return {}, [names_nobody(document)]
    faults: dict[tuple[str, str], Fault] = {}
    good = {"": copy.deepcopy(document.data)}
    for error in _validator().iter_errors(document.data):
        for path, fault in _faults(document, error):
            faults.setdefault((fault.where, fault.code), fault)
            _drop(good, path)
    data = good.get("")
    return data if isinstance(data, dict) else {}, list(faults.values())


def names_nobody(document: YamlDocument) -> Fault:
    """Return the fault of a file that names no account."""
    cure = 'Write at least `groups: {default: ["123456789012"]}` with the id of one of your accounts.'
    return Fault("targets-empty", document.where(()), "the file names no account.", cure)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    of_days = jsonschema.FormatChecker(["date"])
    extended: type[jsonschema.Draft202012Validator]
    extended = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"bounds": _bounds})  # type: ignore[no-untyped-call]
    return extended(schema(), format_checker=of_days)


def _bounds(
    formed: Any, bounds: list[str], value: Any, rule: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """Judge a duration by its bounds, a keyword of this project; what is no duration has the fault of its form."""
    (least, most), step = bounds, rule.get("step", "1s")
    if not formed.evolve(schema={name: one for name, one in rule.items() if name != "bounds"}).is_valid(value):
        return
    with suppress(ValueError):
        length = seconds(value)
        if not seconds(least) <= length <= seconds(most) or length % seconds(step):
            words = f"{step} to {most}, in steps of {step}; or {least}" if "step" in rule else f"{least} to {most}"
            yield jsonschema.ValidationError(words)


def _faults(document: YamlDocument, error: jsonschema.ValidationError) -> Iterator[tuple[Path, Fault]]:
    """Yield a finding of the validator in words, with the path of what must not be used."""
    path: Path = tuple(error.absolute_path)
    rule: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    instance: Any = error.instance
    cure = rule.get("errorMessage", "")
    if "propertyNames" in error.absolute_schema_path:
        path = (*path, str(instance))
        yield path, Fault("targets-name", document.where_key(path), f"`{instance}` is not allowed here.", cure)
    elif error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = _known(rule)
        for key in instance:
            if key not in known:
                here, what = (*path, key), f"`{key}` is not a key here."
                yield here, Fault("targets-unknown-key", document.where_key(here), what, _unread(key, known))
    elif error.validator == "required":
        group = path[0] == "groups" and len(path) == len(("groups", "name"))
        lacks = next(name for name in rule["required"] if name not in instance)
        what = f"group `{path[-1]}` has no `members`." if group else f"`{path[-1]}` has no `{lacks}`."
        code = "targets-no-members" if group else "targets-organization" if lacks == "id" else "targets-value"
        yield path, Fault(code, document.where_key(path), what, cure)
    elif error.validator == "bounds":
        words = error.message
        what = f"{_name(path)} cannot be `{instance}`."
        cure = f"Write {words}."
        yield path, Fault("targets-duration", document.where_key(path), what, cure)
    elif isinstance(instance, int) and _fits_quoted(document.raw[path], rule):
        yield path, unquoted(document.raw[path], document.where(path))
    else:
        what = f"{_name(path)} cannot be {_value(document, path)}."
        yield path, Fault("targets-value", document.where(path), what, cure)


def _fits_quoted(raw: str, rule: Mapping[str, Any]) -> bool:
    return rule.get("type") == "string" and re.search(rule.get("pattern", ""), raw) is not None


def _known(schema_of_object: Mapping[str, Any]) -> set[str]:
    known = set(schema_of_object.get("properties", ()))
    if "$ref" in schema_of_object:
        known |= set(table())
    return known


def _unread(key: str, known: set[str]) -> str:
    return meant(key, known, 1) or f"Known here: {', '.join(f'`{name}`' for name in sorted(known))}."


def _name(path: Path) -> str:
    """Return the name of what a value belongs to: the nearest key above it."""
    key = next((step for step in reversed(path) if isinstance(step, str)), None)
    if key is None:
        return "the file"
    return f"`{key}`" if isinstance(path[-1], str) else f"an element of `{key}`"


def _value(document: YamlDocument, path: Path) -> str:
    if path in document.raw:
        text = document.raw[path]
        return f"`{text if len(text) <= 60 else text[:57] + '…'}`" if text else "empty"
    value = _at(document.data, path)
    kind = "a mapping" if isinstance(value, dict) else "a list"
    return kind if value else f"an empty {kind.removeprefix('a ')}"


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _drop(good: dict[str, Any], path: Path) -> None:
    """Remove what is at a path; a list keeps its length, so that later paths stay valid."""
    parent: Any = good
    steps: Path = ("", *path)
    for step in steps[:-1]:
        if isinstance(parent, dict):
            parent = parent.get(step)
        else:
            parent = parent[step] if isinstance(parent, list) and isinstance(step, int) else None
    last = steps[-1]
    if isinstance(parent, dict):
        parent.pop(last, None)
    elif isinstance(parent, list) and isinstance(last, int):
        parent[last] = None
