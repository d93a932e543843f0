"""Shares forged with the credentials of ``worker``, which writes the table of records, and members with those of
``discover``.
"""

import json
from dataclasses import dataclass, replace

from chalicelib.engine import addresses, codec, wakes
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Write
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.store.table import Table
from chalicelib.sharing.head import Head
from chalicelib.sharing.share import Holding, Purpose, Share
from chalicelib.sharing.store.ledger import DynamoLedger
from chalicelib.targets.store.members_table import MembersTable
from tests.scenarios.scene import HUB, REGION, STRANGER, TABLE
from tests.scenarios.stolen import CONFIG, MEMBERS, client

UNTAGGED, TAGGED = "untagged", "tagged"
REFUSED, WAITS = "refused", "waits"
WITHOUT_END = 2**31


@dataclass(frozen=True)
class Forgery:
    """A forged share: what it opens to whom; ``holds``: the AMI and account of its holding."""

    resource: str
    to: str
    holds: tuple[str, str]
    says: str
    ends: str = REFUSED
    grantee: str = ""


def role_of(account: str) -> str:
    """The principal that copies in an account."""
    return f"arn:aws:iam::{account}:role/AmiCopyRole"


class Forger:
    """Writes items and sends wakes with only the credentials that Lambda gives to a function."""

    def __init__(self, scene, function="worker"):
        self._sqs = client(scene, function, "sqs")
        self._queue = scene.client("sqs").get_queue_url(QueueName=f"{TABLE}-share-worker.fifo")["QueueUrl"]
        table = Table(client(scene, function, "dynamodb"), TABLE)
        self.ledger, self.records = DynamoLedger(table), DynamoRecords(table)
        self.other_key = scene.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.untagged = scene.seed("private", key=self.other_key)
        self.amis = {TAGGED: scene.image, UNTAGGED: self.untagged}
        self.snapshots = {TAGGED: scene.snapshots[0], UNTAGGED: scene.snapshots_of(self.untagged)[0]}
        self.keys = {"own": scene.key, "other": self.other_key}
        self._scene = scene

    def resource(self, forgery: Forgery) -> RecordKey:
        kind, _, which = forgery.resource.partition(":")
        match kind:
            case "snapshot":
                return addresses.snapshot_resource(self.snapshots[which])
            case "image":
                return addresses.image_resource(self.amis[which])
            case "policy":
                return addresses.policy_resource(self.keys[which])
        return addresses.key_resource(self.keys[which], forgery.to)

    def write(self, forgery: Forgery, purpose: Purpose) -> None:
        """Write a head with a value in force, a holding, and a record that is due."""
        ami, account = self.amis[forgery.holds[0]], forgery.holds[1]
        value = Head(value=f"default prod {STRANGER}", known=("dev",), standing=True)
        self.records.put(addresses.head(ami), {"kind": "head", "body": json.dumps(codec.encode(value))})
        self.records.put(addresses.standing(ami), {"kind": "standing", "episode": 1})
        resource = self.resource(forgery)
        delivery = addresses.delivery_id(HUB, ami, account, REGION)
        holding = Holding(ami, account, REGION, delivery, 1, purpose)
        wanted = Share(resource.pk, forgery.to, forgery.to, forgery.grantee, last_closing_at=WITHOUT_END)
        self.ledger.hold(wanted, holding)
        now = int(self._scene.world.now.timestamp())
        self.records.replace(Write(resource, "open", {"resource": resource.pk}, now), now)
        body = wakes.encode(wakes.Wake(resource, "forged"))
        group = addresses.digest(resource.pk)
        self._sqs.send_message(
            QueueUrl=self._queue, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=f"{group}{now}"
        )

    def look(self, forgery: Forgery) -> Share:
        """Return the share as the ledger then has it, and delete it with its holdings."""
        place = self.resource(forgery)
        (share,) = [one for one in self.ledger.shares(place.pk) if one.share_name == forgery.to]
        held = [addresses.holding(place.pk, forgery.to, one.delivery) for one in share.holdings]
        for gone in (addresses.share(place, forgery.to), *held):
            key = {"pk": {"S": gone.pk}, "sk": {"S": gone.sk}}
            self._scene.client("dynamodb").delete_item(TableName=TABLE, Key=key)
        return share


def add_the_stranger(scene):
    """Write the stranger beside the members of each unit, with the credentials of ``discover``, as it does."""
    store = MembersTable(client(scene, "discover", "dynamodb"), MEMBERS, CONFIG)
    before = store.membership()
    members = {name: tuple(sorted({*unit.accounts, STRANGER})) for name, unit in before.units.items()}
    after = replace(before, units={name: replace(before.units[name], accounts=them) for name, them in members.items()})
    assert before == after or store.publish(before, after, *store.reading())
