"""OUs, the root and the organization as members of groups, and faults in how a file names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.targets_file.document import Path, YamlDocument
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn, last_part
from chalicelib.targets.organization import Organization, is_unit

WHOLE = "organization"
"""The word by which a group names the organization itself."""

Members = Mapping[str, Mapping[str, Path]]
"""Group -> its members, each with its place in the file."""


def named(member: str, block: Mapping[str, Any]) -> str:
    """Return a member's plain name: an ARN's id, and the organization's id for ``organization``."""
    if member == WHOLE:
        return str(block.get("id", WHOLE))
    return last_part(member)


def names_unit(member: str) -> bool:
    """Whether a group's member is a unit, or the organization by its word."""
    return member == WHOLE or is_unit(member)


def organization(block: Mapping[str, Any], members: Members) -> Organization | None:
    """Return the file's organization; None if no group names a unit."""
    units: dict[str, list[str]] = {}
    for name, mentions in sorted(members.items()):
        for one in filter(is_unit, mentions):
            units.setdefault(one, []).append(name)
    if not units or "id" not in block:
        return None
    settings = {name: block[name] for name in ("read_role", "external_id", "back_fill") if name in block}
    if "most_leaving" in block:
        settings["most_leaving"] = str(block["most_leaving"])
    return Organization(block["id"], {unit: tuple(groups) for unit, groups in sorted(units.items())}, **settings)


def faults(read: YamlDocument, block: Mapping[str, Any], members: Members) -> Iterator[Fault]:
    """Find units without an organization, and those of another one than the file names."""
    mine = block.get("id")
    for mentions in members.values():
        for one, path in mentions.items():
            if not names_unit(one):
                continue
            written = read.raw[path]
            theirs = Arn.parse(written).path[1] if written.startswith("arn:") else one if one.startswith("o-") else mine
            if mine is None:
                what = f"`{written}` names accounts of an organization, but the file does not name the organization."
                cure = "Write `organization: {id: o-...}` beside `groups`, with the organization's id."
            elif theirs != mine:
                what = f"`{written}` is of organization {theirs}, and the file names {mine}."
                cure = "Correct one of them; a file can name only one organization."
            else:
                continue
            yield Fault("targets-organization", read.where_key(path), what, cure)
