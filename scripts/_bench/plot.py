"""Draws lines on logarithmic axes as SVG: a plot of the documentation needs no more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 460, 330
LEFT, RIGHT, TOP, BOTTOM = 64, 18, 40, 58
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37")
THOUSAND = 1_000


@dataclass(frozen=True)
class Line:
    """A line through points (x, y), all above 0, in ascending order of x."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Panel:
    """Axes with lines; `unit` is that of the y axis."""

    title: str
    unit: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis over whole decades, drawn from pixel `start` to pixel `stop`."""

    low: int
    high: int
    start: float
    stop: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, stop: float) -> Axis:
        """Return the shortest axis that shows all values.

        Raises:
            ValueError: without values, or with one that is not above 0.

        """
        if not values or min(values) <= 0:
            raise ValueError("values: a logarithmic axis needs some, all above 0")
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1), start, stop)

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def decades(self) -> Iterator[float]:
        """Yield the powers of ten on the axis."""
        return (10.0**exponent for exponent in range(self.low, self.high + 1))


def draw(panels: Sequence[Panel], x_title: str) -> str:
    """Return panels side by side as one SVG; their x axes have the same title."""
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for index, panel in enumerate(panels):
        parts.append(f'<g transform="translate({index * WIDTH} 0)">')
        parts += _panel(panel, x_title)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def label(value: float) -> str:
    """Return a power of ten as people write it: 0.01, 1, 10k, 1M."""
    for size, letter in ((THOUSAND**2, "M"), (THOUSAND, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _panel(panel: Panel, x_title: str) -> Iterator[str]:
    points = [point for line in panel.lines for point in line.points]
    x = Axis.over([point[0] for point in points], LEFT, WIDTH - RIGHT)
    y = Axis.over([point[1] for point in points], HEIGHT - BOTTOM, TOP)
    yield _text(LEFT, TOP - 18, panel.title, weight="bold")
    yield _text(LEFT - 8, TOP - 4, panel.unit, anchor="end")
    yield from _grid(x, y)
    yield _text((x.start + x.stop) / 2, HEIGHT - BOTTOM + 34, x_title, anchor="middle")
    for index, line in enumerate(panel.lines):
        yield from _line(line, x, y, COLOURS[index % len(COLOURS)])
        yield from _key(line.name, index, COLOURS[index % len(COLOURS)])


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    for value in x.decades():
        at = x.place(value)
        yield _stroke((at, y.start), (at, y.stop))
        yield _text(at, y.start + 16, label(value), anchor="middle")
    for value in y.decades():
        at = y.place(value)
        yield _stroke((x.start, at), (x.stop, at))
        yield _text(x.start - 8, at + 4, label(value), anchor="end")


def _line(line: Line, x: Axis, y: Axis, colour: str) -> Iterator[str]:
    places = [(x.place(a), y.place(b)) for a, b in line.points]
    path = " ".join(f"{a},{b}" for a, b in places)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for a, b in places:
        yield f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>'


def _key(name: str, index: int, colour: str) -> Iterator[str]:
    at = LEFT + 170 * index
    yield f'<circle cx="{at + 4}" cy="{HEIGHT - 10}" r="4" fill="{colour}"/>'
    yield _text(at + 14, HEIGHT - 6, name)


def _stroke(start: tuple[float, float], stop: tuple[float, float]) -> str:
    (a, b), (c, d) = start, stop
    return f'<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" stroke="#d0d7de"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="#1f2328"'
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'
