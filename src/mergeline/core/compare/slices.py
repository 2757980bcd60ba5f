"""Slices: rows by the value or the bin of a column, and the metrics on each."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import Parts, is_missing
from mergeline.core.compare.differences import Models, metric_results
from mergeline.core.compare.result import SliceResult
from mergeline.core.declare.model import Model, Role, SliceChoice
from mergeline.core.numbers import counted, percent

MISSING = "(missing)"


def slice_labels(values: npt.NDArray[Any], choice: SliceChoice) -> npt.NDArray[Any]:
    """The slice of each row by a column's values, as text, shape (n,).

    Bins are closed on the left, the last one on the right too. Values below, above and missing
    values are slices of their own.
    """
    values = np.asarray(values)
    if not choice.bins:
        listed = values.tolist()
        names = {
            value: MISSING if is_missing(value) else str(value) for value in dict.fromkeys(listed)
        }
        return np.array([names[value] for value in listed], dtype=object)
    numbers = values.astype(np.float64)
    texts = [f"{edge:g}" for edge in choice.bins]
    bins = [f"[{low}, {high})" for low, high in itertools.pairwise(texts)]
    bins[-1] = f"{bins[-1][:-1]}]"
    labels = np.array([f"< {texts[0]}", *bins, f"> {texts[-1]}", MISSING], dtype=object)
    codes = np.searchsorted(np.array(choice.bins), numbers, side="right")
    codes[numbers == choice.bins[-1]] = len(bins)
    codes[np.isnan(numbers)] = len(labels) - 1
    return labels[codes]


def slice_results(
    models: Models[Role], model: Model, columns: Mapping[str, Parts], level: float
) -> tuple[tuple[SliceResult, ...], float | None, str]:
    """The results of every slice, with intervals so wide that all of them hold at `level` together.

    Returns:
        The slices, the level of each interval, and a sentence on how it was found.
    """
    count = sum(len(parts.values) for parts in columns.values())
    judged = len(models.metrics)
    each = _level_of_each(level, count * judged)
    results = _of_columns(models, model, columns, each)
    compared = _metrics_compared(results)
    if not compared:
        return results, None, ""
    if compared < judged:  # a metric without an interval takes no share of the errors
        each = _level_of_each(level, count * compared)
        results = _of_columns(models, model, columns, each)
    over = f"{counted(count, 'slice')} × {counted(compared, 'metric')}"
    return results, each, f"Bonferroni over {over}: each interval at {percent(each)}"


def _level_of_each(level: float, intervals: int) -> float:
    return 1 - (1 - level) / max(intervals, 1)


def _metrics_compared(results: tuple[SliceResult, ...]) -> int:
    """How many metrics have a difference in some slice."""
    metrics = (metric for result in results for metric in result.metrics)
    return len({metric.name for metric in metrics if metric.differences})


def _of_columns(
    models: Models[Role], model: Model, columns: Mapping[str, Parts], level: float
) -> tuple[SliceResult, ...]:
    return tuple(
        result
        for column, parts in columns.items()
        for result in _of_column(models, model, column, parts, level)
    )


def _of_column(
    models: Models[Role], model: Model, column: str, parts: Parts, level: float
) -> list[SliceResult]:
    """The column's judged slices in the order of their values, then the largest of the others."""
    rows = models.rows.take(parts.arrangement)
    pieces = [predicted.split(parts) for predicted in models.usable.distinct]
    results = []
    for value, (start, end) in zip(parts.values, parts.bounds, strict=True):
        distinct = tuple(next(pieces_of_one) for pieces_of_one in pieces)
        usable = dataclasses.replace(models.usable, distinct=distinct)
        piece = dataclasses.replace(models, rows=rows.take(slice(start, end)), usable=usable)
        clusters = piece.rows.cluster_count()
        metrics = metric_results(piece, model.gate.slices, level)
        results.append(
            SliceResult(column, value, end - start, clusters, judged=True, metrics=metrics)
        )
    return results + [
        SliceResult(column, value, rows=count, clusters=None, judged=False)
        for value, count in parts.small
    ]
