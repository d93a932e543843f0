"""What of a source arrives in a target: exactly this is registered, and an approval is for its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.engine.addresses import digest
from chalicelib.images import register
from chalicelib.images.image import SourceImage, snapshots_to_copy


def kept(image: SourceImage, trigger_tag: str) -> SourceImage:
    """Return the source as it is kept on record: without the tags that no copy gets."""
    snapshots = (
        replace(snapshot, tags=register.copied_tags(snapshot.tags, trigger_tag)) for snapshot in image.snapshots
    )
    return replace(image, tags=register.copied_tags(image.tags, trigger_tag), snapshots=tuple(snapshots))


def arriving(image: SourceImage, carried: Sequence[str]) -> Mapping[str, Any]:
    """Return what arrives of a source that is ``kept``, as JSON values.

    ``carried``: the keys of the source's tags that the target accepts (``source_tags``). The target's own settings
    (name, tags) come on top of it.
    """
    snapshots = {snapshot.id: snapshot for snapshot in image.snapshots}
    wanted = snapshots_to_copy(image)
    return {
        "request": register.request(image, {name: name for name in wanted}, image.name or image.id, {}),
        "deprecation": image.deprecation_time,
        "tags": register.result_tags(image, {}, {}, "", carried),
        "snapshots": {
            name: {
                "description": snapshots[name].description,
                "tags": register.result_tags(snapshots[name], {}, {}, "", carried),
            }
            for name in wanted
            if name in snapshots
        },
    }


@dataclass(frozen=True, slots=True)
class ExaminedSource:
    """A source as it was examined, for the digests of many targets."""

    image: SourceImage
    _digests: dict[tuple[str, ...], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def digest(self, carried: tuple[str, ...]) -> str:
        """Return the digest of what arrives where these tags are carried."""
        if carried not in self._digests:
            self._digests[carried] = digest(json.dumps(arriving(self.image, carried), sort_keys=True))
        return self._digests[carried]
