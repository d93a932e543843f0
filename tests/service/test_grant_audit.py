"""The grant audit finds the service's grants that should be closed, and child grants that outlive them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.waker import Waker
from chalicelib.sharing.key_policy import Audience, PolicyShare
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.worker.grant_audit import AFTER, KEY_GONE, GrantAudit, remind
from tests.fakes import SentWakes, copying
from tests.service.cloud import Quiet
from tests.service.gate import ProcessKilled
from tests.stores import in_memory

KEY_ARN = "arn:aws:kms:us-east-1:111111111111:key/5c7c9a1e-0000-4000-8000-000000000001"
HUB, ACCOUNT, OTHER = "111111111111", "222222222222", "333333333333"
CLOSED_AT = 1_800_000_000
OPENED_AT = CLOSED_AT - 3600
REGION = "us-east-1"
GROUP = addresses.grants_on(KEY_ARN)
RESOURCE = addresses.key_resource(KEY_ARN, ACCOUNT)


def root(account: str) -> str:
    """An account, as KMS names an issuer."""
    return f"arn:aws:iam::{account}:root"


def ours(delivery: str, opened_at: int = OPENED_AT, account: str = ACCOUNT, region: str = REGION) -> SeenGrant:
    """A grant with a name of this hub's service."""
    name = f"ami-promoter:{region}:{delivery}:{opened_at}"
    return SeenGrant(f"id-{name}", name, root("111111111111"), f"arn:aws:iam::{account}:role/AmiCopyRole")


def child(number: int, account: str = ACCOUNT) -> SeenGrant:
    """A child grant that an account created with the service's grant, for a role of yet another account."""
    return SeenGrant(f"child-{number}", "", root(account), "arn:aws:iam::444444444444:role/of-ebs")


class Audited(SentWakes):
    """An audit of one key: what the ledger has, and the ``grants`` that KMS shows."""

    def __init__(self, *grants: SeenGrant, refusals: int = 0, code: str = "throttled") -> None:
        super().__init__()
        self.now = CLOSED_AT
        self.stores = in_memory()
        self.reported = Quiet()
        self._grants = grants
        self._refusals, self._code = refusals, code
        self.seconds = 1000
        self.waker = Waker(self.stores.records, self, lambda: self.now)
        self.audit = GrantAudit(
            self.stores.records, self.stores.ledger, self, self.waker, lambda: self.now, self.reported, HUB, REGION
        )

    def page(self, key_arn: str, marker: str) -> tuple[Sequence[SeenGrant], str]:
        """The port ``Grants``: ten to a page."""
        assert key_arn == KEY_ARN
        if self._refusals:
            self._refusals -= 1
            raise Refusal(
                RefusalKind.THROTTLED, Fault(self._code, "hub", "ThrottlingException", "The service tries again.")
            )
        start = int(marker or "0")
        more = start + 10 < len(self._grants)
        return self._grants[start : start + 10], str(start + 10) if more else ""

    def dealt_with(self, delivery: str, state: ShareState, account: str = ACCOUNT, resource: str = "") -> None:
        """Put a delivery's share in this state into the ledger; a closed share leaves it, and a refused one is held."""
        resource = resource or addresses.key_resource(KEY_ARN, account).pk
        share = Share(resource, delivery, account, last_closing_at=CLOSED_AT + 90_000)
        ledger, holding = self.stores.ledger, copying(delivery, account)
        ledger.hold(share, holding)
        refused = Fault("refused", "the key", "KMS refuses it.", "") if state is ShareState.REFUSED else None
        if state is not ShareState.OPEN and refused is None:
            ledger.release(resource, delivery, holding)
        answers = {"fault": refused, "asked": 1, "answered": 1}
        changed = Share(resource, delivery, account, state=state, intended_at=OPENED_AT, **answers)
        ledger.save([changed], "test", CLOSED_AT)
        if state is ShareState.CLOSED:
            ledger.archive([replace(changed, version=1)], CLOSED_AT)

    def remind(self) -> None:
        """Report that a share has closed, as the key's message group does."""
        remind(self.stores.records, RESOURCE.pk, self.now)

    def run(self) -> None:
        """Run the audit once, with ``seconds`` of time; each question takes one of them."""

        def left() -> int:
            self.seconds -= 1
            return self.seconds

        self.audit.run(GROUP, time_left=left)

    def run_later(self) -> None:
        """Report that a share has closed, and run the audit when that is long enough ago."""
        self.remind()
        self.now += AFTER
        self.run()

    @property
    def due(self) -> int | None:
        """When the sweep wakes it next."""
        seen = self.stores.seen(GROUP)
        return None if seen is None else seen.wake_at

    def unrecorded(self, resource: str = RESOURCE.pk) -> list[str]:
        """The ids of grants that are to be closed although no share accounts for them."""
        return sorted(s.grant_id for s in self.stores.ledger.shares(resource) if s.state is ShareState.CLOSING)

    def state(self, delivery: str, account: str = ACCOUNT) -> ShareState:
        """The state of a share in the ledger."""
        shares = self.stores.ledger.shares(addresses.key_resource(KEY_ARN, account).pk)
        return next(s.state for s in shares if s.share_name == delivery)

    @property
    def derived(self) -> list[tuple[str, list[str]]]:
        """The reported grants that outlive the service's: account and grant ids."""
        return [(args[1], list(args[2])) for what, args in self.reported.reported if what == "derived_grants"]


