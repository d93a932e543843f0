"""``status``: its output for records as the service writes them."""

import json
import re
from dataclasses import replace

import pytest

from ami_promoter.hub import health
from ami_promoter.hub.records import Reader
from ami_promoter.verbs import TerminalClock
from chalicelib.delivery import model as delivery
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Write
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.images.source_images import write_source
from chalicelib.promotion import model as promotion
from chalicelib.sharing import share
from chalicelib.sharing.store.ledger import DynamoLedger
from chalicelib.targets import withdrawals
from chalicelib.targets.withdrawals import Withdrawal
from tests.ami_promoter.a_hub import AMI, DEV, HUB, NINE, PROD, REGION, a_delivery, a_promotion, promoted, track, write
from tests.fakes import copying, sharing
from tests.images.examples import an_image

pytestmark = pytest.mark.usefixtures("ten_past_nine")

PLACE = f"account {HUB}, {REGION}"
OTHER = "ami-0fedcba9876543210"
SNAPSHOT = addresses.snapshot_resource("snap-1").pk
KEY = addresses.key_resource("arn:aws:kms:us-east-1:123456789012:key/k", PROD).pk
FAULT = Fault("key-disabled", f"account {DEV}", "The key alias/x is disabled.", "Enable it; then tag the AMI again.")
TROUBLE = Fault("no-role", f"account {PROD}", "The role AmiCopyRole cannot be assumed.", "Deploy deploy/target.yaml.")


@pytest.fixture
def scene(table):
    """A delivered, a failed and a copying delivery, the last with open shares."""
    done = a_delivery(
        "333333333333",
        "delivered",
        image=delivery.NewImage("ami-0aaaaaaaaaaaaaaaa"),
        key_arn="arn:aws:kms:us-east-1:333333333333:key/k",
        holdings=delivery.DeliveryHoldings((delivery.NeededShare(SNAPSHOT, "333333333333"),)),
        copies=(delivery.Copy("snap-1", delivery.CopyState.COMPLETED, "snap-9"),),
    )
    failed = a_delivery(
        DEV, "failed", faults=(FAULT,), cleanup=delivery.Cleanup(leftovers=("snap-8",), unproven=("snap-0",))
    )
    under_way = a_delivery(
        PROD,
        "copying",
        holdings=delivery.DeliveryHoldings(
            (
                delivery.NeededShare(SNAPSHOT, PROD),
                delivery.NeededShare(KEY, addresses.delivery_id(HUB, AMI, PROD, REGION)),
            )
        ),
        copies=(
            delivery.Copy("snap-1", delivery.CopyState.COMPLETED, "snap-7"),
            delivery.Copy(
                "snap-2",
                delivery.CopyState.PENDING,
                "snap-6",
                tries=1,
                missed_since=NINE + 300,
                next_look=NINE + 1380,
                progress=40,
            ),
        ),
        attempts=(delivery.Attempt("nonce", "snap-2", NINE + 240, "snap-6", episode=1),),
        last_refusal=TROUBLE,
    )
    promoted(table, done, failed, under_way)
    opened = {"opened_at": NINE + 30, "last_closing_at": NINE + 90000}
    ledger = DynamoLedger(table)
    for resource, holder, account, state in (
        (SNAPSHOT, "333333333333", "333333333333", share.ShareState.CLOSED),
        (SNAPSHOT, PROD, PROD, share.ShareState.OPEN),
        (KEY, under_way.id, PROD, share.ShareState.CLOSING),
    ):
        ledger.hold(share.Share(resource, holder, account, state=state, **opened), copying(under_way.id, account))
    return under_way.id


