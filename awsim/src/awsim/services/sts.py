"""STS: sessions of roles."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.iam import Role, policy, refusal
from awsim.iam.need import OrganizationFacts
from awsim.iam.policy import Ask, Kind, PolicyVerdict, Who
from awsim.parts import Base
from awsim.rules import rule

TRUST = rule(
    "sts-trust-policy-must-allow",
    "AssumeRole needs an Allow in the role's trust policy whose conditions hold; a missing role, a wrong trust and a "
    "wrong external id all give the same AccessDenied. [STS API reference, AssumeRole]",
)
CALLER_TOO = rule(
    "sts-caller-needs-assume-role",
    "A principal of another account, or one whom the trust names only by its account, also needs sts:AssumeRole in its "
    "own policies. [IAM user guide: cross-account roles]",
)
WHOSE = rule(
    "sts-assume-role-says-whose-role",
    "AssumeRole has aws:ResourceOrgID, the organization of the role's account; none where that is in no organization. "
    "[aws-facts, Added, November 2026, VERIFIED]",
)
SESSION_SIZE = rule(
    "sts-session-policy-2048-characters",
    "Inline session policies have at most 2,048 characters of plain text. [aws-facts 6, VERIFIED]",
)
PACKED_SIZE = rule(
    "sts-session-policy-packed-size",
    "STS packs a session policy and answers PackedPolicyTooLarge above a limit that lies well below 2,048 characters. "
    "No public tool computes the packed size: here it is 9 % for 100 characters, the larger of the figures reported "
    "(6 to 9). [aws-facts, STS session policies]",
)
CHAINING = rule(
    "sts-role-chaining-one-hour",
    "A session made with a role's credentials lasts at most one hour; a larger DurationSeconds fails. "
    "[aws-facts 6, VERIFIED]",
)
DURATION = rule(
    "sts-duration-within-role-maximum",
    "DurationSeconds is 900 to 43,200 and not above the role's MaxSessionDuration. [aws-facts 6, VERIFIED]",
)

LONGEST_POLICY = 2048
WHOLE = 100
DEFAULT_SECONDS = 3600
SHORTEST, LONGEST = 900, 43_200


class Sts:
    """AssumeRole and GetCallerIdentity for all accounts."""

    name = "sts"
    exclusive = True

    packed_per_character = 0.09
    """Percent of the packed limit that a character of a session policy takes."""

    def __init__(self, base: Base, organizations: OrganizationFacts) -> None:
        self._base = base
        self._organizations = organizations

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """What it answers; see awsim.api.Service."""
        return {"AssumeRole": self._assume_role, "GetCallerIdentity": self._identity}

    def _identity(self, call: Call) -> Mapping[str, Any]:
        caller = call.caller
        role = self._base.policies.roles.get(caller.role_arn)
        user = caller.account if caller.role_arn is None else f"{role.id if role else 'AROA'}:{_session_of(caller.arn)}"
        return {"UserId": user, "Account": caller.account, "Arn": caller.arn}

    def _assume_role(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        arn, session = params["RoleArn"], params["RoleSessionName"]
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", session):
            raise _invalid(f"roleSessionName {session!r} must be 2 to 64 characters of [\\w+=,.@-]")
        if not re.fullmatch(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", arn):
            raise _invalid(f"{arn} is invalid")
        policies = self._policies(params.get("Policy"))
        role = self._admitted(call, arn)
        lasts = self._lasts(call, role)
        expires = call.at + lasts
        caller, key, secret, token = self._base.credentials.issue(
            arn, session, policies=policies, function=call.caller.function, expires=expires
        )
        user = f"{role.id}:{session}"
        credentials = {"AccessKeyId": key, "SecretAccessKey": secret, "SessionToken": token, "Expiration": expires}
        result: dict[str, Any] = {
            "Credentials": credentials,
            "AssumedRoleUser": {"AssumedRoleId": user, "Arn": caller.arn},
        }
        if policies:
            result["PackedPolicySize"] = result["SessionTokenUtilization"] = self._packed(params["Policy"])
        return result

    def _packed(self, text: str) -> int:
        """Return how many percent of the packed limit a policy takes."""
        return math.ceil(len(text) * self.packed_per_character)

    def _policies(self, text: str | None) -> tuple[Mapping[str, Any], ...]:
        if text is None:
            return ()
        if len(text) > LONGEST_POLICY and self._base.on(SESSION_SIZE):
            raise _invalid(
                f"1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have "
                f"length less than or equal to {LONGEST_POLICY}"
            )
        try:
            parsed = policy.parse(json.loads(text))
        except ValueError:
            raise AwsError("MalformedPolicyDocument", "The policy is not in the valid JSON format.") from None
        if self._packed(text) > WHOLE and self._base.on(PACKED_SIZE):
            raise AwsError(
                "PackedPolicyTooLarge",
                f"Serialized token too large for session: the policy takes {self._packed(text)} % of the limit",
            )
        return (parsed,)

    def _admitted(self, call: Call, arn: str) -> Role:
        """Return the role if the caller may assume it.

        All refusals look the same, except a denial by an organization's policy.
        """
        caller, policies = call.caller, self._base.policies
        no = refusal(caller, "sts", "sts:AssumeRole", arn, "")
        role = policies.roles.get(arn)
        if role is None:
            raise no
        context = policies.context(caller, call.region)
        context["sts:rolesessionname"] = call.params["RoleSessionName"]
        theirs = self._organizations.id_of(role.account)
        if theirs is not None and self._base.on(WHOSE):
            context["aws:resourceorgid"] = theirs
        if "ExternalId" in call.params:
            context["sts:externalid"] = call.params["ExternalId"]
        ask = Ask("sts:AssumeRole", arn, context)
        if guarded := policies.guarded(caller, ask, role.account):
            raise refusal(caller, "sts", "sts:AssumeRole", arn, guarded)
        verdict, kinds = policy.resource(role.trust, ask, Who(caller.arn, caller.role_arn, caller.account))
        if verdict is not PolicyVerdict.ALLOW and self._base.on(TRUST):
            raise no
        own, session = policies.identity(caller, ask)
        if PolicyVerdict.DENY in {own, session}:
            raise no
        by_name = role.account == caller.account and kinds & {Kind.ROLE, Kind.SESSION}
        if PolicyVerdict.SILENT in {own, session} and not by_name and self._base.on(CALLER_TOO):
            raise no
        return role

    def _lasts(self, call: Call, role: Role) -> timedelta:
        seconds = call.params.get("DurationSeconds", DEFAULT_SECONDS)
        rules = self._base.rules
        if rules.on(DURATION) and not SHORTEST <= seconds <= LONGEST:
            raise _invalid(f"DurationSeconds {seconds} must be {SHORTEST} to {LONGEST}")
        if rules.on(CHAINING) and call.caller.role_arn is not None and seconds > DEFAULT_SECONDS:
            raise _invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            )
        if rules.on(DURATION) and seconds > role.longest.total_seconds():
            raise _invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        return timedelta(seconds=seconds)


def _session_of(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)
