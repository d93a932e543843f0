"""Who may use a key: by key policy or grant, and for another account's key also by the caller's own policies."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from awsim.api import Caller
from awsim.iam import FOREIGN_KEY, Decision, policy
from awsim.iam.match import Context, Values
from awsim.iam.policy import Ask, Kind, PolicyVerdict, Who
from awsim.parts import Base
from awsim.rules import rule
from awsim.services.kms.policies import KeyPolicies
from awsim.services.kms.records import KmsGrant, KmsKey

KEY_SIDE = rule(
    "kms-key-policy-or-grant-needed",
    "Nobody may use a key whom neither its key policy nor a grant admits; IAM policies alone open no key. Of another "
    "account's key KMS does not say whether it is there. "
    "[aws-facts 3, VERIFIED: key policy AND IAM policy, either alone is not enough]",
)
CALLER_SIDE = rule(
    "kms-foreign-key-needs-own-policy",
    "For another account's key the caller's own identity policy must allow it too, also where a grant admits the "
    "caller. [aws-facts 3, VERIFIED for key policies and the owner's grant]",
)
GRANT_AT_HOME = rule(
    "kms-own-accounts-grant-opens-foreign-key",
    "A grant that the caller's own account has issued on another account's key is enough on the caller's side: it "
    "needs no identity policy, as for a service-linked role, whose policies nobody can change; the owner's does not do "
    "that. [aws-facts 3, Key trust rule and re:Post kms-launch-ec2-instance, VERIFIED]",
)
DELEGATED = rule(
    "kms-root-statement-delegates-to-iam",
    "A key policy that names the account's root lets the account's IAM policies decide; by itself it admits only root. "
    "[KMS developer guide: default key policy]",
)
CONSTRAINTS = rule(
    "kms-grant-constraints",
    "A grant's encryption context constraint must hold for cryptographic operations; it is ignored for DescribeKey and "
    "RetireGrant. [aws-facts 3, VERIFIED]",
)
SAME_ROLE = rule(
    "kms-grant-dies-with-its-role",
    "A grant is for the role that existed when it was made: a role made again under the same name does not get it. "
    "[aws-facts, later reading, VERIFIED]",
)
TO_A_SESSION = rule(
    "kms-grant-to-a-session-passes-over-silence",
    "A grant to a session itself works although the session policy does not allow the action; an explicit Deny there "
    "still counts. A grant to the role is limited by it. [aws-facts, later reading, VERIFIED]",
)
IGNORES_CONTEXT = {"DescribeKey", "RetireGrant"}
CONTEXT = "kms:encryptioncontext:"


class KeyDecisions:
    """Decides about the keys of one world."""

    def __init__(self, base: Base, grants: Mapping[str, list[KmsGrant]], policies: KeyPolicies) -> None:
        self._base = base
        self._policies = policies
        self._grants = grants

    def decide(
        self,
        caller: Caller,
        action: str,
        key: KmsKey,
        *,
        region: str,
        context: Mapping[str, Values],
        tokens: Collection[str] = (),
    ) -> Decision:
        """Decide whether a caller may do ``kms:...`` to a key; the reason is worded as AWS does."""
        asked = {**self._base.policies.context(caller, region), "kms:calleraccount": caller.account}
        asked.update({name.lower(): value for name, value in context.items()})
        ask = Ask(action, key.arn, asked)
        if guarded := self._base.policies.guarded(caller, ask, key.account):
            return Decision(allowed=False, why=guarded)
        own, session = self._base.policies.identity(caller, ask)
        theirs, kinds = policy.resource(
            self._policies.in_force(key), ask, Who(caller.arn, caller.role_arn, caller.account)
        )
        for name, verdict in (("an identity", own), ("a session", session)):
            if verdict is PolicyVerdict.DENY:
                return Decision(allowed=False, why=f"with an explicit deny in {name}-based policy")
        foreign = caller.account != key.account
        if theirs is PolicyVerdict.DENY:
            said = FOREIGN_KEY if foreign else "with an explicit deny in a resource-based policy"
            return Decision(allowed=False, why=said)
        grants = list(self._all_granting(caller, action, key, ask.context, tokens))
        grant = next((one for one in grants if one.issuer == caller.account), grants[0] if grants else None)
        open_ = grant is not None or theirs is PolicyVerdict.ALLOW or not self._base.on(KEY_SIDE)
        if not open_:
            said = FOREIGN_KEY if foreign else f"because no resource-based policy allows the {action} action"
            return Decision(allowed=False, why=said)
        if self._needs_own(caller, key, kinds, grant) and own is PolicyVerdict.SILENT:
            return Decision(allowed=False, why=f"because no identity-based policy allows the {action} action")
        to_session = any(one.grantee == caller.arn for one in grants) and self._base.on(TO_A_SESSION)
        if session is PolicyVerdict.SILENT and not to_session:
            return Decision(allowed=False, why=f"because no session policy allows the {action} action")
        return Decision(allowed=True)

    def granting(
        self, caller: Caller, action: str, key: KmsKey, context: Context, tokens: Collection[str] = ()
    ) -> KmsGrant | None:
        """Return the first grant in effect that lets the caller do this, if any."""
        return next(self._all_granting(caller, action, key, context, tokens), None)

    def _all_granting(
        self, caller: Caller, action: str, key: KmsKey, context: Context, tokens: Collection[str]
    ) -> Iterator[KmsGrant]:
        now, operation = self._base.now, action.removeprefix("kms:")
        for grant in self._grants.get(key.arn, []):
            awake = grant.works(now) or (grant.revoked is None and not grant.tokens.isdisjoint(tokens))
            if (
                awake
                and operation in grant.operations
                and self._is_for(grant, caller)
                and self._fits(grant, operation, context)
            ):
                yield grant

    def _needs_own(self, caller: Caller, key: KmsKey, kinds: Collection[Kind], grant: KmsGrant | None) -> bool:
        if caller.account != key.account:
            at_home = grant is not None and grant.issuer == caller.account and self._base.on(GRANT_AT_HOME)
            return not at_home and self._base.on(CALLER_SIDE)
        named = bool({Kind.SESSION, Kind.ROLE, Kind.ANYONE} & set(kinds))
        return grant is None and not named and self._base.on(DELEGATED)

    def _is_for(self, grant: KmsGrant, caller: Caller) -> bool:
        if grant.grantee in {caller.account, f"arn:aws:iam::{caller.account}:root", caller.arn}:
            return True
        if grant.grantee != caller.role_arn:
            return False
        role = self._base.policies.roles.get(caller.role_arn)
        return not self._base.on(SAME_ROLE) or (role is not None and role.id == grant.grantee_id)

    def _fits(self, grant: KmsGrant, operation: str, context: Context) -> bool:
        if not grant.constraints or operation in IGNORES_CONTEXT or not self._base.on(CONSTRAINTS):
            return True
        given = {name.removeprefix(CONTEXT): value for name, value in context.items() if name.startswith(CONTEXT)}
        equals = grant.constraints.get("EncryptionContextEquals")
        if equals is not None and given != {name.lower(): value for name, value in equals.items()}:
            return False
        subset = grant.constraints.get("EncryptionContextSubset", {})
        return all(given.get(name.lower()) == value for name, value in subset.items())
