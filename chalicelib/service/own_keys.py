"""Grants on a target's own key for its service-linked roles, which all AMIs delivered there need.

One delivered AMI's holding is enough to keep such a grant. With one for each AMI, the share's item would exceed
DynamoDB's 400 KB.
"""

from __future__ import annotations

from chalicelib.core.delivery.model import Delivery, DeliveryState
from chalicelib.core.records import addresses
from chalicelib.core.sharing.share import Holding, ShareState
from chalicelib.ports.ledger import Ledger
from chalicelib.ports.records import Records
from chalicelib.service.codecs import DELIVERIES, peek

LOOKS = 8
"""Most other deliveries that it reads; if none of them is delivered, this delivery keeps its holding."""


def leave_to_another(records: Records, ledger: Ledger, delivery: Delivery) -> None:
    """Release a delivery's holding on its target's key, if another delivery that is already delivered has one.

    That one is past this step, so no two deliveries leave the grant to each other.
    """
    for share in (one for one in delivery.shares.needed if addresses.at_home(one.resource)):
        found = (one for one in ledger.shares(share.resource) if one.share_name == share.share_name)
        for entry in (one for one in found if one.state is ShareState.OPEN):
            mine = [holding for holding in entry.holdings if holding.delivery == delivery.id]
            others = sorted(entry.holdings.difference(mine), key=str)
            if any(_is_delivered(records, other) for other in others[:LOOKS]):
                for holding in mine:
                    ledger.release(share.resource, share.share_name, holding)


def _is_delivered(records: Records, holding: Holding) -> bool:
    found = peek(records, addresses.delivery(holding.delivery), DELIVERIES) if holding.stands else None
    return found is not None and found.state is DeliveryState.DELIVERED
