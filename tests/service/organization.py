"""An organization of one OU, in memory, and a hub whose resolver reads it."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.engine import addresses, codec
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.departures import MembersReading, Whereabouts
from chalicelib.targets.listing import Page, Step
from chalicelib.targets.organization import Membership, Organization, Unit
from chalicelib.targets.ports import UnitFound
from chalicelib.targets.worker.members import Members
from tests.service.cloud import HUB, REGION, FakeTargets
from tests.service.hub import Hub

ORGANIZATION, OU, OTHER_OU = "o-a1b2c3d4e5", "ou-ab12-11111111", "ou-ab12-22222222"
ARN, OTHER_ARN = (f"arn:aws:organizations::900000000000:ou/{ORGANIZATION}/{unit}" for unit in (OU, OTHER_OU))
A, B, C = "200000000001", "200000000002", "200000000003"
FIVE = 300


def membership_of(units: Mapping[str, Unit]) -> Membership:
    """Members named by their content, as the table names them."""
    return Membership(addresses.digest(repr(sorted(units.items()))), units)


def of_an_ou(*accounts: str, **settings: Any) -> Directory:
    """A file whose group ``default`` is the OU, which has these accounts."""
    return with_members(
        Directory(
            {"default": (OU,)},
            {},
            {"default": (Target("", REGION, **settings),)},
            organization=Organization(ORGANIZATION, {OU: ("default",)}),
        ),
        *accounts,
    )


def with_members(file: Directory, *accounts: str, arn: str = ARN, **others: Unit) -> Directory:
    """The file, while the table of members has these accounts in the OU, and perhaps other units."""
    return replace(file, membership=membership_of({OU: Unit(arn, accounts), **others}))


class FakeOrganization:
    """The port ``OrganizationReader``: pages of one account, the first empty. ``refuse``: for the next calls."""

    def __init__(self, *accounts: str) -> None:
        self.accounts = dict.fromkeys(accounts, "ACTIVE")
        self.refuse: list[RefusalKind | None] = []
        self.calls = 0

    def arn(self) -> str:
        return f"arn:aws:organizations::900000000000:organization/{ORGANIZATION}"

    def unit(self, unit: str) -> UnitFound:
        self._called()
        return UnitFound(ARN, (unit,))

    def page(self, step: Step) -> Page:
        self._called()
        if step.what == "units" or (not step.token and not self.accounts):
            return Page()
        listed, number = sorted(self.accounts), int(step.token or 0)
        found = tuple((one, self.accounts[one]) for one in listed[number - 1 : number]) if number else ()
        return Page(found, str(number + 1) if number < len(listed) else "")

    def whereabouts(self, account: str) -> Whereabouts:
        self._called()
        return Whereabouts(self.accounts.get(account, ""), (OU, "r-ab12") if account in self.accounts else ())

    def _called(self) -> None:
        self.calls += 1
        why = self.refuse.pop(0) if self.refuse else None
        if why is not None:
            raise Refusal(why, Fault("organization-unreadable", "there", "It was refused.", "Ask."))


@dataclass
class MemoryMembers:
    """The port ``MembersStore``; what it publishes becomes the hub's directory."""

    hub: Hub
    kept: Any = field(default_factory=lambda: codec.encode(MembersReading()))
    version: int = 0
    lets_go: frozenset[str] = frozenset()

    def membership(self) -> Membership:
        return self.hub.cloud.directory.membership

    def publish(self, before: Membership, after: Membership, reading: MembersReading, version: int) -> bool:
        if self.membership().digest != before.digest or not MemoryMembers.save(self, reading, version):
            return False
        after = replace(membership_of(after.units), troubles=self.membership().troubles)
        self.hub.cloud.directory = replace(self.hub.cloud.directory, membership=after)
        return True

    def reading(self) -> tuple[MembersReading, int]:
        return codec.decode(MembersReading, self.kept), self.version

    def save(self, reading: MembersReading, version: int) -> bool:
        if version != self.version:
            return False
        self.kept, self.version = codec.encode(reading), version + 1
        troubles = {unit: trouble.fault for unit, trouble in reading.troubles.items()}
        self.hub.cloud.directory = replace(
            self.hub.cloud.directory, membership=replace(self.membership(), troubles=troubles)
        )
        return True

    def accepted(self, _now: int) -> frozenset[str]:
        return self.lets_go


class FakeApplied(FakeTargets):
    """The port ``Applied``."""

    def organization(self) -> Organization | None:
        return self._cloud.directory.organization

    def groups(self) -> Any:
        return self._cloud.directory.groups


class OrganizationHub:
    """A hub whose group ``default`` is the OU, and whose group ``other`` contains C; one AMI with one snapshot."""

    def __init__(self, *accounts: str, settings: dict[str, Any] | None = None, **named: Any) -> None:
        self.hub = Hub(accounts=(A, B, C))
        self.cloud = self.hub.cloud
        self.cloud.make_image("ami-0a", {"snap-00": True})
        self.cloud.directory = Directory(
            {"default": (OU,), "other": (C,)},
            {C: (Target(C, REGION, **(settings or {})),)},
            {"default": (Target("", REGION),)},
            organization=Organization(ORGANIZATION, {OU: ("default",)}, **named),
        )
        self.organization = FakeOrganization(*accounts)
        self.members_store = MemoryMembers(self.hub)
        applied, clock = FakeApplied(self.cloud), lambda: self.cloud.now
        self._members = Members(
            applied, self.members_store, lambda _named: self.organization, clock, self.hub.telemetry
        )

    def look(self, times: int = 1, time_left: Callable[[], int] = lambda: 30) -> None:
        """Run discovery, and everything that follows, this many times, five minutes apart."""
        for _ in range(times):
            self._members.run(time_left=time_left)
            self.hub.discover()
            self.hub.wait(FIVE)

    def tag(self, value: str | None = "default") -> None:
        """Tag the AMI, and let an hour pass."""
        self.cloud.tag("ami-0a", value)
        self.hub.wait(3600)

    @property
    def outcomes(self) -> dict[str, str]:
        """Account -> state of its delivery."""
        return {account: state for (_, account), state in self.hub.outcomes().items()}

    @property
    def have(self) -> tuple[str, ...]:
        """The accounts that the OU's membership in force contains."""
        unit = self.cloud.directory.membership.units.get(OU)
        return unit.accounts if unit else ()

    def reported(self, event: str) -> int:
        """How many notices of an event were published; repeats with the same id count once."""
        return len({notice["id"] for notice in self.cloud.notices if notice["event"] == event})


def hurried(pages: int) -> Callable[[], int]:
    """A function whose time is up after this many pages."""
    left = itertools.chain((30,) * pages, itertools.repeat(5))
    return lambda: next(left)


__all__ = [
    "ARN",
    "FIVE",
    "HUB",
    "OTHER_ARN",
    "OTHER_OU",
    "OU",
    "A",
    "B",
    "C",
    "OrganizationHub",
    "hurried",
    "membership_of",
]
