"""The service's records as the command line reads them: into the service's own types, as far as they can be read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.salvage import salvage
from ami_promoter.terminal.alike import first_of
from ami_promoter.terminal.output import Progress
from ami_promoter.terminal.report import ended
from chalicelib.delivery.copy_quota import CopyQuota
from chalicelib.delivery.model import ENDED, Delivery
from chalicelib.delivery.store.tracked_deliveries import BESIDE, BY_ACCOUNT, BY_IMAGE, stand_beside
from chalicelib.delivery.tracked import GOOD, TrackedDelivery
from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import ARCHIVED, HOLD, RECORD, SHARE, SHARE_STEP, RecordKey
from chalicelib.engine.aws.refusals import gone
from chalicelib.engine.errors import NewerSchema, Unreadable
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.engine.schema import FORMS
from chalicelib.engine.store.records import INBOX
from chalicelib.engine.store.records import history as entries_of
from chalicelib.engine.store.table import Table, values, wire
from chalicelib.engine.stored import fitting
from chalicelib.images.image import SourceImage
from chalicelib.inventory.machine import Inventory
from chalicelib.promotion.model import Promotion, PromotionState
from chalicelib.release.pointer import Pointer
from chalicelib.sharing.grant_names import nameless
from chalicelib.sharing.share import OPEN_STATES, Share, ShareState, ShareStep
from chalicelib.sharing.store.ledger import DynamoLedger, steps_in

T_co = TypeVar("T_co", covariant=True)

UNSETTLED = (PromotionState.REQUESTED, PromotionState.COMPARING, PromotionState.ADJUSTING)
"""States of a promotion in which its faults, and what it has not begun, may belong to an earlier value."""

TRACKED = "delivery#"
"""Beginning of the sort keys of a promotion's tracked deliveries."""

IN_ENDED = f"#state IN ({', '.join(f':{state}' for state in sorted(ENDED))})"
"""In a filter: whether a delivery has ended."""

VALUES: Mapping[str, Any] = {
    ":promotion": "promotion#",
    ":delivery": TRACKED,
    ":pointer": "pointer#",
    ":resource": "resource#",
    ":record": RECORD,
    ":image": addresses.SOURCE,
    ":share": SHARE,
    ":hold": HOLD,
    ":closed": ARCHIVED,
    ":history": "history#",
    ":steps": SHARE_STEP,
    ":over": PromotionState.OVER.value,
    **{f":{state}": state.value for state in ENDED},
}
"""What filters of the table of records name: keys, or their beginnings, and states."""

SharesOfOneName = tuple[list[Mapping[str, Any]], list[ShareStep]]
"""The items of the shares that have had one name on one resource, in turn; and the steps of their histories."""


@dataclass(frozen=True, slots=True)
class RecordSeen(Generic[T_co]):
    """An item of the table of records, with its record ``it``. ``damage``: what of it cannot be read, and is empty."""

    item: Mapping[str, Any]
    it: T_co
    damage: tuple[str, ...] = ()

    @property
    def key(self) -> RecordKey:
        """Where it is."""
        return RecordKey.of(self.item)

    @property
    def state(self) -> str:
        """Its state, also one that this version does not know."""
        return str(self.item.get("state") or getattr(self.it, "state", ""))

    @property
    def created_at(self) -> int:
        """When it was first written (epoch seconds); 0 if that cannot be read."""
        return fitting(self.item, "created_at", 0)

    @property
    def parked(self) -> str:
        """Why it is parked; "" if it is not. It does not name the record, as whatever shows it does."""
        pk = re.escape(self.key.pk)
        why = re.sub(f"^{pk}( {RECORD})? ", "it ", re.sub(f"^{pk}: ", "", str(self.item.get("parked") or "")))
        return ended(why) if why else ""

    @property
    def delivers(self) -> str:
        """Of a delivery its AMI and target, for a person, as its key has neither; "": of others, or not readable."""
        one: object = self.it
        if not (isinstance(one, Delivery) and one.ami and one.target.account):
            return ""
        return f"{one.ami} to account {one.target.account}, {one.target.region}"

    @property
    def faults(self) -> tuple[Fault, ...]:
        """A fault of the record itself, if it is damaged."""
        if not self.damage:
            return ()
        what = f"Its record is damaged, and shown only as far as it can be read: {first_of(self.damage)}."
        cure = "Its worker parks it, or writes it again; `ami-promoter admin reconcile` shows more."
        return (Fault("record-damaged", self.key.pk, what, cure),)


