"""Pointers as data and as text: the parameter in a target that names a family's current AMI there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from ami_promoter.hub.records import RecordSeen, place_of
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import alike, groups, named
from ami_promoter.terminal.output import Folded
from chalicelib.delivery import naming
from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import Fault
from chalicelib.images.image import SourceImage
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets.applied_file import Target
from chalicelib.targets.recalls import Pin

Pointers = Mapping[RecordKey, RecordSeen[Pointer]]
"""Pointers that were read, by their record keys."""

_IMAGE = js.perhaps(
    js.text("id of the AMI that it named when the service last looked; null: none that this hub delivered there")
)
_PINNED = js.perhaps(js.text("id of the source AMI at which a rollback holds it; null: no rollback does"))
_PINNED_WHY = js.text("the reason of that rollback; empty: nobody gave one")
_SOURCE = js.perhaps(js.text("id of the source of that AMI; null: not known"))
SCHEMA = js.thing(
    "the parameter of the AMI's family in the target",
    parameter=js.perhaps(js.text("its name; null: the source's tag names no family that can be used")),
    image=_IMAGE,
    source=_SOURCE,
    made_at=js.perhaps(js.text("creation date of that source, as EC2 writes it: the newest is current")),
    pinned=_PINNED,
    pinned_why=_PINNED_WHY,
    retired=js.flag("whether this delivery's AMI is superseded and deprecated, so that its account can remove it"),
    why=js.text("why it does not name this delivery's AMI; empty: it does, or the fault says why"),
    fault=js.perhaps(js.described("why it does not name what is current; null: no fault", js.FAULT)),
)
LISTED = {
    **js.PLACE,
    "parameter": js.text("name of the parameter"),
    "family": js.text("the family whose current AMI it is to name"),
    "image": _IMAGE,
    "source": _SOURCE,
    "pinned": _PINNED,
    "pinned_why": _PINNED_WHY,
}
AT_FAULT = js.thing("a pointer with a fault", **LISTED, fault=js.FAULT)
RETIRED = {
    "retired": js.several(
        "superseded copies that are deprecated, and so removable, by family, target and age",
        js.thing(
            "an AMI",
            **js.PLACE,
            family=js.text("its family"),
            image=js.text("id of the AMI"),
            source=js.text("id of its source"),
            made_at=js.text("creation date of that source, as EC2 writes it"),
        ),
    ),
    "not_retired": js.several("pointers whose superseded copies could not be deprecated", AT_FAULT),
}
HAS_RETIRED = 'retired"'
"""The body of a pointer contains it where copies are, or could not be, retired."""


PLANNED = js.thing(
    "the parameter that names the family's current AMI in the target",
    parameter=js.text("its name"),
    image=_IMAGE,
    why=js.text("why it will not name this AMI now; empty: it will"),
    counts=js.flag("whether the AMI counts for it from then on; false: it does already, or nothing changes that now"),
)


def key_of(delivery: RecordSeen[Delivery]) -> RecordKey | None:
    """Return the record key of the pointer that names, or is about to name, a delivery's AMI; None: there is none."""
    counts = delivery.state in (*GOOD, DeliveryState.PUBLISHING) and delivery.it.naming.parameter
    return naming.pointer(delivery.it).key if counts else None


def troubled(pointer: RecordSeen[Pointer]) -> bool:
    """Whether a retry of the delivery can help its pointer."""
    return bool(pointer.it.fault or pointer.parked or pointer.damage or not pointer.it.settled)


def of_delivery(delivery: RecordSeen[Delivery], found: Pointers) -> dict[str, Any] | None:
    """Show a delivery's pointer; None: its AMI has none, or does not stand in the target."""
    known, key = delivery.it.naming, key_of(delivery)
    if key is None:
        stands = delivery.state in (*GOOD, DeliveryState.PUBLISHING)
        unusable = known.fault if stands else None
        return None if unusable is None else _shown(None, None, "", unusable)
    record = found.get(key)
    if record is None:
        lost = f"Its record is lost; it named {known.shows} when this AMI was delivered." if known.shows else ""
        why = "" if known.fault else lost or "It does not exist yet."
        return _shown(known.parameter, None, why, known.fault)
    pointer = record.it
    names = pointer.named or (Release("", "", pointer.image) if pointer.image else None)
    late = None if pointer.settled else known.fault
    fault = _parked(record, delivery.it) or next(iter(record.faults), None) or pointer.fault or late
    shown = _shown(known.parameter, names, "" if fault else _why(delivery.it, pointer, names), fault)
    retired = delivery.it.image.id in pointer.retired
    return {**shown, **_pin(pointer), "retired": retired}


