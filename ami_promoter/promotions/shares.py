"""Shares of the ledger, as commands show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ami_promoter.hub.records import Record, holdings
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import short
from ami_promoter.terminal.report import moment
from chalicelib.core.records import addresses, codec
from chalicelib.core.sharing.holders import must_close_at
from chalicelib.core.sharing.share import Share

RESOURCE = 2
"""The name of such a resource has at least this many #."""

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


def open_share(pk: str, share: Record) -> dict[str, Any]:
    """Return a share as JSON data."""
    return {
        "resource": pk.removeprefix("resource#"),
        "account": share.get("account"),
        "state": share.get("state"),
        "opened_at": moment(share.get("opened_at")),
        "preexisting": share.get("preexisting", False),
        "holdings": codec.encode(holdings(share)),
        "stays": stays(share),
        "closes_at_the_latest": moment(_end(share)),
    }


def stays(share: Record) -> bool:
    """Whether it has a standing holding, so that it stays open on purpose."""
    return any(holding.stands for holding in holdings(share))


def of_target(pk: str) -> bool:
    """Whether it is a grant on a target's own key: the target's AMIs need it, and only the target may revoke it."""
    return pk.count("#") >= RESOURCE and addresses.at_home(pk)


def _end(share: Record) -> int | None:
    """Return when it closes even if a delivery holds it (epoch seconds); None: only when its holders release it."""
    end = share["_item"].get("last_closing_at")
    if not stays(share):
        return end if isinstance(end, int) else None
    read = Share("", "", "", holdings=frozenset(holdings(share)), last_closing_at=end if isinstance(end, int) else 0)
    return must_close_at(read) or None


def end(share: Mapping[str, Any]) -> str:
    """Say when a share closes."""
    if share["preexisting"]:
        return "existed before the service, stays"
    latest = f"closes by {share['closes_at_the_latest']} at the latest"
    if not share["stays"]:
        return latest
    return "stays until it is withdrawn" if share["closes_at_the_latest"] == moment(None) else f"stays; {latest}"


def named(resource: str, *, wide: bool = True) -> str:
    """Write a resource's name: its kind, and the id of the snapshot, AMI or key."""
    kind, _, rest = resource.partition("#")
    return f"{kind} {short(rest.partition('#')[0], wide=wide)}"
