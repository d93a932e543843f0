"""The access monitor: compares CloudTrail's events with the ledger, and notifies people of differences.

SQS delays each event by ten minutes, so that the ledger has been written by then. The monitor judges an event once, by
its id; after a crash between a notice and its record, or if two runs judge the event at the same time, it sends the
notice again, with the same id. Its role can change no share.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chalicelib.engine import addresses, codec, schedule
from chalicelib.engine.budget import Budget, TimeLeft
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.places import Resource, account_of
from chalicelib.engine.ports import Notices, Records, Telemetry
from chalicelib.engine.stored import is_missing
from chalicelib.engine.waker import Clock
from chalicelib.monitor import judging, trail_actions, verdicts
from chalicelib.monitor.judging import Evidence, Known, SeenPolicy
from chalicelib.monitor.ports import Canary, Findings, LedgerPast
from chalicelib.monitor.trail_actions import Act, TrailAction
from chalicelib.monitor.verdicts import ActionVerdict, MonitorFinding, Severity
from chalicelib.sharing.ports import Ledger
from chalicelib.targets.ports import Targets
from chalicelib.targets.worker.live_members import LiveMembers

TYPES = ("AWS API Call via CloudTrail", "AWS Service Event via CloudTrail")
SHOWS_WITHIN = 30 * schedule.MINUTE
"""Seconds after which the trail must have shown a grant of the service; ten minutes of them are the queue's delay."""
FRESH = 20 * schedule.MINUTE
"""A grant older than this (seconds) is no canary: the trail or the monitor may not have existed when it was made."""
COMPLETE = 20 * schedule.MINUTE
"""Seconds after a write of a key's policy, or the end of a grant, in which the events of what was before it are
expected to have come, too: CloudTrail takes about five minutes for each, and the queue ten."""
TRIES = 15
"""After so many tries, three minutes apart, an event becomes a dead letter (``maxReceiveCount``, ``monitor.yaml``)."""
KNOWN_FOR = schedule.HOUR
"""Seconds for which Organizations' answer about an account counts here: a run has time to ask about a hundred, and one
event may name a thousand. Nothing is opened by it."""
LOOKED_THROUGH = 20
"""Most resources that one search for a canary reads."""
PAGE = 100


