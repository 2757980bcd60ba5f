"""The report as a pull request comment: GitHub's Markdown, in reading order, in the space given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mergeline.core import numbers
from mergeline.core.fingerprint.ingredients import Change
from mergeline.core.gate.verdict import Reason
from mergeline.core.report import context, safe, sentences, tables
from mergeline.core.report.advice import what_next
from mergeline.core.report.content import DataChange, Report
from mergeline.core.report.one_comment import ROOM
from mergeline.core.report.render import forest, gfm, mermaid
from mergeline.core.report.render.fitting import Part, fit
from mergeline.core.report.sentences import Sentence, Span, say
from mergeline.core.report.tables import Grid, Place, Row
from mergeline.core.report.view import View, view_of

SMALLEST = 1_500
"""Characters into which every verdict fits, whatever the names in it."""


def to_markdown(report: Report, limit: int = ROOM) -> str:
    """The comment, at most `limit` characters long; the least important is cut first.

    Raises:
        ValueError: the limit is below `SMALLEST`.
    """
    if limit < SMALLEST:
        raise ValueError(f"a report needs room for {SMALLEST} characters, not {limit}")
    view = view_of(report)
    if view is None:
        error = Part("the error", 97, _failure(report))
        parts = [*_verdict(report), error, *_circumstances(report), _rules(report)]
    else:
        parts = [*_verdict(report, sentences.lead(view)), *_evidence(view),
                 *_circumstances(report), *_appendix(view)]  # fmt: skip
    return fit(parts, limit)


# --- in order ------------------------------------------------------------------------------------


def _verdict(report: Report, lead: Sequence[Sentence] = ()) -> list[Part]:
    """Banners, the verdict, its numbers, its reasons."""
    mark = sentences.MARKS[sentences.tone(report)]
    headline = f"### {mark} {gfm.sentence(sentences.headline(report))}"
    stale = gfm.alert("CAUTION", gfm.sentence(context.stale(report)))
    unreleased = gfm.alert("WARNING", gfm.sentence(context.unreleased(report)))
    reasons = gfm.listed(
        sentences.deciding(report), lambda reason: safe.markdown(reason.text, 300), (40, 12, 4, 1)
    )
    return [
        Part("what of the bar moved", 98, _bar_banner(report)),
        Part("that the base is unreleased", 96, (unreleased,)),
        Part("that the report is stale", 95, (stale,)),
        Part("the verdict", 100, (headline,), kept=True),
        Part("the numbers", 96, (" · ".join(map(gfm.sentence, lead)),)),
        Part("reasons", 97, reasons),
    ]


def _evidence(view: View) -> list[Part]:
    """By how much, and who is hurt."""
    rows = tables.main_rows(view)
    sizes = tuple(metrics_table(view, rows[:most]) for most in (60, 12, 3))
    return [Part("some rows of the table", 80, sizes), Part("who is hurt", 60, _hurt(view))]


def _circumstances(report: Report) -> list[Part]:
    """What changed, the bar, what merging does, what was evaluated, the run."""
    bar = "" if report.kind == "failed" else f"**Bar:** {gfm.sentence(context.bar(report))}."
    lines = [gfm.sentence(line) for line in context.merging(report)]
    merging = tuple(f"**On merge:** {'. '.join(some)}." for some in (lines, lines[:1]) if some)
    footer = f"<sub>{' · '.join(map(gfm.sentence, context.provenance(report)))}</sub>"
    return [
        Part("what changed in the data", 55, _data(report)),
        Part("what changed in params and code", 56, _changes(report)),
        Part("how the difference splits", 50, _attribution(report)),
        Part("the bar", 85, (bar,)),
        Part("what merging does", 90, merging),
        Part("what the author can do", 88, _what_next(report)),
        Part("where this comes from", 75, (footer,)),
    ]


def _what_next(report: Report) -> tuple[str, ...]:
    """What can be done about a verdict that is no pass."""
    steps = [*what_next(report)]
    forms = gfm.listed(steps, gfm.sentence, (12, 3))
    return tuple(f"**What you can do now:**\n\n{form}" for form in forms) if steps else ()


def _appendix(view: View) -> list[Part]:
    """What a reader opens to look closer."""
    curves = gfm.folded(say("Curves and calibration"), mermaid.diagrams(view))
    facts = "\n".join(f"- {gfm.sentence(line)}." for line in sentences.rows_facts(view))
    return [
        Part("curves", 10, curves),
        _rules(view.report),
        Part("the rows compared", 20, gfm.folded(say("The rows and the models"), facts)),
    ]


# --- the parts -----------------------------------------------------------------------------------


def _bar_banner(report: Report) -> tuple[str, ...]:
    if not report.bar_moved:
        return ()
    after = "".join(f"\n\n{gfm.sentence(line)}" for line in context.both_verdicts(report))
    title = "**The bar moved:** this change edits what it is judged by."
    forms = gfm.listed(context.moved_sentences(report), gfm.sentence, (30, 8, 2))
    return tuple(gfm.alert("WARNING", f"{title}\n{listed}{after}") for listed in forms)


def _failure(report: Report) -> tuple[str, ...]:
    failure = report.failure
    if failure is None:
        return ()
    step = f"**Next:** {safe.markdown(failure.next_step)}" if failure.next_step else ""
    forms = []
    for most in (30, 4):
        tail = safe.fenced(safe.lines(failure.tail, most=most)) if failure.tail else ""
        forms.append("\n\n".join(filter(None, [safe.markdown(failure.message), tail, step])))
    return tuple(forms)


def metrics_table(view: View, rows: Sequence[Row]) -> str:
    """Rows side by side; empty if there is nothing to compare."""
    if not rows:
        return ""
    names = [safe.markdown(sentences.role_name(view.report, role)) for role in view.roles]
    changes = [safe.markdown(sentences.change_head(view, other)) for other in view.others]
    head = ["", *names, *changes, safe.markdown(sentences.outcome_head(view))]
    body = []
    for row in rows:
        cells = [
            gfm.cell(row.cells.get(role, "—"), loud=role == "candidate") for role in view.roles
        ]
        differences = [gfm.cell(row.changes.get(other, "")) for other in view.others]
        warn = "⚠ " if row.tone in {"bad", "warn"} else ""
        body.append([_label(row), *cells, *differences, f"{warn}{safe.markdown(row.outcome, 120)}"])
    return gfm.grid(head, body, last="---")


def _label(row: Row) -> str:
    label = safe.markdown(row.label, safe.LONGEST_NAME)
    return f"{label} at {_place(row.place)}" if row.place else label


def _place(place: Place) -> str:
    return safe.markdown_code(" = ".join(place))


def _grid(grid: Grid) -> str:
    rows = [[_place(c) if isinstance(c, tuple) else safe.markdown(c) for c in row] for row in grid]
    return gfm.grid(rows[0], rows[1:]) if rows else ""


def _hurt(view: View) -> tuple[str, ...]:
    summary = sentences.hurt(view)
    if not summary:
        return ()
    title = (Span("Who is hurt: ", "strong"), *summary)
    hurt_most = [row.name for row in tables.hurt_rows(view)[:1]]
    names = dict.fromkeys([view.comparison.primary, *hurt_most])
    plots = [plot for name in names if (plot := forest.text(view, name))]
    drawn = [safe.fenced(plot.split("\n")) for plot in plots]
    bodies = [
        [_grid(tables.flips_grid(view, 40)), _slices(view, 150), *drawn],
        [_grid(tables.flips_grid(view, 20)), _slices(view, 40), *drawn],
        [_grid(tables.flips_grid(view, 8)), _slices(view, 8)],
    ]
    return gfm.folded(title, *("\n\n".join(filter(None, body)) for body in bodies))


def _slices(view: View, most: int) -> str:
    columns = tables.slice_columns(view, 3)
    if not columns:
        return ""
    shown, more = tables.slices_by_need(view, most)
    body = []
    for part in shown:
        cells = [_slice_cell(view, rows.get(tables.place_of(part))) for _, rows in columns]
        body.append([_place(tables.place_of(part)), numbers.count(part.rows), *cells])
    labels = [safe.markdown(label, 80) for label, _ in columns]
    return "\n\n".join([gfm.grid(["slice", "rows", *labels], body), *_slice_notes(view, more)])


def _slice_notes(view: View, more: int) -> Iterator[str]:
    if more:
        yield f"… and {numbers.counted(more, 'slice')} more."
    yield "▲ better, ⚠ ▼ worse, = same within the margin, ? can't tell."
    if view.comparison.slice_adjustment:
        yield f"Intervals of slices: {safe.markdown(view.comparison.slice_adjustment)}."
    if few := tables.unjudged(view):
        listed = ", ".join(_place(tables.place_of(part)) for part in few[:10])
        rest = f" and {numbers.count(len(few) - 10)} more" if len(few) > 10 else ""
        yield f"Too few rows to judge: {listed}{rest}."


def _slice_cell(view: View, row: Row | None) -> str:
    if row is None:
        return "—"
    mine = gfm.cell(row.cells.get("candidate", "—"))
    if view.against is None or row.difference is None:
        return mine
    marks = {"good": " ▲", "bad": " ⚠ ▼", "warn": " ⚠ ▼", "unsure": " ?", "plain": " ="}
    return f"{mine} ({gfm.cell(row.changes.get(view.against, '—'))}){marks[row.tone]}"


def _data(report: Report) -> tuple[str, ...]:
    summary = context.summary(report, "data")
    if not summary:
        return (_unchanged("Data", report),)
    changes = context.changes(report, "data")
    bodies = []
    for most in (60, 8):
        blocks = [_data_change(change, most) for change in report.data]
        blocks += gfm.listed(changes, _change, (most,))
        bodies.append("\n\n".join(filter(None, blocks)))
    return gfm.folded((Span("Data: ", "strong"), *summary), *bodies)


def _data_change(change: DataChange, most: int) -> str:
    lines = []
    if change.rows is not None:
        lines.append(f"{numbers.counted(change.rows, 'row')} in all")
    for what, names in (("added", change.drops_added), ("removed", change.drops_removed)):
        if names:
            listed = ", ".join(map(safe.markdown_code, names[:most]))
            more = f" and {len(names) - most} more" if len(names) > most else ""
            lines.append(f"drops {what}: {listed}{more}")
    notes = (("schema: ", change.schema), ("drift: ", change.drift), ("", change.notes))
    for what, texts in notes:
        lines += [f"{what}{safe.markdown(text)}" for text in texts[:most]]
        lines += [f"… and {len(texts) - most} more"] if len(texts) > most else []
    listed = "\n".join(f"- {line}" for line in lines)
    return f"{safe.markdown_code(change.table)}\n\n{listed}" if listed else ""


def _changes(report: Report) -> tuple[str, ...]:
    params, code = context.summary(report, "params"), context.summary(report, "code")
    if not params and not code:
        return (_unchanged("Params and code", report),)
    title = (
        Span("Params: ", "strong"), *(params or say("none")),
        Span(" · "), Span("code: ", "strong"), *(code or say("none")),
    )  # fmt: skip
    changes = [*context.changes(report, "params"), *context.changes(report, "code")]
    forms = gfm.folded(title, *gfm.listed(changes, _change, (200, 20)))
    return (*forms, f"**Params and code:** {numbers.counted(len(changes), 'change')}")


def _unchanged(what: str, report: Report) -> str:
    return "" if report.kind in {"failed", "same", "first"} else f"**{what}:** unchanged."


def _change(change: Change) -> str:
    text = gfm.sentence(context.change_sentence(change))
    return f"{safe.markdown_code(change.where)}: {text}{safe.markdown(context.runs_again(change))}"


def _attribution(report: Report) -> tuple[str, ...]:
    grid = _grid(tables.attribution_grid(report))
    if not grid or report.attribution is None:
        return ()
    title = (Span("Where it comes from: ", "strong"), *context.split(report))
    note = safe.markdown(report.attribution.note)
    return gfm.folded(title, "\n\n".join(filter(None, [grid, note])))


def _rules(report: Report) -> Part:
    """Each rule of the gate, and how it came out."""
    reasons = report.verdict.reasons if report.verdict else ()
    held = sum(reason.outcome == "pass" for reason in reasons)
    title = say(f"The gate: {held} of {numbers.counted(len(reasons), 'rule holds', 'rules hold')}")
    forms = gfm.folded(title, *gfm.listed(reasons, _rule, (300, 40)))
    return Part("the rules of the gate", 30, forms)


def _rule(reason: Reason) -> str:
    mark = sentences.MARKS[sentences.TONES[reason.outcome]]
    return f"{mark} {safe.markdown_code(reason.rule)} {safe.markdown(reason.text)}"
