"""What one look keeps of a hub's records, and what it does not conclude from failed reads."""

import time
from dataclasses import replace

import boto3
from botocore.exceptions import ClientError

from ami_promoter.hub.aws import Connection
from ami_promoter.reconcile.facts import Resource
from ami_promoter.reconcile.findings import findings
from ami_promoter.reconcile.view_reading import Looking
from ami_promoter.terminal.output import EVERY, Progress
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.ports import Write
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.images.source_images import write_source
from chalicelib.sharing.grant_names import grant_name
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import DynamoLedger
from tests.ami_promoter.a_hub import HUB, PROD, REGION, Forbidding, track
from tests.fakes import copying
from tests.images.examples import an_image

DEV = PROD


def name(number):
    return f"{number:020x}"


def a_delivery(table, number, state):
    """Store a delivery's record."""
    body = {"id": name(number), "episode": 1, "state": state, "target": {"account": DEV}}
    DynamoRecords(table).create(Write(addresses.delivery(name(number)), state, body, None), int(time.time()))


def a_snapshot():
    """Make a snapshot that nobody may use yet; return its id."""
    ec2 = boto3.client("ec2", region_name=REGION)
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    return ec2.create_snapshot(VolumeId=volume)["SnapshotId"]


def look():
    """Read the hub alone."""
    return Looking(Connection(REGION)).look(targets=False)


def test_what_is_over_is_not_kept(table):
    """Ended deliveries and promotions and closed shares are not in the view, only ids that others name."""
    ledger = DynamoLedger(table)
    for number in range(30):
        ami, resource = f"ami-{number:02d}", addresses.snapshot_resource(f"snap-{number:02d}").pk
        a_delivery(table, number, "delivered")
        DynamoRecords(table).create(Write(addresses.promotion(ami), "over", {"ami": ami}, None), int(time.time()))
        track(table, TrackedDelivery(name(number), DEV, REGION, 1, "delivered"), ami)
        DynamoRecords(table).create(Write(addresses.RecordKey(resource), "open", {}, None), int(time.time()))
        ledger.hold(Share(resource, DEV, DEV, state=ShareState.CLOSED), copying(name(number)))
        ledger.release(resource, DEV, copying(name(number)))
    a_delivery(table, 77, "copying")
    held = addresses.snapshot_resource("snap-held").pk
    ledger.hold(Share(held, DEV, DEV, state=ShareState.OPEN), copying(name(3)))

    view = look()

    assert {pk for pk, _ in view.items} == {addresses.delivery(name(number)).pk for number in (3, 77)}
    assert set(view.ledger) == {(held, DEV)}
    assert ("held-by-nobody", f"snapshot snap-held to account {DEV}") in [(it.code, it.where) for it in findings(view)]


def test_what_was_shared_once_is_looked_at_though_its_shares_are_over(table):
    """The ledger may have lost its share, so the snapshot's permissions are read all the same."""
    snapshot = a_snapshot()
    DynamoRecords(table).create(Write(addresses.snapshot_resource(snapshot), "open", {}, None), int(time.time()))

    assert look().permissions == {Resource.of(snapshot): frozenset()}


def test_the_snapshots_of_an_ami_that_is_gone_are_looked_at(table):
    """Only the source as it was examined names them: the ledger may have lost what was shared."""
    snapshot, image = a_snapshot(), an_image()
    write_source(DynamoRecords(table), replace(image, snapshots=(replace(image.snapshots[0], id=snapshot),)))

    assert look().permissions == {Resource.of(snapshot): frozenset()}


def test_a_region_in_which_the_hub_may_do_nothing_hides_no_other(table):
    """What is open in the hub's own Region is seen, and the other Region is a finding.

    An organization's policy often lets the hub call AWS in its own Region only.
    """
    snapshot = a_snapshot()
    for resource in (addresses.snapshot_resource(snapshot), addresses.snapshot_resource("snap-0a", "eu-west-1")):
        DynamoRecords(table).create(Write(resource, "open", {}, None), int(time.time()))

    view = Looking(Forbidding(lambda region: region not in (None, REGION))).look(targets=False)

    assert view.permissions == {Resource.of(snapshot): frozenset()}
    assert ("not-seen", f"account {HUB}, eu-west-1") in [(one.code, one.where) for one in findings(view)]


def test_a_key_policy_that_cannot_be_read_safely_is_a_finding(table):
    """What its statements open is not known; the key's grants are seen all the same."""
    kms = boto3.client("kms", region_name=REGION)
    key = kms.create_key(Policy='{"Statement": [], "Statement": []}')["KeyMetadata"]["Arn"]

    view = Looking(Connection(REGION), keys=[key]).look(targets=False)

    assert (dict(view.grants), dict(view.policies)) == ({key: []}, {})
    said = [one.what for one in findings(view) if (one.code, one.where) == ("not-seen", key)]
    assert [one.startswith("The service's statements cannot be found: ") for one in said] == [True]


class RefusingTheSecondPage(Connection):
    """A hub whose key has two pages of grants, of which KMS shows the first."""

    def client(self, service, region=None):
        """Make a client."""
        made = super().client(service, region)
        if service == "kms":
            made.list_grants = self.list_grants
        return made

    def list_grants(self, Marker="", **_asked):  # noqa: N803 - boto3's
        """Answer as KMS does."""
        if Marker:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "denied"}}, "ListGrants")
        grantee = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
        named = grant_name(Share("", f"{name(1)}-AmiCopyRole", DEV, intended_at=7), REGION)
        grant = {"GrantId": "g", "Name": named, "GranteePrincipal": grantee}
        return {
            "Grants": [{**grant, "IssuingAccount": f"arn:aws:iam::{HUB}:root"}],
            "Truncated": True,
            "NextMarker": "2",
        }


def test_the_grants_of_a_key_that_were_read_are_seen_though_its_next_page_is_refused(table):
    """The finding says that the rest is not known; nothing is called closed that the rest may show."""
    key = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["Arn"]
    resource = addresses.key_resource(key, DEV).pk
    held = Share(resource, f"{name(2)}-AmiCopyRole", DEV, state=ShareState.OPEN, last_closing_at=int(time.time()) + 60)
    a_delivery(table, 2, "copying")
    DynamoLedger(table).hold(held, copying(name(2)))

    view = Looking(RefusingTheSecondPage(REGION), keys=[key]).look(targets=False)

    assert [one.grant for one in view.grants[key]] == ["g"]
    found = {one.code: one.what for one in findings(view)}
    assert "Its grants, or the rest of them, cannot be read: " in found["not-seen"]
    assert "open-only-in-ledger" not in found


def test_a_long_reading_says_how_far_it_is_now_and_then(capsys):
    """A line now and then, not at every step."""
    now = [0.0]
    progress = Progress("Reading the grants on keys", lambda: now[0])
    for number in range(100):
        now[0] += EVERY / 20
        progress.at(number, 100)

    said = [f"Reading the grants on keys: {n} of 100." for n in (19, 39, 59, 79, 99)]
    assert capsys.readouterr().err.splitlines() == said
