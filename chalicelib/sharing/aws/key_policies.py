"""The permission adapter for key access by policy: the service's statements in a source key's policy.

PutKeyPolicy replaces the whole document and accepts no condition [aws-facts 3, VERIFIED], so the last put wins.
These rules protect the edit of a person or a stack:

- a put is based on a document that was read twice, the second time right before it; where the two differ in meaning,
  it begins again;
- each put edits what is there now: an older document is never put again, and the SDK does not repeat one;
- a read that does not show what this process, or by the ledger another one, has done to the key within a minute may be
  a late one: nothing is put onto it, and it is looked at again soon;
- after a put the policy is read again. If the service's statement does not show (late, or removed by another edit),
  it is put once more, into what is there by then. The next put also removes each statement of this hub that
  the ledger does not need.

One risk remains: an edit between the second read and the put, or one that this read does not show yet, is lost without
a trace. That window is one call. In the other direction, an edit that was read before the put and written after it
removes the service's statement: the next look shows that, and later a copy that fails.

One message group works on a key at a time, so two promotions do not race each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from chalicelib.engine.aws.refusals import KEY_GONE, as_refusal, code_of
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.sharing import key_policy
from chalicelib.sharing.holders import needed
from chalicelib.sharing.key_policy import Access, Document, PolicyShare
from chalicelib.sharing.outstanding import POLICY_SHOWS_WITHIN
from chalicelib.sharing.ports import Ledger
from chalicelib.sharing.share import Share, ShareState

POLICY = "default"
"""The only name that a key's policy can have."""
ROUNDS = 4
"""Tries after edits by others in a row; then the service waits for a while."""
NAMED = 8
"""How many principals a message lists."""


class PolicyStatements:
    """The port ``PermissionAdapter`` for ``resource#policy#<arn>``: its statements, known by their Sid."""

    batch = 50

    def __init__(self, sessions: Sessions, ledger: Ledger, hub: str, region: str) -> None:
        self._sessions = sessions
        self._ledger = ledger
        self._last: dict[str, tuple[float, frozenset[str]]] = {}
        self._hub = hub
        self._hub_sid = key_policy.hub_sid(hub, region)
        self._where = f"account {hub} (hub), {region}"

    def showing(self, shares: Sequence[Share]) -> frozenset[str]:
        document = self._unless_gone(shares[0].on.arn)
        return frozenset(s.share_name for s in shares if document is not None and document.shows(self._access(s)))

    def open(self, shares: Sequence[Share]) -> Mapping[str, str]:
        """It does not put a statement that is there already: safe to repeat."""
        closing = [s for s in shares if s.state is ShareState.CLOSING]
        opening = [s for s in shares if s.state is not ShareState.CLOSING]
        self._edit(self._read(shares[0].on.arn), opening, closing)
        return {}

    def close(self, shares: Sequence[Share]) -> bool:
        document = self._unless_gone(shares[0].on.arn)
        if document is not None:
            self._edit(document, (), shares)
        return False

    def _edit(self, document: Document, opening: Sequence[Share], closing: Sequence[Share]) -> None:
        """Put the edited policy until a read shows it, by the rules above. Raises Refusal if none does."""
        wanted, unwanted = [self._access(s) for s in opening], [self._access(s) for s in closing]
        for _ in range(ROUNDS):
            others = self._others((*opening, *closing))
            if self._is_late(document, opening, closing, others):
                break
            if _is_done(document, wanted, unwanted):
                return
            known = [*wanted, *unwanted, *(self._access(s) for s in others if needed(s))]
            unrecorded = document.sids.difference(*(one.sids for one in known))
            text = key_policy.edited(document, wanted, unwanted, unrecorded)
            if isinstance(text, Fault):
                raise Refusal(RefusalKind.DENIED, text)
            latest = self._read(document.key)
            if latest.is_as(document):
                self._put(document, text, wanted)
                latest = self._read(document.key)
                if _is_done(latest, wanted, unwanted):
                    return
            document = latest
        what = "The policy does not show what the service wrote: the read is late, or somebody else is changing it."
        cure = "If this lasts, look for PutKeyPolicy in CloudTrail to see who changes this policy."
        raise Refusal(RefusalKind.THROTTLED, Fault("key-policy-not-shown", document.key, what, cure))

    def _others(self, mine: Sequence[Share]) -> list[Share]:
        """Read the ledger: the shares of this key that are not in hand just now."""
        names = {s.share_name for s in mine}
        return [s for s in self._ledger.shares(mine[0].resource) if s.share_name not in names]

    def _is_late(
        self, document: Document, opening: Sequence[Share], closing: Sequence[Share], others: Sequence[Share]
    ) -> bool:
        """Whether a document lacks what was done so shortly ago that it may only not show yet."""
        since = self._sessions.now() - POLICY_SHOWS_WITHIN
        at, sids = self._last.get(document.key, (0.0, document.sids))
        opened = [*closing, *(s for s in others if s.state is ShareState.OPEN)]
        closed = [*opening, *(s for s in others if s.state is ShareState.CLOSED)]
        return (
            (at > since and sids != document.sids)
            or any((s.opened_at or 0) > since and not document.shows(self._access(s)) for s in opened)
            or any((s.closed_at or 0) > since and document.shows(self._access(s)) for s in closed)
        )

    def _unless_gone(self, key: str) -> Document | None:
        """Read the policy; None where the key is gone, and what was open with it."""
        try:
            return self._read(key)
        except Refusal as refusal:
            if code_of(refusal) == KEY_GONE:
                return None
            raise

    def _read(self, key: str) -> Document:
        if (foreign := key_policy.foreign_key(key, self._hub)) is not None:
            raise Refusal(RefusalKind.DENIED, foreign)
        with as_policy_refusal("GetKeyPolicy", f"{self._where}, {key}"):
            text = policy_of(self._sessions, key)
        document = key_policy.read(key, text, self._hub_sid)
        if isinstance(document, Fault):
            raise Refusal(RefusalKind.DENIED, document)
        return document

    def _put(self, before: Document, text: str, accesses: Sequence[Access]) -> None:
        """Put a policy, once. The lockout check stays on: none is put after which its owner could not put another."""
        named = {*before.principals, *(f"account {access.account}" for access in accesses)}
        with as_policy_refusal("PutKeyPolicy", f"{self._where}, {before.key}", named):
            kms = self._sessions.own("kms", once=True, region=Arn.parse(before.key).region)
            kms.put_key_policy(KeyId=before.key, PolicyName=POLICY, Policy=text)
        after = key_policy.read(before.key, text, self._hub_sid)
        if isinstance(after, Document):
            self._last[before.key] = (self._sessions.now(), after.sids)

    def _access(self, share: Share) -> Access:
        return Access(*PolicyShare.parse(share.share_name), share.grantee, self._hub_sid)


