"""Summaries of drops that merge: what a column holds, without reading its rows again.

A column with few distinct values is summarised by all of them with their counts: everything about
it is exact. For other columns a drop keeps the most frequent values, a sketch of how many distinct
ones there are, and for numbers 200 points of equal weight, from which a quantile is read with an
error of at most 1/400 in rank. A merged summary keeps up to 1,000 points, and how much larger its
error is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.data import hyperloglog

Scalar = bool | int | float | str
EDITION = 5
MOST_VALUES = 256
MOST_MERGED_VALUES = 1024
POINTS = 200
MERGED_POINTS = 1000
LONGEST_KEPT_TEXT = 100
BUCKETS = 20
_HASH_DIGITS = 16
Numbers = npt.NDArray[Any]  # of int64 or float64
_NUMERIC = ("int", "float", "decimal", "date")  # how the names of numeric types begin
_REAL = ("float", "decimal")


def is_numeric(kind: str) -> bool:
    """Whether values of a contract's type are summarised as numbers."""
    return kind.startswith(_NUMERIC)


def is_real(kind: str) -> bool:
    """Whether they are summarised as floats, else as integers."""
    return kind.startswith(_REAL)


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one drop.

    Attributes:
        type: as in a contract; a date is in days since 1970, a datetime in microseconds.
        nulls: rows without a value.
        values: (value, rows that have it), most frequent first; a long text as by `kept_text`.
        complete: whether `values` holds every value.
        sketch: of the distinct values, see `data.hyperloglog`; empty if `complete`.
        buckets: for texts that are not complete, see `bucket_rows`.
        points: for numbers that are not complete; ascending.
        weights: of the points, in rows; empty if all weigh the same.
        error: by which share of the rows a rank among the points may be off.
        least: the least number, an integer exactly; `most` is the greatest.
    """

    type: str
    rows: int
    nulls: int
    values: tuple[tuple[Scalar, int], ...] = ()
    complete: bool = True
    sketch: str = ""
    buckets: tuple[int, ...] = ()
    points: tuple[int | float, ...] = ()
    weights: tuple[float, ...] = ()
    error: float = 0.0
    least: int | float | None = None
    most: int | float | None = None

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls


@dataclass(frozen=True)
class DropProfile:
    """The summary of one drop, or of several merged."""

    rows: int
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)


@dataclass(frozen=True)
class Distribution:
    """Weighted numbers, ascending; integers stay integers, as a float64 is exact to 2⁵³ only."""

    positions: Numbers
    weights: npt.NDArray[np.float64]

    @cached_property
    def cumulative(self) -> npt.NDArray[np.float64]:
        """Share of the weight up to and with each position."""
        total = self.weights.sum()
        return np.asarray(np.cumsum(self.weights) / total) if total else self.weights

    def quantile(self, share: float) -> int | float:
        """The least position with at least that share of the weight up to it."""
        index = int(np.searchsorted(self.cumulative, share - 1e-12))
        value: int | float = self.positions[min(index, len(self.positions) - 1)].item()
        return value

    def share_up_to(self, edges: Numbers) -> npt.NDArray[np.float64]:
        """Share of the weight at or below each edge."""
        at = np.searchsorted(self.positions, edges, side="right")
        return np.concatenate([[0.0], self.cumulative])[at]


class Merged:
    """One column over several drops."""

    def __init__(self, kind: str, parts: Sequence[ColumnProfile]) -> None:
        self.type = kind
        self._parts = [part for part in parts if part.rows]
        self.rows = sum(part.rows for part in self._parts)
        self.nulls = sum(part.nulls for part in self._parts)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls

    @cached_property
    def complete(self) -> bool:
        """Whether every value is known, so that every number here is exact."""
        return all(part.complete for part in self._parts)

    @cached_property
    def counts(self) -> Counter[Scalar]:
        """Rows by value; at least so many if the column is not complete."""
        counts: Counter[Scalar] = Counter()
        for part in self._parts:
            counts.update(dict(part.values))
        return counts

    @cached_property
    def distinct(self) -> int:
        """How many distinct values; within 2.3 % (standard error) if not complete."""
        if self.complete:
            return len(self.counts)
        return round(hyperloglog.estimate(self.registers))

    @cached_property
    def registers(self) -> hyperloglog.Registers:
        """The sketch of the distinct values."""
        return hyperloglog.merge(map(_registers, self._parts))

    @cached_property
    def distribution(self) -> Distribution | None:
        """The numbers and their weights; None for other types, and without any value."""
        if not is_numeric(self.type) or not self.present:
            return None
        positions, weights = [], []
        kind = np.float64 if is_real(self.type) else np.int64
        for part in self._parts:
            if part.complete:
                positions.append(np.array([value for value, _ in part.values], dtype=kind))
                weights.append(np.array([count for _, count in part.values], dtype=np.float64))
            else:
                positions.append(np.array(part.points, dtype=kind))
                even = np.full(len(part.points), part.present / len(part.points))
                weights.append(np.array(part.weights) if part.weights else even)
        at, weight = np.concatenate(positions), np.concatenate(weights)
        order = np.argsort(at, kind="stable")
        return Distribution(at[order], weight[order])

    @property
    def error(self) -> float:
        """By which share of the rows a rank in `distribution` may be off."""
        off = sum(part.error * part.present for part in self._parts)
        return off / self.present if off else 0.0

    @cached_property
    def buckets(self) -> npt.NDArray[np.int64]:
        """For texts, rows by the hash of their value; exact, however many values there are."""
        return sum((_buckets(part) for part in self._parts), np.zeros(BUCKETS, dtype=np.int64))

    @property
    def least(self) -> int | float | None:
        """The least number."""
        return min((part.least for part in self._parts if part.least is not None), default=None)

    @property
    def most(self) -> int | float | None:
        """The greatest number."""
        return max((part.most for part in self._parts if part.most is not None), default=None)

    def top(self, number: int) -> tuple[tuple[Scalar, int], ...]:
        """The most frequent values with their rows, ties in the order of the values."""

        def place(item: tuple[Any, int]) -> tuple[int, Any]:
            return -item[1], item[0] if is_numeric(self.type) else str(item[0])

        return tuple(heapq.nsmallest(number, self.counts.items(), key=place))

    def as_one(self) -> ColumnProfile:
        """The summary of all of it, of bounded size."""
        complete = self.complete and len(self.counts) <= MOST_MERGED_VALUES
        profile = ColumnProfile(
            type=self.type,
            rows=self.rows,
            nulls=self.nulls,
            values=self.top(MOST_MERGED_VALUES if complete else MOST_VALUES),
            complete=complete,
            least=self.least,
            most=self.most,
        )
        if complete:
            return profile
        profile = replace(profile, sketch=hyperloglog.to_text(self.registers))
        numbers = self.distribution
        if numbers is None:
            return replace(profile, buckets=tuple(self.buckets.tolist()))
        positions, first = np.unique(numbers.positions, return_index=True)
        if len(positions) <= MERGED_POINTS:
            points = tuple(positions.tolist())
            weights = tuple(np.add.reduceat(numbers.weights, first).tolist())
            return replace(profile, points=points, weights=weights, error=self.error)
        shares = (np.arange(MERGED_POINTS) + 0.5) / MERGED_POINTS
        points = tuple(numbers.quantile(share) for share in shares)
        return replace(profile, points=points, error=self.error + 0.5 / MERGED_POINTS)


def merge_profiles(profiles: Sequence[DropProfile], types: Mapping[str, str]) -> dict[str, Merged]:
    """Each column over all drops; `types` names the columns and their order."""
    return {
        name: Merged(kind, [p.columns[name] for p in profiles if name in p.columns])
        for name, kind in types.items()
    }


def merge_into_one(profiles: Sequence[DropProfile], types: Mapping[str, str]) -> DropProfile:
    """One summary of several, of bounded size."""
    merged = merge_profiles(profiles, types)
    columns = {name: column.as_one() for name, column in merged.items()}
    return DropProfile(sum(profile.rows for profile in profiles), columns)


def points_of(ordered: Numbers) -> tuple[int | float, ...]:
    """`POINTS` numbers that stand for equal shares of the ascending ones: each share's middle."""
    ranks = ((np.arange(POINTS) + 0.5) / POINTS * len(ordered)).astype(np.intp)
    return tuple(ordered[ranks].tolist())


