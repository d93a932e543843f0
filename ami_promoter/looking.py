"""What there is, for ``reconcile``: records and ledger, the hub's permissions and grants, and what is ours in targets.

The hub is read with the caller's credentials. Targets are read by the service's own function, under the role there: a
census is asked for by a note, and its answer read from the table (the roles trust nobody else).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ami_promoter.aws import Connection
from ami_promoter.publishing import Publisher
from ami_promoter.records import Reader, Record
from ami_promoter.trail import Change, Trail
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import addresses, codec
from chalicelib.core.census import LOOK, Census, OurImage, OurSnapshot
from chalicelib.core.image import SourceImage
from chalicelib.ports import Write

GRANT_NAME = re.compile(r"ami-promoter:(?P<region>[a-z0-9-]+):(?P<delivery>[0-9a-f]{20}):(?P<intended_at>[0-9]+)\Z")
ROLE_GRANT_NAME = re.compile(
    r"ami-promoter:(?P<region>[a-z0-9-]+):(?P<delivery>)[^:\s]+/[^:\s]+:(?P<intended_at>[0-9]+)\Z"
)
ROLE_PATH = ":role/aws-service-role/"
POLL = 5
"""Seconds between two looks for the answers of targets."""
VALUES = 200
"""EC2 takes at most 200 values in a filter [EC2 user guide, list and filter resources]."""

Place = tuple[str, str]
"""Account and Region."""

KEY_KINDS = ("resource#key#", "resource#policy#", "resource#role#")


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant on a key of the hub that bears our name. One for a service-linked role is of no single delivery."""

    key_arn: str
    id: str
    delivery: str
    intended_at: int
    account: str
    grantee: str

    @property
    def resource(self) -> str:
        """Its lane's partition."""
        place = addresses.role_resource if ROLE_PATH in self.grantee else addresses.key_resource
        return place(self.key_arn, self.account).pk

    @property
    def holder_key(self) -> str:
        """Its entry in the ledger."""
        return self.delivery or self.grantee.partition(ROLE_PATH)[2]


