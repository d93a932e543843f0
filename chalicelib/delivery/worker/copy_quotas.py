"""The worker of copy quotas: counts the slots of one (account, Region) and grants the free ones, oldest delivery first.

It writes each grant into the delivery's own item, and wakes the delivery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery import copy_quota
from chalicelib.delivery.codecs import DELIVERIES, quota_to_store
from chalicelib.delivery.copy_quota import CopyQuota, SlotLease
from chalicelib.delivery.ports import SlotLeases
from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import TimeLeft
from chalicelib.engine.errors import ParkRecord
from chalicelib.engine.ports import Records, Stored, Telemetry
from chalicelib.engine.stored import peek, read_body
from chalicelib.engine.waker import Clock, Waker

ROUNDS = 5
"""How often one run counts again because it was woken while it worked; after that it wakes itself."""

NEEDS_SECONDS = 16
"""Seconds that must be left to look at a delivery, or to grant: two SDK time-outs."""


@dataclass(eq=False)
class CopyQuotas:
    """Works on one quota at a time."""

    records: Records
    slots: SlotLeases
    waker: Waker
    clock: Clock
    telemetry: Telemetry

    def run(self, key: RecordKey, *, time_left: TimeLeft) -> None:
        """Grant what is free; the next run does what there is no time for."""
        for _ in range(ROUNDS):
            try:
                stored = self.records.read(key)
                if stored is None or stored.parked:
                    return
                quota = read_body(CopyQuota, stored)
            except ParkRecord as error:
                self._rebuild(key, error)
            else:
                if self._counted(stored, quota, time_left):
                    return
            if time_left() < NEEDS_SECONDS:
                break
        self.waker.send(key, f"more:{self.clock()}")

    def _rebuild(self, key: RecordKey, error: ParkRecord) -> None:
        """Replace a record that this version cannot read. It has only a limit, which EC2's answers will show again.

        Parking it would delay every AMI for that account, and after a rollback every AMI for all accounts.
        """
        account, region = key.name.split("#")
        self.records.replace(quota_to_store(CopyQuota(account, region), self.clock()), self.clock())
        self.telemetry.repaired(key, f"The copy quota's record was written again. {error}")

    def _counted(self, stored: Stored, quota: CopyQuota, time_left: TimeLeft) -> bool:
        """Count, grant, and write the record; False if time ran out, or a delivery woke the quota meanwhile."""
        now = self.clock()
        leases = {lease.delivery: lease for lease in self.slots.leases(stored.key)}
        after = copy_quota.learn(quota, leases.values(), now)
        in_time = self._look(stored.key, after.limit, leases, now, time_left)
        in_time = in_time and self._grant(stored.key, after.limit, leases, now, time_left)
        next_look = copy_quota.next_look(leases.values(), now)
        after = replace(after, full=next_look is not None)
        due_at = next_look if in_time else now
        if after == quota and due_at is None and stored.scheduled is None:
            return True
        saved = self.records.save(stored, quota_to_store(after, due_at), (), now) is not None
        if saved and after.full and not quota.full:
            self._ask_for_slots(leases, now)
        return saved and in_time

    def _ask_for_slots(self, leases: dict[str, SlotLease], now: int) -> None:
        """Wake the deliveries with running copies: one may have ended unseen, and another delivery needs its slot."""
        busy = [lease for lease in leases.values() if lease.running > 0]
        self.waker.wake_all([(addresses.delivery(lease.delivery), f"slots-wanted:{now}") for lease in busy])

    def _look(self, key: RecordKey, limit: int, leases: dict[str, SlotLease], now: int, time_left: TimeLeft) -> bool:
        """Renew the expired leases of deliveries that continue, and take back the others; False if time ran out."""
        while doubtful := copy_quota.in_doubt(limit, leases.values(), now):
            for lease in doubtful:
                if time_left() < NEEDS_SECONDS:
                    return False
                if self.goes_on(lease):
                    leases[lease.delivery] = replace(lease, until=now + schedule.LEASE)
                    self.slots.grant(key, leases[lease.delivery])
                else:
                    del leases[lease.delivery]
                    self.slots.drop(key, lease)
                    what = f"{lease.running} copy slots of delivery {lease.delivery} were taken back"
                    self.telemetry.repaired(key, f"{what}: no worker continues that delivery.")
        return True

    def goes_on(self, lease: SlotLease) -> bool:
        """Whether the delivery continues in the lease's episode: its record can be read, is not parked, has not ended.

        Then the sweep wakes it sooner or later.
        """
        delivery = peek(self.records, addresses.delivery(lease.delivery), DELIVERIES)
        return delivery is not None and delivery.episode == lease.episode and not delivery.ended

    def _grant(self, key: RecordKey, limit: int, leases: dict[str, SlotLease], now: int, time_left: TimeLeft) -> bool:
        """Grant what is free and wake those that got more; one whose wake is lost sees its grant at its next look."""
        for lease in copy_quota.grants(limit, leases.values(), now):
            if time_left() < NEEDS_SECONDS:
                return False
            self.slots.grant(key, lease)
            leases[lease.delivery] = lease
            self.waker.send(addresses.delivery(lease.delivery), f"slots:{lease.episode}:{lease.granted}:{now}")
        return True
