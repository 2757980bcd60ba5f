"""What the report says, in sentences, before any renderer dresses them.

A sentence is a tuple of spans. Every renderer escapes the text of every span, so that nothing here
needs to know who wrote a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mergeline.core import numbers
from mergeline.core.compare.result import Comparison, ModelFacts, Twins
from mergeline.core.declare.model import Role
from mergeline.core.gate.verdict import Reason, VerdictWord
from mergeline.core.report import safe, tables
from mergeline.core.report.content import Report
from mergeline.core.report.tables import Row, Tone
from mergeline.core.report.view import View, view_of

Style = Literal["text", "code", "strong", "reference", "link"]
MARKS: dict[Tone, str] = {"good": "✅", "bad": "❌", "warn": "⚠", "unsure": "❔", "plain": "➖"}
_LONGEST_LABEL = 40  # of a metric in the headline, which must stay short whatever its escapes
TONES: dict[VerdictWord, Tone] = {"pass": "good", "fail": "bad", "inconclusive": "unsure"}


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


def role_name(report: Report, role: Role) -> str:
    """Head of a role's column."""
    name = short_role_name(report, role)
    return f"{name} (production)" if role == "champion" and report.champion else name


def short_role_name(report: Report, role: Role) -> str:
    """A role in a legend."""
    if role == "candidate":
        return "this change"
    if role == "base":
        return branch(report)
    if role == "reference":
        return f"v{report.reference.version}" if report.reference else "the reference"
    return f"v{report.champion.version}" if report.champion else "production"


def change_head(view: View, other: Role) -> str:
    """Head of the column of differences from a model."""
    several = len(view.others) > 1
    return f"change from {short_role_name(view.report, other)}" if several else "change"


def outcome_head(view: View) -> str:
    """Head of the column of words: which of two differences they are about."""
    if view.against is None or len(view.others) < 2:
        return ""
    return f"against {short_role_name(view.report, view.against)}"


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
    return TONES[report.verdict.outcome]


def verdict_word(report: Report) -> str:
    """The verdict in a word or two."""
    if report.kind == "failed":
        return "could not be evaluated"
    return report.verdict.outcome if report.verdict else "unchanged"


def headline(report: Report) -> Sentence:
    """The verdict in one line."""
    model = code(report.model)
    if report.kind == "failed":
        where = (": ", code(report.failure.stage), " failed") if report.failure else ()
        return say(model, " could not be evaluated", *where)
    if report.kind == "same":
        bar = report.judgement.bar_moved if report.judgement else ""
        if bar and report.verdict and report.verdict.outcome == "inconclusive":
            return say(model, " stays as it is — its bar moves, which a person must approve")
        return say(model, " stays as it is — nothing that determines the model changes")
    if report.verdict is None:
        return say(model, " has no verdict")
    passed, failed, unsure = _permission(report)
    if report.verdict.outcome == "inconclusive":
        return say("Can't tell whether ", model, unsure)
    view = view_of(report)
    permission = passed if report.verdict.outcome == "pass" else failed
    return say(model, permission, *(_how_it_did(view) if view else ()))


def _permission(report: Report) -> tuple[str, str, str]:
    """What follows the model's name if the gate passes it, refuses it, or cannot tell."""
    champion = f"v{report.champion.version}" if report.champion else "the champion"
    if report.kind == "restore":
        back = report.on_merge.version if report.on_merge else None
        version = f" v{back}" if back is not None else " of an earlier release"
        place = f" in place of {champion}" if report.champion else ""
        return (
            f"{version} goes back into production{place}",
            f"{version} may not go back into production",
            f"{version} may go back",
        )
    what = "be the first model in production" if report.kind == "first" else f"replace {champion}"
    return f" may {what}", f" may not {what}", f" may {what}"


