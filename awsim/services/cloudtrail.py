"""CloudTrail's event history: who changed what in an account and Region, as LookupEvents shows it.

It is made of the calls that passed the gateway, so nothing has to be switched on: an account's event history never is.
Only what a request says of sharing a snapshot or AMI, and of tags, is shown in its parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.parts import Base
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

DELAY = timedelta(minutes=5)
KEPT = timedelta(days=90)
SERVICES = ("ec2", "kms", "sts", "lambda", "sqs", "sns", "events")
READS = ("Describe", "Get", "List", "Receive")
PAGE = 50


class CloudTrail:
    """The event history of every account."""

    name = "cloudtrail"

    def __init__(self, base: Base, calls: Sequence[Call]) -> None:
        self._base = base
        self._calls = calls

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """What it answers."""
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
        record: dict[str, Any] = {
            "eventVersion": "1.11",
            "userIdentity": _identity(call),
            "eventTime": f"{call.at:%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": f"{call.service}.amazonaws.com",
            "eventName": call.operation,
            "awsRegion": call.region,
            "requestParameters": self._parameters(call),
            "requestID": call.request_id,
            "eventID": _event_id(call),
            "readOnly": False,
            "recipientAccountId": call.caller.account,
        }
        if call.error:
            record["errorCode"] = call.error
        return {
            "EventId": _event_id(call),
            "EventName": call.operation,
            "ReadOnly": "false",
            "EventTime": call.at,
            "EventSource": record["eventSource"],
            "Username": call.caller.arn.rpartition("/")[2],
            "CloudTrailEvent": json.dumps(record),
        }

    def _parameters(self, call: Call) -> dict[str, Any] | None:
        if call.service == "ec2" and call.operation in ("CreateTags", "DeleteTags") and self._base.on(TAGS):
            return {
                "resourcesSet": {"items": [{"resourceId": one} for one in call.params["Resources"]]},
                "tagSet": {"items": [_tag(one) for one in call.params.get("Tags", ())]},
            }
        return _sharing(call)


def _named(call: Call, attributes: list[Mapping[str, str]]) -> bool:
    for attribute in attributes:
        if attribute["AttributeKey"] != "EventName":
            raise AwsError("InvalidLookupAttributesException", f"the simulator does not play {attribute}")
        if attribute["AttributeValue"] != call.operation:
            return False
    return True


def _event_id(call: Call) -> str:
    """CloudTrail's own id of the event; it is not the request's."""
    return call.request_id.replace("-4000-8000-", "-4000-9000-")


def _identity(call: Call) -> dict[str, Any]:
    """Show who called; a session of a role with the role behind it."""
    caller = call.caller
    identity: dict[str, Any] = {"type": "Root", "arn": caller.arn, "accountId": caller.account}
    if caller.role_arn is None:
        return identity
    issuer = {"type": "Role", "arn": caller.role_arn, "accountId": caller.account}
    return identity | {"type": "AssumedRole", "sessionContext": {"sessionIssuer": issuer}}


def _sharing(call: Call) -> dict[str, Any] | None:
    """Write the request as CloudTrail does (as public samples of records show it)."""
    if call.operation == "ModifyImageAttribute" and "LaunchPermission" in call.params:
        changes = call.params["LaunchPermission"]
        shown = {
            verb.lower(): {"items": [{f"{name[0].lower()}{name[1:]}": it for name, it in one.items()} for one in ones]}
            for verb, ones in changes.items()
        }
        return {"imageId": call.params["ImageId"], "attributeType": "launchPermission", "launchPermission": shown}
    if call.operation != "ModifySnapshotAttribute":
        return None
    items = [{"userId": account} for account in call.params.get("UserIds", ())]
    items += [{"group": group} for group in call.params.get("GroupNames", ())]
    return {
        "snapshotId": call.params["SnapshotId"],
        "attributeType": "CREATE_VOLUME_PERMISSION",
        "createVolumePermission": {call.params.get("OperationType", "add"): {"items": items}},
    }


def _tag(tag: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in tag.items()}
