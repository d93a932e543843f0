"""The verb ``plan``: what a value of the tag would do, before anybody writes it."""

from __future__ import annotations

import click

from ami_promoter.promotions import plan_preview, plan_reading
from ami_promoter.rights import EXAMINE, READ
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import VALUE, VerbCaller, ami_argument, tag_key_option, verb


@verb("plan", needs=READ | EXAMINE, prints=plan_preview.PLAN, exits=plan_reading.EXITS, reads=True)
@ami_argument
@click.argument("value", type=VALUE, required=False)
@tag_key_option
def plan(caller: VerbCaller, ami: str, value: str | None, tag_key: str) -> Report:
    """Show what a tag value would do, target by target.

    Changes nothing. VALUE defaults to the tag's present value. The command looks at the hub only; `doctor` also checks
    role, key and quotas in each target.
    """
    return plan_reading.report(caller, ami, value, tag_key)
