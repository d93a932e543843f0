"""Whether an action on a resource is expected, and if not, how bad it is.

An action of the service is expected if the ledger has its intent: the share worker was about to open or close the share
at that time (invariant 3). As that role can also write the ledger, the applied file, which no function can write, must
list the account that the action admits.

An action of anybody else is judged by whom it admits, and by what it removes that the service needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from chalicelib.engine import schedule
from chalicelib.engine.places import Arn, account_of
from chalicelib.monitor.trail_actions import NAMED, PUBLIC, Act, TrailAction, is_outside
from chalicelib.monitor.verdicts import ActionVerdict, MonitorFinding
from chalicelib.sharing.share import OPEN_STATES, Share, ShareState

BEFORE = 15 * schedule.MINUTE
"""An intent may be so much older than its call: the run was slow, or was killed and repeated."""
AFTER = 1 * schedule.MINUTE
"""An intent may seem so much newer than its call: two clocks, and CloudTrail's whole seconds."""
STILL_USED = 15 * schedule.MINUTE
"""A use of a share is expected for so long after it has closed: CloudTrail's event is late."""

_S = ShareState

_no_intent = partial(MonitorFinding, ActionVerdict.NO_INTENT)
_stranger = partial(MonitorFinding, ActionVerdict.STRANGER)
_vanished = partial(MonitorFinding, ActionVerdict.VANISHED)
_listed = partial(MonitorFinding, ActionVerdict.LISTED)
_expected = partial(MonitorFinding, ActionVerdict.EXPECTED)


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger or its archive knows of one share. ``steps``: when (epoch seconds) it entered which state."""

    share_name: str
    account: str
    grantee: str = ""
    grants: frozenset[str] = frozenset()
    preexisting: bool = False
    steps: tuple[tuple[int, ShareState], ...] = ()

    def state(self, at: int) -> ShareState | None:
        """Return its state at a moment; None: it did not exist yet."""
        return next((state for time, state in reversed(self.steps) if time <= at), None)

    def was(self, states: Collection[ShareState], at: int, before: int = 0, after: int = 0) -> bool:
        """Whether it was in one of these states at some time between ``at - before`` and ``at + after``."""
        came = any(at - before <= time <= at + after and state in states for time, state in self.steps)
        return came or self.state(at - before) in states


def known(share: Share, steps: Iterable[tuple[int, ShareState]]) -> Known:
    """Combine a share's item, live or archived, with the steps in its history."""
    own = [(share.intended_at, _S.OPENING), (share.opened_at, _S.OPEN)]
    reported = [(time, state) for time, state in own if time]
    return Known(
        share.share_name,
        share.account,
        share.grantee,
        frozenset({share.grant_id} - {""}),
        share.preexisting,
        in_order({*reported, *steps}),
    )


def in_order(steps: Collection[tuple[int, ShareState]]) -> tuple[tuple[int, ShareState], ...]:
    """Sort steps by time; those of one second as the states follow each other."""
    return tuple(sorted(steps, key=lambda step: (step[0], list(_S).index(step[1]))))


@dataclass(frozen=True, slots=True)
class SeenPolicy:
    """A key's policy as an event of the trail has shown it. ``at``: when it was written (epoch seconds)."""

    at: int
    admitted: frozenset[str]
    """Whom it admits."""
    others: frozenset[str] = frozenset()
    """Digests of the statements in it that open no share of a hub; empty: they are not known."""
    principal: str = ""
    """Who wrote it; "" if that is no longer known."""
    event: str = ""
    """CloudTrail's id of the event."""


def seen_policy(action: TrailAction) -> SeenPolicy:
    """Return what the event of a PutKeyPolicy shows."""
    admitted, others = frozenset(action.receivers), action.others or frozenset()
    return SeenPolicy(action.at, admitted, others, action.principal, action.event)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an action is judged by."""

    hub: str
    region: str
    """The hub's account and Region."""
    shares: Sequence[Known] = ()
    """The resource's shares for the accounts that the action concerns."""
    strangers: frozenset[str] = frozenset()
    """Those of the receivers and the caller's account that the applied file does not list."""
    changed_at: int = 0
    """Since when the applied file is in force; the one before may have listed others."""
    builders: frozenset[str] = frozenset()
    """ARNs of the roles that build, tag and use golden AMIs in the hub."""
    siblings: frozenset[str] = frozenset()
    """Regions in which the account has another hub."""
    source_key: bool = False
    """The service has opened or closed shares on this key."""
    policies: Sequence[SeenPolicy] = ()
    """The key's policies that were written last before the action, or in the same second; none: unknown."""
    grant_known: bool = False
    """The trail has shown that the grant was made, so that it is known whose it is."""


