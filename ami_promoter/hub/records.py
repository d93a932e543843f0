"""The service's records as plain dicts, so that a command of another version shows what it can."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from botocore.exceptions import ClientError

from ami_promoter.hub.aws import Connection, HubError
from chalicelib.adapters.dynamo.ledger import HOLD, SHARE, holdings_in
from chalicelib.adapters.dynamo.records import INBOX
from chalicelib.adapters.dynamo.records import history as entries_of
from chalicelib.adapters.dynamo.table import Table, values, wire
from chalicelib.adapters.dynamo.tracked_deliveries import BY_ACCOUNT, BY_IMAGE
from chalicelib.core.delivery.model import ENDED
from chalicelib.core.images.image import SourceImage
from chalicelib.core.records import addresses
from chalicelib.core.sharing.grant_names import nameless
from chalicelib.core.sharing.share import Holding

TRIES = 8
"""Tries for items that DynamoDB leaves unread, within half a minute."""

LISTS = ("copies", "faults")
CLEANUP = ("leftovers", "to_delete", "unproven")
SHAPES: Mapping[str, type | tuple[type, ...]] = {
    "entered": dict,
    "episode": int,
    "since": int,
    "target": dict,
    "last_refusal": (dict, type(None)),
    "withdrawn": dict,
}
"""The expected types of the members that the command line reads; it shows all others unchanged."""

OPEN_STATES = ("opening", "open", "closing")
"""States of a share in which its permission may exist."""

PAST = ("closed#", "history#share#")
"""Prefixes of the sort keys of archived shares, and of the entries in a share's history; the share's name follows."""

Record = Mapping[str, Any]
"""A record's body, with its DynamoDB item as ``_item``; a share's holdings are ``_holdings``."""

SharesOfOneName = tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]
"""The items of the shares that have had one name on one resource, in turn; and the entries of their histories."""


class Reader:
    """Reads records."""

    def __init__(self, connection: Connection, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = connection.dynamodb
        self._place = connection.place
        self._name = connection.table
        self._table = Table(connection.dynamodb, connection.table)
        self._sleep = sleep

    def promotions(self) -> Iterator[tuple[Record, list[Record]]]:
        """Return every promotion with its tracked deliveries. This reads the whole table."""
        found: dict[str, tuple[list[Record], list[Record]]] = {}
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            FilterExpression="begins_with(pk, :promotion) AND (sk = :record OR begins_with(sk, :delivery))",
            ExpressionAttributeValues=wire({":promotion": "promotion#", ":record": "record", ":delivery": "delivery#"}),
        )
        for page in pages:
            for item in map(values, page["Items"]):
                records, tracked = found.setdefault(item["pk"], ([], []))
                (records if item["sk"] == "record" else tracked).append(_record(item))
        return ((record, tracked) for records, tracked in found.values() for record in records)

    def parked(self) -> dict[str, str]:
        """Return every parked record, and why it is parked. This reads the whole table."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            FilterExpression="sk = :record AND attribute_exists(parked)",
            ExpressionAttributeValues=wire({":record": "record"}),
        )
        items = [values(item) for page in pages for item in page["Items"]]
        return {item["pk"]: str(item["parked"]) for item in sorted(items, key=lambda item: str(item["pk"]))}

    def under_way(self, tell: Callable[[int], None] = lambda _: None) -> dict[tuple[str, str], Record]:
        """Return the promotions and deliveries that have not ended, and every share, by (pk, sk).

        This reads the whole table, consistently. ``tell`` gets the number of items that DynamoDB has read so far.
        """
        ended = {f":{state}": str(state) for state in sorted(ENDED)}
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            FilterExpression=(
                f"(begins_with(pk, :delivery) AND sk = :record AND NOT #state IN ({', '.join(ended)})) "
                "OR (begins_with(pk, :promotion) AND sk = :record AND NOT #state = :over) "
                "OR (begins_with(pk, :resource) AND (begins_with(sk, :share) OR begins_with(sk, :hold)))"
            ),
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues=wire(
                {":delivery": "delivery#", ":promotion": "promotion#", ":record": "record", ":over": "over"}
                | {":resource": "resource#", ":share": SHARE, ":hold": HOLD}
                | ended
            ),
            ConsistentRead=True,
        )
        found: list[Record] = []
        seen = 0
        for page in pages:
            found += map(_record, map(values, page["Items"]))
            seen += int(page.get("ScannedCount", 0))
            tell(seen)
        return _by_place(with_holdings(found))

    def scan(self, expression: str, given: Mapping[str, Any], tell: Callable[[int], None]) -> Iterator[Record]:
        """Read the items that match a filter, consistently; ``#name`` in the filter stands for that attribute.

        A record whose body is damaged has ``unreadable``. ``tell`` gets the number of items that DynamoDB has read so
        far.
        """
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            FilterExpression=expression,
            ExpressionAttributeNames={name: name[1:] for name in set(re.findall("#[a-z]+", expression))},
            ExpressionAttributeValues=wire(given),
            ConsistentRead=True,
        )
        seen = 0
        for page in pages:
            yield from map(_tolerant, map(values, page["Items"]))
            seen += int(page.get("ScannedCount", 0))
            tell(seen)

    def promotion(self, ami: str) -> Record | None:
        """Read one AMI's promotion; None if there is none."""
        item = self._table.get(addresses.promotion(ami))
        return None if item is None else _record(item)

    def source_image(self, ami: str) -> SourceImage | None:
        """Read the source AMI as once examined, as its snapshots never change; None if it is missing or damaged."""
        item = next(self._table.query(addresses.promotion(ami).pk, addresses.SOURCE), None)
        return None if item is None else _source_of(item)

    def examined(self, ami: str, name: str) -> SourceImage | None:
        """Read the source AMI as it is to arrive. ``name``: as the promotion's record has it.

        None if the item is missing or damaged, or is not what the service examined.
        """
        item = self._table.get(addresses.source_image(ami, name))
        if item is None or (name and addresses.digest(str(item.get("body"))) != name):
            return None
        return _source_of(item)

    def tracked(self, ami: str) -> list[Record]:
        """Read a promotion's tracked deliveries."""
        return [_record(item) for item in self._table.query(addresses.promotion(ami).pk, "delivery#")]

    def made_from(self, image: str) -> list[tuple[str, Record]]:
        """Return the tracked deliveries that made an AMI, each with its source AMI."""
        found = self.tracked_by(BY_IMAGE, "delivered_as", image)
        return [(str(one["_item"]["pk"]).removeprefix("promotion#"), one) for one in found if one.get("image") == image]

    def tracked_by(self, index: str, attribute: str, value: str) -> list[Record]:
        """Read the tracked deliveries that an index names, ordered by source AMI and delivery."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            IndexName=index,
            KeyConditionExpression=f"{attribute} = :value",
            ExpressionAttributeValues=wire({":value": value}),
        )
        places = [(item["pk"], item["sk"]) for page in pages for item in map(values, page["Items"])]
        return [record for _, record in sorted(self.many(places).items(), key=itemgetter(0))]

    def many(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Record]:
        """Read many records by (pk, sk), consistently; leave out missing ones."""
        left = [wire({"pk": pk, "sk": sk}) for pk, sk in dict.fromkeys(wanted)]
        found: dict[tuple[str, str], Record] = {}
        attempt = 0
        while left:
            batch, left = left[:100], left[100:]
            answer = self._client.batch_get_item(RequestItems={self._name: {"Keys": batch, "ConsistentRead": True}})
            for item in map(values, answer["Responses"].get(self._name, ())):
                found[item["pk"], item["sk"]] = _tolerant(item)
            unread = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            attempt = attempt + 1 if unread else 0
            if attempt > TRIES:
                what = "DynamoDB still leaves items unread after several tries."
                raise HubError(what, self._place, "Run the command again later.", "items-unread")
            if unread:
                self._sleep(min(0.1 * 2**attempt, 5))
            left = [*unread, *left]
        return found

    def held(self, shares: Mapping[tuple[str, str], Record]) -> dict[tuple[str, str], Record]:
        """Return shares with their holdings, which it reads by a query for each resource."""
        items = [item for pk in dict.fromkeys(pk for pk, _ in shares) for item in self._table.query(pk, HOLD)]
        return _by_place(with_holdings([*shares.values(), *map(_record, items)]))


def with_holdings(found: Iterable[Record]) -> list[Record]:
    """Return the records among these that are no holdings, the shares with theirs."""
    there = list(found)
    held = holdings_in(record["_item"] for record in there)
    keys = ((record, record["_item"]["pk"], record["_item"]["sk"]) for record in there)
    return [
        {**record, "_holdings": held.get((pk, sk.removeprefix(SHARE)), ())} if sk.startswith(SHARE) else record
        for record, pk, sk in keys
        if not sk.startswith(HOLD)
    ]


def _by_place(found: Iterable[Record]) -> dict[tuple[str, str], Record]:
    return {(record["_item"]["pk"], record["_item"]["sk"]): record for record in found}


def _source_of(item: Mapping[str, Any]) -> SourceImage | None:
    try:
        return SourceImage.from_json(json.loads(item["body"]))
    except (KeyError, TypeError, ValueError):
        return None


def place_of(one: Record) -> str:
    """Return a delivery's target as "ACCOUNT/REGION"."""
    return f"{one.get('account')}/{one.get('region')}"


