"""The report's plots as SVG: curves, calibration, decisions, and each difference's interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergeline.core import numbers
from mergeline.core.compare.result import CalibrationBin, Confusion
from mergeline.core.declare.model import Role
from mergeline.core.report import sentences as words
from mergeline.core.report import tables
from mergeline.core.report.content import Report
from mergeline.core.report.render import safe
from mergeline.core.report.render.forest import Forest, Mark, forest
from mergeline.core.report.render.svg import Drawing, Frame, Point, legend, standalone, ticks

_SIDE = 360.0
_MOST_CLASSES = 12
_ROW = 22.0
_SMALL = 6.3  # width of a letter in the small type


def curves(report: Report) -> dict[str, str]:
    """File name → SVG that stands alone, for each plot of the models that there is data for."""
    return {f"{name}.svg": standalone(inline) for name, inline in model_plots(report).items()}


def model_plots(report: Report) -> dict[str, str]:
    """Name → SVG for a page: roc, precision_recall, calibration, confusion_matrix."""
    drawn = {
        "roc": roc(report),
        "precision_recall": precision_recall(report),
        "calibration": calibration(report),
        "confusion_matrix": confusion_matrix(report),
    }
    return {name: inline for name, inline in drawn.items() if inline}


def roc(report: Report) -> str:
    """The ROC curves; empty where there are none."""
    comparison = report.comparison
    if comparison is None or not comparison.roc.get("candidate"):
        return ""
    drawing = Drawing(_SIDE, 384, "ROC curve")
    frame = Frame(52, 52, 292, 282, (0, 1))
    frame.draw(drawing, ("false-positive rate", "true-positive rate"))
    drawing.line(frame.at(0, 0), frame.at(1, 1), "axis dash")
    _curves(report, drawing, frame, comparison.roc, "roc_auc")
    return drawing.inline()


def precision_recall(report: Report) -> str:
    """The precision-recall curves; empty where there are none."""
    comparison = report.comparison
    if comparison is None or not comparison.pr.get("candidate"):
        return ""
    drawing = Drawing(_SIDE, 384, "Precision-recall curve")
    frame = Frame(52, 52, 292, 282, (0, 1))
    frame.draw(drawing, ("recall", "precision"))
    if comparison.labels:  # precision of saying yes to every row
        share = comparison.labels[-1].share
        drawing.line(frame.at(0, share), frame.at(1, share), "axis dash")
    _curves(report, drawing, frame, comparison.pr, "average_precision")
    return drawing.inline()


def _curves(
    report: Report,
    drawing: Drawing,
    frame: Frame,
    points: Mapping[Role, Sequence[Point]],
    area: str,
) -> None:
    shown = [role for role in tables.roles(report) if points.get(role)]
    for role in shown:
        path = (frame.at(x, y) for x, y in sorted(points[role], key=lambda point: point[0]))
        drawing.path(path, f"curve {role}")
    row = next((r for r in tables.metric_rows(report) if r.name == area), None)
    entries = []
    for role in reversed(shown):
        value = f", {row.label} {row.cells.get(role, '—')}" if row else ""
        entries.append((role, f"{words.short_role_name(report, role)}{value}"))
    legend(drawing, (frame.left, 18), entries[:2])


def calibration(report: Report) -> str:
    """Predicted against observed, bin by bin; empty where there are no bins."""
    comparison = report.comparison
    bins = comparison.calibration if comparison else {}
    if comparison is None or not bins.get("candidate"):
        return ""
    regression = comparison.task == "regression"
    low, high = _ends([one for role in bins for one in bins[role]], from_zero=not regression)
    drawing = Drawing(_SIDE, 384, "Calibration")
    frame = Frame(52, 52, 292, 282, (low, high), (low, high))
    observed = "mean label" if regression else "share that came true"
    frame.draw(drawing, ("predicted (mean of the bin)", observed))
    drawing.line(frame.at(low, low), frame.at(high, high), "axis dash")
    shown = [role for role in tables.roles(report) if bins.get(role)]
    for role in shown:
        path = [frame.at(one.predicted, one.observed) for one in bins[role]]
        drawing.path(path, f"curve {role}")
        for point in path:
            drawing.dot(point, 3, f"dot {role}")
    names = [(role, words.short_role_name(report, role)) for role in reversed(shown)]
    legend(drawing, (frame.left, 18), names[:2])
    return drawing.inline()


def _ends(bins: Sequence[CalibrationBin], *, from_zero: bool) -> Point:
    values = [value for one in bins for value in (one.predicted, one.observed)]
    low, high = (0.0 if from_zero else min(values)), max(values)
    if high <= low:
        return low, low + 1
    step = ticks(low, high)
    apart = step[1] - step[0] if len(step) > 1 else high - low
    top = -(-high // apart) * apart
    return (low if from_zero else low // apart * apart), min(top, 1.0) if from_zero else top


def confusion_matrix(report: Report) -> str:
    """Decisions against labels, the champion's count below; empty for none or too many classes."""
    comparison = report.comparison
    found = comparison.confusion.get("candidate") if comparison else None
    if comparison is None or found is None or not 2 <= len(found.classes) <= _MOST_CLASSES:
        return ""
    other = comparison.confusion.get("champion")
    other = other if other is not None and other.classes == found.classes else None
    size = len(found.classes)
    drawing = Drawing(_SIDE, 384, "Confusion matrix: labels by decisions")
    side = 252 / size
    what = f"rows of this change; share of the label{_below(report, other)}"
    drawing.text((_SIDE / 2, 16), what, "muted small", anchor="middle")
    drawing.text((92 + 126, 40), "decision", "muted", anchor="middle")
    drawing.text((16, 66 + 126), "label", "muted", anchor="middle", turned=True)
    for i, name in enumerate(found.classes):
        shown = safe.one_line(name, 10 if size < 5 else 6)
        drawing.text((92 + (i + 0.5) * side, 58), shown, "small", anchor="middle")
        drawing.text((86, 66 + (i + 0.5) * side + 4), shown, "small", anchor="end")
    for i, counts in enumerate(found.counts):
        for j, rows in enumerate(counts):
            place = (92 + j * side, 66 + i * side)
            share = rows / sum(counts) if sum(counts) else 0.0
            drawing.box(place, (side, side), "cell", opacity=0.45 * share)
            said = [numbers.count(rows), numbers.share(rows, sum(counts))]
            said += [f"({numbers.count(other.counts[i][j])})"] if other else []
            _cell(drawing, place, side, said)
    return drawing.inline()


