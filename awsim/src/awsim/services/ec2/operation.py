"""One operation of EC2: its handler, and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from awsim.api import AwsError, Call
from awsim.services.ec2.state import Ec2State

Handler = Callable[[Ec2State, Call], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler, and the names of its parameters, separated by spaces.

    A parameter that AWS knows and the simulator does not model is refused instead of ignored.
    """

    handler: Handler
    parameters: str
    takes: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Split the names."""
        object.__setattr__(self, "takes", frozenset((*self.parameters.split(), "DryRun")))

    def check(self, call: Call) -> None:
        """Refuse parameters that are not modelled."""
        unknown = sorted(name for name, value in call.params.items() if name not in self.takes and value is not None)
        if unknown:
            what = f"The simulator does not model {', '.join(unknown)} of {call.operation}"
            raise AwsError("UnsupportedOperation", what)
