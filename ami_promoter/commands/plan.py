"""The verb ``plan``: what a value of the tag would do, before anybody writes it."""

from __future__ import annotations

import click

from ami_promoter.promotions import plan_preview, plan_reading
from ami_promoter.rights import EXAMINE, READ
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import VALUE, VerbCaller, ami_argument, tag_key_option, verb


@verb("plan", needs=READ | EXAMINE, prints=plan_preview.PLAN, exits=plan_reading.EXITS)
@ami_argument
@click.argument("value", type=VALUE, required=False)
@tag_key_option
def plan(caller: VerbCaller, ami: str, value: str | None, tag_key: str) -> Report:
    """Show what a value would do, target by target.

    VALUE defaults to the tag's present value. Changes nothing. The service checks each target's role, key and quotas
    when a delivery begins; `doctor` checks them now.
    """
    return plan_reading.report(caller, ami, value, tag_key)
