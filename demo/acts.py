"""Four acts: all are tagged, one joins, one is dropped, the tags go; then everything is checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from rich.console import Console
from rich.text import Text

from awsim.world import World
from demo import screen, setting, stage, table
from demo.observer import Observer
from demo.setting import NotReady, Setting
from demo.verdict import Launches, judge, must_run
from demo.ways import WAYS, Way

LONGEST = timedelta(hours=6)
"""Virtual time for which an act is waited for."""
GATHERING = timedelta(minutes=20)
"""Virtual time after which what is to be closed must be closed."""
STILL = timedelta(minutes=6)
"""Virtual time for which nobody expects anything: what stays shared must be there afterwards."""


def run(
    console: Console, seed: int = 0, ways: Sequence[Way] = WAYS, meddle: Callable[[World], object] = lambda _: None
) -> int:
    """Show all ways on a console; returns the exit status. ``meddle`` may do something before the tag is set."""
    accounts = len({way.account for way in ways} - {stage.HUB})
    screen.begin(console, f"{accounts} accounts")
    with World(seed) as world:
        try:
            ready = setting.every_way(world, ways)
        except NotReady as why:
            console.print(Text(f"demo: {why}", style="red"), soft_wrap=True)
            return 1
        meddle(world)
        return Play(ready, console).run()


class Play:
    """One run, shown on a console as it goes."""

    def __init__(self, ready: Setting, console: Console) -> None:
        self.setting = ready
        self.observer = Observer(ready, detailed=False)
        self.launches: Launches = {}
        self._console = console
        self._width = max(len(way.name) for way in ready.ways)
        self._acts = 0

    def run(self) -> int:
        """Play all acts, and show what came of it; returns the exit status."""
        table.introduce(self._console, self.setting)
        self._all_are_tagged()
        if late := [way for way in self.setting.ways if way.joins]:
            self._one_joins(late)
        if dropped := [way for way in self.setting.ways if way.group == "pilot"]:
            self._one_is_dropped(dropped)
        self._the_tag_goes()
        return self.end()

    def end(self) -> int:
        """Look everything up and print the table; returns the exit status: 0 if all checks passed, else 1."""
        verdict = judge(self.observer, self.launches)
        table.print_table(self._console, self.observer, verdict)
        return 0 if verdict.good else 1

    # --- acts ---

    def _all_are_tagged(self) -> None:
        second = "; a second AMI, which has a TPM, for one" if self.setting.tpm else ""
        self._act(f"One tag for all of them{second}.")
        self._tries("before", [way for way in self.setting.ways if way.shares])
        self._tag(self.setting.staged.image, self.setting.value())
        if self.setting.tpm:
            self._tag(self.setting.tpm, "tpm")
        present = [way for way in self.setting.ways if not way.joins]
        self._until(lambda: self._over(present))
        self._until_closed(way for way in self.setting.ways if not way.shares)
        self._play(STILL)
        self._tries("while", present)

    def _one_joins(self, late: Sequence[Way]) -> None:
        self._act("An account joins an OU. Nobody tags anything.")
        for way in late:
            unit = self.setting.join(way)
            self._command(
                f"aws organizations move-account --account-id {way.account} \\\n      --destination-parent-id {unit}"
            )
        self._until(lambda: self._over(late))
        self._until_closed(way for way in self.setting.ways if not way.shares)
        self._tries("while", late)

    def _one_is_dropped(self, dropped: Sequence[Way]) -> None:
        self._act("The tag names one group less: the service withdraws the share of that account only.")
        self._tag(self.setting.staged.image, self.setting.value("pilot"))
        self._withdrawn(dropped)
        self._tries("narrowed", [way for way in self.setting.ways if way.shares and way not in dropped])

    def _the_tag_goes(self) -> None:
        self._act("The tags are removed: the service withdraws the other shares; delivered AMIs stay.")
        for image in self.setting.images:
            self._command(f"aws ec2 delete-tags --resources {image} --tags Key=promote")
            self.setting.client("ec2").delete_tags(Resources=[image], Tags=[{"Key": "promote"}])
        self._withdrawn([way for way in self.setting.ways if way.shares])
        self._play(STILL)
        self._tries("after", [way for way in self.setting.ways if not way.shares])

    def _withdrawn(self, ways: Sequence[Way]) -> None:
        self._until(lambda: all(self._state(way) in {"withdrawn", "failed"} for way in ways))
        self._until_closed(ways)
        self._tries("after", [way for way in ways if ("after", way.place) not in self.launches])

    # --- what people do ---

    def _act(self, title: str) -> None:
        self._acts += 1
        self._console.print(Text(f"\n{self._acts}. {title}", style="bold"))

    def _command(self, words: str) -> None:
        self._console.print(Text(f"  $ {words}", style="bold cyan"), soft_wrap=True)

    def _tag(self, image: str, value: str) -> None:
        self._command(f'aws ec2 create-tags --resources {image} \\\n      --tags Key=promote,Value="{value}"')
        self.setting.tag(image, value)

    def _tries(self, moment: str, ways: Iterable[Way]) -> None:
        """Let each launch what it is promised: a copy of its own, or the hub's AMI; as itself or as Auto Scaling."""
        outcomes: defaultdict[tuple[str, str], list[Way]] = defaultdict(list)
        for way in ways:
            why = self.launches[moment, way.place] = self.setting.launch(way)
            whose = "hub's AMI" if way.shares else "own AMI"
            outcomes[f"{whose}{', by Auto Scaling' if way.role else ''} in ", why].append(way)
        for (what, why), some in outcomes.items():
            so = all((not why) == must_run(way, moment) for way in some)
            names = ", ".join(way.name for way in some)
            should = ", as expected" if so else ""
            outcome = f"refused{should}: {why.partition(':')[0]}" if why else "runs"
            self.observer.tell("launch", f"{what}{names}: {outcome}", "good" if so else "bad")
        self._play(timedelta())

    # --- time ---

    def _state(self, way: Way) -> str:
        return self.observer.state(self.setting.source(way), way.place)

    def _over(self, ways: Sequence[Way]) -> bool:
        """Whether these deliveries rest, and each promotion has said that it is over."""
        return all(map(self._rests, ways)) and all(map(self.observer.over.get, self.setting.images))

    def _rests(self, way: Way) -> bool:
        return self._state(way) in {"delivered", "shared", "failed", "cancelled"}

    def _until(self, done: Callable[[], bool], limit: timedelta = LONGEST) -> None:
        """Let virtual time run until something holds, or has taken too long; tell what happens meanwhile."""
        kernel = self.setting.world.kernel
        end = kernel.now + limit
        while True:
            so = kernel.run(until=lambda: self.observer.look() or done(), limit=end - kernel.now)
            for happening in self.observer.news():
                screen.tell(self._console, happening, self._width, 2)
            if done() or not so:
                return

    def _until_closed(self, ways: Iterable[Way]) -> None:
        wanted = tuple(ways)
        self._until(lambda: not any(self.setting.open_for(way) for way in wanted), GATHERING)

    def _play(self, span: timedelta) -> None:
        self._until(lambda: False, span)