def _registers(part: ColumnProfile) -> hyperloglog.Registers:
    if not part.complete:
        return hyperloglog.from_text(part.sketch)
    values = [value for value, _ in part.values]
    return hyperloglog.sketch(hashes_of(values, part.type))


def kept_text(text: str) -> str:
    """A text as a summary keeps it: of a long one, its beginning and a hash of the whole.

    A shortened text is longer than any text that is kept whole, so the two cannot be confused.
    """
    if len(text) <= LONGEST_KEPT_TEXT:
        return text
    whole = int(hyperloglog.hash_texts([text])[0])
    return f"{text[: LONGEST_KEPT_TEXT - 1]}…\0{whole:0{_HASH_DIGITS}x}"


def shown_text(kept: str) -> str:
    """The part of a kept text that a person reads."""
    return kept[:LONGEST_KEPT_TEXT]


def _buckets(part: ColumnProfile) -> npt.NDArray[np.int64]:
    if not part.complete:
        return np.array(part.buckets, dtype=np.int64)
    hashes = hashes_of([value for value, _ in part.values], part.type)
    return bucket_rows(hashes, np.array([rows for _, rows in part.values], dtype=np.int64))


def bucket_rows(
    hashes: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Rows in each of `BUCKETS` parts, to which a value belongs by its hash."""
    counts = np.zeros(BUCKETS, dtype=np.int64)
    np.add.at(counts, (hashes % np.uint64(BUCKETS)).astype(np.intp), rows)
    return counts


def hashes_of(values: Sequence[Scalar], kind: str) -> npt.NDArray[np.uint64]:
    """Hashes of distinct values of a contract's type, texts as they are kept."""
    if is_real(kind):
        return hyperloglog.hash_numbers(np.array(values, dtype=np.float64))
    if is_numeric(kind) or kind == "bool":
        return hyperloglog.hash_numbers(np.array(values, dtype=np.int64))
    texts = [str(value) for value in values]
    hashes = hyperloglog.hash_texts(texts)
    for place, text in enumerate(texts):
        if len(text) > LONGEST_KEPT_TEXT:
            hashes[place] = int(text[-_HASH_DIGITS:], 16)
    return hashes
