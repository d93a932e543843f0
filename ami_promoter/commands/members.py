"""The verb ``targets members``: the accounts of OUs in groups, and those that left; ``accept`` accepts that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from ami_promoter.hub import organization
from ami_promoter.hub.aws import UNCHANGED, Connection
from ami_promoter.hub.organization import some
from ami_promoter.rights import ACCEPT, READ
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Exit, Report
from ami_promoter.verbs import ACCOUNT, VerbCaller, targets, verb
from chalicelib.targets.departures import MembersReading

WHY = js.text("how the service knows that the account left; empty: it does not know yet")
PRINTS = js.partly(
    organization=js.perhaps(js.text("id of the organization; null: the applied targets file names no OU")),
    back_fill=js.flag("whether an account that joins an OU later receives the AMIs that are promoted already"),
    most_leaving=js.text(
        "how many accounts can leave a group at once before an operator must accept it: a number or a percentage"
    ),
    units=js.several(
        "OUs, roots and organizations that groups name",
        js.thing(
            id=js.text("id of the OU, root or organization"),
            groups=js.several("groups that name the unit", js.text("name of a group")),
            accounts=js.perhaps(js.several("accounts in the unit; null: not read yet", js.text("an account id"))),
            read_at=js.time("when the service last read the unit"),
            trouble=js.perhaps(js.described("why the service cannot read the unit; null: it can", js.FAULT)),
            troubled_since=js.perhaps(js.time("since when the service cannot read the unit; null: it can")),
        ),
    ),
    missing=js.several(
        "accounts that the service did not find at its last reading",
        js.thing(
            unit=js.text("id of the OU, root or organization"),
            account=js.text("an account id"),
            since=js.time("when the service first missed the account"),
            evidence=WHY,
        ),
    ),
    held=js.mapping(
        "accounts that left and stay targets until `targets members accept`, by group",
        js.several("accounts", js.text("an account id")),
    ),
    left=js.several(
        "accounts that left, the latest last",
        js.thing(
            at=js.time("when the service recorded it"),
            account=js.text("an account id"),
            group=js.text("name of the group"),
            why=WHY,
        ),
    ),
    accepted=js.several(
        "accounts that `targets members accept` accepted as gone; no other member is printed then",
        js.text("an account id"),
    ),
)


@verb("members", group=targets, needs=READ | ACCEPT, prints=PRINTS, never=(Exit.FAULT,))
@click.argument("action", type=click.Choice(["accept"]), required=False)
@click.option("--account", type=ACCOUNT, help="With `accept`: accept this account only.")
def members(caller: VerbCaller, action: str | None, account: str | None) -> Report:
    """Show the accounts of OUs in the targets file, and who left.

    If more accounts leave a group at once than `most_leaving` allows, they stay targets. `targets members` shows them,
    and `targets members accept` accepts that they have left: the service then removes them within five minutes, unless
    they are back. An account that leaves after that needs another `targets members accept`.
    """
    if account and not action:
        raise click.UsageError("--account goes with `targets members accept`.")
    connection = caller.connect()
    named, membership, reading = organization.read(connection, "reading the accounts of the organization's units")
    if action:
        return _accept(connection, reading, account, int(connection.now()))
    if named is None:
        return Report(("The targets file in force names no OU.",), {"organization": None, "units": [], "held": {}})
    data = organization.to_json(named, membership, reading)
    return Report(tuple(_lines(data)), data)


def _accept(connection: Connection, reading: MembersReading, account: str | None, now: int) -> Report:
    """Accept exactly the accounts that are held now; accounts that leave later need another call.

    One that was accepted before and is still missing stays accepted.
    """
    held = sorted(reading.held)
    going = [one for one in held if account in (None, one)]
    if not going:
        who = f"{account} is not among the accounts that wait" if account and held else "No account waits"
        return Report((f"{who} for `targets members accept`.",), {"accepted": []})
    with connection.telling(f"accepting them {UNCHANGED}"):
        before = connection.members.accepted(now).intersection(one.account for one in reading.missing.values())
        connection.members.accept(before.union(going), connection.caller, now)
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
        why = one["evidence"] or "AWS has not reported where it is, so it stays a target"
        yield f"Not found in {one['unit']} since {one['since']}: {one['account']} ({why})"
    for one in data["left"][-10:]:
        yield f"Left `{one['group']}` {one['at']}: {one['account']} ({one['why']})"
    yield from organization.troubles(data)
