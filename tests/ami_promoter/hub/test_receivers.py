"""The receivers in the applied file: which targets `reconcile` asks, and which shares may be open."""

import pytest

from ami_promoter.hub.applied_targets import Receivers, receivers
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.organization import Membership, Unit

HUB, ONE, TWO, THREE = "111111111111", "200000000001", "200000000002", "200000000003"
OU, ROOT, ORG = "ou-ab12-11111111", "r-ab12", "o-a1b2c3d4e5"
HOME, FAR, THIRD = "us-east-1", "eu-west-1", "ap-south-1"


def targets(account, *regions):
    return tuple(Target(account, region) for region in regions)


def membership(unit, *accounts):
    return Membership("1", {unit: Unit(f"arn:{unit}", accounts)})


@pytest.mark.parametrize("unit", [OU, ROOT, ORG])
def test_accounts_that_a_unit_brings_are_targets_in_each_of_the_groups_regions(unit):
    """An OU, the root or the whole organization; an account with its own block has that block's Regions."""
    directory = Directory(
        {"default": (unit,), "more": (THREE,)},
        {THREE: targets(THREE, HOME)},
        {"default": targets("", HOME, FAR)},
        {TWO: {"default": targets(TWO, THIRD)}},
        membership=membership(unit, HUB, ONE, TWO),
    )

    found = receivers(directory, "7")

    assert found.places((HUB, HOME)) == ((HUB, FAR), (ONE, FAR), (ONE, HOME), (TWO, THIRD), (THREE, HOME))
    assert (found.units, found.unread, found.digest) == ({f"arn:{unit}"}, (), "7")


def test_an_account_of_two_groups_has_the_regions_of_both():
    """If the groups differ, nothing new is copied there, but earlier copies may exist."""
    directory = Directory(
        {"default": (OU,), "listed": (ONE,)},
        {ONE: targets(ONE, HOME)},
        {"default": targets("", FAR)},
        membership=membership(OU, ONE),
    )

    assert receivers(directory).places() == ((ONE, FAR), (ONE, HOME))


def test_who_is_not_contained_and_what_is_not_known():
    """Until an OU has been read, no account is known to be outside of it."""
    found = Receivers({ONE: frozenset({HOME})}, frozenset({"arn:unit"}), known=True)

    assert [found.contain(one) for one in (ONE, "arn:unit", TWO, "arn:other")] == [True, True, False, False]
    unread = receivers(Directory({"default": (OU,)}, {}, {"default": targets("", HOME)}))
    assert (unread.unread, unread.contain(ONE)) == ((OU,), None)


def test_a_unit_that_no_group_names_any_more_is_no_receiver():
    """The stored membership may still contain it for a while."""
    directory = Directory({"default": (ONE,)}, {ONE: targets(ONE, HOME)}, membership=membership(OU, ONE, TWO))

    assert receivers(directory).units == frozenset()
    assert receivers(directory).contain(TWO) is False
