"""Parts of the page's sections: states, tables, bars, times, and the drawing of how many permissions were open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ami_promoter.report_page.exposure import Exposure
from ami_promoter.report_page.html import Content, el
from ami_promoter.report_page.model import Span
from ami_promoter.terminal.output import COLORS
from ami_promoter.terminal.report import moment, plainly, span
from chalicelib.delivery.outcomes import OUTCOMES
from chalicelib.engine.faults import count

OPEN_ROWS = 20
"""Tables with more rows are closed at first."""
LONGEST_ID = 24
"""In characters; a snapshot id has 22."""
COLUMNS = 240
"""Number of columns in the drawing. A column shows the most permissions that were open at once in its time."""
WIDTH, HEIGHT = 960, 120

_OF_COLOR = {"green": ("✓", "good"), "red": ("✕", "bad"), "yellow": ("■", "warn")}
SYMBOLS = {word: _OF_COLOR[COLORS[word]] for word in (*OUTCOMES, "refused")} | {
    "unreadable": ("?", "bad"),
    "unknown": ("?", "bad"),
    "left open": ("●", "warn"),
    "open": ("●", "open"),
    "opening": ("●", "open"),
    "closing": ("●", "open"),
    "closed": ("○", "calm"),
    "no delivery": ("■", "calm"),
}
"""State -> (its symbol, its class); all others are under way."""

STEPS = {
    "requested": "wait",
    "awaiting-role": "wait",
    "awaiting-slot": "wait",
    "opening": "open",
    "copying": "copy",
    "registering": "make",
    "verifying": "make",
    "launching": "make",
    "publishing": "make",
    "restoring": "make",
    "stopping": "stop",
    "recalling": "stop",
    "tidying": "stop",
    "shared": "held",
}
"""State of a delivery -> the pattern of its bar."""

PATTERNS = (
    ("wait", "requested, waiting for a role or a slot"),
    ("open", "opening shares"),
    ("copy", "copying"),
    ("make", "registering, verifying, launching, publishing, restoring"),
    ("stop", "stopping, removing leftovers, recalling"),
    ("held", "shared"),
)


def state(word: str) -> Element:
    """Show a state as a symbol and a word, so that a reader needs no color."""
    symbol, kind = SYMBOLS.get(word, ("▸", "busy"))
    return el("span", el("span", symbol, aria_hidden="true"), f" {word or 'unknown'}", class_=f"st {kind}")


def code(text: str) -> Element:
    """Show an id, a name or a command. An id stays on one line; a longer word can wrap."""
    first, *more = text.split(" ")
    if any(len(word) > LONGEST_ID for word in (first, *more)):
        return el("code", text)
    if not more:
        return el("code", text, class_="id")
    return el("code", el("span", first), [(" ", el("span", word)) for word in more])


def prose(text: str) -> Iterator[Content]:
    """Yield a sentence's parts: what stands in backticks on a terminal is code here."""
    for number, part in enumerate(text.split("`")):
        if part:
            yield code(part) if number % 2 else part


def when(epoch: int | None) -> str:
    """Write a time for a person."""
    return said(moment(epoch))


def said(iso: str) -> str:
    """Write an ISO 8601 time for a person; the top of the page says that times are UTC."""
    return plainly(iso) if iso != "-" else "not known"


# --- tables ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TableKind:
    """A kind of table. On a narrow screen each row is a card; the style sheet adds the headings."""

    name: str
    """CSS class of the table."""
    head: Sequence[str]
    """Column headings; the first cell of a row is the heading of the row."""

    def show(self, caption: str, rows: Iterable[Sequence[Content]]) -> Element:
        """Make the table."""
        body = [el("tr", el("th", row[0], scope="row"), (el("td", cell) for cell in row[1:])) for row in rows]
        head = el("tr", (el("th", name, scope="col") for name in self.head))
        return el("table", el("caption", caption), el("thead", head), el("tbody", body), class_=self.name)

    def cards(self) -> str:
        """Return the CSS rules that put headings into a card's lines."""
        return "".join(
            f'.{self.name} td:nth-child({number})::before{{content:"{name}"}}'
            for number, name in enumerate(self.head, 1)
            if number > 1
        )


