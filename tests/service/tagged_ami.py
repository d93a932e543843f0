"""An AMI that has just been tagged, and what happens between what its promotion reads and what it writes."""

from collections.abc import Callable
from typing import Any

from chalicelib.engine import addresses
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.model import Promotion
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.organization import Organization, Unit
from tests.service.cloud import REGION
from tests.service.hub import Hub
from tests.service.organization import ARN, ORGANIZATION, OTHER_ARN, OTHER_OU, OU, A, B, membership_of
from tests.service.shared_ami import AMI


def tagged(accounts: tuple[str, ...] = (A, B), **settings: Any) -> Hub:
    """A hub whose AMI has just been tagged."""
    hub = Hub(accounts, watchful=False, **settings)
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, "default")
    return hub


def record(hub: Hub) -> Promotion:
    stored = hub.stores.records.read(addresses.promotion(AMI))
    assert stored is not None
    return PROMOTIONS.decode(stored)


def when(hub: Hub, command: type, then: Callable[[], object]) -> None:
    """Do something once, between what the promotion reads for a command and the write of its result."""
    real, left = hub.promotions.executor.execute, [then]

    def execute(record: Promotion, asked: object, budget: object) -> object:
        event = real(record, asked, budget)
        if isinstance(asked, command) and left:
            left.pop()()
        return event

    hub.promotions.executor.execute = execute


def conflicting(accounts: int) -> Directory:
    """A file in which so many accounts have two OUs that do not agree on their settings; A has none of that."""
    them = tuple(f"{300_000_000_000 + number}" for number in range(accounts))
    return Directory(
        {"default": (A, OU), "others": (OTHER_OU,)},
        {A: (Target(A, REGION),)},
        {"default": (Target("", REGION),), "others": (Target("", REGION, key="alias/other"),)},
        organization=Organization(ORGANIZATION, {OU: ("default",), OTHER_OU: ("others",)}),
        membership=membership_of({OU: Unit(ARN, them), OTHER_OU: Unit(OTHER_ARN, them)}),
    )
