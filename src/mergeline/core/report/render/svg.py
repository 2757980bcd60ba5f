"""SVG by hand: axes, lines and labels as elements, the same bytes for the same numbers.

Colours are classes. In the page they follow its style; a drawing that stands alone brings the same
style with it (`standalone`), light or dark as the reader's system is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from mergeline.core import numbers
from mergeline.core.report import safe
from mergeline.core.report.view import Point

STYLE = """
svg.plot { --ink: #1f2328; --muted: #59636e; --grid: #d1d9e0; --paper: #ffffff; --mine: #0969da;
  --other: #bc4c00; --third: #8250df; --good: #1a7f37; --bad: #d1242f; --unsure: #9a6700;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg.plot { --ink: #e6edf3; --muted: #9198a1; --grid: #3d444d; --paper: #0d1117; --mine: #4493f8;
    --other: #f0883e; --third: #ab7df8; --good: #3fb950; --bad: #f85149; --unsure: #d29922; }
}
svg.plot text { fill: var(--ink); }
svg.plot .muted { fill: var(--muted); }
svg.plot .small { font-size: 11px; }
svg.plot .title { font-weight: 600; }
svg.plot .grid { stroke: var(--grid); stroke-width: 1; fill: none; }
svg.plot .axis { stroke: var(--muted); stroke-width: 1; fill: none; }
svg.plot .zero { stroke: var(--ink); stroke-width: 1.5; }
svg.plot .dash { stroke-dasharray: 4 3; }
svg.plot .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg.plot .candidate { stroke: var(--mine); }
svg.plot .champion { stroke: var(--other); stroke-dasharray: 6 3; }
svg.plot .base { stroke: var(--third); stroke-dasharray: 2 3; }
svg.plot .dot { stroke-width: 2; fill: var(--paper); stroke-dasharray: none; }
svg.plot .cell { fill: var(--mine); stroke: var(--grid); }
svg.plot .good { stroke: var(--good); fill: var(--good); }
svg.plot .bad { stroke: var(--bad); fill: var(--bad); }
svg.plot .warn { stroke: var(--bad); fill: var(--bad); }
svg.plot .unsure { stroke: var(--unsure); fill: var(--unsure); }
svg.plot .plain { stroke: var(--muted); fill: var(--muted); }
svg.plot .interval { stroke-width: 2; }
""".strip()


class Drawing:
    """An SVG image that is being drawn.

    Args:
        width, height: in user units, which are CSS pixels where the image is shown in full size.
        title: what a screen reader says.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        wide, high = _n(width), _n(height)
        attributes = {"xmlns": "http://www.w3.org/2000/svg", "class": "plot"}
        attributes |= {"viewBox": f"0 0 {wide} {high}", "width": wide, "height": high}
        self._root = ET.Element("svg", {**attributes, "role": "img"})
        ET.SubElement(self._root, "title").text = safe.one_line(title, 300)

    def line(self, start: Point, end: Point, style: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", style, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: Iterable[Point], style: str) -> None:
        """A line through points."""
        listed = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        ET.SubElement(self._root, "polyline", {"class": style, "points": listed})

    def dot(self, at: Point, radius: float, style: str) -> None:
        """A circle."""
        self._add("circle", style, cx=at[0], cy=at[1], r=radius)

    def box(self, at: Point, size: Point, style: str, *, opacity: float) -> None:
        """A rectangle from its upper left corner."""
        element = self._add("rect", style, x=at[0], y=at[1], width=size[0], height=size[1])
        element.set("fill-opacity", f"{opacity:.3f}")

    def text(
        self, at: Point, label: str, style: str = "", *, anchor: str = "start", turned: bool = False
    ) -> None:
        """A label; `anchor` as SVG has it; `turned` reads upwards."""
        element = self._add("text", style, x=at[0], y=at[1])
        element.set("text-anchor", anchor)
        if turned:
            element.set("transform", f"rotate(-90 {_n(at[0])} {_n(at[1])})")
        element.text = safe.one_line(label, 120)

    def inline(self) -> str:
        """For a page that brings `STYLE`."""
        return ET.tostring(self._root, encoding="unicode")

    def _add(self, tag: str, style: str, **numbers_: float) -> ET.Element:
        attributes = {"class": style} if style else {}
        attributes |= {key: _n(value) for key, value in numbers_.items()}
        return ET.SubElement(self._root, tag, attributes)


def standalone(inline: str) -> str:
    """The drawing as a file of its own."""
    head, _, rest = inline.partition(">")
    style = f"<style>{STYLE} svg.plot {{ background: var(--paper); }}</style>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}>{style}{rest}\n'


@dataclass(frozen=True)
class Frame:
    """A rectangle of the image with a scale along each side."""

    left: float
    top: float
    width: float
    height: float
    x: Point
    y: Point = (0.0, 1.0)

    def at(self, x: float, y: float) -> Point:
        """Where a pair of values lies, kept inside the frame."""
        across, up = _share(x, self.x), _share(y, self.y)
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def tick(self, on: Drawing, x: float, label: str) -> None:
        """A line of the grid across the frame at a value of x, with its label below."""
        at, bottom = self.at(x, self.y[0])
        on.line((at, self.top), (at, bottom), "grid")
        on.text((at, bottom + 16), label, "muted small", anchor="middle")

    def draw(self, on: Drawing, labels: tuple[str, str]) -> None:
        """Grid, ticks with their numbers, and what the axes are."""
        bottom, right = self.top + self.height, self.left + self.width
        for value in ticks(*self.x):
            self.tick(on, value, numbers.given(value))
        for value in ticks(*self.y):
            _, y = self.at(self.x[0], value)
            on.line((self.left, y), (right, y), "grid")
            on.text((self.left - 6, y + 4), numbers.given(value), "muted small", anchor="end")
        on.line((self.left, bottom), (right, bottom), "axis")
        on.line((self.left, self.top), (self.left, bottom), "axis")
        on.text((self.left + self.width / 2, bottom + 34), labels[0], "muted", anchor="middle")
        middle = (self.left - 38, self.top + self.height / 2)
        on.text(middle, labels[1], "muted", anchor="middle", turned=True)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between the ends, about so many."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return []
    power = 10.0 ** numbers.exponent(span / about)
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= span / about * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{step * i:.12g}") for i in range(first, last + 1)]


def legend(on: Drawing, frame: Frame, entries: Sequence[tuple[str, str]]) -> None:
    """Samples of the first two lines above the frame, each with its name."""
    x = frame.left
    for row, (style, name) in enumerate(entries[:2]):
        y = 18 + 17 * row
        on.line((x, y - 4), (x + 26, y - 4), f"curve {style}")
        on.text((x + 32, y), safe.one_line(name, 36))


def _share(value: float, ends: Point) -> float:
    span = ends[1] - ends[0]
    share = (value - ends[0]) / span if span else 0.5
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
