"""What the engine needs of its table, its queues and the log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.wakes import Wake

NOTHING: Mapping[str, Any] = MappingProxyType({})


class MadeDue(StrEnum):
    """What ``Records.make_due`` found."""

    SEND = "send"
    """The record is due, and the caller must send a wake."""
    SENT = "sent"
    """The record is due, and a wake is on its way."""
    NONE = "none"
    """There is no such record, or it is parked."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read: its JSON body, its version, and the inbox entries written since."""

    key: RecordKey
    body: Mapping[str, Any]
    version: int
    """Every write increments it, also one that only makes the record due."""
    inbox: Mapping[str, str] = field(default_factory=dict)
    parked: str = ""
    scheduled: int | None = None
    """From when the sweep wakes it (epoch seconds); None: it is not in the index of what is due."""
    woken: bool = False
    """Whether a wake was sent that no write has answered: until one does, no other is sent for `WAKE_LOST`."""
    recent: Sequence[Mapping[str, Any]] = ()
    """The last entries of its history, oldest first, which the store keeps on the record itself."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record in the index of what is due. All times in epoch seconds."""

    key: RecordKey
    wake_at: int
    """From when the sweep wakes it: the index's sort key."""
    due_at: int
    """When the record itself says that it is due."""
    latest: int = 0
    """Its deadline; 0: none."""


@dataclass(frozen=True, slots=True)
class Write:
    """A record as it must be stored."""

    key: RecordKey
    state: str
    body: Mapping[str, Any]
    due_at: int | None
    latest: int | None = None
    """When the sweep wakes it at the latest (epoch seconds)."""
    inbox: Mapping[str, str] | None = None
    """Its inbox entries from then on; None: they stay."""


Extras = Sequence[tuple[RecordKey, Mapping[str, Any]]]
"""Items that are written together with a record: keys and attributes."""


