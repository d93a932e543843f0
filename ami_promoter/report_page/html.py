"""Builds HTML as a tree, so that nothing that came from elsewhere can be read as markup.

Text and attributes are escaped by the standard library when the tree is written. Characters that are invisible, or turn
the direction of writing, are shown as escapes, and what is too long is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

from ami_promoter.terminal.output import printable

LONGEST = 2000
"""Characters of one text; a message of AWS's has a few hundred."""

Content = str | int | Element | None | Iterable["Content"]


def el(tag: str, *content: Content, **attributes: object) -> Element:
    """Make an element. ``class_`` is ``class``, ``data_x`` is ``data-x``; None and False leave an attribute out."""
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else printable(str(value)))
    _put(made, content)
    return made


def visible(text: str) -> str:
    """Make a text fit to show."""
    shown = printable(text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown}… ({len(text) - LONGEST:,} more characters)"


def _put(into: Element, content: Iterable[Content]) -> None:
    for one in content:
        if one is None:
            continue
        if isinstance(one, Element):
            into.append(one)
        elif isinstance(one, (str, int)):
            _text(into, visible(str(one)))
        else:
            _put(into, one)


def _text(into: Element, text: str) -> None:
    if len(into):
        into[-1].tail = (into[-1].tail or "") + text
    else:
        into.text = (into.text or "") + text


def document(root: Element, style: str) -> str:
    """Write a whole page; ``style`` is put, as it is, where the tree has its one element ``style``."""
    (place,) = root.iter("style")
    place.text = style
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
