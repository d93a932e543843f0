"""Entitlement: who may hold what of one AMI now (invariants 1, 8 and 11).

It follows from the tag in EC2, the applied file, the members of its OUs, and the withdrawals of the tag's value.
The only record that it uses is the promotion's head. So a damaged or parked record neither keeps a share open nor opens
one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import IMAGE, POLICY, ROLE, SNAPSHOT, Place, Resource
from chalicelib.sharing.key_policy import Audience, PolicyShare
from chalicelib.targets.applied_file import AppliedFile, Resolution, Target
from chalicelib.targets.recalls import recalled
from chalicelib.targets.withdrawals import Withdrawal, by_place, covering, in_force

USELESS = ("disabled", "deregistered", "invalid", "failed", "error")
"""States of an AMI that entitle nobody: it cannot be launched, and EC2 keeps no launch permission of it."""

SETTINGS_CHANGED = "settings-changed"
"""Fault code: a delivery cannot have what it asks for, because the file gives its target other settings by now."""

SOURCE_GONE = "source-gone"
"""Fault code: the AMI was deregistered or cannot be used, so it entitles nobody."""

NOTHING_OPENED = " Nothing is opened."

NOT_KNOWN = Fault("not-entitled-now", "the tag", "It is not known whom it names, so nothing new is opened.", "")
"""Why accounts are blocked in ``while_unknown``; no notice has it."""

HUB_COPY_CURE = (
    "If somebody deleted the hub's own copy there, or a part of it, the service does not make it again: copy the AMI "
    "in the hub (aws ec2 copy-image with --kms-key-id), and tag that copy."
)
"""Where a target has no whole AMI to copy from, another tag event changes nothing.

A delivered delivery begins again for a recall only.
"""


def source_gone(where: str, ami: str, state: str | None) -> Fault:
    """Return the fault of an AMI that entitles nobody. ``state``: EC2's word; None: EC2 does not show it."""
    what = f"{ami} was deregistered, or no longer belongs to the hub" if state is None else f"{ami} is {state}"
    cure = f"Enable it (aws ec2 enable-image --image-id {ami}) and tag it again" if state == "disabled" else ""
    return Fault(SOURCE_GONE, where, f"{what}.{NOTHING_OPENED}", f"{cure or 'Tag another AMI'}.")


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The targets that the value in force names, by "account/region"; ``blocked`` accounts with their faults."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    value: str = ""
    """The tag's value that counts."""
    blocked: Mapping[str, Fault] = field(default_factory=dict)
    blocked_until: Mapping[str, int] = field(default_factory=dict)
    """Of a blocked account: the date that ends what it has; 0: none."""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """Withdrawn targets ("account" or "account/region") -> the operator; ``targets`` has none of them."""

    def may_open(self, place: str, resource: str, share_name: str, now: int, *, standing: bool) -> bool:
        """Whether a share, standing or for copies, may be opened for a target ("account/region") at ``now``."""
        target = self.targets.get(place)
        if target is None:
            return False
        if standing:
            return _stands(target, resource, share_name, now)
        return not _is_for_roles(target, resource, share_name)  # they have no part in copies

    def may_go_on(self, place: str) -> bool:
        """Whether a running delivery may continue: its target is named, or its account is only blocked."""
        blocked = Place.parse(place).account in self.blocked and covering(self.withdrawn, place) is None
        return place in self.targets or blocked

    def may_keep(self, place: str, resource: str, share_name: str, now: int) -> bool:
        """Whether a standing share of a target may stay open at ``now`` (epoch seconds)."""
        target = self.targets.get(place)
        return bool(self.end(place, now)) if target is None else _stands(target, resource, share_name, now)

    def date(self, place: str) -> int:
        """Return the date that ends what a target or a blocked account has (epoch seconds); 0: none."""
        target = self.targets.get(place)
        return self.blocked_until.get(Place.parse(place).account, 0) if target is None else target.until

    def end(self, place: str, now: int) -> int:
        """Return until when (epoch seconds) a target may keep its standing shares; see ``end_in_force``."""
        return end_in_force(self.date(place), now) if self.may_go_on(place) else 0

    def dates_after(self, now: int) -> list[int]:
        """Return the dates ``until`` that are after ``now`` (epoch seconds)."""
        dates = {*(target.until for target in self.targets.values()), *self.blocked_until.values()}
        return sorted(date for date in dates if date > now)


NO_ENTITLEMENT = Entitlement()


def entitlement(
    tag: str | None, last: str | None, applied: AppliedFile, withdrawals: Sequence[Withdrawal] = (), since: int = 0
) -> Entitlement | Fault:
    """Return who is entitled; or a fault if that is not known, which is no evidence for closing.

    ``tag``: the trigger tag's value in EC2; None if the AMI has none, is gone or disabled.
    ``last``: the value last understood. It counts if ``tag`` is not understood; a name in it that the file has lost
    names nobody.
    ``withdrawals``: those count that are not older than ``since``, when EC2 last showed another value (epoch seconds).
    """
    if tag is None:
        return NO_ENTITLEMENT
    if applied.fault is not None:
        return applied.fault
    resolution = applied.judge(tag, in_force=tag == last)
    values, value = {tag}, tag
    if not resolution.understood:
        if last is None:
            return NO_ENTITLEMENT if resolution.waits is None else resolution.waits
        resolution = applied.resolve(last, in_force=True)
        values.add(last)
        value = last
    if not resolution.understood:
        return resolution.waits or resolution.faults[0]
    return replace(of(resolution, by_place(in_force(withdrawals, values, since))), value=value)


