"""IAM decides by evaluating the policy documents, never by names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from awsim.api import Caller, Clock
from awsim.iam import policy, service_linked
from awsim.iam.api import IamApi
from awsim.iam.decisions import Decision
from awsim.iam.match import Values
from awsim.iam.policy import Ask, ControlKind, Document, Kind, PolicyVerdict, Who
from awsim.iam.roles import Role, Roles
from awsim.rules import Rules, rule

IDENTITY = rule(
    "iam-nothing-without-allow",
    "What no policy allows is denied; only an account's root needs no policy. "
    "[IAM user guide: policy evaluation logic]",
)
DENY_WINS = rule(
    "iam-explicit-deny-wins",
    "An explicit Deny in any policy that applies outweighs every Allow. [IAM user guide: policy evaluation logic]",
)
CONDITIONS = rule(
    "iam-conditions-must-hold",
    "A statement applies only if all its conditions hold; a key that is missing fails a positive operator and passes "
    "a negated one or ...IfExists; a key with several values passes only ForAllValues or ForAnyValue. [aws-facts 3 and "
    "4, VERIFIED; IAM user guide: condition operators]",
)
SESSION = rule(
    "iam-session-policy-limits",
    "A session may do only what its role's policies and each of its session policies allow. "
    "[STS AssumeRole: Policy, PolicyArns]",
)
BOUNDARY = rule(
    "iam-permissions-boundary-limits",
    "A role may do only what its permissions boundary allows as well; the boundary gives nothing. "
    "[IAM user guide: permissions boundaries]",
)
SCP = rule(
    "iam-service-control-policy-denies",
    "A Deny in a service control policy holds for whoever acts from the account, its root included, but for "
    "service-linked roles, and the refusal says so. [Organizations user guide: SCPs; IAM user guide: access denied "
    "messages]",
)
RCP = rule(
    "iam-resource-control-policy-denies",
    "A Deny in a resource control policy holds for calls on keys and roles of the account, whoever makes them, and the "
    "refusal says so. [aws-facts, later reading, VERIFIED; IAM user guide: access denied messages]",
)
BOTH_SIDES = rule(
    "iam-cross-account-needs-both-sides",
    "A resource of another account needs an Allow in that resource's policy and in the caller's identity policy. "
    "[IAM user guide: cross-account policy evaluation]",
)


class Iam(IamApi):
    """Roles and decisions of one world, and IAM's API."""

    name = "iam"
    exclusive = True

    def __init__(self, clock: Clock, rules: Rules) -> None:
        self._clock = clock
        self._rules = rules
        self.roles = Roles(rules)
        self.controls: Callable[[str, ControlKind], Sequence[Document]] = lambda _account, _kind: ()
        """Returns the service or resource control policies that an organization attaches to an account or above it.
        Only their Deny statements count."""
        self.on_allow: list[Callable[[Caller, str, str], None]] = []
        """Called with each action that a role's policies and its session allow: caller, action, and the statement's
        Sid, for each statement that allows it; once for each role, action and resource."""
        self.on_condition: list[Callable[[Caller, str, str], None]] = []
        """Called with each condition for which a statement does not apply to a call: caller, Sid, operator and key."""
        self.on_denial: list[Callable[[Caller, str], None]] = []
        """Called with each statement of a role's policies that denies a call: caller and Sid."""
        self._listened: dict[tuple[int, str, str], Role] = {}
        """What was passed on, with its role: while the role is kept, no other one has its id."""

    def put_role(
        self, account: str, name: str, trust: Document, policies: Mapping[str, Document] | None = None, **options: Any
    ) -> Role:
        """Make a role or replace its trust and policies; for the options see ``roles.put``. Raises AwsError."""
        return self.roles.put(account, name, trust, policies, **options)

    def put_service_linked_role(self, account: str, service: str = "autoscaling.amazonaws.com") -> Role:
        """Make a service's role in an account; see ``service_linked``."""
        return service_linked.make(self.roles, account, service)

    def decide(
        self,
        caller: Caller,
        action: str,
        resource: str,
        *,
        region: str,
        context: Mapping[str, Values] | None = None,
        resource_policy: Document | None = None,
    ) -> Decision:
        """Decide by identity, session and resource policies; the resource's account is read from its ARN."""
        rules = self._rules
        ask = Ask(action, resource, {**self.context(caller, region), **_lower(context or {})})
        who = Who(caller.arn, caller.role_arn, caller.account)
        if guarded := self.guarded(caller, ask):
            return Decision(allowed=False, why=guarded)
        own, session = self.identity(caller, ask)
        theirs, kinds = self._resource(resource_policy, ask, who)
        denied = {"identity": own, "session": session, "resource": theirs}
        for name, verdict in denied.items():
            if verdict is PolicyVerdict.DENY and rules.on(DENY_WINS):
                article = "an identity" if name == "identity" else f"a {name}"
                return Decision(allowed=False, why=f"with an explicit deny in {article}-based policy")
        session_ok = session is not PolicyVerdict.SILENT
        by_identity = own is not PolicyVerdict.SILENT and session_ok
        owner = _account(resource)
        if owner not in {"", caller.account}:
            if not rules.on(BOTH_SIDES):
                return Decision(by_identity or theirs is PolicyVerdict.ALLOW, "because no policy allows it")
            if theirs is PolicyVerdict.SILENT:
                return Decision(allowed=False, why=f"because no resource-based policy allows the {action} action")
            return self._by_identity(action, own, session_ok=session_ok)
        if theirs is PolicyVerdict.ALLOW:
            if Kind.SESSION in kinds or (kinds & {Kind.ROLE, Kind.ANYONE} and session_ok):
                return Decision(allowed=True)
            if Kind.ACCOUNT in kinds and caller.role_arn is None:
                return Decision(allowed=True)
        if by_identity or not rules.on(IDENTITY):
            return Decision(allowed=True)
        return self._by_identity(action, own, session_ok=session_ok)

    def guarded(self, caller: Caller, ask: Ask, owner: str = "") -> str:
        """Return which policy of an organization denies it, in AWS's words; "": none. ``owner``: of the key or role."""
        linked = f":role{service_linked.PATH}" in (caller.role_arn or "")
        if not linked and self._rules.on(SCP) and self._deny(self.controls(caller.account, "service"), ask):
            return "with an explicit deny in a service control policy"
        if not linked and self._rules.on(RCP) and self._deny(self.controls(owner, "resource"), ask):
            return "with an explicit deny in a resource control policy"
        return ""

    def _deny(self, documents: Iterable[Document], ask: Ask) -> bool:
        known = map(self._conditional, documents)
        return any(policy.identity(document, ask) is PolicyVerdict.DENY for document in known)

    def identity(self, caller: Caller, ask: Ask) -> tuple[PolicyVerdict, PolicyVerdict]:
        """Return the verdicts of the caller's own policies, and of its session policies (ALLOW if there are none)."""
        own, session = self._own(caller, ask), self._session(caller, ask)
        role = self.roles.get(caller.role_arn)
        if role is not None and self.on_allow and own is session is PolicyVerdict.ALLOW:
            self._listen(caller, role, ask)
        if role is not None and self.on_condition and (own is not PolicyVerdict.ALLOW or self._is_guarded(role)):
            for document in role.policies.values():
                for sid, operator, key in policy.decided_by_condition(document, ask):
                    for tell in self.on_condition:
                        tell(caller, sid, f"{operator} {key}")
                for sid in policy.denying(document, ask):
                    for tell_denial in self.on_denial:
                        tell_denial(caller, sid)
        return own, session

    @staticmethod
    def _is_guarded(role: Role) -> bool:
        """Whether a statement of the role's policies denies anything."""
        return any(policy.denies(document) for document in role.policies.values())

    def _listen(self, caller: Caller, role: Role, ask: Ask) -> None:
        """Report the statements that allow a call, once for a role, an action, a resource and its condition keys."""
        keys = ask.context.get("dynamodb:leadingkeys", ())
        kinds = sorted({key.partition("#")[0] for key in ([keys] if isinstance(keys, str) else keys)})
        known = (id(role), ask.action, f"{bool(caller.function)} {ask.resource} {kinds}")
        if known in self._listened:
            return
        self._listened[known] = role
        for sid in [sid for document in role.policies.values() for sid in policy.allowing(document, ask)]:
            for tell in self.on_allow:
                tell(caller, ask.action, sid)

    def service_may(
        self,
        service: str,
        document: Document | None,
        action: str,
        resource: str,
        context: Mapping[str, Values] | None = None,
    ) -> bool:
        """Whether a resource's policy lets an AWS service (``events.amazonaws.com``) do something to it."""
        if document is None:
            return False
        verdict, _ = self._resource(document, Ask(action, resource, _lower(context or {})), Who(service=service))
        return verdict is PolicyVerdict.ALLOW

    def context(self, caller: Caller, region: str) -> dict[str, Values]:
        """Return the condition keys that every request has."""
        now = self._clock.now
        context: dict[str, Values] = {
            "aws:currenttime": now.isoformat(),
            "aws:epochtime": str(int(now.timestamp())),
            "aws:principalaccount": caller.account,
            "aws:principalarn": caller.role_arn or caller.arn,
            "aws:principaltype": "Account" if caller.role_arn is None else "AssumedRole",
            "aws:principalisawsservice": "false",
            "aws:requestedregion": region,
            "aws:securetransport": "true",
            "aws:userid": caller.account,
            "aws:viaawsservice": "false",
        }
        if caller.source_function is not None:
            context["lambda:sourcefunctionarn"] = caller.source_function
        role = self.roles.get(caller.role_arn)
        if role is not None:
            context["aws:userid"] = f"{role.id}:{caller.arn.rsplit('/', 1)[-1]}"
            context.update({f"aws:principaltag/{key.lower()}": value for key, value in role.tags.items()})
        return context

    def _own(self, caller: Caller, ask: Ask) -> PolicyVerdict:
        if caller.role_arn is None:
            return PolicyVerdict.ALLOW
        role = self.roles.get(caller.role_arn)
        if role is None:
            return PolicyVerdict.SILENT
        own = self._together(list(role.policies.values()), ask)
        if own is PolicyVerdict.ALLOW and role.boundary and self._rules.on(BOUNDARY):
            return self._together([self.roles.managed[role.boundary]], ask)
        return own

    def _session(self, caller: Caller, ask: Ask) -> PolicyVerdict:
        if not caller.session_policies or not self._rules.on(SESSION):
            return PolicyVerdict.ALLOW
        verdicts = [self._together([document], ask) for document in caller.session_policies]
        if PolicyVerdict.DENY in verdicts:
            return PolicyVerdict.DENY
        return PolicyVerdict.SILENT if PolicyVerdict.SILENT in verdicts else PolicyVerdict.ALLOW

    def _together(self, documents: list[Document], ask: Ask) -> PolicyVerdict:
        verdicts = {policy.identity(self._conditional(document), ask) for document in documents}
        if PolicyVerdict.DENY in verdicts and self._rules.on(DENY_WINS):
            return PolicyVerdict.DENY
        return PolicyVerdict.ALLOW if PolicyVerdict.ALLOW in verdicts else PolicyVerdict.SILENT

    def _resource(self, document: Document | None, ask: Ask, who: Who) -> tuple[PolicyVerdict, frozenset[Kind]]:
        if document is None:
            return PolicyVerdict.SILENT, frozenset()
        return policy.resource(self._conditional(document), ask, who)

    def _conditional(self, document: Document) -> Document:
        return document if self._rules.on(CONDITIONS) else policy.unconditional(document)

    @staticmethod
    def _by_identity(action: str, own: PolicyVerdict, *, session_ok: bool) -> Decision:
        if own is PolicyVerdict.SILENT:
            return Decision(allowed=False, why=f"because no identity-based policy allows the {action} action")
        return Decision(session_ok, "" if session_ok else f"because no session policy allows the {action} action")


def _account(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) > 5 else ""


def _lower(context: Mapping[str, Values]) -> dict[str, Values]:
    return {key.lower(): value for key, value in context.items()}
