"""What the report says, in sentences, before any renderer dresses them.

A sentence is a tuple of spans. Every renderer escapes the text of every span, so that nothing here
needs to know who wrote a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mergeline.core import numbers
from mergeline.core.compare.result import Comparison, Flips, Other, SliceFlips
from mergeline.core.declare.model import Role
from mergeline.core.gate.verdict import Reason
from mergeline.core.report import tables
from mergeline.core.report.content import Report
from mergeline.core.report.render import safe
from mergeline.core.report.tables import Row, Tone

Style = Literal["text", "code", "strong", "reference", "link"]
MARKS: dict[Tone, str] = {"good": "✅", "bad": "❌", "warn": "⚠", "unsure": "❔", "plain": "➖"}
REASON_MARKS = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}


@dataclass(frozen=True)
class Span:
    """A piece of a sentence. `reference`: number of a pull request; `link`: `target` is a URL."""

    text: str
    style: Style = "text"
    target: str | None = None


Sentence = tuple[Span, ...]


def say(*parts: str | Span) -> Sentence:
    """A sentence of plain words and spans."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts if part)


def code(text: str) -> Span:
    """A name."""
    return Span(text, "code")


def strong(text: str) -> Span:
    """What must be seen first."""
    return Span(text, "strong")


# --- the models' names ---------------------------------------------------------------------------


def champion_name(report: Report) -> str:
    """`v3`, or what to call it when its version is not known."""
    return f"v{report.champion.version}" if report.champion else "the champion"


def role_name(report: Report, role: Role) -> str:
    """Head of a role's column."""
    if role == "candidate":
        return "this change"
    if role == "base":
        return branch(report)
    return f"{champion_name(report)} (production)" if report.champion else "production"


def change_head(report: Report, other: Role) -> str:
    """Head of the column of differences from a model."""
    if len(tables.others(report)) < 2:
        return "change"
    return f"change from {short_role_name(report, other)}"


def outcome_head(report: Report) -> str:
    """Head of the column of words: which of two differences they are about."""
    other = tables.against(report)
    if other is None or len(tables.others(report)) < 2:
        return ""
    return f"against {short_role_name(report, other)}"


def short_role_name(report: Report, role: Role) -> str:
    """A role in a legend."""
    if role == "champion":
        return champion_name(report) if report.champion else "production"
    return role_name(report, role)


def branch(report: Report) -> str:
    """The branch that the change would be merged onto."""
    return safe.name(report.subject.branch or "base")


# --- better, worse, or can't tell ----------------------------------------------------------------


def tone(report: Report) -> Tone:
    """What the verdict looks like from far away."""
    if report.kind == "failed":
        return "bad"
    if report.verdict is None or (report.kind == "same" and report.verdict.outcome == "pass"):
        return "plain"
    tones: dict[str, Tone] = {"pass": "good", "fail": "bad", "inconclusive": "unsure"}
    return tones[report.verdict.outcome]


def verdict_word(report: Report) -> str:
    """The verdict in a word or two."""
    if report.kind == "failed":
        return "could not be evaluated"
    return report.verdict.outcome if report.verdict else "unchanged"


def headline(report: Report) -> Sentence:
    """The verdict in one line."""
    model = code(report.model)
    if report.kind == "failed":
        stage = report.failure.stage if report.failure else ""
        where = (": ", code(stage), " failed") if stage else ()
        return say(model, " could not be evaluated", *where)
    if report.kind == "same":
        return say(model, " stays as it is — nothing that determines the model changes")
    outcome = report.verdict.outcome if report.verdict else None
    if outcome is None:
        return say(model, " has no verdict")
    return say(*_permission(report, outcome), *_tail(report))


def _permission(report: Report, outcome: str) -> Sentence:
    model, champion = code(report.model), champion_name(report)
    if report.kind == "first":
        what = "the first model in production"
        return {
            "pass": say(model, f" may be {what}"),
            "fail": say(model, f" may not be {what}"),
        }.get(outcome, say("Can't tell whether ", model, f" may be {what}"))
    if report.kind == "restore":
        back = report.on_merge.version if report.on_merge else None
        version = f" v{back}" if back is not None else " of an earlier release"
        place = f" in place of {champion}" if report.champion else ""
        return {
            "pass": say(model, f"{version} goes back into production{place}"),
            "fail": say(model, f"{version} may not go back into production"),
        }.get(outcome, say("Can't tell whether ", model, f"{version} may go back"))
    return {
        "pass": say(model, f" may replace {champion}"),
        "fail": say(model, f" may not replace {champion}"),
    }.get(outcome, say("Can't tell whether ", model, f" may replace {champion}"))


