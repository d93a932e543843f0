"""Writes whose answer is lost: DynamoDB has taken them, and the SDK sends them again."""

from contextlib import suppress
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine import schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import LostRace
from chalicelib.engine.ports import MadeDue, Write
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import steps_in
from tests.fakes import copying, sharing
from tests.stores import on_dynamodb

NOW = 1_800_000_000
KEY = RecordKey("delivery#0123")
FAR = NOW + 86_400


@pytest.fixture
def stores():
    """A record that rests until tomorrow."""
    with on_dynamodb() as stores:
        stores.records.create(Write(KEY, "shared", {"looks": 0}, FAR), NOW)
        yield stores


def repeat_the_next(stores, between=lambda: None) -> None:
    """Let the table take the next update twice, and give the second answer."""
    sent, left = stores.table._client.update_item, [1]

    def repeated(**request):
        if left:
            left.pop()
            sent(**request)
            between()
        return sent(**request)

    stores.table._client.update_item = repeated


@pytest.mark.parametrize("happened", [(), ("CopiesFound {}",)], ids=["a look", "with history"])
def test_a_save_that_was_ours_is_no_lost_race(stores, happened):
    """Its results would count twice."""
    before = stores.records.read(KEY)
    repeat_the_next(stores)

    saved = stores.records.save(before, Write(KEY, "shared", {"looks": 1}, FAR), happened, NOW + 60)

    assert saved is not None
    found = stores.records.read(KEY)
    assert (found.version, found.body) == (saved.version, saved.body) == (before.version + 1, {"looks": 1})


@pytest.mark.parametrize("body", [{"looks": 1}, {"looks": 0}], ids=["a result", "nothing new"])
def test_a_save_that_another_write_came_before_is_a_lost_race(stores, body):
    """A wake, or another run's result: what came must be read."""
    before = stores.records.read(KEY)
    stores.records.make_due(KEY, NOW + 50, {"cancel": "1:x"})

    assert stores.records.save(before, Write(KEY, "shared", body, FAR), (), NOW + 60) is None
    assert stores.records.read(KEY).inbox == {"cancel": "1:x"}


def test_a_save_that_was_ours_is_a_lost_race_once_more_has_come(stores):
    """What came between the two tries must be read."""
    before = stores.records.read(KEY)
    repeat_the_next(stores, between=lambda: stores.records.leave(KEY, {"cancel": "1:x"}, NOW + 60))

    assert stores.records.save(before, Write(KEY, "shared", {"looks": 1}, FAR), (), NOW + 60) is None


def test_a_record_is_due_soon_although_the_write_that_woke_it_was_sent_again(stores):
    """The second try finds the mark of the first, which must not pass for a wake on its way."""
    repeat_the_next(stores)

    assert stores.records.make_due(KEY, NOW + 50, {"cancel": "1:x"}) is MadeDue.SEND
    assert stores.records.read(KEY).scheduled <= NOW + 50 + schedule.WAKE_LOST


def test_a_record_is_due_soon_although_who_woke_it_first_was_killed(stores):
    """Its mark must not pass for a wake on its way, while the record is due tomorrow."""
    write, sent = stores.table._client.update_item, []

    def killed_before_the_second(**request):
        sent.append(request)
        if len(sent) == 2:
            raise KeyboardInterrupt
        return write(**request)

    stores.table._client.update_item = killed_before_the_second
    with pytest.raises(KeyboardInterrupt):
        stores.records.make_due(KEY, NOW + 50, {"cancel": "1:x"})

    assert stores.records.make_due(KEY, NOW + 80, {"cancel": "1:x"}) is MadeDue.SEND
    assert stores.records.read(KEY).scheduled <= NOW + 80 + schedule.WAKE_LOST


SHARE = Share("resource#snapshot#snap-0a", "222222222222", "222222222222", last_closing_at=FAR)


def the_share(stores) -> Share:
    (share,) = stores.ledger.shares(SHARE.resource)
    return share


@pytest.mark.parametrize("of", [copying, sharing])
def test_a_result_of_the_share_worker_that_was_ours_is_no_lost_race(stores, of):
    """Its holders would not be woken, and its calls would be kept twice."""
    stores.ledger.hold(SHARE, of("d1"))
    repeat_the_next(stores)
    opened = replace(the_share(stores), state=ShareState.OPEN, intended_at=NOW, opened_at=NOW)

    (saved,) = stores.ledger.save([opened], "opening was tried", NOW, calls={SHARE.share_name: ["a call"]})

    assert saved == the_share(stores)
    assert len(list(stores.table.query(SHARE.resource, "history#"))) == int(of is sharing)


def test_the_steps_of_two_runs_in_one_second_are_kept(stores):
    """Those of a standing share are put apart before the write that one of the two loses."""
    stores.ledger.hold(SHARE, sharing("d1"))
    opened = replace(the_share(stores), state=ShareState.OPEN, intended_at=NOW, opened_at=NOW)
    for opened_at, call in ((NOW, "first"), (NOW - 1, "second")):
        with suppress(LostRace):
            late = replace(opened, opened_at=opened_at)
            stores.ledger.save([late], "opening was tried", NOW, calls={SHARE.share_name: [call]})

    kept = [step.what for item in stores.table.query(SHARE.resource, "history#") for step in steps_in(item)]
    assert {what[-1] for what in kept} == {"first", "second"}


def test_a_share_that_others_write_all_the_time_is_a_lost_race(stores):
    """The share worker begins again, as after a transaction that others came before; it does not fail."""
    stores.ledger.hold(SHARE, copying("d1"))
    read = the_share(stores)

    def busy(**_request):
        raise ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, "UpdateItem")

    stores.table._client.update_item = busy

    with pytest.raises(LostRace):
        stores.ledger.save([replace(read, state=ShareState.OPENING)], "opening is intended", NOW)
