"""Reads the applied targets file, with the accounts of the units that it names, and who may receive any AMI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.terminal import remembered
from ami_promoter.terminal.report import NotDone
from chalicelib.engine.errors import TargetsDamaged
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
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


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who may receive any AMI, whatever a tag names.

    ``regions``: account -> the Regions in which it is a target. ``units``: ARNs of the units that groups name.
    ``unread``: ids of units whose accounts discovery has not read yet. ``digest``: of the applied file, for messages.
    ``known``: the whole applied file was read. ``faults`` say what could not be read.
    """

    regions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    units: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    digest: str = ""
    known: bool = False
    faults: tuple[Fault, ...] = ()

    def contain(self, receiver: str) -> bool | None:
        """Whether an account id or a unit's ARN may receive anything; None: file and units do not say it."""
        if receiver in self.regions or receiver in self.units:
            return True
        return False if self.known and not self.unread else None

    def places(self, hub: tuple[str, str] = ("", "")) -> tuple[Place, ...]:
        """Return every target, sorted, without ``hub``, which is no target."""
        every = {Place(account, region) for account, regions in self.regions.items() for region in regions}
        return tuple(sorted(every - {Place(*hub)}))


def receivers(directory: Directory, digest: str = "") -> Receivers:
    """Collect all accounts that the file lists, or that a unit brings into a group, with their Regions."""
    units = directory.membership.units
    named = {member for members in directory.groups.values() for member in members if member in units}
    unread = directory.unread((), every=True)
    arns = frozenset(units[one].arn for one in named)
    return Receivers(directory.regions(), arns, tuple(unread), digest, known=True)


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
