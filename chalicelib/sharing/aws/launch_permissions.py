"""The permission adapter for launch permissions of the hub's AMIs: accounts, OUs and organizations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.engine.aws.refusals import as_refusal, gone
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.sharing.share import Share

IMAGE_GONE = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")


class LaunchPermissions:
    """The port ``PermissionAdapter`` for ``resource#image#<id>``: who may launch an AMI of the hub.

    Never a group, which means all accounts there are (invariant 8).
    """

    batch = 500
    """EC2 accepts 10,000 in a request [aws-facts 4, VERIFIED]; the same number as for a snapshot is enough."""

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        with as_refusal("DescribeImageAttribute", f"{self._where}, {_image_of(resource)}"), gone(*IMAGE_GONE):
            answer = self._sessions.own("ec2").describe_image_attribute(
                ImageId=_image_of(resource), Attribute="launchPermission"
            )
            open_to = {value for entry in answer.get("LaunchPermissions", ()) for value in entry.values()}
            return frozenset(share.share_name for share in shares if share.account in open_to)
        return frozenset()

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        with as_refusal("ModifyImageAttribute (add)", f"{self._where}, {_image_of(resource)}"):
            self._modify(resource, "Add", shares)
        return {}

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        """An AMI that was deregistered or disabled has lost its permissions already."""
        with as_refusal("ModifyImageAttribute (remove)", f"{self._where}, {_image_of(resource)}"), gone(*IMAGE_GONE):
            self._modify(resource, "Remove", shares)

    def _modify(self, resource: str, what: str, shares: Sequence[Share]) -> None:
        self._sessions.own("ec2").modify_image_attribute(
            ImageId=_image_of(resource),
            LaunchPermission={what: [_launched_by(one) for one in sorted({share.account for share in shares})]},
        )


def _launched_by(principal: str) -> dict[str, str]:
    """Write the receiver of a launch permission: an account id, or an ARN of AWS Organizations."""
    if ":ou/" in principal:
        return {"OrganizationalUnitArn": principal}
    if ":organization/" in principal:
        return {"OrganizationArn": principal}
    return {"UserId": principal}


def _image_of(resource: str) -> str:
    return resource.removeprefix("resource#image#")
