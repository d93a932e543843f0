"""``withdraw``: what it refuses before it writes anything."""

from dataclasses import replace

import pytest

from ami_promoter.commands.withdraw import AmiSeen, refusals
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.targets.applied_file import AppliedFile, Directory, Target
from chalicelib.targets.organization import Membership, Organization, Unit

AMI, REGION = "ami-0123456789abcdef0", "us-east-1"
DEV, TEST, PROD = "111111111111", "222222222222", "333333333333"
OU, ARN = "ou-ab12-11111111", "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/ou-ab12-11111111"


def applied(launch):
    """A file whose group has an OU with DEV and TEST; the OU's ARN, or each account, gets the launch permission."""
    return AppliedFile(
        Directory(
            {"default": (OU,)},
            {},
            {"default": (Target("", REGION, mode="share", launch_permission=launch),)},
            organization=Organization("o-a1b2c3d4e5", {OU: ("default",)}),
            membership=Membership("1", {OU: Unit(ARN, (DEV, TEST))}),
        )
    )


def seen(tracked=(), launched=None):
    """What the command knows of an AMI that is tagged for the group."""
    return AmiSeen(AMI, "default", 0, list(tracked), launched or {}, {}, (), "")


@pytest.mark.parametrize(
    ("launch", "launched", "codes"),
    [
        ("group", {}, ["withdrawn-by-unit"]),
        ("account", {}, []),
        ("account", {f"{DEV}/{REGION}": ARN}, ["withdrawn-by-unit"]),
    ],
    ids=["by the file", "by account", "by the share that stands"],
)
def test_who_may_launch_by_an_ous_arn_cannot_be_withdrawn_alone(launch, launched, codes):
    """By the present file, or by what is still open from an earlier one; the cure names both ways out."""
    tracked = [TrackedDelivery("d", DEV, REGION, 1, "shared")]

    found = list(refusals(seen(tracked, launched), [DEV], applied(launch)))

    assert [fault.code for fault in found] == codes
    assert all(ARN in fault.what and "ami-promoter cancel" in fault.cure for fault in found)


def test_all_that_is_wrong_is_said_at_once():
    """Two accounts that the value does not name, and one with access by the OU's ARN."""
    found = list(refusals(seen(), [PROD, f"{DEV}/eu-west-1", TEST], applied("group")))

    assert [fault.code for fault in found] == ["no-delivery", "no-delivery", "withdrawn-by-unit"]


@pytest.mark.parametrize("launched", [{}, {f"{TEST}/{REGION}": ARN}], ids=["by the file", "by the share that stands"])
def test_whom_the_arn_for_others_admits_cannot_be_withdrawn_alone_either(launched):
    """The file lists DEV by its id, so it has a launch permission of its own; but it is in the OU of TEST, too."""
    launch = "account" if launched else "group"
    file = applied(launch).directory
    listed = Target(DEV, REGION, mode="share", launch_permission=launch)
    both = AppliedFile(replace(file, groups={"default": (DEV, OU)}, accounts={DEV: (listed,)}))
    tracked = [TrackedDelivery("d", DEV, REGION, 1, "shared"), TrackedDelivery("t", TEST, REGION, 1, "shared")]

    found = list(refusals(seen(tracked, launched), [f"{DEV}/{REGION}"], both))

    assert [(fault.code, ARN in fault.what) for fault in found] == [("withdrawn-by-unit", True)]
    alone = replace(both.directory, groups={"default": (DEV,)})
    assert list(refusals(seen(tracked[:1]), [DEV], AppliedFile(alone))) == []
