"""What a targets file would change, as text and as JSON data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.targets_file.settings import is_duration
from ami_promoter.terminal.report import duration
from chalicelib.engine import codec
from chalicelib.engine.faults import count
from chalicelib.targets.applied_file import Target, settings_changed
from chalicelib.targets.difference import Changes, Difference
from chalicelib.targets.organization import is_unit
from chalicelib.targets.waves import Wave


def to_text(change: Difference) -> Iterator[str]:
    """Yield lines for a person: ``+`` added, ``-`` removed, ``~`` changed."""
    for sign, targets in (("+", change.added), ("-", change.removed)):
        for (account, region), target in targets.items():
            changed = settings_changed(Target(account, region), target)  # from the built-in settings
            unusual = ", ".join(f"{key}: {_shown(key, new)}" for key, (_, new) in changed.items())
            yield f"{sign} target {account} {region}" + (f"  ({unusual})" if unusual else "")
    for (account, region), settings in change.changed.items():
        yield f"~ target {account} {region}"
        yield from _settings_text(settings)
    for (name, region), settings in change.by_unit.items():
        yield f"~ accounts that units bring into {name}, {region}"
        yield from _settings_text(settings)
    if change.organization:
        yield "~ organization"
        yield from _settings_text(change.organization)
    yield from _groups_text(change)


def _settings_text(settings: Changes) -> Iterator[str]:
    for key, (old, new) in settings.items():
        yield f"    {key}: {_shown(key, old)} -> {_shown(key, new)}"


def _groups_text(change: Difference) -> Iterator[str]:
    for sign, groups in (("+", change.groups_added), ("-", change.groups_removed)):
        for name, members in groups.items():
            yield f"{sign} group {name}: {_members(members)}"
    for name, (come, go) in change.groups_changed.items():
        yield f"~ group {name}"
        yield from (f"    {sign} {_members(members)}" for sign, members in (("+", come), ("-", go)) if members)
    for name, (then, now) in change.waves.items():
        yield f"~ wave of group {name}: {wave_text(then)} -> {wave_text(now)}"


def wave_text(wave: Wave | None) -> str:
    """Say for which group a group waits, and how long."""
    if wave is None:
        return "none"
    soak = f", {duration(wave.soak)} later" if wave.soak else ""
    return f"after {wave.after}{soak}, if at most {wave.most_failed} of it failed"


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
                {"account": account, "region": region, "settings": _settings_json(settings)}
                for (account, region), settings in change.changed.items()
            ],
        },
        "organization": _settings_json(change.organization),
        "by_unit": [
            {"group": group, "region": region, "settings": _settings_json(settings)}
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
        "waves": [
            {"group": name, "from": codec.encode(then), "to": codec.encode(now)}
            for name, (then, now) in change.waves.items()
        ],
    }


def _settings_json(settings: Changes) -> dict[str, dict[str, Any]]:
    return {key: {"from": old, "to": new} for key, (old, new) in settings.items()}


def _shown(key: str, value: Any) -> str:
    if is_duration(key):
        return duration(value)
    if key == "launch_test" and value:
        return f"{value['instance_type']} within {duration(value['within'])}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str("" if value is None else value) or "none"


def _members(members: tuple[str, ...]) -> str:
    units = sum(map(is_unit, members))
    accounts = len(members) - units
    counts = [count(accounts, "account")] if accounts or not units else []
    counts += [f"{count(units, 'unit')} of the organization"] if units else []
    return f"{' and '.join(counts)}: {' '.join(members)}"
