"""Sources as they were examined: what a delivery reads is what its promotion wrote."""

import json

import pytest

from chalicelib.engine import addresses, codec
from chalicelib.engine.errors import Unreadable
from chalicelib.images.source_images import source_image, write_source
from tests.fakes import MemoryRecords
from tests.images.examples import an_image


@pytest.mark.parametrize("named", [True, False])
def test_what_was_changed_since_it_was_examined_is_not_read(named):
    """A thief who can write items neither changes what was examined, nor makes a record ask for what has no digest."""
    records, image = MemoryRecords(), an_image()
    name = write_source(records, image) if named else ""
    asks = addresses.promotion(image.id)
    if named:
        assert source_image(records, image.id, name, asks) == image

    forged = json.dumps({**codec.encode(image), "name": "another"})
    records.put(addresses.source_image(image.id, name), {"kind": "image", "body": forged})
    with pytest.raises(Unreadable, match="is not what was examined"):
        source_image(records, image.id, name, asks)