class Records(Protocol):
    """State records. Every write is conditional; every read is consistent."""

    def read(self, key: RecordKey) -> Stored | None:
        """Read a record."""

    def read_all(self, keys: Collection[RecordKey]) -> Mapping[RecordKey, Stored]:
        """Read records; those that are missing or cannot be read are left out."""

    def create(self, write: Write, now: int) -> bool:
        """Write a record if it is absent. False: there was one."""

    def create_all(self, new: Sequence[tuple[Write, Extras]], now: int) -> Collection[RecordKey]:
        """Write absent records, each with its items, in one transaction of at most 100 items.

        Returns the records that exist already; if there are any, nothing was written.
        """

    def save(
        self,
        before: Stored,
        after: Write,
        happened: Sequence[str],
        now: int,
        also: Extras = (),
        *,
        goes_on: bool = False,
    ) -> Stored | None:
        """Write a record with its history, if it has not been written or parked since it was read; else return None.

        This answers its wake, so the next one is sent.
        ``also``: items to write with it. Look-ups among them are written first, even if the record then is not.
        ``goes_on``: the run is not over. ``schedule.stays`` says when the index keeps its time.
        """

    def replace(self, write: Write, now: int) -> None:
        """Write a record without condition: for one that cannot be read and can be computed again."""

    def park(self, key: RecordKey, why: str, now: int) -> None:
        """Park a record: remove it from the index of what is due."""

    def unpark(self, key: RecordKey, now: int) -> bool:
        """Unpark a record: it is due at once. False: it is not parked."""

    def make_due(
        self, key: RecordKey, now: int, inbox: Mapping[str, str] = NOTHING, fresh: Write | None = None
    ) -> MadeDue:
        """Make a record due within a minute, in case the wake that follows is lost, and increment its version.

        So a run that is working on it cannot write what it read before, and looks again. ``inbox``: requests to write;
        a parked record only gets these. ``fresh``: the record to create if there is none.
        """

    def leave(
        self, key: RecordKey, inbox: Mapping[str, str], now: int, *, newer: bool = False, fresh: Write | None = None
    ) -> None:
        """Write inbox entries. A due record keeps its time; another one becomes due now, or when ``fresh`` is.

        A parked record gets none. ``newer``: only if each inbox entry is greater than the one there. ``fresh``: the
        record to create if there is none.
        """

    def put(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        """Write an item beside the records, such as a look-up, without condition."""

    def change(self, key: RecordKey, attributes: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
        """Write attributes of such an item, if it still has those of ``seen`` (None: it lacks the attribute)."""

    def get(self, key: RecordKey) -> Mapping[str, Any] | None:
        """Read such an item."""

    def list(self, pk: str, prefix: str) -> Sequence[tuple[RecordKey, Mapping[str, Any]]]:
        """Read such items of a partition; one that this version cannot read comes without its body."""

    def forget(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        """Delete such an item, if it still has these attributes (None: it lacks the attribute)."""

    def due(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        """Return records of one shard that were due up to ``until``, longest due first; fewer than ``limit``: the end.

        ``after``: the last record of the page before; it need not be due any more. Eventually consistent.
        """


class WakeQueues(Protocol):
    """Sends wakes: messages that name a record."""

    def send(self, wake: Wake) -> None:
        """Send one, with its reason; the same key and cause within five minutes count once."""

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> Sequence[RecordKey]:
        """Send many (key, cause) in any order; returns the keys that cannot be sent as they are.

        Raises Refusal if the queue does not answer for all of them: then the caller sends all again.
        """


class Notices(Protocol):
    """Sends notices: to SNS and, with the same body, to the hub's event bus; or findings, to the security topic."""

    def publish(self, notice: Mapping[str, Any]) -> None:
        """Publish one notice, already complete, at least once; a repeat has the same ``id``. Raises Refusal."""


class Telemetry(Protocol):
    """Structured logs and metrics: each log line has a message and fields."""

    def did(self, key: RecordKey, state: str, command: object, event: object) -> None:
        """The worker executed a command, with this result; a warning if AWS refused it."""

    def moved(self, key: RecordKey, before: str, after: str, cause: str, about: Mapping[str, object]) -> None:
        """A record was written. ``cause`` is the wake that started the work.

        Of a delivery, the log line also has its target, and for how many ``seconds`` it was in ``before`` (``about``).
        """

    def in_state(self, key: RecordKey, seconds: int) -> None:
        """A worker began work on a record that must leave its state, in which it has been for so long."""

    def old_news(self, key: RecordKey, what: str) -> None:
        """A result came after the record had left the state that it was for. Harmless."""

    def parked(self, key: RecordKey, why: str) -> None:
        """A record was parked: an alarm."""

    def repaired(self, key: RecordKey, what: str) -> None:
        """The worker wrote a damaged record again, or took slots back from a delivery that no worker continues.

        The record is that of a copy quota, or of a snapshot, AMI or key that is shared.
        """

    def unreadable(self, key: RecordKey, why: str) -> None:
        """A newer version wrote a record, which waits for that one; or a tracked delivery's body cannot be read.

        Of a tracked delivery, what stands beside its body counts.
        """

    def share(self, resource: str, account: str, what: str, **fields: object) -> None:
        """The share worker opened or closed a share, or could not; more fields by kind, such as ``open_seconds``."""

    def derived_grants(self, resource: str, account: str, found: Sequence[str]) -> None:
        """A target derived grants that outlive the hub's own: an alarm."""

    def not_closing(self, resource: str, account: str, tries: int, why: str) -> None:
        """A share that must close has not after five tries, some minutes: an alarm.

        ``why``: where and how AWS refuses the removal, or that the permission still shows.
        """

    def closed_blind(self, resource: str, account: str) -> None:
        """A share was closed at its last closing time while a delivery held it: an alarm."""

    def open_shares(self, oldest_seconds: int) -> None:
        """Report how long the oldest share of a resource has been open; a preexisting one does not count."""

    def not_done(self, what: str, why: str) -> None:
        """``sweep``, ``discover`` or ``drift-audit`` could not do something, and tries again with its next run.

        With ``work`` = ``standing`` it cannot know who is entitled to an AMI, so it withdraws none of its shares; or
        which deliveries a parked promotion has, so it ends none that copies.
        """

    def organization(self, joined: int, left: int, held: int, troubles: Mapping[str, str]) -> None:
        """The OUs were read. ``held``: accounts whose departure waits for a person; ``troubles``: by unit."""

    def applied(self, version: str, by: str, loosened: Sequence[str], *, alarming: bool) -> None:
        """``worker`` has read a version of the applied file that people do not know, and notifies them.

        An error if it asks for less than the one before, or cannot be compared. ``applied_by`` is what it claims.
        """

    def left(self, account: str, group: str, why: str) -> None:
        """An account left a group, on this evidence."""

    def discovered(self) -> None:
        """Discovery made every pass, as far as there was time, and AWS refused none."""

    def still_failed(self, deliveries: int) -> None:
        """So many deliveries to targets of tagged AMIs have failed, and have not begun again."""

    def swept(self, woken: int, due: int, oldest_seconds: int) -> None:
        """The sweep woke so many records; so many are due, the oldest for ``oldest_seconds`` (0: none is)."""

    def judged(self, call: str, resource: str, verdict: str, principal: str, why: str) -> None:
        """The access monitor judged an event of CloudTrail; a metric counts these, so that a silent trail shows."""

    def finding(self, severity: str, verdict: str, resource: str) -> None:
        """The access monitor or the drift audit notified a person of a finding: an error if it is a page."""

    def trail_silent(self, grant: str, seconds: int) -> None:
        """For so long CloudTrail has not shown a grant that the service made: an alarm."""

    def audited(self, looked: int, not_seen: int, seconds: int) -> None:
        """The drift audit has run. ``seconds``: since the last whole pass ended; an alarm if that is long.

        ``not_seen``: looks of this pass that AWS refused.
        """
