"""The commands of a promotion: what its executor must do. AWS can refuse each, and each is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.promotion.model import Cursor


@dataclass(frozen=True, slots=True)
class LookAtTag:
    """Read the AMI, its state and the tag in force from EC2."""


@dataclass(frozen=True, slots=True)
class Compare:
    """Resolve the value by the applied file, the members and the withdrawals, and compare it with the deliveries.

    It opens nothing and calls neither EC2 nor KMS, so it waits for nothing. If nothing is left, it sends the summary.
    """


@dataclass(frozen=True, slots=True)
class Examine:
    """Read and check the whole source, for the targets that are wanted. Opens nothing."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Go on with the pass at ``cursor``: ask deliveries to end, begin some, or wake some whose wave opens.

    It does as many as there is time for.
    """

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class NotifyRefused:
    """Send one notice that lists the faults on record: of the value, the source, or single accounts."""


PromotionCommand = LookAtTag | Compare | Examine | Slice | NotifyRefused
