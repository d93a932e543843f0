"""The permissions at the source that a delivery needs, by mode: for its copies, or as long as it is shared.

=============  ==============================  =================================================
what           copy mode                       share mode
=============  ==============================  =================================================
snapshots      while they are copied           only where ``share_snapshots`` says so; they stay
AMI            while CopyImage runs            the launch permission; it stays
source key     while they are copied           stays
service roles  on the target's own key; stays  on the source key; stays
=============  ==============================  =================================================

Guides list three permissions; two are enough to copy snapshots. Without the launch permission nobody can start
instances that would depend on a key access that ends soon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from chalicelib.delivery.holdings import SharesSeen
from chalicelib.delivery.model import Delivery, NeededShare
from chalicelib.engine import addresses
from chalicelib.engine.places import POLICY, Arn, Resource
from chalicelib.sharing import holders
from chalicelib.sharing.entitlement import launched_by
from chalicelib.sharing.key_policy import Access, Audience, PolicyShare
from chalicelib.sharing.share import Share, ShareState
from chalicelib.targets.applied_file import grant_role


def needed(delivery: Delivery) -> tuple[NeededShare, ...]:
    """List them, each once. The hub's own account, in another Region, needs no permission on its own resources."""
    if delivery.target.account == delivery.hub:
        return tuple(dict.fromkeys(_own_key(delivery)))
    return tuple(dict.fromkeys((*_image(delivery), *_snapshots(delivery), *_keys(delivery), *_own_key(delivery))))


def is_first(delivery: Delivery) -> bool:
    """Whether one of its shares cannot be open when it comes to hold them: its own grant, in its first episode."""
    return delivery.episode == 1 and any(
        share.share_name.startswith(f"{delivery.id}-") for share in delivery.holdings.needed
    )


def seen(delivery: Delivery, found: Iterable[Share]) -> SharesSeen:
    """Return the states of a delivery's shares in the ledger; those of others, or of another role, are not open."""
    holds = [s for s in found if any((h.delivery, h.episode) == (delivery.id, delivery.episode) for h in s.holdings)]
    return SharesSeen(
        open=sum(s.state is ShareState.OPEN and not holders.names_former_role(s) for s in holds)
        == len(delivery.holdings.needed),
        refused=next(filter(None, map(holders.refusal, holds)), None),
        waits_for=next((s.waits_for for s in holds if s.waits_for is not None), None),
    )


def still_open(found: Iterable[Share]) -> tuple[str, ...]:
    """Return the resources whose shares were released, and which AWS may still show; those of others do not count.

    A grant on the target's own key is the target's: it gives nothing of the hub's.
    """
    left = (s for s in found if not Resource.parse(s.resource).on_own_key and not s.holdings and holders.may_show(s))
    return tuple(dict.fromkeys(s.resource for s in left))


def _image(delivery: Delivery) -> Iterator[NeededShare]:
    resource = addresses.image_resource(delivery.ami).pk
    if delivery.target.mode == "share":
        yield NeededShare(resource, launched_by(delivery.target), standing=True)
    elif delivery.copies_image:
        yield NeededShare(resource, delivery.target.account)


def _snapshots(delivery: Delivery) -> Iterator[NeededShare]:
    shared = delivery.target.mode == "share"
    if shared and not delivery.target.share_snapshots:
        return
    for snapshot in delivery.snapshots:
        region = delivery.target.region if delivery.target.by_way_of else ""
        resource = addresses.snapshot_resource(delivery.read_from(snapshot.id), region)
        yield NeededShare(resource.pk, delivery.target.account, standing=shared)


def _keys(delivery: Delivery) -> Iterator[NeededShare]:
    account, shared = delivery.target.account, delivery.target.mode == "share"
    for key in delivery.source_keys:
        match delivery.target.key_access:
            case "grant":
                # A standing grant serves every AMI under the key, and its AMIs hold it together, because a key
                # takes 50,000 [aws-facts 3]. One to copy by ends with its delivery, and is its own. Its name says for
                # which role: if the file renames the role while copies run, the new one gets a grant of its own.
                # As a fallback it is for "root", the whole account.
                copies_as = "root" if delivery.target.grantee == "account" else delivery.target.role_name
                holder = account if shared else f"{delivery.id}-{copies_as}"
                yield NeededShare(addresses.key_resource(key, account).pk, holder, standing=shared)
            case "policy":
                # Statements for launching and for copying allow different actions: they are two shares.
                policy, audience = addresses.policy_resource(key).pk, Audience.ACCOUNT if shared else Audience.COPIES
                yield NeededShare(policy, str(PolicyShare(account, audience)), standing=shared)
                if shared and delivery.launch_roles:
                    yield NeededShare(policy, str(PolicyShare(account, Audience.ROLES)), standing=True)
            case "none":
                pass
        if shared:
            for role in delivery.launch_roles:
                yield NeededShare(addresses.role_resource(key, account).pk, role, standing=True)


def _own_key(delivery: Delivery) -> Iterator[NeededShare]:
    if delivery.target.mode == "copy" and delivery.key_arn:
        for role in delivery.launch_roles:
            yield NeededShare(
                addresses.role_resource(delivery.key_arn, delivery.target.account).pk, role, standing=True
            )


def receiver(delivery: Delivery, share: NeededShare) -> str:
    """Return the receiver of a share: the account, or the organization or unit that a launch permission names."""
    named = launched_by(delivery.target)
    return named if share.share_name == named else delivery.target.account


def grantee(delivery: Delivery, share: NeededShare, partition: str) -> str:
    """Return the principal (ARN) that a key's grant or statement names; "" where the permission names no principal.

    While copies run it is the target's role, or as a fallback its account. A standing share is for the whole
    account, whose administrators delegate it, or for the role that makes grants for service-linked roles.
    """
    account, role = delivery.target.account, delivery.target.role_name
    match kind := Resource.parse(share.resource).kind:
        case "role":
            return str(Arn(partition, "iam", "", account, f"role/aws-service-role/{share.share_name}"))
        case "image" | "snapshot":
            return ""
        case _:
            for_roles = share.share_name == str(PolicyShare(account, Audience.ROLES))
            whole = (share.standing and not for_roles) or delivery.target.grantee == "account"
            copies_as = role if kind == POLICY else share.share_name.removeprefix(f"{delivery.id}-")
            name = grant_role(role) if for_roles else copies_as
            return str(Arn(partition, "iam", "", account, "root" if whole else f"role/{name}"))


def renamed(delivery: Delivery, role: str, now: int) -> Delivery:
    """Return the delivery with the copy role that the targets file names now, and with what that role needs.

    It holds that before it looks whether it is open (``tries``). What was opened to the former role stays: copies that
    it started may still run.
    """
    after = replace(delivery, target=replace(delivery.target, role_name=role), tries=0, next_try=now)
    before = delivery.holdings.needed if delivery.holdings.held else ()
    return after.with_holdings(needed=tuple(dict.fromkeys((*before, *needed(after)))), continue_at=0, opened_at=None)


def in_policies(delivery: Delivery, partition: str, hub: str) -> dict[str, list[Access]]:
    """Return the statements that each source key's policy needs, by the key's ARN. ``hub``: ``key_policy.hub_sid``."""
    wanted: dict[str, list[Access]] = {}
    for share in needed(delivery):
        it = Resource.parse(share.resource)
        if it.kind == POLICY:
            one = Access(*PolicyShare.parse(share.share_name), grantee(delivery, share, partition), hub)
            wanted.setdefault(it.arn, []).append(one)
    return wanted
