"""The command line reads a tracked delivery as the service does."""

from dataclasses import replace

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader
from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from tests.ami_promoter.a_hub import AMI, DEV, REGION

COPY = "ami-0aaaaaaaaaaaaaaaa"


def test_what_stands_beside_the_body_of_an_ended_delivery_counts(table):
    """The delivery writes the body when it ends, and does not know when its target joined."""
    tracked = DynamoTrackedDeliveries(table)
    begun = TrackedDelivery("d-1", DEV, REGION, 1, "running", generation=7, joined=7, ssm_parameter="/{family}")
    tracked.add(AMI, begun)
    tracked.end(AMI, TrackedDelivery("d-1", DEV, REGION, 1, "failed", ssm_parameter="/{family}"))

    (read,) = Reader(Connection(REGION)).tracked(AMI)
    assert [read.it] == tracked.all(AMI) == [replace(begun, state="failed")]


def test_of_a_damaged_one_all_that_stands_beside_the_body_is_shown(table):
    """A person sees whose it is, how it ended and which AMI came of it, as the service does."""
    tracked = DynamoTrackedDeliveries(table)
    ended = TrackedDelivery("d-1", DEV, REGION, 2, "delivered", COPY, 7, 7, 9, "/{family}")
    tracked.add(AMI, ended)
    tracked.end(AMI, ended)
    table.update(addresses.tracked_delivery(AMI, "d-1"), "SET body = :body", {":body": "{"})

    (read,) = Reader(Connection(REGION)).tracked(AMI)
    assert [read.it] == tracked.all(AMI) == [ended]
    assert read.damage
