"""CloudTrail: the event history that LookupEvents shows, and the events that a trail sends to EventBridge.

The event history is made from the calls that pass the gateway. EventBridge gets events only with a trail
(``start_logging``). Of a request's parameters a record shows those that say who may use what, or what was tagged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call, Caller
from awsim.parts import Base, EventBus
from awsim.rules import rule

LATE = rule(
    "cloudtrail-history-is-late",
    "An event can be looked up some minutes after the call, about five on average. [CloudTrail user guide, how "
    "CloudTrail works: typically within about 5 minutes of a call]",
)
ONE_ATTRIBUTE = rule(
    "cloudtrail-one-lookup-attribute",
    "LookupEvents takes at most one lookup attribute. [CloudTrail API reference, LookupEvents]",
)
OWN = rule(
    "cloudtrail-history-of-one-account-and-region",
    "The event history shows the events of the caller's account, in the Region that is asked. [CloudTrail API "
    "reference, LookupEvents]",
)
TAGS = rule(
    "cloudtrail-shows-what-was-tagged",
    "The record of a CreateTags names things, keys and values in its request's parameters. [aws-facts 1d]",
)

NEEDS_TRAIL = rule(
    "cloudtrail-events-need-a-trail",
    "EventBridge gets an account's calls only if a trail that logs is there. [aws-facts 1d, VERIFIED]",
)
NOTIFIED_LATER = rule(
    "cloudtrail-tells-eventbridge-later",
    "A call reaches EventBridge some time after it was made, best effort. [aws-facts 1d, VERIFIED for best effort; "
    "the time is the simulator's]",
)
OWNER_SEES = rule(
    "cloudtrail-key-owner-sees-use",
    "A call on another account's key shows in the key's account, too, without the caller's ARN. [aws-facts 1d, "
    "VERIFIED]",
)
DENIED_ELSEWHERE = rule(
    "cloudtrail-denied-use-shows-with-the-caller-alone",
    "A denied call on another account's key shows in the caller's account only. [aws-facts 1d, VERIFIED]",
)
SHARED_USE = rule(
    "cloudtrail-tells-of-shared-snapshots",
    "The owner of a shared snapshot gets an event when another account begins to copy it, or makes a volume of it; the "
    "maker of the volume gets one, too. [aws-facts 1b, VERIFIED]",
)

COPIES = rule(
    "cloudtrail-shows-copies-to-the-source-owner",
    "A CopySnapshot of another account's snapshot also shows to that account, without the caller's ARN and the tags. "
    "[aws-facts 1d, VERIFIED; in which Region, where source and copy have two: UNVERIFIED]",
)
USED_FOR = rule(
    "cloudtrail-shows-key-use-through-ec2",
    "What EBS calls of KMS for a caller shows like the caller's own call, with the AWS service that made it and the "
    "encryption context of the volume or snapshot. [KMS developer guide: EC2 examples of CloudTrail entries, VERIFIED]",
)

NOTIFIED_WITHIN = (20.0, 180.0)
"""Seconds from a call until EventBridge gets its event: from, to."""
USES = {"CopySnapshot": "SharedSnapshotCopyInitiated", "CreateVolume": "SharedSnapshotVolumeCreated"}
"""Call -> the event that the snapshot's owner receives. That of a launch from a shared AMI is not played."""

DELAY = timedelta(minutes=5)
KEPT = timedelta(days=90)
SERVICES = ("ec2", "kms", "sts", "lambda", "sqs", "sns", "events")
READS = ("Describe", "Get", "List", "Receive")
READ_ONLY = ("Decrypt", "Generate", "ReEncrypt")
"""Prefixes of KMS calls that a record shows as read-only, besides the usual ones."""
FOR_EC2 = "ec2.amazonaws.com"
PAGE = 50
SHOWN_OF_KMS = (
    *("KeyId", "GranteePrincipal", "RetiringPrincipal", "Operations", "GrantId", "PolicyName", "Policy"),
    *("EncryptionContext", "EncryptionAlgorithm"),
)