def test_one_amis_deliveries(scene, run):
    """State and since when, progress of copies, faults with cures, and open shares."""
    assert run("status", AMI).lines == [
        f"{AMI} golden in {PLACE}",
        "running for 10m, value `dev`: 1 copying, 1 delivered, 1 failed",
        "",
        "TARGET                  STATE      FOR  LEFT  AMI OR PROGRESS",
        "111111111111 us-east-1  failed     9m",
        "222222222222 us-east-1  copying    9m   ~4m",
        f"  snap-1                completed             {'━' * 30} 100%",
        f"  snap-2                pending         ~4m   {'━' * 12}{'╌' * 18}  40%",
        "333333333333 us-east-1  delivered  9m         ami-0aaaaaaaaaaaaaaaa",
        "EC2 reported this progress at most 2m ago.",
        "",
        "111111111111 us-east-1: The key alias/x is disabled.",
        "    Enable it.",
        "111111111111 us-east-1: leftovers: snap-8, snap-0",
        "222222222222 us-east-1: is tried again: The role AmiCopyRole cannot be assumed.",
        "    Deploy deploy/target.yaml.",
        f"After you have repaired that: `ami-promoter retry {AMI}`",
        "",
        "Shares: 1 open, to 222222222222, until its copies end; 1 closing, to 222222222222.",
    ]


def test_wide_lists_each_open_share(scene, run):
    """With its deadline; without it one line counts them."""
    said = run("status", AMI, "--wide").lines
    assert said[said.index("Open shares: 2") + 1].split() == ["RESOURCE", "TO", "STATE", "FOR", "CLOSES"]
    assert sum("222222222222" in line for line in said[said.index("Open shares: 2") :]) == 2


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_the_terminal(scene, run, monkeypatch, columns):
    """Only an ARN may be longer than a line."""
    monkeypatch.setenv("COLUMNS", str(columns))

    said = run("status", AMI).lines
    assert [line for line in said if len(line) > columns and "arn:" not in line] == []


@pytest.mark.parametrize("columns", [0, 1, 30])
def test_a_line_too_narrow_for_the_table_leaves_no_target_out(scene, run, monkeypatch, columns):
    """Some terminals and build servers say that they have no columns at all."""
    monkeypatch.setenv("COLUMNS", str(columns))

    first = "".join(line.split("  ")[0] for line in run("status", AMI).lines)
    assert [place for place in (DEV, PROD, "333333333333") if place not in first] == []


def test_only_what_failed(scene, run):
    """For one AMI, or for all: the failed delivery with cause and cure, without the others."""
    one = run("status", AMI, "--failed").out
    every = run("status", "--failed").out

    for said in (one, every):
        assert "111111111111 us-east-1: The key alias/x is disabled.\n    Enable it.\n" in said
        assert f"After you have repaired that: `ami-promoter retry {AMI}`" in said
        assert "333333333333" not in said


def test_a_limit_counts_what_failed(table, run):
    """What succeeded since does not hide it."""
    failed = a_delivery(DEV, "failed", faults=(FAULT,))
    promoted(table, failed)
    write(table, a_promotion(OTHER, since=NINE + 60, state=promotion.PromotionState.OVER))

    assert f"{DEV} us-east-1: The key alias/x is disabled." in run("status", "--failed", "--limit", "1").out


@pytest.mark.parametrize(
    ("state", "words", "nothing"),
    [("delivered", "", "Nothing"), ("failed", "--group other", "Of what matches, nothing")],
)
def test_nothing_failed(table, run, state, words, nothing):
    """Of a choice the command does not say that nothing failed at all."""
    promoted(table, a_delivery(DEV, state, faults=(FAULT,) if state == "failed" else ()))

    said = run("status", "--failed", *words.split())

    assert said.out == f"{nothing} failed, was refused or is parked in {PLACE}.\n"


@pytest.mark.parametrize("state", ["cancelled", "withdrawn"])
@pytest.mark.parametrize("leftovers", [(), ("snap-8",)])
def test_what_was_ended_on_purpose_is_no_trouble(table, run, state, leftovers):
    """A delivery that was cancelled or withdrawn is listed only if it has left something behind."""
    gone = a_delivery(DEV, state, cleanup=delivery.Cleanup(leftovers=leftovers))
    promoted(table, gone, value=None, seen_value=None, in_force_since=NINE, generation=1)

    for words in ([], [AMI]):
        assert (DEV in run("status", *words, "--failed").out) is bool(leftovers)


