"""Amazon EventBridge: the buses of all accounts and Regions, their rules, and sending events between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from awsim import patterns
from awsim.api import AwsError, Call, Caller
from awsim.parts import Base, OrganizationMembers, Queues, Receiver
from awsim.rules import rule
from awsim.services.buses import WITH_READS, Bus, Event, EventRule, RuleTarget, target

PATTERN = rule(
    "events-rule-matches-pattern",
    "A rule's targets get only events that match its pattern. [EventBridge user guide, event patterns]",
)
READ_ONLY = rule(
    "events-read-only-calls-need-a-state",
    "A rule gets CloudTrail's records of read-only calls only in the state "
    "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS. [aws-facts 1d, VERIFIED for Describe, Get and List; for Decrypt "
    "and the like, whose records say readOnly, UNVERIFIED]",
)
BAD_PATTERN = rule(
    "events-bad-pattern-refused",
    "A pattern whose leaf is not an array, or with an unknown operator, is refused: InvalidEventPatternException. "
    "[EventBridge user guide, event patterns]",
)
RESERVED = rule(
    "events-aws-sources-are-reserved",
    "PutEvents refuses a source that begins with aws. with the per-entry error NotAuthorizedForSourceException. "
    "[aws-facts 1e, VERIFIED]",
)
TEN = rule("events-put-events-of-ten", "PutEvents takes at most ten entries. [EventBridge API reference, PutEvents]")
SIZE = rule(
    "events-put-events-below-1-mb",
    "The entries of one PutEvents have less than 1 MB together: source, detail type, detail and resources. [botocore "
    "1.44.8, events model: PutEvents; 256 KB until January 2026]",
)
BUS_POLICY = rule(
    "events-foreign-bus-needs-policy",
    "A bus takes events from another account only if its resource policy allows events:PutEvents. [aws-facts 1e, "
    "VERIFIED]",
)
BUS_ROLE = rule(
    "events-bus-target-needs-role",
    "A target that is a bus, also one of the rule's own account and Region, has a role, else PutTargets refuses it; "
    "EventBridge must be able to assume it, and it may put events there. [aws-facts 1e, VERIFIED]",
)
HOPS = rule(
    "events-second-hop-of-a-kind-fails",
    "An event goes from bus to bus once within a Region, also within one account, and once to another Region: a second "
    "hop of a kind is THIRD_ACCOUNT_HOP_DETECTED or THIRD_REGION_HOP_DETECTED. [aws-facts 1e, VERIFIED]",
)
ORIGIN = rule(
    "events-forwarded-event-keeps-origin",
    "A forwarded event keeps account, Region and resources of its origin. [aws-facts 1e, VERIFIED for account]",
)
HAND_OVER = rule(
    "events-undeliverable-goes-to-dead-letters",
    "Missing permission or a missing target sends the event straight to the target's dead-letter queue. "
    "[aws-facts 1e, VERIFIED]",
)
STANDARD_DEAD_LETTERS = rule(
    "events-dead-letters-need-standard-queue",
    "A target's dead-letter queue must be a standard queue. [aws-facts 1e, VERIFIED]",
)
FIVE = rule("events-five-targets", "One rule takes five targets. [aws-facts 1e, VERIFIED]")

SERVICE = "events.amazonaws.com"
LARGEST = 1_000_000
"""Bytes that an event must stay below. AWS says 1 MB; the stricter reading is not 1 MiB."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """One event sent to one target, for tests."""

    target: str
    event: Event
    refused: str | None = None
    """Why the target did not get it."""


class EventBridge:
    """All buses of a world.

    ``receivers``: the services that take events besides queues and buses, by their name in ARNs (``lambda``, ``sns``).
    Other services call ``emit``. ``leaves_out`` says whether a scheduled rule need not fire this time: a test that
    knows the run to be without effect saves its time. ``seen`` holds each (bus ARN, event) that arrived, ``deliveries``
    each event sent to a target.
    """

    name = "events"
    exclusive = True

    def __init__(
        self, base: Base, queues: Queues, receivers: Mapping[str, Receiver], organizations: OrganizationMembers
    ) -> None:
        self.buses: dict[str, Bus] = {}
        self.seen: list[tuple[str, Event]] = []
        self.deliveries: list[HandOver] = []
        self.leaves_out: Callable[[EventRule], bool] = lambda _rule: False
        self._base = base
        self._queues = queues
        self._receivers = receivers
        self._organizations = organizations
        self._operations: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            "PutEvents": self._put_events,
            "CreateEventBus": self._create_event_bus,
            "DescribeEventBus": self._describe_event_bus,
            "ListEventBuses": self._list_event_buses,
            "PutPermission": self._put_permission,
            "PutRule": self._put_rule,
            "DescribeRule": self._describe_rule,
            "DeleteRule": self._delete_rule,
            "EnableRule": lambda call: self._enable(call, enabled=True),
            "DisableRule": lambda call: self._enable(call, enabled=False),
            "ListRules": self._list_rules,
            "PutTargets": self._put_targets,
            "RemoveTargets": self._remove_targets,
            "ListTargetsByRule": self._list_targets,
            "TestEventPattern": self._test_event_pattern,
        }

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that it answers."""
        return self._operations

    def emit(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        resources: Sequence[str],
        detail: Mapping[str, Any],
    ) -> None:
        """Send an event to an account's default bus; best effort, as the injections have it."""
        event = self._event(account, region, source, detail_type, resources, detail)
        bus = self.default(account, region)
        for seconds in self._base.injected.arrivals(source):
            self._base.clock.after(seconds, lambda: self.publish(bus, event), f"event {detail_type}")

    def default(self, account: str, region: str) -> Bus:
        """Every account's default bus in a Region."""
        return self.create(account, region, "default")

    def create(self, account: str, region: str, name: str) -> Bus:
        """Create a bus, or return it."""
        bus = Bus(name, account, region)
        return self.buses.setdefault(bus.arn, bus)

    def put_rule(self, new: EventRule) -> EventRule:
        """Create or change a rule (its targets stay). Raises AwsError."""
        problem = patterns.problem_of(new.pattern) if new.pattern is not None else None
        if problem and self._base.on(BAD_PATTERN):
            raise AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {problem}")
        rules = self.buses[new.bus].rules
        old = rules.get(new.name)
        new.targets = old.targets if old else new.targets
        rules[new.name] = new
        if new.schedule is not None:
            self._base.clock.after(new.every, lambda: self._tick(new), f"schedule {new.name}")
        return new

    def put_target(self, of: EventRule, new: RuleTarget) -> None:
        """Add a target to a rule, or replace it. Raises AwsError."""
        rules = self._base.rules
        if len(of.targets.keys() | {new.id}) > 5 and rules.on(FIVE):
            raise AwsError("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
        if new.dead_letters and new.dead_letters.endswith(".fifo") and rules.on(STANDARD_DEAD_LETTERS):
            raise AwsError(
                "ValidationException", "Parameter DeadLetterConfig is not valid: it must be a standard queue"
            )
        if new.arn.split(":")[2] == "events" and new.role is None and rules.on(BUS_ROLE):
            raise AwsError("ValidationException", f"RoleArn is required for target {new.arn}.")
        of.targets[new.id] = new

    def publish(self, bus: Bus, event: Event, hops: frozenset[str] = frozenset()) -> None:
        """Let an event arrive on a bus now. ``hops``: the kinds of hops from other buses that it has behind it."""
        self.seen.append((bus.arn, event))
        for one in list(bus.rules.values()):
            if one.enabled and one.pattern is not None and self._matches(one, event):
                self._hand_over(one, event, hops)

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the policy of a bus."""
        bus = self.buses.get(arn)
        if not self._base.on(BUS_POLICY):
            return ANYBODY
        return bus.policy if bus else None

    def _matches(self, one: EventRule, event: Event) -> bool:
        read_only = event.get("detail-type") == THROUGH_TRAIL and (event.get("detail") or {}).get("readOnly")
        if read_only and not one.reads and self._base.on(READ_ONLY):
            return False
        if not self._base.on(PATTERN):
            return True
        return patterns.matches(one.pattern or {}, event)

    def _tick(self, one: EventRule) -> None:
        """Fire a scheduled rule, and schedule the next time, while the rule is in force."""
        bus = self.buses[one.bus]
        if bus.rules.get(one.name) is not one:
            return
        self._base.clock.after(one.every, lambda: self._tick(one), f"schedule {one.name}")
        if one.enabled and not self.leaves_out(one):
            event = self._event(bus.account, bus.region, "aws.events", "Scheduled Event", [one.arn], {})
            self._hand_over(one, event, frozenset())

    def _hand_over(self, of: EventRule, event: Event, hops: frozenset[str]) -> None:
        for one in list(of.targets.values()):
            try:
                self._deliver(of, one, event, hops)
                self.deliveries.append(HandOver(one.arn, event))
            except AwsError as refused:
                self.deliveries.append(HandOver(one.arn, event, str(refused)))
                self._to_dead_letters(of, one, event, refused)

    def _deliver(self, of: EventRule, one: RuleTarget, event: Event, hops: frozenset[str]) -> None:
        kind, body = one.arn.split(":")[2], one.input if one.input is not None else json.dumps(event)
        if kind in self._receivers:
            self._receivers[kind].deliver(one.arn, body, principal=SERVICE, source_arn=of.arn)
        elif kind == "sqs":
            self._queues.deliver(one.arn, body, principal=SERVICE, source_arn=of.arn, group=one.group)
        elif kind == "events":
            self._forward(of, one, event, hops)
        else:
            raise AwsError("ValidationException", f"the simulator does not play targets of {kind}: {one.arn}")

    def _forward(self, of: EventRule, one: RuleTarget, event: Event, hops: frozenset[str]) -> None:
        _, _, _, region, account, _ = of.bus.split(":")
        bus = self.buses.get(one.arn)
        if bus is None:
            if one.arn.split(":")[4] == account:
                return
            raise AwsError("NO_PERMISSIONS", "Lack of permissions to invoke cross account target.")
        self._check_forward(of, one, event, bus)
        kind = "ACCOUNT" if bus.region == region else "REGION"
        if kind in hops and self._base.on(HOPS):
            raise AwsError(f"THIRD_{kind}_HOP_DETECTED", f"{one.arn} would be a second hop.")
        if not self._base.on(ORIGIN):
            event = {**event, "account": bus.account, "region": bus.region, "resources": []}
        seconds = self._base.random.uniform(0.1, 1.0)
        self._base.clock.after(seconds, lambda: self.publish(bus, event, hops | {kind}), f"event on {bus.name}")

    def _check_forward(self, of: EventRule, one: RuleTarget, event: Event, bus: Bus) -> None:
        account, iam = of.bus.split(":")[4], self._base.policies
        caller = Caller(account, f"arn:aws:iam::{account}:root", "")
        if self._base.on(BUS_ROLE):
            role = iam.roles.get(one.role)
            if role is None:
                raise AwsError("NO_PERMISSIONS", f"target {one.id} of {of.arn} has no role that exists")
            if not iam.service_may(SERVICE, role.trust, "sts:AssumeRole", role.arn):
                raise AwsError("NO_PERMISSIONS", f"{role.arn} does not let {SERVICE} assume it")
            session = f"arn:aws:sts::{account}:assumed-role/{role.name}/events"
            caller = Caller(account, session, "", role_arn=role.arn)
        decision = iam.decide(
            caller,
            "events:PutEvents",
            bus.arn,
            region=bus.region,
            context=self._conditions(of, event),
            resource_policy=self.resource_policy(bus.arn),
        )
        if not decision.allowed:
            raise AwsError("NO_PERMISSIONS", f"{caller.arn} may not put events on {bus.arn} {decision.why}")

    def _conditions(self, of: EventRule, event: Event) -> dict[str, str]:
        """Return the condition keys for a bus's policy when a rule sends."""
        account = of.bus.split(":")[4]
        organization = self._organizations.id_of(account)
        return {
            "events:source": event.get("source", ""),
            "events:detail-type": event.get("detail-type", ""),
            "events:eventBusInvocation": "true",
            "aws:SourceArn": of.arn,
            "aws:SourceAccount": account,
            **({"aws:PrincipalOrgID": organization} if organization else {}),
        }

    def _to_dead_letters(self, of: EventRule, one: RuleTarget, event: Event, refused: AwsError) -> None:
        if one.dead_letters is None or not self._base.on(HAND_OVER):
            return
        reported = {
            "RULE_ARN": of.arn,
            "TARGET_ARN": one.arn,
            "ERROR_CODE": refused.code,
            "ERROR_MESSAGE": refused.message,
        }
        attributes = {key: {"DataType": "String", "StringValue": value} for key, value in reported.items()}
        try:
            self._queues.deliver(
                one.dead_letters, json.dumps(event), principal=SERVICE, source_arn=of.arn, attributes=attributes
            )
        except AwsError as second:
            self.deliveries.append(HandOver(one.dead_letters, event, str(second)))

    def _event(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        resources: Sequence[str],
        detail: Mapping[str, Any],
    ) -> Event:
        random = self._base.random
        return {
            "version": "0",
            "id": f"{random.getrandbits(32):08x}-{random.getrandbits(16):04x}-4000-8000-{random.getrandbits(48):012x}",
            "detail-type": detail_type,
            "source": source,
            "account": account,
            "time": self._base.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": list(resources),
            "detail": json.loads(json.dumps(detail)),
        }

    # --- the API ---

    def _put_events(self, call: Call) -> Mapping[str, Any]:
        entries = call.params["Entries"]
        if len(entries) > 10 and self._base.on(TEN):
            raise AwsError("ValidationException", "1 validation error detected: Value at 'entries' failed to satisfy "
                           "constraint: Member must have length less than or equal to 10")  # fmt: skip
        if sum(map(_size, entries)) >= LARGEST and self._base.on(SIZE):
            raise AwsError("ValidationException", "Total size of the entries in the request is over the limit.")
        answers = [self._put_event(call, entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    def _put_event(self, call: Call, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        source = entry.get("Source", "")
        if source.startswith("aws.") and self._base.on(RESERVED):
            return {
                "ErrorCode": "NotAuthorizedForSourceException",
                "ErrorMessage": f"Not authorized for the source {source}: sources that begin with aws. are AWS's own.",
            }
        if not (source and entry.get("DetailType") and "Detail" in entry):
            return {
                "ErrorCode": "InvalidArgument",
                "ErrorMessage": "Parameter Source, DetailType and Detail are required.",
            }
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        bus = self.buses.get(self._bus_arn(call, entry.get("EventBusName")))
        event = self._event(
            call.caller.account, call.region, source, entry["DetailType"], entry.get("Resources", []), detail
        )
        if bus is not None:  # AWS says nothing about a bus that does not exist
            # Whether a PutEvents from another account counts as a hop is not known: here it does.
            hops = frozenset({"ACCOUNT"}) if bus.account != call.caller.account else frozenset()
            for seconds in self._base.injected.arrivals(source):
                self._base.clock.after(seconds, lambda: self.publish(bus, event, hops), f"event of {source}")
        return {"EventId": event["id"]}

    def _create_event_bus(self, call: Call) -> Mapping[str, Any]:
        return {"EventBusArn": self.create(call.caller.account, call.region, call.params["Name"]).arn}

    def _describe_event_bus(self, call: Call) -> Mapping[str, Any]:
        bus = self._bus(call, call.params.get("Name"))
        return {"Name": bus.name, "Arn": bus.arn} | ({"Policy": json.dumps(bus.policy)} if bus.policy else {})

    def _list_event_buses(self, call: Call) -> Mapping[str, Any]:
        self.default(call.caller.account, call.region)
        own = [b for b in self.buses.values() if (b.account, b.region) == (call.caller.account, call.region)]
        return {"EventBuses": [{"Name": bus.name, "Arn": bus.arn} for bus in own]}

    def _put_permission(self, call: Call) -> Mapping[str, Any]:
        bus = self._bus(call, call.params.get("EventBusName"))
        if "Policy" not in call.params:
            raise AwsError("ValidationException", "the simulator takes PutPermission with a whole Policy only")
        bus.policy = json.loads(call.params["Policy"])
        return {}

    def _put_rule(self, call: Call) -> Mapping[str, Any]:
        given = call.params
        bus = self._bus(call, given.get("EventBusName"))
        pattern = json.loads(given["EventPattern"]) if given.get("EventPattern") else None
        state = given.get("State", "ENABLED")
        new = EventRule(
            given["Name"],
            bus.arn,
            pattern,
            given.get("ScheduleExpression"),
            state != "DISABLED",
            given.get("Description", ""),
            state == WITH_READS,
        )
        return {"RuleArn": self.put_rule(new).arn}

    def _describe_rule(self, call: Call) -> Mapping[str, Any]:
        return _shown(self._rule(call, "Name"))

    def _delete_rule(self, call: Call) -> Mapping[str, Any]:
        bus = self._bus(call, call.params.get("EventBusName"))
        found = bus.rules.get(call.params["Name"])
        if found is not None and found.targets:
            raise AwsError("ValidationException", "Rule can't be deleted since it has targets.")
        bus.rules.pop(call.params["Name"], None)
        return {}

    def _enable(self, call: Call, *, enabled: bool) -> Mapping[str, Any]:
        self._rule(call, "Name").enabled = enabled
        return {}

    def _list_rules(self, call: Call) -> Mapping[str, Any]:
        prefix = call.params.get("NamePrefix", "")
        rules = self._bus(call, call.params.get("EventBusName")).rules.values()
        return {"Rules": [_shown(one) for one in rules if one.name.startswith(prefix)]}

    def _put_targets(self, call: Call) -> Mapping[str, Any]:
        of = self._rule(call, "Rule")
        for given in call.params["Targets"]:
            self.put_target(of, target(given))
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _remove_targets(self, call: Call) -> Mapping[str, Any]:
        of = self._rule(call, "Rule")
        for one in call.params["Ids"]:
            of.targets.pop(one, None)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _list_targets(self, call: Call) -> Mapping[str, Any]:
        return {"Targets": [one.as_api() for one in self._rule(call, "Rule").targets.values()]}

    def _test_event_pattern(self, call: Call) -> Mapping[str, Any]:
        pattern = json.loads(call.params["EventPattern"])
        problem = patterns.problem_of(pattern)
        if problem:
            raise AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {problem}")
        return {"Result": patterns.matches(pattern, json.loads(call.params["Event"]))}

    def _bus_arn(self, call: Call, name: str | None) -> str:
        if name is not None and name.startswith("arn:"):
            return name
        if name in {None, "default"}:
            return self.default(call.caller.account, call.region).arn
        return Bus(str(name), call.caller.account, call.region).arn

    def _bus(self, call: Call, name: str | None) -> Bus:
        bus = self.buses.get(self._bus_arn(call, name))
        if bus is None:
            raise AwsError("ResourceNotFoundException", f"Event bus {name} does not exist.")
        return bus

    def _rule(self, call: Call, member: str) -> EventRule:
        bus = self._bus(call, call.params.get("EventBusName"))
        name = call.params[member]
        if name not in bus.rules:
            raise AwsError("ResourceNotFoundException", f"Rule {name} does not exist on EventBus {bus.name}.")
        return bus.rules[name]


THROUGH_TRAIL = "AWS API Call via CloudTrail"
ANYBODY = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "events:*", "Resource": "*"}}


def _size(entry: Mapping[str, Any]) -> int:
    """Count the bytes of an entry as EventBridge does [EventBridge user guide, event entry size]."""
    texts = [entry.get("Source", ""), entry.get("DetailType", ""), entry.get("Detail", ""), *entry.get("Resources", ())]
    return sum(len(text.encode()) for text in texts) + (14 if entry.get("Time") else 0)


def _shown(one: EventRule) -> dict[str, Any]:
    shown = {
        "Name": one.name,
        "Arn": one.arn,
        "State": (WITH_READS if one.reads else "ENABLED") if one.enabled else "DISABLED",
        "EventBusName": one.bus.rsplit("/", 1)[1],
    }
    if one.pattern is not None:
        shown["EventPattern"] = json.dumps(one.pattern)
    if one.schedule is not None:
        shown["ScheduleExpression"] = one.schedule
    return shown