def _how_it_did(view: View) -> Sentence:
    """How the primary metric did, after a verdict that is a pass or a fail."""
    row = _primary_row(view)
    if row is None or row.difference is None:
        return ()
    outcome = row.difference.outcome
    words = {"better": "better", "same": "as good"}
    if view.verdict.outcome == "pass":
        margin = row.difference.margin
        if row.difference.margin_holds and margin is not None:
            words["worse"] = f"worse, within the margin of {numbers.given(margin)}"
        elif view.report.kind == "restore":
            words["worse"] = "worse, which a restore may be"
        else:
            words["worse"] = "worse, which its gate lets pass"
        return say(" — ", words.get(outcome, "no difference can be told"))
    if outcome == "worse":
        return say(" — worse")
    if outcome in words:
        label = safe.one_line(row.label, _LONGEST_LABEL)
        return say(" — ", words[outcome], " on ", label, ", refused all the same")
    return ()


def _primary_row(view: View) -> Row | None:
    """The metric of the headline."""
    primary = view.comparison.primary
    return next((row for row in tables.metric_rows(view) if row.name == primary), None)


def deciding(report: Report) -> list[Reason]:
    """The reasons of a verdict that is not a pass."""
    verdict = report.verdict
    if verdict is None or verdict.outcome == "pass":
        return []
    return [reason for reason in verdict.reasons if reason.outcome == verdict.outcome] or [
        reason for reason in verdict.reasons if reason.outcome != "pass"
    ]


# --- on which rows, by how much ------------------------------------------------------------------


def lead(view: View) -> list[Sentence]:
    """On which rows, against what, by how much: the numbers of the headline."""
    primary = _primary_row(view)
    if primary is None:
        return []
    others = [row for row in tables.metric_rows(view)[1:] if row.difference is not None]
    first = say(strong(_numbers(view, primary)), " on ", *_rows_compared(view))
    return [first, *(say(_numbers(view, row)) for row in others[:1]), *since_reference(view)]


def since_reference(view: View) -> Iterator[Sentence]:
    """What all changes since the reference add up to, this one among them."""
    reference = view.report.reference
    if reference is None:
        return
    why = {
        "first": "the first release", "better": "the last that was shown better",
        "override": "the last that overrode its verdict",
    }[reference.why]  # fmt: skip
    released = f"{numbers.counted(reference.releases, 'release')} ago"
    sums = [
        f"{row.label} {row.changes['reference']}"
        for row in tables.metric_rows(view)
        if "reference" in row.changes
    ]
    total = ", ".join(sums[:4]) or "cannot be told"
    yield say(
        "since the reference, ", strong(f"v{reference.version}"), f" ({why}, {released}): {total}"
    )


def _numbers(view: View, row: Row) -> str:
    """`ROC AUC 0.742 → 0.751, +0.0088 ± 0.0031`."""
    mine = row.cells.get("candidate", "—")
    if view.against is None or row.difference is None:
        return f"{row.label} {mine}"
    theirs, change = row.cells.get(view.against, "—"), row.changes.get(view.against, "—")
    return f"{row.label} {theirs} → {mine}, {change}"


def _rows_compared(view: View) -> Sentence:
    """Which rows, how many, how sure."""
    facts, days = view.comparison.holdout, _dates(view.report)
    how: list[str | Span] = []
    if view.against is not None:
        how.append(f"{numbers.percent(view.comparison.level)} intervals")
    if facts.cluster_column and facts.clusters is not None:
        how += [", "] if how else []
        how += [f"{numbers.count(facts.clusters)} clusters by ", code(facts.cluster_column)]
    if view.report.look is not None:
        how += [", "] if how else []
        how.append(f"{numbers.ordinal(view.report.look)} look at these rows")
    which = f"{numbers.counted(facts.used, 'row')}{f' of {days}' if days else ''}"
    in_brackets = [" (", *how, ")"] if how else []
    return say(f"{which} that {_who_has_not_seen(view)}", *in_brackets)


def _dates(report: Report) -> str:
    """`2013-07-01 to 2013-07-31`; empty if the rows have no dates."""
    ends = dict.fromkeys(day for day in (report.oldest_row, report.newest_row) if day)
    return " to ".join(safe.one_line(day, 20) for day in ends)


def _who_has_not_seen(view: View) -> str:
    models = view.comparison.models
    scored = [models[role] for role in view.roles if models[role].scored]
    if any(facts.trained_on is None for facts in scored):
        return "are held out (what every model was trained on is not known)"
    return {0: "are held out", 1: "the model has not seen", 2: "neither model has seen"}.get(
        len(scored), "none of the models has seen"
    )


