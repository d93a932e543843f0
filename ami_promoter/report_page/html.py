"""Builds HTML as a tree, so that a browser never reads a name or a message as markup.

The standard library escapes text and attributes when it writes the tree. This module shows characters that are
invisible, or change the direction of writing, as escapes, and cuts texts that are too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from xml.etree.ElementTree import Element, tostring

from ami_promoter.terminal.account_names import with_names
from ami_promoter.terminal.output import printable

LONGEST = 2000
"""Longest text, in characters; a message from AWS has a few hundred."""

Content = str | int | Element | None | Iterable["Content"]


def el(tag: str, *content: Content, **attributes: object) -> Element:
    """Make an element. ``class_`` is ``class``, ``data_x`` is ``data-x``; None and False leave an attribute out.

    Its text has the names of accounts, except in code.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else printable(str(value)))
    _put(made, content, visible if tag == "code" else lambda text: visible(with_names(text)))
    return made


def visible(text: str) -> str:
    """Escape invisible characters, and cut a text that is too long."""
    shown = printable(text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown}… ({len(text) - LONGEST:,} more characters)"


def _put(into: Element, content: Iterable[Content], shown: Callable[[str], str]) -> None:
    for one in content:
        if one is None:
            continue
        if isinstance(one, Element):
            into.append(one)
        elif isinstance(one, (str, int)):
            _text(into, shown(str(one)))
        else:
            _put(into, one, shown)


def _text(into: Element, text: str) -> None:
    if len(into):
        into[-1].tail = (into[-1].tail or "") + text
    else:
        into.text = (into.text or "") + text


def document(root: Element, style: str) -> str:
    """Write a whole page; ``style`` becomes the text, unescaped, of the tree's one element ``style``."""
    (place,) = root.iter("style")
    place.text = style
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