def folded(summary: Content, *content: Content, rows: int = 0, open_: bool = False) -> Element:
    """Make a section that a reader can open and close without a script; a text search of the page opens it.

    ``rows``: rows of its table. The browser lays out a long table only when it comes into view.
    """
    long = rows > OPEN_ROWS
    inside = el("div", *content, class_="in long" if long else "in")
    return el("details", el("summary", summary), inside, open=open_ and not long)


# --- bars ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scale:
    """The time range of a bar's full width."""

    start: int
    end: int

    def bar(self, pieces: Iterable[tuple[str, int, int]]) -> Element:
        """Draw pieces of (class, from, to). Screen readers skip the bar, as the text beside it says the same."""
        length = max(self.end - self.start, 1)
        made = []
        for kind, start, end in pieces:
            left, right = (min(max(at - self.start, 0), length) * 100 / length for at in (start, end))
            made.append(el("i", class_=kind, style=f"left:{left:.4g}%;width:{max(right - left, 0.6):.3g}%"))
        return el("span", made, class_="bar", aria_hidden="true")

    def named(self) -> Element:
        """Write the times at the bars' ends."""
        return el("p", f"Bars: from {when(self.start)} to {when(self.end)}.", class_="dim")


def scale(times: Iterable[int | None]) -> Scale:
    """Make a scale that contains all these times."""
    known = [at for at in times if at is not None] or [0]
    return Scale(min(known), max(known))


def steps(spans: Sequence[Span], now: int) -> str:
    """Write a timeline in words."""
    lasted = [(one.state, (now if one.end is None else one.end) - one.start, one.end) for one in spans]
    words = [f"{name} {span(seconds)}{' so far' if end is None else ''}" for name, seconds, end in lasted if seconds]
    return " · ".join(words) or "-"


def legend() -> Element:
    """Explain the bars."""
    items = [
        el("li", el("span", el("i", class_=kind, style="left:0;width:100%"), class_="bar", aria_hidden="true"), words)
        for kind, words in PATTERNS
    ]
    return el("ul", items, class_="legend", aria_label="What the bars show")


# --- drawing ---------------------------------------------------------------------------------------------------------


def most_open(found: Sequence[Exposure], start: int, end: int, columns: int = COLUMNS) -> list[int]:
    """Return, for each column of the time from ``start`` to ``end``, how many were open at once at most."""
    changes: dict[int, int] = {}
    for one in found:
        begin = max(start if one.start is None else one.start, start)
        over = end + 1 if one.end is None else one.end
        if over >= begin:
            changes[begin] = changes.get(begin, 0) + 1
            changes[over + 1] = changes.get(over + 1, 0) - 1
    width = max(end - start, 1) / columns
    peaks, level, due = [0] * columns, 0, sorted(changes)
    for column in range(columns):
        peaks[column] = level
        until = start + (column + 1) * width
        while due and (due[0] < until or column == columns - 1):
            level += changes[due.pop(0)]
            peaks[column] = max(peaks[column], level)
    return peaks


def drawing(found: Sequence[Exposure], start: int, end: int) -> Element:
    """Draw the chart with its text description; the tables on the page contain the same facts."""
    peaks = most_open(found, start, end)
    top = max(peaks)
    title = "Permissions open at once"
    words = f"From {when(start)} to {when(end)}: {top} at most, {peaks[-1]} at the end."
    points = " ".join(f"{x:.4g},{y:.4g}" for x, y in _outline(peaks, max(top, 1)))
    picture = el(
        "svg",
        el("title", title, id="chart-title"),
        el("desc", words, id="chart-text"),
        el("polygon", points=f"0,{HEIGHT} {points} {WIDTH},{HEIGHT}"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby="chart-title",
        aria_describedby="chart-text",
    )
    axis = el("p", el("span", when(start)), el("span", when(end)), class_="axis")
    caption = el("figcaption", title, ": ", count(top, "permission"), " at most, ", f"{peaks[-1]:,}", " now")
    return el("figure", caption, picture, axis)


def _outline(peaks: Sequence[int], top: int) -> Iterator[tuple[float, float]]:
    for column, value in enumerate(peaks):
        height = HEIGHT - value * (HEIGHT - 4) / top
        yield column * WIDTH / len(peaks), height
        yield (column + 1) * WIDTH / len(peaks), height
