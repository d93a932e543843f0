"""The command ``drain``: pause, bring every delivery to its end, and see every share closed.

What stays shared is withdrawn. Grants for service roles on a target's own key stay: its AMIs need them.

It changes nothing in AWS: it leaves the same hint on a delivery's record as a removed tag does, and the service stops,
tidies and closes as ever. Without ``--delete-copies`` only deliveries of which no copy runs are cancelled.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ami_promoter import pausing, status
from ami_promoter.arguments import Call
from ami_promoter.aws import Connection
from ami_promoter.records import Reader, Record
from ami_promoter.report import Report
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.addresses import Key
from chalicelib.core.delivery.model import ENDED, State

POLL = 30
"""Seconds between two looks with ``--wait``."""

WHY = "drain"

NOTHING_RUNS = (State.REQUESTED, State.CHECKING, State.WAITING, State.SHARED)
"""States in which a delivery has started no copy: it has opened nothing yet, or shares and never copies."""

Place = tuple[str, str]
Found = Mapping[Place, Record]


@dataclass(frozen=True, slots=True)
class View:
    """What is under way now, and what is parked; and every share that may be open, but those from before us.

    ``kept`` are the grants on targets' own keys, which nobody is to close.
    """

    running: Found
    parked: Found
    shares: Found
    kept: Found

    @property
    def drained(self) -> bool:
        """Whether nothing moves any longer and no door is open. What is parked moves no longer."""
        return not self.running and not self.shares


class Drain:
    """Drains one hub. ``sleep`` and ``clock`` are time's; ``tell`` gets a line when something has changed."""

    def __init__(
        self,
        connection: Connection,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    ) -> None:
        self._connection = connection
        self._reader = Reader(connection)
        self._records = DynamoRecords(Table(connection.dynamodb, connection.table))
        self._sleep = sleep
        self._clock = clock
        self._tell = tell
        self.switch = pausing.Switch(connection, clock)
        self.cancelled: set[tuple[str, int]] = set()
        """Deliveries with their episodes."""

    def pause(self) -> None:
        """Let nothing new begin."""
        self.switch.turn(paused=True, why=WHY)

    def look(self) -> View:
        """Read the whole table: there is no index of what is under way."""
        with self._connection.telling("reading what is under way"):
            return _view(self._reader.under_way())

    def cancel(self, view: View, *, delete_copies: bool) -> None:
        """Ask deliveries to end: those of which no copy runs, or all. Asking again is harmless."""
        with self._connection.telling("asking deliveries to end (asked again, it goes on where it stopped)"):
            for (pk, _), delivery in view.running.items():
                if delete_copies or delivery.get("state") in NOTHING_RUNS:
                    episode = int(delivery.get("episode", 0))
                    self._records.make_due(Key(pk), int(self._clock()), {"cancel": f"{episode}:{WHY}"})
                    self.cancelled.add((pk, episode))

    def wait(self, view: View, *, delete_copies: bool, limit: int | None) -> View:
        """Look until it is drained, or ``limit`` seconds have passed. What a late invocation began is asked as well."""
        until = None if limit is None else self._clock() + limit
        said = ""
        while not view.drained and (until is None or self._clock() < until):
            if (now := counts(view)) != said:
                self._tell(now)
                said = now
            self._sleep(POLL)
            view = self._again(view)
            if view.drained:
                view = self.look()
            self.cancel(view, delete_copies=delete_copies)
        return view

    def _again(self, view: View) -> View:
        """Read again what was under way: cheaper than the whole table."""
        with self._connection.telling("reading what is under way"):
            return _view(self._reader.many([*view.running, *view.parked, *view.shares, *view.kept]))


def run(call: Call, region: str) -> Report:
    """Drain; may raise Trouble."""
    return drained(call, Drain(Connection(region, call.options.get("--table"), call.options.get("--hub-account"))))


def drained(call: Call, drain: Drain) -> Report:
    """Carry out the command."""
    delete_copies = "--delete-copies" in call.options
    drain.pause()
    view = drain.look()
    drain.cancel(view, delete_copies=delete_copies)
    if "--wait" in call.options:
        minutes = call.options.get("--timeout")
        view = drain.wait(view, delete_copies=delete_copies, limit=None if minutes is None else int(minutes) * 60)
    shares = [status.open_share(pk, share) for (pk, _), share in sorted(view.shares.items())]
    kept = [status.open_share(pk, share) for (pk, _), share in sorted(view.kept.items())]
    data = {
        "paused": pausing.to_json(drain.switch.read()),
        "cancelled": len(drain.cancelled),
        "under_way": _by_state(view.running.values()),
        "parked": [{"delivery": d.get("id"), "why": d["_item"]["parked"]} for d in view.parked.values()],
        "open_shares": shares,
        "kept": kept,
        "drained": view.drained,
    }
    lines = [
        "Promotions are paused; `ami-promoter resume` lifts it.",
        f"Asked to end: {_some(len(drain.cancelled), 'delivery', 'deliveries')}.",
        counts(view),
        *(f"  {status.share_line(share)}" for share in shares),
    ]
    lines += [f"Stays with the target, on its own key: {status.share_line(share)}" for share in kept]
    lines += [f"Parked, and left so: delivery {d.get('id')}: {d['_item']['parked']}" for d in view.parked.values()]
    done = "Drained: nothing is under way and no share is open."
    lines.append(done if view.drained else "Not drained yet: run it again, or with --wait.")
    return Report(tuple(lines), data, unfinished=not view.drained)


def counts(view: View) -> str:
    """Say how much is left, in a line."""
    states = ", ".join(f"{count} {state}" for state, count in _by_state(view.running.values()).items())
    return f"Under way: {states or 'nothing'}. Open shares: {len(view.shares) or 'none'}."


def _view(found: Found) -> View:
    deliveries = {place: it for place, it in found.items() if place[1] == "record" and it.get("state") not in ENDED}
    shares = {
        place: it
        for place, it in found.items()
        if place[1].startswith("share#") and it.get("state") in status.OPEN and not it.get("preexisting")
    }
    kept = {place: it for place, it in shares.items() if status.of_target(place[0]) and status.stays(it)}
    return View(
        running={place: it for place, it in deliveries.items() if not it["_item"].get("parked")},
        parked={place: it for place, it in deliveries.items() if it["_item"].get("parked")},
        shares={place: it for place, it in shares.items() if place not in kept},
        kept=kept,
    )


def _by_state(deliveries: Iterable[Record]) -> dict[str, int]:
    return dict(sorted(Counter(str(delivery.get("state")) for delivery in deliveries).items()))


def _some(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
