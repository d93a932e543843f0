"""Key policies: stored as they were put, late to take effect, and naming deleted principals by their id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from awsim.api import AwsError, Call
from awsim.iam import policy
from awsim.iam.policy import Ask, Document, PolicyVerdict, Who
from awsim.parts import Base
from awsim.rules import rule
from awsim.services.kms.records import KmsKey, Version

SIZE = rule(
    "kms-key-policy-32-kilobytes",
    "A key policy has at most 32,768 bytes: LimitExceededException. [aws-facts 3, VERIFIED]",
)
RESOURCE = rule(
    "kms-key-policy-resource",
    "Each statement of a key policy has the Resource `*`: MalformedPolicyDocumentException since August 2025; what was "
    "put before stays, and refuses every later put. [aws-facts 3, VERIFIED; the message UNVERIFIED]",
)
PRINCIPALS = rule(
    "kms-key-policy-principals-exist",
    "A key policy that names a role which does not exist is refused: MalformedPolicyDocumentException. "
    "[aws-facts 3, VERIFIED]",
)
CLOSED = rule(
    "kms-key-policy-account-exists",
    "A key policy that names the root of an account that is closed is refused like one that names a missing role. "
    "[aws-facts 3: principals must exist and be visible; UNVERIFIED for accounts]",
)
LOCKOUT = rule(
    "kms-key-policy-lockout-check",
    "A key policy after which its caller could not put another is refused: MalformedPolicyDocumentException, unless "
    "BypassPolicyLockoutSafetyCheck is set. [botocore, kms model: PutKeyPolicyRequest]",
)
DEAD = rule(
    "kms-key-policy-shows-deleted-role-by-id",
    "A role deleted since the policy was put shows as its AROA id, also when one of that name was made anew, which the "
    "policy does not admit. [aws-facts, later reading, VERIFIED]",
)
LATE = rule(
    "kms-key-policy-works-late",
    "A new key policy is of effect some seconds after it was put. [aws-facts 3: eventually consistent, VERIFIED; the "
    "time UNVERIFIED]",
)
STALE = rule(
    "kms-get-key-policy-may-be-stale",
    "GetKeyPolicy may show the policy as it was a while ago. [botocore, kms model: eventual consistency; on demand]",
)
ORDER = rule(
    "kms-get-key-policy-in-any-order",
    "GetKeyPolicy lists a statement's AWS principals in an order of its own. [aws-facts 3, VERIFIED; that two reads "
    "differ, too, UNVERIFIED]",
)
LARGEST = 32_768
INVALID = "Policy contains a statement with one or more invalid principals."


class KeyPolicies:
    """The policies of a world's keys."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._random = Random(f"{base.seed}/policies")
        self._order = Random(f"{base.seed}/principals")
        self.delay = (0.0, 5.0)
        """Seconds until a policy takes effect: at random between these two."""

    def first(self, key: KmsKey, text: str) -> None:
        """Give a new key its policy, which takes effect at once."""
        key.versions.append(self._version(text, timedelta()))

    def put(self, call: Call, key: KmsKey) -> None:
        """Replace the whole policy. Raises AwsError: LimitExceededException, MalformedPolicyDocumentException."""
        text = call.params["Policy"]
        self.check(call, text)
        late = self._random.uniform(*self.delay) if self._base.on(LATE) else 0.0
        key.versions.append(self._version(text, timedelta(seconds=late)))

    def shown(self, call: Call, key: KmsKey) -> str:
        """Return the text that GetKeyPolicy shows: as it was put, but for deleted roles and the order of principals."""
        as_of = self._base.injected.as_of(call)
        at = as_of if self._base.on(STALE) else self._base.now
        version = next((v for v in reversed(key.versions) if v.put_at <= at), key.versions[0])
        gone = self._gone(version)
        text = json.dumps(_renamed(version.document, gone)) if gone else version.text
        return self._shuffled(text) if self._base.on(ORDER) else text

    def _shuffled(self, text: str) -> str:
        """Return the text with each statement's AWS principals in a new order; unchanged if none has several."""
        document = json.loads(text)
        principals = [one["Principal"] for one in _statements(document) if isinstance(one.get("Principal"), dict)]
        several = [names for one in principals if isinstance(names := one.get("AWS"), list) and len(names) > 1]
        for names in several:
            self._order.shuffle(names)
        return json.dumps(document) if several else text

    def in_force(self, key: KmsKey) -> Document:
        """Return the policy that is in effect now."""
        now = self._base.now
        version = next((v for v in reversed(key.versions) if v.works_from <= now), key.versions[0])
        gone = self._gone(version)
        return _renamed(version.document, gone) if gone else version.document

    def foreign(self, keys: Iterable[KmsKey]) -> Iterator[tuple[str, str, str]]:
        """Return every statement that admits principals outside a key's account: key ARN, Sid, and principals."""
        for key in keys:
            for statement in _statements(key.versions[-1].document):
                names = sorted(name for name in _names({"Statement": statement}) if key.account not in name)
                if names and names != ["*"] and statement["Effect"] == "Allow":
                    yield key.arn, str(statement.get("Sid", "")), " ".join(names)

    def check(self, call: Call, text: str) -> None:
        """Refuse a policy that KMS would not accept. Raises AwsError."""
        if len(text.encode()) > LARGEST and self._base.on(SIZE):
            said = f"The key policy has {len(text.encode())} bytes; {LARGEST} is the limit"
            raise AwsError("LimitExceededException", said)
        try:
            document = policy.parse(text, resource_policy=True)
        except AwsError as refused:
            raise _malformed(refused.message) from None
        if self._base.on(RESOURCE) and any(one.get("Resource") not in ("*", ["*"]) for one in _statements(document)):
            raise _malformed("Each statement of a key policy needs the Resource *.")
        if any(self._is_nobody(name) for name in _names(document)):
            raise _malformed(INVALID)
        caller = call.caller
        ask = Ask("kms:PutKeyPolicy", "*", self._base.policies.context(caller, call.region))
        verdict, _ = policy.resource(document, ask, Who(caller.arn, caller.role_arn, caller.account))
        careful = not call.params.get("BypassPolicyLockoutSafetyCheck") and self._base.on(LOCKOUT)
        if careful and verdict is not PolicyVerdict.ALLOW:
            raise _malformed("The new key policy will not allow you to update the key policy in the future.")

    def _version(self, text: str, late: timedelta) -> Version:
        document = policy.parse(text, resource_policy=True)
        roles = {
            name: role.id for name in _names(document) if (role := self._base.policies.roles.get(name)) is not None
        }
        return Version(self._base.now, self._base.now + late, text, document, roles)

    def _gone(self, version: Version) -> Mapping[str, str]:
        """Return the id of each role in it that was deleted since, or made again."""
        if not self._base.on(DEAD):
            return {}
        now = {arn: self._base.policies.roles.get(arn) for arn in version.roles}
        return {arn: ident for arn, ident in version.roles.items() if (role := now[arn]) is None or role.id != ident}

    def _is_nobody(self, name: str) -> bool:
        rules = self._base.rules
        account = name if name.isdigit() else name.split(":")[4] if name.endswith(":root") else ""
        if account in self._base.credentials.closed:
            return rules.on(CLOSED)
        if name == "*" or account:
            return rules.on(PRINCIPALS) and name.isdigit() and len(name) != 12
        missing = ":role/" in name and self._base.policies.roles.get(name) is None
        return rules.on(PRINCIPALS) and (missing or not name.startswith("arn:aws:"))


def _malformed(said: str) -> AwsError:
    return AwsError("MalformedPolicyDocumentException", said)


def _statements(document: Document) -> list[Any]:
    found = document["Statement"]
    return found if isinstance(found, list) else [found]


def _names(document: Document) -> Iterator[str]:
    for statement in _statements(document):
        principal = statement.get("Principal", [])
        names = principal.get("AWS", []) if isinstance(principal, dict) else principal
        yield from names if isinstance(names, list) else [names]


def _renamed(document: Document, gone: Mapping[str, str]) -> Document:
    return {**document, "Statement": [_renamed_in(statement, gone) for statement in _statements(document)]}


def _renamed_in(statement: Mapping[str, Any], gone: Mapping[str, str]) -> Mapping[str, Any]:
    principal = statement.get("Principal")
    if not isinstance(principal, dict) or "AWS" not in principal:
        return statement
    names = principal["AWS"]
    renamed = [gone.get(name, name) for name in names] if isinstance(names, list) else gone.get(names, names)
    return {**statement, "Principal": {**principal, "AWS": renamed}}
