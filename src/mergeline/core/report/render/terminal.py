"""The report in a terminal: what a person needs to decide, on one screen."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mergeline.core.report import context, safe, sentences, tables
from mergeline.core.report.advice import what_next
from mergeline.core.report.content import Report
from mergeline.core.report.sentences import Sentence, say, strong
from mergeline.core.report.tables import Tone
from mergeline.core.report.view import View, view_of

_SIGNS: dict[Tone, str] = {"good": "✔", "bad": "✘", "warn": "!", "unsure": "?", "plain": "·"}
_COLOURS: dict[Tone, str] = {
    "good": "green", "bad": "red", "warn": "red", "unsure": "yellow", "plain": "default",
}  # fmt: skip


def terminal_text(report: Report, console: Console | None = None) -> str:
    """The report in the width and the colours of a console; None: 100 characters, no colour."""
    console = console or plain_console()
    with console.capture() as captured:
        console.print(to_terminal(report))
    text = "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
    return safe.without_commands(text)


def plain_console(width: int = 100) -> Console:
    """A console without colour."""
    return Console(width=width, color_system=None, highlight=False, emoji=False)


def to_terminal(report: Report) -> RenderableType:
    """For `rich.console.Console.print`; whether there is colour is the console's to decide."""
    view = view_of(report)
    tone = sentences.tone(report)
    sign = Text(f"{_SIGNS[tone]} ", style=f"bold {_COLOURS[tone]}")
    headline = sign.append_text(_text(sentences.headline(report), "bold"))
    parts: list[RenderableType] = [*_banners(report), headline]
    deciding = sentences.deciding(report)[:6]
    reasons = [_indented(Text(f"• {safe.text(reason.text)}")) for reason in deciding]
    if view is None:
        parts += [*reasons, *_failure(report)]
    else:
        parts += [*(_indented(_text(line)) for line in sentences.lead(view)), *reasons]
        if table := _table(view):
            parts += [Text(), _indented(table), Text()]
        if hurt := sentences.hurt(view):
            parts.append(_indented(_text(_line("who is hurt", hurt))))
    parts += [_indented(_text(line)) for line in _circumstances(report)]
    if steps := [*what_next(report)]:
        parts.append(_indented(Text("what you can do now:", style="bold")))
        parts += [_indented(Text("• ").append_text(_text(step))) for step in steps]
    about = (_text(line, "dim") for line in context.provenance(report))
    parts.append(_indented(Text(" · ").join(about)))
    return Group(*parts)


def _banners(report: Report) -> list[RenderableType]:
    lines: list[RenderableType] = []
    if report.bar_moved:
        title = "! the bar moved: this change edits what it is judged by"
        lines.append(Text(title, style="yellow"))
        moved = [*context.moved_sentences(report)[:8], *context.both_verdicts(report)]
        lines += [_indented(_text(line)) for line in moved]
    if unreleased := context.unreleased(report):
        lines.append(Text("! ", style="yellow").append_text(_text(unreleased)))
    if stale := context.stale(report):
        lines.append(Text("! ", style="yellow").append_text(_text(stale)))
    return [*lines, Text()] if lines else []


def _failure(report: Report) -> list[RenderableType]:
    failure = report.failure
    if failure is None:
        return []
    lines: list[RenderableType] = [_indented(Text(safe.text(failure.message)))]
    tail = safe.lines(failure.tail, most=12)
    lines += [Padding(Text(line, style="dim"), (0, 0, 0, 4)) for line in tail]
    if failure.next_step:
        lines.append(_indented(_text(say(strong("Next: "), failure.next_step))))
    return lines


def _table(view: View) -> Table | None:
    others = view.others[:1]  # the base has its place where there is more room
    roles = [role for role in view.roles if role == "candidate" or role in others]
    if not view.comparison.metrics:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    for role in roles:
        name = safe.one_line(sentences.role_name(view.report, role), 30)
        table.add_column(Text(name), justify="right", no_wrap=True)
    if others:
        table.add_column("change", justify="right", no_wrap=True)
        table.add_column("")
    for row in tables.main_rows(view, most_hurt=3):
        cells = [
            Text(row.cells.get(role, "—"), style="bold" if role == "candidate" else "")
            for role in roles
        ]
        cells += [Text(row.changes.get(other, "")) for other in others]
        if others:
            cells.append(Text(safe.text(row.outcome), style=_COLOURS[row.tone]))
        place = f" at {' = '.join(row.place)}" if row.place else ""
        table.add_row(Text(safe.one_line(row.label + place, 40)), *cells)
    return table


def _circumstances(report: Report) -> list[Sentence]:
    """What changed, the bar, what merging does: a line each."""
    kinds: tuple[context.What, ...] = ("data", "params", "code")
    by_topic = {kind: context.summary(report, kind) for kind in kinds} | {
        "split": context.split(report),
        "bar": () if report.kind == "failed" or report.bar_moved else context.bar(report),
    }
    lines = [_line(topic, sentence) for topic, sentence in by_topic.items() if sentence]
    return lines + [
        say(strong("on merge: " if number == 0 else "          "), *line)
        for number, line in enumerate(context.merging(report))
    ]


def _line(topic: str, sentence: Sentence) -> Sentence:
    return say(strong(f"{topic}: "), *sentence)


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, 2))


def _text(sentence: Sentence, style: str = "") -> Text:
    styles = {} if style == "dim" else {"code": "cyan", "strong": "bold"}
    whole = Text(style=style)
    for span in sentence:
        words = safe.name(span.text) if span.style == "code" else safe.text(span.text)
        prefix = "#" if span.style == "reference" else ""
        whole.append(prefix + words, style=styles.get(span.style, ""))
    return whole
