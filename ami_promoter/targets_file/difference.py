"""What a targets file would change, as a value, as text and as JSON data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.targets_file.compiler import BOUNDS
from ami_promoter.terminal.durations import duration
from chalicelib.core.faults import count
from chalicelib.core.records import codec
from chalicelib.core.targets.applied_file import Directory, Target
from chalicelib.core.targets.organization import Organization, is_unit

Place = tuple[str, str]
"""Account and Region."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Targets and groups added, removed and changed; values are the new ones, for removed ones the old."""

    added: Mapping[Place, Target] = field(default_factory=dict)
    removed: Mapping[Place, Target] = field(default_factory=dict)
    changed: Mapping[Place, Mapping[str, tuple[Any, Any]]] = field(default_factory=dict)
    groups_added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups_removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups_changed: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    """By name: members added, members removed."""
    by_unit: Mapping[Place, Mapping[str, tuple[Any, Any]]] = field(default_factory=dict)
    """By group and Region: settings that change for all accounts that its units bring."""
    organization: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Changes of the block ``organization``, without its units."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


def difference(applied: Directory, wanted: Directory) -> Difference:
    """Compare the applied file with a new one."""
    before, after = _places(applied), _places(wanted)
    common = sorted(before.keys() & after.keys())
    old, new = applied.groups, wanted.groups
    members = {name: (set(old[name]), set(new[name])) for name in sorted(old.keys() & new.keys())}
    return Difference(
        added={place: after[place] for place in sorted(after.keys() - before.keys())},
        removed={place: before[place] for place in sorted(before.keys() - after.keys())},
        changed={place: _settings(before[place], after[place]) for place in common if before[place] != after[place]},
        groups_added={name: tuple(sorted(new[name])) for name in sorted(new.keys() - old.keys())},
        groups_removed={name: tuple(sorted(old[name])) for name in sorted(old.keys() - new.keys())},
        groups_changed={
            name: (tuple(sorted(now - then)), tuple(sorted(then - now)))
            for name, (then, now) in members.items()
            if then != now
        },
        by_unit=_by_unit(applied, wanted),
        organization=_organization(applied.organization, wanted.organization),
    )


def _by_unit(applied: Directory, wanted: Directory) -> dict[Place, Mapping[str, tuple[Any, Any]]]:
    """Compare what groups with units give to accounts; a Region that is added or removed shows as ``region``."""
    found: dict[Place, Mapping[str, tuple[Any, Any]]] = {}
    for name in sorted(applied.by_unit.keys() & wanted.by_unit.keys()):
        then = {target.region: target for target in applied.by_unit[name]}
        now = {target.region: target for target in wanted.by_unit[name]}
        for region in sorted(then.keys() | now.keys()):
            if region not in then or region not in now:
                found[name, region] = {"region": (region if region in then else "", region if region in now else "")}
            elif then[region] != now[region]:
                found[name, region] = _settings(then[region], now[region])
    return found


def _organization(then: Organization | None, now: Organization | None) -> dict[str, tuple[Any, Any]]:
    before = {} if then is None else codec.encode(then)
    after = {} if now is None else codec.encode(now)
    names = sorted((before.keys() | after.keys()) - {"units"})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def to_text(change: Difference) -> Iterator[str]:
    """Yield lines for a person: ``+`` added, ``-`` removed, ``~`` changed."""
    for sign, targets in (("+", change.added), ("-", change.removed)):
        for (account, region), target in targets.items():
            unusual = ", ".join(f"{key}: {_shown(key, new)}" for key, (_, new) in _unusual(target).items())
            yield f"{sign} target {account} {region}" + (f"  ({unusual})" if unusual else "")
    for (account, region), settings in change.changed.items():
        yield f"~ target {account} {region}"
        for key, (old, new) in settings.items():
            yield f"    {key}: {_shown(key, old)} -> {_shown(key, new)}"
    for (name, region), settings in change.by_unit.items():
        yield f"~ accounts that units bring into {name}, {region}"
        for key, (old, new) in settings.items():
            yield f"    {key}: {_shown(key, old)} -> {_shown(key, new)}"
    if change.organization:
        yield "~ organization"
        for key, (old, new) in change.organization.items():
            yield f"    {key}: {'none' if old in (None, '') else old} -> {'none' if new in (None, '') else new}"
    for sign, groups in (("+", change.groups_added), ("-", change.groups_removed)):
        for name, members in groups.items():
            yield f"{sign} group {name}: {_members(members)}"
    for name, (come, go) in change.groups_changed.items():
        yield f"~ group {name}"
        yield from (f"    {sign} {_members(members)}" for sign, members in (("+", come), ("-", go)) if members)


def _plain(target: Target) -> dict[str, Any]:
    """Return a target as the file has it, without its unit, which depends on the value of a tag."""
    values: dict[str, Any] = codec.encode(target)
    values.pop("unit")
    return values


def to_json(change: Difference) -> dict[str, Any]:
    """Return the difference as JSON data; ``commands/targets.py`` has its schema."""
    return {
        "targets": {
            "added": [_plain(target) for target in change.added.values()],
            "removed": [_plain(target) for target in change.removed.values()],
            "changed": [
                {
                    "account": account,
                    "region": region,
                    "settings": {key: {"from": old, "to": new} for key, (old, new) in settings.items()},
                }
                for (account, region), settings in change.changed.items()
            ],
        },
        "organization": {key: {"from": old, "to": new} for key, (old, new) in change.organization.items()},
        "by_unit": [
            {
                "group": group,
                "region": region,
                "settings": {key: {"from": old, "to": new} for key, (old, new) in settings.items()},
            }
            for (group, region), settings in change.by_unit.items()
        ],
        "groups": {
            "added": [{"name": name, "accounts": list(members)} for name, members in change.groups_added.items()],
            "removed": [{"name": name, "accounts": list(members)} for name, members in change.groups_removed.items()],
            "changed": [
                {"name": name, "added": list(come), "removed": list(go)}
                for name, (come, go) in change.groups_changed.items()
            ],
        },
    }


def _places(directory: Directory) -> dict[Place, Target]:
    return {(target.account, target.region): target for targets in directory.accounts.values() for target in targets}


def _settings(old: Target, new: Target) -> dict[str, tuple[Any, Any]]:
    before, after = codec.encode(old), codec.encode(new)
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def _unusual(target: Target) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ from the built-in ones."""
    return _settings(Target(target.account, target.region), target)


def _shown(key: str, value: Any) -> str:
    if key in BOUNDS:
        return duration(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or "none"
    return str(value) or "none"


def _members(members: tuple[str, ...]) -> str:
    units = sum(map(is_unit, members))
    accounts = len(members) - units
    counts = [count(accounts, "account")] if accounts or not units else []
    counts += [f"{count(units, 'unit')} of the organization"] if units else []
    return f"{' and '.join(counts)}: {' '.join(members)}"
