"""Finds what blocks a delivery or a launch in one target, from what `worker` has read there. Pure.

The checks of keys and roles are the same functions as before a delivery.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ami_promoter.hub import policies
from ami_promoter.hub.health import Senders
from ami_promoter.hub.key_needs import KeyAnswer, asked, grant_needs, launch_needs, target_needs
from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.reconcile.grouped_checks import bad, good, judged, unseen
from ami_promoter.terminal.report import moment
from chalicelib.delivery import preflight
from chalicelib.delivery.copy_quota import LIMIT, CopyQuota
from chalicelib.delivery.instances import LaunchSite
from chalicelib.delivery.kms_keys import target_key_faults
from chalicelib.delivery.target_seen import LAUNCHES, AllowedImages, ForwardingRule, TargetSeen, rule_names
from chalicelib.delivery.template_rights import PARAMETER, template_old
from chalicelib.engine import codec
from chalicelib.engine.faults import Fault, without_afterwards
from chalicelib.engine.places import Arn
from chalicelib.release.pointer import prefix_cure
from chalicelib.targets.applied_file import Target, grant_role, launch_role

_PASSING = ("aws-throttled", "aws-unreachable")
"""Codes of refusals that do not depend on the target."""


@dataclass(frozen=True, slots=True)
class KnownAtHub:
    """What the hub's table contains about one target. Times are epoch seconds; 0: never."""

    quota: CopyQuota = field(default_factory=lambda: CopyQuota("", ""))
    """The record of its copy quota."""
    last_event_at: int = 0
    """When an event from the target last reached a delivery."""
    no_event_at: int = 0
    """When a delivery last made an AMI there without receiving an event about it."""


@dataclass(frozen=True, slots=True)
class HubNames:
    """The hub. ``senders``: who may send to its inbound bus; None: not read."""

    partition: str
    account: str
    region: str
    senders: Senders | None = None

    @property
    def bus(self) -> str:
        """ARN of the hub's inbound bus."""
        name = f"ami-promoter-{self.region}-inbound"
        return str(Arn(self.partition, "events", self.region, self.account, f"event-bus/{name}"))


Finding = dict[str, Any]


def findings(target: Target | None, facts: TargetFacts, known: KnownAtHub, hub: HubNames) -> Iterator[Finding]:
    """Yield the findings of one target, without its place.

    ``target``: None if its settings in the applied file conflict.
    """
    if facts.fault is not None:
        yield _failed("target", facts.fault)
        return
    yield good("target", "The target answered: the service can assume its role there.")
    if target is None or facts.seen is None:
        return
    seen = facts.seen
    yield from _template(target, seen)
    yield from _parameter(target, seen)
    yield from _launch_test(target, seen)
    yield from _key(target, seen)
    yield from _key_policy(target, seen)
    yield from _roles(target, seen)
    yield from _forwarding(target, seen, known, hub)
    yield from _allowed_images(target, seen, hub)
    yield _settings(seen)
    if target.mode == "copy":
        yield _source_tags(target)
    if target.mode == "copy" and target.copy_method != "image":
        yield _copy_quota(known.quota)


def _failed(check: str, fault: Fault) -> Finding:
    return bad(check, fault.what, without_afterwards(fault.cure))


def _judged(check: str, faults: Iterable[Fault], well: str) -> list[Finding]:
    return judged(check, ((fault.what, without_afterwards(fault.cure)) for fault in faults), well)


def _unseen(check: str, fault: Fault) -> Finding:
    return unseen(check, fault.what, without_afterwards(fault.cure))


def _template(target: Target, seen: TargetSeen) -> Iterator[Finding]:
    """Check by the role's own policy that its template is not older than the hub."""
    if "GetRolePolicy" in seen.refused:
        refused = seen.refused["GetRolePolicy"]
        what = f"The role's rights cannot be read; a template older than the hub's does not allow it. {refused.what}"
        yield _unseen("template", replace(refused, what=what))
        return
    well = "The role's policy allows every call that the hub makes there."
    yield from _judged("template", template_old(target, seen.allows), well)


def parameter_denied(target: Target, patterns: Iterable[str]) -> tuple[Fault, ...]:
    """Return the fault of a target whose copy role cannot write its parameter; none if it can, or there is none."""
    name = target.ssm_parameter
    if not name or any(fnmatchcase(name, pattern) for pattern in patterns):
        return ()
    what = (
        f"The role {target.role_name} there does not allow {', '.join(PARAMETER)} for the parameter {name}: AMIs are "
        "delivered, but the parameter does not name them."
    )
    return (Fault("parameter-not-allowed", target.where, what, prefix_cure(name)),)


