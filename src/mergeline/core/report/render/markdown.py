"""The report as a pull request comment: GitHub's Markdown, in reading order, in the space given."""

from __future__ import annotations

from collections.abc import Sequence

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.compare.result import Comparison
from mergeline.core.fingerprint.ingredients import Change
from mergeline.core.gate.verdict import Reason
from mergeline.core.report import context as around
from mergeline.core.report import sentences as words
from mergeline.core.report import tables
from mergeline.core.report.content import DataChange, Report
from mergeline.core.report.one_comment import LIMIT
from mergeline.core.report.render import forest, gfm, mermaid, safe
from mergeline.core.report.render.fitting import Part, fit
from mergeline.core.report.sentences import Span, say
from mergeline.core.report.tables import Row

SMALLEST = 1_500
"""Characters into which every verdict fits, whatever the names in it."""

_NOTE = "<sub>Cut to fit the comment: {parts}. The full report is in the run's files.</sub>"


def to_markdown(report: Report, limit: int = LIMIT) -> str:
    """The comment, at most `limit` characters long; the least important is cut first.

    Args:
        report: what to show.
        limit: at least `SMALLEST`.
    """
    if limit < SMALLEST:
        raise ValueError(f"a report needs room for {SMALLEST} characters, not {limit}")
    parts = [*_top(report), *_evidence(report), *_circumstances(report), *_appendix(report)]
    return fit([part for part in parts if part.forms[0]], limit, note=_NOTE)


# --- in order ------------------------------------------------------------------------------------


def _top(report: Report) -> list[Part]:
    """Banners, the verdict, its numbers, its reasons."""
    mark = words.MARKS[words.tone(report)]
    return [
        Part("what of the bar moved", 98, (*_bar_banner(report), "")),
        Part(
            "that the report is stale",
            95,
            (gfm.alert("CAUTION", gfm.sentence(around.stale(report))), ""),
        ),
        Part("the verdict", 100, (f"### {mark} {gfm.sentence(words.headline(report))}",)),
        Part("the numbers", 96, (" · ".join(map(gfm.sentence, words.lead(report))), "")),
        Part("reasons", 97, (*_reasons(report), "")),
        Part("the error", 97, (*_failure(report), "")),
    ]


def _evidence(report: Report) -> list[Part]:
    """By how much, and who is hurt."""
    rows = tables.metric_rows(report)
    hurt = tables.hurt_rows(report)
    few = [*rows, *hurt[: tables.MOST_HURT], *tables.cost_rows(report)]
    return [
        Part(
            "some rows of the table",
            80,
            (*(_table(report, few[:most]) for most in (60, 12, 3)), ""),
        ),
        Part("who is hurt", 60, (*_hurt(report), "")),
    ]


def _circumstances(report: Report) -> list[Part]:
    """What changed, the bar, what merging does, what this is about, the run."""
    lines = [*around.merging(report)]
    merging = f"**On merge:** {'. '.join(map(gfm.sentence, lines))}." if lines else ""
    first = f"**On merge:** {gfm.sentence(lines[0])}." if lines else ""
    footer = " · ".join(
        [gfm.sentence(around.subject(report)), *map(gfm.sentence, around.provenance(report))]
    )
    bar = "" if report.kind == "failed" else f"**Bar:** {gfm.sentence(around.bar(report))}."
    return [
        Part("what changed in the data", 55, (*_data(report), "")),
        Part("what changed in params and code", 56, (*_changes(report), "")),
        Part("how the difference splits", 50, _attribution(report)),
        Part("the bar", 85, (bar, "")),
        Part("what merging does", 90, (merging, first, "")),
        Part("where this comes from", 75, (f"<sub>{footer}</sub>", "")),
    ]


def _appendix(report: Report) -> list[Part]:
    """What a reader opens to look closer."""
    return [
        Part(
            "curves",
            10,
            (*gfm.folded(say("Curves and calibration"), mermaid.curves(report))[:1], ""),
        ),
        Part("the rules of the gate", 30, _rules(report)),
        Part("the rows compared", 20, _rows(report)),
    ]


# --- the parts -----------------------------------------------------------------------------------


def _bar_banner(report: Report) -> tuple[str, ...]:
    if not report.bar_moved:
        return ("",)
    after = "".join(f"\n\n{gfm.sentence(one)}" for one in around.both_verdicts(report))
    title = "**The bar moved:** this change edits what it is judged by."
    forms = gfm.listed(around.moved_lines(report), gfm.sentence, (30, 8, 2))
    return tuple(gfm.alert("WARNING", f"{title}\n{listed}{after}") for listed in forms)


def _reasons(report: Report) -> tuple[str, ...]:
    return gfm.listed(
        words.deciding(report), lambda reason: gfm.text(reason.text, 300), (40, 12, 4, 1)
    )


