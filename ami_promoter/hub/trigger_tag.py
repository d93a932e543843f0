"""The trigger tag of an AMI of the hub."""

from __future__ import annotations

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.image_names import copy_of
from ami_promoter.terminal.report import NotDone
from chalicelib.engine.faults import Fault
from chalicelib.images.aws.shapes import every


class Tag:
    """One AMI's trigger tag, under the caller's credentials."""

    def __init__(self, connection: Connection, key: str, ami: str) -> None:
        self._connection = connection
        self._ec2 = connection.client("ec2")
        self.key = key
        self._ami = ami

    def read(self) -> str | None:
        """Return the tag's value, None if there is no tag; raises NotDone if the hub owns no such AMI."""
        with self._connection.telling(f"looking at {self._ami}"):
            wanted = [{"Name": "image-id", "Values": [self._ami]}]
            found = list(every(self._ec2, "images", Owners=["self"], Filters=wanted, IncludeDisabled=True))
        if not found:
            raise no_such_ami(self._connection, self._ami)
        return next((str(one["Value"]) for one in found[0].get("Tags", ()) if one["Key"] == self.key), None)

    def write(self, value: str) -> None:
        """Write the tag."""
        with self._connection.telling(f"tagging {self._ami}"):
            self._ec2.create_tags(Resources=[self._ami], Tags=[{"Key": self.key, "Value": value}])

    def remove(self) -> None:
        """Remove the tag."""
        with self._connection.telling(f"removing the tag of {self._ami}"):
            self._ec2.delete_tags(Resources=[self._ami], Tags=[{"Key": self.key}])


def no_tag(ami: str, tag_key: str) -> NotDone:
    """Return the refusal of an AMI that has no tag, and so is promoted to nobody."""
    what = f"it has no tag `{tag_key}`, so it is promoted to no account."
    return NotDone(Fault("no-tag", ami, what, f"`ami-promoter status {ami}` shows what still runs."))


def no_such_ami(connection: Connection, ami: str) -> NotDone:
    """Return the refusal of an AMI that the hub does not own."""
    what = f"account {connection.account} owns no such AMI in {connection.region}."
    cure = "Check that the id, the profile and the Region are the hub's."
    return NotDone(copy_of(connection, ami) or Fault("unknown-ami", ami, what, cure))
