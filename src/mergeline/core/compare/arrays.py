"""Rows, predictions and parts as arrays, which the metrics are measured on."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]
Name = TypeVar("Name", bound=str)
T = TypeVar("T")


@dataclass(frozen=True)
class Rows:
    """Rows to measure on.

    Attributes:
        labels: shape (n,): codes 0 … classes−1, or numbers of a regression.
        clusters: codes, shape (n,), or None.
    """

    labels: npt.NDArray[Any]
    clusters: Codes | None

    def __len__(self) -> int:
        return len(self.labels)

    def cluster_count(self) -> int | None:
        """How many clusters the rows come from; None where they are independent."""
        if self.clusters is None:
            return None
        return int(np.count_nonzero(np.bincount(self.clusters, minlength=1)))

    def take(self, rows: Any) -> Rows:  # noqa: ANN401 - an index, a mask or a slice
        """Those rows only."""
        clusters = None if self.clusters is None else self.clusters[rows]
        return Rows(self.labels[rows], clusters)


@dataclass(frozen=True)
class Predicted:
    """What a model predicts for the rows.

    Attributes:
        numbers: probability of the positive class (n,), of every class (n, classes), or the
            numbers of a regression (n,).
        decided: codes of the classes it decides for; of a regression, `numbers`.
        epsilon: smallest probability that its precision tells from zero.
        order: the indices that sort one-dimensional `numbers`; None where they were not sorted.
    """

    numbers: Floats
    decided: npt.NDArray[Any]
    epsilon: float
    order: npt.NDArray[np.intp] | None = None

    def take(self, rows: Any) -> Predicted:  # noqa: ANN401 - an index, a mask or a slice
        """Those rows only, without their order."""
        return replace(self, numbers=self.numbers[rows], decided=self.decided[rows], order=None)

    def ordered(self) -> Predicted:
        """The same with `order`, where the numbers are one-dimensional."""
        if self.numbers.ndim > 1:
            return self
        return replace(self, order=np.argsort(self.numbers))

    def split(self, parts: Parts) -> Iterator[Predicted]:
        """The rows of each part, in their order; sorted once for all of them."""
        arranged = self.take(parts.arrangement)
        local = None
        if self.order is not None:
            by_part = self.order[np.argsort(parts.codes[self.order], kind="stable")]
            local = parts.position[by_part]
        for start, end in parts.bounds:
            order = None if local is None else local[start:end] - start
            yield replace(arranged.take(slice(start, end)), order=order)


@dataclass(frozen=True)
class Parts:
    """Rows by the value of one column.

    Attributes:
        values: those with enough rows, in the order that a person expects (numbers by size).
        codes: the part of each row; the rows of all small parts share one code beyond the last.
        arrangement: sorts the codes; part k lies in `bounds[k]` of it.
        small: values without enough rows, and how many they have, largest first.
    """

    values: tuple[str, ...]
    codes: Codes
    arrangement: npt.NDArray[np.intp]
    bounds: tuple[tuple[int, int], ...]
    small: tuple[tuple[str, int], ...]

    @cached_property
    def position(self) -> npt.NDArray[np.intp]:
        """Where each row stands in the arrangement."""
        position = np.empty(len(self.arrangement), dtype=np.intp)
        position[self.arrangement] = np.arange(len(position))
        return position


def parts_of(values: npt.NDArray[Any], least: int, listed: int) -> Parts:
    """The parts of `least` rows or more, and the `listed` largest of the others."""
    codes_of_names, names = factorize(values)
    sizes = np.bincount(codes_of_names, minlength=len(names))
    enough = sorted(np.flatnonzero(sizes >= least).tolist(), key=lambda code: _natural(names[code]))
    number = np.full(len(names), len(enough))
    number[enough] = np.arange(len(enough))
    codes = number.astype(np.min_scalar_type(len(enough)))[codes_of_names]
    ends = np.cumsum(sizes[enough]).tolist()
    order = np.argsort(-sizes, kind="stable").tolist()
    others = [(str(names[code]), int(sizes[code])) for code in order if 0 < sizes[code] < least]
    return Parts(
        values=tuple(str(names[code]) for code in enough),
        codes=codes,
        arrangement=np.argsort(codes, kind="stable"),
        bounds=tuple(zip([0, *ends[:-1]], ends, strict=True)) if ends else (),
        small=tuple(others[:listed]),
    )


def factorize(values: npt.NDArray[Any]) -> tuple[Codes, list[Any]]:
    """Codes of the values, and the distinct values that the codes number."""
    if values.dtype == np.bool_:
        return values.astype(np.int64), [False, True]
    if values.dtype.kind in "iufmM":
        distinct, codes = np.unique(values, return_inverse=True)
        return codes, distinct.tolist()
    number: defaultdict[Any, int] = defaultdict()
    number.default_factory = number.__len__
    codes = np.fromiter(map(number.__getitem__, values.tolist()), np.int64, len(values))
    return codes, list(number)


def _natural(value: object) -> tuple[tuple[int, float, str], ...]:
    """Sorting key by which `[9, 13)` stands before `[13, 17)`."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", str(value))
    return tuple(
        (0, float(piece), "") if index % 2 else (1, 0.0, piece)
        for index, piece in enumerate(pieces)
        if piece
    )


@dataclass(frozen=True)
class Predictions(Generic[Name]):
    """What several models predict for the same rows; equal predictions are held once.

    Attributes:
        distinct: the predictions, no two of them equal.
        index: by model, the place of its predictions in `distinct`.
    """

    distinct: tuple[Predicted, ...]
    index: Mapping[Name, int]

    def of(self, name: Name) -> Predicted | None:
        """The model's predictions; None where they cannot be compared."""
        return self.distinct[self.index[name]] if name in self.index else None

    def each(self, look: Callable[[Predicted], T]) -> dict[Name, T]:
        """The result of `look` by model; equal predictions are looked at once."""
        results = [look(predicted) for predicted in self.distinct]
        return {name: results[place] for name, place in self.index.items()}


def missing_count(values: npt.NDArray[Any]) -> int:
    """How many of the values stand for none."""
    if values.dtype.kind in "iub":
        return 0
    return sum(map(is_missing, values.tolist()))


def is_missing(value: object) -> bool:
    """Whether it stands for an absent value: None, NaN, or what pandas has for them."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN
