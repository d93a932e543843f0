"""The verb ``approve``: allows the service to share an AMI with the targets that need an approval."""

from __future__ import annotations

import click

from ami_promoter.hub import approval_items
from ami_promoter.promotions.promotion_text import quoted
from ami_promoter.rights import APPROVE, FIND_AMI, READ
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Report, moment
from ami_promoter.verbs import DIGEST, Duration, VerbCaller, ami_argument, tag_key_option, verb
from chalicelib.core.faults import Fault, count
from chalicelib.core.records.schedule import DAY
from chalicelib.core.targets import approvals

SHOWN = 20
"""Without --wide the command lists at most this many targets."""
PRINTS = js.thing(
    ami=js.text("id of the source AMI"),
    name=js.text("name of the source AMI"),
    value=js.text("value of the tag that the approval is for"),
    snapshots=js.several("snapshots of the source AMI", js.text("id of a snapshot")),
    digest=js.text("digest of what is approved: AMI, snapshots, value and settings of the targets"),
    approved=js.several("targets that need an approval", js.text("ACCOUNT/REGION")),
    until=js.time("when the approval expires"),
    changed=js.flag("whether the command wrote an approval; false with --dry-run, or if no target needs one"),
)


@verb("approve", needs=READ | FIND_AMI | APPROVE, prints=PRINTS)
@ami_argument
@click.option("--digest", type=DIGEST, help="Approve only what has this digest, as the notice or `status` shows it.")
@click.option(
    "--for",
    "lasts",
    type=Duration("d", "1h", f"{approvals.LONGEST // DAY}d"),
    default="7d",
    show_default=True,
    help="How long it lasts; 1h to 90d.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be approved.")
@tag_key_option
def approve(caller: VerbCaller, ami: str, *, digest: str | None, lasts: int, dry_run: bool, tag_key: str) -> Report:
    """Approve an AMI for the targets that need an approval.

    The approval holds for the AMI, its snapshots, the tag's value, and these targets with their settings. If one of
    them changes, each target for which nothing is open yet needs another approval. The service finds an approval
    within 15 minutes. `--dry-run` needs no right to approve.
    """
    connection = caller.connect()
    seen = approval_items.asked(connection, ami, tag_key)
    if isinstance(seen, Fault):
        return Report(faults=(seen,))
    asked = seen.question
    short, places = approvals.short(asked.digest), sorted(asked.targets)
    if digest is not None and not asked.digest.startswith(digest):
        return Report(faults=(_differs(ami, digest, short, asked.value, len(places)),))
    writes = bool(places) and not dry_run
    until = approval_items.approve(connection, asked, lasts) if writes else 0
    data = {
        "ami": ami,
        "name": seen.name,
        "value": asked.value,
        "snapshots": list(seen.snapshots),
        "digest": asked.digest,
        "approved": places,
        "until": moment(until),
        "changed": writes,
    }
    if not places:
        return Report((f"Nothing to do: no target that {quoted(asked.value)} names needs an approval.",), data)
    listed = places if caller.wide else places[:SHOWN]
    more = [f"  and {len(places) - len(listed)} more; --wide lists all"] if len(listed) < len(places) else []
    done = f"Approved until {moment(until)} by {connection.caller}." if writes else "This changes nothing."
    lines = (
        f"{ami} {seen.name}, value {quoted(asked.value)}, {count(len(seen.snapshots), 'snapshot')}, digest {short}:",
        *(f"  {place.replace('/', ' ')}" for place in listed),
        *more,
        done,
    )
    return Report(lines, data)


def _differs(ami: str, given: str, short: str, value: str, targets: int) -> Fault:
    what = (
        f"the deliveries that wait have the digest {short} now, not {given}: value {quoted(value)}, "
        f"{count(targets, 'target')}. The value, the settings, or the targets that need an approval have changed."
    )
    cure = f"Check it with `ami-promoter approve {ami} --dry-run`, then give that digest."
    return Fault("digest-differs", ami, what, cure)