def _shown(parameter: str | None, names: Release | None, why: str, fault: Fault | None) -> dict[str, Any]:
    return {
        "parameter": parameter,
        "image": names.image if names else None,
        "source": (names.source or None) if names else None,
        "made_at": (names.made_at or None) if names else None,
        "pinned": None,
        "pinned_why": "",
        "retired": False,
        "why": why,
        "fault": None if fault is None else fault.to_json(),
    }


def _pin(pointer: Pointer) -> dict[str, str | None]:
    pin = pointer.pin
    return {"pinned": pin.source if pin else None, "pinned_why": pin.why if pin else ""}


def held(why: str, at: str = "there") -> str:
    """Return the end of a sentence, after an article: that a rollback holds a parameter, and why."""
    return f"rollback holds it {at}{f': {why}' if why else ''}".rstrip(".") + "."


def _parked(record: RecordSeen[Pointer], delivery: Delivery) -> Fault | None:
    if not record.parked:
        return None
    cure = f"`ami-promoter retry {delivery.ami} --account {delivery.target.account}` lets it continue."
    return Fault("pointer-parked", delivery.where, f"The record of this parameter is parked: {record.parked}", cure)


def _why(delivery: Delivery, pointer: Pointer, names: Release | None) -> str:
    """Return in a sentence why it does not name this delivery's AMI; "": it does."""
    own = delivery.ami if delivery.in_share_mode else delivery.image.id
    if names is not None and names.image == own:
        return ""
    if not pointer.settled:
        return "It is being brought up to date."
    if pointer.unwanted:
        lost = "The targets file no longer sets it for this target: it only moves off what is recalled or withdrawn."
        return f"{lost} If the file names another one, `ami-promoter retry {delivery.ami}` lets this AMI count there."
    mine = next((one for one in pointer.releases if one.source == delivery.ami), None)
    if mine is not None and pointer.pin is not None and mine.order > pointer.pin.order:
        said = f"It names {names.image if names else 'no AMI'}: a {held(pointer.pin.why, f'at {pointer.pin.source}')}"
        return said if names else f"{said} `ami-promoter retry {pointer.pin.source}` lets that AMI count for it."
    if names is None:
        return "It names no AMI: the target shows none of the family available."
    if mine is not None and mine.order > names.order:
        return f"It names {names.image}: the target does not show this AMI available."
    if mine is None and not delivery.naming.offered_at:
        return f"It names {names.image}, until the service has looked at this AMI."
    return f"It names {names.image} from {names.source}, which is newer."


def key_for(image: SourceImage, target: Target) -> RecordKey | None:
    """Return the record key of the pointer that an AMI has in a target; None: it has none."""
    parameter = naming.begun(image, target).parameter
    return addresses.pointer(target.account, target.region, parameter) if parameter else None


def pin_for(image: SourceImage, target: Target) -> RecordKey | None:
    """Return the record key of the pin that can hold that pointer; None: the AMI has no pointer there."""
    named = naming.begun(image, target)
    return addresses.pin(target.account, target.region, named.family) if named.parameter else None


def planned(image: SourceImage, target: Target, found: Pointers, pin: Pin | None) -> dict[str, Any] | None:
    """Say whether a promotion will move the pointer, as far as the hub knows; None: there is no pointer."""
    key = key_for(image, target)
    if key is None:
        return None
    record = found.get(key)
    names = None if record is None else record.it.named
    why = _why_not(image, None if record is None else record.it, pin)
    parameter = naming.begun(image, target).parameter
    return {"parameter": parameter, "image": names.image if names else None, "why": why}


