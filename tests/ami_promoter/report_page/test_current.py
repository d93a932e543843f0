"""Which image is current where: the last one delivered of each family of names."""

import pytest

from ami_promoter.report_page.current import families, family
from tests.ami_promoter.shown import a_delivery, a_page


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("golden-2026-01", "golden…"),
        ("golden-2026-01-31", "golden…"),
        ("golden-20260131", "golden…"),
        ("golden-20260131T0900Z", "golden…"),
        ("golden-20260131-090000", "golden…"),
        ("golden_1767606054", "golden…"),
        ("golden/v12", "golden…"),
        ("golden-v1.2.3-20260131", "golden…"),
        ("golden-1.4.0", "golden…"),
        ("ubuntu-22.04-20260131", "ubuntu-22.04…"),
    ],
)
def test_a_date_a_long_number_or_a_version_at_the_end_makes_no_other_family(name, of):
    """The next build of the same image replaces it."""
    assert family(name) == of


@pytest.mark.parametrize(
    "name", ["ubuntu-22.04", "debian-13", "windows-2022", "rhel-9.4", "al2023", "20260131", "v2", ""]
)
def test_what_may_be_another_product_is_another_family(name):
    """An image of another family never hides a current one."""
    assert family(name) == name


def page(ami, name, *deliveries):
    """Build a promotion with these deliveries."""
    made = [a_delivery(account, state, image=image, since=since) for account, state, image, since in deliveries]
    return a_page(made, ami=ami, name=name)


def test_the_last_one_delivered_to_a_target_is_its_current_one():
    """A failed delivery leaves the one before; a shared image is the hub's; after a withdrawal there is none."""
    old = page(
        "ami-1",
        "base-v1",
        ("1", "delivered", "ami-a", "2026-01-01T00:00:00Z"),
        ("2", "delivered", "ami-b", "2026-01-01T00:00:00Z"),
    )
    new = page(
        "ami-2",
        "base-v2",
        ("1", "failed", None, "2026-01-02T00:00:00Z"),
        ("2", "delivered", "ami-c", "2026-01-02T00:00:00Z"),
        ("3", "shared", None, "2026-01-02T00:00:01Z"),
        ("4", "withdrawn", None, "2026-01-02T00:00:00Z"),
    )

    (found,) = families([new, old])
    expected = [("1", "ami-a", "ami-1"), ("2", "ami-c", "ami-2"), ("3", "ami-2", "ami-2")]

    assert [(one.account, one.image, one.source) for one in found.current] == expected
    assert (found.latest.source, found.behind, found.earlier) == ("ami-2", 1, 1)


def test_images_without_a_name_are_each_their_own():
    """By the source's id."""
    some = [page(ami, "", ("1", "delivered", "ami-x", "-")) for ami in ("ami-1", "ami-2")]

    assert [one.name for one in families(some)] == ["ami-1", "ami-2"]


def named(ami, image, since, *, made_at, names, account="1"):
    """Build the page of one delivery of the family `base`, whose parameter names an image made at that time."""
    pointer = {"parameter": "/golden/base/current", "image": names, "made_at": made_at, "why": "", "fault": None}
    shown = page(ami, f"golden-{ami}", (account, "delivered", image, since))
    shown["deliveries"][0] |= {"family": "base", "pointer": pointer}
    return shown


def test_what_the_parameter_names_is_current_whatever_was_delivered_last():
    """An older AMI that was promoted afterwards is not current, and in no target is anything behind it."""
    new = "2026-02-01T00:00:00.000Z"
    pages = [
        named("ami-2", "ami-b", "2026-03-01T00:00:00Z", made_at=new, names="ami-b"),
        named("ami-1", "ami-a", "2026-03-02T00:00:00Z", made_at=new, names="ami-b"),
        named("ami-1", "ami-c", "2026-03-02T00:00:00Z", made_at="2026-01-01T00:00:00.000Z", names="ami-c", account="2"),
    ]

    (found,) = families(pages)

    assert (found.name, found.latest.image, found.behind, found.earlier) == ("base", "ami-b", 1, 1)
    assert [(one.account, one.image, one.named) for one in found.current] == [
        ("1", "ami-b", True),
        ("2", "ami-c", True),
    ]


def test_an_image_whose_sources_date_is_not_known_is_not_the_latest():
    """A target whose parameter names a known one is then not behind."""
    pages = [
        named("ami-1", "ami-a", "2026-03-02T00:00:00Z", made_at=None, names="ami-a"),
        named("ami-2", "ami-b", "2026-03-01T00:00:00Z", made_at="2026-02-01T00:00:00.000Z", names="ami-b", account="2"),
    ]

    (found,) = families(pages)
    assert found.latest.image == "ami-b"


def test_a_family_of_a_tag_is_not_one_of_names():
    """Though both are called the same."""
    untagged = page("ami-3", "base", ("1", "delivered", "ami-d", "2026-03-01T00:00:00Z"))
    tagged = named("ami-2", "ami-b", "2026-03-01T00:00:00Z", made_at="", names="ami-b")

    assert [(one.name, one.latest.image) for one in families([tagged, untagged])] == [
        ("base", "ami-d"),
        ("base", "ami-b"),
    ]
