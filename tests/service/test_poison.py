"""Records that cannot be read do not stop a promotion, and a retry lets it go on."""

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from chalicelib.targets.applied_file import Directory
from tests.service.cloud import START
from tests.service.shared_ami import AMI, HOUR, A, B, damage, tagged, untagged


def test_a_promotion_passes_by_a_delivery_that_cannot_be_read():
    """Tagged again after a failure: the damaged delivery is parked, and the other target is retried."""
    hub = untagged(watchful=False)
    file = hub.cloud.directory
    hub.cloud.tag(AMI, "default")
    hub.cloud.after(4, lambda: setattr(hub.cloud, "directory", Directory(file.groups)))
    assert set(hub.ended().values()) == {"failed"}

    hub.cloud.directory = file
    damage(lambda hub: hub.delivery_key(AMI, A))(hub)
    hub.cloud.tag(AMI, None)
    hub.wait(300)
    hub.cloud.tag(AMI, "default")

    assert hub.wait(HOUR).outcomes()[AMI, B] == "delivered"
    assert hub.stores.seen(hub.delivery_key(AMI, A)).parked
    assert not hub.stores.seen(addresses.promotion(AMI)).parked


def test_a_damaged_source_is_examined_again_by_a_retry():
    """The promotion is parked before it wrote its deliveries; unparking alone would park it again."""
    hub = tagged(watchful=False)
    hub.gate.refuse("records", "read_all", why=RefusalKind.THROTTLED, times=2)
    hub.run(until=START + 4)
    assert not hub.outcomes()
    key, items = addresses.promotion(AMI), hub.stores.records.items
    for place in [one for one in items if one.pk == key.pk and one.sk.startswith(addresses.SOURCE)]:
        hub.stores.records.put(place, {"kind": "image", "body": "{"})
    hub.run(until=START + HOUR)
    why = hub.stores.seen(key).parked
    assert f"the source image {AMI} cannot be read" in why
    assert ("parked", (key, why)) in hub.telemetry.reported

    assert hub.stores.records.unpark(key, hub.cloud.now)
    hub.stores.records.leave(key, {"retry": f"{hub.cloud.now}:"}, hub.cloud.now)
    assert hub.ended() == {(AMI, A): "delivered", (AMI, B): "delivered"}
