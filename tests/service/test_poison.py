"""Records that cannot be read do not stop discovery, a promotion's expansion or a copy quota."""

from chalicelib.core.records import addresses
from tests.service.cloud import START, CloudBehavior
from tests.service.hub import Hub
from tests.service.scenes import ACCOUNTS

BAD, GOOD = ACCOUNTS[:2]
NONSENSE = {"colour": "red"}
HOUR = 3600


def a_hub(amis: int, **how) -> Hub:
    """A hub with this many AMIs of one snapshot each, and two accounts."""
    hub = Hub((BAD, GOOD), watchful=False, **how)
    for n in range(amis):
        hub.cloud.make_image(f"ami-0{n}", {f"snap-0{n}": False})
    return hub


def spoil(hub: Hub, key: addresses.RecordKey) -> None:
    """Write nonsense over a record's body."""
    hub.stores.records.records[key].body = NONSENSE


def test_a_promotion_passes_by_a_delivery_that_cannot_be_read():
    """Tagged again after a failure: the damaged delivery is parked, and the other target is retried."""
    hub = a_hub(1)
    keep = hub.cloud.directory
    hub.cloud.tag("ami-00", "default")
    hub.cloud.after(4, lambda: setattr(hub.cloud, "directory", type(keep)(keep.groups, {})))
    assert set(hub.ended().values()) == {"failed"}
    hub.cloud.directory = keep
    spoil(hub, hub.delivery_key("ami-00", BAD))
    hub.cloud.tag("ami-00", None)
    hub.run(until=hub.cloud.now + 300)
    hub.cloud.tag("ami-00", "default")
    assert hub.at(hub.cloud.now + HOUR).outcomes()[("ami-00", GOOD)] == "delivered"
    bad, promotion = hub.stores.seen(hub.delivery_key("ami-00", BAD)), hub.stores.seen(addresses.promotion("ami-00"))
    assert bad is not None
    assert bad.parked
    assert promotion is not None
    assert not promotion.parked


def spoil_plan(hub: Hub) -> None:
    """Damage the promotion's stored targets, and their settings."""
    items = hub.stores.records.items
    for key in [key for key in items if key.sk.startswith("plan#")]:
        hub.stores.records.put(key, {"kind": "plan", "body": "{"})


def retry(hub: Hub, ami: str) -> None:
    """Do what `ami-promoter retry` does."""
    key = addresses.promotion(ami)
    assert hub.stores.records.unpark(key, hub.cloud.now)
    hub.stores.records.leave(key, {"retry": f"{hub.cloud.now}:"}, hub.cloud.now)


def test_a_damaged_plan_is_written_again_by_the_retry_that_its_message_names():
    """The promotion was parked before it wrote its deliveries; unparking alone would park it again."""
    hub = a_hub(1)
    hub.cloud.paused = True
    hub.cloud.tag("ami-00", "default")
    hub.run(until=START + 600)
    spoil_plan(hub)
    hub.cloud.paused = False
    hub.run(until=START + HOUR)
    seen = hub.stores.seen(addresses.promotion("ami-00"))
    assert seen is not None
    assert "`ami-promoter retry ami-00`" in seen.parked
    retry(hub, "ami-00")
    assert hub.ended() == {("ami-00", BAD): "delivered", ("ami-00", GOOD): "delivered"}


def test_a_promotion_goes_on_though_its_plan_is_damaged():
    """The file also says whom its value names; an account that the tag no longer names is cancelled."""
    hub = a_hub(1, behavior=CloudBehavior(copying=(4 * HOUR,)))
    hub.cloud.tag("ami-00", "default")
    hub.run(until=START + HOUR)
    spoil_plan(hub)
    hub.run(until=START + 2 * HOUR)
    hub.cloud.tag("ami-00", GOOD)
    assert hub.ended() == {("ami-00", BAD): "cancelled", ("ami-00", GOOD): "delivered"}
    seen = hub.stores.seen(addresses.promotion("ami-00"))
    assert seen is not None
    assert (seen.parked, seen.state) == ("", "over")
