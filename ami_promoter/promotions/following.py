"""Reads something repeatedly until it has ended, and shows changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from operator import itemgetter
from typing import Any, TypeVar

from rich.console import Group, RenderableType
from rich.live import Live

from ami_promoter.hub.aws import HubError
from ami_promoter.hub.records import target_of
from ami_promoter.promotions.outcome import deliveries
from ami_promoter.promotions.promotion_data import awaited_copies
from ami_promoter.terminal.alike import groups
from ami_promoter.terminal.output import Folded, console, tell
from ami_promoter.verbs import TerminalClock

A_LOOK = 3
"""Seconds between two looks of a person who watches."""
A_POLL = 15
"""Seconds between two looks of a pipeline that waits."""

EACH = 4
"""A line of changes names at most this many deliveries."""
MISSES = 5
"""At most this many consecutive reads may fail."""

_T = TypeVar("_T")


def follow(
    look: Callable[[], _T],
    over: Callable[[_T], bool],
    clock: TerminalClock,
    *,
    show: Callable[[_T], list[RenderableType]] | None = None,
    changes: Callable[[_T], str] = lambda _: "",
    limit: float | None = None,
) -> _T:
    """Look until it is over, or ``limit`` seconds have passed; return what was seen last.

    Raises HubError if the first look fails, or later ones fail again and again.

    On a terminal that can be drawn on, ``show`` draws it after each look but the last: a frame is cropped to the
    screen, and the caller prints the end in full. Elsewhere, or without ``show``, ``changes`` returns a line for
    standard error, which is printed if it differs from the last one.
    """
    out = console()
    live = Live(console=out, auto_refresh=False) if show and out.is_interactive else None
    every = A_LOOK if show else A_POLL
    end = None if limit is None else clock.now() + limit
    said, looked, misses = "", False, 0
    with live or nullcontext():
        while True:
            try:
                seen = look()
            except HubError as error:  # an outage of a minute must not end a wait of hours
                misses += 1
                if not looked or misses > MISSES:
                    raise
                tell(f"{error} Looking again.")
                clock.sleep(every)
                continue
            looked, misses = True, 0
            ended = over(seen) or (end is not None and clock.now() >= end)
            if live and show:
                live.transient = ended
                frame = [] if ended else show(seen)
                live.update(Group(*(Folded(x) if isinstance(x, str) else x for x in frame)), refresh=True)
            elif (line := changes(seen)) and line != said:
                tell(line)
                said = line
            if ended:
                return seen
            clock.sleep(every if end is None else max(0.1, min(every, end - clock.now())))


def states(data: Mapping[str, Any] | None, targets: Sequence[str] = ()) -> str:
    """Return a line about a promotion: each delivery's state, or if there are many, the number in each state.

    ``targets``: only these, by account or "ACCOUNT/REGION".
    """
    if data is None:
        return "not seen yet"
    shown = deliveries(data, targets)
    if len(shown) <= EACH:
        said = [f"{target_of(one)} {one['state']}{_percent([one])}" for one in shown]
    else:
        by_state = groups(sorted(shown, key=itemgetter("state")), itemgetter("state"))
        said = [f"{len(some):,} {some[0]['state']}{_percent(some)}" for some in by_state]
    return f"{data['state']}: {', '.join(said) or 'no delivery'}"


def _percent(deliveries: Sequence[Mapping[str, Any]]) -> str:
    """Return the progress of the slowest copy that is awaited."""
    moving = [copy["progress"] or 0 for one in deliveries for copy in awaited_copies(one) if copy["state"] == "pending"]
    slowest = "" if len(deliveries) == 1 else "the slowest copy at "
    return f" ({slowest}{min(moving)}%)" if moving else ""
