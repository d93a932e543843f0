"""Whether the wave of a waiting delivery is open.

Which wave it has, and whether promotions are paused, is read in the operators' table; how far that wave is, in the
record of the promotion, which counts its tracked deliveries once for all that wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phases.waiting import WaveSeen
from chalicelib.delivery.wave_progress import PromotionWaves, WaveProgress
from chalicelib.delivery.worker.live_approvals import LiveApprovals
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.waker import Clock
from chalicelib.sharing.entitlement import SOURCE_GONE
from chalicelib.targets.ports import Targets

STOPPED, PAUSED = "wave-stopped", "wave-paused"
"""Codes of why a delivery waits for its wave."""


@dataclass(eq=False)
class LiveWaves:
    """Looks for the waves of deliveries."""

    targets: Targets
    approvals: LiveApprovals
    clock: Clock
    promotion: Callable[[str], PromotionWaves | None]
    """Reads how far an AMI's promotion is; None: that cannot be read."""

    def look(self, delivery: Delivery) -> WaveSeen:
        """Read how far a delivery's wave is. Raises Refusal if the applied file cannot be used now."""
        file = self.targets.read()
        if file.fault is not None:
            raise Refusal(RefusalKind.THROTTLED, file.fault)
        seen = self.promotion(delivery.ami)
        ended = _source_gone(delivery) if seen is not None and seen.gone else self.approvals.date_passed(delivery)
        if ended is not None:
            return WaveSeen(gone=ended)
        wave = file.waves.of(delivery.target.account)
        if wave is None:
            return self._open(delivery, self.clock())
        if seen is None or isinstance(wave, Fault):
            return WaveSeen(why=wave if isinstance(wave, Fault) else None)
        progress = seen.progress.get(file.waves.name(wave), WaveProgress())
        if progress.stopped:
            what = f"Deliveries to `{wave.after}` failed, so the wave after it does not open."
            cure = f"`ami-promoter status {delivery.ami}` names them; cure them, then `ami-promoter retry`."
            return WaveSeen(why=Fault(STOPPED, delivery.where, what, cure))
        if 0 < progress.opens_at <= self.clock():
            return self._open(delivery, progress.opens_at)
        return WaveSeen(opens_at=progress.opens_at)

    def _open(self, delivery: Delivery, since: int) -> WaveSeen:
        """A paused hub opens no wave: what waits for one has not begun."""
        if self.targets.paused():
            what = "Promotions are paused, so no wave opens."
            return WaveSeen(opens_at=since, why=Fault(PAUSED, delivery.where, what, "`ami-promoter admin resume`."))
        return WaveSeen(open=True, changed=self.approvals.other_settings(delivery))


def _source_gone(delivery: Delivery) -> Fault:
    what = f"{delivery.ami} was deregistered, disabled, or no longer belongs to the hub, before its wave opened."
    return Fault(SOURCE_GONE, delivery.where, what, "Nothing was opened. Tag another AMI.")
