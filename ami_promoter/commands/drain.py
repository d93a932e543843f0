"""The verb ``drain``: pauses promotions, ends every delivery, and waits until every share is closed.

The service withdraws standing shares. Grants for service roles on a target's own key stay, because the target's AMIs
need them.

The command changes nothing in AWS: it writes the same inbox entry to a delivery's record as a removed tag causes, and
the service stops, tidies and closes as usual. Without ``--delete-copies`` it cancels only deliveries without a running
copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import pause_switch, shares
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.record_requests import wake
from ami_promoter.hub.records import UNSETTLED, Reader, RecordSeen, by_name, record_named
from ami_promoter.promotions import promotion_data
from ami_promoter.promotions.following import follow
from ami_promoter.promotions.promotion_text import not_closing, shares_table
from ami_promoter.rights import LOOK_AGAIN, READ_ALL, SWITCH
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Exit, Report
from ami_promoter.verbs import TerminalClock, VerbCaller, admin, verb, wait_at_most, yes_option
from chalicelib.delivery.model import ENDED, Delivery, DeliveryState, EndRequest
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import count
from chalicelib.engine.places import Resource
from chalicelib.promotion.model import Promotion, PromotionState
from chalicelib.sharing.holders import standing
from chalicelib.sharing.share import OPEN_STATES, Share

WHY = "drain"

NOTHING_RUNS = (
    DeliveryState.AWAITING_WAVE,
    DeliveryState.AWAITING_APPROVAL,
    DeliveryState.REQUESTED,
    DeliveryState.AWAITING_ROLE,
    DeliveryState.AWAITING_SLOT,
    DeliveryState.SHARED,
)
"""States in which a delivery has no copy: it has not opened anything yet, or it is in share mode."""


@dataclass(frozen=True, slots=True)
class DrainView:
    """Deliveries that have not ended, parked ones, and shares that may be open, without preexisting ones.

    ``kept``: the grants on targets' own keys, which must stay.
    """

    running: Sequence[RecordSeen[Delivery]]
    parked: Sequence[RecordSeen[Delivery]]
    shares: Sequence[Share]
    kept: Sequence[Share]
    promotions: Sequence[RecordSeen[Promotion]]
    """Promotions that have not ended. Those that are to begin deliveries wait for `admin resume`; `drain` does not."""

    @property
    def drained(self) -> bool:
        """Whether no delivery runs, except parked ones, and no share is open."""
        return not self.running and not self.shares


@dataclass(frozen=True, slots=True)
class Drain:
    """Drains one hub."""

    connection: Connection
    clock: TerminalClock
    cancelled: set[tuple[str, int]] = field(default_factory=set)
    """Deliveries with their episodes."""

    @property
    def _reader(self) -> Reader:
        return Reader(self.connection, "reading the deliveries and shares")

    def look(self) -> DrainView:
        """Read the whole table: no index lists the deliveries that have not ended."""
        return _view(*self._reader.under_way())

    def cancel(self, view: DrainView, *, delete_copies: bool) -> None:
        """Ask deliveries to end: all, or only those without a running copy. Asking again is harmless."""
        asked: list[RecordKey] = []
        with self.connection.telling("asking deliveries to end (run the command again; it continues where it stopped)"):
            for delivery in view.running:
                if delete_copies or delivery.state in NOTHING_RUNS:
                    key, episode = delivery.key, delivery.it.episode
                    request = EndRequest(episode, WHY, f"{self.connection.caller} drained the hub.")
                    self.connection.records.make_due(key, int(self.connection.now()), {"cancel": str(request)})
                    self.cancelled.add((key.pk, episode))
                    asked.append(key)
        wake(self.connection, asked)

    def wait(self, view: DrainView, *, delete_copies: bool, limit: int | None) -> DrainView:
        """Wait until the hub is drained, at most ``limit`` seconds; also cancel deliveries that started meanwhile."""

        def look() -> DrainView:
            nonlocal view
            view = self._again(view)
            if view.drained:
                view = self.look()
            self.cancel(view, delete_copies=delete_copies)
            return view

        return follow(look, lambda seen: seen.drained, self.clock, changes=counts, limit=limit)

    def _again(self, view: DrainView) -> DrainView:
        """Read again the records that had not ended, which is cheaper than the whole table."""
        records = self._reader.many(one.key for one in (*view.running, *view.parked, *view.promotions))
        found = self._reader.shares(map(by_name, (*view.shares, *view.kept)))
        return _view(records.values(), found.values())


PRINTS = js.thing(
    paused=pause_switch.SCHEMA,
    cancelled=js.number("how many deliveries the command asked to end"),
    promotions=js.counts("number of promotions that have not ended, by state"),
    under_way=js.counts("number of deliveries that have not ended, by state"),
    parked=js.several(
        "parked deliveries", js.thing(delivery=js.text("id of the delivery"), why=js.text("why its record is parked"))
    ),
    open_shares=js.several("shares that are open and must close", shares.SCHEMA),
    kept=js.several("grants on targets' own KMS keys, which stay", shares.SCHEMA),
    drained=js.flag("whether every promotion and delivery has ended and every share that must close is closed"),
)


@verb(
    "drain",
    group=admin,
    needs=READ_ALL | SWITCH | LOOK_AGAIN,
    prints=PRINTS,
    exits={Exit.UNFINISHED: "a delivery still runs, or a share is open"},
)
@click.option("--delete-copies", is_flag=True, help="Delete running copies instead of letting them finish.")
@click.option("--wait", is_flag=True, help="Return when no delivery runs and no share is open.")
@wait_at_most(help="With --wait: give up after this time, such as 90m or 2h; a bare number is minutes.")
@yes_option
def drain(caller: VerbCaller, *, delete_copies: bool, wait: bool, timeout: int | None) -> Report:
    """Pause, end every delivery, and close every share.

    Running copies finish first, unless you give --delete-copies. `admin resume` ends the pause. Shows what is under
    way, and asks.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout has no effect without --wait.")
    asked = Drain(caller.connect(), caller.clock)
    copies = "deletes its running copies" if delete_copies else "lets its running copies finish"
    does = f"This pauses promotions, ends every delivery, {copies}, and closes every share"
    if not caller.yes:
        caller.confirm(does, (counts(asked.look()),))
    return drained(asked, delete_copies=delete_copies, wait=wait, timeout=timeout, wide=caller.wide)


