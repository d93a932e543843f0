"""Key access by policy: the service's statements in a source key's policy, known by their Sid.

PutKeyPolicy replaces the whole document and has no condition [aws-facts 3, VERIFIED]. So the service edits the document
as text, leaves other statements as they are, and refuses a document that it cannot parse safely.

An audience says whom a statement admits. It is the last part of a share's ``share_name`` on ``resource#policy#KEY``:

- ``ACCOUNT``: the copy role, while it copies (with ``grantee: account`` any role that the account allows);
- ``ACCOUNT-share``: the whole account, so that its administrators pass it on (share mode);
- ``ACCOUNT-roles``: the target's grant role, to make grants on the key for the account's service-linked roles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import Arn
from chalicelib.sharing.policy_text import Part, PolicyText, meaning, rebuilt, taken_apart

LIMIT = 32_768
"""Most bytes of a key policy, blanks included; not adjustable [aws-facts 3, VERIFIED]."""

SID_SHOWN = 80
"""Letters of a Sid that a message shows."""

GRANT_INSTEAD = "set `key_access: grant` in the targets file, which leaves the key policy alone"

USE = ("kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:CreateGrant")
"""With ReEncrypt and DescribeKey, the actions that AWS lists for users of a shared key [aws-facts 2, VERIFIED]."""

FOR_ROLES = (
    "Encrypt",
    "Decrypt",
    "ReEncryptFrom",
    "ReEncryptTo",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "DescribeKey",
    "CreateGrant",
)
"""The operations that AWS lists for a grant to AWSServiceRoleForAutoScaling on another account's key [aws-facts 3].
"""

DEAD = re.compile("A(ROA|IDA)[A-Z0-9]{12,}")
"""A principal that was a role or user and has been deleted [aws-facts 3]."""


class Audience(StrEnum):
    """The receiver of a statement; the value is the end of its Sid."""

    COPIES = "Copies"
    ACCOUNT = "Account"
    ROLES = "Roles"


_SUFFIX = {Audience.COPIES: "", Audience.ACCOUNT: "-share", Audience.ROLES: "-roles"}


def hub_sid(account: str, region: str) -> str:
    """Return the part of a Sid that names the hub, in letters and digits only.

    Two hubs in two Regions of one account may have statements in one key's policy, and neither removes the other's.
    """
    return f"{account}{region.replace('-', '')}"


@dataclass(frozen=True, slots=True)
class Access:
    """What one share opens. ``principal``: ARN of a role, or of the root for the account; ``hub``: ``hub_sid``."""

    account: str
    audience: Audience
    principal: str
    hub: str

    @property
    def share_name(self) -> str:
        """The ``share_name`` of its share."""
        return str(PolicyShare(self.account, self.audience))

    @property
    def sids(self) -> frozenset[str]:
        """The Sids of its statements."""
        return frozenset({self.sid} if self.audience is Audience.ROLES else {self.sid, f"{self.sid}Look"})

    @property
    def sid(self) -> str:
        """The Sid of its first statement."""
        return f"AmiPromoter{self.hub}To{self.account}{self.audience}"


class PolicyShare(NamedTuple):
    """The ``share_name`` of an access. Whatever ends as none of the three is read as for ``Audience.COPIES``."""

    account: str
    audience: Audience

    @classmethod
    def parse(cls, name: str) -> PolicyShare:
        """Read a ``share_name``."""
        account, dash, suffix = name.partition("-")
        return cls(account, next((a for a in Audience if _SUFFIX[a] == dash + suffix), Audience.COPIES))

    def __str__(self) -> str:
        return f"{self.account}{_SUFFIX[self.audience]}"


def share_named(sid: str, hub: str) -> PolicyShare | None:
    """Return the share that a Sid names; None if the statement is not this hub's."""
    found = re.fullmatch(f"AmiPromoter{hub}To([0-9]{{12}})({'|'.join(Audience)})(Look)?", sid)
    return PolicyShare(found[1], Audience(found[2])) if found else None


