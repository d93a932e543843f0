"""Checking: wait for the hub's own copy, where the delivery copies from that, then look whether the target is ready.

Its first look is in ``requested``; ``awaiting-role`` waits for a role that cannot be assumed yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chalicelib.delivery import attempts, leftovers, permissions, proof
from chalicelib.delivery.common_changes import again, looks_again
from chalicelib.delivery.model import Copy, CopyState, Delivery, DeliveryState, LastLook, NeededShare
from chalicelib.delivery.phase import Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.awaiting_slot import (
    AWAIT_SLOT,
    queue_deadline,
    queued_out,
    queued_too_long,
    until_queued_out,
)
from chalicelib.delivery.phases.ending import CANCELS, ENDING, TIDY, fail
from chalicelib.delivery.phases.imaging import REGISTER, VERIFY
from chalicelib.delivery.phases.opening import OPEN
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Row, leads
from chalicelib.sharing.entitlement import SOURCE_GONE

REQUEST, AWAIT_ROLE = StateEntry(DeliveryState.REQUESTED), StateEntry(DeliveryState.AWAITING_ROLE)
_REQUESTED_CURE = (
    "If AWS has refused something, see to that: the Region must be enabled in that account. Otherwise look at the "
    "function `worker`: its dead letters and errors. Then tag the AMI again."
)
BY_STACK = ("grant-role-missing", "target-key-missing", "target-template-old")
"""Codes of faults that the deployment of the target's stack may be about to cure."""
_ROLE_CURE = "Deploy deploy/target.yaml there, with the targets file's external id; then tag again."


class AskHubCopy(Command):
    """Read whether the hub's own copy in this Region exists, from which this delivery copies."""

    between_writes = False


class CheckTarget(Command):
    """Assume the role; read the key, the AMI name, and what the service has created there already."""

    between_writes = False


class NotifyAwaitingRole(Command):
    """Send one notice that the target's role cannot be assumed yet."""


@dataclass(frozen=True, slots=True)
class HubCopySeen(DeliveryEvent):
    """The state of the hub's own copy was read. ``copies``: (source snapshot, copy); empty until it exists.

    ``waits``: it waits for an approval. ``began``: when its place in the queue began (epoch seconds); 0: not known.
    ``incomplete``: it is delivered, but this look does not show a copy of each snapshot.
    """

    copies: tuple[tuple[str, str], ...] = ()
    key_arn: str = ""
    waits: bool = False
    began: int = 0
    incomplete: Fault | None = None


@dataclass(frozen=True, slots=True)
class TargetReady(DeliveryEvent):
    """The target passed its checks. ``image``: this delivery's AMI, if it exists already, found by ``nonce``."""

    key_arn: str
    image: str | None = None
    nonce: str = field(default="", kw_only=True)
    copies: tuple[proof.SeenCopy, ...] = ()
    """Everything in the target that has this delivery's tag."""
    note: str = ""
    """A remark for the history that is not a fault."""
    unfinished: bool = False
    """Whether the image is not available yet: CopyImage may still run and needs its shares."""
    without_roles: bool = False
    """Whether no service-linked role gets a grant, although the mode's default names one."""
    subnet: str = ""
    """Where its launch test runs; "": it has none."""
    group: str = ""
    """The security group that the target has chosen for that."""


@dataclass(frozen=True, slots=True)
class KeptImageMissed(DeliveryEvent):
    """A look does not show the AMI that was kept for another launch test. ``name``: how a new AMI is named."""

    name: str


@dataclass(frozen=True, slots=True)
class TargetUnfit(DeliveryEvent):
    """The target cannot receive this AMI."""

    faults: tuple[Fault, ...]


class AwaitingRoleNotified(DeliveryEvent):
    """The notice that the role cannot be assumed was sent."""

    keeps_refusal = True


def _looks(delivery: Delivery, _now: int) -> tuple[Command, ...]:
    """List the read of the hub's own copy in this Region, which must exist first."""
    return (AskHubCopy(),) if delivery.target.by_way_of and not delivery.hub_copy.snapshots else ()


