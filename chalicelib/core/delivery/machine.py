"""The state machine of a delivery.

``TRANSITIONS`` lists the states that can follow an event, ``evolve`` (in ``evolving``) applies an event, and
``outstanding`` (in ``outstanding``) lists what is left to do, from the record alone. So a crash loses nothing: the next
invocation reads the record and calls ``outstanding`` again.
"""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.model import DeliveryState

S = DeliveryState

_END = frozenset({S.STOPPING, S.TIDYING})

WORKING = frozenset({S.AWAITING_APPROVAL, S.COPYING, S.REGISTERING, S.VERIFYING})
"""States in which a passed deadline takes effect only after one more look that shows unfinished work."""

QUEUEING = frozenset({S.REQUESTED, S.CHECKING, S.WAITING})
"""States that the queue deadline ends, after one more look, because the delivery may no longer have to wait."""

TRANSITIONS: Mapping[DeliveryState, Mapping[type, frozenset[DeliveryState]]] = {
    S.AWAITING_APPROVAL: {
        ev.ApprovalSeen: frozenset({S.AWAITING_APPROVAL, S.REQUESTED, S.TIDYING}),
        ev.Refused: frozenset({S.AWAITING_APPROVAL}),
        ev.CancelAsked: frozenset({S.TIDYING}),
        ev.DeadlinePassed: frozenset({S.AWAITING_APPROVAL, S.TIDYING}),
    },
    S.REQUESTED: {
        ev.HubCopySeen: frozenset({S.REQUESTED}) | _END,
        ev.TargetReady: frozenset({S.WAITING, S.OPENING, S.REGISTERING, S.VERIFYING}),
        ev.TargetUnfit: _END,
        ev.Refused: frozenset({S.REQUESTED, S.CHECKING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.REQUESTED, S.TIDYING}),
    },
    S.CHECKING: {
        ev.TargetReady: frozenset({S.WAITING, S.OPENING, S.REGISTERING, S.VERIFYING}),
        ev.TargetUnfit: _END,
        ev.Refused: frozenset({S.CHECKING}) | _END,
        ev.WaitingNotified: frozenset({S.CHECKING}),
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.CHECKING, S.TIDYING}),
    },
    S.WAITING: {
        ev.SlotsAsked: frozenset({S.WAITING, S.OPENING}) | _END,
        ev.SlotsSeen: frozenset({S.WAITING, S.OPENING}) | _END,
        ev.Refused: frozenset({S.WAITING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.WAITING, S.TIDYING}),
    },
    S.OPENING: {
        ev.SlotsAsked: frozenset({S.OPENING}),
        ev.RoleRenamed: frozenset({S.OPENING}) | _END,
        ev.SharesHeld: frozenset({S.OPENING}),
        ev.SharesSeen: frozenset({S.OPENING, S.COPYING, S.REGISTERING, S.VERIFYING, S.PUBLISHING}) | _END,
        ev.SnapshotsDeleted: frozenset({S.OPENING}),
        ev.Refused: frozenset({S.OPENING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: _END,
    },
    S.COPYING: {
        ev.SlotsAsked: frozenset({S.COPYING}),
        ev.SlotsSeen: frozenset({S.COPYING}),
        ev.OthersWait: frozenset({S.COPYING}),
        ev.CopyStarted: frozenset({S.COPYING}) | _END,
        ev.CopiesFound: frozenset({S.COPYING, S.REGISTERING}) | _END,
        ev.CopiesSeen: frozenset({S.COPYING, S.REGISTERING}) | _END,
        ev.SnapshotsDeleted: frozenset({S.COPYING}),
        ev.RoleRenamed: frozenset({S.COPYING}),
        ev.SharesHeld: frozenset({S.COPYING}),
        ev.SharesSeen: frozenset({S.COPYING}),
        ev.Refused: frozenset({S.COPYING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.COPYING, S.TIDYING}),
    },
    S.REGISTERING: {
        ev.CopiesFound: frozenset({S.REGISTERING}) | _END,
        ev.CopyStarted: frozenset({S.REGISTERING}) | _END,
        ev.SlotsAsked: frozenset({S.REGISTERING}),
        ev.SharesReleased: frozenset({S.REGISTERING}),
        ev.SnapshotsDeleted: frozenset({S.REGISTERING}),
        ev.ImageRegistered: frozenset({S.VERIFYING, S.REGISTERING}),
        ev.ImageNotFound: frozenset({S.REGISTERING}) | _END,
        ev.ImageDiscarded: frozenset({S.REGISTERING}) | _END,
        ev.Refused: frozenset({S.REGISTERING}) | _END,
        ev.CancelAsked: frozenset({S.REGISTERING}) | _END,
        ev.DeadlinePassed: frozenset({S.REGISTERING}) | _END,
    },
    S.VERIFYING: {
        ev.CopyStarted: frozenset({S.VERIFYING}) | _END,
        ev.SlotsAsked: frozenset({S.VERIFYING}),
        ev.SharesReleased: frozenset({S.VERIFYING}),
        ev.SnapshotsDeleted: frozenset({S.VERIFYING}),
        ev.ImageSeen: frozenset({S.VERIFYING, S.REGISTERING}) | _END,
        ev.CopiesTagged: frozenset({S.VERIFYING}),
        ev.DeprecationCarried: frozenset({S.PUBLISHING}),
        ev.Refused: frozenset({S.VERIFYING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.VERIFYING, S.TIDYING}),
    },
    S.PUBLISHING: {
        ev.CopyStarted: frozenset({S.PUBLISHING}),
        ev.SlotsAsked: frozenset({S.PUBLISHING}),
        ev.SharesReleased: frozenset({S.PUBLISHING}),
        ev.SnapshotsDeleted: frozenset({S.PUBLISHING}),
        ev.ImageProtected: frozenset({S.PUBLISHING}),
        ev.OutcomeNotified: frozenset({S.DELIVERED, S.SHARED}),
        ev.Refused: frozenset({S.PUBLISHING}),
    },
    S.STOPPING: {
        ev.CopyStarted: frozenset({S.STOPPING}),
        ev.ImageRegistered: frozenset({S.STOPPING}),
        ev.SlotsAsked: frozenset({S.STOPPING}),
        ev.SharesReleased: frozenset({S.STOPPING}),
        ev.LeftoversSeen: _END,
        ev.Refused: frozenset({S.STOPPING}),
        ev.DeadlinePassed: frozenset({S.TIDYING}),
    },
    S.TIDYING: {
        ev.CopyStarted: frozenset({S.TIDYING}),
        ev.ImageRegistered: frozenset({S.TIDYING}),
        ev.SlotsAsked: frozenset({S.TIDYING}),
        ev.SharesReleased: frozenset({S.TIDYING}),
        ev.ClosingSeen: frozenset({S.TIDYING}),
        ev.LeftoversSeen: frozenset({S.TIDYING}),
        ev.OutcomeNotified: frozenset({S.FAILED, S.CANCELLED, S.WITHDRAWN}),
        ev.Refused: frozenset({S.TIDYING}),
        ev.DeadlinePassed: frozenset({S.TIDYING}),
    },
    S.SHARED: {
        ev.CancelAsked: _END,
        ev.EndSeen: frozenset({S.SHARED}) | _END,
    },
    S.WITHDRAWN: {},
    S.DELIVERED: {},
    S.FAILED: {},
    S.CANCELLED: {},
}
"""The states that each event can lead to. An event that is not in a state's row is illegal and parks the record."""
