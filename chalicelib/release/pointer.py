"""The state machine of a pointer: the parameter in a target that names the current AMI of a family there.

What it must name is computed from the releases and from what the target shows available; the worker makes Parameter
Store agree with it. It never overwrites what is not the hub's: a value that no delivery of this family brought there.

PutParameter answers before AWS has checked a value of the data type ``aws:ec2:image``; a value that AWS refuses
changes nothing [aws-facts, Added end of November 2026, VERIFIED]. So a written value counts when it was read back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from chalicelib.engine import addresses, denials, schedule, transitions
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault, without_afterwards
from chalicelib.engine.transitions import Row, leads
from chalicelib.release.current import MOST, Release, current
from chalicelib.release.retirement import OwnDate, is_deprecated, to_deprecate
from chalicelib.targets.applied_file import Retirement
from chalicelib.targets.recalls import Pin

IMAGE_TYPE = "aws:ec2:image"
"""The data type of a parameter that AWS checks to be an AMI, and that a launch can resolve."""

READ_BACK: Sequence[int] = (5, 10, 20, 30, 60)
"""Seconds between looks at a written value."""

VALID_WITHIN = 10 * schedule.MINUTE
"""For this time AWS may still be checking a written value; and for this time a refusal counts as passing."""

LOOK_EVERY = schedule.DAY
RETIRED_AT_ONCE = 10
"""Copies that are deprecated between two writes of the record."""
AFTER_TROUBLE = 15 * schedule.MINUTE
"""Between looks while a passing trouble lasts longer than ``VALID_WITHIN``: ``LOOK_EVERY`` would be a day."""

PASSING = (RefusalKind.THROTTLED, RefusalKind.NOT_YET)
"""Kinds of refusals that pass by themselves."""
DENIALS = ("aws-AccessDenied", "aws-AccessDeniedException")


class PointerState(StrEnum):
    """What a pointer waits for."""

    RESTING = "resting"
    """the next AMI of its family there, or the daily look"""
    WRITING = "writing"
    """a written value to be read back"""


@dataclass(frozen=True, slots=True)
class Intent:
    """A change of the parameter. ``at``: when it was decided, then when it was asked for, in epoch seconds."""

    image: str
    """The AMI that it is to name; "": it is to be deleted."""
    over: str
    """What it showed: only this is overwritten; "": there was no parameter."""
    source: str
    at: int
    begun: int = 0
    """How often the call was begun: a process that was killed in it may have made it."""
    asked: bool = False
    """Whether Parameter Store has taken the call, or may have."""
    unsure: bool = False
    """Whether its answer was lost."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer's record; times are epoch seconds. ``releases`` are those of the last look, oldest first."""

    account: str
    region: str
    parameter: str
    family: str
    hub: str
    releases: tuple[Release, ...] = ()
    image: str = ""
    """The hub's AMI, or a copy of it, that the parameter named at the last look; "" if it named none."""
    architecture: str = ""
    """The architecture of the release that it names, or named last; "": it never named one."""
    intent: Intent | None = None
    settled: bool = False
    """Whether the last look led to the end: nothing is left to write or to try again now."""
    fault: Fault | None = None
    """Why the parameter does not name what is current."""
    pin: Pin | None = None
    """The release beyond which an operator does not let it go, as last seen."""
    retiring: Mapping[str, int] = field(default_factory=dict)
    """Superseded copies that are to be deprecated -> from when; 0: the current AMI, whose own date is to end."""
    retired: tuple[str, ...] = ()
    """Superseded copies that are deprecated: removable."""
    own_dates: Mapping[str, OwnDate] = field(default_factory=dict)
    """The deprecation dates of superseded copies that this service has written, or was about to write."""
    not_retired: Fault | None = None
    """Why a superseded copy could not be deprecated, or the deprecation of the current AMI could not end."""
    waiting: tuple[str, ...] = ()
    """Deliveries to wake when it is at rest."""
    tries: int = 0
    since: int = 0
    """When the present tries began."""
    next_try: int | None = 0
    """When to look, or to try, again; None: not by itself, as it has no release, and may name no AMI of the hub."""
    unwanted: bool = False
    """Whether the targets file did not set it at the last look: it only moves off what is recalled or withdrawn."""
    inbox: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> addresses.RecordKey:
        """Where it is stored."""
        return addresses.pointer(self.account, self.region, self.parameter)

    @property
    def state(self) -> PointerState:
        """What it waits for."""
        return PointerState.RESTING if self.settled or self.intent is None else PointerState.WRITING

    @property
    def where(self) -> str:
        """The parameter's place, for messages."""
        return f"account {self.account}, {self.region}, parameter {self.parameter}"

    @property
    def named(self) -> Release | None:
        """The release that it names; None: it names none that the hub knows."""
        return next((one for one in self.releases if one.image == self.image), None)

    @property
    def launchable(self) -> tuple[Release, ...]:
        """The releases of its architecture, which its users can run; all if it never named one."""
        return tuple(one for one in self.releases if self.architecture in ("", one.architecture))

    @property
    def source(self) -> str:
        """The hub's AMI of what it names; "" if it names none of the family."""
        return self.named.source if self.named else ""

    @property
    def may_name(self) -> frozenset[str]:
        """The hub's AMIs that it may name, as far as known: by the last look, or by a value that is to be read back."""
        return frozenset({self.source, self.image, self.intent.source if self.intent else ""} - {""})

    @property
    def full(self) -> bool:
        """Whether it forgets a release for each newer one."""
        return len(self.releases) >= MOST

    def passes_over(self, release: Release) -> bool:
        """Whether it is at rest, and a release is older than all that it remembers: that one is never current."""
        return self.settled and self.full and release.order < self.releases[-MOST].order

    def considers(self, delivery: str, episode: int) -> bool:
        """Whether it is at rest, and a delivery's release was among those of the last look."""
        return self.settled and any((one.delivery, one.episode) == (delivery, episode) for one in self.releases)


