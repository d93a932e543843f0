"""Shares of the ledger, as commands show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import alike_anywhere, first_of, groups
from ami_promoter.terminal.output import short
from ami_promoter.terminal.report import moment
from chalicelib.engine import codec
from chalicelib.engine.calls import MadeCall
from chalicelib.engine.places import IMAGE, SNAPSHOT, Arn, Resource
from chalicelib.sharing.holders import ENDED_LONG_AGO, must_close_at, standing
from chalicelib.sharing.share import TRIES_BEFORE_ALARM, Share, ShareState

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
    not_closing=js.perhaps(
        js.thing(
            "why it does not close after several tries; null: no such trouble",
            what=js.text("what happened"),
            cure=js.text("how to close it by hand"),
        )
    ),
)


def open_share(share: Share, region: str) -> dict[str, Any]:
    """Return a share as JSON data. ``region``: the hub's."""
    return {
        "resource": share.resource.removeprefix("resource#"),
        "account": share.account,
        "state": share.state.value,
        "opened_at": moment(share.opened_at),
        "preexisting": share.preexisting,
        "holdings": codec.encode(sorted(share.holdings, key=str)),
        "stays": standing(share),
        "closes_at_the_latest": moment(_end(share)),
        "not_closing": why_not_closing(share, region),
    }


def why_not_closing(share: Share, region: str) -> dict[str, str] | None:
    """Say why a share does not close, from the try on that raises `StillOpenAlarm`. ``region``: the hub's."""
    if share.state is not ShareState.CLOSING or share.tries < TRIES_BEFORE_ALARM or share.removed_at is not None:
        return None
    calls = filter(None, (MadeCall.read(line) for step in reversed(share.recent) for line in reversed(step.what)))
    last = next(calls, MadeCall(""))
    why = "AWS shows it after each of them"
    if last.error:
        why = f"{last.operation} was refused: {last.error} (request {last.request_id or 'not known'})"
    return {"what": f"{share.tries} tries have not closed it: {why}.", "cure": _by_hand(share, region)}


def _by_hand(share: Share, region: str) -> str:
    """Return how a person closes it."""
    one = Resource.parse(share.resource)
    page = "docs/operations/runbook.md#closing-by-hand"
    command = ""
    if one.kind == SNAPSHOT:
        command = (
            f"aws ec2 modify-snapshot-attribute --region {one.region or region} --snapshot-id {one.name} "
            f"--attribute createVolumePermission --operation-type remove --user-ids {share.account}"
        )
    elif share.grant_id:
        of_key = Arn.parse(one.arn).region
        command = f"aws kms revoke-grant --region {of_key} --key-id {one.arn} --grant-id {share.grant_id}"
    return f"The service goes on trying. To close it by hand, {f'`{command}`; see' if command else 'see'} {page}."


def not_closing(shown: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (what, cure) for the shares that do not close, as ``open_share`` shows them; equal ones together."""
    bad = [(one, one["not_closing"]) for one in shown if one["not_closing"]]
    for same in groups(bad, lambda pair: alike_anywhere(pair[1]["what"])):
        names = first_of([f"{named(one['resource'])} to {one['account']}" for one, _ in same])
        yield f"{names}: {same[0][1]['what']}", same[0][1]["cure"]


def _end(share: Share) -> int | None:
    """Return when it closes even if a delivery holds it (epoch seconds); None: only when its holders release it."""
    end = must_close_at(share) if standing(share) else share.last_closing_at
    return end if end > ENDED_LONG_AGO else None


def end(share: Mapping[str, Any]) -> str:
    """Say when a share closes."""
    if share["preexisting"]:
        return "existed before the service, stays"
    if share["state"] == "closing":
        return "does not close" if share["not_closing"] else "when two reads show it closed"
    if share["closes_at_the_latest"] == moment(None):
        return "stays until it is withdrawn" if share["stays"] else "when no longer needed"
    return f"{'stays until' if share['stays'] else 'by'} {share['closes_at_the_latest']} at the latest"


def named(resource: str, *, wide: bool = True) -> str:
    """Write a resource's name; an id that begins with its kind needs no kind before it."""
    one = Resource.parse(resource)
    kind = "" if one.kind in (SNAPSHOT, IMAGE) else f"{one.kind} "
    return f"{kind}{short(one.name, wide=wide)}"
