"""Reads from one CloudTrail record what was done to a snapshot, an AMI or a key.

The shapes of records are from AWS's documentation and public samples (tests/samples/trail.json names them). They differ
between services and API versions, so a member that cannot be read is left out. A refused call (``errorCode``) is no
action.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from chalicelib.engine import addresses, codec
from chalicelib.engine.places import account_of
from chalicelib.sharing.key_policy import PolicyShare, share_named
from chalicelib.sharing.policy_text import aws_principals, listed, meaning, taken_apart

PUBLIC = "all"
"""Everybody: EC2's group of that name, or ``*`` in a key's policy."""

ACCOUNT_WIDE = "account"
"""Stands for all snapshots or AMIs of the account."""

ELSEWHERE_ONLY = ("kms:calleraccount", "aws:principalaccount", "aws:principalarn")
"""Conditions, in lower case as IAM ignores case, that limit a statement with the principal ``*`` to accounts that they
name. One with a wildcard in place of an account limits nothing."""
TO_ORGANIZATIONS = ("aws:principalorgid", "aws:principalorgpaths")
"""Conditions that limit it to organizations, if they name them all."""
TO_SERVICES = ("aws:sourceaccount", "aws:sourcearn")
"""Conditions that only calls of AWS services meet."""

_ID = re.compile(r"(snap|ami)-[0-9a-f]{1,40}\Z")
_ORGANIZATION = re.compile(r"(o-[a-z0-9]+)(/|\Z)")


class Act(StrEnum):
    """The kinds of actions."""

    ADDED = "added"
    """A permission was added, or a grant made, for the receivers."""
    REMOVED = "removed"
    """A permission or grant of the receivers was removed."""
    CLEARED = "cleared"
    """All permissions on the resource were removed at once."""
    UNBLOCKED = "unblocked"
    """The account's block of public access was disabled."""
    POLICY = "policy"
    """A key's policy was written; the receivers are all whom it admits."""
    DISABLED = "disabled"
    """A key was disabled, or its deletion scheduled."""
    USED = "used"
    """A key, or a shared snapshot, was used."""
    TAGGED = "tagged"
    """The trigger tag was written or removed."""


NAMED = "named "
"""Before the digest of a statement with a hub's name that opens no share: a write of the hub may remove it."""


@dataclass(frozen=True, slots=True)
class TrailAction:
    """One thing that somebody did to one resource. Times are epoch seconds."""

    event: str
    """CloudTrail's id of the event: the same however often it is delivered."""
    request: str
    """AWS's id of the call."""
    name: str
    """The call, as CloudTrail names it."""
    at: int
    region: str
    """Of the resource."""
    principal: str
    """The caller's ARN (for a session, the role's); "ACCOUNT:PRINCIPAL-ID" if CloudTrail shows none."""
    account: str
    """The caller's account; "" if CloudTrail shows none."""
    act: Act
    resource: str
    """Id of a snapshot or AMI, ARN of a key, or ``ACCOUNT_WIDE``."""
    receivers: tuple[str, ...] = ()
    """Account ids, ARNs, ``PUBLIC``, or a grantee as CloudTrail writes it."""
    grant: str = ""
    """A grant's id."""
    by_service: bool = False
    """An AWS service called for the caller."""
    ebs: bool = False
    """The encryption context names a volume or a snapshot of EBS."""
    others: frozenset[str] | None = None
    """Of a key's policy: digests of the statements that open no share of a hub; None: it cannot be read."""

    @property
    def on_key(self) -> bool:
        """Whether the resource is a key."""
        return ":kms:" in self.resource


def is_outside(receiver: str, hub: str) -> bool:
    """Whether a receiver is neither of the hub's account nor an AWS service."""
    return ":organizations:" in receiver or account_of(receiver) not in ("", hub)


def read(record: Mapping[str, Any], trigger_tag: str) -> tuple[TrailAction, ...]:
    """Return the actions of one CloudTrail record (the ``detail`` of the event), one for each resource."""
    reader = _READERS.get(_text(record.get("eventName")))
    at = _epoch(record.get("eventTime"))
    if reader is None or at is None or record.get("errorCode") or not _text(record.get("eventID")):
        return ()
    return tuple(reader(_TrailRecord(record, at, trigger_tag)))