class CloudTrail:
    """The event history of every account, and the trails.

    ``owner`` returns the owner of a snapshot in a Region; None if there is none.
    """

    name = "cloudtrail"

    def __init__(
        self, base: Base, calls: Sequence[Call], bus: EventBus, owner: Callable[[str, str], str | None]
    ) -> None:
        self._base = base
        self._calls = calls
        self._bus = bus
        self._owner = owner
        self._trails: set[str] = set()
        self._uses = 0

    def start_logging(self, account: str) -> None:
        """Give an account a trail with management events of every Region."""
        self._trails.add(account)

    def stop_logging(self, account: str) -> None:
        """Remove an account's trail."""
        self._trails.discard(account)

    def called(self, call: Call) -> None:
        """Send the event of a call to the accounts concerned that have a trail."""
        if not self._trails and self._base.on(NEEDS_TRAIL):
            return
        if call.service not in SERVICES or call.operation.startswith(READS):
            return
        kind, source = "AWS API Call via CloudTrail", f"aws.{call.service}"
        self._tell(
            call.caller.account, call.region, source, kind, _record(call, call.caller.account, tags=self._base.on(TAGS))
        )
        owner, region = _key_owner(call)
        hidden = not self._base.on(OWNER_SEES) or (call.error and self._base.on(DENIED_ELSEWHERE))
        if owner not in ("", call.caller.account) and not hidden:
            self._tell(owner, region, source, kind, _record(call, owner, tags=self._base.on(TAGS)))
        snapshot = call.params.get("SourceSnapshotId") or call.params.get("SnapshotId") or ""
        region = call.params.get("SourceRegion") or call.region
        owner = (self._owner(snapshot, region) or "") if call.operation in USES and not call.error else ""
        foreign = owner not in ("", call.caller.account)
        if foreign and call.operation == "CopySnapshot" and self._base.on(COPIES):
            self._tell(owner, call.region, source, kind, _record(call, owner, tags=False))
        if foreign and self._base.on(SHARED_USE):
            for account in (owner, call.caller.account) if call.operation == "CreateVolume" else (owner,):
                used = _shared_use(call, snapshot, account, region)
                self._tell(account, region, source, "AWS Service Event via CloudTrail", used)

    def used(self, caller: Caller, operation: str, key: str, of: str) -> None:
        """Send the event of EBS's use of a key for a caller, to encrypt or decrypt a volume or snapshot."""
        if self._base.on(USED_FOR) and self._trails:
            self._uses += 1
            given = {"KeyId": key, "EncryptionContext": {"aws:ebs:id": of}}
            ident = f"e{self._uses:07d}-0000-4000-8000-{self._uses:012d}"
            region = key.split(":")[3]
            self.called(Call(caller, "kms", operation, given, region, self._base.now, ident, invoked_by=FOR_EC2))

    def _tell(self, account: str, region: str, source: str, kind: str, record: Mapping[str, Any]) -> None:
        if account not in self._trails and self._base.on(NEEDS_TRAIL):
            return
        seconds = self._base.random.uniform(*NOTIFIED_WITHIN) if self._base.on(NOTIFIED_LATER) else 0.0
        self._base.clock.after(
            seconds, lambda: self._bus.emit(account, region, source, kind, [], record), f"trail {record['eventName']}"
        )

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that it answers."""
        return {"LookupEvents": self._lookup}

    def _lookup(self, call: Call) -> Mapping[str, Any]:
        attributes = call.params.get("LookupAttributes", [])
        if len(attributes) > 1 and self._base.on(ONE_ATTRIBUTE):
            raise AwsError("InvalidLookupAttributesException", "You can specify at most one lookup attribute.")
        found = [self._shown(one) for one in self._history(call) if _named(one, attributes)]
        found.reverse()
        start = int(call.params.get("NextToken", "0"))
        size = min(int(call.params.get("MaxResults", PAGE)), PAGE)
        answer: dict[str, Any] = {"Events": found[start : start + size]}
        return answer | ({"NextToken": str(start + size)} if len(found) > start + size else {})

    def _history(self, asked: Call) -> Iterator[Call]:
        now, rules = self._base.now, self._base.rules
        last = now - DELAY if rules.on(LATE) else now
        first = max(asked.params.get("StartTime", now - KEPT), now - KEPT)
        last = min(asked.params.get("EndTime", last), last)
        for call in self._calls:
            own = (call.caller.account, call.region) == (asked.caller.account, asked.region)
            changes = call.service in SERVICES and not call.operation.startswith(READS)
            if changes and (own or not rules.on(OWN)) and first <= call.at <= last:
                yield call

    def _shown(self, call: Call) -> dict[str, Any]:
        record = _record(call, call.caller.account, tags=self._base.on(TAGS)) | {"eventID": _event_id(call)}
        return {
            "EventId": _event_id(call),
            "EventName": call.operation,
            "ReadOnly": "false",
            "EventTime": call.at,
            "EventSource": record["eventSource"],
            "Username": call.caller.arn.rpartition("/")[2],
            "CloudTrailEvent": json.dumps(record),
        }


def _record(call: Call, account: str, *, tags: bool) -> dict[str, Any]:
    """Return the record of a call for an account, the caller's or the key's. ``tags``: of the tagged resource."""
    key = _key(call)
    record: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": _identity(call) if account == call.caller.account else _foreigner(call),
        "eventTime": f"{call.at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": f"{call.service}.amazonaws.com",
        "eventName": call.operation,
        "awsRegion": call.region,
        "requestParameters": _parameters(call, tags=tags),
        "responseElements": _answer(call),
        "requestID": call.request_id,
        "eventID": f"{call.request_id}-{account}",
        "readOnly": call.service == "kms" and call.operation.startswith(READ_ONLY),
        "recipientAccountId": account,
    }
    if call.invoked_by:
        record["userIdentity"]["invokedBy"] = record["sourceIPAddress"] = call.invoked_by
    if key:
        record["resources"] = [{"accountId": key.split(":")[4], "type": "AWS::KMS::Key", "ARN": key}]
    if call.error:
        record["errorCode"] = call.error
    return record


def _shared_use(call: Call, snapshot: str, account: str, region: str) -> dict[str, Any]:
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "AWSAccount", "accountId": call.caller.account, "invokedBy": FOR_EC2},
        "eventTime": f"{call.at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": "ec2.amazonaws.com",
        "eventName": USES[call.operation],
        "awsRegion": region,
        "requestParameters": None,
        "responseElements": None,
        "serviceEventDetails": {"snapshotId": snapshot},
        "eventID": f"{call.request_id}-{account}-use",
        "eventType": "AwsServiceEvent",
        "readOnly": False,
        "recipientAccountId": account,
        "sharedEventID": f"{call.request_id}-use",
    }


def _key(call: Call) -> str:
    """Return the ARN of the key that a KMS call is about; "" if none. An alias is not looked up."""
    named = str(call.params.get("KeyId", "")) if call.service == "kms" else ""
    if not named or "alias/" in named:
        return ""
    return named if named.startswith("arn:") else f"arn:aws:kms:{call.region}:{call.caller.account}:key/{named}"


def _key_owner(call: Call) -> tuple[str, str]:
    parts = _key(call).split(":")
    return (parts[4], parts[3]) if len(parts) > 4 else ("", "")


def _foreigner(call: Call) -> dict[str, Any]:
    """Return the identity of a caller of another account, which has no ARN in a record."""
    return {"type": "AWSAccount", "principalId": f"AROA:{call.caller.access_key}", "accountId": call.caller.account}


def _answer(call: Call) -> dict[str, Any] | None:
    if call.error:
        return None
    if call.operation == "CopySnapshot":
        return {"requestId": call.request_id, "snapshotId": call.result.get("SnapshotId", "")}
    return {"grantId": call.result.get("GrantId", "")} if call.operation == "CreateGrant" else None


def _named(call: Call, attributes: list[Mapping[str, str]]) -> bool:
    for attribute in attributes:
        if attribute["AttributeKey"] != "EventName":
            raise AwsError("InvalidLookupAttributesException", f"the simulator does not play {attribute}")
        if attribute["AttributeValue"] != call.operation:
            return False
    return True


def _event_id(call: Call) -> str:
    """Return CloudTrail's id of the event, which is not the request's."""
    return call.request_id.replace("-4000-8000-", "-4000-9000-")


def _identity(call: Call) -> dict[str, Any]:
    """Return the identity of a caller; of a role's session with the role."""
    caller = call.caller
    identity: dict[str, Any] = {"type": "Root", "arn": caller.arn, "accountId": caller.account}
    if caller.role_arn is None:
        return identity
    issuer = {"type": "Role", "arn": caller.role_arn, "accountId": caller.account}
    return identity | {"type": "AssumedRole", "sessionContext": {"sessionIssuer": issuer}}


