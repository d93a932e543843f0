"""A state machine that counts its cases and steps, and keeps the story of the last one for a person to read."""

from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine


class RecordsStory(RuleBasedStateMachine):
    """Keeps the story of the last case. Hypothesis plays the shrunk failure last: ``reported`` has its story."""

    cases: ClassVar[int] = 0
    steps: ClassVar[int] = 0
    reported: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        type(self).cases += 1

    def hear(self, story: list[str]) -> None:
        """Keep a story; the case may still add to it."""
        type(self).reported = story

    def count(self) -> None:
        type(self).steps += 1
