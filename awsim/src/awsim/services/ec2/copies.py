"""Copies of snapshots, and CopySnapshot: accepted at once, copied for a long time, and refused late.

The copy checks keys and the source's share when it starts and again when it ends. It is not proven that AWS needs them
to the end [aws-facts 4 and 6, UNVERIFIED]; the simulator takes the stricter reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

import botocore.session

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import keys, notices, tags
from awsim.services.ec2.access import may_see
from awsim.services.ec2.errors import check_id, wrong_combination, wrong_value
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Billing, Ec2Snapshot, Origin
from awsim.services.ec2.snapshots import finish
from awsim.services.ec2.state import Ec2State

SHARED_FIRST = rule(
    "ec2-copy-needs-share",
    "A foreign snapshot can be copied only while it is shared with the caller's account; else the call is accepted, "
    "and the copy ends in state error, 'Source snapshot is not found' [aws-facts 2, VERIFIED]",
)
SHARED_TO_THE_END = rule(
    "ec2-copy-needs-share-to-the-end",
    "A copy fails if its source is unshared or deleted before it ends [aws-facts 4, UNVERIFIED: the strict reading]",
)
KEYS_TO_THE_END = rule(
    "ec2-copy-needs-keys-to-the-end",
    "A copy fails if its caller may no longer use either key when it ends "
    "[aws-facts 6, UNVERIFIED: the strict reading]",
)
SOURCE_COMPLETED = rule(
    "ec2-copy-needs-completed-source",
    "A snapshot must be completed, and not archived, before it can be copied; else the call is accepted, and the copy "
    "ends in state error, 'Source snapshot is not complete' [aws-facts 2, VERIFIED; for an archived one UNVERIFIED]",
)
SOURCE_REGION = rule(
    "ec2-copy-names-source-region",
    "The source is looked for in SourceRegion only; if it is not there, the copy ends in state error, 'Source snapshot "
    "is not found' [aws-facts 2, VERIFIED]",
)
TAKES_TIME = rule(
    "ec2-copy-takes-time",
    "A copy is pending, with growing progress, until its data is there [aws-facts 2; botocore ec2 model, VERIFIED]",
)
AT_ONCE = rule(
    "ec2-copies-at-once",
    "20 copies at once per account and destination Region, then ResourceLimitExceeded "
    "[aws-facts 2, VERIFIED; per account UNVERIFIED]",
)
NO_TOKEN = rule(
    "ec2-copy-has-no-client-token", "The same CopySnapshot again makes a second copy [aws-facts 2, VERIFIED]"
)
KEY_MEANS_ENCRYPTED = rule(
    "ec2-copy-key-needs-encrypted", "KmsKeyId requires Encrypted, and Encrypted cannot be false [aws-facts 2, VERIFIED]"
)
KEY_CHECKED_LATE = rule(
    "ec2-copy-key-checked-late",
    "A wrong, foreign or disabled key is accepted by the call; the copy ends in state error, "
    "'Given key ID is not accessible' [aws-facts 2, VERIFIED]",
)
STAYS_ENCRYPTED = rule(
    "ec2-copy-stays-encrypted",
    "A copy of an encrypted snapshot is encrypted, under aws/ebs (or the Region's default EBS key) if no key is named; "
    "Encrypted encrypts a copy of a plain one [aws-facts 2, VERIFIED]",
)
LEAVES_TAGS = rule(
    "ec2-copy-leaves-tags",
    "Tags of the source are never copied, and the copy's VolumeId is vol-ffffffff [aws-facts 2, VERIFIED]",
)
LOSES_BILLING = rule(
    "ec2-copy-loses-billing",
    "A copy keeps Marketplace product codes but not the licence metadata [aws-facts 5, UNVERIFIED: the strict reading]",
)
TIME_BASED = rule(
    "ec2-copy-time-based",
    "A copy with a completion duration, 15 minutes to 48 hours in steps of 15, completes within it; an account's "
    "time-based copies between two Regions have 2,000 MiB/s together: where less is left a copy takes longer, and "
    "where nothing is left it is refused [aws-facts, time-based copies, VERIFIED; code and words UNVERIFIED]",
)
THROUGHPUT = 2_000.0
"""MiB a second for all time-based copies of an account from one Region to another."""
MINUTES = range(15, 48 * 60 + 1, 15)
KEY_REFUSED = "Given key ID is not accessible"
SOURCE_GONE = "Source snapshot ID is not valid"
SOURCE_UNSEEN = "Source snapshot is not found"
SOURCE_UNFINISHED = "Source snapshot is not complete"
SLOTS = 20


def _copy_snapshot(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    source, why_not = _source(ec2, call)
    wanted = tags.at_creation(ec2, call, "snapshot")
    _check_encryption(ec2, call)
    if pending(ec2, call.caller.account, call.region) >= SLOTS and ec2.on(AT_ONCE):
        why = f"Too many snapshot copies in progress. The limit is {SLOTS} for this destination region."
        raise AwsError("ResourceLimitExceeded", why)
    check_time(ec2, call, call.params.get("CompletionDurationMinutes"), source.region)
    if not ec2.on(NO_TOKEN) and (twin := _twin(ec2, call, source)):
        return {"SnapshotId": twin.id}
    copy = ec2.snapshots.put(begun(ec2, call, source, minutes=call.params.get("CompletionDurationMinutes", 0)))
    given = wanted if ec2.on(LEAVES_TAGS) else ec2.tags_on(source.owner, source.id) | wanted
    tags.put_tags(ec2, copy.owner, copy.region, copy.id, add=given)
    start(ec2, copy, why_not=why_not)
    return {"SnapshotId": copy.id, **tags.shown(ec2, given)}


def pending(ec2: Ec2State, account: str, region: str) -> int:
    """Return how many CopySnapshots of an account are in progress in a Region, deleted copies included."""
    mine = (s for s in ec2.snapshots.of(account) if s.region == region)
    return sum(s.origin is not None and not s.origin.image and s.state == "pending" for s in mine)


def check_time(ec2: Ec2State, call: Call, minutes: int | None, source: str) -> None:
    """Refuse an invalid time, and any time while the throughput is used up."""
    if minutes is None or not ec2.on(TIME_BASED):
        return
    if minutes not in MINUTES:
        raise wrong_value("CompletionDurationMinutes", str(minutes), "Write 15 to 2880, in steps of 15.")
    if _throughput_left(ec2, call.caller.account, source, call.region) <= 0:
        raise AwsError("ResourceLimitExceeded", "The cumulative snapshot copy throughput quota is exceeded.")


def _throughput_left(ec2: Ec2State, account: str, source: str, region: str) -> float:
    mine = (s for s in ec2.snapshots.of(account) if s.region == region and s.state == "pending")
    return THROUGHPUT - sum(s.origin.throughput for s in mine if s.origin is not None and s.origin.region == source)


def _source(ec2: Ec2State, call: Call) -> tuple[Ec2Snapshot, str]:
    """Return the source, and why the copy will end in error; an unknown source is an empty snapshot."""
    wanted, region = call.params["SourceSnapshotId"], call.params["SourceRegion"]
    check_id(wanted, "snap")
    check_region(region)
    found = ec2.snapshots.get(wanted)
    elsewhere = found is not None and found.region != region and ec2.on(SOURCE_REGION)
    hidden = found is not None and ec2.on(SHARED_FIRST) and not may_see(ec2, call.caller.account, found)
    if found is None or elsewhere or hidden:
        return Ec2Snapshot(wanted, call.caller.account, region, "vol-ffffffff", 0, ec2.now), SOURCE_UNSEEN
    unfinished = found.state != "completed" or found.tier != "standard"
    return found, SOURCE_UNFINISHED if unfinished and ec2.on(SOURCE_COMPLETED) else ""


def check_region(region: str) -> None:
    """Refuse an unknown Region."""
    if region not in regions():
        raise AwsError("InvalidParameterValue", f"Invalid region name: {region}")


@cache
def regions() -> frozenset[str]:
    """Return the names of all Regions that the SDK knows."""
    return frozenset(botocore.session.get_session().get_available_regions("ec2"))


def _check_encryption(ec2: Ec2State, call: Call) -> None:
    if not ec2.on(KEY_MEANS_ENCRYPTED):
        return
    encrypted = call.params.get("Encrypted")
    if encrypted is False:
        raise wrong_value("Encrypted", "false", "It can only be set to true; leave it out otherwise.")
    if call.params.get("KmsKeyId") and not encrypted:
        raise wrong_combination("The parameter KmsKeyId requires the parameter Encrypted to be set.")


def _twin(ec2: Ec2State, call: Call, source: Ec2Snapshot) -> Ec2Snapshot | None:
    """Return an earlier copy of the same source by the same account: what an idempotent API would return."""
    mine = (s for s in ec2.snapshots.of(call.caller.account) if s.region == call.region)
    return next((s for s in mine if s.origin is not None and s.origin.snapshot == source.id), None)


def begun(ec2: Ec2State, call: Call, source: Ec2Snapshot, image: str = "", *, minutes: int = 0) -> Ec2Snapshot:
    """Return a new copy in the caller's account and the call's Region; ``image``: for which AMI it is made.

    ``minutes``: within which it must complete; 0: no limit.
    """
    account, region, params = call.caller.account, call.region, call.params
    copy_id = ec2.new_id("snap")
    seconds, throughput = _seconds(ec2, source, copy_id), 0.0
    if minutes and ec2.on(TIME_BASED):
        mebibytes = source.size * 1024
        throughput = min(mebibytes / (minutes * 60), _throughput_left(ec2, account, source.region, region))
        seconds = min(seconds, mebibytes / throughput)
    ends = ec2.now + timedelta(seconds=seconds)
    always = (account, region) in ec2.encrypted_by_default
    encrypted = params.get("Encrypted") or source.key is not None or always
    if not ec2.on(STAYS_ENCRYPTED):
        encrypted = bool(params.get("KmsKeyId"))
    key = (params.get("KmsKeyId") or keys.default(ec2, account, region)) if encrypted else None
    return Ec2Snapshot(
        id=copy_id,
        owner=account,
        region=region,
        volume="vol-ffffffff" if ec2.on(LEAVES_TAGS) else source.volume,
        size=source.size,
        started=ec2.now,
        description=params.get("Description", ""),
        key=(keys.resolve(ec2, account, region, key) or key) if key else None,
        ends=ends,
        origin=Origin(
            source.owner, source.region, source.id, source.key, call.caller, ends, image, minutes, throughput
        ),
        product_codes=source.product_codes,
        billing=Billing() if ec2.on(LOSES_BILLING) and not image else source.billing,
    )


def _seconds(ec2: Ec2State, source: Ec2Snapshot, copy_id: str) -> float:
    """Return how long a copy takes: by size, plus or minus a fifth, which its id decides."""
    dice = int(hashlib.sha256(copy_id.encode()).hexdigest()[:4], 16) / 0xFFFF
    return (ec2.pace.copy + ec2.pace.copy_per_gib * source.size) * (1 + ec2.pace.copy_spread * (dice - 0.5))


def _nothing() -> None:
    """Do nothing more."""


def start(ec2: Ec2State, copy: Ec2Snapshot, then: Callable[[], object] = _nothing, *, why_not: str = "") -> None:
    """Run a copy to its end, and then call a function. ``why_not``: it cannot be made."""
    if not ec2.on(TAKES_TIME):
        _end(ec2, copy.id, why_not, then)
        return
    assert copy.ends is not None  # noqa: S101 - it is pending
    if why_not := why_not or _key_trouble(ec2, copy):
        ec2.after(ec2.pace.copy_refused, lambda: _end(ec2, copy.id, why_not, then), f"copy {copy.id} is refused")
    else:
        ec2.after((copy.ends - ec2.now).total_seconds(), lambda: _complete(ec2, copy.id, then), f"copy {copy.id} ends")


def _complete(ec2: Ec2State, copy_id: str, then: Callable[[], object]) -> None:
    copy = ec2.snapshots.get(copy_id)
    if copy is not None:
        keys_now = _key_trouble(ec2, copy) if ec2.on(KEYS_TO_THE_END) else ""
        _end(ec2, copy_id, _share_trouble(ec2, copy) or keys_now, then)


def _end(ec2: Ec2State, copy_id: str, why_not: str, then: Callable[[], object]) -> None:
    copy = ec2.snapshots.get(copy_id)
    if copy is not None and copy.state == "pending":
        notices.snapshot_copied(ec2, finish(ec2, copy, why_not), why_not)
        then()


def _share_trouble(ec2: Ec2State, copy: Ec2Snapshot) -> str:
    assert copy.origin is not None  # noqa: S101 - it is a copy
    source = ec2.snapshots.get(copy.origin.snapshot)
    there = source is not None and not source.doomed and may_see(ec2, copy.owner, source)
    return "" if there or not ec2.on(SHARED_TO_THE_END) else SOURCE_GONE


def _key_trouble(ec2: Ec2State, copy: Ec2Snapshot) -> str:
    """Return why a copy cannot use its keys now; "" if it can."""
    origin = copy.origin
    assert origin is not None  # noqa: S101 - it is a copy
    if not keys.may_read(ec2, origin.caller, origin.key, origin.region, origin.snapshot):
        return KEY_REFUSED
    if copy.key is None:
        return ""
    arn = keys.resolve(ec2, copy.owner, copy.region, copy.key)
    if arn is None:
        return KEY_REFUSED if ec2.on(KEY_CHECKED_LATE) else ""
    return "" if keys.may_write(ec2, origin.caller, arn, copy.region, copy.id) else KEY_REFUSED


OPERATIONS = {
    "CopySnapshot": Operation(
        _copy_snapshot,
        "SourceRegion SourceSnapshotId Description Encrypted KmsKeyId TagSpecifications DestinationRegion PresignedUrl "
        "CompletionDurationMinutes",
    )
}
