"""What a promotion may ask to be done. Imperative: each can be refused, and each is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class LookAtTag:
    """Read the AMI, its state and the tag in force from EC2."""


@dataclass(frozen=True, slots=True)
class ReadWithdrawals:
    """Read whom an operator has withdrawn. Asks nothing but the operators' table."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """Say whom the value names by the applied targets file and the membership. Asks nothing of EC2 or KMS."""

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

    ``withdraw``: and every shared one. ``after``: the delivery at which the slice before this one ended.
    """

    plan: str
    withdraw: bool = False
    after: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """Read the marks that the deliveries left."""


@dataclass(frozen=True, slots=True)
class AskApproval:
    """One notice that asks an approver, unless just that was asked before, or nobody waits."""


@dataclass(frozen=True, slots=True)
class NotifyRefused:
    """One notice that lists every fault of the value, the source, or single accounts."""

    faults: tuple[Fault, ...]


Command = LookAtTag | ReadWithdrawals | Resolve | Examine | Expand | CancelOthers | Count | AskApproval | NotifyRefused