def test_it_looks_only_when_the_last_closing_is_long_enough_ago():
    """KMS may show a grant for minutes after its revocation; each closed share postpones the audit."""
    audited = Audited(child(1), ours("d2", account=OTHER))
    theirs = addresses.key_resource(KEY_ARN, OTHER).pk
    audited.dealt_with("d1", ShareState.CLOSED)
    audited.remind()
    assert audited.woken == []
    assert audited.due == CLOSED_AT + AFTER

    audited.now += 300
    audited.remind()
    audited.now = CLOSED_AT + AFTER
    audited.run()
    assert (audited.derived, audited.unrecorded(theirs), audited.due) == ([], [], CLOSED_AT + 300 + AFTER)

    audited.now = CLOSED_AT + 300 + AFTER
    audited.run()
    assert (audited.derived, audited.unrecorded(theirs)) == ([(ACCOUNT, ["child-1"])], [ours("d2", account=OTHER).id])

    audited.now += 86_400
    audited.remind()
    audited.run()
    assert audited.due == audited.now + AFTER


def test_a_parked_audit_looks_at_nothing_until_it_continues():
    """Each look raises there, whatever closes meanwhile."""
    audited = Audited(ours("d1"))
    audited.remind()
    audited.stores.records.park(GROUP, "IllegalEvent: …", audited.now)
    audited.run_later()

    assert audited.unrecorded() == []


def test_a_key_on_which_shares_close_all_day_is_looked_at_every_hour():
    """It finds the service's grants then; what accounts have made is reported ten minutes after the last closing."""
    audited = Audited(ours("d1"), child(1, OTHER))
    audited.dealt_with("d1", ShareState.CLOSED)
    audited.dealt_with("d2", ShareState.CLOSED, OTHER)
    for _ in range(15):
        audited.remind()
        audited.now += 300
        if audited.due <= audited.now:
            audited.run()
    assert (audited.unrecorded(), audited.derived) == ([ours("d1").id], [])

    audited.now += 3600
    audited.run()
    assert audited.derived == [(OTHER, ["child-1"])]


@pytest.mark.parametrize("state", [ShareState.CLOSED, ShareState.REFUSED], ids=["archived", "refused and held"])
@pytest.mark.parametrize("grant", [ours("d1"), ours("d1", OPENED_AT - 86_400), ours("d9")])
def test_a_grant_of_the_service_that_is_not_open_is_closed_again(grant, state):
    """Opened at any time, and also where the ledger has lost its delivery; the audit repeats until none shows."""
    audited = Audited(grant)
    audited.dealt_with("d1", state)
    audited.run_later()

    assert audited.unrecorded() == [grant.id]
    assert audited.due is not None


