"""What is wrong with a hub and its targets, each with its likely cause and the command that repairs it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.hub.approvers import Approvers
from ami_promoter.hub.health import STACK, EventMapping, Health
from ami_promoter.hub.key_needs import asked, hub_needs, unfit
from ami_promoter.hub.records import RecordSeen, record_named, unpark
from ami_promoter.reconcile.doctor_target_checks import HubNames, KnownAtHub, findings
from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.reconcile.grouped_checks import bad, good, judged, unseen
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import first_of
from ami_promoter.terminal.report import moment
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import Arn, Place
from chalicelib.targets.applied_file import Target
from chalicelib.targets.approvals import short

LATE = 30 * 60
"""Seconds past its due time after which a record shows that the sweep or its worker does not run."""
SHOWN = 5
"""The command names at most this many overdue records."""
FOR_OTHERS = 4
"""Concurrent Lambda executions for the functions that receive events, sweep, and discover."""
FOR_THE_MONITOR = 7
"""Those of the access monitor's stack: five for its queue, and one each for its schedule and the drift audit."""
LEAST_AT_ONCE = 2
"""The least MaximumConcurrency of an event source mapping [aws-facts, SQS FIFO and Lambda]."""
_STRICT = "Deploy the hub with {name} (deploy/strict.json; docs/guide/deploy-production.md#for-a-bank)"
OPEN = {
    "SourceKeyArns": "The share worker may make and end grants on every key of the account that leaves it to IAM.",
    "GoldenTagValue": "The share worker may share every snapshot of the account, also of what is no golden AMI.",
    "DataKeyArn": "No key policy says who reads tables, queues and logs, and the topic of notices is not encrypted.",
    "BlockPublicSnapshots": "The stack does not keep people from making the account's snapshots public.",
}
"""Parameter of the stack -> what its open value, which is empty or ``false``, lets in."""
ADMITTED = ("OrganizationId", "TargetAccounts")
"""Parameters of which one must have a value."""

FINDING = js.thing(
    "one check",
    where=js.text("`hub`, or ACCOUNT/REGION"),
    check=js.text(
        "name of the check; for the hub: targets-file, pause, organization, parked, overdue, shares, workers, "
        "functions, schedules, concurrency, "
        "dead-letters, notices, alarms, source-key, writers, approvers, approvals, open-defaults, public-images, "
        "access-monitor; "
        "for a target: target (whether it answered), template, parameter, launch-test, key, key-policy, service-roles, "
        "forwarding, allowed-amis, settings, source-tags, copy-quota"
    ),
    passed=js.perhaps(js.flag("whether the check passed; null: the command could not make it")),
    what=js.text("what the command found"),
    cure=js.text("what to do, with the command; empty: the check passed without a warning"),
)


@dataclass(frozen=True, slots=True)
class Unapproved:
    """An AMI whose deliveries wait for an approval; ``since``: when the first began to wait (epoch seconds)."""

    ami: str
    digest: str
    targets: int
    since: int


@dataclass(frozen=True, slots=True)
class HubFacts:
    """What was read of a hub; times are epoch seconds."""

    account: str
    region: str
    now: float
    file: Fault | None
    """What is wrong with the applied targets file; None: nothing."""
    paused: str
    """When, by whom and why promotions were paused; "" if they are not."""
    organization: Sequence[str]
    parked: Sequence[RecordSeen[Any]]
    due: Mapping[str, int]
    """Record that has not ended -> when it is due."""
    health: Health
    access: Mapping[str, Collection[str]] = field(default_factory=dict)
    """ARN of a source's key -> the ``key_access`` of the targets that need it."""
    approvers: Approvers | None = None
    """None: no target needs an approval."""
    unapproved: Sequence[Unapproved] = ()
    not_closing: Sequence[tuple[str, str]] = ()
    """(what, cure) of the shares that do not close."""


def hub(facts: HubFacts) -> list[dict[str, Any]]:
    """Check the hub itself."""
    every = [_file(facts), _paused(facts), *_organization(facts), *_parked(facts), _overdue(facts)]
    every += judged("shares", facts.not_closing, "Every share that has ended closes.")
    every += _of_health(facts, "workers", "sources", _workers)
    every += _of_health(facts, "functions", "off", _off)
    every += _of_health(facts, "schedules", "schedules", _schedules)
    every += _of_health(facts, "concurrency", "sources", _concurrency)
    every += _of_health(facts, "dead-letters", "dead", _dead)
    every += _of_health(facts, "notices", "subscriptions", _notices)
    every += _of_health(facts, "alarms", "alarms", _alarms)
    every += [*_source_keys(facts), _writers(facts.health), *_approvers(facts), *_approvals(facts)]
    every += _of_health(facts, "open-defaults", "parameters", lambda _, found: open_defaults(found))
    every += _of_health(facts, "public-images", "public_images", _public_images)
    every += _of_health(facts, "access-monitor", "monitor", _access_monitor)
    return [{"where": "hub", **one} for one in every]


