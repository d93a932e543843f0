"""A drawing of how many permissions were open at each time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from ami_promoter.report_page.exposure import Exposure
from ami_promoter.report_page.html import el
from ami_promoter.report_page.parts import when
from chalicelib.engine.faults import count

COLUMNS = 240
"""Number of columns in the drawing. A column shows the most permissions that were open at once in its time."""
WIDTH, HEIGHT = 960, 120


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
