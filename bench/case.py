"""What is measured: how many accounts and Regions, how many volumes, what goes wrong; and how long a copy takes."""

from __future__ import annotations

from dataclasses import dataclass

REGIONS = ("us-east-1", "eu-west-1", "us-west-2", "ap-southeast-2")
"""The hub's, and those of further targets."""
SIZES = (8, 100, 20, 30, 50, 80, 150, 200, 300, 518)
"""GiB of an AMI's volumes: one of so many volumes has the first so many."""
COPY_SECONDS, COPY_SECONDS_PER_GIB = 440.0, 20.0
"""A copy of 8 GiB takes 10 minutes, one of 518 GiB three hours. AWS promises nothing."""
SPREAD = 0.4
"""By how much the longest copy of a size differs from the shortest: a fifth more or less."""
CALL_SECONDS = 0.03
"""An AWS call, on average; the simulator takes 20 to 40 milliseconds."""
REGISTER_SECONDS = 4.0
"""From RegisterImage until the AMI is available, in the simulator."""
GRANT_RATE = 50
"""CreateGrant calls a second in one account [aws-facts 7, VERIFIED]."""
SHARE_DELAY = 5.0
"""Seconds that messages to the share worker lie in their queue, so that openings and closings gather."""
ACCOUNTS_A_CALL = 500
"""Accounts that one ModifySnapshotAttribute opens or closes a snapshot for [aws-facts 1b, VERIFIED]."""
COLD_SECONDS = (0.15, 0.35)
"""What a cold start takes: imports of 0.15 to 0.25 seconds of CPU, as measured, and the environment's own start."""
SLOTS = 20
"""Copies at once into one account and Region [aws-facts 2, VERIFIED; per account UNVERIFIED]."""
MUTATIONS_PER_SECOND, MUTATIONS_AT_ONCE = 5.0, 50.0
"""EC2's bucket for calls that change something, in one account and Region [aws-facts 6, UNVERIFIED]. On AWS each action
has a bucket of its own; here all share one."""


@dataclass(frozen=True, slots=True)
class Case:
    """One promotion to be measured. Every account is a target in each of the Regions."""

    accounts: int = 1
    volumes: int = 2
    regions: int = 1
    events: bool = True
    """Or every event is lost, and every wake but the sweep's own."""
    together: bool = False
    """All copies of a size take equally long, so that all deliveries move at once."""
    late_keys: bool = False
    """Key grants begin to work up to five minutes late, as AWS says, and not at once."""
    share_delay: int | None = None
    """Seconds that messages to the share worker's queue lie there; None: as deployed."""
    after_copy: bool = False
    """All that may follow a copy: a launch test and a parameter in each target, and all but the first wait for it."""

    @property
    def deliveries(self) -> int:
        """How many AMIs are to be made."""
        return self.accounts * self.regions

    @property
    def sizes(self) -> tuple[int, ...]:
        """GiB of each volume."""
        return SIZES[: self.volumes]

    def __str__(self) -> str:
        """Word it shortly."""
        words = [counted(self.deliveries, "target"), counted(self.volumes, "volume")]
        words += ["4 Regions"] if self.regions > 1 else []
        words += [] if self.events else ["events lost"]
        words += ["together"] if self.together else []
        words += ["late keys"] if self.late_keys else []
        words += [] if self.share_delay is None else [f"share delay {self.share_delay}"]
        words += ["launch test, parameter, waves"] if self.after_copy else []
        return ", ".join(words)


def counted(count: int, what: str) -> str:
    """Write a number of things."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def accounts(count: int) -> list[str]:
    """Return so many account ids."""
    return [f"2{number:011d}" for number in range(count)]


def copy_seconds(gib: int, dice: float = 0.5) -> float:
    """Seconds that a copy takes; ``dice`` is between 0 and 1."""
    return (COPY_SECONDS + COPY_SECONDS_PER_GIB * gib) * (1 + SPREAD * (dice - 0.5))
