"""A role that the targets file renames while copies run: what is open to the old one is opened to the new one."""

from __future__ import annotations

import re
from dataclasses import replace

from chalicelib.core.targets.applied_file import Directory
from tests.service.cloud import CloudBehavior
from tests.service.hub import Hub
from tests.service.organization import A
from tests.service.shared_ami import HOUR


def named(hub: Hub) -> set[str]:
    """The roles that the hub's key policies name now."""
    return {role for written in hub.cloud.policies.values() for role in re.findall(r":role/(\w+)", str(written[-1]))}


def test_the_statement_that_serves_all_copies_for_an_account_names_the_role_that_the_file_has_now():
    """Another AMI's copies are under way; the statement goes with the last of them."""
    hub = Hub((A,), target={"key_access": "policy"}, behavior=CloudBehavior(copying=(2 * HOUR,)))
    for ami, snapshot in (("ami-0a", "snap-00"), ("ami-0b", "snap-01")):
        hub.cloud.make_image(ami, {snapshot: True})
    hub.cloud.tag("ami-0a", A)
    hub.run(until=hub.cloud.now + 600)
    assert named(hub) == {"AmiCopyRole"}
    renamed = {A: (replace(hub.cloud.directory.accounts[A][0], role_name="Renamed"),)}
    hub.cloud.directory = Directory({"default": (A,)}, renamed)
    hub.cloud.tag("ami-0b", A)
    hub.run(until=hub.cloud.now + 600)

    assert (set(hub.outcomes().values()), named(hub)) == ({"copying"}, {"Renamed"})
    hub.run()
    assert (set(hub.outcomes().values()), named(hub)) == ({"delivered"}, set())
    hub.invariants.rest()
