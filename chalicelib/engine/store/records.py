"""State records: versioned bodies, inbox entries, and the sparse index of due records.

The worker of a record writes its attributes ``schema``, ``kind``, ``state``, ``version``, ``body`` (JSON) and
``due_at``. Attributes ``in:<name>`` are inbox entries. Writing one, or making the record due, also increments
``version``, so that a worker does not overwrite entries that it has not seen. ``woken_at`` says that a wake was sent;
``wake_at`` (with ``due_shard``, the index ``due``) says when the sweep wakes the record. The sweep writes to no record.

``recent`` has the newest entries of the record's history, newest last. A write in a transaction costs twice, so an
entry is first written with its record, in one item. Later several entries move together to an item of their own
(``history#VERSION``, its ``entries``), before the record is written without them. An entry can be in both places for a
while; its version identifies it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from chalicelib.engine import addresses, codec, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.aws import sdk
from chalicelib.engine.errors import ParkRecord, Unreadable
from chalicelib.engine.ports import NOTHING, Due, Extras, MadeDue, Stored, Write
from chalicelib.engine.schema import FORMS, Forms
from chalicelib.engine.store.table import ABSENT, EXPIRES, KEEP_HISTORY_DAYS, Table, setting
from chalicelib.engine.stored import compact, fitting

SHARDS = 4
INDEX = "due"
INBOX = "in:"
RECENT = "recent"
ROOM_FOR_RECENT = 1000
"""Most characters of history on a record: each write costs by the KB."""


def shard_of(key: RecordKey) -> str:
    """Return the partition of the index ``due`` for a record."""
    return f"due#{zlib.crc32(key.pk.encode()) % SHARDS}"


class DynamoRecords:
    """The port ``Records`` on one table. ``forms``: in which bodies are written and read.

    ``keep_days``: for how long history and look-ups are kept.
    """

    def __init__(self, table: Table, forms: Forms = FORMS, keep_days: int = KEEP_HISTORY_DAYS) -> None:
        self._table = table
        self._forms = forms
        self._keep = keep_days * schedule.DAY

    def read(self, key: RecordKey) -> Stored | None:
        item = self._table.get(key)
        return None if item is None else stored(key, item, self._forms)

    def read_all(self, keys: Collection[RecordKey]) -> Mapping[RecordKey, Stored]:
        found = {}
        for item in self._table.get_all(list(keys)):
            key = RecordKey.of(item)
            with suppress(ParkRecord):
                found[key] = stored(key, item, self._forms)
        return found

    def create(self, write: Write, now: int) -> bool:
        return self._table.put(write.key, self._item(write, now), absent=True)

    def create_all(self, new: Sequence[tuple[Write, Extras]], now: int) -> Collection[RecordKey]:
        writes, owners = [], []
        for write, beside in new:
            writes.append({"Put": self._table.put_request(write.key, self._item(write, now), ABSENT)})
            writes += [{"Put": self._table.put_request(key, self._with_form(item))} for key, item in beside]
            owners += [write.key] * (1 + len(beside))
        return {owners[place] for place in self._table.refused(writes)}

    def replace(self, write: Write, now: int) -> None:
        # Its version is of no earlier replacement: a run that began with one must not write over what came after it.
        self._table.put(write.key, {**self._item(write, now), "version": now})

    def _item(self, write: Write, now: int) -> dict[str, Any]:
        item: dict[str, Any] = {
            "kind": write.key.kind,
            "schema": self._forms.newest(write.key.kind),
            "version": 1,
            "created_at": now,
            "state": write.state,
            "body": compact(write.body),
        }
        if write.due_at is not None:
            wake_at = max(write.due_at, now)
            item |= {"due_at": write.due_at, "wake_at": wake_at, "due_shard": shard_of(write.key)}
        if write.latest is not None:
            item["latest"] = write.latest
        return item

    def save(
        self,
        before: Stored,
        after: Write,
        happened: Sequence[str],
        now: int,
        also: Extras = (),
        *,
        goes_on: bool = False,
    ) -> Stored | None:
        inbox, scheduled = before.inbox if after.inbox is None else after.inbox, before.scheduled
        changes: dict[str, Any] = {
            "schema": self._forms.newest(after.key.kind),
            "state": after.state,
            "body": compact(after.body),
            "version": before.version + 1,
            "woken_at": None,
        }
        if scheduled is None or not schedule.stays(scheduled, after.due_at, now, goes_on=goes_on):
            scheduled = None if after.due_at is None else max(after.due_at, now)
            shard = None if scheduled is None else shard_of(after.key)
            changes |= {"due_at": after.due_at, "wake_at": scheduled, "due_shard": shard}
        if not goes_on:  # the index has it, too, and the run will write another one
            changes["latest"] = after.latest
        for name in before.inbox.keys() | inbox.keys():
            if before.inbox.get(name) != inbox.get(name):
                changes[INBOX + name] = inbox.get(name)
        for key, item in also:
            if _is_lookup(item):
                self._table.put(key, {**item, EXPIRES: now + self._keep})
        beside = [(key, self._with_form(item)) for key, item in also if not _is_lookup(item)]
        recent = self._recent(before, after, happened, now)
        changes[RECENT] = compact(recent) if recent else None
        if not self._write(before, after, changes, beside, entry=bool(happened)):
            return None
        fresh = replace(before, body=after.body, version=before.version + 1, inbox=inbox, scheduled=scheduled)
        return replace(fresh, woken=False, recent=recent)

    def _write(self, before: Stored, after: Write, changes: Mapping[str, Any], beside: Extras, *, entry: bool) -> bool:
        """Write a record with the items beside it, if it is still as it was read. ``entry``: history gets one."""
        gone = [name for name, value in changes.items() if value is None]
        fresh = {name: value for name, value in changes.items() if value is not None}
        update = setting(fresh, {":read": before.version}, removing=gone)
        update["condition"] = "version = :read AND attribute_not_exists(parked)"  # a twin may have parked it
        if beside:
            puts = [{"Put": self._table.put_request(key, attributes)} for key, attributes in beside]
            return self._table.transact([{"Update": self._table.update_request(after.key, **update)}, *puts])
        if self._table.update(after.key, **update) is not None:
            return True
        # a write that changes neither looks like a wake's, which only raises the version
        return (entry or after.body != before.body) and self._is_there(after.key, changes)

    def _recent(self, before: Stored, after: Write, happened: Sequence[str], now: int) -> Sequence[Mapping[str, Any]]:
        """Return the entries of its history that a record is to have, after writing the others into an item."""
        if not happened:
            return before.recent
        entry = {"version": before.version + 1, "at": now, "state": after.state, "what": list(happened)}
        recent = [*before.recent, entry]
        crowded = len(json.dumps(recent)) > ROOM_FOR_RECENT or after.due_at is None  # at rest, it has the last alone
        if not (before.recent and crowded):
            return recent
        last, entries = before.recent[-1], compact(before.recent)
        moved = {"at": last["at"], "state": last["state"], "entries": entries, EXPIRES: now + self._keep}
        self._table.put(addresses.history(after.key, last["version"]), moved)
        return [entry]

    def _is_there(self, key: RecordKey, changes: Mapping[str, Any]) -> bool:
        """Whether a refused write is in the table: its answer was lost, and the SDK sent it again.

        If it counted as another run's write, its results would count twice: one look as the two that must agree.
        """
        item = self._table.get(key) or {}
        return all(item.get(name) == changes[name] for name in ("version", "body", RECENT))

    def park(self, key: RecordKey, why: str, now: int) -> None:
        parked = setting({"parked": why, "parked_at": now}, removing=["wake_at", "due_shard"])
        self._table.update(key, **parked, condition="attribute_exists(pk)")

    def unpark(self, key: RecordKey, now: int) -> bool:
        due = {"wake_at": now, "due_at": now, "due_shard": shard_of(key)}
        freed = setting(due, removing=["parked", "parked_at"])
        return self._table.update(key, **freed, condition="attribute_exists(parked)") is not None

    def make_due(
        self, key: RecordKey, now: int, inbox: Mapping[str, str] = NOTHING, fresh: Write | None = None
    ) -> MadeDue:
        """``woken_at`` is the mark that a wake was sent. If that wake is lost, the sweep wakes the record."""
        old = self._leave(key, inbox, now, fresh, {"woken_at": now})
        if old is None:
            if self._cannot_be_counted(key):
                return MadeDue.SEND  # the wake causes the worker to park it
            if inbox:  # a parked record keeps the entries for when it goes on
                entries = setting({INBOX + name: value for name, value in inbox.items()})
                self._table.update(key, **entries, condition="attribute_exists(parked)")
            return MadeDue.NONE
        lost, soon = now - schedule.WAKE_LOST, now + schedule.WAKE_LOST
        was_due, was_woken = fitting(old, "wake_at", now), old.get("woken_at")
        in_time = lost <= was_due <= soon  # a record that has been due for longer is woken by long steps only
        if in_time and was_woken is None:
            return MadeDue.SEND
        if in_time and fitting(old, "woken_at", 0) > lost:
            return MadeDue.SENT
        # Mark it, unless another run does so meanwhile. The mark of a record that was due later says nothing: the run
        # that left it may have been killed before it made the record due.
        mark = setting({"woken_at": now} if in_time else {"woken_at": now, "wake_at": soon})
        condition = "attribute_exists(wake_at)"
        if was_due <= soon:
            mark["given"][":lost"] = lost
            condition += " AND (woken_at = :woken_at OR woken_at <= :lost)"
        return MadeDue.SENT if self._table.update(key, **mark, condition=condition) is None else MadeDue.SEND

    def leave(
        self, key: RecordKey, inbox: Mapping[str, str], now: int, *, newer: bool = False, fresh: Write | None = None
    ) -> None:
        self._leave(key, inbox, now if fresh is None else fresh.due_at or now, fresh, newer=newer)

    def _leave(
        self,
        key: RecordKey,
        inbox: Mapping[str, str],
        due: int,
        fresh: Write | None,
        marks: Mapping[str, Any] = NOTHING,
        *,
        newer: bool = False,
    ) -> dict[str, Any] | None:
        """Write inbox entries, and make a record at rest due at ``due``. Returns it as it was before.

        None: there is none, it is parked, or it cannot be counted. ``fresh``: what a missing record has; then it is
        created, and {} returned. ``marks``: attributes to write unless they are there.
        """
        made = {} if fresh is None else self._item(fresh, due)
        made.pop("version", None)
        kept = {**made, "wake_at": due, "due_shard": shard_of(key), **marks}
        counted = {":first": due, ":one": 1}  # a version of no earlier life, as in `replace`
        update = setting({**{INBOX + name: value for name, value in inbox.items()}, **kept}, counted, keeping=kept)
        update["expression"] += ", version = if_not_exists(version, :first) + :one"
        there = "attribute_exists(version)" + (" OR attribute_not_exists(pk)" if fresh is not None else "")
        conditions = ["attribute_not_exists(parked)", f"({there})"]
        if newer:
            conditions += (f"(attribute_not_exists(#n{place}) OR #n{place} < :n{place})" for place in range(len(inbox)))
        try:
            return self._table.update(key, **update, condition=" AND ".join(conditions), returning="ALL_OLD")
        except sdk.ClientError:
            if not self._cannot_be_counted(key):
                raise
            return None

    def _cannot_be_counted(self, key: RecordKey) -> bool:
        """Whether a record's version is damaged, or gone; not of a parked one, whose fault is known."""
        item = self._table.get(key) or {"version": 0}
        return "parked" not in item and not isinstance(item.get("version"), int)

    def put(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        self._table.put(key, self._with_form(attributes))

    def change(self, key: RecordKey, attributes: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
        same, given = _still(seen)
        condition = f"attribute_exists(pk) AND {same}"
        return self._table.update(key, **setting(attributes, given), condition=condition) is not None

    def _with_form(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say in which form the body of an item beside a record is, if it has one."""
        if "body" not in attributes:
            return attributes
        return {**attributes, "schema": self._forms.newest(str(attributes.get("kind")))}

    def get(self, key: RecordKey) -> Mapping[str, Any] | None:
        item = self._table.get(key)
        return None if item is None else self._formed(item)

    def list(self, pk: str, prefix: str) -> Sequence[tuple[RecordKey, Mapping[str, Any]]]:
        return [(RecordKey.of(item), self._readable(item)) for item in self._table.query(pk, prefix)]

    def _readable(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self._formed(item)
        except (ParkRecord, TypeError, ValueError):
            return {name: value for name, value in item.items() if name != "body"}

    def forget(self, key: RecordKey, attributes: Mapping[str, Any]) -> None:
        self._table.delete(key, *_still(attributes))

    def due(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        """A damaged item must not stop the sweep for all others."""
        place = f"due#{shard}"
        start = None
        if after is not None:
            start = {"due_shard": place, "wake_at": after.wake_at, "pk": after.key.pk, "sk": after.key.sk}
        found = self._table.query_index(
            INDEX, "due_shard = :shard AND wake_at <= :until", {":shard": place, ":until": until}, limit, start
        )
        return [
            Due(
                RecordKey.of(item),
                fitting(item, "wake_at", until),
                fitting(item, "due_at", until),
                fitting(item, "latest", 0),
            )
            for item in found
        ]

    def _formed(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an item beside a record; its body, if it has one, in this version's form."""
        if "body" not in item:
            return item
        return {**item, "body": self._forms.text(f"{item['pk']} {item['sk']}", item)}


def stored(key: RecordKey, item: Mapping[str, Any], forms: Forms) -> Stored:
    """Read a record's item in the form of this version. Raises ParkRecord.

    The body of a parked record is not read: its fault has been reported.
    """
    if item.get("parked"):
        return Stored(key, {}, version=0, parked=str(item["parked"]))
    try:
        return Stored(
            key=key,
            body=codec.decode(dict, codec.parsed_json(forms.text(str(key), item)), "body"),
            version=codec.decode(int, item["version"], "version"),
            inbox={n.removeprefix(INBOX): codec.decode(str, item[n], n) for n in item if n.startswith(INBOX)},
            scheduled=fitting(item, "wake_at", 0) if "wake_at" in item else None,
            woken="woken_at" in item,
            recent=history(item),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{key} cannot be read: {error!r:.500}.") from error


def _still(seen: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the condition that attributes have not changed since they were read, and its values."""
    same = (f"{n} = :seen_{n}" if value is not None else f"attribute_not_exists({n})" for n, value in seen.items())
    return " AND ".join(same), {f":seen_{n}": value for n, value in seen.items() if value is not None}


def history(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a history in an item: a record, or one of its history. Damaged ones are left out.

    Each has ``version`` (0 in a damaged one), ``at``, ``state`` and ``what``.
    """
    try:
        given = codec.parsed_json(item[RECENT] if RECENT in item else item["entries"])
        return [_entry(one) for one in given]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def _entry(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with its members in their types; a damaged one is text, at no time."""
    what = [str(line) for line in given.get("what", ())]
    state = str(given.get("state", ""))
    return {"version": fitting(given, "version", 0), "at": fitting(given, "at", 0), "state": state, "what": what}


def _is_lookup(item: Mapping[str, Any]) -> bool:
    """Whether it may stay although its record was not written: the worker that it wakes finds nothing new."""
    return item.get("kind") == "lookup"
