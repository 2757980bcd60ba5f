"""The report's plots as SVG: curves, calibration, decisions, and each difference's interval."""

from __future__ import annotations

from collections.abc import Sequence

from mergeline.core import numbers
from mergeline.core.compare.result import CalibrationBin
from mergeline.core.report import safe, tables
from mergeline.core.report.content import Report
from mergeline.core.report.render.forest import Forest, Mark, forest
from mergeline.core.report.render.svg import Drawing, Frame, legend, standalone, ticks
from mergeline.core.report.sentences import short_role_name
from mergeline.core.report.view import Curve, Point, View, curves_of, view_of

CAPTIONS = {
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "calibration": "Calibration",
    "confusion_matrix": "Confusion matrix",
}
_SIDE = 360.0
_MOST_CLASSES = 12
_ROW = 22.0
_SMALL = 6.3  # width of a letter in the small type


def curves(report: Report) -> dict[str, str]:
    """File name → SVG that stands alone, for each plot of the models that there is data for."""
    view = view_of(report)
    drawn = model_plots(view) if view else {}
    return {f"{name}.svg": standalone(inline) for name, inline in drawn.items()}


def model_plots(view: View) -> dict[str, str]:
    """Key of `CAPTIONS` → SVG for a page, for each plot that there is data for."""
    drawn = {curve.name: _draw_curve(view, curve) for curve in curves_of(view)}
    drawn |= {"calibration": _calibration(view), "confusion_matrix": _confusion_matrix(view)}
    return {name: inline for name, inline in drawn.items() if inline}


def _draw_curve(view: View, curve: Curve) -> str:
    drawing, frame = _square(curve.title, (0, 1), curve.axes)
    if curve.by_chance is not None:
        left, right = curve.by_chance
        drawing.line(frame.at(0, left), frame.at(1, right), "axis dash")
    shown = [role for role in view.roles if curve.points.get(role)]
    for role in shown:
        path = (frame.at(x, y) for x, y in sorted(curve.points[role], key=lambda point: point[0]))
        drawing.path(path, f"curve {role}")
    row = next((row for row in tables.metric_rows(view) if row.name == curve.metric), None)
    areas = {role: f", {row.label} {row.cells.get(role, '—')}" for role in shown} if row else {}
    legend(drawing, frame, [(role, short_role_name(view.report, role) + areas.get(role, ""))
                            for role in reversed(shown)])  # fmt: skip
    return drawing.inline()


def _calibration(view: View) -> str:
    """Predicted against observed, bin by bin; empty if the candidate has no bins."""
    bins = view.comparison.calibration
    if not bins.get("candidate"):
        return ""
    regression = view.comparison.task == "regression"
    low, high = _ends([b for role in bins for b in bins[role]], from_zero=not regression)
    observed = "mean label" if regression else "share that came true"
    axes = ("predicted (mean of the bin)", observed)
    drawing, frame = _square("Calibration", (low, high), axes)
    drawing.line(frame.at(low, low), frame.at(high, high), "axis dash")
    shown = [role for role in view.roles if bins.get(role)]
    for role in shown:
        path = [frame.at(b.predicted, b.observed) for b in bins[role]]
        drawing.path(path, f"curve {role}")
        for point in path:
            drawing.dot(point, 3, f"dot {role}")
    legend(drawing, frame, [(role, short_role_name(view.report, role)) for role in reversed(shown)])
    return drawing.inline()


def _square(title: str, scale: Point, axes: tuple[str, str]) -> tuple[Drawing, Frame]:
    """A drawing with the same scale along both sides."""
    drawing = Drawing(_SIDE, 384, title)
    frame = Frame(52, 52, 292, 282, scale, scale)
    frame.draw(drawing, axes)
    return drawing, frame


