"""Puts the parts together, once per execution environment, when the first event comes; never on import."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.doors import GrantDoor, ImageDoor, KeyGrants, SnapshotDoor
from chalicelib.adapters.dynamo.children import DynamoChildren
from chalicelib.adapters.dynamo.copy_quota import DynamoSlotLeases
from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.adapters.dynamo.records import SHARDS, DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.adapters.members_table import MembersTable
from chalicelib.adapters.notices import SnsNotices
from chalicelib.adapters.organisation import AwsOrganisation
from chalicelib.adapters.policy_door import PolicyDoor
from chalicelib.adapters.rings import SqsRings
from chalicelib.adapters.role_door import RoleDoor
from chalicelib.adapters.sessions import Sessions
from chalicelib.adapters.source import HubSource
from chalicelib.adapters.survey import AwsSurvey
from chalicelib.adapters.target import AwsTarget
from chalicelib.adapters.targets_table import TargetsTable
from chalicelib.core.addresses import Key
from chalicelib.core.errors import Misconfigured
from chalicelib.core.organisation import Organisation
from chalicelib.inbound import Inbound
from chalicelib.ports import Door, Refusal
from chalicelib.service.bell import Bell
from chalicelib.service.census import Census
from chalicelib.service.copy_quotas import CopyQuotas
from chalicelib.service.deliveries import Deliveries, DeliveryPorts
from chalicelib.service.discover import Discover
from chalicelib.service.grant_audit import GrantAudit, is_audit
from chalicelib.service.members import Members
from chalicelib.service.promotions import PromotionPorts, Promotions
from chalicelib.service.settle import Settle
from chalicelib.service.sweep import Sweep
from chalicelib.settings import Settings
from chalicelib.telemetry import PowertoolsTelemetry

LANES = ("delivery", "promotion", "quota", "census")
"""Kinds of records that ``act`` works on."""

TRIES = 5
"""After so many a message goes to the dead-letter queue (``maxReceiveCount`` in ``.chalice/extras.yaml``)."""


def now() -> int:
    """Epoch seconds."""
    return int(time.time())


class Application:
    """Every use case, made when it is first needed. One environment serves one function, so most are never made."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._settings = Settings.read(environment)
        self._sessions = Sessions(self._settings.region, time.time)

    def act(self, event: Mapping[str, Any], context: Any) -> None:
        """Work on the record that each message names (one, by the queue mapping's batch size).

        A record over which every try raises is parked with the last: it would come back for ever. Not so where AWS
        did not answer or the deployment is wrong, which no record is to blame for.
        """
        for message in event["Records"]:
            body = json.loads(message["body"])
            key = Key(body["key"])
            try:
                self._act_on(key, body["cause"], context)
            except Exception as trouble:
                if key.kind in LANES and _receives(message) >= TRIES and _is_the_records_own(trouble):
                    why = f"{key}: each of {TRIES} tries raised: {trouble!r:.500}"
                    self._records.park(key, why, now())
                    self._telemetry.parked(key, why)
                raise

    def _act_on(self, key: Key, cause: str, context: Any) -> None:
        match key.kind:
            case "delivery":
                self._deliveries.run(key, cause, time_left=_seconds(context))
            case "promotion":
                self._promotions.run(key, cause, time_left=_seconds(context))
            case "quota":
                self._copy_quotas.run(key, time_left=_seconds(context))
            case "census":
                self._census.run(key, time_left=_seconds(context))
            case other:
                raise ValueError(f"No lane acts on {other!r}.")

    def settle(self, event: Mapping[str, Any], context: Any) -> None:
        """Settle the resource that each message names."""
        for message in event["Records"]:
            key = Key(json.loads(message["body"])["key"])
            if is_audit(key):
                self._grant_audit.run(key, time_left=_seconds(context))
            else:
                self._settle.run(key, time_left=_seconds(context))

    def sweep(self, context: Any) -> None:
        """Ring what is due."""
        Sweep(self._records, self._rings, now, self._telemetry, SHARDS).run(time_left=_seconds(context))

    def discover(self, context: Any) -> None:
        """Find tagged AMIs whose event was lost; then see whom the units of the organisation have."""
        hub = (self._settings.hub_account, self._settings.region)
        try:
            children = DynamoChildren(self._table)
            find = Discover(self._records, self._source, self._targets, children, self._bell, now, *hub)
            found = find.run()
            self._members.run(found, time_left=_seconds(context))
        except Refusal as refusal:  # the next run looks again: a dead letter would only alarm for nothing
            self._telemetry.hindered("discover", str(refusal))

    @cached_property
    def inbound(self) -> Inbound:
        """Receives events."""
        return Inbound(
            self._records,
            self._bell,
            now,
            hub=self._settings.hub_account,
            region=self._settings.region,
            trigger_tag=self._settings.trigger_tag,
        )

    @cached_property
    def _table(self) -> Table:
        return Table(self._sessions.own("dynamodb"), self._settings.table)

    @cached_property
    def _records(self) -> DynamoRecords:
        return DynamoRecords(self._table)

    @cached_property
    def _rings(self) -> SqsRings:
        return SqsRings(self._sessions, self._settings.act_queue_url, self._settings.settle_queue_url)

    @cached_property
    def _bell(self) -> Bell:
        return Bell(self._records, self._rings, now)

    @cached_property
    def _telemetry(self) -> PowertoolsTelemetry:
        return PowertoolsTelemetry()

    @cached_property
    def _targets(self) -> TargetsTable:
        hub = (self._settings.hub_account, self._settings.region)
        return TargetsTable(self._sessions.own("dynamodb"), self._settings.table, hub)

    @cached_property
    def _members(self) -> Members:
        book = MembersTable(self._sessions.own("dynamodb"), self._settings.table)

        def reader(named: Organisation) -> AwsOrganisation:
            return AwsOrganisation(self._sessions, named, self._settings.hub_account, self._settings.region)

        return Members(self._targets, book, reader, self._records, self._bell, now, self._telemetry)

    @cached_property
    def _source(self) -> HubSource:
        return HubSource(self._sessions, self._settings.hub_account, self._settings.region, self._settings.trigger_tag)

    @cached_property
    def _notices(self) -> SnsNotices:
        return SnsNotices(self._sessions, self._settings.topic_arn, self._settings.event_bus)

    @cached_property
    def _deliveries(self) -> Deliveries:
        ports = DeliveryPorts(
            slots=DynamoSlotLeases(self._table),
            ledger=DynamoLedger(self._table),
            children=DynamoChildren(self._table),
            targets=self._targets,
            target=AwsTarget(
                self._sessions,
                self._targets,
                self._settings.partition,
                self._settings.trigger_tag,
                self._settings.region,
            ),
            notices=self._notices,
        )
        return Deliveries(
            self._records,
            self._bell,
            now,
            self._telemetry,
            ports,
            partition=self._settings.partition,
            trigger_tag=self._settings.trigger_tag,
        )

    @cached_property
    def _promotions(self) -> Promotions:
        ports = PromotionPorts(self._source, self._targets, DynamoChildren(self._table), self._notices)
        return Promotions(
            self._records, self._bell, now, self._telemetry, ports, trigger_tag=self._settings.trigger_tag
        )

    @cached_property
    def _copy_quotas(self) -> CopyQuotas:
        return CopyQuotas(self._records, DynamoSlotLeases(self._table), self._bell, now, self._telemetry)

    @cached_property
    def _grant_audit(self) -> GrantAudit:
        grants = KeyGrants(self._sessions, f"account {self._settings.hub_account} (hub), {self._settings.region}")
        return GrantAudit(self._records, DynamoLedger(self._table), grants, self._bell, now, self._telemetry)

    @cached_property
    def _census(self) -> Census:
        survey = AwsSurvey(self._sessions, self._targets, self._settings.partition, self._settings.hub_account)
        return Census(self._records, survey, self._bell, now, self._telemetry)

    @cached_property
    def _settle(self) -> Settle:
        where = f"account {self._settings.hub_account} (hub), {self._settings.region}"
        ledger = DynamoLedger(self._table)
        doors: Mapping[str, Door] = {
            "snapshot": SnapshotDoor(self._sessions, where),
            "image": ImageDoor(self._sessions, where),
            "key": GrantDoor(self._sessions, where),
            "role": RoleDoor(self._sessions, self._targets, self._settings.hub_account, self._settings.region),
            "policy": PolicyDoor(self._sessions, ledger, self._settings.hub_account, where),
        }
        return Settle(self._records, ledger, doors, self._targets, self._bell, now, self._telemetry)


_application: list[Application] = []


def application() -> Application:
    """Return this execution environment's application."""
    if not _application:
        _application.append(Application(os.environ))
    return _application[0]


def _is_the_records_own(trouble: Exception) -> bool:
    """Whether the record is to blame: not for an answer that AWS owes, only for a request that cannot be meant."""
    if isinstance(trouble, ClientError):
        return bool(trouble.response["Error"]["Code"] == "ValidationException")
    return not isinstance(trouble, (BotoCoreError, Misconfigured))


def _receives(message: Mapping[str, Any]) -> int:
    """How often SQS has given this message out, this time included."""
    return int(message["attributes"]["ApproximateReceiveCount"])


def _seconds(context: Any) -> Any:
    return lambda: int(context.get_remaining_time_in_millis() // 1000)