def _failure(report: Report) -> tuple[str, ...]:
    failure = report.failure
    if failure is None:
        return ("",)
    message = gfm.text(failure.message)
    step = f"\n\n**Next:** {gfm.text(failure.next_step)}" if failure.next_step else ""
    full, brief = (
        f"{message}\n\n{safe.markdown_block(failure.tail, most=most)}" if failure.tail else message
        for most in (30, 4)
    )
    return (full + step, brief + step)


def _table(report: Report, rows: Sequence[Row]) -> str:
    """Rows side by side; nothing where there is nothing to compare."""
    roles = tables.roles(report)
    if not rows or not roles:
        return ""
    heads = [gfm.text(words.role_name(report, role)) for role in roles]
    others = tables.others(report)
    changes = [gfm.text(words.change_head(report, other)) for other in others]
    head = ["", *heads, *changes, gfm.text(words.outcome_head(report))]
    align = ["---", *["--:"] * (len(heads) + len(others)), "---"]
    body = []
    for row in rows:
        cells = [gfm.cell(row.cells.get(role, "—"), loud=role == "candidate") for role in roles]
        differences = [gfm.cell(row.changes.get(other, "")) for other in others]
        warn = "⚠ " if row.tone in {"bad", "warn"} else ""
        body.append([_label(row), *cells, *differences, f"{warn}{gfm.text(row.outcome, 120)}"])
    return gfm.grid(head, align, body)


def _label(row: Row) -> str:
    if row.place is None:
        return gfm.text(row.label, safe.LONGEST_NAME)
    column, value = row.place
    return (
        f"{gfm.text(row.label, safe.LONGEST_NAME)} at {safe.markdown_code(f'{column} = {value}')}"
    )


def _hurt(report: Report) -> tuple[str, ...]:
    summary = words.hurt(report)
    if not summary:
        return ("",)
    title = (Span("Who is hurt: ", "strong"), *summary)
    plots = [plot for name in _plotted(report) if (plot := forest.text(report, name))]
    drawn = [safe.fenced(plot.split("\n")) for plot in plots]
    bodies = [
        [_flips(report, 40), _slices(report, 150), *drawn],
        [_flips(report, 20), _slices(report, 40), *drawn],
        [_flips(report, 8), _slices(report, 8)],
    ]
    folded = [gfm.folded(title, "\n\n".join(filter(None, body))) for body in bodies]
    return (*(forms[0] for forms in folded), folded[0][-1])


def _plotted(report: Report) -> list[str]:
    """The primary metric, and the one that hurts most."""
    comparison = report.comparison
    hurt = [row.name for row in tables.hurt_rows(report)[:1]]
    return list(dict.fromkeys([comparison.primary, *hurt])) if comparison else []


def _flips(report: Report, most: int) -> str:
    found = words.flips_of(report)
    if found is None:
        return ""
    worst = words.most_flipped(found[1], most)
    body = [
        [
            safe.markdown_code(f"{one.column} = {one.value}"),
            numbers.count(one.rows),
            numbers.count(one.changed),
            numbers.count(one.wrong_to_right),
            numbers.count(one.right_to_wrong),
        ]
        for one in worst
    ]
    head = ["decisions", "rows", "differ", "wrong → right", "right → wrong"]
    return gfm.grid(head, ["---", *["--:"] * 4], body) if body else ""


def _slices(report: Report, most: int) -> str:
    comparison, names = report.comparison, tables.slice_metrics(report)
    if comparison is None or not names:
        return ""
    columns = [{row.place: row for row in tables.slice_rows(report, name)} for name in names]
    shown = tables.slices_by_need(report, most)
    body = [
        [
            safe.markdown_code(f"{one.column} = {one.value}"),
            numbers.count(one.rows),
            *(_slice_cell(report, rows.get((one.column, one.value))) for rows in columns),
        ]
        for one in shown
    ]
    labels = [gfm.text(next(iter(rows.values())).label, 80) for rows in columns]
    grid = gfm.grid(["slice", "rows", *labels], ["---", *["--:"] * (1 + len(names))], body)
    return "\n\n".join([grid, *_slice_notes(report, comparison, len(shown))])


def _slice_notes(report: Report, comparison: Comparison, shown: int) -> list[str]:
    few = tables.unjudged(report)
    more = len(comparison.slices) - len(few) - shown
    notes = [f"… and {numbers.counted(more, 'slice')} more."] if more > 0 else []
    if shown:
        notes.append("▲ better, ⚠ ▼ worse, = same within the margin, ? can't tell.")
    if comparison.slice_adjustment:
        notes.append(f"Intervals of slices: {gfm.text(comparison.slice_adjustment)}.")
    if few:
        listed = ", ".join(safe.markdown_code(f"{s.column} = {s.value}") for s in few[:10])
        rest = f" and {numbers.count(len(few) - 10)} more" if len(few) > 10 else ""
        notes.append(f"Too few rows to judge: {listed}{rest}.")
    return notes


