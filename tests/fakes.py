"""In-memory versions of the stores. The contracts in tests/contracts run against these and against DynamoDB."""

import heapq
import json
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses, codec, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import LostRace, Unreadable
from chalicelib.engine.ports import NOTHING, Due, MadeDue, Stored, Write
from chalicelib.engine.schedule import DAY
from chalicelib.engine.store.records import ROOM_FOR_RECENT, shard_of
from chalicelib.engine.store.table import EXPIRES, KEEP_HISTORY_DAYS
from chalicelib.engine.wakes import Wake
from chalicelib.sharing.machine import Archived, evolve
from chalicelib.sharing.ports import Lines, StandingHolding
from chalicelib.sharing.share import DELIVERED_AMIS, Holding, Purpose, Share
from chalicelib.sharing.store import ledger

KEPT = KEEP_HISTORY_DAYS * DAY


@dataclass
class Item:
    """A record's attributes."""

    state: str
    body: Mapping[str, Any]
    version: int = 1
    inbox: dict[str, str] = field(default_factory=dict)
    due_at: int | None = None
    wake_at: int | None = None
    latest: int | None = None
    woken_at: int | None = None
    alarm: int | None = None
    """When the sweep will wake it at the earliest, according to the heap."""
    parked: str = ""
    damaged: bool = False
    """The body cannot be read: not JSON, or of a newer schema."""


LARGEST_ITEM = 400 * 1024
"""Bytes that DynamoDB takes in an item, its attributes' names included."""
IN_A_TRANSACTION = 100
ITS_HISTORY = ROOM_FOR_RECENT + 200
"""Bytes to leave for a record's other attributes: keys, times, and the latest history."""


def check_size(key: RecordKey, *parts: object) -> None:
    """Raise AssertionError where DynamoDB would refuse an item of these attributes."""
    size = len(f"{key}") + ITS_HISTORY + sum(len(json.dumps(part, separators=(",", ":"))) for part in parts)
    assert size <= LARGEST_ITEM, f"DynamoDB refuses an item of {size} bytes: {key}"


K = TypeVar("K")
V = TypeVar("V")


class Items(dict[K, V]):
    """Items by key, and by partition without a scan of all others.

    ``stored``: the key and the attributes of an item, none of which may be larger than DynamoDB takes.
    """

    def __init__(self, partition: Callable[[K], str], stored: Callable[[K, V], tuple[RecordKey, object]]) -> None:
        super().__init__()
        self._partition = partition
        self._stored = stored
        self._partitions: defaultdict[str, list[K]] = defaultdict(list)
        """The keys of each partition, in order."""

    def __setitem__(self, key: K, item: V) -> None:
        check_size(*self._stored(key, item))
        if key not in self:
            insort(self._partitions[self._partition(key)], key)
        super().__setitem__(key, item)

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        self._partitions[self._partition(key)].remove(key)

    def of(self, partition: str) -> list[tuple[K, V]]:
        """Return the items of a partition in the order of their keys."""
        return [(key, self[key]) for key in self._partitions[partition]]

    def beginning(self, first: K, last: K) -> list[tuple[K, V]]:
        """Return the items of the first key's partition from that key to the last, in the order of their keys."""
        keys = self._partitions[self._partition(first)]
        return [(key, self[key]) for key in keys[bisect_left(keys, first) : bisect_right(keys, last)]]


LAST = chr(0x10FFFF)
"""Comes after every text that a key has."""


