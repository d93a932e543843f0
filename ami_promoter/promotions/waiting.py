"""Waits for the outcome of a promotion, for ``wait`` and ``promote --wait``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.console import RenderableType

from ami_promoter.hub import pause_switch
from ami_promoter.hub.hub_images import Tag
from ami_promoter.hub.records import not_there, place_of, target_of
from ami_promoter.promotions import promotion_data, promotion_text, waves
from ami_promoter.promotions.following import follow, states
from ami_promoter.promotions.outcome import Outcome, deliveries, outcome
from ami_promoter.promotions.reading import no_delivery, read_page
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import tell
from ami_promoter.terminal.report import Exit, NotDone, Report
from ami_promoter.verbs import VerbCaller
from chalicelib.engine.faults import Fault

LATEST = 10 * 60
"""Seconds within which the service sees a tag even if its event was lost: discovery looks every five minutes."""

EXITS = {
    Exit.OK: "every target has the AMI, delivered or shared",
    Exit.UNFINISHED: "timed out; the promotion continues",
    Exit.FAILED: "a delivery failed, a wave is stopped, or the value, the source or an account is refused",
    Exit.CANCELLED: "nothing failed, but a delivery was cancelled or withdrawn, or the AMI recalled",
}
NAMES = {Exit.OK: "delivered", Exit.UNFINISHED: "timed-out", Exit.FAILED: "failed", Exit.CANCELLED: "cancelled"}
PRINTS = js.some_of(
    js.thing(
        outcome=js.text(f"outcome of the promotion: {', '.join(NAMES.values())}"),
        why=js.text("reason for the outcome"),
        promotion=promotion_data.PAGE,
    ),
    "promotion",
)


def wait(
    caller: VerbCaller,
    ami: str,
    *,
    targets: tuple[str, ...] = (),
    limit: float | None = None,
    written: bool = False,
) -> Report:
    """Wait for ``targets`` ("ACCOUNT" or "ACCOUNT/REGION"; none: all), at most ``limit`` seconds; may raise HubError.

    ``written``: the command has just written the tag, and a read may not show it yet.
    """
    connection = caller.connect()
    tag = Tag(connection, ami)
    data = read_page(connection, ami)
    # the tag that was just written is not asked for: a refusal here would say that nothing was changed
    if not written and data is None and tag.read() is None:
        cure = f"Write `ami-promoter promote {ami} VALUE`."
        raise NotDone(Fault("no-tag", ami, f"it has no tag `{connection.tag_key}` and has never been promoted.", cure))
    if paused := pause_switch.read(connection):
        tell(f"Paused {pause_switch.said(paused)}. Nothing new starts until `ami-promoter admin resume`.")
    unseen_since: float | None = None

    def look() -> tuple[Mapping[str, Any] | None, Outcome]:
        nonlocal unseen_since
        seen, value = read_page(connection, ami), None
        with suppress(NotDone):  # the AMI is gone: its tag went with it
            value = tag.read()
        found, now = outcome(seen, value, targets), caller.clock.now()
        unseen_since = (unseen_since or now) if found.unseen else None
        if unseen_since is not None and now > unseen_since + LATEST:
            latest, tagged = LATEST // 60, connection.tag_key
            why = f"The service has not looked in {latest} minutes: is it running, and is `{tagged}` its tag?"
            return seen, Outcome(Exit.UNFINISHED, why)
        return seen, found

    last, found = follow(
        look,
        lambda seen: seen[1].exit is not None,
        caller.clock,
        changes=lambda seen: states(seen[0], targets),
        limit=limit,
    )
    if last is not None and found.exit is Exit.FAULT:
        raise no_delivery(ami, not_there(targets, [place_of(one) for one in last["deliveries"]]))
    exit_ = Exit.UNFINISHED if found.exit is None else found.exit
    lines = [f"{ami}: {NAMES[exit_]}. {found.why}", *_lines(ami, last, targets, exit_, wide=caller.wide)]
    more = {} if last is None else {"promotion": last}
    return Report(tuple(lines), {"outcome": NAMES[exit_], "why": found.why, **more}, exit=exit_)


def _lines(
    ami: str, data: Mapping[str, Any] | None, targets: Sequence[str], exit_: Exit, *, wide: bool
) -> list[RenderableType]:
    """Say what arrived, what did not, and what to do."""
    named = deliveries(data, targets) if data else []
    lines: list[RenderableType] = [
        f"{target_of(one)}: {one['image']}" for one in named if one["image"] and one["state"] == "delivered"
    ]
    bad = [one for one in named if one["state"] in ("failed", *promotion_data.STOPPED)]
    lines += promotion_text.notes(bad, wide=wide)
    waits = any(one["state"] == waves.WAITS for one in named)  # then what failed elsewhere concerns it
    lines += promotion_text.next_step(data if waits else {**data, "deliveries": named}) if data else []
    if exit_ is not Exit.OK:
        lines.append(f"`ami-promoter status {ami}` shows more.")
    return lines
