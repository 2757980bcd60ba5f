"""What stands around a verdict: what changed, the bar, what merging does, what was evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.fingerprint.ingredients import Change
from mergeline.core.report import safe
from mergeline.core.report.content import DataChange, Report
from mergeline.core.report.sentences import Sentence, Span, branch, code, say, strong

What = Literal["data", "params", "code"]
_KINDS: dict[What, set[str]] = {
    "data": {"data", "contract", "drop"},
    "params": {"params", "decision"},
    "code": {"code", "command", "stage", "lock"},
}
_SHA = 7


# --- what changed --------------------------------------------------------------------------------


def changes(report: Report, what: What) -> list[Change]:
    """Ingredients that differ from the base's; drops only if no table says what they changed."""
    kinds = _KINDS[what] - ({"drop"} if report.data else set())
    return [change for change in report.changes if change.kind in kinds]


def summary(report: Report, what: What) -> Sentence:
    """The first changes in a line, e.g. `train.learning_rate` 0.1 → 0.05; data table by table."""
    if what == "data" and report.data:
        return _first_items([table_summary(change) for change in report.data], 4, " · ")
    return _first_items([change_sentence(change) for change in changes(report, what)], 3)


def table_summary(change: DataChange) -> Sentence:
    """`flights` +1 drop (`2013-07`), +29,425 rows."""
    parts: list[str | Span] = []
    for names, sign in ((change.drops_added, "+"), (change.drops_removed, "−")):
        if names:
            drops = _first_items([say(code(name)) for name in names], 3, ", ")
            parts += [f", {sign}{numbers.counted(len(names), 'drop')} (", *drops, ")"]
    for rows, sign in ((change.rows_added, "+"), (change.rows_removed, "−")):
        parts += [f", {sign}{numbers.counted(rows, 'row')}"] if rows else []
    if change.schema:
        parts.append(f", {numbers.counted(len(change.schema), 'schema change')}")
    if change.drift:
        parts.append(f", {numbers.counted(len(change.drift), 'column drifts', 'columns drift')}")
    # the same drops make another snapshot only under another contract
    first, *rest = say(*parts) or say(", contract changed")
    return say(code(change.table), first.text.removeprefix(","), *rest)


def change_sentence(change: Change) -> Sentence:
    """What one ingredient was and is."""
    return say(code(change.what), safe.one_line(change.said.removeprefix(change.what), 160))


def runs_again(change: Change) -> str:
    """Which stages a change runs again; empty if none."""
    runs = "runs" if len(change.stages) == 1 else "run"
    return f" — {', '.join(change.stages)} {runs} again" if change.stages else ""


def _first_items(items: Sequence[Sentence], most: int, between: str = "; ") -> Sentence:
    """The first items, and how many more there are."""
    spans: list[Span] = []
    for item in items[:most]:
        spans += [Span(between), *item] if spans else item
    more = len(items) - most
    return (*spans, Span(f" and {more} more")) if more > 0 else tuple(spans)


def split(report: Report) -> Sentence:
    """How much of the difference the data make, and how much params and code."""
    if report.attribution is None or not report.attribution.shares:
        return ()
    primary = report.attribution.shares[0]
    return say(
        f"{safe.name(primary.label)} {digits.change(primary.data)} by the data, "
        f"{digits.change(primary.rest)} by params and code"
    )


# --- did the bar move ----------------------------------------------------------------------------


def bar(report: Report) -> Sentence:
    """What the bar is, in a line, and when the holdout last moved."""
    return (*_bar_now(report), *_last_move(report))


def _bar_now(report: Report) -> Sentence:
    if report.bar_moved:
        return say("moved, see the top")
    if report.subject.base_fingerprint is None:
        return say("its own gate; there is no base to hold it against")
    place = "in " if report.unreleased else "on "
    now = report.comparison.holdout.rows if report.comparison else report.rows_before
    if report.rows_before is None or now is None or now == report.rows_before:
        return say("gate, holdout and contracts as ", place, _standard(report))
    grown = f"; the holdout goes from {report.rows_before:,} to {now:,} rows"
    return say("gate and contracts as ", place, _standard(report), grown)


def _standard(report: Report) -> Span:
    """Whose gate, contracts and holdout judge: the branch, or production."""
    if report.unreleased is not None and report.champion is not None:
        return strong(f"v{report.champion.version}")
    return code(branch(report))


def _last_move(report: Report) -> Sentence:
    move = report.holdout_move
    if move is None:
        return ()
    parts: list[str | Span] = [f"; the holdout last moved with v{move.version} of "]
    parts.append(f"{_readable_time(move.released_at)[:10]} (")
    if move.pull_request is not None:
        parts += [Span(str(move.pull_request), "reference"), " "]
    parts.append(f"by {safe.one_line(move.author, 60)}")
    if move.approved_by:
        parts.append(f", approved by {safe.one_line(move.approved_by, 60)}")
    parts.append(f": {safe.one_line(move.reason, 120)})" if move.reason else ")")
    return say(*parts)


