"""The drift audit over a hub in memory: what it finds and what it does not, and that each pass ends."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.engine import addresses, schedule
from chalicelib.engine.errors import RefusalKind, StaleCursor
from chalicelib.engine.faults import Fault
from chalicelib.monitor import drift
from chalicelib.monitor.drift import Pass, PassPart, Situation
from chalicelib.monitor.ports import HubPage
from chalicelib.monitor.trail_actions import PUBLIC
from chalicelib.monitor.verdicts import ActionVerdict
from chalicelib.monitor.worker.drift_audit import PER_RUN, SLICE, DriftAudit
from chalicelib.sharing import key_policy
from chalicelib.sharing.grant_names import grant_name
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import Purpose, Share, ShareState
from chalicelib.sharing.shown import ShownAccess
from chalicelib.targets.applied_file import AppliedFile, Directory, Target, nothing_applied
from chalicelib.targets.worker.live_members import LiveMembers
from tests.fakes import MemoryLedger, SentWakes, copying
from tests.service.cloud import UNREADABLE, FakeWhereabouts, Quiet, refusal
from tests.service.gate import ProcessKilled
from tests.service.organization import ARN, of_an_ou, with_members

HUB, DEV, TEST, STRANGER, REGION = "111111111111", "222222222222", "333333333333", "999999999999", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{HUB}:key/k"
SNAP, AMI = "snap-0a", "ami-0a"
ROLE = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
NOON = 1_800_000_000
FIVE = 5 * schedule.MINUTE
ACCESS = key_policy.Access(DEV, key_policy.Audience.COPIES, ROLE, key_policy.hub_sid(HUB, REGION))
"""What the service's statements in the key's policy let DEV do."""


def policy(*statements: Any) -> str:
    return json.dumps({"Statement": statements})


class OpenHub:
    """The port ``HubAccess``: what is open, by id; ``refuses`` says where AWS does not answer."""

    def __init__(self) -> None:
        self.open: dict[str, set[str]] = {SNAP: set(), AMI: set()}
        self.policies = {KEY: policy()}
        self.listed: dict[str, list[SeenGrant]] = {KEY: []}
        self.refuses: dict[str, RefusalKind] = {}
        self.throttled_once: set[str] = set()
        self.asked: list[str] = []
        self.page_takes = self.spent = 0
        self.in_a_page = 1000
        self.forgotten: set[str] = set()
        self.keys = frozenset({KEY})

    def page(self, part: str, token: str) -> HubPage:
        """The snapshots of a page, in no order, are under ``keys``; a listing takes as long as ``page_takes`` says."""
        self._asked(part)
        self.spent += self.page_takes
        if token in self.forgotten:
            raise StaleCursor(RefusalKind.DENIED, Fault("aws-InvalidNextToken", "here", "It is too old.", "Wait."))
        kind = "snap-" if part == PassPart.SNAPSHOTS else "ami-"
        found = [one for one in reversed(self.open) if one.startswith(kind)]
        end = int(token or "0") + self.in_a_page
        some = tuple(found[end - self.in_a_page : end])
        keys = self.keys if some and kind == "snap-" else frozenset[str]()
        return HubPage(some, keys, str(end) if end < len(found) else "")

    def receivers(self, resource: str) -> set[str] | None:
        self._asked(resource)
        return self.open.get(resource)

    def policy(self, key: str) -> str | None:
        self._asked("policy")
        return self.policies.get(key)

    def grants(self, key: str, marker: str) -> tuple[list[SeenGrant], str]:
        """As set, in pages of 100; each takes the time that ``page_takes`` says."""
        self._asked("grants")
        self.spent += self.page_takes
        listed, end = self.listed.get(key, []), int(marker or "0") + 100
        return listed[end - 100 : end], str(end) if end < len(listed) else ""

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        if what in self.throttled_once:
            self.throttled_once.remove(what)
            raise refusal(RefusalKind.THROTTLED, "RequestLimitExceeded")
        if kind := self.refuses.get(what):
            raise refusal(kind, "AccessDenied")


class Kept:
    """The port ``DriftFindings``; ``saves_left``: after so many the process is killed."""

    def __init__(self) -> None:
        self.at: Pass | None = None
        self.known: dict[str, int] = {}
        self.kept: list[tuple[str, str]] = []
        self.saves_left = 10**9
        self.most_doubts: dict[str, Any] = {}

    def read(self) -> Pass | None:
        return self.at

    def save(self, this: Pass) -> Pass | None:
        """Unless another run has."""
        if self.saves_left == 0:
            raise ProcessKilled
        self.saves_left -= 1
        self.most_doubts = max(self.most_doubts, dict(this.doubts), key=lambda one: len(json.dumps(one)))
        if self.at is not None and self.at.version != this.version:
            return None
        self.at = replace(this, version=this.version + 1)
        return self.at

    def was_notified(self, about: str, now: int) -> bool:
        """Within a week."""
        return self.known.get(about, 0) > now

    def notified(self, about: str, now: int) -> None:
        self.known[about] = now + 7 * schedule.DAY

    def keep(self, place: Any, said: Any, now: int) -> None:
        self.kept.append((place.resource, said["verdict"]))


class Setup(SentWakes):
    """An audit at noon, over an applied file that lists DEV and TEST."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.hub, self.ledger, self.kept = NOON, OpenHub(), MemoryLedger(), Kept()
        self.file = AppliedFile(Directory(accounts={one: (Target(one, REGION),) for one in (DEV, TEST)}), "digest")
        self.since = 1
        self.topic: list[Any] = []
        self.telemetry = Quiet()
        self.learning, self.siblings = 0, frozenset[str]()
        self.whereabouts = FakeWhereabouts(self)
        self.another_process()

    def another_process(self) -> None:
        """One that has forgotten every answer about accounts."""
        self.members = LiveMembers(lambda _named: self.whereabouts, lambda: self.now)

    def has_an_ou(self, *accounts: str) -> None:
        """Let the file list an OU with these accounts alone."""
        self.file = AppliedFile(of_an_ou(*accounts), "digest")

    def answers_slowly(self) -> None:
        """Let each question about an account take a quarter of a second."""
        whereabouts = self.whereabouts.whereabouts

        def slow(account: str) -> Any:
            self.hub.spent += 0.25
            return whereabouts(account)

        self.whereabouts.whereabouts = slow

    @property
    def looks(self) -> int:
        """How many looks all runs have reported."""
        return sum(args[0] for name, args in self.telemetry.reported if name == "audited")

    @property
    def directory(self) -> Directory:
        """What the applied file has."""
        return self.file.directory

    def run(self, seconds: int = 240) -> None:
        ports = self.hub, self.ledger, self, self.members, self.kept, self, self, lambda: self.now, self.telemetry
        self.hub.spent = 0
        audit = DriftAudit(*ports, HUB, REGION, self.learning, self.siblings)
        audit.run(time_left=lambda: seconds - self.hub.spent)

    def runs(self, times: int, seconds: int = 240) -> None:
        """So many invocations, five minutes apart."""
        for _ in range(times):
            self.run(seconds)
            self.now += FIVE

    def day(self) -> list[tuple[str, str, list[str]]]:
        """A day's invocations; returns what was published."""
        before = len(self.topic)
        self.runs(schedule.DAY // FIVE)
        return [(one["severity"], one["verdict"], one["receivers"]) for one in self.topic[before:]]

    def read(self) -> AppliedFile:
        return self.file

    def applied_at(self) -> int:
        return self.since

    def publish(self, notice: Any) -> None:
        self.topic.append(notice)

    def opened_to(self, *accounts: str) -> None:
        """Let the service have opened the snapshot to these accounts, and to no other."""
        self.hub.open[SNAP] = {*accounts}
        for one in accounts:
            self.share(SNAPSHOT, one, account=one)

    def share(self, resource: str, name: str, state: ShareState = ShareState.OPEN, **more: Any) -> Share:
        """Put a share into the ledger that DEV holds."""
        given = {"account": DEV, "intended_at": NOON, "holdings": frozenset({copying("d1")}), **more}
        share = Share(resource, name, state=state, **given)
        self.ledger.items[resource, name] = share
        return share

    def grant(self, ident: str, name: str = "", grantee: str = ROLE, issuer: str = f"arn:aws:iam::{HUB}:root") -> None:
        self.hub.listed[KEY].append(SeenGrant(ident, name, issuer, grantee))


@pytest.fixture
def setup() -> Setup:
    return Setup()


SNAPSHOT, IMAGE = addresses.snapshot_resource(SNAP).pk, addresses.image_resource(AMI).pk
GRANTS, ROLES = addresses.key_resource(KEY, DEV).pk, addresses.role_resource(KEY, DEV).pk
POLICY = addresses.policy_resource(KEY).pk


# --- what agrees ---


def test_what_the_ledger_accounts_for_is_not_notified(setup):
    """One of each kind that is open and held; and what the hub shares with itself, or grants to AWS's services."""
    setup.hub.open |= {SNAP: {DEV, HUB}, AMI: {DEV}}
    setup.share(SNAPSHOT, DEV)
    setup.share(IMAGE, DEV)
    share = setup.share(GRANTS, "d1", grantee=ROLE)
    setup.grant("g-1", grant_name(share, REGION))
    linked = f"arn:aws:iam::{DEV}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    role = setup.share(ROLES, "autoscaling", grantee=linked)
    setup.grant("g-2", f"{grant_name(role, REGION)}:1", linked, ROLE)
    setup.grant("g-3", grantee="ec2.amazonaws.com")
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"}, "Action": "kms:*", "Resource": "*"}
    setup.hub.policies[KEY] = policy(root, *key_policy.statements(ACCESS))
    setup.share(POLICY, ACCESS.share_name, grantee=ROLE)

    assert setup.day() == []
    assert setup.looks == 6  # snapshot, AMI, policy, and the grants of the hub, DEV and TEST


def test_a_derived_grant_is_no_finding_while_something_on_the_key_is_open_to_its_account(setup):
    """A target may pass on within itself what the hub has opened to it; another one, or afterwards, is a finding."""
    setup.share(POLICY, DEV, grantee=ROLE)
    setup.hub.policies[KEY] = policy(*key_policy.statements(ACCESS))
    others = ROLE.replace(DEV, TEST)
    for number, role in enumerate((ROLE, others)):
        setup.grant(f"g-{number}", "theirs", role, role)
    assert setup.day() == [("notice", "foreign-listed", [others])]

    setup.ledger = MemoryLedger()
    setup.hub.policies[KEY] = "{}"
    assert setup.day() == [("notice", "foreign-listed", [ROLE])]


@pytest.mark.parametrize("how", ["grant", "policy"])
def test_a_grant_for_a_stranger_on_a_standing_key_is_a_page_whoever_made_it(setup, how):
    """Each day, while the share stands by grant or statement, whether a target derived the grant or the hub made it."""
    standing = frozenset({replace(copying("d1"), purpose=Purpose.STANDING)})
    if how == "grant":
        setup.grant("g-1", grant_name(setup.share(GRANTS, "d1", grantee=ROLE, holdings=standing), REGION))
    else:
        setup.share(POLICY, ACCESS.share_name, grantee=ROLE, holdings=standing)
        setup.hub.policies[KEY] = policy(*key_policy.statements(ACCESS))
    assert setup.day() == []

    derived, made = (f"arn:aws:iam::{STRANGER}:role/{name}" for name in ("derived", "made"))
    setup.grant("g-2", "theirs", derived, issuer=ROLE)
    setup.grant("g-3", "ours", made)
    assert setup.day() == [("page", "foreign-stranger", [derived, made])]


def test_a_stranger_in_a_statement_with_the_name_of_an_open_share_is_a_page(setup):
    """Whom a statement admits says its principal, and not its name; so what the share opened is gone."""
    setup.share(POLICY, ACCESS.share_name, grantee=ROLE)
    one, other = key_policy.statements(ACCESS)
    theirs = {"AWS": f"arn:aws:iam::{STRANGER}:root"}
    setup.hub.policies[KEY] = policy({**one, "Principal": theirs}, {**other, "Principal": theirs})
    assert setup.day() == [("warning", "vanished", [DEV]), ("page", "foreign-stranger", [STRANGER])]


@pytest.mark.parametrize(
    ("organization", "applied", "found"),
    [
        ("o-a1b2c3d4e5", True, []),
        ("o-z9y8x7w6v5", True, [("page", "foreign-stranger", ["o-z9y8x7w6v5"])]),
        ("o-z9y8x7w6v5", False, []),
    ],
)
def test_an_organization_that_a_keys_policy_admits_is_a_page_unless_it_is_the_files(
    setup, organization, applied, found
):
    """Of the file's own organization each account may use a key whose owner wants that (`key_access: none`).

    While no file is applied, it is not known which one is the hub's own, and none is judged.
    """
    setup.file = AppliedFile(of_an_ou(DEV), "digest") if applied else AppliedFile(fault=nothing_applied("the table"))
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    condition = {"StringEquals": {"aws:PrincipalOrgID": organization}}
    setup.hub.policies[KEY] = policy({**everybody, "Condition": condition})

    assert setup.day() == found


def test_a_grant_to_a_role_that_was_deleted_is_gone_although_kms_still_lists_it(setup):
    """A role that is made again under the same name gets nothing by it: what the ledger calls open must be opened."""
    linked = f"arn:aws:iam::{DEV}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    share = setup.share(ROLES, "autoscaling", grantee=linked, grant_id="g-1")
    setup.grant("g-1", grant_name(share, REGION), "AROAGONEGONEGONEGONE", f"arn:aws:iam::{DEV}:root")

    assert setup.day() == [("warning", "vanished", [DEV])]


def test_the_hub_of_another_region_is_left_to_its_own_audit(setup):
    """Its grants and statements on this key are no finding, unless a stranger stands in them, or nobody named it."""
    setup.siblings = frozenset({"eu-west-1"})
    setup.grant("g-1", "ami-promoter:eu-west-1:d9:1")
    access = key_policy.Access(DEV, key_policy.Audience.COPIES, ROLE, key_policy.hub_sid(HUB, "eu-west-1"))
    setup.hub.policies[KEY] = policy(*key_policy.statements(access))
    assert setup.day() == []

    root = f"arn:aws:iam::{STRANGER}:root"
    setup.grant("g-2", "ami-promoter:eu-west-1:d9:2", root)
    assert setup.day() == [("page", "foreign-stranger", [root])]

    setup.siblings = frozenset()
    assert [verdict for _, verdict, _ in setup.day()] == ["foreign-listed", "foreign-listed"]


# --- the table of members alone says nothing -------------------------------------------------------------------------


def test_an_account_that_only_the_table_of_members_has_in_an_ou_is_a_stranger(setup):
    """Also where the ledger says that the service opened the share; and an OU whose ARN only the table has."""
    setup.has_an_ou(DEV, TEST)
    evil = ARN.replace("900000000000", STRANGER)
    setup.opened_to(DEV, TEST)
    setup.hub.open[AMI] = {ARN}
    assert setup.day() == [("notice", "foreign-listed", [ARN])]

    setup.whereabouts.says[TEST] = ()
    assert setup.day() == [("page", "own-without-intent", [TEST])]
    setup.hub.open[AMI] = {evil}
    setup.file = AppliedFile(with_members(setup.directory, DEV, arn=evil), "digest")
    assert ("page", "foreign-stranger", [evil]) in setup.day()


@pytest.mark.parametrize(("number", "seconds"), [(3000, 240), (300, 60)])
def test_the_audit_asks_about_each_account_of_a_place_although_no_two_runs_are_of_one_process(setup, number, seconds):
    """Each question takes a quarter of a second; a new process has forgotten every answer."""
    accounts = [f"{one:012}" for one in range(1, number + 1)]
    setup.has_an_ou(*accounts)
    setup.opened_to(*accounts)
    setup.answers_slowly()
    gone = [accounts[0], accounts[-1]]
    setup.whereabouts.says |= dict.fromkeys(gone, ())
    for _ in range(60):
        setup.another_process()
        setup.runs(1, seconds)
        assert setup.hub.spent < seconds
    assert [(one["verdict"], one["receivers"]) for one in setup.topic] == [("own-without-intent", gone)]
    assert len(setup.whereabouts.asked) < 3 * number, "two looks, and what the end of a run has cut off"


def run_until_half_asked(setup, part: PassPart) -> None:
    """Let a run's time be up before it has asked about all accounts of one place."""
    setup.answers_slowly()
    while not (setup.kept.at and setup.kept.at.part == part and setup.kept.at.asked):
        setup.another_process()
        setup.runs(1, 60)
    setup.another_process()


@pytest.mark.parametrize("next_one", ["snap-0a", "snap-0c"])
def test_what_was_asked_about_one_place_counts_for_no_other(setup, next_one):
    """The next run looks at another snapshot: one that is new, or the one after, because the first is deleted."""
    stranger, *others = [f"{one:012}" for one in range(1, 301)]
    setup.has_an_ou(stranger, *others)
    setup.hub.open = {"snap-0b": {stranger, *others}}
    run_until_half_asked(setup, PassPart.SNAPSHOTS)
    setup.hub.open = {next_one: {stranger}}
    setup.whereabouts.says[stranger] = ()

    assert setup.day() == [("page", "foreign-stranger", [stranger])]


def test_whom_the_file_lists_by_now_is_no_page_because_an_earlier_run_has_asked(setup):
    """It was applied between two runs, within the second look at a snapshot."""
    fresh, *others = [f"{one:012}" for one in range(1, 301)]
    setup.has_an_ou(fresh, *others)
    setup.hub.open = {SNAP: {fresh, *others}}
    setup.whereabouts.says[fresh] = ()
    run_until_half_asked(setup, PassPart.DOUBTS)
    accounts = {fresh: (Target(fresh, REGION),)}
    setup.file = replace(setup.file, directory=replace(setup.directory, accounts=accounts), digest="another")

    assert [verdict for severity, verdict, _ in setup.day() if severity == "page"] == []


@pytest.mark.parametrize("kind", [RefusalKind.DENIED, RefusalKind.ROLE, RefusalKind.THROTTLED])
def test_while_organizations_does_not_answer_the_audit_concludes_nothing_of_accounts_of_ous(setup, kind):
    """It reports that it did not see, and pages as soon as it does."""
    setup.has_an_ou(DEV)
    setup.opened_to(DEV)
    setup.whereabouts.says[DEV] = ()
    setup.whereabouts.refuses = refusal(kind, "organization-unreadable")
    assert setup.day() == []
    assert setup.kept.at.not_seen or setup.kept.at.part
    setup.whereabouts.refuses = None
    assert setup.day() == [("page", "own-without-intent", [DEV])]


# --- what does not ---


def test_a_stranger_and_everybody_are_a_page_and_a_listed_account_is_a_notice(setup):
    """On a snapshot, an AMI, in a policy and by a grant; each resource and verdict is one message.

    A grant whose grantee and issuer were deleted admits nobody.
    """
    root = f"arn:aws:iam::{STRANGER}:root"
    setup.hub.open |= {SNAP: {STRANGER, DEV}, AMI: {PUBLIC, TEST}}
    statement = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    setup.hub.policies[KEY] = policy(statement)
    setup.grant("g-1", "theirs", root)
    setup.grant("g-2", "theirs", grantee="AROAGONEGONEGONEGONE", issuer="AIDAGONEGONEGONEGONE")

    assert sorted(setup.day()) == [
        *(("notice", "foreign-listed", [one]) for one in (DEV, TEST)),
        *(("page", "foreign-stranger", [one]) for one in (STRANGER, STRANGER, PUBLIC, root)),
    ]
    assert len(setup.kept.kept) == 6


def test_what_has_the_services_name_without_a_record_is_a_page_and_its_worker_is_woken(setup):
    """A grant and a statement of the service that the ledger does not know."""
    setup.grant("g-1", f"ami-promoter:{REGION}:d9:1")
    setup.hub.policies[KEY] = policy(*key_policy.statements(ACCESS))

    assert sorted(setup.day()) == [("page", "own-without-intent", [DEV]), ("page", "own-without-intent", [ROLE])]
    assert {POLICY, GRANTS, addresses.grants_on(KEY).pk} <= {*setup.woken}


def test_a_stranger_whom_the_ledger_knows_is_a_page_all_the_same(setup):
    """Who has stolen the share worker can forge the ledger, and not the applied file. Preexisting is foreign."""
    setup.opened_to(STRANGER)
    setup.hub.open[AMI] = {STRANGER}
    setup.share(IMAGE, STRANGER, account=STRANGER, preexisting=True)

    assert sorted(verdict for _, verdict, _ in setup.day()) == ["foreign-stranger", "own-without-intent"]


def test_a_file_that_has_just_been_applied_pages_for_nobody_it_took_out(setup):
    """What it took away is being closed; an hour later it must be."""
    setup.opened_to(STRANGER)
    setup.since = NOON + schedule.DAY
    assert setup.day() == []
    setup.since = 1
    assert setup.day() == [("page", "own-without-intent", [STRANGER])]


@pytest.mark.parametrize("resource", [SNAPSHOT, IMAGE, GRANTS, ROLES, POLICY])
def test_what_is_open_and_held_and_does_not_show_has_vanished(setup, resource):
    """Of each kind; but not what was preexisting, is being closed, or that nobody holds."""
    name = DEV if resource in (SNAPSHOT, IMAGE, POLICY) else "d1"
    share = setup.share(resource, name, grantee=ROLE)
    assert setup.day() == [("warning", "vanished", [DEV])]

    for harmless in ({"preexisting": True}, {"state": ShareState.CLOSING}, {"holdings": frozenset()}):
        setup.kept.known.clear()
        setup.ledger.items[resource, name] = replace(share, **harmless)
        assert setup.day() == []


# --- one look proves nothing ---


def test_what_a_second_look_does_not_see_again_is_not_notified(setup):
    """A late read, or something that was just being opened or closed."""
    setup.hub.open[SNAP] = {STRANGER}
    setup.share(IMAGE, DEV)
    setup.run()
    assert setup.kept.at.doubts.keys() == {f"snapshots {SNAP}", f"images {AMI}"}
    setup.hub.open |= {SNAP: set(), AMI: {DEV}}

    assert setup.day() == []


def test_what_only_the_second_look_sees_has_a_second_look_of_its_own(setup):
    """On the same snapshot, with the same verdict: each share was just being opened or closed when it was read."""
    setup.share(SNAPSHOT, DEV)
    setup.run()
    setup.hub.open[SNAP] = {DEV}
    setup.share(SNAPSHOT, TEST, account=TEST)
    assert setup.day() == []

    assert setup.day() == [("warning", "vanished", [TEST])]


def test_so_many_doubts_that_one_item_cannot_store_them_need_no_second_look(setup):
    """Nothing that is open is lost in them."""
    names = [f"snap-{number:08x}" for number in range(60)]
    setup.hub.open = {one: {f"{number:012}" for number in range(1, 500)} for one in names}
    found = setup.day()

    assert len(found) == len(names)
    assert len(json.dumps(setup.kept.most_doubts)) < 250_000


def test_the_second_look_comes_a_quarter_of_an_hour_later(setup):
    """By then every grant shows, and every closing has ended."""
    setup.hub.open[SNAP] = {STRANGER}
    setup.runs(3)
    assert setup.topic == []
    setup.run()

    assert [one["resource"] for one in setup.topic] == [SNAP]


# --- notifying ---


def test_a_finding_is_notified_once_while_it_stays_and_again_when_it_comes_back(setup):
    """Not every day; another receiver is another finding."""
    setup.hub.open[SNAP] = {STRANGER}
    assert [len(setup.day()) for _ in range(9)] == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    setup.hub.open[SNAP] = {STRANGER, "888888888888"}
    assert len(setup.day()) == 1
    setup.hub.open[SNAP] = set()
    for _ in range(8):
        assert setup.day() == []
    setup.hub.open[SNAP] = {STRANGER}
    assert len(setup.day()) == 1


def test_nothing_pages_while_it_learns(setup):
    """What was shared before anybody looked is a notice, and stays one."""
    setup.learning = schedule.DAY
    setup.hub.open[SNAP] = {STRANGER}

    assert setup.day() == [("notice", "foreign-stranger", [STRANGER])]
    assert setup.topic[0]["learning"] is True
    assert setup.day() == []


# --- it ends ---


def many(setup: Setup, snapshots: int) -> None:
    """Let the hub have so many snapshots, the last of them shared with a stranger."""
    setup.hub.open = {f"snap-{number:08x}": set() for number in range(snapshots)}
    setup.hub.open[f"snap-{snapshots - 1:08x}"] = {STRANGER}


def test_a_pass_over_ten_thousand_snapshots_ends_within_four_hours(setup):
    """So many looks a run, and a run every five minutes; then it rests until the next day."""
    many(setup, 10_000)
    runs = 0
    while not (setup.kept.at and setup.kept.at.ended_at):
        before = len(setup.hub.asked)
        setup.runs(1)
        runs += 1
        assert len(setup.hub.asked) - before <= PER_RUN + 6

    assert runs <= 40
    assert len(setup.topic) == 1
    setup.hub.asked.clear()
    setup.run()
    assert setup.hub.asked == []


def test_a_hub_whose_snapshots_take_longer_to_list_than_a_run_may_last_is_audited_in_several(setup):
    """Each run has four minutes, and lists the page where the one before has stopped."""
    many(setup, 1000)
    setup.hub.in_a_page, setup.hub.page_takes = 50, 20
    for _ in range(60):
        setup.runs(1)
        assert setup.hub.spent <= 240

    assert setup.kept.at.ended_at
    assert [one["verdict"] for one in setup.topic] == ["foreign-stranger"]
    assert [args[1] for name, args in setup.telemetry.reported if name == "finding"] == ["foreign-stranger"]
    assert setup.looks == 1000 + 1 + 1 + 2  # each once, a second time, the key's policy, two accounts' grants


def test_where_aws_has_forgotten_how_far_a_list_was_read_it_is_read_again(setup):
    """It may take long until the next run."""
    many(setup, 100)
    setup.hub.in_a_page = 30
    setup.hub.forgotten.add("60")
    setup.runs(1)
    assert ("not_done", ("drift-audit", "It is too old.")) in setup.telemetry.reported
    setup.hub.forgotten.clear()

    assert [verdict for _, verdict, _ in setup.day()] == ["foreign-stranger"]
    assert setup.kept.at.ended_at


class CountedId(str):
    """An account id that counts how often any of them is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    count = 0

    def __eq__(self, other: object) -> bool:
        CountedId.count += 1
        return str.__eq__(self, other)


def test_of_a_snapshot_that_is_open_to_3000_accounts_no_two_are_compared_in_vain(setup):
    """A hub has thousands of snapshots, most of them open to the same accounts. Pairwise it would be half a minute."""
    accounts = [CountedId(f"{one:012}") for one in range(1, 3001)]
    shares = [setup.share(SNAPSHOT, one, account=one) for one in accounts]
    shown = [ShownAccess(one, SNAPSHOT, CountedId(one)) for one in accounts[1:]]
    CountedId.count = 0
    [found] = drift.findings(shown, Situation(HUB, REGION, shares))

    assert (found.verdict, found.receivers) == (ActionVerdict.VANISHED, (accounts[0],))
    assert CountedId.count < 10 * len(accounts)


def test_a_pass_ends_though_every_run_is_killed_after_one_slice(setup):
    """Each goes on behind the last slice that was written."""
    many(setup, 200)
    for _ in range(200 // SLICE + 10):
        setup.kept.saves_left = 1
        with suppress(ProcessKilled):
            setup.run()
        setup.now += FIVE

    assert setup.kept.at.ended_at
    assert [one["verdict"] for one in setup.topic] == ["foreign-stranger"]


def test_a_pass_ends_though_every_run_has_time_for_one_look(setup):
    """It looks, writes how far it came, and is done."""
    many(setup, 30)
    setup.run(seconds=1)
    assert setup.looks == 1
    setup.runs(60, seconds=1)

    assert setup.kept.at.ended_at


def test_one_list_of_a_keys_grants_serves_a_thousand_accounts(setup):
    """Each run lists the grants once: one for the first looks, and one for each 300 of the second."""
    accounts = [f"4{number:011d}" for number in range(1000)]
    setup.file = AppliedFile(Directory(accounts={one: (Target(one, REGION),) for one in accounts}), "digest")
    for account in accounts:
        setup.grant(f"g-{account}", grantee=f"arn:aws:iam::{account}:root")
    setup.day()

    assert setup.kept.at.ended_at
    assert setup.hub.asked.count("grants") <= 10 * (1 + 4)  # ten pages each time


def test_a_list_of_grants_that_takes_too_long_ends_the_run_in_time_and_concludes_nothing(setup):
    """A slow AWS: half a list would show every other grant as vanished. The next run begins the list again."""
    setup.share(GRANTS, "d1", grantee=ROLE)
    for number in range(500):
        setup.grant(f"g-{number}", "theirs", "ec2.amazonaws.com")
    share = setup.ledger.items[GRANTS, "d1"]
    setup.grant("g-ours", grant_name(share, REGION))
    setup.hub.page_takes = 60
    for _ in range(5):
        setup.runs(1)
        assert setup.hub.spent <= 240
    assert not setup.kept.at.ended_at
    setup.hub.page_takes = 0

    assert setup.day() == []
    assert setup.kept.at.ended_at


def test_where_another_run_is_at_it_this_one_stops(setup):
    """EventBridge sends an event twice: both would look at everything."""
    many(setup, 3 * SLICE)
    setup.kept.at = Pass(first_at=1, began_at=1, version=7)
    asked = setup.hub.receivers

    def other(resource: str) -> set[str] | None:
        setup.kept.at = replace(setup.kept.at, version=8)
        return asked(resource)

    setup.hub.receivers = other
    setup.run()

    assert len([one for one in setup.hub.asked if one.startswith("snap-")]) == SLICE


def test_the_key_of_another_account_under_which_the_hub_has_a_snapshot_is_not_asked_for(setup):
    """AWS would refuse to list its grants each day, and its owner answers for whom it admits."""
    theirs = KEY.replace(HUB, STRANGER)
    setup.hub.keys = frozenset({KEY, theirs})
    setup.hub.listed[theirs] = [SeenGrant("g-1", "", f"arn:aws:iam::{STRANGER}:root", ROLE)]
    setup.hub.policies[theirs] = policy({"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"})

    assert setup.day() == []
    assert setup.kept.at.not_seen == 0


@pytest.mark.parametrize("what", [SNAP, AMI, "policy", "grants"])
def test_what_aws_does_not_show_is_counted_and_neither_vanished_nor_in_the_way(setup, what):
    """No answer is no evidence."""
    for resource, name in ((SNAPSHOT, DEV), (IMAGE, DEV), (POLICY, DEV), (GRANTS, "d1")):
        setup.share(resource, name, grantee=ROLE)
    setup.hub.refuses[what] = RefusalKind.DENIED
    found = setup.day()

    assert [verdict for _, verdict, _ in found] == ["vanished"] * 3
    assert setup.kept.at.not_seen == 1
    assert setup.kept.at.ended_at


@pytest.mark.parametrize("what", [SNAP, AMI, "policy", "grants", "snapshots", "images"])
def test_a_throttle_or_an_outage_delays_the_pass_and_no_more(setup, what):
    """It goes on where it stopped, and concludes nothing meanwhile."""
    setup.hub.open[AMI] = {STRANGER}
    setup.hub.refuses[what] = RefusalKind.THROTTLED
    setup.runs(3)
    assert setup.kept.at is None or not setup.kept.at.ended_at
    setup.hub.refuses.clear()

    assert [verdict for _, verdict, _ in setup.day()] == ["foreign-stranger"]


def test_after_one_throttle_the_grants_of_every_account_are_looked_at_all_the_same(setup):
    """Without the list nobody knows which accounts to look at: the next run asks for it again."""
    grantee = f"arn:aws:iam::{DEV}:root"
    setup.grant("g-1", "theirs", grantee)
    setup.hub.throttled_once.add("grants")

    assert setup.day() == [("notice", "foreign-listed", [grantee])]
    assert not setup.hub.throttled_once


def test_without_a_readable_file_nobody_is_called_a_stranger(setup):
    """It waits, and says so; where no file was ever applied everybody is one."""
    setup.hub.open[SNAP] = {DEV}
    readable = setup.file
    setup.file = UNREADABLE
    assert setup.day() == []
    assert ("not_done", ("drift-audit", "It is damaged.")) in setup.telemetry.reported

    setup.file = replace(readable, fault=Fault("no-targets-applied", "here", "None.", "Apply one."))
    assert setup.day() == [("page", "foreign-stranger", [DEV])]


def test_how_long_ago_a_whole_pass_ended_is_reported_with_each_run(setup):
    """So an alarm notices an audit that does not end."""
    setup.hub.refuses["snapshots"] = RefusalKind.DENIED
    setup.run()
    setup.kept.at = Pass(first_at=NOON, began_at=NOON - drift.EVERY)
    setup.now += 3 * schedule.DAY
    setup.run()

    ages = [args[2] for name, args in setup.telemetry.reported if name == "audited"]
    assert ages == [0, 3 * schedule.DAY]
