"""What records of deliveries prove about the shares that they hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from chalicelib.delivery import proof
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.engine import addresses
from chalicelib.engine.errors import ParkRecord
from chalicelib.engine.ports import Records
from chalicelib.engine.stored import peek, peek_all
from chalicelib.images.arriving import ExaminedSource
from chalicelib.images.source_images import source_image
from chalicelib.sharing.ports import MadeCopies


@dataclass(eq=False)
class RecordedDeliveries:
    """The port ``BegunDeliveries``, from their records."""

    records: Records

    def sources(self, ami: str, deliveries: Collection[str]) -> Mapping[str, ExaminedSource]:
        """See the port."""
        begun = peek_all(self.records, [addresses.delivery(one) for one in deliveries], DELIVERIES)
        read: dict[str, ExaminedSource] = {}
        for delivery in begun:
            if delivery.source not in read:
                with suppress(ParkRecord):
                    image = source_image(self.records, ami, delivery.source, delivery.key)
                    read[delivery.source] = ExaminedSource(image)
        return {one.id: read[one.source] for one in begun if one.source in read}

    def made(self, delivery: str) -> MadeCopies:
        """See the port."""
        made = peek(self.records, addresses.delivery(delivery), DELIVERIES)
        if made is None:
            return MadeCopies()
        accepted = made.accepted if made.image.id == made.accepted else ""
        return MadeCopies(proof.known_copies(made), proof.open_nonces(made), accepted)
