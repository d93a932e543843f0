"""The events of a promotion.

Each result says what it started from (``starting_point``, ``pass_reached``, ``inputs``, ``after``). If the record has
moved on since, the state machine drops the result, and the next step asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine.faults import Fault
from chalicelib.promotion.model import NO_PASS, Cursor
from chalicelib.targets.approvals import Asked


@dataclass(frozen=True, slots=True)
class TagSeen:
    """The tag was read from EC2. ``value`` None: no tag. ``image_state`` None: the hub owns no such AMI."""

    value: str | None
    image_state: str | None
    image_name: str = ""
    own: bool = False
    """The AMI has the tag of a delivery: the service made it, so it never triggers."""
    event: str = ""
    """The id of the tag event that caused this look; "" if none did, as when discovery found the tag."""
    changed_at: int = 0
    """When the tag changed, by that event (epoch seconds); 0: unknown."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """The inbox entries that had come before the look. One that comes later asks for another look."""
    starting_point: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """What is wanted was compared with what there is."""

    value: str | None = None
    """The value that counts: the tag's, or the one in force if the tag's is refused."""
    refused: str | None = None
    """The tag's value if it is refused."""
    faults: tuple[Fault, ...] = ()
    inputs: str = ""
    file: str = ""
    """Digests of targets file and members; "": there is no value, or nobody knows whom it names."""
    places: str = ""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    unbelieved: bool = False
    """Whether one look alone has shown another value, which names fewer targets and does not count yet."""
    surplus: bool = False
    """Whether a delivery is to end, or to be recalled, restored or renamed."""
    missing: bool = False
    """Whether a wanted target has no delivery, or one that begins again."""
    running: bool = False
    """Whether a delivery has not ended."""
    standing: bool = False
    """Whether a delivery is in ``shared``."""
    failed: int = 0
    """How many deliveries to wanted targets have failed."""
    summarised: bool = False
    """Whether nothing is left, and the summary was sent if there was anything to report."""
    asked: Asked | None = None
    """What an approver was asked; None: nothing waits."""
    waves: Mapping[str, WaveProgress] = field(default_factory=dict)
    awaited: bool = False
    """Whether a wave waits for deliveries that are under way."""
    answers: Mapping[str, str] = field(default_factory=dict)
    starting_point: str = ""
    pass_reached: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """The source was checked; ``faults`` lists all of its faults, before those of blocked accounts."""

    faults: tuple[Fault, ...] = ()
    unfit: bool = False
    """Whether the source has faults."""
    partial: bool = False
    """Whether EC2 may not have shown all of the source, so that it must be examined again."""
    source: str = ""
    """The name of the source as it is to arrive."""
    generation: int = 0
    inputs: str = ""


@dataclass(frozen=True, slots=True)
class Sliced:
    """The pass went on from the cursor ``after`` to ``cursor``; without a part, it is complete."""

    inputs: str
    after: Cursor
    cursor: Cursor = NO_PASS
    standing: bool = False
    """Whether the AMI is to be shared with one of the targets."""
    newest: int = 0
    """The newest generation for which all that was missing has begun; 0: nothing was to begin."""
    asks: bool = False
    """Whether a delivery may wait for an approval."""


@dataclass(frozen=True, slots=True)
class RefusedNotified:
    """The notice of the faults was sent."""

    faulty: str = ""


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """A command was not executed: throttle, outage, or missing rights of the service.

    ``look``: it was LookAtTag. ``later``: it was Examine, Slice or NotifyRefused, for which no comparison waits.
    """

    fault: Fault
    look: bool = False
    later: bool = False
    pass_reached: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator has paused new promotions: additions wait until ``resume``."""

    pass_reached: str = ""


Event = TagSeen | Compared | Examined | Sliced | RefusedNotified | NotExecuted | Paused
