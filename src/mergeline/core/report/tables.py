"""The report's tables as cells of text, which every renderer lays out in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.compare.result import Difference, MetricResult, Other, SliceFlips, SliceResult
from mergeline.core.declare.model import Role
from mergeline.core.report.content import Report
from mergeline.core.report.view import View

Tone = Literal["good", "bad", "warn", "unsure", "plain"]
Place = tuple[str, str]
"""A slice: its column and its value."""
Grid = list[tuple[Place | str, ...]]
"""A table, its head first: in each row a slice or a label, then numbers."""

_OUT_OF_REACH = 10_000_000  # rows or clusters: nobody waits for as many


@dataclass(frozen=True)
class Row:
    """One measure of the models, side by side.

    Attributes:
        name: of the metric, as declared; empty for a row of costs.
        place: the slice; None for all rows.
        cells: by role, as text.
        changes: the candidate's difference with its uncertainty, by the model compared with.
        outcome: what that means, in words.
        difference: behind the outcome, in its readable sign; `better_up` says which way is good.
    """

    label: str
    place: Place | None
    cells: Mapping[Role, str]
    changes: Mapping[Other, str] = field(default_factory=dict)
    outcome: str = ""
    tone: Tone = "plain"
    difference: Difference | None = None
    better_up: bool = True
    name: str = ""


def place_of(part: SliceResult | SliceFlips) -> Place:
    """Column and value of a slice."""
    return part.column, part.value


def main_rows(view: View, most_hurt: int = 6) -> list[Row]:
    """The metrics, the slices that are hurt most (the rest has a table of its own), the costs."""
    return [*metric_rows(view), *hurt_rows(view)[:most_hurt], *_cost_rows(view)]


def metric_rows(view: View) -> list[Row]:
    """The metrics on all rows, the primary one first."""
    primary = view.comparison.primary
    ordered = sorted(view.comparison.metrics, key=lambda metric: metric.name != primary)
    return [_row(view, metric, None) for metric in ordered]


def slice_rows(view: View, name: str) -> dict[Place, Row]:
    """One metric on each judged slice."""
    return {
        place_of(part): _row(view, metric, place_of(part))
        for part in view.comparison.slices
        for metric in part.metrics
        if metric.name == name
    }


def hurt_rows(view: View) -> list[Row]:
    """Slices on which the candidate is worse: first those that the gate refuses, then by margin."""
    refused = {(r.metric, r.slice) for r in view.verdict.reasons if r.outcome == "fail"}
    ranked: list[tuple[bool, bool, float, Row]] = []
    for part in view.comparison.slices:
        for metric in part.metrics:
            row = _row(view, metric, place_of(part))
            by_gate = (metric.name, f"{part.column} = {part.value}") in refused
            if by_gate or row.tone in {"bad", "warn"}:
                gain = (row.difference.estimate if row.difference else None) or 0.0
                better = gain if row.better_up else -gain
                ranked.append((not by_gate, row.tone != "bad", better, row))
    return [row for *_, row in sorted(ranked, key=lambda entry: entry[:3])]


def slice_columns(view: View, most: int) -> list[tuple[str, dict[Place, Row]]]:
    """Label and rows of the metrics worth a column by slice.

    They are the primary metric, then those that the gate holds there, then any.
    """
    by_gate = [r.metric for r in view.verdict.reasons if r.slice is not None and r.metric]
    measured = [metric.name for part in view.comparison.slices for metric in part.metrics]
    wanted = dict.fromkeys([view.comparison.primary, *by_gate, *measured])
    columns = [slice_rows(view, name) for name in wanted if name in measured][:most]
    return [(next(iter(rows.values())).label, rows) for rows in columns]


def slices_by_need(view: View, most: int) -> tuple[list[SliceResult], int]:
    """The judged slices as declared, and how many more there are than `most`.

    If there are more, those that are worse come first.
    """
    judged = [part for part in view.comparison.slices if part.judged]
    if len(judged) > most:
        rank = {row.place: index for index, row in reversed([*enumerate(hurt_rows(view))])}
        judged.sort(key=lambda part: rank.get(place_of(part), len(rank)))
    return judged[:most], len(judged[most:])


def unjudged(view: View) -> list[SliceResult]:
    """Slices with too few rows."""
    return [part for part in view.comparison.slices if not part.judged]


def flips_grid(view: View, most: int) -> Grid:
    """Slices with other decisions, first where more are wrong now than right; empty if none."""
    changed = [part for part in view.flips.slices if part.changed] if view.flips else []
    changed.sort(key=lambda part: part.wrong_to_right - part.right_to_wrong)
    grid: Grid = [("decisions", "rows", "differ", "wrong → right", "right → wrong")]
    for part in changed[:most]:
        counts = (part.rows, part.changed, part.wrong_to_right, part.right_to_wrong)
        grid.append((place_of(part), *map(numbers.count, counts)))
    return grid if changed else []


def attribution_grid(report: Report) -> Grid:
    """How each metric's difference to the base splits; empty if that was not asked for."""
    shares = report.attribution.shares if report.attribution else ()
    grid: Grid = [("", "data alone", "then params and code", "together")]
    for share in shares:
        grid.append((share.label, *map(digits.change, (share.data, share.rest, share.total))))
    return grid if shares else []


