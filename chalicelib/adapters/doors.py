"""The doors at the source: a snapshot's createVolumePermission, and grants on its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters.refusals import told
from chalicelib.adapters.sessions import Sessions
from chalicelib.core.addresses import key_of
from chalicelib.core.key_policy import FOR_ROLES
from chalicelib.core.share import Share, grant_name, standing
from chalicelib.ports import SeenGrant

OPERATIONS = (
    "DescribeKey",
    "Decrypt",
    "CreateGrant",
    "ReEncryptFrom",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
)
"""What AWS lists for users of a shared source key [aws-facts 2, 3: VERIFIED as a list; the least of it is not known].
docs/assumptions.md says how to try fewer."""

LAUNCH_OPERATIONS = FOR_ROLES
"""What an account needs of the source key to launch from it, and to pass on to Auto Scaling's role: the operations
that Auto Scaling's documentation lists [aws-facts 3, VERIFIED]."""

IMAGE_GONE = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")
SNAPSHOT_GONE = ("InvalidSnapshot.NotFound",)
GRANTS_IN_A_PAGE = 100
"""The most that ListGrants returns at once [botocore, kms, shape ListGrantsRequest]."""
GRANT_GONE = ("NotFoundException", "InvalidGrantIdException")


class SnapshotDoor:
    """The port ``Door`` for ``resource#snapshot#<id>``. Never a group, never public (law 8): only account ids."""

    batch = 500

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        with told("DescribeSnapshotAttribute", self._where), gone(*SNAPSHOT_GONE):
            answer = self._sessions.own("ec2", region=region_of(resource)).describe_snapshot_attribute(
                SnapshotId=snapshot_of(resource), Attribute="createVolumePermission"
            )
            open_to = {entry.get("UserId") for entry in answer["CreateVolumePermissions"]}
            return frozenset(share.holder_key for share in shares if share.account in open_to)
        return frozenset()

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        with told("ModifySnapshotAttribute (add)", f"{self._where}, {snapshot_of(resource)}"):
            self._modify(resource, "add", shares)
        return {}

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        with told("ModifySnapshotAttribute (remove)", f"{self._where}, {snapshot_of(resource)}"), gone(*SNAPSHOT_GONE):
            self._modify(resource, "remove", shares)

    def _modify(self, resource: str, operation: str, shares: Sequence[Share]) -> None:
        self._sessions.own("ec2", region=region_of(resource)).modify_snapshot_attribute(
            SnapshotId=snapshot_of(resource),
            Attribute="createVolumePermission",
            OperationType=operation,
            UserIds=sorted({share.account for share in shares}),
        )


class ImageDoor:
    """The port ``Door`` for ``resource#image#<id>``: launch permissions of accounts, OUs and organisations.

    Never a group, which means all accounts there are (law 8).
    """

    batch = 500
    """EC2 takes 10,000 in a request [aws-facts 4, VERIFIED]; so many as of a snapshot are enough."""

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        with told("DescribeImageAttribute", f"{self._where}, {image_of(resource)}"), gone(*IMAGE_GONE):
            answer = self._sessions.own("ec2").describe_image_attribute(
                ImageId=image_of(resource), Attribute="launchPermission"
            )
            open_to = {value for entry in answer.get("LaunchPermissions", ()) for value in entry.values()}
            return frozenset(share.holder_key for share in shares if share.account in open_to)
        return frozenset()

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        with told("ModifyImageAttribute (add)", f"{self._where}, {image_of(resource)}"):
            self._modify(resource, "Add", shares)
        return {}

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        """See the port. An AMI that was deregistered or disabled has lost its permissions already."""
        with told("ModifyImageAttribute (remove)", f"{self._where}, {image_of(resource)}"), gone(*IMAGE_GONE):
            self._modify(resource, "Remove", shares)

    def _modify(self, resource: str, what: str, shares: Sequence[Share]) -> None:
        self._sessions.own("ec2").modify_image_attribute(
            ImageId=image_of(resource),
            LaunchPermission={what: [launched_by(one) for one in sorted({share.account for share in shares})]},
        )


def launched_by(principal: str) -> dict[str, str]:
    """Write whom a launch permission names: an account id, or an ARN of AWS Organizations."""
    if ":ou/" in principal:
        return {"OrganizationalUnitArn": principal}
    if ":organization/" in principal:
        return {"OrganizationArn": principal}
    return {"UserId": principal}


