"""`plan` warns where a snapshot lacks what says that it belongs to the image."""

import pytest

from ami_promoter.promotions.provenance import doubts
from tests.images.examples import an_image, describe_snapshot, describe_volume

AMI, OTHER = "ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb"
MADE = f"Created by CreateImage(i-0123456789abcdef0) for {AMI}"
COPIED = f"Copied for DestinationAmi {AMI} from SourceAmi {OTHER} for SourceSnapshot snap-1. Task created on 1,700."
DATABASE = "nightly dump of the payments database"


def image(root: dict, data: dict):
    """An image of a root and a data volume; what EC2 shows of their snapshots."""
    mappings = [describe_volume("/dev/xvda", "snap-0a"), describe_volume("/dev/xvdb", "snap-0b")]
    snapshots = [describe_snapshot("snap-0a", **root), describe_snapshot("snap-0b", **data)]
    return an_image(snapshots, BlockDeviceMappings=mappings)


def golden(value: str) -> list[dict[str, str]]:
    """The tag by which the service may share a snapshot."""
    return [{"Key": "golden", "Value": value}]


@pytest.mark.parametrize(
    ("root", "data"),
    [
        ({"Description": MADE}, {"Description": MADE}),
        ({"Description": COPIED}, {"Description": COPIED}),
        ({"Description": "by a pipeline"}, {"Description": "by a pipeline, too"}),
        ({"Tags": golden("yes")}, {"Tags": golden("yes")}),
        ({}, {}),
    ],
)
def test_snapshots_that_were_made_together_raise_no_doubt(root, data):
    """By CreateImage, by CopyImage, by a pipeline that registers its own snapshots, or with the tag."""
    assert list(doubts(image(root, data))) == []


@pytest.mark.parametrize(
    ("root", "data", "says"),
    [
        ({"Description": MADE}, {"Description": DATABASE}, f"the root's was made for {AMI}, and this one says nothing"),
        ({}, {"Description": MADE.replace(AMI, OTHER)}, f"it was made for {OTHER}"),
        ({"Tags": golden("yes")}, {"Tags": golden("no")}, "the root's has the tag golden=yes, and this one has not"),
        ({"Tags": golden("yes")}, {}, "the root's has the tag golden=yes, and this one has not"),
    ],
)
def test_a_snapshot_that_lacks_the_roots_origin_is_named(root, data, says):
    """A builder registered it as a volume of the image."""
    (doubt,) = doubts(image(root, data))
    assert (doubt.code, doubt.where) == ("source-snapshot-origin", f"{AMI}, snap-0b")
    assert says in doubt.what


def test_a_root_that_says_less_than_another_snapshot_is_no_doubt_about_that_one():
    """`plan` said that the other one says nothing."""
    assert list(doubts(image({}, {"Description": MADE}))) == []


def test_the_root_is_the_one_that_the_image_names():
    """Not the first volume of the list: the other one is still what raises the doubt."""
    mappings = [describe_volume("/dev/sdf", "snap-0b"), describe_volume("/dev/xvda", "snap-0a")]
    snapshots = [describe_snapshot("snap-0a", Tags=golden("yes")), describe_snapshot("snap-0b")]

    (doubt,) = doubts(an_image(snapshots, BlockDeviceMappings=mappings))

    assert doubt.where == f"{AMI}, snap-0b"


def test_a_root_that_was_made_for_another_image_is_named_too():
    """Both volumes of a golden image, registered again under another name."""
    (first, second) = doubts(image(*[{"Description": MADE.replace(AMI, OTHER)}] * 2))
    assert {first.where, second.where} == {f"{AMI}, snap-0a", f"{AMI}, snap-0b"}