def statements(access: Access) -> tuple[dict[str, Any], ...]:
    """Return the statements that give an access, as narrow as a key policy allows.

    - The principal is always the account, and a condition names the role: a principal that is deleted makes every later
      PutKeyPolicy fail, and one that does not exist yet is refused [aws-facts 3].
    - ``kms:ViaService`` names EC2 without a Region: AWS does not document which Region a copy to another Region has.
    - DescribeKey is called directly as well as through EC2, so it has a statement without that condition.
    """
    partition = Arn.parse(access.principal).partition or "aws"
    iam = Arn(partition, "iam", "", access.account)
    sid = access.sid
    only = {} if access.principal.endswith(":root") else {"ArnEquals": {"aws:PrincipalArn": access.principal}}
    if access.audience is Audience.ROLES:
        return (
            allow(
                sid,
                iam,
                "kms:CreateGrant",
                {
                    **only,
                    "StringLike": {"kms:GranteePrincipal": f"{iam}role/aws-service-role/*"},
                    "ForAllValues:StringEquals": {"kms:GrantOperations": list(FOR_ROLES)},
                },
            ),
        )
    through_ec2 = {
        **only,
        "StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"},
        "BoolIfExists": {"kms:GrantIsForAWSResource": "true"},
    }
    re_encrypt = "kms:ReEncryptFrom" if access.audience is Audience.COPIES else "kms:ReEncrypt*"
    return (allow(sid, iam, [*USE, re_encrypt], through_ec2), allow(f"{sid}Look", iam, "kms:DescribeKey", only))


