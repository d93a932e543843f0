"""The lane of a promotion: from the tag to its deliveries, and to one summary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from chalicelib.core import addresses, codec, image_names, notices, preflight
from chalicelib.core.addresses import Key
from chalicelib.core.delivery import absorbing
from chalicelib.core.delivery.model import ENDED, Delivery, Snapshot, State
from chalicelib.core.errors import ParkRecord, Unreadable
from chalicelib.core.faults import Fault
from chalicelib.core.image import SourceImage, snapshots_to_copy
from chalicelib.core.promotion import machine
from chalicelib.core.promotion.model import EXPIRED, Child, Promotion
from chalicelib.core.targets import Resolution, Target
from chalicelib.ports import Children, LostRace, Notices, Records, Refusal, Source, Stored, Targets, Telemetry, Write
from chalicelib.service import deliveries
from chalicelib.service.bell import Bell, Clock
from chalicelib.service.lane import Lane

RUNNING = "running"
THERE = (State.DELIVERED, State.SHARED)
NOTHING_LEFT = ("failed", "cancelled", "withdrawn", EXPIRED)
BACK_AGAIN = ("cancelled", "withdrawn")
"""What starts anew where only the organisation changed: an account that had left. What failed there stays failed."""


@dataclass(frozen=True, slots=True)
class PromotionPorts:
    """What a promotion's lane works with, beside its record."""

    source: Source
    targets: Targets
    children: Children
    notices: Notices


