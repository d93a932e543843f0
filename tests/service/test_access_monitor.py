"""What the access monitor does with messages that it ignores, and with those that it cannot judge yet."""

import json
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.budget import slices
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.ports import Write
from chalicelib.monitor.judging import SeenPolicy
from chalicelib.monitor.store.findings import DynamoFindings
from chalicelib.monitor.store.ledger_past import DynamoLedgerPast
from chalicelib.monitor.trail_actions import of_others
from chalicelib.monitor.worker.access_monitor import FRESH, KNOWN_FOR, SHOWS_WITHIN, TRIES, AccessMonitor
from chalicelib.sharing.machine import ClosingIntended, OpeningIntended, ShareOpened, evolve
from chalicelib.sharing.share import Share
from chalicelib.targets.applied_file import AppliedFile, Directory, Target, nothing_applied
from chalicelib.targets.worker.live_members import LiveMembers
from tests.fakes import copying
from tests.service.cloud import UNREADABLE, FakeWhereabouts, Quiet, refusal
from tests.service.organization import ORGANIZATION, OU, of_an_ou
from tests.stores import on_dynamodb

HUB, DEV, TEST, NOW = "111111111111", "222222222222", "333333333333", 1_767_604_200
SNAPSHOT, KEY = "snap-0a1", f"arn:aws:kms:us-east-1:{HUB}:key/k"
ON_KEY = {"eventSource": "kms.amazonaws.com", "resources": [{"ARN": KEY, "accountId": HUB, "type": "AWS::KMS::Key"}]}
SAMPLES = json.loads((Path(__file__).parents[1] / "samples" / "trail.json").read_text(encoding="utf-8"))["samples"]


class MonitorSetup:
    """An access monitor over an empty ledger."""

    def __init__(self, stores: Any) -> None:
        self.now = NOW
        self.file = AppliedFile(Directory(accounts={DEV: (Target(DEV, "us-east-1"),)}), "digest")
        self.topic, self.telemetry = [], Quiet()
        targets = SimpleNamespace(read=lambda: self.file, applied_at=lambda: 1)
        topic = SimpleNamespace(publish=self.topic.append)
        self.stores, self.ledger, self.client = stores, stores.ledger, stores.table._client
        self.findings = DynamoFindings(stores.table, 400)
        past = DynamoLedgerPast(stores.table, stores.ledger)
        self.whereabouts = FakeWhereabouts(self)
        members = LiveMembers(lambda _named: self.whereabouts, lambda: self.now, KNOWN_FOR)
        ports = stores.records, stores.ledger, past, targets, members, self.findings, topic
        settings = HUB, "us-east-1", "promote", 0, frozenset(), frozenset(), 4
        self.monitor = AccessMonitor(*ports, lambda: self.now, self.telemetry, *settings)

    @property
    def directory(self) -> Directory:
        """What the applied file has."""
        return self.file.directory

    def open(self, resource: addresses.RecordKey, accounts: Sequence[str], *events: object, now: int = NOW) -> None:
        """Put a share for each account into the ledger, to which these events happen."""
        for some in slices(accounts, 50):
            shares = (Share(resource.pk, one, one, last_closing_at=NOW + 10**6) for one in some)
            held = [(share, copying(f"d{share.account}", share.account)) for share in shares]
            assert self.ledger.hold_all(held) == len(held)
        for event in events:
            changed = [evolve(one, event, now) for one in self.ledger.shares(resource.pk)]
            self.ledger.save(changed, "as the share worker", now)

    def judge_event(self, name: str, seconds: float = 30, **changes: Any) -> None:
        """Give it a sample event with a changed detail."""
        self.judge(event_of(name, **changes), seconds)

    def judge(self, body: str, seconds: float = 30) -> bool:
        """Give it a message. False: it must come again."""
        return self.monitor.judge_event(body, time_left=lambda: seconds)


BY_A_STRANGER = {"type": "AWSAccount", "accountId": "444444444444", "invokedBy": "ec2.amazonaws.com"}