BOTH = f"{DEV}/{REGION},{PROD}/{REGION}"


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [([DEV], [PROD], f"{DEV},{PROD}"), ([DEV], [], f"{DEV},{BOTH}"), ([], [DEV], f"{DEV},{BOTH}"), ([DEV], [DEV], DEV)],
)
def test_two_operators_retry_at_once(table, first, second, asked, run):
    """The second request keeps what the first asked for and the service has not read yet."""
    promoted(table, *(a_delivery(account, "failed", faults=(FAULT,)) for account in (DEV, PROD)))

    for places in (first, second):
        run("retry", AMI, *(word for place in places for word in ("--account", place)))

    record = DynamoRecords(table).read(addresses.promotion(AMI))
    assert record.inbox["retry"].partition(":")[2] == asked


def test_what_is_being_removed_is_not_left_behind(table, run):
    """Only an ended delivery has leftovers."""
    tidying = a_delivery(DEV, "tidying", cleanup=delivery.Cleanup(leftovers=("snap-8",)))
    promoted(table, tidying)

    assert "leftovers" not in run("status", AMI).out


@pytest.mark.parametrize(("state", "said"), [("cancelled", True), ("withdrawn", True), ("failed", False)])
def test_why_a_delivery_was_cancelled_or_withdrawn(table, run, state, said):
    """As its record says, whatever became of the promotion since; one that failed while it was ended has faults."""
    gone = a_delivery(DEV, state, because="arn:aws:iam::1:user/ann drained the hub.")
    promoted(table, gone, value=None, seen_value=None, in_force_since=NINE, generation=1)

    why = f"{DEV} us-east-1: {state}: arn:aws:iam::1:user/ann drained the hub."
    assert (why in run("status", AMI).out) is said


def test_a_name_cannot_move_the_cursor_or_forge_a_line(table, run):
    """Escapes, line ends and signs that change the writing direction are shown as text."""
    write(table, a_promotion(image_name="gold\x1b[2J\u202een\nfake: all is well", value="dev\x07"))

    said = run("status", AMI).out + run("status").out
    assert r"gold\x1b[2J\u202een\nfake: all is well" in said
    assert r"`dev\x07`" in said
    assert said.replace("\n", "").isprintable()


def test_an_empty_value_is_no_blank(table, run):
    """It means the group `default`."""
    write(table, a_promotion(value=""))

    for words in ([AMI], []):
        assert "empty (group `default`)" in run("status", *words).out


def test_watching_ends_with_the_promotion(table, scene, run):
    """Without a terminal: a line for each change on standard error, and the page at the end."""
    record = addresses.promotion(AMI)

    def over(_seconds):
        body = json.loads(table.get(record)["body"]) | {"state": "over"}
        given = {":body": json.dumps(body), ":state": "over"}
        table.update(record, "SET body = :body, #state = :state", given, names={"#state": "state"})

    out, err = run("status", AMI, "--watch", clock=TerminalClock(sleep=over))
    shown = "111111111111 us-east-1 failed, 222222222222 us-east-1 copying (40%), 333333333333 us-east-1 delivered"
    assert err.splitlines() == [f"running: {shown}", f"over: {shown}"]
    assert "failed 10m ago, value `dev`" in out