def _requested(delivery: Delivery, now: int) -> tuple[Command, ...]:
    return (_looks(delivery, now) or (CheckTarget(),)) if now >= delivery.next_try else ()


def _awaiting_role(delivery: Delivery, now: int) -> tuple[Command, ...]:
    if now < delivery.next_try:
        return ()
    notified = delivery.awaiting_role_notified or delivery.last_look.failure is not None
    return (CheckTarget(),) if notified else (NotifyAwaitingRole(),)


def _hub_copy_seen(event: HubCopySeen, delivery: Delivery, now: int) -> Delivery:
    if event.incomplete is not None:  # EC2 may list a snapshot late
        waits = looks_again(delivery, now, schedule.SILENCE, schedule.POLLS[0])
        return waits or fail(delivery, now, event.incomplete)
    delivery = replace(_not_overdue(event, delivery, now), clear_since=None)
    if not event.copies and (timed_out := queued_out(delivery, now)):
        return fail(delivery, now, timed_out)
    if not event.copies:
        if now < delivery.next_try:  # an early look does not count as a try
            return delivery
        return again(delivery, now, until_queued_out(delivery, now, schedule.step(schedule.POLLS, delivery.tries)))
    hub_copy = replace(delivery.hub_copy, snapshots=dict(event.copies), key_arn=event.key_arn)
    return replace(delivery, hub_copy=hub_copy, tries=0, next_try=now)


def _not_overdue(event: HubCopySeen, delivery: Delivery, now: int) -> Delivery:
    """Count the queue deadline from when the hub's own copy began: it may have waited a month for its approval."""
    began = now if event.waits else event.began
    if delivery.last_look.failure is None or began <= delivery.queued_at:
        return delivery
    fresh = replace(delivery, entered={**delivery.entered, REQUEST.state: began}, last_look=LastLook())
    return fresh if queue_deadline(fresh) > now else delivery


def _ready(event: TargetReady, delivery: Delivery, now: int) -> Delivery:
    share_mode = replace(delivery.share_mode, without_roles=event.without_roles)
    delivery = replace(delivery, key_arn=event.key_arn, share_mode=share_mode)
    delivery = delivery.with_launch(subnet=event.subnet, group=event.group)
    delivery = delivery.with_holdings(needed=permissions.needed(delivery))
    found = proof.copies(delivery, event.copies)
    delivery = leftovers.with_unproven(delivery, found)
    delivery = proof.with_answer(delivery, event.nonce, "", event.image or "")
    if event.image and not (delivery.copies_image and event.unfinished):
        return _image_there(delivery, event.image, now)
    if event.image:  # CopyImage still makes it, and needs its shares and its snapshots
        return OPEN(delivery, now)
    if delivery.in_share_mode or delivery.copies_image:
        return OPEN(delivery.with_deletions(seen.id for seen in found.own), now)
    return _to_copy(delivery, found.own, now)


def _image_there(delivery: Delivery, image: str, now: int) -> Delivery:
    """Continue with an AMI that exists already: nothing is copied, and its snapshots stay."""
    there = delivery.with_image(id=image, adopted=True).with_holdings(needed=_standing(delivery))
    if image == delivery.accepted:  # no nonce proves its snapshots, and they stay
        there = there.with_cleanup(unproven=())
    return OPEN(there, now) if there.holdings.needed else VERIFY(there, now)


def _to_copy(delivery: Delivery, there: tuple[proof.SeenCopy, ...], now: int) -> Delivery:
    """Plan a copy of each snapshot; adopt those under the target's key that exist, and delete those under another."""
    wanted = replace(delivery, copies=tuple(Copy(snapshot.id, found_at=now) for snapshot in delivery.snapshots))
    wanted = attempts.match(wanted, tuple(s for s in there if s.key_arn == delivery.key_arn), now)
    wanted = wanted.with_deletions(s.id for s in there if s.key_arn != delivery.key_arn)
    if not all(copy.state is CopyState.COMPLETED for copy in wanted.copies):
        return AWAIT_SLOT(wanted, now)
    copied = wanted.with_holdings(needed=_standing(delivery))
    return OPEN(copied, now) if copied.holdings.needed else REGISTER(copied, now)


