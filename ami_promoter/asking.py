"""The commands ``promote``, ``cancel`` and ``retry``: what a person asks of one AMI.

``promote`` and ``cancel`` write and remove the tag, so that there is one trigger to guard. ``retry`` leaves a note on
the AMI's record: its failed deliveries start anew, and what is parked goes on.
"""

from __future__ import annotations

import time
from typing import Any

from ami_promoter.arguments import Call
from ami_promoter.aws import Connection
from ami_promoter.records import Reader
from ami_promoter.report import Report
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import addresses
from chalicelib.core.delivery.model import ACCEPTED
from chalicelib.core.faults import Fault
from chalicelib.ports import MadeDue

TRIGGER = "promote"
AGAIN = ("failed", "cancelled")


def run(call: Call, region: str) -> Report:
    """Carry out one of the three; may raise Trouble."""
    connection = Connection(region, call.options.get("--table"), call.options.get("--hub-account"))
    if call.command.words == ("retry",):
        return _retry(connection, call.operand, call.options.get("--account", ""), call.options.get("--accept", ""))
    tag = call.options.get("--tag-key", TRIGGER)
    if call.command.words == ("promote",):
        return _promote(connection, tag, call.operand, call.second)
    return _cancel(connection, tag, call.operand)


def _promote(connection: Connection, tag: str, ami: str, value: str) -> Report:
    ec2 = connection.client("ec2")
    before = _tagged(connection, ec2, tag, ami)
    if isinstance(before, Fault):
        return Report(faults=(before,))
    with connection.telling(f"tagging {ami}"):
        ec2.create_tags(Resources=[ami], Tags=[{"Key": tag, "Value": value}])
    _nudge(connection, ami, "")
    same = " It bore that value already: what failed is tried again." if before.get("value") == value else ""
    line = f"{ami} is tagged {tag}={value!r} in account {connection.account}, {connection.region}.{same}"
    return Report((line, f"`ami-promoter status {ami}` shows what comes of it."), {"ami": ami, "value": value})


def _cancel(connection: Connection, tag: str, ami: str) -> Report:
    ec2 = connection.client("ec2")
    before = _tagged(connection, ec2, tag, ami)
    if isinstance(before, Fault):
        return Report(faults=(before,))
    if "value" not in before:
        return Report((f"Nothing to do: {ami} bears no tag {tag}.",), {"ami": ami, "changed": False})
    with connection.telling(f"removing the tag of {ami}"):
        ec2.delete_tags(Resources=[ami], Tags=[{"Key": tag}])
    _nudge(connection, ami, "")
    ends = "what runs is cancelled and what is shared is withdrawn within minutes, what was delivered stays."
    line = f"{ami} bears the tag {tag} no longer: {ends}"
    return Report((line,), {"ami": ami, "changed": True})


def _tagged(connection: Connection, ec2: Any, tag: str, ami: str) -> dict[str, str] | Fault:
    """Return {"value": the tag's} or {} without the tag; a fault if the hub owns no such AMI."""
    with connection.telling(f"looking at {ami}"):
        wanted = [{"Name": "image-id", "Values": [ami]}]
        found = ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]
    if not found:
        what = f"account {connection.account} owns no such AMI in {connection.region}."
        return Fault("unknown-ami", ami, what, "See that the id, the profile and the Region are the hub's.")
    values = [one["Value"] for one in found[0].get("Tags", ()) if one["Key"] == tag]
    return {"value": values[0]} if values else {}


def _nudge(connection: Connection, ami: str, accounts: str) -> bool:
    """Leave a note on the AMI's record, if there is one: it looks at its tag within a minute, as at a new event."""
    records = DynamoRecords(Table(connection.dynamodb, connection.table))
    with connection.telling("leaving a note on the record (the tag is written all the same)"):
        wish = {"retry": f"{time.time_ns()}:{accounts}"}
        return records.make_due(addresses.promotion(ami), int(time.time()), wish) is not MadeDue.NONE


def _retry(connection: Connection, ami: str, account: str, accepted: str) -> Report:
    if accepted and not account:
        what, cure = "it is not said in which account the AMI is.", f"Write `--account ID --accept {accepted}`."
        return Report(faults=(Fault("accept-where", "--accept", what, cure),))
    reader = Reader(connection)
    with connection.telling("reading the records"):
        promotion = reader.promotion(ami)
        children = reader.children(ami)
    place = f"in {connection.place}"
    if promotion is None:
        what, cure = f"no promotion of it is known {place}.", f"Write `ami-promoter promote {ami} VALUE`."
        return Report(faults=(Fault("unknown-ami", ami, what, cure),))
    if promotion.get("value") is None and not promotion["_item"].get("parked"):
        what, cure = "its tag was removed, or never took effect.", f"Write `ami-promoter promote {ami} VALUE`."
        return Report(faults=(Fault("no-value", ami, what, cure),))
    wanted = [child for child in children if account in ("", child.get("account"))]
    if account and not wanted:
        what, cure = f"it has no delivery to account {account}.", "`ami-promoter status` lists them."
        return Report(faults=(Fault("no-delivery", ami, what, cure),))
    freed = _unpark(connection, [addresses.promotion(ami), *(addresses.delivery(c["delivery"]) for c in wanted)])
    again = [child for child in wanted if child.get("state") in AGAIN]
    if accepted:
        _accept(connection, [addresses.delivery(child["delivery"]) for child in wanted], accepted)
    if again or addresses.promotion(ami) in freed:  # its value is resolved anew: its plan may be what was damaged
        _nudge(connection, ami, account)
    lines = [f"{key} was parked, and goes on." for key in freed]
    lines += [f"Account {account}: {accepted} is taken for the delivery's own."] if accepted else []
    lines += [f"Account {child['account']}, {child['region']}: {child['state']}, is tried again." for child in again]
    data: dict[str, Any] = {"accepted": accepted} if accepted else {}
    data |= {"ami": ami, "unparked": [str(key) for key in freed], "again": [child["delivery"] for child in again]}
    return Report(tuple(lines) or (f"Nothing to do: nothing of {ami} has failed, and nothing is parked.",), data)


def _accept(connection: Connection, keys: list[addresses.Key], image: str) -> None:
    """Note on each of an account's deliveries that a person has compared the AMI; in other Regions it is not found."""
    records = DynamoRecords(Table(connection.dynamodb, connection.table))
    with connection.telling(f"accepting {image}"):
        for key in keys:
            records.note(key, {ACCEPTED: image}, int(time.time()))


def _unpark(connection: Connection, keys: list[addresses.Key]) -> list[addresses.Key]:
    records = DynamoRecords(Table(connection.dynamodb, connection.table))
    with connection.telling("letting parked records go on"):
        return [key for key in keys if records.unpark(key, int(time.time()))]
