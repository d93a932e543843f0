"""What is not as it should be: records, ledger and AWS compared. Pure: a view in, findings out, each with its mend.

What may be closed: a grant is ours by its name and issuer. A snapshot's permission bears no name; it is ours only if
the ledger or a ledger entry's history says that we opened it, or if CloudTrail says that our function was the last to
add it. Whatever else is open stays open, and is told (law 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ami_promoter.looking import Grant, Place, Target, View, permission_of, resource_of
from ami_promoter.records import Record, holdings
from chalicelib.core import addresses, pace
from chalicelib.core.delivery.model import ENDED, State
from chalicelib.core.share import Holding, ghost_name

OPEN = ("opening", "open", "closing")
LATER = pace.HOUR
"""A share under a copy that may still run closes by itself no sooner than this: its delivery has time to hold it."""
YOUNG = 10 * pace.MINUTE
"""A copy that started so lately may have an intent that this view has not seen."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Make a record due, so that its lane looks. ``resource``: make the record if there is none."""

    pk: str


@dataclass(frozen=True, slots=True)
class Know:
    """Put an open permission into the ledger as ours, so that its lane closes it once nobody holds it."""

    resource: str
    holder_key: str
    account: str
    wait: int
    """Seconds before it may close although nobody holds it."""
    grantee: str = ""
    intended_at: int = 0
    grant_id: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Reopen:
    """Write a share that shows no longer as closed: its lane opens it again for those who hold it."""

    resource: str
    holder_key: str
    version: int


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take a holding out of a share: its delivery has ended, or does not exist."""

    resource: str
    holder_key: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class EndChild:
    """Tell a promotion how a delivery ended that it waits for in vain."""

    ami: str
    delivery: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Let `act` delete a copy, under the role in its account, after a look of its own."""

    account: str
    region: str
    snapshot: str
    delivery: str


Mend = Wake | Know | Reopen | LetGo | EndChild | Remove


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. Without a mend it is for a person; ``wrong`` False: only worth knowing."""

    code: str
    where: str
    what: str
    mend: Mend | None = None
    does: str = ""
    """What the mend does, in words."""
    wrong: bool = True


def findings(view: View) -> tuple[Finding, ...]:
    """Compare everything; what comes first should be mended first."""
    return (
        *_unseen(view),
        *_records(view),
        *_holders(view),
        *_permissions(view),
        *_vanished(view),
        *_grants(view),
        *(one for place, target in sorted(view.targets.items()) for one in _target(view, place, target)),
    )


def _unseen(view: View) -> Iterator[Finding]:
    for trouble in view.troubles:
        yield Finding("not-seen", "hub", trouble)
    for (account, region), target in sorted(view.targets.items()):
        if target.trouble:
            yield Finding("not-seen", f"account {account}, {region}", target.trouble)


# --- records ---------------------------------------------------------------------------------------------------------


def _records(view: View) -> Iterator[Finding]:
    for (pk, sk), it in sorted(view.items.items()):
        if sk != "record":
            continue
        item = it["_item"]
        if item.get("parked"):
            what = f"It is parked: {item['parked']}"
            yield Finding("parked", pk, f"{what} When the cause is gone: `ami-promoter reconcile --unpark '{pk}'`.")
        elif it.get("unreadable"):
            yield Finding("unreadable", pk, "Its body is damaged; its lane parks it when it is next rung.", Wake(pk))
        elif _moves(view, pk, it) and not ("ring_at" in item and "due_shard" in item):
            what = f"It is {item.get('state')} and stands in no index: nobody will ever look at it again."
            yield Finding("due-date-lost", pk, what, Wake(pk), "makes it due")
    for (pk, sk), child in sorted(view.items.items()):
        if pk.startswith("promotion#") and sk.startswith("delivery#") and child.get("state") == "running":
            yield from _child(view, pk, child)


def _moves(view: View, pk: str, it: Record) -> bool:
    """Whether something is left to be done for it."""
    kind = pk.partition("#")[0]
    if kind == "delivery":
        state = str(it["_item"].get("state"))
        return state not in ENDED and not _rests(it, state)
    if kind == "promotion":
        return str(it["_item"].get("state")) != "over"
    if kind == "resource":
        shares = (share for resource, _, share in view.shares() if resource == pk)
        return any(share.get("state") in OPEN and not _stays(share) for share in shares)
    return False


def _rests(delivery: Record, state: str) -> bool:
    """Whether it is shared without an end: nothing is due until somebody withdraws it."""
    return state == State.SHARED and not delivery.get("target", {}).get("until")


def _stays(share: Record) -> bool:
    """Whether it is open, and held for good or for long: nothing is due until its holder lets it go."""
    return share.get("state") == "open" and any(holding.stands for holding in holdings(share))


def _child(view: View, pk: str, child: Record) -> Iterator[Finding]:
    promotion, delivery = view.record(pk), view.record(f"delivery#{child['delivery']}")
    if promotion is None or promotion["_item"].get("state") == "expanding":
        return
    where = f"{pk.removeprefix('promotion#')} to account {child.get('account')}"
    mend = EndChild(pk.removeprefix("promotion#"), str(child["delivery"]))
    if delivery is None:
        what = f"The record of its delivery {child['delivery']} is lost, and the promotion waits for it."
        yield Finding("delivery-lost", where, what, mend, "calls it failed; then `ami-promoter retry` starts it anew")
    elif delivery["_item"].get("state") in ENDED and delivery.get("episode", 0) >= child.get("episode", 0):
        what = f"Its delivery is {delivery['_item']['state']}, and the promotion was never told."
        yield Finding("end-not-told", where, what, mend, "tells it")


# --- the ledger and the hub ------------------------------------------------------------------------------------------


def running(view: View, delivery: str) -> bool:
    """Whether there is such a delivery and it has not ended."""
    record = view.record(f"delivery#{delivery}")
    return record is not None and record["_item"].get("state") not in ENDED


def alive(record: Record | None, episode: int) -> bool:
    """Whether a delivery is still in the episode in which it became a holder."""
    if record is None or record["_item"].get("state") in ENDED:
        return False
    return bool(record.get("unreadable")) or record.get("episode") == episode


def holds(resource: str, holding: Holding, record: Record | None) -> bool:
    """Whether a delivery may hold a share as it says: while it lives, and on the target's own key with its AMI."""
    if record is not None and record["_item"].get("state") == State.DELIVERED and addresses.at_home(resource):
        return holding.stands
    return alive(record, holding.episode)


