"""The instance of a launch test: started once for each nonce, judged by what EC2 shows, and terminated on every path.

RunInstances is idempotent by its client token, which is the attempt's nonce: a repeated call gets the same
instance [aws-facts, Added end of November 2026, VERIFIED]. Whatever ends the delivery terminates first, and an attempt
leaves the record only when its instance was seen terminated, or two looks do not show it, two minutes after its last
call. One look may be stale: an instance whose id is known is terminated whether it shows or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from chalicelib.delivery.model import Delivery, InstanceAttempt, Launch
from chalicelib.delivery.phase import Command, DeliveryEvent, Refused
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.images import register
from chalicelib.targets.applied_file import LaunchTest, launch_role

LAUNCH_TAG = f"{register.OUR_PREFIX}launch-test"
"""Tag by which a target chooses subnet and security group of launch tests."""
OVER = ("shutting-down", "terminated")
"""EC2's states of an instance that cannot come back."""
END_LOOKS = (schedule.SECOND_LOOK_AFTER, *schedule.POLLS)
"""Waits between looks whether an instance is terminated."""
NOT_BY_THE_AMI = ("Client.UserInitiatedShutdown", "Client.VolumeLimitExceeded", "Server.")
"""Beginnings of EC2's state reasons that say nothing about the AMI [EC2 API reference, StateReason, error codes]."""


class ConsoleEnd(str):
    """The end of an instance's console output, escaped. It may hold secrets: history and log show only its length."""

    __slots__ = ()

    def __str__(self) -> str:
        """Say how long it is."""
        return f"({len(self)} characters)"

    __repr__ = __str__


NO_CONSOLE = ConsoleEnd()


class RunInstance(Command):
    """RunInstances: one instance from the new AMI. Its intent is written first."""

    makes = True
    call = "RunInstances"

    def intend(self, delivery: Delivery, nonce: str, now: int) -> Delivery:
        """Begin an attempt; an open one keeps its nonce, which is its client token."""
        launch, known = delivery.launch, self.attempt(delivery)
        if known is None:
            fresh = InstanceAttempt(nonce, now, episode=delivery.episode)
            return delivery.with_launch(attempts=(*launch.attempts, fresh), tries=1)
        return delivery.with_launch(attempts=(*launch.attempts[:-1], replace(known, at=now)), tries=launch.tries + 1)

    def attempt(self, delivery: Delivery) -> InstanceAttempt | None:
        """Return the last one whose instance may run."""
        return attempt_under_way(delivery)


class LookAtInstance(Command):
    """Read the instance's state and status checks; and the end of its console output, if the AMI has failed."""

    between_writes = False


class EndInstances(Command):
    """TerminateInstances for each instance of its attempts, and look which of them still show."""

    call = "TerminateInstances"


@dataclass(frozen=True, slots=True)
class InstanceStarted(DeliveryEvent):
    """RunInstances answered the attempt with this nonce."""

    instance: str
    nonce: str


@dataclass(frozen=True, slots=True)
class InstanceSeen(DeliveryEvent):
    """The instance with this id was read. ``state`` and the checks are EC2's words; "": it does not show."""

    id: str
    state: str = ""
    code: str = ""
    """Code of the reason for its state, if EC2 gives one."""
    reason: str = ""
    launched_at: int = 0
    """Epoch seconds, by EC2."""
    system: str = ""
    instance: str = ""
    console: ConsoleEnd = NO_CONSOLE


@dataclass(frozen=True, slots=True)
class InstancesEnded(DeliveryEvent):
    """The calls that terminate the instances of its attempts were made. ``seen``: those that EC2 showed before them.

    ``refusal``: why AWS refused to terminate one.
    """

    seen: tuple[SeenInstance, ...] = ()
    refusal: Fault | None = None
    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class LaunchSite:
    """What a target has for launch tests, as its launch role sees it."""

    subnets: tuple[str, ...] = ()
    """Subnets with the tag ``ami-promoter:launch-test`` of value ``true``."""
    groups: tuple[str, ...] = ()
    """Security groups with that tag in the VPC of the only such subnet."""
    architectures: tuple[str, ...] = ()
    """Architectures of the instance type; empty: the Region does not offer that type."""
    boot_modes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """Instance types that the launch role may run; empty: that could not be read."""
    closed_keys: tuple[str, ...] = ()
    """The keys of the source that it may not use, in share mode."""
    needs_ena: bool = False
    """Whether the instance type starts only AMIs with ENA."""
    lacks_tpm: bool = False
    """Whether the instance type has no NitroTPM."""
    most_volumes: int = 0
    """How many volumes the instance type takes, network interfaces perhaps included; 0: that is not known."""
    key_refusal: str = ""
    """What KMS says where it may not describe the target's key, in copy mode."""


