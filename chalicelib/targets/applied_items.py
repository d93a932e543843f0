"""The stored form of the applied file: one item for each group, account and other part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.targets.applied_file import ORGANIZATION, Directory, Target, is_account, is_group
from chalicelib.targets.organization import Organization
from chalicelib.targets.waves import Wave


def to_items(directory: Directory) -> dict[str, str]:
    """Write a directory as sort key -> JSON body, canonically: equal directories give equal items."""
    groups = {f"group#{name}": sorted(members) for name, members in directory.groups.items()}
    accounts = {f"account#{account}": codec.encode(targets) for account, targets in directory.accounts.items()}
    by_unit = {f"by-unit#{name}": codec.encode(targets) for name, targets in directory.by_unit.items()}
    own = {f"own#{account}": codec.encode(targets) for account, targets in directory.own.items()}
    waves = {f"wave#{name}": codec.encode(wave) for name, wave in directory.waves.items()}
    named = {} if directory.organization is None else {ORGANIZATION: codec.encode(directory.organization)}
    return {
        key: json.dumps(body, sort_keys=True, separators=(",", ":"))
        for key, body in sorted({**groups, **accounts, **by_unit, **own, **waves, **named}.items())
    }


def from_items(items: Mapping[str, str]) -> Directory:
    """Read a directory back; a body of another shape raises ValueError naming the item and the member.

    So does a name that no tag can name, or a target under another account's: it would hide others in a comparison.
    """
    groups: dict[str, tuple[str, ...]] = {}
    accounts: dict[str, tuple[Target, ...]] = {}
    by_unit: dict[str, tuple[Target, ...]] = {}
    own: dict[str, Mapping[str, tuple[Target, ...]]] = {}
    waves: dict[str, Wave] = {}
    named: Organization | None = None
    for key, body in items.items():
        kind, name = RecordKey(key).kind, RecordKey(key).name
        if kind == "group":
            groups[name] = codec.decode(tuple[str, ...], json.loads(body), key)
        elif kind == "account":
            accounts[name] = codec.decode(tuple[Target, ...], json.loads(body), key)
        elif kind == "by-unit":
            by_unit[name] = codec.decode(tuple[Target, ...], json.loads(body), key)
        elif kind == "own":
            own[name] = _own(json.loads(body), key)
        elif kind == "wave":
            waves[name] = codec.decode(Wave, json.loads(body), key)
        elif key == ORGANIZATION:
            named = codec.decode(Organization, json.loads(body), key)
        else:
            raise ValueError(
                f"{key}: a targets item is a group, a wave or an account, or says how units bring accounts"
            )
    _checked({"group": groups, "by-unit": by_unit, "wave": waves}, is_group)
    _checked({"account": accounts, "own": own}, is_account)
    for account, targets in [*accounts.items(), *((one, found) for one in own for found in own[one].values())]:
        if any(target.account != account for target in targets):
            raise ValueError(f"account {account}: it has a target of another account")
    return Directory(groups, accounts, by_unit, own, named, waves=waves)


def _checked(kinds: Mapping[str, Iterable[str]], can_name: Callable[[str], bool]) -> None:
    for kind, names in kinds.items():
        for name in names:
            if not can_name(name):
                raise ValueError(f"{kind}#{name}: no tag can name it")


def _own(body: Any, key: str) -> Mapping[str, tuple[Target, ...]]:
    if not isinstance(body, dict):
        raise ValueError(f"{key}: {body!r} is no mapping")  # noqa: TRY004 - as the codec says it
    return {group: codec.decode(tuple[Target, ...], targets, f"{key}.{group}") for group, targets in body.items()}
