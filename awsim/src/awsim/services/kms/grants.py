"""Grants: made under a name, late to work and late to stop, passed on only in part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

from awsim.api import AwsError, Call, Caller
from awsim.parts import Base
from awsim.rules import rule
from awsim.services.kms.records import KmsGrant, KmsKey

LATE = rule(
    "kms-grant-works-late",
    "A new grant is listed at once and works some time later, usually under five minutes; a grant token bridges the "
    "time for calls that take one. [aws-facts 3, VERIFIED]",
)
LINGERS = rule(
    "kms-grant-stops-late",
    "A revoked or retired grant is gone from the list at once and works on for a while, usually under five minutes. "
    "[aws-facts 3, VERIFIED]",
)
NAMED = rule(
    "kms-grant-name-is-idempotent",
    "CreateGrant with the same name and the same parameters returns the grant there is, with a fresh token; without a "
    "name each call makes another. [aws-facts 3, VERIFIED]",
)
DYING = rule(
    "kms-grant-name-may-return-dying-grant",
    "A name used again within minutes of revoking may return the id of the grant that is going. "
    "[UNVERIFIED: the strict reading]",
)
GRANTEE = rule(
    "kms-grantee-must-exist",
    "A grantee is an account, user, role or session that exists, never an organization: InvalidArnException. "
    "ListGrants refuses one that does not exist, too. [aws-facts 3, VERIFIED; the simulator knows no session's role]",
)
SUBSET = rule(
    "kms-child-grant-is-a-subset",
    "Who may CreateGrant only by a grant may pass on no operation that grant lacks, under constraints at least as "
    "strict. [aws-facts 3, VERIFIED]",
)
PAGES = rule(
    "kms-list-grants-pages",
    "ListGrants gives 50 grants a page unless told otherwise, and never more than 100. [aws-facts, VERIFIED]",
)
FILTERS = rule(
    "kms-list-grants-filters",
    "ListGrants can be narrowed to one grant id or one grantee; a role that was made anew has none of its "
    "predecessor's. [botocore, kms model: ListGrantsRequest; aws-facts 3, VERIFIED for the use of a grant]",
)
GONE = rule(
    "kms-revoke-gone-grant-not-found",
    "Revoking a grant that is gone gives NotFoundException. [aws-facts 3, UNVERIFIED]",
)
DEFAULT_PAGE, LARGEST_PAGE = 50, 100
NAMES = re.compile(r"[a-zA-Z0-9:/_-]{1,256}")


class GrantStore:
    """All grants of a world, by key."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._random = Random(f"{base.seed}/grants")
        self._made = 0
        self.delay = (0.0, 60.0)
        """Seconds until a grant works, and until it stops: at random between these. AWS says up to 300."""
        self.by_key: dict[str, list[KmsGrant]] = {}

    def create(self, call: Call, key: KmsKey, parent: KmsGrant | None) -> Mapping[str, Any]:
        """Create a grant, or return the one with this name; ``parent``: the grant that gives the right to do so."""
        params = call.params
        name = params.get("Name")
        if name is not None and not NAMES.fullmatch(name):
            raise AwsError(
                "ValidationException", f"Value {name!r} at 'name' must match [a-zA-Z0-9:/_-], 1 to 256 characters"
            )
        wanted: dict[str, Any] = {
            "grantee": params.get("GranteePrincipal", ""),
            "retiring": params.get("RetiringPrincipal"),
            "operations": frozenset(params["Operations"]),
            "constraints": params.get("Constraints", {}),
        }
        if parent is not None:
            self._check_subset(call.caller, key, wanted, parent)
        grantee_id = self._grantee_id(wanted["grantee"])
        grant = self._known(key, name, wanted) or self._new(call, key, name, grantee_id, wanted)
        token = hashlib.sha256(f"{grant.id}/{len(grant.tokens)}".encode()).hexdigest()
        grant.tokens.add(token)
        return {"GrantId": grant.id, "GrantToken": token}

    def page(self, call: Call, key: KmsKey) -> Mapping[str, Any]:
        """Return a page of a key's grants, as a (possibly stale) read shows them."""
        params, rules = call.params, self._base.rules
        limit = params.get("Limit", DEFAULT_PAGE)
        if rules.on(PAGES) and not 1 <= limit <= LARGEST_PAGE:
            raise AwsError("ValidationException", f"Value '{limit}' at 'limit' must be 1 to {LARGEST_PAGE}")
        at = self._base.injected.as_of(call)
        found = [grant for grant in self.by_key.get(key.arn, []) if grant.listed(at)]
        if rules.on(FILTERS):
            found = [grant for grant in found if params.get("GrantId", grant.id) == grant.id]
        if rules.on(FILTERS) and "GranteePrincipal" in params:
            whose = (params["GranteePrincipal"], self._grantee_id(params["GranteePrincipal"]))
            found = [grant for grant in found if (grant.grantee, grant.grantee_id) == whose]
        first = _position(params.get("Marker"))
        last = first + limit if rules.on(PAGES) else len(found)
        answer: dict[str, Any] = {
            "Grants": [self._shown(grant) for grant in found[first:last]],
            "Truncated": last < len(found),
        }
        return {**answer, "NextMarker": f"marker-{last}"} if last < len(found) else answer

    def get(self, key_arn: str, grant_id: str) -> KmsGrant | None:
        """Return a grant that is not revoked. Raises AwsError for what cannot be a grant's id."""
        if not re.fullmatch(r"[0-9a-f]{64}", grant_id):
            raise AwsError("InvalidGrantIdException", f"Grant ID {grant_id} is not valid")
        found = (grant for grant in self.by_key.get(key_arn, []) if grant.id == grant_id and grant.revoked is None)
        return next(found, None)

    def by_token(self, token: str) -> KmsGrant | None:
        """Return the grant of a token."""
        everything = (grant for grants in self.by_key.values() for grant in grants)
        return next((grant for grant in everything if token in grant.tokens and grant.revoked is None), None)

    def end(self, grant: KmsGrant) -> None:
        """Revoke or retire a grant."""
        grant.end(self._base.now, self._wait() if self._base.on(LINGERS) else timedelta())

    def missing(self, grant_id: str) -> AwsError:
        """Return the refusal of a grant that does not exist."""
        return AwsError("NotFoundException", f"Grant ID {grant_id} not found")

    def shown_grantee(self, grant: KmsGrant) -> str:
        """Return the grantee as ListGrants shows it: by its id once the role is gone."""
        if grant.grantee_id is None:
            return grant.grantee
        role = self._base.policies.roles.get(grant.grantee)
        return grant.grantee if role is not None and role.id == grant.grantee_id else grant.grantee_id

    def _known(self, key: KmsKey, name: str | None, wanted: Mapping[str, Any]) -> KmsGrant | None:
        if name is None or not self._base.on(NAMED):
            return None
        now, dying = self._base.now, self._base.on(DYING)
        for grant in self.by_key.get(key.arn, []):
            alive = grant.revoked is None or (dying and grant.works_until is not None and now < grant.works_until)
            if alive and grant.name == name and grant.same_as(wanted):
                return grant
        return None

    def _new(
        self, call: Call, key: KmsKey, name: str | None, grantee_id: str | None, wanted: Mapping[str, Any]
    ) -> KmsGrant:
        self._made += 1
        grant = KmsGrant(
            id=hashlib.sha256(f"{self._base.seed}/grant/{self._made}".encode()).hexdigest(),
            key_arn=key.arn,
            name=name,
            grantee_id=grantee_id,
            retiring_id=role.id if (role := self._base.policies.roles.get(wanted["retiring"])) is not None else None,
            issuer=call.caller.account,
            created=call.at,
            works_from=call.at + (self._wait() if self._base.on(LATE) else timedelta()),
            **wanted,
        )
        self.by_key.setdefault(key.arn, []).append(grant)
        return grant

    def _wait(self) -> timedelta:
        return timedelta(seconds=self._random.uniform(*self.delay))

    def _grantee_id(self, grantee: str) -> str | None:
        role = self._base.policies.roles.get(grantee)
        if role is not None or not self._base.on(GRANTEE):
            return role.id if role is not None else None
        if re.fullmatch(r"\d{12}|arn:aws:iam::\d{12}:(root|user/.+)|arn:aws:sts::\d{12}:assumed-role/.+/.+", grantee):
            return None
        raise AwsError("InvalidArnException", f"ARN does not refer to a valid principal: {grantee}")

    def _check_subset(self, caller: Caller, key: KmsKey, wanted: Mapping[str, Any], parent: KmsGrant) -> None:
        narrower = wanted["operations"] <= parent.operations and all(
            wanted["constraints"].get(kind, {}).items() >= pairs.items() for kind, pairs in parent.constraints.items()
        )
        if not narrower and self._base.on(SUBSET):
            why = "because the grant that allows it does not itself have all these operations and constraints"
            said = f"User: {caller.arn} is not authorized to perform: kms:CreateGrant on resource: {key.arn} {why}"
            raise AwsError("AccessDeniedException", said)

    def _shown(self, grant: KmsGrant) -> dict[str, Any]:
        entry = {
            "KeyId": grant.key_arn,
            "GrantId": grant.id,
            "Name": grant.name or "",
            "CreationDate": grant.created,
            "GranteePrincipal": self.shown_grantee(grant),
            "IssuingAccount": f"arn:aws:iam::{grant.issuer}:root",
            "Operations": sorted(grant.operations),
        }
        if grant.retiring is not None:
            entry["RetiringPrincipal"] = grant.retiring
        return {**entry, "Constraints": grant.constraints} if grant.constraints else entry


def _position(marker: str | None) -> int:
    if marker is None:
        return 0
    found = re.fullmatch(r"marker-(\d+)", marker)
    if found is None:
        raise AwsError("InvalidMarkerException", f"marker {marker!r} is not one that ListGrants gave")
    return int(found.group(1))
