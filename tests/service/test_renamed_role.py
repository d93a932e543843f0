"""A role that the targets file renames while copies run: what is open to the old one is opened to the new one."""

import re

import pytest

from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import CloudBehavior, refusal, source_key
from tests.service.hub import Hub
from tests.service.organization import A, B
from tests.service.shared_ami import HOUR


def named(hub: Hub) -> set[str]:
    """The roles that the hub's key policies name now."""
    return {role for written in hub.cloud.policies.values() for role in re.findall(r":role/(\w+)", str(written[-1]))}


@pytest.mark.parametrize("denied", [0, 5])
def test_the_statement_that_serves_all_copies_for_an_account_names_the_role_that_the_file_has_now(denied):
    """Another AMI's copies are under way; the statement goes with the last of them. AWS may deny reads for minutes."""
    hub = Hub((A,), target={"key_access": "policy"}, behavior=CloudBehavior(copying=(2 * HOUR,)))
    for ami, snapshot in (("ami-0a", "snap-00"), ("ami-0b", "snap-01")):
        hub.cloud.make_image(ami, {snapshot: True})
    hub.cloud.tag("ami-0a", A)
    assert named(hub.wait(600)) == {"AmiCopyRole"}
    hub.cloud.change_targets(role_name="Renamed")
    judge, answers = hub.share_worker.entitlements.judge, iter(range(denied))

    def judged(*asked):
        if asked[0][0].resource.startswith("resource#policy#") and next(answers, None) is not None:
            raise refusal(RefusalKind.DENIED, "UnauthorizedOperation")
        return judge(*asked)

    hub.share_worker.entitlements.judge = judged
    hub.cloud.tag("ami-0b", A)
    assert (set(hub.wait(600).outcomes().values()), named(hub)) == ({"copying"}, {"Renamed"})
    hub.run()
    assert (set(hub.outcomes().values()), named(hub)) == ({"delivered"}, set())
    hub.invariants.rest()


def opened_to(hub: Hub) -> set[str]:
    """The roles to which grants or statements open the source's keys now."""
    return named(hub) | {grantee.rpartition("/")[2] for grantee in hub.cloud.grants.values()}


class Renaming:
    """A hub that copies two snapshots, one after the other, and its targets file that renames the role."""

    def __init__(self, key_access: str, **target: object) -> None:
        behavior = CloudBehavior(copying=(2 * HOUR,), limit=1)
        self.hub = Hub((A,), target={"key_access": key_access, **target}, behavior=behavior)
        self.hub.cloud.make_image("ami-0a", {"snap-00": True, "snap-01": True})
        self.started: list[tuple[str, bool]] = []
        start = self.hub.cloud.start_copy

        def start_copy(*args: object) -> object:
            role = self.hub.cloud.directory.accounts[A][0].role_name
            copied = start(*args)
            self.started.append((role, role in opened_to(self.hub)))
            return copied

        self.hub.cloud.start_copy = start_copy
        self.hub.cloud.tag("ami-0a", A)

    def rename(self, role: str = "Renamed") -> None:
        self.hub.cloud.change_targets(role_name=role)


@pytest.mark.parametrize("key_access", ["grant", "policy"])
def test_a_copy_that_starts_after_the_renaming_starts_under_a_role_that_may_use_the_key(key_access):
    """The first copy runs on, and what it needs stays open; at the end nothing is open to either role."""
    it = Renaming(key_access)
    it.hub.wait(600)
    it.rename()
    it.hub.run()

    assert it.started == [("AmiCopyRole", True), ("Renamed", True)]
    assert it.hub.outcomes() == {("ami-0a", A): "delivered"}
    assert opened_to(it.hub) == set()
    it.hub.invariants.rest()


@pytest.mark.parametrize("key_access", ["grant", "policy"])
@pytest.mark.parametrize("after", [0, 1, 5, 20, 60, 7000, 7205])
@pytest.mark.thorough
def test_whenever_the_file_renames_the_role_the_ami_arrives(key_access, after):
    """Before anything is opened, while it is, and between the copies; and back again later."""
    it = Renaming(key_access)
    for role in ("Renamed", "AmiCopyRole"):
        it.hub.wait(after)
        it.rename(role)
    it.hub.run()

    assert it.hub.outcomes() == {("ami-0a", A): "delivered"}
    assert all(may_use for _, may_use in it.started), it.started
    assert opened_to(it.hub) == set()
    it.hub.invariants.rest()


