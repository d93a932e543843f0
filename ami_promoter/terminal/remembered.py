"""Groups and accounts of the applied file as a command last read it, for completion, which asks nobody.

A shell waits for each completion, so this is a small file of its own, for each AWS profile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ami_promoter.terminal.output import PROGRAM
from ami_promoter.terminal.preferences import named_profile
from chalicelib.engine import codec

UNUSABLE = (OSError, ValueError, RuntimeError)
"""What a file raises that cannot be read or written; RuntimeError: there is no home directory."""


def keep(profile: str | None, groups: Collection[str], accounts: Mapping[str, str]) -> None:
    """Remember them, the accounts with their names; a file that cannot be written is left out."""
    known = {**_read(), _named(profile): {"groups": sorted(groups), "accounts": dict(sorted(accounts.items()))}}
    with suppress(*UNUSABLE):
        _place().parent.mkdir(parents=True, exist_ok=True)
        _place().write_text(json.dumps(known), encoding="utf-8")


def words(profile: str | None) -> Mapping[str, Mapping[str, str]]:
    """Return groups and accounts, each word with what it is called; none if nothing is remembered."""
    try:
        known = _read()[_named(profile)]
        accounts = {str(one): str(name) for one, name in known["accounts"].items()}
        return {"groups": {str(one): "" for one in known["groups"]}, "accounts": accounts}
    except (AttributeError, KeyError, TypeError):  # nothing, or not as `keep` writes it
        return {"groups": {}, "accounts": {}}


def _named(profile: str | None) -> str:
    return profile or named_profile() or "default"


def _place() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / PROGRAM / "targets.json"


def _read() -> dict[str, Any]:
    try:
        found = codec.parsed_json(_place().read_text(encoding="utf-8"))
    except UNUSABLE:
        return {}
    return found if isinstance(found, dict) else {}
