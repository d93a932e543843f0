"""Compares the ledger with the permissions, grants and statements that AWS shows, and returns findings. Pure.

`admin reconcile` closes only what the service opened. It knows a grant by its name and issuer, and a statement in a key
policy by its Sid; whether that is whole, by what it says. A permission of a snapshot or AMI has no name: the service
opened it if the ledger or the history of a ledger entry says so, or if CloudTrail shows that the share worker was the
last to add it. Every other permission stays open, and is reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from ami_promoter.hub.cloudtrail import Change
from ami_promoter.hub.records import RecordSeen
from ami_promoter.hub.shares import why_not_closing
from ami_promoter.reconcile.facts import (
    HubView,
    described,
    explained,
    is_changed,
    is_going,
    may_be_open,
    missing,
    unexplained,
)
from ami_promoter.reconcile.repair_data import Finding, RecordOpen, ReleaseHolding, Reopen, Withdraw
from ami_promoter.terminal.alike import first_of
from chalicelib.delivery.model import ENDED, Delivery, DeliveryState
from chalicelib.engine import schedule
from chalicelib.engine.faults import count
from chalicelib.engine.places import IMAGE, Resource
from chalicelib.sharing.grant_names import delivery_of, intended_at, unrecorded_name
from chalicelib.sharing.holders import is_statement, standing
from chalicelib.sharing.share import Holding, Share
from chalicelib.sharing.shown import ShownAccess

LATER = schedule.HOUR
"""A share that a running copy may need closes only after this time, so that its delivery can hold it first."""
SHOWN_WITHIN = 5 * schedule.MINUTE
"""AWS may not yet show a share that was opened this recently: grants take up to this long [aws-facts 3]."""
NAMED_BY = 12
"""A message shows this many characters of a digest."""
UNWITNESSED = (
    " If the table was restored, let `--since` reach back to the backup: CloudTrail then says whether the service "
    "opened it since."
)


def share_findings(view: HubView) -> Iterator[Finding]:
    """Compare the shares of the ledger with AWS and with the deliveries that hold them."""
    yield from _holdings(view)
    yield from _not_closing(view)
    yield from _not_listed(view)
    yield from _unexplained(view)
    yield from _missing(view)


def running(view: HubView, delivery: str) -> bool:
    """Whether the delivery exists and has not ended."""
    record = view.delivery(delivery)
    return record is not None and record.state not in ENDED


def alive(record: RecordSeen[Delivery] | None, episode: int) -> bool:
    """Whether the delivery has not ended and is still in the episode in which it became a holder."""
    if record is None or record.state in ENDED:
        return False
    return record.it.episode in (0, episode)  # 0: that cannot be read


def holds(resource: str, holding: Holding, record: RecordSeen[Delivery] | None) -> bool:
    """Whether the delivery may hold the share: while it has not ended, and on the target's own key also afterwards.

    On that key ``DELIVERED_AMIS`` holds the grant for all AMIs, and has no record. Of a delivery whose record is lost
    this function assumes that it was delivered.
    """
    if Resource.parse(resource).on_own_key and (record is None or record.state == DeliveryState.DELIVERED):
        return holding.stands
    return alive(record, holding.episode)


def _holdings(view: HubView) -> Iterator[Finding]:
    for (resource, share_name), share in sorted(view.ledger.items()):
        for holding in share.holdings:
            if not holds(resource, holding, view.delivery(holding.delivery)):
                who = f"Delivery {holding.delivery} holds it (episode {holding.episode})"
                what = f"{who}, but has ended or does not exist."
                repair = ReleaseHolding(resource, share_name, holding)
                yield Finding("held-by-nobody", _where(share), what, repair, "removes the holding")


def _not_closing(view: HubView) -> Iterator[Finding]:
    for _, share in sorted(view.ledger.items()):
        if why := why_not_closing(share, view.region):
            yield Finding("not-closing", _where(share), f"{why['what']} {why['cure']}")


def _not_listed(view: HubView) -> Iterator[Finding]:
    """Shares that are open to an account that neither the applied file nor a unit in it contains."""
    strangers: dict[str, list[Share]] = {}
    for _, share in sorted(view.ledger.items()):
        own = explained(share) and not is_going(share) and not Resource.parse(share.resource).on_own_key
        if own and view.receivers.contain(share.account) is False:
            strangers.setdefault(share.account, []).append(share)
    for receiver, shares in strangers.items():
        held = {holding for share in shares for holding in share.holdings}
        deliveries = sorted({holding.delivery for holding in held})
        by = (
            f"Held by {first_of([_delivery(view, one) for one in deliveries])}."
            if deliveries
            else "No delivery holds them."
        )
        failed = next((f" The last attempt to close one failed: {s.fault.what}" for s in shares if s.fault), "")
        who = "this account nor an OU that contains it" if ":" not in receiver else "it"
        what = (
            f"{count(len(shares), 'share')} that the service opened may be open to it: "
            f"{first_of(list(map(described, shares)))}. "
            f"The applied targets file (digest {view.receivers.digest[:NAMED_BY]}) does not contain "
            f"{who}: somebody removed it, or the account left its OU, and the service has not withdrawn "
            f"the shares. {by}{failed} To keep the shares, add it to the file and apply the file."
        )
        if ":" in receiver and held:
            retries = first_of(sorted({f"`ami-promoter retry {holding.ami}`" for holding in held}))
            what += f" {retries} gives deliveries to accounts that the file contains their own permission."
        repair = Withdraw(receiver, tuple(shares))
        does = (
            "cancels these deliveries; the service then closes the shares"
            if held
            else "makes the service check them at once"
        )
        yield Finding("receiver-not-listed", _receiver(receiver), what, repair, does)


def _unexplained(view: HubView) -> Iterator[Finding]:
    """What is open and the ledger does not list as open and opened by the service."""
    for one in unexplained(view):
        share = view.share(one.resource, one.share_name)
        if one.grant:
            yield _grant(view, one, share)
        elif one.own:
            yield _statement(view, one, share)
        else:
            yield _permission(view, one, share)


def _permission(view: HubView, one: ShownAccess, share: Share | None) -> Finding:
    """Judge a permission of a snapshot or AMI."""
    source, receiver = one.on, one.receiver
    where = f"{source.in_words} to {_receiver(receiver)}"
    change = view.changes.get((source, receiver))
    added = change is not None and change.added and change.own
    if receiver == "all" or not (added or (source, receiver) in view.once_open):
        doubtful = change is None and receiver != "all" and not (share is not None and share.preexisting)
        what = _whose(share, change) + (UNWITNESSED if doubtful else "")
        return Finding("open-not-own", where, what, wrong=False)
    wait = LATER if source.kind == IMAGE or _may_copy(view, source, receiver) else 0
    witness = f"CloudTrail: the service added it at {change.at}" if change else "the share's history says so"
    repair = RecordOpen(one.resource, receiver, receiver, wait, version=_version(share))
    return _unknown(where, f"The service opened it ({witness}) and it is open", share, repair)


def _whose(share: Share | None, change: Change | None) -> str:
    if share is not None and share.preexisting:
        return "It existed before the service needed it. It stays."
    if share is None and change is None:
        return "No record says that the service opened it. It stays."
    by = f" {change.by} added it at {change.at}." if change is not None and change.added else ""
    return f"The ledger {_said(share)}, and no record says that the service opened it since.{by} It stays."


def _missing(view: HubView) -> Iterator[Finding]:
    """Shares that the ledger lists as open, that a delivery needs, and that AWS does not show."""
    for share in sorted(missing(view), key=lambda one: (one.resource, one.share_name)):
        needed = any(alive(view.delivery(holding.delivery), holding.episode) for holding in share.holdings)
        if not needed or view.now < (share.opened_at or 0) + SHOWN_WITHIN:
            continue
        source = Resource.parse(share.resource)
        change = view.changes.get((source, share.account)) or view.changes.get((source, ""))
        if share.preexisting or (change is not None and not change.added and not change.own):
            by = f": {change.by} removed it at {change.at}" if change else ""
            kept = standing(share) and not share.preexisting
            again = "opens it again only for another delivery" if kept else "does not open it again"
            what = f"A delivery needs it, but somebody else removed it{by}. The service {again}."
            yield Finding("taken-away", _where(share), what)
            continue
        repair = Reopen(share)
        shown = "AWS does not show it"
        if is_changed(view, share):
            shown = "somebody has changed what its statement says, and may have let others in"
        what = f"The ledger says that it is open, and a delivery needs it, but {shown}."
        if source.arn:
            what += f" Look in CloudTrail who called {'PutKeyPolicy' if is_statement(share) else 'RevokeGrant'}."
        does = "opens it again for as long as the delivery needs it"
        yield Finding("open-only-in-ledger", _where(share), what, repair, does)


def _grant(view: HubView, one: ShownAccess, share: Share | None) -> Finding:
    """Judge a grant with a name of the service."""
    account, delivery = one.on.account, delivery_of(one.name)
    at_work = running(view, delivery) if delivery else _may_share(view, account)
    wait = LATER if at_work or (delivery and _copies_run(view, account, delivery=delivery)) else 0
    share_name = unrecorded_name(one.grant) if may_be_open(share) else one.share_name
    version = _version(view.share(one.resource, share_name))
    whose = f"delivery {delivery}" if delivery else f"for {one.share_name}"
    where = f"{one.on.arn}, grant {one.grant} to account {account}"
    of_grant = one.grantee, intended_at(one.name), one.grant
    repair = RecordOpen(one.resource, share_name, account, wait, *of_grant, version)
    return _unknown(where, f"Its name says that the service made it ({whose})", share, repair)


def _statement(view: HubView, one: ShownAccess, share: Share | None) -> Finding:
    """Judge the service's statements for one access in a key policy."""
    where = f"{one.on.arn}, policy statement for account {one.receiver}"
    if share is not None and share.preexisting:
        return Finding("open-not-own", where, _whose(share, None), wrong=False)
    wait = LATER if _may_use_key(view, one.receiver) else 0
    repair = RecordOpen(one.resource, one.share_name, one.receiver, wait, version=_version(share))
    return _unknown(where, f"Its Sid says that the service added it ({one.share_name})", share, repair)


