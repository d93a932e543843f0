"""Where an image's snapshots come from, as far as EC2 says: a builder may register any snapshot of the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chalicelib.engine.faults import Fault
from chalicelib.images.image import SourceImage, SourceSnapshot, snapshots_to_copy

GOLDEN_TAG = "golden"
"""Key of the tag that snapshots must have where the hub has ``GoldenTagValue`` (``.chalice/extras/rights.yaml``)."""

_MADE_FOR = re.compile(r"\b(?:for|DestinationAmi) (ami-[0-9a-f]+)")
"""EC2's own words: "Created by CreateImage(i-…) for ami-…", "Copied for DestinationAmi ami-… from SourceAmi …".

Nobody can change a snapshot's description, but the person who makes a snapshot writes it."""


def doubts(image: SourceImage) -> Iterator[Fault]:
    """Yield a warning for each snapshot that lacks what the root's has, or was made for another image.

    It proves nothing: an image that was registered of snapshots may well have other origins.
    """
    wanted = snapshots_to_copy(image)
    root = next((one.snapshot_id for one in image.devices if one.name == image.root_device_name), None)
    known = {snapshot.id: snapshot for snapshot in image.snapshots if snapshot.id in wanted}
    beside = known.get(root or "")
    for snapshot in known.values():
        made_for = _made_for(snapshot)
        if made_for not in ("", image.id):
            yield _doubt(image, snapshot, f"it was made for {made_for}")
        elif not made_for and beside is not None and (for_root := _made_for(beside)):
            yield _doubt(image, snapshot, f"the root's was made for {for_root}, and this one says nothing")
        golden = None if beside is None else beside.tags.get(GOLDEN_TAG)
        if golden is not None and snapshot.tags.get(GOLDEN_TAG) != golden:
            yield _doubt(image, snapshot, f"the root's has the tag {GOLDEN_TAG}={golden}, and this one has not")


def _made_for(snapshot: SourceSnapshot) -> str:
    found = _MADE_FOR.search(snapshot.description or "")
    return found[1] if found else ""


def _doubt(image: SourceImage, snapshot: SourceSnapshot, why: str) -> Fault:
    return Fault(
        "source-snapshot-origin",
        f"{image.id}, {snapshot.id}",
        f"The image may contain a volume that its builder did not build: {why}.",
        "Ask who registered the image (`RegisterImage` in CloudTrail), and what is in this snapshot.",
    )
