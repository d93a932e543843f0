"""Constructs the parts once per execution environment, at the first event; never on import.

It imports a part where it constructs it, because one environment serves one function, and importing the whole service
takes longer than importing boto3.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3.dynamodb.types  # noqa: F401 - at a function's start, as `engine.aws.sdk` says
import botocore.session  # noqa: F401

from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.aws.sqs import SqsWakes
from chalicelib.engine.store.records import SHARDS, DynamoRecords
from chalicelib.engine.store.table import Table
from chalicelib.entry.settings import Settings
from chalicelib.entry.telemetry import PowertoolsTelemetry

if TYPE_CHECKING:
    from chalicelib.delivery.aws.sns_notices import SnsNotices
    from chalicelib.delivery.aws.target_sessions import TargetSessions
    from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries
    from chalicelib.delivery.wave_progress import PromotionWaves
    from chalicelib.delivery.worker.copy_quotas import CopyQuotas
    from chalicelib.delivery.worker.live_approvals import LiveApprovals
    from chalicelib.delivery.worker.live_waves import LiveWaves
    from chalicelib.engine.budget import TimeLeft
    from chalicelib.engine.ports import Write
    from chalicelib.engine.runner import Executor, Machine, Runner
    from chalicelib.engine.stored import C, E, RecordCodec
    from chalicelib.engine.sweep import Sweep
    from chalicelib.engine.transitions import R
    from chalicelib.engine.waker import Waker
    from chalicelib.entry.events import Events
    from chalicelib.entry.queue_consumer import QueueConsumer
    from chalicelib.images.aws.hub_images import HubSource
    from chalicelib.monitor.worker.access_monitor import AccessMonitor
    from chalicelib.monitor.worker.drift_audit import DriftAudit
    from chalicelib.promotion.worker.discover import Discover
    from chalicelib.promotion.worker.own_notices import OwnNotices
    from chalicelib.sharing.store.ledger import DynamoLedger
    from chalicelib.sharing.worker.entitlements import LiveEntitlements
    from chalicelib.sharing.worker.grant_audit import GrantAudit
    from chalicelib.sharing.worker.share_worker import ShareWorker
    from chalicelib.targets.organization import Organization
    from chalicelib.targets.ports import Notified, OrganizationReader
    from chalicelib.targets.store.members_table import NumberedItem
    from chalicelib.targets.store.targets_table import TargetsTable
    from chalicelib.targets.worker.applied_versions import AppliedVersions
    from chalicelib.targets.worker.live_members import LiveMembers
    from chalicelib.targets.worker.members import Members

NONCE_BYTES = 10
"""Of an attempt's nonce: 80 random bits, as long as a delivery's id."""


def now() -> int:
    """Return the time in epoch seconds."""
    return int(time.time())


class Application:
    """Every use case, made when it is first needed. One environment serves one function, so most are never made."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._settings = Settings.read(environment)
        self._sessions = Sessions(self._settings.region, time.time, self._telemetry.session)

    @cached_property
    def events(self) -> Events:
        """Receives events."""
        from chalicelib.entry.events import Events

        settings = self._settings
        return Events(self._records, self._wakes, settings.hub_account, settings.region, settings.trigger_tag)

    @cached_property
    def worker_entry(self) -> QueueConsumer:
        """Works on the applied file, and on all records except resources with shares."""
        from chalicelib.engine.budget import FOR_LISTS
        from chalicelib.entry.queue_consumer import APPLIED_FILE, WORKER_KINDS
        from chalicelib.targets.worker.applied_versions import SeenVersions

        self._targets.remember = SeenVersions(self._notified, self._wakes, self._telemetry).remember
        return self._worker((*WORKER_KINDS, APPLIED_FILE), FOR_LISTS)

    @cached_property
    def share_worker_entry(self) -> QueueConsumer:
        """Works on resources with shares."""
        from chalicelib.entry.queue_consumer import SHARE_WORKER_KINDS

        return self._worker(SHARE_WORKER_KINDS)

    def _worker(self, kinds: Collection[str], for_lists: int = 0) -> QueueConsumer:
        from chalicelib.entry.queue_consumer import QueueConsumer

        return QueueConsumer(self, self._records, now, self._telemetry, kinds, self._new_promotion, for_lists)

    def _new_promotion(self, ami: str) -> Write:
        from chalicelib.promotion.codec import new_promotion

        return new_promotion(ami, self._settings.hub_account, self._settings.region, now())

    def sweep(self) -> Sweep:
        """Return the sweep."""
        from chalicelib.engine.sweep import Sweep

        return Sweep(self._records, self._wakes, now, self._telemetry, SHARDS)

    def discover(self) -> Discover:
        """Return the passes: lost tag events, standing shares that nobody is entitled to, the OUs' members."""
        from chalicelib.promotion.worker.discover import Discover
        from chalicelib.promotion.worker.standing_pass import StandingPass
        from chalicelib.promotion.worker.tag_pass import TagPass
        from chalicelib.targets.worker.applied_versions import VersionWatch

        records, targets, waker, hub = self._records, self._targets, self._waker, self._settings.hub
        tags = TagPass(records, targets, waker, now, hub.account, hub.region)
        standing = StandingPass(
            records, self._ledger, self._source, targets, self._tracked, waker, now, self._telemetry, hub.account
        )
        passes = (tags, standing, self._members)
        versions = VersionWatch(targets, self._notified, self._wakes, now)
        return Discover(records, self._source, passes, versions, now, self._telemetry)

    def access_monitor(self, event: Mapping[str, Any], time_left: TimeLeft) -> Mapping[str, Any]:
        """Judge the events of a batch; without one, which is the schedule, look whether the trail is silent.

        Returns to Lambda which messages must come again.
        """
        monitor = self._access_monitor
        if "Records" not in event:
            monitor.watch_trail()
        again = [one for one in event.get("Records", ()) if not monitor.judge_event(one["body"], time_left=time_left)]
        return {"batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in again]}

    @cached_property
    def _access_monitor(self) -> AccessMonitor:
        from chalicelib.delivery.aws.sns_notices import SecurityTopic
        from chalicelib.engine import schedule
        from chalicelib.monitor.store.findings import DynamoFindings
        from chalicelib.monitor.store.ledger_past import DynamoLedgerPast
        from chalicelib.monitor.worker.access_monitor import KNOWN_FOR, AccessMonitor
        from chalicelib.targets.worker.live_members import LiveMembers

        settings = self._settings
        findings = Table(self._sessions.own("dynamodb"), settings.findings_table)
        return AccessMonitor(
            self._records,
            self._ledger,
            DynamoLedgerPast(self._table, self._ledger),
            self._targets,
            LiveMembers(self._organization, now, KNOWN_FOR),
            DynamoFindings(findings, settings.keep_history_days),
            SecurityTopic(self._sessions, settings.security_topic_arn),
            now,
            self._telemetry,
            hub=settings.hub_account,
            region=settings.region,
            trigger_tag=settings.trigger_tag,
            learning=settings.learning_hours * schedule.HOUR,
            builders=settings.builders,
            siblings=settings.sibling_regions,
            shards=SHARDS,
        )

    def drift_audit(self) -> DriftAudit:
        """Return the drift audit."""
        from chalicelib.delivery.aws.sns_notices import SecurityTopic
        from chalicelib.engine import schedule
        from chalicelib.monitor.aws.hub_access import AwsHubAccess
        from chalicelib.monitor.store.findings import DynamoDrift
        from chalicelib.monitor.worker.drift_audit import DriftAudit

        settings = self._settings
        findings = Table(self._sessions.own("dynamodb"), settings.findings_table)
        return DriftAudit(
            AwsHubAccess(self._sessions, settings.where),
            self._ledger,
            self._targets,
            self._live_members,
            DynamoDrift(findings, settings.keep_history_days),
            SecurityTopic(self._sessions, settings.security_topic_arn),
            self._wakes,
            now,
            self._telemetry,
            hub=settings.hub_account,
            region=settings.region,
            learning=settings.learning_hours * schedule.HOUR,
            siblings=settings.sibling_regions,
        )

    @cached_property
    def _table(self) -> Table:
        return Table(self._sessions.own("dynamodb"), self._settings.table)

    @cached_property
    def _records(self) -> DynamoRecords:
        return DynamoRecords(self._table, keep_days=self._settings.keep_history_days)

    @cached_property
    def _wakes(self) -> SqsWakes:
        return SqsWakes(self._sessions, self._settings.worker_queue_url, self._settings.share_worker_queue_url)

    @cached_property
    def _waker(self) -> Waker:
        from chalicelib.engine.waker import Waker

        return Waker(self._records, self._wakes, now)

    @cached_property
    def _tracked(self) -> DynamoTrackedDeliveries:
        from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries

        return DynamoTrackedDeliveries(self._table, telemetry=self._telemetry)

    @cached_property
    def _telemetry(self) -> PowertoolsTelemetry:
        return PowertoolsTelemetry()

    @cached_property
    def _targets(self) -> TargetsTable:
        from chalicelib.targets.store.targets_table import TargetsTable

        client, settings = self._sessions.own("dynamodb"), self._settings
        return TargetsTable(client, settings.config_table, settings.members_table, settings.hub)

    @cached_property
    def _notified(self) -> NumberedItem[Notified]:
        from chalicelib.targets.ports import Notified
        from chalicelib.targets.store.members_table import NOTIFIED, NumberedItem

        return NumberedItem(Table(self._sessions.own("dynamodb"), self._settings.members_table), NOTIFIED, Notified)

    @cached_property
    def applied_versions(self) -> AppliedVersions:
        """Notifies people of new versions of the applied file."""
        from chalicelib.targets.worker.applied_versions import AppliedVersions

        hub = self._settings.hub
        return AppliedVersions(
            self._targets, self._notified, self._notices, now, self._telemetry, hub.account, hub.region
        )

    @cached_property
    def _members(self) -> Members:
        from chalicelib.targets.store.members_table import MembersTable
        from chalicelib.targets.worker.members import Members

        client, settings = self._sessions.own("dynamodb"), self._settings
        members = MembersTable(client, settings.members_table, settings.config_table)
        return Members(self._targets, members, self._organization, now, self._telemetry)

    def _organization(self, named: Organization) -> OrganizationReader:
        from chalicelib.targets.aws.organizations import AwsOrganization

        settings = self._settings
        return AwsOrganization(self._sessions, named, settings.hub_account, settings.region, settings.function)

    @cached_property
    def _live_members(self) -> LiveMembers:
        from chalicelib.targets.worker.live_members import LiveMembers

        return LiveMembers(self._organization, now)

    @cached_property
    def _source(self) -> HubSource:
        from chalicelib.images.aws.hub_images import HubSource
        from chalicelib.promotion.worker.trigger_tag_check import TriggerTagCheck

        settings = self._settings
        check = TriggerTagCheck(self._records, settings.trigger_tag)
        return HubSource(self._sessions, settings.hub_account, settings.region, settings.trigger_tag, check)

    @cached_property
    def _target_sessions(self) -> TargetSessions:
        from chalicelib.delivery.aws.target_sessions import TargetSessions

        return TargetSessions(self._sessions, self._targets, self._settings.partition)

    @cached_property
    def _notices(self) -> SnsNotices:
        from chalicelib.delivery.aws.sns_notices import SnsNotices

        topic, bus = self._settings.topic_arn, self._settings.event_bus
        return SnsNotices(self._sessions, topic, bus, self._targets.names)

    @cached_property
    def deliveries(self) -> Runner[Any, Any, Any]:
        """Runs deliveries; it enters targets as the copy role."""
        from chalicelib.delivery.aws.iam import AwsTargetRoles
        from chalicelib.delivery.aws.target_images import AwsTargetImages
        from chalicelib.delivery.aws.target_instances import AwsTargetInstances
        from chalicelib.delivery.aws.target_keys import AwsTargetKeys
        from chalicelib.delivery.aws.target_snapshots import AwsTargetSnapshots
        from chalicelib.delivery.codecs import DELIVERIES
        from chalicelib.delivery.store.copy_quota import DynamoSlotLeases
        from chalicelib.delivery.worker.deliveries import DeliveryExecutor, delivery_machine
        from chalicelib.release.worker.pointers import RecordedPointers

        settings = self._settings
        tag, region = settings.trigger_tag, settings.region
        sessions = self._target_sessions
        executor = DeliveryExecutor(
            self._records,
            self._waker,
            now,
            leases=DynamoSlotLeases(self._table),
            ledger=self._ledger,
            tracked=self._tracked,
            targets=self._targets,
            snapshots=AwsTargetSnapshots(sessions, tag, region),
            images=AwsTargetImages(sessions, tag, region),
            instances=AwsTargetInstances(sessions),
            keys=AwsTargetKeys(sessions, self._sessions, region),
            roles=AwsTargetRoles(sessions),
            notices=self._notices,
            approvals=self._approvals,
            waves=self._waves,
            pointers=RecordedPointers(self._records, self._waker, now),
            partition=settings.partition,
            region=region,
            trigger_tag=tag,
        )
        machine = delivery_machine(lambda: secrets.token_hex(NONCE_BYTES))
        return self._runner(machine, executor, DELIVERIES)

    def _runner(
        self, machine: Machine[R, C, E], executor: Executor[R, C, E], codec: RecordCodec[R, C, E]
    ) -> Runner[R, C, E]:
        from chalicelib.engine.runner import Runner

        take_calls = self._sessions.take_calls
        return Runner(machine, executor, codec, self._records, self._waker, now, self._telemetry, take_calls)

    @cached_property
    def promotions(self) -> Runner[Any, Any, Any]:
        """Runs promotions; it reads the tag, the source and the applied file."""
        from chalicelib.promotion.codec import PROMOTIONS
        from chalicelib.promotion.worker.promotions import PROMOTION_MACHINE, PromotionExecutor

        executor = PromotionExecutor(
            self._records,
            self._waker,
            now,
            source=self._source,
            targets=self._targets,
            tracked=self._tracked,
            ledger=self._ledger,
            notices=self._notices,
            approvals=self._approvals,
            trigger_tag=self._settings.trigger_tag,
        )
        return self._runner(PROMOTION_MACHINE, executor, PROMOTIONS)

    @cached_property
    def copy_quotas(self) -> CopyQuotas:
        """Grants copy slots."""
        from chalicelib.delivery.store.copy_quota import DynamoSlotLeases
        from chalicelib.delivery.worker.copy_quotas import CopyQuotas

        return CopyQuotas(self._records, DynamoSlotLeases(self._table), self._waker, now, self._telemetry)

    @cached_property
    def grant_audit(self) -> GrantAudit:
        """Looks at all grants on a key after a share was closed."""
        from chalicelib.sharing.aws.grants import GrantListing
        from chalicelib.sharing.worker.grant_audit import GrantAudit

        grants, hub = GrantListing(self._sessions, self._settings.where), self._settings.hub
        return GrantAudit(
            self._records, self._ledger, grants, self._waker, now, self._telemetry, hub.account, hub.region
        )

    @cached_property
    def pointers(self) -> Runner[Any, Any, Any]:
        """Makes parameters in targets name the current AMIs."""
        from chalicelib.release.aws.parameters import AwsParameters
        from chalicelib.release.codec import POINTERS
        from chalicelib.release.worker.pointers import POINTER_MACHINE, PointerExecutor

        parameters = AwsParameters(self._sessions, self._settings.partition)
        executor = PointerExecutor(self._records, self._waker, parameters, self._targets, now)
        return self._runner(POINTER_MACHINE, executor, POINTERS)

    @cached_property
    def inventories(self) -> Runner[Any, Any, Any]:
        """Lists what the service created in a target, the target's settings, or what names an AMI there."""
        from chalicelib.delivery.aws.target_checks import AwsTargetChecks
        from chalicelib.inventory.aws.inventory import AwsInventory
        from chalicelib.inventory.worker.inventories import INVENTORIES, INVENTORY_MACHINE, InventoryExecutor

        sessions, hub = self._target_sessions, self._settings.hub_account
        target, checks = AwsInventory(sessions, hub), AwsTargetChecks(sessions, hub, self._settings.region)
        executor = InventoryExecutor(self._records, target, checks, self._targets)
        return self._runner(INVENTORY_MACHINE, executor, INVENTORIES)

    @cached_property
    def own_notices(self) -> OwnNotices:
        """Sends notices that belong to no promotion or delivery."""
        from chalicelib.promotion.worker.own_notices import OwnNotices

        return OwnNotices(self._records, self._ledger, self._notices, now)

    @cached_property
    def _ledger(self) -> DynamoLedger:
        from chalicelib.sharing.store.ledger import DynamoLedger

        return DynamoLedger(self._table, keep_days=self._settings.keep_history_days)

    @cached_property
    def share_worker(self) -> ShareWorker:
        """Opens and closes shares, with one permission adapter for each kind of resource."""
        from chalicelib.delivery.worker.share_waiters import WaitingDeliveries
        from chalicelib.sharing.aws.ec2_permissions import LaunchPermissions, SnapshotPermissions
        from chalicelib.sharing.aws.grants import KeyGrants
        from chalicelib.sharing.aws.key_policies import PolicyStatements
        from chalicelib.sharing.aws.role_grants import RoleGrants
        from chalicelib.sharing.ports import PermissionAdapter
        from chalicelib.sharing.worker.share_worker import ShareWorker

        hub, region, where = self._settings.hub_account, self._settings.region, self._settings.where
        adapters: Mapping[str, PermissionAdapter] = {
            "snapshot": SnapshotPermissions(self._sessions, where),
            "image": LaunchPermissions(self._sessions, where),
            "key": KeyGrants(self._sessions, where, region),
            "role": RoleGrants(self._sessions, self._targets, hub, region),
            "policy": PolicyStatements(self._sessions, self._ledger, hub, region),
        }
        records, ledger, waker = self._records, self._ledger, self._waker
        waiters, take_calls = WaitingDeliveries(records, ledger, waker), self._sessions.take_calls
        return ShareWorker(records, ledger, adapters, self._entitlements, waiters, waker, self._telemetry, take_calls)

    @cached_property
    def _entitlements(self) -> LiveEntitlements:
        from chalicelib.delivery.worker.begun_deliveries import RecordedDeliveries
        from chalicelib.sharing.bounds import Bounds
        from chalicelib.sharing.worker.entitlements import LiveEntitlements

        hub, accounts = self._settings.hub, self._settings.target_accounts
        bounds = Bounds(accounts and accounts | {hub.account}, self._settings.organization)
        records, deliveries = self._records, RecordedDeliveries(self._records)
        return LiveEntitlements(records, deliveries, self._source, self._targets, self._live_members, now, hub, bounds)

    @cached_property
    def _approvals(self) -> LiveApprovals:
        from chalicelib.delivery.worker.live_approvals import LiveApprovals

        def last_source(ami: str) -> str:
            from chalicelib.promotion import codec  # only where an approval is waited for: cold start

            return codec.last_source(self._records, ami)

        return LiveApprovals(self._records, self._entitlements, self._targets, now, last_source)

    @cached_property
    def _waves(self) -> LiveWaves:
        from chalicelib.delivery.worker.live_waves import LiveWaves

        def waves_of(ami: str) -> PromotionWaves | None:
            from chalicelib.promotion import codec  # only where a wave is waited for: cold start

            return codec.waves_of(self._records, ami)

        return LiveWaves(self._targets, self._approvals, now, waves_of)


_application: list[Application] = []


def application() -> Application:
    """Return this execution environment's application."""
    if not _application:
        _application.append(Application(os.environ))
    return _application[0]


def seconds_left(context: Any) -> Callable[[], int]:
    """Return what says how many whole seconds an invocation still has."""
    return lambda: int(context.get_remaining_time_in_millis() // 1000)
