"""Key access by policy, on the simulator's KMS: which statements the adapter writes, keeps and refuses."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from awsim.services.kms.policies import RESOURCE
from awsim.world import World
from chalicelib.engine.addresses import policy_resource
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.sharing.aws.grants import GrantListing
from chalicelib.sharing.aws.key_policies import ROUNDS, PolicyStatements
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.worker.grant_audit import KEY_GONE
from tests.engine.hub_worker import DEV, HUB, RootSessions
from tests.fakes import MemoryLedger

TEST = "333333333333"
OWNER: dict[str, Any] = {
    "Sid": "Enable IAM User Permissions",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"},
    "Action": "kms:*",
    "Resource": "*",
}


class Key:
    """A key of the hub, its owner, and a permission adapter for it."""

    def __init__(self, world: World) -> None:
        self.world, self.ledger = world, MemoryLedger()
        self.kms = world.client("kms", HUB)
        self.arn = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.resource = policy_resource(self.arn).pk
        self.put(OWNER)
        world.kernel.elapse(300)
        self.adapter = self.another()

    def another(self, region: str = "us-east-1", ledger: MemoryLedger | None = None) -> PolicyStatements:
        """A permission adapter in another execution environment, or of another hub, without the first one's memory."""
        sessions: Any = RootSessions(self.world)
        return PolicyStatements(sessions, ledger or self.ledger, HUB, region)

    def put(self, *statements: dict[str, Any]) -> str:
        """Write a policy by hand; return its text."""
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=4)
        self.kms.put_key_policy(KeyId=self.arn, PolicyName="default", Policy=text)
        return text

    @property
    def text(self) -> str:
        """The policy's present text."""
        return self.world.kms.keys.keys[self.arn].versions[-1].text

    @property
    def sids(self) -> list[str]:
        """The Sids of the present policy."""
        return [statement["Sid"] for statement in json.loads(self.text)["Statement"]]

    def share(self, account: str = DEV, state: ShareState = ShareState.OPENING, **rest: Any) -> Share:
        """A share as the worker has it; the ledger has it, too."""
        grantee = f"arn:aws:iam::{account}:role/AmiCopyRole"
        made = Share(self.resource, account, account, grantee, state=state, **rest)
        self.ledger.items[self.resource, account] = made
        return made

    def opened(self, share: Share) -> Share:
        """The share as the worker writes it when it is open."""
        return self.share(share.account, ShareState.OPEN, opened_at=int(self.world.now.timestamp()))

    def closed(self, share: Share) -> Share:
        """The share as the worker writes it when it is closed."""
        return self.share(share.account, ShareState.CLOSED, closed_at=int(self.world.now.timestamp()))

    def wait(self, seconds: float) -> None:
        self.world.kernel.elapse(seconds)

    def when(self, operation: str, number: int, act: Callable[[], object]) -> None:
        """Run an action after this many calls of an operation have taken effect, before the next."""
        left = [number]

        def hook(call: Any) -> None:
            if call.operation == operation and call.caller.account == HUB:
                left[0] -= 1
                if left[0] == 0:
                    act()

        self.world.gateway.after.append(hook)

    def puts(self) -> int:
        """How many PutKeyPolicy calls have taken effect."""
        return len(self.world.kms.keys.keys[self.arn].versions)


@pytest.fixture
def key() -> Iterator[Key]:
    """A key with its owner's statement only."""
    with World() as world:
        yield Key(world)


