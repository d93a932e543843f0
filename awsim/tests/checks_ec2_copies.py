"""Checks of CopySnapshot: what it refuses at once, what fails late, and what a copy has in common with its source."""

from typing import Any

from awsim.world import World
from ec2_words import (
    DEV,
    HERE,
    HOURS,
    OPS,
    PROD,
    WEST,
    a_snapshot,
    copies_reported,
    copy,
    ec2,
    new_key,
    register,
    share,
    shown_image,
    shown_snapshot,
    unshare,
)
from platform_words import after, refused, wait

NO_KEY = "00000000-0000-4000-8000-000000000000"
"""A key id that no key has."""


def ec2_copy_needs_share(world: World) -> None:
    snapshot = a_snapshot(world)

    _wait_for(world, copy(world, snapshot), "error", message="Source snapshot is not found")
    share(world, snapshot, PROD)
    _wait_for(world, copy(world, snapshot), "error", message="Source snapshot is not found")
    share(world, snapshot)
    _wait_for(world, copy(world, snapshot), "completed")


def _wait_for(world: World, snapshot: str, state: str, account: str = DEV, *, message: str = "") -> dict[str, Any]:
    """Let a copy end, assert how, and return it. ``message``: the reason that EC2 must give."""
    wait(world, HOURS)
    found = shown_snapshot(world, snapshot, account)
    assert (found["State"], message in found.get("StateMessage", "")) == (state, True), found
    return found