def policy_of(sessions: Sessions, key: str) -> str:
    """Read a key's policy under the function's own role; an error is boto3's."""
    return str(sessions.own("kms", region=Arn.parse(key).region).get_key_policy(KeyId=key, PolicyName=POLICY)["Policy"])


def _is_done(document: Document, wanted: Sequence[Access], unwanted: Sequence[Access]) -> bool:
    return all(map(document.gives, wanted)) and not any(map(document.shows, unwanted))


@contextmanager
def as_policy_refusal(step: str, where: str, principals: Collection[str] = ()) -> Iterator[None]:
    """Turn errors of the two calls into refusals with cures for key policies; see ``as_refusal``.

    ``principals``: the principals in the document, one of which KMS may not find.
    """
    try:
        with as_refusal(step, where):
            yield
    except Refusal as refusal:
        fault = _explained(code_of(refusal), refusal.fault, sorted(principals))
        raise Refusal(refusal.kind, fault, unknown=refusal.unknown) from refusal.__cause__


def _explained(aws: str, as_refusal: Fault, principals: Sequence[str]) -> Fault:
    """Return the fault with a cure for key policies, if there is one for AWS's code; else unchanged."""
    where, what = as_refusal.where, as_refusal.what
    grant = f"or {key_policy.GRANT_INSTEAD}; then tag the AMI again."
    match aws:
        case "AccessDeniedException":
            cure = (
                "Deploy the hub with this key in the parameter PolicyKeyArns. If it is there: let the key's policy "
                "delegate to IAM, or name the roles of `worker` and `share-worker` there; look for a service control "
                f"policy; {grant}"
            )
            return Fault("key-policy-denied", where, what, cure)
        case "LimitExceededException":
            return Fault("key-policy-too-large", where, what, f"Remove statements that are not needed, {grant}")
        case "MalformedPolicyDocumentException" if "principal" in what:
            more = f" and {len(principals) - NAMED} more" if len(principals) > NAMED else ""
            cure = (
                "KMS cannot see one of the principals that the policy would name: "
                f"{', '.join(principals[:NAMED])}{more}. An "
                "account may be closed, a role or user deleted: take it out of the policy or of the targets file, "
                f"{grant}"
            )
            return Fault("key-policy-invalid-principal", where, what, cure)
        case "MalformedPolicyDocumentException":
            cure = (
                "Look at the policy (aws kms get-key-policy) and repair it (KMS no longer accepts a statement "
                f'without an Action or the Resource "*"), {grant}'
            )
            return Fault("key-policy-malformed", where, what, cure)
        case "DisabledException" | "KMSInvalidStateException":
            cure = "Look at the key's state (aws kms describe-key), enable it; then tag the AMI again."
            return Fault("key-policy-key-state", where, what, cure)
        case "NotFoundException":
            cure = "The key was deleted, so its data is lost: build the image again."
            return Fault("key-policy-key-gone", where, what, cure)
        case _:
            return as_refusal