@dataclass(frozen=True, slots=True)
class HubOverview:
    """What one scan of the table of records shows of a hub."""

    promotions: Sequence[tuple[RecordSeen[Promotion], list[RecordSeen[TrackedDelivery]]]] = ()
    """Each with its tracked deliveries."""
    pointers: Sequence[RecordSeen[Pointer]] = ()
    """Those that may have a fault, and parked ones."""
    parked: Sequence[RecordSeen[Any]] = ()
    """By their keys."""
    closing: Sequence[Share] = ()


def record_named(pk: str, delivers: str) -> str:
    """Name a record for a person. ``delivers``: see ``RecordSeen``."""
    return f"{pk} ({delivers})" if delivers else pk


def unpark(pk: str, *, each: bool = False) -> str:
    """Say what lets a parked record, or ``each`` of several, continue."""
    repaired = f"After you have repaired that (docs/operations/runbook.md#parked-records){', for each' if each else ''}"
    return f"{repaired}: `ami-promoter admin reconcile --unpark '{pk}'`"


def record_of(item: Mapping[str, Any]) -> RecordSeen[Any]:
    """Read an item. Its key says of which type it is, and which promotion, delivery or share."""
    key = RecordKey.of(item)
    inbox = {name.removeprefix(INBOX): str(one) for name, one in item.items() if name.startswith(INBOX)}
    match key.kind:
        case "promotion" if key.sk == RECORD:
            return _record(Promotion, item, {"ami": key.name, "inbox": inbox})
        case "promotion" if key.sk.startswith(TRACKED):
            always = {name: item[name] for name in BESIDE if name in item}
            found = _record(TrackedDelivery, item, {"delivery": key.sk.removeprefix(TRACKED), **always})
            if not found.damage:
                return found
            return replace(found, it=salvage(TrackedDelivery, codec.encode(found.it) | stand_beside(item), "body")[0])
        case "delivery" if key.sk == RECORD:
            return _record(Delivery, item, {"id": key.name, "inbox": inbox})
        case "pointer" if key.sk == RECORD:
            return _record(Pointer, item, {"inbox": inbox})
        case "inventory" if key.sk == RECORD:
            return _record(Inventory, item, {"inbox": inbox})
        case "quota" if key.sk == RECORD:
            return _record(CopyQuota, item, {})
        case "resource" if key.sk.startswith((SHARE, ARCHIVED)):
            beside = {name: item[name] for name in ("account", "grantee", "preexisting") if name in item}
            return _record(Share, item, {"resource": key.pk, "share_name": key.share_name, **beside})
    return RecordSeen(item, None)


def _record(kind: type[Any], item: Mapping[str, Any], own: Mapping[str, Any]) -> RecordSeen[Any]:
    try:
        body = codec.parsed_json(_text(item))
    except (KeyError, TypeError, ValueError):
        body = None
    if not isinstance(body, dict):
        return RecordSeen(item, salvage(kind, own, "body")[0], ("its body is no JSON object",))
    return RecordSeen(item, *salvage(kind, {**body, **own}, "body"))


def _text(item: Mapping[str, Any]) -> Any:
    """Return an item's body in this version's form; as it is, if this version cannot read it."""
    try:
        return FORMS.text("", item)
    except (NewerSchema, Unreadable):
        return item.get("body", "")