def _slice_cell(report: Report, row: Row | None) -> str:
    if row is None:
        return "—"
    other = tables.against(report)
    mine = gfm.cell(row.cells.get("candidate", "—"))
    if other is None or row.difference is None:
        return mine
    marks = {"good": " ▲", "bad": " ⚠ ▼", "warn": " ⚠ ▼", "unsure": " ?", "plain": " ="}
    return f"{mine} ({gfm.cell(row.changes.get(other, '—'))}){marks[row.tone]}"


def _data(report: Report) -> tuple[str, ...]:
    summary = around.data_summary(report)
    if not summary:
        return (_plain("Data", report),)
    title = (Span("Data: ", "strong"), *summary)
    full, brief = (_data_body(report, most) for most in (60, 8))
    return (gfm.folded(title, full)[0], *gfm.folded(title, brief))


def _data_body(report: Report, most: int) -> str:
    blocks = [_data_change(change, most) for change in report.data]
    kinds = {"data", "contract"} if report.data else {"data", "contract", "drop"}
    changes = [change for change in report.changes if change.kind in kinds]
    return "\n\n".join([*blocks, _bullets(changes, most)]).strip()


def _data_change(change: DataChange, most: int) -> str:
    lines = []
    if change.rows is not None:
        lines.append(f"{numbers.counted(change.rows, 'row')} in all")
    for what, names in (("added", change.drops_added), ("removed", change.drops_removed)):
        if names:
            listed = ", ".join(safe.markdown_code(name) for name in names[:most])
            more = f" and {len(names) - most} more" if len(names) > most else ""
            lines.append(f"drops {what}: {listed}{more}")
    for what, said in (("schema", change.schema), ("drift", change.drift), ("", change.notes)):
        lines += [f"{what}: {gfm.text(one)}" if what else gfm.text(one) for one in said[:most]]
        lines += [f"… and {len(said) - most} more"] if len(said) > most else []
    listed = "\n".join(f"- {line}" for line in lines)
    return f"{safe.markdown_code(change.table)}\n\n{listed}" if listed else ""


def _changes(report: Report) -> tuple[str, ...]:
    params, code = around.params_summary(report.changes), around.code_summary(report.changes)
    if not params and not code:
        return (_plain("Params and code", report),)
    title = (
        Span("Params: ", "strong"), *(params or say("none")),
        Span(" · "), Span("code: ", "strong"), *(code or say("none")),
    )  # fmt: skip
    told = [c for c in report.changes if c.kind not in {"data", "drop", "contract"}]
    return (
        gfm.folded(title, _bullets(told, 200))[0],
        gfm.folded(title, _bullets(told, 20))[0],
        f"**Params and code:** {numbers.counted(len(told), 'change')}",
    )


def _plain(what: str, report: Report) -> str:
    return "" if report.kind in {"failed", "same", "first"} else f"**{what}:** unchanged."


def _bullets(changes: Sequence[Change], most: int) -> str:
    lines = []
    for change in changes[:most]:
        runs = "runs" if len(change.stages) == 1 else "run"
        again = f" — {gfm.text(', '.join(change.stages))} {runs} again" if change.stages else ""
        said = gfm.sentence(around.change_said(change))
        lines.append(f"- {safe.markdown_code(change.where)}: {said}{again}")
    if len(changes) > most:
        lines.append(f"- … and {len(changes) - most} more")
    return "\n".join(lines)


def _attribution(report: Report) -> tuple[str, ...]:
    split = report.attribution
    if split is None or not split.shares:
        return ("",)
    body = [
        [
            gfm.text(share.label),
            *(gfm.text(digits.change(d)) for d in (share.data, share.rest, share.total)),
        ]
        for share in split.shares
    ]
    grid = gfm.grid(
        ["", "data alone", "then params and code", "together"], ["---", *["--:"] * 3], body
    )
    title = (Span("Where it comes from: ", "strong"), *around.split(report))
    note = f"\n\n{gfm.text(split.note)}" if split.note else ""
    return (*gfm.folded(title, grid + note), "")


def _rules(report: Report) -> tuple[str, ...]:
    verdict = report.verdict
    if verdict is None or not verdict.reasons:
        return ("",)
    held = sum(reason.outcome == "pass" for reason in verdict.reasons)
    rules = numbers.counted(len(verdict.reasons), "rule holds", "rules hold")
    title = say(f"The gate: {held} of {rules}")
    forms = gfm.listed(verdict.reasons, _rule, (300, 40))
    return (*(gfm.folded(title, listed)[0] for listed in forms), "")


def _rule(reason: Reason) -> str:
    mark = words.REASON_MARKS[reason.outcome]
    return f"{mark} {safe.markdown_code(reason.rule)} {gfm.text(reason.text)}"


def _rows(report: Report) -> tuple[str, ...]:
    comparison = report.comparison
    if comparison is None:
        return ("",)
    said = [f"- {gfm.sentence(line)}." for line in words.rows_facts(report)]
    return (*gfm.folded(say("The rows and the models"), "\n".join(said)), "")
