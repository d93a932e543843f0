"""Releases what a delivery holds for copies that nobody wants any longer, if it cannot do so itself.

Its record is parked or damaged. Without this, the shares would stay open until their last closing time.
"""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import ParkRecord
from chalicelib.engine.ports import Records
from chalicelib.engine.waker import Waker
from chalicelib.images.image import SourceImage, snapshots_to_copy
from chalicelib.images.source_images import some_source_image
from chalicelib.sharing import holders
from chalicelib.sharing.key_policy import Audience, PolicyShare
from chalicelib.sharing.ports import Ledger
from chalicelib.sharing.share import Holding, Share

CALLS = 4
"""Calls to release one holding: the release, and a wake with its two writes and a message."""


def release(records: Records, ledger: Ledger, waker: Waker, ami: str, one: TrackedDelivery, budget: Budget) -> bool:
    """Release a delivery's holdings by what is on record of its source; False if there was no time for all.

    May be repeated: an earlier run may have been killed between a release and its wake, so the resource of a share that
    nobody holds is woken, too. Shares of the hub's own copies are not found.
    """
    try:
        image = some_source_image(records, ami, addresses.delivery(one.delivery))
    except ParkRecord:
        return True
    shares = [*ledger.find(list(_places(image, one))), *_grants(ledger, image, one)]
    found = [(share, _held(share, one)) for share in shares]
    left = [(share, held) for share, held in found if held or (holders.needed(share) and not share.holdings)]
    done = 0
    for share, held in budget.each(sorted(left, key=lambda pair: not pair[1]), CALLS):  # those with holdings first
        for holding in held:
            ledger.release(share.resource, share.share_name, holding)
        waker.wake_resources([share.resource], f"{one.delivery}:let-go:{waker.clock()}")
        done += 1
    return done == len(left)


def _held(share: Share, one: TrackedDelivery) -> list[Holding]:
    return [holding for holding in share.holdings if holding.delivery == one.delivery and not holding.stands]


def _places(image: SourceImage, one: TrackedDelivery) -> Iterator[tuple[str, str]]:
    """Yield which shares a delivery may hold for copies, in either copy method and with any key access."""
    yield addresses.image_resource(image.id).pk, one.account
    for snapshot in snapshots_to_copy(image):
        yield addresses.snapshot_resource(snapshot).pk, one.account
    for key in _keys(image):
        yield addresses.policy_resource(key).pk, str(PolicyShare(one.account, Audience.COPIES))


def _grants(ledger: Ledger, image: SourceImage, one: TrackedDelivery) -> Iterator[Share]:
    """Yield the account's grants to copy by; their names contain a role that only the delivery's record has."""
    for key in _keys(image):
        for share in ledger.shares(addresses.key_resource(key, one.account).pk):
            if share.share_name.startswith(one.delivery):
                yield share


def _keys(image: SourceImage) -> list[str]:
    return sorted({snapshot.key for snapshot in image.snapshots if snapshot.key})