def event_of(name: str, **changes: Any) -> str:
    """A sample event with a changed detail, as EventBridge puts it into the queue."""
    event = deepcopy(SAMPLES[name]["event"])
    event["detail"] |= changes
    return json.dumps(event)


def at(seconds: int) -> dict[str, str]:
    """When an event's call was made, so many seconds from now."""
    return {"eventTime": datetime.fromtimestamp(NOW + seconds, UTC).isoformat()}


@pytest.fixture
def setup():
    with on_dynamodb() as stores:
        yield MonitorSetup(stores)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        "null",
        "{}",
        '{"detail-type": "EC2 AMI State Change", "detail": {}}',
        '{"detail-type": "AWS API Call via CloudTrail"}',
        '{"detail-type": "AWS API Call via CloudTrail", "detail": [1]}',
        json.dumps(SAMPLES["an AMI is made public, and an OU loses it"]["event"] | {"account": DEV}),
    ],
)
def test_what_is_no_event_of_the_hubs_cloudtrail_is_left(setup, body):
    """The message is dropped: it would come again unchanged. Another account may forward its own events to the bus."""
    setup.monitor.judge_event(body, time_left=lambda: 30)

    assert (setup.telemetry.reported, setup.topic) == ([], [])


def test_a_call_for_hundreds_of_accounts_is_judged_in_the_time_of_a_run(setup):
    """The share worker opens a snapshot to 500 by one call; a run of 30 seconds has no time for reads of each."""
    accounts = [f"{220000000000 + number}" for number in range(200)]
    setup.file = AppliedFile(Directory(accounts={one: (Target(one, "us-east-1"),) for one in accounts}), "digest")
    setup.open(addresses.snapshot_resource(SNAPSHOT), accounts, OpeningIntended())
    reads: list[str] = []
    setup.client.meta.events.register("before-call.dynamodb", lambda model, **_: reads.append(model.name))
    added = {"add": {"items": [{"userId": one} for one in [*accounts, TEST]]}}
    asked = {"snapshotId": SNAPSHOT, "createVolumePermission": added}
    setup.judge_event("a snapshot is shared", eventTime="2026-01-05T09:10:05Z", requestParameters=asked)

    assert published(setup) == [("own-without-intent", [TEST])]
    assert len(reads) <= 15


def test_what_lambda_decrypts_as_a_functions_role_is_no_theft(setup):
    """With WatchKeyUse every cold start was a page: Lambda reads the function's environment under the account's key."""
    setup.judge_event("Lambda reads a function's environment as the function's role")

    assert published(setup) == []
    assert [one[0] for one in setup.telemetry.reported] == ["judged"]


def test_the_same_event_is_judged_once_and_another_of_that_hour_is_kept_and_not_notified_again(setup):
    """Repeats have CloudTrail's id. A similar event within the hour is kept without a second notice."""
    name = "an AMI is made public, and an OU loses it"
    setup.judge_event(name)
    setup.judge_event(name)
    assert [one["verdict"] for one in setup.topic] == ["foreign-stranger"]
    setup.judge_event(name, eventID="e-another")

    assert len(setup.topic) == 1
    assert [name for name, _ in setup.telemetry.reported] == ["judged", "finding", "judged", "judged", "judged"]


def test_a_theft_of_several_snapshots_is_one_notice_an_hour(setup):
    """A thief opens all of an AMI's: one page for the principal and the kind of act."""
    for number in range(3):
        asked = {"snapshotId": f"snap-0a{number}", "createVolumePermission": {"add": {"items": [{"userId": TEST}]}}}
        setup.judge_event("a snapshot is shared", eventID=f"e-{number}", requestParameters=asked)

    assert published(setup) == [("own-without-intent", [TEST])]


def test_two_runs_that_judge_an_event_at_the_same_time_say_the_same(setup):
    """SQS has delivered it twice, and neither sees what the other has written. The two notices have one id."""
    name = "an AMI is made public, and an OU loses it"
    setup.findings.was_judged = setup.findings.was_notified = lambda _about: False
    setup.judge_event(name)
    setup.judge_event(name)

    first, second = setup.topic
    assert first == second


