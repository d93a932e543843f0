"""The table of findings: those of the access monitor and the drift audit, and what each remembers for itself.

===========================  =======================  ==================================================
pk                           sk                       what
===========================  =======================  ==================================================
``event#<id>``               ``record``               an event that was judged, by id and content: done
``finding#<resource>``       ``at#<time>#<id>#<act>`` a finding of either: what, by whom, and the verdict
``notified#<digest>``        ``record``               that a notice was sent in this hour
``key#<arn>``                ``record``               a key that the service uses: its latest policy
``key#<arn>``                ``at#<time>#<digest>``   one of its policies: at, admitted, others, principal, event
``grant#<id>``               ``record``               a grant that the trail has shown: accounts
``monitor``                  ``first``                when the first event arrived: at
``monitor``                  ``shown``                the latest grant of the service in the trail: at
``monitor``                  ``canary``               the grant that must show next: grant, opened_at, next_at
``drift``                    ``pass``                 how far the audit has come, and its doubts
``drift#<digest>``           ``record``               that a finding of the audit was published: at
===========================  =======================  ==================================================

No other function can write to this table, so stolen credentials of one that opens shares cannot hide findings. The
audit's role can write the last two and findings alone: its thief cannot silence the access monitor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey, digest, finding
from chalicelib.engine.schedule import DAY
from chalicelib.engine.store.table import EXPIRES, Table, setting
from chalicelib.monitor.drift import DriftPlace, Pass
from chalicelib.monitor.judging import SeenPolicy
from chalicelib.monitor.ports import Canary
from chalicelib.monitor.trail_actions import TrailAction

EVENTS_KEPT = 30 * DAY
"""For how long judged events, and policies, are stored.

EventBridge gives up after a day, and a queue keeps a message for two weeks.
"""
NOTIFIED_KEPT = 2 * DAY
GONE_FOR = 7 * DAY
"""Seconds after which a finding of the drift audit that was gone and is back is published again; a pass is daily."""

FIRST, SHOWN, CANARY = (RecordKey("monitor", name) for name in ("first", "shown", "canary"))
PASS = RecordKey("drift", "pass")


class _OneTable:
    """``keep_days``: for how long findings are kept."""

    def __init__(self, table: Table, keep_days: int) -> None:
        self._table = table
        self._keep = keep_days * DAY


class DynamoFindings(_OneTable):
    """The port ``Findings``."""

    def first_event(self, now: int) -> int:
        found = self._table.get(FIRST)
        if found is None and not self._table.put(FIRST, {"at": now}, absent=True):
            found = self._table.get(FIRST)
        return int(found["at"]) if found else now

    def was_judged(self, event: str) -> bool:
        return self._table.get(RecordKey(f"event#{event}")) is not None

    def judged(self, event: str, now: int) -> None:
        self._table.put(RecordKey(f"event#{event}"), {"done": now, EXPIRES: now + EVENTS_KEPT})

    def keep(self, event: str, action: TrailAction, said: Mapping[str, object], now: int) -> None:
        key = finding(action.resource, action.at, event, action.act.value)
        self._table.put(key, {**said, EXPIRES: now + self._keep})

    def was_notified(self, about: str) -> bool:
        return self._table.get(RecordKey(f"notified#{about}")) is not None

    def notified(self, about: str, now: int) -> None:
        self._table.put(RecordKey(f"notified#{about}"), {"at": now, EXPIRES: now + NOTIFIED_KEPT})

    def is_source_key(self, arn: str) -> bool:
        return self._table.get(_key(arn)) is not None

    def remember_key(self, arn: str, policy: SeenPolicy | None = None) -> None:
        if policy is None:
            self._table.put(_key(arn), {"at": 0}, absent=True)
            return
        condition = "attribute_not_exists(#at) OR #at <= :at"
        self._table.update(_key(arn), **setting(codec.encode(policy)), condition=condition)

    def remember_policy(self, arn: str, policy: SeenPolicy, now: int) -> None:
        """Write it, and the latest one again: its item may have expired, and a later one may replace the record."""
        latest = self._table.get(_key(arn)) or {}
        for one in (policy, *([_policy(latest)] if "admitted" in latest else [])):
            attributes = codec.encode(one)
            key = RecordKey(_key(arn).pk, f"{_second(one.at)}#{digest(repr(attributes), length=12)}")
            self._table.put(key, {**attributes, EXPIRES: now + EVENTS_KEPT})

    def policies(self, arn: str, until: int) -> Sequence[SeenPolicy]:
        """Read them from the latest on; the record of the key has the latest one of all, which does not expire."""
        found: list[SeenPolicy] = []
        pk = _key(arn).pk
        for item in self._table.query_between(pk, _second(0), f"{_second(until)}~", newest_first=True):
            if found and found[-1].at not in (int(item["at"]), until):
                return found
            found.append(_policy(item))
        latest = self._table.get(_key(arn)) or {}
        if "admitted" in latest and int(latest["at"]) < min((one.at for one in found), default=until + 1):
            found.append(_policy(latest))
        return found

    def accounts_of(self, grant: str) -> Collection[str]:
        return tuple(map(str, (self._table.get(RecordKey(f"grant#{grant}")) or {}).get("accounts", ())))

    def remember_grant(self, grant: str, accounts: Collection[str], now: int) -> None:
        self._table.put(RecordKey(f"grant#{grant}"), {"accounts": sorted(accounts), EXPIRES: now + self._keep})

    def canary(self) -> Canary:
        item = self._table.get(CANARY) or {}
        return Canary(str(item.get("grant", "")), int(item.get("opened_at", 0)), int(item.get("next_at", 0)))

    def put_canary(self, canary: Canary) -> None:
        self._table.put(CANARY, codec.encode(canary))

    def grant_shown_at(self) -> int:
        return int((self._table.get(SHOWN) or {}).get("at", 0))

    def grant_shown(self, at: int) -> None:
        self._table.update(SHOWN, **setting({"at": at}), condition="attribute_not_exists(#at) OR #at < :at")


class DynamoDrift(_OneTable):
    """The port ``DriftFindings``."""

    def read(self) -> Pass | None:
        """Read it; what a later version has added is left out."""
        members = _members(Pass, self._table.get(PASS) or {})
        return codec.decode(Pass, members, "the drift audit's pass") if members else None

    def save(self, this: Pass) -> Pass | None:
        after = replace(this, version=this.version + 1)
        put = self._table.put_unless_changed(PASS, codec.encode(after), "version", this.version)
        return after if self._table.do("put_item", put) else None

    def was_notified(self, about: str, now: int) -> bool:
        item = self._table.get(RecordKey(f"drift#{about}"))
        return item is not None and int(item[EXPIRES]) > now

    def notified(self, about: str, now: int) -> None:
        self._table.put(RecordKey(f"drift#{about}"), {"at": now, EXPIRES: now + GONE_FOR})

    def keep(self, place: DriftPlace, said: Mapping[str, object], now: int) -> None:
        event = f"drift-{digest(str(place), str(said['verdict']), length=12)}"
        self._table.put(finding(place.resource, now, event, "drift"), {**said, EXPIRES: now + self._keep})


def _key(arn: str) -> RecordKey:
    return RecordKey(f"key#{arn}")


def _second(at: int) -> str:
    return f"at#{at:010d}"


def _policy(item: Mapping[str, Any]) -> SeenPolicy:
    return codec.decode(SeenPolicy, _members(SeenPolicy, item))


def _members(kind: Any, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an item that are members of a dataclass."""
    return {one.name: item[one.name] for one in fields(kind) if one.name in item}
