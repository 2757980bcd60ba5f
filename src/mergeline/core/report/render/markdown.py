"""The report as a pull request comment: GitHub's Markdown, in reading order, in the space given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.fingerprint.ingredients import Change
from mergeline.core.gate.verdict import Reason
from mergeline.core.report import context, safe, sentences, tables
from mergeline.core.report.content import DataChange, Report
from mergeline.core.report.one_comment import ROOM
from mergeline.core.report.render import forest, gfm, mermaid
from mergeline.core.report.render.fitting import Part, fit
from mergeline.core.report.sentences import Sentence, Span, say
from mergeline.core.report.tables import Place, Row
from mergeline.core.report.view import View, view_of

SMALLEST = 1_500
"""Characters into which every verdict fits, whatever the names in it."""

_NOTE = "<sub>Cut to fit the comment: {parts}. The full report is in the run's files.</sub>"


def to_markdown(report: Report, limit: int = ROOM) -> str:
    """The comment, at most `limit` characters long; the least important is cut first.

    Args:
        report: what to show.
        limit: at least `SMALLEST`.
    """
    if limit < SMALLEST:
        raise ValueError(f"a report needs room for {SMALLEST} characters, not {limit}")
    view = view_of(report)
    if view is None:
        parts = [*_verdict(report), _failure(report), *_circumstances(report), _rules(report)]
    else:
        parts = [*_verdict(report, sentences.lead(view)), *_evidence(view),
                 *_circumstances(report), *_appendix(view)]  # fmt: skip
    return fit([part for part in parts if part.forms[0]], limit, note=_NOTE)


# --- in order ------------------------------------------------------------------------------------


def _verdict(report: Report, lead: Sequence[Sentence] = ()) -> list[Part]:
    """Banners, the verdict, its numbers, its reasons."""
    mark = sentences.MARKS[sentences.tone(report)]
    stale = gfm.alert("CAUTION", gfm.sentence(context.stale(report)))
    reasons = gfm.listed(
        sentences.deciding(report), lambda reason: safe.markdown(reason.text, 300), (40, 12, 4, 1)
    )
    return [
        Part("what of the bar moved", 98, (*_bar_banner(report), "")),
        Part("that the report is stale", 95, (stale, "")),
        Part("the verdict", 100, (f"### {mark} {gfm.sentence(sentences.headline(report))}",)),
        Part("the numbers", 96, (" · ".join(map(gfm.sentence, lead)), "")),
        Part("reasons", 97, (*reasons, "")),
    ]


def _evidence(view: View) -> list[Part]:
    """By how much, and who is hurt."""
    hurt = tables.hurt_rows(view)[: tables.MOST_HURT]
    rows = [*tables.metric_rows(view), *hurt, *tables.cost_rows(view)]
    sizes = (_table(view, rows[:most]) for most in (60, 12, 3))
    return [
        Part("some rows of the table", 80, (*sizes, "")),
        Part("who is hurt", 60, (*_hurt(view), "")),
    ]


def _circumstances(report: Report) -> list[Part]:
    """What changed, the bar, what merging does, what was evaluated, the run."""
    bar = "" if report.kind == "failed" else f"**Bar:** {gfm.sentence(context.bar(report))}."
    lines = [gfm.sentence(line) for line in context.merging(report)]
    merging = [f"**On merge:** {'. '.join(some)}." for some in (lines, lines[:1]) if some]
    about = [context.subject(report), *context.provenance(report)]
    footer = f"<sub>{' · '.join(map(gfm.sentence, about))}</sub>"
    return [
        Part("what changed in the data", 55, (*_data(report), "")),
        Part("what changed in params and code", 56, (*_changes(report), "")),
        Part("how the difference splits", 50, _attribution(report)),
        Part("the bar", 85, (bar, "")),
        Part("what merging does", 90, (*merging, "")),
        Part("where this comes from", 75, (footer, "")),
    ]


def _appendix(view: View) -> list[Part]:
    """What a reader opens to look closer."""
    curves = gfm.folded(say("Curves and calibration"), mermaid.curves(view))
    facts = [f"- {gfm.sentence(line)}." for line in sentences.rows_facts(view)]
    rows = gfm.folded(say("The rows and the models"), "\n".join(facts))
    return [
        Part("curves", 10, (curves[0], "")),
        _rules(view.report),
        Part("the rows compared", 20, (*rows, "")),
    ]


# --- the parts -----------------------------------------------------------------------------------


def _bar_banner(report: Report) -> tuple[str, ...]:
    if not report.bar_moved:
        return ("",)
    after = "".join(f"\n\n{gfm.sentence(line)}" for line in context.both_verdicts(report))
    title = "**The bar moved:** this change edits what it is judged by."
    forms = gfm.listed(context.moved_sentences(report), gfm.sentence, (30, 8, 2))
    return tuple(gfm.alert("WARNING", f"{title}\n{listed}{after}") for listed in forms)


def _failure(report: Report) -> Part:
    failure = report.failure
    if failure is None:
        return Part("the error", 97, ("",))
    message = safe.markdown(failure.message)
    step = f"\n\n**Next:** {safe.markdown(failure.next_step)}" if failure.next_step else ""
    full, brief = (
        f"{message}\n\n{safe.markdown_block(failure.tail, most=most)}" if failure.tail else message
        for most in (30, 4)
    )
    return Part("the error", 97, (full + step, brief + step, ""))


def _table(view: View, rows: Sequence[Row]) -> str:
    """Rows side by side; empty if there is nothing to compare."""
    if not rows or not view.roles:
        return ""
    names = [safe.markdown(sentences.role_name(view.report, role)) for role in view.roles]
    changes = [safe.markdown(sentences.change_head(view, other)) for other in view.others]
    head = ["", *names, *changes, safe.markdown(sentences.outcome_head(view))]
    align = ["---", *["--:"] * (len(names) + len(changes)), "---"]
    body = []
    for row in rows:
        cells = [
            gfm.cell(row.cells.get(role, "—"), loud=role == "candidate") for role in view.roles
        ]
        differences = [gfm.cell(row.changes.get(other, "")) for other in view.others]
        warn = "⚠ " if row.tone in {"bad", "warn"} else ""
        body.append([_label(row), *cells, *differences, f"{warn}{safe.markdown(row.outcome, 120)}"])
    return gfm.grid(head, align, body)


def _label(row: Row) -> str:
    label = safe.markdown(row.label, safe.LONGEST_NAME)
    return f"{label} at {_place(row.place)}" if row.place else label


def _place(place: Place) -> str:
    return safe.markdown_code(" = ".join(place))


def _hurt(view: View) -> tuple[str, ...]:
    summary = sentences.hurt(view)
    if not summary:
        return ("",)
    title = (Span("Who is hurt: ", "strong"), *summary)
    hurt_most = [row.name for row in tables.hurt_rows(view)[:1]]
    names = dict.fromkeys([view.comparison.primary, *hurt_most])
    plots = [plot for name in names if (plot := forest.text(view, name))]
    drawn = [safe.fenced(plot.split("\n")) for plot in plots]
    bodies = [
        [_flips(view, 40), _slices(view, 150), *drawn],
        [_flips(view, 20), _slices(view, 40), *drawn],
        [_flips(view, 8), _slices(view, 8)],
    ]
    folded = [gfm.folded(title, "\n\n".join(filter(None, body))) for body in bodies]
    return (*(forms[0] for forms in folded), folded[0][-1])


def _flips(view: View, most: int) -> str:
    flips = sentences.flips_of(view)
    body = [
        [
            _place((part.column, part.value)),
            *map(
                numbers.count, (part.rows, part.changed, part.wrong_to_right, part.right_to_wrong)
            ),
        ]
        for part in (sentences.most_flipped(flips, most) if flips else ())
    ]
    head = ["decisions", "rows", "differ", "wrong → right", "right → wrong"]
    return gfm.grid(head, ["---", *["--:"] * 4], body) if body else ""


def _slices(view: View, most: int) -> str:
    columns = tables.slice_columns(view)
    if not columns:
        return ""
    shown = tables.slices_by_need(view, most)
    body = [
        [
            _place((part.column, part.value)),
            numbers.count(part.rows),
            *(_slice_cell(view, rows.get((part.column, part.value))) for _, rows in columns),
        ]
        for part in shown
    ]
    labels = [safe.markdown(label, 80) for label, _ in columns]
    grid = gfm.grid(["slice", "rows", *labels], ["---", *["--:"] * (1 + len(labels))], body)
    return "\n\n".join([grid, *_slice_notes(view, len(shown))])


def _slice_notes(view: View, shown: int) -> Iterator[str]:
    few = tables.unjudged(view)
    more = len(view.comparison.slices) - len(few) - shown
    if more > 0:
        yield f"… and {numbers.counted(more, 'slice')} more."
    if shown:
        yield "▲ better, ⚠ ▼ worse, = same within the margin, ? can't tell."
    if view.comparison.slice_adjustment:
        yield f"Intervals of slices: {safe.markdown(view.comparison.slice_adjustment)}."
    if few:
        listed = ", ".join(_place((part.column, part.value)) for part in few[:10])
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
    summary = context.data_summary(report)
    if not summary:
        return (_unchanged("Data", report),)
    title = (Span("Data: ", "strong"), *summary)
    full, brief = (_data_body(report, most) for most in (60, 8))
    return (gfm.folded(title, full)[0], *gfm.folded(title, brief))


def _data_body(report: Report, most: int) -> str:
    blocks = [_data_change(change, most) for change in report.data]
    return "\n\n".join([*blocks, _bullets(context.data_changes(report), most)]).strip()


def _data_change(change: DataChange, most: int) -> str:
    lines = []
    if change.rows is not None:
        lines.append(f"{numbers.counted(change.rows, 'row')} in all")
    for what, names in (("added", change.drops_added), ("removed", change.drops_removed)):
        if names:
            listed = ", ".join(safe.markdown_code(name) for name in names[:most])
            more = f" and {len(names) - most} more" if len(names) > most else ""
            lines.append(f"drops {what}: {listed}{more}")
    notes = (("schema: ", change.schema), ("drift: ", change.drift), ("", change.notes))
    for what, texts in notes:
        lines += [f"{what}{safe.markdown(text)}" for text in texts[:most]]
        lines += [f"… and {len(texts) - most} more"] if len(texts) > most else []
    listed = "\n".join(f"- {line}" for line in lines)
    return f"{safe.markdown_code(change.table)}\n\n{listed}" if listed else ""


def _changes(report: Report) -> tuple[str, ...]:
    params, code = context.params_summary(report), context.code_summary(report)
    if not params and not code:
        return (_unchanged("Params and code", report),)
    title = (
        Span("Params: ", "strong"), *(params or say("none")),
        Span(" · "), Span("code: ", "strong"), *(code or say("none")),
    )  # fmt: skip
    changes = [c for c in report.changes if c.kind not in {"data", "drop", "contract"}]
    return (
        gfm.folded(title, _bullets(changes, 200))[0],
        gfm.folded(title, _bullets(changes, 20))[0],
        f"**Params and code:** {numbers.counted(len(changes), 'change')}",
    )


def _unchanged(what: str, report: Report) -> str:
    return "" if report.kind in {"failed", "same", "first"} else f"**{what}:** unchanged."


def _bullets(changes: Sequence[Change], most: int) -> str:
    lines = []
    for change in changes[:most]:
        runs = "runs" if len(change.stages) == 1 else "run"
        again = (
            f" — {safe.markdown(', '.join(change.stages))} {runs} again" if change.stages else ""
        )
        text = gfm.sentence(context.change_sentence(change))
        lines.append(f"- {safe.markdown_code(change.where)}: {text}{again}")
    if len(changes) > most:
        lines.append(f"- … and {len(changes) - most} more")
    return "\n".join(lines)


def _attribution(report: Report) -> tuple[str, ...]:
    split = report.attribution
    if split is None or not split.shares:
        return ("",)
    body = [
        [
            safe.markdown(share.label),
            *(safe.markdown(digits.change(part)) for part in (share.data, share.rest, share.total)),
        ]
        for share in split.shares
    ]
    head = ["", "data alone", "then params and code", "together"]
    grid = gfm.grid(head, ["---", *["--:"] * 3], body)
    title = (Span("Where it comes from: ", "strong"), *context.split(report))
    note = f"\n\n{safe.markdown(split.note)}" if split.note else ""
    return (*gfm.folded(title, grid + note), "")


def _rules(report: Report) -> Part:
    """Each rule of the gate, and how it came out."""
    reasons = report.verdict.reasons if report.verdict else ()
    held = sum(reason.outcome == "pass" for reason in reasons)
    title = say(f"The gate: {held} of {numbers.counted(len(reasons), 'rule holds', 'rules hold')}")
    forms = gfm.listed(reasons, _rule, (300, 40))
    return Part("the rules of the gate", 30, (*(gfm.folded(title, f)[0] for f in forms), ""))


def _rule(reason: Reason) -> str:
    mark = sentences.REASON_MARKS[reason.outcome]
    return f"{mark} {safe.markdown_code(reason.rule)} {safe.markdown(reason.text)}"