def test_a_message_with_the_id_of_another_event_does_not_hide_that(setup):
    """Somebody who can send to the queue knows the id before the event is judged."""
    name = "an AMI is made public, and an OU loses it"
    forged = {"add": {"items": [{"userId": HUB}]}}
    setup.judge_event(name, requestParameters={"imageId": "ami-0a1", "launchPermission": forged})
    assert setup.topic == []
    setup.judge_event(name)

    assert [one["verdict"] for one in setup.topic] == ["foreign-stranger"]


def kept(setup):
    """Principal and severity of each finding that is kept about the sample's AMI."""
    items = setup.stores.table.query(addresses.findings("ami-0a1"), "at#")
    return sorted((item["principal"].rpartition("/")[2], item["severity"]) for item in items)


def test_a_message_with_the_id_of_another_event_does_not_replace_its_finding(setup):
    """Here it says that somebody else let a listed account in, at the same time, and comes after the real one."""
    name = "an AMI is made public, and an OU loses it"
    setup.judge_event(name)
    found = kept(setup)
    forged = {"add": {"items": [{"userId": DEV}]}}
    by = {"userIdentity": {"arn": f"arn:aws:iam::{HUB}:user/ann", "accountId": HUB}}
    setup.judge_event(name, requestParameters={"imageId": "ami-0a1", "launchPermission": forged}, **by)

    assert kept(setup) == [("ann", "notice"), *found]


def test_without_a_readable_file_nobody_is_called_a_stranger(setup):
    """The event comes again later; if no file was ever applied, every account is a stranger."""
    setup.file = UNREADABLE
    with pytest.raises(Refusal):
        setup.judge_event("a snapshot is shared")
    setup.file = AppliedFile(fault=nothing_applied("here"))
    setup.judge_event("a snapshot is shared", eventID="e-later", userIdentity={"arn": f"arn:aws:iam::{HUB}:user/jo"})

    assert [one["verdict"] for one in setup.topic] == ["foreign-stranger"]


BY_JO = {"userIdentity": {"arn": f"arn:aws:iam::{HUB}:user/jo", "accountId": HUB}}


def published(setup):
    """Verdict and receivers of each notice."""
    return [(one["verdict"], one["receivers"]) for one in setup.topic]


def test_who_is_no_stranger_is_asked_of_organizations_itself(setup):
    """The table of members has both in the OU; Organizations has one of them there."""
    setup.file = AppliedFile(of_an_ou(DEV, TEST), "digest")
    setup.judge_event("a snapshot is shared", **BY_JO)
    assert published(setup) == [("foreign-listed", [DEV, TEST])]
    setup.whereabouts.says[TEST] = ()
    setup.now += 3600
    setup.judge_event("a snapshot is shared", eventID="e-2", **BY_JO)
    assert published(setup)[1:] == [("foreign-stranger", [TEST])]


@pytest.mark.parametrize("kind", [RefusalKind.THROTTLED, RefusalKind.DENIED, RefusalKind.ROLE])
def test_while_organizations_does_not_answer_the_event_comes_again(setup, kind):
    """Nobody of the OU is called a stranger, or none, meanwhile."""
    setup.file = AppliedFile(of_an_ou(DEV, TEST), "digest")
    setup.whereabouts.refuses = refusal(kind, "organization-unreadable")
    with pytest.raises(Refusal):
        setup.judge_event("a snapshot is shared", **BY_JO)
    assert setup.topic == []
    setup.whereabouts.refuses = None
    setup.now += 600
    setup.judge_event("a snapshot is shared", **BY_JO)
    assert published(setup) == [("foreign-listed", [DEV, TEST])]


