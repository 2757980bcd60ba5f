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
    each = 1 - (1 - level) / max(count * judged, 1)
    results = _at_level(models, model, columns, each)
    metrics = (metric for result in results for metric in result.metrics)
    compared = len({metric.name for metric in metrics if metric.differences})
    if not compared:
        return results, None, ""
    if compared < judged:  # a metric without an interval takes no share of the errors
        each = 1 - (1 - level) / (count * compared)
        results = _at_level(models, model, columns, each)
    over = f"{counted(count, 'slice')} × {counted(compared, 'metric')}"
    return results, each, f"Bonferroni over {over}: each interval at {percent(each)}"


def _at_level(
    models: Models[Role], model: Model, columns: Mapping[str, Parts], level: float
) -> tuple[SliceResult, ...]:
    """Of each column, the judged slices in the order of their values, then the largest others."""
    results: list[SliceResult] = []
    for column, parts in columns.items():
        rows = models.rows.take(parts.arrangement)
        pieces = [predicted.split(parts) for predicted in models.usable.distinct]
        for value, (start, end) in zip(parts.values, parts.bounds, strict=True):
            distinct = tuple(next(pieces_of_one) for pieces_of_one in pieces)
            usable = dataclasses.replace(models.usable, distinct=distinct)
            piece = dataclasses.replace(models, rows=rows.take(slice(start, end)), usable=usable)
            clusters = piece.rows.cluster_count()
            metrics = metric_results(piece, model.gate.slices, level)
            results.append(
                SliceResult(column, value, end - start, clusters, judged=True, metrics=metrics)
            )
        results += [
            SliceResult(column, value, count, clusters=None, judged=False)
            for value, count in parts.small
        ]
    return tuple(results)
