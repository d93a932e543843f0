"""The sweep at ten thousand records a minute: killed, slow, and with an SQS that takes some messages and not others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import schedule
from chalicelib.engine.addresses import RecordKey, digest
from chalicelib.engine.aws.sqs import THREADS, SqsWakes
from chalicelib.engine.store.records import SHARDS, DynamoRecords, shard_of
from chalicelib.engine.store.table import Table, values, wire
from chalicelib.engine.sweep import Sweep
from tests.fakes import next_wake
from tests.service.cloud import START, Quiet
from tests.service.gate import ProcessKilled

LIMIT = 30
"""Seconds of a function."""
TEN_THOUSAND = 10_000
MEMORY = 300
"""Seconds for which SQS remembers a deduplication id."""


@dataclass
class Aws:
    """DynamoDB's index and SQS, on a virtual clock that every call advances; both clients in one."""

    now: float = START
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each operation takes."""
    calls: Counter[str] = field(default_factory=Counter)
    killed_after: int = 10**9
    """The process is killed after this many calls of an invocation."""
    one_page: bool = False
    """The process is killed when an invocation has written how far it has come, after its first page."""
    took_at: float = START
    index: dict[RecordKey, tuple[int, int]] = field(default_factory=dict)
    """Each due record's ``wake_at`` and deadline."""
    items: dict[RecordKey, Any] = field(default_factory=dict)
    sent: dict[str, list[float]] = field(default_factory=dict)
    """When SQS took a message for a record, without repeats within five minutes."""
    refuse: Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]] = lambda _: ()
    """Says which entries of a batch fail, and how; it may raise."""
    telemetry: Quiet = field(default_factory=Quiet)
    _ids: dict[str, float] = field(default_factory=dict)
    _made: int = 0

    def own(self, _service: str) -> Aws:
        """Return a client, as ``Sessions`` does."""
        return self

    def began(self) -> None:
        self._made, self.took_at = 0, self.now

    def left(self) -> int:
        """Seconds that the invocation still has."""
        return int(self.took_at + LIMIT - self.now)

    def _call(self, name: str) -> None:
        self.now += self.seconds.get(name, 0)
        self.calls[name] += 1
        self._made += 1
        if self.now > self.took_at + LIMIT:
            raise ProcessKilled

    def _done(self) -> None:
        if self._made >= self.killed_after:
            raise ProcessKilled

    def query(self, **request: Any) -> Any:
        """Return one page of the index, or the places that the sweep has come to."""
        self._call("Query")
        given = values(request["ExpressionAttributeValues"])
        if "IndexName" not in request:
            self._done()
            return {"Items": [item for key, item in self.items.items() if key.pk == given[":pk"]]}
        start = values(request.get("ExclusiveStartKey", {}))
        begin = (start["wake_at"], start["pk"], start["sk"]) if start else (0, "", "")
        if start and not ("" not in begin and start["wake_at"] <= given[":until"]):
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "Start key."}}, "Query")
        found = sorted(
            (wake_at, key.pk, key.sk, latest)
            for key, (wake_at, latest) in self.index.items()
            if wake_at <= given[":until"] and shard_of(key) == given[":shard"] and (wake_at, key.pk, key.sk) > begin
        )[: request["Limit"]]
        self._done()
        return {
            "Items": [
                wire({"pk": pk, "sk": sk, "wake_at": at, "due_at": at, "latest": latest})
                for at, pk, sk, latest in found
            ]
        }

    def put_item(self, **request: Any) -> Any:
        self._call("PutItem")
        item = values(request["Item"])
        self.items[RecordKey(item["pk"], item["sk"])] = request["Item"]
        if self.one_page:
            raise ProcessKilled
        self._done()
        return {}

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> Any:  # noqa: N803 - boto3's
        """Take up to ten messages."""
        self._call("SendMessageBatch")
        assert 1 <= len(Entries) <= 10
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        failed = self.refuse(Entries)
        for entry in Entries:
            key, ident = entry["MessageGroupId"], entry["MessageDeduplicationId"]
            assert ("share-worker" in QueueUrl) == key.startswith("resource#")
            if entry["Id"] in {one["Id"] for one in failed} or self.now - self._ids.get(ident, -MEMORY) < MEMORY:
                continue
            self._ids[ident] = self.now
            self.sent.setdefault(key, []).append(self.now)
        self._done()
        return {"Successful": [], "Failed": list(failed)}


