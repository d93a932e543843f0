"""Sources as they were examined, each an item beside the promotion's record."""

from __future__ import annotations

from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import Unreadable
from chalicelib.engine.ports import Records
from chalicelib.engine.stored import compact, read_item
from chalicelib.images.image import SourceImage


def write_source(records: Records, image: SourceImage) -> str:
    """Write a source as it was examined; return its name, which is the digest of its content.

    So the same content is one item, and nobody can change what a delivery began with.
    """
    text = compact(codec.encode(image))
    name = addresses.digest(text)
    records.put(addresses.source_image(image.id, name), {"kind": "image", "body": text})
    return name


def source_image(records: Records, ami: str, name: str, whose: RecordKey) -> SourceImage:
    """Read the source as it was when it was examined; by now it may be gone. ``whose``: the record that asks.

    ``name``: as ``write_source`` returned it. Raises Unreadable.
    """
    item, what = records.get(addresses.source_image(ami, name)), f"{whose}: the source image {ami}"
    image = read_item(SourceImage, item, what)
    if item is not None and addresses.digest(str(item["body"])) != name:
        raise Unreadable(f"{what} is not what was examined: it has been changed since.")
    return image


def some_source_image(records: Records, ami: str, whose: RecordKey) -> SourceImage:
    """Read an AMI as it was once examined: which snapshots it has never changes. Raises Unreadable."""
    found = records.list(addresses.promotion(ami).pk, addresses.SOURCE)
    item = found[0][1] if found else None
    return read_item(SourceImage, item, f"{whose}: the source image {ami}")
