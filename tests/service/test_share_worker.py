"""The share worker with large numbers: slow calls, kills, refusals about the resource, shares that closed long ago."""

import itertools
from collections.abc import Callable, Collection
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import DeliveryState as Stage
from chalicelib.delivery.model import NeededShare as Needed
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.calls import LEFT
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.sharing import holders
from chalicelib.sharing.aws.key_policies import PolicyStatements
from chalicelib.sharing.grant_names import grant_name
from chalicelib.sharing.machine import ClosingIntended, evolve
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.refusals import most_calls
from chalicelib.sharing.share import Holding, Purpose, Share, ShareState
from chalicelib.targets.applied_file import Directory
from tests.delivery.examples import a_delivery
from tests.fakes import copying, sharing
from tests.service.cloud import HUB, REGION, Cloud, CloudBehavior, FakeKms, source_key
from tests.service.gate import ProcessKilled
from tests.service.slow_aws import ACCOUNT, ROLE, START, SlowResource

KEY = addresses.key_resource("arn:aws:kms:us-east-1:111111111111:key/k", ACCOUNT)
SNAPSHOT = addresses.snapshot_resource("snap-0a")
AMI = addresses.image_resource("ami-0a")


def deliveries(count: int) -> list[str]:
    """Names of shares on a key."""
    return [f"{number:020x}" for number in range(count)]


def accounts(count: int) -> list[str]:
    """Names of shares of a snapshot."""
    return [str(300_000_000_000 + number) for number in range(count)]


def refusal(code: str, why: RefusalKind = RefusalKind.DENIED) -> Refusal:
    return Refusal(why, Fault(code, "hub", f"It was refused: {code}.", "Mend it."))


# --- budget ----------------------------------------------------------------------------------------------------------


GRANTS, ACCOUNTS = (KEY, 1, deliveries(300)), (SNAPSHOT, 500, accounts(1000))


@pytest.mark.parametrize(
    ("many", "seconds"),
    [(GRANTS, 0.06), (GRANTS, 2.0), (ACCOUNTS, 0.1), (ACCOUNTS, 2.0)],
    ids=["grants", "grants, 2 s", "accounts", "accounts, 2 s"],
)
def test_many_are_let_in_and_out_however_slow_aws_is(many, seconds):
    """Each run writes its results, and the next one continues there; no run is killed before it wrote.

    Also if the intents of all would take longer than a run.
    """
    key, batch, names = many
    resource, account = SlowResource(key, seconds, batch=batch), ACCOUNT if batch == 1 else ""
    resource.let_in(names, account=account)
    assert resource.states() == {ShareState.OPEN: len(names)}
    resource.now += 600

    resource.let_out(names, account=account)

    assert resource.permissions.there == set()
    assert not resource.shares
    assert resource.killed == 0


class AsksOfEachAmi:
    """Judges at five calls for each AMI; AWS refuses the calls about one of them."""

    def __init__(self, resource: SlowResource, unknown: str = ""):
        self.resource, self.unknown = resource, unknown

    def judge(self, shares, _has_time=None):
        amis = {holding.ami for one in shares for holding in one.holdings}
        for _ in range(5 * len(amis)):
            self.resource.spend()
        refused = refusal("aws-InvalidAMIID.Malformed")
        names = (one.share_name for one in shares if all(holding.ami == self.unknown for holding in one.holdings))
        return Judgement(owed=dict.fromkeys(names, refused))

    def may_stay_until(self, shares):
        """See the port. The applied file prolongs each share by a day."""
        self.judge(shares)
        return {one.share_name: self.resource.clock() + 24 * 3600 for one in shares}


def held_for_amis(count: int, seconds: float, unknown: str = "") -> SlowResource:
    """A key with a grant for each of this many AMIs."""
    key = SlowResource(KEY, seconds, batch=1)
    key.worker.entitlements = AsksOfEachAmi(key, unknown)
    for number, name in enumerate(deliveries(count)):
        holding = replace(copying(name, ACCOUNT), ami=f"ami-{number:02d}")
        wanted = Share(KEY.pk, name, ACCOUNT, ROLE, last_closing_at=START + 10**7)
        key.stores.ledger.hold(wanted, holding)
    key._note()
    return key


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0])
def test_who_is_entitled_by_many_amis_is_asked_slice_by_slice(seconds):
    """Ten AMIs' grants are on one key: reads for all of them may take longer than a run."""
    key = held_for_amis(10, seconds)
    key.run_on()
    assert (key.states(), key.killed) == ({ShareState.OPEN: 10}, 0)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0])
