"""Discovery looks at every tagged AMI, whatever is wrong with the record of one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.core import addresses
from chalicelib.core.errors import NewerSchema, Unreadable
from chalicelib.core.promotion.machine import started
from chalicelib.core.promotion.model import Child, State
from chalicelib.ports import Tagged, Write
from chalicelib.service.bell import Bell
from chalicelib.service.discover import BASELINE, Discover
from chalicelib.service.promotions import plain
from tests.fakes import MemoryChildren, MemoryRecords

HUB, REGION, NOW = "111111111111", "us-east-1", 1_800_000_000


class Source:
    """Two tagged AMIs."""

    def tagged(self):
        """See the port."""
        return [Tagged("ami-0a", "dev"), Tagged("ami-0b", "dev")]


class Rings:
    """Nobody hears."""

    def ring(self, key, cause):
        """Heard by nobody."""


@pytest.mark.parametrize("trouble", [NewerSchema("a newer one"), Unreadable("damaged")])
def test_a_record_that_cannot_be_read_hides_no_other(trouble):
    """After a downgrade, or a damaged item: the AMI beside it is found all the same."""

    class Records(MemoryRecords):
        def read(self, key):
            if key == addresses.promotion("ami-0a"):
                raise trouble
            return super().read(key)

    records = Records()
    records.put(BASELINE, {"kind": "baseline"})

    bell, now = Bell(records, Rings(), lambda: NOW), lambda: NOW
    Discover(records, Source(), None, MemoryChildren(), bell, now, HUB, REGION).run()

    assert list(records.records) == [addresses.promotion("ami-0b")]


class NewFile:
    """The port ``Targets``, as far as discovery asks: a file that has nobody."""

    def digest(self):
        """See the port."""
        return "new"

    def listed(self, receivers):
        """See the port."""
        return frozenset()


def test_one_that_was_still_opening_when_the_file_lost_its_account_is_withdrawn_later():
    """It came to rest in shared after discovery had looked; the next look finds it."""
    ami, target = "ami-0a", "0123456789abcdef0123"
    records, children = MemoryRecords(), MemoryChildren()
    records.put(BASELINE, {"kind": "baseline"})
    records.put(addresses.standing(ami), {"kind": "standing", "episode": 1})
    record = replace(started(ami, HUB, REGION, NOW), state=State.RUNNING, value="dev", standing=True, digest="old")
    records.create(Write(record.key, record.state.value, plain(record), NOW), NOW)
    records.create(Write(addresses.delivery(target), "publishing", {}, NOW), NOW)
    children.add(ami, Child(target, "222222222222", REGION, 1, "running"))
    bell = Bell(records, Rings(), lambda: NOW)
    discover = Discover(records, Source(), NewFile(), children, bell, lambda: NOW, HUB, REGION)

    discover.run()
    assert "cancel" not in records.read(addresses.delivery(target)).hints
    children.end(ami, Child(target, "222222222222", REGION, 1, "shared"))
    discover.run()

    assert records.read(addresses.delivery(target)).hints["cancel"].startswith("1:")
