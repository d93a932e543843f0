"""What is applied: the targets file with its versions, and the members of the organization."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.targets.applied_file import AppliedFile, Directory
from chalicelib.targets.approvals import Given
from chalicelib.targets.departures import MembersReading, Whereabouts
from chalicelib.targets.listing import Page, Step
from chalicelib.targets.organization import Membership, Organization
from chalicelib.targets.recalls import Pin, Recall
from chalicelib.targets.withdrawals import Withdrawal


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A version of the applied file. ``version``: its name, which sorts by its number.

    ``at`` (ISO 8601 in UTC) and ``by`` (an ARN) are what its item claims.
    """

    version: str
    at: str = ""
    by: str = ""

    @classmethod
    def of(cls, number: int, digest: str, at: str = "", by: str = "") -> FileVersion:
        """Return a version by its number, and the digest of its items."""
        return cls(f"{number:08d}#{digest}", at, by)

    @property
    def number(self) -> int:
        """Which one it is."""
        return int(self._parts[0])

    @property
    def digest(self) -> str:
        """The digest of its items."""
        return self._parts[2]

    @property
    def _parts(self) -> tuple[str, str, str]:
        return self.version.partition("#")


class Targets(Protocol):
    """The applied targets file, with the accounts of the units that it names.

    It may raise Refusal if somebody changed items by hand.
    """

    def read(self) -> AppliedFile:
        """Read the file and the membership as they are in force now, consistently."""

    def applied_at(self) -> int:
        """Return since when (epoch seconds) this file is in force; 0: none is, or its time cannot be read."""

    def digests(self) -> str:
        """Return the digests in force (``AppliedFile.digests``), without reading the content."""

    def organization(self) -> Organization | None:
        """Return the organization that the file names; None: it names no unit."""

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return every group's members: accounts and units."""

    def in_force(self) -> FileVersion | None:
        """Return the version in force; None: nothing was ever applied."""

    def content(self, version: str) -> Directory | None:
        """Return a version with the members of its units as they are now; None: it is gone, or is not what it was."""

    def live(self, account: str) -> tuple[str, str] | None:
        """Return role name and external id as they are now; None: the file does not contain the account."""

    def paused(self) -> bool:
        """Whether an operator has paused new promotions (``ami-promoter admin pause``). Running deliveries continue."""

    def withdrawals(self, ami: str) -> Sequence[Withdrawal]:
        """Read the withdrawals of an AMI, also those from before the last tag event."""

    def recall(self, ami: str) -> Recall | None:
        """Read an AMI's recall; None: it is not recalled. ``withdrawals`` contains it, too."""

    def recalled(self, amis: Collection[str]) -> frozenset[str]:
        """Return those of these AMIs, at most 100, that are recalled."""

    def pin(self, account: str, region: str, family: str) -> Pin | None:
        """Read the pin of a family in a target; None: it has none. Raises Refusal if it is damaged."""

    def approvals(self, ami: str, places: Collection[str]) -> Given:
        """Read an AMI's approvals for these targets ("account/region"), also expired and void ones.

        A new one may be missing for seconds; one that was deleted or changed never shows as it was.
        """


@dataclass(frozen=True, slots=True)
class UnitFound:
    """An OU, a root or an organization: the ARN for launch permissions, and the parents at which reading begins.

    For a root it is the organization's ARN, because launch permissions know no roots.
    """

    arn: str
    parents: tuple[str, ...]


class OrganizationReader(Protocol):
    """The organization that the applied file names. Every method may raise Refusal."""

    def arn(self) -> str:
        """Return the organization's ARN."""

    def unit(self, unit: str) -> UnitFound:
        """Find a unit."""

    def page(self, step: Step) -> Page:
        """Read one page of a parent's direct children; an empty one may not be the last."""

    def whereabouts(self, account: str) -> Whereabouts:
        """Return an account's state and all above it; state "": not in the organization."""


class MembersStore(Protocol):
    """The table of members: the members of each unit in force, and discovery's own state."""

    def membership(self) -> Membership:
        """Read all members in force. Raises Refusal if somebody changed items by hand."""

    def publish(self, before: Membership, after: Membership, reading: MembersReading, version: int) -> bool:
        """Write new members in force, and the reading that found them, both or neither. False: another run wrote first.

        So an account that left counts against the limit of departures as soon as the members lack it.
        """

    def reading(self) -> tuple[MembersReading, int]:
        """Read how far the reading has come, and its version."""

    def save(self, reading: MembersReading, version: int) -> bool:
        """Write the reading, if its version is still this one."""

    def accepted(self, now: int) -> frozenset[str]:
        """Return the accounts whose departure a person has accepted within the last day."""


@dataclass(frozen=True, slots=True)
class Notified:
    """``version``: the last one that people were notified of; "": none. ``later``: those of which they were not.

    ``departed``: see ``difference.departing``.
    """

    version: str = ""
    departed: tuple[str, ...] = ()
    later: Mapping[str, FileVersion] = field(default_factory=dict)

    def has(self, one: FileVersion) -> bool:
        """Whether a version in force need not be written."""
        return one.version in self.later or (one.version == self.version and not self.later)


class NotifiedStore(Protocol):
    """Keeps it where no operator can write."""

    def load(self) -> tuple[Notified, int]:
        """Read it, with the number of its last write; 0: none."""

    def save(self, notified: Notified, number: int) -> bool:
        """Write it, if ``number`` is still that of the last write."""
