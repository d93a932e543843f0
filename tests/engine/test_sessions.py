"""Sessions in a target, on the simulator's STS: the adapter asks with a wider policy when one is too large."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from awsim.world import World
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.aws.target_snapshots import AwsTargetSnapshots
from chalicelib.delivery.model import Delivery, Snapshot
from chalicelib.engine.aws import refusals
from chalicelib.engine.aws.refusals import as_refusal
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.budget import Budget
from chalicelib.engine.calls import NO_ANSWER, MadeCall
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.targets.applied_file import Target
from tests.engine.hub_worker import ANYTHING, DEV, HUB, REGION, TRUST, works

KEYS = [f"arn:aws:kms:{REGION}:{HUB}:key/{n:036x}" for n in range(12)]


class FailingTargets:
    """The applied file; ``trouble`` is what a read of it raises."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.role = "AmiCopyRole"

    def live(self, _account: str) -> tuple[str, str]:
        """Role name and external id."""
        if self.trouble is not None:
            raise self.trouble
        return self.role, ""


class SessionsSetup:
    """A hub and a target whose role may do anything; ``packed`` is what telemetry received about its sessions."""

    def __init__(self, world: World) -> None:
        self.world, self.targets = world, FailingTargets()
        self.packed: list[int] = []
        self.sessions = Sessions(REGION, time.time, lambda _role, size: self.packed.append(size))
        targets: Any = self.targets
        self.target_sessions = TargetSessions(self.sessions, targets, "aws")
        self.snapshots = AwsTargetSnapshots(self.target_sessions, "promote", REGION)

    def delivery(self, snapshots: int, keys: int = 1) -> Delivery:
        """A delivery of this many snapshots, under this many keys."""
        each = tuple(Snapshot(f"snap-{n:017x}", KEYS[n % keys]) for n in range(snapshots))
        own = f"arn:aws:kms:{REGION}:{DEV}:key/{'0' * 36}"
        return Delivery("0" * 20, HUB, "ami-0123456789abcdef0", Target(DEV, REGION), 1, 0, "golden", each, key_arn=own)

    def asked(self) -> list[tuple[str, str]]:
        """(outcome, policy) of each AssumeRole."""
        calls = [call for call in self.world.calls if call.operation == "AssumeRole"]
        return [(call.error or "", call.params["Policy"]) for call in calls]

    def copying(self, delivery: Delivery) -> Any:
        """Assume the role for a copy, as the adapters of CopySnapshot and CopyImage do."""
        return self.target_sessions.client("ec2", "image", delivery, [snapshot.id for snapshot in delivery.snapshots])


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SessionsSetup]:
    """The service works with the credentials of the worker's role."""
    with World() as world:
        works(world, monkeypatch, tmp_path)
        yield SessionsSetup(world)