@pytest.mark.parametrize("key_access", ["grant", "policy"])
def test_a_delivery_for_which_the_role_is_renamed_before_its_shares_opens_nothing_to_the_former_role(key_access):
    """It waits for its copy slot; KMS refuses what names a role that its account has deleted meanwhile."""
    it = Renaming(key_access)
    it.hub.cloud.make_image("ami-0b", {"snap-02": True})
    it.hub.cloud.hub_snapshots["snap-02"]["KmsKeyId"] = source_key(2)
    it.hub.wait(600)
    it.hub.cloud.tag("ami-0b", A)
    it.hub.wait(600)
    assert it.hub.outcomes()["ami-0b", A] == "awaiting-slot"
    opened, grant, put = set[str](), it.hub.cloud.grant, it.hub.cloud.put_policy

    def granted(key: str, name: str, grantee: str) -> None:
        opened.update({grantee.rpartition("/")[2]} if key == source_key(2) else ())
        grant(key, name, grantee)

    def written(key: str, text: str) -> None:
        opened.update(re.findall(r":role/(\w+)", text) if key == source_key(2) else ())
        put(key, text)

    it.hub.cloud.grant, it.hub.cloud.put_policy = granted, written
    it.rename()
    it.hub.run()

    assert it.hub.outcomes()["ami-0b", A] == "delivered"
    assert opened == {"Renamed"}


@pytest.mark.parametrize(
    ("target", "wait", "copies"),
    [({"grantee": "account"}, 600, 1), ({}, 3 * HOUR, 2)],
    ids=["the grant names the account", "the last copy has started"],
)
def test_a_renaming_opens_nothing_to_the_new_role_where_no_copy_needs_it(target, wait, copies):
    """A grant to the whole account does not name the role; copies that run need what is open to the old one."""
    it = Renaming("grant", **target)
    it.hub.wait(wait)
    assert it.started == [("AmiCopyRole", "grantee" not in target)] * copies
    before = dict(it.hub.cloud.grants)
    it.rename()
    it.hub.wait(1200)

    assert it.hub.cloud.grants == before
    it.hub.run()
    assert it.hub.outcomes() == {("ami-0a", A): "delivered"}


def test_an_account_that_leaves_the_file_while_its_role_is_renamed_keeps_no_other_from_the_key():
    """A parked delivery holds the statement; another AMI was to open it to the new role just then."""
    hub = Hub((A, B), target={"key_access": "policy"}, behavior=CloudBehavior(copying=(2 * HOUR,))).unwatched()
    for number, ami in enumerate(("ami-0a", "ami-0b", "ami-0c")):
        hub.cloud.make_image(ami, {f"snap-0{number}": True})
        hub.cloud.hub_snapshots[f"snap-0{number}"]["KmsKeyId"] = source_key(0)
    hub.cloud.tag("ami-0a", A)
    hub.wait(600)
    hub.park(hub.delivery_key("ami-0a", A))
    hub.cloud.change_targets(A, role_name="Renamed")
    hub.cloud.tag("ami-0b", A)
    with hub.off("resource"):
        hub.wait(60)
    hub.cloud.drop_targets(A)
    hub.cloud.tag("ami-0c", B)
    assert hub.wait(HOUR).outcomes()["ami-0c", B] == "copying"
    assert all(A not in str(written[-1]) for written in hub.cloud.policies.values())


def test_copies_that_run_end_although_nobody_can_read_the_name_of_the_role():
    """The hub cannot read the account's item in the applied file; only a copy that is to start needs it."""
    it = Renaming("grant")
    it.hub.wait(3 * HOUR)
    assert len(it.started) == 2
    it.hub.gate.refuse("target.snapshots", "role", why=RefusalKind.THROTTLED)
    it.hub.wait(2 * HOUR)

    assert it.hub.outcomes() == {("ami-0a", A): "delivered"}
