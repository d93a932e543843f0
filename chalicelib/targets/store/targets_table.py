"""The applied targets file as the functions read it: versions that never change, and which one is in force.

===========================  =======================  ==================================================
pk                           sk                       what
===========================  =======================  ==================================================
``targets``                  ``current``              the version in force: its number, digest, applied_at, applied_by
``targets``                  ``version#<version>``    that writing a version's items began; for cleaning up
``targets#<version>``        ``group#<name>``         body: JSON list of account ids and units
``targets#<version>``        ``account#<id>``         body: JSON list of targets
``targets#<version>``        ``by-unit#<group>``      body: JSON list of targets, of an account that a unit brings
``targets#<version>``        ``own#<id>``             body: JSON, group -> list of targets, if it has settings
``targets#<version>``        ``wave#<group>``         body: JSON, for which group it waits, and how long
``targets#<version>``        ``organization``         body: JSON, the organization and its units; only if there are any
``targets#<version>``        ``source``               the file's text, gzipped, for people
``switches``                 ``promotions``           the operator's switch: paused, by, at, why
``withdrawals``              ``<AMI>``                whom an operator has withdrawn: an attribute for each account, or
                                                      account/Region, JSON: at, by, value; ``recall``: JSON: at, by,
                                                      why, if an operator has recalled the AMI
``pins``                     ``<account>/<Region>/    a release at which the family's parameter is held; body: JSON,
                             <family>``               source, made_at, at, by, why
``approvals#<user id>``      ``<AMI>/<account>/       what this approver has approved; body: JSON, digest, at, until;
                             <Region>``               ``ami`` for the index of this name
===========================  =======================  ==================================================

Only operators can write to the table, and no function; only approvers can write approvals, each their own partition.

A version is ``<number>#<digest>``. Once a later one is in force, it is never written again: so who
cleans up an old one cannot delete items that somebody is writing.

The accounts of units are in another table (``members_table``), which is read with these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.addresses import APPROVALS, DIGEST_LENGTH, SWITCH, RecordKey, digest_of
from chalicelib.engine.addresses import pin as pin_of
from chalicelib.engine.addresses import withdrawals as withdrawals_of
from chalicelib.engine.aws import sdk
from chalicelib.engine.errors import Misconfigured, Refusal, RefusalKind, TargetsDamaged
from chalicelib.engine.faults import Fault
from chalicelib.engine.store.table import Table
from chalicelib.targets import applied_file, approvals, recalls, withdrawals
from chalicelib.targets.applied_file import ORGANIZATION, AppliedFile, Directory
from chalicelib.targets.applied_items import from_items
from chalicelib.targets.approvals import Approval, Given
from chalicelib.targets.organization import Membership, Organization
from chalicelib.targets.ports import FileVersion
from chalicelib.targets.recalls import Pin, Recall
from chalicelib.targets.store.members_table import MembersTable
from chalicelib.targets.withdrawals import Withdrawal

VERSIONS, IN_FORCE = "targets", "current"
"""Partition, and sort key in it, of the item that says which version is in force."""

BY_AMI = "ami"
"""The index of approvals by their AMI, then sort key."""


class TargetsTable:
    """Reads the applied file, always consistently.

    It needs a boto3 DynamoDB client, the names of this table and the table of members, and the hub's account and
    Region. It raises errors from AWS as boto3 does: a failed read never counts as absence.
    """

    def __init__(self, client: Any, table: str, members: str, hub: tuple[str, str] = ("", "")) -> None:
        self.remember: Callable[[FileVersion], None] = lambda _seen: None
        """Called with each version before it is used."""
        self._table = Table(client, table)
        self._where = f"table {table}"
        self._hub = hub
        self._members = MembersTable(client, members, table)
        self._read = AppliedFile()
        self._version = ""
        """The version that was in force when an account was last read; "": none was read."""
        self._names: dict[str, str] = {}
        """What the file called each account when it was last read alone."""

    def read(self) -> AppliedFile:
        """It reads again only if another file or other members are in force.

        It reads the members after the file, so an account that leaves meanwhile does not count as a member.
        """
        applied = self.in_force()
        if applied is None:
            return AppliedFile(fault=applied_file.nothing_applied(self._where))
        self.remember(applied)
        try:
            if self._read.digest != applied.digest:
                directory = replace(self.directory(applied), hub=self._hub)
                self._read = AppliedFile(directory, applied.digest)
            directory = self._read.directory
            if directory.organization is not None:
                known = directory.membership
                unread = directory.organization.units.keys() - known.units.keys()
                if unread or known.digest != self._members.digest():  # why a unit was not read may change
                    directory = replace(directory, membership=self._membership(directory.organization))
                    self._read = AppliedFile(directory, applied.digest)
        except Refusal as refusal:
            return AppliedFile(digest=applied.digest, fault=refusal.fault)
        return self._read

    def content(self, version: str) -> Directory | None:
        try:
            directory = self.directory(FileVersion(version))
        except TargetsDamaged:
            return None
        directory = replace(directory, hub=self._hub)
        if directory.organization is None:
            return directory
        return replace(directory, membership=self._membership(directory.organization))

    def applied_at(self) -> int:
        applied = self.in_force()
        try:
            return int(datetime.fromisoformat(applied.at).timestamp()) if applied else 0
        except ValueError:
            return 0

    def digests(self) -> str:
        applied = self.in_force()
        if applied is None:
            return AppliedFile().digests
        named = self._organization(applied)
        return f"{applied.digest}/{self._members.digest() if named else ''}"

    def organization(self) -> Organization | None:
        applied = self.in_force()
        return self._organization(applied) if applied else None

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        applied = self.in_force()
        return self.directory(applied).groups if applied else {}

    def _organization(self, applied: FileVersion) -> Organization | None:
        """Read only that item. If it is damaged, no account is a member."""
        item = self._table.get(RecordKey(partition(applied.version), ORGANIZATION))
        try:
            return codec.decode(Organization, codec.parsed_json(item["body"]), ORGANIZATION) if item else None
        except (KeyError, TypeError, ValueError):
            return None

    def _membership(self, named: Organization) -> Membership:
        """Read the accounts of the units; for units that were never read, why not."""
        found = self._members.membership()
        if named.units.keys() <= found.units.keys():
            return found
        return replace(found, troubles=self._members.troubles())

    def live(self, account: str) -> tuple[str, str] | None:
        """If there is none, a delivery that has opened something continues with those on its record, to close it."""
        found = self._account(account)
        return (found[0]["role_name"], found[0]["external_id"]) if found else None

    def names(self, accounts: Collection[str]) -> Mapping[str, str]:
        """Return what the file calls these accounts; those without a name are left out.

        A name decides nothing: that of one account may be as old as the last look at it, so that most need no call,
        and what cannot be read has none.
        """
        try:
            if len(accounts) > 1:
                found = applied_file.names(self.read().directory)
            else:
                for account in set(accounts) - self._names.keys():
                    self._account(account)
                found = self._names
        except (Misconfigured, Refusal, sdk.ClientError, sdk.BotoCoreError):
            return {}
        return {account: name for account in accounts if (name := found.get(account))}

    def paused(self) -> bool:
        return (self._table.get(SWITCH) or {}).get("paused") is True

    def withdrawals(self, ami: str) -> Sequence[Withdrawal]:
        return withdrawals_in(self._table.get(withdrawals_of(ami)) or {})

    def recall(self, ami: str) -> Recall | None:
        item = self._table.get(withdrawals_of(ami)) or {}
        return recalls.read(item[recalls.ATTRIBUTE]) if recalls.ATTRIBUTE in item else None

    def recalled(self, amis: Collection[str]) -> frozenset[str]:
        found = self._table.get_all([withdrawals_of(ami) for ami in sorted(set(amis))])
        return frozenset(item["sk"] for item in found if recalls.ATTRIBUTE in item)

    def pin(self, account: str, region: str, family: str) -> Pin | None:
        item = self._table.get(pin_of(account, region, family))
        try:
            return recalls.read_pin(item["body"]) if item and "body" in item else None
        except ValueError as error:
            what = f"Its pin cannot be read: {error}."
            cure = f"`ami-promoter rollback {family} --account {account}/{region} --lift`, and roll back again."
            fault = Fault("pin-damaged", f"account {account}, {region}, family {family}", what, cure)
            raise Refusal(RefusalKind.DENIED, fault) from None

    def approvals(self, ami: str, places: Collection[str]) -> Given:
        """Find them in the index, which is late, and read each at its home; a damaged one approves nothing."""
        found: dict[str, list[Approval]] = {}
        for item in self._table.get_all(self._approved(ami, places)):
            place = item["sk"].removeprefix(f"{ami}/")
            one = approvals.read(place, RecordKey(item["pk"]).name, item.get("body"))
            if one is not None:
                found.setdefault(place, []).append(one)
        return {place: sorted(every, key=lambda one: one.at) for place, every in found.items()}

    def _approved(self, ami: str, places: Collection[str]) -> list[RecordKey]:
        """Return the keys of an AMI's approvals for these targets, by all approvers."""
        wanted = {f"{ami}/{place}" for place in places}
        only = next(iter(wanted)) if len(wanted) == 1 else ""  # a delivery asks for its own target alone
        keys = (RecordKey.of(item) for item in self._table.query_index_all(BY_AMI, "ami", ami, only))
        # an operator can put other items into the index
        return [key for key in keys if key.sk in wanted and key.pk.startswith(f"{APPROVALS}#")]

    def in_force(self) -> FileVersion | None:
        return self._decoded(self._table.get(RecordKey(VERSIONS, IN_FORCE)))

    def _decoded(self, item: Mapping[str, Any] | None) -> FileVersion | None:
        if item is None:
            return None
        try:
            digest, at, by = (codec.decode(str, item[name]) for name in ("digest", "applied_at", "applied_by"))
            # cut, as an operator can write it, and a notice has a limit
            return FileVersion.of(int(item["version_number"]), digest[:DIGEST_LENGTH], at[:40], by[:500])
        except (KeyError, TypeError, ValueError) as error:
            raise Misconfigured(
                f"{self._where}: which targets file is in force cannot be read: {error!r}; apply it again."
            ) from error

    def directory(self, applied: FileVersion) -> Directory:
        """Read all of a version; raises TargetsDamaged if that is not what was applied."""
        found = self._table.query(partition(applied.version))
        items = {item["sk"]: item["body"] for item in found if "body" in item}
        if digest_of(items) != applied.digest:
            raise TargetsDamaged(
                self._fault(applied, "are not those that were applied: somebody changed or deleted items.")
            )
        try:
            return from_items(items)
        except ValueError as error:
            why = f"cannot be read by this version: {error}."
            raise TargetsDamaged(self._fault(applied, why)) from error

    def _fault(self, applied: FileVersion, what: str) -> Fault:
        return Fault(
            applied_file.DAMAGED,
            f"{self._where}, targets version {applied.version}",
            f"the applied targets {what}",
            "Apply the file again with an `ami-promoter` of the hub's version: that writes all items again.",
        )

    def _account(self, account: str) -> list[dict[str, Any]] | None:
        """Read only these members and not the whole target: an unknown setting must not block closing.

        A damaged item entitles nobody, and delays no other account. It remembers the account's name.
        """
        applied, items = self._in_force_with([f"{kind}#{account}" for kind in ("account", "own")])
        self._names[account] = ""
        if applied is None:
            return None
        version = partition(applied.version)
        item, own = items.get(f"account#{account}"), items.get(f"own#{account}")
        group = self._group_by_unit(applied, account) if item is None or own is not None else ""
        try:
            if group and own is not None:
                found = codec.parsed_json(own["body"])[group]
            else:
                item = self._table.get(RecordKey(version, f"by-unit#{group}")) if group else item
                found = codec.parsed_json(item["body"]) if item else None
            members = ("role_name", "external_id")
            read = [{name: codec.decode(str, one[name]) for name in members} for one in found or ()]
            self._names[account] = next((applied_file.name_in(one.get("name")) for one in found or ()), "")
        except (KeyError, TypeError, ValueError):
            return None
        return read or None

    def _in_force_with(self, names: Sequence[str]) -> tuple[FileVersion | None, Mapping[str, Mapping[str, Any]]]:
        """Read which version is in force, and these items of it: by one call if it was in force at the last read.

        A version's items never change, so it does not matter which of them is read first.
        """
        before = self._version
        asked = [RecordKey(VERSIONS, IN_FORCE), *(RecordKey(partition(before), name) for name in names if before)]
        read = {found["sk"]: found for found in self._table.get_all(asked)}
        applied = self._decoded(read.get(IN_FORCE))
        if applied is not None and applied.version != before:
            self._version = applied.version
            asked = [RecordKey(partition(applied.version), name) for name in names]
            read = {found["sk"]: found for found in self._table.get_all(asked)}
        return applied, read

    def _group_by_unit(self, applied: FileVersion, account: str) -> str:
        """Name a group that has the account by a unit: all its groups agree, or it gets nothing."""
        named = self._organization(applied)
        units = self._members.units_of(account) if named else ()
        groups = sorted(group for unit in units for group in (named.units.get(unit, ()) if named else ()))
        return groups[0] if groups else ""


def withdrawals_in(item: Mapping[str, Any]) -> list[Withdrawal]:
    """Read an AMI's withdrawals from their item's attributes, its recall among them."""
    found = [withdrawals.read(name, value) for name, value in sorted(item.items()) if name[:1].isdigit()]
    recall = [recalls.read(item[recalls.ATTRIBUTE]).withdrawal] if recalls.ATTRIBUTE in item else []
    return [*recall, *found]


def partition(version: str) -> str:
    """Name the partition that holds a version's items."""
    return f"{VERSIONS}#{version}"