def is_own(principal: str, hub: str, region: str) -> bool:
    """Whether a principal is the role of one of this hub's functions."""
    return _role(principal, hub).startswith(f"ami-promoter-{region}-")


def _is_sibling(action: TrailAction, evidence: Evidence) -> bool:
    """Whether the share worker of another hub of this account acted; it has its own ledger.

    The operator names these hubs: anybody who can create a role could give it such a name.
    """
    names = {f"ami-promoter-{region}-share-worker" for region in evidence.siblings - {evidence.region}}
    return _role(action.principal, evidence.hub) in names


def _role(principal: str, hub: str) -> str:
    arn = Arn.parse(principal)
    return arn.resource.removeprefix("role/") if arn.service == "iam" and arn.account == hub else ""


def _is_own(action: TrailAction, evidence: Evidence) -> bool:
    return is_own(action.principal, evidence.hub, evidence.region)


def judge(action: TrailAction, evidence: Evidence) -> MonitorFinding:
    """Return the verdict on an action: the worst verdict on any of its receivers."""
    if action.on_key and not evidence.source_key and not _is_own(action, evidence):
        return _expected("The service has never opened anything on this key.")
    if _is_own(action, evidence) and action.act in (Act.CLEARED, Act.UNBLOCKED, Act.DISABLED, Act.TAGGED):
        return _no_intent("The service never makes this call.")
    return _worst(_JUDGES[action.act](action, evidence))


def _worst(findings: Iterable[MonitorFinding]) -> MonitorFinding:
    found = list(findings)
    for verdict in reversed(ActionVerdict):  # the worst first
        some = [one for one in found if one.verdict is verdict]
        if some:
            receivers = tuple(dict.fromkeys(receiver for one in some for receiver in one.receivers))
            return replace(some[0], receivers=receivers)
    return _expected("It lets in nobody from outside the hub's account.")


# --- receivers that are added ----------------------------------------------------------------------------------------


def _added(action: TrailAction, evidence: Evidence) -> Iterator[MonitorFinding]:
    for receiver in action.receivers:
        if receiver == PUBLIC:
            yield _let_in(action, evidence, receiver)
        elif is_outside(receiver, evidence.hub):
            yield _receiver_added(action, evidence, receiver)
        elif account_of(receiver) and _is_own(action, evidence):
            yield _no_intent("The service opens nothing to the hub's own account.", (receiver,))


def _receiver_added(action: TrailAction, evidence: Evidence, receiver: str) -> MonitorFinding:
    intended = any(
        share.was((_S.OPENING,), action.at, BEFORE, AFTER)
        for share in evidence.shares
        if _is_for(share, action, receiver)
    )
    listed = receiver not in evidence.strangers or evidence.changed_at > action.at - BEFORE
    if intended and listed:
        return _expected("The ledger intended it.")
    if _is_own(action, evidence):
        why = "The applied targets file does not list it." if intended else "The ledger did not intend it."
        return _no_intent(why, (receiver,))
    if _is_sibling(action, evidence) and receiver not in evidence.strangers:
        return _expected("A hub of this account in another Region did it; its own monitor judges that.")
    if account_of(receiver) == action.account and _had_access(action, evidence, action.account):
        return _expected("The account passes on within itself what the hub has opened to it.")
    return _let_in(action, evidence, receiver)


def _let_in(action: TrailAction, evidence: Evidence, receiver: str) -> MonitorFinding:
    """Judge that a receiver was admitted without an intent of the ledger."""
    if _is_own(action, evidence):
        return _no_intent("The service never lets everybody in.", (receiver,))
    if receiver == PUBLIC:
        return _stranger("It is open to everybody.", (receiver,))
    if receiver in evidence.strangers:
        return _stranger("The applied targets file does not list the receiver.", (receiver,))
    return _listed("Somebody else than the service let a listed account in.", (receiver,))


def _is_for(share: Known, action: TrailAction, receiver: str) -> bool:
    """Whether a share is for a receiver: on a key by its grant or grantee, else by its name."""
    if not action.on_key:
        return share.share_name == receiver
    return bool(action.grant and action.grant in share.grants) or share.grantee == receiver


def _had_access(action: TrailAction, evidence: Evidence, account: str) -> bool:
    theirs = (share for share in evidence.shares if share.account == account)
    return any(share.was(OPEN_STATES, action.at, STILL_USED, AFTER) for share in theirs)