def allow(sid: str, iam: Arn, action: str | list[str], condition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement; ``iam``: an ARN without a resource, of its account. The principal is the account."""
    said = {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": f"{iam}root"}, "Action": action, "Resource": "*"}
    return {**said, "Condition": dict(condition)} if condition else said


# --- documents -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Document:
    """The policy of a key (ARN) as KMS returned it; ``hub``: ``hub_sid``."""

    key: str
    policy: PolicyText
    hub: str

    @property
    def sids(self) -> frozenset[str]:
        """The Sids of this hub's statements."""
        return frozenset(part.sid for part in self.policy.parts if self._is_own(part))

    @property
    def shares(self) -> frozenset[PolicyShare]:
        """The shares that this hub's statements open, by their Sids."""
        return frozenset(share for part in self.policy.parts if (share := share_named(part.sid, self.hub)))

    def _is_own(self, part: Part) -> bool:
        return bool(share_named(part.sid, self.hub))

    @property
    def principals(self) -> tuple[str, ...]:
        """All principals that it names, also in this hub's statements."""
        return tuple(sorted({name for part in self.policy.parts for name in part.principals}))

    def shows(self, one: Access) -> bool:
        """Whether it has any statement of the access."""
        return not one.sids.isdisjoint(self.sids)

    def gives(self, one: Access) -> bool:
        """Whether it has the access exactly as the service writes it, each statement once."""
        mine = [part.value for part in self.policy.parts if part.sid in one.sids]
        return sorted(map(meaning, mine)) == sorted(map(meaning, statements(one)))

    def is_as(self, other: Document) -> bool:
        """Whether both mean the same. KMS may list principals in another order at each read [aws-facts 3]."""
        mine, theirs = (sorted(meaning(part.value) for part in one.policy.parts) for one in (self, other))
        return mine == theirs and meaning(self.policy.rest) == meaning(other.policy.rest)

    @property
    def others(self) -> tuple[str, list[str]]:
        """What it means without this hub's statements."""
        theirs = sorted(meaning(part.value) for part in self.policy.parts if not self._is_own(part))
        return meaning(self.policy.rest), theirs


def read(key: str, text: str, hub: str) -> Document | Fault:
    """Parse a key policy; a fault if that is not safe. ``key``: its ARN, for messages; ``hub``: ``hub_sid``."""
    policy = taken_apart(text)
    return _unreadable(key, policy) if isinstance(policy, str) else Document(key, policy, hub)


def edited(
    document: Document, wanted: Collection[Access], unwanted: Collection[Access] = (), unrecorded: Collection[str] = ()
) -> str | Fault:
    """Return the text with the ``wanted`` accesses added and the ``unwanted`` ones removed.

    ``unrecorded``: Sids of further statements to remove. A wanted access that it has already is left alone. A fault if
    the document would be too large or empty, or if a deleted principal in it would make PutKeyPolicy fail.
    """
    lacking = [one for one in {one.share_name: one for one in wanted}.values() if not document.gives(one)]
    new = [json.dumps(statement, separators=(",", ":")) for one in lacking for statement in statements(one)]
    without = frozenset(unrecorded).union(*(one.sids for one in (*lacking, *unwanted)))
    text = rebuilt(document.policy, without, new)
    size = len(text.encode())
    if new and size > LIMIT:
        what = (
            f"its policy would have {size} bytes with {count(len(new), 'statement')} of the service for "
            f"{_names(lacking)}; a key policy "
            f"has at most {LIMIT}."
        )
        cure = f"Remove statements that are not needed, or {GRANT_INSTEAD}; then tag the AMI again."
        return Fault("key-policy-too-large", document.key, what, cure)
    if not new and document.policy.parts and all(part.sid in without for part in document.policy.parts):
        what = "its policy has only the service's statements, and KMS accepts no policy that locks everybody out."
        cure = "Add the owner's administration statement again: Principal the account's root, Action kms:*."
        return Fault("key-policy-would-be-empty", document.key, what, cure)
    return _put_fit(document, text)


def faults(key: str, hub: str, region: str, text: str | Fault, wanted: Collection[Access]) -> tuple[Fault, ...]:
    """Return why these accesses cannot be added to a key's policy; empty if they can.

    ``hub`` and ``region`` are the hub's; ``text``: the policy, or why it could not be read.
    """
    if (foreign := foreign_key(key, hub)) is not None:
        return (foreign,)
    if isinstance(text, Fault):
        return (text,)
    document = read(key, text, hub_sid(hub, region))
    if isinstance(document, Fault):
        return (document,)
    dead = tuple(dead_principals(document))
    after = edited(document, wanted)
    return (*dead, *([after] if isinstance(after, Fault) and after not in dead else []))


def foreign_key(key: str, hub: str) -> Fault | None:
    """Return the fault of another account's key: PutKeyPolicy works in the key's own account only [aws-facts 3]."""
    account = Arn.parse(key).account
    if account == hub:
        return None
    what = f"it belongs to account {account}; a key's policy can be read and put in its own account only, not by {hub}."
    cure = (
        "Have that account's owner let the targets use the key and set `key_access: none` in the targets file; or "
        "re-encrypt the image under a key of the hub."
    )
    return Fault("key-policy-foreign", key, what, cure)


def dead_principals(document: Document) -> Iterator[Fault]:
    """Yield a fault for each deleted principal: with it in the document every PutKeyPolicy fails, the owner's too."""
    for number, part in enumerate(document.policy.parts, 1):
        for name in sorted(filter(DEAD.fullmatch, part.principals)):
            what = (
                f"{_named(part, number)} in its policy names {name}, a role or user that was deleted. KMS accepts "
                "no policy with such a principal, so nobody can change this one."
            )
            cure = (
                f"Take {name} out, or name its successor: aws kms get-key-policy and put-key-policy. Or "
                f"{GRANT_INSTEAD}. Then tag the AMI again."
            )
            yield Fault("key-policy-dead-principal", document.key, what, cure)


def _put_fit(document: Document, text: str) -> str | Fault:
    if text == document.policy.text:
        return text
    for fault in dead_principals(document):
        return fault
    after = read(document.key, text, document.hub)
    if isinstance(after, Fault) or after.others != document.others:
        return _unreadable(document.key, "editing it would have changed statements of others")
    return text


def _names(wanted: Sequence[Access]) -> str:
    accounts = sorted({one.account for one in wanted})
    return f"account {accounts[0]}" if len(accounts) == 1 else count(len(accounts), "account")


def _unreadable(key: str, why: str) -> Fault:
    what = f"its policy cannot be changed safely: {why}."
    cure = f"Look at it (aws kms get-key-policy) and repair it, or {GRANT_INSTEAD}; then tag the AMI again."
    return Fault("key-policy-unreadable", key, what, cure)


def _named(part: Part, number: int) -> str:
    sid = part.sid if len(part.sid) <= SID_SHOWN else f"{part.sid[:SID_SHOWN]}…"
    return f"The statement {sid!r}" if part.sid else f"Statement {number}, which has no Sid,"