# --- commands and events ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """Read the releases, the parameter, and which of their AMIs the target shows available."""


@dataclass(frozen=True, slots=True)
class ChangeParameter:
    """PutParameter or DeleteParameter, if the parameter still shows what it showed."""


@dataclass(frozen=True, slots=True)
class RetireCopy:
    """EnableImageDeprecation for a superseded copy. ``at`` 0: it is current again, and gets back the date of before."""

    image: str
    at: int


@dataclass(frozen=True, slots=True)
class WakeDeliveries:
    """Wake the deliveries that wait for it."""

    deliveries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownParameter:
    """A parameter as Parameter Store shows it."""

    value: str
    data_type: str = IMAGE_TYPE


@dataclass(frozen=True, slots=True)
class SeenParameter:
    """A parameter, None if there is none, and which of the AMIs that were asked for the account can launch."""

    shown: ShownParameter | None
    available: frozenset[str]
    """Of the releases' AMIs, and of ``shown``'s."""
    deprecated: Mapping[str, str] = field(default_factory=dict)
    """The deprecation dates of these AMIs, as EC2 writes them."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look has shown."""

    releases: tuple[Release, ...]
    seen: SeenParameter
    recalled: frozenset[str] = frozenset()
    """Of the releases' sources."""
    pin: Pin | None = None
    rule: Retirement | None = None
    """When superseded copies are to be deprecated, by the applied file; None: never."""
    unwanted: bool = False
    """Whether the targets file no longer sets this parameter for the target; it names what was taken back."""


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The targets file no longer sets this parameter for the target: what it shows stays."""

    releases: tuple[Release, ...]
    recalled: frozenset[str] = frozenset()
    """Of what it may name: ``may_name``."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Parameter Store has taken the change."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The parameter no longer showed what it had shown, so it was left as it is."""


@dataclass(frozen=True, slots=True)
class PointerRefused:
    """A command was not executed, or it is not known whether it was (``unknown``)."""

    kind: RefusalKind
    fault: Fault
    releases: tuple[Release, ...]
    unknown: bool = False
    recalled: frozenset[str] = frozenset()
    """What it may name and is to move off, if the targets file no longer sets it."""


@dataclass(frozen=True, slots=True)
class CopyRetired:
    """A superseded copy is deprecated; or (``ended``) the current AMI has the date of before it was superseded."""

    image: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class CopyNotRetired:
    """A deprecation, or the end of one, failed; ``fault`` None: a look must tell whether it is still to be."""

    image: str
    fault: Fault | None = None
    passing: bool = False
    """Whether another try soon may help."""


@dataclass(frozen=True, slots=True)
class DeliveriesWoken:
    """Those deliveries were woken."""

    deliveries: tuple[str, ...]


PointerCommand = Look | ChangeParameter | RetireCopy | WakeDeliveries
Event = Looked | Unwanted | Changed | Overtaken | PointerRefused | CopyRetired | CopyNotRetired | DeliveriesWoken


def outstanding(pointer: Pointer, now: int) -> tuple[PointerCommand, ...]:
    """List what is left to do now."""
    if pointer.settled and pointer.waiting:
        return (WakeDeliveries(pointer.waiting),)
    if pointer.retiring:
        return tuple(RetireCopy(*one) for one in list(pointer.retiring.items())[:RETIRED_AT_ONCE])
    if pointer.next_try is None or now < pointer.next_try:
        return ()
    to_change = pointer.intent is not None and not pointer.intent.asked
    return (ChangeParameter(),) if to_change else (Look(),)


def looks(pointer: Pointer, _now: int) -> tuple[PointerCommand, ...]:
    """Return what a wake asks for: what is delivered, taken back or repaired shows in a look alone."""
    to_change = pointer.intent is not None and not pointer.intent.asked
    return () if to_change else (Look(),)


def record_intent(pointer: Pointer, commands: Sequence[PointerCommand], _now: int) -> Pointer:
    """Return the pointer to write before the commands are executed."""
    intent = pointer.intent
    if intent is None or ChangeParameter() not in commands:
        return pointer
    return replace(pointer, intent=replace(intent, begun=intent.begun + 1))


def between_writes(command: PointerCommand) -> bool:
    """Whether it changes anything, so that the record must be written before it and after it."""
    return not isinstance(command, Look)


def intended_call(pointer: Pointer, command: PointerCommand) -> str:
    """Return the API call and its resource, for the history."""
    if isinstance(command, RetireCopy):
        gets = command.at or pointer.own_dates[command.image].before
        return f"{'Enable' if gets else 'Disable'}ImageDeprecation {command.image}"
    if not isinstance(command, ChangeParameter) or pointer.intent is None:
        return ""
    return f"{'PutParameter' if pointer.intent.image else 'DeleteParameter'} {pointer.parameter}"


def evolve(pointer: Pointer, event: Event, now: int) -> Pointer:
    """Return the pointer as it is after the event. Raises IllegalEvent."""
    return transitions.evolve(TRANSITIONS, pointer, event, now)


def _looked(event: Looked, pointer: Pointer, now: int) -> Pointer:
    """Compare. An AMI that was just offered, and that EC2 does not show as available yet, has ten minutes to show."""
    after = _compared(event, replace(pointer, unwanted=event.unwanted), now)
    late = any(
        one.delivery in after.waiting and one.image not in event.seen.available and one.source not in event.recalled
        for one in event.releases
    )
    if after.settled and late and _is_early(pointer, now):
        return _again(replace(after, since=pointer.since, tries=pointer.tries), now, READ_BACK)
    now_current = current(after.launchable, event.seen.available, event.recalled, event.pin)
    right = after.fault is None or (now_current is not None and now_current == after.named)
    return _with_superseded(after, event, now) if after.settled and right else after


def _with_superseded(pointer: Pointer, event: Looked, now: int) -> Pointer:
    """Compare the superseded copies with the dates that they are to have; the parameter names what is current."""
    usable = {one.image for one in event.releases if one.source not in event.recalled} & event.seen.available
    own = _own_dates(pointer, event, usable)
    pointer = _back_again(replace(pointer, own_dates=own), event, now)
    # Without a rule, nothing more is deprecated; nor if the pointer has a fault, nor for another architecture's AMI, as
    # nobody has said whether one of two supersedes the other. What was deprecated stays so, unless it is current again.
    if event.rule is None or pointer.fault is not None:
        stay = {*pointer.retired} & {*event.seen.deprecated} - {pointer.image}
        return replace(pointer, retired=tuple(sorted(stay)), not_retired=None)
    pinned = {one.image for one in event.releases if event.pin is not None and one.source == event.pin.source}
    alike = usable & {one.image for one in pointer.launchable}
    wanted = to_deprecate(event.releases, alike, {pointer.image, *pinned}, event.rule, now)
    left = {image: at for image, at in wanted.items() if not is_deprecated(event.seen.deprecated, image, at)}
    done = tuple(image for image, at in wanted.items() if image not in left and at <= now)
    dated = dict(own)
    for image, at in left.items():
        before = own[image].before if image in own else event.seen.deprecated.get(image, "")
        dated[image] = OwnDate(max(at, now), before)
    retiring = {**pointer.retiring, **left}
    return replace(pointer, retiring=retiring, retired=done, own_dates=dated, not_retired=None)


def _own_dates(pointer: Pointer, event: Looked, usable: Collection[str]) -> dict[str, OwnDate]:
    """Return the dates of this service that still count, without those over which somebody else has written.

    Of what is not usable all count: no date is read of what is disabled, and the lift of a recall brings back the date
    that the recall has found.
    """
    remembered = {one.image for one in event.releases}
    return {
        one: date
        for one, date in pointer.own_dates.items()
        if one in remembered and (one not in usable or date.may_show(event.seen.deprecated.get(one, "")))
    }


def _back_again(pointer: Pointer, event: Looked, now: int) -> Pointer:
    """End the service's own deprecation of what is current again. If EC2 may not show its date yet, look again soon."""
    date = pointer.own_dates.get(pointer.image)
    if date is None:
        return pointer
    if date.is_shown(event.seen.deprecated.get(pointer.image, "")):
        return replace(pointer, retiring={pointer.image: 0}) if date.is_in_the_way(now) else pointer
    early = date.at <= now < date.at + VALID_WITHIN
    return replace(pointer, next_try=now + AFTER_TROUBLE) if early else pointer


