"""The verbs ``promote`` and ``cancel``, which write and remove the tag, the only trigger; ``wait``, for pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import click
from rich.console import RenderableType

from ami_promoter.hub import pause_switch, recalls, record_requests, withdrawals
from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.hub_images import Tag
from ami_promoter.hub.records import Reader
from ami_promoter.hub.withdrawals import withdrawn_for
from ami_promoter.promotions import endings, waiting
from ami_promoter.rights import FIND_AMI, READ, TAG, UNTAG
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import console, show, warn
from ami_promoter.terminal.report import NotDone, Report
from ami_promoter.verbs import PLACE, VALUE, VerbCaller, ami_argument, tag_key_option, verb, wait_at_most, yes_option
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import count
from chalicelib.sharing import entitlement
from chalicelib.targets.applied_file import AppliedFile, Resolution, resolve

MEMBERS = {
    "ami": js.text("id of the source AMI"),
    "value": js.text("value of the tag"),
    "blocked": js.several("accounts that the value names and the service cannot deliver to", js.FAULT),
    "ends": js.several("deliveries that the value ends, as if OUs that are not read yet had no accounts", endings.DOES),
    **waiting.PRINTS["properties"],
    "withdrawn": js.described(
        "withdrawals that stay in force with this value, by account or ACCOUNT/REGION", withdrawals.SCHEMA
    ),
    "named": js.number("how many targets the value names in the applied targets file; 0: not known yet"),
    "paused": pause_switch.SCHEMA,
}
PRINTS = js.some_of(js.thing("with --wait also what `wait` prints", **MEMBERS), *waiting.PRINTS["properties"])


@verb("promote", needs=READ | FIND_AMI | TAG, prints=PRINTS, exits=waiting.EXITS)
@ami_argument
@click.argument("value", type=VALUE)
@click.option("--wait", is_flag=True, help="Wait for the outcome, like `wait`.")
@wait_at_most(help="With --wait: give up after this time, such as 90m or 2h; a bare number is minutes.")
@yes_option
@tag_key_option
def promote(caller: VerbCaller, ami: str, value: str, *, wait: bool, timeout: int | None) -> Report:
    """Tag an AMI to promote it to groups and accounts.

    VALUE: group names and account ids, e.g. "dev prod"; '' means the group `default`. If the applied targets file does
    not have one of them, or an operator has recalled the AMI, the command does not tag it. Before a value that ends
    running deliveries or standing shares it asks.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout has no effect without --wait.")
    connection = caller.connect()
    tag = Tag(connection, ami)
    before = tag.read()
    file = applied_file(connection)
    resolution = file.judge(value, in_force=False)
    if resolution.faults:
        raise NotDone(*resolution.faults)
    if no := recalls.refused(connection, ami):
        raise NotDone(no)
    withdrawn = withdrawn_for(connection, ami, value)
    paused = pause_switch.read(connection)
    said = repr(value) if value else "'' (group `default`)"
    lines: list[RenderableType] = []
    ends = [] if before in (None, value) else _ended(connection, ami, file, before, value)
    if ends:
        does = f"This tags {ami} {connection.tag_key}={said}, and so ends what that value does not name"
        unread = ["The service has not read an OU yet that the value needs: what it names by that OU does not end."]
        shown = [*endings.lines(ends, each=caller.wide), *(unread if resolution.waits else [])]
        lines += caller.confirm(does, shown)
    tag.write(value)  # after all that is read: what AWS refuses from here on would leave a tag that nobody mentions
    warning = record_requests.nudge(connection, ami, value, again=before == value)
    again = (
        f"an operator must start failed deliveries with `retry {ami}`" if warning else "failed deliveries start again"
    )
    lines += [f"{ami} is tagged {connection.tag_key}={said} in {connection.place}{_means(resolution)}."]
    lines += [f"It had that value already; {again}."] if before == value else []
    lines += _not_delivered(ami, resolution, withdrawn)
    lines += [f"Paused {pause_switch.said(paused)}. It starts after `ami-promoter admin resume`."] if paused else []
    data = {"ami": ami, "value": value, "named": len(resolution.targets), "paused": pause_switch.to_json(paused)}
    data |= {"ends": endings.to_json(ends), "withdrawn": withdrawn}
    data["blocked"] = [fault.to_json() for fault in resolution.blocked.values()]
    warnings = (warning,) if warning else ()
    if not wait:
        return Report((*lines, f"`ami-promoter status {ami} --watch` follows it."), data, warnings=warnings)
    if not caller.as_json:
        show(lines, console())
    warn(warnings)
    waited = waiting.wait(caller, ami, limit=timeout, written=True)
    return Report(waited.lines, {**data, **waited.data}, waited.faults, exit=waited.exit)