def test_a_removal_is_judged_without_an_answer_of_organizations(setup):
    """Who is a stranger changes no verdict on it. Such events became dead letters where Organizations did not answer,
    or where so many accounts had just left an OU that no run had the time to ask about all.
    """
    setup.file = AppliedFile(of_an_ou(DEV, TEST), "digest")
    setup.whereabouts.refuses = refusal(RefusalKind.DENIED, "organization-unreadable")
    removed = {"remove": {"items": [{"userId": DEV}, {"userId": TEST}]}}
    asked = {"snapshotId": SNAPSHOT, "createVolumePermission": removed}
    setup.judge_event("a snapshot is shared", requestParameters=asked)

    assert published(setup) == [("own-without-intent", [DEV, TEST])]
    assert setup.whereabouts.asked == []


def test_whom_the_file_lists_by_id_needs_no_answer_of_organizations(setup):
    """An OU contains them, too. What the file lists is no stranger wherever it is."""
    setup.file = AppliedFile(of_an_ou(DEV, TEST), "digest")
    listed = {one: (Target(one, "us-east-1"),) for one in (DEV, TEST)}
    setup.file = AppliedFile(replace(setup.directory, accounts=listed), "digest")
    setup.whereabouts.refuses = refusal(RefusalKind.DENIED, "organization-unreadable")
    setup.judge_event("a snapshot is shared", **BY_JO)
    assert published(setup) == [("foreign-listed", [DEV, TEST])]


def test_each_sample_has_its_verdict_over_an_empty_ledger(setup):
    """The service's acts have no intent on record, people's acts are theirs, and the keys are not the service's."""
    for name in SAMPLES:
        setup.judge_event(name)

    verdicts = {(args[0], str(args[2])) for kind, args in setup.telemetry.reported if kind == "judged"}
    assert verdicts == {
        ("ModifySnapshotAttribute", "own-without-intent"),
        ("ModifyImageAttribute", "foreign-stranger"),
        ("ModifyImageAttribute", "expected"),
        ("ResetSnapshotAttribute", "expected"),
        ("DisableSnapshotBlockPublicAccess", "foreign-stranger"),
        ("CreateGrant", "own-without-intent"),
        ("CreateGrant", "expected"),
        ("RevokeGrant", "expected"),
        ("RetireGrant", "expected"),
        ("PutKeyPolicy", "expected"),
        ("ScheduleKeyDeletion", "expected"),
        ("Decrypt", "expected"),
        ("ReEncrypt", "expected"),
        ("SharedSnapshotCopyInitiated", "expected"),
        ("CopySnapshot", "expected"),
        ("CreateTags", "expected"),
        ("DeleteTags", "expected"),
    }
    assert sorted(one["severity"] for one in setup.topic) == ["page"] * 4


@pytest.mark.parametrize("above", [(OU,), ()], ids=["members", "strangers"])
def test_an_event_about_1000_accounts_of_an_ou_is_judged_before_its_message_is_a_dead_letter(setup, above):
    """Organizations takes a quarter of a second for each, so that a run asks about 80; SQS gives it every 3 minutes.

    If somebody has written the table of members, Organizations has none of them in an OU.
    """
    accounts = [f"{220000000000 + number}" for number in range(1000)]
    setup.file = AppliedFile(of_an_ou(*accounts), "digest")
    begun, answers, ask = setup.now, setup.whereabouts.asked, setup.whereabouts.whereabouts
    setup.whereabouts.says = dict.fromkeys(accounts, above)
    spent = []
    setup.whereabouts.whereabouts = lambda account: spent.append(0.25) or ask(account)
    event = deepcopy(SAMPLES["a snapshot is shared"]["event"])
    event["detail"]["requestParameters"]["createVolumePermission"] = {
        "add": {"items": [{"userId": one} for one in accounts]}
    }
    for tries in range(TRIES):
        setup.now = begun + 180 * tries
        spent.clear()
        with suppress(Refusal):
            setup.monitor.judge_event(json.dumps(event), time_left=lambda: 30 - sum(spent))
        assert sum(spent) <= 30

    assert [name for name, _ in setup.telemetry.reported if name == "judged"] == ["judged"]
    assert len(answers) == len(accounts), "each was asked about once"