def _ends(bins: Sequence[CalibrationBin], *, from_zero: bool) -> Point:
    """Round ends of a scale that holds all bins."""
    values = [value for b in bins for value in (b.predicted, b.observed)]
    low, high = (0.0 if from_zero else min(values)), max(values)
    if high <= low:
        return low, low + 1
    marks = ticks(low, high)
    step = marks[1] - marks[0] if len(marks) > 1 else high - low
    top = -(-high // step) * step
    return (low if from_zero else low // step * step), min(top, 1.0) if from_zero else top


def _confusion_matrix(view: View) -> str:
    """Decisions against labels, the champion's count below; empty for none or too many classes."""
    mine = view.comparison.confusion.get("candidate")
    if mine is None or not 2 <= len(mine.classes) <= _MOST_CLASSES:
        return ""
    other = view.comparison.confusion.get("champion")
    if other is not None and other.classes != mine.classes:
        other = None
    side = 252 / len(mine.classes)
    drawing = Drawing(_SIDE, 384, "Confusion matrix: labels by decisions")
    brackets = f"; in brackets {short_role_name(view.report, 'champion')}" if other else ""
    title = f"rows of this change; share of the label{brackets}"
    drawing.text((_SIDE / 2, 16), title, "muted small", anchor="middle")
    _class_names(drawing, mine.classes, side)
    for i, counts in enumerate(mine.counts):
        for j, rows in enumerate(counts):
            place = (92 + j * side, 66 + i * side)
            share = rows / sum(counts) if sum(counts) else 0.0
            drawing.box(place, (side, side), "cell", opacity=0.45 * share)
            lines = [numbers.count(rows), numbers.share(rows, sum(counts))]
            lines += [f"({numbers.count(other.counts[i][j])})"] if other else []
            # as many of the lines as there is room for
            lines = lines if side >= 60 else lines[:1] if side >= 30 else []
            x, y = place[0] + side / 2, place[1] + side / 2 + 4 - 8 * (len(lines) - 1)
            for row, line in enumerate(lines):
                style = "small muted" if row else "title"
                drawing.text((x, y + 17 * row), line, style, anchor="middle")
    return drawing.inline()


def _class_names(drawing: Drawing, classes: Sequence[str], side: float) -> None:
    drawing.text((92 + 126, 40), "decision", "muted", anchor="middle")
    drawing.text((16, 66 + 126), "label", "muted", anchor="middle", turned=True)
    for i, name in enumerate(classes):
        shown = safe.one_line(name, 10 if len(classes) < 5 else 6)
        drawing.text((92 + (i + 0.5) * side, 58), shown, "small", anchor="middle")
        drawing.text((86, 66 + (i + 0.5) * side + 4), shown, "small", anchor="end")


def forests(view: View) -> dict[str, str]:
    """Metric's label → SVG: its difference on all rows and by slice; the longest plot first."""
    plots = [plot for row in tables.metric_rows(view) if (plot := forest(view, row.name))]
    plots.sort(key=lambda plot: -len(plot.marks))
    return {plot.metric: _draw_forest(plot) for plot in plots}


def _draw_forest(plot: Forest) -> str:
    labels = [safe.one_line(mark.label, 24) for mark in plot.marks]
    left = 16 + _SMALL * max(map(len, labels))
    right = 16 + _SMALL * max(len(mark.change) for mark in plot.marks)
    top, scale = 26.0, 200.0
    height = top + _ROW * len(plot.marks) + 34
    drawing = Drawing(left + scale + right, height, f"{plot.metric}: change and interval")
    pad = 0.04 * (plot.high - plot.low)
    frame = Frame(left, top, scale, _ROW * len(plot.marks), (plot.low - pad, plot.high + pad))
    for value in ticks(plot.low, plot.high, 4):
        frame.tick(drawing, value, numbers.given(value if plot.better_up else -value))
    zero, bottom = frame.at(0, 0)
    drawing.line((zero, top - 6), (zero, bottom), "zero")
    drawing.text((zero - 6, 16), "◂ worse", "muted small", anchor="end")
    drawing.text((zero + 6, 16), "better ▸", "muted small")
    for row, (mark, label) in enumerate(zip(plot.marks, labels, strict=True)):
        y = top + _ROW * (row + 0.5)
        drawing.text((left - 8, y + 4), label, "small", anchor="end")
        drawing.text((left + scale + 8, y + 4), mark.change, "small")
        _interval(drawing, frame, mark, y)
    return drawing.inline()


def _interval(drawing: Drawing, frame: Frame, mark: Mark, y: float) -> None:
    low, at, high = (frame.at(value, 0)[0] for value in (mark.low, mark.estimate, mark.high))
    if mark.margin is not None and frame.x[0] <= -mark.margin:
        x, _ = frame.at(-mark.margin, 0)
        drawing.line((x, y - 9), (x, y + 9), "axis dash")
    drawing.line((low, y), (high, y), f"interval {mark.tone}")
    for end in (low, high):
        drawing.line((end, y - 4), (end, y + 4), f"interval {mark.tone}")
    drawing.dot((at, y), 4, mark.tone)
