"""Events in: hints are noted on the right record, and nothing else happens, whatever comes."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import addresses
from chalicelib.inbound import Inbound
from chalicelib.ports import Write
from chalicelib.service.bell import Bell
from tests.fakes import MemoryRecords

HUB, TARGET, REGION, NOW = "111111111111", "222222222222", "us-east-1", 1_800_000_000
AMI = "ami-0abc"


class Rung(list):
    """The port ``Rings``: remembers who was rung."""

    def ring(self, key, cause):
        """See the port."""
        self.append(key.pk)


class Scene:
    """Inbound over in-memory records."""

    def __init__(self):
        self.records, self.rung = MemoryRecords(), Rung()
        bell = Bell(self.records, self.rung, lambda: NOW)
        self.inbound = Inbound(self.records, bell, lambda: NOW, hub=HUB, region=REGION, trigger_tag="promote")

    def hints(self, key):
        """What is noted on a record; None if there is none."""
        found = self.records.read(key)
        return None if found is None else found.hints


@pytest.fixture
def scene():
    """A fresh scene."""
    return Scene()


def tag_event(**changes):
    """A tag-change event, as AWS documents it."""
    event = {
        "version": "0",
        "id": "event-1",
        "detail-type": "Tag Change on Resource",
        "source": "aws.tag",
        "account": HUB,
        "region": REGION,
        "resources": [f"arn:aws:ec2:{REGION}::image/{AMI}"],
        "detail": {
            "changed-tag-keys": ["promote"],
            "service": "ec2",
            "resource-type": "image",
            "version": 3,
            "tags": {"promote": "dev"},
        },
    }
    detail = {**event["detail"], **changes.pop("detail", {})}
    return {**event, "detail": detail, **changes}


def copy_event(snapshot_arn=f"arn:aws:ec2::{REGION}:snapshot/snap-0c", source="snap-0a", **changes):
    """A copySnapshot event, as AWS documents it."""
    return {
        "id": "event-2",
        "detail-type": "EBS Snapshot Notification",
        "source": "aws.ec2",
        "account": TARGET,
        "region": REGION,
        "resources": [snapshot_arn],
        "detail": {
            "event": "copySnapshot",
            "result": "succeeded",
            "snapshot_id": snapshot_arn,
            "source": f"arn:aws:ec2::{REGION}:snapshot/{source}",
        },
        **changes,
    }


def test_a_tag_starts_a_promotion_and_rings_it(scene):
    """The record is there before the ring."""
    scene.inbound.tag_change(tag_event())

    assert scene.hints(addresses.promotion(AMI)) == {"tag": "000000000003"}
    assert scene.rung == [f"promotion#{AMI}"]


@pytest.mark.parametrize(
    ("time", "hint"),
    [
        ("2026-01-05T09:00:00Z", "000000000003@1767603600"),
        (None, "000000000003"),
        ("yesterday", "000000000003"),
        (5, "000000000003"),
    ],
)
def test_when_the_tag_changed_is_noted_with_it(scene, time, hint):
    """An event that comes a day late is known by it; one that does not say when is taken as it comes."""
    scene.inbound.tag_change(tag_event(time=time))

    assert scene.hints(addresses.promotion(AMI)) == {"tag": hint}


def test_a_repeated_or_older_event_changes_nothing(scene):
    """AWS delivers at least once and in any order; the version of the tag set tells."""
    scene.inbound.tag_change(tag_event())
    scene.records.begin(addresses.promotion(AMI))
    notes = scene.records.records[addresses.promotion(AMI)].notes
    for version in (3, 2, 1):
        scene.inbound.tag_change(tag_event(detail={"version": version}))

    assert scene.records.records[addresses.promotion(AMI)].notes == notes
    assert len(scene.rung) == 1


@pytest.mark.parametrize(
    "event",
    [
        tag_event(account=TARGET),
        tag_event(region="eu-west-1"),
        tag_event(resources=[f"arn:aws:ec2:{REGION}:{HUB}:instance/i-0abc"]),
        tag_event(resources=[]),
        tag_event(detail={"changed-tag-keys": ["Name"]}),
        tag_event(detail={"tags": {}}),
        tag_event(detail={"version": "3"}),
        tag_event(detail={"version": True}),
        tag_event(detail={"version": -1}),
    ],
    ids=["account", "region", "instance", "nothing", "key", "removed", "text", "boolean", "negative"],
)
def test_what_is_not_a_new_tag_on_an_image_of_the_hub_starts_nothing(scene, event):
    """Another account, Region, resource or key; a removed tag of an unknown AMI."""
    scene.inbound.tag_change(event)

    assert scene.records.records == {}
    assert scene.rung == []


def test_a_removed_tag_is_noted_on_a_promotion_that_exists(scene):
    """It may have to be cancelled."""
    scene.inbound.tag_change(tag_event())
    scene.inbound.tag_change(tag_event(detail={"version": 4, "tags": {}}))

    assert scene.hints(addresses.promotion(AMI)) == {"tag": "000000000004"}


def with_delivery(scene):
    """A delivery that copies snap-0a into the target."""
    key = addresses.delivery("0123")
    scene.records.create(Write(key, "copying", {}, NOW), NOW)
    partition = addresses.copy_lookups(TARGET, REGION, "snap-0a")
    scene.records.put(addresses.lookup(partition, "0123"), {"delivery": "0123"})
    return key


@pytest.mark.parametrize(
    "arn", ["arn:aws:ec2::{}:snapshot/{}", "arn:aws:ec2:{}::snapshot/{}", "arn:aws:ec2:{}:22:snapshot/{}"]
)
def test_a_finished_copy_is_noted_however_its_arn_is_spelt(scene, arn):
    """AWS's own samples show three spellings."""
    key = with_delivery(scene)
    event = copy_event()
    event["detail"]["source"] = arn.format(REGION, "snap-0a")
    scene.inbound.target_event(event)

    assert scene.hints(key) == {"look#snap-0a": "event-2"}
    assert scene.rung == ["delivery#0123"]


@pytest.mark.parametrize(
    "event",
    [
        copy_event(account="333333333333"),
        copy_event(region="eu-west-1"),
        copy_event(source="snap-0b"),
        copy_event(source="x"),
    ],
    ids=["account", "region", "snapshot", "no snapshot"],
)
def test_a_copy_that_is_not_ours_is_nobodys_business(scene, event):
    """Forged, foreign or unknown: no record is touched, none is made."""
    key = with_delivery(scene)
    scene.inbound.target_event(event)

    assert scene.hints(key) == {}
    assert len(scene.records.records) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(value, path=()):
    """Every place in a sample event."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*path, name))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from paths(inner, (*path, n))


@given(st.sampled_from([tag_event(), copy_event()]), st.data())
def test_a_malformed_event_raises_nothing_and_starts_nothing_strange(sample, data):
    """Whatever stands anywhere in it: it would only come again. At most the promotion of a well-formed AMI is noted."""
    event = copy.deepcopy(sample)
    path = data.draw(st.sampled_from(list(paths(event))[1:]))
    spot = event
    for part in path[:-1]:
        spot = spot[part]
    spot[path[-1]] = data.draw(json_values)
    scene = Scene()
    with_delivery(scene)
    for handle in (scene.inbound.tag_change, scene.inbound.image_state, scene.inbound.target_event):
        handle(event)

    assert set(scene.records.records) <= {addresses.promotion(AMI), addresses.delivery("0123")}
