"""Names with parts are parsed and written in one place."""

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.places import Arn, Place, Resource
from chalicelib.engine.wakes import TagEntry, said_of

KEY = "arn:aws:kms:eu-central-1:111111111111:key/1"


@pytest.mark.parametrize("text", ["222222222222", "222222222222/eu-central-1", ""])
def test_a_place_is_written_as_it_was_read(text):
    """An account, or an account and a Region."""
    assert str(Place.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "account", "name"),
    [
        (KEY, "111111111111", "1"),
        ("arn:aws:sns:eu-central-1:111111111111:topic", "111111111111", "topic"),
        ("arn:aws:sns:eu-central-1:111111111111:topic:subscription", "111111111111", "subscription"),
        ("arn:aws:iam::111111111111:role/path/R", "111111111111", "R"),
        ("ec2.amazonaws.com", "", "ec2.amazonaws.com"),
        ("arn:aws:kms", "", "kms"),
        ("111111111111", "", "111111111111"),
    ],
)
def test_an_arn_is_written_as_it_was_read(text, account, name):
    """What is no ARN has no account, and stays as it is."""
    assert (Arn.parse(text).account, Arn.parse(text).name, str(Arn.parse(text))) == (account, name, text)


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        (addresses.snapshot_resource("snap-1"), Resource("snapshot", "snap-1")),
        (addresses.snapshot_resource("snap-1", "us-east-1"), Resource("snapshot", "snap-1", region="us-east-1")),
        (addresses.image_resource("ami-1"), Resource("image", "ami-1")),
        (addresses.key_resource(KEY, "222222222222"), Resource("key", KEY, "222222222222")),
        (addresses.role_resource(KEY, "222222222222"), Resource("role", KEY, "222222222222")),
        (addresses.policy_resource(KEY), Resource("policy", KEY)),
    ],
)
def test_a_resource_is_written_as_it_was_read(key, resource):
    """Each kind, also without the first word, as people see it."""
    assert Resource.parse(key.pk) == resource
    assert Resource.parse(key.pk.removeprefix("resource#")) == resource
    assert str(resource) == key.pk


@pytest.mark.parametrize("args", [("snap-0a",), ("snap-0a", "eu-west-1"), ("ami-0a",)])
def test_a_snapshot_or_ami_by_its_id(args):
    """A message says the Region of what is not in the hub's; the id is the snapshot's."""
    one = Resource.of(*args)

    assert Resource.parse(str(one)) == one
    assert one.in_words == " in ".join(args)


def test_a_damaged_resource_has_no_kind():
    """It is about no key, and at home nowhere."""
    assert (Resource.parse("nonsense").kind, Resource.parse("nonsense").arn) == ("", "")
    assert not Resource.parse("resource#role#").on_own_key


def test_the_share_in_a_sort_key():
    """A live share, a holding, an archived one, and an entry of its history have one name."""
    resource = addresses.key_resource(KEY, "222222222222")
    share = addresses.share(resource, "d1-Role#x")
    held = addresses.holding(resource.pk, "d1-Role#x", "d1")
    over = addresses.archived_share(resource.pk, "d1-Role#x", 7)
    keys = (share, held, over, addresses.share_history(share, 7, 1, "[]"))

    assert {key.share_name for key in keys} == {"d1-Role#x"}
    assert held.holder == "d1"


@pytest.mark.parametrize("said", ["", said_of(None), said_of("dev"), said_of("\ud800")])
@pytest.mark.parametrize("entry", [TagEntry(7, 1_800_000_000, "e-1"), TagEntry(7, None, "e#1@2"), TagEntry()])
def test_a_tag_event_is_read_as_it_was_written(entry, said):
    """Its id may have any signs, and so may the tag's value."""
    entry = entry._replace(said=said)
    assert TagEntry.parse(str(entry)) == entry


@pytest.mark.parametrize("shown", [None, "", "dev", "prod"])
def test_a_look_contradicts_a_tag_event_that_said_something_else(shown):
    """Of an event of an earlier version nobody knows what it said."""
    said = [value for value in (None, "", "dev", "prod") if TagEntry(said=said_of(value)).contradicts(shown)]
    assert said == [value for value in (None, "", "dev", "prod") if value != shown]
    assert not TagEntry.parse("000000000003@5#e-1").contradicts(shown)


def test_of_a_damaged_tag_event_nothing_is_known():
    """So it counts as news."""
    assert TagEntry.parse("nonsense@5#e-1") == TagEntry()