def test_the_cure_is_whole_when_a_watch_ends(table, run, monkeypatch):
    """On a terminal, too: its frames crop a command that is longer than a line, so the end is printed after them."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80", "LINES": "12"}.items():
        monkeypatch.setenv(name, value)
    cure = f"aws kms enable-key --region {REGION} --key-id arn:aws:kms:us-east-1:111111111111:key/{'9' * 36}"
    fault = replace(FAULT, cure=f"Enable it: `{cure}`.")
    failed = [a_delivery(f"{n:012d}", "failed", faults=(fault,)) for n in range(9)]
    promoted(table, *failed, state=promotion.PromotionState.OVER)

    assert cure in run("status", AMI, "--watch").out


def test_ending_the_watch_ends_nothing_else(scene, run):
    """Ctrl-C: an exit status of its own, and no traceback."""

    def stop(_seconds):
        raise KeyboardInterrupt

    said = run("status", AMI, "--watch", exits=130, clock=TerminalClock(sleep=stop))

    assert said.err.splitlines()[-1] == "ami-promoter: stopped: what has started in AWS continues."


def test_what_a_service_role_waits_for_and_what_stays(table, run):
    """Why one share is not open yet, as the delivery read in the ledger; and which one stays open on purpose."""
    role = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    key = addresses.role_resource("arn:aws:kms:us-east-1:123456789012:key/k", PROD).pk
    image = addresses.image_resource(AMI).pk
    shares = (delivery.NeededShare(image, PROD, standing=True), delivery.NeededShare(key, role, standing=True))
    record = a_delivery(PROD, "opening", holdings=delivery.DeliveryHoldings(shares), last_refusal=TROUBLE)
    promoted(table, record)
    opened = share.Share(image, PROD, PROD, state=share.ShareState.OPEN, opened_at=NINE + 30)
    DynamoLedger(table).hold(opened, sharing(record.id, PROD))

    said = run("status", AMI).lines
    assert f"{PROD} us-east-1: is tried again: The role AmiCopyRole cannot be assumed." in said
    assert said[-1] == f"Shares: 1 open, to {PROD}, until it is withdrawn."


def test_one_amis_deliveries_for_a_program(scene, run):
    """`--json` prints the same as data."""
    data = run("status", AMI, "--json").data["promotion"]
    assert (data["ami"], data["state"], data["value"], data["since"]) == (AMI, "running", "dev", "2026-01-05T09:00:00Z")
    by_account = {delivery["account"]: delivery for delivery in data["deliveries"]}
    assert by_account[DEV]["faults"] == [FAULT.to_json()]
    assert by_account[PROD]["waits_for"] == TROUBLE.to_json()
    assert by_account[PROD]["copies"][1] == {
        "source": "snap-2",
        "state": "pending",
        "copy": "snap-6",
        "progress": 40,
        "tries": 1,
        "began_at": "2026-01-05T09:04:00Z",
        "progress_at": "2026-01-05T09:08:00Z",
        "seconds_left": 240,
    }
    assert by_account["333333333333"]["image"] == "ami-0aaaaaaaaaaaaaaaa"
    shown = data["open_shares"]
    held = {one["state"]: [(h["delivery"], h["episode"], h["purpose"]) for h in one["holdings"]] for one in shown}
    assert held == {"closing": [(scene, 1, "copy")], "open": [(scene, 1, "copy")]}


def test_what_a_delivery_that_is_over_has_left_open_is_shown(table, run):
    """Its record no longer lists its shares: the command finds them through the source."""
    over = a_delivery(PROD, "failed")
    image = an_image()
    snapshot = delivery.snapshots_of(image)[0].id
    resource = addresses.snapshot_resource(snapshot).pk
    promoted(table, over)
    write_source(DynamoRecords(table), replace(image, id=AMI))
    closing = share.Share(resource, PROD, PROD, state=share.ShareState.CLOSING, opened_at=NINE, last_closing_at=NINE)
    DynamoLedger(table).hold(closing, copying(over.id, PROD))

    assert run("status", AMI).out.splitlines()[-1] == f"Shares: 1 closing, to {PROD}."


@pytest.mark.parametrize(
    ("tries", "call", "why"),
    [
        (4, "call RevokeGrant 1234 Denied", ""),
        (5, "call RevokeGrant 1234 Denied", "RevokeGrant was refused: Denied (request 1234)"),
        (5, "call RevokeGrant 1234", "AWS shows it after each of them"),
    ],
)
def test_a_share_that_does_not_close_says_why(table, run, tries, call, why):
    """As its alarm does, from the same try on; a share that AWS shows late is in no trouble yet."""
    held = delivery.DeliveryHoldings((delivery.NeededShare(KEY, PROD),))
    promoted(table, a_delivery(PROD, "tidying", holdings=held))
    steps = (share.ShareStep(NINE, "closing", ("closing was tried", call)),)
    closing = share.Share(KEY, PROD, PROD, state=share.ShareState.CLOSING, grant_id="g1", tries=tries, recent=steps)
    DynamoLedger(table).put_right(closing, "closing was tried", NINE)

    for words in (["status", AMI], ["status"], ["status", "--failed"]):
        said = run(*words).words
        shown = [text in said for text in ("5 tries have not closed it", f"{why}.", "--grant-id g1")]
        assert shown == [True] * 3 if why else "tries" not in said


@pytest.mark.parametrize(("where", "region"), [((), REGION), (("eu-central-1",), "eu-central-1")])
def test_a_snapshot_is_closed_by_hand_in_its_region(table, run, where, region):
    """Whatever Region the person's shell has: the hub's is named, too."""
    snapshot = addresses.snapshot_resource("snap-1", *where).pk
    closing = share.Share(snapshot, PROD, PROD, state=share.ShareState.CLOSING, tries=5)
    DynamoLedger(table).put_right(closing, "closing was tried", NINE)

    command = f"aws ec2 modify-snapshot-attribute --region {region} --snapshot-id snap-1 "
    assert command in run("status").words


def test_a_preexisting_share_is_marked(table, run):
    """It is open and stays, and needs no action."""
    held = delivery.DeliveryHoldings((delivery.NeededShare(SNAPSHOT, PROD),))
    done = a_delivery(PROD, "copying", holdings=held)
    promoted(table, done)
    before = share.Share(
        SNAPSHOT, PROD, PROD, state=share.ShareState.OPEN, preexisting=True, opened_at=NINE, last_closing_at=NINE
    )
    DynamoLedger(table).hold(before, copying(done.id, PROD))

    assert run("status", AMI).lines[-1] == f"Shares: 1 open, to {PROD}, which existed before and stays."

    assert run("status", AMI, "--wide").lines[-1].endswith("existed before the service, stays")


def test_all_promotions(table, scene, run):
    """One line for each, the newest first, with its deliveries by state."""
    write(table, a_promotion(OTHER, state=promotion.PromotionState.OVER, value=None, since=NINE + 60))

    assert run("status").lines == [
        f"Promotions in {PLACE}:",
        "AMI                    NAME    STATE    FOR  VALUE  DELIVERIES",
        "ami-0fedcba9876543210  golden  over     9m   -      no deliveries",
        "ami-0123456789abcdef0  golden  running  10m  `dev`  1 delivered, 1 failed, 1 running",
        "Why they failed, and what to do: `ami-promoter status --failed`",
    ]


@pytest.mark.parametrize(
    ("state", "changes", "word", "color"),
    [
        ("delivered", {}, "delivered", "32"),
        ("shared", {}, "delivered", "32"),
        ("failed", {}, "failed", "31"),
        ("delivered", {"refused_value": "dve", "faults": (FAULT,)}, "refused", "31"),
        ("delivered", {"faults": (FAULT,)}, "failed", "31"),
        ("withdrawn", {"value": None}, "withdrawn", "33"),
    ],
)
def test_an_ended_promotion_shows_how_it_came_out(table, run, monkeypatch, state, changes, word, color):
    """In the list and above its deliveries, in color where there is color; `over` would say nothing."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = a_delivery(DEV, state)
    promoted(table, ended, state=promotion.PromotionState.OVER, **changes)

    for words in ([], [AMI]):
        said = run("status", *words).out
        assert f"\x1b[{color}m{word}" in said
        assert "over" not in said


