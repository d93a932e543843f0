"""The verb ``drain``: pauses promotions, ends every delivery, and waits until every share is closed.

The service withdraws standing shares. Grants for service roles on a target's own key stay, because the target's AMIs
need them.

The command changes nothing in AWS: it writes the same inbox entry to a delivery's record as a removed tag causes, and
the service stops, tidies and closes as usual. Without ``--delete-copies`` it cancels only deliveries without a running
copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import click
from rich.console import RenderableType

from ami_promoter.hub import pause_switch
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import OPEN_STATES, Reader, Record
from ami_promoter.hub.wakes import wake
from ami_promoter.promotions import promotion_data, shares
from ami_promoter.promotions.promotion_text import shares_table
from ami_promoter.rights import LOOK_AGAIN, READ_ALL, SWITCH
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.exits import Exit
from ami_promoter.terminal.output import tell
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import TerminalClock, VerbCaller, verb, wait_at_most
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.delivery.model import ENDED, DeliveryState
from chalicelib.core.faults import count
from chalicelib.core.records.addresses import RecordKey

POLL = 30
"""Seconds between two reads of the records with ``--wait``."""

WHY = "drain"

NOTHING_RUNS = (
    DeliveryState.AWAITING_APPROVAL,
    DeliveryState.REQUESTED,
    DeliveryState.CHECKING,
    DeliveryState.WAITING,
    DeliveryState.SHARED,
)
"""States in which a delivery has no copy: it has not opened anything yet, or it is in share mode."""

WAITING = ("requested", "resolving", "expanding")
"""States in which a promotion has not begun all that is missing."""

Place = tuple[str, str]
Found = Mapping[Place, Record]


@dataclass(frozen=True, slots=True)
class DrainView:
    """Deliveries that have not ended, parked ones, and shares that may be open, without preexisting ones.

    ``kept``: the grants on targets' own keys, which must stay.
    """

    running: Found
    parked: Found
    shares: Found
    kept: Found
    promotions: Found
    """Promotions that have not ended. Those that are to begin deliveries wait for `resume`; `drain` does not wait."""

    @property
    def drained(self) -> bool:
        """Whether no delivery runs, except parked ones, and no share is open."""
        return not self.running and not self.shares


class Drain:
    """Drains one hub. ``tell``: called with a line when the counts change."""

    def __init__(self, connection: Connection, clock: TerminalClock, tell: Callable[[str], None] = tell) -> None:
        self._connection = connection
        self._reader = Reader(connection)
        self._records = DynamoRecords(Table(connection.dynamodb, connection.table))
        self.clock = clock
        self._tell = tell
        self.switch = pause_switch.Switch(connection)
        self.cancelled: set[tuple[str, int]] = set()
        """Deliveries with their episodes."""

    def pause(self) -> None:
        """Pause promotions."""
        self.switch.turn(paused=True, why=WHY)

    def look(self) -> DrainView:
        """Read the whole table: no index lists the deliveries that have not ended."""
        with self._connection.telling("reading the deliveries and shares"):
            return _view(self._reader.under_way())

    def cancel(self, view: DrainView, *, delete_copies: bool) -> None:
        """Ask deliveries to end: all, or only those without a running copy. Asking again is harmless."""
        asked: list[RecordKey] = []
        with self._connection.telling(
            "asking deliveries to end (run the command again; it continues where it stopped)"
        ):
            for (pk, _), delivery in view.running.items():
                if delete_copies or delivery.get("state") in NOTHING_RUNS:
                    episode = int(delivery.get("episode", 0))
                    self._records.make_due(RecordKey(pk), int(self._connection.now()), {"cancel": f"{episode}:{WHY}"})
                    self.cancelled.add((pk, episode))
                    asked.append(RecordKey(pk))
        wake(self._connection, asked)

    def wait(self, view: DrainView, *, delete_copies: bool, limit: int | None) -> DrainView:
        """Wait until the hub is drained, at most ``limit`` seconds; also cancel deliveries that started meanwhile."""
        until = None if limit is None else self.clock.now() + limit
        said = ""
        while not view.drained and (until is None or self.clock.now() < until):
            if (now := counts(view)) != said:
                self._tell(now)
                said = now
            self.clock.sleep(POLL)
            view = self._again(view)
            if view.drained:
                view = self.look()
            self.cancel(view, delete_copies=delete_copies)
        return view

    def _again(self, view: DrainView) -> DrainView:
        """Read again the records that had not ended, which is cheaper than the whole table."""
        with self._connection.telling("reading the deliveries and shares"):
            return _view(self._reader.many([*view.running, *view.parked, *view.shares, *view.kept, *view.promotions]))


PRINTS = js.thing(
    paused=pause_switch.SCHEMA,
    cancelled=js.number("how many deliveries the command asked to end"),
    promotions=js.mapping("number of promotions that have not ended, by state", js.number("how many")),
    under_way=js.mapping("number of deliveries that have not ended, by state", js.number("how many")),
    parked=js.several(
        "parked deliveries", js.thing(delivery=js.text("id of the delivery"), why=js.text("why its record is parked"))
    ),
    open_shares=js.several("shares that are open and must close", shares.SCHEMA),
    kept=js.several("grants on targets' own KMS keys, which stay", shares.SCHEMA),
    drained=js.flag("whether every promotion and delivery has ended and every share that must close is closed"),
)


@verb(
    "drain",
    needs=READ_ALL | SWITCH | LOOK_AGAIN,
    prints=PRINTS,
    exits={Exit.UNFINISHED: "a delivery still runs, or a share is open"},
    never=(Exit.FAULT,),
)
@click.option("--delete-copies", is_flag=True, help="Delete running copies instead of letting them finish.")
@click.option("--wait", is_flag=True, help="Return when no delivery runs and no share is open.")
@wait_at_most(help="With --wait: give up after this time, such as 90m or 2h; a bare number is minutes.")
def drain(caller: VerbCaller, *, delete_copies: bool, wait: bool, timeout: int | None) -> Report:
    """Pause, end every delivery, and close every share.

    Running copies finish first, unless you give --delete-copies. `resume` ends the pause.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout has no effect without --wait.")
    asked = Drain(caller.connect(), caller.clock)
    return drained(asked, delete_copies=delete_copies, wait=wait, timeout=timeout, wide=caller.wide)


