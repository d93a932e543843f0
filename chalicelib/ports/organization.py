"""The organization that the applied file names: what discovery asks of AWS, and what it stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.targets.departures import MembersReading, Whereabouts
from chalicelib.core.targets.listing import Page, Step
from chalicelib.core.targets.organization import Membership


@dataclass(frozen=True, slots=True)
class UnitFound:
    """An OU, a root or an organization: the ARN by which a launch permission names it, and the parents it begins at.

    Of a root it is the organization's ARN: launch permissions know no roots.
    """

    arn: str
    parents: tuple[str, ...]


class OrganizationReader(Protocol):
    """The organization that the applied file names. Every method may raise Refusal, worded for a person."""

    def unit(self, unit: str) -> UnitFound:
        """Find a unit."""

    def page(self, step: Step) -> Page:
        """Read one page of a parent's direct children; an empty one may not be the last."""

    def whereabouts(self, account: str) -> Whereabouts:
        """Say in which state an account is and where it stands; state "": not in the organization."""


class MembersStore(Protocol):
    """What discovery writes down: whom each unit has, as it is in force, and its own records."""

    def membership(self) -> Membership:
        """Read what is in force, whole. Raises Refusal where items were changed by hand."""

    def publish(self, before: Membership, after: Membership) -> bool:
        """Bring another membership into force, if ``before`` still is. False: somebody was faster."""

    def reading(self) -> tuple[MembersReading, int]:
        """Read how far the reading has come, and the version."""

    def save(self, reading: MembersReading, version: int) -> bool:
        """Write it if nobody else has. False: somebody has."""

    def accepted(self, now: int) -> frozenset[str]:
        """Return the accounts that a person has let go within the last day."""