class _TrailRecord:
    """A CloudTrail record, with what all readers need."""

    def __init__(self, record: Mapping[str, Any], at: int, trigger_tag: str) -> None:
        self.raw = record
        self.asked = _mapping(record.get("requestParameters"))
        self.answered = _mapping(record.get("responseElements"))
        self.trigger_tag = trigger_tag
        self._at = at

    @property
    def key(self) -> str:
        """The key's ARN, first from the resources: a request may name the key by its id or alias, or not at all.

        Of ReEncrypt's two keys the resources have the one that decrypts first.
        """
        resources = self.raw.get("resources")
        found = [_text(_mapping(one).get("ARN")) for one in resources] if isinstance(resources, list) else []
        found += [_text(self.asked.get("keyId")), _text(self.answered.get("keyId"))]
        return next((arn for arn in found if ":kms:" in arn and ":key/" in arn), "")

    @property
    def shared(self) -> str:
        """The snapshot or AMI whose permissions are changed; "" if it names none."""
        named = _text(self.asked.get("snapshotId")) or _text(self.asked.get("imageId"))
        return named if _ID.match(named) else ""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The caller."""
        return _mapping(self.raw.get("userIdentity"))

    def action(self, act: Act, resource: str, receivers: Iterable[str] = (), **more: Any) -> TrailAction:
        """Return an action of this record."""
        identity = self.identity
        issuer = _mapping(_mapping(identity.get("sessionContext")).get("sessionIssuer"))
        account = _text(identity.get("accountId"))
        who = _text(issuer.get("arn")) or _text(identity.get("arn"))
        who = who or ":".join(
            filter(None, (account, _text(identity.get("principalId")) or _text(identity.get("type"))))
        )
        context = self.asked.get("sourceEncryptionContext", self.asked.get("encryptionContext"))  # ReEncrypt has two
        return TrailAction(
            event=_text(self.raw.get("eventID")),
            request=_text(self.raw.get("requestID")),
            name=_text(self.raw.get("eventName")),
            at=self._at,
            region=_text(self.raw.get("awsRegion")),
            principal=who or "nobody that CloudTrail names",
            account=account,
            act=act,
            resource=resource,
            receivers=tuple(dict.fromkeys(receivers)),
            by_service=self._by_service(),
            ebs="aws:ebs:id" in _mapping(context),
            **more,
        )

    def _by_service(self) -> bool:
        """Whether an AWS service called for the caller: AWS's samples show that in four places.

        The last is the ARN of EC2's own session for a volume that is attached.
        """
        address, agent = _text(self.raw.get("sourceIPAddress")), _text(self.raw.get("userAgent"))
        through = bool(self.identity.get("invokedBy")) or "AWS Internal" in (agent, address)
        ec2_itself = "aws:ec2-infrastructure" in _text(self.identity.get("arn"))
        return through or address.endswith(".amazonaws.com") or ec2_itself


# --- one reader for each call ----------------------------------------------------------------------------------------


def _sharing(record: _TrailRecord) -> Iterator[TrailAction]:
    """ModifySnapshotAttribute and ModifyImageAttribute; one call may add and remove receivers.

    A snapshot's older form is recorded as the newer one [aws-facts 1d]. No public sample shows an AMI's older form, nor
    where that has the ARNs of organizations and OUs, so they are searched for.
    """
    if not record.shared:
        return
    permission = _mapping(record.asked.get("createVolumePermission")) or _mapping(record.asked.get("launchPermission"))
    older = _text(record.asked.get("operationType"))
    for verb, act in (("add", Act.ADDED), ("remove", Act.REMOVED)):
        receivers = list(_receivers(permission.get(verb)))
        if older == verb:
            receivers += [*_receivers(record.asked.get("userIdSet")), *_receivers(record.asked.get("groupSet"))]
            receivers += [value for value in _leaves(record.asked) if ":organizations:" in value]
        if receivers:
            yield record.action(act, record.shared, receivers)


def _receivers(given: Any) -> Iterator[str]:
    for item in _items(given):
        for name in ("userId", "group", "organizationArn", "organizationalUnitArn"):
            if value := _text(item.get(name)):
                yield value


def _reset(record: _TrailRecord) -> Iterator[TrailAction]:
    if record.shared:
        yield record.action(Act.CLEARED, record.shared)


def _unblocked(record: _TrailRecord) -> Iterator[TrailAction]:
    yield record.action(Act.UNBLOCKED, ACCOUNT_WIDE, (PUBLIC,))


def _granted(record: _TrailRecord) -> Iterator[TrailAction]:
    """CreateGrant; one to an AWS service may name for whose resource the service acts [KMS API, GrantConstraints]."""
    source = _text(_mapping(record.asked.get("constraints")).get("sourceArn"))
    grantee, grant = _text(record.asked.get("granteePrincipal")) or source, _text(record.answered.get("grantId"))
    if record.key:
        yield record.action(Act.ADDED, record.key, (grantee,) if grantee else (), grant=grant)


def _grant_ended(record: _TrailRecord) -> Iterator[TrailAction]:
    """RevokeGrant and RetireGrant, which may have no parameters [aws-facts 1d, VERIFIED]."""
    grant = _text(record.asked.get("grantId")) or _text(_mapping(record.raw.get("additionalEventData")).get("grantId"))
    if record.key:
        yield record.action(Act.REMOVED, record.key, grant=grant)


def _policy(record: _TrailRecord) -> Iterator[TrailAction]:
    if record.key:
        policy = _text(record.asked.get("policy"))
        receivers, others = admitted(statements_of(policy)), of_others(policy, account_of(record.key))
        yield record.action(Act.POLICY, record.key, receivers, others=others)


def _of_key(act: Act) -> Callable[[_TrailRecord], Iterable[TrailAction]]:
    """Return the reader of calls that do this to a key, and from which nothing else is read."""
    return lambda record: [record.action(act, record.key)] if record.key else ()


_disabled, _key_used = _of_key(Act.DISABLED), _of_key(Act.USED)


def _share_used(record: _TrailRecord) -> Iterator[TrailAction]:
    """EC2's own event, which the snapshot's owner and its user both get: the user is the caller [aws-facts 1b]."""
    user = _text(record.identity.get("accountId"))
    snapshot = _text(_mapping(record.raw.get("serviceEventDetails")).get("snapshotId"))
    if user != _text(record.raw.get("recipientAccountId")) and _ID.match(snapshot):
        yield record.action(Act.USED, snapshot, (user,) if user else ())


def _copied(record: _TrailRecord) -> Iterator[TrailAction]:
    """CopySnapshot, which CloudTrail also shows to the owner of the source [aws-facts 1d, VERIFIED].

    It is called in the copy's Region; the snapshot that was used may be in another.
    """
    caller = _text(record.identity.get("accountId"))
    snapshot = _text(record.asked.get("sourceSnapshotId"))
    if caller and caller != _text(record.raw.get("recipientAccountId")) and _ID.match(snapshot):
        used = record.action(Act.USED, snapshot, (caller,))
        yield replace(used, region=_text(record.asked.get("sourceRegion")) or used.region)


def _tagged(record: _TrailRecord) -> Iterator[TrailAction]:
    """CreateTags and DeleteTags with the trigger tag's key; a DeleteTags without keys deletes every tag."""
    keys = {_text(item.get("key")) for item in _items(record.asked.get("tagSet"))}
    every = record.raw.get("eventName") == "DeleteTags" and not keys
    if not every and record.trigger_tag not in keys:
        return
    for item in _items(record.asked.get("resourcesSet")):
        ident = _text(item.get("resourceId"))
        if ident.startswith("ami-") and _ID.match(ident):
            yield record.action(Act.TAGGED, ident)


