"""The permission adapters for createVolumePermission of the hub's snapshots, and launch permissions of its AMIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from chalicelib.engine.aws.refusals import NO_IMAGE, NO_SNAPSHOT, as_refusal, gone
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.places import Resource
from chalicelib.sharing.share import Share

QUOTA = (
    "Ask AWS for a higher quota (AMI sharing: 1,000 accounts, OUs and organizations), or share with an OU "
    "(`launch_permission: group` in the targets file); then tag the AMI again."
)
"""The cure where EC2 admits no more receivers [aws-facts 4; that it says ResourceLimitExceeded is UNVERIFIED]."""

STILL_THERE = ("disabled", "pending")
"""States of an AMI that EC2 calls unavailable and that is not gone."""


class _Ec2Permissions:
    """The port ``PermissionAdapter``. It never names a group, so nothing is ever public (invariant 8)."""

    batch = 500
    """EC2 accepts 10,000 receivers of an AMI in a request [aws-facts 4, VERIFIED]; what a snapshot takes is enough."""
    shape: ClassVar[str]
    """What has the attribute, as EC2 writes it in its calls' names."""
    missing: ClassVar[tuple[str, ...]]
    """EC2's codes for a resource that is gone."""

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where

    def showing(self, shares: Sequence[Share]) -> frozenset[str]:
        open_to = self.receivers(shares[0].on) or ()
        return frozenset(share.share_name for share in shares if share.account in open_to)

    def receivers(self, resource: Resource) -> frozenset[str] | None:
        """Return to whom it is open: account ids, ARNs of AWS Organizations, a group; None: it is gone."""
        with as_refusal(f"Describe{self.shape}Attribute", f"{self._where}, {resource.name}"), gone(*self.missing):
            return frozenset(value for entry in self._shown(resource) for value in entry.values())
        return None

    def open(self, shares: Sequence[Share]) -> Mapping[str, str]:
        it = shares[0].on
        try:
            with as_refusal(f"Modify{self.shape}Attribute (add)", f"{self._where}, {it.name}"):
                self._modify(it, "Add", sorted({share.account for share in shares}))
        except Refusal as refusal:
            if refusal.kind is not RefusalKind.LIMIT:
                raise
            raise Refusal(refusal.kind, replace(refusal.fault, cure=QUOTA)) from refusal.__cause__
        return {}

    def close(self, shares: Sequence[Share]) -> bool:
        """What was deleted or deregistered has lost its permissions already, and a disabled AMI has, too.

        What is restored from the Recycle Bin has them again [aws-facts 4, VERIFIED].
        """
        it, receivers = shares[0].on, {share.account for share in shares}
        try:
            with as_refusal(f"Modify{self.shape}Attribute (remove)", f"{self._where}, {it.name}"), gone(*self.missing):
                self._modify(it, "Remove", sorted(receivers))
                return False
        except Refusal as refusal:  # EC2 may deny what it is asked before it looks whether anything is there
            if refusal.kind is RefusalKind.THROTTLED:
                raise
            shown = self.receivers(it)
            if shown is not None and shown & receivers:
                raise
            return shown is None
        return True

    def _shown(self, resource: Resource) -> Any:
        """Return the entries of the attribute: each has a receiver under the name of its kind."""
        raise NotImplementedError

    def _modify(self, resource: Resource, verb: Literal["Add", "Remove"], receivers: Sequence[str]) -> None:
        raise NotImplementedError

    def _ec2(self, resource: Resource) -> Any:
        return self._sessions.own("ec2", region=resource.region)


class SnapshotPermissions(_Ec2Permissions):
    """Of ``resource#snapshot#<id>``: which accounts may use a snapshot of the hub."""

    shape = "Snapshot"
    missing = (NO_SNAPSHOT,)

    def _shown(self, resource: Resource) -> Any:
        asked = {"SnapshotId": resource.name, "Attribute": "createVolumePermission"}
        return self._ec2(resource).describe_snapshot_attribute(**asked)["CreateVolumePermissions"]

    def _modify(self, resource: Resource, verb: Literal["Add", "Remove"], receivers: Sequence[str]) -> None:
        # The older parameters OperationType and UserIds would fill ec2:Add/userId and ec2:Remove/userId, too; that they
        # have all of 500 accounts was not seen with either [aws-facts 4].
        self._ec2(resource).modify_snapshot_attribute(
            SnapshotId=resource.name,
            Attribute="createVolumePermission",
            CreateVolumePermission={verb: [{"UserId": account} for account in receivers]},
        )


class LaunchPermissions(_Ec2Permissions):
    """Of ``resource#image#<id>``: which accounts, OUs and organizations may launch an AMI of the hub."""

    shape = "Image"
    missing = NO_IMAGE

    def close(self, shares: Sequence[Share]) -> bool:
        """EC2 says `InvalidAMIID.Unavailable` of a pending AMI, too, and perhaps of a disabled one [aws-facts 4].

        EnableImage restores no permission [aws-facts 4, VERIFIED]: one that shows later is somebody else's.
        """
        return super().close(shares) and not self._comes_back_without(shares[0].on)

    def _comes_back_without(self, it: Resource) -> bool:
        """Whether EC2 still has the AMI, disabled or pending. What it shows as available has only just gone."""
        with as_refusal("DescribeImages", f"{self._where}, {it.name}"), gone(*self.missing):
            found = self._ec2(it).describe_images(ImageIds=[it.name], IncludeDisabled=True)["Images"]
            return any(one["State"] in STILL_THERE for one in found)
        return False

    def _shown(self, resource: Resource) -> Any:
        asked = {"ImageId": resource.name, "Attribute": "launchPermission"}
        return self._ec2(resource).describe_image_attribute(**asked).get("LaunchPermissions", ())

    def _modify(self, resource: Resource, verb: Literal["Add", "Remove"], receivers: Sequence[str]) -> None:
        self._ec2(resource).modify_image_attribute(
            ImageId=resource.name, LaunchPermission={verb: [_launched_by(one) for one in receivers]}
        )


def _launched_by(principal: str) -> dict[str, str]:
    """Write the receiver of a launch permission: an account id, or an ARN of AWS Organizations."""
    if ":ou/" in principal:
        return {"OrganizationalUnitArn": principal}
    if ":organization/" in principal:
        return {"OrganizationArn": principal}
    return {"UserId": principal}