def targets(
    found: Mapping[Place, TargetFacts],
    settings: Mapping[Place, Target],
    known: Mapping[Place, KnownAtHub],
    hub: HubNames,
) -> list[dict[str, Any]]:
    """Check what each target answered."""
    return [
        {"where": str(place), **one}
        for place, facts in sorted(found.items())
        for one in findings(settings.get(place), facts, known.get(place, KnownAtHub()), hub)
    ]


def _of_health(
    facts: HubFacts, check: str, part: str, judge: Callable[[HubFacts, Any], Iterable[dict[str, Any]]]
) -> Iterable[dict[str, Any]]:
    """Judge a part of the hub's health; if it could not be read, that is the finding."""
    found = getattr(facts.health, part)
    return [_unread(check, facts.health.unread.get(part, ""))] if found is None else judge(facts, found)


def _unread(check: str, why: str) -> dict[str, Any]:
    cure = "Use a role that can read it (docs/reference/cli.md), and check that the hub's stack is deployed here."
    return unseen(check, why, cure)


def _file(facts: HubFacts) -> dict[str, Any]:
    if facts.file is not None:
        return bad("targets-file", facts.file.what, facts.file.cure)
    return good("targets-file", "A targets file is in force, and complete.")


def _paused(facts: HubFacts) -> dict[str, Any]:
    if facts.paused:
        return bad(
            "pause", f"Paused {facts.paused}. Nothing new starts.", "`ami-promoter admin resume` ends the pause."
        )
    return good("pause", "Not paused.")


def _organization(facts: HubFacts) -> list[dict[str, Any]]:
    cure = "See `ami-promoter targets members`, and docs/operations/runbook.md."
    wrong = ((one, cure) for one in facts.organization)
    return judged("organization", wrong, "The organization can be read, or the file names no OU.")


def _parked(facts: HubFacts) -> list[dict[str, Any]]:
    named = ((record_named(one.key.pk, one.delivers), one) for one in facts.parked)
    wrong = ((f"{name} is parked: {one.parked}", f"{unpark(one.key.pk)}.") for name, one in named)
    return judged("parked", wrong, "No record is parked.")


def _overdue(facts: HubFacts) -> dict[str, Any]:
    late = {record: due for record, due in facts.due.items() if due < facts.now - LATE}
    if not late:
        return good("overdue", f"{count(len(facts.due), 'record')} under way, none overdue: the sweep runs.")
    oldest_first = sorted(late.items(), key=lambda pair: pair[1])
    named = first_of([f"{record} since {moment(due)}" for record, due in oldest_first], SHOWN)
    function = f"ami-promoter-{facts.region}-sweep"
    cure = (
        "Check that the sweep's rule is ENABLED, that its concurrency is above 0, and that it does not fail: "
        f"aws lambda get-function-concurrency --function-name {function}; aws logs tail /aws/lambda/{function}"
    )
    return bad("overdue", f"No worker has looked at {named}.", cure)


def _workers(_facts: HubFacts, sources: Mapping[str, Mapping[str, EventMapping]]) -> Iterator[dict[str, Any]]:
    for worker, mappings in sources.items():
        on = ("Enabled", "Enabling", "Creating")
        off = {uuid: one.state for uuid, one in mappings.items() if one.state not in on}
        if not mappings:
            yield bad(
                "workers", f"`{worker}` has no event source mapping: it receives no wakes.", "Deploy the hub again."
            )
        for uuid, state in off.items():
            cure = f"aws lambda update-event-source-mapping --uuid {uuid} --enabled"
            yield bad("workers", f"The queue of `{worker}` is {state.lower()}: it receives no wakes.", cure)
        if mappings and not off:
            yield good("workers", f"`{worker}` reads its queue.")


def _off(facts: HubFacts, off: Sequence[str]) -> list[dict[str, Any]]:
    command = f"aws lambda delete-function-concurrency --region {facts.region} --function-name"
    wrong = (
        (f"Somebody stopped `{one}`: its reserved concurrency is 0.", f"{command} ami-promoter-{facts.region}-{one}")
        for one in off
    )
    return judged("functions", wrong, "None of the functions without which nothing ends is stopped.")


def _schedules(facts: HubFacts, schedules: Mapping[str, str]) -> list[dict[str, Any]]:
    if not schedules:
        return [_unread("schedules", f"No rule of the stack {STACK} has a schedule.")]
    command = f"aws events enable-rule --region {facts.region} --name"
    wrong = (
        (f"Somebody disabled {rule}: its function does not run.", f"{command} {rule}")
        for rule, state in schedules.items()
        if state == "DISABLED"
    )
    return judged("schedules", wrong, "The sweep's rule and the others with a schedule are enabled.")


