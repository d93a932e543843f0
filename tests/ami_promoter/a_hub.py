"""A hub's records as the service writes them at nine o'clock: of one AMI that is promoted, and of its targets file."""

from botocore.exceptions import ClientError

from ami_promoter.hub.aws import Connection
from ami_promoter.targets_file.publishing import Publisher
from chalicelib.delivery.model import ENDED, Delivery, DeliveryState
from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.ports import Write
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.stored import body
from chalicelib.promotion.model import Promotion, PromotionState
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.organization import Membership, Unit
from chalicelib.targets.store.members_table import MembersTable

HUB, REGION, AMI = "123456789012", "us-east-1", "ami-0123456789abcdef0"
TABLE = f"ami-promoter-{REGION}"
CONFIG, MEMBERS = f"{TABLE}-config", f"{TABLE}-members"
DEV, PROD = "111111111111", "222222222222"
NINE = 1767603600
"""2026-01-05T09:00:00Z"""


def write(table, record, due_at=None):
    """Store a record as the service does."""
    assert DynamoRecords(table).create(Write(record.key, record.state, body(record), due_at), NINE)


def a_promotion(ami=AMI, **changes):
    """Build a running promotion."""
    known = {"state": PromotionState.RUNNING, "value": "dev", "image_name": "golden", "since": NINE}
    return Promotion(ami, HUB, REGION, **(known | changes))


def a_delivery(account, state="delivered", episode=1, **changes):
    """Build a delivery of AMI that has been in this state since 09:01."""
    known = {"state": DeliveryState(state), "entered": {DeliveryState(state): NINE + 60}}
    ident, target = addresses.delivery_id(HUB, AMI, account, REGION), Target(account, REGION)
    return Delivery(ident, HUB, AMI, target, episode, NINE, "golden", (), **(known | changes))


def promoted(table, *deliveries, **changes):
    """Store a promotion and its deliveries, each tracked as its state says."""
    write(table, a_promotion(**changes))
    delivered(table, *deliveries)


def delivered(table, *deliveries):
    """Store deliveries, and that their promotions know them as their states say."""
    for one in deliveries:
        write(table, one)
        over = one.state in ENDED or one.state is DeliveryState.SHARED
        state, image = one.state.value if over else "running", one.image.id or ""
        track(table, TrackedDelivery(one.id, one.target.account, one.target.region, 1, state, image), one.ami)


def track(table, entry, ami=AMI):
    """Store what a promotion knows of a delivery."""
    tracked = DynamoTrackedDeliveries(table)
    tracked.add(ami, entry)
    if entry.state != RUNNING:
        tracked.end(ami, entry)


def apply(directory):
    """Put a targets file into force."""
    publisher = Publisher(Connection(REGION))
    publisher.publish(publisher.applied(), directory, "", "2026-01-05T09:00:00Z")


def apply_accounts(*accounts):
    """Put a file into force that lists these accounts."""
    apply(Directory({}, {account: (Target(account, REGION),) for account in accounts}))


def read_unit(client, unit, *accounts):
    """Let discovery have read that a unit has these accounts."""
    members = MembersTable(client, MEMBERS, CONFIG)
    members.publish(Membership(), Membership(units={unit: Unit(f"arn:{unit}", accounts)}), *members.reading())


class AnotherClient:
    """DynamoDB's client, but for what a subclass does otherwise; ``calls``: for so many calls."""

    def __init__(self, client, calls=0):
        self._client, self.calls = client, calls

    def __getattr__(self, name):
        return getattr(self._client, name)


class Forbidding(Connection):
    """A hub's account in which EC2 denies every call in the Regions for which ``forbids`` says so."""

    def __init__(self, forbids):
        self.forbids = forbids
        super().__init__(REGION)

    def client(self, service, region=None):
        """Make a client that fails at each call."""
        made = super().client(service, region)
        if service == "ec2" and self.forbids(region):
            made.meta.events.register("before-call", self.refuse)
        return made

    def refuse(self, **_call):
        """Answer as EC2 does for a denial."""
        raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "denied"}}, "Describe")