def test_dates_that_have_come_are_asked_slice_by_slice(seconds):
    """Standing shares of ten AMIs whose date has come, and which the file has prolonged: all stay open."""
    key = SlowResource(KEY, batch=1)
    key.worker.entitlements = AsksOfEachAmi(key)
    for number, name in enumerate(deliveries(10)):
        holding = Holding(f"ami-{number:02d}", ACCOUNT, "us-east-1", name, 1, Purpose.STANDING, START + 3600)
        key.stores.ledger.hold(Share(KEY.pk, name, ACCOUNT, ROLE), holding)
    key._note()
    key.run_on()
    assert key.states() == {ShareState.OPEN: 10}

    key.now, key.seconds = float(START + 3610), seconds
    key.run_on()

    assert (key.states(), key.killed) == ({ShareState.OPEN: 10}, 0)
    assert all(one.later_end > key.now for one in key.shares)


def test_an_ami_of_which_nothing_is_notified_keeps_no_other_from_opening():
    """AWS refuses only this AMI's share."""
    key = held_for_amis(3, 0.1, "ami-01")
    key.run_on()
    assert {one.share_name: one.state for one in key.shares} == dict(
        zip(deliveries(3), (ShareState.OPEN, ShareState.REFUSED, ShareState.OPEN), strict=True)
    )


@pytest.mark.parametrize(("resource", "batch", "names"), [(KEY, 1, deliveries(60)), (SNAPSHOT, 500, accounts(60))])
def test_a_run_that_ends_after_one_slice_makes_progress(resource, batch, names):
    """Each run has time for one slice, and in the end all is done: the next does not wait for the sweep."""
    slow = SlowResource(resource, batch=batch)
    slow.one_slice = True
    account = ACCOUNT if batch == 1 else ""
    slow.hold(names, account=account)
    slow.run()
    assert slow.woken
    slow.run_on()
    assert slow.states() == {ShareState.OPEN: 60}
    slow.now += 600

    slow.let_out(names, account=account)

    assert slow.permissions.there == set()
    assert not slow.shares


@pytest.mark.parametrize("limit", [9, 13, 17, 21])
def test_a_run_that_is_killed_leaves_what_earlier_slices_wrote(limit):
    """Calls are so slow that runs are killed before they expect it; all ends all the same."""
    key = SlowResource(KEY, 0.7, batch=1)
    names = deliveries(40)
    key.let_in(names, account=ACCOUNT)
    key.now += 600
    key.release(names, account=ACCOUNT)

    key.run_on(limit=limit)

    assert key.permissions.there == set()
    assert not key.shares


def test_what_closes_does_not_wait_for_what_opens():
    """Hundreds of shares are to open; those to be closed are closed first."""
    key = SlowResource(KEY, batch=1)
    old = deliveries(20)
    key.let_in(old, account=ACCOUNT)
    key.now += 600
    key.seconds = 1.0
    key.release(old, account=ACCOUNT)
    key.hold([f"new{number}" for number in range(300)], account=ACCOUNT)

    while any(name in key.permissions.there for name in old):
        opened = key.permissions.calls["open"]
        key.run()
        key.now += 5
    assert opened == len(old)


def waiting(resource: SlowResource, name: str, *others: RecordKey) -> RecordKey:
    """A delivery that holds shares of this and other resources, and waits for them."""
    shares = tuple(Needed(key.pk, ACCOUNT) for key in (resource.key, *others))
    record = a_delivery(Stage.OPENING, holds_copy=True, needed=shares, id=name)
    resource.stores.records.create(DELIVERIES.encode(record), START)
    wanted = Share(resource.key.pk, ACCOUNT, ACCOUNT, last_closing_at=START + 10**7)
    resource.stores.ledger.hold(wanted, copying(name))
    for key in others:
        resource.stores.ledger.hold(replace(wanted, resource=key.pk), copying(name))
    return record.key


def test_who_waits_for_an_opening_is_woken_as_far_as_there_is_time():
    """200 deliveries wait for one share: no write on their records, no killed run; the rest look when due."""
    snapshot = SlowResource(SNAPSHOT, 0.5)
    names = [waiting(snapshot, f"d{number}") for number in range(200)]
    before = {key: snapshot.stores.records.read(key) for key in names}

    snapshot.run_on()

    assert snapshot.killed == 0
    assert {s.state for s in snapshot.shares} == {ShareState.OPEN}
    assert len(snapshot.wakes) >= 10
    assert set(snapshot.wakes) <= set(names)
    assert {key: snapshot.stores.records.read(key) for key in names} == before


def test_the_last_share_wakes_a_delivery_and_a_refusal_does_at_once():
    """A delivery that waits for another share, too, is not woken; nor is one that no longer waits."""
    snapshot, other = SlowResource(SNAPSHOT), addresses.snapshot_resource("snap-0b")
    one, _, gone = waiting(snapshot, "d1"), waiting(snapshot, "d2", other), waiting(snapshot, "d3")
    snapshot.stores.records.park(gone, "for a person", START)
    snapshot.run_on()
    assert snapshot.wakes == [one]

    refused, other = SlowResource(SNAPSHOT), addresses.snapshot_resource("snap-0b")
    refused.permissions.refuses = lambda what, _shares: refusal("aws-AccessDenied") if what == "open" else None
    key = waiting(refused, "d2", other)
    refused.run_on()
    assert refused.wakes == [key]


