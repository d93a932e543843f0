"""``drain`` pauses, asks deliveries to end by inbox entries that the service knows, and waits for every share."""

import json
from contextlib import redirect_stderr
from io import StringIO

import pytest
from botocore.exceptions import ClientError

from ami_promoter.commands.drain import Drain, drained
from ami_promoter.hub.aws import Connection
from ami_promoter.promotions.following import A_POLL
from ami_promoter.terminal.report import Exit
from ami_promoter.verbs import TerminalClock
from chalicelib.delivery import machine
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import ENDED, Copy, CopyState, DeliveryState
from chalicelib.delivery.phase import CancelAsked
from chalicelib.engine import addresses
from chalicelib.engine.ports import Write
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.sharing import share
from chalicelib.sharing.store.ledger import DynamoLedger
from tests.ami_promoter.a_hub import NINE, REGION, AnotherClient, a_delivery, write
from tests.fakes import copying, sharing

SNAPSHOT = addresses.snapshot_resource("snap-1").pk


def put(table, account, state, episode=1):
    """Store a delivery that has been in this state since 09:01, and open and registering since nine."""
    copies = (Copy("snap-1", CopyState.PENDING, "snap-9", tries=1),) if state is DeliveryState.COPYING else ()
    entered = {DeliveryState.OPENING: NINE, DeliveryState.REGISTERING: NINE, state: NINE}
    record = a_delivery(account, state, episode, entered=entered, copies=copies)
    write(table, record, NINE + 3600)
    return record


def end(table, record):
    """Let a delivery end, as the worker would."""
    records = DynamoRecords(table)
    stored = records.read(record.key)
    body = dict(stored.body) | {"state": "cancelled"}
    assert records.save(stored, Write(record.key, "cancelled", body, None), (), NINE)


def a_share(table, account, state=share.ShareState.OPEN, **changes):
    """Put a share of the snapshot into the ledger."""
    opened = share.Share(
        SNAPSHOT, account, account, state=state, opened_at=NINE, last_closing_at=NINE + 90000, **changes
    )
    DynamoLedger(table).hold(opened, copying(account, account))


def is_asked(table, record):
    """Whether the delivery's worker takes a request to cancel from the record's inbox entries."""
    events = machine.due_events(DELIVERIES.decode(DynamoRecords(table).read(record.key)), NINE)
    return any(isinstance(one, CancelAsked) for one in events)


def test_what_waits_for_the_end_of_the_pause_is_named(table, run):
    """A promotion that has begun nothing, one in the middle, and one whose deliveries all run."""
    states = {"requested": {}, "adjusting": {"episode": 1}, "running": {"episode": 1}}
    for number, (state, body) in enumerate(states.items()):
        key = addresses.promotion(f"ami-0{number}")
        assert DynamoRecords(table).create(Write(key, state, {"state": state, **body}, NINE), NINE)

    said = run("admin", "drain", "--yes")

    assert [line for line in said.out.splitlines() if line.startswith("Waits")] == [
        "Waits for `admin resume`: promotion#ami-00 is requested, and nothing has started.",
        "Waits for `admin resume`: promotion#ami-01 is adjusting, and begins nothing more.",
    ]


UNOPENED = {
    DeliveryState.AWAITING_WAVE,
    DeliveryState.AWAITING_APPROVAL,
    DeliveryState.REQUESTED,
    DeliveryState.AWAITING_ROLE,
    DeliveryState.AWAITING_SLOT,
}
"""States in which nothing of a delivery can be open."""


ENDS = {DeliveryState.OPENING, DeliveryState.COPYING, DeliveryState.REGISTERING}
"""What only ``--delete-copies`` ends."""


@pytest.mark.parametrize(("words", "ends"), [((), set()), (("--delete-copies",), ENDS)])
def test_copies_are_let_end_unless_notified_otherwise(table, run, words, ends):
    """Deliveries that have opened nothing, or only shares, are cancelled; the worker acts as for a removed tag.

    If copies are deleted every delivery is asked to end; one that is registered, or that ends already, ignores it.
    """
    states = [state for state in DeliveryState if state not in ENDED]
    records = {state: put(table, f"{n:012d}", state) for n, state in enumerate(states, 1)}

    run("admin", "drain", "--yes", *words, exits=4)

    asked = {state for state, record in records.items() if is_asked(table, record)}
    assert asked == {*UNOPENED, DeliveryState.SHARED, *ends}


def test_a_entry_is_of_the_present_episode(table, run):
    """A delivery on its third try takes the entry; a later try of the same delivery will not."""
    record = put(table, "222222222222", DeliveryState.AWAITING_SLOT, episode=3)

    run("admin", "drain", "--yes", exits=4)

    assert DynamoRecords(table).read(record.key).inbox["cancel"].startswith("3:drain#arn:aws:")
    assert is_asked(table, record)


def test_the_sweep_comes_for_it_within_a_minute(table):
    """The command sends no wake: the record that it changed is due at once."""
    record = put(table, "222222222222", DeliveryState.AWAITING_SLOT)
    connection = Connection(REGION)

    drained(Drain(connection, TerminalClock(now=lambda: NINE)))

    assert table.get(record.key)["wake_at"] <= connection.now() + 60


