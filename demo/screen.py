"""The deliveries as they advance: a live picture on a terminal, or a line for each thing that happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from awsim.services.ec2.facts import CopyProgress
from demo import stage
from demo.observer import Happening, Observer, Watched
from demo.ways import Way

LATEST = 6
"""Happenings shown at the foot."""
FRAME = 5 + LATEST
"""Lines of the picture that are not about targets."""
TONES = {"news": "", "good": "green", "bad": "red", "faint": "dim", "progress": "dim"}
"""Of the terminal's own sixteen colours, only those that can be read on light and on dark ground."""
EXPECTED = "  expected: a new key needs minutes"
"""Beside a target whose copies are in ``error`` because its access to the key is new; the service tries again."""
STATE_STYLES = {"delivered": "green", "failed": "bold red", "cancelled": "bold red"}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What bars and marks are drawn with."""

    done: str
    rest: str
    good: str
    bad: str


FINE = Glyphs("━", "─", "✓", "✗")
COARSE = Glyphs("#", "-", "OK", "XX")


def glyphs(console: Console) -> Glyphs:
    """Choose what this console can show."""
    return COARSE if console.options.ascii_only else FINE


def begin(console: Console, others: str) -> None:
    """Say what is simulated: a hub and ``others``."""
    console.print(f"A hub and {others} in a simulator of AWS, whose clock runs ahead of yours.")


class Picture:
    """The whole as it is now, for ``rich.live``: as wide as the console, never higher, the foot always in its place."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._setting = observer.setting
        self._longest = longest(observer)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw."""
        width, marks = min(options.max_width, 100), glyphs(console)
        yield from self._head(width)
        yield from _fitting(list(self._blocks(width, marks)), max(console.height - FRAME, 4))
        yield self._shares()
        yield Text()
        for happening in self._foot():
            line = reported(happening, self._longest) if happening else Text()
            line.truncate(width, overflow="ellipsis")
            yield line

    def _head(self, width: int) -> Iterator[Text]:
        now, began = self._setting.world.now, self._setting.began
        clock = f"{now:%H:%M:%S}"
        since = f"{_span((now - began).total_seconds())} since the tag"
        left = f"hub {stage.HUB}, {stage.REGION}"
        room = max(width - len(left) - len(since) - len(clock) - 2, 2)
        yield Text.assemble((left, "bold"), " " * room, (since, "dim"), "  ", (clock, "bold"))
        yield Text()

    def _blocks(self, width: int, marks: Glyphs) -> Iterator[tuple[bool, list[Text]]]:
        staged = self._setting.staged
        for way in self._setting.ways:
            delivery = self._observer.deliveries.get((staged.image, way.place))
            copies = self._observer.copies_in(way.place)
            early = any(one.snapshot in self._observer.too_early for one in copies.values())
            head = self._target(way, delivery, EXPECTED if early else "")
            sources = zip(staged.snapshots, stage.SIZES, strict=True)
            bars = [_bar(copies.get(source), source, size, width, marks) for source, size in sources]
            yield delivery is not None and delivery.state == "delivered", [head, *bars, Text()]

    def _target(self, way: Way, delivery: Watched | None, remark: str) -> Text:
        state = delivery.state if delivery else "not begun"
        line = Text.assemble((f"{way.name:<{self._longest}}", "bold"), f"  {way.account}  ")
        line.append(f"{state:<12}", STATE_STYLES.get(state, "cyan" if delivery else "dim"))
        if delivery and state not in STATE_STYLES:
            spent = (self._setting.world.now - delivery.entered[-1][1]).total_seconds()
            line.append(_span(spent), "dim")
            line.append(remark)
        elif delivery:
            line.append(delivery.image)
        return line

    def _shares(self) -> Text:
        shares = self._setting.open()
        grants = sum(" grant " in share for share in shares)
        if not shares:
            return Text.assemble("shares open  ", ("none", "green"))
        return Text.assemble("shares open  ", (f"{len(shares) - grants} on snapshots, {grants} on the key", "magenta"))

    def _foot(self) -> list[Happening | None]:
        telling = [one for one in self._observer.happenings if one.tone != "progress"]  # the bars show that
        return [*telling[-LATEST:], *[None] * (LATEST - len(telling))]


def longest(observer: Observer) -> int:
    """Return how wide the column of names is."""
    return max(len("hub"), *(len(way.name) for way in observer.setting.ways))


def reported(happening: Happening, width: int) -> Text:
    """One happening as a line."""
    return Text.assemble(
        (f"{happening.at:%H:%M:%S}  ", "dim"),
        (f"{happening.who:<{width}}  ", "bold"),
        (happening.text, TONES[happening.tone]),
    )


def tell(console: Console, happening: Happening, width: int, indent: int = 0) -> None:
    """Print a happening; what is too narrow gets it in lines that are folded between words."""
    fold(console, Text(" " * indent) + reported(happening, width), indent + len("00:00:00  ") + width + 2)


def fold(console: Console, line: Text, begins: int) -> None:
    """Print a line, folded between words; further lines begin where its text begins."""
    head, rest = line[:begins], line[begins:]
    for number, part in enumerate(rest.wrap(console, max(console.width - begins, 20))):
        console.print((head if number == 0 else Text(" " * begins)) + part, soft_wrap=True)


def _bar(copy: CopyProgress | None, source: str, size: int, width: int, marks: Glyphs) -> Text:
    line = Text.assemble(f"  {source} ", (f"{size:>5} GiB  ", "dim"))
    longest = max(width - len(line.plain) - 7, 4)
    percent = copy.percent if copy else 0
    done = longest * percent // 100
    failed = copy is not None and copy.state == "error"
    style = "red" if failed else "green" if percent == 100 else "cyan"
    line.append(marks.done * done, style)
    line.append(marks.rest * (longest - done), "red" if failed else "dim")
    line.append(" error" if failed else f" {percent:>3} %" if copy else "", "red" if failed else "")
    return line


def _fitting(blocks: list[tuple[bool, list[Text]]], room: int) -> Iterator[Text]:
    """Show as much as fits: all if possible, else the delivered as one line each, else the first ones and a count."""
    lines = [line for _, block in blocks for line in block]
    if len(lines) > room:
        lines = [line for done, block in blocks for line in (block[:1] if done else block[:-1])]
    if len(lines) <= room:
        yield from lines
        return
    shown = 0
    used = 0
    for done, block in sorted(blocks, key=lambda one: one[0]):
        height = 1 if done else len(block) - 1
        if used + height > room - 1:
            break
        yield from block[:height]
        shown, used = shown + 1, used + height
    ended = Counter(done for done, _ in sorted(blocks, key=lambda one: one[0])[shown:])
    yield Text(f"and {len(blocks) - shown} more, {ended[True]} of them delivered", style="dim")
    for _ in range(room - 1 - used):
        yield Text()


def _span(seconds: float) -> str:
    """Say a time as a person does: 7 s, 12 min 41 s, 1 h 02 min."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
