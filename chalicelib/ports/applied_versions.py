"""The versions of the applied file, and of which of them people were notified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.core.targets.applied_file import Directory


@dataclass(frozen=True, slots=True)
class Met:
    """A version that was in force; its name sorts by its generation.

    ``at`` (ISO 8601) and ``by`` (an ARN) are what its pointer claims.
    """

    version: str
    at: str
    by: str


@dataclass(frozen=True, slots=True)
class Notified:
    """``version``: the last one that people were notified of; "": none. ``met``: those that they were not, by version.

    ``departed``: see ``difference.departing``.
    """

    version: str = ""
    departed: tuple[str, ...] = ()
    met: Mapping[str, Met] = field(default_factory=dict)

    def has(self, one: Met) -> bool:
        """Whether nothing must be remembered of a version in force."""
        return one.version in self.met or (one.version == self.version and not self.met)


class Versions(Protocol):
    """The versions of the applied file."""

    def in_force(self) -> Met | None:
        """Return the version in force; None: nothing was ever applied."""

    def content(self, version: str) -> Directory | None:
        """Return a version with the members of its units as they are now; None: it is gone, or is not what it was."""


class NotifiedStore(Protocol):
    """Keeps it where no operator can write."""

    def load(self) -> tuple[Notified, int]:
        """Read it, with the number of its last write; 0: none."""

    def save(self, notified: Notified, number: int) -> bool:
        """Write it, if ``number`` is still that of the last write."""
