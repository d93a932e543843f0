"""The lane of a destination: hands out copy slots, oldest delivery first."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core import addresses, codec, destination
from chalicelib.core.addresses import Key
from chalicelib.core.destination import Destination
from chalicelib.core.errors import ParkRecord, Unreadable
from chalicelib.ports import Records, SlotBook, Stored, Telemetry, Write
from chalicelib.service import deliveries
from chalicelib.service.bell import Bell, Clock

ROUNDS = 5
"""Notes that come while it works make it look again; after so many it rings itself."""


class Destinations:
    """Works on one destination at a time."""

    def __init__(self, records: Records, slots: SlotBook, bell: Bell, clock: Clock, telemetry: Telemetry) -> None:
        self._records = records
        self._slots = slots
        self._bell = bell
        self._clock = clock
        self._telemetry = telemetry

    def run(self, key: Key) -> None:
        """Hand out what is free, and tell those who got it."""
        try:
            stored = self._records.begin(key)
            for _ in range(ROUNDS):
                if stored is None or stored.parked or self._settled(stored):
                    return
                stored = self._records.read(key)
            self._bell.ring(key, f"more:{self._clock()}")
        except ParkRecord as trouble:
            self._records.park(key, str(trouble), self._clock())
            self._telemetry.parked(key, str(trouble))

    def _settled(self, stored: Stored) -> bool:
        """Hand out, and write the record; False if somebody noted something meanwhile."""
        record = parse(stored)
        asked = self._slots.asked(stored.key)
        after = destination.learn(record, asked, self._clock())
        given = destination.hand_out(after.limit, asked)
        for slots in given:
            self._slots.grant(stored.key, slots, told=False)
            hint = f"{slots.episode}:{slots.granted}"
            self._bell.note(addresses.delivery(slots.delivery), {"slots": hint}, f"slots:{hint}")
            self._slots.grant(stored.key, slots, told=True)
        totals = {slots.delivery: slots for slots in given}
        now_asked = [totals.get(slots.delivery, slots) for slots in asked]
        for slots in now_asked:
            if slots.over:
                self._slots.drop(stored.key, slots)
        due_at = destination.next_look(after, now_asked, self._clock())
        after = replace(after, due_at=due_at, full=due_at is not None)
        if after == record and not stored.astir:
            return True
        write = Write(stored.key, destination.state(after), deliveries.plain(after), after.due_at)
        return self._records.save(stored, write, (), self._clock())


def parse(stored: Stored) -> Destination:
    """Read a destination from its item. Raises Unreadable."""
    try:
        return replace(codec.decode(Destination, stored.body, str(stored.key)), hints=stored.hints)
    except ValueError as error:
        raise Unreadable(str(error)) from error