def test_a_grant_to_an_aws_service_for_a_strangers_resource_lets_the_stranger_in(setup):
    """GranteeServicePrincipal names only the service: whose resource it acts for says the constraint SourceArn."""
    for_theirs = "a grant lets a service act for a resource of another account"
    (key,) = SAMPLES[for_theirs]["event"]["detail"]["resources"]
    setup.findings.remember_key(key["ARN"])
    setup.judge_event(for_theirs)

    assert published(setup) == [("foreign-stranger", ["arn:aws:rds:us-east-1:999999999999:db:theirs"])]


@pytest.mark.parametrize("schema", [99, "forged"], ids=["newer", "damaged"])
def test_a_key_is_a_source_key_whatever_form_its_record_has(setup, schema):
    """The hub is upgraded before the monitor; and a thief of the share worker could keep a key from being watched."""
    key = addresses.grants_on(KEY)
    setup.stores.records.create(Write(key, "open", {}, NOW), NOW)
    setup.stores.table.update(key, "SET #schema = :schema", {":schema": schema}, names={"#schema": "schema"})
    asked = {"keyId": KEY, "granteePrincipal": f"arn:aws:iam::{TEST}:root"}
    setup.judge_event("a snapshot is shared", **ON_KEY, eventName="CreateGrant", requestParameters=asked, **BY_JO)

    assert published(setup) == [("foreign-stranger", [asked["granteePrincipal"]])]


def test_a_stolen_role_that_revokes_an_accounts_grant_is_not_excused_by_another_accounts_closing_statement(setup):
    """DEV made the grant itself, with what was open to it; just then the service takes TEST out of the key's policy."""
    setup.findings.remember_key(KEY)
    setup.findings.remember_grant("g-dev", {DEV}, NOW)
    setup.open(addresses.policy_resource(KEY), [TEST], OpeningIntended(), ShareOpened(), ClosingIntended())
    ends = {"eventName": "RevokeGrant", "requestParameters": {"grantId": "g-dev"}}
    setup.judge_event("a snapshot is shared", **ON_KEY, **ends, **at(20))

    assert published(setup) == [("own-without-intent", [])]


def test_a_stolen_role_that_revokes_a_grant_at_once_pages_although_the_event_of_the_grant_comes_last(setup):
    """CloudTrail keeps no order: the event of the end waits for that of the beginning. Then it comes no more."""
    setup.findings.remember_key(KEY)
    asked = {"granteePrincipal": "ec2.us-east-1.amazonaws.com", "keyId": KEY}
    made = {"eventName": "CreateGrant", "eventID": "e-1", "requestParameters": asked, **ON_KEY}
    made = event_of("a snapshot is shared", **made, responseElements={"grantId": "g-ebs"}, **BY_JO, **at(0))
    ends = {"eventName": "RevokeGrant", "eventID": "e-2", "requestParameters": {"grantId": "g-ebs"}, **ON_KEY}
    ended = event_of("a snapshot is shared", **ends, **at(20))

    setup.now = NOW + 620
    assert not setup.judge(ended)
    setup.now += 100
    assert setup.judge(made)
    setup.now += 80
    assert setup.judge(ended)
    assert [one["verdict"] for one in setup.topic] == ["own-without-intent"]
    unknown = json.loads(ended)
    unknown["detail"]["requestParameters"]["grantId"] = "g-before-the-monitor"
    setup.now = NOW + 20 + 20 * 60
    assert setup.judge(json.dumps(unknown))
    assert len(setup.topic) == 1


