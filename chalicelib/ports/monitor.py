"""What the access monitor needs: the ledger with its past, its own table, and the security topic."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from chalicelib.core.monitor.judging import Known, MonitorFinding
from chalicelib.core.monitor.trail_actions import TrailAction
from chalicelib.core.targets.applied_file import AppliedFile


class LedgerPast(Protocol):
    """The ledger, read only: what is open, what was, and since when.

    What it reads grows with what is open, not with the years, except in ``ever``.
    """

    def lately(self, resource: str) -> Sequence[Known]:
        """Read the shares of a resource that are in the ledger, or have left for the archive within half an hour."""

    def of(self, resource: str, names: Collection[str]) -> Sequence[Known]:
        """Read the shares of these names, archived ones too."""

    def ever(self, resource: str) -> Sequence[Known]:
        """Read all shares of a resource, archived ones too; of very many only some."""


class AppliedNow(Protocol):
    """The applied file, and since when it is in force."""

    def read(self) -> AppliedFile:
        """Read the file and the membership as they are in force now, consistently."""

    def applied_at(self) -> int:
        """Since when (epoch seconds) this file is in force; 0: none ever was."""


class Begun(StrEnum):
    """The outcomes of beginning to judge an event."""

    MINE = "mine"
    DONE = "done"
    """It was judged before."""
    BUSY = "busy"
    """Another run judges it just now."""


@dataclass(frozen=True, slots=True)
class SourceKey:
    """What the monitor remembers of a key that the service uses. ``at``: when ``admitted`` was written; 0: not seen."""

    admitted: frozenset[str] | None = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Canary:
    """A grant of the service's own that the trail must show. "" and 0: none is waited for.

    ``next_at``: from when the next one is looked for (epoch seconds).
    """

    grant: str = ""
    opened_at: int = 0
    next_at: int = 0


class Findings(Protocol):
    """The access monitor's own table, which no other function writes."""

    def first_event(self, now: int) -> int:
        """Return when the first event ever came (epoch seconds): now, if this is it."""

    def begin(self, event: str, now: int) -> Begun:
        """Begin to judge an event, unless it was judged before or another run judges it now."""

    def finish(self, event: str, now: int) -> None:
        """Write that an event was judged and notified."""

    def keep(self, action: TrailAction, finding: MonitorFinding, now: int) -> None:
        """Keep a finding beside its resource, for ``ami-promoter history``. May be repeated."""

    def was_notified(self, about: str) -> bool:
        """Whether this was notified already."""

    def notified(self, about: str, now: int) -> None:
        """Write that this was notified."""

    def key(self, arn: str) -> SourceKey | None:
        """Return what is remembered of a key; None: the service was never seen to use it."""

    def remember_key(self, arn: str, key: SourceKey) -> None:
        """Remember a key; one whose policy was seen at a later time stays as it is."""

    def accounts_of(self, grant: str) -> Collection[str]:
        """Return the accounts that a grant was seen to be made for; none: it was not seen."""

    def remember_grant(self, grant: str, accounts: Collection[str], now: int) -> None:
        """Remember whom a grant was made for."""

    def canary(self) -> Canary:
        """Return the grant that is waited for."""

    def put_canary(self, canary: Canary) -> None:
        """Write it."""

    def grant_shown_at(self) -> int:
        """Return the time (epoch seconds) of the service's latest own grant that the trail has shown; 0: none."""

    def grant_shown(self, at: int) -> None:
        """Write it down."""


class SecurityNotices(Protocol):
    """The security topic."""

    def publish(self, notice: Mapping[str, Any]) -> None:
        """Publish one finding; at least once, its ``id`` tells a repeat. Raises Refusal."""
