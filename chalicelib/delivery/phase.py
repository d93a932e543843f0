"""What a phase of a delivery declares: its commands, its events, and a ``Phase`` for each of its states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from chalicelib.delivery.model import Attempt, Delivery, DeliveryState, InstanceAttempt, LastLook
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Entry, Row


@dataclass(frozen=True, slots=True)
class Command:
    """What the executor must do. AWS can refuse each command, and each is safe to repeat.

    Only one with members is a dataclass of its own.
    """

    makes: ClassVar[bool] = False
    """Whether it creates something in the target, which gets a nonce of its own."""
    between_writes: ClassVar[bool] = True
    """Whether the record must be written before it and after it, because it changes something in AWS or a store."""

    call: ClassVar[str] = ""
    """The API call whose intent is recorded first."""

    def intend(self, delivery: Delivery, _nonce: str, _now: int) -> Delivery:
        """Return the delivery with the intent, which is written before the command is executed (invariant 3)."""
        return delivery

    def attempt(self, _delivery: Delivery) -> Attempt | InstanceAttempt | None:
        """Return its attempt of this episode: a look must show what came of that. None: it has none."""
        return None

    def nonce(self, delivery: Delivery) -> str:
        """Return the nonce of its ``attempt``; "" if it has none."""
        attempt = self.attempt(delivery)
        return "" if attempt is None else attempt.nonce

    def intended_call(self, _delivery: Delivery) -> str:
        """Return ``call``, with its resource if it names one, for the history; "": none."""
        return self.call


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """What has happened to a delivery. One that comes too late changes nothing, or is not in its state's row.

    Only one with members is a dataclass of its own.
    """

    keeps_refusal: ClassVar[bool] = False
    """Whether the last refusal may still be the cause to report; after other events it no longer applies."""


@dataclass(frozen=True, slots=True)
class Refused(DeliveryEvent):
    """A command was not executed, or it is not known whether it was. ``step`` is the command's name."""

    step: str
    kind: RefusalKind
    fault: Fault
    source: str | None = None
    """The source snapshot, where the command was StartCopy."""
    unknown: bool = False
    """Whether it may have taken effect: after a time-out or a broken connection."""
    nonce: str = ""
    """The attempt's nonce, if the command creates something."""
    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class CancelAsked(DeliveryEvent):
    """The tag, the applied file or an operator ends the delivery. ``expired``: the date ``until`` has come.

    ``why``: who or what it was, in a sentence.
    """

    expired: bool = False
    why: str = ""
    keeps_refusal = True


class DeadlinePassed(DeliveryEvent):
    """The deadline of the present state has passed."""

    keeps_refusal = True


class StateEntry(Entry[Delivery, DeliveryState]):
    """The way into a state: only its phase's file names the state, and others come through this."""

    __slots__ = ()

    def enter(self, delivery: Delivery, now: int) -> Delivery:
        """Enter the state, with its counts of tries and looks at zero."""
        entered = {**delivery.entered, self.state: delivery.entered.get(self.state, now)}
        fresh = replace(delivery.with_holdings(continue_at=0), entered=entered, tries=0, next_try=now, clear_since=None)
        return fresh if self.state is delivery.state else replace(fresh, state=self.state, last_look=LastLook())


@dataclass(frozen=True, slots=True)
class Phase:
    """A delivery in one state, as functions of its record. Times are epoch seconds."""

    on: Row[Delivery]
    """Any other event is illegal and parks the record."""
    outstanding: Callable[[Delivery, int], tuple[Command, ...]]
    """(delivery, now): what is left to do now. Listing and executing can be repeated."""
    deadline: Callable[[Delivery], int | None]
    deadline_acts: Callable[[Delivery], bool] = lambda _delivery: True
    """Whether its deadline acts by itself, and has not acted yet."""
    may_cancel: Callable[[Delivery], bool] = lambda _delivery: True
    """Whether it can still be cancelled, in a state whose row has that."""
    looks: Callable[[Delivery, int], tuple[Command, ...]] = lambda _delivery, _now: ()
    """(delivery, now): what it reads when it is woken, even if nothing is due."""
    may_last: bool = False
    """Whether it may wait for weeks: for its wave, a person, or the end of what is shared."""
