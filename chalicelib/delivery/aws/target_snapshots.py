"""Snapshots in a target: copies, finds, tags and deletes them under the copy role."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from chalicelib.delivery.aws.session_policies import SNAPSHOTS_PER_SESSION
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.proof import SeenCopy
from chalicelib.delivery.tags import snapshot_tags
from chalicelib.engine.aws.refusals import GONE, gone
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.images import register
from chalicelib.images.aws.shapes import by_id, described, tag_list, within_time
from chalicelib.images.image import SourceImage, SourceSnapshot, tags_of

OUR_SOURCE_SNAPSHOT = "ami-promoter:source-snapshot"
TAGGED_IN_A_RUN = 10
"""Copies for which a run certainly has time: each takes a call."""


class AwsTargetSnapshots:
    """The port ``TargetSnapshots``."""

    def __init__(self, sessions: TargetSessions, trigger_tag: str, hub_region: str) -> None:
        self._sessions = sessions
        self._trigger_tag = trigger_tag
        self._hub_region = hub_region

    def role(self, delivery: Delivery) -> str:
        return self._sessions.role_name(delivery)

    def find(self, delivery: Delivery, *, budget: Budget, ids: Collection[str] = ()) -> tuple[SeenCopy, ...]:
        """RegisterImage follows the look that sees the last copy completed: one session serves both."""
        copies = delivery.copies and delivery.ending is None
        ec2 = self._sessions.client("ec2", "register" if copies else "look", delivery, looks=True)
        if not ids:
            asked = {"OwnerIds": ["self"], "Filters": _own(delivery)}
            return tuple(map(_seen, self._sessions.listed(ec2, "snapshots", delivery, budget, **asked)))
        with self._sessions.as_refusal("DescribeSnapshots", delivery.where):
            return tuple(map(_seen, by_id(ec2, "snapshots", ids, OwnerIds=["self"])))

    def copy(self, delivery: Delivery, source: SourceSnapshot) -> str:
        ec2 = self._sessions.client("ec2", "copy", delivery, _session_snapshots(delivery, source.id), once=True)
        tags = snapshot_tags(delivery, source, self._trigger_tag, delivery.nonce(source.id))
        with self._sessions.as_refusal("CopySnapshot", f"{delivery.where}, {source.id}"):
            copy = partial(
                ec2.copy_snapshot,
                SourceRegion=delivery.target.region if delivery.target.by_way_of else self._hub_region,
                SourceSnapshotId=delivery.read_from(source.id),
                **described(source.description),
                Encrypted=True,
                KmsKeyId=delivery.key_arn,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": tag_list(tags)}],
            )
            answer = within_time(copy, "CompletionDurationMinutes", delivery.target.complete_within)
        return str(answer["SnapshotId"])

    def tag(self, delivery: Delivery, image: SourceImage) -> None:
        """Tagging again changes nothing. Of many it leaves out those that a run before has tagged, which was killed."""
        sources = {snapshot.id: snapshot for snapshot in image.snapshots}
        ec2 = self._sessions.client("ec2", "retag", delivery)
        copies = [copy.id for copy in delivery.copies if copy.id] if len(delivery.copies) > TAGGED_IN_A_RUN else ()
        with self._sessions.as_refusal("DescribeSnapshots", delivery.where):
            found = by_id(ec2, "snapshots", copies, OwnerIds=["self"])
        shown = {raw["SnapshotId"]: tags_of(raw) for raw in found}
        for copy in delivery.copies:
            tags = snapshot_tags(delivery, sources[copy.source], self._trigger_tag)
            if tags.items() <= shown.get(copy.id, {}).items():
                continue
            with self._sessions.as_refusal("CreateTags", f"{delivery.where}, {copy.id}"):
                ec2.create_tags(Resources=[copy.id], Tags=tag_list(tags))

    def delete(self, delivery: Delivery, snapshots: Sequence[str]) -> None:
        ec2 = self._sessions.client("ec2", "tidy", delivery)
        for snapshot in snapshots:
            try:
                with self._sessions.as_refusal("DeleteSnapshot", f"{delivery.where}, {snapshot}"), gone(*GONE):
                    ec2.delete_snapshot(SnapshotId=snapshot)
            except Refusal as refused:  # a deleted snapshot has no tags, and the role may delete only by tag
                if refused.kind is not RefusalKind.DENIED:
                    raise
                with self._sessions.as_refusal("DescribeSnapshots", delivery.where):
                    shown = by_id(ec2, "snapshots", [snapshot], OwnerIds=["self"], Filters=_own(delivery))
                if shown:
                    raise


def _own(delivery: Delivery) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]}]


def _session_snapshots(delivery: Delivery, source: str) -> list[str]:
    """Return the snapshots that share a session with this one: always the same ones."""
    ids = [snapshot.id for snapshot in delivery.snapshots]
    start = ids.index(source) // SNAPSHOTS_PER_SESSION * SNAPSHOTS_PER_SESSION
    return [delivery.read_from(one) for one in ids[start : start + SNAPSHOTS_PER_SESSION]]


def _seen(raw: Mapping[str, Any]) -> SeenCopy:
    progress, tags = str(raw.get("Progress") or "0%").rstrip("%"), tags_of(raw)
    return SeenCopy(
        id=raw["SnapshotId"],
        source=tags.get(OUR_SOURCE_SNAPSHOT, ""),
        state=raw["State"],
        progress=int(progress) if progress.isdigit() else 0,
        message=raw.get("StateMessage", ""),
        started_at=int(raw["StartTime"].timestamp()) if "StartTime" in raw else 0,
        key_arn=raw.get("KmsKeyId", ""),
        nonce=tags.get(register.ATTEMPT_TAG, ""),
    )
