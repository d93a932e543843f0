"""Reads permissions, grants and key policies of the hub, with the caller's credentials."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.hub.aws import Connection, code_of
from ami_promoter.reconcile import ledger_facts
from ami_promoter.reconcile.facts import Grant, PolicyStatement
from ami_promoter.terminal.progress import Progress
from chalicelib.engine.aws import sdk
from chalicelib.engine.aws.refusals import GONE, KEY_GONE
from chalicelib.engine.budget import slices
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import IMAGE, Arn, Resource
from chalicelib.images.aws.shapes import FILTER_VALUES
from chalicelib.sharing import key_policy

AGAIN = "Repair that, and run the command again."


@dataclass(slots=True)
class Candidates:
    """AMIs in the hub's Region, snapshots and keys that may have open permissions."""

    images: set[str] = field(default_factory=set)
    snapshots: dict[str, set[str]] = field(default_factory=dict)
    """By Region; "" is the hub's own."""
    keys: set[str] = field(default_factory=set)

    def add_snapshots(self, region: str, ids: Iterable[str]) -> None:
        """Add snapshots of a Region."""
        self.snapshots.setdefault(region, set()).update(ids)


class HubReading:
    """Reads one hub; ``faults`` say what could not be read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.faults: list[Fault] = []

    def there(self, candidates: Candidates) -> tuple[list[Resource], set[str]]:
        """Return the candidates that the hub owns, and the hub's keys that encrypt them.

        ``faults`` gets another Region whose snapshots cannot be described: many hubs may not call AWS there.
        """
        found: list[Resource] = []
        keys = set(candidates.keys)
        with self._connection.telling("describing source images and snapshots"):
            for image in self._described("", "images", candidates.images):
                found.append(Resource.of(image["ImageId"]))
                devices = image.get("BlockDeviceMappings", ())
                candidates.add_snapshots("", filter(None, (it.get("Ebs", {}).get("SnapshotId") for it in devices)))
            for region, ids in sorted(candidates.snapshots.items()):
                try:
                    for raw in self._described(region, "snapshots", ids):
                        found.append(Resource.of(raw["SnapshotId"], region))
                        keys |= {raw["KmsKeyId"]} if raw.get("KmsKeyId") else set()
                except (sdk.ClientError, sdk.BotoCoreError) as error:
                    if not region:
                        raise
                    what = f"Which snapshots the hub has there cannot be read: {error}."
                    self.faults.append(Fault("not-seen", f"account {self._connection.account}, {region}", what, AGAIN))
        return sorted(found), {key for key in keys if Arn.parse(key).account == self._connection.account}

    def _described(self, region: str, what: str, ids: Collection[str]) -> Iterator[Mapping[str, Any]]:
        """Describe images or snapshots of the hub, by a filter, in which an unknown id is no error."""
        images = what == "images"
        given: dict[str, Any] = {"Owners": ["self"], "IncludeDisabled": True} if images else {"OwnerIds": ["self"]}
        pages = self._ec2(region).get_paginator(f"describe_{what}")
        ordered, progress = sorted(ids), Progress(f"Describing {what} of the hub")
        for number, some in enumerate(slices(ordered, FILTER_VALUES)):
            asked = [{"Name": "image-id" if images else "snapshot-id", "Values": some}]
            for page in pages.paginate(Filters=asked, **given):
                yield from page["Images" if images else "Snapshots"]
            progress.at(number * FILTER_VALUES, len(ordered))

    def permissions(self, sources: Iterable[Resource]) -> dict[Resource, frozenset[str]]:
        """Read who may use each snapshot and launch each AMI; ``faults`` gets what cannot be read."""
        found: dict[Resource, frozenset[str]] = {}
        ordered = list(sources)
        progress = Progress("Reading who may use snapshots and AMIs")
        for number, source in enumerate(ordered):
            progress.at(number, len(ordered))
            try:
                found[source] = self._open_to(source)
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                if code_of(error) not in GONE:
                    self.faults.append(
                        Fault("not-seen", source.in_words, f"Who may use it cannot be read: {error}.", AGAIN)
                    )
        return found

    def _open_to(self, source: Resource) -> frozenset[str]:
        ec2 = self._ec2(source.region)
        if source.kind == IMAGE:
            answer = ec2.describe_image_attribute(ImageId=source.name, Attribute="launchPermission")
            return frozenset(value for entry in answer.get("LaunchPermissions", ()) for value in entry.values())
        answer = ec2.describe_snapshot_attribute(SnapshotId=source.name, Attribute="createVolumePermission")
        return frozenset(entry.get("UserId") or "all" for entry in answer["CreateVolumePermissions"])

    def grants(self, keys: Iterable[str]) -> tuple[tuple[Grant, ...], frozenset[str]]:
        """Return the grants with the service's name on these keys, and the keys that were read to the end."""
        found: list[Grant] = []
        read: set[str] = set()
        hub, region = self._connection.account, self._connection.region
        for key in self._each(keys, "Reading the grants on keys"):
            try:
                for page in self._kms(key).get_paginator("list_grants").paginate(KeyId=key):
                    own = (ledger_facts.grant_of(key, raw, hub, region) for raw in page["Grants"])
                    found += [grant for grant in own if grant is not None]
                read.add(key)
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                self._unread(key, error, "grants", "kms:ListGrants")
        return tuple(found), frozenset(read)

    def statements(self, keys: Iterable[str]) -> tuple[tuple[PolicyStatement, ...], frozenset[str]]:
        """Return the service's statements in the policies of these keys, and which policies were read."""
        found: list[PolicyStatement] = []
        read: set[str] = set()
        hub = key_policy.hub_sid(self._connection.account, self._connection.region)
        for key in self._each(keys, "Reading the policies of keys"):
            try:
                text = self._kms(key).get_key_policy(KeyId=key, PolicyName="default")["Policy"]
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                self._unread(key, error, "policy", "kms:GetKeyPolicy")
                continue
            own = ledger_facts.statements_of(key, text, hub)
            if isinstance(own, str):
                self.faults.append(Fault("not-seen", key, f"The service's statements cannot be found: {own}", AGAIN))
                continue
            found += own
            read.add(key)
        return tuple(found), frozenset(read)

    def _each(self, keys: Iterable[str], what: str) -> Iterator[str]:
        ordered, progress = sorted(keys), Progress(what)
        for number, key in enumerate(ordered):
            progress.at(number, len(ordered))
            yield key

    def _unread(self, key: str, error: sdk.ClientError | sdk.BotoCoreError, what: str, right: str) -> None:
        """Add a fault that something of a key cannot be read, unless the key was deleted, so that nothing is open."""
        if code_of(error) == KEY_GONE:
            return
        cure = f"You need {right} on this key (docs/reference/cli.md). {AGAIN}"
        self.faults.append(Fault("not-seen", key, f"Its {what} cannot be read: {error}.", cure))

    def _ec2(self, region: str) -> Any:
        return self._connection.client("ec2", region or None)

    def _kms(self, key: str) -> Any:
        return self._connection.client("kms", Arn.parse(key).region)