def _why_not(image: SourceImage, pointer: Pointer | None, pin: Pin | None) -> str:
    """Return in a sentence why a pointer would not name an AMI that is promoted now; "": it would."""
    order = (image.creation_date or "", image.id)
    if pin is not None and order > pin.order:
        return f"A {held(pin.why, f'at {pin.source}')}"
    if pointer is None:
        return ""
    names = pointer.named
    if names is not None and names.order > order:
        return f"It names {names.image} from {names.source}, which is newer."
    if pointer.fault is not None:
        return f"It has a fault: {pointer.fault.what}"
    if not pointer.launchable or pointer.architecture in ("", image.architecture):
        return ""
    named = f"names {names.image}, which" if names else "last named an AMI that"
    return f"It {named} is {pointer.architecture}."


def remark(family: str, pointer: Mapping[str, Any]) -> tuple[str, str]:
    """Write a delivery's pointer for a terminal, as (what, cure); cure "": nothing to do."""
    fault = pointer["fault"] or {}
    of = f"family {family}, parameter {pointer['parameter']}: " if pointer["parameter"] else ""
    own = f"It names this AMI, and a {held(pointer['pinned_why'])}" if pointer["pinned"] else "It names this AMI."
    says = str(fault.get("what") or pointer["why"] or own)
    says += " This AMI is superseded and deprecated: its account can remove it." if pointer["retired"] else ""
    return f"{of}{says}", str(fault.get("cure", ""))


def at_fault(found: Iterable[RecordSeen[Pointer]]) -> list[dict[str, Any]]:
    """Show the pointers that have a fault, by family, account and Region. Parked ones are not among them."""
    return _faulty(found, lambda pointer: pointer.fault)


def retired(found: Iterable[RecordSeen[Pointer]]) -> list[dict[str, str]]:
    """Show the copies that the accounts' administrators can remove, by family, account, Region and age."""
    every = [(one.it, release) for one in found for release in one.it.releases if release.image in one.it.retired]
    every.sort(key=lambda pair: (pair[0].family, pair[0].account, pair[0].region, pair[1].order))
    return [
        {
            "account": pointer.account,
            "region": pointer.region,
            "family": pointer.family,
            "image": release.image,
            "source": release.source,
            "made_at": release.made_at,
        }
        for pointer, release in every
    ]


def not_retired(found: Iterable[RecordSeen[Pointer]]) -> list[dict[str, Any]]:
    """Show the pointers whose superseded copies could not be deprecated; ``fault`` says why."""
    return _faulty(found, lambda pointer: pointer.not_retired)


def _faulty(found: Iterable[RecordSeen[Pointer]], fault: Callable[[Pointer], Fault | None]) -> list[dict[str, Any]]:
    bad = [{**listed(one), "fault": of.to_json()} for one in found if (of := fault(one.it)) and not one.parked]
    return sorted(bad, key=lambda one: (one["family"], one["account"], one["region"], one["parameter"]))


def listed(record: RecordSeen[Pointer]) -> dict[str, Any]:
    """Show a pointer."""
    pointer = record.it
    return {
        "account": pointer.account,
        "region": pointer.region,
        "parameter": pointer.parameter,
        "family": pointer.family,
        "image": pointer.image or None,
        "source": pointer.source or None,
        **_pin(pointer),
        "fault": pointer.fault.to_json() if pointer.fault else None,
    }


def like(one: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what is the same of pointers whose faults differ only in the target."""
    return one["parameter"], *alike(one["account"], one["region"], one["fault"]["what"])


def lines(found: Sequence[Mapping[str, Any]], *, wide: bool) -> Iterator[RenderableType]:
    """Say which pointers have a fault; those that differ only in the target together."""
    for group in groups(found, like, each=wide):
        first = group[0]
        said = f"family {first['family']}, parameter {first['parameter']}"
        yield Folded(f"{named([place_of(one) for one in group])}: {said}: {first['fault']['what']}", 2)
        yield Folded(first["fault"]["cure"], 4)