def unreleased(report: Report) -> Sentence:
    """That the base is not in production, why, and what judges then; empty if it is."""
    if report.unreleased is None:
        return ()
    why = safe.one_line(report.unreleased.why, 300)
    return say(
        code(branch(report)), " at ", code(report.unreleased.commit[:_SHA]),
        f" is not what is in production: {why}. This is judged by gate, contracts and holdout of ",
        _standard(report), ".",
    )  # fmt: skip


def moved_sentences(report: Report) -> list[Sentence]:
    """Each thing of the bar that the change edits."""
    gate = report.judgement.moved if report.judgement else ()
    lines = [
        say("gate: ", code(m.key), f" {safe.one_line(m.before)} → {safe.one_line(m.after)}")
        for m in gate
    ]
    return lines + [
        say(f"{moved.what}: ", code(moved.where), f" — {safe.one_line(moved.text, 200)}")
        for moved in report.moved
    ]


def both_verdicts(report: Report) -> Iterator[Sentence]:
    """The verdict by each gate and on each holdout."""
    judgement = report.judgement
    if judgement is None:
        return
    onto, now = _standard(report), judgement.verdict.outcome
    if judgement.as_moved is not None:
        yield say(
            "By the gate of ", onto, ", which counts: ", strong(now),
            ". By the gate of this change: ", strong(judgement.as_moved.outcome), ".",
        )  # fmt: skip
    if judgement.on_base_rows is not None:
        there = f" ({numbers.counted(judgement.base_rows or 0, 'row')}): "
        yield say("On the holdout of ", onto, there, strong(judgement.on_base_rows.outcome),
                  ". On both, which counts: ", strong(now), ".")  # fmt: skip
    elif judgement.base_problem:
        why = safe.one_line(judgement.base_problem, 120).rstrip(".")
        yield say("No verdict on the holdout of ", onto, f": {why}.")


# --- what happens on merge -----------------------------------------------------------------------


def merging(report: Report) -> Iterator[Sentence]:
    """What merging causes."""
    plan = report.on_merge
    if plan is None:
        return
    refused = report.verdict is not None and report.verdict.outcome != "pass"
    if plan.version is None or refused:
        stays = f"; v{plan.replaces} stays in production" if plan.replaces is not None else ""
        yield say(f"Merging releases nothing{stays}")
        return
    trained = "it trains again" if plan.trains else "nothing trains again"
    instead = f" in place of v{plan.replaces}" if plan.replaces is not None else ""
    yield say("Merging puts ", strong(f"v{plan.version}"), f" into production{instead}; {trained}")
    if plan.rollback is not None:
        yield say(code("git revert"), f" of the merge brings v{plan.rollback} back")
    else:
        why = "the tree before it was never released"
        yield say(code("git revert"), f" of the merge brings nothing back: {why}")


# --- is this about what I am merging, and where is the run ---------------------------------------


def provenance(report: Report) -> Iterator[Sentence]:
    """Head onto base, the run, when, how long, and whether it was trained for this."""
    about, run = report.subject, report.run
    parts: list[str | Span] = ["head "]
    if about.commit:
        parts.append(code(about.commit[:_SHA]))
    else:
        parts += [code(f"tree {about.tree[:_SHA]}"), " (not committed)"]
    if about.pull_request is not None:
        parts += [" of ", Span(str(about.pull_request), "reference")]
    if about.base:
        parts += [" onto ", code(branch(report)), " at ", code(about.base[:_SHA])]
    yield say(*parts)
    if run is not None and run.id:
        name = Span(run.id[:8], "link", run.url) if run.url else code(run.id[:8])
        how = "trained" if run.trained else "found by its fingerprint, not trained again"
        yield say("run ", name, f", {how}")
    if report.fingerprint:
        yield say("fingerprint ", code(report.fingerprint[:12]))
    took = f" in {numbers.duration(run.seconds)}" if run and run.seconds is not None else ""
    if report.walls:
        yield say(f"models asked behind {safe.one_line(report.walls, 200)}")
    yield say(f"evaluated {_readable_time(report.evaluated_at)}{took}")


def stale(report: Report) -> Sentence:
    """That the branch has gone on since; empty if it has not."""
    behind = report.subject.behind
    if behind < 1:
        return ()
    return say(
        code(branch(report)), f" has {numbers.counted(behind, 'commit')} more than ",
        code((report.subject.base or "the base")[:_SHA]),
        ", on which this report is: update the branch to see what merging does now.",
    )  # fmt: skip


def _readable_time(moment: str) -> str:
    """`2026-11-03 14:02 UTC`."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return safe.one_line(moment, 40)
    return f"{parsed.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