def _parameter(target: Target, seen: TargetSeen) -> Iterator[Finding]:
    """Check that the role may write the parameter that names the current AMI; it comes only by a stack's parameter."""
    if not target.ssm_parameter or "GetRolePolicy" in seen.refused:
        return
    well = f"The role's policy allows to write {target.ssm_parameter}."
    yield from _judged("parameter", parameter_denied(target, seen.parameters), well)


def _launch_test(target: Target, seen: TargetSeen) -> Iterator[Finding]:
    """Check what a launch test needs in the target, whatever the AMI."""
    if target.launch_test is None:
        return
    if LAUNCHES in seen.refused:
        refused, role = seen.refused[LAUNCHES], launch_role(target.role_name)
        if refused.code == "role-not-assumable":
            cure = f"Deploy deploy/target.yaml there with LaunchTest=true, which makes the role {role}."
            refused = replace(refused, cure=cure)
        passes = refused.code in _PASSING
        yield _unseen("launch-test", refused) if passes else _failed("launch-test", refused)
        return
    site = seen.launch or LaunchSite()
    where = f"{', '.join(site.subnets)}, in {', '.join(site.groups) or 'the default security group of its VPC'}"
    well = f"The launch role can run {target.launch_test.instance_type} in {where}."
    yield from _judged("launch-test", preflight.launch_site_faults(target, site), well)


def _key(target: Target, seen: TargetSeen) -> Iterator[Finding]:
    if target.mode == "share":
        return
    refused = seen.refused.get("DescribeKey")
    if refused is not None and refused.code in _PASSING:
        yield _unseen("key", refused)
        return
    found = [_failed("key", fault) for fault in target_key_faults(target, seen.key, refused.what if refused else "")]
    yield from found
    if not found and seen.key is not None:
        yield good("key", f"{target.key} is {seen.key.arn}: customer managed, symmetric and enabled.")


def _key_policy(target: Target, seen: TargetSeen) -> Iterator[Finding]:
    """Judge the key's policy alone: the service cannot read the role's and the organization's policies.

    KMS has no dry run for this [aws-facts 3].
    """
    if seen.key is None or seen.key.manager == "AWS":
        return
    if "GetKeyPolicy" in seen.refused:
        yield _unseen("key-policy", seen.refused["GetKeyPolicy"])
        return
    needs = target_needs(target.role_name)
    needs += grant_needs(grant_role(target.role_name)) if target.service_linked_roles else ()
    needs += launch_needs(launch_role(target.role_name)) if target.launch_test else ()
    look = _look(target, seen.key.arn)
    try:
        document = codec.parsed_json(seen.key_policy)
        answers = [answer for need in needs for answer in asked(need, document, seen.key.arn)]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        yield unseen("key-policy", f"The policy of {seen.key.arn} cannot be read: {error!r:.200}", look)
        return
    lacking = [one for one in answers if one.lacks]
    unclear = [one for one in answers if one.verdict == policies.UNCLEAR]
    for role in dict.fromkeys(one.need.role for one in lacking):
        what = "; ".join(_lack(one) for one in lacking if one.need.role == role)
        yield bad("key-policy", f"The policy of {seen.key.arn} does not let {role} use it: {what}.", look)
    if lacking:
        return
    if unclear:
        what = ", ".join(f"{one.action} {one.by}".strip() for one in unclear)
        yield unseen("key-policy", f"It depends on a condition that the command cannot evaluate: {what}.", look)
        return
    yield good("key-policy", "The key policy lets the roles use the key; other policies were not checked.")


def _lack(answer: KeyAnswer) -> str:
    if answer.verdict == policies.DENIED:
        return f"{answer.action} is denied {answer.by}".rstrip()
    return f"{answer.action} is missing" + (f" ({answer.held_back})" if answer.held_back else "")


def _look(target: Target, key: str) -> str:
    role = "" if target.role_name == Target("", "").role_name else f" --role-name {target.role_name}"
    command = f"ami-promoter admin key-policy target {key} --region {target.region}{role}"
    roles = " --service-roles" if target.service_linked_roles else ""
    more = f"{roles} --launch-test" if target.launch_test else roles
    return f"Add to its key policy the output of this command with credentials of {target.account}: {command}{more}"


