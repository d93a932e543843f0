"""Wakes that come while a run works: the one on its way sends no second message."""

from chalicelib.engine import addresses
from chalicelib.promotion import commands as do
from chalicelib.promotion.codec import PROMOTIONS
from tests.service.cloud import START
from tests.service.hub import Hub
from tests.service.organization import A, B

AMI, HOUR = "ami-00", 3600


def test_an_end_that_comes_while_a_promotion_compares_is_seen():
    """Both accounts' shares expire; the second ends after the promotion has read its deliveries."""
    hub = Hub((A, B), target={"mode": "share", "until": START + 2 * HOUR}, watchful=False)
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, f"{A} {B}")
    hub.run(until=START + HOUR)
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
        self.compare, self.work = hub.promotions._executor.execute, hub.deliveries.run
        hub.promotions._executor.execute, hub.deliveries.run = self.execute, self.run

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