class InTurn:
    """Parallel calls on the virtual clock: each starts as soon as one of the threads is free."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def __call__(self, call: Callable[[Any], Any], items: Iterable[Any]) -> Sequence[Any]:
        free = [self._aws.now] * THREADS
        results = []
        for item in items:
            thread = free.index(min(free))
            self._aws.now = free[thread]
            results.append(call(item))
            free[thread] = self._aws.now
        self._aws.now = max(free)
        return results


def due_records(many: int, prefix: str = "delivery#") -> dict[RecordKey, tuple[int, int]]:
    return {RecordKey(prefix + digest(str(n), length=20)): (START, 0) for n in range(many)}


def swept(aws: Aws) -> bool:
    """Run the sweep once with the real adapters; return False if it was killed."""
    aws.began()
    records, wakes = DynamoRecords(Table(aws, "state")), SqsWakes(aws, "worker", "share-worker", InTurn(aws))
    try:
        Sweep(records, wakes, lambda: int(aws.now), aws.telemetry, SHARDS).run(time_left=aws.left)
    except ProcessKilled:
        return False
    return True


def minutes(aws: Aws, most: int, until: Callable[[], bool]) -> int:
    """Sweep every minute until a condition holds; return how often."""
    begun = aws.now
    for minute in range(most):
        aws.now = max(aws.now, begun + schedule.MINUTE * minute)
        swept(aws)
        if until():
            return minute + 1
    raise AssertionError(f"not within {most} minutes: {len(aws.sent)} of {len(aws.index)} woken")


def all_woken(aws: Aws) -> Callable[[], bool]:
    """Whether every record has been woken."""
    return lambda: len(aws.sent) == len(aws.index)


def test_ten_thousand_that_are_due_in_one_minute_are_woken_in_one_run():
    """At 10 ms a call of DynamoDB and 20 ms a batch it takes seconds, without a call for each record."""
    aws = Aws(seconds={"Query": 0.01, "PutItem": 0.01, "SendMessageBatch": 0.02})
    aws.index = due_records(8_000) | due_records(2_000, prefix="resource#snapshot#")

    assert swept(aws)
    assert len(aws.sent) == TEN_THOUSAND
    assert {len(times) for times in aws.sent.values()} == {1}
    assert aws.now - START < 10
    assert aws.calls["SendMessageBatch"] <= 1000 + 60, "ten a call, but for the last of each queue in a page"
    assert aws.calls["Query"] + aws.calls["PutItem"] < 120
    assert set(aws.items) == {RecordKey("sweep", f"shard#{n}") for n in range(SHARDS)}, "it writes on no record"


def test_a_minute_in_which_nothing_has_become_due_costs_no_message_and_no_write():
    """Ten thousand records were woken and are still due: the sweep only reads them, until their next step."""
    aws = Aws(index=due_records(TEN_THOUSAND))
    swept(aws)
    aws.now += 60
    swept(aws)
    before = aws.calls.copy()
    aws.now += 60
    swept(aws)

    cost = aws.calls - before
    assert cost["SendMessageBatch"] == 0
    assert cost["Query"] + cost["PutItem"] < 120


def test_an_empty_minute_is_a_read_and_a_look_for_each_shard():
    """These calls cannot be avoided."""
    aws = Aws()
    swept(aws)

    assert aws.calls == {"Query": 1 + SHARDS}
    assert aws.telemetry.reported == [("swept", (0, 0, 0))]


def test_where_aws_takes_two_seconds_for_every_call_all_are_woken_all_the_same():
    """It stops in time, and continues a minute later."""
    aws = Aws(seconds=dict.fromkeys(("Query", "PutItem", "SendMessageBatch"), 2.0), index=due_records(2_000))
    killed = []
    took = minutes(aws, 30, lambda: killed.append(aws.now > aws.took_at + LIMIT) or all_woken(aws)())

    assert not any(killed)
    assert took <= 12


@pytest.mark.parametrize("calls", [4, 5, 11, 23, 24, 60])
def test_killed_after_so_many_calls_of_every_run_it_gets_through_all_shards(calls):
    """A page needs four calls at least: read its place, read the page, send a message, write the place."""
    aws = Aws(killed_after=calls, index=due_records(3_000 if calls > 23 else 40))
    took = minutes(aws, 400, all_woken(aws))
    woken = Counter(shard_of(RecordKey(key)) for key in aws.sent)

    assert len(woken) == SHARDS
    assert took <= (40 if calls > 23 else 4 * SHARDS)


def test_killed_after_one_page_of_every_run_no_shard_waits_for_another():
    """A thousand are due, and each run is killed after its first page: every shard's last record is woken in time."""
    aws = Aws(index=due_records(4_000), one_page=True)
    took = minutes(aws, 100, all_woken(aws))

    assert took <= 4_000 / 200 + 2 * SHARDS


