"""The verb ``wait``: for pipelines, until a promotion has come out."""

from __future__ import annotations

import click

from ami_promoter.promotions import waiting
from ami_promoter.rights import FIND_AMI, READ
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import PLACE, VerbCaller, ami_argument, tag_key_option, verb, wait_at_most


@verb("wait", needs=READ | FIND_AMI, prints=waiting.PRINTS, exits=waiting.EXITS, reads=True)
@ami_argument
@wait_at_most(help="Give up after this time, such as 90m or 2h; a bare number is minutes.")
@click.option(
    "--account", "targets", type=PLACE, multiple=True, help="Only this account, or ACCOUNT/REGION; may be repeated."
)
@tag_key_option
def wait(caller: VerbCaller, ami: str, timeout: int | None, targets: tuple[str, ...], tag_key: str) -> Report:
    """Wait for the outcome of a promotion, in a pipeline.

    Prints each change to standard error. Waits for the outcome of the tag's present value; the outcome of an earlier
    value does not count.
    """
    return waiting.wait(caller, ami, tag_key, targets=targets, limit=timeout)