def _compared(event: Looked, pointer: Pointer, now: int) -> Pointer:
    """Compare what the parameter shows with what it must name, and intend a change, look again, or rest."""
    before, shown = pointer.releases, event.seen.shown
    pointer = replace(_with_releases(pointer, event.releases), retiring={})
    if shown is not None and (fault := _not_ours(pointer, before, shown)):
        return _rest(replace(pointer, image=""), now, None if pointer.unwanted else fault)
    value = "" if shown is None else shown.value
    pointer = replace(pointer, image=value, pin=event.pin)
    pointer = replace(pointer, architecture=pointer.named.architecture if pointer.named else pointer.architecture)
    intent = pointer.intent
    if intent is not None and value != intent.image and now < intent.at + VALID_WITHIN:
        return _again(pointer, now, READ_BACK)
    of_any = current(event.releases, event.seen.available, event.recalled, event.pin)
    if of_any is None:
        return _nothing_current(pointer, event, now)
    of_its_own = current(pointer.launchable, event.seen.available, event.recalled, event.pin)
    if of_its_own is None and pointer.named:
        return _rest(pointer, now, _dangling(pointer, event))
    now_current = of_its_own or of_any
    if value == now_current.image:
        return _rest(pointer, now, _other_architecture(pointer, of_any))
    if intent is not None and intent.image == now_current.image:
        return _rest(pointer, now, _not_valid(pointer, now_current), AFTER_TROUBLE if intent.unsure else LOOK_EVERY)
    return _intend(pointer, Intent(now_current.image, value, now_current.source, now), now)


