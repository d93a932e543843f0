"""Tells people of each new version of the applied file that the service reads, and of what it loosens.

``worker`` writes each version that it reads into a table that no operator can write, before it resolves anything by it:
so a version that is applied and taken back between two looks has its notice, too. A message wakes it to compare and to
notify; `discover` sends one every five minutes while a notice is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chalicelib.engine.addresses import APPLIED_FILE
from chalicelib.engine.budget import Budget, TimeLeft
from chalicelib.engine.ports import Notices, Telemetry, WakeQueues
from chalicelib.engine.waker import Clock
from chalicelib.engine.wakes import Wake
from chalicelib.targets.difference import departing, difference, loosened
from chalicelib.targets.notices import FileChange, applied
from chalicelib.targets.ports import FileVersion, Notified, NotifiedStore, Targets

TRIES = 3
"""To write a version while others write, too."""
CALLS = 6
"""Of one version: read two with their members, tell the bus and the topic, write."""


@dataclass(eq=False)
class SeenVersions:
    """Writes the versions that are read, and wakes the worker to notify people of them."""

    store: NotifiedStore
    wakes: WakeQueues
    telemetry: Telemetry
    _last: FileVersion | None = field(default=None, init=False)

    def remember(self, seen: FileVersion) -> None:
        """Write a version that is about to be used. It never raises: what is removed must not wait for this."""
        if seen == self._last:
            return
        try:
            if not self._known(seen):
                self.wakes.send(Wake(APPLIED_FILE, f"read:{seen.version}"))
            self._last = seen
        except Exception as error:  # noqa: BLE001 - see above; the version stays in force, and is read again
            self.telemetry.not_done("applied-file", repr(error))

    def _known(self, seen: FileVersion) -> bool:
        """Write it down if it is new; False: people must be notified. A hub's first version has nothing before it."""
        for _ in range(TRIES):
            known, number = self.store.load()
            if known.has(seen):
                return True
            if not known.version and self.store.save(Notified(seen.version), number):
                return True
            if known.version and self.store.save(replace(known, later={**known.later, seen.version: seen}), number):
                break
        return False


@dataclass(eq=False)
class VersionWatch:
    """What `discover` does: wakes the worker while a notice is missing."""

    versions: Targets
    store: NotifiedStore
    wakes: WakeQueues
    clock: Clock

    def look(self) -> None:
        """Compare what is in force with what people were notified of."""
        current, (known, _) = self.versions.in_force(), self.store.load()
        if known.later or (known.version and current is not None and not known.has(current)):
            self.wakes.send(Wake(APPLIED_FILE, f"discover:{self.clock()}"))


@dataclass(eq=False)
class AppliedVersions:
    """What `worker` does: compares each version that people do not know with the one before it, and notifies them."""

    versions: Targets
    store: NotifiedStore
    notices: Notices
    clock: Clock
    telemetry: Telemetry
    hub: str
    region: str

    def run(self, *, time_left: TimeLeft) -> None:
        """Notify of such versions while there is time, oldest first; the next message goes on.

        Repeated, a notice has the same id. Raises Refusal.
        """
        known, number = self.store.load()
        if not known.version:
            return
        current = self.versions.in_force()
        waiting = [known.later[version] for version in sorted(known.later) if version != known.version]
        if current is not None and current.version != (waiting[-1].version if waiting else known.version):
            waiting.append(current)
        if known.later and not waiting:
            self.store.save(replace(known, later={}), number)
        for one in Budget(time_left).each(waiting, CALLS):
            change, departed = self._change(known.version, one, known.departed)
            loose = [f"{one.where}: {one.setting}" for one in change.loosened]
            self.telemetry.applied(change.after, change.by, loose, alarming=change.alarming)
            # after the alarm's metric: a notice that SNS refuses must not silence the alarm
            self.notices.publish(applied(self.hub, self.region, change, self.clock()))
            left = {name: seen for name, seen in known.later.items() if name not in (known.version, one.version)}
            known = replace(known, version=one.version, departed=departed, later=left)
            if not self.store.save(known, number):
                return  # another invocation read a version, or notified of this one: the next message goes on
            number += 1

    def _change(self, before: str, after: FileVersion, departed: tuple[str, ...]) -> tuple[FileChange, tuple[str, ...]]:
        old = self.versions.content(before)
        new = self.versions.content(after.version)
        if old is None or new is None:
            return FileChange(before, after.version, after.by, after.at, None), departed
        found = loosened(old, new, departed)
        change = FileChange(before, after.version, after.by, after.at, difference(old, new), found)
        return change, departing(old, new, departed)
