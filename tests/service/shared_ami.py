"""An AMI that is shared with some accounts, and what may be wrong while its permissions are to be removed."""

from chalicelib.engine import addresses
from tests.service.cloud import START, source_key
from tests.service.hub import Hub
from tests.service.organization import A, B

HOUR, DAY = 3600, 86400
AMI = "ami-00"


def shared(accounts=(A, B), **settings) -> Hub:
    hub = Hub(accounts, target={"mode": "share", **settings})
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, " ".join(accounts))
    hub.run(until=START + HOUR)
    assert set(hub.outcomes().values()) == {"shared"}
    return hub


def pass_time(hub, seconds):
    """Let this much time pass, with discovery every five minutes."""
    until = hub.cloud.now + seconds
    while hub.cloud.now < until:
        hub.discover()
        hub.run(until=hub.cloud.now + 300)


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
        hub.watchful = False  # the invariants do not know this record; the tests below check them at the end
        hub.gate.watch = lambda *_: None
        hub.stores.records.records[key(hub)].body = {"colour": "red"}

    return damaged


def park_promotion(hub):
    """The promotion's record is parked."""
    hub.watchful = False
    hub.stores.records.park(addresses.promotion(AMI), "for a test", hub.cloud.now)


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
    hub.watchful = False
    hub.stores.records.park(hub.delivery_key(AMI, B), "for a test", hub.cloud.now)