class SeenInstance(NamedTuple):
    """An instance as the target's EC2 shows it, with the client token that started it."""

    id: str
    token: str
    state: str

    def __repr__(self) -> str:
        """As the history shows it."""
        return f"{self.id} {self.state}"


class LaunchVerdict(NamedTuple):
    """How a launch test ended, and why if the AMI did not pass."""

    result: Literal["passed", "failed", "untested"]
    fault: Fault | None = None


def image(delivery: Delivery) -> str:
    """Return the AMI that is tested: the target's own, or the hub's in share mode."""
    return delivery.ami if delivery.in_share_mode else delivery.image.id or ""


def test_of(delivery: Delivery) -> LaunchTest:
    """Return the target's setting; one without a type where it has none, and only an earlier instance is ended."""
    return delivery.target.launch_test or LaunchTest("")


def attempt_under_way(delivery: Delivery) -> InstanceAttempt | None:
    """Return the attempt of this episode; None: it has none."""
    last = delivery.launch.attempts[-1:]
    return next((one for one in last if one.episode == delivery.episode), None)


def carried(before: Delivery) -> Launch:
    """Return what the next episode still knows of an ended one's launch test."""
    return Launch(attempts=before.launch.attempts, kept=before.launch.kept)


def started(event: InstanceStarted, delivery: Delivery, _now: int) -> Delivery:
    """Record which instance the attempt has started, also when the answer comes late."""
    attempts = tuple(
        replace(one, id=event.instance) if one.nonce == event.nonce else one for one in delivery.launch.attempts
    )
    return delivery.with_launch(attempts=attempts)


def refused(event: Refused, delivery: Delivery) -> Delivery:
    """Drop an attempt that AWS has refused, unless an earlier call of it may have taken effect."""
    open_, launch = attempt_under_way(delivery), delivery.launch
    if event.unknown or launch.tries > 1 or open_ is None or open_.nonce != event.nonce:
        return delivery
    return delivery.with_launch(attempts=launch.attempts[:-1], tries=0)


# --- what EC2 shows ---------------------------------------------------------------------------------------------------


def verdict(delivery: Delivery, seen: InstanceSeen, now: int) -> LaunchVerdict | None:
    """Judge the AMI by what a look shows; None: it is too early to tell."""
    attempt, within = attempt_under_way(delivery), test_of(delivery).within
    begun = seen.launched_at or (attempt.at if attempt else now)
    late, impaired = now >= begun + within, impaired_since(delivery, seen, now)
    match seen.state:
        case "running" if (seen.system, seen.instance) == ("ok", "ok"):
            return LaunchVerdict("passed")
        case "running" if late or (impaired and now >= impaired + schedule.SECOND_LOOK_AFTER):
            lasts = f"its status checks were not ok within {within // 60} minutes"
            said = f"{lasts if late else 'two looks found a status check impaired'}: {_checks(seen)}"
            if seen.instance not in ("impaired", "initializing") or seen.system not in ("ok", "initializing"):
                # AWS's host is not ok, from which the instance suffers, or EC2 has no data [EC2 API reference]
                return LaunchVerdict("untested", untested(delivery, said))
            return LaunchVerdict("failed", _failed(delivery, said))
        case "shutting-down" | "terminated":
            return _over(delivery, seen)
        case "stopping" | "stopped":
            return LaunchVerdict("untested", untested(delivery, "somebody stopped its instance"))
        case "" if attempt is None or not _may_show(attempt, delivery.clear_since or now, now):
            return LaunchVerdict("untested", untested(delivery, "its instance is gone"))
        case "pending" if late:
            said = f"its instance did not run within {within // 60} minutes"
            return LaunchVerdict("untested", untested(delivery, said))
        case _:
            return None


def impaired_since(delivery: Delivery, seen: InstanceSeen, now: int) -> int:
    """Return since when looks have shown an impaired check, this one included; 0: it shows none."""
    return (delivery.launch.impaired_since or now) if "impaired" in (seen.system, seen.instance) else 0


def too_early(delivery: Delivery, seen: InstanceSeen) -> bool:
    """Whether the hub's key may not have been open yet when the instance started: then another one is started.

    A missing right on the key shows late: the instance terminates by itself [aws-facts, VERIFIED].
    """
    attempt, opened = attempt_under_way(delivery), delivery.holdings.opened_at
    late = attempt is not None and opened is not None and attempt.at <= opened + schedule.NOT_YET_FOR
    return delivery.in_share_mode and late and _by_key(seen) and seen.state in OVER


def _by_key(seen: InstanceSeen) -> bool:
    return seen.code == "Client.InternalError" or "KMS" in seen.code


