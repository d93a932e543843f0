"""What the access monitor and the drift audit need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chalicelib.monitor.drift import DriftPlace, Pass, PassPart
from chalicelib.monitor.judging import Known, SeenPolicy
from chalicelib.monitor.trail_actions import TrailAction
from chalicelib.sharing.ports import SeenGrant


class LedgerPast(Protocol):
    """The ledger with its history, read only: what is open, what was, and since when."""

    def lately(self, resource: str) -> Sequence[Known]:
        """Read the shares of a resource that are in the ledger, or were archived within the last half hour."""

    def of(self, resource: str, names: Collection[str]) -> Sequence[Known]:
        """Read the shares of these names, archived ones too."""

    def ever(self, resource: str) -> Sequence[Known]:
        """Read all shares of a resource, archived ones too, of very many only some: much more work than ``lately``."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A grant of the service that the trail must show; "" while the monitor waits for none.

    ``next_at``: when the monitor chooses the next one (epoch seconds).
    """

    grant: str = ""
    opened_at: int = 0
    next_at: int = 0


class Findings(Protocol):
    """What the access monitor remembers and finds, in a table that only it and the drift audit write."""

    def first_event(self, now: int) -> int:
        """Return when the monitor's first event came (epoch seconds): ``now``, if this is it."""

    def was_judged(self, event: str) -> bool:
        """Whether an event was judged."""

    def judged(self, event: str, now: int) -> None:
        """Write that an event was judged."""

    def keep(self, event: str, action: TrailAction, said: Mapping[str, object], now: int) -> None:
        """Keep what is ``said`` of a finding beside its resource, for the history. May be repeated for an ``event``."""

    def was_notified(self, about: str) -> bool:
        """Whether a notice about this was sent."""

    def notified(self, about: str, now: int) -> None:
        """Write that a notice about this was sent."""

    def is_source_key(self, arn: str) -> bool:
        """Whether the monitor has seen the service use this key."""

    def remember_key(self, arn: str, policy: SeenPolicy | None = None) -> None:
        """Write that the service uses a key, and its policy, unless that was seen at a later time."""

    def remember_policy(self, arn: str, policy: SeenPolicy, now: int) -> None:
        """Write one policy of a key beside its others, for later events about what followed it."""

    def policies(self, arn: str, until: int) -> Sequence[SeenPolicy]:
        """Read the policies of a key that were written in a second (epoch), and those in the last one before that."""

    def accounts_of(self, grant: str) -> Collection[str]:
        """Return the accounts for which the trail showed this grant; none: it did not show it."""

    def remember_grant(self, grant: str, accounts: Collection[str], now: int) -> None:
        """Write for which accounts a grant was made."""

    def canary(self) -> Canary:
        """Read the canary."""

    def put_canary(self, canary: Canary) -> None:
        """Write the canary."""

    def grant_shown_at(self) -> int:
        """Return the time (epoch seconds) of the service's latest grant that the trail has shown; 0: none."""

    def grant_shown(self, at: int) -> None:
        """Write the time of a grant of the service that the trail has shown."""


@dataclass(frozen=True, slots=True)
class HubPage:
    """A page of a list. ``token`` leads to the next one; "": this is the last."""

    names: tuple[str, ...] = ()
    """Ids of snapshots or AMIs, in any order."""
    keys: frozenset[str] = frozenset()
    """ARNs of the keys of these snapshots."""
    token: str = ""


class HubAccess(Protocol):
    """Snapshots, AMIs and keys of the hub's account in its Region, read only. Every method may raise Refusal."""

    def page(self, part: PassPart, token: str) -> HubPage:
        """List a page of the snapshots or AMIs, disabled ones too. Raises StaleCursor if AWS no longer knows it."""

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

    def keep(self, place: DriftPlace, said: Mapping[str, object], now: int) -> None:
        """Keep what is ``said`` of a finding beside its resource, for ``ami-promoter history``. May be repeated."""
