"""How far the waves of a promotion are. The promotion writes it on its record; a delivery that waits reads it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WaveProgress:
    """How far a wave is."""

    opens_at: int = 0
    """When it opens, or has opened (epoch seconds); 0: that is not known yet."""
    stopped: str = ""
    """Names the failures that stop it; "": it is not stopped."""


@dataclass(frozen=True, slots=True)
class PromotionWaves:
    """What a delivery reads of its promotion. ``progress``: by ``FileWaves.name``; ``gone``: two looks miss the AMI."""

    progress: Mapping[str, WaveProgress] = field(default_factory=dict)
    gone: bool = False