def is_named(one: Record, targets: Collection[str]) -> bool:
    """Whether one of these ("ACCOUNT" or "ACCOUNT/REGION") is a delivery's target."""
    return not {str(one.get("account")), place_of(one)}.isdisjoint(targets)


def holdings(share: Record) -> tuple[Holding, ...]:
    """Return a share's holdings, without damaged ones; ``with_holdings`` has found them."""
    return tuple(sorted(share.get("_holdings", ()), key=str))


def standing(found: Iterable[tuple[tuple[str, str], Record]], places: Collection[tuple[str, str]]) -> list[Record]:
    """Return the shares among records by (pk, sk) that are open for standing holdings of these (account, Region)."""
    return [
        share
        for (_, sk), share in found
        if sk.startswith("share#")
        and share.get("state") in OPEN_STATES
        and any(one.stands and (one.account, one.region) in places for one in holdings(share))
    ]


def withdrawn_in(promotion: Record) -> Mapping[str, str]:
    """Return the withdrawals that the promotion knows: "account" or "account/region" -> the operator."""
    return {str(place): str(by) for place, by in promotion.get("withdrawn", {}).items()}


def unread(promotion: Record, name: str) -> object:
    """Return an entry of a promotion's inbox that the service has not read yet; None: there is none."""
    handled = known if isinstance(known := promotion.get("handled"), Mapping) else {}
    entry = promotion["_item"].get(f"{INBOX}{name}")
    return None if entry == handled.get(name) else entry