def test_a_worker_that_is_stuck_keeps_nobody_behind_it_from_being_woken():
    """A thousand records stay due, and each run is killed after its first page: those behind are woken, too."""
    aws, late = Aws(index=due_records(4_000), one_page=True), RecordKey("delivery#late")
    aws.index[late] = (START + 600, 0)
    minutes(aws, 120, lambda: late.pk in aws.sent)


def test_a_lost_wake_is_repeated_by_growing_steps_and_at_the_deadline():
    """After 1, 2, 4, 8, 15 and 15 minutes; never more often, and no later than the deadline."""
    aws, key, late = Aws(), RecordKey("delivery#a"), RecordKey("delivery#b")
    aws.index = {key: (START, 0), late: (START, START + 20 * 60)}
    minutes(aws, 62, lambda: aws.now >= START + 3600)

    def at(record: RecordKey) -> list[int]:
        return [round((time - START) / 60) for time in aws.sent[record.pk]]

    assert at(key) == [0, 1, 3, 7, 15, 30, 45, 60]
    assert at(late) == [0, 1, 3, 7, 15, 20, 30, 45, 60]
    assert aws.telemetry.reported[-1] == ("swept", (2, 2, 3600)), "an alarm watches since when the oldest is due"


@pytest.mark.parametrize("since", [3, 26 * 60])
def test_after_an_outage_of_the_sweep_each_record_is_woken_once(since):
    """One wake each, not one for every step that has passed."""
    aws = Aws(index=due_records(300))
    swept(aws)
    aws.sent.clear()
    aws.now = START + 60 * since + 30
    swept(aws)

    assert {len(times) for times in aws.sent.values()} == {1}
    assert len(aws.sent) == 300


def test_sqs_away_for_ten_minutes_loses_no_wake():
    """Failed batches do not count as sent; the next run after the outage sends all of it."""
    aws = Aws(index=due_records(500))

    def away(_entries: Any) -> Any:
        raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "Away."}}, "SendMessageBatch")

    aws.refuse = away
    for _ in range(10):
        assert swept(aws), "a refusal is no crash"
        aws.now += 60
    aws.refuse = lambda _: ()
    swept(aws)

    assert len(aws.sent) == 500


