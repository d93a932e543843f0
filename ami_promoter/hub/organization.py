"""The accounts of OUs and the organization in groups, as discovery has last read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.terminal.report import moment
from chalicelib.engine.faults import count
from chalicelib.targets.departures import MembersReading
from chalicelib.targets.organization import Membership, Organization


def trouble_lines(connection: Connection) -> Iterator[str]:
    """Yield for ``status`` what is wrong with the organization, or that this cannot be known; may raise HubError."""
    try:
        named, membership, reading = read(connection, "reading the records")
    except HubError as error:
        if error.fault.code != "organization-damaged":
            raise
        yield str(error)  # whom the OUs have is one thing of many that are shown
        return
    if named is not None:
        yield from troubles(to_json(named, membership, reading))


def read(connection: Connection, doing: str) -> tuple[Organization | None, Membership, MembersReading]:
    """Read the organization that the file names, its members, and discovery's reading; may raise HubError."""
    members = connection.members
    with connection.telling(doing):
        named = connection.applied.organization()
        if named is None:
            return None, Membership(), MembersReading()
        return named, members.membership(), members.reading()[0]


def to_json(named: Organization, membership: Membership, reading: MembersReading) -> dict[str, Any]:
    """Return what ``read`` returned as JSON data."""
    return {
        "organization": named.id,
        "back_fill": named.back_fill,
        "most_leaving": named.most_leaving,
        "units": [
            {
                "id": unit,
                "groups": list(groups),
                "accounts": list(membership.units[unit].accounts) if unit in membership.units else None,
                "read_at": moment(reading.read_at.get(unit)),
                "trouble": reading.troubles[unit].fault.to_json() if unit in reading.troubles else None,
                "troubled_since": moment(reading.troubles[unit].since) if unit in reading.troubles else None,
            }
            for unit, groups in named.units.items()
        ],
        "missing": [
            {"unit": one.unit, "account": one.account, "since": moment(one.since), "evidence": one.evidence}
            for one in reading.missing.values()
        ],
        "held": {group: list(accounts) for group, accounts in reading.held_in.items()},
        "left": [
            {"at": moment(one.at), "account": one.account, "group": group, "why": one.why}
            for one in reading.left
            for group in one.groups
        ],
    }


def troubles(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the organization, from the result of ``to_json``."""
    for unit in data["units"]:
        if unit["trouble"] is not None:
            said = f"{unit['trouble']['where']}: {unit['trouble']['what']} {unit['trouble']['cure']}"
            yield f"{unit['id']} cannot be read since {unit['troubled_since']}: {said}"
    for group, accounts in data["held"].items():
        yield (
            f"Too many accounts left `{group}` at once: {some(accounts)}. They stay targets until you run "
            "`ami-promoter targets members accept`."
        )


def some(accounts: list[str]) -> str:
    """Return the number of accounts and the first twenty ids."""
    shown = " ".join(accounts[:20]) + (" …" if len(accounts) > 20 else "")
    return f"{count(len(accounts), 'account')}{': ' if shown else ''}{shown}"
