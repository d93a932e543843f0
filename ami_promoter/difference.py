"""What a targets file would change: a value, and its text for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.compiler import BOUNDS, duration
from chalicelib.core import codec
from chalicelib.core.targets import Directory, Target

Place = tuple[str, str]
"""Account and Region."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Targets and groups added, removed and changed; values are the new ones, but of what is removed."""

    added: Mapping[Place, Target] = field(default_factory=dict)
    removed: Mapping[Place, Target] = field(default_factory=dict)
    changed: Mapping[Place, Mapping[str, tuple[Any, Any]]] = field(default_factory=dict)
    groups_added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups_removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups_changed: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    """By name: members that come, members that go."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


def difference(applied: Directory, wanted: Directory) -> Difference:
    """Compare what is applied with what a file wants."""
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
    )


def to_text(change: Difference) -> Iterator[str]:
    """Yield lines for a person: ``+`` comes, ``-`` goes, ``~`` changes."""
    for sign, targets in (("+", change.added), ("-", change.removed)):
        for (account, region), target in targets.items():
            unusual = ", ".join(f"{key}: {_shown(key, new)}" for key, (_, new) in _unusual(target).items())
            yield f"{sign} target {account} {region}" + (f"  ({unusual})" if unusual else "")
    for (account, region), settings in change.changed.items():
        yield f"~ target {account} {region}"
        for key, (old, new) in settings.items():
            yield f"    {key}: {_shown(key, old)} -> {_shown(key, new)}"
    for sign, groups in (("+", change.groups_added), ("-", change.groups_removed)):
        for name, members in groups.items():
            yield f"{sign} group {name}: {_members(members)}"
    for name, (come, go) in change.groups_changed.items():
        yield f"~ group {name}"
        yield from (f"    {sign} {_members(members)}" for sign, members in (("+", come), ("-", go)) if members)


def to_json(change: Difference) -> dict[str, Any]:
    """Give the same for a program; docs/targets.md describes it."""
    return {
        "targets": {
            "added": [codec.encode(target) for target in change.added.values()],
            "removed": [codec.encode(target) for target in change.removed.values()],
            "changed": [
                {
                    "account": account,
                    "region": region,
                    "settings": {key: {"from": old, "to": new} for key, (old, new) in settings.items()},
                }
                for (account, region), settings in change.changed.items()
            ],
        },
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
    """Find the settings that are not the built-in ones."""
    return _settings(Target(target.account, target.region), target)


def _shown(key: str, value: Any) -> str:
    if key in BOUNDS:
        return duration(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or "none"
    return str(value) or "none"


def _members(accounts: tuple[str, ...]) -> str:
    return f"{len(accounts)} account{'s' if len(accounts) != 1 else ''}: {' '.join(accounts)}"