def history_of(resource: SlowResource) -> list[str]:
    """The lines about calls that are written with its shares from now on."""
    lines, ledger = list[str](), resource.stores.ledger
    save, archive = ledger.save, ledger.archive

    def saved(*given, calls, **how):
        lines.extend(line for some in calls.values() for line in some)
        return save(*given, calls=calls, **how)

    def archived(shares, now, happened, calls):
        lines.extend(line for some in calls.values() for line in some)
        return archive(shares, now, happened, calls)

    ledger.save, ledger.archive = saved, archived
    return lines


@pytest.mark.parametrize("killed", [False, True])
def test_history_shows_an_unknown_call_only_where_an_earlier_run_was_killed(killed):
    """A refused opening may have taken effect: the same run closes it. Only a killed run leaves an unknown call."""
    key = SlowResource(KEY, batch=1)
    lines = history_of(key)
    trouble = [ProcessKilled()] if killed else []
    denied = refusal("aws-AccessDenied")
    key.permissions.refuses = lambda what, _shares: (trouble.pop() if trouble else denied) if what == "open" else None
    key.hold(deliveries(1), account=ACCOUNT)
    key.run()
    assert key.killed == killed
    key.woken = True
    key.run_on()

    assert key.states() == {ShareState.REFUSED: 1}
    assert lines.count(LEFT) == killed


@pytest.mark.parametrize("killed", [False, True])
def test_history_shows_an_unknown_removal_only_where_an_earlier_run_was_killed(killed):
    """The permission may be gone by a call whose answer nobody has. A run that only looks again leaves none."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.let_in([ACCOUNT])
    lines = history_of(snapshot)
    trouble = [ProcessKilled()] if killed else []
    snapshot.permissions.refuses = lambda what, _shares: trouble.pop() if trouble and what == "close" else None
    snapshot.release([ACCOUNT])
    snapshot.run()
    assert snapshot.killed == killed
    snapshot.woken = True
    snapshot.run_on()

    assert (snapshot.shares, snapshot.permissions.there) == ([], set())
    assert lines.count(LEFT) == killed


def test_who_comes_to_hold_what_was_refused_is_not_notified_the_old_refusal():
    """A holding that never ends keeps the refused share; with the new one it is tried again, and opens for both."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.permissions.refuses = lambda what, _shares: refusal("aws-AccessDenied") if what == "open" else None
    waiting(snapshot, "d1")
    snapshot.run_on()
    (refused,) = snapshot.shares
    assert holders.refusal(refused) is not None

    snapshot.permissions.refuses = lambda _what, _shares: None
    key = waiting(snapshot, "d2")
    (held,) = snapshot.shares
    assert holders.refusal(held) is None
    snapshot.wakes.clear()
    snapshot._note()
    snapshot.run_on()

    (opened,) = snapshot.shares
    assert opened.state is ShareState.OPEN
    assert key in snapshot.wakes


