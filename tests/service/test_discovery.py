"""Discovery looks at every tagged AMI, whatever is wrong with the record of one of them."""

from __future__ import annotations

import pytest

from chalicelib.core import addresses
from chalicelib.core.errors import NewerSchema, Unreadable
from chalicelib.ports import Tagged
from chalicelib.service.bell import Bell
from chalicelib.service.discover import BASELINE, Discover
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
