"""The report as one HTML file: opens from disk, asks nothing of any network, runs no script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from mergeline.core import numbers
from mergeline.core.report import context, safe, sentences, tables
from mergeline.core.report.content import Report
from mergeline.core.report.render import plots, svg
from mergeline.core.report.sentences import Sentence, Span
from mergeline.core.report.view import view_of

_MOST = 400  # items of a list; a page must open on a phone


def to_html(report: Report) -> str:
    """The full page; the same bytes for the same report."""
    view = view_of(report)
    changed = {
        "Params": context.changes(report, "params"),
        "Code, commands and lock": context.changes(report, "code"),
        "Data": context.changes(report, "data"),
    }
    return _template().render(
        report=report,
        view=view,
        style=Markup(svg.STYLE),  # noqa: S704 - our own
        tables=tables,
        sentences=sentences,
        context=context,
        numbers=numbers,
        plots=plots,
        changed=[(title, changes) for title, changes in changed.items() if changes],
        tail=safe.lines(report.failure.tail, most=60) if report.failure else [],
        most=_MOST,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "sentence": _sentence,
        "name": safe.name,
        "text": _text,
        "drawing": _drawing,
    }
    source = files("mergeline.core.report.render").joinpath("report.html.j2")
    return environment.from_string(source.read_text(encoding="utf-8"))


def _drawing(inline: str) -> Markup:
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
