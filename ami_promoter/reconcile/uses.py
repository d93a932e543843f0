"""Who still uses an AMI: asks the targets what names their copies, and writes the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import place_of, target_of
from ami_promoter.reconcile.inventories import Inventories
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import example, groups, named
from ami_promoter.terminal.output import Folded
from ami_promoter.verbs import TerminalClock
from chalicelib.engine.places import Arn, Place

SCHEMA = js.several(
    "with --use: one entry for each target with an AMI, sorted by account and Region",
    js.thing(
        "what names an AMI in a target",
        **js.PLACE,
        image=js.text("id of the AMI"),
        named_by=js.several(
            "instances, but terminated ones, launch templates and parameters",
            js.thing(
                "what names it",
                kind=js.text("its kind, as EC2 calls it: `ec2:Instance`, `ec2:LaunchTemplate` or `ssm:Parameter`"),
                arn=js.text("its ARN"),
            ),
        ),
        fault=js.perhaps(js.described("why that is not known; null: it is", js.FAULT)),
    ),
)
KINDS = {"ec2:Instance": "instance", "ec2:LaunchTemplate": "launch template", "ssm:Parameter": "parameter"}


def ask(
    connection: Connection,
    clock: TerminalClock,
    shown: Iterable[Mapping[str, Any]],
    patience: int,
    *,
    in_all: bool = False,
) -> list[dict[str, Any]]:
    """Ask each target that is shown what names its AMI, if it has one.

    ``patience``: seconds without an answer after which it stops waiting; with ``in_all`` those for all answers.
    """
    wanted = {Place(one["account"], one["region"]): str(one["image"]) for one in shown if one["image"]}
    asking = Inventories(connection, patience, clock, images=wanted, in_all=in_all)
    found = asking.ask(tuple(wanted), "use")
    return [
        {
            "account": place.account,
            "region": place.region,
            "image": wanted[place],
            "named_by": [{"kind": use.kind, "arn": use.arn} for use in sorted(facts.uses, key=lambda one: one.arn)],
            "fault": facts.fault.to_json() if facts.fault else None,
        }
        for place, facts in sorted(found.items())
    ]


def lines(uses: Sequence[Mapping[str, Any]], ami: str = "") -> Iterator[RenderableType]:
    """Write what names the AMI in each target; targets that could not be asked come last, with the cure.

    ``ami``: before a question the cures are left out; they are shown by `where` with this AMI.
    """
    if not uses:
        return
    yield "Who uses it:"
    known = [one for one in uses if one["fault"] is None]
    for one in known:
        for use in one["named_by"]:
            kind = KINDS.get(use["kind"], use["kind"])
            name = "/".join(Arn.parse(use["arn"]).path[1:])
            yield Folded(f"{target_of(one)}: {kind} {'/' * ('/' in name)}{name}", 2)
    if unused := [place_of(one) for one in known if not one["named_by"]]:
        yield Folded(f"{named(unused)}: nothing names it.", 2)
    unknown = [one for one in uses if one["fault"] is not None]
    if unknown and ami:
        silent = named([place_of(one) for one in unknown])
        yield Folded(f"{silent}: not known; `ami-promoter where {ami} --use` shows it, or why not.", 2)
        return
    for same in groups(unknown, lambda one: (one["fault"]["code"], one["fault"]["cure"])):
        of = example(target_of(same[0]), {one["fault"]["what"] for one in same})
        yield Folded(f"{named([place_of(one) for one in same])}: not known. {of}{same[0]['fault']['what']}", 2)
        yield Folded(same[0]["fault"]["cure"], 4)
