"""A promotion's record: its states, what it has read, and its tracked deliveries, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine import addresses, schedule
from chalicelib.engine.faults import MOST_FAULTS, Fault, count
from chalicelib.targets.approvals import Asked
from chalicelib.targets.withdrawals import EVERYWHERE


class PromotionState(StrEnum):
    """What a promotion waits for."""

    REQUESTED = "requested"
    """the tag to be read from EC2, and the AMI to be available"""
    COMPARING = "comparing"
    """its inputs to be compared with its deliveries: whom the tag names, by the applied file as it is now"""
    ADJUSTING = "adjusting"
    """one pass: deliveries that end, the source's examination, deliveries that begin, and those whose wave opens"""
    RUNNING = "running"
    """its deliveries to end"""
    OVER = "over"
    """nothing; a new event starts another comparison"""


MADE_HERE = "source-made-by-service"
"""Fault code of an AMI that the service made."""

NEVER_AVAILABLE = "source-never-available"
"""Fault code of an AMI that was pending for a day, or whose checks were refused for so long."""

WORTH_A_LOOK = 3
"""After so many polls a running promotion also reads its tag, because the event of its removal can be lost."""

NO_TAG = "Its tag was removed."


class PartOfPass(StrEnum):
    """The parts of a pass, in this order; one without work is left out."""

    END = "end"
    END_AGAIN = "end-again"
    """deliveries that have not ended after several polls are asked again"""
    EXAMINE = "examine"
    BEGIN = "begin"
    WAKE = "wake"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a pass is. ``after``: what had its turn last in this part; "": nothing yet.

    It is a delivery's id (END, END_AGAIN), or a target's place (WAKE; BEGIN, by ``_order`` in ``worker/passes.py``).
    """

    part: PartOfPass | None = None
    after: str = ""

    def __bool__(self) -> bool:
        """Whether a pass is under way."""
        return self.part is not None

    def __str__(self) -> str:
        return f"{self.part}:{self.after}" if self.part else ""


NO_PASS = Cursor()
END, END_AGAIN, EXAMINE, BEGIN, WAKE = map(Cursor, PartOfPass)
"""Where each part begins."""


class Retry(NamedTuple):
    """An operator's inbox entry ``retry`` or ``lifted``: when it was written, and which targets start again.

    ``places``: each is "account" or "account/region"; none: all targets.
    """

    when: str
    places: list[str]

    @classmethod
    def parse(cls, text: str) -> Retry:
        """Read an entry, "when:place,place"."""
        when, _, places = text.partition(":")
        return cls(when, places.split(",") if places else [])

    def recalls_again(self, one: TrackedDelivery) -> bool:
        """Whether, as the entry ``recall``, it asks for another try of a recall that has not been tried since."""
        return one.place in self.places and self.when.isdecimal() and one.ended_at < int(self.when)

    def __str__(self) -> str:
        return f"{self.when}:{','.join(self.places)}"


@dataclass(frozen=True, slots=True)
class Promotion:
    """One per source AMI. Times are epoch seconds.

    It remembers what it has read of the tag, for which inputs it last compared, and how far the pass is. Who is to have
    the AMI is computed whenever it is asked (``wanted.py``).

    A generation says when somebody last asked: a tag event raises that of all targets (``generation``), a retry that of
    the targets which it names (``retries``), each above the ``newest``. A delivery keeps its target's generation when
    it begins; once that of the target is higher, a failed one begins again. ``valid_generation`` and the others are
    generations of a moment, such as of the last valid value: a higher one means that somebody has asked since.
    """

    ami: str
    hub: str
    region: str
    state: PromotionState = PromotionState.REQUESTED
    image_name: str = ""

    generation: int = 0
    """Of all targets: when a look found a tag event, a new value, or a retry of all; 0: none yet (baseline). What
    failed in an older generation begins again. A tag event of before this time is no news.
    """
    retries: Mapping[str, int] = field(default_factory=dict)
    """Higher generations of what a retry or a lift names: "account", "account/region"; "*": all targets."""
    valid_generation: int = 0
    """The ``generation`` of the value in force. It counts while another is refused: a refused one begins nothing."""
    passed_generation: int = 0
    """The newest generation in which nothing was missing any more. What the file adds later waits for a higher one."""
    gone_generation: int = 0
    """The newest one when the AMI was last gone or disabled: up to it, nothing begins, and standing shares end."""
    episode: int = 0
    """How many passes have begun deliveries; each has its summary."""
    summarised_episode: int = 0
    """The last episode whose summary was published."""

    value: str | None = None
    """The value in force: the last valid one. None: there is no tag, or there was no valid value yet."""
    in_force_since: int = 0
    """When the value in force was first read, or when two looks had agreed that it was removed.

    If it ended because the AMI is gone: the ``withdrawals_from`` of before, as that ends no withdrawal.
    """
    withdrawals_from: int = 0
    """Withdrawals of before this time have ended, as EC2 has shown another value since."""
    seen_value: str | None = None
    """The tag's value at the last look; None: it missed the tag, or the AMI."""
    seen_since: int = 0
    """When a look first showed ``seen_value``. One that names fewer targets counts after two looks, as absence does."""
    looked_at: int = 0
    """When the tag was last read."""
    refused_value: str | None = None
    """The tag's value if it was refused; discovery leaves it alone."""

    inputs: str = ""
    """Digest of the inputs of the last comparison."""
    cursor: Cursor = NO_PASS
    """How far the pass is; without a part, no pass is under way."""
    file: str = ""
    """Digests of targets file and members in the last comparison; "": there was none."""
    places: str = ""
    """Digest of the targets in that comparison, by which discovery sees whether a new file changes them."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Targets that a withdrawal kept out before they began: they begin when it is lifted. Region -> "account account".

    So written, those of 1,000 accounts in 17 Regions take 221 KB of an item's 400.
    """
    unfit_since: int = 0
    """When the source first failed its checks for these inputs; 0: it has not. EC2 may not have shown all of it yet."""
    source: str = ""
    """The name of the source as it was examined; "": not yet."""
    source_generation: int = 0
    """The ``generation`` when the source was examined: what changes in it later counts from the next tag event on."""
    standing: bool = False
    """Whether some of its deliveries are in ``shared``, or are to be."""
    failed: int = 0
    """How many of its deliveries have failed and are still wanted; an alarm counts them."""
    restarts: int = 0
    """How many passes in a row began again what had been cancelled, for the same inputs."""
    asked: Asked = field(default_factory=Asked)
    """What the last notice asked an approver, so that it is asked once."""

    waves: Mapping[str, WaveProgress] = field(default_factory=dict)
    """How far the waves of its targets are, by ``FileWaves.name``, as last computed: what waits reads it here."""

    faults: tuple[Fault, ...] = ()
    """Faults of the value, the source or single accounts while they persist, ``MOST_FAULTS`` at most (``listed``)."""
    notified: str = ""
    """Digest of the faults of which people were notified last, with their value and generation; "": of none."""

    compare_after: int = 0
    """When to compare again after a refused comparison; openings and notices wait for it, too."""
    look_after: int = 0
    """When to look at the tag again after a refused look."""
    tries: int = 0
    next_try: int = 0
    since: int = 0
    """When the present state was entered."""
    handled: Mapping[str, str] = field(default_factory=dict)
    """The last inbox entry of each name that was answered."""
    doubted: Mapping[str, str] = field(default_factory=dict)
    """Inbox entries that the last look did not answer, as it missed the tag or the AMI: a second look answers them."""
    inbox: Mapping[str, str] = field(default_factory=dict)
    """Entries that others write; read with the record, never written with it."""

    @property
    def key(self) -> addresses.RecordKey:
        """Where it is stored."""
        return addresses.promotion(self.ami)

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.ami} in account {self.hub}, {self.region}"

    def of_value(self, *, refused: bool) -> Promotion:
        """Return the promotion with the generation that counts: a refused value raises none."""
        return replace(self, generation=self.valid_generation) if refused else self

    @property
    def is_believed(self) -> bool:
        """Whether two looks, half a minute apart, have shown the same (invariants 1 and 5)."""
        return self.looked_at >= self.seen_since + schedule.SECOND_LOOK_AFTER

    @property
    def absent_since(self) -> int:
        """When a look first missed the tag, or the AMI; 0: the tag was seen, or its absence is believed by now."""
        return 0 if self.seen_value is not None or self.is_believed else self.seen_since

    @property
    def starting_point(self) -> str:
        """Digest of what a look or a comparison starts from: once this has changed, its result does not count."""
        seen = (self.seen_value, self.absent_since, self.value, self.refused_value)
        generations = (self.generation, self.gone_generation, sorted(self.retried.items()))
        return addresses.digest(*map(str, (*seen, *generations)))

    @property
    def pass_reached(self) -> str:
        """Says which pass it is at, and how far: once this has changed, a result puts nothing off."""
        return f"{self.inputs}:{self.cursor}"

    @property
    def retried(self) -> Mapping[str, int]:
        """The retries since the last tag event."""
        return {place: generation for place, generation in self.retries.items() if generation > self.generation}

    @property
    def newest(self) -> int:
        """The newest generation of any target."""
        return max(self.generation, *self.retries.values(), 0)

    @property
    def made_here(self) -> bool:
        """Whether the service made the AMI itself: then its tag starts nothing."""
        return any(fault.code == MADE_HERE for fault in self.faults)

    @property
    def value_by_looks(self) -> str | None:
        """The tag's value at the last look; the value in force where that look does not count.

        It does not while only one look has missed the tag or the AMI, while the AMI is gone, or if the service made it.
        """
        weak = self.absent_since or self.is_gone or self.made_here
        return self.value if weak else self.seen_value

    @property
    def awaits_ami(self) -> bool:
        """Whether it gave up after a day, with nothing begun, and rests until a look shows its AMI available."""
        return self.state is PromotionState.OVER and not self.is_refused and self.never_available

    @property
    def never_available(self) -> bool:
        """Whether its AMI was pending for a day, or its checks were refused for so long."""
        return any(fault.code == NEVER_AVAILABLE for fault in self.faults)

    @property
    def is_gone(self) -> bool:
        """Whether the AMI is gone or disabled, and neither a tag event, a retry nor its return came afterwards."""
        return 0 < self.newest <= self.gone_generation

    def is_gone_for(self, account: str, place: str) -> bool:
        """Whether the AMI is gone or disabled, and nobody has asked for this target since: then it gets nothing."""
        return 0 < self.generation_of(account, place) <= self.gone_generation

    @property
    def is_of_baseline(self) -> bool:
        """Whether it is of the baseline, and waits for a tag event."""
        return self.state is PromotionState.OVER and self.value is not None and not self.newest

    @property
    def is_of_baseline_and_gone(self) -> bool:
        """Whether its AMI is gone, too: if that is restored, it waits for a tag event as before."""
        return self.is_of_baseline and self.seen_value is None and self.is_believed

    @property
    def awaits_restored(self) -> bool:
        """Whether it goes on by itself when a look shows its AMI again, as long as it is not over.

        A shared AMI waits for a tag event instead: it may have been disabled on purpose.
        """
        return self.is_gone and not self.standing and self.state is not PromotionState.OVER

    @property
    def unfit(self) -> str:
        """The inputs for which the source failed its checks, so nothing begins; "": none, or it is examined now."""
        return self.inputs if self.unfit_since and self.cursor != EXAMINE else ""

    @property
    def last_part(self) -> Cursor:
        """The last part of a pass: deliveries whose wave opens are woken; none if no wave opens."""
        return WAKE if any(one.opens_at for one in self.waves.values()) else NO_PASS

    @property
    def is_refused(self) -> bool:
        """Whether its value, or its source, was refused."""
        return self.refused_value is not None or self.unfit != ""

    @property
    def why(self) -> str:
        """Why it has ended, in a sentence; "": its faults and deliveries say all."""
        given_up = self.awaits_ami or (self.state is PromotionState.OVER and self.value is None)
        if self.faults and (self.is_refused or given_up):
            value = self.seen_value if self.judged is None else self.judged
            what = "source" if self.unfit and self.refused_value is None else f"value {value!r}"
            more = " or more" if len(self.faults) >= MOST_FAULTS else ""
            return f"The {what} was refused: {count(len(self.faults), 'fault')}{more}."
        gone = self.is_of_baseline_and_gone
        if (self.value is not None and not gone) or self.seen_value is not None or not self.in_force_since:
            return ""
        if gone or self.is_gone or not self.image_name:  # no look has shown it
            return "The hub does not own this AMI, or no longer does."
        return NO_TAG if self.newest else "It has no tag."

    @property
    def judged(self) -> str | None:
        """The value that its faults are about: the refused one, else the one in force."""
        return self.value if self.refused_value is None else self.refused_value

    @property
    def faulty(self) -> str:
        """Digest of its faults, and of the value that has them in this generation; "": there are none."""
        return addresses.digest(*map(str, self.faults), self.judged or "", str(self.newest)) if self.faults else ""

    @property
    def unnotified(self) -> bool:
        """Whether people must still be notified of its faults."""
        return self.faulty not in ("", self.notified)

    def unread(self, name: str) -> str | None:
        """Return the inbox entry of this name; None: there is none, or it has been handled."""
        value = self.inbox.get(name)
        return None if value is None or value == self.handled.get(name) else value

    def generation_of(self, account: str, place: str) -> int:
        """Return the generation of a target: a delivery that failed in an older one begins again."""
        return max(self.named_generation_of(account, place), self.retries.get(EVERYWHERE, 0))

    def named_generation_of(self, account: str, place: str) -> int:
        """Return the generation of a target without a lift of all: only this begins again what its date has ended."""
        return max(self.generation, self.retries.get(account, 0), self.retries.get(place, 0))

    def was_left_out(self, account: str, region: str) -> bool:
        """Whether a withdrawal kept this target out before it began."""
        return account in self.left_out.get(region, "")

    def withdrawals_count_from(self, value: str | None) -> int:
        """Return from when withdrawals count for a value: since EC2 last showed another one."""
        return self.withdrawals_from if value == self.value else max(self.withdrawals_from, self.in_force_since)
