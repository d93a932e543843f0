"""What the drift audit needs: the hub's own resources as AWS shows them, and its part of the table of findings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chalicelib.core.monitor.drift import DriftPlace, Pass
from chalicelib.core.monitor.judging import MonitorFinding
from chalicelib.ports.aws import SeenGrant


class HubAccess(Protocol):
    """Snapshots, AMIs and keys of the hub's account in its Region, read only. Every method may raise Refusal."""

    def snapshots(self) -> Mapping[str, str]:
        """List every snapshot's id with its key's ARN ("": not encrypted)."""

    def images(self) -> Sequence[str]:
        """List every AMI's id, disabled ones too."""

    def receivers(self, resource: str) -> Collection[str] | None:
        """Return for whom a snapshot or AMI is open, by its id: account ids, ARNs, PUBLIC; None: it is gone."""

    def policy(self, key: str) -> str | None:
        """Return a key's policy; None: the key is gone."""

    def grants(self, key: str, marker: str) -> tuple[Sequence[SeenGrant], str]:
        """List a page of the grants on a key; returns what leads to the next page, "" if there is none, or no key."""


class DriftFindings(Protocol):
    """The drift audit's items in the table of findings."""

    def read(self) -> Pass | None:
        """Read how far the audit has come; None: it never ran."""

    def save(self, this: Pass) -> Pass | None:
        """Write it, if nobody has since it was read; returns it with its new version, or None."""

    def was_notified(self, about: str, now: int) -> bool:
        """Whether this was published, and has been there at every pass since."""

    def notified(self, about: str, now: int) -> None:
        """Write that this was published, or is still there."""

    def keep(self, place: DriftPlace, finding: MonitorFinding, region: str, now: int) -> None:
        """Keep a finding beside its resource, for ``ami-promoter history``. May be repeated."""
