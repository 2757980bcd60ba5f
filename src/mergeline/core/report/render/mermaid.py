"""Curves as Mermaid diagrams, which GitHub draws, each with the text that says the same."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from mergeline.core import numbers
from mergeline.core.declare.model import Role
from mergeline.core.report import safe
from mergeline.core.report.sentences import short_role_name
from mergeline.core.report.view import Curve, Point, View, curves_of

Series = tuple[str, str, Sequence[float]]
"""`line` or `bar`, its colour, its values."""
_STEPS = 20
_COLOURS: dict[Role, tuple[str, str]] = {  # readable on GitHub's light and dark page
    "champion": ("grey", "#8b949e"),
    "candidate": ("blue", "#2f81f7"),
}


def diagrams(view: View) -> str:
    """As Markdown: the ROC, precision-recall and calibration curves that have points."""
    blocks = [*(_curve(view, curve) for curve in curves_of(view)), _calibration(view)]
    return "\n\n".join(block for block in blocks if block)


def _curve(view: View, curve: Curve) -> str:
    shown = [role for role in _COLOURS if curve.points.get(role)]
    series, texts = [], []
    for role in shown:
        points = sorted(curve.points[role])
        word, colour = _COLOURS[role]
        series.append(("line", colour, [_at(points, i / _STEPS) for i in range(_STEPS + 1)]))
        name = safe.markdown(short_role_name(view.report, role))
        name += f" ({word})" if len(shown) > 1 else ""
        begins = points[0][0]  # before that the curve is drawn level, which is no value
        values = ", ".join(
            f"{numbers.number(_at(points, x))} at {numbers.given(x)}"
            for x in (0.05, 0.1, 0.2, 0.5)
            if x >= begins
        )
        texts.append(f"{name}: {values}")
    across, up = curve.axes
    chart = _chart(curve.title, f'"{across}" 0 --> 1', f'"{up}" 0 --> 1', series)
    return f"**{curve.title}** ({up} at {across}): {'; '.join(texts)}\n\n{chart}"


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
        f"[{quoted}]",
        f'"share that came true" 0 --> {_point(min(1.0, 1.1 * top))}',
        [("bar", _COLOURS["candidate"][1], observed), ("line", _COLOURS["champion"][1], predicted)],
    )
    came_true = [numbers.number(value, 2) for value in observed]
    pairs = " · ".join(f"{x} → {y}" for x, y in zip(labels, came_true, strict=True))
    text = (
        "**Calibration** of this change (predicted → came true; bars: came true, line: predicted)"
    )
    return f"{text}: {pairs}\n\n{chart}"


def _chart(title: str, x_axis: str, y_axis: str, series: Sequence[Series]) -> str:
    palette = ", ".join(colour for _, colour, _ in series)
    theme = f'{{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}'
    plots = [f"    {kind} [{', '.join(map(_point, values))}]" for kind, _, values in series]
    head = ["```mermaid", f"%%{{init: {theme}}}%%", "xychart-beta", f'    title "{title}"']
    axes = [f"    x-axis {x_axis}", f"    y-axis {y_axis}"]
    return "\n".join([*head, *axes, *plots, "```"])


def _point(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _at(points: Sequence[Point], x: float) -> float:
    """The height at x of a curve from left to right, on straight lines between its points."""
    right = bisect.bisect(points, x, key=lambda point: point[0])
    if right in {0, len(points)}:
        return points[min(right, len(points) - 1)][1]
    (x0, y0), (x1, y1) = points[right - 1 : right + 1]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