def test_a_message_that_sqs_could_not_take_just_then_is_sent_again():
    """SQS fails some entries of a batch by its own fault: they are sent a minute later, and the others not again."""
    aws = Aws(index=due_records(40))
    aws.refuse = lambda entries: [
        {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in entries[:3]
    ]
    swept(aws)
    assert len(aws.sent) < 40
    aws.refuse = lambda _: ()
    aws.now += 30
    swept(aws)

    assert len(aws.sent) == 40
    assert {len(times) for times in aws.sent.values()} == {1}


@pytest.mark.parametrize("whole", [True, False])
def test_a_record_whose_name_sqs_does_not_take_stops_no_other(whole):
    """Whether SQS refuses its entry or the whole batch: every other record is woken."""
    aws, bad = Aws(index=due_records(300)), RecordKey("delivery#bad")
    aws.index[bad] = (START - 1, 0)

    def refuse(entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        bad_ones = [entry for entry in entries if entry["MessageGroupId"] == bad.pk]
        if bad_ones and whole:
            raise ClientError({"Error": {"Code": "InvalidParameterValue", "Message": "Bad."}}, "SendMessageBatch")
        return [{"Id": one["Id"], "SenderFault": True, "Code": "InvalidParameterValue"} for one in bad_ones]

    aws.refuse = refuse
    swept(aws)

    assert set(aws.sent) == {key.pk for key in aws.index} - {bad.pk}


DAMAGED = ["{", "[]", "[1]", '["a", 2]', '[1, 2, "x", 4, 5]', "null", "7", "[0, 1e999]"]
NO_PLACE = ['[1, 2, 2, "", "s"]', '[1, 2, 2, "p", ""]', '[1, 2, 3, "p", "s"]', f'[{START + 90}, {START}, 1, "p", "s"]']
"""An empty key, a place behind the round's end, and a round that ends before it begins."""


@pytest.mark.parametrize("text", [*DAMAGED, *NO_PLACE])
def test_a_damaged_note_of_how_far_it_has_come_stops_nothing(text):
    """The sweep wakes all that is due, as if it had no stored place."""
    aws = Aws(index=due_records(500))
    for shard in range(SHARDS):
        key = RecordKey("sweep", f"shard#{shard}")
        aws.items[key] = wire({"pk": key.pk, "sk": key.sk, "round": text})
    swept(aws)

    assert len(aws.sent) == 500


@pytest.mark.parametrize("ahead", [90, 3600, 400 * schedule.DAY])
def test_a_run_whose_clock_was_ahead_stops_the_sweep_for_a_minute_at_most(ahead):
    """It wrote its place as of its own time; the next run looks at all that is due."""
    aws = Aws(now=START + ahead, index=due_records(250))
    swept(aws)
    aws.now = START
    aws.sent.clear()
    aws._ids.clear()
    late = RecordKey("delivery#late")
    aws.index[late] = (START + 30, 0)
    minutes(aws, 2, lambda: late.pk in aws.sent)


def test_a_second_between_the_clocks_of_two_runs_wakes_nobody_twice():
    """Clocks of two machines differ a little: that is no reason to look at all that is due."""
    aws = Aws(index=due_records(300))
    aws.index |= {RecordKey(f"delivery#old{n}"): (START - 10_000, 0) for n in range(20)}
    swept(aws)
    aws.now -= 1
    aws.sent.clear()
    aws._ids.clear()
    swept(aws)

    assert aws.sent == {}


def test_two_runs_at_once_wake_nobody_twice_and_miss_nobody():
    """The schedule invokes it twice: the second starts while the first reads its third page."""
    aws = Aws(index=due_records(2_000), seconds={"Query": 1, "SendMessageBatch": 0.1})
    put, puts = aws.put_item, []

    def another(**request: Any) -> Any:
        puts.append(request)
        if len(puts) == 3:
            swept(aws)
        return put(**request)

    aws.put_item = another
    minutes(aws, 5, all_woken(aws))

    assert {len(times) for times in aws.sent.values()} == {1}


@given(st.integers(0, 10**6), st.integers(-10, 10**6), st.integers(0, 10**6))
def test_the_moments_of_waking_follow_from_the_due_date_alone(due_at, until, deadline):
    """The closed form gives the same times as counting the steps."""
    moments, at, steps = [], due_at, iter(schedule.POLLS)
    while at <= until:
        moments.append(at)
        at += next(steps, schedule.POLLS[-1])
    if moments and moments[-1] < deadline <= until:
        moments.append(deadline)
    assert schedule.last_wake(due_at, deadline, until) == (moments[-1] if moments else None)
    following = next_wake(due_at, deadline, until)
    assert following > until
    assert schedule.last_wake(due_at, deadline, following) == following
    assert schedule.last_wake(due_at, deadline, following - 1) in (None, *moments)
