"""The commands of a promotion: what its executor must do. AWS can refuse each, and each is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class LookAtTag:
    """Read the AMI, its state and the tag in force from EC2."""


@dataclass(frozen=True, slots=True)
class ReadWithdrawals:
    """Read an operator's withdrawals from the operators' table."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """Resolve the value by the applied file and the members, without calling EC2 or KMS."""

    value: str


@dataclass(frozen=True, slots=True)
class Examine:
    """Read and check the whole source, for the targets of the plan. Opens nothing."""


@dataclass(frozen=True, slots=True)
class Expand:
    """Write deliveries from ``cursor`` on, put-if-absent, and wake them; ended ones that failed are opened again.

    ``plan`` names the items that hold the targets' settings.
    """

    plan: str
    cursor: int


@dataclass(frozen=True, slots=True)
class CancelOthers:
    """Ask every running or shared delivery whose target the plan does not contain to end.

    ``withdraw``: and every shared one. ``after``: the last delivery of the slice before this one.
    """

    plan: str
    withdraw: bool = False
    after: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """Read the tracked deliveries."""


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Send one notice that asks for an approval, unless it was sent before, or no target waits."""


@dataclass(frozen=True, slots=True)
class NotifyRefused:
    """Send one notice that lists every fault of the value, the source, or single accounts."""

    faults: tuple[Fault, ...]


Command = LookAtTag | ReadWithdrawals | Resolve | Examine | Expand | CancelOthers | Count | AskApproval | NotifyRefused