def ec2_copy_needs_share_to_the_end(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    mine = copy(world, snapshot)
    unshare(world, snapshot)

    found = _wait_for(world, mine, "error")
    assert found["StateMessage"] == "Source snapshot ID is not valid"


def ec2_copy_needs_source_key(world: World) -> None:
    closed, open_ = new_key(world), new_key(world, users=(DEV,))
    target = new_key(world, DEV)
    for key, state in ((closed, "error"), (open_, "completed")):
        snapshot = a_snapshot(world, key=key)
        share(world, snapshot)
        found = _wait_for(world, copy(world, snapshot, Encrypted=True, KmsKeyId=target), state)
        assert found.get("StateMessage", "") == ("" if state == "completed" else "Given key ID is not accessible")


def ec2_copy_needs_target_key(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    foreign = new_key(world, PROD, readers=(DEV,))

    found = _wait_for(world, copy(world, snapshot, Encrypted=True, KmsKeyId=foreign), "error")
    assert found["StateMessage"] == "Given key ID is not accessible"


def ec2_copy_needs_keys_to_the_end(world: World) -> None:
    key = new_key(world, users=(DEV,))
    snapshot = a_snapshot(world, shared=True, key=key)
    mine = copy(world, snapshot, Encrypted=True, KmsKeyId=new_key(world, DEV))
    world.client("kms", OPS).disable_key(KeyId=key)

    found = _wait_for(world, mine, "error")
    assert found["StateMessage"] == "Given key ID is not accessible"


def ec2_copy_key_checked_late(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    mine = copy(world, snapshot, Encrypted=True, KmsKeyId=NO_KEY)

    assert shown_snapshot(world, mine, DEV)["State"] == "pending"
    wait(world, 30)
    found = shown_snapshot(world, mine, DEV)
    assert (found["State"], found.get("StateMessage")) == ("error", "Given key ID is not accessible")


def _refused_copy(world: World, code: str, key: str, saying: str) -> None:
    source = {"SourceRegion": HERE, "SourceSnapshotId": a_snapshot(world, shared=True)}
    refused(code, ec2(world, DEV).copy_snapshot, **source, Encrypted=True, KmsKeyId=key, saying=saying)
    assert ec2(world, DEV).describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def ec2_copy_refuses_missing_alias(world: World) -> None:
    missing = "alias/no-such-key"
    _refused_copy(world, "InvalidParameterValue", missing, f"The specified keyId {missing} is invalid")


def ec2_copy_refuses_disabled_key(world: World) -> None:
    key = new_key(world, DEV)
    world.client("kms", DEV).disable_key(KeyId=key)
    _refused_copy(world, "InvalidParameterValue", key, f"The specified keyId {key} is disabled")


def ec2_copy_refuses_key_not_described(world: World) -> None:
    foreign = new_key(world, PROD)
    _refused_copy(world, "AuthFailure", foreign, f"Not authorized to use key {foreign}")


def ec2_copy_needs_completed_source(world: World) -> None:
    volume = ec2(world).create_volume(AvailabilityZone=f"{HERE}a", Size=8)["VolumeId"]
    snapshot = ec2(world).create_snapshot(VolumeId=volume)["SnapshotId"]

    _wait_for(world, copy(world, snapshot, OPS), "error", OPS, message="Source snapshot is not complete")
    wait(world, 120)
    _wait_for(world, copy(world, snapshot, OPS), "completed", OPS)


def ec2_copy_names_source_region(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)

    _wait_for(world, copy(world, snapshot, SourceRegion=WEST), "error", message="Source snapshot is not found")
    there = copy(world, snapshot, region=WEST)
    assert shown_snapshot(after(world, HOURS), there, DEV, WEST)["State"] == "completed"


def ec2_copy_takes_time(world: World) -> None:
    snapshot = a_snapshot(world, shared=True, volumes=[20])
    mine = copy(world, snapshot)

    seen = []
    for _ in range(3):
        found = shown_snapshot(world, mine, DEV)
        assert found["State"] == "pending"
        seen.append(int(found["Progress"].removesuffix("%")))
        wait(world, 100)
    progress = world.ec2.progress()[0]
    assert (progress.account, progress.source, progress.snapshot) == (DEV, snapshot, mine)
    assert 0 <= seen[0] < seen[1] < seen[2] < progress.percent < 100
    assert _wait_for(world, mine, "completed")["Progress"] == "100%"
    assert world.ec2.progress()[0].percent == 100


def ec2_copies_at_once(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    share(world, snapshot, PROD)
    for _ in range(20):
        copy(world, snapshot)

    refused("ResourceLimitExceeded", copy, world, snapshot)
    copy(world, snapshot, PROD)
    copy(world, snapshot, region=WEST)
    wait(world, HOURS)
    copy(world, snapshot)


def ec2_copy_has_no_client_token(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)

    assert copy(world, snapshot) != copy(world, snapshot)


def ec2_copy_key_needs_encrypted(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)

    refused("InvalidParameterCombination", copy, world, snapshot, KmsKeyId="alias/any")
    refused("InvalidParameterValue", copy, world, snapshot, Encrypted=False)


def ec2_copy_stays_encrypted(world: World) -> None:
    sealed = a_snapshot(world, key=new_key(world, users=(DEV,)))
    plain = a_snapshot(world)
    for snapshot in (sealed, plain):
        share(world, snapshot)
    key = new_key(world, DEV)
    default = world.kms.describe(DEV, HERE, "alias/aws/ebs").arn

    for snapshot, asked, expected in (
        (sealed, {}, default),
        (sealed, {"Encrypted": True, "KmsKeyId": key}, key),
        (plain, {}, None),
        (plain, {"Encrypted": True}, default),
        (plain, {"Encrypted": True, "KmsKeyId": key}, key),
    ):
        found = _wait_for(world, copy(world, snapshot, **asked), "completed")
        assert (found.get("KmsKeyId"), found["Encrypted"]) == (expected, expected is not None), asked


def ec2_copy_leaves_tags(world: World) -> None:
    snapshot = a_snapshot(world)
    ec2(world).create_tags(Resources=[snapshot], Tags=[{"Key": "team", "Value": "images"}])
    share(world, snapshot)
    given = [{"Key": "team:job", "Value": "d-1"}]
    mine = copy(world, snapshot, TagSpecifications=[{"ResourceType": "snapshot", "Tags": given}])

    found = shown_snapshot(world, mine, DEV)
    assert found["Tags"] == given
    assert found["VolumeId"] == "vol-ffffffff"
    by_tag = [{"Name": "tag:team:job", "Values": ["d-1"]}]
    assert len(ec2(world, DEV).describe_snapshots(OwnerIds=["self"], Filters=by_tag)["Snapshots"]) == 1


def ec2_copy_loses_billing(world: World) -> None:
    """An image registered from a copy of a Windows snapshot is billed as Linux: the comparison must find it."""
    snapshot = a_snapshot(
        world, shared=True, Platform="windows", PlatformDetails="Windows", UsageOperation="RunInstances:0002"
    )
    mine = copy(world, snapshot)
    _wait_for(world, mine, "completed")

    kept = shown_image(world, register(world, snapshot))
    lost = shown_image(world, register(world, mine, DEV), DEV)
    assert (kept["PlatformDetails"], kept["UsageOperation"]) == ("Windows", "RunInstances:0002")
    assert (lost["PlatformDetails"], lost["UsageOperation"]) == ("Linux/UNIX", "RunInstances")


def ec2_copy_event(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    good = copy(world, snapshot)
    bad = copy(world, snapshot, Encrypted=True, KmsKeyId=NO_KEY)
    wait(world, HOURS)

    found = {detail["snapshot_id"]: detail for detail in copies_reported(world, DEV)}
    assert set(found) == {f"arn:aws:ec2::{HERE}:snapshot/{good}", f"arn:aws:ec2::{HERE}:snapshot/{bad}"}
    done = found[f"arn:aws:ec2::{HERE}:snapshot/{good}"]
    assert done["source"] == f"arn:aws:ec2::{HERE}:snapshot/{snapshot}"
    expected = ("succeeded", "", "false", "standard")
    assert (done["result"], done["cause"], done["incremental"], done["transferType"]) == expected
    assert found[f"arn:aws:ec2::{HERE}:snapshot/{bad}"]["result"] == "failed"
    assert copies_reported(world, OPS) == []


def ec2_copy_time_based(world: World) -> None:
    world.ec2.pace.copy, world.ec2.pace.copy_per_gib, world.ec2.pace.copy_spread = 0, 60, 0
    big = a_snapshot(world, volumes=(1000,))
    share(world, big)
    for minutes in (10, 20, 2895):
        refused("InvalidParameterValue", copy, world, big, CompletionDurationMinutes=minutes)
    made = copy(world, big, CompletionDurationMinutes=15)
    second = copy(world, big, CompletionDurationMinutes=30)
    third = copy(world, big, CompletionDurationMinutes=15)
    refused("ResourceLimitExceeded", copy, world, big, CompletionDurationMinutes=2880)
    plain = copy(world, big)
    wait(world, 15 * 60 + 1)

    found = shown_snapshot(world, made, DEV)
    expected = ("completed", "time-based", 15)
    assert (found["State"], found["TransferType"], found["CompletionDurationMinutes"]) == expected
    assert shown_snapshot(world, second, DEV)["State"] == "pending"
    assert shown_snapshot(world, third, DEV)["State"] == "pending", "there was less left than it needs"
    assert shown_snapshot(world, plain, DEV)["TransferType"] == "standard"
    assert copies_reported(world, DEV)[0]["transferType"] == "time-based"
    copy(world, big, CompletionDurationMinutes=2880)