def _holders(view: View) -> Iterator[Finding]:
    for resource, holder_key, share in view.shares():
        for holding in holdings(share):
            if not holds(resource, holding, view.record(f"delivery#{holding.delivery}")):
                who = f"Delivery {holding.delivery} holds it (episode {holding.episode})"
                what = f"{who}, and has ended or does not exist."
                mend = LetGo(resource, holder_key, holding)
                yield Finding("held-by-nobody", _named(resource, share), what, mend, "lets it go")


def _permissions(view: View) -> Iterator[Finding]:
    """Open permissions that the ledger does not know for open and ours."""
    for one, holders in sorted(view.permissions.items()):
        for holder in sorted(holders):
            resource = resource_of(one)
            share = view.items.get((resource, f"share#{holder}"))
            if share is not None and share.get("state") in OPEN and not share.get("preexisting"):
                continue
            where = _to(one, holder)
            change = view.changes.get((one, holder))
            if holder != "all" and ((change and change.added and change.ours) or (one, holder) in view.once_open):
                wait = LATER if one.startswith("ami-") or _may_copy(view, one, holder) else 0
                version = 0 if share is None else int(share["_item"].get("version", 0))
                witness = f"CloudTrail: we added it at {change.at}" if change else "its history says that we opened it"
                yield Finding(
                    "open-unknown",
                    where,
                    f"It is open and ours ({witness}), and the ledger says {_said(share)}.",
                    Know(resource, holder, holder, wait, version=version),
                    _closes(wait),
                )
            else:
                yield Finding("open-not-ours", where, _whose(share, change), wrong=False)


def _whose(share: Record | None, change: object) -> str:
    if share is not None and share.get("preexisting"):
        return "It was shared before us, and stays."
    if share is None and change is None:
        return "Nothing says that we opened it: it stays."
    by = f" {change.by} added it at {change.at}." if change is not None and getattr(change, "added", False) else ""  # type: ignore[attr-defined]
    return f"The ledger says {_said(share)}, and nothing says that we opened it since.{by} It stays."


def _vanished(view: View) -> Iterator[Finding]:
    """Permissions of snapshots and AMIs that the ledger says are open, for somebody who needs them, and do not show."""
    for resource, account, share in view.shares():
        one = permission_of(resource)
        if one not in view.permissions or share.get("state") != "open":
            continue
        needed = any(alive(view.record(f"delivery#{holding.delivery}"), holding.episode) for holding in holdings(share))
        if account in view.permissions[one] or not needed:
            continue
        change = view.changes.get((one, account))
        where = _to(one, account)
        if share.get("preexisting") or (change is not None and not change.added and not change.ours):
            by = f": {change.by} removed it at {change.at}" if change else ""
            yield Finding("taken-away", where, f"A delivery needs it, and somebody else took it away{by}. It stays so.")
            continue
        mend = Reopen(resource, account, int(share["_item"].get("version", 0)))
        what = "The ledger says it is open, and a delivery needs it; it does not show."
        yield Finding("open-only-in-ledger", where, what, mend, "opens it again, for as long as it is needed")


