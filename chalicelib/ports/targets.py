"""The applied targets file, and the members of the organization."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chalicelib.core.targets.applied_file import AppliedFile
from chalicelib.core.targets.approvals import Approval
from chalicelib.core.targets.organization import Organization
from chalicelib.core.targets.withdrawals import Withdrawal


class Targets(Protocol):
    """The applied targets file, with the accounts that the units of an organization bring into its groups."""

    def read(self) -> AppliedFile:
        """Read the file and the membership as they are in force now, consistently."""

    def generation(self) -> str:
        """Return the generation in force (``AppliedFile.generation``), without reading the content."""

    def live(self, account: str) -> tuple[str, str] | None:
        """Return role name and external id as they are now; None: the file has lost the account."""

    def paused(self) -> bool:
        """Whether an operator has paused new promotions (``ami-promoter pause``)."""

    def withdrawals(self, ami: str) -> Sequence[Withdrawal]:
        """Read whom an operator has withdrawn from an AMI's promotion, also before the last tag event."""

    def approvals(self, ami: str, places: Collection[str]) -> Mapping[str, Approval]:
        """Read an AMI's approvals for these targets ("account/region"), expired and void ones, too."""


class Applied(Targets, Protocol):
    """What else discovery reads of the applied file. May raise Refusal if somebody changed items by hand."""

    def organization(self) -> Organization | None:
        """Return its organization; None: it names no unit."""

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Every group's members: accounts and units."""
