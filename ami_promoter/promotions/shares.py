"""Shares of the ledger, as commands show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import short
from ami_promoter.terminal.report import moment
from chalicelib.engine import codec
from chalicelib.engine.places import IMAGE, SNAPSHOT, Resource
from chalicelib.sharing.holders import ENDED_LONG_AGO, must_close_at, standing
from chalicelib.sharing.share import Share

SCHEMA = js.thing(
    "a share that may be open",
    resource=js.text("kind and name of the resource: `snapshot#snap-...`, `key#ARN#ACCOUNT`, `image#ami-...`"),
    account=js.perhaps(js.text("account that can use the resource")),
    state=js.perhaps(js.text("state of the share: opening, open or closing")),
    opened_at=js.time("when the service opened it"),
    preexisting=js.flag(
        "whether the permission existed before the service needed it; then the service does not remove it"
    ),
    holdings=js.several("deliveries and promotions that need the share, and for what", js.mapping("a holding", {})),
    stays=js.flag("whether it is a standing share, which stays open after the copies are done"),
    closes_at_the_latest=js.time("latest time at which the service closes it, even if a delivery still needs it"),
)


def open_share(share: Share) -> dict[str, Any]:
    """Return a share as JSON data."""
    return {
        "resource": share.resource.removeprefix("resource#"),
        "account": share.account,
        "state": share.state.value,
        "opened_at": moment(share.opened_at),
        "preexisting": share.preexisting,
        "holdings": codec.encode(sorted(share.holdings, key=str)),
        "stays": standing(share),
        "closes_at_the_latest": moment(_end(share)),
    }


def _end(share: Share) -> int | None:
    """Return when it closes even if a delivery holds it (epoch seconds); None: only when its holders release it."""
    end = must_close_at(share) if standing(share) else share.last_closing_at
    return end if end > ENDED_LONG_AGO else None


def end(share: Mapping[str, Any]) -> str:
    """Say when a share closes."""
    if share["preexisting"]:
        return "existed before the service, stays"
    if share["state"] == "closing":
        return "when two reads show it closed"
    if share["closes_at_the_latest"] == moment(None):
        return "stays until it is withdrawn" if share["stays"] else "when no longer needed"
    return f"{'stays until' if share['stays'] else 'by'} {share['closes_at_the_latest']} at the latest"


def named(resource: str, *, wide: bool = True) -> str:
    """Write a resource's name; an id that begins with its kind needs no kind before it."""
    one = Resource.parse(resource)
    kind = "" if one.kind in (SNAPSHOT, IMAGE) else f"{one.kind} "
    return f"{kind}{short(one.name, wide=wide)}"
