"""Wakes that come while a run works: the one on its way sends no second message, and no entry is lost."""

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.promotion import commands as do
from chalicelib.promotion.codec import PROMOTIONS
from tests.service.cloud import START
from tests.service.hub import Hub
from tests.service.organization import A, B
from tests.service.shared_ami import AMI, HOUR, tagged, when


def test_an_end_that_comes_while_a_promotion_compares_is_seen():
    """Both accounts' shares expire; the second ends after the promotion has read its deliveries."""
    hub = tagged(f"{A} {B}", target={"mode": "share", "until": START + 2 * HOUR}, watchful=False).wait(HOUR)
    late, work, read = hub.delivery_key(AMI, B), hub.deliveries.run, []

    def states() -> dict[str, str]:
        return {one.account: one.state for one in hub.stores.tracked.all(AMI)}

    def end() -> None:
        read.append(states())
        for _ in range(50):
            if states()[B] != "expired":
                work(late, "its end", time_left=lambda: 30)

    hub.deliveries.run = lambda key, *args, **given: None if key == late else work(key, *args, **given)
    hub.until(lambda: states()[A] == "expired")
    hub.deliveries.run = work
    when(hub, do.Compare, end)
    hub.run(until=START + 4 * HOUR)

    promotion = PROMOTIONS.decode(hub.stores.records.read(addresses.promotion(AMI)))
    assert read == [{A: "expired", B: "shared"}]
    assert set(states().values()) == {"expired"}
    assert not promotion.standing


def test_an_entry_that_a_wake_brings_is_kept_when_another_write_comes_first():
    """One copy of two has ended: the next event finds it in the inbox, and one look serves both."""
    hub, key = copying()
    hub.gate.before("records", "save", lambda: hub.stores.records.leave(key, {"other": "came first"}, hub.cloud.now))

    hub.deliveries.run(key, "event", {"look#snap-00": "event-1"}, time_left=lambda: 30)

    assert hub.stores.records.read(key).inbox == {"other": "came first", "look#snap-00": "event-1"}


def test_an_entry_that_a_wake_brings_is_not_written_at_rest():
    """Nobody would read it; the next episode would take it for its own."""
    hub, key = copying()
    hub.run(until=START + 24 * HOUR)
    before = hub.stores.records.read(key)

    hub.deliveries.run(key, "event", {"image": "event-1"}, time_left=lambda: 30)

    assert DELIVERIES.decode(before).ended
    assert hub.stores.records.read(key) == before


def copying() -> tuple[Hub, RecordKey]:
    """Return a hub in which two copies of a delivery run, and the delivery's record key."""
    hub = Hub((A,), watchful=False)
    hub.cloud.make_image(AMI, {"snap-00": True, "snap-01": True})
    hub.cloud.tag(AMI, A)
    hub.until(lambda: len(hub.cloud.pending(A)) == 2)
    return hub, hub.delivery_key(AMI, A)
