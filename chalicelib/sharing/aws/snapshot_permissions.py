"""The permission adapter for createVolumePermission of the hub's snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from chalicelib.engine.aws.refusals import as_refusal, gone
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.places import Resource
from chalicelib.sharing.share import Share

SNAPSHOT_GONE = ("InvalidSnapshot.NotFound",)


class SnapshotPermissions:
    """The port ``PermissionAdapter`` for ``resource#snapshot#<id>``.

    Only account ids, never a group, so never public (invariant 8).
    """

    batch = 500

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        with as_refusal("DescribeSnapshotAttribute", self._where), gone(*SNAPSHOT_GONE):
            answer = self._sessions.own("ec2", region=Resource.parse(resource).region).describe_snapshot_attribute(
                SnapshotId=Resource.parse(resource).name, Attribute="createVolumePermission"
            )
            open_to = {entry.get("UserId") for entry in answer["CreateVolumePermissions"]}
            return frozenset(share.share_name for share in shares if share.account in open_to)
        return frozenset()

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        with as_refusal("ModifySnapshotAttribute (add)", f"{self._where}, {Resource.parse(resource).name}"):
            self._modify(resource, "Add", shares)
        return {}

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        with (
            as_refusal("ModifySnapshotAttribute (remove)", f"{self._where}, {Resource.parse(resource).name}"),
            gone(*SNAPSHOT_GONE),
        ):
            self._modify(resource, "Remove", shares)

    def _modify(self, resource: str, operation: Literal["Add", "Remove"], shares: Sequence[Share]) -> None:
        # The older parameters OperationType and UserIds say the same; that they fill the condition keys ec2:Add/userId
        # and ec2:Remove/userId is not known [aws-facts 4].
        accounts = [{"UserId": account} for account in sorted({share.account for share in shares})]
        self._sessions.own("ec2", region=Resource.parse(resource).region).modify_snapshot_attribute(
            SnapshotId=Resource.parse(resource).name,
            Attribute="createVolumePermission",
            CreateVolumePermission={operation: accounts},
        )