def _concurrency(facts: HubFacts, sources: Mapping[str, Mapping[str, EventMapping]]) -> Iterator[dict[str, Any]]:
    free = facts.health.free
    if free is None:
        yield _unread("concurrency", facts.health.unread.get("free", ""))
        return
    most = [sum(one.most for one in mappings.values()) for mappings in sources.values()]
    said = " and ".join(f"{many} of `{worker}`" for worker, many in zip(sources, most, strict=True))
    others = FOR_OTHERS + (FOR_THE_MONITOR if facts.health.monitor else 0)
    if sum(most) + others <= free:
        yield good("concurrency", f"The account's Lambda quota has room for {said}.")
        return
    left = free - others
    shares = max(left // 3, LEAST_AT_ONCE)
    smaller = f"Deploy the hub with MaximumConcurrency={left - shares} and ShareConcurrency={shares}, or ask"
    cure = (
        f"{smaller if left >= 2 * LEAST_AT_ONCE else 'Ask'} AWS for more: "
        "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 "
        "--desired-value 1000"
    )
    what = (
        f"{said} may run at once, and all other functions need {others}, but the account's Lambda quota leaves "
        f"{free}. A wake that is throttled comes back after three minutes, and after five times it is a dead letter."
    )
    yield bad("concurrency", what, cure)


def _dead(_facts: HubFacts, dead: Mapping[str, int]) -> list[dict[str, Any]]:
    cure = "Read one, repair its cause, and move them back: docs/operations/runbook.md#dead-letters"
    full = ((f"{count(number, 'message')} in {queue}.", cure) for queue, number in dead.items() if number)
    return judged("dead-letters", full, "None.")


def _notices(facts: HubFacts, subscriptions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    nobody = "The topic has no subscriber: nobody receives notices of failed deliveries."
    return _subscribed("notices", facts.health.topic, subscriptions, nobody)


def _alarms(facts: HubFacts, alarms: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    if not alarms:
        cure = "Deploy the hub with AlarmTopicArn, the ARN of a topic to which a person is subscribed."
        yield bad("alarms", "The alarms notify nobody.", cure)
    for topic, subscriptions in alarms.items():
        if topic in facts.health.unread:
            yield _unread("alarms", f"Who is subscribed to {topic}: {facts.health.unread[topic]}")
        else:
            nobody = f"The alarms notify {topic}, and nobody is subscribed to it."
            yield from _subscribed("alarms", topic, subscriptions, nobody)


def _subscribed(check: str, topic: str, subscriptions: Mapping[str, str], nobody: str) -> Iterator[dict[str, Any]]:
    waiting = [who for who, arn in subscriptions.items() if not arn.startswith("arn:")]
    to = f"--topic-arn {topic} --region {Arn.parse(topic).region}"
    subscribe = f"aws sns subscribe {to} --protocol email --notification-endpoint YOU@EXAMPLE.ORG"
    if not subscriptions:
        yield bad(check, nobody, subscribe)
    for who in waiting:
        what = f"{who} has not confirmed its subscription."
        yield bad(check, what, "Follow the link in SNS's message, or subscribe again.")
    if subscriptions and not waiting:
        yield good(check, f"{len(subscriptions)} subscribed.")


def _source_keys(facts: HubFacts) -> Iterator[dict[str, Any]]:
    """Check whether the key policies let the service open the keys of running and shared deliveries."""
    for arn, seen in facts.health.keys.items():
        region = Arn.parse(arn).region
        access = sorted(facts.access.get(arn, ()))
        ways = "".join(f" --access {one}" for one in access if one != "none") if access != ["grant"] else ""
        print_it = (
            f"Add to its key policy the output of: ami-promoter admin key-policy hub {arn} --region {region}{ways}"
        )
        found = [bad("source-key", f"{arn}: {fault.what}", fault.cure) for fault in unfit(seen.facts, facts.account)]
        answers = [one for need in hub_needs(facts.region, access) for one in asked(need, seen.policy, arn)]
        lacking = [one.action for one in answers if one.lacks]
        if not found and lacking:
            what = f"The policy of {arn} does not let the service do {', '.join(lacking)}: it cannot open the key."
            found.append(bad("source-key", what, print_it))
        yield from found
        if not found:
            opens = (
                "its owner gives access to it, not the service"
                if access == ["none"]
                else "its policy lets the service open it"
            )
            yield good("source-key", f"{arn} is customer managed and enabled; {opens}.")
    for arn, why in facts.health.unread.items():
        if Arn.parse(arn).service == "kms":
            yield _unread("source-key", f"{arn}: {why}")


def _public_images(facts: HubFacts, state: str) -> Iterator[dict[str, Any]]:
    """Warn where nothing keeps a thief of the share worker from making an AMI public; IAM has no condition for it."""
    if state != "unblocked":
        yield good("public-images", f"Block public access for AMIs: {state}.")
        return
    yield good(
        "public-images",
        "The account does not block public access for AMIs: who may share an AMI of the hub can make it public.",
        f"`aws ec2 enable-image-block-public-access --region {facts.region} "
        "--image-block-public-access-state block-new-sharing`, in the hub's account.",
    )


def _writers(health: Health) -> dict[str, Any]:
    """Warn where IAM alone decides who writes the applied file; that blocks nothing."""
    if health.open_tables is None:
        return _unread("writers", f"Who may write the tables: {health.unread.get('writers', 'it was not read')}")
    if not health.open_tables:
        return good("writers", "The tables' policies name who may write them.")
    what = f"No policy protects {', '.join(health.open_tables)}: anybody whom IAM allows it can apply a targets file."
    cure = "Name the operators' and approvers' roles in the parameters Operators and Approvers, and deploy the hub."
    return good("writers", what, cure)


def _approvers(facts: HubFacts) -> Iterator[dict[str, Any]]:
    """Check whether any role may approve, and whether one of them may not tag."""
    seen = facts.approvers
    if seen is None:
        return
    give = (
        "aws iam put-role-policy --role-name ROLE --policy-name ami-promoter-approver "
        "--policy-document file://deploy/cli-approver.json"
    )
    apart = [name for name in seen.able if name not in seen.taggers]
    if seen.unread:
        cure = f"Use a role with iam:GetAccountAuthorizationDetails. To give a role the approver's policy: {give}"
        yield unseen("approvers", f"Who may approve: {seen.unread}", cure)
    elif not seen.able:
        what = "Targets need an approval, and no role or user of the hub may approve."
        yield bad("approvers", what, f"Attach the policy to the approvers' role: {give}")
    elif not apart:
        both = first_of(seen.taggers, SHOWN)
        what = f"All that may approve may write the trigger tag, too ({both}): one person can do both."
        yield bad("approvers", what, f"Attach the policy to a role that may not tag: {give}")
    else:
        also = f"; {first_of(seen.taggers, SHOWN)} may, too, but may also write the tag" if seen.taggers else ""
        yield good("approvers", f"{first_of(apart, SHOWN)} may approve{also}.")


def _approvals(facts: HubFacts) -> Iterator[dict[str, Any]]:
    for one in sorted(facts.unapproved, key=lambda one: one.since):
        waits = count(one.targets, "target waits", "targets wait")
        digest = f" --digest {short(one.digest)}" if one.digest else ""
        what = f"{one.ami}: {waits} for an approval since {moment(one.since)}."
        yield bad("approvals", what, f"An approver must check and approve it: ami-promoter approve {one.ami}{digest}")
    if facts.approvers is not None and not facts.unapproved:
        yield good("approvals", "No delivery waits for an approval.")


def open_defaults(parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Warn of each parameter of the stack with an open value: a choice, no fault. `deploy/strict.json` closes all.

    A parameter that the stack does not have is not judged: its template is of another version.
    """
    found = []
    if set(ADMITTED) <= parameters.keys() and not any(parameters[name] for name in ADMITTED):
        what = "The hub may enter every account whose role trusts it, and open AMIs to every account of the file."
        found.append((" or ".join(ADMITTED), what))
    found += [(name, what) for name, what in OPEN.items() if parameters.get(name) in ("", "false")]
    for name, what in found:
        yield good("open-defaults", f"{name}: {what}", f"{_STRICT.format(name=name)}.")
    if not found:
        yield good("open-defaults", "No parameter of the stack has an open value.")


def _access_monitor(facts: HubFacts, monitor: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Warn if it is not deployed, which is a choice; with other values than the hub's it judges wrongly."""
    hub = facts.health.parameters
    if not monitor:
        what = "The access monitor is not deployed: nobody is notified who opens or uses anything besides the service."
        cure = "Deploy monitor.yaml of the release as stack ami-promoter-monitor (docs/operations/access-monitor.md)."
        yield good("access-monitor", what, cure)
    elif apart := [name for name in LIKE_THE_HUB if hub is not None and hub.get(name) != monitor.get(name)]:
        what = f"The access monitor's stack has another value than the hub's for {', '.join(apart)}."
        yield bad("access-monitor", what, "Deploy monitor.yaml of the hub's release with the hub's values.")
    else:
        yield good("access-monitor", "The access monitor is deployed.")


LIKE_THE_HUB = ("DataKeyArn", "OrganizationReadRoleArn", "TriggerTagKey")
"""Parameters that the access monitor's stack must have as the hub's has them."""