def _may_share(view: HubView, account: str) -> bool:
    """Whether a delivery to the account has not ended, so that it may need a share that the ledger has lost."""
    return any(one.target.account == account for one in _unended(view))


def _unended(view: HubView) -> Iterator[Delivery]:
    return (one.it for one in view.of_kind("delivery") if one.state not in ENDED)


def _may_copy(view: HubView, source: Resource, account: str) -> bool:
    """Whether a copy of the snapshot may be running in the account, or about to start."""
    return _copies_run(view, account, source=source.name) or any(
        one.target.account == account and any(snapshot.id == source.name for snapshot in one.snapshots)
        for one in _unended(view)
    )


def _may_use_key(view: HubView, account: str) -> bool:
    """Whether a running copy in the account may need the key; a statement does not name the copies that it is for."""
    return _copies_run(view, account) or _may_share(view, account)


def _copies_run(view: HubView, account: str, *, source: str = "", delivery: str = "") -> bool:
    """Whether a copy may be running in the account, of this snapshot or for this delivery; "": of any, for any.

    It may, too, if one of the account's targets could not be read, or if none was checked.
    """
    targets = [target for (where, _), target in view.targets.items() if where == account]
    copies = (one for target in targets for one in target.snapshots if one.state == "pending")
    found = any(source in ("", one.source) and delivery in ("", one.delivery) for one in copies)
    return found or not targets or any(target.trouble for target in targets)


def _said(share: Share | None) -> str:
    if share is None:
        return "says nothing"
    return "says that it existed before the service needed it" if share.preexisting else f"says {share.state}"


def _where(share: Share) -> str:
    return f"{described(share)} to {_receiver(share.account)}"


def _receiver(receiver: str) -> str:
    """Name an account, or an OU or organization by its ARN, or everybody."""
    return receiver if ":" in receiver else "everybody" if receiver == "all" else f"account {receiver}"


def _delivery(view: HubView, ident: str) -> str:
    record = view.delivery(ident)
    if record is None:
        return f"delivery {ident} (its record is lost)"
    return f"delivery {ident} (AMI {record.it.ami or '?'}, {record.state})"


def _version(share: Share | None) -> int:
    return 0 if share is None else share.version


def _unknown(where: str, why: str, share: Share | None, repair: RecordOpen) -> Finding:
    """Return the finding of a permission that the service opened and the ledger does not list as open."""
    says = "has another grant for that" if may_be_open(share) and repair.grant_id else _said(share)
    later = "adds it to the ledger; it closes when its delivery no longer needs it, or in an hour if none holds it"
    what = f"{why}, but the ledger {says}."
    return Finding("open-unknown", where, what, repair, later if repair.wait else "closes it")
