"""Who else may use a snapshot: createVolumePermission, read, changed and reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import keys, notices
from awsim.services.ec2.access import own_snapshot
from awsim.services.ec2.errors import ACCOUNT, missing, wrong_combination, wrong_value
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Snapshot
from awsim.services.ec2.state import Ec2State

ONE_WAY = rule(
    "ec2-snapshot-share-add-or-remove",
    "ModifySnapshotAttribute adds or removes, never both in one call [aws-facts 4, VERIFIED]",
)
NEWER_ALONE = rule(
    "ec2-newer-sharing-parameter-counts-alone",
    "Where ModifySnapshotAttribute has CreateVolumePermission, its older parameters are ignored, also wrong ones. "
    "Without it they need Attribute; without accounts they change nothing. [aws-facts 4, VERIFIED]",
)
MOST_CHANGES = rule(
    "ec2-snapshot-share-500-a-call", "ModifySnapshotAttribute takes up to 500 changes [aws-facts 4, VERIFIED]"
)
NOT_UNDER_DEFAULT_KEY = rule(
    "ec2-aws-ebs-snapshot-not-shared", "A snapshot under aws/ebs cannot be shared [aws-facts 3 and 4, VERIFIED]"
)
BLOCKED = rule(
    "ec2-snapshots-not-public-where-blocked",
    "Where block public access for snapshots is on, no snapshot can be made public "
    "[EBS user guide: block public access for snapshots; code UNVERIFIED]",
)
NOT_PUBLIC = rule(
    "ec2-encrypted-snapshot-not-public",
    "An encrypted snapshot, or one with Marketplace product codes, cannot be public [aws-facts 4, VERIFIED]",
)
REAL_ACCOUNTS = rule(
    "ec2-share-needs-account-id",
    "A permission names 12 digits, also of no account, or the group all; else InvalidAMIAttributeItemValue for all of "
    "the request [aws-facts 4, VERIFIED]",
)
OWNER_NOT_LISTED = rule(
    "ec2-snapshot-owner-not-listed",
    "A snapshot's owner may be added to its createVolumePermission and removed, and is never listed there; an AMI's "
    "owner is listed [aws-facts 4, VERIFIED]",
)
CLOSED_ACCOUNT = rule(
    "ec2-closed-account-fails-the-batch",
    "One account that is closed fails the whole ModifySnapshotAttribute call [aws-facts, later reading, UNVERIFIED]",
)
DEAF = rule(
    "ec2-share-removal-may-not-take",
    "Removing a createVolumePermission can answer success while the permission stays (on demand: ``deaf_removals``) "
    "[aws-facts, later reading, VERIFIED]",
)
MOST = 500
PERMISSION = "createVolumePermission"


def _describe(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    snapshot, at = own_snapshot(ec2, call, hidden=True), ec2.moment(call)
    then = ec2.snapshots.get(snapshot.id, at) or replace(snapshot, shared_with=frozenset())
    match call.params["Attribute"]:
        case "createVolumePermission":
            found = sorted(then.shared_with)
            listed = [{"Group": who} if who == "all" else {"UserId": who} for who in found]
            return {"SnapshotId": snapshot.id, "CreateVolumePermissions": listed}
        case "productCodes":
            codes = [{"ProductCodeId": code, "ProductCodeType": "marketplace"} for code in then.product_codes]
            return {"SnapshotId": snapshot.id, "ProductCodes": codes}
        case other:
            raise wrong_value("attribute", other)


def _modify(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    snapshot = own_snapshot(ec2, call, hidden=True)
    add, remove = changed(call, newer_alone=ec2.on(NEWER_ALONE))
    if add and remove and ec2.on(ONE_WAY):
        raise wrong_combination("One and only one operation type may be specified for createVolumePermissions")
    if len(add) + len(remove) > MOST and ec2.on(MOST_CHANGES):
        raise AwsError("InvalidParameterValue", f"Modification size must not be greater than {MOST}.")
    newer = "CreateVolumePermission" in call.params
    _check_accounts(ec2, [*add, *remove], "UserId {}" if newer else "UserId ({}) is invalid.")
    if add:
        _check_shareable(ec2, snapshot, add)
    if remove and ec2.deaf_removals > 0 and ec2.on(DEAF):
        ec2.deaf_removals -= 1
        remove = []
    unlisted = {snapshot.owner} if ec2.on(OWNER_NOT_LISTED) else set()
    after = (snapshot.shared_with | set(add)) - set(remove) - unlisted
    if after != snapshot.shared_with:
        ec2.snapshots.put(replace(snapshot, shared_with=after))
    for account in sorted(after - snapshot.shared_with - {"all"}):
        notices.snapshot_shared(ec2, snapshot, account)
    return {}


def changed(call: Call, *, newer_alone: bool = True) -> tuple[list[str], list[str]]:
    """Return whom a ModifySnapshotAttribute adds and whom it removes.

    Both forms are read: CreateVolumePermission, and the older Attribute, OperationType, UserIds and GroupNames.
    """
    params = call.params
    pairs = params.get("CreateVolumePermission", {})
    add, remove = _who(pairs.get("Add", ())), _who(pairs.get("Remove", ()))
    if (add or remove) and newer_alone:
        return add, remove
    plain = [*params.get("UserIds", ()), *params.get("GroupNames", ())]
    match params.get("OperationType"):
        case "add":
            add += plain
        case "remove":
            remove += plain
        case None if not plain:
            if not add and not remove:
                raise wrong_combination("No attributes specified.")
            return add, remove
        case other:
            raise wrong_value("operationType", other, "Expecting add or remove.")
    if "Attribute" not in params:
        raise missing("attribute")
    if params["Attribute"] != PERMISSION:
        raise AwsError("InvalidParameterValue", "Unrecognized attribute.")
    return add, remove


def _who(entries: Sequence[Mapping[str, str]]) -> list[str]:
    return [value for entry in entries for value in (entry.get("UserId"), entry.get("Group")) if value]


def _check_accounts(ec2: Ec2State, who: Sequence[str], words: str) -> None:
    for account in who:
        if account != "all" and not ACCOUNT.fullmatch(account) and ec2.on(REAL_ACCOUNTS):
            raise AwsError("InvalidAMIAttributeItemValue", words.format(account))
        if account in ec2.closed_accounts and ec2.on(CLOSED_ACCOUNT):
            raise wrong_value("userId", account, "The account does not exist or is closed.")


def _check_shareable(ec2: Ec2State, snapshot: Ec2Snapshot, add: Sequence[str]) -> None:
    if ec2.on(NOT_UNDER_DEFAULT_KEY) and keys.is_aws_managed(ec2, snapshot.key):
        raise AwsError("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
    if "all" in add and (snapshot.owner, snapshot.region) in ec2.blocked_snapshots and ec2.on(BLOCKED):
        why = "Block public access for snapshots is enabled for this Region."
        raise AwsError("OperationNotPermitted", why)
    if "all" in add and (snapshot.key or snapshot.product_codes) and ec2.on(NOT_PUBLIC):
        raise AwsError("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly.")


def _reset(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    snapshot = own_snapshot(ec2, call, hidden=True)
    if call.params["Attribute"] != PERMISSION:
        raise wrong_value("attribute", call.params["Attribute"])
    ec2.snapshots.put(replace(snapshot, shared_with=frozenset()))
    return {}


OPERATIONS = {
    "DescribeSnapshotAttribute": Operation(_describe, "Attribute SnapshotId"),
    "ModifySnapshotAttribute": Operation(
        _modify, "Attribute SnapshotId CreateVolumePermission OperationType UserIds GroupNames"
    ),
    "ResetSnapshotAttribute": Operation(_reset, "Attribute SnapshotId"),
}
