"""What a promotion is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.core import addresses
from chalicelib.core.faults import Fault


class State(StrEnum):
    """What a promotion waits for."""

    REQUESTED = "requested"
    """the tag to be read from EC2"""
    RESOLVING = "resolving"
    """the AMI to be available, and the value and the source to be examined"""
    EXPANDING = "expanding"
    """its deliveries to be written"""
    RUNNING = "running"
    """its deliveries to end"""
    OVER = "over"
    """nothing; a new event reopens it as a new episode"""


EXPIRED = "expired"
"""Of a delivery whose shares were withdrawn at the targets file's date: it is not wanted again by itself."""


@dataclass(frozen=True, slots=True)
class Child:
    """A promotion's note of one delivery.

    ``state``: running, delivered, failed or cancelled; in share mode shared, withdrawn, or ``EXPIRED``.
    """

    delivery: str
    account: str
    region: str
    episode: int
    state: str
    image: str = ""


@dataclass(frozen=True, slots=True)
class Promotion:
    """One per source AMI for ever. Times are epoch seconds."""

    ami: str
    hub: str
    region: str
    created_at: int
    state: State = State.REQUESTED
    episode: int = 0
    value: str | None = None
    """The tag's value in force: what the running or last episode was made from. None: no tag, or never any."""
    candidate: str | None = None
    """A value that has been read and is being examined."""
    read_at: int = 0
    """When the value in force, or that being examined, was read; what happened to the tag before is no news."""
    image_name: str = ""
    places: tuple[str, ...] = ()
    """The targets in force, each as "account/region". Their settings lie beside the record, a chunk an item."""
    plan: str = ""
    """Names those items."""
    digest: str = ""
    """Of the targets file that the value was resolved by."""
    members: int = 0
    """The listing of the organisation that it was resolved by; 0: none was needed, or there was none."""
    refresh: bool = False
    """The value in force is resolved anew because the organisation changed: nothing that failed is tried again."""
    cursor: int = 0
    faults: tuple[Fault, ...] = ()
    why: str = ""
    """Why it is over, in a sentence."""
    cancelling: bool = False
    standing: bool = False
    """Whether deliveries of it rest in ``shared``: they end with the tag, and with the AMI itself."""
    withdrawing: bool = False
    """Whether those are to end whatever the value says: the AMI is gone, or disabled."""
    absent_since: int = 0
    """Since when looks have not shown the tag, or the AMI: it is believed only after a while (law 5)."""
    reopen: tuple[str, ...] = ()
    """Deliveries that were failing when they were asked for again: they start anew when they have ended."""
    only: tuple[str, ...] = ()
    """Accounts whose failed deliveries are to start anew, where an operator asked for those alone; none: all."""
    hindered_until: int = 0
    """After a refusal nothing is asked before then, whatever rings."""
    tries: int = 0
    next_try: int = 0
    since: int = 0
    """When the present state was entered."""
    summarised: int = 0
    """The last episode whose summary was told."""
    refused_value: str | None = None
    """The value that was last refused; discovery leaves it alone."""
    refused_told: str = ""
    """Digest of the faults last told, so that a crash repeats a notice and a poll does not."""
    heard: Mapping[str, str] = field(default_factory=dict)
    due_at: int | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    """Notes left by others since; read with the record, never written with it."""

    @property
    def key(self) -> addresses.Key:
        """Where it is stored."""
        return addresses.promotion(self.ami)

    def hint(self, name: str) -> str | None:
        """Return a hint that has not been heard yet."""
        value = self.hints.get(name)
        return None if value is None or value == self.heard.get(name) else value

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.ami} in account {self.hub}, {self.region}"