def test_without_a_delivery_nothing_came_out(table, run):
    """Though no account of the value can receive the AMI."""
    write(table, a_promotion(state=promotion.PromotionState.OVER, faults=(FAULT,)))

    assert run("status", AMI, "--json").data["promotion"]["outcome"] == ""


def test_a_refusal_is_shown_in_the_list(table, run):
    """Nobody needs to ask for what failed to see it."""
    refused = {"faults": (FAULT,), "refused_value": "dve", "state": promotion.PromotionState.OVER, "value": None}
    write(table, a_promotion(**refused))

    assert f"{AMI} is refused: The key alias/x is disabled. Enable it; then tag the AMI again." in run("status").lines


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--image", "golden-2*"], ["ami-00000002"]),
        (["--image", "golden"], []),
        (["--group", "prod"], ["ami-00000001"]),
        (["--group", "default"], ["ami-00000002"]),
        (["--since", "8m"], ["ami-00000002", "ami-00000001"]),
        (["--limit", "1"], ["ami-00000002"]),
        (["--since", "8m", "--group", "dev", "--wide"], ["ami-00000001"]),
    ],
)
def test_promotions_are_found_again(table, run, words, left):
    """By when they changed, by the AMI's name, by a group of the value; four hundred are a page, not a scroll."""
    for number, value in enumerate(("dev", "prod dev", "")):
        name = {"image_name": f"golden-{number}", "value": value, "since": NINE + 100 * number + 60}
        write(table, a_promotion(f"ami-0000000{number}", **name))

    said = run("status", *words).out
    data = run("status", *words, "--json").data

    assert re.findall(r"^ami-\w+", said, re.MULTILINE) == left
    assert [one["ami"] for one in data["promotions"]] == left
    assert ("2 older promotions not shown: `--limit 3` lists all." in said) is ("--limit" in words)
    assert data["left_out"] == (2 if "--limit" in words else 0)


