"""Logs and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from chalicelib.core.records.addresses import RecordKey


class Telemetry(Protocol):
    """Structured logs and metrics: each log line has a message and fields."""

    def did(self, key: RecordKey, state: str, command: object, event: object) -> None:
        """A command was carried out, with this result."""

    def moved(self, key: RecordKey, before: str, after: str, cause: str, about: Mapping[str, object]) -> None:
        """A record was written. A metric counts the changes of state for which only the sweep had woken it.

        ``about``: further fields for the log, such as the target, or the seconds in ``before``.
        """

    def in_state(self, key: RecordKey, seconds: int) -> None:
        """A worker began work on a record that must leave its state, in which it has been for so long."""

    def old_news(self, key: RecordKey, what: str) -> None:
        """A result arrived for a record that another worker had changed since."""

    def parked(self, key: RecordKey, why: str) -> None:
        """A record was parked: an alarm."""

    def repaired(self, key: RecordKey, what: str) -> None:
        """A worker repaired a damaged record, or went around it."""

    def share(self, resource: str, account: str, what: str, **fields: object) -> None:
        """A share opened or closed, or could not."""

    def derived_grants(self, resource: str, account: str, found: Sequence[str]) -> None:
        """An account without a share has grants on the source key that it made itself: an alarm."""

    def not_closing(self, resource: str, account: str, tries: int) -> None:
        """A share that is to be closed still shows after many tries: an alarm."""

    def closed_blind(self, resource: str, account: str) -> None:
        """A share was closed at its last closing time although a delivery held it: an alarm."""

    def open_shares(self, oldest_seconds: int) -> None:
        """How long the oldest share of a resource has been open, without preexisting ones."""

    def not_done(self, what: str, why: str) -> None:
        """Scheduled work, or a part of it, was not done this time."""

    def organization(self, joined: int, left: int, held: int, troubles: Mapping[str, str]) -> None:
        """The organization was read. ``held``: accounts whose departure waits for a person; ``troubles``: by unit."""

    def applied(self, version: str, by: str, loosened: Sequence[str], *, alarming: bool) -> None:
        """A version of the applied file is new to people. ``alarming``: it asks for less than before."""

    def left(self, account: str, group: str, why: str) -> None:
        """An account was removed from a group, on this evidence."""

    def discovered(self) -> None:
        """Discovery made every pass, as far as there was time, and AWS refused none."""

    def swept(self, woken: int, due: int, oldest_seconds: int) -> None:
        """The sweep has run. ``oldest_seconds``: for how long the longest due record has been due; 0 if none is."""

    def judged(self, call: str, resource: str, verdict: str, principal: str, why: str) -> None:
        """The access monitor has judged an action; a metric counts these, so that a silent trail shows."""

    def finding(self, severity: str, verdict: str, resource: str) -> None:
        """The access monitor or the drift audit has published a finding: an alarm, unless it is a notice."""

    def trail_silent(self, grant: str, seconds: int) -> None:
        """The trail has not shown a grant of the service for so long: an alarm."""

    def audited(self, looked: int, not_seen: int, seconds: int) -> None:
        """The drift audit has run. ``seconds``: since the last whole pass ended; an alarm if that is long.

        ``not_seen``: looks of this pass that AWS refused.
        """