def refused(call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def both(account: str) -> list[str]:
    """The Sids of the two statements for a copying role."""
    ours = f"AmiPromoter{HUB}useast1To{account}Copies"
    return [ours, f"{ours}Look"]


def test_it_opens_several_in_one_put_shows_them_and_closes_them(key: Key) -> None:
    """One PutKeyPolicy for all; a repeat changes nothing; after the last is closed the text is the owner's."""
    text, puts = key.text, key.puts()
    shares = [key.share(DEV), key.share(TEST)]

    assert key.adapter.showing(shares) == frozenset()
    assert key.adapter.open(shares) == {}
    key.adapter.open(shares)
    assert key.sids == [OWNER["Sid"], *both(DEV), *both(TEST)]
    assert key.puts() == puts + 1
    assert key.adapter.showing(shares) == {DEV, TEST}
    key.adapter.close(shares[:1])
    assert key.adapter.showing(shares) == {TEST}
    key.adapter.close(shares)
    key.adapter.close(shares)
    assert key.text == text
    assert key.puts() == puts + 3


def test_an_edit_between_the_two_reads_of_a_put_stays(key: Key) -> None:
    """The second read differs from the first: the adapter starts again, and its policy contains the edit."""
    theirs = {**OWNER, "Sid": "Theirs", "Action": "kms:DescribeKey"}
    key.when("GetKeyPolicy", 1, lambda: key.put(OWNER, theirs))

    key.adapter.open([key.share()])

    assert key.sids == [OWNER["Sid"], "Theirs", *both(DEV)]


def test_another_order_of_principals_at_each_read_is_no_edit(key: Key) -> None:
    """KMS lists them as it likes, so two reads of one policy can differ as text: it is put once, and keeps them all."""
    names = [f"arn:aws:iam::{account}:root" for account in (HUB, DEV, TEST, "444444444444", "555555555555")]
    key.put({**OWNER, "Principal": {"AWS": names}})
    key.wait(300)
    puts, share = key.puts(), key.share()

    key.adapter.open([share])
    assert key.adapter.showing([share]) == {DEV}
    key.adapter.close([share])
    assert key.puts() == puts + 2
    (owner,) = json.loads(key.text)["Statement"]
    assert sorted(owner["Principal"]["AWS"]) == names


def test_an_edit_that_removes_the_statement_stays_and_the_statement_is_added_to_it(key: Key) -> None:
    """A stack read the policy before the service's put and wrote it later: a minute later both are there."""
    theirs = {**OWNER, "Sid": "Theirs", "Action": "kms:DescribeKey"}
    key.when("PutKeyPolicy", 1, lambda: key.put(OWNER, theirs))
    share = key.share()

    late = refused(lambda: key.adapter.open([share]))
    assert late.kind is RefusalKind.THROTTLED
    assert late.fault.code == "key-policy-not-shown"
    assert key.sids == [OWNER["Sid"], "Theirs"]
    key.wait(61)
    key.adapter.open([share])
    assert key.sids == [OWNER["Sid"], "Theirs", *both(DEV)]


def test_somebody_who_edits_all_the_time_is_let_be(key: Key) -> None:
    """After some rounds the adapter stops and tries again later; nothing of the owner's is lost."""
    for number in range(1, 4 * ROUNDS):
        theirs = {**OWNER, "Sid": f"Theirs{number}", "Action": "kms:DescribeKey"}
        key.when("GetKeyPolicy", number, lambda theirs=theirs: key.put(OWNER, theirs))

    assert refused(lambda: key.adapter.open([key.share()])).kind is RefusalKind.THROTTLED
    assert key.sids[0] == OWNER["Sid"]
    assert key.sids[1].startswith("Theirs")
    assert len(key.sids) == 2


@pytest.mark.parametrize("closed", [False, True], ids=["opened", "closed"])
@pytest.mark.parametrize("warm", [True, False])
def test_a_late_read_neither_loses_nor_brings_back_a_statement_of_another(key: Key, warm: bool, closed: bool) -> None:
    """It was added or removed seconds ago, and does not show so yet: the adapter writes nothing onto that document.

    This process remembers its own put; another process knows it from the ledger.
    """
    first = key.share(DEV)
    key.adapter.open([first])
    first = key.opened(first)
    if closed:
        key.wait(100)
        key.adapter.close([first])
        key.closed(first)
    there = [OWNER["Sid"], *([] if closed else both(DEV))]
    key.wait(5)
    key.world.injections.stale_reads("GetKeyPolicy", 2, seconds=20)
    adapter = key.adapter if warm else key.another()
    second = key.share(TEST)

    assert refused(lambda: adapter.open([second])).fault.code == "key-policy-not-shown"
    assert key.sids == there
    key.world.injections.calm()
    adapter.open([second])
    assert key.sids == [*there, *both(TEST)]


def test_a_late_read_does_not_make_an_opening_or_a_closing_look_done(key: Key) -> None:
    """Just closed, and it shows; just opened, and it does not: the adapter believes neither read."""
    share = key.share()
    key.adapter.open([share])
    share = key.opened(share)
    key.wait(5)
    key.world.injections.stale_reads("GetKeyPolicy", 1, seconds=20)
    assert refused(lambda: key.another().close([share])).kind is RefusalKind.THROTTLED
    key.world.injections.calm()
    key.wait(100)
    key.adapter.close([share])
    again = replace(key.closed(share), state=ShareState.OPENING)
    key.wait(5)
    key.world.injections.stale_reads("GetKeyPolicy", 1, seconds=20)
    assert refused(lambda: key.another().open([again])).kind is RefusalKind.THROTTLED


@pytest.mark.parametrize("lost", [False, True], ids=["closed", "not in the ledger"])
def test_a_statement_of_the_service_without_an_open_share_goes_with_the_next_put(key: Key, lost: bool) -> None:
    """A concurrent put restored that of a closed share, or the ledger lost it: its Sid says that it is this hub's."""
    share = key.share()
    key.adapter.open([share])
    if lost:
        del key.ledger.items[key.resource, share.share_name]
    else:
        key.closed(share)
    key.wait(100)

    key.another().open([key.share(TEST)])

    assert key.sids == [OWNER["Sid"], *both(TEST)]


def test_two_hubs_of_one_account_let_the_same_target_in_each_by_itself(key: Key) -> None:
    """One manages the key at home, the other through its copies there: closing one's leaves the other's statement."""
    other = key.another("eu-west-1", MemoryLedger())
    share = key.share()
    other.open([share])
    key.wait(600)
    key.adapter.open([share])
    key.wait(600)

    other.close([share])

    assert key.sids == [OWNER["Sid"], *both(DEV)]
    assert key.adapter.showing([share]) == {share.share_name}
    key.wait(600)
    key.adapter.close([share])
    assert key.sids == [OWNER["Sid"]]


def test_a_closed_account_is_refused_alone_and_named(key: Key) -> None:
    """KMS takes no policy that names the account; the refusal names it."""
    key.world.accounts.closed.add(DEV)
    puts = key.puts()

    found = refused(lambda: key.adapter.open([key.share()]))

    assert found.kind is RefusalKind.DENIED
    assert found.fault.code == "key-policy-invalid-principal"
    assert f"account {DEV}" in found.fault.cure
    assert key.puts() == puts


def test_a_dead_principal_is_refused_before_the_put(key: Key) -> None:
    """Also when the service's statement is to be removed: KMS would refuse the policy."""
    share = key.share()
    key.adapter.open([share])
    role = key.world.iam.put_role(HUB, "operators", {"Version": "2012-10-17", "Statement": []})
    ours = [s for s in json.loads(key.text)["Statement"] if s["Sid"] in both(DEV)]
    key.put(OWNER, {**OWNER, "Sid": "Operators", "Principal": {"AWS": role.arn}}, *ours)
    key.world.iam.roles.drop(role.arn)
    puts = key.puts()

    for call in (key.adapter.close, key.adapter.open):
        shares = [share] if call == key.adapter.close else [key.share(TEST)]
        found = refused(lambda call=call, shares=shares: call(shares))
        assert found.fault.code == "key-policy-dead-principal"
        assert "'Operators'" in found.fault.what
        assert role.id in found.fault.what
    assert key.puts() == puts


def test_a_key_of_another_account_is_not_even_read(key: Key) -> None:
    """The adapter refuses it by its ARN."""
    foreign = key.arn.replace(HUB, TEST)
    before = len(key.world.calls)
    found = refused(lambda: key.adapter.open([replace(key.share(), resource=policy_resource(foreign).pk)]))

    assert found.fault.code == "key-policy-foreign"
    assert len(key.world.calls) == before


def test_a_key_that_is_gone_needs_no_closing(key: Key) -> None:
    """The permissions went with the key; an opening is refused with a cure."""
    share = key.share()
    key.kms.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=7)
    key.wait(8 * 24 * 3600)

    key.adapter.close([share])
    assert key.adapter.showing([share]) == frozenset()
    assert refused(lambda: key.adapter.open([share])).fault.code == "key-policy-key-gone"