def rows_facts(view: View) -> Iterator[Sentence]:
    """The rows and the models: what was held out, who was fitted on how much, on which labels."""
    comparison, facts = view.comparison, view.comparison.holdout
    used, rows = numbers.count(facts.used), numbers.count(facts.rows)
    days = _dates(view.report)
    yield say(
        f"{used} of {rows} holdout rows are compared", f" ({days})" if days else "", ", digest ",
        code(facts.digest[:12]),
    )  # fmt: skip
    if facts.rows != facts.used:
        out = numbers.count(facts.rows - facts.used)
        yield say(f"{out} of {rows} rows are left out, for a model was trained on them")
    yield from _label_facts(comparison)
    also: tuple[Role, ...] = ("reference",) if "reference" in comparison.models else ()
    for role in (*view.roles, *also):
        yield _model_facts(short_role_name(view.report, role), comparison.models[role])
    if "candidate" in view.roles:
        yield _twins(comparison.models["candidate"].twins)
    methods = dict.fromkeys(
        f"{metric.label}: {difference.method}"
        for metric in comparison.metrics
        for difference in metric.differences.values()
        if difference.method
    )
    if methods:
        yield say("intervals — ", "; ".join(methods))
    for problem in comparison.problems:
        yield say(problem.text)


def _label_facts(comparison: Comparison) -> Iterator[Sentence]:
    label, used = code(comparison.label), comparison.holdout.used
    if comparison.labels:
        shares = ((c.label, numbers.share(c.rows, used)) for c in comparison.labels[:10])
        yield say(label, f" is {', '.join(f'{name} {share}' for name, share in shares)}")
    if (spread := comparison.label_quantiles) is not None:
        ends = (spread.minimum, spread.quarter, spread.three_quarters, spread.maximum)
        low, quarter, three_quarters, high = map(numbers.number, ends)
        half = f" lies between {low} and {high}, half of it between {quarter} and {three_quarters}"
        middle = f"; median {numbers.number(spread.median)}, mean {numbers.number(spread.mean)}"
        yield say(label, half, middle)


def _model_facts(name: str, model: ModelFacts) -> Sentence:
    fitted = "nobody knows what it was fitted on"
    if model.trained_on is not None:
        fitted = f"fitted on {numbers.counted(model.trained_on, 'row')}"
    seen = f", {numbers.count(model.seen)} of them in the holdout" if model.seen else ""
    yes = model.decision
    decision = "" if yes is None else f", says yes from {numbers.given(yes)} on"
    return say(name, ": ", fitted, seen, decision)


def _twins(twins: Twins | None) -> Sentence:
    """How many of the rows compared are copies of training rows."""
    if twins is None:
        return say(
            "whether rows of the holdout have the inputs of training rows is not known: ",
            code("training_rows.parquet"), " carries no hashes of inputs",
        )  # fmt: skip
    return say(
        f"{numbers.count(twins.twins)} of {numbers.counted(twins.rows, 'holdout row')} have the "
        f"inputs of a training row; {numbers.share(twins.expected, 1)} are to be expected"
    )


# --- who is hurt ---------------------------------------------------------------------------------


def hurt(view: View) -> Sentence:
    """One line that says who gets other decisions, and which slices are worse."""
    if view.against is None:
        return ()
    parts = []
    if flips := view.flips:
        parts.append(
            f"{numbers.count(flips.changed)} of {numbers.count(flips.rows)} decisions differ "
            f"from {short_role_name(view.report, view.against)}'s"
            f" ({numbers.count(flips.wrong_to_right)} now right, "
            f"{numbers.count(flips.right_to_wrong)} now wrong)"
        )
    judged = [part for part in view.comparison.slices if part.judged]
    if judged:
        slices = numbers.counted(len(judged), "slice")
        compared = any(m.differences.get(view.against) for part in judged for m in part.metrics)
        worse = len({row.place for row in tables.hurt_rows(view)})
        how_many = f"{numbers.count(worse) if worse else 'none'} of {slices} worse"
        parts.append(how_many if compared else f"nobody knows: {slices} not judged")
    return say("; ".join(parts))
