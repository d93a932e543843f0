"""At scale, and after years: a slow AWS with a thousand targets; outages while the work gets done without ``act``."""

from __future__ import annotations

from collections import Counter

import pytest

from chalicelib.core.targets import Directory
from tests.service.growth import EMPTY, YEARS, Size, grown, measure
from tests.service.outages import outages
from tests.service.scenes import all_delivered
from tests.service.slow import FUNCTIONS, SlowGate, SlowHub

HOUR = 3600
AMI = "ami-0a"


def a_hub(accounts: int, gate: SlowGate, snapshots: int = 1, **target) -> SlowHub:
    """A hub with so many targets, on a slow AWS."""
    names = [f"{200_000_000_000 + number}" for number in range(accounts)]
    hub = SlowHub(accounts=names, gate=gate, watchful=False, target=target)
    hub.cloud.make_image(AMI, {f"snap-0{n}": True for n in range(snapshots)})
    return hub


@pytest.fixture(autouse=True)
def many(monkeypatch) -> None:
    """Let a run take as many invocations as that many deliveries do."""
    monkeypatch.setattr("tests.service.hub.MAX_INVOCATIONS", 1_000_000)


GATES = [{}, {"one_slice": frozenset(FUNCTIONS)}]


@pytest.mark.parametrize("how", GATES, ids=["slow", "one slice"])
def test_a_thousand_targets_are_delivered_on_a_slow_aws(how):
    """Calls of up to two seconds, functions killed at their limit, or right after one slice each time."""
    hub = a_hub(1000, SlowGate(**how))
    hub.cloud.tag(AMI, "default")
    hub.run(until=hub.cloud.now + 48 * HOUR)

    hub.lanes.dead.clear()
    all_delivered(hub, told_once=False)


@pytest.mark.parametrize("by", ["tag", "file"])
@pytest.mark.parametrize("how", GATES, ids=["slow", "one slice"])
def test_five_hundred_standing_shares_are_withdrawn_on_a_slow_aws(how, by):
    """Their tag is removed, or the file loses all but one of them: nothing is left open a few hours later."""
    hub = a_hub(500, SlowGate(most=0.11), mode="share", share_snapshots=True)
    hub.cloud.tag(AMI, "default")
    hub.run(until=hub.cloud.now + 24 * HOUR)
    assert Counter(hub.outcomes().values()) == {"shared": 500}, Counter(hub.outcomes().values())

    gate = SlowGate(**how)
    for name in ("most", "one_slice"):
        setattr(hub.gate, name, getattr(gate, name))
    kept = hub.accounts[:1]
    if by == "tag":
        hub.cloud.tag(AMI, None)
    else:
        listed = {account: hub.cloud.directory.accounts[account] for account in kept}
        hub.cloud.directory = Directory({"default": tuple(listed)}, listed)
        hub._discover_at = hub.cloud.now + 300
    hub.run(until=hub.cloud.now + 12 * HOUR)

    stay = set(kept) if by == "file" else set()
    assert {account for _, account in hub.cloud.launches} <= stay
    assert {account for _, account in hub.cloud.permissions} <= stay
    assert {name.split(":")[4] if ":" in name else name for name in hub.cloud.grants.values()} <= stay


@pytest.mark.parametrize("how", [{}, {"one_slice": frozenset({"discover"})}], ids=["slow", "one slice"])
def test_discovery_gets_through_four_thousand_tagged_amis_on_a_slow_aws(how):
    """The last one, tagged anew with its event lost, and the one whose tag is gone, are found within hours."""
    hub = a_hub(1, SlowGate(), mode="share")
    hub.cloud.tag(AMI, "default")
    hub.run(until=hub.cloud.now + HOUR)
    assert set(hub.outcomes().values()) == {"shared"}
    for n in range(4000):
        hub.cloud.make_image(f"ami-b{n:06x}", {f"snap-b{n:06x}": False})
    for name, value in how.items():
        setattr(hub.gate, name, value)
    hub._event_fates = iter(lambda: (), None)
    for n in range(3990):
        hub.cloud.hub_images[f"ami-b{n:06x}"]["Tags"] = [{"Key": "promote", "Value": "nobody"}]
    hub.cloud.tag("ami-b000f9f", "default")
    hub.cloud.tag(AMI, None)
    for _ in range(24 * 12):
        hub._discover_at = min(hub._discover_at or 10**12, hub.cloud.now + 300)
        hub.run(until=hub.cloud.now + 300)

    assert hub.outcomes()[AMI, hub.accounts[0]] == "withdrawn"
    assert hub.outcomes()["ami-b000f9f", hub.accounts[0]] == "shared"


@pytest.mark.parametrize("mode", ["snapshots", "image", "policy", "late release"])
def test_an_outage_of_act_destroys_nothing_that_was_done(mode):
    """Two hours or twenty-six, from while it copies or verifies: what completed meanwhile is registered."""
    failures = []
    for outage in outages([mode], ["act"]):
        try:
            outage.play()
        except AssertionError as failure:
            failures.append(f"{outage}: {failure}")
    assert not failures, "\n".join(failures)


def test_twenty_thousand_closed_shares_on_one_key_cost_a_promotion_nothing():
    """Its read units are those on an empty hub, or nearly."""
    empty, much = measure(grown(EMPTY)), measure(grown(Size(finished=20_000)))

    assert much.promotion.units <= 1.5 * empty.promotion.units


def test_years_are_flat():
    """A hundred thousand finished deliveries, 5,000 tagged and 500 shared AMIs."""
    empty, much = measure(grown(EMPTY)), measure(grown(YEARS))

    assert much.promotion.units <= 1.5 * empty.promotion.units
    assert sum(much.sweep.calls.values()) == sum(empty.sweep.calls.values())
    assert much.sweep.units <= empty.sweep.units + 2