def test_a_share_does_not_close_under_one_who_comes_while_the_closing_is_written():
    """The share worker has read that nobody holds it: its write is refused, and the permission stays."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.let_in([ACCOUNT])
    snapshot.release([ACCOUNT])
    ledger, removals = snapshot.stores.ledger, snapshot.permissions.calls["close"]
    save = ledger.save

    def one_comes_first(shares, happened, now, **given):
        if happened == "closing is intended":
            ledger.save = save
            snapshot.hold([ACCOUNT])
        return save(shares, happened, now, **given)

    ledger.save = one_comes_first
    snapshot.run_on()

    assert ledger.save == save, "the closing was to be written"
    assert (snapshot.permissions.there, snapshot.states()) == ({ACCOUNT}, {ShareState.OPEN: 1})
    assert snapshot.permissions.calls["close"] == removals, "it was closed, and opened again"


def test_the_last_grant_that_closes_asks_for_the_audit_though_a_refused_one_of_its_account_is_held():
    """The audit looks for grants that the account has made itself; what is only refused closes nothing later."""
    key = SlowResource(KEY, batch=1)
    first, refused = deliveries(2)
    key.let_in([first], account=ACCOUNT)
    key.permissions.refuses = lambda what, _shares: refusal("aws-AccessDenied") if what == "open" else None
    key.let_in([refused], account=ACCOUNT)
    assert key.states() == {ShareState.OPEN: 1, ShareState.REFUSED: 1}

    key.let_out([first], account=ACCOUNT)
    key.let_out([refused], account=ACCOUNT)
    assert (key.shares, key.permissions.there) == ([], set())
    assert key.stores.seen(addresses.grants_on("arn:aws:kms:us-east-1:111111111111:key/k")) is not None


def test_how_long_a_share_for_copies_has_been_open_is_reported_with_each_run():
    """The alarm on shares that are open too long watches it."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.let_in([ACCOUNT])
    snapshot.now += 600
    snapshot.telemetry.reported.clear()
    snapshot.run()
    (opened_at,) = (s.opened_at for s in snapshot.shares)
    assert ("open_shares", (snapshot.clock() - (opened_at or 0),)) in snapshot.telemetry.reported


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", [RefusalKind.DENIED, RefusalKind.THROTTLED])
def test_what_does_not_close_is_reported_with_each_try_from_the_fifth_on(why):
    """The alarm on shares that do not close counts these reports; what is removed and waits for a look is none."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.let_in([ACCOUNT])
    snapshot.permissions.refuses = lambda what, _shares: refusal("aws-NotNow", why) if what == "close" else None
    snapshot.release([ACCOUNT])
    snapshot.run_on(7)
    snapshot.permissions.refuses = lambda _what, _shares: None
    snapshot.run_on()

    assert not snapshot.shares
    reported = [args for name, args in snapshot.telemetry.reported if name == "not_closing"]
    says = "hub: It was refused: aws-NotNow."
    assert reported == [(SNAPSHOT.pk, ACCOUNT, tries, says) for tries in (5, 6, 7)]


def logged(resource: SlowResource) -> list[str]:
    """What the log says of its shares."""
    return [args[2] for name, args in resource.telemetry.reported if name == "share"]


def test_a_removal_that_nobody_can_confirm_is_logged_with_each_try():
    """AWS has taken the removal, and refuses the look: the share stays closing."""
    snapshot, removed_at = closed_snapshot()
    snapshot.permissions.refuses = lambda what, _: refusal("aws-AccessDenied") if what == "showing" else None
    snapshot.telemetry.reported.clear()
    snapshot.now = first_look(removed_at)
    snapshot.run_on(3)

    assert logged(snapshot).count("not closed") == 3


@pytest.mark.parametrize("code", ["aws-IncorrectState", "aws-UnauthorizedOperation", "aws-AccessDenied"])
def test_a_refusal_about_the_resource_is_notified_to_all_after_one_call(code):
    """The snapshot's state, or a service control policy: the worker does not ask for each account."""
    snapshot = SlowResource(SNAPSHOT, 0.1)
    snapshot.permissions.refuses = lambda what, _shares: refusal(code) if what == "open" else None
    snapshot.let_in(accounts(500))

    assert snapshot.permissions.calls["open"] == 1
    assert snapshot.killed == 0
    assert {s.state for s in snapshot.shares} == {ShareState.REFUSED}
    assert all((fault := holders.refusal(s)) is not None and fault.code == code for s in snapshot.shares)


@pytest.mark.parametrize("code", ["aws-InvalidParameterValue", "aws-SomethingNew"])
@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_one_bad_account_fails_alone_however_slow_aws_is(code, seconds):
    """The worker halves the batch down to it, over several runs if one has too little time."""
    snapshot = SlowResource(SNAPSHOT, seconds)
    names = accounts(500)
    bad = names[123]
    snapshot.permissions.refuses = lambda what, shares: (
        refusal(code) if what == "open" and any(s.account == bad for s in shares) else None
    )
    snapshot.let_in(names)

    assert snapshot.permissions.there == set(names) - {bad}
    assert snapshot.killed == 0
    refused = [s.account for s in snapshot.shares if s.state is not ShareState.OPEN]
    assert refused == [bad]


def test_a_code_that_is_not_known_takes_so_many_calls_in_a_run_at_most():
    """It may be about the resource: no run is spent, or killed, with 999 calls."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.permissions.refuses = lambda what, _shares: refusal("aws-SomethingNew") if what == "open" else None
    snapshot.hold(accounts(500))

    snapshot.one_slice = True
    snapshot.run()
    assert snapshot.permissions.calls["open"] <= most_calls(500)
    snapshot.one_slice = False
    snapshot.run_on()
    assert {s.state for s in snapshot.shares} == {ShareState.REFUSED}


# --- whose a permission is -------------------------------------------------------------------------------------------


def closed_snapshot() -> tuple[SlowResource, int]:
    """A snapshot whose only share was released; return the time of its removal."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.let_in([ACCOUNT])
    snapshot.release([ACCOUNT])
    snapshot.run()
    assert snapshot.permissions.there == set()
    return snapshot, snapshot.clock()