def cancelled_by(record: Record) -> str:
    """Return ``drain`` if an operator's drain asked a delivery to end; "" if tag, file or organization did."""
    return "drain" if str(record["_item"].get("in:cancel", "")).endswith(":drain") else ""


def _tolerant(item: Mapping[str, Any]) -> Record:
    """Read an item; one whose body is damaged is ``unreadable``."""
    try:
        dict(json.loads(item.get("body", "{}")))
    except (TypeError, ValueError):
        return {**_record(item), "unreadable": True}
    return _record(item)


def _record(item: Mapping[str, Any]) -> Record:
    """Read an item; if its body is damaged, only the attributes beside the body."""
    try:
        body = dict(json.loads(item.get("body", "{}")))
    except (TypeError, ValueError):
        body = {}
    own = {name: item[name] for name in ("state", "account", "preexisting") if name in item}
    return {**own, **{name: value for name, value in body.items() if _fits(name, value)}, "_item": item}


def _fits(name: str, value: Any) -> bool:
    """Whether a member has the type that the command line expects; other members are left out."""
    if name in LISTS:
        return _dicts(value)
    if name == "shares":
        return isinstance(value, dict) and _dicts(value.get("needed", []))
    if name == "cleanup":
        return isinstance(value, dict) and all(isinstance(value.get(one, []), list) for one in CLEANUP)
    return isinstance(value, SHAPES.get(name, object))


