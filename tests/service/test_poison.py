"""Records that cannot be read do not stop discovery, a promotion's pass or a copy quota."""

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import START, refusal
from tests.service.gate import PortTrouble
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
    hub.wait(300)
    hub.cloud.tag("ami-00", "default")
    assert hub.wait(HOUR).outcomes()[("ami-00", GOOD)] == "delivered"
    bad, promotion = hub.stores.seen(hub.delivery_key("ami-00", BAD)), hub.stores.seen(addresses.promotion("ami-00"))
    assert bad is not None
    assert bad.parked
    assert promotion is not None
    assert not promotion.parked


def test_a_damaged_source_is_examined_again_by_a_retry():
    """The promotion is parked before it wrote its deliveries; unparking alone would park it again."""
    hub = a_hub(1)
    hub.troubles.append(PortTrouble("records", "read_all", refusal(RefusalKind.THROTTLED, "Throttled"), times=2))
    hub.cloud.tag("ami-00", "default")
    hub.run(until=START + 4)
    assert not hub.outcomes()
    items = hub.stores.records.items
    for key in [key for key in items if key.kind == "promotion" and key.sk.startswith(addresses.SOURCE)]:
        hub.stores.records.put(key, {"kind": "image", "body": "{"})
    hub.run(until=START + HOUR)
    key = addresses.promotion("ami-00")
    seen = hub.stores.seen(key)
    assert seen is not None
    assert "the source image ami-00 cannot be read" in seen.parked
    assert ("parked", (key, seen.parked)) in hub.telemetry.reported
    assert hub.stores.records.unpark(key, hub.cloud.now)
    hub.stores.records.leave(key, {"retry": f"{hub.cloud.now}:"}, hub.cloud.now)
    assert hub.ended() == {("ami-00", BAD): "delivered", ("ami-00", GOOD): "delivered"}