def _standing(delivery: Delivery) -> tuple[NeededShare, ...]:
    return tuple(share for share in delivery.holdings.needed if share.standing)


def _kept_missed(event: KeptImageMissed, delivery: Delivery, now: int) -> Delivery:
    """Two looks prove that its owner deregistered it (invariant 5): another AMI is made, under its own name."""
    if delivery.last_refusal is not None:  # the look before has missed something else
        delivery = replace(delivery, clear_since=None)
    named = replace(delivery.with_launch(kept=""), image_name=event.name, clear_since=None, tries=0, next_try=now)
    return looks_again(delivery, now, schedule.SECOND_LOOK_AFTER, schedule.SECOND_LOOK_AFTER) or named


def _unfit(event: TargetUnfit, delivery: Delivery, now: int) -> Delivery:
    """Fail, unless the target's stack may just be bringing what is missing."""
    by_stack = delivery.state is AWAIT_ROLE.state or any(fault.code in BY_STACK for fault in event.faults)
    if by_stack and _stack_comes(delivery):
        return _unfit_yet(delivery, now, *event.faults)
    return fail(delivery, now, *event.faults)


def _unfit_yet(delivery: Delivery, now: int, *faults: Fault) -> Delivery:
    """Look again for ten minutes: CloudFormation makes the key beside the role, which may come first [aws-facts]."""
    late = delivery.last_look.failure is not None
    waits = None if late else looks_again(delivery, now, schedule.NOT_YET_FOR, schedule.NOT_YET[1])
    return replace(waits, last_refusal=faults[0]) if waits else fail(delivery, now, *faults)


def _stack_comes(delivery: Delivery) -> bool:
    """Whether the stack may be younger than the delivery: its role was waited for, or an OU brings the account."""
    return delivery.state is AWAIT_ROLE.state or bool(delivery.target.unit)


def _notified(_event: AwaitingRoleNotified, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery, awaiting_role_notified=True, next_try=now + schedule.step(schedule.POLLS, delivery.tries))


def _refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    if event.step == NotifyAwaitingRole.__name__:  # the target has refused nothing
        return again(delivery, now, schedule.step(schedule.RETRIES, delivery.tries))
    no_role = event.kind is RefusalKind.ROLE and event.step == CheckTarget.__name__
    if no_role and delivery.state is REQUEST.state:
        return AWAIT_ROLE(delivery, now, last_refusal=event.fault)
    if no_role and delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure)
    if no_role and event.fault.code == SOURCE_GONE and event.fault == delivery.last_refusal:  # two looks agree
        return fail(delivery, now, event.fault)
    if event.kind is RefusalKind.DENIED and _stack_comes(delivery):
        return _unfit_yet(delivery, now, event.fault)
    return trouble.refused(event, replace(delivery, clear_since=None) if no_role else delivery, now)


def _row(state: StateEntry, cure: str) -> Row[Delivery]:
    """Return the part of a row that is the same in both states."""
    return {
        TargetReady: leads(_ready, AWAIT_SLOT, OPEN, REGISTER, VERIFY),
        TargetUnfit: leads(_unfit, state, *ENDING),
        KeptImageMissed: leads(_kept_missed, state),
        Refused: leads(_refused, state, AWAIT_ROLE, *ENDING),
        **CANCELS,
        DeadlinePassed: leads(queued_too_long(cure), state, TIDY),
    }


PHASES = {
    DeliveryState.REQUESTED: Phase(
        on={HubCopySeen: leads(_hub_copy_seen, REQUEST, *ENDING), **_row(REQUEST, _REQUESTED_CURE)},
        outstanding=_requested,
        deadline=queue_deadline,
        looks=_looks,
    ),
    DeliveryState.AWAITING_ROLE: Phase(
        on={AwaitingRoleNotified: leads(_notified, AWAIT_ROLE), **_row(AWAIT_ROLE, _ROLE_CURE)},
        outstanding=_awaiting_role,
        deadline=queue_deadline,
    ),
}
