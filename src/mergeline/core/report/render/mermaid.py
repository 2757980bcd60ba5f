"""Curves as Mermaid diagrams, which GitHub draws, each with the text that says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergeline.core import numbers
from mergeline.core.declare.model import Role
from mergeline.core.report import sentences as words
from mergeline.core.report.content import Report
from mergeline.core.report.render import safe

Points = tuple[tuple[float, float], ...]
_STEPS = 20
_BLUE, _GREY = "#2f81f7", "#8b949e"  # readable on GitHub's light and dark page


def curves(report: Report) -> str:
    """ROC, precision-recall and calibration, those there are points for, as Markdown."""
    comparison = report.comparison
    if comparison is None:
        return ""
    blocks = [
        _curve(report, comparison.roc, "ROC curve", ("false-positive rate", "true-positive rate")),
        _curve(report, comparison.pr, "Precision-recall curve", ("recall", "precision")),
        _calibration(report),
    ]
    return "\n\n".join(block for block in blocks if block)


def _curve(
    report: Report,
    points: Mapping[Role, Points],
    title: str,
    axes: tuple[str, str],
) -> str:
    both: tuple[Role, ...] = ("champion", "candidate")
    shown = [role for role in both if points.get(role)]
    if "candidate" not in shown:
        return ""
    series = [[_at(points[role], step / _STEPS) for step in range(_STEPS + 1)] for role in shown]
    legend = _legend(report, shown)
    chart = _chart(
        title,
        f'x-axis "{axes[0]}" 0 --> 1',
        f'y-axis "{axes[1]}" 0 --> 1',
        [("line", one) for one in series],
        _colours(shown),
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


def _calibration(report: Report) -> str:
    comparison = report.comparison
    bins = comparison.calibration.get("candidate", ()) if comparison else ()
    if not bins or comparison is None or comparison.task == "regression":
        return ""
    labels = ", ".join(f'"{numbers.number(one.predicted, 2)}"' for one in bins)
    top = max(1e-9, *(one.observed for one in bins), *(one.predicted for one in bins))
    chart = _chart(
        "Calibration of this change",
        f"x-axis [{labels}]",
        f'y-axis "share that came true" 0 --> {_point(min(1.0, 1.1 * top))}',
        [("bar", [one.observed for one in bins]), ("line", [one.predicted for one in bins])],
        (_BLUE, _GREY),
    )
    said = " · ".join(
        f"{numbers.number(one.predicted, 2)} → {numbers.number(one.observed, 2)}" for one in bins
    )
    text = (
        "**Calibration** of this change (predicted → came true; bars: came true, line: predicted)"
    )
    return f"{text}: {said}\n\n{chart}"


def _legend(report: Report, shown: Sequence[Role]) -> list[str]:
    colours = {"candidate": "blue", "champion": "grey"}
    return [
        f"{safe.markdown(words.short_role_name(report, role))}"
        + (f" ({colours[role]})" if len(shown) > 1 else "")
        for role in shown
    ]


def _colours(shown: Sequence[Role]) -> tuple[str, ...]:
    return tuple(_BLUE if role == "candidate" else _GREY for role in shown)


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
    """The curve's height at x, on straight lines between points sorted by their first number."""
    ordered = sorted(points)
    below = [point for point in ordered if point[0] <= x]
    above = [point for point in ordered if point[0] > x]
    if not below:
        return above[0][1]
    if not above:
        return below[-1][1]
    (x0, y0), (x1, y1) = below[-1], above[0]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
