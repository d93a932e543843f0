"""The verb ``approve``: allows the service to share an AMI with the targets that need an approval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from ami_promoter.hub import approval_items, recalls, record_requests
from ami_promoter.hub.records import Reader
from ami_promoter.promotions.promotion_text import quoted
from ami_promoter.rights import APPROVE, EXAMINE, READ, WAKE
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import named, place
from ami_promoter.terminal.report import NotDone, Report, moment, span
from ami_promoter.verbs import DIGEST, Duration, VerbCaller, ami_argument, tag_key_option, verb, yes_option
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.schedule import DAY
from chalicelib.targets import approvals

SHOWN = 20
"""Without --wide the command lists at most this many targets."""
TAGS = js.mapping("tags of the source that arrive", js.text("a tag's value"))
WORDS = {"request": "its devices or attributes", "deprecation": "its deprecation", "tags": "its tags"} | {
    "snapshots": "tags or description of its snapshots"
}
"""What may have been changed since the source was examined, in words."""
PRINTS = js.thing(
    ami=js.text("id of the source AMI"),
    name=js.text("name of the source AMI"),
    value=js.text("value of the tag that the approval is for"),
    arrives=js.several(
        "what arrives, as the service examined it; targets that get the same tags and family are together",
        js.thing(
            targets=js.several("the targets", js.text("ACCOUNT/REGION")),
            family=js.text("family of the AMI, as the source's tag names it; empty: it has none"),
            description=js.perhaps(js.text("description of the AMI")),
            deprecation=js.perhaps(js.text("date of its deprecation, as EC2 writes it")),
            tags=TAGS,
            snapshots=js.several(
                "its snapshots",
                js.thing(
                    id=js.text("id of the source snapshot"),
                    description=js.perhaps(js.text("its description")),
                    tags=TAGS,
                ),
            ),
        ),
    ),
    since=js.several("what was changed since, and does not arrive before another tag event", js.text("WHAT")),
    digest=js.text("digest of what is approved: what arrives, the value, and the settings of the targets"),
    approved=js.several("targets that need an approval", js.text("ACCOUNT/REGION")),
    failed=js.several("those of them whose delivery has failed: `retry` begins it again", js.text("ACCOUNT/REGION")),
    until=js.time("when the approval expires"),
    changed=js.flag("whether the command wrote an approval; false with --dry-run, or if no target needs one"),
)


@verb("approve", needs=READ | EXAMINE | APPROVE | WAKE, prints=PRINTS)
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
@yes_option
@tag_key_option
def approve(caller: VerbCaller, ami: str, *, digest: str | None, lasts: int, dry_run: bool) -> Report:
    """Approve an AMI for the targets that need an approval.

    The approval holds for what arrives (the AMI as the service examined it, with its family, the tags that the targets
    accept, description and deprecation), the tag's value, and these targets with their settings. Exactly that is
    registered.

    If one of them changes, each target for which nothing is open yet needs another approval. The service looks for an
    approval at once.

    Without --digest the command shows what it approves, and asks. --dry-run needs no right to approve.
    """
    connection = caller.connect()
    if recalled := recalls.refused(connection, ami):
        raise NotDone(recalled)
    seen = approval_items.asked(connection, ami)
    asked = seen.question
    short, places = approvals.short(asked.digest), sorted(asked.targets)
    if digest is not None and not asked.digest.startswith(digest):
        raise NotDone(_differs(ami, digest, short, asked.value, len(places)))
    failed = {one.it.place for one in Reader(connection).tracked(ami) if one.it.failed}
    arrives = [_arrives(targets, family, what) for targets, family, what in seen.arrives]
    data = {
        "ami": ami,
        "name": seen.name,
        "value": asked.value,
        "arrives": arrives,
        "since": list(seen.since),
        "digest": asked.digest,
        "approved": places,
        "failed": sorted(failed.intersection(places)),
        "until": moment(0),
        "changed": False,
    }
    if not places:
        return Report((f"Nothing to do: no target that {quoted(asked.value)} names needs an approval.",), data)
    lines = tuple(_lines(data, short, wide=caller.wide))
    if dry_run:
        return Report((*lines, "This changes nothing."), data)
    does = f"This approves it for {count(len(places), 'target')}, for {span(lasts)}"
    shown = caller.confirm(does, lines) if digest is None else lines
    until = moment(approval_items.approve(connection, asked, lasts))
    record_requests.approved(connection, ami, places)
    done = f"Approved until {until} by {connection.caller}."
    return Report((*shown, done), {**data, "until": until, "changed": True})


def _arrives(targets: Sequence[str], family: str, what: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "targets": list(targets),
        "family": family,
        "description": what["request"].get("Description"),
        "deprecation": what["deprecation"],
        "tags": what["tags"],
        "snapshots": [{"id": name, **one} for name, one in what["snapshots"].items()],
    }


def _lines(data: Mapping[str, Any], digest: str, *, wide: bool) -> Iterator[str]:
    """Show what is asked of the approver: the targets, and what they get."""
    yield f"{data['ami']} {data['name']}, value {quoted(data['value'])}, digest {digest}:"
    places = data["approved"]
    listed = places if wide else places[:SHOWN]
    yield from (f"  {place(one)}" for one in listed)
    if len(listed) < len(places):
        yield f"  and {len(places) - len(listed)} more; --wide lists all"
    for one in data["arrives"]:
        yield from _shown(one, several=len(data["arrives"]) > 1)
    if data["since"]:
        what = ", ".join(WORDS[name] for name in data["since"])
        command = f"ami-promoter promote {data['ami']} '{data['value']}'"
        yield f"Somebody has since changed {what}; that does not arrive. To take it: {command}"
    if data["failed"]:
        again = f"After the approval, `ami-promoter retry {data['ami']}` begins again what has failed"
        yield f"{again}: {named(data['failed'])}."


def _shown(one: Mapping[str, Any], *, several: bool) -> Iterator[str]:
    """Show all of it: an approver answers for what they have seen."""
    where = f" in {', '.join(map(place, one['targets']))}" if several else ""
    yield f"What arrives{where}:"
    if one["family"]:
        yield f"  family: {one['family']}"
    yield f"  description: {one['description'] or '-'}"
    yield f"  deprecation: {one['deprecation'] or '-'}"
    yield from _tags(one["tags"])
    for snapshot in one["snapshots"]:
        yield f"  {snapshot['id']}: {snapshot['description'] or '-'}"
        yield from _tags(snapshot["tags"])


def _tags(tags: Mapping[str, str]) -> Iterator[str]:
    yield from (f"  tag {key} = {value}" for key, value in sorted(tags.items()))


def _differs(ami: str, given: str, short: str, value: str, targets: int) -> Fault:
    what = (
        f"the deliveries that wait have the digest {short} now, not {given}: value {quoted(value)}, "
        f"{count(targets, 'target')}. The value, the settings, or the targets that need an approval have changed."
    )
    cure = f"Check it with `ami-promoter approve {ami} --dry-run`, then give that digest."
    return Fault("digest-differs", ami, what, cure)