def test_an_ami_is_found_by_a_name_with_brackets(table, run):
    """EC2 allows them; only `*` stands for other characters."""
    write(table, a_promotion(image_name="golden [base] (1.2)"))

    for pattern, found in (("golden [base]*", True), ("golden [a-z]*", False), ("golden ?base? (1.2)", False)):
        assert bool(run("status", "--image", pattern, "--json").data["promotions"]) is found, pattern


def test_refused_and_parked_promotions_say_why(table, run):
    """A stopped promotion says what it waits for, and what lets it continue."""
    state = promotion.PromotionState.COMPARING
    refused = {"faults": (FAULT,), "state": state}
    write(table, a_promotion(value=None, seen_value="dve", **refused))
    DynamoRecords(table).park(addresses.promotion(AMI), "IllegalEvent: Counted in state over.", NINE)

    assert run("status", AMI).out.splitlines()[1:] == [
        "comparing for 10m, no tag in force: no deliveries",
        "being checked: `dve`",
        "parked: IllegalEvent: Counted in state over.",
        "  refused: The key alias/x is disabled. Enable it; then tag the AMI again.",
        f"After you have repaired that: `ami-promoter retry {AMI}`",
        "",
        "Open shares: none",
    ]


@pytest.mark.parametrize(
    ("why", "says"),
    [
        (" record has schema 99, and this version reads 1.", "it has schema 99, and this version reads 1."),
        (": TagSeen is not expected.", "TagSeen is not expected."),
    ],
)
def test_a_parked_record_is_named_once(table, run, why, says):
    """The service's reason begins with the record, which the list and the command name already."""
    write(table, a_promotion())
    record = addresses.promotion(AMI)
    DynamoRecords(table).park(record, f"{record.pk}{why}", NINE)

    assert f"Parked: {record.pk}: {says}" in run("status").out


@pytest.mark.parametrize(
    ("words", "exits"),
    [(["status"], 0), (["status", "--failed"], 0), (["doctor", "--hub-only"], 5), (["admin", "drain", "--yes"], 0)],
)
def test_a_parked_delivery_is_named_by_what_it_delivers(table, run, monkeypatch, words, exits):
    """Its key is a digest; its reason, which may have no full stop, ends before the cure begins."""
    monkeypatch.setattr(health, "read", lambda *_: health.Health())  # which reads other tables and services
    one = a_delivery(PROD, "copying")
    promoted(table, one)
    DynamoRecords(table).park(one.key, f"{one.key}: each of 5 tries raised: KeyError('x')", NINE)

    said = run(*words, exits=exits).words
    assert f"{one.key.pk} ({AMI} to account {PROD}, {REGION})" in said
    assert "each of 5 tries raised: KeyError('x')." in said


def test_what_is_parked_is_said_once(table, run):
    """With the promotion that it concerns; what belongs to none stands below, apart from it by one line."""
    records = DynamoRecords(table)
    one = a_delivery(PROD, "copying")
    promoted(table, one, a_delivery(DEV, "failed", faults=(FAULT,)))
    write(table, a_promotion(OTHER))
    pointer = addresses.pointer(DEV, REGION, "/golden/base/current")
    records.create(Write(pointer, "named", {}, None), NINE)
    for key, why in ((one.key, "KeyError('x')."), (addresses.promotion(OTHER), "TagSeen."), (pointer, "damaged.")):
        records.park(key, why, NINE)

    said = run("status", "--failed")

    assert [said.out.count(why) for why in ("KeyError('x').", "TagSeen.", "damaged.")] == [1, 1, 1]
    assert "\n\n\n" not in said.out
    assert not said.out.startswith("\n")
    assert not said.out.endswith("\n\n")
    assert len(run("status", "--failed", "--json").data["parked"]) == 3


