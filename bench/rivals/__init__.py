"""What people do today, each as a small model written from its public description. No rival's code is used or run.

All get the same promotion: the same accounts, copy durations, quotas, rates and time for a call. Where a description
leaves something open the reading is taken that favours the rival: key grants work at once, no call fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.rivals import build_tool, orchestrator, script, state_machines
from bench.rivals.promotion import PlayedPromotion, RivalOutcome

RIVALS: Sequence[Callable[[PlayedPromotion], RivalOutcome]] = (
    orchestrator.run,
    state_machines.run,
    build_tool.run,
    script.run,
)
