"""Record keys: where each record is in the tables, and the ids that follow from its content.

Most functions return a record key; their docstrings say what is stored there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from chalicelib.engine.places import IMAGE, KEY, POLICY, ROLE, SNAPSHOT, Resource

RECORD = "record"
ARCHIVED, SHARE_STEP, SHARE, HOLD = "closed#", "history#share#", "share#", "share-hold#"
"""Beginnings of the sort keys of archived shares, of the entries in a share's history, of shares and of holdings."""


class RecordKey(NamedTuple):
    """A record's address: partition and sort key.

    The partition's name is also the record's message group in the queue.
    """

    pk: str
    sk: str = RECORD

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> RecordKey:
        """Return the address of an item."""
        return cls(item["pk"], item["sk"])

    def __str__(self) -> str:
        return self.pk

    @property
    def kind(self) -> str:
        """The first part of its partition, as ``promotion`` or ``resource``; it says who works on the record."""
        return self.pk.partition("#")[0]

    @property
    def name(self) -> str:
        """The rest of its partition, as the id of a promotion's AMI, or of a delivery."""
        return self.pk[len(self.kind) + 1 :]

    @property
    def share_name(self) -> str:
        """The name in the sort key of a share, a holding, an archived share, or an entry of a share's history."""
        for beginning, parts_after in ((HOLD, 1), (ARCHIVED, 1), (SHARE_STEP, 2)):
            if self.sk.startswith(beginning):
                return self.sk.removeprefix(beginning).rsplit("#", parts_after)[0]
        return self.sk.removeprefix(SHARE)

    @property
    def holder(self) -> str:
        """The delivery in the sort key of a holding."""
        return self.sk.rpartition("#")[2]


ARCHIVED_LATELY = "archived"
"""Member of a resource's record: which shares were archived in the last half hour, and when."""

GONE_WITH_RESOURCE = "gone_with_resource"
"""Attribute of an archived share whose permission went with its snapshot or AMI, and may come back with it."""

SWITCH = RecordKey("switches", "promotions")
"""The operator's switch: {paused, by, at, why}. No item: not paused."""


def withdrawals(ami: str) -> RecordKey:
    """One per AMI with withdrawals, in the operators' table."""
    return RecordKey("withdrawals", ami)


def pin(account: str, region: str, family: str) -> RecordKey:
    """One per target and family that a rollback holds, in the operators' table."""
    return RecordKey("pins", f"{account}/{region}/{family}")


APPROVALS = "approvals"
"""Prefix of the partitions of approvals in the operators' table; an approver may write the one of its own user id."""

OWN_APPROVALS = f"{APPROVALS}#${{aws:userid}}"
"""An approver's own partition, as an IAM policy names it. No user id has a wildcard in it."""


def approval(author: str, ami: str, place: str) -> RecordKey:
    """One per approver (``aws:userid``), AMI and target ("account/region")."""
    return RecordKey(f"{APPROVALS}#{author}", f"{ami}/{place}")


APPLIED_FILE = RecordKey("applied-file")
"""Wakes `worker` to notify people of new versions of the applied file. It is no record."""

STANDING = "standing"
"""The partition of the marks of AMIs with standing shares."""

HEADS = "heads"
"""The partition of all promotions' heads."""

BASELINE_NOTICE = RecordKey("baseline#hub")
"""The notice of the baseline, until it is sent."""

TRIGGER = RecordKey("discovery", "trigger")
"""The trigger tag's key by which the service has looked so far."""


def delivery_id(hub: str, ami: str, account: str, region: str) -> str:
    """Return the id of an AMI's delivery to a target: 20 hexadecimal characters that never change."""
    return digest(hub, ami, account, region, length=20)


def digest(*parts: str, length: int = 32) -> str:
    """Hash parts to hexadecimal; the separator cannot occur in any AWS id."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:length]


DIGEST_LENGTH = 32
"""Hexadecimal characters of ``digest_of``."""


def digest_of(texts: Mapping[str, str]) -> str:
    """Hash named texts, so that a reader notices a damaged or half-written set."""
    return digest(*(f"{name} {text}" for name, text in sorted(texts.items())), length=DIGEST_LENGTH)


def promotion(ami: str) -> RecordKey:
    """One per source AMI."""
    return RecordKey(f"promotion#{ami}")


def delivery(delivery: str) -> RecordKey:
    """One per (source AMI, target)."""
    return RecordKey(f"delivery#{delivery}")


def copy_quota(account: str, region: str) -> RecordKey:
    """One per (account, Region): how many copies may run into it."""
    return RecordKey(f"quota#{account}#{region}")


def last_event(account: str, region: str) -> RecordKey:
    """When the last event from a target reached a delivery: an item beside the copy quota, for `doctor`."""
    return RecordKey(copy_quota(account, region).pk, "last-event")


def no_event(account: str, region: str) -> RecordKey:
    """When a delivery last ended in a target that made an AMI and got no event."""
    return RecordKey(copy_quota(account, region).pk, "no-event")


def inventory(account: str, region: str, *, checks: bool = False, image: str = "") -> RecordKey:
    """Per (account, Region): what the service created there, the target's settings (``checks``), an AMI's use there."""
    about = "#checks" if checks else f"#{image}" if image else ""
    return RecordKey(f"inventory#{account}#{region}{about}")


def inventory_page(inventory_key: RecordKey, page: int) -> RecordKey:
    """One page of what was found."""
    return RecordKey(inventory_key.pk, f"found#{page:05d}")


def inventory_order(inventory_key: RecordKey, run: str, number: int) -> RecordKey:
    """One slice of what an operator wants removed there, each with its result."""
    return RecordKey(inventory_key.pk, f"remove#{run}#{number:05d}")


def snapshot_resource(snapshot: str, region: str = "") -> RecordKey:
    """The message group of one source snapshot's permissions; ``region``: if it is not the hub's."""
    return RecordKey(str(Resource(SNAPSHOT, snapshot, region=region)))


def key_resource(key_arn: str, account: str) -> RecordKey:
    """One account's grants on one source key: each takes its own call, so each account has a message group."""
    return RecordKey(str(Resource(KEY, key_arn, account)))