# --- permissions that are removed ------------------------------------------------------------------------------------


def _removed(action: TrailAction, evidence: Evidence) -> Iterator[MonitorFinding]:
    if action.on_key:
        shares = [share for share in evidence.shares if action.grant in share.grants]
        if not shares:
            yield _grant_of_others_removed(action, evidence)
        else:  # more than one, if the grant showed again and the grant audit wrote another share to close it
            yield _share_removed(action, evidence, shares[0].grantee, shares)
        return
    for receiver in action.receivers:
        shares = [share for share in evidence.shares if share.share_name == receiver]
        yield _share_removed(action, evidence, receiver, shares)


def _grant_of_others_removed(action: TrailAction, evidence: Evidence) -> MonitorFinding:
    """Judge the end of a grant that no share has: a share that was opened again has only the id of its last grant."""
    closing = any(share.was((_S.CLOSING,), action.at, BEFORE, AFTER) for share in evidence.shares)
    if _is_own(action, evidence) and evidence.grant_known and not closing:
        return _no_intent("The grant is not the service's.")
    return _expected("No grant that the monitor knows, or somebody ended it who may.")


def _share_removed(action: TrailAction, evidence: Evidence, receiver: str, shares: Sequence[Known]) -> MonitorFinding:
    if _is_own(action, evidence):
        if any(share.was((_S.CLOSING,), action.at, BEFORE, AFTER) for share in shares):
            return _expected("The ledger intended it.")
        return _no_intent("The ledger did not intend to close it.", (receiver,))
    if any(_needed(share, action.at) for share in shares):
        return _vanished("The ledger says that it is open and needed.", (receiver,))
    return _expected("The service does not need it, or it is preexisting.")


def _needed(share: Known, at: int) -> bool:
    return share.state(at) in (_S.OPENING, _S.OPEN) and not share.preexisting


def _cleared(action: TrailAction, evidence: Evidence) -> Iterator[MonitorFinding]:
    gone = tuple(share.share_name for share in evidence.shares if _needed(share, action.at))
    if gone:
        yield _vanished("The ledger says that they are open and needed.", gone)


def _unblocked(action: TrailAction, _evidence: Evidence) -> Iterator[MonitorFinding]:
    yield _stranger("Snapshots or AMIs of the account can be made public from now on.", action.receivers)


def _disabled(_action: TrailAction, _evidence: Evidence) -> Iterator[MonitorFinding]:
    yield _vanished("Nothing under this key can be copied or launched any longer.")


# --- a key's policy --------------------------------------------------------------------------------------------------


def _policy(action: TrailAction, evidence: Evidence) -> Iterator[MonitorFinding]:
    """Judge a new policy by comparing it with the policy before.

    Where that is unknown, a stranger in a policy that somebody else wrote counts as new: it is as likely that it was
    not in before, and the drift audit reports it, too.
    """
    outside = [
        one for one in action.receivers if one != evidence.hub and (account_of(one) or one in evidence.strangers)
    ]
    before = _may_precede(action, evidence)
    if before:
        new = [one for one in outside if not any(one in policy.admitted for policy in before)]
    else:
        new = [] if _is_own(action, evidence) else [one for one in outside if one in evidence.strangers]
    if PUBLIC in outside and (not before or PUBLIC in new):
        yield _let_in(action, evidence, PUBLIC)
    new = [one for one in new if one != PUBLIC]
    if _is_own(action, evidence):
        turning = (_S.OPENING, _S.CLOSING)
        if not any(share.was(turning, action.at, BEFORE, AFTER) for share in evidence.shares):
            yield _no_intent("The ledger did not intend to change it.", tuple(outside))
        unknown = [one for one in new if not _had_access(action, evidence, one)]
        if unknown:
            yield _no_intent("The ledger did not intend to let them in.", tuple(unknown))
        others = action.others
        if before and others is not None and all(_changed(policy.others, others) for policy in before):
            yield _no_intent("Statements of others are gone or new, which the service leaves alone.")
    elif _is_sibling(action, evidence):
        yield from (_let_in(action, evidence, receiver) for receiver in new if receiver in evidence.strangers)
    else:
        yield from (_let_in(action, evidence, receiver) for receiver in new)
        gone = [s for s in evidence.shares if _needed(s, action.at) and s.account not in action.receivers]
        gone = [s for s in gone if s.state(action.at) is _S.OPEN or _was_there(s, before)]
        if gone:
            why = "The service's statements for them are gone."
            yield _vanished(why, tuple(dict.fromkeys(s.account for s in gone)))