def _with_releases(pointer: Pointer, releases: tuple[Release, ...]) -> Pointer:
    """Return it with the releases of a look; deliveries that are new among them wait for where it leads."""
    known = {(one.delivery, one.episode) for one in pointer.releases}
    new = [one.delivery for one in releases if (one.delivery, one.episode) not in known]
    return replace(pointer, releases=releases, waiting=tuple(dict.fromkeys((*pointer.waiting, *new))))


def _nothing_current(pointer: Pointer, event: Looked, now: int) -> Pointer:
    """Where no AMI of the family can be launched, delete the name of one that was shared; leave that of a copy."""
    named = next((one for one in event.releases if one.image == pointer.image), None)
    if not pointer.image:
        return _rest(pointer, now)
    gone = named is None and pointer.image not in event.seen.available
    if gone or (named is not None and named.shared):
        return _intend(pointer, Intent("", pointer.image, "", now), now)
    if named is None and _is_early(pointer, now):  # it was taken back, and EC2 may show it yet
        return _again(pointer, now, schedule.POLLS)
    return _rest(pointer, now, _dangling(pointer, event))


def _intend(pointer: Pointer, intent: Intent, now: int) -> Pointer:
    return replace(pointer, intent=intent, settled=False, fault=None, since=pointer.since or now, next_try=now)