def _below(report: Report, other: Confusion | None) -> str:
    return f"; in brackets {words.short_role_name(report, 'champion')}" if other else ""


def _cell(drawing: Drawing, at: Point, side: float, said: Sequence[str]) -> None:
    """As many of the lines as there is room for."""
    lines = said if side >= 60 else said[:1] if side >= 30 else ()
    x, y = at[0] + side / 2, at[1] + side / 2 + 4 - 8 * (len(lines) - 1)
    for row, line in enumerate(lines):
        style = "small muted" if row else "title"
        drawing.text((x, y + 17 * row), line, style, anchor="middle")


def forests(report: Report) -> dict[str, str]:
    """Metric's label → SVG: its difference with interval on all rows and on each judged slice."""
    found = {}
    for row in tables.metric_rows(report):
        plot = forest(report, row.name)
        if plot is not None:
            found[plot.metric] = _forest(plot)
    return found


def _forest(plot: Forest) -> str:
    labels = [safe.one_line(mark.label, 24) for mark in plot.marks]
    left = 16 + _SMALL * max(map(len, labels))
    right = 16 + _SMALL * max(len(mark.said) for mark in plot.marks)
    top, under, scale = 26.0, 34.0, 200.0
    height = top + _ROW * len(plot.marks) + under
    drawing = Drawing(left + scale + right, height, f"{plot.metric}: change and interval")
    pad = 0.04 * (plot.high - plot.low)
    span = (plot.low - pad, plot.high + pad)
    frame = Frame(left, top, scale, height - top - under, span)
    bottom = frame.top + frame.height
    for value in ticks(plot.low, plot.high, 4):
        x, _ = frame.at(value, 0)
        drawing.line((x, top), (x, bottom), "grid")
        shown = value if plot.better_up else -value
        drawing.text((x, bottom + 16), numbers.given(shown), "muted small", anchor="middle")
    zero, _ = frame.at(0, 0)
    drawing.line((zero, top - 6), (zero, bottom), "zero")
    drawing.text((zero - 6, 16), "◂ worse", "muted small", anchor="end")
    drawing.text((zero + 6, 16), "better ▸", "muted small")
    for row, (mark, label) in enumerate(zip(plot.marks, labels, strict=True)):
        y = top + _ROW * (row + 0.5)
        drawing.text((left - 8, y + 4), label, "small", anchor="end")
        drawing.text((left + scale + 8, y + 4), mark.said, "small")
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