def _tail(report: Report) -> Sentence:
    row = primary_row(report)
    if row is None or row.difference is None or report.verdict is None:
        return ()
    outcome = row.difference.outcome
    if report.verdict.outcome == "pass":
        # a restore passes however much worse it is
        worse = "worse, within the margin" if row.difference.margin_holds else "worse"
        said = {"better": "better", "same": "as good", "worse": worse}
        return say(" — ", said.get(outcome, "no difference can be told"))
    if report.verdict.outcome == "inconclusive":
        return ()
    if outcome == "worse":
        return say(" — worse")
    said = {"better": "better", "same": "as good"}
    if outcome in said:
        return say(" — ", said[outcome], " on ", row.label, ", refused all the same")
    return ()


def primary_row(report: Report) -> Row | None:
    """The metric of the headline."""
    return next((row for row in tables.metric_rows(report) if row.primary), None)


def lead(report: Report) -> list[Sentence]:
    """On which rows, against what, by how much: the numbers of the headline."""
    row = primary_row(report)
    comparison = report.comparison
    if row is None or comparison is None:
        return []
    said = [say(*_numbers(report, row), " on ", *rows_said(report))]
    others = [other for other in tables.metric_rows(report)[1:] if other.difference is not None]
    if others:
        said.append(say(*_numbers(report, others[0], loud=False)))
    return said


def _numbers(report: Report, row: Row, *, loud: bool = True) -> Sentence:
    other = tables.against(report)
    mine = row.cells.get("candidate", "—")
    if other is None or row.difference is None:
        text = f"{row.label} {mine}"
    else:
        text = f"{row.label} {row.cells.get(other, '—')} → {mine}, {row.changes.get(other, '—')}"
    return say(strong(text) if loud else text)


def rows_said(report: Report) -> Sentence:
    """Which rows, how many, how sure."""
    comparison = report.comparison
    if comparison is None:
        return ()
    facts = comparison.holdout
    parts: list[str | Span] = [numbers.counted(facts.used, "row")]
    parts += [f" of {span}"] if (span := dates(report)) else []
    parts += [" that ", _who_has_not_seen(report, comparison)]
    how: list[str | Span] = []
    if tables.against(report) is not None:
        how.append(f"{numbers.percent(comparison.level)} intervals")
    if facts.cluster_column and facts.clusters is not None:
        how += [", "] if how else []
        how += [f"{numbers.count(facts.clusters)} clusters by ", code(facts.cluster_column)]
    return say(*parts, *([" (", *how, ")"] if how else []))


def dates(report: Report) -> str:
    """`2013-07-01 to 2013-07-31`, where rows have dates."""
    ends = dict.fromkeys(day for day in (report.oldest_row, report.newest_row) if day)
    return " to ".join(safe.one_line(day, 20) for day in ends)


def _who_has_not_seen(report: Report, comparison: Comparison) -> str:
    models = [comparison.models[role] for role in tables.roles(report)]
    scored = [facts for facts in models if facts.scored]
    if any(facts.trained_on is None for facts in scored):
        return "are held out (what every model was trained on is not known)"
    return {0: "are held out", 1: "the model has not seen", 2: "neither model has seen"}.get(
        len(scored), "none of the models has seen"
    )


def left_out(report: Report) -> Sentence:
    """Rows of the holdout that do not count, and why."""
    comparison = report.comparison
    if comparison is None or comparison.holdout.rows == comparison.holdout.used:
        return ()
    out = comparison.holdout.rows - comparison.holdout.used
    of = numbers.count(comparison.holdout.rows)
    return say(f"{numbers.count(out)} of {of} rows are left out, for a model was trained on them")


