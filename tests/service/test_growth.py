"""Finished work costs nothing more, in comparison with an empty hub; ``python -m tests.service.growth`` plays years."""

import json

import pytest

from chalicelib.engine import schedule
from tests.service.cloud import INACCESSIBLE, CloudBehavior
from tests.service.growth import EMPTY, Growth, Size, grown, measure, must_be_flat, table
from tests.service.hub import Hub

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def empty() -> Growth:
    """The cost of a hub with no finished work."""
    return measure(grown(EMPTY))


@pytest.mark.parametrize(
    "much",
    [Size(finished=2_000, keys=2, tagged=100, shared=20), Size(finished=20_000), Size(tagged=1_000), Size(shared=50)],
    ids=["all of it", "closed shares on one key", "tagged", "shared"],
)
def test_what_is_behind_a_hub_costs_nothing_but_its_heads_and_standing_shares(empty, much):
    """A promotion, a minute of the sweep and a pass of discovery cost what they cost on an empty hub."""
    must_be_flat(empty, measure(grown(much)), much)


def test_the_table_says_it_for_each_hub(empty):
    """It has one row for each hub, for docs/explanation/reliability.md."""
    text = table([("empty hub", empty), ("another", empty)])
    assert text.count("calls") == 6


def test_what_is_over_is_small():
    """For an AMI with twenty snapshots the record keeps target, outcome, nonces and the copies' ids."""
    hub = Hub(watchful=False)
    hub.cloud.make_image("ami-0123456789abcdef0", {f"snap-0123456789abcde{n:02x}": True for n in range(20)})
    hub.cloud.tag("ami-0123456789abcdef0", "default")
    hub.run()

    body = hub.stores.records.read(hub.delivery_key("ami-0123456789abcdef0", hub.accounts[0])).body

    assert (body["state"], len(body["attempts"]), len(body["copies"])) == ("delivered", 21, 20)
    assert len(json.dumps(body)) < 5_000


@pytest.mark.parametrize("hours", [6, 30])
@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_what_fails_again_and_again_for_days_does_not_grow(method, hours):
    """Its nonces are kept for a day: so many as its episodes of a day have, and no more."""
    fails = CloudBehavior(copying=(60,), fails=(INACCESSIBLE,))
    hub = Hub(target={"copy_method": method}, behavior=fails, watchful=False)
    hub.cloud.make_image("ami-00", {f"snap-{n:02}": True for n in range(5)})
    sizes = []
    for _ in range(12):
        hub.cloud.tag("ami-00", None)
        hub.wait(120)
        hub.cloud.tag("ami-00", "default")
        assert hub.wait(hours * schedule.HOUR).outcomes() == {("ami-00", hub.accounts[0]): "failed"}
        sizes.append(len(hub.stores.records.read(hub.delivery_key("ami-00", hub.accounts[0])).body["attempts"]))

    assert max(sizes) <= (1 + 24 // hours) * sizes[0], sizes
