"""The commands ``members`` and ``members accept``: whom OUs bring into groups, who left, and who may go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.arguments import Call
from ami_promoter.aws import Connection, Trouble
from ami_promoter.report import Report, moment
from chalicelib.adapters.dynamo.members_table import MembersTable
from chalicelib.adapters.dynamo.targets_table import TargetsTable
from chalicelib.core.departures import Book
from chalicelib.core.errors import Misconfigured, Refusal
from chalicelib.core.organisation import Membership, Organisation


def run(call: Call, region: str) -> Report:
    """Show them, or let those go that wait for a person; may raise Trouble."""
    connection = Connection(region, call.options.get("--table"), call.options.get("--hub-account"))
    table = MembersTable(connection.dynamodb, connection.members_table, connection.config_table)
    with connection.telling("reading whom the organisation's units have"):
        named, membership, book = _read(connection, table)
    if named is None:
        return Report(("The targets file in force names no OU.",), {"organization": None, "units": [], "held": {}})
    if call.command.words[-1] == "accept":
        return _accept(connection, table, book, call.options.get("--account"))
    data = _data(named, membership, book)
    return Report(tuple(_lines(data)), data)


def trouble_lines(connection: Connection) -> Iterator[str]:
    """Say for ``status`` what is wrong with the organisation, if anything is."""
    named, membership, book = _read(
        connection, MembersTable(connection.dynamodb, connection.members_table, connection.config_table)
    )
    if named is not None:
        yield from _troubles(_data(named, membership, book))


def _read(connection: Connection, table: MembersTable) -> tuple[Organisation | None, Membership, Book]:
    try:
        tables = (connection.config_table, connection.members_table)
        named = TargetsTable(connection.dynamodb, *tables).organisation()
        return (None, Membership(), Book()) if named is None else (named, table.membership(), table.book()[0])
    except Refusal as refusal:
        raise Trouble(str(refusal)) from refusal
    except Misconfigured as trouble:
        raise Trouble(str(trouble)) from trouble


def _accept(connection: Connection, table: MembersTable, book: Book, account: str | None) -> Report:
    """Let go exactly those that are held now: whoever leaves later is another matter."""
    held = sorted({one for accounts in book.held.values() for one in accounts})
    going = [one for one in held if account in (None, one)]
    if not going:
        who = f"{account} is not among those" if account and held else "No account is"
        return Report((f"{who} that wait{'' if account and held else 's'} for a person.",), {"accepted": []})
    with connection.telling("letting them go (nothing has changed)"):
        table.accept(going, connection.caller, int(time.time()))
    said = f"Let go: {' '.join(going)}. They are taken out with the next reading, within five minutes, if still gone."
    return Report((said,), {"accepted": going})


def _data(named: Organisation, membership: Membership, book: Book) -> dict[str, Any]:
    return {
        "organization": named.id,
        "back_fill": named.back_fill,
        "most_leaving": named.most_leaving,
        "units": [
            {
                "id": unit,
                "groups": list(groups),
                "accounts": list(membership.units[unit].accounts) if unit in membership.units else None,
                "read_at": moment(book.read_at.get(unit)),
                "trouble": book.troubles[unit].fault.to_json() if unit in book.troubles else None,
                "troubled_since": moment(book.troubles[unit].since) if unit in book.troubles else None,
            }
            for unit, groups in named.units.items()
        ],
        "missing": [
            {"unit": one.unit, "account": one.account, "since": moment(one.since), "evidence": one.evidence}
            for one in book.missing.values()
        ],
        "held": {group: list(accounts) for group, accounts in book.held.items()},
        "left": [
            {"at": moment(one.at), "account": one.account, "group": one.group, "why": one.why} for one in book.left
        ],
    }


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"Organisation {data['organization']}:"
    for unit in data["units"]:
        groups = ", ".join(unit["groups"])
        if unit["accounts"] is None:
            yield f"  {unit['id']} ({groups}): not read yet"
        else:
            yield f"  {unit['id']} ({groups}): {_some(unit['accounts'])}; read {unit['read_at']}"
    for one in data["missing"]:
        why = one["evidence"] or "AWS has not said where it is, so it stays"
        yield f"Not found in {one['unit']} since {one['since']}: {one['account']} ({why})"
    for one in data["left"][-10:]:
        yield f"Left `{one['group']}` {one['at']}: {one['account']} ({one['why']})"
    yield from _troubles(data)


def _troubles(data: Mapping[str, Any]) -> Iterator[str]:
    for unit in data["units"]:
        if unit["trouble"] is not None:
            said = f"{unit['trouble']['where']}: {unit['trouble']['what']} {unit['trouble']['cure']}"
            yield f"{unit['id']} cannot be read since {unit['troubled_since']}: {said}"
    for group, accounts in data["held"].items():
        yield (
            f"Too many left `{group}` at once (more than {data['most_leaving']}): {_some(accounts)}. They stay targets "
            "until `ami-promoter members accept`."
        )


def _some(accounts: list[str]) -> str:
    shown = " ".join(accounts[:20]) + (" …" if len(accounts) > 20 else "")
    return f"{len(accounts)} account{'' if len(accounts) == 1 else 's'}{': ' if shown else ''}{shown}"
