"""The version of the form in which items are stored.

Every item whose body is decoded has ``schema``. A version reads and writes its own form alone, and parks what a newer
version has written until the stack is upgraded again (docs/operations/upgrade.md).

Bodies leave out members that have their default, so a default is part of the form: a change of one raises it.

To raise it, add 1 to ``VERSION``. A release that does so must say how the items of the last one become its own.
"""

from __future__ import annotations

from typing import Any

from chalicelib.engine.errors import NewerSchema, Unreadable

VERSION = 2
"""What this version of the service writes and reads."""


def check(where: str, schema: Any, version: int) -> None:
    """Raise NewerSchema or Unreadable for a form other than ``version``. ``where`` is for the message."""
    if not isinstance(schema, int) or schema < version:
        raise Unreadable(f"{where} has schema {schema!r:.100}, and this version reads {version}.")
    if schema > version:
        raise NewerSchema(f"{where} has schema {schema}, and this version reads {version}; upgrade the stack.")
