"""A role that the targets file renames while copies run: what is open to the old one is opened to the new one."""

import re
from dataclasses import replace

import pytest

from chalicelib.core.errors import RefusalKind
from chalicelib.core.targets.applied_file import Directory
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
    assert named(hub.at(hub.cloud.now + 600)) == {"AmiCopyRole"}
    renamed = {A: (replace(hub.cloud.directory.accounts[A][0], role_name="Renamed"),)}
    hub.cloud.directory = Directory({"default": (A,)}, renamed)
    judge, answers = hub.share_worker._entitlements.judge, iter(range(denied))

    def judged(*asked):
        if asked[0].startswith("resource#policy#") and next(answers, None) is not None:
            raise refusal(RefusalKind.DENIED, "UnauthorizedOperation")
        return judge(*asked)

    hub.share_worker._entitlements.judge = judged
    hub.cloud.tag("ami-0b", A)
    assert (set(hub.at(hub.cloud.now + 600).outcomes().values()), named(hub)) == ({"copying"}, {"Renamed"})
    hub.run()
    assert (set(hub.outcomes().values()), named(hub)) == ({"delivered"}, set())
    hub.invariants.rest()


def test_an_account_that_leaves_the_file_while_its_role_is_renamed_keeps_no_other_from_the_key():
    """A parked delivery holds the statement; another AMI was to open it to the new role just then."""
    hub = Hub((A, B), target={"key_access": "policy"}, behavior=CloudBehavior(copying=(2 * HOUR,)), watchful=False)
    hub.gate.watch = lambda *_: None
    for number, ami in enumerate(("ami-0a", "ami-0b", "ami-0c")):
        hub.cloud.make_image(ami, {f"snap-0{number}": True})
        hub.cloud.hub_snapshots[f"snap-0{number}"]["KmsKeyId"] = source_key(0)
    hub.cloud.tag("ami-0a", A)
    hub.run(until=hub.cloud.now + 600)
    hub.stores.records.park(hub.delivery_key("ami-0a", A), "for a test", hub.cloud.now)
    accounts = hub.cloud.directory.accounts
    renamed = {**accounts, A: (replace(accounts[A][0], role_name="Renamed"),)}
    hub.cloud.directory = Directory({"default": (A, B)}, renamed)
    hub.cloud.tag("ami-0b", A)
    works, hub.share_worker.run = hub.share_worker.run, lambda *_args, **_left: None
    hub.run(until=hub.cloud.now + 60)
    hub.share_worker.run = works
    hub.cloud.directory = Directory({"default": (B,)}, {B: accounts[B]})
    hub.cloud.tag("ami-0c", B)
    assert hub.at(hub.cloud.now + HOUR).outcomes()["ami-0c", B] == "copying"
    assert all(A not in str(written[-1]) for written in hub.cloud.policies.values())
