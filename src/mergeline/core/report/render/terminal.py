"""The report in a terminal: what a person needs to decide, on one screen."""

from __future__ import annotations

import io

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mergeline.core.report import context as around
from mergeline.core.report import sentences as words
from mergeline.core.report import tables
from mergeline.core.report.content import Report
from mergeline.core.report.render import safe
from mergeline.core.report.sentences import Sentence, say, strong
from mergeline.core.report.tables import Row, Tone

_SIGNS: dict[Tone, str] = {"good": "✔", "bad": "✘", "warn": "!", "unsure": "?", "plain": "·"}
_COLOURS: dict[Tone, str] = {
    "good": "green", "bad": "red", "warn": "red", "unsure": "yellow", "plain": "default",
}  # fmt: skip
_SLICES = 3
_TAIL = 12


def to_terminal(report: Report) -> RenderableType:
    """For `rich.console.Console.print`; whether there is colour is the console's to decide."""
    parts: list[RenderableType] = [*_banners(report), _headline(report)]
    parts += [_indented(_text(line)) for line in words.lead(report)]
    parts += [_indented(Text(f"• {_plain(one.text)}")) for one in words.deciding(report)[:6]]
    parts += _failure(report)
    if table := _table(report):
        parts += [Text(), _indented(table), Text()]
    parts += [_indented(_text(line)) for line in _circumstances(report)]
    about = [around.subject(report), *around.provenance(report)]
    parts.append(_indented(Text(" · ").join(_text(line, dim=True) for line in about)))
    return Group(*parts)


def terminal_text(report: Report, width: int = 100) -> str:
    """The same without colour, as a string."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, emoji=False)
    console.print(to_terminal(report))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _headline(report: Report) -> Text:
    tone = words.tone(report)
    line = Text(f"{_SIGNS[tone]} ", style=f"bold {_COLOURS[tone]}")
    return line.append_text(_text(words.headline(report), bold=True))


def _banners(report: Report) -> list[RenderableType]:
    said: list[RenderableType] = []
    if report.bar_moved:
        said.append(Text("! the bar moved: this change edits what it is judged by", style="yellow"))
        said += [_indented(_text(line)) for line in around.moved_lines(report)[:8]]
        said += [_indented(_text(line)) for line in around.both_verdicts(report)]
    if stale := around.stale(report):
        said.append(Text("! ", style="yellow").append_text(_text(stale)))
    return [*said, Text()] if said else []


def _failure(report: Report) -> list[RenderableType]:
    failure = report.failure
    if failure is None:
        return []
    said: list[RenderableType] = [_indented(Text(_plain(failure.message)))]
    said += [
        Padding(Text(line, style="dim"), (0, 0, 0, 4))
        for line in safe.lines(failure.tail, most=_TAIL)
    ]
    if failure.next_step:
        said.append(_indented(_text(say(strong("Next: "), failure.next_step))))
    return said


def _table(report: Report) -> Table | None:
    rows = tables.metric_rows(report)
    others = tables.others(report)[:1]  # the base has its place where there is more room
    roles = [role for role in tables.roles(report) if role == "candidate" or role in others]
    if not rows or not roles:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    for role in roles:
        table.add_column(_name(words.role_name(report, role)), justify="right", no_wrap=True)
    for _ in others:
        table.add_column("change", justify="right", no_wrap=True)
    if others:
        table.add_column("")
    for row in [*rows, *tables.hurt_rows(report)[:_SLICES], *tables.cost_rows(report)]:
        cells = [
            Text(row.cells.get(role, "—"), style="bold" if role == "candidate" else "")
            for role in roles
        ]
        cells += [Text(row.changes.get(other, "")) for other in others]
        if others:
            cells.append(Text(_plain(row.outcome), style=_COLOURS[row.tone]))
        table.add_row(_label(row), *cells)
    return table


def _label(row: Row) -> Text:
    place = f" at {row.place[0]} = {row.place[1]}" if row.place else ""
    return Text(safe.one_line(f"{row.label}{place}", 40))


def _circumstances(report: Report) -> list[Sentence]:
    """What changed, the bar, what merging does: a line each."""
    changes = {
        "who is hurt": words.hurt(report),
        "data": around.data_summary(report),
        "params": around.params_summary(report.changes),
        "code": around.code_summary(report.changes),
        "split": around.split(report),
        "bar": () if report.kind == "failed" or report.bar_moved else around.bar(report),
    }
    lines = [say(strong(f"{what}: "), *said) for what, said in changes.items() if said]
    merging = around.merging(report)
    return lines + [
        say(strong("on merge: " if number == 0 else "          "), *line)
        for number, line in enumerate(merging)
    ]


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, 2))


def _text(sentence: Sentence, *, bold: bool = False, dim: bool = False) -> Text:
    styles = {"code": "cyan", "strong": "bold", "reference": "", "text": "", "link": ""}
    whole = Text(style="bold" if bold else "dim" if dim else "")
    for span in sentence:
        said = safe.name(span.text) if span.style == "code" else _plain(span.text)
        prefix = "#" if span.style == "reference" else ""
        whole.append(prefix + said, style="" if dim else styles[span.style])
    return whole


def _plain(text: str) -> str:
    return safe.one_line(text, safe.LONGEST_TEXT)


def _name(text: str) -> Text:
    return Text(safe.one_line(text, 30))