class Promotions(Lane[Promotion, machine.Command, machine.Event]):
    """Works on one promotion at a time."""

    def __init__(
        self,
        records: Records,
        bell: Bell,
        clock: Clock,
        telemetry: Telemetry,
        ports: PromotionPorts,
        *,
        trigger_tag: str,
    ) -> None:
        super().__init__(records, bell, clock, telemetry)
        self._ports = ports
        self._trigger_tag = trigger_tag

    def perform(self, record: Promotion, command: machine.Command) -> machine.Event:
        """See Lane."""
        try:
            return self._perform_one(record, command)
        except Refusal as refusal:
            return machine.Hindered(refusal.fault)
        except LostRace as race:
            what = f"{race} was written by somebody else just then."
            return machine.Hindered(Fault("lost-race", record.where, what, "It is tried again by itself."))

    def _perform_one(self, promotion: Promotion, command: machine.Command) -> machine.Event:
        match command:
            case machine.LookAtTag():
                read = self._ports.source.tag(promotion.ami)
                return machine.TagSeen(read.value, read.image_state, read.image_name, read.ours)
            case machine.Examine(value):
                return machine.Paused() if self._paused() else self._examine(promotion, value)
            case machine.Expand(plan, chunk):
                return machine.Paused() if self._paused() else self._expand(promotion, plan, chunk)
            case machine.CancelOthers(keep, withdraw):
                self._cancel(promotion, keep, withdraw=withdraw)
                return machine.OthersCancelled()
            case machine.Count():
                return self._count(promotion)
            case machine.TellRefused(faults):
                self._ports.notices.publish(notices.refused(promotion, faults, self._clock()))
                return machine.RefusedTold()
            case machine.TellSummary(children):
                self._ports.notices.publish(notices.summary(promotion, children, self._clock()))
                return machine.SummaryTold(_standing(children))
            case _:
                assert_never(command)

    def _paused(self) -> bool:
        """Whether an operator has paused new promotions (`ami-promoter pause`). What runs goes on."""
        switch = self._records.get(addresses.SWITCH)
        return switch is not None and bool(switch.get("paused"))

    def _examine(self, promotion: Promotion, value: str) -> machine.Event:
        """Check value and source together, so that a person gets all faults at once."""
        resolution = self._ports.targets.resolve(value)
        if resolution.waits is not None:
            return machine.Hindered(resolution.waits)
        if promotion.refresh and not resolution.back_fill:
            resolution = resolution.only(promotion.places)
        read = self._ports.source.examine(promotion.ami)
        if read is None:
            what = "The AMI is not there any more, or does not belong to the hub."
            gone = Fault("source-gone", promotion.where, what, "Tag an AMI that the hub owns.")
            return machine.Examined(value, (), "", "", (*resolution.faults, gone), retry=False)
        image, key_facts = read
        opens = any(target.key_access != "none" for target in resolution.targets)
        faults = (
            *resolution.faults,
            *preflight.source_faults(
                image,
                promotion.hub,
                key_facts,
                trigger_tag=self._trigger_tag,
                opens_keys=opens or not resolution.targets,
            ),
            *preflight.method_faults(image, resolution.targets),
        )
        if not faults:
            body = json.dumps(image.to_json(), separators=(",", ":"))
            self._records.put(addresses.source_image(promotion.ami), {"kind": "image", "body": body})
        retry = not faults and self._anything_to_do(promotion, resolution)
        places = tuple(machine.place(target) for target in resolution.targets)
        plan = "" if faults else self._plan(promotion, resolution)
        return machine.Examined(value, places, plan, resolution.digest, faults, retry=retry, members=resolution.members)

    def _plan(self, promotion: Promotion, resolution: Resolution) -> str:
        """Write the targets and their settings beside the record: a thousand do not fit in it."""
        planned = [
            {"target": codec.encode(target), "groups": list(resolution.groups.get(machine.place(target), ()))}
            for target in resolution.targets
        ]
        plan = addresses.digest(json.dumps(planned, sort_keys=True), length=16)
        for start in range(0, len(planned), machine.CHUNK):
            key = addresses.plan(promotion.ami, plan, start // machine.CHUNK)
            self._records.put(key, {"kind": "plan", "body": json.dumps(planned[start : start + machine.CHUNK])})
        return plan

    def _expand(self, promotion: Promotion, plan: str, chunk: int) -> machine.Event:
        item = self._records.get(addresses.plan(promotion.ami, plan, chunk))
        if item is None:
            raise Unreadable(f"{promotion.key}: chunk {chunk} of its plan {plan} is not on record.")
        image = self._image(promotion)
        planned = json.loads(item["body"])
        later = [
            ident
            for one in planned
            if (ident := self._deliver(promotion, image, codec.decode(Target, one["target"]), tuple(one["groups"])))
        ]
        standing = any(one["target"].get("mode") == "share" for one in planned)
        return machine.Expanded(len(planned), tuple(later), standing)

    def _anything_to_do(self, promotion: Promotion, resolution: Resolution) -> bool:
        states = {(child.account, child.region): child.state for child in self._ports.children.all(promotion.ami)}
        wanted = (states.get((target.account, target.region), "new") for target in resolution.targets)
        again = BACK_AGAIN if promotion.refresh else NOTHING_LEFT
        return any(state == "new" or state in again for state in wanted)

    def _deliver(self, promotion: Promotion, image: SourceImage, target: Target, groups: tuple[str, ...]) -> str | None:
        """Put a delivery that is not there; open an ended one that failed again. Each write may be repeated.

        Returns its id where it is failing just now: it is to be opened again when it has ended.
        """
        ident = addresses.delivery_id(promotion.hub, promotion.ami, target.account, target.region)
        key = addresses.delivery(ident)
        try:
            stored = self._records.read(key)
            before = None if stored is None or stored.parked else deliveries.parse(stored)
        except ParkRecord:  # its own lane parks it; it is one target's trouble (law 7)
            self._bell.ring(key, f"expand:{promotion.ami}:{promotion.episode}")
            self._give_up(promotion, ident)
            return None
        if stored is not None and stored.parked:
            self._give_up(promotion, ident)
            return None
        if before is not None and (
            before.state in (State.DELIVERED, State.SHARED) or before.asked_by >= promotion.episode
        ):
            self._bell.ring(key, f"expand:{promotion.ami}:{promotion.episode}")
            return None
        if before is not None and before.state is State.FAILED and _passed_over(promotion, target):
            return None
        if before is not None and before.state not in ENDED:
            self._bell.ring(key, f"expand:{promotion.ami}:{promotion.episode}")
            return ident if before.ending is not None else None
        fresh = self._fresh(promotion, image, target, groups, ident, before)
        if fresh.shared:  # before it opens anything: discovery looks after what is noted there
            note = {"kind": "standing", "episode": promotion.episode}
            self._records.put(addresses.standing(promotion.ami), note)
        self._ports.children.add(promotion.ami, Child(ident, target.account, target.region, fresh.episode, RUNNING))
        write = Write(key, fresh.state.value, deliveries.plain(fresh), fresh.due_at)
        if stored is None:
            self._records.create(write, self._clock())
        elif not self._records.save(stored, write, [f"Reopened by episode {promotion.episode}"], self._clock()):
            raise LostRace(str(key))
        self._bell.ring(key, f"expand:{promotion.ami}:{promotion.episode}")
        return None

    def _give_up(self, promotion: Promotion, ident: str) -> None:
        """A delivery that was cancelled and cannot be read cannot start anew: it counts as failed."""
        for child in self._ports.children.all(promotion.ami):
            if child.delivery == ident and child.state == State.CANCELLED:
                failed = replace(child, episode=child.episode + 1, state=State.FAILED.value)
                self._ports.children.add(promotion.ami, failed)

    def _fresh(
        self,
        promotion: Promotion,
        image: SourceImage,
        target: Target,
        groups: tuple[str, ...],
        ident: str,
        before: Delivery | None,
    ) -> Delivery:
        by_id = {snapshot.id: snapshot for snapshot in image.snapshots}
        method, why = preflight.method(target, image)
        fresh = Delivery(
            id=ident,
            hub=promotion.hub,
            ami=promotion.ami,
            target=target,
            episode=1 if before is None else before.episode + 1,
            asked_by=promotion.episode,
            created_at=self._clock(),
            image_name=image_names.image_name(target.ami_name, image),
            source_name=image.name or "",
            groups=groups,
            snapshots=tuple(
                Snapshot(
                    snapshot, by_id[snapshot].key if by_id[snapshot].encrypted else None, by_id[snapshot].volume_size
                )
                for snapshot in snapshots_to_copy(image)
            ),
            heard={} if before is None else dict(before.heard),
            attempts=() if before is None else before.attempts,
            launched_by=_launched_by(target),
            via=_via(promotion, target),
            method=method,
            method_why=why,
        )
        return absorbing.started(fresh, self._clock())

    def _cancel(self, promotion: Promotion, keep: frozenset[str], *, withdraw: bool) -> None:
        for child in self._ports.children.all(promotion.ami):
            unwanted = f"{child.account}/{child.region}" not in keep
            if (child.state in (RUNNING, State.SHARED) and unwanted) or (child.state == State.SHARED and withdraw):
                cause = f"cancel:{promotion.ami}:{promotion.episode}"
                self._bell.note(addresses.delivery(child.delivery), {"cancel": f"{child.episode}:{cause}"}, cause)

    def _count(self, promotion: Promotion) -> machine.Event:
        children = tuple(self._ports.children.all(promotion.ami))
        if any(machine.to_end(promotion, child) for child in children) or machine.wanted_again(promotion, children):
            return machine.Counted(children)
        if children and promotion.summarised != promotion.episode:
            return self._perform_one(promotion, machine.TellSummary(children))
        return machine.SummaryTold(_standing(children))

    def _image(self, promotion: Promotion) -> SourceImage:
        item = self._records.get(addresses.source_image(promotion.ami))
        if item is None:
            raise Unreadable(f"{promotion.key}: its source image is not on record.")
        return SourceImage.from_json(json.loads(item["body"]))

    def decode(self, stored: Stored) -> Promotion:
        """See Lane."""
        return parse(stored)

    def encode(self, record: Promotion) -> Mapping[str, Any]:
        """See Lane."""
        return plain(record)

    def heard(self, record: Promotion, now: int) -> Sequence[machine.Event]:
        """See Lane."""
        return machine.heard(record, now)

    def outstanding(self, record: Promotion, now: int) -> Sequence[machine.Command]:
        """See Lane."""
        return machine.outstanding(record, now)

    def absorb(self, record: Promotion, event: machine.Event, now: int) -> Promotion:
        """See Lane."""
        return machine.absorb(record, event, now)

    def key(self, record: Promotion) -> Key:
        """See Lane."""
        return record.key

    def state(self, record: Promotion) -> str:
        """See Lane."""
        return record.state.value

    def due_at(self, record: Promotion) -> int | None:
        """See Lane."""
        return record.due_at


def _launched_by(target: Target) -> tuple[str, ...]:
    """Name the unit that the launch permission is to name, where the value's groups have the account by one."""
    shared = target.mode == "share" and target.launch_permission == "group"
    return (target.unit,) if shared and target.unit else ()


def _via(promotion: Promotion, target: Target) -> str:
    """Name the delivery that makes the hub's own copy first, where the target is to copy from there."""
    hub = target.by_way_of
    return addresses.delivery_id(promotion.hub, promotion.ami, hub, target.region) if hub else ""


def _standing(children: Sequence[Child]) -> bool:
    return any(child.state == State.SHARED for child in children)


def _passed_over(promotion: Promotion, target: Target) -> bool:
    """Whether a failed delivery is not meant: an operator asked for others, or only the organisation changed."""
    return promotion.refresh or (bool(promotion.only) and target.account not in promotion.only)


def parse(stored: Stored) -> Promotion:
    """Read a promotion from its item. Raises Unreadable."""
    try:
        return replace(codec.decode(Promotion, stored.body, str(stored.key)), hints=stored.hints)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def plain(record: Promotion) -> dict[str, Any]:
    """Turn a promotion into JSON values, without its hints."""
    values: dict[str, Any] = codec.encode(record)
    values.pop("hints")
    return values
