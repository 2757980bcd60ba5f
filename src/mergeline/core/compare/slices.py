"""Slices: rows by the value or the bin of a column, and the metrics on each."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.differences import Models, metric_results
from mergeline.core.compare.prepare import Parts, is_missing
from mergeline.core.compare.result import SliceResult
from mergeline.core.declare.model import Model, SliceChoice
from mergeline.core.numbers import counted, percent

MISSING = "(missing)"


def slice_labels(values: npt.NDArray[Any], choice: SliceChoice) -> npt.NDArray[Any]:
    """The slice of each row by a column's values, shape (n,), as text.

    Bins are closed on the left, the last one on the right too; what lies outside and what is
    missing make slices of their own.
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
    models: Models, model: Model, columns: Mapping[str, Parts], level: float
) -> tuple[tuple[SliceResult, ...], float | None, str]:
    """Every slice; intervals against one model are so wide that all hold together at `level`.

    Returns:
        The slices, the level of each interval, and a sentence on how it was found.
    """
    count = sum(len(parts.values) for parts in columns.values())
    judged = len(models.metrics)
    each = _each(level, count * judged)
    results = _of_columns(models, model, columns, each)
    compared = _compared(results)
    if not compared:
        return results, None, ""
    if compared < judged:  # what has no interval takes no share of the errors
        each = _each(level, count * compared)
        results = _of_columns(models, model, columns, each)
    over = f"{counted(count, 'slice')} × {counted(compared, 'metric')}"
    return results, each, f"Bonferroni over {over}: each interval at {percent(each)}"


def _each(level: float, intervals: int) -> float:
    return 1 - (1 - level) / max(intervals, 1)


def _compared(results: tuple[SliceResult, ...]) -> int:
    """How many metrics have a difference in some slice."""
    return len({metric.name for one in results for metric in one.metrics if metric.differences})


def _of_columns(
    models: Models, model: Model, columns: Mapping[str, Parts], level: float
) -> tuple[SliceResult, ...]:
    return tuple(
        result
        for column, parts in columns.items()
        for result in _of_column(models, model, column, parts, level)
    )


def _of_column(
    models: Models, model: Model, column: str, parts: Parts, level: float
) -> list[SliceResult]:
    """The column's slices: the judged in the order of their values, then the largest small ones."""
    rows = models.rows.take(parts.arrangement)
    once = {id(one): one.split(parts) for one in models.usable.values()}
    found = []
    for value, (start, end) in zip(parts.values, parts.bounds, strict=True):
        here = {key: next(pieces) for key, pieces in once.items()}
        usable = {role: here[id(one)] for role, one in models.usable.items()}
        piece = dataclasses.replace(models, rows=rows.take(slice(start, end)), usable=usable)
        clusters = piece.rows.cluster_count()
        metrics = metric_results(piece, model.gate.slices, level)
        found.append(
            SliceResult(column, value, end - start, clusters, judged=True, metrics=metrics)
        )
    return found + [
        SliceResult(column, value, rows=count, clusters=None, judged=False)
        for value, count in parts.small
    ]
