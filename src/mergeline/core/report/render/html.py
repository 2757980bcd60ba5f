"""The report as one HTML file: opens from disk, asks nothing of any network, runs no script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.report import context, safe, sentences, tables
from mergeline.core.report.content import Report
from mergeline.core.report.render import plots, svg
from mergeline.core.report.sentences import Sentence, Span
from mergeline.core.report.view import View, view_of

_MOST = 400  # items of a list; a page must open on a phone
_PLOTS = {
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "calibration": "Calibration",
    "confusion_matrix": "Confusion matrix",
}


def to_html(report: Report) -> str:
    """The full page; the same bytes for the same report."""
    view = view_of(report)
    changed = {
        "Params": context.params_changes(report),
        "Code, commands and lock": context.code_changes(report),
        "Data": context.data_changes(report),
    }
    return _template().render(
        report=report,
        view=view,
        style=Markup(svg.STYLE),  # noqa: S704 - our own
        tables=tables,
        sentences=sentences,
        context=context,
        digits=digits,
        numbers=numbers,
        changed=[(title, changes) for title, changes in changed.items() if changes],
        tail=safe.lines(report.failure.tail, most=60) if report.failure else [],
        most=_MOST,
        **(_compared(view) if view else {}),
    )


def _compared(view: View) -> dict[str, Any]:
    """What the page shows only if there is a comparison."""
    return {
        "plots": [(_PLOTS[name], _drawn(plot)) for name, plot in plots.model_plots(view).items()],
        "forests": _by_size(plots.forests(view)),
        "slice_columns": tables.slice_columns(view, most=8),
        "slices": tables.slices_by_need(view, _MOST),
    }


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"sentence": _sentence, "name": safe.name, "text": _text}
    source = files("mergeline.core.report.render").joinpath("report.html.j2")
    return environment.from_string(source.read_text(encoding="utf-8"))


def _drawn(inline: str) -> Markup:
    return Markup(inline)  # noqa: S704 - ElementTree has escaped every text


def _text(text: str) -> str:
    return safe.one_line(text, safe.LONGEST_TEXT)


def _sentence(sentence: Sentence) -> Markup:
    return Markup("").join(map(_span, sentence))


def _span(span: Span) -> Markup:
    text = _text(span.text).replace(" ± ", "\u00a0±\u00a0")
    if span.style == "code":
        return Markup("<code>{}</code>").format(safe.name(text))
    if span.style == "strong":
        return Markup("<strong>{}</strong>").format(text)
    if span.style == "reference":
        return Markup("#{}").format(text)
    if span.style == "link" and (target := safe.url(span.target)):
        return Markup('<a href="{}">{}</a>').format(target, text)
    return Markup("{}").format(text)


def _by_size(drawn: dict[str, str]) -> list[tuple[str, Markup]]:
    """Plots with slices first."""
    ordered = sorted(drawn.items(), key=lambda item: -item[1].count("<circle"))
    return [(label, _drawn(inline)) for label, inline in ordered]
