"""Summaries of drops that merge: what a column holds, without reading its rows again.

A column with few distinct values is summarised by all of them with their counts, and everything
said of it is exact. Of others a drop keeps its most frequent values, a sketch of how many there
are, and of numbers 200 points of equal weight: a quantile read from those is off by at most 1/400
in rank. Summaries merged into one keep up to 1,000 points, and say by how much more they are off.
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

from mergeline.core.data import hyperloglog as cardinality

Scalar = bool | int | float | str
EDITION = 5
MOST_VALUES = 256
MOST_MERGED_VALUES = 1024
POINTS = 200
MERGED_POINTS = 1000
LONGEST_TEXT = 100
BUCKETS = 20
_HASH_DIGITS = 16
Numbers = npt.NDArray[Any]  # of int64 or float64
NUMERIC = frozenset({"int8", "int16", "int32", "int64", "float32", "float64", "date", "datetime"})


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one drop.

    Attributes:
        type: as in a contract; a date is counted in days, a datetime in microseconds, since 1970.
        nulls: rows without a value.
        values: (value, rows that have it), most frequent first; a long text as `kept_text` has it.
        complete: whether `values` are all there are.
        sketch: of the distinct values, see `core.cardinality`; where `values` are not complete.
        buckets: of texts whose `values` are not complete, see `bucket_rows`.
        points: ascending; of numbers whose `values` are not complete.
        weights: of the points, in rows; none where all weigh the same.
        error: by which share of the rows a rank among the points may be off.
        least: the least number, an integer exactly.
        most: the greatest number.
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
    """One drop as a table holds it, or several as one."""

    rows: int
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)


@dataclass(frozen=True)
class Distribution:
    """Weighted numbers, ascending; integers as such, which a float64 does not hold beyond 2⁵³."""

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

    def by_position(self) -> tuple[Numbers, npt.NDArray[np.float64]]:
        """Each position once, with its weight."""
        positions, first = np.unique(self.positions, return_index=True)
        return positions, np.add.reduceat(self.weights, first)

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
        """Whether every value is known, so that all that is said is exact."""
        return all(part.complete for part in self._parts)

    @cached_property
    def counts(self) -> Counter[Scalar]:
        """Rows by value; of a column that is not complete at least so many."""
        counts: Counter[Scalar] = Counter()
        for part in self._parts:
            counts.update(dict(part.values))
        return counts

    @cached_property
    def distinct(self) -> int:
        """Number of distinct values; within 2.3 % (standard error) where not complete."""
        if self.complete:
            return len(self.counts)
        return round(cardinality.estimate(self.registers))

    @cached_property
    def registers(self) -> cardinality.Registers:
        """The sketch of the distinct values."""
        return cardinality.merge(map(_registers, self._parts))

    @cached_property
    def distribution(self) -> Distribution | None:
        """Of the numbers; None for other types, and without any value."""
        if self.type not in NUMERIC or not self.present:
            return None
        positions, weights = [], []
        kind = np.float64 if self.type.startswith("float") else np.int64
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
        """Rows by the hash of their value, of texts: exact, however many values there are."""
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
            return -item[1], item[0] if self.type in NUMERIC else str(item[0])

        return tuple(heapq.nsmallest(number, self.counts.items(), key=place))

    def as_one(self) -> ColumnProfile:
        """The summary of all of it, of bounded size."""
        complete = self.complete and len(self.counts) <= MOST_MERGED_VALUES
        one = ColumnProfile(
            type=self.type,
            rows=self.rows,
            nulls=self.nulls,
            values=self.top(MOST_MERGED_VALUES if complete else MOST_VALUES),
            complete=complete,
            least=self.least,
            most=self.most,
        )
        if complete:
            return one
        one = replace(one, sketch=cardinality.to_text(self.registers))
        if self.type not in NUMERIC:
            return replace(one, buckets=tuple(self.buckets.tolist()))
        numbers = self.distribution
        if numbers is None:
            return one
        positions, weights = numbers.by_position()
        if len(positions) <= MERGED_POINTS:
            at, weight = tuple(positions.tolist()), tuple(weights.tolist())
            return replace(one, points=at, weights=weight, error=self.error)
        shares = (np.arange(MERGED_POINTS) + 0.5) / MERGED_POINTS
        at = tuple(numbers.quantile(share) for share in shares)
        return replace(one, points=at, error=self.error + 0.5 / MERGED_POINTS)


def merge_profiles(profiles: Sequence[DropProfile], types: Mapping[str, str]) -> dict[str, Merged]:
    """Each column over all drops; `types` names the columns and their order."""
    return {
        name: Merged(kind, [p.columns[name] for p in profiles if name in p.columns])
        for name, kind in types.items()
    }


def merge_into_one(profiles: Sequence[DropProfile], types: Mapping[str, str]) -> DropProfile:
    """The summary of several, of bounded size."""
    columns = {name: one.as_one() for name, one in merge_profiles(profiles, types).items()}
    return DropProfile(sum(profile.rows for profile in profiles), columns)


def points_of(ordered: Numbers) -> tuple[int | float, ...]:
    """`POINTS` numbers that stand for equal shares of the ascending ones: each share's middle."""
    ranks = ((np.arange(POINTS) + 0.5) / POINTS * len(ordered)).astype(np.intp)
    return tuple(ordered[ranks].tolist())


def _registers(part: ColumnProfile) -> cardinality.Registers:
    if not part.complete:
        return cardinality.from_text(part.sketch)
    values = [value for value, _ in part.values]
    return cardinality.sketch(hashes_of(values, part.type))


def kept_text(text: str) -> str:
    """A text as a summary keeps it: a long one by its beginning and a hash of the whole.

    None that is kept whole is as long, so that neither is taken for the other.
    """
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[: LONGEST_TEXT - 1]}…\0{int(cardinality.hash_texts([text])[0]):0{_HASH_DIGITS}x}"


def shown_text(kept: str) -> str:
    """What a person reads of a kept text."""
    return kept[:LONGEST_TEXT]


def _buckets(part: ColumnProfile) -> npt.NDArray[np.int64]:
    if not part.complete:
        return np.array(part.buckets, dtype=np.int64)
    hashes = hashes_of([value for value, _ in part.values], part.type)
    return bucket_rows(hashes, np.array([rows for _, rows in part.values], dtype=np.int64))


def bucket_rows(
    hashes: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Rows in each of `BUCKETS` parts that the hash of a value decides, not its frequency."""
    counts = np.zeros(BUCKETS, dtype=np.int64)
    np.add.at(counts, (hashes % np.uint64(BUCKETS)).astype(np.intp), rows)
    return counts


def hashes_of(values: Sequence[Scalar], kind: str) -> npt.NDArray[np.uint64]:
    """Hashes of distinct values of a contract's type, texts as they are kept."""
    if kind.startswith("float"):
        return cardinality.hash_numbers(np.array(values, dtype=np.float64))
    if kind in NUMERIC or kind == "bool":
        return cardinality.hash_numbers(np.array(values, dtype=np.int64))
    texts = [str(value) for value in values]
    hashes = cardinality.hash_texts(texts)
    for place, text in enumerate(texts):
        if len(text) > LONGEST_TEXT:
            hashes[place] = int(text[-_HASH_DIGITS:], 16)
    return hashes
