"""Logs as messages with fields, and the metrics that alarms need."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from chalicelib.engine.addresses import RecordKey

# Most invocations have nothing to count, and Powertools would write a warning into the log each time.
warnings.filterwarnings("ignore", message="No application metrics to publish", category=UserWarning)

# Powertools writes characters beyond ASCII as they are. Names, tag values and messages are other people's: one that
# turns the direction of writing, or steers a terminal, must not show a reader of the log another line than it is.
_logger = Logger(json_serializer=lambda line: json.dumps(line, default=str, separators=(",", ":")))
_metrics = Metrics()

logged = _logger.inject_lambda_context(clear_state=True)
"""Middleware: every line has the invocation's request id and the function's name."""

log_metrics = _metrics.log_metrics
"""Middleware: metrics leave as one log line per invocation (embedded metric format), so they cost no call."""

NOTIFIED = {"RefusedNotified": "ValuesRefused"}
"""An event by which a record knows that a notice was sent -> the metric that counts it."""

SHARES = {"opened": "SharesOpened", "closed": "SharesClosed"}
"""An outcome of a share -> the metric that counts it."""

FINDINGS = {"page": "AccessPages", "warning": "AccessWarnings", "notice": "AccessNotices"}
"""How severe a finding of the access monitor is -> the metric that counts it."""


class PowertoolsTelemetry:
    """The port ``Telemetry`` on Powertools."""

    def did(self, key: RecordKey, state: str, command: object, event: object) -> None:
        refused = "fault" in getattr(event, "__dataclass_fields__", {})
        log = _logger.warning if refused else _logger.info
        log("command", record=key.pk, state=state, command=type(command).__name__, result=str(event)[:1000])
        if (metric := NOTIFIED.get(type(event).__name__)) is not None:
            self._count(metric)

    def moved(self, key: RecordKey, before: str, after: str, cause: str, about: Mapping[str, object]) -> None:
        extra: Any = about
        _logger.info("moved", record=key.pk, before=before, after=after, cause=cause, **extra)
        if before == after:
            return
        self._count("RecordsMoved")
        if cause.startswith("sweep:"):
            self._count("FoundBySweep")
        if key.kind == "delivery":
            from chalicelib.delivery.outcomes import OUTCOMES  # noqa: PLC0415 - only the worker needs it: cold starts

            outcome = OUTCOMES.get(after)
            if outcome is not None and outcome.metric:
                self._count(outcome.metric)

    def in_state(self, key: RecordKey, seconds: int) -> None:
        if key.kind == "delivery":
            self._seconds("SecondsInState", seconds)

    def old_news(self, key: RecordKey, what: str) -> None:
        _logger.info("old news", record=key.pk, what=what)

    def parked(self, key: RecordKey, why: str) -> None:
        _logger.error("parked", record=key.pk, why=why)
        self._count("RecordsParked")

    def repaired(self, key: RecordKey, what: str) -> None:
        _logger.warning("repaired", record=key.pk, what=what)

    def unreadable(self, key: RecordKey, why: str) -> None:
        _logger.warning("unreadable", record=f"{key.pk} {key.sk}", why=why)

    def share(self, resource: str, account: str, what: str, **fields: object) -> None:
        extra: Any = fields
        _logger.info("share", resource=resource, target_account=account, what=what, **extra)
        if what in SHARES:
            self._count(SHARES[what])

    def open_shares(self, oldest_seconds: int) -> None:
        self._seconds("OldestOpenShareSeconds", oldest_seconds)

    def derived_grants(self, resource: str, account: str, found: Sequence[str]) -> None:
        _logger.error("derived grants remain", resource=resource, target_account=account, grants=list(found))
        self._count("GrantsOutliving", len(found))

    def not_closing(self, resource: str, account: str, tries: int, why: str) -> None:
        _logger.error("share does not close", resource=resource, target_account=account, tries=tries, why=why)
        self._count("SharesStillOpen")

    def not_done(self, what: str, why: str) -> None:
        _logger.warning("not done", work=what, why=why)

    def closed_blind(self, resource: str, account: str) -> None:
        _logger.error("share closed blind", resource=resource, target_account=account)
        self._count("SharesClosedBlind")

    def organization(self, joined: int, left: int, held: int, troubles: Mapping[str, str]) -> None:
        log = _logger.error if held or troubles else _logger.info
        log("organization", joined=joined, left=left, held=held, troubles=dict(troubles))
        self._count("AccountsJoined", joined)
        self._count("AccountsLeft", left)
        self._count("AccountsHeld", held)
        self._count("UnitsUnreadable", len(troubles))

    def applied(self, version: str, by: str, loosened: Sequence[str], *, alarming: bool) -> None:
        log = _logger.error if alarming else _logger.info
        log("applied", version=version, applied_by=by, loosened=list(loosened)[:100])
        if alarming:
            self._count("TargetsLoosened")

    def left(self, account: str, group: str, why: str) -> None:
        _logger.warning("account left", target_account=account, group=group, why=why)

    def session(self, role: str, packed: int) -> None:
        """A role was assumed; the session policy took so many percent of STS's limit on its packed size."""
        _logger.info("session", role=role, packed_policy_size=packed)
        _metrics.add_metric(name="PackedPolicySize", unit=MetricUnit.Percent, value=packed)

    def discovered(self) -> None:
        self._count("Discoveries")

    def still_failed(self, deliveries: int) -> None:
        self._count("DeliveriesStillFailed", deliveries)

    def swept(self, woken: int, due: int, oldest_seconds: int) -> None:
        _logger.info("swept", woken=woken, due=due)
        self._count("RecordsDue", due)
        self._seconds("OldestDueSeconds", oldest_seconds)

    def judged(self, call: str, resource: str, verdict: str, principal: str, why: str) -> None:
        _logger.info("judged", call=call, resource=resource, verdict=verdict, principal=principal, why=why)
        self._count("TrailEvents")

    def finding(self, severity: str, verdict: str, resource: str) -> None:
        log = _logger.error if severity == "page" else _logger.warning
        log("finding", severity=severity, verdict=verdict, resource=resource)
        self._count(FINDINGS[severity])

    def trail_silent(self, grant: str, seconds: int) -> None:
        _logger.error("the trail is silent", grant=grant, seconds=seconds)
        self._count("TrailSilent")

    def audited(self, looked: int, not_seen: int, seconds: int) -> None:
        _logger.info("audited", looked=looked, not_seen=not_seen, seconds=seconds)
        self._count("DriftLooks", looked)
        self._count("DriftNotSeen", not_seen)
        self._seconds("DriftAuditAge", seconds)

    def _count(self, name: str, value: int = 1) -> None:
        _metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)

    def _seconds(self, name: str, value: int) -> None:
        _metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=value)
