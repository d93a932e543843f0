"""Who shared what, as `reconcile` reads it from CloudTrail's event history."""

import json
from typing import Any

from ami_promoter.hub.cloudtrail import changes

HUB, DEV, TEST = "111111111111", "222222222222", "333333333333"
WORKER, JO = f"arn:aws:iam::{HUB}:role/ami-promoter-us-east-1-share-worker", f"arn:aws:iam::{HUB}:user/jo"


class CallsOfAccount:
    """A connection to an account with these calls: (call, caller, minute, parameters)."""

    region = "us-east-1"

    def __init__(self, *calls: tuple[str, str, int, dict[str, Any]]) -> None:
        self._calls = calls

    def client(self, *_: str) -> "CallsOfAccount":
        return self

    def lookup_events(self, LookupAttributes: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        """All calls of one name, the latest first."""
        name = LookupAttributes[0]["AttributeValue"]
        return {"Events": [{"CloudTrailEvent": _record(*one)} for one in reversed(self._calls) if one[0] == name]}


def _record(name: str, by: str, minute: int, asked: dict[str, Any]) -> str:
    ident = {"eventName": name, "eventTime": f"2026-01-05T09:{minute:02}:00Z", "eventID": f"e-{minute}"}
    return json.dumps({**ident, "userIdentity": {"arn": by, "accountId": HUB}, "requestParameters": asked})


def items(*accounts: str) -> dict[str, Any]:
    """Receivers, as a request names them."""
    return {"items": [{"userId": account} for account in accounts]}


def test_who_shared_by_ec2s_older_parameters_is_known_as_well():
    """What a person has shared again is the person's, whichever parameters removed and added it."""
    by_service = {"imageId": "ami-0a1", "launchPermission": {"add": items(DEV)}}
    older = {"imageId": "ami-0a1", "operationType": "add", "userIdSet": items(DEV)}
    history: Any = CallsOfAccount(
        ("ModifyImageAttribute", WORKER, 1, by_service), ("ModifyImageAttribute", JO, 2, older)
    )
    found = changes(history, 0, "")

    assert {key: (one.added, one.own, one.by) for key, one in found.items()} == {("ami-0a1", DEV): (True, False, JO)}


def test_who_removed_all_permissions_at_once_has_removed_each():
    """ResetSnapshotAttribute names nobody; it takes what the service has added, and nothing of another snapshot."""
    added = [
        ("ModifySnapshotAttribute", WORKER, 1, {"snapshotId": one, "createVolumePermission": {"add": items(DEV, TEST)}})
        for one in ("snap-0a1", "snap-0a2")
    ]
    history: Any = CallsOfAccount(*added, ("ResetSnapshotAttribute", JO, 2, {"snapshotId": "snap-0a1"}))
    found = changes(history, 0, "")

    assert {key for key, one in found.items() if not one.added and one.by == JO} == {
        ("snap-0a1", ""),
        ("snap-0a1", ""),
        ("snap-0a1", DEV),
        ("snap-0a1", TEST),
    }


def test_of_two_changes_in_one_second_the_later_counts():
    """A person removed it, and the service added it again at once."""
    asked = [{"snapshotId": "snap-0a", "createVolumePermission": {verb: items(DEV)}} for verb in ("remove", "add")]
    removed, added = (("ModifySnapshotAttribute", by, 2, one) for by, one in zip((JO, WORKER), asked, strict=True))
    history: Any = CallsOfAccount(removed, added)

    assert changes(history, 0, "")["snap-0a", DEV].added
