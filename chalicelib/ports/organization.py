"""The organization that the applied file names: what discovery asks of AWS, and what it stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.targets.departures import MembersReading, Whereabouts
from chalicelib.core.targets.listing import Page, Step
from chalicelib.core.targets.organization import Membership


@dataclass(frozen=True, slots=True)
class UnitFound:
    """An OU, a root or an organization: the ARN for launch permissions, and the parents at which reading begins.

    For a root it is the organization's ARN, because launch permissions know no roots.
    """

    arn: str
    parents: tuple[str, ...]


class OrganizationReader(Protocol):
    """The organization that the applied file names. Every method may raise Refusal."""

    def arn(self) -> str:
        """Return the organization's ARN."""

    def unit(self, unit: str) -> UnitFound:
        """Find a unit."""

    def page(self, step: Step) -> Page:
        """Read one page of a parent's direct children; an empty one may not be the last."""

    def whereabouts(self, account: str) -> Whereabouts:
        """Return an account's state and all above it; state "": not in the organization."""


class MembersStore(Protocol):
    """The table of members: the members of each unit in force, and discovery's own state."""

    def membership(self) -> Membership:
        """Read all members in force. Raises Refusal if somebody changed items by hand."""

    def publish(self, before: Membership, after: Membership, reading: MembersReading, version: int) -> bool:
        """Write new members in force, and the reading that found them, both or neither. False: another run wrote first.

        So an account that left counts against the limit of departures as soon as the members lack it.
        """

    def reading(self) -> tuple[MembersReading, int]:
        """Read how far the reading has come, and its version."""

    def save(self, reading: MembersReading, version: int) -> bool:
        """Write the reading, if its version is still this one."""

    def accepted(self, now: int) -> frozenset[str]:
        """Return the accounts whose departure a person has accepted within the last day."""
