"""The cases on a slow AWS: modes, killed functions, and the end that each must reach."""

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from chalicelib.engine import addresses
from tests.service.arrivals import NOTHING_COMES
from tests.service.scenes import ACCOUNTS, all_delivered
from tests.service.slow import FUNCTIONS, SlowGate, SlowHub

AMI = "ami-0a"
LONGEST = 20 * 3600
"""Seconds in which every case ends: a killed invocation's message is received again after three minutes."""
MODES: dict[str, dict[str, Any]] = {
    "snapshots": {},
    "image": {"copy_method": "image"},
    "policy": {"key_access": "policy"},
    "late release": {"release_when": "registered"},
    "share": {"mode": "share", "share_snapshots": True},
}
"""Settings of the targets."""
SLICE = {"worker": 15, "share-worker": 9, "sweep": 4, "discover": 1, "events": 1}
"""Calls that an invocation needs to make progress: its reads, its intent, one change, its result."""
MOST_CALLS = 60
SOME_KILLS = 12
"""After this many kills a function is no longer killed: more kills than a message has tries."""


@dataclass(frozen=True)
class SlowCase:
    """One run: which function is killed after what, in which mode."""

    mode: str = "snapshots"
    seed: int = 0
    one_slice: frozenset[str] = frozenset()
    killed_after: tuple[tuple[str, int], ...] = ()
    most_kills: int = 10**9
    targets: int = 2
    snapshots: int = 2

    def hub(self, **more: Any) -> SlowHub:
        """Make the hub, and tag its AMI."""
        gate = SlowGate(
            seed=self.seed, one_slice=self.one_slice, killed_after=dict(self.killed_after), kills_left=self.most_kills
        )
        if self.one_slice == {"discover"}:  # an event would hide what discovery itself writes
            more.setdefault("arrivals", NOTHING_COMES)
        hub = SlowHub(
            accounts=ACCOUNTS[: self.targets], gate=gate, watchful=False, target=dict(MODES[self.mode]), **more
        )
        hub.cloud.make_image(AMI, {f"snap-0{n}": True for n in range(self.snapshots)})
        hub.cloud.tag(AMI, "default")
        return hub

    def play(self) -> SlowHub:
        """Run to the end, and check it."""
        hub = self.hub()
        hub.wait(LONGEST)
        all_ended(hub, self.mode)
        if self.mode == "share":
            hub.cloud.tag(AMI, None)
            assert set(hub.wait(LONGEST).outcomes().values()) == {"withdrawn"}, f"{hub.outcomes()}: {hub.faults()}"
            hub.groups.dead.clear()
            hub.invariants.rest()
        return hub


def all_ended(hub: SlowHub, mode: str) -> None:
    """Check the end of a promotion in which nothing was wrong. Messages of killed functions may be dead letters."""
    hub.groups.dead.clear()
    if mode != "share":
        all_delivered(hub, notified_once=False)
        return
    assert set(hub.outcomes().values()) == {"shared"}, f"{hub.outcomes()}: {hub.faults()}"
    for account in hub.accounts:
        hub.invariants.really_open(hub.delivery_key(AMI, account).pk.removeprefix("delivery#"))
    promotion = hub.stores.seen(addresses.promotion(AMI))
    assert promotion is not None
    assert promotion.state == "over"


def every_kill(modes: Iterable[str]) -> Iterator[SlowCase]:
    """Every function, killed after every number of calls: always if a slice fits in, else a number of times."""
    for mode in modes:
        yield from (SlowCase(mode, one_slice=frozenset({function})) for function in FUNCTIONS)
        yield SlowCase(mode, one_slice=frozenset(FUNCTIONS))
        for function in FUNCTIONS:
            for calls in range(1, MOST_CALLS + 1):
                if calls >= SLICE[function]:
                    yield SlowCase(mode, killed_after=((function, calls),))
                else:
                    yield SlowCase(mode, killed_after=((function, calls),), most_kills=SOME_KILLS)


def soaked(cases: Iterable[Any], seconds: float) -> tuple[int, list[str]]:
    """Play cases until the time is over or one breaks an invariant; return their number, and what broke."""
    end, played = time.monotonic() + seconds, 0
    for case in cases:
        if time.monotonic() >= end:
            break
        played += 1
        try:
            case.play()
        except AssertionError as failure:
            return played, [f"{case}: {failure}"]
    return played, []


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """The soak's part: all kills in all modes, in an order that the seed draws, each on another slow AWS."""
    random, cases = Random(seed), list(every_kill(MODES))
    drawn = (replace(random.choice(cases), seed=random.randrange(10**9)) for _ in itertools.count())
    return soaked(drawn, seconds)
