"""Outages: a function is off for hours, starting in any state of any mode; what must hold during and after it."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from chalicelib.sharing.share import ShareState
from tests.service.cloud import CloudBehavior
from tests.service.scenes import ACCOUNTS
from tests.service.slow import FUNCTIONS, SlowGate, SlowHub
from tests.service.slow_cases import AMI, MODES, all_ended, soaked

HOUR = 3600
HOURS = (2, 26)
LINGERS = 30 * 60
"""Seconds in which the share worker closes ended shares: the sweep wakes it at least every quarter of an hour."""
AFTERWARDS = 60 * HOUR
CLOSING = ("share-worker", "sweep")
"""Functions without which nothing closes at its end: the one that does, and the one that wakes it then."""


@dataclass(frozen=True)
class Outage:
    """A function is off for hours, from when a delivery first has a state. ``ending``: the tag is removed, too."""

    mode: str
    state: str
    function: str
    hours: int
    seed: int = 0
    ending: bool = False

    def play(self) -> None:
        """Play the outage, watch the shares all along, and check the end."""
        hub = _hub(self.mode, self.seed)
        watch = OutageWatch(hub)
        if self.ending:
            hub.wait(2 * HOUR)
            hub.cloud.tag(AMI, None)
        hub.until_state(AMI, ACCOUNTS[0], self.state)
        had = watch.images() if not self.ending else {}
        watch.off[self.function] = (hub.cloud.now, hub.cloud.now + self.hours * HOUR)
        hub.switch_off(self.function, self.hours * HOUR)
        watch.run(until=hub.cloud.now + self.hours * HOUR - 1)
        done = watch.done()
        watch.run(until=hub.cloud.now + AFTERWARDS)
        gone = had.keys() - watch.images().keys()
        assert not gone, f"destroyed: {gone}"
        if self.mode == "share" and self.ending:
            assert set(hub.outcomes().values()) == {"withdrawn"}, f"{hub.outcomes()}: {hub.faults()}"
            hub.groups.dead.clear()
            hub.invariants.rest()
            return
        failed = {place[1] for place, state in hub.outcomes().items() if state == "failed"}
        if failed:
            self._may_fail(hub, failed, done)
            hub.cloud.tag(AMI, None)
            hub.wait(HOUR)
            hub.cloud.notices.clear()
            hub.cloud.tag(AMI, "default")
            hub.wait(AFTERWARDS)
            assert "failed" not in hub.outcomes().values(), "tagged again, it fails again"
        else:
            all_ended(hub, self.mode)

    def _may_fail(self, hub: SlowHub, failed: set[str], done: set[str]) -> None:
        """Its deadline may have passed during an outage of the worker or share worker; completed work is not lost."""
        assert not failed & done, f"was done, and failed: {failed & done}: {hub.faults()}"
        assert (self.hours, self.function) in [(26, "worker"), (26, "share-worker")], hub.faults()
        assert all(fault.startswith("deadline-") for fault in hub.faults()), hub.faults()
        hub.groups.dead.clear()
        hub.invariants.rest()


@dataclass
class OutageWatch:
    """Checks the shares after each step."""

    hub: SlowHub
    off: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By function: from when until when it was off."""
    _shared: set[tuple[str, str]] = field(default_factory=set)

    def run(self, until: int) -> None:
        """Run step by step, and check after each."""
        hub = self.hub
        while (step := hub._next()) is not None and step[0] <= until:
            hub.run(until=step[0])
            self.look()
        hub.cloud.now = max(hub.cloud.now, until)

    def images(self) -> dict[str, str]:
        """Return the AMIs that exist and are available, with their accounts."""
        return {i.id: i.account for i in self.hub.cloud.images.values() if i.raw["State"] == "available"}

    def done(self) -> set[str]:
        """Return the accounts with all copies completed, or with an AMI; the record may not know yet."""
        cloud = self.hub.cloud
        wanted = {volume["Ebs"]["SnapshotId"] for volume in cloud.hub_images[AMI]["BlockDeviceMappings"]}
        there = {
            account: {c.source for c in cloud.live_copies() if c.account == account and c.state == "completed"}
            for account in self.hub.accounts
        }
        return {account for account, copies in there.items() if wanted <= copies} | set(self.images().values())

    def look(self) -> None:
        """Check that no share is open past its end for longer than the outage, and that no shared delivery ends."""
        hub = self.hub
        now = hub.cloud.now
        late = LINGERS + sum(min(now, end) - begun for name, (begun, end) in self.off.items() if name in CLOSING)
        for resource in hub.resources():
            for share in hub.stores.ledger.shares(resource):
                is_open = share.state in (ShareState.OPEN, ShareState.CLOSING)
                if is_open and share.last_closing_at and not share.preexisting:
                    assert now <= share.last_closing_at + late, (
                        f"{resource} is open {now - share.last_closing_at} s too long"
                    )
        if self._kept():
            for account in hub.accounts:
                place = (AMI, account)
                if hub.outcomes().get(place) == "shared":
                    self._shared.add(place)
                if place in self._shared:
                    hub.invariants.really_open(hub.delivery_key(*place).pk.removeprefix("delivery#"))

    def _kept(self) -> bool:
        """Whether the AMI is tagged: then no account loses access."""
        return any(tag["Key"] == "promote" for tag in self.hub.cloud.hub_images[AMI]["Tags"])


def _hub(mode: str, seed: int) -> SlowHub:
    hub = SlowHub(
        accounts=ACCOUNTS[:2],
        behavior=CloudBehavior(copying=(1800, 2400)),
        gate=SlowGate(seed=seed, most=0.3),
        watchful=False,
        target=dict(MODES[mode]),
    )
    hub.cloud.make_image(AMI, {"snap-00": True, "snap-01": True})
    hub.cloud.tag(AMI, "default")
    return hub


@cache
def states(mode: str, *, ending: bool = False) -> tuple[str, ...]:
    """Return the states that a delivery of a mode passes through, as seen between two invocations."""
    hub, seen = _hub(mode, 0), []
    if ending:
        hub.wait(2 * HOUR)
        hub.cloud.tag(AMI, None)
    while (step := hub._next()) is not None:
        hub.run(until=step[0])
        state = hub.outcomes().get((AMI, ACCOUNTS[0]))
        if state is not None and state not in seen:
            seen.append(state)
    return tuple(seen)


def outages(modes: Iterable[str], functions: Iterable[str] = FUNCTIONS) -> Iterator[Outage]:
    """Every function, off for 2 and for 26 hours, from every state of every mode."""
    functions = tuple(functions)
    for mode in modes:
        for function in functions:
            for hours in HOURS:
                for state in states(mode):
                    yield Outage(mode, state, function, hours)
                if mode == "share":
                    for state in states(mode, ending=True):
                        yield Outage(mode, state, function, hours, ending=True)


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """The soak's part: any outage, with other durations of calls each time."""
    random, cases = Random(seed), list(outages(MODES))
    drawn = (replace(random.choice(cases), seed=random.randrange(10**9)) for _ in itertools.count())
    return soaked(drawn, seconds)
