"""The commands ``targets validate``, ``diff`` and ``apply``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ami_promoter.arguments import Call
from ami_promoter.aws import Connection, Trouble
from ami_promoter.compiler import Hub, compile_targets
from ami_promoter.difference import difference, to_json, to_text
from ami_promoter.publishing import Applied, Publisher
from ami_promoter.report import Report
from chalicelib.core.faults import Fault
from chalicelib.core.targets import Directory, digest_of, to_items


def run(call: Call, region: str) -> Report:
    """Carry out one of the three; may raise Trouble."""
    name = call.operand
    source = _read(name)
    if isinstance(source, Fault):
        return Report(faults=(source,))
    hub = call.options.get("--hub-account")
    if call.command.words[-1] == "validate":
        return _validate(source, name, Hub(region, hub))
    connection = Connection(region, call.options.get("--table"), hub)
    wanted = compile_targets(source, name, Hub(region, connection.account))
    if not isinstance(wanted, Directory):
        return Report(faults=wanted)
    publisher = Publisher(connection)
    applied = publisher.applied()
    report = _difference(connection, applied, wanted)
    if call.command.words[-1] == "diff" or "--dry-run" in call.options:
        return report
    return _apply(publisher, connection, applied, wanted, source, report)


def _read(name: str) -> str | Fault:
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} is not UTF-8."
        return Fault("targets-file", name, what, "Save the file as UTF-8.")
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}."
        return Fault("targets-file", name, what, "See that the name is right and that you may read it.")


def _validate(source: str, name: str, hub: Hub) -> Report:
    wanted = compile_targets(source, name, hub)
    if not isinstance(wanted, Directory):
        return Report(faults=wanted)
    lines = [f"{name} is valid: {_size(wanted)}, hub's Region {hub.region}."]
    if hub.account is None:
        lines.append("Whether the hub's own account is among them was not checked: give --hub-account to check it.")
    return Report(tuple(lines), {"valid": True, "digest": digest_of(to_items(wanted)), **_counts(wanted)})


def _difference(connection: Connection, applied: Applied, wanted: Directory) -> Report:
    change = difference(applied.directory, wanted)
    lines = list(_heading(connection, applied))
    lines += list(to_text(change)) or ["No difference."]
    digests = {"applied": applied.current.digest if applied.current else None, "file": digest_of(to_items(wanted))}
    data = {"account": connection.account, "region": connection.region, "table": connection.table, "digest": digests}
    return Report(tuple(lines), {**data, **to_json(change), "applied": False})


def _heading(connection: Connection, applied: Applied) -> Iterator[str]:
    if applied.current is None:
        yield f"Nothing has been applied yet in {connection.place}."
        return
    by = f"applied {applied.current.applied_at} by {applied.current.applied_by}"
    yield f"Compared with version {applied.current.generation} in {connection.place}, {by}:"
    if applied.damaged:
        yield "The items of that version were changed by hand or by another version; all of them count as new."


def _apply(
    publisher: Publisher, connection: Connection, applied: Applied, wanted: Directory, source: str, report: Report
) -> Report:
    warnings: tuple[str, ...] = ()
    current = applied.current
    if current and not applied.damaged and current.digest == digest_of(to_items(wanted)):
        last = f"Nothing to apply: version {current.generation} in {connection.place} is the same."
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        current = publisher.publish(applied, wanted, source, now)
        last = f"Applied as version {current.generation} in {connection.place}: {_size(wanted)}."
    try:
        publisher.clean(current)
    except Trouble as trouble:
        warnings = (str(trouble),)
    return Report((*report.lines, last), {**report.data, "applied": True, "version": current.generation}, (), warnings)


def _size(directory: Directory) -> str:
    return ", ".join(f"{count} {name[:-1] if count == 1 else name}" for name, count in _counts(directory).items())


def _counts(directory: Directory) -> dict[str, int]:
    units = len(directory.organisation.units) if directory.organisation else 0
    counts = {"groups": len(directory.groups), "accounts": len(directory.accounts)}
    return {**counts, "units": units} if units else counts
