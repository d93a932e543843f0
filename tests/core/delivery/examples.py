"""Builders: a delivery in any state, an event of every kind. Each call shows only what matters to its test."""

from dataclasses import replace

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import evolving
from chalicelib.core.delivery.model import Attempt, Copy, CopyState, Delivery, DeliveryState, HeldShares, Snapshot
from chalicelib.core.errors import RefusalKind
from chalicelib.core.faults import Fault
from chalicelib.core.targets.applied_file import Target

HUB, TARGET, REGION, NOW = "111111111111", "222222222222", "us-east-1", 1_800_000_000
SOURCE_KEY = f"arn:aws:kms:{REGION}:{HUB}:key/source"
TARGET_KEY = f"arn:aws:kms:{REGION}:{TARGET}:key/target"
FAULT = Fault("code", "where", "what.", "cure.")
ORDER = tuple(DeliveryState)
ATTEMPTS = tuple(Attempt(f"nonce-{source}", source, NOW, episode=1) for source in ("snap-0a", "snap-0b", ""))
"""One attempt for each copy and one for the image; ``seen`` shows what they made."""


def a_delivery(state: DeliveryState = DeliveryState.REQUESTED, **changes: object) -> Delivery:
    """A delivery of two encrypted snapshots that entered ``state`` now, with what this state requires.

    ``changes``: its members, or those of its held shares.
    """
    held = {name: changes.pop(name) for name in HeldShares.__slots__ if name in changes}
    fresh = evolving.started(
        Delivery(
            id="0123456789abcdef0123",
            hub=HUB,
            ami="ami-0a",
            target=Target(TARGET, REGION),
            episode=1,
            created_at=NOW,
            image_name="golden-ami-0a",
            source_name="golden",
            snapshots=(Snapshot("snap-0a", SOURCE_KEY), Snapshot("snap-0b", SOURCE_KEY)),
            attempts=ATTEMPTS,
        ),
        NOW,
    )
    ready = evolving.evolve(fresh, ev.TargetReady(TARGET_KEY), NOW)
    late = ORDER.index(state) > ORDER.index(DeliveryState.WAITING)
    built = replace(
        ready if late or state is DeliveryState.WAITING else fresh,
        state=state,
        entered=dict.fromkeys(ORDER[: ORDER.index(state) + 1], NOW),
        ending=DeliveryState.FAILED
        if state in (DeliveryState.STOPPING, DeliveryState.TIDYING, DeliveryState.FAILED)
        else None,
    )
    opened = {"opened_at": NOW - 3600} if state is DeliveryState.COPYING else {}
    built = built.with_shares(**{"last_closing_at": NOW + 25 * 3600 if late else None, **opened, **held})
    return replace(built, **changes)


def with_copies(delivery: Delivery, *states: CopyState) -> Delivery:
    """The delivery with its copies in these states; a started one has an id."""
    copies = tuple(
        Copy(
            copy.source,
            state=state,
            copy=f"{copy.source}c" if state in (CopyState.PENDING, CopyState.COMPLETED) else None,
            tries=0 if state is CopyState.WANTED else 1,
            intended_at=None if state is CopyState.WANTED else NOW,
        )
        for copy, state in zip(delivery.copies, states, strict=True)
    )
    return replace(delivery, copies=copies)


def seen(source: str, state: str, **changes: object) -> ev.SeenCopy:
    """A copy as EC2 shows it."""
    shown = ev.SeenCopy(f"{source}c", source, state, key_arn=TARGET_KEY, started_at=NOW, nonce=f"nonce-{source}")
    return replace(shown, **changes)


