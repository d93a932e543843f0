"""What differs between two targets files, and where the newer one asks for less. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chalicelib.engine import codec
from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import AppliedFile, Directory, Target, resolve, settings_changed
from chalicelib.targets.organization import Organization, allowance
from chalicelib.targets.waves import Wave

Place = tuple[str, str]
"""Account and Region."""
Changes = Mapping[str, tuple[Any, Any]]
"""Settings, each with its value before and after."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Targets and groups added, removed and changed; values are the new ones, for removed ones the old."""

    added: Mapping[Place, Target] = field(default_factory=dict)
    removed: Mapping[Place, Target] = field(default_factory=dict)
    changed: Mapping[Place, Changes] = field(default_factory=dict)
    groups_added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups_removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups_changed: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    """By name: members added, members removed."""
    by_unit: Mapping[Place, Changes] = field(default_factory=dict)
    """By group and Region: settings that change for all accounts that its units bring."""
    organization: Changes = field(default_factory=dict)
    """Changes of the block ``organization``, without its units."""
    waves: Mapping[str, tuple[Wave | None, Wave | None]] = field(default_factory=dict)
    """By group: its wave before and after; None: it waits for no other."""

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
        changed={
            place: settings_changed(before[place], after[place]) for place in common if before[place] != after[place]
        },
        groups_added={name: tuple(sorted(new[name])) for name in sorted(new.keys() - old.keys())},
        groups_removed={name: tuple(sorted(old[name])) for name in sorted(old.keys() - new.keys())},
        groups_changed={
            name: (tuple(sorted(now - then)), tuple(sorted(then - now)))
            for name, (then, now) in members.items()
            if then != now
        },
        by_unit=_by_unit(applied, wanted),
        organization=_organization(applied.organization, wanted.organization),
        waves={
            name: (applied.waves.get(name), wanted.waves.get(name))
            for name in sorted(applied.waves.keys() | wanted.waves.keys())
            if applied.waves.get(name) != wanted.waves.get(name)
        },
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
                found[name, region] = settings_changed(then[region], now[region])
    return found


def _organization(then: Organization | None, now: Organization | None) -> dict[str, tuple[Any, Any]]:
    before = {} if then is None else codec.encode(then)
    after = {} if now is None else codec.encode(now)
    names = sorted((before.keys() | after.keys()) - {"units"})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _places(directory: Directory) -> dict[Place, Target]:
    return {(target.account, target.region): target for targets in directory.accounts.values() for target in targets}


# --- where the newer one asks for less -------------------------------------------------------------------------------

MOST_DEPARTED = 5000
"""So that their list fits into an item."""
HUNDRED = 100
"""Accounts, by which ``most_leaving`` as a share and as a number are compared."""


class Loosened(NamedTuple):
    """A setting that protects less than before. ``where``: "account/region", a group, or the organization."""

    where: str
    setting: str
    before: str
    after: str


LOOSER: Mapping[str, Callable[[Any, Any], bool]] = {
    "approval": lambda old, _new: old == "required",
    "launch_test": lambda old, new: bool(old) and not new,
    "protect": lambda old, _new: bool(old),
    "mode": lambda _old, new: new == "share",
    "until": lambda old, new: old != 0 and (new == 0 or new > old),
    "grantee": lambda _old, new: new == "account",
    "share_snapshots": lambda _old, new: bool(new),
    "launch_permission": lambda _old, new: new == "group",
    "release_when": lambda _old, new: new == "registered",
    "copy_deadline": lambda old, new: new > old,
    "linger": lambda old, new: new > old,
    "external_id": lambda _old, new: new == "",
    "source_tags": lambda old, new: bool(set(new) - set(old)) and "*" not in old,
}
"""Settings that guard an approval or a limit -> whether a change asks for less."""


def loosened(before: Directory, after: Directory, departed: Collection[str]) -> tuple[Loosened, ...]:
    """Return what the newer file loosens, sorted; both have the members of the units as they are now.

    ``departed``: what ``departing`` returned for the older file. So an account that one file removes, and the next one
    brings back without its approval, counts.
    """
    found = [*_of_organization(before.organization, after.organization)]
    old, new = _in_effect(before), _in_effect(after)
    for place, target in new.items():
        if place in old:
            found += _of_target(place, old[place], target)
        elif place in departed and target.approval != "required":
            found.append(Loosened(place, "approval", "required", target.approval))
    for name, wave in before.waves.items():
        found += _of_wave(f"group {name}", wave, after.waves.get(name))
    found += _out_of_waves(before, after, {target.account for target in new.values()})
    for group in before.by_unit.keys() & after.by_unit.keys():
        then = {one.region: one for one in before.by_unit[group]}
        for one in after.by_unit[group]:
            if one.region in then:
                found += _of_target(f"group {group}, {one.region}", then[one.region], one)
    return tuple(sorted(found))


def departing(before: Directory, after: Directory, departed: Collection[str]) -> tuple[str, ...]:
    """Return the targets that the newer file does not have, and that needed an approval when a file last had them."""
    needing = {place for place, target in _in_effect(before).items() if target.approval == "required"}
    return tuple(sorted((needing | set(departed)) - _in_effect(after).keys()))[:MOST_DEPARTED]


def _in_effect(file: Directory) -> dict[str, Target]:
    """Return every target that the file has, also through its units, by place; without accounts in conflict."""
    value = " ".join((*file.groups, *file.accounts))
    return {one.place: one for one in resolve(value, file.as_read(), in_force=True).targets} if value else {}


def _of_target(where: str, old: Target, new: Target) -> Iterator[Loosened]:
    for setting, (then, now) in settings_changed(old, new).items():
        if setting in LOOSER and LOOSER[setting](then, now):
            yield Loosened(where, setting, _shown(then), _shown(now))


def _out_of_waves(before: Directory, after: Directory, there: Collection[str]) -> Iterator[Loosened]:
    """Find accounts that have left a group that waits, and are still there."""
    then, now = AppliedFile(before).waves, AppliedFile(after).waves
    for name in before.waves.keys() & after.waves.keys():
        for account in (then.members(name) - now.members(name)) & set(there):
            live = now.of(account)
            if not isinstance(live, Fault):
                yield from _of_wave(f"account {account}", before.waves[name], live)


def _of_wave(where: str, then: Wave, now: Wave | None) -> Iterator[Loosened]:
    if now is None or now.after != then.after:
        yield Loosened(where, "after", then.after, "" if now is None else now.after)
        return
    if now.soak < then.soak:
        yield Loosened(where, "soak", str(then.soak), str(now.soak))
    if now.most_failed > then.most_failed:
        yield Loosened(where, "most_failed", str(then.most_failed), str(now.most_failed))


def _of_organization(then: Organization | None, now: Organization | None) -> Iterator[Loosened]:
    if then is None or now is None:
        return
    if allowance(now.most_leaving, HUNDRED) > allowance(then.most_leaving, HUNDRED):
        yield Loosened("organization", "most_leaving", then.most_leaving, now.most_leaving)
    if now.back_fill and not then.back_fill:
        yield Loosened("organization", "back_fill", "False", "True")
    if now.id != then.id:
        yield Loosened("organization", "id", then.id, now.id)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(map(str, value.values()))
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
