"""Reads ledger items, and the names of the service's grants and statements, as facts for `admin reconcile`. Pure.

No other module of `admin reconcile` knows these formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ami_promoter.reconcile.facts import Grant, PolicyStatement
from chalicelib.engine.addresses import GONE_WITH_RESOURCE
from chalicelib.engine.places import Arn
from chalicelib.sharing import key_policy
from chalicelib.sharing.grant_names import GRANT_PREFIX, service_role
from chalicelib.sharing.key_policy import Access
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import OPEN_STATES, Share

_NAME = f"{GRANT_PREFIX}(?P<region>[a-z0-9-]+):%s:(?P<intended_at>[0-9]+)"
_GRANT = re.compile(_NAME % "(?:(?P<delivery>[0-9a-f]{20})(?:-[^:\\s]+)?|[0-9]{12})")
_ROLE_GRANT = re.compile(_NAME % r"(?P<delivery>)[^:\s]+/[^:\s]+")


def had_open(entry: Mapping[str, Any]) -> bool:
    """Whether the last entry of a share's history says that it was open, or gone with its resource; not preexisting."""
    open_or_gone = entry.get("state") in OPEN_STATES or entry.get(GONE_WITH_RESOURCE) is True
    return open_or_gone and entry.get("preexisting") is False


def grant_of(key: str, seen: SeenGrant, hub: str, region: str) -> Grant | None:
    """Read a grant that KMS shows on a key; None if its name or issuer is not the service's.

    The name contains the hub's Region: ``region`` is this hub's. The hub issues the grants for targets; an account
    issues the grants for its own service-linked roles.
    """
    account = Arn.parse(seen.grantee).account or seen.grantee
    of_role = service_role(seen.grantee)
    named = (_ROLE_GRANT if of_role else _GRANT).fullmatch(seen.name)
    issuer = f"::{account if of_role else hub}:"
    if not named or named["region"] != region or issuer not in seen.issuer:
        return None
    return Grant(key, seen.id, named["delivery"] or "", int(named["intended_at"]), account, seen.grantee)


def is_of(share: Share, grant: Grant) -> bool:
    """Whether the ledger's share is this grant: compares the ids or, if the ledger has none, the time in the name."""
    return share.grant_id == grant.id or (not share.grant_id and share.intended_at == grant.intended_at)


def statements_of(key: str, text: str, hub: str) -> tuple[PolicyStatement, ...] | str:
    """Find the service's statements in a key policy, or return why it cannot be read. ``hub``: its ``hub_sid``."""
    document = key_policy.read(key, text, hub)
    if not isinstance(document, key_policy.Document):
        return document.what
    shares = sorted({share for sid in document.sids if (share := key_policy.share_named(sid, hub))}, key=str)
    bare = [Access(*share, "", hub) for share in shares]
    found = [replace(access, principal=next(_principals(document, access), "")) for access in bare]
    return tuple(
        PolicyStatement(key, one.share_name, one.account, one.principal, complete=document.gives(one)) for one in found
    )


def _principals(document: key_policy.Document, access: Access) -> Iterator[str]:
    """Yield the principals of an access's statements: the role in the condition, or else the account.

    KMS may show a list of one for a text, and an account's id for its root.
    """
    for part in document.policy.parts:
        if part.sid in access.sids:
            condition = part.value.get("Condition")
            equal = condition.get("ArnEquals") if isinstance(condition, dict) else None
            role = equal.get("aws:PrincipalArn") if isinstance(equal, dict) else None
            match role:
                case str(one) | [str(one)]:
                    yield one
                case _:
                    root = str(Arn(Arn.parse(document.key).partition, "iam", "", access.account, "root"))
                    yield from (root if one == access.account else one for one in sorted(part.principals))
