"""KMS keys: what DescribeKey says of one, and which ones an image needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.images.image import SourceImage, snapshots_to_copy


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """DescribeKey's answer. ``manager`` is AWS or CUSTOMER; ``state`` is Enabled if the key can be used."""

    arn: str
    account: str
    enabled: bool
    state: str
    manager: str
    spec: str
    usage: str

    @classmethod
    def from_describe(cls, metadata: Mapping[str, Any]) -> KeyFacts:
        """Read the facts from DescribeKey's ``KeyMetadata``."""
        return cls(
            arn=metadata["Arn"],
            account=metadata["AWSAccountId"],
            enabled=bool(metadata["Enabled"]),
            state=metadata["KeyState"],
            manager=metadata["KeyManager"],
            spec=metadata.get("KeySpec", "SYMMETRIC_DEFAULT"),
            usage=metadata["KeyUsage"],
        )


def source_keys(image: SourceImage) -> tuple[str, ...]:
    """Return the ARNs of the keys of the snapshots to copy, each once."""
    needed = set(snapshots_to_copy(image))
    return tuple(sorted({s.key for s in image.snapshots if s.id in needed and s.key}))
