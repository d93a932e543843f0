"""The executor of pointers, and what deliveries reach of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import ParkRecord, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Records
from chalicelib.engine.runner import Machine
from chalicelib.engine.stored import peek, read_item
from chalicelib.engine.waker import Clock, Waker
from chalicelib.images import deprecation
from chalicelib.images.family import parameter_of
from chalicelib.release import pointer as machine
from chalicelib.release.codec import POINTERS, offered_by, release_item
from chalicelib.release.current import Release, remembered
from chalicelib.release.pointer import Pointer
from chalicelib.release.ports import Parameters
from chalicelib.targets.applied_file import UNKNOWN_ACCOUNT, Target
from chalicelib.targets.organization import NOT_READ_YET
from chalicelib.targets.ports import Targets

POINTER_MACHINE: Machine[Pointer, machine.PointerCommand, machine.Event] = Machine(
    machine.outstanding,
    machine.evolve,
    looks=machine.looks,
    record_intent=machine.record_intent,
    between_writes=machine.between_writes,
    intended_call=machine.intended_call,
)


@dataclass(eq=False)
class PointerExecutor:
    """Executes a pointer's commands."""

    records: Records
    waker: Waker
    parameters: Parameters
    targets: Targets
    clock: Clock

    def execute(self, record: Pointer, command: machine.PointerCommand, _budget: Budget) -> machine.Event:
        """Execute one command; a refusal comes back as an event."""
        if isinstance(command, machine.WakeDeliveries):
            wakes = [(addresses.delivery(one), f"{record.key}:{record.next_try}") for one in command.deliveries]
            self.waker.wake_all(wakes)
            return machine.DeliveriesWoken(command.deliveries)
        if isinstance(command, machine.RetireCopy):
            return self._retire(record, command)
        looks = isinstance(command, machine.Look)
        releases = self._releases(record) if looks else record.releases
        left = frozenset[str]()  # recalled AMIs that it may name although the file no longer sets it
        try:
            target = self._target(record)
            wanted = target is not None and _sets(target, record)
            left = left if wanted else self.targets.recalled(record.may_name)
            if target is None or not (wanted or left or _names_taken_back(record, releases)):
                return machine.Unwanted(releases, left)
            if not looks:
                return machine.Changed() if self.parameters.change(target, record) else machine.Overtaken()
            recalled = self.targets.recalled([one.source for one in releases])
            pin = self.targets.pin(record.account, record.region, record.family)
            seen = self.parameters.look(target, record, [one.image for one in releases])
        except Refusal as refusal:
            return machine.PointerRefused(refusal.kind, refusal.fault, releases, refusal.unknown, left)
        return machine.Looked(releases, seen, recalled, pin, target.retire if wanted else None, unwanted=not wanted)

    def _retire(self, record: Pointer, command: machine.RetireCopy) -> machine.Event:
        """Deprecate one copy, if the file still wants that, and no operator has made another one current since.

        Or end that, if it is still the current one.
        """
        image = command.image
        try:
            target = self._target(record)
            if target is None or (command.at and not (target.retire and _sets(target, record))):
                return machine.CopyNotRetired(image)
            pin = self.targets.pin(record.account, record.region, record.family)
            if pin != record.pin or self.targets.recalled(record.may_name):
                return machine.CopyNotRetired(image, passing=True)  # it may be this one: a look shows that
            if command.at:
                self.parameters.deprecate(target, record, image, deprecation.as_of(command.at, self.clock()))
            else:
                self.parameters.end_retirement(target, record, image, record.own_dates[image].before)
        except Refusal as refusal:
            return machine.CopyNotRetired(image, refusal.fault, passing=refusal.kind in machine.PASSING)
        return machine.CopyRetired(image, ended=not command.at)

    def _target(self, record: Pointer) -> Target | None:
        """Return the target as the applied file has it; None if the file no longer has it."""
        found = self.targets.read().target(record.account, record.region)
        if isinstance(found, Fault) and found.code != UNKNOWN_ACCOUNT:
            raise Refusal(RefusalKind.THROTTLED if found.code == NOT_READ_YET else RefusalKind.DENIED, found)
        return found if isinstance(found, Target) else None

    def _releases(self, record: Pointer) -> tuple[Release, ...]:
        """List the releases there, and forget all but the newest.

        One that is damaged, or of a newer form, counts as the last look knew it: without it an older one were current.
        """
        found, known = list[Release](), {addresses.release(record.key, one.source): one for one in record.releases}
        for key, item in self.records.list(record.key.pk, addresses.RELEASE):
            try:
                found.append(read_item(Release, item, str(key)))
            except ParkRecord:
                found += [known[key]] if key in known else []
        kept = remembered(found, record.image)
        for one in found:
            if one not in kept:
                self.records.forget(addresses.release(record.key, one.source), {"kind": "release"})
        return tuple(kept)


def _names_taken_back(record: Pointer, releases: Iterable[Release]) -> bool:
    """Whether it names an AMI that was taken back, as its share has ended: no release has it any more."""
    return record.image not in ("", *(one.image for one in releases))


def _sets(target: Target, record: Pointer) -> bool:
    return parameter_of(target.ssm_parameter, record.family) == record.parameter


@dataclass(eq=False)
class RecordedPointers:
    """The pointers, as deliveries see them. Repeating is safe."""

    records: Records
    waker: Waker
    clock: Clock

    def offer(self, pointer: Pointer, release: Release) -> None:
        """Name an AMI as one of the family, and wake the pointer; it is made if it is the family's first there."""
        self.records.put(addresses.release(pointer.key, release.source), release_item(release))
        cause = f"{release.delivery}:{release.episode}:{self.clock()}"
        self.waker.wake(pointer.key, cause, fresh=POINTERS.encode(pointer))

    def take_back(self, pointer: Pointer, source: str, delivery: str, episode: int) -> None:
        """Take a shared AMI back, whose shares have closed, unless a later episode has offered it again."""
        self.records.forget(addresses.release(pointer.key, source), offered_by(delivery, episode))
        self.waker.wake(pointer.key, f"{delivery}:{episode}:back:{self.clock()}")

    def wake(self, key: addresses.RecordKey, cause: str) -> None:
        """Let a pointer look: an AMI of its family was recalled, or that was lifted."""
        self.waker.wake(key, f"{cause}:{self.clock()}")

    def look(self, key: addresses.RecordKey) -> Pointer | None:
        """Read a pointer; None if there is none, or it cannot be read."""
        return peek(self.records, key, POINTERS)
