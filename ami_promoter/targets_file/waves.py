"""The waves of a targets file: for which group a group waits, and faults in how a file says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.targets_file.document import Path, YamlDocument
from ami_promoter.targets_file.units import Members
from ami_promoter.terminal.report import seconds
from chalicelib.engine.faults import Fault
from chalicelib.targets.waves import FileWaves, Wave

KEYS = ("after", "soak", "most_failed")
"""The keys of a group that are settings of its wave, and no settings of a target."""


def waves(groups: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Wave]:
    """Return the waves of the groups, as far as these are without fault. Their durations are in seconds."""
    return {
        name: Wave(group["after"], seconds(group.get("soak", 0)), group.get("most_failed", 0))
        for name, group in groups.items()
        if "after" in group
    }


def faults(read: YamlDocument, groups: Mapping[str, Mapping[str, Any]], members: Members, hub: str) -> Iterator[Fault]:
    """Find waves after groups that do not exist, in a circle or that differ for a member, and settings without effect.

    ``members``: of each group; a unit stands for the accounts that it will bring. ``hub``: its account id, or "".
    """
    for name, group in groups.items():
        path: Path = ("groups", name)
        for key in KEYS[1:] if "after" not in _written(read, name) else ():
            if key in group:
                what = f"`{key}` has no effect for group `{name}`, which waits for no other group."
                yield _fault(read, (*path, key), what, "Write `after: GROUP` beside it, or leave it out.")
        if group.get("after", name) not in members:
            what = f"group `{name}` waits for `{group['after']}`, which is no group of this file."
            yield _fault(read, (*path, "after"), what, "Name a group of this file, or leave `after` out.")
    file = FileWaves(waves(groups), members, hub)
    circles = {name for name in groups if file.circle(name)}
    for name in sorted(circles):
        what = f"group `{name}` waits for itself: `{groups[name]['after']}` waits for it, or both have a member."
        yield _fault(read, ("groups", name, "after"), what, "Take `after` out of one group of the circle.")
    yield from _of_members(read, file, members, circles)


def _of_members(read: YamlDocument, file: FileWaves, members: Members, circles: set[str]) -> Iterator[Fault]:
    """Find members whose wave is not clear; what is in a circle anyway has had its fault."""
    seen = set[str]()
    for name, mentions in members.items():
        for member, path in mentions.items():
            wave = file.of(member)
            if isinstance(wave, Fault) and name not in circles and member not in seen:
                seen.add(member)
                yield _fault(read, path, wave.what, wave.cure)


def _written(read: YamlDocument, name: str) -> Mapping[str, Any]:
    group = read.data["groups"][name]
    return group if isinstance(group, dict) else {}


def _fault(read: YamlDocument, path: Path, what: str, cure: str) -> Fault:
    return Fault("targets-wave", read.where_key(path), what, cure)