def first_look(removed_at: int) -> int:
    """The first whole minute that is a minute later: so one look serves all that were removed about then."""
    return -(-(removed_at + 60) // 60) * 60


def second_look(removed_at: int) -> int:
    """When a look after the first one counts."""
    return max(first_look(removed_at) + 60, removed_at + 120)


def test_a_permission_is_closed_when_two_looks_miss_it():
    """The second comes two minutes after the removal or later; until then the share is closing."""
    snapshot, removed_at = closed_snapshot()
    looks = snapshot.permissions.calls["showing"]
    ends = []
    first, second = first_look(removed_at), second_look(removed_at)
    for snapshot.now in (first - 1, first, first + 30, second - 1, second):
        snapshot.run()
        ends.append((snapshot.states()[ShareState.CLOSING], snapshot.permissions.calls["showing"] - looks))
    assert ends == [(1, 0), (1, 1), (1, 1), (1, 1), (0, 2)]


def test_one_look_serves_all_that_were_removed_within_a_minute():
    """Deliveries end apart, and each closes at once; whether it is gone is asked for all of them together."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.now = 60 * (snapshot.now // 60)
    snapshot.let_in(accounts(9))
    began = snapshot.permissions.calls["showing"]
    snapshot.now = 60 * (snapshot.now // 60) + 60
    for account in accounts(9):
        snapshot.release([account])
        snapshot.run()
        snapshot.now += 5
    assert snapshot.permissions.there == set()
    for _ in range(5):
        snapshot.now = 60 * (snapshot.now // 60) + 60
        snapshot.run()

    assert not snapshot.shares
    assert snapshot.permissions.calls["showing"] - began <= 3


@pytest.mark.parametrize("looks", [0, 1])
def test_a_permission_that_shows_before_the_second_look_is_the_services_and_is_removed(looks):
    """A removal without effect, or a late opening: the worker removes it again, and the wait starts over."""
    snapshot, removed_at = closed_snapshot()
    snapshot.now = first_look(removed_at)
    if looks:
        snapshot.run()
        snapshot.now = second_look(removed_at)
    snapshot.permissions.there.add(ACCOUNT)

    snapshot.run()

    assert snapshot.permissions.there == set()
    assert snapshot.states() == {ShareState.CLOSING: 1}
    removed_again = snapshot.clock()
    snapshot.now = first_look(removed_again)
    snapshot.run()
    assert snapshot.states() == {ShareState.CLOSING: 1}
    snapshot.now = second_look(removed_again)
    snapshot.run()
    assert not snapshot.shares


@pytest.mark.parametrize("wait", [0, 300])
def test_what_a_person_shares_after_the_services_share_was_closed_stays(wait):
    """It is the person's from then on, also when another delivery holds and releases the share."""
    snapshot, _ = closed_snapshot()
    snapshot.run_on()
    assert not snapshot.shares
    snapshot.permissions.there.add(ACCOUNT)
    snapshot.now += wait

    snapshot.let_in([ACCOUNT])
    (there,) = snapshot.shares
    assert there.preexisting
    snapshot.let_out([ACCOUNT])

    assert snapshot.permissions.there == {ACCOUNT}
    assert snapshot.permissions.calls["close"] == 1


def test_what_a_person_shares_after_what_came_back_from_the_recycle_bin_was_closed_stays():
    """The archive says that a permission went with its snapshot; but the service has closed it since, when EC2 refused.

    A delivery of another AMI still holds the share, so that its later life is not in the archive yet.
    """
    snapshot = SlowResource(SNAPSHOT)
    close = snapshot.permissions.close
    snapshot.permissions.close = lambda shares: close(shares) or True
    snapshot.let_in([ACCOUNT])
    snapshot.let_out([ACCOUNT])
    snapshot.permissions.close = close
    snapshot.permissions.refuses = lambda what, _: refusal("aws-UnauthorizedOperation") if what == "open" else None
    snapshot.let_in([ACCOUNT])
    assert (snapshot.states(), snapshot.permissions.there) == ({ShareState.REFUSED: 1}, set())

    snapshot.permissions.refuses = lambda _what, _shares: None
    snapshot.permissions.there.add(ACCOUNT)
    other = copying("d-other", ACCOUNT)
    snapshot.stores.ledger.hold(Share(SNAPSHOT.pk, ACCOUNT, ACCOUNT), other)
    snapshot.stores.records.make_due(SNAPSHOT, snapshot.clock())
    snapshot.run_on()
    snapshot.stores.ledger.release(SNAPSHOT.pk, ACCOUNT, other)
    snapshot.let_out([ACCOUNT])

    assert (snapshot.shares, snapshot.permissions.there) == ([], {ACCOUNT})


class NotYet:
    """Judges that nobody may have anything yet, until ``over``: by a fault, or AWS does not answer (``throttled``)."""

    def __init__(self, *, throttled: bool):
        self.throttled, self.over = throttled, False

    def judge(self, shares, _has_time=None):
        """See the port."""
        names = [] if self.over else [one.share_name for one in shares]
        if self.throttled:
            return Judgement(owed=dict.fromkeys(names, refusal("aws-throttled", RefusalKind.THROTTLED)))
        return Judgement(waits=dict.fromkeys(names, refusal("not-wanted-now").fault))


def refused_for_an_hour(snapshot: SlowResource, *, throttled: bool) -> NotYet:
    """Another delivery comes to hold the closing share, and its opening is put off for an hour."""
    snapshot.worker.entitlements = not_yet = NotYet(throttled=throttled)
    snapshot.hold([ACCOUNT])
    until = snapshot.now + 3600
    while snapshot.now < until:
        snapshot.run()
        snapshot.now += 5
    return not_yet


@pytest.mark.parametrize("throttled", [False, True])
def test_what_a_person_shares_while_the_opening_for_who_came_is_put_off_stays(throttled):
    """The looks after the removal go on meanwhile: they say from when on a permission is somebody else's."""
    snapshot, _ = closed_snapshot()
    not_yet = refused_for_an_hour(snapshot, throttled=throttled)
    assert snapshot.permissions.there == set()
    snapshot.permissions.there.add(ACCOUNT)
    not_yet.over = True

    snapshot.run_on()
    (there,) = snapshot.shares
    assert (there.state, there.preexisting) == (ShareState.OPEN, True)
    snapshot.let_out([ACCOUNT])

    assert (snapshot.shares, snapshot.permissions.there) == ([], {ACCOUNT})


@pytest.mark.parametrize("throttled", [False, True])
def test_a_closing_whose_run_was_killed_goes_on_though_the_opening_for_who_came_is_put_off(throttled):
    """Nothing stays open for an hour because somebody holds it who may not have it now."""
    snapshot = SlowResource(SNAPSHOT)
    snapshot.let_in([ACCOUNT])
    snapshot.release([ACCOUNT])
    (open_one,) = snapshot.shares
    snapshot.stores.ledger.save([evolve(open_one, ClosingIntended(), snapshot.clock())], "closing", snapshot.clock())

    not_yet = refused_for_an_hour(snapshot, throttled=throttled)
    assert snapshot.permissions.there == set()

    not_yet.over = True
    snapshot.run_on()
    assert (snapshot.states(), snapshot.permissions.there) == ({ShareState.OPEN: 1}, {ACCOUNT})


# --- what is open when another delivery comes ------------------------------------------------------------------------


POLICY = addresses.policy_resource("arn:aws:kms:us-east-1:111111111111:key/k")
STANDING = {KEY: 1, SNAPSHOT: 500, AMI: 500, POLICY: 50}
"""Resources with standing shares, and how many permissions one call opens."""


def comes_to_hold(resource: SlowResource, delivery: str) -> None:
    """Let a delivery hold the account's standing share, and the worker do what follows."""
    grantee = ROLE if "arn:" in resource.key.pk else ""
    resource.stores.ledger.hold(Share(resource.key.pk, ACCOUNT, ACCOUNT, grantee), sharing(delivery))
    resource._note()
    resource.run_on()


def open_for_an_hour(key: RecordKey) -> SlowResource:
    """A resource with a standing share that one delivery holds."""
    resource = SlowResource(key, batch=STANDING[key])
    comes_to_hold(resource, "d1")
    assert resource.permissions.there == {ACCOUNT}
    resource.now += 3600
    resource.permissions.calls.clear()
    return resource


@pytest.mark.parametrize("key", STANDING)
def test_what_somebody_has_removed_is_opened_again_for_who_comes_next(key):
    """The first one holds it still, so the ledger calls it open. The grant has another name, as after each opening."""
    resource = open_for_an_hour(key)
    (before,) = resource.shares
    resource.permissions.there.clear()
    comes_to_hold(resource, "d2")
    (after,) = resource.shares
    assert (after.state, resource.permissions.there) == (ShareState.OPEN, {ACCOUNT})
    assert grant_name(after, "us-east-1") != grant_name(before, "us-east-1")


def test_a_grant_that_lets_nobody_in_any_longer_is_revoked_when_another_takes_its_place():
    """Its role was deleted and made again: KMS lists it, and nobody else would ever end it."""
    key = open_for_an_hour(KEY)
    key.permissions.there.clear()
    comes_to_hold(key, "d2")
    assert key.permissions.listed == {share.grant_id for share in key.shares}
    assert "not closed" not in logged(key)


@pytest.mark.parametrize("key", STANDING)
def test_each_one_who_comes_costs_one_look_and_who_goes_none(key):
    """Neither is AWS asked again for who has come before."""
    resource = open_for_an_hour(key)
    comes_to_hold(resource, "d2")
    comes_to_hold(resource, "d2")
    assert resource.permissions.calls == {"showing": 1}
    resource.stores.ledger.release(key.pk, ACCOUNT, sharing("d2"))
    resource._note()
    resource.run_on()
    assert resource.permissions.calls == {"showing": 1}


@pytest.mark.parametrize("why", [RefusalKind.THROTTLED, RefusalKind.DENIED, RefusalKind.ROLE])
@pytest.mark.parametrize("key", STANDING)
def test_a_look_that_aws_refuses_keeps_open_what_is_open(key, why):
    """Nobody waits for it, and what nobody holds any more is closed at once."""
    resource = open_for_an_hour(key)
    resource.permissions.refuses = lambda what, _: refusal("AnyCode", why) if what == "showing" else None
    comes_to_hold(resource, "d2")
    assert resource.states() == {ShareState.OPEN: 1}
    for one in ("d1", "d2"):
        resource.stores.ledger.release(key.pk, ACCOUNT, sharing(one))
    resource._note()
    resource.run()
    assert resource.permissions.there == set()


# --- growth ----------------------------------------------------------------------------------------------------------


def test_an_edit_of_a_keys_policy_right_before_a_closing_is_not_lost_to_a_late_read_after_it():
    """In another process a read shows the policy of half a minute ago, with the statement that was closed since.

    The ledger keeps a closed statement for a minute, so the worker knows that this read is late, and puts nothing.
    """
    cloud = Cloud(Directory(), CloudBehavior(), lambda _event: None)
    first, second = accounts(2)
    policy = SlowResource(addresses.policy_resource(source_key(0)))
    adapters = policy.worker.adapters

    def run(*, late: int) -> None:
        """Run once in a process without a memory, a second later."""
        policy.now += 1
        cloud.now, cloud._stale = policy.clock(), itertools.repeat(late)
        kms = FakeKms(cloud, lambda _name, port: port)
        adapters["policy"] = PolicyStatements(kms, policy.stores.ledger, HUB, REGION)
        policy.run()

    policy.hold([first])
    run(late=0)
    policy.now += 600
    policy.release([first])
    cloud.now = policy.clock()
    cloud.put_policy(source_key(0), cloud.policy(source_key(0)).replace('"Owner"', '"Edited"'))
    run(late=0)
    assert (cloud.statements(), policy.states()[ShareState.OPEN]) == (set(), 0)

    policy.now += 20
    policy.hold([second])
    run(late=30)
    policy.now += 60
    run(late=0)

    assert cloud.statements() == {(source_key(0), second)}
    assert '"Edited"' in cloud.policy(source_key(0))


class ClosedAccounts(FakeKms):
    """A KMS that takes no policy which names an account that is closed."""

    closed: Collection[str] = ()
    spend: Callable[[], None] = staticmethod(lambda: None)
    killed_after_put: bool = False

    def put_key_policy(self, KeyId, PolicyName, Policy):  # noqa: N803 - boto3's
        """Refuse as KMS does: its message names no principal."""
        self.spend()
        if any(account in Policy for account in self.closed):
            said = "Policy contains a statement with one or more invalid principals."
            error = {"Code": "MalformedPolicyDocumentException", "Message": said}
            raise ClientError({"Error": error}, "PutKeyPolicy")
        super().put_key_policy(KeyId, PolicyName, Policy)
        if self.killed_after_put:
            self.killed_after_put = False
            raise ProcessKilled


def policy_of(names: list[str]) -> tuple[Cloud, ClosedAccounts, SlowResource]:
    """A key's policy that has let these accounts in, ten minutes ago; no account is closed yet."""
    cloud = Cloud(Directory(), CloudBehavior(), lambda _event: None)
    policy = SlowResource(addresses.policy_resource(source_key(0)))
    cloud.now, cloud._stale, cloud._access = policy.clock(), itertools.repeat(0), itertools.repeat(0)
    kms = ClosedAccounts(cloud, lambda _name, port: port)
    policy.worker.adapters["policy"] = PolicyStatements(kms, policy.stores.ledger, HUB, REGION)
    policy.let_in(names)
    policy.now += 600
    cloud.now = policy.clock()
    return cloud, kms, policy


@pytest.mark.parametrize(
    ("closed", "seconds", "killed"),
    [(1, 0.5, False), (2, 0, False), (1, 1.2, False), (2, 0, True)],
    ids=["one", "two", "AWS is slow", "two, and killed after the put"],
)
def test_an_account_that_was_closed_does_not_keep_anothers_statement_in_a_keys_policy(closed, seconds, killed):
    """KMS refuses each policy with its statement: that goes, too, with a fault, and the statements of the rest stay.

    A single one goes without a moment in which an account that KMS takes has no access, unless time is short.
    """
    names = accounts(6)
    withdrawn, gone, rest = names[3], names[4 : 4 + closed], [*names[:3], *names[4 + closed :]]
    cloud, kms, policy = policy_of(names)
    before = len(cloud.policies[source_key(0)])
    kms.closed, policy.seconds, kms.spend = gone, seconds, policy.spend if seconds else kms.spend
    kms.killed_after_put = killed

    policy.release([withdrawn])
    policy.run()
    assert (source_key(0), withdrawn) not in cloud.statements()
    policy.seconds = 0
    policy.run_on(3)

    assert policy.killed == int(killed)
    assert cloud.statements() == {(source_key(0), account) for account in rest}
    refused = {s.share_name: s.fault.code for s in policy.shares if s.fault}
    assert refused == dict.fromkeys(gone, "key-policy-invalid-principal")
    assert {s.share_name for s in policy.shares if s.state is ShareState.OPEN} == set(rest)
    puts = [text for _, _, text in cloud.policies[source_key(0)][before:]]
    assert all(account in text for account in rest for text in puts) == (closed == 1 and seconds < 1)


@pytest.mark.parametrize("is_open", [False, True], ids=["wanted", "open"])
def test_no_statement_is_written_for_an_empty_principal(is_open):
    """The ledger has lost whom a share is for: what is open stays as it is, and nothing else opens."""
    (name,) = accounts(1)
    cloud, _, policy = policy_of([name] if is_open else [])
    policy.hold([name])
    (wanted,) = policy.shares
    before = cloud.policy(source_key(0))
    policy.stores.ledger.hold(replace(wanted, grantee=""), copying("another", name))
    policy.run_on()

    assert cloud.policy(source_key(0)) == before
    assert [s.fault and s.fault.code for s in policy.shares] == [None if is_open else "grantee-elsewhere"]


@pytest.mark.parametrize(("closed", "come"), [(1, 1), (1, 5), (0, 5)], ids=["one comes", "five come", "it comes"])
def test_an_account_that_was_closed_does_not_keep_another_out_of_a_keys_policy(closed, come):
    """Its statement goes in the same put, and nobody else is without access for a moment; the fault is its own."""
    names = accounts(6 + come)
    before, new = names[:6], names[6:]
    gone = before[2] if closed else new[2]
    cloud, kms, policy = policy_of(before)
    began = len(cloud.policies[source_key(0)])
    kms.closed = [gone]

    policy.hold(new)
    policy.run_on()

    assert cloud.statements() == {(source_key(0), account) for account in names if account != gone}
    assert {s.share_name: s.fault.code for s in policy.shares if s.fault} == {gone: "key-policy-invalid-principal"}
    puts = [text for _, _, text in cloud.policies[source_key(0)][began:]]
    assert all(account in text for account in before if account != gone for text in puts)


def test_a_principal_that_kms_refuses_in_a_statement_of_others_keeps_all_as_it_is():
    """Nothing of others is touched: the closing is tried again later, and the other accounts keep their access."""
    names = accounts(3)
    cloud, kms, policy = policy_of(names)
    before = cloud.policy(source_key(0))
    kms.closed = ["Owner"]

    policy.release(names[:1])
    policy.run()

    assert cloud.policy(source_key(0)) == before
    assert policy.states() == {ShareState.CLOSING: 1, ShareState.OPEN: 2}


def test_a_closing_that_kms_throttles_touches_no_statement_of_others():
    """Only a refused principal is a reason to put the policy without them: else they would be without access."""
    names = accounts(3)
    cloud, kms, policy = policy_of(names)
    before, put = len(cloud.policies[source_key(0)]), kms.put_key_policy

    def throttled(**_given):
        kms.put_key_policy = put
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "PutKeyPolicy")

    kms.put_key_policy = throttled
    policy.release(names[:1])
    policy.run_on()

    assert cloud.statements() == {(source_key(0), account) for account in names[1:]}
    puts = [text for _, _, text in cloud.policies[source_key(0)][before:]]
    assert [account in text for account in names for text in puts] == [False, True, True]


