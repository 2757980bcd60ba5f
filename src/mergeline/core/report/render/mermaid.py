"""Curves as Mermaid diagrams, which GitHub draws, each with the text that says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergeline.core import numbers
from mergeline.core.declare.model import Role
from mergeline.core.report import safe
from mergeline.core.report.sentences import short_role_name
from mergeline.core.report.view import View

Points = tuple[tuple[float, float], ...]
_STEPS = 20
_BLUE, _GREY = "#2f81f7", "#8b949e"  # readable on GitHub's light and dark page


def curves(view: View) -> str:
    """As Markdown: the ROC, precision-recall and calibration curves that have points."""
    comparison = view.comparison
    blocks = [
        _curve(view, comparison.roc, "ROC curve", ("false-positive rate", "true-positive rate")),
        _curve(view, comparison.pr, "Precision-recall curve", ("recall", "precision")),
        _calibration(view),
    ]
    return "\n\n".join(block for block in blocks if block)


def _curve(view: View, points: Mapping[Role, Points], title: str, axes: tuple[str, str]) -> str:
    both: tuple[Role, ...] = ("champion", "candidate")
    shown = [role for role in both if points.get(role)]
    if "candidate" not in shown:
        return ""
    series = [[_at(points[role], step / _STEPS) for step in range(_STEPS + 1)] for role in shown]
    legend = _legend(view, shown)
    chart = _chart(
        title,
        f'x-axis "{axes[0]}" 0 --> 1',
        f'y-axis "{axes[1]}" 0 --> 1',
        [("line", heights) for heights in series],
        [_BLUE if role == "candidate" else _GREY for role in shown],
    )
    at = (0.05, 0.1, 0.2, 0.5)
    texts = []
    for role, name in zip(shown, legend, strict=True):
        begins = min(points[role])[0]  # before that the curve is drawn level, which is no value
        values = ", ".join(
            f"{numbers.number(_at(points[role], x))} at {numbers.given(x)}"
            for x in at
            if x >= begins
        )
        texts.append(f"{name}: {values}")
    return f"**{title}** ({axes[1]} at {axes[0]}): {'; '.join(texts)}\n\n{chart}"


def _calibration(view: View) -> str:
    bins = view.comparison.calibration.get("candidate", ())
    if not bins or view.comparison.task == "regression":
        return ""
    predicted, observed = [b.predicted for b in bins], [b.observed for b in bins]
    labels = [numbers.number(value, 2) for value in predicted]
    quoted = ", ".join(f'"{label}"' for label in labels)
    top = max(1e-9, *observed, *predicted)
    chart = _chart(
        "Calibration of this change",
        f"x-axis [{quoted}]",
        f'y-axis "share that came true" 0 --> {_point(min(1.0, 1.1 * top))}',
        [("bar", observed), ("line", predicted)],
        (_BLUE, _GREY),
    )
    pairs = " · ".join(
        f"{label} → {numbers.number(value, 2)}"
        for label, value in zip(labels, observed, strict=True)
    )
    text = (
        "**Calibration** of this change (predicted → came true; bars: came true, line: predicted)"
    )
    return f"{text}: {pairs}\n\n{chart}"


def _legend(view: View, shown: Sequence[Role]) -> list[str]:
    names = [safe.markdown(short_role_name(view.report, role)) for role in shown]
    if len(shown) < 2:
        return names
    colours = {"candidate": "blue", "champion": "grey"}
    return [f"{name} ({colours[role]})" for name, role in zip(names, shown, strict=True)]


def _chart(
    title: str,
    x_axis: str,
    y_axis: str,
    series: Sequence[tuple[str, Sequence[float]]],
    colours: Sequence[str],
) -> str:
    palette = ", ".join(colours)
    theme = f'{{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}'
    plots = [f"    {kind} [{', '.join(map(_point, values))}]" for kind, values in series]
    return "\n".join(
        [
            "```mermaid",
            f"%%{{init: {theme}}}%%",
            "xychart-beta",
            f'    title "{title}"',
            f"    {x_axis}",
            f"    {y_axis}",
            *plots,
            "```",
        ]
    )


def _point(value: float) -> str:
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return text if text not in {"", "-0"} else "0"


def _at(points: Sequence[tuple[float, float]], x: float) -> float:
    """The curve's height at x, on straight lines between its points."""
    left = max((point for point in points if point[0] <= x), default=min(points))
    right = min((point for point in points if point[0] > x), default=max(points))
    if left == right:
        return left[1]
    (x0, y0), (x1, y1) = left, right
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