_READERS = {
    "ModifySnapshotAttribute": _sharing,
    "ModifyImageAttribute": _sharing,
    "ResetSnapshotAttribute": _reset,
    "ResetImageAttribute": _reset,
    "DisableSnapshotBlockPublicAccess": _unblocked,
    "DisableImageBlockPublicAccess": _unblocked,
    "CreateGrant": _granted,
    "RevokeGrant": _grant_ended,
    "RetireGrant": _grant_ended,
    "PutKeyPolicy": _policy,
    "DisableKey": _disabled,
    "ScheduleKeyDeletion": _disabled,
    "Decrypt": _key_used,
    "GenerateDataKey": _key_used,
    "GenerateDataKeyWithoutPlaintext": _key_used,
    "GenerateDataKeyPair": _key_used,
    "GenerateDataKeyPairWithoutPlaintext": _key_used,
    "ReEncrypt": _key_used,
    "CreateTags": _tagged,
    "DeleteTags": _tagged,
    "CopySnapshot": _copied,
    "SharedSnapshotCopyInitiated": _share_used,
    "SharedSnapshotVolumeCreated": _share_used,
}
"""The calls and events that the monitor reads; the rules in ``.chalice/extras/monitor.yaml`` forward these."""

NAMES = frozenset(_READERS)