def _ended(connection: Connection, ami: str, file: AppliedFile, before: str, value: str) -> list[TrackedDelivery]:
    """Return what a value ends; as if the OUs that the service has not read yet had no accounts.

    What the value ``before`` does not name, or an operator has withdrawn, ends already.
    """
    was = file.judge(before, in_force=False)
    named = entitlement.of(resolve(value, file.directory.as_read(), in_force=True), {})
    had = entitlement.of(was, withdrawn_for(connection, ami, before)) if was.understood else None
    going = [one.it for one in Reader(connection).tracked(ami) if one.it.may_end]
    return [one for one in going if not named.may_go_on(one.place) and (had is None or had.may_go_on(one.place))]


def _not_delivered(ami: str, resolution: Resolution, withdrawn: Mapping[str, str]) -> Iterator[str]:
    """Say which targets of the value do not get the AMI, and why."""
    yield from (f"Not delivered: {fault}" for fault in resolution.blocked.values())
    yield from (f"Not delivered: {place}: {by} has withdrawn it." for place, by in withdrawn.items())
    if withdrawn:
        yield f"To end withdrawals: `ami-promoter withdraw {ami} --lift`, with `--account` for one."


def _means(resolution: Resolution) -> str:
    if resolution.waits is not None:
        return ", which names OUs that the service has not read yet"
    return f", which names {count(len(resolution.targets), 'target')}"


@verb("wait", needs=READ | FIND_AMI, prints=waiting.PRINTS, exits=waiting.EXITS, reads=True)
@ami_argument
@wait_at_most(help="Give up after this time, such as 90m or 2h; a bare number is minutes.")
@click.option(
    "--account", "targets", type=PLACE, multiple=True, help="Only this account, or ACCOUNT/REGION; may be repeated."
)
@tag_key_option
def wait(caller: VerbCaller, ami: str, timeout: int | None, targets: tuple[str, ...]) -> Report:
    """Wait for the outcome of a promotion, in a pipeline.

    Prints each change to standard error. Waits for the outcome of the tag's present value; the outcome of an earlier
    value does not count.
    """
    return waiting.wait(caller, ami, targets=targets, limit=timeout)


@verb(
    "cancel",
    needs=READ | FIND_AMI | UNTAG,
    prints=js.thing(ami=js.text("id of the source AMI"), changed=js.flag("whether the command removed the tag")),
)
@ami_argument
@yes_option
@tag_key_option
def cancel(caller: VerbCaller, ami: str) -> Report:
    """Remove an AMI's tag; delivered AMIs stay.

    The service then cancels running deliveries and withdraws standing shares. `withdraw` does it for some accounts
    only. Shows what it will do, and asks.
    """
    connection = caller.connect()
    tag = Tag(connection, ami)
    if tag.read() is None:
        return Report((f"Nothing to do: {ami} has no tag {connection.tag_key}.",), {"ami": ami, "changed": False})
    if not caller.yes:
        does = f"This removes the tag {connection.tag_key} of {ami}, and so ends its promotion"
        caller.confirm(does, _what_ends(connection, ami, each=caller.wide))
    tag.remove()
    warning = record_requests.nudge(connection, ami, "", again=False)
    then = "within minutes the service cancels running deliveries and withdraws standing shares; delivered AMIs stay."
    lines = [f"{ami} no longer has the tag {connection.tag_key}: {then}"]
    with suppress(HubError):  # it is done, whether the caller may read this or not
        lines += recalls.lines(ami, recalls.read(connection, ami))
    return Report(tuple(lines), {"ami": ami, "changed": True}, warnings=(warning,) if warning else ())


def _what_ends(connection: Connection, ami: str, *, each: bool) -> tuple[str, ...]:
    """Say what happens to each delivery. Who may tag ends a promotion, also one of which they may read nothing."""
    try:
        return tuple(endings.lines([one.it for one in Reader(connection).tracked(ami)], each=each))
    except HubError as unread:
        return (f"Which deliveries that ends is not known: {unread}",)
