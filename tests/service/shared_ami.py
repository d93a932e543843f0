"""A hub with an AMI that is tagged or shared, and what may be wrong while its permissions are to be removed."""

from collections.abc import Callable
from typing import Any

from chalicelib.engine import addresses
from chalicelib.engine.runner import Runner
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.model import Promotion
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.organization import Organization, Unit
from tests.service.cloud import HUB, REGION, TRIGGER, source_key
from tests.service.hub import Hub
from tests.service.organization import ARN, ORGANIZATION, OTHER_ARN, OTHER_OU, OU, A, B, membership_of

HOUR, DAY = 3600, 86400
AMI = "ami-00"


def untagged(accounts=(A, B), *, file: Directory | None = None, **given: Any) -> Hub:
    """A hub with an AMI of one encrypted snapshot. ``file``: what is applied, if the accounts do not say all of it."""
    hub = Hub(accounts, **given)
    hub.cloud.directory = file or hub.cloud.directory
    hub.cloud.make_image(AMI, {"snap-00": True})
    return hub


def tagged(value: str = "default", accounts=(A, B), **given: Any) -> Hub:
    """A hub whose AMI has just been tagged."""
    hub = untagged(accounts, **given)
    hub.cloud.tag(AMI, value)
    return hub


def shared(accounts=(A, B), **settings) -> Hub:
    hub = tagged(" ".join(accounts), accounts, target={"mode": "share", **settings})
    assert set(hub.wait(HOUR).outcomes().values()) == {"shared"}
    return hub


def withdrawn() -> Hub:
    """A hub that shares its AMI, from which an operator has withdrawn B an hour ago."""
    hub = shared()
    hub.withdraw(AMI, B)
    pass_time(hub, HOUR)
    return hub


def recalled_for_a_while(hub: Hub) -> None:
    """Recall the AMI, and lift that an hour later."""
    hub.recall(AMI)
    pass_time(hub, HOUR)
    hub.lift_recall(AMI)


def send_tag_change(hub: Hub, time: str) -> None:
    """Send the hub the event that the AMI was tagged for A and B at some time."""
    detail = {"changed-tag-keys": [TRIGGER], "version": 99, "tags": {TRIGGER: f"{A} {B}"}}
    event = {"id": "another", "account": HUB, "region": REGION, "time": time, "detail": detail}
    hub.hears.tag_change({**event, "resources": [f"arn:aws:ec2:{REGION}::image/{AMI}"]})


def pass_time(hub, seconds):
    """Let this much time pass, with discovery every five minutes."""
    until = hub.cloud.now + seconds
    while hub.cloud.now < until:
        hub.discover()
        hub.wait(300)


def open_to(hub, *, after=0) -> set[str]:
    """The accounts that may launch the AMI, or use its key, after so many seconds."""
    pass_time(hub, after)
    return {who for _, who in hub.cloud.launches} | {grantee.split(":")[4] for grantee in hub.cloud.grants.values()}


def outcomes(hub, *, after):
    """The outcomes after so many seconds."""
    pass_time(hub, after)
    return hub.outcomes()


def disable_key(hub):
    """The source's key is disabled."""
    hub.cloud.disabled.add(source_key(0))


def pause(hub):
    """An operator pauses new promotions."""
    hub.cloud.paused = True


def damage(key):
    """A person writes nonsense into a record."""

    def damaged(hub):
        hub.unwatched()  # the invariants do not know this record; the tests check them at the end
        hub.stores.records.records[key(hub)].body = {"colour": "red"}

    return damaged


def park_promotion(hub):
    """The promotion's record is parked."""
    hub.park(addresses.promotion(AMI))


def lose_head(hub):
    """A person deletes a head."""
    hub.stores.records.forget(addresses.head(AMI), {"kind": "head"})


def break_head(hub):
    """A head is damaged."""
    hub.stores.records.put(addresses.head(AMI), {"kind": "head", "body": "no JSON"})


def break_mark(hub):
    """The mark by which the pass finds the AMI is damaged."""
    hub.stores.records.put(addresses.standing(AMI), {"kind": "standing", "absent_since": "x", "again_at": "y"})


TROUBLES = {
    "disabled key": disable_key,
    "pause": pause,
    "damaged delivery": damage(lambda hub: hub.delivery_key(AMI, B)),
    "damaged promotion": damage(lambda _hub: addresses.promotion(AMI)),
    "parked promotion": park_promotion,
    "lost head": lose_head,
    "damaged head": break_head,
    "damaged mark": break_mark,
    "damaged resource": damage(lambda _hub: addresses.image_resource(AMI)),
}


def park_delivery(hub):
    """The delivery's record is parked."""
    hub.park(hub.delivery_key(AMI, B))


def record(hub: Hub) -> Promotion:
    stored = hub.stores.records.read(addresses.promotion(AMI))
    assert stored is not None
    return PROMOTIONS.decode(stored)


def when(hub: Hub, command: type, then: Callable[[], object], runner: Runner | None = None) -> None:
    """Do something once, between what the promotion (or another ``runner``) reads for a command and its write."""
    executor, left = (runner or hub.promotions).executor, [then]
    real = executor.execute

    def execute(record: Promotion, asked: object, budget: object) -> object:
        event = real(record, asked, budget)
        if isinstance(asked, command) and left:
            left.pop()()
        return event

    executor.execute = execute


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
