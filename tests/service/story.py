"""A state machine that counts its cases and steps, and keeps the story of the last one for a person to read."""

from __future__ import annotations

from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine


class Storied(RuleBasedStateMachine):
    """The last case that hypothesis plays of a failure is the shrunk one, so its story is what ``told`` holds then."""

    cases: ClassVar[int] = 0
    steps: ClassVar[int] = 0
    reported: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        type(self).cases += 1

    def hear(self, story: list[str]) -> None:
        """Keep a story that is still being told."""
        type(self).reported = story

    def count(self) -> None:
        """One step more."""
        type(self).steps += 1
