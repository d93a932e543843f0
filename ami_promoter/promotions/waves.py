"""The waves of a promotion, drawn in their order. Pure: from the applied file and from records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import first_of, place
from ami_promoter.terminal.report import duration, moment
from chalicelib.delivery.model import DeliveryState
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine.faults import count
from chalicelib.engine.places import Place
from chalicelib.promotion.model import Promotion
from chalicelib.targets.waves import FileWaves, Wave

WAITS = DeliveryState.AWAITING_WAVE.value
_RULE = {
    "groups": js.several("groups whose wave it is", js.text("name of a group")),
    "after": js.text("name of the group for which they wait"),
    "soak": js.number("for how many seconds after that group's last end they wait"),
    "most_failed": js.number("how many deliveries to that group may fail"),
}
PLANNED = js.several(
    "waves of the value's targets, in their order; targets of no wave begin at once",
    js.thing("", **_RULE, targets=js.number("number of targets in this wave")),
)
SCHEMA = js.several(
    "waves of its targets, in their order; targets of no wave begin at once",
    js.thing(
        "",
        **_RULE,
        state=js.text("state of the wave: waits, soaks, open or stopped"),
        opens_at=js.time("when it opens, or has opened"),
        pending=js.number("number of deliveries to the group before that have not ended"),
        succeeded=js.number("number of those that succeeded"),
        failed=js.several("those that failed", js.text("ACCOUNT/REGION")),
        waiting=js.number("number of deliveries that wait for the wave"),
    ),
)


def planned(file: FileWaves, accounts: Collection[str], places: Collection[str]) -> list[dict[str, Any]]:
    """Return the waves of these targets ("account/region")."""
    return [
        {**_rule(file, wave), "targets": sum(Place.parse(place).account in mine for place in places)}
        for wave, mine in _ordered(file, accounts)
    ]


def of_promotion(
    promotion: Promotion, file: FileWaves, tracked: Sequence[TrackedDelivery], states: Mapping[str, str], now: float
) -> list[dict[str, Any]]:
    """Return how far the waves of a promotion are. ``states``: delivery -> its state; ``now``: epoch seconds.

    A target that joined in the present generation counts for no wave.
    """
    found = []
    for wave, mine in _ordered(file, {one.account for one in tracked}):
        progress = promotion.waves.get(file.name(wave), WaveProgress())
        members = file.members(wave.after)
        before = [one for one in tracked if one.account in members and one.joined != promotion.generation]
        waiting = [one for one in tracked if one.account in mine and states.get(one.delivery) == WAITS]
        failed = sorted(one.place for one in before if one.failed)
        known = "open" if 0 < progress.opens_at <= now else "soaks" if progress.opens_at else "waits"
        found.append(
            {
                **_rule(file, wave),
                "state": "stopped" if progress.stopped else known,
                "opens_at": moment(progress.opens_at or None),
                "pending": sum(one.state == RUNNING for one in before),
                "succeeded": sum(one.outcome.in_wave == "succeeded" for one in before),
                "failed": failed,
                "waiting": len(waiting),
            }
        )
    return found


def lines(shown: Iterable[Mapping[str, Any]], ami: str) -> Iterator[str]:
    """Write a line for each wave: who waits for whom, and how far that is."""
    for one in shown:
        waits = f"; {count(one['waiting'], 'target waits', 'targets wait')}" if one["waiting"] else ""
        yield f"wave {one['after']} -> {', '.join(one['groups'])}: {_progress(one)}{waits}"
        if one["state"] == "stopped":
            failed = first_of(list(map(place, one["failed"])))
            yield f"  failed: {failed}. After you have repaired that: `ami-promoter retry {ami}`"


def stopped(shown: Iterable[Mapping[str, Any]]) -> str:
    """Say which wave is stopped, if no other one can open before somebody acts; "": none is, or another one can."""
    waiting = [one for one in shown if one["waiting"]]
    if any(one["state"] != "stopped" and not (one["state"] == "waits" and one["pending"]) for one in waiting):
        return ""
    over = (one for one in waiting if one["state"] == "stopped")
    return " ".join(f"The wave {one['after']} -> {', '.join(one['groups'])} is {_progress(one)}." for one in over)


def planned_lines(shown: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Write a line for each wave of a plan."""
    for one in shown:
        soak = f" {duration(one['soak'])} after" if one["soak"] else " after"
        failed = f"if at most {one['most_failed']} of it failed" if one["most_failed"] else "if none of it failed"
        targets = count(one["targets"], "target begins", "targets begin")
        yield f"wave {one['after']} -> {', '.join(one['groups'])}: {targets}{soak} `{one['after']}`, {failed}"


def _progress(one: Mapping[str, Any]) -> str:
    match one["state"]:
        case "open":
            return "open"
        case "soaks":
            return f"opens at {one['opens_at']}"
        case "stopped":
            allowed = f"{one['most_failed']} may" if one["succeeded"] else "none succeeded"
            return f"stopped: {len(one['failed'])} of `{one['after']}` failed, {allowed}"
        case _:
            return f"waits for {count(one['pending'], 'delivery', 'deliveries')} to `{one['after']}`"


def _rule(file: FileWaves, wave: Wave) -> dict[str, Any]:
    named = {"after": wave.after, "soak": wave.soak, "most_failed": wave.most_failed}
    return {"groups": file.waiting(wave.rule), **named}


def _ordered(file: FileWaves, accounts: Collection[str]) -> list[tuple[Wave, frozenset[str]]]:
    """Return the waves of accounts, with the accounts of each, those first on which others depend."""
    found: dict[str, tuple[Wave, set[str]]] = {}
    for account in sorted(accounts):
        wave = file.of(account)
        if isinstance(wave, Wave):
            found.setdefault(wave.rule, (wave, set()))[1].add(account)
    ordered: list[tuple[Wave, frozenset[str]]] = []
    left = dict(sorted(found.items()))
    while left:
        groups = {name for wave, _ in left.values() for name in file.waiting(wave.rule)}
        free = [rule for rule, (wave, _) in left.items() if wave.after not in groups] or list(left)
        for rule in free:
            wave, mine = left.pop(rule)
            ordered.append((wave, frozenset(mine)))
    return ordered