# --- what must end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [True, False])
def test_a_share_that_was_never_opened_ends(held):
    """Nobody holds it, or its end has come: it does not wake without end, and opens nothing."""
    snapshot = SlowResource(SNAPSHOT)
    wanted = Share(SNAPSHOT.pk, ACCOUNT, ACCOUNT, last_closing_at=START - 1000)
    snapshot.stores.ledger.hold(wanted, copying("d1"))
    if not held:
        snapshot.stores.ledger.release(SNAPSHOT.pk, ACCOUNT, copying("d1"))

    assert snapshot.run_on() <= 3

    seen = snapshot.stores.seen(SNAPSHOT)
    assert seen is not None
    assert seen.wake_at is None
    assert snapshot.permissions.calls["open"] == 0
    assert [s.state for s in snapshot.shares] == ([ShareState.REFUSED] if held else [])


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("opened", [True, False])
def test_what_ended_for_one_that_never_lets_go_opens_for_the_next_who_needs_it(opened, purpose):
    """A damaged delivery holds a share that closed at its end; a later delivery gets its own opening."""
    snapshot = SlowResource(SNAPSHOT)
    wanted = Share(SNAPSHOT.pk, ACCOUNT, ACCOUNT, last_closing_at=START + (5000 if opened else -1))
    snapshot.stores.ledger.hold(wanted, copying("d1"))
    snapshot.run_on()
    snapshot.now = START + 5001
    snapshot._note()
    snapshot.run_on()
    assert snapshot.permissions.there == set()

    later = Holding("ami-0b", ACCOUNT, "us-east-1", "d2", 1, purpose)
    snapshot.stores.ledger.hold(replace(wanted, last_closing_at=START + 20_000), later)
    snapshot._note()
    snapshot.run()

    (for_both,) = snapshot.shares
    assert for_both.state is ShareState.OPEN
    assert snapshot.permissions.there == {ACCOUNT}