def rows_facts(report: Report) -> list[Sentence]:
    """The rows and the models: what was held out, who was fitted on how much, on which labels."""
    comparison = report.comparison
    if comparison is None:
        return []
    facts = comparison.holdout
    of = f"{numbers.count(facts.used)} of {numbers.count(facts.rows)} holdout rows are compared"
    said = [say(of, f" ({span})" if (span := dates(report)) else "", ", digest ",
                code(facts.digest[:12]))]  # fmt: skip
    said += [one] if (one := left_out(report)) else []
    if comparison.labels:
        shares = ((c.label, numbers.share(c.rows, facts.used)) for c in comparison.labels[:10])
        balance = ", ".join(f"{label} {share}" for label, share in shares)
        said.append(say(code(comparison.label), f" is {balance}"))
    if (spread := comparison.label_quantiles) is not None:
        ends = (spread.minimum, spread.quarter, spread.three_quarters, spread.maximum)
        low, quarter, three_quarters, high = map(numbers.number, ends)
        half = f" lies between {low} and {high}, half of it between {quarter} and {three_quarters}"
        middle = f"; median {numbers.number(spread.median)}, mean {numbers.number(spread.mean)}"
        said.append(say(code(comparison.label), half, middle))
    for role in tables.roles(report):
        model = comparison.models[role]
        parts: list[str | Span] = [short_role_name(report, role), ": "]
        known = model.trained_on is not None
        rows = numbers.counted(model.trained_on or 0, "row")
        parts.append(f"fitted on {rows}" if known else "nobody knows what it was fitted on")
        if model.seen:
            parts.append(f", {numbers.count(model.seen)} of them in the holdout")
        if model.decision is not None:
            parts.append(f", says yes from {numbers.given(model.decision)} on")
        said.append(say(*parts))
    methods = dict.fromkeys(
        f"{metric.label}: {one.method}"
        for metric in comparison.metrics
        for one in metric.differences.values()
        if one.method
    )
    said += [say("intervals — ", "; ".join(methods))] if methods else []
    return said + [say(problem.text) for problem in comparison.problems]


# --- why -----------------------------------------------------------------------------------------


def deciding(report: Report) -> list[Reason]:
    """The reasons of a verdict that is not a pass."""
    verdict = report.verdict
    if verdict is None or verdict.outcome == "pass":
        return []
    return [reason for reason in verdict.reasons if reason.outcome == verdict.outcome] or [
        reason for reason in verdict.reasons if reason.outcome != "pass"
    ]


# --- who is hurt ---------------------------------------------------------------------------------


def hurt(report: Report) -> Sentence:
    """One line that says who gets other decisions, and which slices are worse."""
    comparison = report.comparison
    if comparison is None:
        return ()
    parts: list[str] = []
    flips = flips_of(report)
    if flips is not None:
        parts.append(
            f"{numbers.count(flips[1].changed)} of {numbers.count(flips[1].rows)} decisions differ "
            f"from {short_role_name(report, flips[0])}'s"
            f" ({numbers.count(flips[1].wrong_to_right)} now right, "
            f"{numbers.count(flips[1].right_to_wrong)} now wrong)"
        )
    judged = [one for one in comparison.slices if one.judged]
    chosen = tables.against(report)
    if judged and chosen is not None:
        worse = {row.place for row in tables.hurt_rows(report)}
        said = numbers.count(len(worse)) if worse else "none"
        told = any(metric.differences.get(chosen) for one in judged for metric in one.metrics)
        slices = numbers.counted(len(judged), "slice")
        parts.append(f"{said} of {slices} worse" if told else f"nobody knows: {slices} not judged")
    return say("; ".join(parts)) if parts else ()


def flips_of(report: Report) -> tuple[Other, Flips] | None:
    """The changed decisions against the model that the candidate is held against first."""
    other = tables.against(report)
    if report.comparison is None or other is None:
        return None
    flips = report.comparison.flips.get(other)
    return None if flips is None else (other, flips)


def most_flipped(flips: Flips, most: int) -> list[SliceFlips]:
    """Slices by how many rows more are wrong now than right now; those that lose come first."""
    changed = [one for one in flips.slices if one.changed]
    return sorted(changed, key=lambda one: one.wrong_to_right - one.right_to_wrong)[:most]
