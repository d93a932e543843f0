"""The rules of AWS that the simulator enforces, each by name, with its source, and each with a switch.

A rule is declared where it is enforced::

    SHARED_FIRST = rule("snapshot-shared-before-copy", "A foreign snapshot ... [aws-facts 2, VERIFIED]")
    ...
    if world.rules.on(SHARED_FIRST) and not shared: raise AwsError(...)

A test switches one off (``with world.rules.off(SHARED_FIRST):``) to prove that its own check can fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One behaviour of AWS: a kebab-case name, and the fact with its source."""

    name: str
    fact: str


ALL: dict[str, Rule] = {}


def rule(name: str, fact: str) -> Rule:
    """Declare a rule; its name must be unique in the simulator."""
    if name in ALL:
        raise ValueError(f"rule {name!r} is declared twice")
    ALL[name] = Rule(name, fact)
    return ALL[name]


class Rules:
    """Which rules one world enforces: all, until a test switches one off."""

    def __init__(self) -> None:
        self._off: set[Rule] = set()

    def on(self, rule: Rule) -> bool:
        """Whether the rule is enforced now."""
        return rule not in self._off

    @contextmanager
    def off(self, rule: Rule) -> Iterator[None]:
        """Switch one rule off within the context."""
        self._off.add(rule)
        try:
            yield
        finally:
            self._off.discard(rule)