def test_what_is_left_is_notified(table, run):
    """Deliveries by state, each open share with its last closing time, and that the hub is not drained yet.

    How long a share is open is by AWS's clock, not by that of the person's machine.
    """
    put(table, "222222222222", DeliveryState.COPYING)
    put(table, "333333333333", DeliveryState.DELIVERED)
    a_share(table, "222222222222")
    a_share(table, "333333333333", share.ShareState.CLOSED)
    a_share(table, "444444444444", preexisting=True)

    clock = TerminalClock(now=lambda: NINE + 60)
    *begin, head, row, last = run("admin", "drain", "--yes", exits=4, clock=clock).out.splitlines()
    assert begin == [
        "Promotions are paused; `ami-promoter admin resume` ends the pause.",
        "Asked to end: 0 deliveries.",
        "Deliveries under way: 1 copying. Open shares: 1.",
    ]
    assert head.split() == ["RESOURCE", "TO", "STATE", "FOR", "CLOSES"]
    assert row.split()[:3] == ["snap-1", "222222222222", "open"]
    assert row.split()[3] != "1m"
    assert last == "Not drained yet: run the command again, or use --wait."


def test_what_is_the_targets_own_stays_and_is_named(table, run):
    """Its AMI needs the grant on the target's own key: the hub can be left all the same."""
    record = put(table, "333333333333", DeliveryState.DELIVERED)
    role = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    resource = addresses.role_resource("arn:aws:kms:us-east-1:333333333333:key/own", "333333333333").pk
    opened = share.Share(resource, role, "333333333333", state=share.ShareState.OPEN, opened_at=NINE)
    DynamoLedger(table).hold(opened, sharing(record.id, "333333333333"))

    named, _, row, last = run("admin", "drain", "--yes").out.splitlines()[-4:]
    assert named == "These grants on targets' own keys stay:"
    assert "333333333333" in row
    assert row.endswith("stays until it is withdrawn")
    assert last == "Drained: no delivery runs and no share is open."


def test_parked_records_are_left_and_named(table, run):
    """They do not continue, and the command does not wait for them; it waits until their shares close."""
    record = put(table, "222222222222", DeliveryState.COPYING)
    DynamoRecords(table).park(record.key, "IllegalEvent: a bug.", NINE)

    said = run("admin", "drain", "--yes", "--delete-copies").out.splitlines()
    assert any(line.startswith(f"Parked: delivery#{record.id} ({record.ami} to account ") for line in said)
    assert DynamoRecords(table).read(record.key).inbox == {}
    a_share(table, "222222222222")
    run("admin", "drain", "--yes", "--delete-copies", exits=4)


class DrainTime:
    """A clock that sleeping advances; each sleep runs the next step."""

    def __init__(self, *steps):
        self.now, self.steps, self.slept = NINE, list(steps), []

    def sleep(self, seconds):
        """Advance the clock, and run the next step."""
        self.now += seconds
        self.slept.append(seconds)
        if self.steps:
            self.steps.pop(0)()


def wait(time, timeout=None, client=None):
    """Run ``drain --wait`` on this clock; ``client``: instead of DynamoDB's own."""
    connection = Connection(REGION)
    connection.dynamodb = client or connection.dynamodb
    drain = Drain(connection, TerminalClock(time.sleep, lambda: time.now))
    with redirect_stderr(StringIO()) as errors:
        return drained(drain, wait=True, timeout=timeout), errors.getvalue().splitlines()


def test_waiting_ends_when_the_last_share_has_closed(table):
    """It looks as often as `wait`, and prints what has changed."""
    record = put(table, "222222222222", DeliveryState.AWAITING_SLOT)
    a_share(table, "222222222222")

    def close():
        key = addresses.share(addresses.RecordKey(SNAPSHOT), "222222222222")
        body = json.loads(table.get(key)["body"]) | {"state": "closed"}
        given = {":body": json.dumps(body), ":state": "closed"}
        table.update(key, "SET body = :body, #state = :state", given, names={"#state": "state"})

    time = DrainTime(lambda: None, lambda: end(table, record), close)

    report, lines = wait(time)

    assert report.exit is Exit.OK
    assert report.data["drained"] is True
    assert time.slept == [A_POLL] * 3
    assert lines == [
        "Deliveries under way: 1 awaiting-slot. Open shares: 1.",
        "Deliveries under way: none. Open shares: 1.",
        "Deliveries under way: none. Open shares: none.",
    ]


class ThrottledReads(AnotherClient):
    """DynamoDB that refuses the next ``calls`` reads of records."""

    def batch_get_item(self, **asked):
        """Refuse it, or read."""
        if self.calls:
            self.calls -= 1
            said = {"Error": {"Code": "ThrottlingException", "Message": "wait"}}
            raise ClientError(said, "BatchGetItem")
        return self._client.batch_get_item(**asked)


def test_an_outage_of_a_minute_ends_no_wait_of_hours(client, table):
    """The command reports it, looks again, and waits on."""
    record = put(table, "222222222222", DeliveryState.AWAITING_SLOT)
    dynamodb = ThrottledReads(client)
    time = DrainTime(lambda: setattr(dynamodb, "calls", 2), lambda: None, lambda: end(table, record))

    report, lines = wait(time, client=dynamodb)

    assert report.data["drained"] is True
    assert sum(line.endswith("Looking again.") for line in lines) == 2, lines


def test_what_a_late_invocation_began_is_asked_as_well(table):
    """An invocation that read the switch before may write one more delivery."""
    first = put(table, "222222222222", DeliveryState.AWAITING_SLOT)
    late = []

    def more():
        late.append(put(table, "333333333333", DeliveryState.REQUESTED))
        end(table, first)

    report, _ = wait(DrainTime(more, lambda: end(table, *late)))

    assert report.data["drained"] is True
    assert report.data["cancelled"] == 2


def test_waiting_can_be_given_up(table):
    """After the time-out it reports what is left, and that it is not finished."""
    put(table, "222222222222", DeliveryState.COPYING)
    time = DrainTime()

    report, _ = wait(time, timeout=120)

    assert report.exit is Exit.UNFINISHED
    assert sum(time.slept) == 120
    assert report.data["under_way"] == {"copying": 1}
