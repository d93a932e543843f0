"""What a promotion keeps of each of its deliveries: which, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.model import Delivery

RUNNING, EXPIRED = "running", "expired"
"""States: it has not ended; what was shared ended at the date ``until``, after which it does not begin by itself."""
DELIVERED, SHARED = "delivered", "shared"
FAILED, CANCELLED, WITHDRAWN, RECALLED = "failed", "cancelled", "withdrawn", "recalled"
GOOD = (DELIVERED, SHARED)
"""The outcomes of a successful delivery."""
OUTCOMES = (*GOOD, FAILED, CANCELLED, WITHDRAWN, RECALLED)
"""All outcomes, as they are counted and shown: then nothing is left to do, but to end what is shared."""
LATER_OUTCOMES = (WITHDRAWN, EXPIRED, RECALLED)
"""They can follow another outcome of the same episode: that it was shared or delivered."""
SUCCEEDED = (*GOOD, EXPIRED)
"""The states of a delivery that was successful: what was shared until its date has ended as it was meant to."""


@dataclass(frozen=True, slots=True)
class TrackedDelivery:
    """What a promotion knows of one of its deliveries.

    ``state``: running, delivered, recalled, failed or cancelled; in share mode shared, withdrawn, or ``EXPIRED``.
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
    def has_copy(self) -> bool:
        """Whether its target has an AMI that is not recalled: one that was delivered, or that could not be tested."""
        return self.state == DELIVERED or (self.state in (FAILED, CANCELLED) and self.image != "")

    @property
    def may_end(self) -> bool:
        """Whether it can be asked to end: it runs, or its AMI is shared."""
        return self.state in (RUNNING, SHARED)

    def ended(self, delivery: Delivery, at: int) -> TrackedDelivery:
        """Return it as its delivery ends. ``at``: when (epoch seconds), unless it is known when it was first shared.

        A share whose date came before its launch test was over has failed.
        """
        state = delivery.outcome.value
        if state == WITHDRAWN and delivery.share_mode.expired:
            state = EXPIRED if delivery.began_publishing else FAILED
        image, ended_at = delivery.kept_image or delivery.untested, delivery.entered.get(SHARED, at)
        return replace(self, state=state, image=image, ended_at=ended_at, ssm_parameter=delivery.target.ssm_parameter)

    @property
    def place(self) -> str:
        """Names its target in a set: "account/region"."""
        return f"{self.account}/{self.region}"