class SentWakes:
    """The port ``WakeQueues``: keeps which records were woken, in turn."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def send(self, wake: Wake) -> None:
        self.woken.append(wake.key.pk)

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> Sequence[RecordKey]:
        self.woken += [key.pk for key, _ in wakes]
        return ()


class MemoryRecords:
    """The port ``Records``."""

    def __init__(self) -> None:
        self.records: dict[RecordKey, Item] = {}
        self.items: Items[RecordKey, Mapping[str, Any]] = Items(attrgetter("pk"), lambda key, item: (key, item))
        self._due: defaultdict[str, set[RecordKey]] = defaultdict(set)
        self._alarms: list[tuple[int, RecordKey]] = []
        """A heap of when the sweep will wake each record at the earliest; outdated entries are repaired at the top."""

    def next_due(self, since: Callable[[RecordKey], int]) -> int | None:
        """When the sweep will next wake a record; ``since``: until when it has woken records of that one's shard."""
        while self._alarms:
            at, key = self._alarms[0]
            item = self.records.get(key)
            if item is None or item.wake_at is None or item.alarm != at:
                heapq.heappop(self._alarms)
                continue
            found = next_wake(item.wake_at, item.latest or 0, since(key))
            if found == at:
                return at
            item.alarm = found
            heapq.heapreplace(self._alarms, (found, key))
        return None

    def _alarm(self, key: RecordKey, at: int | None) -> None:
        item = self.records[key]
        item.wake_at = item.alarm = at
        if at is None:
            self._due[shard_of(key)].discard(key)
        else:
            self._due[shard_of(key)].add(key)
            heapq.heappush(self._alarms, (at, key))

    def read(self, key: RecordKey) -> Stored | None:
        item = self.records.get(key)
        if item is None:
            return None
        if item.damaged:
            raise Unreadable(f"{key} is damaged.")
        woken = item.woken_at is not None
        return Stored(key, item.body, item.version, dict(item.inbox), item.parked, item.wake_at, woken)

    def read_all(self, keys: Collection[RecordKey]) -> Mapping[RecordKey, Stored]:
        there = {key for key in keys if key in self.records and not self.records[key].damaged}
        return {key: stored for key in there if (stored := self.read(key)) is not None}

    def create(self, write: Write, now: int) -> bool:
        if write.key in self.records:
            return False
        check_size(write.key, write.body)
        self.records[write.key] = Item(write.state, write.body, due_at=write.due_at, latest=write.latest)
        self._alarm(write.key, None if write.due_at is None else max(write.due_at, now))
        return True

    def create_all(
        self, new: Sequence[tuple[Write, Sequence[tuple[RecordKey, Mapping[str, Any]]]]], now: int
    ) -> Collection[RecordKey]:
        assert sum(1 + len(beside) for _, beside in new) <= IN_A_TRANSACTION, "DynamoDB refuses a larger transaction"
        there = {write.key for write, _ in new} & self.records.keys()
        if not there:
            for write, beside in new:
                self.create(write, now)
                for key, attributes in beside:
                    self.put(key, attributes)
        return there

    def replace(self, write: Write, now: int) -> None:
        check_size(write.key, write.body)
        self.records[write.key] = Item(write.state, write.body, version=now, due_at=write.due_at, latest=write.latest)
        self._alarm(write.key, write.due_at)

    def save(
        self,
        before: Stored,
        after: Write,
        happened: Sequence[str],
        now: int,
        also: Sequence[tuple[RecordKey, Mapping[str, Any]]] = (),
        *,
        goes_on: bool = False,
    ) -> Stored | None:
        item = self.records.get(after.key)
        if item is None or item.version != before.version or item.parked:
            return None
        item.inbox = item.inbox if after.inbox is None else dict(after.inbox)
        check_size(after.key, after.body, item.inbox)
        assert len(also) < IN_A_TRANSACTION, "DynamoDB refuses a larger transaction"
        item.state, item.body, item.version = after.state, after.body, item.version + 1
        item.due_at, item.woken_at = after.due_at, None
        item.latest = item.latest if goes_on else after.latest
        if item.wake_at is None or not schedule.stays(item.wake_at, after.due_at, now, goes_on=goes_on):
            self._alarm(after.key, None if after.due_at is None else max(after.due_at, now))
        if happened or also:
            entry = {"version": item.version, "what": list(happened), "state": after.state}
            past = {"entries": json.dumps([entry]), EXPIRES: now + KEPT}
            self.put(addresses.history(after.key, item.version), past)
        for key, attributes in also:
            over = {EXPIRES: now + KEPT} if attributes.get("kind") == "lookup" else {}
            self.put(key, {**attributes, **over})
        fresh = replace(before, body=after.body, version=item.version, scheduled=item.wake_at, woken=False)
        return replace(fresh, inbox=dict(item.inbox))

    def park(self, key: RecordKey, why: str, now: int) -> None:
        if key in self.records:
            self.records[key].parked = why
            self._alarm(key, None)

    def unpark(self, key: RecordKey, now: int) -> bool:
        item = self.records.get(key)
        if item is None or not item.parked:
            return False
        item.parked, item.due_at = "", now
        self._alarm(key, now)
        return True

    def make_due(
        self, key: RecordKey, now: int, inbox: Mapping[str, str] = NOTHING, fresh: Write | None = None
    ) -> MadeDue:
        if fresh is not None and key not in self.records:
            self.replace(fresh, now)
        item = self.records.get(key)
        if item is None or item.parked:
            if item is not None:
                item.inbox.update(inbox)
            return MadeDue.NONE
        self.leave(key, inbox, now)
        if item.woken_at is not None and item.woken_at > now - schedule.WAKE_LOST:
            return MadeDue.SENT
        item.woken_at = now
        at = item.wake_at or now
        self._alarm(key, at if now - schedule.WAKE_LOST <= at <= now + schedule.WAKE_LOST else now + schedule.WAKE_LOST)
        return MadeDue.SEND

    def leave(
        self, key: RecordKey, inbox: Mapping[str, str], now: int, *, newer: bool = False, fresh: Write | None = None
    ) -> None:
        if fresh is not None and key not in self.records:
            self.replace(fresh, now)
        item = self.records.get(key)
        stale = item is not None and newer and any(item.inbox.get(name, "") >= value for name, value in inbox.items())
        if item is None or item.parked or stale:
            return
        item.inbox.update(inbox)
        check_size(key, item.body, item.inbox)
        item.version += 1
        if item.wake_at is None:
            self._alarm(key, now if fresh is None else fresh.due_at or now)

    def put(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        self.items[key] = attributes

    def change(self, key: RecordKey, attributes: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
        item = self.items.get(key)
        if item is None or any(item.get(name) != value for name, value in seen.items()):
            return False
        self.put(key, {**item, **attributes})
        return True

    def get(self, key: RecordKey) -> Mapping[str, Any] | None:
        assert key not in self.records, "of a record, `get` raises in DynamoDB where the body has another form"
        return self.items.get(key)

    def list(self, pk: str, prefix: str) -> Sequence[tuple[RecordKey, Mapping[str, Any]]]:
        assert prefix, "DynamoDB refuses a key condition with an empty text"
        return self.items.beginning(RecordKey(pk, prefix), RecordKey(pk, prefix + LAST))

    def forget(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        item = self.items.get(key)
        if item is not None and all(item.get(name) == value for name, value in attributes.items()):
            del self.items[key]

    def due(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        there = (key for key in self._due[f"due#{shard}"] if key in self.records)
        all_of_it = ((self.records[key].wake_at or 0, key) for key in there)
        found = (place for place in all_of_it if place[0] <= until)
        if after is not None:
            found = (place for place in found if place > (after.wake_at, after.key))
        records = ((at, key, self.records[key]) for at, key in heapq.nsmallest(limit, found))
        return [
            Due(key, at, until if item.due_at is None else item.due_at, item.latest or 0) for at, key, item in records
        ]


def next_wake(due_at: int, deadline: int, since: int) -> int:
    """Return the first moment after ``since`` at which the sweep wakes a record."""
    at = due_at
    for wait in schedule.POLLS:
        if at > since:
            break
        at += wait
    if at <= since:
        at += ((since - at) // schedule.POLLS[-1] + 1) * schedule.POLLS[-1]
    return deadline if max(due_at, since) < deadline < at else at


class MemorySlotLeases:
    """The port ``SlotLeases``."""

    def __init__(self) -> None:
        self.items: Items[tuple[str, str], SlotLease] = Items(
            itemgetter(0), lambda key, lease: (addresses.slot(RecordKey(key[0]), lease.delivery), codec.encode(lease))
        )

    def ask(self, quota: RecordKey, request: SlotLease) -> SlotLease:
        known = self.items.get((quota.pk, request.delivery))
        if known is not None and known.episode > request.episode:
            return request
        if request.over:
            if known is not None:
                del self.items[quota.pk, request.delivery]
            return request
        same = known is not None and known.episode == request.episode
        self.items[quota.pk, request.delivery] = replace(request, granted=known.granted) if known and same else request
        return self.items[quota.pk, request.delivery]

    def leases(self, quota: RecordKey) -> Sequence[SlotLease]:
        return [lease for _, lease in self.items.of(quota.pk)]

    def lease(self, quota: RecordKey, delivery: str) -> SlotLease | None:
        return self.items.get((quota.pk, delivery))

    def grant(self, quota: RecordKey, lease: SlotLease) -> None:
        known = self.items.get((quota.pk, lease.delivery))
        if known is not None and known.episode == lease.episode and known.granted <= lease.granted:
            self.items[quota.pk, lease.delivery] = replace(known, granted=lease.granted, until=lease.until)

    def drop(self, quota: RecordKey, lease: SlotLease) -> None:
        known = self.items.get((quota.pk, lease.delivery))
        if known is not None and (known.episode, known.until) == (lease.episode, lease.until):
            del self.items[quota.pk, lease.delivery]


def copying(delivery: str, account: str = "222222222222", episode: int = 1) -> Holding:
    return Holding("ami-0a", account, "us-east-1", delivery, episode, Purpose.COPY)


def sharing(delivery: str, account: str = "222222222222", episode: int = 1, until: int = 0) -> Holding:
    """A sharing delivery's holding, without end or until a time."""
    return Holding("ami-0a", account, "us-east-1", delivery, episode, Purpose.STANDING, until)


def but_holdings(share: Share) -> object:
    """Return what a share's item has: each holding is an item of its own."""
    return codec.encode(replace(share, holdings=frozenset()), sparse=True)


class MemoryLedger:
    """The port ``Ledger``."""

    def __init__(self, records: MemoryRecords | None = None) -> None:
        self._records = records or MemoryRecords()
        self.items: Items[tuple[str, str], Share] = Items(
            itemgetter(0), lambda _, share: (share.key, but_holdings(share))
        )
        self.idle: dict[tuple[str, str, str], Holding] = {}
        """Standing holdings that hold nothing, by resource, share and delivery: released, or damaged (episode 0)."""
        self.archived: Items[tuple[str, str, int], Share] = Items(
            itemgetter(0), lambda key, share: (addresses.archived_share(*key), but_holdings(share))
        )
        """Items that were read as shares."""

    def hold_all(self, wanted: Sequence[tuple[Share, Holding]]) -> int:
        together = wanted if all(starmap(self._is_simple, wanted)) else wanted[:1]
        for share, holding in together:
            self.hold(share, holding)
        return len(together)

    def _is_simple(self, share: Share, holding: Holding) -> bool:
        """Whether the holding is new, and no other holder has a later end."""
        known = self.items.get((share.resource, share.share_name), share)
        is_new = all(one.delivery != holding.delivery for one in known.holdings)
        return is_new and known.last_closing_at <= share.last_closing_at

    def hold(self, share: Share, holding: Holding) -> None:
        place = share.resource, share.share_name
        known = self.items.get(place, share)
        before = next((one for one in known.holdings if one.delivery == holding.delivery), None)
        is_new = before is None or before.episode < holding.episode
        self.idle.pop((*place, holding.delivery), None)
        self.items[place] = replace(
            known,
            asked=known.asked + is_new,
            holdings=(known.holdings - {before}) | {holding} if is_new else known.holdings,
            grantee=share.grantee,
            last_closing_at=max(known.last_closing_at, share.last_closing_at),
        )

    def release(self, resource: str, share_name: str, holding: Holding, *, listed: bool = False) -> None:
        place, known = (resource, share_name), self.items.get((resource, share_name))
        for one in known.holdings if known else ():
            if known and self._ends(one, holding):
                self.items[place] = replace(known, holdings=known.holdings - {one})
                if one.stands:
                    self.idle[*place, one.delivery] = one
        idle = self.idle.get((*place, holding.delivery))
        if not listed and idle is not None and self._ends(idle, holding):
            del self.idle[*place, holding.delivery]

    def _ends(self, one: Holding, released: Holding) -> bool:
        return one.delivery == released.delivery and (not released.episode or one.episode <= released.episode)

    def standing(self, ami: str) -> Sequence[StandingHolding]:
        held = {(*place, one.delivery): one for place, share in self.items.items() for one in share.holdings}
        found = ((place, one) for place, one in sorted({**self.idle, **held}.items()) if one.stands and one.ami == ami)
        return [StandingHolding(resource, name, one) for (resource, name, _), one in found]

    def shares(self, resource: str) -> Sequence[Share]:
        return [share for _, share in self.items.of(resource)]

    def with_record(self, key: RecordKey) -> tuple[Stored | None, Sequence[Share]]:
        return self._records.read(key), self.shares(key.pk)

    def find(self, places: Collection[tuple[str, str]]) -> Sequence[Share]:
        return [self.items[place] for place in dict.fromkeys(places) if place in self.items]

    def find_for(self, wanted: Collection[tuple[str, str, str]]) -> Sequence[Share]:
        named = set(wanted)
        return [
            replace(
                share,
                holdings=frozenset(
                    one for one in share.holdings if (share.resource, share.share_name, one.delivery) in named
                ),
            )
            for share in self.find([(resource, name) for resource, name, _ in wanted])
        ]

    def damage_holding(self, place: tuple[str, str, str]) -> None:
        """Let a standing holding be such as cannot be read: the index still has it, and it holds nothing."""
        resource, name, delivery = place
        if delivery == DELIVERED_AMIS:
            return  # it holds whatever it says
        share = self.items[resource, name]
        (one,) = (one for one in share.holdings if one.delivery == delivery)
        self.items[resource, name] = replace(share, holdings=share.holdings - {one})
        self.idle[place] = replace(one, account="", region="", episode=0, until=1)

    def save(
        self, shares: Sequence[Share], happened: str, now: int, *, unheld: bool = False, calls: Lines = NOTHING
    ) -> list[Share]:
        for share in shares:
            known = self.items.get((share.resource, share.share_name))
            if known is None or known.version != share.version or (unheld and known.asked != share.asked):
                raise LostRace(share.resource)
        for share in shares:
            self._put(share)
        return [replace(share, version=share.version + 1) for share in shares]

    def put_right(self, share: Share, happened: str, now: int) -> bool:
        known = self.items.get((share.resource, share.share_name))
        if (0 if known is None else known.version) != share.version:
            return False
        self._put(share)
        return True

    def _put(self, share: Share) -> None:
        known = self.items.get((share.resource, share.share_name), share)
        self.items[share.resource, share.share_name] = replace(
            share,
            holdings=known.holdings,
            asked=known.asked,
            last_closing_at=known.last_closing_at,
            grantee=known.grantee,
            version=share.version + 1,
        )

    def damage(self, place: tuple[str, str]) -> None:
        """Let a share's body be such as cannot be read: what it is read as then is the adapter's affair."""
        share = self.items[place]
        item = {"pk": share.resource, "sk": f"share#{share.share_name}"}
        item |= {n: getattr(share, n) for n in ("state", "grant_id", "intended_at", "preexisting", "asked", "version")}
        of_holders = {
            n: getattr(share, n) for n in ("account", "holdings", "asked", "last_closing_at", "grantee", "version")
        }
        self.items[place] = replace(ledger.least(item, share.resource, ValueError("damaged")), **of_holders)

    def archive(self, shares: Sequence[Share], now: int, happened: str = "", calls: Lines = NOTHING) -> None:
        for share in shares:
            known = self.items.get((share.resource, share.share_name))
            if known is None or (known.version, known.asked) != (share.version, share.asked):
                raise LostRace(share.resource)
        for share in shares:
            del self.items[share.resource, share.share_name]
            self.archived[share.resource, share.share_name, now] = evolve(share, Archived(), now)

    def was_open(self, resource: str, names: str = "") -> bool:
        return any(name.startswith(names) for (_, name, _), _ in self.archived.of(resource))

    def gone_with_resource(self, resource: str) -> Collection[str]:
        latest = {name: share for (_, name, _), share in sorted(self.archived.of(resource), key=itemgetter(0))}
        return {name for name, share in latest.items() if share.gone_with_resource}


class MemoryTrackedDeliveries:
    """The port ``TrackedDeliveries``."""

    def __init__(self) -> None:
        self.items: Items[tuple[str, str], TrackedDelivery] = Items(
            itemgetter(0), lambda key, tracked: (addresses.tracked_delivery(*key), codec.encode(tracked))
        )

    def count(self, ami: str, more: int) -> None:
        """The marks themselves are counted."""

    def add(self, ami: str, tracked: TrackedDelivery, *, count: bool = True) -> bool:
        known = self.items.get((ami, tracked.delivery))
        if known is not None and known.episode >= tracked.episode:
            return False
        self.items[ami, tracked.delivery] = tracked
        return True

    def end(self, ami: str, tracked: TrackedDelivery) -> bool:
        known = self.items.get((ami, tracked.delivery))
        if known is None:
            return True
        runs = (known.episode, known.state) == (tracked.episode, "running")
        taken_back = known.episode == tracked.episode and tracked.outcome.follows
        if runs or taken_back or known.episode < tracked.episode:
            self.items[ami, tracked.delivery] = replace(tracked, generation=known.generation, joined=known.joined)
        return not runs or not any(one.state == "running" for _, one in self.items.of(ami))

    def take_back(self, ami: str, tracked: TrackedDelivery, before: TrackedDelivery) -> None:
        known = self.items.get((ami, tracked.delivery))
        if known is not None and known.episode == tracked.episode and known.state == "running":
            self.items[ami, tracked.delivery] = before

    def rename(self, ami: str, delivery: str, ssm_parameter: str) -> None:
        if known := self.items.get((ami, delivery)):
            self.items[ami, delivery] = replace(known, ssm_parameter=ssm_parameter)

    def all(self, ami: str) -> Sequence[TrackedDelivery]:
        return [tracked for _, tracked in self.items.of(ami)]
