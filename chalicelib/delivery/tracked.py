"""What a promotion keeps of each of its deliveries: which, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.model import Delivery
from chalicelib.delivery.outcomes import OUTCOMES, TRACKED_OUTCOMES, BeginsAgain, DeliveryOutcome, tracked_outcome
from chalicelib.engine.notices import NoticeKind

RUNNING = "running"
"""State: it has not ended."""
GOOD = tuple(state for state, outcome in OUTCOMES.items() if outcome.there)
"""The outcomes of a successful delivery."""
_NO_OUTCOME = DeliveryOutcome(NoticeKind("", {}))
"""Of a delivery that runs, and of a state that a newer version wrote."""


@dataclass(frozen=True, slots=True)
class TrackedDelivery:
    """What a promotion knows of one of its deliveries.

    ``state``: running, or one of ``TRACKED_OUTCOMES``.
    ``generation``: that of its target when it began. ``joined``: the generation in which its account joined after all
    others had begun; 0: it did not. ``ended_at``: when it ended, or was first shared (epoch seconds).
    ``ssm_parameter``: the setting by which its AMI is named.
    """

    delivery: str
    account: str
    region: str
    episode: int
    state: str
    image: str = ""
    generation: int = 0
    joined: int = 0
    ended_at: int = 0
    ssm_parameter: str = ""

    @property
    def outcome(self) -> DeliveryOutcome:
        """What others go by."""
        return TRACKED_OUTCOMES.get(self.state, _NO_OUTCOME)

    @property
    def has_copy(self) -> bool:
        """Whether its target has an AMI that is not recalled: one that was delivered, or that could not be tested."""
        return self.outcome.has_copy and (self.outcome.there or self.image != "")

    @property
    def is_recalled(self) -> bool:
        """Whether its AMI is recalled, until that is lifted."""
        return self.outcome.begins_again is BeginsAgain.LIFTED

    @property
    def failed(self) -> bool:
        """Whether it has failed."""
        return self.outcome.in_wave == "failed"

    @property
    def may_end(self) -> bool:
        """Whether it can be asked to end: it runs, or its AMI is shared."""
        return self.state == RUNNING or self.outcome.stands

    def ended(self, delivery: Delivery, at: int) -> TrackedDelivery:
        """Return it as its delivery ends. ``at``: when (epoch seconds), unless it is known when it was first shared."""
        return replace(
            self,
            state=tracked_outcome(delivery),
            image=delivery.kept_image or delivery.untested,
            ended_at=at if delivery.shared_at is None else delivery.shared_at,
            ssm_parameter=delivery.target.ssm_parameter,
        )

    @property
    def place(self) -> str:
        """Names its target in a set: "account/region"."""
        return f"{self.account}/{self.region}"