def test_the_list_of_grants_says_that_the_key_is_gone(key: Key) -> None:
    """The grant audit ends, and nothing is taken for missing there: a key without grants is another thing."""
    sessions: Any = RootSessions(key.world)
    listing = GrantListing(sessions, "the hub")
    grantee = f"arn:aws:iam::{DEV}:root"
    grant = key.kms.create_grant(KeyId=key.arn, GranteePrincipal=grantee, Operations=["Decrypt"])["GrantId"]
    key.wait(600)
    assert [seen.id for seen in listing.page(key.arn, "")[0]] == [grant]
    key.kms.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=7)
    key.wait(8 * 24 * 3600)

    assert refused(lambda: listing.page(key.arn, "")).fault.code == KEY_GONE


def test_a_grant_to_an_aws_service_is_listed_with_the_resource_that_the_service_acts_for() -> None:
    """The drift audit judges it by that account: as grantee KMS shows only the service."""
    theirs = "arn:aws:rds:us-east-1:999999999999:db:theirs"
    of_service = {"GrantId": "g-1", "GranteeServicePrincipal": "rds.amazonaws.com", "GranteePrincipal": "AWS Internal"}
    grants = [{**of_service, "Constraints": {"SourceArn": theirs}}, {**of_service, "GrantId": "g-2"}]
    kms = SimpleNamespace(list_grants=lambda **_: {"Grants": grants})
    sessions: Any = SimpleNamespace(own=lambda *_, **__: kms)

    seen, _ = GrantListing(sessions, "the hub").page(f"arn:aws:kms:us-east-1:{HUB}:key/k", "")
    assert [(one.id, one.grantee) for one in seen] == [("g-1", theirs), ("g-2", "")]


