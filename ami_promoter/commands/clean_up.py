"""The verb ``clean-up``: a target's administrator removes what is superseded there, with the target's credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub.aws import Account, HubError
from ami_promoter.hub.own_copies import OwnCopies, OwnSnapshots
from ami_promoter.promotions import prices
from ami_promoter.promotions.clean_up import JudgedCopy, judged, superseded
from ami_promoter.rights import CLEAN_UP
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import groups
from ami_promoter.terminal.output import Folded, table
from ami_promoter.terminal.report import Exit, Report
from ami_promoter.verbs import ANYWHERE, FAMILY, VerbCaller, admin, verb, yes_option
from chalicelib.engine.aws.refusals import STALE_CREDENTIALS
from chalicelib.engine.faults import Fault, count

COPY = {
    "image": js.text("id of the AMI"),
    "name": js.text("name of the AMI"),
    "hub": js.text("account id of the hub that made it"),
    "family": js.text("its family"),
    "source": js.text("id of the hub's AMI that it is a copy of"),
    "made_at": js.text("creation date of that source, as EC2 writes it"),
}
PRINTS = js.thing(
    account=js.text("account id of the credentials"),
    region=js.text("the Region that the command used"),
    removable=js.several(
        "AMIs that can be removed, by family and age",
        js.thing(
            "an AMI",
            **COPY,
            snapshots=js.several("its snapshots, which no other AMI uses", js.text("id of the snapshot")),
            gib=js.number("size of these snapshots in GiB"),
        ),
    ),
    kept=js.several(
        "AMIs that stay, by family and age",
        js.thing(
            "an AMI",
            **COPY,
            why=js.text("why it stays"),
            named_by=js.several("what names it", js.text("ARN of the resource")),
        ),
    ),
    left=js.several("snapshots that a clean-up left behind, as it was stopped", js.text("id of the snapshot")),
    usd_month=js.amount("what all of it costs by the month at most: an estimate by list price, as if all was full"),
    removed=js.several("AMIs that this command removed", js.text("id of the AMI")),
    not_removed=js.described("what could not be removed, and why", js.FAULTS),
)


@verb(
    "clean-up",
    group=admin,
    needs=CLEAN_UP,
    prints=PRINTS,
    options=ANYWHERE,
    exits={Exit.UNFINISHED: "something could not be removed; run the command again"},
)
@click.option("--family", type=FAMILY, help="Remove AMIs of this family only.")
@click.option("--dry-run", is_flag=True, help="List only; change nothing.")
@yes_option
def clean_up(caller: VerbCaller, family: str | None, *, dry_run: bool) -> Report:
    """Remove superseded copies, with the target's credentials.

    Run it in the account that owns the copies; it needs no access to the hub. It looks at one Region, lists what it
    will remove, and asks.

    It removes a copy of an AMI with a family, and its snapshots, if the copy is deprecated, is not the newest of the
    family, and no instance, launch template, parameter or image recipe of the account names it. It does not see other
    accounts with which you share these AMIs, nor the values of secret parameters.
    """
    account = caller.account()
    there = OwnCopies(account)
    found = _look(there, account, family)
    lines = tuple(_lines(found, wide=caller.wide))
    if not (found.removable or found.snapshots.left):
        return Report((*lines, f"Nothing can be removed in {account.place}."), _data(found))
    if dry_run:
        return Report(lines, _data(found))
    does = f"This removes {_named(found)} in {account.place} for good"
    shown = caller.confirm(does, lines)
    removed, faults = _remove(there, account, found)
    troubles = (Folded(f"Not removed: {one}") for one in faults)
    exit_ = Exit.UNFINISHED if faults else Exit.OK
    lines = (*shown, f"Removed: {count(len(removed), 'AMI')}.", *troubles)
    return Report(lines, _data(found, removed, faults), exit=exit_)


class _Found:
    """What a look has shown, and what follows."""

    def __init__(self, account: Account, every: Sequence[JudgedCopy], snapshots: OwnSnapshots) -> None:
        self.account = account
        self.removable = [one for one in every if not one.why]
        self.kept = [one for one in every if one.why]
        self.snapshots = snapshots

    @property
    def gib(self) -> int:
        """Size of what can go."""
        left = sum(self.snapshots.gib[one] for one in self.snapshots.left)
        return left + sum(one.gib for one in self.removable)

    @property
    def usd_month(self) -> float:
        """What it costs by the month, at most."""
        return round(self.gib * prices.usd("snapshot_gb_month"), 4)


def _look(there: OwnCopies, account: Account, family: str | None) -> _Found:
    copies, now = there.copies(family), account.now()
    named_by = there.named_by([one.image for one in superseded(copies, now)])
    snapshots = there.snapshots()
    return _Found(account, judged(copies, named_by, snapshots, now), snapshots)


def _remove(there: OwnCopies, account: Account, found: _Found) -> tuple[list[str], list[Fault]]:
    """Remove each, if one more look right before still allows it; one that AWS refuses stops no other.

    Where the caller's session is over, everything would be refused: the first refusal is enough.
    """
    removed: list[str] = []
    faults: list[Fault] = []
    for one in found.removable:
        image = one.copy.image
        try:
            fresh = _again(there, account, one, found.snapshots)
            if fresh is None:
                continue
            why = fresh.why or there.remove(fresh.copy, fresh.snapshots)
        except HubError as error:
            faults.append(error.fault)
            if error.fault.code in STALE_CREDENTIALS:
                return removed, faults
            continue
        if why:
            faults.append(Fault("not-removed", image, f"{why}.", "Run the command again when that has changed."))
        else:
            removed.append(image)
    try:
        there.delete_unused(found.snapshots.left)
    except HubError as error:
        faults.append(error.fault)
    return removed, faults


def _again(there: OwnCopies, account: Account, one: JudgedCopy, listed: OwnSnapshots) -> JudgedCopy | None:
    """Judge a copy by what is there now; None: it is gone."""
    copies = there.copies(one.copy.family)
    snapshots = OwnSnapshots(listed.gib, (), there.used_by(one.snapshots))
    every = judged(copies, there.named_by([one.copy.image]), snapshots, account.now())
    return next((fresh for fresh in every if fresh.copy.image == one.copy.image), None)


def _data(found: _Found, removed: Sequence[str] = (), faults: Sequence[Fault] = ()) -> dict[str, Any]:
    return {
        "account": found.account.account,
        "region": found.account.region,
        "removable": [{**_copy(one), "snapshots": list(one.snapshots), "gib": one.gib} for one in found.removable],
        "kept": [{**_copy(one), "why": one.why, "named_by": list(one.named_by)} for one in found.kept],
        "left": list(found.snapshots.left),
        "usd_month": found.usd_month,
        "removed": list(removed),
        "not_removed": [one.to_json() for one in faults],
    }


def _copy(one: JudgedCopy) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(one.copy).items() if name in COPY}


def _named(found: _Found) -> str:
    snapshots = sum(len(one.snapshots) for one in found.removable) + len(found.snapshots.left)
    return f"{count(len(found.removable), 'AMI')} and {count(snapshots, 'snapshot')}"


def _lines(found: _Found, *, wide: bool) -> Iterator[RenderableType]:
    if found.removable:
        yield "Can be removed:"
        rows = [(one.copy.image, one.copy.family, one.copy.made_at[:10], f"{one.gib} GiB") for one in found.removable]
        yield table(("AMI", "FAMILY", "SOURCE MADE", "SNAPSHOTS"), rows)
    if found.snapshots.left:
        yield f"Left by a clean-up that was stopped: {', '.join(found.snapshots.left)}"
    if found.gib:
        saved = f"at most {prices.dollars(found.usd_month)} a month"
        file = prices.read()
        yield f"That saves {saved}: an estimate by the list price of {file['region']}, {file['dated']}."
    for same in groups(found.kept, lambda one: (one.why, one.named_by), each=wide):
        named = ", ".join(f"{one.copy.image} ({one.copy.family})" for one in same)
        yield Folded(f"Stays: {named}: {same[0].why}{_by(same[0].named_by)}.")


def _by(arns: Sequence[str]) -> str:
    return f": {', '.join(arns)}" if arns else ""