def _roles(target: Target, seen: TargetSeen) -> Iterator[Finding]:
    lacks = preflight.default_roles_missing(target, "AMI", seen.missing_roles)
    if lacks is not None:
        yield good("service-roles", lacks.what, lacks.cure)
        return
    found = [_failed("service-roles", one) for one in preflight.roles_missing(target, seen.missing_roles)]
    found += [_unseen("service-roles", fault) for call, fault in seen.refused.items() if call.startswith("GetRole")]
    yield from found
    if not found and target.service_linked_roles:
        yield good("service-roles", f"All exist: {', '.join(target.service_linked_roles)}.")


def _forwarding(target: Target, seen: TargetSeen, known: KnownAtHub, hub: HubNames) -> Iterator[Finding]:
    """Check the rules that forward events to the hub. Without them the service notices a copy's end later."""
    refused = [fault for call, fault in seen.refused.items() if call in ("DescribeRule", "ListTargetsByRule")]
    if refused:
        yield _unseen("forwarding", refused[0])
        return
    if not seen.rules:
        what = "No rule forwards events to the hub (ForwardEvents=false), so it looks at copies every 1 to 15 minutes."
        yield good("forwarding", what)
        return
    found = {rule.name: rule for rule in seen.rules}
    wrong = [one for name in rule_names(hub.account, hub.region) for one in _wrong(found.get(name), name, target, hub)]
    yield from wrong
    if wrong:
        return
    if hub.senders is not None and hub.senders.lacks(target.account):
        yield bad(
            "forwarding",
            f"The hub's bus {hub.bus} does not admit account {target.account}: its events are lost.",
            "Name the account in the hub's parameter TargetAccounts, or its organization in OrganizationId.",
        )
    elif known.no_event_at > known.last_event_at:
        yield _no_event(target, known, hub)
    else:
        last = (
            f"the last event arrived {moment(known.last_event_at)}"
            if known.last_event_at
            else "no delivery has needed one yet"
        )
        yield good("forwarding", f"Both rules are enabled, and forward to the hub's bus; {last}.")


def _no_event(target: Target, known: KnownAtHub, hub: HubNames) -> Finding:
    """Return the finding that the rules look right, and yet no event arrived."""
    before = (
        f"the last one arrived {moment(known.last_event_at)}"
        if known.last_event_at
        else "none has ever arrived from there"
    )
    what = (
        f"Both rules look right, but no event about the AMI that was made there {moment(known.no_event_at)} arrived; "
        f"{before}. The service finds the end of a copy by its own reads, minutes later."
    )
    rule = rule_names(hub.account, hub.region)[target.copy_method == "image"]
    cure = (
        f"With credentials of {target.account}, see why the rule's invocations fail (its role needs events:PutEvents "
        f"on {hub.bus}, and no policy of the organization may deny it): aws cloudwatch get-metric-statistics "
        f"--region {target.region} --namespace AWS/Events --metric-name FailedInvocations --dimensions "
        f"Name=RuleName,Value={rule} --statistics Sum --period 3600 --start-time {moment(known.no_event_at - 3600)} "
        f"--end-time {moment(known.no_event_at + 3600)}"
    )
    return bad("forwarding", what, cure)


def _wrong(rule: ForwardingRule | None, name: str, target: Target, hub: HubNames) -> Iterator[Finding]:
    deploy = "Deploy deploy/target.yaml there again with ForwardEvents=true and this hub's account and Region."
    if rule is None:
        yield bad("forwarding", f"The rule {name} is missing: its events are lost.", deploy)
    elif rule.state == "DISABLED":
        enable = f"With credentials of {target.account}: aws events enable-rule --region {target.region} --name {name}"
        yield bad("forwarding", f"The rule {name} is disabled: its events are lost.", enable)
    elif hub.bus not in rule.buses:
        what = f"The rule {name} does not send to {hub.bus} but to {', '.join(rule.buses) or 'no bus'}."
        yield bad("forwarding", what, deploy)
    elif not rule.roles:
        yield bad("forwarding", f"The rule {name} has no role that may send to another account's bus.", deploy)


