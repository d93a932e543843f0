"""What the drift audit needs: the hub's own resources as AWS shows them, and its part of the table of findings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chalicelib.core.monitor.drift import DriftPlace, Pass
from chalicelib.core.monitor.verdicts import MonitorFinding
from chalicelib.ports.permissions import SeenGrant


class HubAccess(Protocol):
    """Snapshots, AMIs and keys of the hub's account in its Region, read only. Every method may raise Refusal."""

    def snapshots(self) -> Mapping[str, str]:
        """List every snapshot's id with its key's ARN ("": not encrypted)."""

    def images(self) -> Sequence[str]:
        """List every AMI's id, disabled ones too."""

    def receivers(self, resource: str) -> Collection[str] | None:
        """Return to whom a snapshot or AMI (its id) is open: account ids, ARNs, PUBLIC; None: it is gone."""

    def policy(self, key: str) -> str | None:
        """Return a key's policy; None: the key is gone."""

    def grants(self, key: str, marker: str) -> tuple[Sequence[SeenGrant], str]:
        """List the page of a key's grants at ``marker``; returns it and the next marker ("": no more, or no key)."""


class DriftFindings(Protocol):
    """The drift audit's items in the table of findings."""

    def read(self) -> Pass | None:
        """Read the last pass; None: the audit has never run."""

    def save(self, this: Pass) -> Pass | None:
        """Write the pass and return it with its new version; None: another run wrote it first."""

    def was_notified(self, about: str, now: int) -> bool:
        """Whether this finding was published, and every pass since has found it again."""

    def notified(self, about: str, now: int) -> None:
        """Write that this finding was published, or was found again."""

    def keep(self, place: DriftPlace, finding: MonitorFinding, region: str, now: int) -> None:
        """Keep a finding beside its resource, for ``ami-promoter history``. May be repeated."""
