"""What is wrong with a template of AMI names."""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter

from chalicelib.engine.faults import Fault, count
from chalicelib.images.names import LEGAL, MAX_NAME, MIN_NAME

_PLACEHOLDERS = ("source_id", "source_name")
_SOURCE_ID_LENGTH = len("ami-0123456789abcdef0")


def faults(template: str) -> tuple[Fault, ...]:
    """Return what is wrong with an AMI name template; one without faults gives a legal name for every image."""
    where = f"ami_name {template!r}"
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        cure = "Write {source_name} with both braces."
        return (Fault("name-template-braces", where, "Its braces do not match.", cure),)
    return tuple(_found(where, parts))


def _found(where: str, parts: list[tuple[str, str | None, str | None, str | None]]) -> Iterator[Fault]:
    fields = [name for _, name, _, _ in parts if name is not None]
    unknown = sorted({name for name in fields if name not in _PLACEHOLDERS})
    if unknown:
        what = f"It has unknown placeholders: {', '.join(f'{{{name}}}' for name in unknown)}."
        yield Fault("name-template-placeholder", where, what, "Use {source_name} and {source_id}.")
    if any(spec or conversion for _, _, spec, conversion in parts):
        what = "A placeholder has a format or a conversion after its name."
        yield Fault("name-template-format", where, what, "Use {source_name} and {source_id} without one.")
    if not set(fields) & set(_PLACEHOLDERS):
        what = "It gives every image the same name, and names are unique in an account and Region."
        yield Fault("name-template-constant", where, what, "Put {source_id} into it.")
    literal = "".join(text for text, _, _, _ in parts)
    illegal = sorted({c for c in literal if not LEGAL.fullmatch(c)})
    if illegal:
        what = f"An AMI name may not contain {' '.join(map(repr, illegal))}."
        yield Fault("name-template-characters", where, what, "Use letters, digits, spaces and ()[]./-'@_ only.")
    longest = len(literal) + fields.count("source_id") * _SOURCE_ID_LENGTH + fields.count("source_name") * MIN_NAME
    if longest > MAX_NAME:
        what = f"It makes names of {longest} characters or more, and an AMI name can have {MAX_NAME}."
        yield Fault("name-template-long", where, what, f"Shorten it by {count(longest - MAX_NAME, 'character')}.")
