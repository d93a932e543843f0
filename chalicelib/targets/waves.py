"""Waves, as the targets file says them: which group waits for which, and which of that can never come true."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from chalicelib.engine.addresses import digest
from chalicelib.engine.faults import Fault

CONFLICT, CIRCLE, NOT_REACHED = "wave-conflict", "wave-circle", "wave-not-reached"
"""Codes of faults of a wave."""


@dataclass(frozen=True, slots=True)
class Wave:
    """For which group (``after``) a group waits.

    ``soak``: seconds after the last end there. ``most_failed``: how many deliveries may fail there.
    """

    after: str
    soak: int = 0
    most_failed: int = 0

    @property
    def rule(self) -> str:
        """Its settings as one text: groups with the same rule are one wave."""
        return f"{self.after}/{self.soak}/{self.most_failed}"


class FileWaves:
    """The waves of a targets file, and the members of its groups. A wave belongs to the account, whatever names it."""

    def __init__(
        self,
        waves: Mapping[str, Wave],
        groups: Mapping[str, Collection[str]],
        hub: str = "",
        unknown: Fault | None = None,
    ) -> None:
        """``groups``: the members of each group. ``hub``: its own copies never wait, as others copy from them.

        ``unknown``: why the members of groups that wait, or are waited for, are not all known; then everybody waits.
        """
        self._waves = waves
        self._hub = hub
        self.unknown = unknown
        self._groups = {name: frozenset(groups[name]) - {hub} for name in sorted(groups)}
        self._followed: dict[str, frozenset[str]] = {}

    def members(self, group: str) -> frozenset[str]:
        """Return the members of a group."""
        return self._groups.get(group, frozenset())

    def name(self, wave: Wave) -> str:
        """Name a wave by its rule and the accounts for which it waits: what was found for others opens nothing."""
        return f"{wave.rule}/{digest(*sorted(self.members(wave.after)))}"

    def waiting(self, rule: str) -> list[str]:
        """Return the groups that wait by a rule."""
        return [name for name in self._groups if name in self._waves and self._waves[name].rule == rule]

    def of(self, member: str) -> Wave | Fault | None:
        """Return the wave of an account; None: it waits for nobody. With a fault it waits until that is cured."""
        return self.unknown if self.unknown and member != self._hub else self._of(member)

    def _of(self, member: str) -> Wave | Fault | None:
        mine = [name for name in self._groups if name in self._waves and member in self._groups[name]]
        if not mine:
            return None
        wave = self._waves[mine[0]]
        other = next((name for name in mine if self._waves[name].rule != wave.rule), None)
        if other is not None:
            what = f"{member} belongs to `{mine[0]}` and `{other}`, whose waves differ."
            return Fault(CONFLICT, f"account {member}", what, "Make their `after`, `soak` and `most_failed` agree.")
        if any(member in self.members(group) for group in self._before(wave.after)):
            what = f"{member}, in `{mine[0]}`, waits for `{wave.after}`, which waits for {member}."
            cure = f"Take `after` out of a group, or {member} out of `{wave.after}`, and apply the file."
            return Fault(CIRCLE, f"account {member}", what, cure)
        return wave

    def circle(self, group: str) -> bool:
        """Whether a group waits for itself, directly or by others."""
        return group in self._waves and group in self._before(self._waves[group].after)

    def _before(self, group: str) -> frozenset[str]:
        """Return a group and all for which its members wait, directly or by others."""
        if group not in self._followed:
            found, left = set[str](), [group]
            while left:
                name = left.pop()
                if name not in found:
                    found.add(name)
                    left += self._next(name)
            self._followed[group] = frozenset(found)
        return self._followed[group]

    def _next(self, group: str) -> Iterator[str]:
        for name, wave in self._waves.items():
            if name == group or not self.members(name).isdisjoint(self.members(group)):
                yield wave.after

    def faults(self, accounts: Iterable[str], where: str) -> tuple[Fault, ...]:
        """Return why some of these accounts, which get an AMI, would wait in vain. ``where``: the place of a fault."""
        every = frozenset(accounts)
        found = dict.fromkeys(one for one in map(self.of, sorted(every)) if isinstance(one, Fault))
        return (*(() if self.unknown else self.not_reached(every, where)), *found)

    def not_reached(self, accounts: Collection[str], where: str) -> tuple[Fault, ...]:
        """Return for which groups some of these accounts would wait, of which none of them is a known member."""
        waves = [one for one in map(self._of, sorted(accounts)) if isinstance(one, Wave)]
        lacking = {one.after: one for one in waves if self.members(one.after).isdisjoint(accounts)}
        return tuple(self._not_reached(wave, where) for wave in lacking.values())

    def _not_reached(self, wave: Wave, where: str) -> Fault:
        names = " and ".join(f"`{name}`" for name, one in sorted(self._waves.items()) if one.after == wave.after)
        what = f"The wave of {names} comes after `{wave.after}`, but no account of `{wave.after}` gets the AMI."
        return Fault(NOT_REACHED, where, what, f"Name `{wave.after}` as well, or take `after` out of the targets file.")
