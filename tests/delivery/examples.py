"""Builders: a delivery in any state, an event of every kind. Each call shows only what matters to its test."""

from dataclasses import replace

from chalicelib.delivery import machine, naming
from chalicelib.delivery.attempts import CopiesFound, CopyStarted, ImageRegistered
from chalicelib.delivery.holdings import RoleRenamed, SharesHeld, SharesReleased, SharesSeen
from chalicelib.delivery.instances import InstanceSeen, InstancesEnded, InstanceStarted, SeenInstance
from chalicelib.delivery.leftovers import SnapshotsDeleted
from chalicelib.delivery.model import (
    ENDED,
    Attempt,
    Copy,
    CopyState,
    Delivery,
    DeliveryHoldings,
    DeliveryState,
    InstanceAttempt,
    Naming,
    Snapshot,
)
from chalicelib.delivery.phase import CancelAsked, DeadlinePassed, DeliveryEvent, Refused
from chalicelib.delivery.phases import recalling
from chalicelib.delivery.phases.checking import (
    AwaitingRoleNotified,
    HubCopySeen,
    KeptImageMissed,
    TargetReady,
    TargetUnfit,
)
from chalicelib.delivery.phases.copying import NobodyWaits
from chalicelib.delivery.phases.ending import ClosingSeen, LeftoversSeen, OutcomeNotified
from chalicelib.delivery.phases.imaging import (
    ImageDiscarded,
    ImageFinished,
    ImageNotFound,
    ImageSeen,
)
from chalicelib.delivery.phases.publishing import EndSeen, ImageProtected
from chalicelib.delivery.phases.waiting import ApprovalSeen, WaveSeen
from chalicelib.delivery.proof import SeenCopy
from chalicelib.delivery.slots import SlotsAsked, SlotsSeen
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import Target

HUB, TARGET, REGION, NOW = "111111111111", "222222222222", "us-east-1", 1_800_000_000
SOURCE_KEY = f"arn:aws:kms:{REGION}:{HUB}:key/source"
TARGET_KEY = f"arn:aws:kms:{REGION}:{TARGET}:key/target"
FAULT = Fault("code", "where", "what.", "cure.")
ORDER = tuple(DeliveryState)
ATTEMPTS = tuple(Attempt(f"nonce-{source}", source, NOW, episode=1) for source in ("snap-0a", "snap-0b", ""))
"""One attempt for each copy and one for the image; ``seen`` shows what they made."""


ENDINGS = {
    **dict.fromkeys((DeliveryState.STOPPING, DeliveryState.TIDYING, DeliveryState.FAILED), DeliveryState.FAILED),
    DeliveryState.RECALLING: DeliveryState.RECALLED,
}
"""How the example of a state ends, if not well."""


