"""Wakes that come while a run works: the one on its way sends no second message, and no entry is lost."""

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.promotion import commands as do
from chalicelib.promotion.codec import PROMOTIONS
from tests.service.cloud import START
from tests.service.hub import Hub
from tests.service.organization import A, B
from tests.service.shared_ami import AMI, HOUR, tagged


def test_an_end_that_comes_while_a_promotion_compares_is_seen():
    """Both accounts' shares expire; the second ends after the promotion has read its deliveries."""
    hub = tagged(f"{A} {B}", target={"mode": "share", "until": START + 2 * HOUR}, watchful=False).wait(HOUR)
    late = Late(hub)
    hub.run(until=START + 4 * HOUR)

    promotion = PROMOTIONS.decode(hub.stores.records.read(addresses.promotion(AMI)))
    assert late.came
    assert set(late.states().values()) == {"expired"}
    assert not promotion.standing


class Late:
    """B's worker does not start until the promotion has seen the end of A alone; then it works at once."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.came = hub, False
        self.compare, self.work = hub.promotions.executor.execute, hub.deliveries.run
        hub.promotions.executor.execute, hub.deliveries.run = self.execute, self.run

    def states(self) -> dict[str, str]:
        return {one.account: one.state for one in self.hub.stores.tracked.all(AMI)}

    def run(self, key, *args, **given):
        early = not self.came and self.hub.cloud.now > START + 2 * HOUR + 100
        if not (early and key == self.hub.delivery_key(AMI, B)):
            self.work(key, *args, **given)

    def execute(self, record, command, budget):
        event = self.compare(record, command, budget)
        if isinstance(command, do.Compare) and not self.came and self.states() == {A: "expired", B: "shared"}:
            self.came = True
            for _ in range(50):
                if self.states()[B] != "expired":
                    self.work(self.hub.delivery_key(AMI, B), "its end", time_left=lambda: 30)
        return event


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
    while len(hub.cloud.pending(A)) < 2:
        hub.wait(10)
    return hub, hub.delivery_key(AMI, A)
