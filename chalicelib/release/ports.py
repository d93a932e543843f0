"""What the worker of pointers needs of a target."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from chalicelib.release.pointer import Pointer, SeenParameter
from chalicelib.targets.applied_file import Target


class Parameters(Protocol):
    """Parameter Store in a target, under the copy role. Every method may raise Refusal.

    ``target`` is as the applied file has it now.
    """

    def look(self, target: Target, pointer: Pointer, images: Collection[str]) -> SeenParameter:
        """Read the parameter, and which of these AMIs, and of the one that it names, are available."""

    def change(self, target: Target, pointer: Pointer) -> bool:
        """Do what the pointer's intent says, if the parameter shows what that expects; False: it does not.

        Repeating it is safe.
        """

    def deprecate(self, target: Target, pointer: Pointer, image: str, at: str) -> None:
        """Deprecate a copy of the family from then on, or from an earlier date. Repeating it is safe."""

    def end_retirement(self, target: Target, pointer: Pointer, image: str, date: str) -> None:
        """Give a copy that was deprecated the date that it had before; "": none. Repeating it is safe."""
