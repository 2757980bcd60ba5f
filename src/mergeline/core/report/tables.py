"""The report's tables as cells of text, which every renderer lays out in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.compare.result import (
    Difference,
    Measured,
    MetricResult,
    ModelFacts,
    Other,
    SliceResult,
)
from mergeline.core.declare.model import Role
from mergeline.core.gate.verdict import Reason
from mergeline.core.report.content import Report

Tone = Literal["good", "bad", "warn", "unsure", "plain"]
_OUT_OF_REACH = 10_000_000  # rows or clusters: nobody waits for as many
MOST_HURT = 6  # slices that are worse are shown beside the metrics; the rest in their own table


@dataclass(frozen=True)
class Row:
    """One measure of the models, side by side.

    Attributes:
        name: of the metric, as declared; empty for a row that is none.
        place: the slice as (column, value); None for all rows.
        cells: by role, as text.
        changes: the candidate's difference with its uncertainty, by the model held against.
        outcome: what that means, in words.
        difference: behind the outcome, in its readable sign; `better_up` says which way is good.
    """

    label: str
    place: tuple[str, str] | None
    cells: Mapping[Role, str]
    changes: Mapping[Other, str] = field(default_factory=dict)
    outcome: str = ""
    tone: Tone = "plain"
    difference: Difference | None = None
    better_up: bool = True
    primary: bool = False
    name: str = ""


def against(report: Report) -> Other | None:
    """The model that the candidate is held against first: the champion, else the base."""
    comparison = report.comparison
    if comparison is None:
        return None
    others: tuple[Other, ...] = ("champion", "base")
    return next((other for other in others if other in comparison.models), None)


def roles(report: Report) -> tuple[Role, ...]:
    """Columns of the tables. The base has its own only where it is not the champion."""
    comparison = report.comparison
    if comparison is None:
        return ()
    shown: tuple[Role, ...] = ("champion", "base", "candidate")
    if "champion" in comparison.models and base_is_champion(report):
        shown = ("champion", "candidate")
    return tuple(role for role in shown if role in comparison.models)


def others(report: Report) -> tuple[Other, ...]:
    """The models of the table that the candidate is held against."""
    candidates: tuple[Other, ...] = ("champion", "base")
    return tuple(other for other in candidates if other in roles(report))


def base_is_champion(report: Report) -> bool:
    """Whether the model at the base is the one in production."""
    champion, base = report.champion, report.subject.base_fingerprint
    return champion is not None and base is not None and champion.fingerprint == base


def metric_rows(report: Report) -> list[Row]:
    """The metrics on all rows, the primary one first."""
    comparison = report.comparison
    if comparison is None:
        return []
    ordered = sorted(comparison.metrics, key=lambda metric: metric.name != comparison.primary)
    return [_row(report, metric, None) for metric in ordered]


def slice_rows(report: Report, name: str) -> list[Row]:
    """One metric on each judged slice."""
    comparison = report.comparison
    if comparison is None:
        return []
    return [
        _row(report, metric, (one.column, one.value))
        for one in comparison.slices
        if one.judged
        for metric in one.metrics
        if metric.name == name
    ]


def slice_metrics(report: Report, most: int = 3) -> list[str]:
    """Metrics worth a column by slice: the primary one, then those that the gate holds there."""
    comparison = report.comparison
    if comparison is None:
        return []
    held = [r.metric for r in _reasons(report) if r.slice is not None and r.metric is not None]
    there = [metric.name for one in comparison.slices for metric in one.metrics]
    wanted = [comparison.primary, *held, *there]
    return [name for name in dict.fromkeys(wanted) if name in there][:most]


def hurt_rows(report: Report) -> list[Row]:
    """Slices on which the candidate is worse: first those that the gate refuses, then by margin."""
    comparison = report.comparison
    if comparison is None:
        return []
    refused = {(r.metric, r.slice) for r in _reasons(report) if r.outcome == "fail"}
    found: list[tuple[bool, bool, float, Row]] = []
    for one in comparison.slices:
        for metric in one.metrics:
            row = _row(report, metric, (one.column, one.value))
            by_gate = (metric.name, f"{one.column} = {one.value}") in refused
            if by_gate or row.tone in {"bad", "warn"}:
                found.append((not by_gate, row.tone != "bad", _gain(row), row))
    return [row for *_, row in sorted(found, key=lambda item: item[:3])]


def slices_by_need(report: Report, most: int) -> list[SliceResult]:
    """The judged slices as declared; where there are more than `most`, those that are worse."""
    comparison = report.comparison
    judged = [one for one in comparison.slices if one.judged] if comparison else []
    if len(judged) <= most:
        return judged
    rank = {row.place: index for index, row in reversed([*enumerate(hurt_rows(report))])}
    return sorted(judged, key=lambda one: rank.get((one.column, one.value), len(rank)))[:most]


def unjudged(report: Report) -> list[SliceResult]:
    """Slices with too few rows."""
    comparison = report.comparison
    return [one for one in comparison.slices if not one.judged] if comparison else []


def cost_rows(report: Report) -> list[Row]:
    """Latency and size of each model, where they were measured."""
    comparison = report.comparison
    if comparison is None:
        return []

    def latency(facts: ModelFacts) -> str | None:
        return None if facts.latency_ms is None else f"{numbers.number(facts.latency_ms, 2)} ms"

    def weight(facts: ModelFacts) -> str | None:
        return None if facts.size_bytes is None else numbers.size(facts.size_bytes)

    rows = []
    for label, show in (("latency, one row", latency), ("size", weight)):
        cells = {role: show(facts) for role, facts in comparison.models.items()}
        if any(cells.values()):
            rows.append(Row(label, None, {role: cell or "—" for role, cell in cells.items()}))
    return rows


def outcome_of(difference: Difference | None) -> tuple[str, Tone]:
    """What a difference means in words, and how it should be looked at."""
    if difference is None:
        return "", "plain"
    if difference.estimate is None or difference.low is None:
        why = f": {difference.reason}" if difference.reason else ""
        return f"can't tell{why}", "unsure"
    margin = None if difference.margin is None else numbers.given(difference.margin)
    if difference.outcome == "worse" and difference.margin_holds and margin:
        return f"worse, within the margin of {margin}", "warn"
    if difference.outcome == "unclear":
        needed = difference.needed or _OUT_OF_REACH
        many = f"; about {numbers.count(needed)} {difference.unit} would"
        enough = many if needed < _OUT_OF_REACH else ""
        return f"can't tell{enough}", "unsure"
    within = f", within {margin}" if margin else ""
    known: dict[str, tuple[str, Tone]] = {
        "better": ("better", "good"),
        "worse": ("worse", "bad"),
        "same": (f"same{within}", "plain"),
    }
    return known[difference.outcome]


def _row(report: Report, metric: MetricResult, place: tuple[str, str] | None) -> Row:
    metric = metric.readable()
    chosen = against(report)
    difference = metric.differences.get(chosen) if chosen else None
    shown = [value for role in roles(report) if (value := _value(metric, role)) is not None]
    places = digits.decimals(*shown, difference=difference)
    if places is not None:
        places = _told_apart(metric, places)
    outcome, tone = outcome_of(difference) if difference else _missing(metric, chosen)
    comparison = report.comparison
    return Row(
        label=metric.label,
        place=place,
        cells={role: _cell(metric.values.get(role), places) for role in roles(report)},
        changes={other: digits.change(one) for other, one in metric.differences.items()},
        outcome=outcome,
        tone=tone,
        difference=difference,
        better_up=metric.greater_is_better,
        name=metric.name,
        primary=comparison is not None and place is None and metric.name == comparison.primary,
    )


def _told_apart(metric: MetricResult, places: int) -> int:
    """So many decimals that no two models whose difference is told show the same number."""
    mine = metric.values.get("candidate")
    for other, difference in metric.differences.items():
        theirs = metric.values.get(other)
        told = difference.outcome in {"better", "worse"}
        if told and mine and theirs and mine.value is not None and theirs.value is not None:
            places = numbers.told_apart(mine.value, theirs.value, places)
    return places


def _missing(metric: MetricResult, other: Other | None) -> tuple[str, Tone]:
    """Why there is no difference, where there should be one."""
    if other is None:
        return "", "plain"
    sides = (metric.values.get("candidate"), metric.values.get(other))
    why = next((side.reason for side in sides if side and side.value is None), "")
    return (f"can't tell: {why}" if why else "can't tell"), "unsure"


def _cell(value: Measured | None, places: int | None) -> str:
    return digits.measured(value, places)


def _value(metric: MetricResult, role: Role) -> float | None:
    found = metric.values.get(role)
    return found.value if found else None


def _gain(row: Row) -> float:
    """The difference, more being better."""
    if row.difference is None or row.difference.estimate is None:
        return 0.0
    return row.difference.estimate if row.better_up else -row.difference.estimate


def _reasons(report: Report) -> tuple[Reason, ...]:
    return report.verdict.reasons if report.verdict else ()