def while_unknown(
    tag: str | None, last: str | None, applied: AppliedFile, withdrawals: Sequence[Withdrawal], since: int
) -> Entitlement | Fault:
    """Return who may keep what they have while ``entitlement``, of the same arguments, is not known.

    These are all accounts that the file contains (invariant 8), each until the latest date of its targets, but for what
    an operator has withdrawn. A fault if it is not known whom the file contains; a recall needs no file.
    """
    withdrawn = by_place(in_force(withdrawals, {tag, last}, since))
    if recalled(withdrawn):
        return Entitlement(withdrawn=withdrawn)
    everybody = " ".join((*applied.directory.groups, *applied.directory.accounts))
    found = applied.resolve(everybody, in_force=True)
    if not found.understood:
        return found.waits or found.faults[0]
    dates = defaultdict[str, list[int]](list)
    for target in found.targets:
        dates[target.account].append(target.until)
    until = {account: max(some) if all(some) else 0 for account, some in dates.items()}
    nameless = ""  # of a damaged holding, which need not be a stranger's
    return Entitlement(
        blocked=dict.fromkeys((nameless, *until, *found.blocked), NOT_KNOWN),
        blocked_until={**until, **found.blocked_until},
        withdrawn=withdrawn,
    )


def of(resolution: Resolution, withdrawn: Mapping[str, str]) -> Entitlement:
    """Return the entitlement by a value that is understood.

    A launch permission for a unit admits all its accounts. So while one of them is withdrawn, those that have it are
    blocked, also if the withdrawn one has the AMI by its id or by a smaller unit.
    """
    left = resolution.without(withdrawn)
    named = left.by_place
    found = Entitlement(named, "", left.blocked, left.blocked_until, withdrawn)
    gone = [target for place, target in resolution.by_place.items() if place not in named and target.mode == "share"]
    shut = {unit: target for target in gone for unit in admitting(target, resolution)}
    held_up = {one.account: one for one in left.targets if launched_by(one) in shut}
    faults = {account: _shares_unit(one, shut[launched_by(one)], withdrawn) for account, one in held_up.items()}
    return replace(
        found,
        targets={place: target for place, target in named.items() if target.account not in held_up},
        blocked={**left.blocked, **faults},
        blocked_until={**left.blocked_until, **{account: one.until for account, one in held_up.items()}},
    )


def admitting(target: Target, resolution: Resolution) -> frozenset[str]:
    """Return the units (ARNs) whose launch permission admits a target's account."""
    return resolution.units.get(target.account, frozenset()) | ({target.unit} - {""})


def _shares_unit(target: Target, shut: Target, withdrawn: Mapping[str, str]) -> Fault:
    by = shut.place if shut.place in withdrawn else shut.account
    return Fault(
        "withdrawn-from-unit",
        f"account {target.account}",
        f"It gets the AMI by {launched_by(target)}, which would admit account {shut.account} as well, and an "
        "operator has withdrawn that one.",
        "Set `launch_permission: account` for the group in the targets file, or end it: "
        f"`ami-promoter withdraw AMI --account {by} --lift`.",
    )


def launched_by(target: Target) -> str:
    """Return the receiver of a launch permission for a target: its account, or the unit (ARN) that contains it."""
    return target.unit if target.launch_permission == "group" and target.unit else target.account


def end_in_force(until: int | None, now: int) -> int:
    """Return until when (epoch seconds) a target with this date may keep its standing shares; 0: no longer.

    ``until``: 0 is no date, None no target. It is a day from now at most, so that the share worker asks again each day.
    """
    if until is None or 0 < until <= now:
        return 0
    return min(until or now + schedule.DAY, now + schedule.DAY)


def _is_for_roles(target: Target, resource: str, share_name: str) -> bool:
    """Whether a share lets service-linked roles use a key: the grant of one, or the statement for all."""
    kind, statement = Resource.parse(resource).kind, str(PolicyShare(target.account, Audience.ROLES))
    return kind == ROLE or (kind == POLICY and share_name == statement)


def _stands(target: Target, resource: str, share_name: str, now: int) -> bool:
    """Whether the target's settings, as they are now, include this standing share."""
    it = Resource.parse(resource)
    if it.kind == ROLE and share_name not in target.service_linked_roles:
        return False
    if it.on_own_key:  # a grant on the target's own key, for the target's own AMI: in either mode
        return True
    if target.mode != "share" or 0 < target.until <= now:
        return False
    if _is_for_roles(target, resource, share_name) and not target.service_linked_roles:
        return False
    if it.kind == IMAGE:
        return share_name == launched_by(target)
    return it.kind != SNAPSHOT or target.share_snapshots
