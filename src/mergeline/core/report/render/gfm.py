"""Pieces of GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from mergeline.core.report import safe
from mergeline.core.report.sentences import Sentence, Span

T = TypeVar("T")


def grid(head: Sequence[str], body: Iterable[Sequence[str]], last: str = "--:") -> str:
    """A table of cells that are Markdown already: words, then numbers; `last` aligns the end."""
    align = ["---", *["--:"] * (len(head) - 2), last]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, align, *body))


def folded(title: Sentence, *bodies: str) -> tuple[str, ...]:
    """Folded with each of the bodies; then the title alone if it begins with strong words."""
    summary = "".join(map(_html, title))
    forms = [f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
             for body in bodies if body]  # fmt: skip
    return (*forms, sentence(title)) if title[0].style == "strong" else tuple(forms)


def alert(kind: str, body: str) -> str:
    """A coloured box; empty if there is nothing to put into it."""
    if not body:
        return ""
    return "\n".join([f"> [!{kind}]", *(f"> {line}".rstrip() for line in body.split("\n"))])


def listed(items: Sequence[T], show: Callable[[T], str], steps: Sequence[int]) -> tuple[str, ...]:
    """The items as a list, in several forms: each of as many items as a step says, most first."""
    shown = [f"- {show(item)}" for item in items[: steps[0]]]
    forms = []
    for most in steps:
        more = [f"- … and {len(items) - most} more"] if len(items) > most else []
        forms.append("\n".join([*shown[:most], *more]))
    return tuple(forms)


def cell(number: str, *, loud: bool = False) -> str:
    """A number in a table, which stays on one line on a phone."""
    shown = safe.markdown(number, safe.LONGEST_NAME).replace(" ", "&nbsp;")
    return f"**{shown}**" if loud and shown.isascii() and shown[-1:].isalnum() else shown


def sentence(spans: Sentence) -> str:
    """A sentence, each span in its style."""
    return "".join(map(_span, spans))


def _span(span: Span) -> str:
    if span.style == "code":
        return safe.markdown_code(span.text)
    if span.style == "reference":
        return f"#{int(span.text)}"
    text = safe.markdown(span.text)
    if span.style == "strong":
        # two stars beside punctuation are not read as emphasis
        return f"**{text}**" if text[:1].isalnum() and text[-1:].isalnum() else f"<b>{text}</b>"
    target = safe.url(span.target) if span.style == "link" else None
    return f"[{text}]({target})" if target else text


def _html(span: Span) -> str:
    """Within `<summary>`, where GitHub reads HTML and no Markdown."""
    if span.style == "code":
        return safe.html_code(span.text)
    text = safe.markdown(span.text)
    return f"<b>{text}</b>" if span.style == "strong" else text
