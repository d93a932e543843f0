"""Whether a caller may make a call: the permissions that the call needs, and whether the caller has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from awsim.api import Call
from awsim.iam import needs
from awsim.iam.decisions import refusal
from awsim.iam.need import Facts
from awsim.iam.policy import Document
from awsim.iam.service import Iam
from awsim.rules import rule

CLOSED = rule(
    "iam-unknown-call-refused",
    "A call that the table of needs does not know is refused to roles: the simulator's own rule, so that no call goes "
    "unauthorised unnoticed. [awsim/iam/needs.py]",
)

TABLE_POLICY = rule(
    "dynamodb-resource-policy",
    "A table can have a policy, which counts for its indexes, too; an explicit Deny there holds for the account's root "
    "as for any role. [DynamoDB developer guide, using resource-based policies, VERIFIED]",
)

PolicyOf = Callable[[str], Document | None]
"""Returns a resource's own policy by its ARN."""


class Authorisation:
    """Authorises every call of a world. ``policies``: by service, how to find a resource's own policy."""

    def __init__(self, iam: Iam, facts: Facts, policies: Mapping[str, PolicyOf]) -> None:
        self._iam = iam
        self.facts = facts
        self._policies = policies

    def check(self, call: Call) -> None:
        """Refuse a call that its caller may not make. Raises AwsError in the service's wording."""
        wanted = needs.of(self.facts, call)
        if wanted is None:
            if call.caller.role_arn is not None and self.facts.rules.on(CLOSED):
                why = "because the simulator does not know what this call needs; add it to awsim/iam/needs.py"
                raise refusal(call.caller, call.service, f"{call.service}:{call.operation}", "*", why)
            return
        for need in wanted:
            policy_of = self._policies.get(call.service)
            if call.service == "dynamodb" and not self.facts.rules.on(TABLE_POLICY):
                policy_of = None
            document = policy_of(need.resource) if policy_of is not None and need.resource != "*" else None
            decision = self._iam.decide(
                call.caller,
                need.action,
                need.resource,
                region=call.region,
                context=need.context,
                resource_policy=document,
            )
            if not decision.allowed:
                raise refusal(call.caller, call.service, need.action, need.resource, decision.why)
