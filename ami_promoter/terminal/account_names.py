"""Writes the names of accounts beside their ids, wherever a person reads one.

Texts are made with ids. The name is added when a text is printed: so a text made anywhere has it, and what a program
reads, or a person copies, does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from chalicelib.engine.places import called

COMMAND = (
    r"`(?:aws|ami-promoter) [^`]*`"
    r"|\b(?:aws [a-z0-9-]+ [a-z0-9-]+|ami-promoter [a-z-]+(?: [a-z-]+(?= )){0,2})"
    r"(?: --?[a-z][a-z-]*(?: (?:'[^']*'|[^\s'-]\S*))?| (?:ami-|arn:)\S+)+"
)
"""A command in a message: in backticks, or with options."""
ACCOUNT = re.compile(rf"""{COMMAND}|`[^`]*`|\([0-9]{{12}}\)|(?<![\w:/@.,=#"'-])([0-9]{{12}})(?![\w:/@=#"'-]|[.,]\w)""")
"""An account's id, as the group; and texts whose ids stay as they are: commands, values, ids with a name."""

NAMED = re.compile(r"\w \([0-9]{12}\)")
"""The end of a name, with its account's id."""

_names: ContextVar[Callable[[], Mapping[str, str]]] = ContextVar("names", default=dict)


@contextmanager
def naming(names: Callable[[], Mapping[str, str]]) -> Iterator[None]:
    """Let what is printed within have these names; ``names`` is called when an id is printed."""
    before = _names.set(names)
    try:
        yield
    finally:
        _names.reset(before)


def with_names(text: str) -> str:
    """Return a text with the names of accounts: ``dev (222222222222)``."""
    return ACCOUNT.sub(lambda found: called(found[1], _names.get()().get(found[1], "")) if found[1] else found[0], text)
