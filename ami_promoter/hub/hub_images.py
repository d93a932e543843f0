"""An AMI of the hub: found by its name, or by its copy; its trigger tag, and what the service must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from ami_promoter.hub.aws import CallersSessions, Connection, HubError
from ami_promoter.hub.records import Reader, record_of
from ami_promoter.terminal.alike import first_of
from ami_promoter.terminal.report import NotDone, moment
from chalicelib.engine.faults import Fault
from chalicelib.images.aws.hub_images import HubSource
from chalicelib.images.aws.shapes import every
from chalicelib.images.image import SourceImage
from chalicelib.images.keys import KeyFacts
from chalicelib.images.ports import TagRead

MOST = 10
"""So many AMIs of one name are listed."""
BY_ID = "Name the AMI by its id."
REFUSED = ("AccessDeniedException", "AccessDenied")


def ami_named(connection: Connection, name: str, *, reads: bool) -> str:
    """Return the id of the one AMI with this name.

    Raises NotDone if there is none, or more than one; may raise HubError.

    EC2 knows those that exist, the records those that were deregistered: EC2 lets a new AMI have such a name.
    ``reads``: the verb changes nothing, so EC2's AMI is enough if the caller may not scan the records.
    """
    existing = dict(_in_ec2(connection, name))
    try:
        found = dict(_in_records(connection, name)) | existing
    except HubError as error:
        if not (reads and existing and error.fault.code in REFUSED):
            raise HubError.of(replace(error.fault, cure=f"{BY_ID} {error.fault.cure}")) from error
        found = existing
    if len(found) == 1:
        return next(iter(found))
    if not found:
        what = f"{connection.place} has no AMI and no promotion of this name."
        cure = "`ami-promoter status --image 'golden-*'` lists promotions by a part of their names."
        raise NotDone(Fault("unknown-ami", name, what, cure))
    each = first_of([f"{ami} (since {since})" for ami, since in sorted(found.items(), key=lambda one: one[1])], MOST)
    raise NotDone(Fault("ambiguous-ami", name, f"{len(found)} AMIs have this name: {each}.", BY_ID))


def copy_of(connection: Connection, ami: str) -> Fault | None:
    """Return the fault that an AMI is a copy, with its source; None: it is none, or the caller may not look for it."""
    with suppress(HubError):
        return copied_from(connection, ami)
    return None


def copied_from(connection: Connection, ami: str) -> Fault | None:
    """Return the fault that an AMI is a copy, with its source; None: it is none. May raise HubError."""
    for one in Reader(connection).made_from(ami):
        if (source := one.key.name) != ami:  # a shared AMI is its own source
            what = f"it is the copy of {source} in account {one.it.account}, {one.it.region}."
            return Fault("unknown-ami", ami, what, f"Name its source {source} instead, in the same command.")
    return None


def _in_ec2(connection: Connection, name: str) -> Iterator[tuple[str, str]]:
    """Yield the AMIs that the hub owns, with when they were made."""
    with connection.telling(f"looking for an AMI named {name}"):
        wanted = [{"Name": "name", "Values": [name]}]
        found = list(every(connection.client("ec2"), "images", Owners=["self"], Filters=wanted, IncludeDisabled=True))
    here = [one for one in found if one["State"] != "deregistered"]  # EC2 shows it for a while
    yield from ((str(one["ImageId"]), str(one.get("CreationDate", "-"))) for one in here)


def _in_records(connection: Connection, name: str) -> Iterator[tuple[str, str]]:
    """Yield the AMIs that were promoted, with when they were tagged. This reads the whole table."""
    which = "begins_with(pk, :promotion) AND sk = :record AND contains(body, :name)"
    reader = Reader(connection, f"looking for a promotion of an AMI named {name}")
    for record in map(record_of, reader.items(which, {":name": name}, consistent=False)):
        if record.it.image_name == name:
            yield record.it.ami, moment(record.it.since)


class Tag:
    """One AMI's trigger tag, under the caller's credentials."""

    def __init__(self, connection: Connection, ami: str) -> None:
        self._connection = connection
        self._ami = ami

    def read(self) -> str | None:
        """Return the tag's value, None if there is no tag; raises NotDone if the hub owns no such AMI."""
        return self.look().value

    def look(self) -> TagRead:
        """Look at the AMI; raises NotDone if the hub owns no such AMI."""
        with self._connection.telling(f"looking at {self._ami}"):
            found = _sources(self._connection).tag(self._ami)
        if found.image_state is None or not found.owned:
            raise no_such_ami(self._connection, self._ami)
        return found

    def write(self, value: str) -> None:
        """Write the tag."""
        with self._connection.telling(f"tagging {self._ami}"):
            tags = [{"Key": self._connection.tag_key, "Value": value}]
            self._connection.client("ec2").create_tags(Resources=[self._ami], Tags=tags)

    def remove(self) -> None:
        """Remove the tag."""
        with self._connection.telling(f"removing the tag of {self._ami}"):
            self._connection.client("ec2").delete_tags(Resources=[self._ami], Tags=[{"Key": self._connection.tag_key}])


def _sources(connection: Connection) -> HubSource:
    """Return the adapter by which the service looks at the hub's AMIs, with the caller's credentials."""
    return HubSource(CallersSessions(connection), connection.account, connection.region, connection.tag_key)


def examine(connection: Connection, ami: str) -> tuple[SourceImage, Mapping[str, KeyFacts]] | None:
    """Read an AMI, its snapshots and their keys; None if the hub owns no such AMI. May raise HubError."""
    with connection.telling(f"examining {ami}"):
        return _sources(connection).examine(ami)


def no_tag(ami: str, tag_key: str) -> NotDone:
    """Return the refusal of an AMI that has no tag, and so is promoted to nobody."""
    what = f"it has no tag `{tag_key}`, so it is promoted to no account."
    return NotDone(Fault("no-tag", ami, what, f"`ami-promoter status {ami}` shows what still runs."))


def no_such_ami(connection: Connection, ami: str) -> NotDone:
    """Return the refusal of an AMI that the hub does not own."""
    what = f"account {connection.account} owns no such AMI in {connection.region}."
    cure = "Check that the id, the profile and the Region are the hub's."
    return NotDone(copy_of(connection, ami) or Fault("unknown-ami", ami, what, cure))
