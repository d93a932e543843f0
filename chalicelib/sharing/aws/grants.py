"""The permission adapter for grants on source keys, and the list of all grants for the grant audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chalicelib.engine.aws import sdk
from chalicelib.engine.aws.refusals import KEY_GONE, as_refusal, code_of, gone
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.places import Arn
from chalicelib.sharing.grant_names import grant_name, is_named_for
from chalicelib.sharing.holders import standing
from chalicelib.sharing.key_policy import DEAD, FOR_ROLES
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import Share

OPERATIONS = (
    "DescribeKey",
    "Decrypt",
    "CreateGrant",
    "ReEncryptFrom",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
)
"""What AWS lists for users of a shared source key [aws-facts 2, 3: VERIFIED as a list]. By recordings CreateGrant and
Decrypt are enough, where the key's policy gives them; docs/explanation/assumptions.md says how to try fewer."""

GRANTS_IN_A_PAGE = 100
"""The most that ListGrants returns at once [botocore, kms, shape ListGrantsRequest]."""
GRANT_GONE = (KEY_GONE, "InvalidGrantIdException")
NO_SUCH_ROLE = "InvalidArnException"
"""Also for a role that was made moments ago; the two look the same [aws-facts, VERIFIED]."""


class KeyGrants:
    """The port ``PermissionAdapter`` for ``resource#key#<arn>#<account>``: a named grant for each opening.

    A grant for copies belongs to one delivery; a standing one is for the account, which launches by it and passes it on
    to its service-linked roles. ``region``: the hub's, for the names of grants.
    """

    batch = 1

    def __init__(self, sessions: Sessions, where: str, region: str) -> None:
        self._sessions = sessions
        self._where = where
        self._region = region

    def showing(self, shares: Sequence[Share]) -> frozenset[str]:
        with self._sessions.as_refusal("ListGrants", self._where):
            return frozenset(share.share_name for share in shares if any(map(_serves, self._grants(share))))

    def open(self, shares: Sequence[Share]) -> Mapping[str, str]:
        """The same name and parameters return the same grant [aws-facts 3, VERIFIED]: safe to repeat."""
        (share,) = shares
        try:
            with self._sessions.as_refusal("CreateGrant", f"{self._where}, {share.on.arn}"):
                answer = self._issuer(share).create_grant(
                    KeyId=share.on.arn,
                    GranteePrincipal=share.grantee,
                    Operations=list(FOR_ROLES if standing(share) else OPERATIONS),
                    Name=self._name(share),
                    **self._retiring(share),
                )
        except Refusal as refusal:
            if code_of(refusal) != NO_SUCH_ROLE:
                raise
            raise Refusal(RefusalKind.NOT_YET, refusal.fault) from refusal.__cause__
        return {share.share_name: answer["GrantId"]}

    def close(self, shares: Sequence[Share]) -> bool:
        """A grant whose id the service never received is found by its name."""
        for share in shares:
            with self._sessions.as_refusal("ListGrants", self._where):
                ids = [share.grant_id] if share.grant_id else [grant["GrantId"] for grant in self._grants(share)]
            for grant_id in ids:
                self._end(share, grant_id)
        return False

    def _grants(self, share: Share) -> Iterator[Mapping[str, Any]]:
        """Find the grant by its id if that is known, else by name among its grantee's grants, or all of the key's.

        KMS may not see a grantee that was deleted, or made moments ago, while a grant to it exists: then all are read.
        """
        by: dict[str, Any] = {"GranteePrincipal": share.grantee} if share.grantee else {}
        by = {"GrantId": share.grant_id} if share.grant_id else by
        with gone(*GRANT_GONE):
            try:
                yield from self._listed(share, by)
            except sdk.ClientError as error:
                if not share.grantee or error.response["Error"]["Code"] != NO_SUCH_ROLE:
                    raise
                yield from self._listed(share, {})

    def _listed(self, share: Share, by: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        pages = self._owner(share).get_paginator("list_grants")
        for page in pages.paginate(KeyId=share.on.arn, Limit=GRANTS_IN_A_PAGE, **by):
            for grant in page["Grants"]:
                if share.grant_id or self._is_named(share, grant.get("Name", "")):
                    yield grant

    def _end(self, share: Share, grant_id: str) -> None:
        with self._sessions.as_refusal("RevokeGrant", f"{self._where}, {share.on.arn}"), gone(*GRANT_GONE):
            self._owner(share).revoke_grant(KeyId=share.on.arn, GrantId=grant_id)

    def _retiring(self, _share: Share) -> Mapping[str, str]:
        """Return the parameters for who may retire a grant: none, as no principal may."""
        return {}

    def _issuer(self, share: Share) -> Any:
        """Return the client that makes a grant."""
        return self._owner(share)

    def _owner(self, share: Share) -> Any:
        """Return the client that lists and revokes the grant, in the key owner's account."""
        return self._sessions.own("kms", region=Arn.parse(share.on.arn).region)

    def _name(self, share: Share) -> str:
        return grant_name(share, self._region)

    def _is_named(self, share: Share, name: str) -> bool:
        return is_named_for(share, name, self._region)


def _serves(grant: Mapping[str, Any]) -> bool:
    """Whether its grantee exists. Of a role that was deleted, or made moments ago, KMS shows the id [aws-facts]."""
    return not DEAD.fullmatch(str(grant.get("GranteePrincipal", "")))


class GrantListing:
    """The port ``Grants``."""

    def __init__(self, sessions: Sessions, where: str) -> None:
        self._sessions = sessions
        self._where = where

    def page(self, key_arn: str, marker: str) -> tuple[Sequence[SeenGrant], str]:
        with as_refusal("ListGrants", f"{self._where}, {key_arn}"):
            kms = self._sessions.own("kms", region=Arn.parse(key_arn).region)
            begin = {"Marker": marker} if marker else {}
            answer = kms.list_grants(KeyId=key_arn, Limit=GRANTS_IN_A_PAGE, **begin)
        seen = [
            SeenGrant(grant["GrantId"], grant.get("Name", ""), grant.get("IssuingAccount", ""), _grantee(grant))
            for grant in answer["Grants"]
        ]
        return seen, answer.get("NextMarker", "") if answer.get("Truncated") else ""


def _grantee(grant: Mapping[str, Any]) -> str:
    """Return who has a grant; of a grant to an AWS service, for whose resource the service acts, if it says so."""
    if "GranteeServicePrincipal" in grant:
        return str(grant.get("Constraints", {}).get("SourceArn", ""))
    return str(grant.get("GranteePrincipal", ""))
