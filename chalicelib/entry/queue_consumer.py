"""Takes messages from the queues: reads the wake, writes its reason into the record's inbox, and runs its worker.

The functions that receive events may write nothing (invariant 11), so the reason is written here.

If each try for a record raises, the last one parks the record: its message would come back without end. It does not if
AWS did not answer or throttled, or if the deployment is wrong: no record is to blame for that. It never parks a
resource with shares: that would keep them open. What a newer version wrote stays as it is, and due: the sweep wakes it
again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.engine import addresses, wakes
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import TimeLeft
from chalicelib.engine.errors import Misconfigured, NewerSchema, Refusal, RefusalKind
from chalicelib.engine.ports import Records, Telemetry, Write
from chalicelib.engine.waker import Clock
from chalicelib.engine.wakes import EVENT_AT, Reason, Wake

if TYPE_CHECKING:  # made by who constructs them, and imported there: cold start
    from chalicelib.delivery.worker.copy_quotas import CopyQuotas
    from chalicelib.engine.runner import Runner
    from chalicelib.promotion.worker.own_notices import OwnNotices
    from chalicelib.sharing.worker.grant_audit import GrantAudit
    from chalicelib.sharing.worker.share_worker import ShareWorker
    from chalicelib.targets.worker.applied_versions import AppliedVersions

WORKER_KINDS = ("delivery", "promotion", "quota", "pointer", "inventory", "baseline", "withdrawal")
"""Kinds of records that ``worker`` works on. One of these is parked when its tries are over."""
APPLIED_FILE = addresses.APPLIED_FILE.kind
"""``worker`` works on it, too; it is no record, so there is nothing to park."""
SHARE_WORKER_KINDS = ("resource",)
PROMOTION = re.compile(r"promotion#(ami-[0-9a-f]{1,40})\Z")

TRIES = 5
"""After so many tries a message becomes a dead letter (``maxReceiveCount``, ``.chalice/extras/messages.yaml``)."""


class Workers(Protocol):
    """The workers of each kind of record; each is made when it is first needed."""

    @property
    def deliveries(self) -> Runner[Any, Any, Any]:
        """The worker of deliveries."""

    @property
    def promotions(self) -> Runner[Any, Any, Any]:
        """The worker of promotions."""

    @property
    def copy_quotas(self) -> CopyQuotas:
        """The worker of copy quotas."""

    @property
    def pointers(self) -> Runner[Any, Any, Any]:
        """The worker of pointers."""

    @property
    def inventories(self) -> Runner[Any, Any, Any]:
        """The worker of inventories."""

    @property
    def own_notices(self) -> OwnNotices:
        """The worker of notices that no promotion or delivery sends."""

    @property
    def applied_versions(self) -> AppliedVersions:
        """The worker of notices on the applied file's versions."""

    @property
    def share_worker(self) -> ShareWorker:
        """The share worker."""

    @property
    def grant_audit(self) -> GrantAudit:
        """The grant audit."""


@dataclass(eq=False)
class QueueConsumer:
    """Takes messages about records of its ``kinds``; for others it raises, so that they become dead letters."""

    workers: Workers
    records: Records
    clock: Clock
    telemetry: Telemetry
    kinds: Collection[str]
    new_promotion: Callable[[str], Write]
    """Returns the record of a new promotion of this AMI, as it is to be stored."""
    for_lists: int = 0
    """Seconds of an invocation that only long lists may use: ``Budget.whole``."""

    def run(self, event: Mapping[str, Any], *, time_left: TimeLeft) -> None:
        """Take what Lambda hands over from SQS (one message, by the queue mapping's batch size)."""
        for message in event["Records"]:
            receives = int(message["attributes"]["ApproximateReceiveCount"])
            self.take(message["body"], receives, lambda: time_left() - self.for_lists)

    def take(self, body: str, receives: int, time_left: TimeLeft) -> None:
        """Process one message. ``receives``: how often SQS has delivered it, this time included."""
        wake = wakes.decode(body)
        if wake.key.kind not in self.kinds:
            raise ValueError(f"{wake.key}: this function works on records of the kinds {', '.join(self.kinds)} only.")
        try:
            if wake.reason is not None and wake.key.kind != "delivery":
                self.leave(wake.key, wake.reason)
            self._work(wake, time_left)
        except NewerSchema as error:
            self.telemetry.unreadable(wake.key, f"{error}")
        except Exception as error:
            if wake.key.kind in WORKER_KINDS and receives >= TRIES and _is_the_records_own(error):
                why = f"{wake.key}: each of {TRIES} tries raised: {error!r:.500}"
                self.records.park(wake.key, why, self.clock())
                self.telemetry.parked(wake.key, why)
            raise

    def leave(self, key: RecordKey, reason: Reason) -> None:
        """Write a reason as an inbox entry; if a trigger tag was written and the AMI has no promotion, begin one.

        May be repeated. An older tag event does not replace a newer one. A parked or missing record gets no entry: its
        next run reads AWS in any case.
        """
        is_tag_event = reason.name in ("tag", "untag")
        named = PROMOTION.match(key.pk) if reason.name == "tag" else None
        fresh = None if named is None else self.new_promotion(named[1])
        entry = {"tag" if is_tag_event else reason.name: reason.value}
        self.records.leave(key, entry, self.clock(), newer=is_tag_event, fresh=fresh)

    def inbox_entries(self, reason: Reason | None) -> Mapping[str, str]:
        """Return a reason as a delivery's inbox entries, with the time: all of its reasons are its target's events."""
        return {} if reason is None else {reason.name: reason.value, EVENT_AT: str(self.clock())}

    def _work(self, wake: Wake, time_left: TimeLeft) -> None:
        key, workers = wake.key, self.workers
        match key.kind:
            case "delivery":
                workers.deliveries.run(key, wake.cause, self.inbox_entries(wake.reason), time_left=time_left)
            case "promotion":
                workers.promotions.run(key, wake.cause, time_left=time_left)
            case "quota":
                workers.copy_quotas.run(key, time_left=time_left)
            case "baseline" | "withdrawal":
                workers.own_notices.run(key)
            case addresses.APPLIED_FILE.kind:
                workers.applied_versions.run(time_left=time_left)
            case "pointer":
                workers.pointers.run(key, wake.cause, time_left=time_left)
            case "inventory":
                workers.inventories.run(key, wake.cause, time_left=time_left)
            case _ if addresses.is_audit(key):
                workers.grant_audit.run(key, time_left=time_left)
            case _:
                workers.share_worker.run(key, time_left=time_left)


def _is_the_records_own(error: Exception) -> bool:
    """Whether the record is to blame: for a request that AWS finds invalid or refuses for good, or a bug."""
    if isinstance(error, ClientError):
        reasons: Any = error.response.get("CancellationReasons", ())  # of a transaction, one for each of its writes
        invalid = any(reason.get("Code") == "ValidationError" for reason in reasons)
        return invalid or error.response["Error"]["Code"] == "ValidationException"
    if isinstance(error, Refusal):
        return error.kind is RefusalKind.DENIED and not error.unknown
    return not isinstance(error, (BotoCoreError, Misconfigured))