def a_delivery(state: DeliveryState = DeliveryState.REQUESTED, **changes: object) -> Delivery:
    """A delivery of two encrypted snapshots that entered ``state`` now, with what this state requires.

    ``changes``: its members, those of its held shares, or settings of its target.
    """
    held = {name: changes.pop(name) for name in DeliveryHoldings.__slots__ if name in changes}
    settings = {name: changes.pop(name) for name in Target.__slots__ if name in changes}
    fresh = machine.started(
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
    ready = machine.evolve(fresh, TargetReady(TARGET_KEY), NOW)
    built = replace(
        ready if ORDER.index(state) >= ORDER.index(DeliveryState.AWAITING_SLOT) else fresh,
        state=state,
        entered=dict.fromkeys(ORDER[: ORDER.index(state) + 1], NOW),
        ending=ENDINGS.get(state),
    )
    opened = {"opened_at": NOW - 3600} if state is DeliveryState.COPYING else {}
    built = built.with_holdings(**{**opened, **held})
    if state is DeliveryState.LAUNCHING:
        built = built.with_launch(attempts=(InstanceAttempt("nonce-i", NOW, "i-0a", episode=built.episode),))
    if state is DeliveryState.SHARED:
        settings = {"mode": "share", **settings}
    return replace(built, **{"target": replace(built.target, **settings), **changes})


def with_copies(delivery: Delivery, *states: CopyState) -> Delivery:
    """The delivery with its copies in these states; a started one has an id."""
    copies = tuple(
        Copy(
            copy.source,
            state=state,
            id=f"{copy.source}c" if state in (CopyState.PENDING, CopyState.COMPLETED) else None,
            tries=0 if state is CopyState.WANTED else 1,
        )
        for copy, state in zip(delivery.copies, states, strict=True)
    )
    return replace(delivery, copies=copies)


def in_copying(first: CopyState, second: CopyState, **changes: object) -> Delivery:
    """A delivery in ``copying`` with its two copies in these states. ``changes``: as of ``a_delivery``."""
    return with_copies(a_delivery(DeliveryState.COPYING, **changes), first, second)


def seen(source: str, state: str, **changes: object) -> SeenCopy:
    """A copy as EC2 shows it."""
    shown = SeenCopy(f"{source}c", source, state, key_arn=TARGET_KEY, started_at=NOW, nonce=f"nonce-{source}")
    return replace(shown, **changes)


EVENTS: tuple[DeliveryEvent, ...] = (
    *(Refused("Step", why, FAULT) for why in RefusalKind),
    *(Refused("StartCopy", why, FAULT, "snap-0a") for why in RefusalKind),
    Refused("RegisterImage", RefusalKind.THROTTLED, FAULT, unknown=True),
    Refused("DeleteSnapshots", RefusalKind.DENIED, FAULT),
    WaveSeen(),
    WaveSeen(open=True),
    WaveSeen(open=True, changed=True),
    WaveSeen(opens_at=NOW + 60),
    WaveSeen(gone=FAULT),
    WaveSeen(why=FAULT),
    *(Refused("RunInstance", why, FAULT) for why in RefusalKind),
    Refused("LookAtInstance", RefusalKind.DENIED, FAULT),
    Refused("EndInstances", RefusalKind.DENIED, FAULT),
    ApprovalSeen(),
    ApprovalSeen("arn:aws:iam::111111111111:user/approver"),
    ApprovalSeen(changed=True),
    ApprovalSeen(gone=True),
    TargetReady(TARGET_KEY),
    TargetReady(TARGET_KEY, "ami-0b"),
    TargetReady(TARGET_KEY, None, (seen("snap-0a", "completed"), seen("snap-0b", "completed"))),
    TargetUnfit((FAULT,)),
    KeptImageMissed("another-name"),
    HubCopySeen(),
    HubCopySeen(waits=True),
    HubCopySeen(incomplete=FAULT),
    HubCopySeen((("snap-0a", "snap-0ah"), ("snap-0b", "snap-0bh")), "arn:aws:kms:eu-west-1:111111111111:key/hub"),
    SlotsAsked(2, 0),
    SlotsAsked(2, 0, 2, NOW + 3600),
    SlotsSeen(2, NOW + 3600),
    NobodyWaits(),
    RoleRenamed("Renamed"),
    SharesHeld(),
    SharesSeen(open=True),
    SharesSeen(open=False),
    SharesSeen(open=False, waits_for=FAULT),
    SharesSeen(open=False, refused=FAULT),
    SharesReleased(),
    SharesReleased(all=False),
    ClosingSeen(),
    ClosingSeen(("resource#image#ami-0a",)),
    CopyStarted("snap-0a", "snap-0ac"),
    CopiesFound(()),
    CopiesFound((), "Renamed"),
    CopiesFound((seen("snap-0a", "pending"), seen("snap-0b", "error"))),
    CopiesFound((seen("snap-0a", "pending"), seen("snap-0a", "pending", id="snap-0other"))),
    CopiesFound((seen("snap-0a", "completed", nonce=""),)),
    CopiesFound((seen("snap-0a", "completed"), seen("snap-0b", "completed"))),
    CopiesFound((seen("snap-0a", "error", message="Given key ID is not accessible"),)),
    CopiesFound((seen("snap-0a", "completed", key_arn="arn:other"),)),
    SnapshotsDeleted(("snap-0ac",)),
    ImageRegistered("ami-0b"),
    ImageNotFound(),
    ImageSeen("pending"),
    ImageSeen("available"),
    ImageSeen("available", (FAULT,)),
    ImageSeen("failed"),
    ImageDiscarded(),
    ImageSeen("missing"),
    ImageSeen("failed", reason="Given key ID is not accessible"),
    ImageSeen("available", copies=(("snap-0a", "snap-0ac"), ("snap-0b", "snap-0bc")), extras=("snap-0cc",)),
    TargetReady(TARGET_KEY, "ami-0b", unfinished=True),
    ImageFinished(),
    ImageProtected(),
    InstanceStarted("i-0a", "nonce-i"),
    InstanceSeen("i-0a", "running", system="ok", instance="ok", launched_at=NOW),
    InstanceSeen("i-0a", "running", system="impaired", instance="ok", launched_at=NOW),
    InstanceSeen("i-0a", "terminated", "Client.InternalError"),
    InstanceSeen("i-0a", "terminated", "Server.InternalError"),
    InstanceSeen("i-0a"),
    InstancesEnded(),
    InstancesEnded((SeenInstance("i-0a", "nonce-i", "shutting-down"),)),
    naming.ParameterChanged("/golden/{family}/current", "family", Naming("base", "/golden/base/current")),
    naming.ImageOffered(),
    naming.PointerSeen(done=True, shows="ami-0c"),
    recalling.CopySeen(there=True),
    recalling.CopyRecalled(disabled=False),
    recalling.CopyRestored(),
    Refused("ProtectImage", RefusalKind.DENIED, FAULT),
    LeftoversSeen((), ()),
    LeftoversSeen(("snap-0ac",), ("snap-0ac",)),
    LeftoversSeen(("snap-0ac",), (), FAULT),
    LeftoversSeen(("snap-0ac", "snap-0bc"), (), deleted=("snap-0ac",), more=True),
    LeftoversSeen(("snap-0ac",), deleted=("snap-0ac",), by_ids=True),
    LeftoversSeen(("snap-0ac",), (), FAULT, by_ids=True),
    LeftoversSeen((), (), unproven=("ami-0x",)),
    CancelAsked(),
    EndSeen(0),
    EndSeen(NOW + 10**6),
    DeadlinePassed(),
    AwaitingRoleNotified(),
    *(OutcomeNotified(outcome) for outcome in DeliveryState if outcome in ENDED or outcome == "shared"),
)
