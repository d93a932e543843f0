"""The stored form of the applied file: one item for each group, account and other part."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.targets.applied_file import ORGANIZATION, Directory, Target, is_account, is_group
from chalicelib.targets.organization import Organization
from chalicelib.targets.waves import Wave

_PARTS: Mapping[str, tuple[str, Any, Callable[[str], bool]]] = {
    "group": ("groups", tuple[str, ...], is_group),
    "account": ("accounts", tuple[Target, ...], is_account),
    "by-unit": ("by_unit", tuple[Target, ...], is_group),
    "own": ("own", Mapping[str, tuple[Target, ...]], is_account),
    "wave": ("waves", Wave, is_group),
}
"""First part of an item's sort key -> the member of ``Directory``, the type of its values, and what can name one."""


def to_items(directory: Directory) -> dict[str, str]:
    """Write a directory as sort key -> JSON body, canonically: equal directories give equal items."""
    ordered = replace(directory, groups={name: tuple(sorted(found)) for name, found in directory.groups.items()})
    items = {
        f"{part}#{name}": codec.encode(value)
        for part, (member, _, _) in _PARTS.items()
        for name, value in getattr(ordered, member).items()
    }
    if directory.organization is not None:
        items[ORGANIZATION] = codec.encode(directory.organization)
    return {key: json.dumps(body, sort_keys=True, separators=(",", ":")) for key, body in sorted(items.items())}


def from_items(items: Mapping[str, str]) -> Directory:
    """Read a directory back; a body of another shape raises ValueError naming the item and the member.

    So does a name that no tag can name, or a target under another account's: it would hide others in a comparison.
    """
    found: dict[str, Any] = {member: {} for member, _, _ in _PARTS.values()}
    for key, body in items.items():
        part, name = RecordKey(key).kind, RecordKey(key).name
        if key == ORGANIZATION:
            found[ORGANIZATION] = codec.decode(Organization, codec.parsed_json(body), key)
        elif part in _PARTS:
            member, kind, can_name = _PARTS[part]
            found[member][name] = codec.decode(kind, codec.parsed_json(body), key)
            if not can_name(name):
                raise ValueError(f"{key}: no tag can name it")
        else:
            raise ValueError(
                f"{key}: a targets item is a group, a wave or an account, or says how units bring accounts"
            )
    file = Directory(**found)
    for account, targets in [
        *file.accounts.items(),
        *((one, some) for one in file.own for some in file.own[one].values()),
    ]:
        if any(target.account != account for target in targets):
            raise ValueError(f"account {account}: it has a target of another account")
    return file
