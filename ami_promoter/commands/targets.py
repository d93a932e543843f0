"""The verbs ``targets validate``, ``diff`` and ``apply``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import shares
from ami_promoter.hub.applied_targets import remember
from ami_promoter.hub.aws import Connection, HubError, regions
from ami_promoter.hub.record_requests import wake
from ami_promoter.hub.records import Reader, by_name, place_of, standing
from ami_promoter.rights import APPLY, NOTHING, READ, READ_ALL, WAKE
from ami_promoter.targets_file.difference import to_json, to_text
from ami_promoter.targets_file.publishing import AppliedVersion, Publisher
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import named
from ami_promoter.terminal.output import Folded, Whole, tell
from ami_promoter.terminal.report import Exit, NotDone, Report, moment
from ami_promoter.verbs import AT_THE_HUB, VerbCaller, table_option, targets, verb, yes_option
from chalicelib.engine.addresses import APPLIED_FILE, digest_of
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import Place
from chalicelib.targets.applied_file import Directory
from chalicelib.targets.applied_items import to_items
from chalicelib.targets.difference import difference

file_argument = click.argument("file", type=click.Path())
SIGNS = {"+": "green", "-": "red", "~": "yellow"}
"""How lines of a difference begin -> their color."""
COUNTS = {
    "groups": js.number("how many groups the file contains"),
    "accounts": js.number("how many accounts it lists"),
    "units": js.number("how many OUs, roots and organizations its groups name; absent: none"),
}
ACCOUNTS = js.several("ids of accounts, OUs, roots and organizations", js.text("an id"))
SETTINGS = js.mapping("settings that change; each has its old value `from` and its new value `to`", {})
TARGET = js.mapping("a target: `account`, `region` and every setting; durations are in seconds", {})
GROUP = js.thing("a group", name=js.text("name of the group"), accounts=ACCOUNTS)
WAVE = js.perhaps(js.mapping("for which group it waits: `after`, `soak` in seconds, `most_failed`; null: none", {}))
DIFFERENCE = js.thing(
    **js.HUB,
    digest=js.thing(
        "digests of the targets files; equal digests mean equal contents",
        applied=js.perhaps(js.text("digest of the applied file; null: none is applied, or it cannot be read")),
        file=js.text("digest of the given file"),
    ),
    targets=js.thing(
        "differences in targets",
        added=js.several("targets that the applied file does not have", TARGET),
        removed=js.several("targets that the given file no longer has", TARGET),
        changed=js.several("targets whose settings change", js.thing("", **js.PLACE, settings=SETTINGS)),
    ),
    groups=js.thing(
        "differences in groups",
        added=js.several("groups that the applied file does not have", GROUP),
        removed=js.several("groups that the given file no longer has", GROUP),
        changed=js.several(
            "groups whose accounts change",
            js.thing("", name=js.text("name of the group"), added=ACCOUNTS, removed=ACCOUNTS),
        ),
    ),
    organization=SETTINGS,
    by_unit=js.several(
        "settings that change for the accounts of OUs",
        js.thing("", group=js.text("name of the group"), region=js.text("a Region"), settings=SETTINGS),
    ),
    waves=js.several(
        "groups that wait for another group, or for another than before",
        js.thing("", group=js.text("name of the group"), **{"from": WAVE, "to": WAVE}),
    ),
    withdraws=js.several("standing shares that the service closes because their targets are removed", shares.SCHEMA),
    applied=js.flag("whether the given file is in force now"),
)


@verb(
    "validate",
    needs=NOTHING,
    group=targets,
    options=[option for option in AT_THE_HUB if option is not table_option],
    reads=True,
    prints=js.some_of(
        js.thing(
            valid=js.flag("true; for an invalid file the command prints `faults` instead"),
            digest=js.perhaps(js.text("digest of the file; null: it depends on the hub's Region, which is not given")),
            **COUNTS,
        ),
        "units",
    ),
)
@file_argument
def validate(caller: VerbCaller, file: str) -> Report:
    """Check a targets file without asking AWS.

    Give the Region of the hub by an option, the environment or a profile. Without a Region the command accepts a file
    that is valid for a hub in at least one Region.
    """
    source = _read(file)
    return _validate(source, file, caller) if caller.region else _validate_anywhere(source, file, caller)


@verb("diff", needs=READ_ALL, group=targets, prints=DIFFERENCE, reads=True)
@file_argument
def diff(caller: VerbCaller, file: str) -> Report:
    """Show what applying the file would change."""
    return _publish(caller, file, dry_run=True)


@verb(
    "apply",
    needs=READ_ALL | APPLY | WAKE,
    group=targets,
    prints=js.some_of(
        js.thing(
            **DIFFERENCE["properties"],
            version=js.number("number of the version that is in force; absent with --dry-run"),
        ),
        "version",
    ),
)
@file_argument
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@yes_option
def apply(caller: VerbCaller, file: str, *, dry_run: bool) -> Report:
    """Check the file, show what changes, and apply it.

    Shows what changes, and asks. If a target is removed, what is shared with it is withdrawn.
    """
    return _publish(caller, file, dry_run=dry_run)


@verb(
    "show",
    never=(Exit.FAULT,),
    reads=True,
    group=targets,
    needs=READ,
    prints=js.thing(
        **js.HUB,
        version=js.perhaps(js.number("number of the version that is in force; null: no file is applied")),
        digest=js.perhaps(js.text("digest of the applied file; null: no file is applied")),
        applied_at=js.perhaps(js.text("when the file was applied (ISO 8601 in UTC); null: no file is applied")),
        applied_by=js.perhaps(js.text("ARN of the operator who applied it; null: no file is applied")),
        damaged=js.flag("whether the stored items differ from the file that was applied"),
        text=js.perhaps(js.text("text of the file as it was applied, with its comments; null: not stored")),
    ),
)
def show_applied(caller: VerbCaller) -> Report:
    """Show the targets file in force, as it was applied.

    Prints the file's text to standard output and all else to standard error: `ami-promoter targets show > FILE`.
    """
    connection = caller.connect()
    publisher = Publisher(connection)
    applied = publisher.applied()
    current = applied.current
    if current is None:
        nothing = dict.fromkeys(("version", "digest", "applied_at", "applied_by", "text"))
        data = {**connection.named, **nothing, "damaged": False}
        return Report((f"Nothing has been applied yet in {connection.place}.",), data)
    text = publisher.text(current)
    reported = {"version": current.number, "digest": current.digest, "applied_at": current.at}
    more = {"applied_by": current.by, "damaged": applied.damaged, "text": text}
    by = f"applied {current.at} by {current.by}"
    if not caller.as_json:
        tell(f"Version {current.number} in {connection.place}, {by}.")
    warnings = ("the items in force are not those that were applied: apply the file again.",) if applied.damaged else ()
    lines = (text or "").splitlines()
    return Report(tuple(map(Whole, lines)), {**connection.named, **reported, **more}, warnings=warnings)


def _publish(caller: VerbCaller, name: str, *, dry_run: bool) -> Report:
    source = _read(name)
    connection = caller.connect()
    publisher = Publisher(connection)
    # first: with credentials of another account this fails, and the file is not blamed
    applied = publisher.applied(to_replace=True)
    wanted = _compiled(source, name, caller.region, connection.account)
    report = _difference(connection, applied, wanted)
    if dry_run:
        return report
    current = applied.current
    if current is not None and not applied.damaged and current.digest == report.data["digest"]["file"]:
        last = f"Nothing to apply: version {current.number} in {connection.place} is the same."
        shown = report.lines
    else:
        does = _does(report, f"{name} to {connection.place}")
        shown = tuple(caller.confirm(does, report.lines))
        current = publisher.publish(applied, wanted, source, moment(int(connection.now())))
        wake(connection, [APPLIED_FILE])  # so that people are notified of it now
        last = f"Applied as version {current.number} in {connection.place}: {_size(wanted)}."
    warnings: tuple[str, ...] = ()
    try:
        publisher.clean(current)
    except HubError as error:
        warnings = (str(error),)
    remember(caller.profile, wanted)
    ready = ["`ami-promoter doctor` checks whether the targets are ready."] if report.data["targets"]["added"] else []
    data = {**report.data, "applied": True, "version": current.number}
    return Report((*shown, last, *ready), data, warnings=warnings)


def _does(report: Report, applies: str) -> str:
    """Say what applying a file does, for the question before it."""
    if not (gone := report.data["targets"]["removed"]):
        return f"This applies {applies}"
    then = "the service withdraws their standing shares; they keep the AMIs that they own"
    return f"This removes {named([place_of(target) for target in gone])}; {then}"


def _compiled(source: str, name: str, region: str, account: str | None) -> Directory:
    """Compile a file, or raise NotDone; the compiler, with YAML and the SDK, is imported only for that."""
    from ami_promoter.targets_file.compiler import HubPlace, compile_targets

    found = compile_targets(source, name, HubPlace(region, account))
    if not isinstance(found, Directory):
        raise NotDone(*found)
    return found


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} is not UTF-8."
        raise NotDone(Fault("targets-file", name, what, "Save the file as UTF-8.")) from error
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}."
        raise NotDone(Fault("targets-file", name, what, "Check the name, and that you can read the file.")) from error


def _validate(source: str, name: str, caller: VerbCaller) -> Report:
    wanted = _compiled(source, name, caller.region, caller.hub_account)
    lines = [f"{name} is valid: {_size(wanted)}, hub's Region {caller.region}."]
    if caller.hub_account is None:
        lines.append("To check also that the hub's own account is not among them, give --hub-account.")
    return Report(tuple(lines), {"valid": True, "digest": digest_of(to_items(wanted)), **_counts(wanted)})


def _validate_anywhere(source: str, name: str, caller: VerbCaller) -> Report:
    """Check a file for a hub in each Region that it mentions, and in one that it does not."""
    mentioned = [region for region in regions() if region in source]
    other = next(region for region in regions() if region not in mentioned)
    valid: dict[str, Directory] = {}
    faults: list[tuple[Fault, ...]] = []
    for region in (*mentioned, other):
        try:
            valid[region] = _compiled(source, name, region, caller.hub_account)
        except NotDone as no:
            faults.append(no.report.faults)
    if not valid:
        raise NotDone(*([one for one in faults[0] if all(one in others for others in faults)] or faults[0]))
    wanted = next(iter(valid.values()))
    digests = {digest_of(to_items(one)) for one in valid.values()}
    every = not faults
    where = "in any Region" if every else f"in {', '.join(sorted(valid.keys() - {other})) or 'another Region'}"
    lines = (f"{name} is valid for a hub {where}: {_size(wanted)}.", "To check it for your hub, give --region REGION.")
    digest = digests.pop() if every and len(digests) == 1 else None
    return Report(lines[: 1 if digest else 2], {"valid": True, "digest": digest, **_counts(wanted)})


def _signed(line: str) -> Folded:
    """Color a line by its sign, under which no further line begins."""
    style = SIGNS.get(line.lstrip()[:1], "")
    return Folded(line[2:], style=style, lead=line[:2], lead_style=style)


def _difference(connection: Connection, applied: AppliedVersion, wanted: Directory) -> Report:
    change = difference(applied.directory, wanted)
    lines: list[RenderableType] = list(_heading(connection, applied))
    lines += list(map(_signed, to_text(change))) or ["No difference."]
    withdraws = _withdrawn(connection, {Place(*place) for place in change.removed})
    lines += [f"Withdraws from {one['account']}: {shares.named(one['resource'])}" for one in withdraws]
    before = (applied.current.digest or None) if applied.current else None
    digests = {"applied": before, "file": digest_of(to_items(wanted))}
    data = {**connection.named, "digest": digests, **to_json(change), "withdraws": withdraws, "applied": False}
    return Report(tuple(lines), data)


def _withdrawn(connection: Connection, gone: Collection[Place]) -> list[dict[str, Any]]:
    """Show the standing shares of removed targets. Reads the whole table, so only if a target is removed."""
    if not gone:
        return []
    _, found = Reader(connection, "reading the standing shares").under_way()
    return [shares.open_share(share, connection.region) for share in sorted(standing(found, gone), key=by_name)]


def _heading(connection: Connection, applied: AppliedVersion) -> Iterator[str]:
    if applied.current is None:
        yield f"Nothing has been applied yet in {connection.place}."
        return
    if not applied.current.digest:
        yield f"Which file is in force in {connection.place} cannot be read; the comparison treats everything as new."
        return
    by = f"applied {applied.current.at} by {applied.current.by}"
    yield f"Compared with version {applied.current.number} in {connection.place}, {by}:"
    if applied.damaged:
        yield "The items of that version have changed since; the comparison treats all of them as new."


def _size(directory: Directory) -> str:
    return ", ".join(count(number, name[:-1]) for name, number in _counts(directory).items())


def _counts(directory: Directory) -> dict[str, int]:
    units = len(directory.organization.units) if directory.organization else 0
    counts = {"groups": len(directory.groups), "accounts": len(directory.accounts)}
    return {**counts, "units": units} if units else counts
