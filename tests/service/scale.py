"""Large numbers on a slow AWS: targets to deliver to, standing shares to withdraw, tagged AMIs to compare.

``tests/service/test_slow.py`` plays samples; `make soak PART=scale` plays the numbers that the service is designed for
(``FULL``), each time with other durations of calls.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from chalicelib.targets.applied_file import Directory
from tests.service.hub import DISCOVERY
from tests.service.scenes import all_delivered
from tests.service.slow import FUNCTIONS, SlowGate, SlowHub
from tests.service.slow_cases import soaked

HOUR = 3600
AMI = "ami-0a"
FAST = 0.11
"""The longest call in seconds while the scene is prepared."""


@dataclass(frozen=True)
class Numbers:
    """How many targets, shares and AMIs there are."""

    targets: int
    shares: int
    tagged: int


SAMPLE = Numbers(targets=150, shares=100, tagged=400)
FULL = Numbers(targets=1_000, shares=500, tagged=4_000)
WHAT = ("targets", "shares by tag", "shares by file", "tagged")


@dataclass(frozen=True)
class ScaleCase:
    """One run. ``one_slice``: each of these functions is killed right after one slice, in every invocation."""

    what: str
    one_slice: frozenset[str] = frozenset()
    numbers: Numbers = SAMPLE
    seed: int = 0

    def play(self) -> None:
        """Play it, and check the end."""
        {"targets": self._targets, "tagged": self._tagged}.get(self.what, self._shares)()

    def _targets(self) -> None:
        """All targets are delivered."""
        hub = _hub(self.numbers.targets, SlowGate(seed=self.seed, one_slice=self.one_slice))
        hub.cloud.tag(AMI, "default")
        hub.wait(48 * HOUR)

        hub.groups.dead.clear()
        all_delivered(hub, notified_once=False)

    def _shares(self) -> None:
        """The tag is removed, or the file loses all but one account: half a day later nothing else is open."""
        hub = _hub(self.numbers.shares, SlowGate(seed=self.seed, most=FAST), mode="share", share_snapshots=True)
        hub.cloud.tag(AMI, "default")
        hub.wait(24 * HOUR)
        assert Counter(hub.outcomes().values()) == {"shared": self.numbers.shares}, hub.faults()

        hub.gate.most, hub.gate.one_slice = SlowGate.most, self.one_slice
        stay = set()
        if self.what == "shares by tag":
            hub.cloud.tag(AMI, None)
        else:
            stay = set(hub.accounts[:1])
            listed = {account: hub.cloud.directory.accounts[account] for account in stay}
            hub.cloud.directory = Directory({"default": tuple(listed)}, listed)
            hub._discover_at = hub.cloud.now + DISCOVERY
        hub.wait(12 * HOUR)

        assert {account for _, account in hub.cloud.launches} == stay
        assert {account for _, account in hub.cloud.permissions} == stay
        assert {name.split(":")[4] if ":" in name else name for name in hub.cloud.grants.values()} == stay

    def _tagged(self) -> None:
        """Tag events are lost: the last AMI is shared some hours later, an untagged one withdrawn within the hour."""
        hub = _hub(1, SlowGate(seed=self.seed), mode="share")
        hub.cloud.tag(AMI, "default")
        assert set(hub.wait(HOUR).outcomes().values()) == {"shared"}
        hub.gate.one_slice = self.one_slice
        hub._event_fates = iter(lambda: (), None)
        amis = [f"ami-b{n:06x}" for n in range(self.numbers.tagged)]
        for ami in amis:
            hub.cloud.make_image(ami, {f"snap-{ami[4:]}": False})
            hub.cloud.hub_images[ami]["Tags"] = [{"Key": "promote", "Value": "nobody"}]
        hub.cloud.tag(amis[-1], "default")
        hub.cloud.tag(AMI, None)
        _discover_for(hub, 1)
        assert hub.outcomes()[AMI, hub.accounts[0]] == "withdrawn"
        _discover_for(hub, 4 + self.numbers.tagged // 250)
        assert hub.outcomes().get((amis[-1], hub.accounts[0])) == "shared"


def _hub(accounts: int, gate: SlowGate, **target) -> SlowHub:
    """A hub with this many targets, on a slow AWS."""
    names = [f"{200_000_000_000 + number}" for number in range(accounts)]
    hub = SlowHub(accounts=names, gate=gate, watchful=False, most_invocations=10**6, target=target)
    hub.cloud.make_image(AMI, {"snap-00": True})
    return hub


def _discover_for(hub: SlowHub, hours: int) -> None:
    """Run for this long; discovery runs every five minutes, whether or not anything else happens."""
    for _ in range(hours * HOUR // DISCOVERY):
        hub._discover_at = min(hub._discover_at or 10**12, hub.cloud.now + DISCOVERY)
        hub.wait(DISCOVERY)


def cases(numbers: Numbers) -> Iterator[ScaleCase]:
    """Each case twice: functions are killed at their limit only, and after each slice."""
    for what in WHAT:
        yield ScaleCase(what, numbers=numbers)
        yield ScaleCase(what, frozenset({"discover"} if what == "tagged" else FUNCTIONS), numbers)


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """The soak's part: the full numbers, in an order that the seed draws. One case takes a minute or two."""
    random, order = Random(seed), list(cases(FULL))
    random.shuffle(order)
    return soaked((replace(case, seed=random.randrange(10**9)) for case in reversed(order)), seconds)
