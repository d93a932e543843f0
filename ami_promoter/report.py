"""What a command has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class Report:
    """Lines for a person, the same as ``data`` for a program, and what was wrong with what was given."""

    lines: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
