"""Targets with so many snapshots of others that a list of them takes long: EC2 has a page for every thousand."""

from tests.service.cloud import CloudBehavior
from tests.service.scenes import all_delivered
from tests.service.shared_ami import A, tagged


def test_the_snapshots_of_others_are_not_listed_while_copies_run():
    """The copies are looked at by their ids, however long they take."""
    hub = tagged(accounts=(A,), behavior=CloudBehavior(copying=(10 * 3600,)))
    hub.wait(3600)
    listed = hub.cloud.lists
    hub.wait(12 * 3600)

    all_delivered(hub)
    assert hub.cloud.lists == listed
