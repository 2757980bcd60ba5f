"""Differences with their intervals on one scale, as lines of text: a forest plot.

To the right is always better, whichever way the metric counts.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

from mergeline.core.compare.result import Other
from mergeline.core.report import safe, tables
from mergeline.core.report.tables import Row, Tone
from mergeline.core.report.view import View

_WIDTH = 41  # cells of the scale; odd, so that one of them is the middle
_MOST = 40  # intervals
_LABEL = 28  # characters, so that the scale keeps its place


@dataclass(frozen=True)
class Mark:
    """One interval, turned so that more is better.

    Attributes:
        change: the difference in words, e.g. `+0.009 ± 0.003`.
        margin: how much worse it may be.
    """

    label: str
    estimate: float
    low: float
    high: float
    change: str
    tone: Tone
    margin: float | None


@dataclass(frozen=True)
class Forest:
    """Marks on the scale from `low` to `high`, which holds 0.

    Attributes:
        better_up: False if the numbers were turned: the scale's are then the metric's, negated.
    """

    metric: str
    marks: tuple[Mark, ...]
    low: float
    high: float
    better_up: bool


def forest(view: View, name: str) -> Forest | None:
    """A metric's difference on all rows, then slice by slice; None if it has no intervals."""
    other = view.against
    rows = [row for row in tables.metric_rows(view) if row.name == name]
    rows += tables.slice_rows(view, name).values()
    marks = tuple(mark for row in rows[:_MOST] if other and (mark := _mark(row, other)))
    low = min([0.0, *(mark.low for mark in marks)])
    high = max([0.0, *(mark.high for mark in marks)])
    return Forest(rows[0].label, marks, low, high, rows[0].better_up) if low < high else None


def _mark(row: Row, other: Other) -> Mark | None:
    if row.difference is None:
        return None
    turned = row.difference if row.better_up else row.difference.turned()
    estimate, low, high = turned.estimate, turned.low, turned.high
    if estimate is None or low is None or high is None:
        return None
    if not all(map(math.isfinite, (estimate, low, high))):
        return None
    label = "all rows" if row.place is None else safe.one_line(" = ".join(row.place), 60)
    change = row.changes.get(other, "")
    return Mark(label, estimate, low, high, change, row.tone, turned.margin)


def text(view: View, name: str) -> str:
    """The plot as lines; empty if there are fewer than two intervals."""
    plot = forest(view, name)
    if plot is None or len(plot.marks) < 2:
        return ""
    zero = _cell(plot, 0.0)
    labels = [safe.one_line(mark.label, _LABEL) for mark in plot.marks]
    wide = max(map(_columns, labels))
    lines = [
        f"{safe.one_line(plot.metric)}, change and interval",
        f"{'':{wide}}  {'worse ◂'.rjust(zero)}│ ▸ better",
    ]
    for mark, label in zip(plot.marks, labels, strict=True):
        cells = [" "] * _WIDTH
        cells[zero] = "│"
        low, at, high = (_cell(plot, value) for value in (mark.low, mark.estimate, mark.high))
        for place in range(low, high + 1):
            cells[place] = "┼" if place == zero else "─"
        cells[low], cells[high], cells[at] = "├", "┤", "●"
        padded = label + " " * (wide - _columns(label))
        lines.append(f"{padded}  {''.join(cells)}  {mark.change}".rstrip())
    return "\n".join(lines).replace("`", "ˋ")


def _cell(plot: Forest, value: float) -> int:
    return round((value - plot.low) / (plot.high - plot.low) * (_WIDTH - 1))


def _columns(label: str) -> int:
    """Columns that a label takes in a fixed-width face."""
    return sum(
        0 if unicodedata.category(c) in {"Mn", "Me", "Cf"} else
        2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1
        for c in label
    )  # fmt: skip
