"""When the waves of a promotion open: a function of what the targets file says, and of its tracked deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine.addresses import digest
from chalicelib.engine.faults import Fault
from chalicelib.promotion.model import Promotion
from chalicelib.promotion.wanted import WantedTargets
from chalicelib.targets.applied_file import VALUE, Target
from chalicelib.targets.waves import FileWaves, Wave

NOT_BEGUN = "wave-not-begun"
"""Code of the fault of a wave that waits in vain, as no delivery of the group before it counts."""


@dataclass(frozen=True, slots=True)
class WaveCount:
    """How the deliveries of the group before a wave have ended.

    ``pending``: accounts with deliveries that have not ended, or are yet to begin; while there are any, the rest does
    not count. ``ended_at``: the last end (epoch seconds).
    """

    wave: Wave
    pending: frozenset[str] = frozenset()
    succeeded: int = 0
    failed: tuple[TrackedDelivery, ...] = ()
    ended_at: int = 0

    @property
    def nobody(self) -> bool:
        """Whether the group before has no delivery that counts, and none that is to begin."""
        return not (self.pending or self.succeeded or self.failed)

    @property
    def progress(self) -> WaveProgress:
        """When the wave opens, or that it is stopped: more have failed than may, or nothing but failures is left."""
        if self.pending or self.nobody:
            return WaveProgress()
        if len(self.failed) > self.wave.most_failed or not self.succeeded:
            named = sorted(f"{one.delivery}:{one.episode}" for one in self.failed)
            return WaveProgress(stopped=digest(self.wave.rule, *named))
        return WaveProgress(opens_at=max(self.ended_at + self.wave.soak, 1))


def counts(
    wanted: WantedTargets, tracked: Sequence[TrackedDelivery], missing: Iterable[Target], promotion: Promotion
) -> list[WaveCount]:
    """Count the deliveries of the group before each wave of the wanted targets. ``missing``: what is to begin."""
    waves = {wave.rule: wave for wave in map(wanted.waves.of, accounts(wanted)) if isinstance(wave, Wave)}
    known = {one.place: one for one in tracked}
    new = [one for one in missing if joined(promotion, one, known.get(one.place)) != promotion.generation]
    begin = {one.account for one in new}
    some = counted(wanted, tracked)
    return [_count(wave, wanted.waves, some, begin, promotion.generation) for _, wave in sorted(waves.items())]


def counted(wanted: WantedTargets, tracked: Iterable[TrackedDelivery]) -> list[TrackedDelivery]:
    """Return the tracked deliveries without what failed at targets that are wanted no longer: these stop no wave."""
    return [one for one in tracked if not one.failed or wanted.may_go_on(one.place)]


def accounts(wanted: WantedTargets) -> list[str]:
    """Return the accounts of the wanted targets."""
    return sorted({target.account for target in wanted.targets.values()})


def joined(promotion: Promotion, target: Target, one: TrackedDelivery | None) -> int:
    """Return the generation in which a target joined after all others had begun; 0: it did not.

    One that a withdrawal kept out, and that begins with its lift, did not join: it counts as if it had begun at once.
    """
    if one is not None:
        return one.joined
    if promotion.was_left_out(target.account, target.region):
        return 0
    generation = promotion.generation_of(target.account, target.place)
    return promotion.generation if generation <= promotion.passed_generation else 0


def _count(
    wave: Wave, file: FileWaves, tracked: Iterable[TrackedDelivery], begin: set[str], generation: int
) -> WaveCount:
    """Count for one wave. What was cancelled, withdrawn or recalled counts for neither side, unless it begins again.

    A target that joined in the present generation holds up no wave.
    """
    members = file.members(wave.after)
    mine = [one for one in tracked if one.account in members and one.joined != generation]
    running = {one.account for one in mine if one.state == RUNNING}
    ended = [one for one in mine if one.outcome.in_wave]
    failed = tuple(sorted((one for one in ended if one.failed), key=lambda one: one.place))
    last = max((one.ended_at for one in ended), default=0)
    return WaveCount(wave, frozenset(running | begin & members), len(ended) - len(failed), failed, last)


def never_open(found: Iterable[WaveCount], wanted: WantedTargets) -> list[Wave]:
    """Return the waves that wait in vain: all accounts of the group before are late, so that none of theirs counts.

    If no account of the group before is wanted, the value itself has a fault (``FileWaves.faults``).
    """
    file, every = wanted.waves, accounts(wanted)
    return [one.wave for one in found if one.nobody and not file.members(one.wave.after).isdisjoint(every)]


def not_begun(wave: Wave, file: FileWaves) -> Fault:
    """Return the fault of a wave that waits in vain."""
    names = " and ".join(f"`{name}`" for name in file.waiting(wave.rule))
    what = f"The wave of {names} comes after `{wave.after}`, where no delivery counts before the next tag event."
    return Fault(NOT_BEGUN, VALUE, what, "Tag the AMI again: until then what waits for that wave waits in vain.")


def under_way(found: Iterable[WaveCount], file: FileWaves, progress: Mapping[str, WaveProgress], now: int) -> bool:
    """Whether a wave waits for deliveries that do not themselves wait for one: they may end at any time."""
    for account in {account for one in found for account in one.pending}:
        wave = file.of(account)
        opens_at = progress.get(file.name(wave), WaveProgress()).opens_at if isinstance(wave, Wave) else 0
        if wave is None or 0 < opens_at <= now:
            return True
    return False