def _changed(before: frozenset[str], others: frozenset[str]) -> bool:
    """Whether statements of others are gone or new. The service may take out those with its name (``NAMED``)."""
    stay = {one for one in before if not one.startswith(NAMED)}
    return bool(before) and not stay <= others <= before


def _was_there(share: Known, before: Sequence[SeenPolicy]) -> bool:
    """Whether a policy may have had the statement of a share that was opening just then."""
    return not before or any(share.account in one.admitted for one in before)


def _may_precede(action: TrailAction, evidence: Evidence) -> Sequence[SeenPolicy]:
    """Return the policies of which the new one replaced one: the trail's whole seconds do not tell which.

    The service edits what it reads, so the policy before may also be one that somebody else wrote in the same second.
    None of the service's own roles of that second counts: two writes of a thief would excuse each other.
    """
    earlier = [one for one in evidence.policies if one.at < action.at]
    last = [one for one in earlier if one.at == max(each.at for each in earlier)]
    if not _is_own(action, evidence):
        return last
    hub = evidence.hub, evidence.region
    return [*last, *(one for one in evidence.policies if one.at == action.at and not is_own(one.principal, *hub))]


def by_comparison(action: TrailAction, evidence: Evidence) -> bool:
    """Whether only another event, which may be late, tells a theft from what the service's role may do.

    That event shows the write of the policy before, or the making of the grant that was ended.
    """
    if not _is_own(action, evidence):
        return False
    if action.act is Act.REMOVED and action.on_key:
        return not evidence.grant_known
    if action.act is not Act.POLICY:
        return False
    unchanged = replace(seen_policy(action), at=action.at - 1)
    return judge(action, replace(evidence, policies=(unchanged,))).verdict is ActionVerdict.EXPECTED


# --- use -------------------------------------------------------------------------------------------------------------


def _used(action: TrailAction, evidence: Evidence) -> Iterator[MonitorFinding]:
    if _is_own(action, evidence):
        # Lambda, SQS, SNS and DynamoDB use their keys in the role's name; none of them has the context of EBS.
        if action.ebs or not action.by_service:
            yield _no_intent("The service never uses a key.")
    elif not action.on_key:
        yield from _share_used(action, evidence)
    elif action.account in ("", evidence.hub):
        if not action.by_service and action.principal not in evidence.builders:
            yield _listed("Not through an AWS service, and BuilderArns does not name the caller.")
    elif action.account in evidence.strangers:
        yield _stranger("The applied targets file does not list the caller's account.", (action.account,))
    elif not _had_access(action, evidence, action.account) and not _admitted(action, evidence):
        yield _listed("Nothing on this key was open to the account then.", (action.account,))
    elif not (action.by_service and action.ebs):
        yield _listed("Not through EC2 for a volume or a snapshot.", (action.account,))


def _admitted(action: TrailAction, evidence: Evidence) -> bool:
    """Whether the key's own policy may have admitted the caller's account."""
    return any(action.account in one.admitted for one in evidence.policies)


def _share_used(action: TrailAction, evidence: Evidence) -> Iterator[MonitorFinding]:
    """Judge the use of a shared snapshot.

    A listed account without a share of it is no finding: it may use the snapshot through the AMI's launch permission.
    """
    was_open = any(share.was(OPEN_STATES, action.at, STILL_USED, AFTER) for share in evidence.shares)
    if not action.receivers and evidence.shares and not was_open:
        why = "A snapshot was used of which nothing was open then; CloudTrail does not say by whom."
        yield _listed(why)
    for account in action.receivers:
        if account == evidence.hub or _had_access(action, evidence, account):
            continue
        why = "It was not open to the account then."
        if account in evidence.strangers:
            yield _stranger(why, (account,))
        elif any(share.account == account for share in evidence.shares):
            yield _listed(why, (account,))


def _tagged(action: TrailAction, evidence: Evidence) -> Iterator[MonitorFinding]:
    if evidence.builders and action.principal not in evidence.builders:
        yield _listed("BuilderArns does not name who wrote or removed the trigger tag.")


_JUDGES = {
    Act.ADDED: _added,
    Act.REMOVED: _removed,
    Act.CLEARED: _cleared,
    Act.UNBLOCKED: _unblocked,
    Act.POLICY: _policy,
    Act.DISABLED: _disabled,
    Act.USED: _used,
    Act.TAGGED: _tagged,
}