def _dicts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def part(record: Record, name: str) -> Mapping[str, Any]:
    """Return a part of a record, such as a delivery's ``image``; empty if it is missing or damaged."""
    found = record.get(name)
    return found if isinstance(found, dict) else {}


class History:
    """Reads the history of records, and the archive of shares."""

    def __init__(self, connection: Connection) -> None:
        self._reader = Reader(connection)
        self._table = Table(connection.dynamodb, connection.table)
        self._findings = Table(connection.dynamodb, f"{connection.table}-findings")

    def promotion(self, ami: str) -> Record | None:
        """Read one AMI's promotion; None if there is none."""
        return self._reader.promotion(ami)

    def tracked(self, ami: str | None, account: str | None) -> list[Record]:
        """Read the tracked deliveries of an AMI, or those to an account, or both."""
        reader = self._reader
        found = reader.tracked(ami) if ami else reader.tracked_by(BY_ACCOUNT, "delivered_to", str(account))
        return [one for one in found if "delivery" in one and account in (None, one.get("account"))]

    def of(self, pk: str) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of a record's history, the oldest first; the last ones are on the record itself."""
        items = [item for item in self._table.query(pk, "history#") if not str(item["sk"]).startswith("history#share")]
        record = self._table.get(addresses.RecordKey(pk))
        found = [one for item in (*items, *([record] if record else [])) for one in entries_of(item)]
        yield from {one["version"] or (one["at"], number): one for number, one in enumerate(found)}.values()

    def shares_at(self, places: Iterable[tuple[str, str]]) -> Iterator[SharesOfOneName]:
        """Yield the shares at each (resource, share_name), open or archived, with their histories."""
        wanted: dict[str, set[str]] = {}
        for resource, holder in places:
            wanted.setdefault(resource, set()).add(holder)
        for resource, holders in wanted.items():
            # A snapshot's or AMI's shares are read together; a key may have those of thousands of AMIs.
            names = ("",) if len(holders) > 1 and nameless(resource) else tuple(f"{holder}#" for holder in holders)
            found = [one for name in names for kind in PAST for one in self._table.query(resource, f"{kind}{name}")]
            keys = [addresses.share(addresses.RecordKey(resource), holder) for holder in holders]
            yield from _by_name([*(one for one in found if _name(one) in holders), *self._table.get_all(keys)])

    def findings(self, resources: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        """Yield the access monitor's findings about resources, by their ids or ARNs; nothing if it was never on."""
        try:
            for resource in dict.fromkeys(resources):
                for item in self._findings.query(addresses.findings(resource), "at#"):
                    yield {**item, "resource": resource}
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise


def _by_name(items: Iterable[Mapping[str, Any]]) -> Iterator[SharesOfOneName]:
    """Group items by resource and share name."""
    found: dict[tuple[str, str], SharesOfOneName] = {}
    for item in items:
        shares, steps = found.setdefault((str(item["pk"]), _name(item)), ([], []))
        (steps if str(item["sk"]).startswith(PAST[1]) else shares).append(item)
    yield from found.values()


def _name(item: Mapping[str, Any]) -> str:
    """Return the share_name in the sort key of a share, an archived share, or a share's history."""
    sk = str(item["sk"])
    if sk.startswith(PAST[0]):
        return sk.removeprefix(PAST[0]).rpartition("#")[0]
    return sk.removeprefix(PAST[1]).rsplit("#", 2)[0] if sk.startswith(PAST[1]) else sk.removeprefix("share#")
