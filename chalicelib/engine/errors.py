"""The service's errors, from the general to the special. Every room imports them from here.

A value of a wrong type is a plain ValueError until the caller knows its record: then it is Unreadable.
"""

from __future__ import annotations

from enum import StrEnum

from chalicelib.engine.faults import Fault


class RefusalKind(StrEnum):
    """What follows from a refusal, whether AWS or the service itself raised it."""

    THROTTLED = "throttled"
    """A rate limit, an outage, a time-out, or something that the service waits for: try again soon."""
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
    """The base of all errors that the service itself raises."""


class ParkRecord(PromoterError):
    """No worker can process this record: it is parked until a person looks at it."""


class IllegalEvent(ParkRecord):
    """The state machine does not know this event in this state."""

    def __init__(self, record: str, state: str, event: str) -> None:
        super().__init__(f"{record}: {event} is not expected in state {state}.")


class NewerSchema(ParkRecord):
    """Written by a version of this service that is newer than this one, which will read it when it runs again."""


class Unreadable(ParkRecord):
    """Written by hand, or damaged."""


class Refusal(PromoterError):
    """AWS did not carry out a call, or may have (``unknown``); or the service made none, as ``fault`` says."""

    def __init__(self, kind: RefusalKind, fault: Fault, *, unknown: bool = False) -> None:
        super().__init__(str(fault))
        self.kind = kind
        self.fault = fault
        self.unknown = unknown


class StaleCursor(Refusal):
    """A listing cannot continue where it stopped: AWS no longer knows its cursor."""


class TargetsDamaged(Refusal):
    """The applied items are not what was applied, or not of this version; ``fault`` says which."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(RefusalKind.DENIED, fault)


class LostRace(PromoterError):
    """Somebody else wrote first: read again and decide again."""


class Misconfigured(PromoterError):
    """The deployment lacks something: an environment variable, a table, a permission of its own."""
