"""The name of the copy: the target's template, filled in and shortened to the length that EC2 allows."""

from __future__ import annotations

import re

from chalicelib.images.image import SourceImage

MAX_NAME = 128
"""Most characters of an AMI name; the least are 3 [aws-facts 5, VERIFIED]."""

LEGAL = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]")


def image_name(template: str, image: SourceImage) -> str:
    """Return the copy's name.

    ``{source_name}`` is shortened to fit, and characters that EC2 does not allow become dashes. For a template that
    the targets file may have; another one may raise ValueError or KeyError.
    """
    source_name = "".join(c if LEGAL.fullmatch(c) else "-" for c in image.name or image.id)
    rest = len(template.format(source_name="", source_id=image.id))
    room = (MAX_NAME - rest) // max(1, template.count("{source_name}"))
    return template.format(source_name=source_name[: max(0, room)], source_id=image.id)


def safe_name(name: str) -> str:
    """Return a similar name that EC2 accepts and that is safe in a shell between single quotes."""
    return "".join(c if c != "'" and LEGAL.fullmatch(c) else "-" for c in name)[-MAX_NAME:]
