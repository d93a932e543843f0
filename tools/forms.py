"""The forms in which the service stores its items: names, types and defaults of all members (chalicelib/engine/schema.py).

``tests/contracts/forms.json`` has every form that a version has written. `make docs` adds a new one, and changes none;
`tests/contracts/test_forms.py` fails where the code has another form than the file.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import EnumType
from pathlib import Path
from typing import Any

from chalicelib.delivery.copy_quota import CopyQuota
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import codec
from chalicelib.engine.schema import FIRST, FORMS, Forms, grown
from chalicelib.images.image import SourceImage
from chalicelib.inventory.machine import Inventory
from chalicelib.monitor.drift import Pass
from chalicelib.promotion.model import Promotion
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.sharing.head import Head
from chalicelib.sharing.share import Share
from chalicelib.targets.applied_file import Target
from chalicelib.targets.approvals import Approval
from chalicelib.targets.departures import MembersReading
from chalicelib.targets.organization import Organization
from chalicelib.targets.ports import Notified
from chalicelib.targets.recalls import Pin, Recall
from chalicelib.targets.waves import Wave
from chalicelib.targets.withdrawals import Withdrawal

FILE = Path(__file__).resolve().parents[1] / "tests" / "contracts" / "forms.json"
KINDS: Mapping[str, Any] = {
    "promotion": Promotion,
    "tracked": TrackedDelivery,
    "image": SourceImage,
    "head": Head,
    "delivery": Delivery,
    "quota": CopyQuota,
    "share": Share,
    "archive": Share,
    "pointer": Pointer,
    "release": Release,
    "inventory": Inventory,
}
"""By ``kind`` of the items."""
OTHERS: Sequence[type] = (Target, Wave, Organization, Withdrawal, Recall, Pin, Approval, MembersReading, Notified, Pass)
WITHOUT_NUMBER: Mapping[str, type] = {one.__name__: one for one in OTHERS}
"""Items of the other tables, which have no ``schema``: these forms can only grow."""

Form = Mapping[str, Mapping[str, str]]
"""Type -> member, or value of an enum -> its type and default."""
Known = Mapping[str, Mapping[str, Form]]
"""Kind -> number -> form; of those without a number it is "0"."""


def form(kind: Any) -> Form:
    """Return the form of a type, with those of all types in it."""
    return dict(sorted(_types(kind, set())))


def _types(kind: Any, seen: set[Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    if typing.get_origin(kind) is not None:
        for argument in typing.get_args(kind):
            yield from _types(argument, seen)
    elif isinstance(kind, EnumType) and kind not in seen:
        seen.add(kind)
        values: Iterator[Any] = iter(kind)
        yield kind.__name__, {str(one.value): "value" for one in values}
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in seen:
        seen.add(kind)
        annotations = typing.get_type_hints(kind)
        yield kind.__name__, {one.name: _member(annotations[one.name], one) for one in dataclasses.fields(kind)}
        for annotated in annotations.values():
            yield from _types(annotated, seen)


def _member(annotated: Any, member: dataclasses.Field[Any]) -> str:
    name = annotated.__name__ if isinstance(annotated, type) and not typing.get_args(annotated) else str(annotated)
    made = member.default if member.default_factory is dataclasses.MISSING else member.default_factory()
    default = "" if made is dataclasses.MISSING else f" = {json.dumps(codec.encode(made))}"
    return re.sub(r"\b(\w+\.)+", "", name) + default


def written() -> Known:
    """Return the forms in the file."""
    known: Known = codec.parsed_json(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return known


def page(known: Known | None = None, forms: Forms = FORMS) -> str:
    """Return the file with what is new: a form without an entry, and what has come to one without a number."""
    all_known = {kind: dict(of_kind) for kind, of_kind in (written() if known is None else known).items()}
    for kind, of in KINDS.items():
        all_known.setdefault(kind, {}).setdefault(str(forms.newest(kind)), form(of))
    for kind, of in WITHOUT_NUMBER.items():
        before, now = all_known.get(kind, {}).get("0", {}), form(of)
        all_known[kind] = {"0": now if not _other_than_grown(before, now) else before}
    return json.dumps(all_known, indent=1) + "\n"


def faults(known: Known, forms: Forms = FORMS) -> list[str]:
    """Return what of the code's forms does not fit the known ones, each with its cure; none if all is right."""
    found = []
    for kind, of in KINDS.items():
        number = forms.newest(kind)
        if known[kind].get(str(number)) != form(of):
            cure = "add a step to FORMS in chalicelib/engine/schema.py; if no release had it, take it out of the file"
            found.append(f"{kind} is not form {number} of {FILE.name}: {cure}; then `make docs`")
        for before, step in enumerate(forms.steps.get(kind, ()), start=FIRST):
            other = _other_than_grown(known[kind][str(before)], known[kind].get(str(before + 1), {}))
            if other and (step is grown or kind == "image"):
                found.append(f"{kind}: form {before + 1} has other {', '.join(other)}: it needs a step of its own")
    for kind, of in WITHOUT_NUMBER.items():
        if other := _other_than_grown(known[kind]["0"], form(of)):
            found.append(f"{kind} has no number, so it can only grow: it has other {', '.join(other)}")
    return found


def _other_than_grown(before: Form, now: Form) -> list[str]:
    """Return the members that are not as before, and new ones without a default of types that were there."""
    return [
        f"{name}.{member}"
        for name, members in before.items()
        for member in {**members, **now.get(name, {})}
        if (text := now.get(name, {}).get(member)) != members.get(member)
        and not (member not in members and text is not None and (text == "value" or " = " in text))
    ]
