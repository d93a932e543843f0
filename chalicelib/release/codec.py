"""The stored form of pointers, and of the AMIs of a family in a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.stored import RecordCodec, compact
from chalicelib.release.current import Release
from chalicelib.release.pointer import Event, Pointer, PointerCommand


class PointerCodec(RecordCodec[Pointer, PointerCommand, Event]):
    """The stored form of pointers."""

    kind = Pointer

    def due_at(self, record: Pointer) -> int | None:
        """Return when to look again if no wake arrives."""
        return record.next_try

    def about(self, record: Pointer, _now: int) -> Mapping[str, object]:
        """Return its parameter and target, for the log."""
        names = {"parameter": record.parameter, "family": record.family}
        return {**names, "target_account": record.account, "target_region": record.region}


POINTERS = PointerCodec()


def release_item(release: Release) -> dict[str, Any]:
    """Return the attributes of a release's item."""
    return {"kind": "release", **offered_by(release.delivery, release.episode), "body": compact(codec.encode(release))}


def offered_by(delivery: str, episode: int) -> dict[str, Any]:
    """Return the attributes by which a release's item says who offered it."""
    return {"delivery": delivery, "episode": episode}
