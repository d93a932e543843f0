"""Reads the applied targets file, with the accounts of the units that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.receivers import Receivers, receivers
from ami_promoter.terminal import remembered
from ami_promoter.terminal.report import NotDone
from chalicelib.engine.errors import TargetsDamaged
from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import VALUE, AppliedFile, Directory, Resolution, names


def applied_file(connection: Connection) -> AppliedFile:
    """Read the applied targets file with the membership; may raise HubError."""
    with connection.telling("reading the applied targets and the members of OUs"):
        return connection.applied.read()


def named_targets(file: AppliedFile, words: Sequence[str]) -> Resolution:
    """Return whom groups and accounts name that a person wrote; raises NotDone if the file does not say it."""
    found = file.resolve(" ".join(words))
    if not found.understood:
        faults = filter(None, (*found.faults, found.waits))
        raise NotDone(*(replace(one, where=" ".join(words)) if one.where == VALUE else one for one in faults))
    return found


class AccountNames:
    """Names of accounts, by the file applied to a hub; read when they are first asked for."""

    def __init__(self) -> None:
        self.profile: str | None = None
        self.hub: Connection | None = None
        """None: no command has connected to a hub, so no account has a name."""
        self._read: Mapping[str, str] | None = None

    def __call__(self) -> Mapping[str, str]:
        """Return them by the accounts' ids; none if the file cannot be read."""
        if self._read is None and self.hub is not None:
            self._read = {}  # one try: a name is worth no second one
            with suppress(HubError), self.hub.telling("reading the names of accounts"):
                table = self.hub.applied
                if current := table.in_force():
                    directory = table.directory(current)
                    self._read = names(directory)
                    remember(self.profile, directory)
        return self._read or {}


def remember(profile: str | None, directory: Directory) -> None:
    """Let completion offer the groups and accounts of the file that was applied with a profile."""
    remembered.keep(profile, directory.groups.keys(), {**dict.fromkeys(directory.accounts, ""), **names(directory)})


def in_force(connection: Connection) -> Receivers:
    """Read who may receive anything; may raise HubError."""
    file = applied_file(connection)
    if file.fault is not None:
        where = f"account {connection.account}, {connection.region}, {file.fault.where}"
        listed = _listed(connection)
        also = " The command checked only the targets that the file itself lists." if listed.regions else ""
        fault = replace(file.fault, code="not-seen", where=where, what=f"{file.fault.what}{also}")
        return replace(listed, known=False, faults=(fault,))
    found = receivers(file.directory, file.digest)
    return replace(found, faults=tuple(_faults(found)))


def _listed(connection: Connection) -> Receivers:
    """Return only the accounts that the file lists if the units cannot be read; none if the file cannot be read."""
    with connection.telling("reading the applied targets"):
        table = connection.applied
        if current := table.in_force():
            with suppress(TargetsDamaged):
                return receivers(table.directory(current), current.digest)
    return Receivers()


def _faults(found: Receivers) -> Iterator[Fault]:
    if found.unread:
        what = (
            f"The service has not read yet which accounts {', '.join(found.unread)} has, "
            "so the command did not check its targets."
        )
        cure = "`discover` reads it every five minutes: run the command again; `ami-promoter status` shows what fails."
        yield Fault("not-seen", "organization", what, cure)
    elif not found.regions:
        what = (
            "The file names no account, and the OUs that it names have no account now, so there is no target to check."
        )
        cure = "See `ami-promoter targets members`, or name accounts and apply the file."
        yield Fault("not-seen", "targets file", what, cure)
