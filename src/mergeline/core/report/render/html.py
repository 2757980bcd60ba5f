"""The report as one HTML file: opens from disk, asks nothing of any network, runs no script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from mergeline.core import numbers
from mergeline.core.report import context, safe, sentences, tables
from mergeline.core.report.advice import what_next
from mergeline.core.report.content import Report
from mergeline.core.report.examples import examples_grid
from mergeline.core.report.render import plots, svg
from mergeline.core.report.sentences import Sentence, Span
from mergeline.core.report.view import view_of

_MOST = 400  # items of a list; a page must open on a phone


def to_html(report: Report) -> str:
    """The full page; the same bytes for the same report."""
    return _template().render(
        report=report,
        view=view_of(report),
        style=svg.STYLE,
        tables=tables,
        sentences=sentences,
        context=context,
        what_next=[*what_next(report)],
        numbers=numbers,
        plots=plots,
        safe=safe,
        examples_grid=examples_grid,
        most=_MOST,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"sentence": _sentence, "name": safe.name, "text": safe.text}
    source = files("mergeline.core.report.render").joinpath("report.html.j2")
    return environment.from_string(source.read_text(encoding="utf-8"))


def _sentence(sentence: Sentence) -> Markup:
    return Markup("").join(map(_span, sentence))


def _span(span: Span) -> Markup:
    if span.style == "code":
        return Markup("<code>{}</code>").format(safe.name(span.text))
    text = safe.text(span.text).replace(" ± ", "\u00a0±\u00a0")
    if span.style == "strong":
        return Markup("<strong>{}</strong>").format(text)
    if span.style == "link" and (target := safe.url(span.target)):
        return Markup('<a href="{}">{}</a>').format(target, text)
    return Markup("{}{}").format("#" if span.style == "reference" else "", text)