def _rest(
    pointer: Pointer, now: int, fault: Fault | None = None, wait: int = LOOK_EVERY, intent: Intent | None = None
) -> Pointer:
    """End the tries. ``intent``: a change to be read back by the next look."""
    named = pointer.releases or pointer.image or intent
    next_try = now + wait if named else None
    return replace(pointer, intent=intent, settled=True, fault=fault, tries=0, since=0, next_try=next_try)


def _again(pointer: Pointer, now: int, steps: Sequence[int]) -> Pointer:
    wait, since = schedule.step(steps, pointer.tries), pointer.since or now
    return replace(pointer, settled=False, tries=pointer.tries + 1, since=since, next_try=now + wait)


def _is_early(pointer: Pointer, now: int) -> bool:
    """Whether the present tries may go on."""
    return not pointer.since or now < pointer.since + VALID_WITHIN


def _unwanted(event: Unwanted, pointer: Pointer, now: int) -> Pointer:
    known = _with_releases(pointer, event.releases)
    fault = _names_recalled(pointer, min(event.recalled)) if event.recalled else None
    return _unset(_rest(known, now, fault, intent=_may_have_written(pointer.intent, now)))


def _unset(pointer: Pointer) -> Pointer:
    return replace(pointer, unwanted=True, retiring={}, retired=(), not_retired=None)


def _changed(_event: Changed, pointer: Pointer, now: int) -> Pointer:
    asked = pointer.intent and replace(pointer.intent, asked=True, at=now)
    return _again(replace(pointer, intent=asked), now, READ_BACK)


def _overtaken(_event: Overtaken, pointer: Pointer, now: int) -> Pointer:
    return _again(replace(pointer, intent=None), now, READ_BACK)


def _copy_retired(event: CopyRetired, pointer: Pointer, now: int) -> Pointer:
    at = pointer.retiring.get(event.image, now + 1)
    if event.ended is bool(at):  # another run has changed meanwhile what is to become of it: a look shows what it has
        return replace(pointer, next_try=now)
    left = {image: other for image, other in pointer.retiring.items() if image != event.image}
    own = {image: date for image, date in pointer.own_dates.items() if image != event.image}
    date = pointer.own_dates.get(event.image)
    if date and at:
        own[event.image] = replace(date, at=max(date.at, now))
    retired = (*pointer.retired, event.image) if 0 < at <= now else pointer.retired
    return replace(pointer, retiring=left, retired=retired, own_dates=own)


