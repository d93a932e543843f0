"""The applied targets file, and the members of the organization."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chalicelib.core.targets.applied_file import AppliedFile
from chalicelib.core.targets.approvals import Given
from chalicelib.core.targets.organization import Organization
from chalicelib.core.targets.withdrawals import Withdrawal


class Targets(Protocol):
    """The applied targets file, with the accounts of the units that it names."""

    def read(self) -> AppliedFile:
        """Read the file and the membership as they are in force now, consistently."""

    def generation(self) -> str:
        """Return the generation in force (``AppliedFile.generation``), without reading the content."""

    def live(self, account: str) -> tuple[str, str] | None:
        """Return role name and external id as they are now; None: the file does not contain the account."""

    def paused(self) -> bool:
        """Whether an operator has paused new promotions (``ami-promoter pause``)."""

    def withdrawals(self, ami: str) -> Sequence[Withdrawal]:
        """Read the withdrawals of an AMI, also those from before the last tag event."""

    def approvals(self, ami: str, places: Collection[str]) -> Given:
        """Read an AMI's approvals for these targets ("account/region"), also expired and void ones.

        A new one may be missing for seconds; one that was deleted or changed never shows as it was.
        """


class Applied(Targets, Protocol):
    """What else discovery reads of the applied file. May raise Refusal if somebody changed items by hand."""

    def organization(self) -> Organization | None:
        """Return the organization that the file names; None: it names no unit."""

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return every group's members: accounts and units."""