# --- a key's policy --------------------------------------------------------------------------------------------------


def statements_of(policy: str) -> list[Any]:
    """Return the statements of a key's policy; none if it cannot be read."""
    try:
        return listed(codec.parsed_json(policy)["Statement"])
    except (ValueError, KeyError, TypeError):
        return []


def admitted(statements: Iterable[Any]) -> tuple[str, ...]:
    """Return whom a policy's statements admit: accounts, organizations, PUBLIC. A deleted principal is nobody."""
    found: set[str] = set()
    for statement in statements:
        one = _mapping(statement)
        if one.get("Effect") != "Allow":
            continue
        if "NotPrincipal" in one:
            found.add(PUBLIC)
        for name in aws_principals(one.get("Principal")):
            found |= _everybody(_mapping(one.get("Condition"))) if name == "*" else {account_of(name)}
    return tuple(sorted(found - {""}))


def share_of(statement: Mapping[str, Any], hub: str) -> PolicyShare | None:
    """Return the share that a statement opens; None if its Sid is not the hub's, or it admits another account.

    ``hub``: ``hub_sid``, or a pattern of several.
    """
    share = share_named(str(statement.get("Sid", "")), hub)
    return share if share is not None and {share.account}.issuperset(admitted([statement])) else None


def of_others(policy: str, account: str) -> frozenset[str] | None:
    """Return digests of the statements in a key's policy that open no share of this account's hubs; None: unreadable.

    KMS may show a statement in another form than it was written in; both have one digest. That of a statement with a
    hub's name begins with ``NAMED``.
    """
    hubs = f"{account}[a-z0-9]+"
    try:
        parts = taken_apart(policy)
        if isinstance(parts, str):
            return None
        said = [(part.sid, meaning(part.value)) for part in parts.parts if share_of(part.value, hubs) is None]
    except RecursionError:
        return None
    return frozenset(
        f"{NAMED if share_named(sid, hubs) else ''}{addresses.digest(one, length=12)}" for sid, one in said
    )


def _everybody(condition: Mapping[str, Any]) -> set[str]:
    """Return whom ``*`` means under a condition: the accounts or organizations that it names, nobody, or everybody."""
    accounts, organizations = set[str](), set[str]()
    narrowed = False
    for name, tests in condition.items():
        operator = name.removeprefix("ForAnyValue:")  # without such a prefix no operator meets aws:PrincipalOrgPaths
        if operator.startswith(("StringEquals", "StringLike", "ArnEquals", "ArnLike")) and "IfExists" not in operator:
            for key, values in _mapping(tests).items():
                named = [_text(value) for value in listed(values)]
                known = {account_of(value) for value in named}
                if key.lower() in ELSEWHERE_ONLY and "" not in known:
                    accounts |= known
                found = [_ORGANIZATION.match(value) for value in named] if key.lower() in TO_ORGANIZATIONS else [None]
                organizations |= {one[1] for one in found if one} if all(found) else set()
                narrowed = narrowed or all(found) or key.lower() in TO_SERVICES
    return accounts or organizations or (set() if narrowed else {PUBLIC})


# --- tolerant reading ------------------------------------------------------------------------------------------------


def _items(given: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the members of a set: ``{"items": [...]}``, or a bare list."""
    listed = given.get("items") if isinstance(given, Mapping) else given
    yield from (one for one in (listed if isinstance(listed, list) else []) if isinstance(one, Mapping))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for child in children:
        yield from _leaves(child)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _epoch(time: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None
