"""What a deployment makes: a stack and its resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class TemplateError(Exception):
    """A template or its parameters cannot be deployed; the text lists every problem found."""


@dataclass(slots=True)
class Made:
    """A resource that was created: what Ref returns, and what GetAtt returns."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    type: str = ""
    deletion: str = "Delete"
    """Its DeletionPolicy."""


@dataclass(slots=True)
class Stack:
    """A stack. ``status`` is CREATE_COMPLETE, ROLLBACK_COMPLETE or ROLLBACK_FAILED."""

    name: str
    account: str
    region: str
    status: str = "CREATE_COMPLETE"
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Made] = field(default_factory=dict)
