"""The name of the copy: the target's template, filled in and shortened to the length that EC2 allows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter

from chalicelib.engine.faults import Fault, count
from chalicelib.images.image import SourceImage

MAX_NAME, MIN_NAME = 128, 3
"""Length of an AMI name [aws-facts 5, VERIFIED]."""

_LEGAL = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]")
_PLACEHOLDERS = ("source_id", "source_name")
_SOURCE_ID_LENGTH = len("ami-0123456789abcdef0")


def template_faults(template: str) -> tuple[Fault, ...]:
    """Return what is wrong with an AMI name template; one without faults gives a legal name for every image."""
    where = f"ami_name {template!r}"
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return (
            Fault("name-template-braces", where, "Its braces do not match.", "Write {source_name} with both braces."),
        )
    fields = [name for _, name, _, _ in parts if name is not None]
    return tuple(_template_faults(where, parts, fields))


def image_name(template: str, image: SourceImage) -> str:
    """Return the copy's name.

    ``{source_name}`` is shortened to fit, and characters that EC2 does not allow become dashes. For a template without
    ``template_faults``; another one may raise ValueError or KeyError.
    """
    source_name = "".join(c if _LEGAL.fullmatch(c) else "-" for c in image.name or image.id)
    rest = len(template.format(source_name="", source_id=image.id))
    room = (MAX_NAME - rest) // max(1, template.count("{source_name}"))
    return template.format(source_name=source_name[: max(0, room)], source_id=image.id)


def safe_name(name: str) -> str:
    """Return a similar name that EC2 accepts and that is safe in a shell between single quotes."""
    return "".join(c if c != "'" and _LEGAL.fullmatch(c) else "-" for c in name)[-MAX_NAME:]


def _template_faults(
    where: str, parts: list[tuple[str, str | None, str | None, str | None]], fields: list[str]
) -> Iterator[Fault]:
    unknown = sorted({name for name in fields if name not in _PLACEHOLDERS})
    if unknown:
        yield Fault(
            "name-template-placeholder",
            where,
            f"It has unknown placeholders: {', '.join(f'{{{name}}}' for name in unknown)}.",
            "Use {source_name} and {source_id}.",
        )
    if any(spec or conversion for _, _, spec, conversion in parts):
        yield Fault(
            "name-template-format",
            where,
            "A placeholder has a format or a conversion after its name.",
            "Use {source_name} and {source_id} without one.",
        )
    if not set(fields) & set(_PLACEHOLDERS):
        yield Fault(
            "name-template-constant",
            where,
            "It gives every image the same name, and names are unique in an account and Region.",
            "Put {source_id} into it.",
        )
    literal = "".join(text for text, _, _, _ in parts)
    illegal = sorted({c for c in literal if not _LEGAL.fullmatch(c)})
    if illegal:
        yield Fault(
            "name-template-characters",
            where,
            f"An AMI name may not contain {' '.join(map(repr, illegal))}.",
            "Use letters, digits, spaces and ()[]./-'@_ only.",
        )
    longest = len(literal) + fields.count("source_id") * _SOURCE_ID_LENGTH + fields.count("source_name") * MIN_NAME
    if longest > MAX_NAME:
        yield Fault(
            "name-template-long",
            where,
            f"It makes names of {longest} characters or more, and an AMI name can have {MAX_NAME}.",
            f"Shorten it by {count(longest - MAX_NAME, 'character')}.",
        )
