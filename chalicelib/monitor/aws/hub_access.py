"""Reads the open permissions of the hub's snapshots, AMIs and keys, for the drift audit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from chalicelib.engine.aws.refusals import KEY_GONE, as_refusal, code_of, gone
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal
from chalicelib.engine.places import SNAPSHOT, Resource
from chalicelib.images.aws.shapes import IN_A_PAGE, as_page
from chalicelib.monitor.drift import PassPart
from chalicelib.monitor.ports import HubPage
from chalicelib.sharing.aws.ec2_permissions import LaunchPermissions, SnapshotPermissions
from chalicelib.sharing.aws.grants import GRANT_GONE, GrantListing
from chalicelib.sharing.aws.key_policies import policy_of
from chalicelib.sharing.ports import SeenGrant


class AwsHubAccess:
    """The port ``HubAccess``, under the function's own role."""

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where
        self._listing = GrantListing(sessions, where)

    def page(self, part: PassPart, token: str) -> HubPage:
        ec2 = self._sessions.own("ec2")
        asked: dict[str, Any] = {"MaxResults": IN_A_PAGE, **({"NextToken": token} if token else {})}
        if part is PassPart.IMAGES:
            with as_page("DescribeImages", self._where, token):
                answer = ec2.describe_images(Owners=["self"], IncludeDisabled=True, **asked)
            return HubPage(tuple(raw["ImageId"] for raw in answer["Images"]), token=answer.get("NextToken") or "")
        with as_page("DescribeSnapshots", self._where, token):
            answer = ec2.describe_snapshots(OwnerIds=["self"], **asked)
        names = tuple(raw["SnapshotId"] for raw in answer["Snapshots"])
        keys = frozenset(raw["KmsKeyId"] for raw in answer["Snapshots"] if raw.get("KmsKeyId"))
        return HubPage(names, keys, answer.get("NextToken") or "")

    def receivers(self, resource: str) -> Collection[str] | None:
        it = Resource.of(resource)
        read_by = SnapshotPermissions if it.kind == SNAPSHOT else LaunchPermissions
        return read_by(self._sessions, self._where).receivers(it)

    def policy(self, key: str) -> str | None:
        with as_refusal("GetKeyPolicy", f"{self._where}, {key}"), gone(KEY_GONE):
            return policy_of(self._sessions, key)
        return None

    def grants(self, key: str, marker: str) -> tuple[Sequence[SeenGrant], str]:
        try:
            return self._listing.page(key, marker)
        except Refusal as refusal:
            if code_of(refusal) in GRANT_GONE:
                return (), ""
            raise