def test_an_older_grant_of_a_share_that_is_open_again_is_closed():
    """The grant's name contains its opening: the present one stays."""
    audited = Audited(ours("d1"), ours("d1", OPENED_AT - 86_400))
    audited.dealt_with("d1", ShareState.OPEN)
    audited.run_later()

    assert audited.state("d1") is ShareState.OPEN
    assert audited.unrecorded() == [ours("d1", OPENED_AT - 86_400).id]


ROLE = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
ROLES = addresses.role_resource(KEY_ARN, ACCOUNT).pk


def for_role() -> SeenGrant:
    """A grant that the account created under the service's name for a service-linked role of its own."""
    name = f"ami-promoter:{REGION}:autoscaling_amazonaws_com/AWSServiceRoleForAutoScaling:{OPENED_AT}"
    return SeenGrant("for-role", name, root(ACCOUNT), f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{ROLE}")


@pytest.mark.parametrize(
    ("state", "after"), [(ShareState.OPEN, ShareState.OPEN), (ShareState.CLOSED, ShareState.CLOSING)]
)
def test_a_grant_for_a_service_role_is_the_services_though_the_account_made_it(state, after):
    """It is not reported: an open one stays, and one that should be closed is closed again."""
    audited = Audited(for_role(), child(1))
    audited.dealt_with("d1", ShareState.CLOSED)
    audited.dealt_with(ROLE, state, resource=ROLES)
    audited.run_later()

    assert [share.state for share in audited.stores.ledger.shares(ROLES)] == [after]
    assert audited.derived == []
    assert (audited.due is None) is (state is ShareState.OPEN)


def test_what_is_open_or_nobodys_is_left_alone():
    """A delivery's grant, another owner's grant, and the child of an account that holds a share.

    Two hubs in two Regions of one account share a key: the names of their grants contain the Region.
    """
    somebody = SeenGrant("theirs", "backup", root("111111111111"), "arn:aws:iam::444444444444:role/backup")
    other_hubs = [ours("d2", region=region) for region in ("eu-west-1", "us-east-11")]
    audited = Audited(ours("d1"), somebody, child(1), child(2, OTHER), *other_hubs)
    audited.dealt_with("d1", ShareState.OPEN)
    audited.dealt_with("d2", ShareState.CLOSED)
    audited.run_later()

    assert audited.state("d1") is ShareState.OPEN
    assert audited.unrecorded() == []
    assert audited.derived == []  # d1 still holds a share for the account; OTHER never had one
    assert audited.due is None


def test_each_account_that_left_grants_is_reported_with_them():
    """By one list of grants; not one that holds a share by the policy. A refused share asks for no other audit."""
    by_policy, holds = "444444444444", "555555555555"
    audited = Audited(child(1), child(2), child(3, OTHER), child(4, by_policy), child(5, holds))
    audited.dealt_with("d1", ShareState.CLOSED)
    audited.dealt_with("d2", ShareState.REFUSED, OTHER)
    for account, audience, state in (
        (by_policy, Audience.COPIES, ShareState.CLOSED),
        (holds, Audience.COPIES, ShareState.CLOSED),
        (holds, Audience.ACCOUNT, ShareState.OPEN),
    ):
        statement = str(PolicyShare(account, audience))
        audited.dealt_with(statement, state, account, addresses.policy_resource(KEY_ARN).pk)
    audited.run_later()
    assert audited.derived == [(ACCOUNT, ["child-1", "child-2"]), (OTHER, ["child-3"]), (by_policy, ["child-4"])]


def test_where_time_runs_out_it_goes_on_where_it_stopped():
    """Hundreds of accounts may have grants on a key; each run has time for one of them."""
    accounts = [f"{number:012}" for number in range(30)]
    audited = Audited(*(ours("d1", account=account) for account in accounts))
    for account in accounts[:29]:
        audited.dealt_with("d1", ShareState.OPEN, account)
    audited.dealt_with("d1", ShareState.CLOSED, accounts[29])
    audited.remind()
    audited.now += AFTER
    runs = 0
    while not audited.unrecorded(addresses.key_resource(KEY_ARN, accounts[29]).pk):
        audited.seconds = 0
        audited.run()
        runs += 1
        assert audited.due is not None
    assert runs == 30


def test_many_unrecorded_grants_of_one_account_are_closed_over_several_runs():
    """Each run writes what it found before its time is over, and the next one follows at once."""
    audited = Audited(*(ours(f"d{n:02}") for n in range(30)))
    audited.dealt_with("d00", ShareState.CLOSED)
    audited.remind()
    audited.now += AFTER
    for _ in range(100):
        audited.seconds = 0
        audited.run()
        if len(audited.unrecorded()) == 30:
            break
        assert audited.due == audited.now
        assert audited.woken[-1] == GROUP.pk
    assert len(audited.unrecorded()) == 30


def test_the_audit_of_a_key_that_is_gone_ends():
    """It would ask for the grants every 15 minutes without end."""
    audited = Audited(refusals=9, code=KEY_GONE)
    audited.dealt_with("d1", ShareState.CLOSED)
    audited.run_later()

    assert audited.due is None


def test_a_refused_list_is_asked_for_again():
    """A throttle delays the audit and loses nothing; the audit does not ask again at once."""
    audited = Audited(child(1), refusals=1)
    audited.dealt_with("d1", ShareState.CLOSED)
    audited.run_later()
    assert audited.derived == []
    assert audited.woken == []
    assert audited.due == audited.now + 15 * 60
    audited.now = audited.due
    audited.run()
    assert audited.derived == [(ACCOUNT, ["child-1"])]


def test_an_unrecorded_grant_is_closed_although_the_audit_was_killed_before_it_woke_the_share_worker():
    """Its key has no other share, so nobody else would wake it: the next audit does."""
    it = Audited(ours("d1"))
    it.remind()
    it.now += AFTER
    real = it.waker.wake_resources

    def killed(*_args):
        raise ProcessKilled

    it.waker.wake_resources = killed
    with pytest.raises(ProcessKilled):
        it.run()
    assert it.unrecorded() == [ours("d1").id]
    it.waker.wake_resources = real
    it.now += 180
    it.run()

    assert RESOURCE.pk in it.woken
    assert it.due is not None, "it looks again until the grant is gone"


@pytest.mark.parametrize(("maker", "closes"), [(HUB, True), (OTHER, False)])
def test_a_grant_that_another_hub_made_on_a_target_s_own_key_stays(maker, closes):
    """This hub's account is a target of that hub, too: closing it would take the other's AMIs from Auto Scaling."""
    role = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    grantee = f"arn:aws:iam::{HUB}:role/aws-service-role/{role}"
    name = f"ami-promoter:{REGION}:{role.replace('.', '_')}:{OPENED_AT}:{maker}"
    it = Audited(SeenGrant("theirs", name, root(HUB), grantee))
    it.run_later()

    assert it.unrecorded(addresses.role_resource(KEY_ARN, HUB).pk) == (["theirs"] if closes else [])


@pytest.mark.parametrize("grantee", ["", "a.form.that.nobody.knows"])
def test_a_grant_whose_grantee_kms_shows_in_an_unknown_form_stays(grantee):
    """It may be the one by which a copy runs."""
    it = Audited(replace(ours("d1"), grantee=grantee))
    it.dealt_with("d1", ShareState.OPEN)
    it.run_later()

    for account in (HUB, ACCOUNT):
        assert it.unrecorded(addresses.key_resource(KEY_ARN, account).pk) == []
