"""A line chart as SVG, both axes logarithmic, without any library. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 80, 190, 40, 50
COLOURS = ("#1b6ca8", "#c0392b", "#d68910", "#7d3c98", "#148f77", "#5d6d7e", "#2e4053")
Line = Sequence[tuple[float, float]]


def chart(title: str, across: str, up: str, lines: Mapping[str, Line]) -> str:
    """Draw lines by name. Every value must be above zero."""
    xs = sorted({x for line in lines.values() for x, _ in line})
    ys = [y for line in lines.values() for _, y in line]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    high = max(high, low + 1)
    first, last = math.log10(xs[0]), math.log10(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        across_share = (math.log10(x) - first) / (last - first or 1)
        up_share = (math.log10(y) - low) / (high - low)
        return LEFT + across_share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up_share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="13" role="img">',
        f'<title>{escape(title)}</title><g font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        x, y = place(xs[0], 10**power)
        parts.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{WIDTH - RIGHT}" y2="{y:.0f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{10**power:,g}</text>')
    for value in xs:
        x, _ = place(value, 10**low)
        parts.append(f'<text x="{x:.0f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{value:,g}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{escape(across)}; upward: {escape(up)}</text>')
    for number, line in enumerate(lines.values()):
        colour = COLOURS[number % len(COLOURS)]
        points = [place(x, y) for x, y in line]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    ends = sorted((place(*line[-1])[1], number, name) for number, (name, line) in enumerate(lines.items()))
    free = 0.0
    for at, number, name in ends:
        free = max(at, free + 16)
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{free + 4:.0f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])