@dataclass(eq=False)
class AccessMonitor:
    """Judges events, and notices when the trail falls silent."""

    records: Records
    ledger: Ledger
    past: LedgerPast
    applied: Targets
    members: LiveMembers
    findings: Findings
    notices: Notices
    clock: Clock
    telemetry: Telemetry
    hub: str
    region: str
    trigger_tag: str
    learning: int
    """For so many seconds after the first event it sends no page."""
    builders: frozenset[str]
    siblings: frozenset[str]
    """Regions of this account's other hubs."""
    shards: int

    # --- an event ----------------------------------------------------------------------------------------------------

    def judge_event(self, body: str, *, time_left: TimeLeft) -> bool:
        """Judge one event as EventBridge put it into the queue; ignore one that cannot be read.

        Returns False if it must come again, because the events that it is compared with may still be on their way.
        Raises Refusal if AWS or the applied file does not answer, or there is no time to ask about every account that
        it names; SQS then delivers it again.
        """
        has_time = Budget(time_left).allows
        try:
            event = codec.parsed_json(body)
        except ValueError:
            return True
        if not isinstance(event, dict) or event.get("detail-type") not in TYPES:
            return True
        record, now = event.get("detail"), self.clock()
        found = trail_actions.read(record, self.trigger_tag) if isinstance(record, dict) else ()
        if event.get("account") != self.hub or not found:
            return True
        first = self.findings.first_event(now)
        # by its content, too: who can send to the queue must not hide an event or its finding by another with its id
        ident = f"{found[0].event}-{addresses.digest(json.dumps(record, sort_keys=True), length=12)}"
        if self.findings.was_judged(ident):
            return True
        for action in found:
            evidence = self._evidence(action, has_time)
            if action.act is Act.POLICY and evidence.source_key:  # at once, for what is judged before this is
                self.findings.remember_policy(action.resource, judging.seen_policy(action), now)
            finding = judging.judge(action, evidence)
            if finding.severity is not Severity.NONE and action.on_key:  # before an alarm, also ask what was ever open
                evidence = self._evidence(action, has_time, ever=True)
                finding = judging.judge(action, evidence)
            if now < action.at + COMPLETE and judging.by_comparison(action, evidence):
                return False
            self._conclude(ident, action, finding, learning=now < first + self.learning)
            # last: if this run is killed, the next one must judge by what was known before
            self._remember(action, finding, source_key=evidence.source_key)
        self.findings.judged(ident, self.clock())
        return True

    def _evidence(self, action: TrailAction, has_time: Callable[[], bool], *, ever: bool = False) -> Evidence:
        """Read what an action is judged by. ``ever``: of a key, all shares that were ever open on it."""
        applied = self.applied.read()
        if applied.fault is not None and applied.fault.code != "no-targets-applied":
            raise Refusal(RefusalKind.THROTTLED, applied.fault)  # without the file every account would be a stranger
        source_key = action.on_key and (
            self.findings.is_source_key(action.resource) or self._in_ledger(action.resource)
        )
        lets_in = action.act in (Act.ADDED, Act.POLICY, Act.USED)  # who is a stranger matters for these alone
        receivers = {*action.receivers, action.account} - {""} if lets_in else set[str]()
        asked = verdicts.accounts_and_units(receivers, applied)
        return Evidence(
            hub=self.hub,
            region=self.region,
            shares=tuple(self._shares(action, self.past.ever if ever else self.past.lately)),
            strangers=verdicts.strangers(receivers, self.members.checked(applied, asked, has_time)),
            changed_at=self.applied.applied_at(),
            builders=self.builders,
            siblings=self.siblings,
            source_key=source_key,
            policies=self._policies(action) if source_key else (),
            grant_known=action.act is Act.REMOVED and bool(action.grant and self.findings.accounts_of(action.grant)),
        )

    def _policies(self, action: TrailAction) -> Sequence[SeenPolicy]:
        """Read the policies of a key that were in force before an action, or at that time."""
        if action.act is not Act.POLICY and (action.act is not Act.USED or action.account in ("", self.hub)):
            return ()
        seen = self.findings.policies(action.resource, action.at)
        return [one for one in seen if one.event != action.event]

    def _in_ledger(self, key: str) -> bool:
        """Whether the ledger has the record of a key's grant audit or policy."""
        places = (addresses.grants_on(key), addresses.policy_resource(key))
        return not all(is_missing(self.records, place) for place in places)

    def _shares(self, action: TrailAction, on_key: Callable[[str], Sequence[Known]]) -> Iterator[Known]:
        """Read the shares that an action may be about; those on a key by ``on_key``."""
        if action.on_key:
            yield from self._shares_on_key(action, on_key)
        elif action.resource.startswith(("snap-", "ami-")):
            region = "" if action.region == self.region else action.region
            resource = str(Resource.of(action.resource, region))
            if action.receivers:
                yield from self.past.of(resource, action.receivers)
            else:
                yield from self.past.ever(resource)

    def _shares_on_key(self, action: TrailAction, read: Callable[[str], Sequence[Known]]) -> Iterator[Known]:
        policy = addresses.policy_resource(action.resource).pk
        if action.act is Act.POLICY:
            yield from read(policy)
            return
        of_grant = self.findings.accounts_of(action.grant) if action.act is Act.REMOVED else ()
        accounts = {action.account, *map(account_of, action.receivers), *of_grant} - {"", self.hub}
        for account in sorted(accounts):
            yield from read(addresses.key_resource(action.resource, account).pk)
            yield from read(addresses.role_resource(action.resource, account).pk)
        if accounts:
            yield from (one for one in read(policy) if one.account in accounts)

    # --- what follows ------------------------------------------------------------------------------------------------

    def _remember(self, action: TrailAction, finding: MonitorFinding, *, source_key: bool) -> None:
        """Store what later events are judged by: the service's keys, whom a policy admits, and a grant's accounts."""
        own = judging.is_own(action.principal, self.hub, self.region)
        expected = own and finding.verdict is ActionVerdict.EXPECTED
        if not action.on_key or not (source_key or expected):
            return
        if action.act is Act.POLICY:
            self.findings.remember_key(action.resource, judging.seen_policy(action))
        accounts = {account_of(receiver) for receiver in action.receivers if receiver.startswith("arn:")}
        accounts -= {"", self.hub}
        if action.act is Act.ADDED and action.grant:  # also one to an AWS service: a thief may end it
            self.findings.remember_grant(action.grant, accounts or {action.account or self.hub}, self.clock())
            if accounts and expected:
                self.findings.remember_key(action.resource)
                self.findings.grant_shown(action.at)

    def _conclude(self, event: str, action: TrailAction, finding: MonitorFinding, *, learning: bool) -> None:
        """Keep a finding and publish it, once for each verdict, key or kind of action, principal and hour."""
        findings, now = self.findings, self.clock()
        self.telemetry.judged(action.name, action.resource, finding.verdict, action.principal, finding.why)
        said = verdicts.said(finding, action.at, action.name, action.region, action.principal, action.request)
        if finding.severity is not Severity.NONE or action.act is Act.TAGGED:  # the history says who tagged
            findings.keep(event, action, said, now)
        if finding.severity is Severity.NONE:
            return
        severity = verdicts.severity(finding, learning=learning)
        subject = action.resource if action.on_key else action.act.value
        hour = now // schedule.HOUR
        about = addresses.digest(severity, finding.verdict, subject, action.principal, str(hour))
        if findings.was_notified(about):
            return
        of = (self.hub, self.region), action.resource, CURES[finding.verdict], action.event
        self.notices.publish(verdicts.notice(said, severity, about, *of, learning=learning))
        self.telemetry.finding(severity, finding.verdict, action.resource)
        findings.notified(about, now)

    # --- the canary --------------------------------------------------------------------------------------------------

    def watch_trail(self) -> None:
        """Check that the trail shows a grant that the service made, one grant an hour.

        If it does not, the trail is silent or leaves KMS out, and this monitor is blind.
        """
        findings, now = self.findings, self.clock()
        canary = findings.canary()
        if canary.grant:
            if findings.accounts_of(canary.grant) or findings.grant_shown_at() > canary.opened_at:
                findings.put_canary(Canary(next_at=now + schedule.HOUR))
            elif now >= canary.opened_at + SHOWS_WITHIN:
                self.telemetry.trail_silent(canary.grant, now - canary.opened_at)
        elif now >= canary.next_at:
            found = self._fresh_grant(now)
            if found is not None:
                findings.put_canary(found)

    def _fresh_grant(self, now: int) -> Canary | None:
        """Find a grant that was made lately; a key with an open share for copies is due within the hour."""
        until = now + schedule.HOUR
        due = [one.key.pk for shard in range(self.shards) for one in self.records.due(shard, until, PAGE)]
        keys = {resource for resource in due if resource.startswith("resource#key#")}
        for resource in sorted(keys)[:LOOKED_THROUGH]:
            for share in self.ledger.shares(resource):
                made = share.opened_at or 0
                if share.grant_id and now - FRESH <= made:
                    return Canary(share.grant_id, made)
        return None


CURES = {
    ActionVerdict.NO_INTENT: "Revoke the role's sessions and close what it opened: "
    "docs/operations/runbook.md#accesspagealarm.",
    ActionVerdict.STRANGER: "Ask who did it; if it was not intended, remove the permission: "
    "docs/operations/runbook.md#accesspagealarm.",
    ActionVerdict.VANISHED: "Ask who did it; `ami-promoter status AMI` shows what fails: "
    "docs/operations/runbook.md#accesswarningalarm.",
    ActionVerdict.LISTED: "Nothing, if it was intended. The service neither needs nor closes it.",
}
