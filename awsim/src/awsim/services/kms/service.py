"""KMS's API, and what EC2 asks of KMS on a caller's behalf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call, Caller
from awsim.iam import refusal
from awsim.iam.match import Values
from awsim.iam.policy import Ask, PolicyVerdict
from awsim.parts import Base
from awsim.rules import rule
from awsim.services.kms import keys as key_store
from awsim.services.kms.access import KeyDecisions
from awsim.services.kms.grants import GONE, GrantStore
from awsim.services.kms.keys import KeyStore
from awsim.services.kms.records import KmsGrant, KmsKey

DISABLED = rule(
    "kms-disabled-key-unusable",
    "A disabled key can be described and changed but not used or granted: DisabledException; one that is to be "
    "deleted: KMSInvalidStateException. [KMS developer guide: key states]",
)
AT_HOME = rule(
    "kms-key-policy-only-at-home",
    "Of the calls here only DescribeKey, those on grants and those that use a key work on another account's key. "
    "[aws-facts 3, VERIFIED]",
)
FOR_SERVICES = rule(
    "kms-grant-is-for-aws-resource",
    "kms:GrantIsForAWSResource is true only for calls that an AWS service makes for its caller. "
    "[aws-facts 3, VERIFIED]",
)
RETIRING = rule(
    "kms-retire-grant-by-those-it-names",
    "A grant is retired by its retiring principal (a role made anew is another) and by a grantee who was granted that, "
    "without any policy; by others of the account that issued it, and by those whom it names in an account that "
    "neither has the key nor issued it, only where their policies allow kms:RetireGrant. A session policy limits it, "
    "a resource control policy does not. [KMS developer guide: retiring and revoking grants; aws-facts 3, VERIFIED]",
)
USES = ("Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext")
"""Cryptographic operations that a caller may make directly here. EC2 makes them, and ReEncrypt, for its callers."""
ABROAD = {
    *("kms:DescribeKey", "kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant", "kms:RetireGrant"),
    *(f"kms:{name}" for name in USES),
}
UNUSED = {"kms:DescribeKey", "kms:ListGrants", "kms:RevokeGrant", "kms:RetireGrant"}
"""What a service may do for its caller with a disabled key."""
SHORTEST_WAIT, LONGEST_WAIT = 7, 30
Result = Mapping[str, Any]


class Kms:
    """Keys, aliases and grants of all accounts and Regions."""

    name = "kms"
    exclusive = True

    def __init__(self, base: Base) -> None:
        self._base = base
        self.keys = KeyStore(base)
        self.grants = GrantStore(base)
        self._access = KeyDecisions(base, self.grants.by_key, self.keys.policies)

    def operations(self) -> Mapping[str, Callable[[Call], Result]]:
        """What it answers; see awsim.api.Service."""
        return {
            "CancelKeyDeletion": self._cancel_deletion,
            "CreateAlias": self._create_alias,
            "CreateGrant": self._create_grant,
            "CreateKey": self._create_key,
            "Decrypt": self._use,
            "DeleteAlias": self._delete_alias,
            "DescribeKey": self._describe_key,
            "DisableKey": self._switch(on=False),
            "DisableKeyRotation": self._rotate(on=False),
            "EnableKey": self._switch(on=True),
            "EnableKeyRotation": self._rotate(on=True),
            "GenerateDataKey": self._use,
            "GenerateDataKeyWithoutPlaintext": self._use,
            "GetKeyPolicy": self._get_policy,
            "GetKeyRotationStatus": self._rotation,
            "ListAliases": self._list_aliases,
            "ListGrants": self._list_grants,
            "ListKeys": self._list_keys,
            "PutKeyPolicy": self._put_policy,
            "RetireGrant": self._retire_grant,
            "RevokeGrant": self._revoke_grant,
            "ScheduleKeyDeletion": self._schedule_deletion,
            "UpdateAlias": self._update_alias,
        }

    def may_use(
        self,
        caller: Caller,
        action: str,
        key_arn: str,
        via_service: str = "ec2.us-east-1.amazonaws.com",
        context: Mapping[str, Values] | None = None,
    ) -> tuple[bool, str]:
        """Return whether a service may call ``kms:...`` on a key for its caller now, and if not, why not.

        ``context`` holds condition keys such as ``kms:EncryptionContext:aws:ebs:id``; ``kms:ViaService``,
        ``kms:CallerAccount``, ``aws:ViaAWSService`` and, for the calls on grants, ``kms:GrantIsForAWSResource`` are
        added here.

        VERIFIED [aws-facts 3]: the key's policy or a grant must admit the caller, and for another account's key the
        caller's own identity policy must allow it as well; grants begin and end late; ViaService names EC2 in the key's
        Region. Assumed: that an owner's grant to a role or account of another one is enough on the key's side (two
        public codebases rely on it), that session policies limit what the service may do (it calls with the caller's
        own session), and that a grant to a role of the key's own account needs no identity policy.
        """
        _, _, _, region, account, _ = key_arn.split(":", 5)
        try:
            key = self.describe(account, region, key_arn)
            if action not in UNUSED:
                self._check_usable(key)
        except AwsError as refused:
            return False, refused.message
        asked: dict[str, Values] = {"aws:viaawsservice": "true", "kms:viaservice": via_service}
        if action in {"kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"}:
            asked["kms:grantisforawsresource"] = "true"
        asked.update({name.lower(): value for name, value in (context or {}).items()})
        decision = self._access.decide(caller, action, key, region=region, context=asked)
        return decision.allowed, decision.why

    def describe(self, account: str, region: str, key_id: str) -> KmsKey:
        """Return the key of an id, alias or ARN in an account and Region, without asking for permission.

        Raises AwsError: NotFoundException, InvalidArnException.
        """
        return self.keys.find(account, region, key_id)

    def open_grants(self) -> list[KmsGrant]:
        """Return every grant that is not revoked and is for somebody outside the key's account."""
        everything = (grant for grants in self.grants.by_key.values() for grant in grants)
        return [
            grant
            for grant in everything
            if grant.revoked is None and grant.grantee_account != grant.key_arn.split(":")[4]
        ]

    # --- keys ---

    def _create_key(self, call: Call) -> Result:
        self._allow_any(call)
        params = call.params
        if "Policy" in params:
            self.keys.policies.check(call, params["Policy"])
        key = self.keys.make(
            call.caller.account,
            call.region,
            params.get("Policy", ""),
            description=params.get("Description", ""),
            spec=params.get("KeySpec", params.get("CustomerMasterKeySpec", "SYMMETRIC_DEFAULT")),
            usage=params.get("KeyUsage", "ENCRYPT_DECRYPT"),
            tags={tag["TagKey"]: tag["TagValue"] for tag in params.get("Tags", [])},
        )
        return {"KeyMetadata": key_store.shown(key)}

    def _describe_key(self, call: Call) -> Result:
        return {"KeyMetadata": key_store.shown(self._key(call))}

    def _list_keys(self, call: Call) -> Result:
        self._allow_any(call)
        here = (call.caller.account, call.region)
        found = [key for key in self.keys.keys.values() if (key.account, key.region) == here]
        return {"Keys": [{"KeyId": key.id, "KeyArn": key.arn} for key in found], "Truncated": False}

    def _switch(self, *, on: bool) -> Callable[[Call], Result]:
        def switch(call: Call) -> Result:
            key = self._key(call)
            if key.deletion is not None:
                raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
            key.switched_on = on
            return {}

        return switch

    def _rotate(self, *, on: bool) -> Callable[[Call], Result]:
        def rotate(call: Call) -> Result:
            self._key(call).rotation = on
            return {}

        return rotate

    def _rotation(self, call: Call) -> Result:
        key = self._key(call)
        return {"KeyId": key.arn, "KeyRotationEnabled": key.rotation}

    def _schedule_deletion(self, call: Call) -> Result:
        key = self._key(call)
        days = call.params.get("PendingWindowInDays", LONGEST_WAIT)
        if not SHORTEST_WAIT <= days <= LONGEST_WAIT:
            raise AwsError(
                "ValidationException", f"PendingWindowInDays {days} must be {SHORTEST_WAIT} to {LONGEST_WAIT}"
            )
        key.deletion = call.at + timedelta(days=days)
        return {"KeyId": key.arn, "DeletionDate": key.deletion, "KeyState": key.state, "PendingWindowInDays": days}

    def _cancel_deletion(self, call: Call) -> Result:
        key = self._key(call)
        key.deletion, key.switched_on = None, False
        return {"KeyId": key.arn}

    def _use(self, call: Call) -> Result:
        """Use a key directly, which must be named; the result stands for bytes."""
        given = call.params.get("EncryptionContext", {})
        key = self._key(call, {f"kms:encryptioncontext:{name}": value for name, value in given.items()})
        self._check_usable(key)
        used = {"KeyId": key.arn, "Plaintext": b"plain", "CiphertextBlob": b"cipher"}
        unknown = {"Decrypt": "CiphertextBlob", "GenerateDataKeyWithoutPlaintext": "Plaintext"}
        return {name: value for name, value in used.items() if name != unknown.get(call.operation)}

    # --- policies ---

    def _get_policy(self, call: Call) -> Result:
        return {"Policy": self.keys.policies.shown(call, self._key(call)), "PolicyName": "default"}

    def _put_policy(self, call: Call) -> Result:
        bypass = str(bool(call.params.get("BypassPolicyLockoutSafetyCheck"))).lower()
        self.keys.policies.put(call, self._key(call, {"kms:bypasspolicylockoutsafetycheck": bypass}))
        return {}

    # --- aliases ---

    def _create_alias(self, call: Call) -> Result:
        name = self._alias(call)
        if name in self.keys.aliases:
            raise AwsError("AlreadyExistsException", f"An alias with the name {_alias_arn(name)} already exists")
        return self._point(call, name)

    def _update_alias(self, call: Call) -> Result:
        name = self._alias(call)
        if name not in self.keys.aliases:
            raise AwsError("NotFoundException", f"Alias {_alias_arn(name)} is not found.")
        return self._point(call, name)

    def _point(self, call: Call, name: tuple[str, str, str]) -> Result:
        key = self.describe(call.caller.account, call.region, call.params["TargetKeyId"])
        self._allow(call, f"kms:{call.operation}", key, {})
        self.keys.aliases[name] = key.arn
        return {}

    def _delete_alias(self, call: Call) -> Result:
        name = self._alias(call)
        if self.keys.aliases.pop(name, None) is None:
            raise AwsError("NotFoundException", f"Alias {_alias_arn(name)} is not found.")
        return {}

    def _list_aliases(self, call: Call) -> Result:
        self._allow_any(call)
        wanted = (
            self.describe(call.caller.account, call.region, call.params["KeyId"]).arn
            if "KeyId" in call.params
            else None
        )
        found = [
            {"AliasName": name[2], "AliasArn": _alias_arn(name), "TargetKeyId": arn.rsplit("/", 1)[-1]}
            for name, arn in sorted(self.keys.aliases.items())
            if name[:2] == (call.caller.account, call.region) and wanted in {None, arn}
        ]
        return {"Aliases": found, "Truncated": False}

    def _alias(self, call: Call) -> tuple[str, str, str]:
        name = call.params["AliasName"]
        if not name.startswith("alias/") or name.startswith("alias/aws/"):
            raise AwsError("InvalidAliasNameException", f"{name}: an alias begins with alias/ and not with alias/aws/")
        full = (call.caller.account, call.region, name)
        decision = self._base.policies.decide(
            call.caller, f"kms:{call.operation}", _alias_arn(full), region=call.region
        )
        if not decision.allowed:
            raise refusal(call.caller, "kms", f"kms:{call.operation}", _alias_arn(full), decision.why)
        return full

    # --- grants ---

    def _create_grant(self, call: Call) -> Result:
        params = call.params
        kinds = list(params.get("Constraints", {}))
        context: dict[str, Values] = {
            "kms:granteeprincipal": params.get("GranteePrincipal", ""),
            "kms:grantoperations": params["Operations"],
            **({"kms:retiringprincipal": params["RetiringPrincipal"]} if "RetiringPrincipal" in params else {}),
            **({"kms:grantconstrainttype": kinds[0]} if kinds else {}),
        }
        key = self._key(call, context)
        self._check_usable(key)
        return self.grants.create(call, key, self._parent(call, key, context))

    def _parent(self, call: Call, key: KmsKey, context: Mapping[str, Values]) -> KmsGrant | None:
        """Return the grant that alone gives the caller the right to make another one."""
        bare = KeyDecisions(self._base, {}, self.keys.policies).decide(
            call.caller, "kms:CreateGrant", key, region=call.region, context=self._direct(context)
        )
        if bare.allowed:
            return None
        tokens = call.params.get("GrantTokens", [])
        return self._access.granting(call.caller, "kms:CreateGrant", key, {}, tokens)

    def _list_grants(self, call: Call) -> Result:
        return self.grants.page(call, self._key(call))

    def _revoke_grant(self, call: Call) -> Result:
        key, grant_id = self._key(call), call.params["GrantId"]
        grant = self.grants.get(key.arn, grant_id)
        if grant is None:
            if self._base.on(GONE):
                raise self.grants.missing(grant_id)
            return {}
        self.grants.end(grant)
        return {}

    def _retire_grant(self, call: Call) -> Result:
        params, caller = call.params, call.caller
        if "GrantToken" in params:
            grant = self.grants.by_token(params["GrantToken"])
        else:
            if not params["KeyId"].startswith("arn:"):
                raise AwsError("NotFoundException", f"Invalid arn {params['KeyId']}")
            key = self.describe(caller.account, call.region, params["KeyId"])
            grant = self.grants.get(key.arn, params["GrantId"])
        if grant is None:
            raise self.grants.missing(params.get("GrantId", "of that token"))
        if not self._may_retire(call, grant):
            raise refusal(caller, "kms", "kms:RetireGrant", grant.key_arn, "because no grant allows it")
        self.grants.end(grant)
        return {}

    def _may_retire(self, call: Call, grant: KmsGrant) -> bool:
        caller = call.caller
        asked = Ask("kms:RetireGrant", grant.key_arn, self._base.policies.context(caller, call.region))
        own, session = self._base.policies.identity(caller, asked)
        guarded = self._base.policies.guarded(caller, asked)  # no resource control policy binds RetireGrant
        if guarded or PolicyVerdict.DENY in {own, session} or session is PolicyVerdict.SILENT:
            return False
        me = {caller.arn, caller.role_arn, f"arn:aws:iam::{caller.account}:root"}
        role = self._base.policies.roles.get(caller.role_arn)
        same = grant.retiring_id is None or (role is not None and role.id == grant.retiring_id)
        by_grantee = grant.grantee in me and "RetireGrant" in grant.operations
        named = (grant.retiring in me and same) or by_grantee
        if not self._base.on(RETIRING):
            return True
        at_home = caller.account in {grant.issuer, grant.key_arn.split(":")[4]}
        if named and at_home:
            return True
        return (named or grant.issuer == caller.account) and own is PolicyVerdict.ALLOW

    # --- permission ---

    def _key(self, call: Call, context: Mapping[str, Values] | None = None) -> KmsKey:
        """Return the key of a call, if its caller may make the call."""
        action, key_id = f"kms:{call.operation}", call.params["KeyId"]
        try:
            key = self.describe(call.caller.account, call.region, key_id)
        except AwsError:
            self._hide(call, action, key_id)
            raise
        self._allow(call, action, key, context or {})
        return key

    def _allow(self, call: Call, action: str, key: KmsKey, context: Mapping[str, Values]) -> None:
        if key.account != call.caller.account and action not in ABROAD and self._base.on(AT_HOME):
            raise refusal(call.caller, "kms", action, key.arn, "because the key belongs to another account")
        decision = self._access.decide(
            call.caller,
            action,
            key,
            region=call.region,
            context=self._direct(context),
            tokens=call.params.get("GrantTokens", ()),
        )
        if not decision.allowed:
            raise refusal(call.caller, "kms", action, key.arn, decision.why)

    def _hide(self, call: Call, action: str, key_id: str) -> None:
        """Refuse a caller without permission before it learns that there is no such key."""
        arn = key_id if key_id.startswith("arn:") else f"arn:aws:kms:{call.region}:{call.caller.account}:key/{key_id}"
        own = arn.split(":")[4] == call.caller.account
        decision = self._base.policies.decide(call.caller, action, arn if own else "*", region=call.region)
        if not decision.allowed:
            raise refusal(call.caller, "kms", action, arn, decision.why)

    def _allow_any(self, call: Call) -> None:
        action = f"kms:{call.operation}"
        decision = self._base.policies.decide(call.caller, action, "*", region=call.region)
        if not decision.allowed:
            raise refusal(call.caller, "kms", action, "*", decision.why)

    def _direct(self, context: Mapping[str, Values]) -> dict[str, Values]:
        for_service = "false" if self._base.on(FOR_SERVICES) else "true"
        return {"kms:grantisforawsresource": for_service, **context}

    def _check_usable(self, key: KmsKey) -> None:
        if not self._base.on(DISABLED) or key.enabled:
            return
        if key.deletion is not None:
            raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        raise AwsError("DisabledException", f"{key.arn} is disabled.")


def _alias_arn(name: tuple[str, str, str]) -> str:
    account, region, alias = name
    return f"arn:aws:kms:{region}:{account}:{alias}"