def _copy_not_retired(event: CopyNotRetired, pointer: Pointer, now: int) -> Pointer:
    """Leave the others for the next look, which comes soon if that may help.

    But if only the end of a deprecation was refused, go on to deprecate: that takes another right.
    """
    soon = now + AFTER_TROUBLE if event.passing else pointer.next_try
    goes_on = event.fault is not None and pointer.retiring.get(event.image) == 0
    left = {image: at for image, at in pointer.retiring.items() if goes_on and at}
    return replace(pointer, retiring=left, not_retired=event.fault, next_try=soon)


def _woken(event: DeliveriesWoken, pointer: Pointer, _now: int) -> Pointer:
    return replace(pointer, waiting=tuple(one for one in pointer.waiting if one not in event.deliveries))


def _refused(event: PointerRefused, pointer: Pointer, now: int) -> Pointer:
    """Try again what passes by itself, for ten minutes; then look every quarter of an hour, and deliveries go on."""
    pointer = _with_releases(pointer, event.releases)
    fault = _refusal(pointer, event.fault)
    if event.recalled:
        pointer, fault = _unset(pointer), _names_recalled(pointer, min(event.recalled), event.fault)
    intent = _may_have_written(pointer.intent, now, unknown=event.unknown)
    passing = event.kind in PASSING
    if passing and _is_early(pointer, now):
        return _again(replace(pointer, intent=intent), now, schedule.RETRIES)
    wait = AFTER_TROUBLE if passing else LOOK_EVERY
    return _rest(pointer, now, fault, wait, intent)


def _may_have_written(intent: Intent | None, now: int, *, unknown: bool = False) -> Intent | None:
    """Return a change that Parameter Store may have taken: it is read back, and its value counts as the hub's."""
    if intent is None or intent.asked:
        return intent
    return replace(intent, asked=True, unsure=True, at=now) if unknown or intent.begun > 1 else None


TRANSITIONS: Mapping[PointerState, Row[Pointer]] = {
    PointerState.RESTING: {
        Looked: leads(_looked, PointerState.RESTING, PointerState.WRITING),
        Unwanted: leads(_unwanted, PointerState.RESTING),
        PointerRefused: leads(_refused, PointerState.RESTING, PointerState.WRITING),
        CopyRetired: leads(_copy_retired, PointerState.RESTING),
        CopyNotRetired: leads(_copy_not_retired, PointerState.RESTING),
        DeliveriesWoken: leads(_woken, PointerState.RESTING),
    },
    PointerState.WRITING: {
        Looked: leads(_looked, PointerState.RESTING, PointerState.WRITING),
        Unwanted: leads(_unwanted, PointerState.RESTING),
        Changed: leads(_changed, PointerState.WRITING),
        Overtaken: leads(_overtaken, PointerState.RESTING),
        PointerRefused: leads(_refused, PointerState.RESTING, PointerState.WRITING),
    },
}
"""PointerState -> event -> what it changes, and the states that can follow."""


# --- faults -----------------------------------------------------------------------------------------------------------


def _not_ours(pointer: Pointer, before: Sequence[Release], shown: ShownParameter) -> Fault | None:
    """Return why the parameter is not the hub's to change; None: it is. ``before``: the releases of the look before."""
    delete = f"`aws ssm delete-parameter --name {pointer.parameter}` in that account and Region"
    cure = f"If nobody needs it, {delete}; or name another `ssm_parameter` in the targets file. {_retry(pointer)}"
    if shown.data_type != IMAGE_TYPE:
        what = f"It has the data type {shown.data_type}, which AWS cannot change; it must be {IMAGE_TYPE}."
        return Fault("pointer-other-type", pointer.where, what, cure)
    intended = pointer.intent.image if pointer.intent else ""
    if shown.value in {one.image for one in (*pointer.releases, *before)} | {pointer.image, intended} - {""}:
        return None
    what = f"It names {shown.value[:80]!a}, which this hub has not delivered there as `{pointer.family}`."
    return Fault("pointer-not-ours", pointer.where, what, cure)