class Reader:
    """Reads records. ``doing``: what the command does meanwhile, for the error. Every method may raise HubError."""

    def __init__(self, connection: Connection, doing: str = "reading the records") -> None:
        self._client = connection.dynamodb
        self._telling = partial(connection.telling, doing)
        self._name = connection.table
        self._table = connection.record_items
        self._ledger = DynamoLedger(self._table)

    def overview(self) -> HubOverview:
        """Return every promotion, and what in trouble belongs to no one promotion. This reads the whole table."""
        which = (
            "(begins_with(pk, :promotion) AND (sk = :record OR begins_with(sk, :delivery)))"
            " OR (begins_with(pk, :pointer) AND sk = :record AND contains(body, :says))"
            " OR (sk = :record AND attribute_exists(parked))"
            " OR (begins_with(pk, :resource) AND begins_with(sk, :share) AND #state = :closing)"
        )
        closing, records, tracked = (
            list[Mapping[str, Any]](),
            list[RecordSeen[Any]](),
            dict[str, list[RecordSeen[TrackedDelivery]]](),
        )
        given = {":says": '"fault"', ":closing": ShareState.CLOSING.value}
        for one in map(record_of, self.items(which, given, consistent=False)):
            if isinstance(one.it, Share):
                closing.append(one.item)
            else:
                (records if one.key.sk == RECORD else tracked.setdefault(one.key.pk, [])).append(one)
        return HubOverview(
            [(one, tracked.get(one.key.pk, [])) for one in records if one.key.kind == "promotion"],
            [one for one in records if one.key.kind == "pointer"],
            sorted((one for one in records if "parked" in one.item), key=attrgetter("key")),
            self.shares_in(closing),
        )

    def pointers(self, says: str = "") -> list[RecordSeen[Pointer]]:
        """Return every pointer, or those whose body contains a text. This reads the whole table."""
        which = "begins_with(pk, :pointer) AND sk = :record AND contains(body, :says)"
        return [record_of(item) for item in self.items(which, {":says": says or "{"}, consistent=False)]

    def under_way(self) -> tuple[list[RecordSeen[Any]], list[Share]]:
        """Return the promotions and deliveries that have not ended, whatever is parked, and every share.

        This reads the whole table, consistently.
        """
        which = (
            f"(begins_with(pk, :delivery) AND sk = :record AND NOT {IN_ENDED}) "
            "OR (begins_with(pk, :promotion) AND sk = :record AND NOT #state = :over) "
            "OR (sk = :record AND attribute_exists(parked)) "
            "OR (begins_with(pk, :resource) AND (begins_with(sk, :share) OR begins_with(sk, :hold)))"
        )
        items = list(self.items(which))
        return [record_of(item) for item in items if item["sk"] == RECORD], self.shares_in(items)

    def items(
        self, expression: str, given: Mapping[str, Any] = MappingProxyType({}), *, consistent: bool = True
    ) -> Iterator[dict[str, Any]]:
        """Scan the table for the items that match a filter; ``#name`` in the filter stands for that attribute.

        ``given``: the values that the filter names, beside those of ``VALUES``. A long scan reports its progress.
        """
        names = set(re.findall("[:#][a-z]+", expression))
        named = {name: name[1:] for name in names if name.startswith("#")}
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            FilterExpression=expression,
            ExpressionAttributeValues=wire({name: VALUES[name] for name in names & VALUES.keys()} | dict(given)),
            ConsistentRead=consistent,
            **({"ExpressionAttributeNames": named} if named else {}),
        )
        seen, progress = 0, Progress("Reading the table, items so far")
        with self._telling():
            for page in pages:
                yield from map(values, page["Items"])
                seen += int(page.get("ScannedCount", 0))
                progress.at(seen)

    def promotion(self, ami: str) -> RecordSeen[Promotion] | None:
        """Read one AMI's promotion; None if there is none."""
        item = self.item(addresses.promotion(ami))
        return None if item is None else record_of(item)

    def source_image(self, ami: str) -> SourceImage | None:
        """Read the source AMI as once examined, as its snapshots never change; None if it is missing or damaged."""
        found = self.query(addresses.promotion(ami).pk, addresses.SOURCE)
        return source_of(found[0]) if found else None

    def examined(self, ami: str, name: str) -> SourceImage | None:
        """Read the source AMI as it is to arrive. ``name``: as the promotion's record has it.

        None if the item is missing or damaged, or is not what the service examined.
        """
        item = self.item(addresses.source_image(ami, name))
        if item is None or addresses.digest(str(item.get("body"))) != name:
            return None
        return source_of(item)

    def tracked(self, ami: str) -> list[RecordSeen[TrackedDelivery]]:
        """Read a promotion's tracked deliveries."""
        return [record_of(item) for item in self.query(addresses.promotion(ami).pk, TRACKED)]

    def made_from(self, image: str) -> list[RecordSeen[TrackedDelivery]]:
        """Return the tracked deliveries that made an AMI; the key of each names its source AMI."""
        return [one for one in self.tracked_by(BY_IMAGE, "delivered_as", image) if one.it.image == image]

    def tracked_by(self, index: str, attribute: str, value: str) -> list[RecordSeen[TrackedDelivery]]:
        """Read the tracked deliveries that an index names, ordered by source AMI and delivery."""
        with self._telling():
            keys = [RecordKey.of(item) for item in self._table.query_index_all(index, attribute, value)]
        return sorted(self.many(keys).values(), key=attrgetter("key"))

    def deliveries(self, ids: Iterable[str]) -> dict[str, RecordSeen[Delivery]]:
        """Read deliveries by their ids, consistently; leave out missing ones."""
        return {one.it.id: one for one in self.many(map(addresses.delivery, ids)).values()}

    def many(self, keys: Iterable[RecordKey]) -> dict[RecordKey, RecordSeen[Any]]:
        """Read many records, consistently; leave out missing ones."""
        return {one.key: one for one in map(record_of, self.all(keys))}

    def all(self, keys: Iterable[RecordKey]) -> Iterator[dict[str, Any]]:
        """Read items, consistently; leave out missing ones."""
        with self._telling():
            yield from self._table.get_all(list(dict.fromkeys(keys)))

    def shares(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Share]:
        """Read shares by (resource, share_name), with their holdings, by a query for each resource."""
        items = list(self.all(addresses.share(RecordKey(resource), name) for resource, name in places))
        held = [one for pk in dict.fromkeys(item["pk"] for item in items) for one in self.query(pk, HOLD)]
        return {(one.resource, one.share_name): one for one in self.shares_in([*items, *held])}

    def shares_in(self, items: Iterable[Mapping[str, Any]]) -> list[Share]:
        """Read the shares among these items as the share worker does, with the holdings among them."""
        return self._ledger.read(items)

    def item(self, key: RecordKey) -> dict[str, Any] | None:
        """Read an item."""
        with self._telling():
            return self._table.get(key)

    def query(self, pk: str, prefix: str) -> list[dict[str, Any]]:
        """Read a partition's items whose sort key begins so, in order."""
        with self._telling():
            return list(self._table.query(pk, prefix))


