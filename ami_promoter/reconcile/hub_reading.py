"""Reads permissions, grants and key policies of the hub: by the service's adapters, with the caller's credentials."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ami_promoter.hub.aws import CallersSessions, Connection, errors
from ami_promoter.reconcile.facts import own_grants
from ami_promoter.terminal.output import Progress
from chalicelib.engine.aws.refusals import KEY_GONE, as_refusal, code_of
from chalicelib.engine.budget import slices
from chalicelib.engine.errors import Refusal
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import IMAGE, Arn, Resource
from chalicelib.images.aws.shapes import FILTER_VALUES, every, snapshots_of
from chalicelib.sharing import key_policy
from chalicelib.sharing.aws.ec2_permissions import LaunchPermissions, SnapshotPermissions
from chalicelib.sharing.aws.grants import GrantListing
from chalicelib.sharing.aws.key_policies import policy_of
from chalicelib.sharing.key_policy import Document
from chalicelib.sharing.shown import ShownAccess

AGAIN = "Repair that, and run the command again."

_T = TypeVar("_T")


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
    """Reads one hub; ``faults`` say what could not be read. ``named``: keys that a person named, so that they exist."""

    def __init__(self, connection: Connection, named: Collection[str] = ()) -> None:
        self._connection = connection
        self._named = named
        self._sessions = CallersSessions(connection)
        self.faults: list[Fault] = []
        self.cut: set[str] = set()

    def there(self, candidates: Candidates) -> tuple[list[Resource], set[str]]:
        """Return the candidates that the hub owns, and the hub's keys that encrypt them.

        ``faults`` gets another Region whose snapshots cannot be described: many hubs may not call AWS there.
        """
        found: list[Resource] = []
        keys = set(candidates.keys)
        with self._connection.telling("describing source images and snapshots"):
            for image in self._described("", "images", candidates.images):
                found.append(Resource.of(image["ImageId"]))
                candidates.add_snapshots("", snapshots_of(image))
            for region, ids in sorted(candidates.snapshots.items()):
                try:
                    for raw in self._described(region, "snapshots", ids):
                        found.append(Resource.of(raw["SnapshotId"], region))
                        keys |= {raw["KmsKeyId"]} if raw.get("KmsKeyId") else set()
                except errors() as error:
                    if not region:
                        raise
                    what = f"Which snapshots the hub has there cannot be read: {error}."
                    self.faults.append(Fault("not-seen", f"account {self._connection.account}, {region}", what, AGAIN))
        return sorted(found), {key for key in keys if Arn.parse(key).account == self._connection.account}

    def _described(self, region: str, what: str, ids: Collection[str]) -> Iterator[Mapping[str, Any]]:
        """Describe images or snapshots of the hub, by a filter, in which an unknown id is no error."""
        whose: dict[str, Any] = {"OwnerIds": ["self"]}
        if what == "images":
            whose = {"Owners": ["self"], "IncludeDisabled": True}
        ec2 = self._sessions.own("ec2", region=region)
        ordered, progress = sorted(ids), Progress(f"Describing {what} of the hub")
        for number, some in enumerate(slices(ordered, FILTER_VALUES)):
            yield from every(ec2, what, Filters=[{"Name": f"{what.removesuffix('s')}-id", "Values": some}], **whose)
            progress.at(number * FILTER_VALUES, len(ordered))

    def permissions(self, sources: Iterable[Resource]) -> dict[Resource, frozenset[str]]:
        """Read who may use each snapshot and launch each AMI; ``faults`` gets what cannot be read."""
        found: dict[Resource, frozenset[str]] = {}
        for source in _each(sources, "Reading who may use snapshots and AMIs"):
            read_by = LaunchPermissions if source.kind == IMAGE else SnapshotPermissions
            with self._noticing(source.in_words, "Who may use it"):
                receivers = read_by(self._sessions, self._connection.place).receivers(source)
                found |= {} if receivers is None else {source: receivers}
        return found

    def grants(self, keys: Iterable[str]) -> dict[str, Sequence[ShownAccess]]:
        """Read the service's grants on these keys; ``faults`` gets what cannot be read, and ``cut`` its keys."""
        found: dict[str, Sequence[ShownAccess]] = {}
        hub, region = self._connection.account, self._connection.region
        listing = GrantListing(self._sessions, self._connection.place)
        for key in _each(sorted(keys), "Reading the grants on keys"):
            self.cut.add(key)
            with self._noticing(key, "Its grants, or the rest of them,", "kms:ListGrants"):
                page, marker = listing.page(key, "")
                own = found[key] = [*own_grants(key, page, hub, region)]
                while marker:
                    page, marker = listing.page(key, marker)
                    own += own_grants(key, page, hub, region)
                self.cut.remove(key)
        return found

    def policies(self, keys: Iterable[str]) -> dict[str, Document]:
        """Read the policies of these keys; ``faults`` gets what cannot be read."""
        found: dict[str, Document] = {}
        hub = key_policy.hub_sid(self._connection.account, self._connection.region)
        for key in _each(sorted(keys), "Reading the policies of keys"):
            with self._noticing(key, "Its policy", "kms:GetKeyPolicy"), as_refusal("GetKeyPolicy", key):
                document = key_policy.read(key, policy_of(self._sessions, key), hub)
                if isinstance(document, Fault):
                    what = f"The service's statements cannot be found: {document.what}"
                    self.faults.append(Fault("not-seen", key, what, AGAIN))
                else:
                    found[key] = document
        return found

    @contextmanager
    def _noticing(self, where: str, thing: str, right: str = "") -> Iterator[None]:
        """Add a fault if AWS refuses to show something, unless the key was deleted, so that nothing is open."""
        try:
            yield
        except Refusal as refusal:
            if code_of(refusal) != KEY_GONE or where in self._named:
                cure = f"You need {right} on this key (docs/reference/cli.md). {AGAIN}" if right else AGAIN
                said = f"{thing} cannot be read: {refusal.fault.what}"
                self.faults.append(Fault("not-seen", where, said if said.endswith(".") else f"{said}.", cure))


def _each(ordered: Iterable[_T], what: str) -> Iterator[_T]:
    """Yield each, and report the progress."""
    every_one, progress = list(ordered), Progress(what)
    for number, one in enumerate(every_one):
        progress.at(number, len(every_one))
        yield one
