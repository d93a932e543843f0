"""The access monitor's table, and closed shares in the ledger, on DynamoDB."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.monitor.drift import Pass
from chalicelib.monitor.judging import Known, SeenPolicy
from chalicelib.monitor.ports import Canary
from chalicelib.monitor.store.findings import PASS, DynamoDrift, DynamoFindings
from chalicelib.monitor.store.ledger_past import DynamoLedgerPast
from chalicelib.sharing.machine import ClosingIntended, OpeningIntended, ShareClosed, ShareOpened, evolve
from chalicelib.sharing.share import Share, ShareState
from tests.fakes import copying
from tests.stores import Stores, on_dynamodb

NOW = 1_800_000_000
RESOURCE, ACCOUNT, OTHER = "resource#snapshot#snap-0a", "222222222222", "333333333333"
KEY = "arn:aws:kms:us-east-1:111111111111:key/k"


@pytest.fixture
def stores():
    with on_dynamodb() as found:
        yield found


@pytest.fixture
def found(stores) -> DynamoFindings:
    """The monitor's table."""
    return DynamoFindings(stores.table, 400)


def test_an_event_is_judged_once(found):
    """Lambda and SQS may deliver it again."""
    assert not found.was_judged("e")
    found.judged("e", NOW)
    assert found.was_judged("e")
    assert not found.was_judged("another")


def test_the_first_event_stays_the_first(found):
    """The learning period starts with it."""
    assert [found.first_event(NOW), found.first_event(NOW + 9)] == [NOW, NOW]


def test_what_was_notified_is_known_in_that_hour(found):
    """By its digest."""
    assert not found.was_notified("d")
    found.notified("d", NOW)
    assert found.was_notified("d")


def test_the_policies_of_a_key_are_read_by_when_they_were_written_whatever_the_order_of_events(found):
    """Those of one second, and the ones of the last second before; the key's record has the latest when all expired."""
    assert not found.is_source_key(KEY)
    found.remember_key(KEY)
    assert found.is_source_key(KEY)
    assert found.policies(KEY, NOW) == []
    first, same, late = (
        SeenPolicy(NOW + at, frozenset({ACCOUNT}), frozenset({"of-others"}), "jo", f"e-{at}") for at in (0, 0, 9)
    )
    same = replace(same, event="e-same")
    for one in (late, first, same, first):
        found.remember_policy(KEY, one, NOW)
    assert found.policies(KEY, NOW + 9)[0] == late
    assert sorted(one.event for one in found.policies(KEY, NOW + 9)) == ["e-0", "e-9", "e-same"]
    assert sorted(one.event for one in found.policies(KEY, NOW + 8)) == ["e-0", "e-same"]
    assert found.policies(KEY, NOW - 1) == []


def test_the_policies_before_an_action_are_found_without_reading_a_month_of_them(stores, found):
    """Each use of a key by a target asks for them."""
    read = []
    stores.table._client.meta.events.register("after-call.dynamodb.Query", lambda parsed, **_: read.append(parsed))
    for at in range(60):
        found.remember_policy(KEY, SeenPolicy(NOW + at, frozenset({ACCOUNT})), NOW)

    assert [one.at for one in found.policies(KEY, NOW + 40)] == [NOW + 40, NOW + 39]
    assert sum(one["ScannedCount"] for one in read) <= 10


def test_the_latest_policy_of_a_key_does_not_expire(found):
    """A grant on the key, or an older policy, does not replace it."""
    latest = SeenPolicy(NOW, frozenset({ACCOUNT}), frozenset({"of-others"}), "jo", "e")
    found.remember_key(KEY, latest)
    found.remember_key(KEY, replace(latest, at=NOW - 1, admitted=frozenset({OTHER})))
    found.remember_key(KEY)
    assert found.policies(KEY, NOW) == found.policies(KEY, NOW + 10**7) == [latest]
    assert found.policies(KEY, NOW - 1) == []


def test_a_grant_leads_to_its_accounts_and_the_canary_is_kept(found):
    """An unknown grant has no accounts."""
    assert found.accounts_of("g") == ()
    found.remember_grant("g", {ACCOUNT}, NOW)
    assert found.accounts_of("g") == (ACCOUNT,)
    assert found.canary() == Canary()
    found.put_canary(Canary("g", NOW, 0))
    assert found.canary() == Canary("g", NOW, 0)
    for at in (NOW, NOW - 5):
        found.grant_shown(at)
    assert found.grant_shown_at() == NOW


