"""The head of a promotion: what discovery and the entitlement read of it, without reading its record.

All heads are in one partition, so that one pass over thousands of tagged AMIs reads a few pages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a promotion."""

    value: str | None = None
    """The value in force; None: there was no valid value yet."""
    known: tuple[str, ...] = ()
    """Values of the tag for which discovery does not wake the promotion: in force, refused, or being examined."""
    digests: str = ""
    """Digests of file and members by which the value was resolved: "digest/digest"; "": not yet."""
    places: str = ""
    """Digest of the targets in force."""
    moving: bool = False
    """Whether the promotion is not over."""
    standing: bool = False
    """Whether deliveries are in ``shared``."""
    failed: int = 0
    """How many deliveries to its targets have failed, and have not begun again."""
    withdrawals_from: int = 0
    """Withdrawals of before this time have ended, as EC2 has shown another value since."""
    refusal_passes: bool = False
    """Whether its value was refused for a fault that passes while the tag stays: with the next reading of the
    organization, or when the same file is applied again."""
    waits: bool = False
    """Whether it belongs to the baseline, and waits for a new tag event."""
