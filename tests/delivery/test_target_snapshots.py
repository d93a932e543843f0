"""The copies in a target among snapshots of others, asked of the simulator's EC2: by their tag, and by their ids."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from awsim.world import World
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.aws.target_snapshots import AwsTargetSnapshots
from chalicelib.delivery.model import Copy, CopyState, Delivery, DeliveryState
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.budget import FOR_LISTS, Budget
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.images.aws import shapes
from tests.delivery.examples import a_delivery
from tests.engine.hub_worker import REGION, works

A_PAGE = 5
OTHERS = 11
TIME = Budget(lambda: 30)


class NoFile:
    """An applied file without the account: the delivery's own role counts."""

    def live(self, _account: str) -> None:
        """See the port."""


class TargetWithOthers:
    """A target with two copies of one delivery among snapshots of others."""

    def __init__(self, world: World) -> None:
        self.world, fresh = world, a_delivery(DeliveryState.COPYING)
        self.adapter = AwsTargetSnapshots(
            TargetSessions(Sessions(REGION, time.time, lambda *_: None), NoFile(), "aws"), "promote", REGION
        )
        self.account = fresh.target.account
        self.ec2 = world.client("ec2", self.account, REGION)
        own = [{"Key": "ami-promoter:delivery", "Value": fresh.id}]
        made = [self._snapshot(tags) for tags in (own, *[[]] * OTHERS, own)]
        self.copies = made[0], made[-1]
        each = zip(fresh.snapshots, self.copies, strict=True)
        self.delivery: Delivery = a_delivery(
            DeliveryState.COPYING, copies=tuple(Copy(one.id, CopyState.PENDING, copy) for one, copy in each)
        )
        world.calls.clear()

    def _snapshot(self, tags: list[dict[str, str]]) -> str:
        volume = self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
        tagged = [{"ResourceType": "snapshot", "Tags": tags}] if tags else []
        return str(self.ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged)["SnapshotId"])

    def passes(self) -> None:
        """Let the snapshots end, and what was done show."""
        self.world.kernel.run(limit=timedelta(minutes=5))

    def asked(self) -> int:
        """How often EC2 was asked for snapshots."""
        return sum(call.operation == "DescribeSnapshots" for call in self.world.calls)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TargetWithOthers]:
    """A page is short."""
    monkeypatch.setattr(shapes, "IN_A_PAGE", A_PAGE)
    with World() as world:
        works(world, monkeypatch, tmp_path)
        yield TargetWithOthers(world)


def test_the_list_by_tag_finds_the_copies_on_any_page(target):
    """Also behind pages on which nothing is the delivery's."""
    assert {one.id for one in target.adapter.find(target.delivery, budget=TIME)} == {*target.copies}
    assert target.asked() == 3


def test_a_list_that_does_not_end_in_time_is_a_refusal_that_names_place_call_and_pages(target):
    """Else the function would be killed, and begin the same list again."""
    left = iter((12 - FOR_LISTS, 9 - FOR_LISTS))  # as the queue consumer tells the worker
    with pytest.raises(Refusal) as unfinished:
        target.adapter.find(target.delivery, budget=Budget(lambda: next(left)))
    assert (unfinished.value.kind, target.asked()) == (RefusalKind.THROTTLED, 2)
    fault = unfinished.value.fault
    assert (fault.code, target.account in fault.where, REGION in fault.where) == ("list-unfinished", True, True)
    assert "DescribeSnapshots has read 2 pages" in fault.what


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_a_look_by_ids_takes_no_call_for_the_snapshots_of_others(target, gone):
    """Also where somebody has deleted some of them: EC2 refuses all for one that is gone, and names that one."""
    deleted = [f"snap-{number:017}" for number in range(gone)]
    shown = target.adapter.find(target.delivery, budget=TIME, ids=[*target.copies, *deleted])
    assert {one.id for one in shown} == {*target.copies}
    assert target.asked() == 1 + gone


def test_where_ec2_does_not_say_which_is_gone_each_half_is_asked_for(target):
    """A list of all that the account has would take a call for each page, however little time there is."""
    target.world.injections.refuse("DescribeSnapshots", "InvalidSnapshot.NotFound", n=1)
    shown = target.adapter.find(target.delivery, budget=TIME, ids=target.copies)
    assert {one.id for one in shown} == {*target.copies}
    assert target.asked() == 3


def test_whether_a_snapshot_that_may_not_be_deleted_is_gone_takes_no_call_for_the_snapshots_of_others(target):
    """The role may delete by the delivery's tag only, and what is deleted has none."""
    target.passes()
    target.ec2.delete_tags(Resources=[target.copies[0]], Tags=[{"Key": "ami-promoter:delivery"}])
    target.passes()
    target.world.calls.clear()
    target.world.injections.refuse("DeleteSnapshot", "UnauthorizedOperation", n=2)

    target.adapter.delete(target.delivery, target.copies[:1])
    with pytest.raises(Refusal):
        target.adapter.delete(target.delivery, target.copies[1:])
    assert target.asked() == 2