def policy_resource(key_arn: str) -> RecordKey:
    """The message group of one source key's policy: PutKeyPolicy writes it whole, so all accounts share a group."""
    return RecordKey(str(Resource(POLICY, key_arn)))


def role_resource(key_arn: str, account: str) -> RecordKey:
    """The grants on one key, the hub's or the account's own, for one account's service-linked roles."""
    return RecordKey(str(Resource(ROLE, key_arn, account)))


def image_resource(ami: str) -> RecordKey:
    """The message group of one source AMI's launch permissions."""
    return RecordKey(str(Resource(IMAGE, ami)))


def standing(ami: str) -> RecordKey:
    """The mark that an AMI has, or is about to have, standing shares: discovery compares marked AMIs."""
    return RecordKey(STANDING, ami)


def withdrawal(delivery: str, episode: int) -> RecordKey:
    """The notice of a withdrawal for a delivery that cannot send it, until it is sent."""
    return RecordKey(f"withdrawal#{delivery}#{episode}")


def pointer(account: str, region: str, parameter: str) -> RecordKey:
    """One per parameter that names a family's current AMI. Its name can be longer than a message group's."""
    return RecordKey(f"pointer#{digest(account, region, parameter, length=20)}")


RELEASE = "release#"
"""Beginning of the sort keys of the AMIs of a family in a target."""


def release(pointer_key: RecordKey, source: str) -> RecordKey:
    """One AMI of the family there, by its source."""
    return RecordKey(pointer_key.pk, f"{RELEASE}{source}")


AUDIT = "resource#grants#"


def grants_on(key_arn: str) -> RecordKey:
    """The record of a source key's grant audit."""
    return RecordKey(f"{AUDIT}{key_arn}")


def is_audit(key: RecordKey) -> bool:
    """Whether a record is that of a grant audit."""
    return key.pk.startswith(AUDIT)


def slot(quota: RecordKey, delivery: str) -> RecordKey:
    """One delivery's lease: the slots that it asks for and has."""
    return RecordKey(quota.pk, f"slot#{delivery}")


def share(resource: RecordKey, share_name: str) -> RecordKey:
    """One permission on a resource."""
    return RecordKey(resource.pk, f"{SHARE}{share_name}")


def holding(resource: str, share_name: str, delivery: str) -> RecordKey:
    """What one delivery holds of a share; no delivery's id has a #."""
    return RecordKey(resource, f"{HOLD}{share_name}#{delivery}")


def tracked_delivery(ami: str, delivery: str) -> RecordKey:
    """A promotion's item for one of its deliveries."""
    return RecordKey(f"promotion#{ami}", f"delivery#{delivery}")


SOURCE = "image"
"""Beginning of the sort keys of sources as they were examined."""


def source_image(ami: str, name: str) -> RecordKey:
    """The source image as it was examined once. ``name``: digest of what the item holds."""
    return RecordKey(f"promotion#{ami}", f"{SOURCE}#{name}")


def head(ami: str) -> RecordKey:
    """A promotion's head; all heads are in one partition."""
    return RecordKey(HEADS, ami)


def copy_lookups(account: str, region: str, source_snapshot: str) -> str:
    """Name the partition of look-ups from a copy's event to its deliveries, also before the copy's own id is known."""
    return f"copy#{account}#{region}#{source_snapshot}"


def image_lookups(account: str, region: str, image: str) -> str:
    """Name the partition of look-ups from a target's AMI state event to its delivery."""
    return f"image#{account}#{region}#{image}"


def lookup(partition: str, delivery: str) -> RecordKey:
    """One entry of a look-up partition."""
    return RecordKey(partition, f"delivery#{delivery}")


def archived_share(resource: str, share_name: str, at: int) -> RecordKey:
    """An archived share, and when it was archived."""
    return RecordKey(resource, f"{ARCHIVED}{share_name}#{at:010d}")


def share_history(share_key: RecordKey, at: int, version: int, steps: str) -> RecordKey:
    """One entry of a share's history; versions start again when a share leaves the archive, times do not.

    ``steps``: what it holds, as two runs can write one version in one second.
    """
    return RecordKey(share_key.pk, f"history#{share_key.sk}#{at:010d}#{version:08d}-{digest(steps, length=8)}")


def history(record: RecordKey, version: int) -> RecordKey:
    """An item of a record's history, named for a version."""
    prefix = "" if record.sk == RECORD else f"{record.sk}#"
    return RecordKey(record.pk, f"history#{prefix}{version:08d}")


def findings(resource: str) -> str:
    """Name the partition of what the access monitor found of a resource, in its own table."""
    return f"finding#{resource}"


def finding(resource: str, at: int, event: str, act: str) -> RecordKey:
    """One finding; an event can have two, if one call lets an account in and another out."""
    return RecordKey(findings(resource), f"at#{at:010d}#{event}#{act}")
