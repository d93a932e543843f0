"""Checks of many targets on a few lines: equal ones together, what did not pass first. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from ami_promoter.terminal.output import Folded
from chalicelib.core.faults import count

HUB = "hub"
NAMED = 3
"""So many targets of a group are named."""
IDENT = re.compile(
    r"\b(?:ami|snap)-[0-9a-f]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9]{4}-[0-9-]{5}T[0-9:]{8}Z\b"
)
WORDS = {True: ("passed", "green"), False: ("FAILED", "red"), None: ("not seen", "yellow")}
WARNING = ("warning", "yellow")
"""Of a check that passed, and says all the same what could be better."""

Check = Mapping[str, Any]
"""``where`` ("hub", or "ACCOUNT/REGION"), ``check``, ``passed``, ``what`` and ``cure``."""


def lines(checks: Sequence[Check], *, wide: bool) -> Iterator[RenderableType]:
    """Yield what a person reads; with ``wide`` every check of every target by itself."""
    wrong = [one for one in checks if one["passed"] is not True]
    warned = [one for one in checks if one["passed"] is True and one["cure"]]
    passed = [one for one in checks if one["passed"] is True and not one["cure"]]
    shown = [*wrong, *warned]
    for group in [[one] for one in shown] if wide else _equal(shown):
        yield from _shown(group)
    if wide:
        for one in passed:
            yield from _shown([one])
        return
    for places, names in _passed(passed).items():
        yield _head(_places(places), WORDS[True])
        yield Folded(names, 4)


def verdict(checks: Sequence[Check]) -> str:
    """Say in a sentence how it came out."""
    wrong = [one for one in checks if one["passed"] is not True]
    if not wrong:
        return "All checks passed."
    targets = {one["where"] for one in checks} - {HUB}
    bad = {one["where"] for one in wrong} - {HUB}
    where = ["the hub"] if any(one["where"] == HUB for one in wrong) else []
    where += [f"{len(bad):,} of {count(len(targets), 'target')}"] if bad else []
    return f"{len(wrong):,} of {count(len(checks), 'check')} did not pass: {' and '.join(where)}."


def alike(account: str, region: str, *texts: str) -> tuple[str, ...]:
    """Return texts about a target without what differs from target to target: account, Region, ids, keys, times."""
    return tuple(IDENT.sub("I", text.replace(account, "A").replace(region, "R")) for text in texts)


def _equal(checks: Sequence[Check]) -> list[list[Check]]:
    """Put together what differs only in the target."""
    found: dict[tuple[Any, ...], list[Check]] = {}
    for number, one in enumerate(checks):
        if one["where"] == HUB:
            found[number,] = [one]
            continue
        account, _, region = str(one["where"]).partition("/")
        same = alike(account, region, str(one["what"]), str(one["cure"]))
        found.setdefault((one["passed"], one["check"], *same), []).append(one)
    return list(found.values())


def _shown(group: Sequence[Check]) -> Iterator[RenderableType]:
    first = group[0]
    word = WARNING if first["passed"] and first["cure"] else WORDS[first["passed"]]
    yield _head(f"{_places([one['where'] for one in group])}: {first['check']}", word)
    of = "" if len(group) == 1 else f"Of {_place(first['where'])}: "
    yield Folded(f"{of}{first['what']}", 4)
    if first["cure"]:
        yield Folded(first["cure"], 4)


def _passed(checks: Sequence[Check]) -> dict[tuple[str, ...], str]:
    """Return places -> the names of these checks, for places with the same ones."""
    by_place: dict[str, dict[str, None]] = {}
    for one in checks:
        by_place.setdefault(one["where"], {})[one["check"]] = None
    by_names: dict[tuple[bool, str], list[str]] = {}
    for where, names in by_place.items():
        by_names.setdefault((where == HUB, ", ".join(names)), []).append(where)
    return {tuple(places): names for (_, names), places in by_names.items()}


def _head(rest: str, word: tuple[str, str]) -> RenderableType:
    return Folded(rest, lead=f"{word[0]}  ", lead_style=word[1])


def _places(places: Sequence[str]) -> str:
    if len(places) == 1:
        return _place(places[0])
    named = ", ".join(map(_place, places[:NAMED]))
    more = f" and {len(places) - NAMED:,} more" if len(places) > NAMED else ""
    return f"{count(len(places), 'target')} ({named}{more})"


def _place(where: str) -> str:
    return where.replace("/", " ")