def _parameters(call: Call, *, tags: bool) -> dict[str, Any] | None:
    """Return the request as CloudTrail records it (by public samples of records)."""
    if call.operation == "ModifyImageAttribute" and "LaunchPermission" in call.params:
        shown = _who_changed(call.params["LaunchPermission"])
        return {"imageId": call.params["ImageId"], "attributeType": "launchPermission", "launchPermission": shown}
    if call.service == "kms":
        return {f"{name[0].lower()}{name[1:]}": it for name, it in call.params.items() if name in SHOWN_OF_KMS}
    if call.operation in ("CreateTags", "DeleteTags") and tags:
        resources = [{"resourceId": one} for one in call.params.get("Resources", ())]
        named = [{name.lower(): it for name, it in one.items()} for one in call.params.get("Tags", ())]
        return {"resourcesSet": {"items": resources}, "tagSet": {"items": named} if named else {}}
    if call.operation == "CopySnapshot":
        names = {"SourceRegion", "SourceSnapshotId", "Description", "Encrypted"}
        shown = {f"{name[0].lower()}{name[1:]}": it for name, it in call.params.items() if name in names}
        return {**shown, "destinationRegion": call.region}
    if call.operation == "ResetSnapshotAttribute":
        return {"snapshotId": call.params["SnapshotId"], "attributeType": "CREATE_VOLUME_PERMISSION"}
    if call.operation != "ModifySnapshotAttribute":
        return None
    changes = call.params.get("CreateVolumePermission")
    if changes is None:  # the older form
        who = [{"UserId": account} for account in call.params.get("UserIds", ())]
        who += [{"Group": group} for group in call.params.get("GroupNames", ())]
        changes = {call.params.get("OperationType", "add"): who}
    return {
        "snapshotId": call.params["SnapshotId"],
        "attributeType": "CREATE_VOLUME_PERMISSION",
        "createVolumePermission": _who_changed(changes),
    }


def _who_changed(changes: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, Any]:
    return {
        verb.lower(): {"items": [{f"{name[0].lower()}{name[1:]}": it for name, it in one.items()} for one in ones]}
        for verb, ones in changes.items()
    }
