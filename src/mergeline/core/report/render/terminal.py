"""The report in a terminal: what a person needs to decide, on one screen."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mergeline.core.report import context, safe, sentences, tables
from mergeline.core.report.content import Report
from mergeline.core.report.sentences import Sentence, say, strong
from mergeline.core.report.tables import Row, Tone
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
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def plain_console(width: int = 100) -> Console:
    """A console without colour."""
    return Console(width=width, color_system=None, highlight=False, emoji=False)


def to_terminal(report: Report) -> RenderableType:
    """For `rich.console.Console.print`; whether there is colour is the console's to decide."""
    view = view_of(report)
    parts: list[RenderableType] = [*_banners(report), _headline(report)]
    if view is not None:
        parts += [_indented(_text(line)) for line in sentences.lead(view)]
    parts += [
        _indented(Text(f"• {_one_line(reason.text)}")) for reason in sentences.deciding(report)[:6]
    ]
    if view is None:
        parts += _failure(report)
    elif table := _table(view):
        parts += [Text(), _indented(table), Text()]
    if view is not None and (hurt := sentences.hurt(view)):
        parts.append(_indented(_text(_line("who is hurt", hurt))))
    parts += [_indented(_text(line)) for line in _circumstances(report)]
    about = [context.subject(report), *context.provenance(report)]
    parts.append(_indented(Text(" · ").join(_text(line, dim=True) for line in about)))
    return Group(*parts)


def _headline(report: Report) -> Text:
    tone = sentences.tone(report)
    line = Text(f"{_SIGNS[tone]} ", style=f"bold {_COLOURS[tone]}")
    return line.append_text(_text(sentences.headline(report), bold=True))


def _banners(report: Report) -> list[RenderableType]:
    lines: list[RenderableType] = []
    if report.bar_moved:
        title = "! the bar moved: this change edits what it is judged by"
        lines.append(Text(title, style="yellow"))
        moved = [*context.moved_sentences(report)[:8], *context.both_verdicts(report)]
        lines += [_indented(_text(line)) for line in moved]
    if stale := context.stale(report):
        lines.append(Text("! ", style="yellow").append_text(_text(stale)))
    return [*lines, Text()] if lines else []


def _failure(report: Report) -> list[RenderableType]:
    failure = report.failure
    if failure is None:
        return []
    lines: list[RenderableType] = [_indented(Text(_one_line(failure.message)))]
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
            cells.append(Text(_one_line(row.outcome), style=_COLOURS[row.tone]))
        table.add_row(_label(row), *cells)
    return table


def _label(row: Row) -> Text:
    place = f" at {row.place[0]} = {row.place[1]}" if row.place else ""
    return Text(safe.one_line(f"{row.label}{place}", 40))


def _circumstances(report: Report) -> list[Sentence]:
    """What changed, the bar, what merging does: a line each."""
    kinds: tuple[context.What, ...] = ("data", "params", "code")
    sentences_ = {what: context.summary(report, what) for what in kinds} | {
        "split": context.split(report),
        "bar": () if report.kind == "failed" or report.bar_moved else context.bar(report),
    }
    lines = [_line(what, sentence) for what, sentence in sentences_.items() if sentence]
    return lines + [
        say(strong("on merge: " if number == 0 else "          "), *line)
        for number, line in enumerate(context.merging(report))
    ]


def _line(what: str, sentence: Sentence) -> Sentence:
    return say(strong(f"{what}: "), *sentence)


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, 2))


def _text(sentence: Sentence, *, bold: bool = False, dim: bool = False) -> Text:
    styles = {"code": "cyan", "strong": "bold", "reference": "", "text": "", "link": ""}
    whole = Text(style="bold" if bold else "dim" if dim else "")
    for span in sentence:
        words = safe.name(span.text) if span.style == "code" else _one_line(span.text)
        prefix = "#" if span.style == "reference" else ""
        whole.append(prefix + words, style="" if dim else styles[span.style])
    return whole


def _one_line(text: str) -> str:
    return safe.one_line(text, safe.LONGEST_TEXT)