def test_a_promotion_of_a_pending_ami_says_that_it_waits_for_it(table, run):
    """Its value is not in force yet, and nobody should look for a mistake in the tag."""
    write(table, a_promotion(value=None, seen_value="dev prod", state=promotion.PromotionState.REQUESTED))

    assert "It waits until the AMI is available; tagged `dev prod`." in run("status", AMI).words


def test_withdrawals_say_how_they_end(operators, table, run):
    """By another value of the tag, or by the command that lifts them; --wide has a line for each."""
    write(table, a_promotion())
    ann = "arn:aws:sts::1:assumed-role/ops/ann"
    both = {one: withdrawals.written(Withdrawal(one, NINE, ann, "dev")) for one in (DEV, PROD)}
    operators.put(addresses.withdrawals(AMI), both)

    said = run("status", AMI, "--wide").words
    for account in both:
        assert f"{account}: withdrawn by {ann}, until its tag has another value or is removed" in said
    assert f"`ami-promoter withdraw {AMI} --lift`" in said
    assert f"2 targets ({DEV}, {PROD}): withdrawn by {ann}, until" in run("status", AMI).words


def test_an_ami_that_is_not_known(client, run):
    """It is no AWS error, and the message says what to do."""
    assert run("status", AMI, exits=1).err.splitlines() == [
        (
            f"{AMI}: no promotion of it exists in {PLACE}. Check the id; then tag the AMI in the hub by "
            f"`ami-promoter promote {AMI} VALUE`, or wait: the service finds a tag within five minutes, even if its "
            "event was lost."
        ),
        "1 fault.",
    ]


def test_a_copys_id_names_its_source(table, run):
    """These verbs are about the source; a person who has the id of a copy learns which that is."""
    promoted(table)
    track(table, TrackedDelivery("d1", DEV, REGION, 1, "delivered", OTHER))

    for words in ("status", "verify", "retry", "wait", "plan", "cancel", "withdraw --lift"):
        verb, *options = words.split()
        said = run(verb, OTHER, *options, exits=1).errors
        assert f"{OTHER}: it is the copy of {AMI} in account {DEV}, {REGION}. Name its source {AMI} instead" in said


def test_a_shared_ami_that_is_gone_is_not_said_to_be_its_own_copy(table, run):
    """Its delivery made no other AMI."""
    promoted(table)
    track(table, TrackedDelivery("d1", DEV, REGION, 1, "shared", AMI))

    assert f"{AMI}: account {HUB} owns no such AMI in {REGION}." in run("cancel", AMI, exits=1).errors


@pytest.mark.parametrize("state", ["awaiting-wave", "awaiting-approval"])
def test_who_waits_for_others_tries_nothing(table, run, state):
    """A look whether the others are done is no try; what waits for its copy slots is tried again."""
    waits = a_delivery(PROD, state, tries=4)
    tried = a_delivery(DEV, "awaiting-slot", tries=4)
    promoted(table, waits, tried)

    rows = {line.split()[0]: line for line in run("status", AMI).lines if " us-east-1  " in line}
    assert "try" not in rows[PROD]
    assert rows[DEV].endswith("try 5")


@pytest.mark.parametrize(("words", "exits"), [(["status"], 0), (["doctor", "--hub-only"], 5)])
def test_the_list_and_the_doctor_read_the_table_once(scene, monkeypatch, run, words, exits):
    """A scan of a large table costs the same whatever its filter admits: promotions, parked records and pointers."""
    scans, scan = [], Reader.items

    def counted(reader, *given, **more):
        scans.append(given)
        return scan(reader, *given, **more)

    monkeypatch.setattr(Reader, "items", counted)
    monkeypatch.setattr(health, "read", lambda *_: health.Health())  # which reads other tables and services
    run(*words, exits=exits)
    assert len(scans) == 1
