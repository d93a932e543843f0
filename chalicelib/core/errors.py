"""Our own errors, from the general to the special.

PromoterError
├── IllegalEvent      a record met an event that its state does not know: it is parked
├── NewerSchema       a record was written by a newer version: it is parked
├── Unreadable        a record does not fit its type: it is parked
└── Misconfigured     this deployment is wrong; no record can help it
"""

from __future__ import annotations


class PromoterError(Exception):
    """Anything this service raises by itself."""


class ParkRecord(PromoterError):
    """This record cannot be worked on; it is set aside for a person, and out of the way of others."""


class IllegalEvent(ParkRecord):
    """The state machine has no such edge."""

    def __init__(self, record: str, state: str, event: str) -> None:
        super().__init__(f"{record}: {event} is not expected in state {state}.")


class NewerSchema(ParkRecord):
    """Written by a version of this service that is newer than this one."""


class Unreadable(ParkRecord):
    """Written by hand, or damaged."""


class Misconfigured(PromoterError):
    """The deployment lacks something: an environment variable, a table, a permission of its own."""