def source_of(item: Mapping[str, Any]) -> SourceImage | None:
    """Read a source as it was examined; None if it is damaged."""
    try:
        return codec.decode(SourceImage, codec.parsed_json(item["body"]))
    except (KeyError, TypeError, ValueError):
        return None


def place_of(shown: Mapping[str, Any]) -> str:
    """Return the target of what a verb shows, as "ACCOUNT/REGION"."""
    return str(Place(str(shown["account"]), str(shown["region"])))


def target_of(shown: Mapping[str, Any]) -> str:
    """Return the same for a person, as "ACCOUNT REGION"."""
    return f"{shown['account']} {shown['region']}"


def is_named(place: str, targets: Collection[str]) -> bool:
    """Whether one of these ("ACCOUNT" or "ACCOUNT/REGION") is the target ("ACCOUNT/REGION")."""
    return not {Place.parse(place).account, place}.isdisjoint(targets)


def not_there(targets: Iterable[str], places: Collection[str]) -> list[str]:
    """Return those of ``targets`` ("ACCOUNT" or "ACCOUNT/REGION") that name none of the places ("ACCOUNT/REGION")."""
    return [one for one in targets if not any(is_named(place, [one]) for place in places)]


def image_of(entry: TrackedDelivery, source: str) -> str | None:
    """Return the AMI that a delivery's target can launch, its own or the ``source``; None: none, or no longer."""
    image = source if entry.state == "shared" else entry.image
    return (image or None) if entry.state in GOOD else None