class GrantDoor:
    """The port ``Door`` for ``resource#key#<arn>#<account>``: one named grant per delivery and opening.

    ``region`` is the hub's: the names of grants say so.
    """

    batch = 1

    def __init__(self, sessions: Sessions, where: str, region: str, operations: Sequence[str] = OPERATIONS) -> None:
        self._sessions = sessions
        self._where = where
        self._region = region
        self._operations = list(operations)

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        with told("ListGrants", self._where):
            return frozenset(share.holder_key for share in shares if any(self._grants(resource, share)))

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        """See the port. The same name and parameters return the same grant [aws-facts 3, VERIFIED]: safe to repeat."""
        (share,) = shares
        with told("CreateGrant", f"{self._where}, {key_of(resource)}"):
            answer = self._issuer(resource, share).create_grant(
                KeyId=key_of(resource),
                GranteePrincipal=share.grantee,
                Operations=list(LAUNCH_OPERATIONS) if standing(share) else self._operations,
                Name=self._name(resource, share),
            )
        return {share.holder_key: answer["GrantId"]}

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        """See the port. A grant whose id we never learned is found by its name."""
        for share in shares:
            with told("RevokeGrant", f"{self._where}, {key_of(resource)}"):
                ids = [share.grant_id] if share.grant_id else list(self._grants(resource, share))
                for grant_id in ids:
                    with gone(*GRANT_GONE):
                        self._owner(resource, share).revoke_grant(KeyId=key_of(resource), GrantId=grant_id)

    def _grants(self, resource: str, share: Share) -> Iterator[str]:
        """Find the grant by id where that is known; else by name among those of its grantee."""
        by: dict[str, Any] = {"GrantId": share.grant_id} if share.grant_id else {"GranteePrincipal": share.grantee}
        pages = self._owner(resource, share).get_paginator("list_grants")
        with gone(*GRANT_GONE):
            for page in pages.paginate(KeyId=key_of(resource), **by):
                for grant in page["Grants"]:
                    if share.grant_id or grant.get("Name") == self._name(resource, share):
                        yield grant["GrantId"]

    def _issuer(self, resource: str, _share: Share) -> Any:
        """Return the client that makes a grant."""
        return self._sessions.own("kms", region=region_in(key_of(resource)))

    def _owner(self, resource: str, _share: Share) -> Any:
        """Return the client that lists and revokes it: the key's owner's."""
        return self._sessions.own("kms", region=region_in(key_of(resource)))

    def _name(self, _resource: str, share: Share) -> str:
        """Return the name that it bears."""
        return grant_name(share, self._region)


class KeyGrants:
    """The port ``Grants``."""

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where

    def page(self, key_arn: str, marker: str) -> tuple[Sequence[SeenGrant], str]:
        with told("ListGrants", f"{self._where}, {key_arn}"):
            kms = self._sessions.own("kms", region=region_in(key_arn))
            begin = {"Marker": marker} if marker else {}
            answer = kms.list_grants(KeyId=key_arn, Limit=GRANTS_IN_A_PAGE, **begin)
        seen = [
            SeenGrant(
                grant["GrantId"],
                grant.get("Name", ""),
                grant.get("IssuingAccount", ""),
                grant.get("GranteePrincipal", ""),
            )
            for grant in answer["Grants"]
        ]
        return seen, answer.get("NextMarker", "") if answer.get("Truncated") else ""


def image_of(resource: str) -> str:
    """Return the AMI's id of a resource's name."""
    return resource.removeprefix("resource#image#")


def snapshot_of(resource: str) -> str:
    """Return the snapshot id of a resource's name."""
    return resource.removeprefix("resource#snapshot#").partition("@")[0]


def region_of(resource: str) -> str:
    """Return the Region of a snapshot's resource; "" for the hub's own."""
    return resource.partition("@")[2]


def region_in(arn: str) -> str:
    """Return the Region that an ARN names."""
    return arn.split(":")[3]


class gone:  # noqa: N801 - reads as a word in a with statement
    """What is not there any more needs no closing: these codes are no error inside."""

    def __init__(self, *codes: str) -> None:
        self._codes = codes

    def __enter__(self) -> None:
        """Enter; nothing to do."""

    def __exit__(self, kind: object, error: object, _trace: object) -> bool:
        """Swallow only the codes that mean gone."""
        return isinstance(error, ClientError) and error.response["Error"]["Code"] in self._codes