def drained(
    drain: Drain, *, delete_copies: bool = False, wait: bool = False, timeout: int | None = None, wide: bool = False
) -> Report:
    """Drain the hub and report; may raise HubError."""
    drain.pause()
    view = drain.look()
    drain.cancel(view, delete_copies=delete_copies)
    if wait:
        view = drain.wait(view, delete_copies=delete_copies, limit=timeout)
    left = [shares.open_share(pk, share) for (pk, _), share in sorted(view.shares.items())]
    kept = [shares.open_share(pk, share) for (pk, _), share in sorted(view.kept.items())]
    data = {
        "paused": pause_switch.to_json(drain.switch.read()),
        "cancelled": len(drain.cancelled),
        "promotions": promotion_data.counts(view.promotions.values()),
        "under_way": promotion_data.counts(view.running.values()),
        "parked": [{"delivery": d.get("id"), "why": d["_item"]["parked"]} for d in view.parked.values()],
        "open_shares": left,
        "kept": kept,
        "drained": view.drained,
    }
    lines: list[RenderableType] = [
        "Promotions are paused; `ami-promoter resume` ends the pause.",
        f"Asked to end: {count(len(drain.cancelled), 'delivery', 'deliveries')}.",
        counts(view),
        *([shares_table(left, drain.clock.now(), wide=wide)] if left else []),
    ]
    if kept:
        lines += ["These grants on targets' own keys stay:", shares_table(kept, drain.clock.now(), wide=wide)]
    lines += [f"Parked: delivery {d.get('id')}: {d['_item']['parked']}" for d in view.parked.values()]
    lines += [_held(it) for it in view.promotions.values() if it.get("state") in WAITING]
    done = "Drained: no delivery runs and no share is open."
    lines.append(done if view.drained else "Not drained yet: run the command again, or use --wait.")
    return Report(tuple(lines), data, exit=Exit.OK if view.drained else Exit.UNFINISHED)


def counts(view: DrainView) -> str:
    """Write the counts of running deliveries and open shares in a line."""
    states = ", ".join(f"{count} {state}" for state, count in promotion_data.counts(view.running.values()).items())
    return f"Deliveries under way: {states or 'none'}. Open shares: {len(view.shares) or 'none'}."


def _held(promotion: Record) -> str:
    begins = "begins nothing more" if promotion.get("episode") else "nothing has started"
    return f"Waits for `resume`: {promotion['_item']['pk']} is {promotion.get('state')}, and {begins}."


def _view(found: Found) -> DrainView:
    records = {place: it for place, it in found.items() if place[1] == "record"}
    deliveries = {place: it for place, it in records.items() if _is(place, "delivery") and it.get("state") not in ENDED}
    open_ = {
        place: it
        for place, it in found.items()
        if place[1].startswith("share#") and it.get("state") in OPEN_STATES and not it.get("preexisting")
    }
    kept = {place: it for place, it in open_.items() if shares.of_target(place[0]) and shares.stays(it)}
    return DrainView(
        running={place: it for place, it in deliveries.items() if not it["_item"].get("parked")},
        parked={place: it for place, it in deliveries.items() if it["_item"].get("parked")},
        shares={place: it for place, it in open_.items() if place not in kept},
        kept=kept,
        promotions={
            place: it for place, it in records.items() if _is(place, "promotion") and it.get("state") != "over"
        },
    )


def _is(place: Place, kind: str) -> bool:
    return place[0].startswith(f"{kind}#")