@pytest.mark.parametrize(("age", "silent"), [(FRESH, True), (FRESH + 1, False)])
def test_the_trail_is_silent_if_it_does_not_show_a_grant_that_was_made_lately(setup, age, silent):
    """An older one may be from before the trail: that it does not show says nothing."""
    resource, made = addresses.key_resource(KEY, DEV), NOW - age
    setup.stores.records.create(Write(resource, "open", {"resource": resource.pk}, NOW), NOW)
    setup.open(resource, [DEV], OpeningIntended(), ShareOpened("g-1"), now=made)
    for _ in range(3):
        setup.monitor.watch_trail()
        setup.now += SHOWS_WITHIN

    assert ("trail_silent" in [kind for kind, _ in setup.telemetry.reported]) is silent


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_copy_that_the_share_allowed_is_no_page_into_whatever_region_it_was_made(setup, region):
    """The file has left the account out since, and its share is about to close; a target copies into its own Region."""
    setup.file = AppliedFile(Directory(accounts={TEST: (Target(TEST, "us-east-1"),)}), "digest")
    setup.open(addresses.snapshot_resource(SNAPSHOT), [DEV], OpeningIntended())
    at = {"awsRegion": region, "eventTime": "2026-01-05T09:10:05Z"}
    asked = {"sourceRegion": "us-east-1", "sourceSnapshotId": SNAPSHOT, "destinationRegion": region}
    setup.judge_event("another account copies a shared snapshot", requestParameters=asked, **at)

    assert setup.topic == []


def test_a_stranger_that_makes_a_volume_of_a_shared_snapshot_pages(setup):
    """CloudTrail names the user in EC2's own event where a caller stands."""
    setup.judge_event(
        "a shared snapshot is copied", eventName="SharedSnapshotVolumeCreated", userIdentity=BY_A_STRANGER
    )
    assert published(setup) == [("foreign-stranger", ["444444444444"])]


# --- a key's policy that a person and the service write within seconds ------------------------------------------------

OWNER, BACKUP, VISITORS = ({"Sid": sid, "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                            "Action": "kms:*", "Resource": "*"}
                           for sid, account in (("Owner", HUB), ("Backup", HUB), ("Visitors", TEST)))  # fmt: skip
SERVICE = f"arn:aws:iam::{HUB}:role/ami-promoter-us-east-1-share-worker"
JO = f"arn:aws:iam::{HUB}:user/jo"


def put(seconds: int, by: str, *statements: Any) -> str:
    """The event of a PutKeyPolicy, so many seconds from now."""
    policy = {"requestParameters": {"policy": json.dumps({"Statement": statements})}}
    ident = {"eventID": f"e-{seconds}-{by[-4:]}-{len(statements)}", "userIdentity": {"arn": by, "accountId": HUB}}
    return event_of("a key's policy is written", **policy, **ident, **at(seconds), **ON_KEY)


def arrive(setup: MonitorSetup, *events: tuple[int, str]) -> list[tuple[str, list[str]]]:
    """Let each event arrive in the queue so many seconds from now; the queue holds it back, and gives it again."""
    setup.open(addresses.policy_resource(KEY), [DEV], OpeningIntended())
    setup.findings.remember_key(KEY)
    waiting = sorted((NOW + at + 600, number, 1, body) for number, (at, body) in enumerate(events))
    while waiting:
        setup.now, number, tries, body = waiting.pop(0)
        if not setup.judge(body):
            assert tries < TRIES
            waiting = sorted([*waiting, (setup.now + 180, number, tries + 1, body)])
    return published(setup)


@pytest.mark.parametrize("late", [0, 500])
@pytest.mark.parametrize("apart", [0, 2])
@pytest.mark.parametrize(
    ("before", "written", "found"),
    [((OWNER, BACKUP), (OWNER,), []), ((OWNER,), (OWNER, VISITORS), [("foreign-stranger", [TEST])])],
    ids=["took out", "let in"],
)
def test_what_a_person_changed_before_the_service_wrote_is_the_persons_act_alone(
    setup, before, written, found, apart, late
):
    """A person may take a statement out. Who lets a stranger in is named by the page, and not the service's role.

    The person's event comes after the service's, by seconds or minutes; both calls may be in one second.
    """
    known, person, service = put(-60, JO, *before), put(0, JO, *written), put(apart, SERVICE, *written)
    assert arrive(setup, (0, known), (0, service), (late, person)) == found
    assert {one["principal"] for one in setup.topic} <= {JO}


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (3, 0, 2, 1), (1, 2, 0, 3)])
def test_a_stolen_role_that_takes_others_out_pages_in_whatever_order_the_events_come(setup, order):
    """Once, and nothing that came before or after excuses it."""
    writes = [
        put(-60, JO, OWNER, BACKUP),
        put(0, SERVICE, OWNER, BACKUP),
        put(3, SERVICE, OWNER),
        put(4, SERVICE, OWNER),
    ]
    arrived = arrive(setup, *((10 * place, writes[number]) for place, number in enumerate(order)))
    assert arrived == [("own-without-intent", [])]
    assert [one["at"] for one in setup.topic] == [NOW + 3]


