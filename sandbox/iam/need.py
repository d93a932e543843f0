"""One permission that a call needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.api import Call
    from sandbox.iam.match import Values
    from sandbox.world import World


@dataclass(frozen=True, slots=True)
class Need:
    """An action on a resource, with the condition keys that this call gives it."""

    action: str
    resource: str
    context: Mapping[str, Values] = field(default_factory=dict)
    """Condition keys of this action, in lower case."""


Needs = Callable[["World", "Call"], Iterable[Need]]
"""Works out what one call needs."""