@dataclass(frozen=True, slots=True)
class Target:
    """What bears our tags in one target; ``trouble``: why it could not be seen."""

    images: tuple[OurImage, ...] = ()
    snapshots: tuple[OurSnapshot, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """All of it, at ``now`` (epoch seconds)."""

    now: int
    hub: str
    items: Mapping[tuple[str, str], Record] = field(default_factory=dict)
    """Records, shares and notes of deliveries, by (pk, sk)."""
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Snapshot or AMI -> accounts and, of an AMI, organisations; "all" where it is public."""
    grants: tuple[Grant, ...] = ()
    changes: Mapping[tuple[str, str], Change] = field(default_factory=dict)
    """(snapshot or AMI, holder) -> the last change of that permission that CloudTrail knows."""
    once_open: frozenset[tuple[str, str]] = frozenset()
    """(snapshot or AMI, holder) whose ledger entry is lost, and whose history says that we had it open."""
    targets: Mapping[Place, Target] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    """What else could not be seen."""

    def record(self, pk: str) -> Record | None:
        """Read a record."""
        return self.items.get((pk, "record"))

    def of_kind(self, kind: str) -> Iterator[Record]:
        """All records of a kind."""
        return (it for (pk, sk), it in self.items.items() if sk == "record" and pk.startswith(f"{kind}#"))

    def shares(self) -> Iterator[tuple[str, str, Record]]:
        """(resource, holder_key, share) of the ledger."""
        for (pk, sk), it in self.items.items():
            if sk.startswith("share#"):
                yield pk, sk.removeprefix("share#"), it


class Looking:
    """Looks at one hub. ``keys``: ARNs of further source keys; ``tell`` gets a line while it waits."""

    def __init__(
        self,
        connection: Connection,
        tell: Callable[[str], None],
        *,
        keys: Sequence[str] = (),
        since: int = 48 * 3600,
        patience: int = 300,
    ) -> None:
        self._connection = connection
        self._tell = tell
        self._keys = keys
        self._since = since
        self._patience = patience
        self._troubles: list[str] = []
        self._reader = Reader(connection)
        self._table = Table(connection.dynamodb, connection.table)
        self._records = DynamoRecords(self._table)
        self._ec2 = connection.client("ec2")

    def look(self, run: str, *, targets: bool) -> View:
        """Look at everything; ``run`` names this look. May raise Trouble."""
        now = int(time.time())
        seen = self._targets(run) if targets else {}
        with self._connection.telling("reading the records"):
            items = self._reader.everything()
        shared, keys = self._sources(items, seen)
        permissions = {one: self._open_to(one) for one in shared}
        grants = tuple(grant for key in sorted({*keys, *self._keys}) for grant in self._grants(key))
        unexplained = [
            (one, holder)
            for one, holders in permissions.items()
            for holder in holders
            if not _explained(items, one, holder)
        ]
        missing = [
            (pk, sk)
            for (pk, sk), it in items.items()
            if sk.startswith("share#") and (one := permission_of(pk)) and it.get("state") == "open"
            if sk.removeprefix("share#") not in permissions.get(one, ())
        ]
        changes: Mapping[tuple[str, str], Change] = {}
        if unexplained or missing:
            trail = Trail(self._connection, now - self._since)
            changes = trail.changes()
            self._troubles += trail.troubles
        lost = frozenset(
            (one, holder)
            for one, holder in unexplained
            if (resource_of(one), f"share#{holder}") not in items
            if self._was_open(one, holder)
        )
        return View(
            now, self._connection.account, items, permissions, grants, changes, lost, seen, tuple(self._troubles)
        )

    # --- the hub -----------------------------------------------------------------------------------------------------

    def _sources(
        self, items: Mapping[tuple[str, str], Record], seen: Mapping[Place, Target]
    ) -> tuple[list[str], set[str]]:
        """Return every snapshot and AMI of the hub that we may have shared, and the keys they are under."""
        snapshots = {pk.removeprefix("resource#snapshot#") for pk, _ in items if pk.startswith("resource#snapshot#")}
        shared = {one for pk, _ in items if (one := permission_of(pk)).startswith("ami-")}
        shared |= {pk.removeprefix("promotion#") for pk, _ in items if pk.startswith("promotion#")}
        keys = {addresses.key_of(pk) for pk, _ in items if pk.startswith(KEY_KINDS)}
        for (_, sk), it in items.items():
            if sk == "image":
                snapshots |= set(_snapshots_of(it))
            for one in it.get("snapshots", ()) if isinstance(it.get("snapshots"), list) else ():
                snapshots |= {one["id"]} if isinstance(one, dict) and "id" in one else set()
        images = {image.source for target in seen.values() for image in target.images if image.source}
        snapshots |= {s.source for target in seen.values() for s in target.snapshots if s.source}
        with self._connection.telling("describing source images and snapshots"):
            there: list[str] = []
            for some in _chunks(images | shared):
                for page in self._pages("describe_images", "image-id", some, Owners=["self"]):
                    there += [image["ImageId"] for image in page["Images"] if image["ImageId"] in shared]
                    snapshots |= {
                        device["Ebs"]["SnapshotId"]
                        for image in page["Images"]
                        for device in image.get("BlockDeviceMappings", ())
                        if device.get("Ebs", {}).get("SnapshotId")
                    }
            for some in _chunks(snapshots):
                for page in self._pages("describe_snapshots", "snapshot-id", some, OwnerIds=["self"]):
                    there += [raw["SnapshotId"] for raw in page["Snapshots"]]
                    keys |= {raw["KmsKeyId"] for raw in page["Snapshots"] if raw.get("KmsKeyId")}
        return sorted(there), {key for key in keys if key.split(":")[4:5] == [self._connection.account]}

    def _pages(self, operation: str, name: str, some: Iterable[str], **given: Any) -> Iterator[Mapping[str, Any]]:
        filters = [{"Name": name, "Values": list(some)}]
        yield from self._ec2.get_paginator(operation).paginate(Filters=filters, **given)

    def _open_to(self, one: str) -> frozenset[str]:
        """Read who may use a snapshot or launch an AMI."""
        try:
            if one.startswith("ami-"):
                answer = self._ec2.describe_image_attribute(ImageId=one, Attribute="launchPermission")
                return frozenset(value for entry in answer.get("LaunchPermissions", ()) for value in entry.values())
            answer = self._ec2.describe_snapshot_attribute(SnapshotId=one, Attribute="createVolumePermission")
        except (ClientError, BotoCoreError) as error:
            self._troubles.append(f"{one}: who may use it cannot be read: {error}")
            return frozenset()
        return frozenset(entry.get("UserId") or "all" for entry in answer["CreateVolumePermissions"])

    def _grants(self, key: str) -> Iterator[Grant]:
        """Find the grants on a key that bear our name: the hub's, and those of accounts for their service roles."""
        kms = self._connection.client("kms")
        try:
            for page in kms.get_paginator("list_grants").paginate(KeyId=key):
                for raw in page["Grants"]:
                    grantee = raw.get("GranteePrincipal", "")
                    account = grantee.split(":")[4] if grantee.count(":") > 4 else grantee
                    of_role = ROLE_PATH in grantee
                    named = (ROLE_GRANT_NAME if of_role else GRANT_NAME).match(raw.get("Name", ""))
                    issuer = account if of_role else self._connection.account
                    if (
                        named
                        and named["region"] == self._connection.region
                        and f"::{issuer}:" in raw.get("IssuingAccount", "")
                    ):
                        arn = raw.get("KeyId", key)
                        yield Grant(
                            arn if arn.startswith("arn:") else key,
                            raw["GrantId"],
                            named["delivery"],
                            int(named["intended_at"]),
                            account,
                            grantee,
                        )
        except (ClientError, BotoCoreError) as error:
            self._troubles.append(f"{key}: its grants cannot be read: {error}")

    def _was_open(self, one: str, holder: str) -> bool:
        """Whether the history of a share that is in the ledger no longer says that it was open, and ours."""
        found = list(self._table.query(resource_of(one), f"history#share#{holder}#"))
        last = found[-1] if found else {}
        return last.get("state") in ("opening", "open", "closing") and last.get("preexisting") is False

    # --- targets -----------------------------------------------------------------------------------------------------

    def _targets(self, run: str) -> dict[Place, Target]:
        """Ask for a census of every target of the applied file, and wait for the answers."""
        applied = Publisher(self._connection).applied()
        if applied.damaged:
            self._troubles.append("the applied targets were changed by hand: apply the file again")
        places = [(t.account, t.region) for targets in applied.directory.accounts.values() for t in targets]
        for account, region in places:
            record = Census(account, region)
            body = codec.encode(record)
            body.pop("hints")
            with self._connection.telling("asking for a look at the targets"):
                now = int(time.time())
                self._records.create(Write(record.key, "open", body, now), now)
                self._records.note(record.key, {LOOK: run}, now)
        found: dict[Place, Target] = {}
        until = time.time() + self._patience
        while left := [place for place in places if place not in found]:
            if time.time() > until:
                why = "no answer: is it parked, do the sweep and `act` run? See docs/operating.md"
                return found | {place: Target(trouble=why) for place in left}
            for place in left:
                answer = self._answer(place, run)
                found |= {} if answer is None else {place: answer}
            if len(found) < len(places):
                self._tell(f"Looking at targets: {len(found)} of {len(places)}.")
                time.sleep(POLL)
        return found

    def _answer(self, place: Place, run: str) -> Target | None:
        key = addresses.census(*place)
        with self._connection.telling("reading what was found in a target"):
            item = self._table.get(key)
            body = json.loads(item["body"]) if item else {}
            if body.get("seen") != run:
                return None
            if body.get("fault"):
                return Target(trouble=f"{body['fault']['what']} {body['fault']['cure']}".strip())
            pages = [self._table.get(addresses.census_page(key, n)) or {} for n in range(body.get("pages", 0))]
        rows = [row for page in pages for row in json.loads(page.get("body", "[]"))]
        return Target(
            tuple(codec.decode(OurImage, row["image"]) for row in rows if "image" in row),
            tuple(codec.decode(OurSnapshot, row["snapshot"]) for row in rows if "snapshot" in row),
        )


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Cut ids into lists of as many as a filter takes."""
    ordered = sorted(ids)
    return (ordered[start : start + VALUES] for start in range(0, len(ordered), VALUES))


def resource_of(one: str) -> str:
    """Return the partition of a snapshot's permissions, or of an AMI's."""
    return (addresses.image_resource if one.startswith("ami-") else addresses.snapshot_resource)(one).pk


def permission_of(pk: str) -> str:
    """Return the snapshot or AMI that a partition is about; "" for any other."""
    kind, _, one = pk.removeprefix("resource#").partition("#")
    return one if pk.startswith("resource#") and kind in ("snapshot", "image") else ""


def _explained(items: Mapping[tuple[str, str], Record], one: str, holder: str) -> bool:
    """Whether the ledger knows the permission for one that is open, and ours."""
    share = items.get((resource_of(one), f"share#{holder}"))
    return share is not None and share.get("state") in ("opening", "open", "closing") and not share.get("preexisting")


def _snapshots_of(item: Record) -> Sequence[str]:
    try:
        plain = {name: value for name, value in item.items() if name != "_item"}
        return [snapshot.id for snapshot in SourceImage.from_json(plain).snapshots]
    except (KeyError, TypeError, ValueError):
        return ()