def lived(stores: Stores, account: str, begin: int) -> None:
    """Hold, open, release, close and archive a share, one step a minute."""
    share, holding = Share(RESOURCE, account, account, last_closing_at=NOW + 10**6), copying("d1", account)
    stores.ledger.hold(share, holding)
    (read,) = [one for one in stores.ledger.shares(RESOURCE) if one.share_name == account]
    steps = (OpeningIntended(), ShareOpened(f"g-{begin}"), ClosingIntended(), ShareClosed())
    for minute, step in enumerate(steps):
        at = begin + 60 * minute
        if minute == 2:
            stores.ledger.release(RESOURCE, account, holding)
            (read,) = [one for one in stores.ledger.shares(RESOURCE) if one.share_name == account]
        read = evolve(read, step, at)
        (read,) = stores.ledger.save([read], "a step", at)
    (read,) = [one for one in stores.ledger.shares(RESOURCE) if one.share_name == account]
    stores.ledger.archive([read], begin + 240)


def test_the_past_of_a_share_survives_its_archive_and_its_next_life(stores):
    """Its steps and its grants, and nothing of another account's share."""
    past = DynamoLedgerPast(stores.table, stores.ledger)
    lived(stores, ACCOUNT, NOW)
    lived(stores, ACCOUNT, NOW + 1000)
    lived(stores, OTHER, NOW + 500)
    stores.ledger.hold(Share(RESOURCE, ACCOUNT, ACCOUNT, last_closing_at=NOW + 10**6), copying("d2", ACCOUNT))

    (known,) = past.of(RESOURCE, [ACCOUNT])
    states = [ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING, ShareState.CLOSED]
    assert [state for _, state in known.steps] == states * 2
    assert [time for time, _ in known.steps][::4] == [NOW, NOW + 1000]
    assert known.grants == {f"g-{NOW}", f"g-{NOW + 1000}"}
    expected = [*(None, ShareState.OPENING, ShareState.OPEN), ShareState.CLOSED]
    assert [known.state(NOW + seconds) for seconds in (-1, 30, 90, 300)] == expected
    assert {one.account for one in past.ever(RESOURCE)} == {ACCOUNT, OTHER}
    assert past.ever("resource#snapshot#snap-0b") == []


@pytest.mark.parametrize("asked", ["of", "ever"])
def test_a_share_that_leaves_for_the_archive_while_it_is_read_is_found(stores, asked):
    """Else the service's own closing would count as one that the ledger does not know, which is a page."""

    class Leaving:
        """A ledger that is read just as the share has left."""

        def find(self, _places: object) -> list[Share]:
            lived(stores, ACCOUNT, NOW)
            return []

        def shares(self, resource: str) -> list[Share]:
            return self.find(resource)

    leaving: Any = Leaving()
    past = DynamoLedgerPast(stores.table, leaving)

    found = past.ever(RESOURCE) if asked == "ever" else past.of(RESOURCE, [ACCOUNT])
    assert [one.share_name for one in found] == [ACCOUNT]


def one_step(at: object, state: str) -> dict[str, object]:
    """Return an item of a share's history with one step."""
    return {"at": at, "state": state, "entries": json.dumps([{"at": at, "state": state, "what": []}])}


def test_what_is_damaged_or_has_expired_is_read_as_far_as_it_can_be(stores):
    """A damaged item counts for nothing, and the others are read."""
    past = DynamoLedgerPast(stores.table, stores.ledger)
    lived(stores, ACCOUNT, NOW)
    stores.table.put(RecordKey(RESOURCE, f"closed#{OTHER}#0000000001"), {"body": "{"})
    stores.table.put(RecordKey(RESOURCE, f"history#share#{OTHER}#x#y"), one_step("soon", "opening"))
    stores.table.put(RecordKey(RESOURCE, f"history#share#{OTHER}#1#1"), one_step(NOW, "nowhere"))
    stores.table.put(RecordKey(RESOURCE, f"history#share#{OTHER}#1#2"), one_step(NOW, "opening"))

    assert len(past.of(RESOURCE, [ACCOUNT])[0].steps) == 4
    assert past.of(RESOURCE, [OTHER]) == [Known(OTHER, OTHER, steps=((NOW, ShareState.OPENING),))]


