"""Reads from AWS's message which kind of policy denied a call, and so where to look.

"... with an explicit deny in a KIND policy" and "... because no KIND policy allows the ACTION action" [IAM user guide,
troubleshoot access denied]. Not every service says so, and of several kinds that deny it names only one. KMS has one
sentence for a key of another account that is not there or does not admit the caller [aws-facts 3, VERIFIED].
"""

from __future__ import annotations

import re

_KIND = re.compile(
    r"(?P<how>explicit deny in an? |because no )"
    r"(?P<kind>service control policy|resource control policy|permissions boundary|session policy|"
    r"identity-based policy|resource-based policy|role trust policy|VPC endpoint policy)"
)
_FOREIGN_KEY = "no resource-based policies allow access"
_CALLER = re.compile(r"arn:[a-z-]+:sts::(\d{12}):")
_OWNER = re.compile(r"on resource: arn:[a-z-]+:[a-z]+:[a-z0-9-]*:(\d{12}):")
SCP, RCP = "service control policy", "resource control policy"
ORGANIZATION = {
    SCP: "A service control policy (SCP) of the organization denies it to every role of account {account}, "
    "regardless of the role's own policies",
    RCP: "A resource control policy (RCP) of the organization of account {account}, which owns the key or role, "
    "denies it to every caller",
}
_EXCEPT = (
    "Ask the administrators of that organization to exempt the role. In the management account: aws organizations "
    "list-policies-for-target --filter {filter} --target-id {account}, and the same for each OU above it"
)
_KEY_LACKS = (
    "`ami-promoter admin key-policy target KEY` (`hub KEY`, if the key is the hub's) shows what it lacks, with "
    "credentials of the key's account"
)


def kind_of(message: str) -> tuple[str, bool]:
    """Return the kind of policy that a message names ("" for none), and whether that policy denies explicitly."""
    if _FOREIGN_KEY in message:
        return "resource-based policy", False
    found = _KIND.search(message)
    return (found["kind"], found["how"].startswith("explicit")) if found else ("", False)


def is_lack(message: str) -> bool:
    """Whether the caller's own policies lack the right, as far as the message says."""
    return kind_of(message) in (("", False), ("identity-based policy", False))


def by_organization(message: str) -> str:
    """Return where a denial by an organization's policy comes from, and the command that lists that policy."""
    kind, _ = kind_of(message)
    found = (_OWNER if kind == RCP else _CALLER).search(message)
    account = found[1] if found else "ACCOUNT"
    where = _EXCEPT.format(filter=kind.replace(" ", "_").upper(), account=account)
    return f"{ORGANIZATION[kind].format(account=account)}. {where}"


def cause(message: str) -> str:
    """Return where a denial comes from and its cure, without a full stop; "" if the message does not say."""
    kind, explicit = kind_of(message)
    if kind in ORGANIZATION:
        return by_organization(message)
    match kind, explicit:
        case "identity-based policy", False:
            return (
                "The role's own policy lacks it: deploy this version's templates (deploy/target.yaml in a target, the "
                "stack in the hub)"
            )
        case "identity-based policy", True:
            return (
                "A policy on the role itself denies it: see aws iam list-role-policies and list-attached-role-policies "
                "for the role"
            )
        case "permissions boundary", _:
            return "The role's permissions boundary denies it: allow there what docs/reference/permissions.md lists"
        case "session policy", False:
            return "The session policy that the service wrote lacks it: report this as an issue"
        case "resource-based policy", _ if _FOREIGN_KEY in message:
            return f"There is no such key in that Region, or the key's own policy does not admit the role: {_KEY_LACKS}"
        case "resource-based policy", _ if "kms:" not in message:
            return "The policy of the resource that the message names denies it, or does not admit the role: change it"
        case "resource-based policy", _:
            return f"The key's own policy does not admit the role: {_KEY_LACKS}"
        case "VPC endpoint policy", _:
            return "The policy of the VPC endpoint that the call went through denies it: change it"
        case _:
            return ""
