"""The access monitor's items: its findings, the notices that it sent, and what it remembers of keys and grants.

===========================  =======================  ==================================================
pk                           sk                       what
===========================  =======================  ==================================================
``event#<id>``               ``record``               an event that was judged, by id and content: done
``finding#<resource>``       ``at#<time>#<id>#<act>`` a finding: what was done, by whom, and the verdict
``notified#<digest>``        ``record``               that a notice was sent in this hour
``key#<arn>``                ``record``               a key that the service uses: its latest policy
``key#<arn>``                ``at#<time>#<digest>``   one of its policies: at, admitted, others, principal, event
``grant#<id>``               ``record``               a grant that the trail has shown: accounts
``monitor``                  ``first``                when the first event arrived: at
``monitor``                  ``shown``                the latest grant of the service in the trail: at
``monitor``                  ``canary``               the grant that must show next: grant, opened_at, next_at
===========================  =======================  ==================================================

The drift audit writes findings, too (``drift``). No other function can write to this table, so stolen credentials of
one that opens shares cannot hide findings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey, digest, finding
from chalicelib.engine.schedule import DAY
from chalicelib.engine.store.table import EXPIRES, Table, setting
from chalicelib.monitor.judging import SeenPolicy
from chalicelib.monitor.ports import Canary
from chalicelib.monitor.trail_actions import TrailAction

EVENTS_KEPT = 30 * DAY
"""For how long judged events, and policies, are stored.

EventBridge gives up after a day, and a queue keeps a message for two weeks.
"""
NOTIFIED_KEPT = 2 * DAY

FIRST, SHOWN, CANARY = (RecordKey("monitor", name) for name in ("first", "shown", "canary"))


class DynamoFindings:
    """The port ``Findings`` on one table. ``keep_days``: for how long findings are kept."""

    def __init__(self, table: Table, keep_days: int) -> None:
        self._table = table
        self._keep = keep_days * DAY

    def first_event(self, now: int) -> int:
        found = self._table.get(FIRST)
        if found is None and not self._table.put(FIRST, {"at": now}, absent=True):
            found = self._table.get(FIRST)
        return int(found["at"]) if found else now

    def was_judged(self, event: str) -> bool:
        return self._table.get(_event(event)) is not None

    def judged(self, event: str, now: int) -> None:
        self._table.put(_event(event), {"done": now, EXPIRES: now + EVENTS_KEPT})

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
        return tuple(map(str, (self._table.get(_grant(grant)) or {}).get("accounts", ())))

    def remember_grant(self, grant: str, accounts: Collection[str], now: int) -> None:
        self._table.put(_grant(grant), {"accounts": sorted(accounts), EXPIRES: now + self._keep})

    def canary(self) -> Canary:
        item = self._table.get(CANARY) or {}
        return Canary(str(item.get("grant", "")), int(item.get("opened_at", 0)), int(item.get("next_at", 0)))

    def put_canary(self, canary: Canary) -> None:
        self._table.put(CANARY, codec.encode(canary))

    def grant_shown_at(self) -> int:
        return int((self._table.get(SHOWN) or {}).get("at", 0))

    def grant_shown(self, at: int) -> None:
        self._table.update(SHOWN, **setting({"at": at}), condition="attribute_not_exists(#at) OR #at < :at")


def _event(event: str) -> RecordKey:
    return RecordKey(f"event#{event}")


def _key(arn: str) -> RecordKey:
    return RecordKey(f"key#{arn}")


def _second(at: int) -> str:
    return f"at#{at:010d}"


def _policy(item: Mapping[str, Any]) -> SeenPolicy:
    """Read a policy, without the other attributes of its item."""
    return codec.decode(SeenPolicy, {one.name: item[one.name] for one in fields(SeenPolicy) if one.name in item})


def _grant(grant: str) -> RecordKey:
    return RecordKey(f"grant#{grant}")
