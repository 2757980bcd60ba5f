"""The report as one HTML file: opens from disk, asks nothing of any network, runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.compare.result import Comparison
from mergeline.core.report import context as circumstances
from mergeline.core.report import sentences as words
from mergeline.core.report import tables
from mergeline.core.report.content import Report
from mergeline.core.report.render import plots, safe, svg
from mergeline.core.report.sentences import Sentence, Span

_MOST = 400  # items of a list; a page must open on a phone
_PLOTS = {
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "calibration": "Calibration",
    "confusion_matrix": "Confusion matrix",
}


def to_html(report: Report) -> str:
    """The full page; the same bytes for the same report."""
    return _template().render(
        report=report,
        style=Markup(svg.STYLE),  # noqa: S704 - our own
        plots=[(_PLOTS[name], _drawn(one)) for name, one in plots.model_plots(report).items()],
        forests=_by_size(plots.forests(report)),
        tables=tables,
        words=words,
        around=circumstances,
        digits=digits,
        numbers=numbers,
        changed=_changed(report),
        tail=safe.lines(report.failure.tail, most=60) if report.failure else [],
        slice_columns=_slice_columns(report),
        most=_MOST,
        slices=tables.slices_by_need(report, _MOST),
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"sentence": _sentence, "name": safe.name, "said": _said}
    text = (
        files("mergeline.core.report.render").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    return environment.from_string(text)


def _drawn(inline: str) -> Markup:
    return Markup(inline)  # noqa: S704 - ElementTree has escaped every text


def _said(text: str) -> str:
    return safe.one_line(text, safe.LONGEST_TEXT)


def _sentence(sentence: Sentence) -> Markup:
    return Markup("").join(map(_span, sentence))


def _span(span: Span) -> Markup:
    text = safe.one_line(span.text, safe.LONGEST_TEXT).replace(" ± ", "\u00a0±\u00a0")
    if span.style == "code":
        return Markup("<code>{}</code>").format(safe.name(text))
    if span.style == "strong":
        return Markup("<strong>{}</strong>").format(text)
    if span.style == "reference":
        return Markup("#{}").format(text)
    target = safe.url(span.target) if span.style == "link" else None
    return (
        Markup('<a href="{}">{}</a>').format(target, text) if target else Markup("{}").format(text)
    )


def _changed(report: Report) -> list[tuple[str, Sequence[Any]]]:
    """Changes in groups that a reader thinks in."""
    groups = {
        "Params": ("params",),
        "Code, commands and lock": ("code", "command", "stage", "lock"),
        "Data": ("data", "contract") if report.data else ("drop", "data", "contract"),
    }
    found = [
        (title, [change for change in report.changes if change.kind in kinds])
        for title, kinds in groups.items()
    ]
    return [(title, changes) for title, changes in found if changes]


def _slice_columns(report: Report) -> list[tuple[str, dict[tuple[str, str] | None, tables.Row]]]:
    """Label of each metric that has slices, and its rows by slice."""
    comparison: Comparison | None = report.comparison
    if comparison is None:
        return []
    found = []
    for name in tables.slice_metrics(report, most=8):
        rows = tables.slice_rows(report, name)
        found.append((rows[0].label, {row.place: row for row in rows}))
    return found


def _by_size(drawn: dict[str, str]) -> list[tuple[str, Markup]]:
    """Plots with slices first."""
    ordered = sorted(drawn.items(), key=lambda item: -item[1].count("<circle"))
    return [(label, _drawn(inline)) for label, inline in ordered]