def test_an_old_statement_that_kms_accepts_no_more_is_named_as_a_cause(key: Key) -> None:
    """It refuses every put, the service's too, though nobody has changed it."""
    with key.world.rules.off(RESOURCE):
        key.put(OWNER, {**OWNER, "Sid": "Old", "Action": "kms:Decrypt", "Resource": key.arn})

    found = refused(lambda: key.adapter.open([key.share()]))

    assert found.fault.code == "key-policy-malformed"
    assert 'the Resource "*"' in found.fault.cure


@pytest.mark.parametrize(
    ("aws", "code", "why"),
    [
        ("AccessDeniedException", "key-policy-denied", RefusalKind.DENIED),
        ("LimitExceededException", "key-policy-too-large", RefusalKind.DENIED),
        ("MalformedPolicyDocumentException", "key-policy-malformed", RefusalKind.DENIED),
        ("KMSInvalidStateException", "key-policy-key-state", RefusalKind.DENIED),
        ("ThrottlingException", "aws-throttled", RefusalKind.THROTTLED),
        ("KMSInternalException", "aws-throttled", RefusalKind.THROTTLED),
    ],
)
def test_each_refusal_says_what_to_do(key: Key, aws: str, code: str, why: RefusalKind) -> None:
    """It names account, key and call; the cure is for that code."""
    key.world.injections.refuse("PutKeyPolicy", aws, n=9)

    found = refused(lambda: key.adapter.open([key.share()]))

    assert (found.fault.code, found.kind) == (code, why)
    assert key.arn in found.fault.where
    assert "PutKeyPolicy" in found.fault.what