def _over(delivery: Delivery, seen: InstanceSeen) -> LaunchVerdict:
    why = f"its instance terminated by itself: {seen.code or 'no reason given'} {seen.reason}".rstrip()
    if _by_key(seen):
        why = f"{why.rstrip('.')}. EC2 says so where {launch_role(delivery.target.role_name)} may not use the key"
    if seen.code.startswith(NOT_BY_THE_AMI) or _by_key(seen):
        return LaunchVerdict("untested", untested(delivery, why))
    return LaunchVerdict("failed", _failed(delivery, why))


def _checks(seen: InstanceSeen) -> str:
    return f"system {seen.system or 'unknown'}, instance {seen.instance or 'unknown'}"


def _failed(delivery: Delivery, why: str) -> Fault:
    of = attempt_under_way(delivery)
    where = f"{delivery.where}, {of.id}" if of else delivery.where
    what = f"The AMI {image(delivery)} has failed its launch test on {test_of(delivery).instance_type}: {why}."
    cure = (
        f"`ami-promoter status {delivery.ami}` shows the end of its console output. If it starts in other targets, "
        "compare instance type and subnet; else build a repaired AMI and tag that. If only the time was too short, "
        f"apply a longer `within` of launch_test; then `ami-promoter retry {delivery.ami}`."
    )
    return Fault("launch-test-failed", where, what, cure)


def untested(delivery: Delivery, why: str) -> Fault:
    """Return the fault of an AMI of which no launch test says anything."""
    what = f"The AMI {image(delivery)} could not be tested on {test_of(delivery).instance_type}: {why.rstrip('.')}."
    stays = "" if delivery.in_share_mode else "The AMI stays there, and nobody is notified of it. "
    cure = (
        f"{stays}Remove the cause; then `ami-promoter retry {delivery.ami} --account {delivery.target.account}` tests "
        "it again, without another copy."
    )
    return Fault("launch-not-tested", delivery.where, what, cure)


# --- the end of an instance -------------------------------------------------------------------------------------------


def terminations(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """List what is left to do until no instance can exist any more."""
    return (EndInstances(),) if delivery.launch.may_run and now >= delivery.launch.next_look else ()


def ended(event: InstancesEnded, delivery: Delivery, now: int) -> Delivery:
    """Keep the attempts whose instance still shows, or may show yet; after a day, as ``terminate_later``."""
    found = {one.token: one.id for one in event.seen}
    left = {one.id for one in event.seen if one.state != "terminated"}

    def looked_at(one: InstanceAttempt) -> InstanceAttempt:
        missed_since = 0 if one.nonce in found else one.missed_since or now
        return replace(one, id=one.id or found.get(one.nonce, ""), missed_since=missed_since)

    known = map(looked_at, delivery.launch.attempts)
    open_ = tuple(
        one for one in known if one.id in left or (one.missed_since and _may_show(one, one.missed_since, now))
    )
    after = delivery.with_launch(attempts=open_)
    return terminate_later(after, now, event.refusal) if open_ else after


def _may_show(attempt: InstanceAttempt, since: int, now: int) -> bool:
    """Whether an instance that looks have not shown since then may still exist: two must agree (invariant 5)."""
    return now < max(attempt.at + schedule.SILENCE, since + schedule.SECOND_LOOK_AFTER)


def terminate_later(before: Delivery, now: int, why: Fault | None) -> Delivery:
    """Try again; after a day the service gives up, and a fault names what may still run there. ``why``: a refusal."""
    looks = before.launch.looks
    delivery = before.with_launch(looks=looks + 1, next_look=now + schedule.step(END_LOOKS, looks))
    delivery = replace(delivery, last_refusal=why or before.last_refusal)
    if not delivery.launch.given_up:
        return delivery
    names = tuple(one.id or f"the instance with the client token {one.nonce}" for one in delivery.launch.attempts)
    after = delivery.with_cleanup(leftovers=(*delivery.cleanup.leftovers, *names))
    return replace(after, faults=(*delivery.faults, _left(delivery, names), *((why,) if why else ())))


def _left(delivery: Delivery, names: tuple[str, ...]) -> Fault:
    what = (
        "The instance of the launch test may still run, as for a day the account has not let the service end it: "
        f"{', '.join(names)}."
    )
    ids = " ".join(one.id or "ID" for one in delivery.launch.attempts)
    cure = (
        "Terminate it with that account's credentials: `aws ec2 terminate-instances --region "
        f"{delivery.target.region} --instance-ids {ids}`. Then find out who denies ec2:TerminateInstances to the "
        "launch role there."
    )
    return Fault("launch-instance-left", delivery.where, what, cure)
