"""What a plan says of dollars: at most, by list price, and nothing where nothing is copied."""

import pytest

from ami_promoter.promotions import prices
from chalicelib.targets.applied_file import LaunchTest, Target

HOME, ABROAD = "us-east-1", "eu-west-1"
HUB, TARGET = "111111111111", "222222222222"


@pytest.mark.parametrize(
    ("target", "dollars"),
    [
        (Target(TARGET, HOME), {"storage": 5.4, "transfer": 0, "timed": 0}),
        (Target(TARGET, ABROAD), {"storage": 5.4, "transfer": 2.16, "timed": 0}),
        (Target(TARGET, ABROAD, by_way_of=HUB), {"storage": 5.4, "transfer": 0, "timed": 0}),
        (Target(TARGET, HOME, complete_within=900), {"storage": 5.4, "transfer": 0, "timed": 2.16}),
    ],
)
def test_the_copies_of_an_ami_cost_what_its_gib_cost(target, dollars):
    """108 GiB: a month of storage, the way to another Region once, and the time that AWS is asked for."""
    assert prices.of_target(target, 108, HOME) == pytest.approx(dollars)


def test_a_plan_adds_up_its_targets():
    """And says where the prices are from, and what the service itself takes."""
    one = {"dollars": prices.of_target(Target(TARGET, ABROAD), 100, HOME), "calls": {"CopySnapshot": 1}}
    nothing = {"dollars": {}, "calls": {}}
    (line,) = prices.lines([one, one, nothing])

    assert "at most $10.00 a month for snapshots in the targets, $4.00 once for the transfer to other Regions;" in line
    assert "time-based" not in line
    assert str(prices.read()["dated"]) in line
    assert list(prices.lines([nothing])) == []


@pytest.mark.parametrize(("usd", "written"), [(16.2, "$16.20"), (0.01, "$0.01"), (0.0015, "$0.0015"), (0.0, "$0.00")])
def test_an_amount_below_a_cent_is_not_nothing(usd, written):
    """The calls of a small promotion cost less than a cent."""
    assert prices.dollars(usd) == written


@pytest.mark.parametrize(
    "kind",
    ["t2.micro", "m6g.medium", "m7g.medium", "c7g.medium"]
    + [f"{one}.{size}" for one in ("t3", "t3a", "t4g") for size in ("nano", "micro", "small", "medium", "large")],
)
def test_the_price_of_a_small_instance_is_known(kind):
    """People launch one of these for a test, and want to read what that costs before they ask for it."""
    cost = prices.of_launch(Target(TARGET, HOME, launch_test=LaunchTest(kind, 3300)))

    assert 0.004 < cost["launch"] < 0.1


def test_a_launch_test_costs_its_instance_for_as_long_as_it_may_take():
    """Only where the price of the type is known; the plan says so where it is not."""
    known, unknown = (Target(TARGET, HOME, launch_test=LaunchTest(kind, 3300)) for kind in ("t3.micro", "m7i.large"))
    assert prices.of_launch(known) == {"launch": prices.usd("instance_hour_t3.micro")}
    assert prices.of_launch(unknown) == prices.of_launch(Target(TARGET, HOME)) == {}

    calls = {"RunInstances": 1}
    (said,) = prices.lines([{"dollars": prices.of_launch(known), "calls": calls}])
    assert "$0.01 once for launch tests" in said
    _, more = prices.lines([{"dollars": {}, "calls": calls}])
    assert more.startswith("Launch tests cost the price of their instance")
