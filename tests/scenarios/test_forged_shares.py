"""Shares forged with the credentials of ``worker``, which writes the table of records [invariants 8 and 11].

The share worker is woken, and finds a share, its holding, and a matching head. It asks EC2 and the applied file, so it
opens nothing, and the share says why.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.promotion.head import Head
from chalicelib.core.records import addresses, codec, wakes
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.sharing.share import Holding, Purpose, Share, ShareState
from chalicelib.ports.records import Write
from tests.scenarios.platform import new_version
from tests.scenarios.scene import DEV, HUB, PROD, REGION, STRANGER, TABLE
from tests.scenarios.test_rights import client

ORGANIZATION = "arn:aws:organizations::900000000000:organization/o-a1b2c3d4e5"
UNIT = "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/ou-ab12-11111111"
SHARING = """\
defaults: {{external_id: only-the-hub-knows, mode: share}}
groups:
  default: ["{dev}"]
  prod: ["{prod}"]
"""
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


NO_PART, ANOTHER, NOT_NOW = "no part of", "another receiver", "does not name it now"
NOT_LISTED = f"does not contain account {STRANGER}"
FORGERIES = {
    "an untagged snapshot, to a stranger": Forgery("snapshot:untagged", STRANGER, (UNTAGGED, STRANGER), NOT_LISTED),
    "a tagged AMI's snapshot, to a stranger": Forgery("snapshot:tagged", STRANGER, (TAGGED, STRANGER), NOT_LISTED),
    "a stranger in the name of a target": Forgery("snapshot:tagged", STRANGER, (TAGGED, DEV), ANOTHER),
    "an untagged snapshot, to a target": Forgery("snapshot:untagged", DEV, (UNTAGGED, DEV), NOT_NOW, WAITS),
    "an untagged snapshot in the name of a tagged AMI": Forgery("snapshot:untagged", DEV, (TAGGED, DEV), NO_PART),
    "a listed account that the tag does not name": Forgery("snapshot:tagged", PROD, (TAGGED, PROD), NOT_NOW, WAITS),
    "another key": Forgery("key:other", DEV, (TAGGED, DEV), NO_PART, grantee=role_of(DEV)),
    "another key by its policy": Forgery("policy:other", DEV, (TAGGED, DEV), NO_PART, grantee=role_of(DEV)),
    "the key, to a stranger's role": Forgery(
        "key:own", DEV, (TAGGED, DEV), "is not of that account", grantee=role_of(STRANGER)
    ),
    "the key, to everybody": Forgery("policy:own", DEV, (TAGGED, DEV), "is not of that account", grantee="*"),
    "launching, by a stranger": Forgery("image:tagged", STRANGER, (TAGGED, DEV), ANOTHER),
    "launching, by an organization": Forgery("image:tagged", ORGANIZATION, (TAGGED, DEV), ANOTHER),
    "launching, by a unit": Forgery("image:tagged", UNIT, (TAGGED, DEV), ANOTHER),
    "launching an untagged AMI": Forgery("image:untagged", DEV, (UNTAGGED, DEV), NOT_NOW, WAITS),
    "launching another AMI than the tagged one": Forgery("image:untagged", DEV, (TAGGED, DEV), NO_PART),
}


class Forger:
    """Writes items and sends wakes with only the credentials that Lambda gives to ``worker``."""

    def __init__(self, scene):
        self._sqs = client(scene, "worker", "sqs")
        self._queue = scene.client("sqs").get_queue_url(QueueName=f"{TABLE}-share-worker.fifo")["QueueUrl"]
        table = Table(client(scene, "worker", "dynamodb"), TABLE)
        self.ledger, self.records = DynamoLedger(table), DynamoRecords(table)
        self.other_key = scene.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.untagged = scene.seed("private", key=self.other_key)
        (image,) = scene.client("ec2").describe_images(ImageIds=[self.untagged])["Images"]
        self.amis = {TAGGED: scene.image, UNTAGGED: self.untagged}
        self.snapshots = {
            TAGGED: scene.snapshots[0],
            UNTAGGED: image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"],
        }
        self.keys = {"own": scene.key, "other": self.other_key}
        self._scene = scene

    def resource(self, forgery: Forgery) -> RecordKey:
        """The key of its record."""
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
        """Write a head with a value in force, a holding with its link, and a record that is due."""
        ami, account = self.amis[forgery.holds[0]], forgery.holds[1]
        value = Head(value=f"default prod {STRANGER}", known=("dev",), standing=True)
        self.records.put(addresses.head(ami), {"kind": "head", "body": json.dumps(codec.encode(value))})
        self.records.put(addresses.standing(ami), {"kind": "standing", "episode": 1})
        resource = self.resource(forgery)
        delivery = addresses.delivery_id(HUB, ami, account, REGION)
        holding = Holding(ami, account, REGION, delivery, 1, purpose)
        wanted = Share(resource.pk, forgery.to, forgery.to, forgery.grantee, last_closing_at=WITHOUT_END)
        self.ledger.hold(resource.pk, wanted, holding)
        now = int(self._scene.world.now.timestamp())
        self.records.replace(Write(resource, "open", {"resource": resource.pk}, now), now)
        body = wakes.encode(wakes.Wake(resource, "forged"))
        group = addresses.digest(resource.pk)
        self._sqs.send_message(
            QueueUrl=self._queue, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=f"{group}{now}"
        )

    def look(self, forgery: Forgery) -> Share:
        """Return the share as the ledger then has it, and delete it."""
        place = self.resource(forgery)
        (share,) = [one for one in self.ledger.shares(place.pk) if one.share_name == forgery.to]
        gone = addresses.share(place, forgery.to)
        self._scene.client("dynamodb").delete_item(TableName=TABLE, Key={"pk": {"S": gone.pk}, "sk": {"S": gone.sk}})
        return share


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_forged_share_is_not_opened_and_says_why(scene, mode, purpose):
    """Whatever it opens to whom: no permission, grant or statement of it appears."""
    if mode == "share":
        scene.apply(SHARING.format(dev=DEV, prod=PROD))
        scene.launches = {DEV}
    scene.promote("")
    before, policy = set(scene.world.shares_open()), _policies(scene)
    forger, begun = Forger(scene), scene.world.now
    for forgery in FORGERIES.values():
        forger.write(forgery, purpose)
        scene.wait(15)
        assert_not_opened(forgery, forger.look(forgery), purpose)
    scene.wait(600)

    assert set(scene.world.shares_open()) == before
    assert _policies(scene) == policy
    assert scene.watch.problems == []
    made = {"ModifySnapshotAttribute", "ModifyImageAttribute", "CreateGrant", "PutKeyPolicy"}
    since = [c for c in scene.world.calls if c.operation in made and c.at > begun]
    assert since == [], "nothing was opened for a moment, either"


CARELESS = """
from chalicelib.ports.ledger import Judgement
from chalicelib.service.entitlements import LiveEntitlements
LiveEntitlements.judge = lambda *_: Judgement()
"""


def test_where_nobody_asks_a_forged_share_opens(scene, tmp_path):
    """The scenario can fail: without the check in the package a stranger may read an untagged snapshot."""
    given = {"TargetAccounts": DEV, "PolicyKeyArns": f"arn:aws:kms:{REGION}:{HUB}:key/*", "HubCopies": "true"}
    scene.world.deploy(new_version(tmp_path, "careless", CARELESS), HUB, REGION, "ami-promoter", given)
    forger = Forger(scene)
    forger.write(FORGERIES["an untagged snapshot, to a stranger"], Purpose.COPY)
    scene.wait(90)

    assert scene.shared_with(forger.snapshots[UNTAGGED]) == {STRANGER}
    assert any(STRANGER in problem for problem in scene.watch.problems)


def assert_not_opened(forgery: Forgery, share: Share, purpose: Purpose) -> None:
    """It is refused for good, or waits for a condition that may change, and it names the reason.

    A standing share also waits if the target's settings do not have it now.
    """
    reason = share.fault or share.waits_for
    assert reason is not None, f"{forgery}: {share}"
    assert reason.code in ("not-entitled", "not-entitled-now", "grantee-elsewhere"), f"{forgery}: {reason}"
    assert share.state in (ShareState.REFUSED, ShareState.WANTED), f"{forgery}: {share}"
    if purpose is Purpose.COPY:
        assert forgery.says in reason.what, f"{forgery}: {reason}"
        assert share.state is (ShareState.REFUSED if forgery.ends == REFUSED else ShareState.WANTED), (
            f"{forgery}: {share}"
        )


def _policies(scene) -> str:
    policy: str = scene.client("kms").get_key_policy(KeyId=scene.key, PolicyName="default")["Policy"]
    return policy
