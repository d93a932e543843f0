"""Finished work costs nothing more than an empty hub, nor a target more among many; `make bench` plays more."""

import json

import pytest

from tests.service import curve, largest_promotion
from tests.service.growth import EMPTY, Growth, Size, grown, measure, must_be_flat
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


def test_what_is_over_is_small():
    """For an AMI with twenty snapshots the record keeps target, outcome, nonces and the copies' ids."""
    hub = Hub(watchful=False)
    hub.cloud.make_image("ami-0123456789abcdef0", {f"snap-0123456789abcde{n:02x}": True for n in range(20)})
    hub.cloud.tag("ami-0123456789abcdef0", "default")
    hub.run()

    body = hub.stores.records.read(hub.delivery_key("ami-0123456789abcdef0", hub.accounts[0])).body

    assert (body["state"], len(body["attempts"]), len(body["copies"])) == ("delivered", 21, 20)
    assert len(json.dumps(body)) < 5_000


def test_a_delivery_costs_no_more_among_many():
    """Invocations and calls per delivery are equal; one call opens or closes a snapshot for many accounts."""
    few, many = curve.point(5), curve.point(20)
    assert many.invocations / 20 <= 1.1 * few.invocations / 5
    assert many.store_calls / 20 <= 1.1 * few.store_calls / 5
    assert many.aws_calls / 20 <= 1.1 * few.aws_calls / 5
    assert many.sharing <= 2 * 4


def test_no_invocation_outlives_a_function_or_takes_much():
    """Forty accounts in four Regions, twenty snapshots; `make bench` plays a thousand."""
    found = largest_promotion.expansion(40) | largest_promotion.delivery() | largest_promotion.opening(10)
    assert {"worker: promotion", "worker: delivery", "share-worker: snapshot", "sweep: sweep"} <= found.keys()
    assert all(megabytes < 10 and 0 < seconds < 30 for megabytes, seconds in found.values()), found