def _not_valid(pointer: Pointer, wanted: Release) -> Fault:
    what = f"AWS took the value {wanted.image}, but has not shown it within ten minutes."
    cure = f"Look whether the account can launch that AMI, and for events `Parameter Store Change`. {_retry(pointer)}"
    return Fault("pointer-not-valid", pointer.where, what, cure)


def _other_architecture(pointer: Pointer, wanted: Release) -> Fault | None:
    named = pointer.named
    if named is None or named.architecture == wanted.architecture:
        return None
    what = (
        f"It names {named.image}, which is {named.architecture}; {wanted.image}, the newest of the family, is "
        f"{wanted.architecture}. What launches from it could not run that."
    )
    cure = f"Give each architecture a family of its own: tag the source, and promote it again. {_retry(pointer)}"
    return Fault("pointer-other-architecture", pointer.where, what, cure)


def _refusal(pointer: Pointer, fault: Fault) -> Fault:
    """Return a refusal with the cure for a pointer: no delivery fails by it, so nothing is to be tagged again."""
    lacks = fault.code in DENIALS and denials.is_lack(fault.what)
    cure = prefix_cure(pointer.parameter) if lacks else without_afterwards(fault.cure)
    return replace(fault, cure=f"{cure} {_retry(pointer)}")


def prefix_cure(parameter: str) -> str:
    """Return what lets the copy role write a parameter of this name."""
    prefix = re.sub("(/[^/]*/).*", r"\1", parameter)
    return (
        "Update the stack of deploy/target.yaml there (of OUs, that of deploy/target-stackset.yaml) with "
        f"ParameterPrefix={prefix}, or another path that the name begins with."
    )


def _dangling(pointer: Pointer, event: Looked) -> Fault:
    if pointer.unwanted and pointer.source in event.recalled:
        return _names_recalled(pointer, pointer.source)
    reasons = {
        "recalled": any(one.source in event.recalled for one in event.releases),
        "not available": any(one.image not in event.seen.available for one in event.releases),
        "newer than a rollback allows": any(event.pin and one.order > event.pin.order for one in event.releases),
        "of another architecture": any(one not in pointer.launchable for one in event.releases),
    }
    why = " or ".join(reason for reason, holds in reasons.items() if holds)
    why = f"each is {why}" if why else "none is delivered or shared"
    what = f"It names {pointer.image}. No AMI of the family `{pointer.family}` can be current there: {why}."
    cure = (
        "Promote another AMI of the family, or end a rollback that is in the way; or delete the parameter there. "
        f"{_retry(pointer)}"
    )
    return Fault("pointer-nothing-current", pointer.where, what, cure)


def _names_recalled(pointer: Pointer, source: str, refusal: Fault | None = None) -> Fault:
    what = f"It may name {source}, or its copy, which is recalled. The targets file no longer sets it for this target."
    what += f" {refusal.what}" if refusal else ""
    cure = (
        "Change or delete it there. Where the service cannot look, the fault stays until the file sets it again, or "
        "the recall is lifted."
    )
    return Fault("pointer-names-recalled", pointer.where, what, cure)


def _retry(pointer: Pointer) -> str:
    """Return what makes the service look again: the end of a cure."""
    if not pointer.releases:
        return "The service looks again with the next AMI of the family."
    newest = max(pointer.releases, key=lambda one: one.order)
    return f"Then `ami-promoter retry {newest.source} --account {pointer.account}`."
