"""The service's errors, from the general to the special. Every layer imports them from here.

PromoterError
├── ParkRecord            a record cannot be worked on: it is parked for a person
│   ├── IllegalEvent      it met an event that its state does not know
│   ├── NewerSchema       it was written by a newer version
│   └── Unreadable        it does not fit its type
├── Refusal               AWS has not carried out a call, or nobody knows
│   ├── StaleCursor       a listing cannot go on where it stopped
│   └── TargetsDamaged    the applied targets file was changed by hand
├── LostRace              somebody else wrote first
└── Misconfigured         this deployment is wrong; no record can help it

A value that does not fit its type is a plain ValueError until somebody knows whose it is: then it is Unreadable.
"""

from __future__ import annotations

from enum import StrEnum

from chalicelib.core.faults import Fault


class RefusalKind(StrEnum):
    """The kinds of refusal that are worth telling apart."""

    THROTTLED = "throttled"
    """A rate, an outage, a time-out: ask again soon."""
    NOT_YET = "not-yet"
    """Something that the service opened is not effective there yet."""
    LIMIT = "limit"
    """Too many copies at once."""
    NAME_TAKEN = "name-taken"
    ROLE = "role"
    """The role cannot be assumed: missing, wrong trust, wrong external id all look the same."""
    DENIED = "denied"
    """Anything else that another try will not change."""


class PromoterError(Exception):
    """Anything this service raises by itself."""


class ParkRecord(PromoterError):
    """This record cannot be worked on; it is parked for a person, out of the way of others."""


class IllegalEvent(ParkRecord):
    """The state machine has no such edge."""

    def __init__(self, record: str, state: str, event: str) -> None:
        super().__init__(f"{record}: {event} is not expected in state {state}.")


class NewerSchema(ParkRecord):
    """Written by a version of this service that is newer than this one."""


class Unreadable(ParkRecord):
    """Written by hand, or damaged."""


class Refusal(PromoterError):
    """An AWS call was not carried out, or nobody knows whether it was (``unknown``)."""

    def __init__(self, kind: RefusalKind, fault: Fault, *, unknown: bool = False) -> None:
        super().__init__(str(fault))
        self.kind = kind
        self.fault = fault
        self.unknown = unknown


class StaleCursor(Refusal):
    """A listing cannot go on where it stopped: its cursor is not known any longer."""


class TargetsDamaged(Refusal):
    """The applied items are not what was applied, or not of this version; ``fault`` says which."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(RefusalKind.DENIED, fault)


class LostRace(PromoterError):
    """Somebody else wrote first: read again and decide again."""


class Misconfigured(PromoterError):
    """The deployment lacks something: an environment variable, a table, a permission of its own."""