EVENTS: tuple[ev.Event, ...] = (
    *(ev.Refused("Step", why, FAULT) for why in RefusalKind),
    *(ev.Refused("StartCopy", why, FAULT, "snap-0a") for why in RefusalKind),
    ev.Refused("RegisterImage", RefusalKind.THROTTLED, FAULT, unknown=True),
    ev.Refused("DeleteSnapshots", RefusalKind.DENIED, FAULT),
    ev.ApprovalSeen(),
    ev.ApprovalSeen("arn:aws:iam::111111111111:user/approver"),
    ev.ApprovalSeen(changed=True),
    ev.ApprovalSeen(gone=True),
    ev.TargetReady(TARGET_KEY),
    ev.TargetReady(TARGET_KEY, "ami-0b"),
    ev.TargetReady(TARGET_KEY, None, (seen("snap-0a", "completed"), seen("snap-0b", "completed"))),
    ev.TargetUnfit((FAULT,)),
    ev.HubCopySeen(),
    ev.HubCopySeen(waits=True),
    ev.HubCopySeen((("snap-0a", "snap-0ah"), ("snap-0b", "snap-0bh")), "arn:aws:kms:eu-west-1:111111111111:key/hub"),
    ev.SlotsAsked(2, 0),
    ev.SlotsAsked(2, 0, 2, NOW + 3600),
    ev.SlotsSeen(2, NOW + 3600),
    ev.OthersWait(waits=True),
    ev.OthersWait(waits=False),
    ev.RoleRenamed("Renamed"),
    ev.SharesHeld(),
    ev.SharesSeen(open=True),
    ev.SharesSeen(open=False),
    ev.SharesSeen(open=False, waits_for=FAULT),
    ev.SharesSeen(open=False, refused=FAULT),
    ev.SharesReleased(),
    ev.SharesReleased(all=False),
    ev.ClosingSeen(),
    ev.ClosingSeen(("resource#image#ami-0a",)),
    ev.CopyStarted("snap-0a", "snap-0ac"),
    ev.CopiesFound(()),
    ev.CopiesFound((), "Renamed"),
    ev.CopiesFound((seen("snap-0a", "pending"), seen("snap-0b", "error"))),
    ev.CopiesFound((seen("snap-0a", "pending"), seen("snap-0a", "pending", copy="snap-0other"))),
    ev.CopiesFound((seen("snap-0a", "completed", nonce=""),)),
    ev.CopiesSeen(("snap-0ac",), ()),
    ev.CopiesSeen(("snap-0ac", "snap-0bc"), (seen("snap-0a", "completed"), seen("snap-0b", "completed"))),
    ev.CopiesSeen(("snap-0ac",), (seen("snap-0a", "error", message="Given key ID is not accessible"),)),
    ev.CopiesSeen(("snap-0ac",), (seen("snap-0a", "completed", key_arn="arn:other"),)),
    ev.SnapshotsDeleted(("snap-0ac",)),
    ev.ImageRegistered("ami-0b"),
    ev.ImageNotFound(),
    ev.ImageSeen("pending"),
    ev.ImageSeen("available"),
    ev.ImageSeen("available", (FAULT,)),
    ev.ImageSeen("failed"),
    ev.ImageDiscarded(),
    ev.ImageSeen("missing"),
    ev.ImageSeen("failed", reason="Given key ID is not accessible"),
    ev.ImageSeen("available", copies=(("snap-0a", "snap-0ac"), ("snap-0b", "snap-0bc")), extras=("snap-0cc",)),
    ev.TargetReady(TARGET_KEY, "ami-0b", unfinished=True),
    ev.CopiesTagged(),
    ev.DeprecationCarried(),
    ev.ImageProtected(),
    ev.Refused("ProtectImage", RefusalKind.DENIED, FAULT),
    ev.LeftoversSeen((), ()),
    ev.LeftoversSeen(("snap-0ac",), ("snap-0ac",)),
    ev.LeftoversSeen(("snap-0ac",), (), FAULT),
    ev.LeftoversSeen((), (), unproven=("ami-0x",)),
    ev.CancelAsked(),
    ev.EndSeen(0),
    ev.EndSeen(NOW + 10**6),
    ev.DeadlinePassed(),
    ev.WaitingNotified(),
    ev.OutcomeNotified(),
)