def test_numbers_and_names_that_are_none_stop_no_judging(stores):
    """In an archived item, and in the record that names what was archived lately: the event would never be judged."""
    lately = {addresses.ARCHIVED_LATELY: [[], OTHER]}
    stores.table.put(RecordKey(RESOURCE), {"body": json.dumps(lately)})
    damaged = {"account": OTHER, "body": json.dumps({"intended_at": "soon", "opened_at": "soon"})}
    stores.table.put(RecordKey(RESOURCE, f"closed#{OTHER}#0000000001"), damaged)

    assert DynamoLedgerPast(stores.table, stores.ledger).lately(RESOURCE) == [Known(OTHER, OTHER)]


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (addresses.key_resource(KEY, ACCOUNT).pk, "d1-AmiCopyRole"),
        (addresses.policy_resource(KEY).pk, f"{ACCOUNT}-roles"),
    ],
)
def test_a_share_whose_archived_item_has_expired_still_had_its_account(stores, resource, name):
    """It is in the item's address; else a call that was allowed would be reported as one of somebody else."""
    stores.table.put(RecordKey(resource, f"history#share#{name}#{NOW}#1"), one_step(NOW, "open"))

    assert [one.account for one in DynamoLedgerPast(stores.table, stores.ledger).ever(resource)] == [ACCOUNT]


def test_a_later_life_whose_item_is_damaged_keeps_to_whom_the_share_was(stores):
    """Else a call that was allowed would be reported as one of somebody else."""
    key = addresses.key_resource(KEY, ACCOUNT).pk
    whose = {"account": ACCOUNT, "grantee": f"arn:aws:iam::{ACCOUNT}:role/AmiCopyRole"}
    for began, known in ((NOW, whose), (NOW + 1000, {})):
        stores.table.put(RecordKey(key, f"closed#d1#{began:010d}"), {**known, "body": "{}"})

    (one,) = DynamoLedgerPast(stores.table, stores.ledger).ever(key)
    assert {"account": one.account, "grantee": one.grantee} == whose


def test_what_a_key_event_is_judged_by_does_not_grow_with_the_years(stores, monkeypatch):
    """Of 100 shares on a key that closed long ago nothing is read; one that left just now is found by the record."""
    past, key = DynamoLedgerPast(stores.table, stores.ledger), addresses.key_resource(KEY, ACCOUNT)
    for number in range(100):
        name = f"d{number:03}"
        stores.table.put(RecordKey(key.pk, f"closed#{name}#{NOW - 10**6:010d}"), {"account": ACCOUNT, "body": "{}"})
        place = RecordKey(key.pk, f"history#share#{name}#{NOW - 10**6:010d}#00000001")
        stores.table.put(place, one_step(NOW - 10**6, "closed"))
    stores.ledger.hold(Share(key.pk, "d-now", ACCOUNT, last_closing_at=NOW + 10**6), copying("d-now", ACCOUNT))
    stores.table.put(key, {"body": json.dumps({addresses.ARCHIVED_LATELY: {"d099": NOW - 60}})})
    read: list[object] = []
    ask = stores.table.query

    def query(pk: str, prefix: str) -> Iterator[dict[str, Any]]:
        for item in ask(pk, prefix):
            read.append(item)
            yield item

    monkeypatch.setattr(stores.table, "query", query)
    assert {one.share_name for one in past.lately(key.pk)} == {"d-now", "d099"}
    assert len(read) <= 4
    assert len(past.ever(key.pk)) == 101


def test_the_drift_audit_reads_its_pass_as_it_was_and_leaves_out_what_a_later_version_has_added(stores):
    """A rollback must not stop the audit. A run that has read an older pass writes nothing."""
    drift = DynamoDrift(stores.table, 400)
    assert drift.read() is None
    begun = Pass(NOW, NOW, part="images", after="ami-1", doubts={"images ami-1": {"foreign-stranger": ("2",)}})
    saved = drift.save(begun)
    assert drift.read() == saved == replace(begun, version=1)
    stores.table.update(PASS, "SET later = :later", {":later": "x"})
    assert drift.read() == saved

    assert drift.save(begun) is None
    assert drift.read() == saved
