"""What a delivery holds for its copies, released where it cannot act and nobody wants these copies any longer.

Its record is damaged or parked, so it cannot release them itself; they would stay until their last closing time.
"""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.core.errors import ParkRecord
from chalicelib.core.images.image import SourceImage, snapshots_to_copy
from chalicelib.core.promotion.model import TrackedDelivery
from chalicelib.core.records import addresses
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.sharing.key_policy import Audience, share_name
from chalicelib.ports.ledger import Ledger
from chalicelib.ports.records import Records, Write
from chalicelib.service.codecs import source_image
from chalicelib.service.waker import Clock, Waker


def release(records: Records, ledger: Ledger, waker: Waker, clock: Clock, ami: str, one: TrackedDelivery) -> None:
    """Release them by what is on record of the source. May be repeated. Of the hub's own copies it knows none."""
    try:
        image = source_image(records, ami, addresses.delivery(one.delivery))
    except ParkRecord:
        return
    for share in ledger.find(list(_places(image, one))):
        held = [holding for holding in share.holdings if holding.delivery == one.delivery and not holding.stands]
        for holding in held:
            ledger.release(share.resource, share.share_name, holding)
        if held:
            write = Write(RecordKey(share.resource), "open", {"resource": share.resource}, clock())
            waker.wake_or_create(write, f"{one.delivery}:let-go:{clock()}")


def _places(image: SourceImage, one: TrackedDelivery) -> Iterator[tuple[str, str]]:
    """Yield which shares a delivery may hold for copies, in either copy method and with any key access."""
    yield addresses.image_resource(image.id).pk, one.account
    for snapshot in snapshots_to_copy(image):
        yield addresses.snapshot_resource(snapshot).pk, one.account
    for key in sorted({snapshot.key for snapshot in image.snapshots if snapshot.key}):
        yield addresses.key_resource(key, one.account).pk, one.delivery
        yield addresses.policy_resource(key).pk, share_name(one.account, Audience.COPIES)