def _allowed_images(target: Target, seen: TargetSeen, hub: HubNames) -> Iterator[Finding]:
    """Check Allowed AMIs, which hides other accounts' AMIs that miss its criteria [aws-facts 4, VERIFIED].

    Launches of what is shared and CopyImage need to see them; by the method auto only some AMIs need CopyImage.
    """
    if (target.mode == "copy" and target.copy_method == "snapshots") or target.account == hub.account:
        return
    by_few = target.mode == "copy" and target.copy_method == "auto"
    if "GetAllowedImagesSettings" in seen.refused:
        if not by_few:
            yield _unseen("allowed-amis", seen.refused["GetAllowedImagesSettings"])
        return
    by_hub = [one for one in seen.allowed_by if not one.providers or hub.account in one.providers]
    if seen.allowed_images != "enabled":
        yield good("allowed-amis", f"Allowed AMIs is {seen.allowed_images or 'not set'}: AMIs of the hub are shown.")
    elif any(not one.narrower for one in by_hub):
        yield good("allowed-amis", "Allowed AMIs is enabled, and admits AMIs of the hub.")
    else:
        what = f"Allowed AMIs is enabled and does not name the hub {hub.account}: its AMIs are not shown there."
        cure, verdict = _admitting(target, seen, hub), bad
        if by_hub:
            what = "Allowed AMIs is enabled, and admits only those AMIs of the hub that meet further criteria."
            cure = f"Check that your AMIs meet them: aws ec2 get-allowed-images-settings --region {target.region}"
            verdict = unseen
        if by_few:
            what, verdict = f"{what} Here it matters only to AMIs that need CopyImage.", good
        yield verdict("allowed-amis", what, cure)


def _admitting(target: Target, seen: TargetSeen, hub: HubNames) -> str:
    """Return how Allowed AMIs is made to admit the hub's; the provider `none` admits no other criterion beside it."""
    if seen.allowed_by_policy:
        command = "aws organizations describe-effective-policy --policy-type DECLARATIVE_POLICY_EC2 --target-id"
        asks = f"Ask the administrators of that organization to add {hub.account} to its image providers"
        return f"A declarative policy of the organization sets it ({command} {target.account}). {asks}."
    kept = [one for one in seen.allowed_by if not one.narrower and "none" not in one.providers]
    wanted = json.dumps([{"ImageProviders": [*one.providers]} for one in (*kept, AllowedImages((hub.account,)))])
    command = f"aws ec2 replace-image-criteria-in-allowed-images-settings --region {target.region}"
    cure = f"With credentials of {target.account}: {command} --image-criteria '{wanted}'"
    if any(one.narrower for one in seen.allowed_by):
        cure += " ; it replaces all criteria, so add those of its present ones that are not in this"
    return cure


def _settings(seen: TargetSeen) -> Finding:
    """List the account's settings; none blocks a delivery, as each copy names its key."""
    calls = ("GetEbs", "GetSnapshotBlock", "GetImageBlock")
    refused = [fault for call, fault in seen.refused.items() if call.startswith(calls)]
    if refused:
        return _unseen("settings", refused[0])
    default = f"on, under {seen.default_key}" if seen.encrypts_by_default else "off"
    return good(
        "settings",
        f"EBS encryption by default is {default}; block public access: snapshots {seen.snapshots_public}, AMIs "
        f"{seen.images_public}. None of these blocks a delivery.",
    )


def _source_tags(target: Target) -> Finding:
    """Warn if a person who tags in the hub chooses tags in the target; that blocks no delivery."""
    if "*" not in target.source_tags:
        return good("source-tags", f"The AMI gets these tags of the source: {', '.join(target.source_tags) or 'none'}.")
    what = "The AMI gets every tag of the source, so who can tag in the hub can satisfy the target's policies on tags."
    cure = "If policies there read tags, list in `source_tags` of the targets file which tags the AMI may get."
    return good("source-tags", what, cure)


def _copy_quota(quota: CopyQuota) -> Finding:
    limit, full = quota.limit, quota.full
    if full and limit < LIMIT:
        what = f"EC2 has refused copies there: of {LIMIT} at once others run {LIMIT - limit} now, and deliveries wait."
        cure = "They continue as copies end. To see the copies: aws ec2 describe-snapshots --owner-ids self --filters "
        return bad("copy-quota", what, f"{cure}Name=status,Values=pending")
    waits = "deliveries wait for a slot" if full else "no delivery waits for a slot"
    return good("copy-quota", f"{limit} copies can run at once there, and {waits}.")
