"""Evaluates one policy document against one request. Pure."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from awsim.api import AwsError
from awsim.iam import conditions
from awsim.iam.match import Context, arn_like, like

Document = Mapping[str, Any]
ControlKind = Literal["service", "resource"]
"""A service control policy limits principals of accounts, a resource control policy their keys and roles."""


class PolicyVerdict(StrEnum):
    """A document's verdict on a request; one Deny outweighs every Allow."""

    ALLOW = "allow"
    DENY = "deny"
    SILENT = "silent"


class Kind(StrEnum):
    """How a policy names the principal to which it applies, from the most to the least specific."""

    SESSION = "session"
    ROLE = "role"
    ACCOUNT = "account"
    ANYONE = "anyone"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Who:
    """A principal as resource policies name it: an account's identity, or an AWS service."""

    arn: str = ""
    role_arn: str | None = None
    account: str = ""
    service: str | None = None

    def named_by(self, principal: Any) -> Kind | None:
        """Return how a Principal element names this principal; None if it does not."""
        if principal == "*":
            return Kind.ANYONE
        if not isinstance(principal, dict):
            return None
        if self.service is not None:
            return Kind.SERVICE if self.service in _listed(principal.get("Service", [])) else None
        kinds = [self._kind(name) for name in _listed(principal.get("AWS", []))]
        return next((kind for kind in Kind if kind in kinds), None)

    def _kind(self, name: str) -> Kind | None:
        if name == "*":
            return Kind.ANYONE
        if name in {self.account, f"arn:aws:iam::{self.account}:root"}:
            return Kind.ACCOUNT
        if name == self.arn:
            return Kind.SESSION
        return Kind.ROLE if name == self.role_arn else None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. ``context`` has its keys in lower case."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


def identity(document: Document, ask: Ask) -> PolicyVerdict:
    """Return the verdict of an identity or session policy."""
    return _sum(statement["Effect"] for statement in _statements(document) if _applies(statement, ask))


def allowing(document: Document, ask: Ask) -> Iterator[str]:
    """Return the Sids of the statements of an identity policy that allow a request."""
    for statement in _statements(document):
        if statement["Effect"] == "Allow" and _applies(statement, ask):
            yield str(statement.get("Sid", ""))


def denying(document: Document, ask: Ask) -> Iterator[str]:
    """Return the Sids of the statements of an identity policy that deny a request."""
    for statement in _statements(document):
        if statement["Effect"] == "Deny" and _applies(statement, ask):
            yield str(statement.get("Sid", ""))


def denies(document: Document) -> bool:
    """Whether a statement of the document denies a request."""
    return any(statement["Effect"] == "Deny" for statement in _statements(document))


def decided_by_condition(document: Document, ask: Ask) -> Iterator[tuple[str, str, str]]:
    """Return the conditions for which a statement does not apply: Sid, operator and key."""
    for statement in _statements(document):
        rest = {name: part for name, part in statement.items() if name != "Condition"}
        wrong = [
            (operator, key)
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
            if not conditions.hold({operator: {key: values}}, ask.context)
        ]
        if len(wrong) == 1 and _applies(rest, ask):
            yield str(statement.get("Sid", "")), *wrong[0]


def resource(document: Document, ask: Ask, who: Who) -> tuple[PolicyVerdict, frozenset[Kind]]:
    """Return a resource policy's verdict on a principal, and how its deciding statements name the principal.

    A statement without Resource (as in a trust policy) is about the resource that has the policy.
    """
    found = [
        (str(statement["Effect"]), kind)
        for statement in _statements(document)
        if (kind := who.named_by(statement.get("Principal"))) is not None and _applies(statement, ask)
    ]
    verdict = _sum(effect for effect, _ in found)
    return verdict, frozenset(kind for effect, kind in found if effect.lower() == verdict)


def unconditional(document: Document) -> Document:
    """Return a document without its conditions, for tests of what an overlooked condition would permit."""
    kept = [{name: part for name, part in one.items() if name != "Condition"} for one in _statements(document)]
    return {**document, "Statement": kept}


def parse(text: str | Document, *, resource_policy: bool = False) -> Document:
    """Read and check a document. Raises AwsError (MalformedPolicyDocument) with the place and the cure."""
    try:
        document = json.loads(text) if isinstance(text, str) else text
    except ValueError as unread:
        raise _malformed(f"the document is not JSON: {unread}") from None
    if not isinstance(document, Mapping) or "Statement" not in document:
        raise _malformed("the document has no Statement")
    if document.get("Version", "2008-10-17") not in {"2012-10-17", "2008-10-17"}:
        raise _malformed(f"Version {document['Version']!r} does not exist; write 2012-10-17")
    for number, statement in enumerate(_statements(document), 1):
        wrong = _problem(statement, resource_policy=resource_policy)
        if wrong:
            raise _malformed(f"statement {statement.get('Sid') or number}: {wrong}")
    return document


def _problem(statement: Mapping[str, Any], *, resource_policy: bool) -> str | None:
    unknown = set(statement) - MEMBERS
    if unknown:
        return f"unknown element {sorted(unknown)}"
    if statement.get("Effect") not in {"Allow", "Deny"}:
        return "Effect must be Allow or Deny"
    if ("Action" in statement) == ("NotAction" in statement):
        return "exactly one of Action and NotAction is needed"
    if resource_policy and "Principal" not in statement:
        return "a resource's policy needs a Principal (the simulator does not read NotPrincipal)"
    if not resource_policy and "Principal" in statement:
        return "an identity's policy cannot have a Principal"
    if not resource_policy and ("Resource" in statement) == ("NotResource" in statement):
        return "exactly one of Resource and NotResource is needed"
    for action in _listed(statement.get("Action", statement.get("NotAction"))):
        if not isinstance(action, str) or (action != "*" and not re.fullmatch(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+", action)):
            return f"{action!r} is no action; write service:Action"
    return conditions.problem(statement.get("Condition", {}))


MEMBERS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal"}


def _applies(statement: Mapping[str, Any], ask: Ask) -> bool:
    return (
        _names(statement, "Action", lambda pattern: _covers(pattern, ask.action))
        and _names(statement, "Resource", lambda pattern: arn_like(pattern, ask.resource, ask.context))
        and conditions.hold(statement.get("Condition", {}), ask.context)
    )


@functools.lru_cache(maxsize=1 << 16)
def _covers(pattern: str, action: str) -> bool:
    """Whether an Action element's pattern, which has no variables, is about an action."""
    return like(pattern, action, {}, fold=True)


def _names(statement: Mapping[str, Any], element: str, matches: Callable[[str], bool]) -> bool:
    if f"Not{element}" in statement:
        return not any(map(matches, _listed(statement[f"Not{element}"])))
    if element not in statement:
        return True
    return any(map(matches, _listed(statement[element])))


def _sum(effects: Any) -> PolicyVerdict:
    said = {effect.lower() for effect in effects}
    return PolicyVerdict.DENY if "deny" in said else PolicyVerdict.ALLOW if "allow" in said else PolicyVerdict.SILENT


def _statements(document: Document) -> Iterator[Mapping[str, Any]]:
    yield from _listed(document["Statement"])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _malformed(why: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", f"Policy is malformed: {why}")
