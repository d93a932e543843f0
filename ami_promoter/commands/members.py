"""The verb ``members``: whom OUs bring into groups, who left, and who may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from ami_promoter.hub import organization
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.organization import some
from ami_promoter.rights import ACCEPT, READ
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.exits import Exit
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import ACCOUNT, VerbCaller, verb
from chalicelib.core.targets.departures import MembersReading

WHY = js.text("the evidence")
PRINTS = js.some_of(
    js.thing(
        organization=js.perhaps(js.text("its id; null: the file in force names no OU")),
        back_fill=js.flag("whether an account that joins later gets what is in force"),
        most_leaving=js.text("how many accounts may leave a group at once without a person"),
        units=js.several(
            "what groups name",
            js.thing(
                id=js.text("id of the OU, root or organization"),
                groups=js.several("groups that name it", js.text("a name")),
                accounts=js.perhaps(js.several("whom it has; null: not read yet", js.text("an account"))),
                read_at=js.time("when it was last read"),
                trouble=js.perhaps(js.FAULT),
                troubled_since=js.perhaps(js.time("since when it cannot be read")),
            ),
        ),
        missing=js.several(
            "accounts that the last reading did not find",
            js.thing(unit=js.text("where"), account=js.text("who"), since=js.time("since when"), evidence=WHY),
        ),
        held=js.mapping("accounts that wait for a person, by group", js.several("accounts", js.text("an id"))),
        left=js.several(
            "who left, the latest last",
            js.thing(at=js.time("when"), account=js.text("who"), group=js.text("which group"), why=WHY),
        ),
        accepted=js.several("of `members accept`, which prints nothing else: accounts that may go", js.text("an id")),
    ),
    *("organization", "back_fill", "most_leaving", "units", "missing", "held", "left", "accepted"),
)


@verb("members", needs=READ | ACCEPT, prints=PRINTS, never=(Exit.FAULT,))
@click.argument("action", type=click.Choice(["accept"]), required=False)
@click.option("--account", type=ACCOUNT, help="With accept: only this account.")
def members(caller: VerbCaller, action: str | None, account: str | None) -> Report:
    """Show the accounts of OUs in the targets file, and who left.

    When more accounts leave a group at once than `most_leaving` allows, they stay targets until you run
    `members accept`.
    """
    if account and not action:
        raise click.UsageError("--account goes with `members accept`.")
    connection = caller.connect()
    with connection.telling("reading whom the organization's units have"):
        named, membership, reading = organization.read(connection)
    if action:
        return _accept(connection, reading, account, connection.now())
    if named is None:
        return Report(("The targets file in force names no OU.",), {"organization": None, "units": [], "held": {}})
    data = organization.to_json(named, membership, reading)
    return Report(tuple(_lines(data)), data)


def _accept(connection: Connection, reading: MembersReading, account: str | None, now: float) -> Report:
    """Let go exactly those that are held now: who leaves later is another matter."""
    held = sorted({one for accounts in reading.held.values() for one in accounts})
    going = [one for one in held if account in (None, one)]
    if not going:
        who = f"{account} is not among those" if account and held else "No account is"
        return Report((f"{who} that wait{'' if account and held else 's'} for a person.",), {"accepted": []})
    with connection.telling("letting them go (nothing has changed)"):
        organization.table(connection).accept(going, connection.caller, int(now))
    said = f"Accepted: {' '.join(going)}. The next reading, within five minutes, removes them if they are still gone."
    return Report((said,), {"accepted": going})


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"Organization {data['organization']}:"
    for unit in data["units"]:
        groups = ", ".join(unit["groups"])
        if unit["accounts"] is None:
            yield f"  {unit['id']} ({groups}): not read yet"
        else:
            yield f"  {unit['id']} ({groups}): {some(unit['accounts'])}; read {unit['read_at']}"
    for one in data["missing"]:
        why = one["evidence"] or "AWS has not said where it is, so it stays"
        yield f"Not found in {one['unit']} since {one['since']}: {one['account']} ({why})"
    for one in data["left"][-10:]:
        yield f"Left `{one['group']}` {one['at']}: {one['account']} ({one['why']})"
    yield from organization.troubles(data)