@pytest.mark.parametrize(("snapshots", "keys"), [(1, 1), (5, 1), (20, 1), (20, 12)])
def test_a_session_for_any_ami_is_taken_at_the_first_try(scene, snapshots, keys):
    """One snapshot or twenty, one key or twelve: beyond five it may read any, as CopyImage needs all at once."""
    delivery = scene.delivery(snapshots, keys)
    scene.copying(delivery)

    ((error, policy),) = scene.asked()
    assert error == ""
    assert f"::image/{delivery.ami}" in policy
    assert (f"snapshot/snap-{0:017x}" in policy) == (snapshots <= 5)
    assert scene.packed == [len(policy) * 9 // 100 + 1]


@pytest.mark.parametrize("left_out", ["PackedPolicySize", "SessionTokenUtilization"])
def test_the_size_of_a_session_is_known_by_its_older_and_its_newer_name(scene, left_out):
    """STS's model calls the older one deprecated, and does not say until when there are both."""

    def answers(parsed: dict[str, Any], **_answer: object) -> None:
        parsed.pop(left_out)

    scene.sessions.own("sts").meta.events.register("after-call.sts.AssumeRole", answers)
    scene.copying(scene.delivery(1))

    ((_, policy),) = scene.asked()
    assert scene.packed == [len(policy) * 9 // 100 + 1]


@pytest.mark.parametrize(
    ("work", "looks", "role"),
    [
        ("look", False, "AmiCopyRole"),
        ("register", True, "AmiCopyRole"),
        ("register", False, "NewRole"),
        ("tidy", False, "NewRole"),
    ],
)
def test_what_changes_a_target_is_done_by_the_role_that_the_file_names(scene, work, looks, role):
    """After a rename the former role may still be there, and have lost its rights. To look it is good enough."""
    scene.world.iam.put_role(DEV, "NewRole", TRUST, {"all": ANYTHING})
    scene.targets.role = "NewRole"
    scene.target_sessions.client("ec2", work, scene.delivery(1), looks=looks)

    (call,) = [call for call in scene.world.calls if call.operation == "AssumeRole"]
    assert call.params["RoleArn"].endswith(f"/{role}")


def test_a_policy_that_sts_calls_too_large_is_answered_with_a_wider_one_at_once(scene):
    """STS may pack worse than expected, which cannot be computed. The next session starts with the wider policy."""
    scene.world.sts.packed_per_character = 0.12
    delivery = scene.delivery(4)
    scene.copying(delivery)
    scene.sessions.forget()
    scene.copying(delivery)

    (first, narrow), (second, wide), (third, again) = scene.asked()
    assert (first, second, third) == ("PackedPolicyTooLarge", "", "")
    assert f"key/{0:036x}" in narrow
    assert again == wide
    statements = json.loads(wide)["Statement"]
    assert all("snap-" not in json.dumps(statement) for statement in statements)
    using = [statement for statement in statements if "kms:CreateGrant" in statement["Action"]]
    assert all("kms:ViaService" in json.dumps(statement["Condition"]) for statement in using)


def test_a_policy_that_is_too_large_at_its_widest_is_notified_as_such(scene):
    """It is not taken for a missing role."""
    scene.world.sts.packed_per_character = 0.5
    with pytest.raises(Refusal) as caught:
        scene.copying(scene.delivery(4))

    assert (caught.value.kind, caught.value.fault.code) == (RefusalKind.DENIED, "session-policy-refused")


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", ""])
def test_a_read_of_the_applied_file_that_is_refused_in_the_middle_of_work_is_asked_again(scene, code):
    """Throttled, unreachable, or any other error: it is the service's own table, and says nothing about the target.

    It is read where the role on the delivery's record cannot be assumed.
    """
    unreachable = EndpointConnectionError(endpoint_url="https://dynamodb")
    scene.targets.trouble = ClientError({"Error": {"Code": code, "Message": "no"}}, "GetItem") if code else unreachable
    delivery = scene.delivery(1)
    renamed = replace(delivery, target=replace(delivery.target, role_name="FormerRole"))
    with pytest.raises(Refusal) as caught:
        scene.snapshots.find(renamed, budget=Budget(lambda: 30))

    assert caught.value.kind is RefusalKind.THROTTLED
    assert not caught.value.unknown
    assert "applied targets file" in caught.value.fault.where


def test_each_try_of_a_call_that_changes_aws_is_remembered_by_its_request_id(scene):
    """A refused try, one without an answer that the SDK repeats, one that succeeds; no reads, and each once."""
    ec2 = scene.sessions.own("ec2")
    with pytest.raises(ClientError):
        ec2.delete_snapshot(SnapshotId="snap-00000000000000000")
    ec2.describe_images(Owners=["self"])
    tries: list[object] = []

    def broken_once(**_request: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise EndpointConnectionError(endpoint_url="https://ec2")

    ec2.meta.events.register_first("before-send.ec2.DeleteSnapshot", broken_once)
    with pytest.raises(ClientError):
        ec2.delete_snapshot(SnapshotId="snap-00000000000000000")

    ids = [one.request_id for one in scene.world.calls if one.operation == "DeleteSnapshot"]
    gone = "InvalidSnapshot.NotFound"
    assert scene.sessions.take_calls() == (
        MadeCall("DeleteSnapshot", ids[0], gone),
        MadeCall("DeleteSnapshot", "", NO_ANSWER),
        MadeCall("DeleteSnapshot", ids[1], gone),
    )
    assert scene.sessions.take_calls() == ()


def test_a_snapshot_that_does_not_show_yet_is_no_denial(scene):
    """RegisterImage has a code of its own for it [aws-facts 5]."""
    root = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-00000000000000000"}}
    with pytest.raises(Refusal) as refused, as_refusal("RegisterImage", "here"):
        scene.sessions.own("ec2").register_image(Name="web", RootDeviceName="/dev/xvda", BlockDeviceMappings=[root])

    assert (refused.value.kind, refused.value.fault.code) == (RefusalKind.NOT_YET, "aws-InvalidSnapshotID.NotFound")


def test_a_refusal_names_the_request_of_a_change_and_of_no_read(scene):
    """The text of a refused read must be equal from one look to the next."""
    with pytest.raises(Refusal) as of_change, as_refusal("DeleteSnapshot", "here"):
        scene.sessions.own("ec2").delete_snapshot(SnapshotId="snap-00000000000000000")
    with pytest.raises(Refusal) as of_read, as_refusal("DescribeImages", "here"):
        scene.sessions.own("ec2").describe_images(ImageIds=["ami-00000000000000000"])

    (call,) = (one for one in scene.world.calls if one.operation == "DeleteSnapshot")
    assert of_change.value.fault.what.endswith(f" (request {call.request_id}).")
    assert "(request" not in of_read.value.fault.what


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("AWS was not able to validate the provided access credentials", RefusalKind.THROTTLED),
        ("Not authorized to use key arn:aws:kms:us-east-1:222222222222:key/k ", RefusalKind.DENIED),
    ],
)
def test_a_key_that_the_role_may_not_use_is_no_expired_session(message, kind):
    """CopySnapshot has one code for both; only after the second does a new session help nothing."""
    answer = {"Error": {"Code": "AuthFailure", "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    found = refusals.refusal(ClientError(answer, "CopySnapshot"), "CopySnapshot", "here")

    assert found.kind is kind
    assert message.strip() in found.fault.what
    assert ("the Region is enabled" in found.fault.cure) is (kind is RefusalKind.THROTTLED)