def _grants(view: View) -> Iterator[Finding]:
    """Grants of our name that the ledger does not know for open."""
    for grant in view.grants:
        share = view.items.get((grant.resource, f"share#{grant.holder_key}"))
        stray = view.items.get((grant.resource, f"share#{_stray(grant)}"))
        if _knows(share, grant) or _knows(stray, grant):
            continue
        at_work = running(view, grant.delivery) if grant.delivery else _may_share(view, grant.account)
        own = share is None or share.get("state") not in OPEN
        wait = LATER if at_work or (grant.delivery and _copies_of(view, grant)) else 0
        holder_key, known = (grant.holder_key, share) if own else (_stray(grant), stray)
        whose = f"delivery {grant.delivery}" if grant.delivery else f"for {grant.holder_key}"
        yield Finding(
            "open-unknown",
            f"{grant.key_arn}, grant {grant.id} to account {grant.account}",
            f"It bears our name ({whose}), and the ledger says {_said(share)}.",
            Know(
                grant.resource,
                holder_key,
                grant.account,
                wait,
                grant.grantee,
                grant.intended_at,
                grant.id,
                0 if known is None else int(known["_item"].get("version", 0)),
            ),
            _closes(wait),
        )


def _may_share(view: View, account: str) -> bool:
    """Whether a delivery to the account has not ended, so that it may hold what the ledger has forgotten."""
    deliveries = view.of_kind("delivery")
    return any(
        it["_item"].get("state") not in ENDED and it.get("target", {}).get("account") == account for it in deliveries
    )


def _to(one: str, holder: str) -> str:
    """Say what is open to whom: an account, an organisation, or everybody."""
    return f"{one} to {holder if ':' in holder else f'account {holder}'}"


def _stray(grant: Grant) -> str:
    """Name the ledger's entry of a grant that no delivery's entry can hold."""
    return ghost_name(grant.id)


def _knows(share: Record | None, grant: Grant) -> bool:
    if share is None or share.get("state") not in OPEN:
        return False
    unheard = not share.get("grant_id") and share.get("intended_at") == grant.intended_at
    return bool(unheard or share.get("grant_id") == grant.id)


def _may_copy(view: View, snapshot: str, account: str) -> bool:
    """Whether a copy of the snapshot may be running in the account: seen, not to be seen, or about to be made."""
    places = [target for (where, _), target in view.targets.items() if where == account]
    if not places or any(target.trouble for target in places):
        return True
    if any(s.source == snapshot and s.state == "pending" for target in places for s in target.snapshots):
        return True
    return any(
        it["_item"].get("state") not in ENDED
        and it.get("target", {}).get("account") == account
        and any(one.get("id") == snapshot for one in it.get("snapshots", ()))
        for it in view.of_kind("delivery")
    )


def _copies_of(view: View, grant: Grant) -> bool:
    places = [target for (where, _), target in view.targets.items() if where == grant.account]
    if not places or any(target.trouble for target in places):
        return True
    return any(s.delivery == grant.delivery and s.state == "pending" for target in places for s in target.snapshots)


# --- targets ---------------------------------------------------------------------------------------------------------


def _target(view: View, place: Place, target: Target) -> Iterator[Finding]:
    account, region = place
    for image in target.images:
        record = view.record(f"delivery#{image.delivery}")
        where = f"{image.id} in account {account}, {region}"
        if record is None:
            what = f"We made it from {image.source} (delivery {image.delivery}), and no record knows it."
            yield Finding("image-unknown", where, f"{what} It is its owner's, and stays.", wrong=False)
        elif record["_item"].get("state") in ENDED and record.get("image") != image.id:
            what = f"We made it, and its delivery {image.delivery} is {record['_item']['state']} without it."
            yield Finding("image-unknown", where, f"{what} It stays; its owner may deregister it.")
    for snapshot in target.snapshots:
        if snapshot.used or running(view, snapshot.delivery) or view.now < snapshot.started_at + YOUNG:
            continue
        record = view.record(f"delivery#{snapshot.delivery}")
        if record is not None and snapshot.id in _known(record):
            continue
        where = f"{snapshot.id} in account {account}, {region}"
        what = f"A copy of {snapshot.source} ({snapshot.state}) that no AMI uses and no record knows."
        mend = Remove(account, region, snapshot.id, snapshot.delivery) if snapshot.delivery else None
        yield Finding("copy-orphaned", where, what, mend, "deletes it" if mend else "")


def _known(delivery: Record) -> set[str]:
    """Snapshots that a delivery knows for its own."""
    copies = {copy.get("copy") for copy in delivery.get("copies", ())}
    cleanup = delivery.get("cleanup", {})
    return {str(it) for it in (*copies, *cleanup.get("to_delete", ()), *cleanup.get("leftovers", ())) if it}


def _said(share: Record | None) -> str:
    return "nothing" if share is None else str(share.get("state"))


def _named(resource: str, share: Record) -> str:
    return f"{resource.removeprefix('resource#')} to account {share.get('account') or share['_item'].get('account')}"


def _closes(wait: int) -> str:
    if not wait:
        return "closes it"
    return "takes it into the ledger; it closes when its delivery lets it go, or in an hour if none holds it"
