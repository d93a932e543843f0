"""Checks of a hub and its targets: made in one form, and shown on a few lines, equal ones together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from ami_promoter.terminal.alike import alike, example, groups, named, place
from ami_promoter.terminal.output import Folded
from ami_promoter.terminal.report import Exit
from chalicelib.engine.faults import count
from chalicelib.engine.places import Place

HUB = "hub"
EXITS = {
    Exit.OK: "every check passed",
    Exit.UNFINISHED: "no check failed, but some could not be made",
    Exit.FAILED: "a check failed",
}
WORDS = {True: ("passed", "green"), False: ("FAILED", "red"), None: ("not seen", "yellow")}
WARNING = ("warning", "yellow")
"""For a check that passed and still has a recommendation."""

Check = Mapping[str, Any]
"""``where`` ("hub", or "ACCOUNT/REGION"), ``check``, ``passed``, ``what`` and ``cure``."""


def good(check: str, what: str, cure: str = "") -> dict[str, Any]:
    """A check that passed, without its place. ``cure``: a recommendation all the same."""
    return {"check": check, "passed": True, "what": what, "cure": cure}


def bad(check: str, what: str, cure: str) -> dict[str, Any]:
    """A check that failed."""
    return {"check": check, "passed": False, "what": what, "cure": cure}


def unseen(check: str, what: str, cure: str) -> dict[str, Any]:
    """A check that could not be made."""
    return {"check": check, "passed": None, "what": what, "cure": cure}


def judged(check: str, wrong: Iterable[tuple[str, str]], well: str) -> list[dict[str, Any]]:
    """A failed check for each (what, cure) that is wrong; if none is, one that passed and says ``well``."""
    return [bad(check, what, cure) for what, cure in wrong] or [good(check, well)]


def lines(checks: Sequence[Check], *, wide: bool) -> Iterator[RenderableType]:
    """Yield the lines, failed checks first; with ``wide`` each check of each target has its own."""
    wrong = [one for one in checks if one["passed"] is not True]
    warned = [one for one in checks if one["passed"] is True and one["cure"]]
    passed = [one for one in checks if one["passed"] is True and not one["cure"]]
    shown = [*wrong, *warned]
    for group in _equal(shown, each=wide):
        yield from _shown(group)
    if wide:
        for one in passed:
            yield from _shown([one])
        return
    for places, names in _passed(passed).items():
        yield _head(named(places), WORDS[True])
        yield Folded(names, 4)


def status(checks: Sequence[Check]) -> Exit:
    """Return the exit status of a verb that makes checks."""
    verdicts = {one["passed"] for one in checks}
    return Exit.FAILED if False in verdicts else Exit.UNFINISHED if None in verdicts or not checks else Exit.OK


def verdict(checks: Sequence[Check]) -> str:
    """Summarize the checks in a sentence."""
    wrong = [one for one in checks if one["passed"] is not True]
    if not wrong:
        return f"All checks passed{', with warnings' if any(one['cure'] for one in checks) else ''}."
    targets = {one["where"] for one in checks} - {HUB}
    bad = {one["where"] for one in wrong} - {HUB}
    where = ["the hub"] if any(one["where"] == HUB for one in wrong) else []
    where += [f"{len(bad):,} of {count(len(targets), 'target')}"] if bad else []
    failed = sum(one["passed"] is False for one in wrong)
    counts = ((failed, "failed"), (len(wrong) - failed, "could not be made"))
    said = " and ".join(f"{number:,} {what}" for number, what in counts if number)
    return f"Of {count(len(checks), 'check')}, {said}: {' and '.join(where)}."


def _equal(checks: Sequence[Check], *, each: bool) -> list[list[Check]]:
    """Group checks that differ only in the target; each finding of the hub is a group by itself."""

    def same(pair: tuple[int, Check]) -> tuple[object, ...]:
        number, one = pair
        if one["where"] == HUB:
            return (number,)
        account, region = Place.parse(str(one["where"]))
        return one["passed"], one["check"], *alike(account, region, str(one["what"]), str(one["cure"]))

    return [[one for _, one in group] for group in groups(enumerate(checks), same, each=each)]


def _shown(group: Sequence[Check]) -> Iterator[RenderableType]:
    first = group[0]
    word = WARNING if first["passed"] and first["cure"] else WORDS[first["passed"]]
    yield _head(f"{named([one['where'] for one in group])}: {first['check']}", word)
    of = example(place(first["where"]), {(one["what"], one["cure"]) for one in group})
    yield Folded(f"{of}{first['what']}", 4)
    if first["cure"]:
        yield Folded(first["cure"], 4)


def _passed(checks: Sequence[Check]) -> dict[tuple[str, ...], str]:
    """Return places -> names of their passed checks; places with the same checks are together."""
    by_place: dict[str, dict[str, None]] = {}
    for one in checks:
        by_place.setdefault(one["where"], {})[one["check"]] = None
    by_names: dict[tuple[bool, str], list[str]] = {}
    for where, names in by_place.items():
        by_names.setdefault((where == HUB, ", ".join(names)), []).append(where)
    return {tuple(places): names for (_, names), places in by_names.items()}


def _head(rest: str, word: tuple[str, str]) -> RenderableType:
    return Folded(rest, lead=f"{word[0]}  ", lead_style=word[1])