def _cost_rows(view: View) -> list[Row]:
    """Latency and size of each model, if they were measured."""
    costs: dict[str, dict[Role, str]] = {"latency, one row": {}, "size": {}}
    for role, facts in view.comparison.models.items():
        if facts.latency_ms is not None:
            costs["latency, one row"][role] = f"{numbers.number(facts.latency_ms, 2)} ms"
        if facts.size_bytes is not None:
            costs["size"][role] = numbers.size(facts.size_bytes)
    return [Row(label, None, cells) for label, cells in costs.items() if cells]


def _outcome_words(difference: Difference) -> tuple[str, Tone]:
    """What a difference means in words, and how it should be looked at."""
    if difference.estimate is None or difference.low is None:
        why = f": {difference.reason}" if difference.reason else ""
        return f"can't tell{why}", "unsure"
    margin = None if difference.margin is None else numbers.given(difference.margin)
    if difference.outcome == "worse" and difference.margin_holds and margin:
        return f"worse, within the margin of {margin}", "warn"
    if difference.outcome == "unclear":
        needed = difference.needed or _OUT_OF_REACH
        enough = f"; about {numbers.count(needed)} {difference.unit} would"
        return f"can't tell{enough if needed < _OUT_OF_REACH else ''}", "unsure"
    if difference.outcome == "same":
        return (f"same, within {margin}" if margin else "same"), "plain"
    return difference.outcome, "good" if difference.outcome == "better" else "bad"


def _row(view: View, metric: MetricResult, place: Place | None) -> Row:
    metric = metric.readable()
    difference = metric.differences.get(view.against) if view.against else None
    measured = [metric.values[role].value for role in view.roles if role in metric.values]
    places = digits.decimals(*measured, difference=difference)
    if places is not None:
        places = _decimals_that_differ(metric, places)
    outcome, tone = _outcome_words(difference) if difference else _why_no_difference(view, metric)
    return Row(
        label=metric.label,
        place=place,
        cells={role: digits.measured(metric.values.get(role), places) for role in view.roles},
        changes={other: digits.change(by) for other, by in metric.differences.items()},
        outcome=outcome,
        tone=tone,
        difference=difference,
        better_up=metric.greater_is_better,
        name=metric.name,
    )


def _decimals_that_differ(metric: MetricResult, places: int) -> int:
    """At least so many decimals that two models which differ never show the same number."""
    mine = metric.values.get("candidate")
    for other, difference in metric.differences.items():
        theirs = metric.values.get(other)
        differs = difference.outcome in {"better", "worse"}
        if differs and mine and theirs and mine.value is not None and theirs.value is not None:
            places = numbers.told_apart(mine.value, theirs.value, places)
    return places


def _why_no_difference(view: View, metric: MetricResult) -> tuple[str, Tone]:
    """Why a metric has no difference; no words if there is no model to differ from."""
    if view.against is None:
        return "", "plain"
    sides = (metric.values.get("candidate"), metric.values.get(view.against))
    why = next((side.reason for side in sides if side and side.value is None), "")
    return (f"can't tell: {why}" if why else "can't tell"), "unsure"