@pytest.mark.parametrize("sid", ["Mine", f"AmiPromoter{HUB}useast1To{DEV}Account"])
def test_a_stolen_role_that_adds_a_statement_for_the_hubs_own_account_pages(setup, sid):
    """By it a thief makes a role of the hub the key's administrator; the service's name on it is no excuse."""
    added = {**BACKUP, "Sid": sid}
    assert arrive(setup, (0, put(-60, JO, OWNER)), (0, put(0, SERVICE, OWNER, added))) == [("own-without-intent", [])]


def test_a_statement_with_the_services_name_that_it_did_not_write_is_no_page_when_it_takes_it_out(setup):
    """Its next write removes each statement of that name which the ledger does not need."""
    named = {**BACKUP, "Sid": f"AmiPromoter{HUB}useast1To{DEV}Account"}
    assert arrive(setup, (0, put(-60, JO, OWNER, named)), (0, put(0, SERVICE, OWNER))) == []


@pytest.mark.parametrize("last", [(OWNER, BACKUP), (OWNER,)])
def test_a_stolen_role_pages_by_a_policy_of_last_year_although_a_later_event_comes_first(setup, last):
    """The policy is known by the record of the key alone: its own item has expired."""
    long_ago, whole = 400 * 86400, json.dumps({"Statement": [OWNER, BACKUP]})
    setup.findings.remember_key(KEY, SeenPolicy(NOW - long_ago, frozenset({HUB}), frozenset(of_others(whole, HUB))))
    theft, later = put(0, SERVICE, OWNER), put(9, JO, *last)
    assert arrive(setup, (0, later), (30, theft)) == [("own-without-intent", [])]


def test_a_stolen_role_is_not_excused_by_its_own_write_in_the_same_second(setup):
    """Each of its two writes takes out what was there the second before."""
    assert arrive(
        setup,
        (0, put(-60, JO, OWNER, BACKUP)),
        (0, put(0, SERVICE, OWNER)),
        (0, put(0, SERVICE, {**OWNER, "Sid": "Other"}, OWNER)),
    ) == [("own-without-intent", [])]


@pytest.mark.parametrize(
    ("admitted", "reported"), [(frozenset({HUB, DEV}), []), (frozenset({HUB}), ["foreign-listed"])]
)
def test_whom_the_keys_own_policy_admits_may_use_the_key(setup, admitted, reported):
    """Its owner has let the account in, and no share has to."""
    setup.findings.remember_key(KEY, SeenPolicy(NOW - 86400, admitted))
    setup.judge_event("another account decrypts for a volume", **ON_KEY, **at(0))

    assert [one["verdict"] for one in setup.stores.table.query(addresses.findings(KEY), "at#")] == reported


@pytest.mark.parametrize(("organization", "verdict"), [(ORGANIZATION, []), ("o-z9y8x7w6v5", ["foreign-stranger"])])
@pytest.mark.parametrize("named", [True, False])
def test_an_organization_that_a_person_lets_in_by_a_keys_policy_is_a_page_unless_it_is_the_files(
    setup, organization, verdict, named
):
    """While the file names none, none is judged."""
    setup.file = AppliedFile(of_an_ou(DEV) if named else Directory({}, {}), "digest")
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    let_in = everybody | {"Condition": {"StringEquals": {"aws:PrincipalOrgID": organization}}}
    found = arrive(setup, (5, put(5, JO, OWNER, let_in)))

    assert [one for one, _ in found if one != "vanished"] == (verdict if named else [])