def by_name(share: Share) -> tuple[str, str]:
    """Return the key by which shares are sorted."""
    return share.resource, share.share_name


def standing(shares: Iterable[Share], places: Collection[Place]) -> list[Share]:
    """Return the shares that are open for standing holdings of these targets."""
    held = ((share, one) for share in shares if share.state in OPEN_STATES for one in share.holdings if one.stands)
    return list(dict.fromkeys(share for share, one in held if (one.account, one.region) in places))


class History(Reader):
    """Reads the history of records, and the archive of shares, too."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "reading the history")
        self._findings = Table(connection.dynamodb, f"{connection.table}-findings")

    def tracked_for(self, ami: str | None, account: str | None) -> list[RecordSeen[TrackedDelivery]]:
        """Read the tracked deliveries of an AMI, or those to an account, or both."""
        found = self.tracked(ami) if ami else self.tracked_by(BY_ACCOUNT, "delivered_to", str(account))
        return [one for one in found if account in (None, one.it.account)]

    def of(self, key: RecordKey) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of a record's history, the oldest first; the last ones are on the record itself."""
        with self._telling():
            items = list(self._table.query_between(key.pk, "history#", RECORD))
        own = (item for item in items if item["sk"] == RECORD or item["sk"].startswith("history#"))
        found = [one for item in own if not item["sk"].startswith(SHARE_STEP) for one in entries_of(item)]
        yield from {one["version"] or (one["at"], number): one for number, one in enumerate(found)}.values()

    def shares_at(self, places: Iterable[tuple[str, str]]) -> Iterator[SharesOfOneName]:
        """Yield the shares at each (resource, share_name), open or archived, with their histories."""
        wanted: dict[str, set[str]] = {}
        for resource, holder in places:
            wanted.setdefault(resource, set()).add(holder)
        for resource, holders in wanted.items():
            # A snapshot's or AMI's shares are read together; a key may have those of thousands of AMIs.
            names = ("",) if len(holders) > 1 and nameless(resource) else tuple(f"{holder}#" for holder in holders)
            past = [f"{kind}{name}" for name in names for kind in (ARCHIVED, SHARE_STEP)]
            found = [one for prefix in past for one in self.query(resource, prefix)]
            keys = [addresses.share(RecordKey(resource), holder) for holder in holders]
            ours = [one for one in found if RecordKey.of(one).share_name in holders]
            yield from _by_name([*ours, *self.all(keys)])

    def findings(self, resources: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        """Yield the access monitor's findings about resources, by their ids or ARNs; nothing if it was never on."""
        with self._telling(), gone("ResourceNotFoundException"):
            for resource in dict.fromkeys(resources):
                for item in self._findings.query(addresses.findings(resource), "at#"):
                    yield {**item, "resource": resource}


def _by_name(items: Iterable[Mapping[str, Any]]) -> Iterator[SharesOfOneName]:
    """Group items by resource and share name. The last steps are on the share itself; some may be in two items."""
    found: dict[tuple[str, str], tuple[list[Mapping[str, Any]], dict[ShareStep, None]]] = {}
    for item in items:
        key = RecordKey.of(item)
        shares, steps = found.setdefault((key.pk, key.share_name), ([], {}))
        if not key.sk.startswith(SHARE_STEP):
            shares.append(item)
        steps.update(dict.fromkeys(steps_in(item)))
    yield from ((shares, list(steps)) for shares, steps in found.values())
