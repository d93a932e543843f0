"""Shows once what differs only in the target, names the first targets, and asks what a wrong word means. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from difflib import get_close_matches
from typing import TypeVar

from chalicelib.engine.faults import count

T = TypeVar("T")

NAMED = 3
"""Targets of a group that are named."""
IDENT = re.compile(
    r"\b(?:ami|snap)-[0-9a-f]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9]{4}-[0-9-]{5}T[0-9:]{8}Z\b"
)
ACCOUNT = re.compile(r"\b[0-9]{12}\b")


def alike(account: str, region: str, *texts: str) -> tuple[str, ...]:
    """Return texts about a target without what differs from target to target: account, Region, ids, keys, times."""
    return tuple(IDENT.sub("I", text.replace(account, "A").replace(region, "R")) for text in texts)


def alike_anywhere(*texts: str) -> tuple[str, ...]:
    """Return texts about no known target without accounts, ids, keys and times."""
    return tuple(IDENT.sub("I", ACCOUNT.sub("A", text)) for text in texts)


def groups(members: Iterable[T], same: Callable[[T], Hashable], *, each: bool = False) -> list[list[T]]:
    """Group members for which ``same`` returns the same, in the order of the first of each. ``each``: do not group."""
    if each:
        return [[one] for one in members]
    found: dict[Hashable, list[T]] = {}
    for one in members:
        found.setdefault(same(one), []).append(one)
    return list(found.values())


def named(places: Sequence[str]) -> str:
    """Name a target ("ACCOUNT/REGION"), or count several and name the first of them."""
    if len(places) == 1:
        return place(places[0])
    return f"{count(len(places), 'target')} ({first_of([place(one) for one in places])})"


def first_of(names: Sequence[str], most: int = NAMED) -> str:
    """Write the first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def example(where: str, texts: Collection[object]) -> str:
    """Begin the text of a group with the target that it is about; "" if it is the same of each: ``texts`` has one."""
    return f"In {where}, for example: " if len(texts) > 1 else ""


def meant(word: str, known: Collection[str], most: int = 2) -> str:
    """Ask whether one of the known words that are most like a word is meant; "": none is like it."""
    close = [f"`{one}`" for one in get_close_matches(word, known, n=most)]
    return f"Did you mean {' or '.join(close)}?" if close else ""


def place(where: str) -> str:
    """Write "ACCOUNT/REGION" for a person."""
    return where.replace("/", " ")