def drained(
    drain: Drain, *, delete_copies: bool = False, wait: bool = False, timeout: int | None = None, wide: bool = False
) -> Report:
    """Drain the hub and report; may raise HubError."""
    pause_switch.turn(drain.connection, paused=True, why=WHY)
    view = drain.look()
    drain.cancel(view, delete_copies=delete_copies)
    if wait:
        view = drain.wait(view, delete_copies=delete_copies, limit=timeout)
    left = [shares.open_share(share, drain.connection.region) for share in sorted(view.shares, key=by_name)]
    kept = [shares.open_share(share, drain.connection.region) for share in sorted(view.kept, key=by_name)]
    data = {
        "paused": pause_switch.to_json(pause_switch.read(drain.connection)),
        "cancelled": len(drain.cancelled),
        "promotions": promotion_data.counts(view.promotions),
        "under_way": promotion_data.counts(view.running),
        "parked": [{"delivery": one.it.id, "why": one.parked} for one in view.parked],
        "open_shares": left,
        "kept": kept,
        "drained": view.drained,
    }
    lines: list[RenderableType] = [
        "Promotions are paused; `ami-promoter admin resume` ends the pause.",
        f"Asked to end: {count(len(drain.cancelled), 'delivery', 'deliveries')}.",
        counts(view),
        *([shares_table(left, drain.connection.now(), wide=wide)] if left else []),
        *not_closing(left),
    ]
    if kept:
        lines += ["These grants on targets' own keys stay:", shares_table(kept, drain.connection.now(), wide=wide)]
    lines += [f"Parked: {record_named(one.key.pk, one.delivers)}: {one.parked}" for one in view.parked]
    lines += [_held(one) for one in view.promotions if one.state in UNSETTLED]
    done = "Drained: no delivery runs and no share is open."
    lines.append(done if view.drained else "Not drained yet: run the command again, or use --wait.")
    return Report(tuple(lines), data, exit=Exit.OK if view.drained else Exit.UNFINISHED)


def counts(view: DrainView) -> str:
    """Write the counts of running deliveries and open shares in a line."""
    states = ", ".join(f"{count} {state}" for state, count in promotion_data.counts(view.running).items())
    return f"Deliveries under way: {states or 'none'}. Open shares: {len(view.shares) or 'none'}."


def _held(promotion: RecordSeen[Promotion]) -> str:
    begins = "begins nothing more" if promotion.it.episode else "nothing has started"
    return f"Waits for `admin resume`: {promotion.key} is {promotion.state}, and {begins}."


def _view(records: Iterable[RecordSeen[Any]], found: Iterable[Share]) -> DrainView:
    there = sorted(records, key=lambda one: one.key)
    deliveries = [one for one in there if isinstance(one.it, Delivery) and one.state not in ENDED]
    opened = [one for one in found if one.state in OPEN_STATES and not one.preexisting]
    kept = [one for one in opened if Resource.parse(one.resource).on_own_key and standing(one)]
    return DrainView(
        running=[one for one in deliveries if not one.parked],
        parked=[one for one in deliveries if one.parked],
        shares=[one for one in opened if one not in kept],
        kept=kept,
        promotions=[one for one in there if isinstance(one.it, Promotion) and one.state != PromotionState.OVER],
    )
