"""All that is measured, in parts that run side by side; kept as JSON, so that a run which was stopped goes on."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import cold, curve, idle, matrix, run, sizes
from bench.case import Case
from bench.idle import Idle
from bench.rivals import RIVALS
from bench.rivals.promotion import RivalOutcome, promotion
from bench.run import MeasuredRun

FILE = Path(__file__).parents[1] / "build" / "bench.json"
RIVAL_SIZES = (1, 10, 100, 1000)


@dataclass
class Results:
    """What was measured; ``cases`` by their words."""

    cases: dict[str, MeasuredRun] = field(default_factory=dict)
    curve: dict[int, dict[str, Any]] = field(default_factory=dict)
    idle: Idle = field(default_factory=Idle)
    cold: dict[str, Any] = field(default_factory=dict)
    worst: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def of(self, case: Case) -> MeasuredRun:
        """Return what a case took."""
        return self.cases[str(case)]


def rivals(case: Case) -> list[RivalOutcome]:
    """Return what each rival takes for a case."""
    return [play(promotion(case)) for play in RIVALS]


def parts() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Return what is to be measured, by name, the longest first."""
    cases = sorted(dict.fromkeys(matrix.ALL), key=lambda case: -case.deliveries * (2 - case.events))
    wanted: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        f"case: {case}": (run.measure, (case,)) for case in cases
    }
    wanted["worst"] = (curve.worst, ())
    wanted |= {f"curve: {targets}": (curve.measure, (targets,)) for targets in reversed(curve.SIZES)}
    return wanted | {"idle": (idle.measure, ()), "sizes": (sizes.measure, ())}


def measure(report: Callable[[str], object], *, keep: bool = False) -> Results:
    """Measure everything on two cores, and report each part; with ``keep`` only what is not in the file yet."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if keep and FILE.exists() else {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(_play, *part): name for name, part in parts().items() if name not in found}
        for number, done in enumerate(as_completed(waiting), 1):
            found[waiting[done]] = done.result()
            _keep(found)
            report(f"{number} of {len(waiting)}: {waiting[done]}")
    if "cold" not in found:  # alone, as it is measured in seconds of the machine
        found["cold"] = cold.measure()
        _keep(found)
        report("cold start")
    return read(found)


def read(found: Mapping[str, Any]) -> Results:
    """Build results from what was kept."""
    results = Results(idle=Idle(**found["idle"]), cold=found["cold"], worst=found["worst"], sizes=found["sizes"])
    for name, value in found.items():
        kind, _, rest = name.partition(": ")
        if kind == "case":
            case = Case(**value["case"])
            results.cases[str(case)] = MeasuredRun(**{**value, "case": case})
        elif kind == "curve":
            results.curve[int(rest)] = value
    return results


def _play(what: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    result = what(*given)
    return asdict(result) if hasattr(result, "__dataclass_fields__") else result


def _keep(found: Mapping[str, Any]) -> None:
    FILE.parent.mkdir(exist_ok=True)
    new = FILE.with_suffix(".new")
    new.write_text(json.dumps(found), encoding="utf-8")
    new.replace(FILE)
