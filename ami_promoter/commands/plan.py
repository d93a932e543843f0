"""The verb ``plan``: what a value of the tag would do, before anybody writes it."""

from __future__ import annotations

import click

from ami_promoter.hub import recalls
from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.hub_images import Tag, examine, no_such_ami
from ami_promoter.hub.records import Reader
from ami_promoter.hub.withdrawals import withdrawn_for
from ami_promoter.promotions import plan_preview, pointers
from ami_promoter.rights import EXAMINE, READ
from ami_promoter.terminal.report import Exit, NotDone, Report
from ami_promoter.verbs import VALUE, VerbCaller, ami_argument, tag_key_option, verb
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place

EXITS = {
    Exit.OK: "no check failed",
    Exit.FAILED: "a check failed: source or account are refused or not known yet, or the AMI is pending or recalled",
}


@verb("plan", needs=READ | EXAMINE, prints=plan_preview.PLAN, exits=EXITS, reads=True)
@ami_argument
@click.argument("value", type=VALUE, required=False)
@tag_key_option
def plan(caller: VerbCaller, ami: str, value: str | None) -> Report:
    """Show what a tag value would do, target by target.

    Changes nothing. VALUE defaults to the tag's present value. The command looks at the hub only; `doctor` also checks
    role, key and quotas in each target.
    """
    connection = caller.connect()
    tag = Tag(connection, ami).read()
    wanted = tag if value is None else value
    if wanted is None:
        what, cure = f"it has no tag `{connection.tag_key}`.", f"Write `ami-promoter plan {ami} VALUE`."
        raise NotDone(Fault("no-tag", ami, what, cure))
    file = applied_file(connection)
    resolution = file.judge(wanted, in_force=value is None)
    if resolution.faults:
        raise NotDone(*resolution.faults)
    examined = examine(connection, ami)
    if examined is None:
        raise no_such_ami(connection, ami)
    image, keys = examined
    reader = Reader(connection)
    entries = [entry.it for entry in reader.tracked(ami)]
    tracked = {entry.delivery: entry.place for entry in entries}
    states = {tracked[one]: record.state for one, record in reader.deliveries(tracked).items()}
    held = (key for one in resolution.targets if (key := pointers.pin_for(image, one)) is not None)
    pins = recalls.pins(connection, held)
    facts = plan_preview.PlanFacts(
        ami,
        wanted,
        resolution,
        image,
        keys,
        Place(connection.account, connection.region),
        connection.tag_key,
        connection.now(),
        states,
        reader.many(key for one in resolution.targets if (key := pointers.key_for(image, one)) is not None),
        pins,
        file.waves,
        withdrawn_for(connection, ami, wanted),
        recalls.refused(connection, ami),
        {entry.place: entry.ssm_parameter for entry in entries},
    )
    data = plan_preview.plan(facts)
    lines = tuple(plan_preview.show(data, connection.place, wide=caller.wide))
    return Report(lines, data, exit=Exit.OK if data["ready"] else Exit.FAILED)
